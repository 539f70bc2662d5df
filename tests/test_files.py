"""Files are written whole or not at all."""

import errno
import os
import re
import socket

import numpy as np
import pytest

from jnas.io._archive import write_archive
from jnas.io._atomic import check_writable, remove_unfinished, replacing
from jnas.io._lock import alone_in, hold


def test_a_finished_block_replaces_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path, "w") as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_halfway():
        with replacing(path, "w") as file:
            file.write("half")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_missing_folder_and_a_full_disk_are_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot write"), replacing(tmp_path / "no" / "a"):
        pass
    with pytest.raises(OSError, match="the disk is full") as caught, replacing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("how", ["written again", "looked at first", "in a folder that is begun"])
def test_what_killed_writers_left_is_removed(tmp_path, how):
    path, dead = tmp_path / "a.txt", tmp_path / ".a.txt.abcdefgh.part"
    others = [tmp_path / ".b.txt.abcdefgh.part", tmp_path / ".a.txt.abc.part", tmp_path / "a.txt.abcdefgh.part"]
    for each in (dead, *others):
        each.write_text("half")
    dead.chmod(0o600)
    if how == "written again":
        with replacing(path, "w") as file:
            file.write("new")
    elif how == "looked at first":
        check_writable(path)
    else:
        remove_unfinished(tmp_path, r"a\.txt|c\.txt")
    assert not dead.exists()
    assert all(each.exists() for each in others)


def test_living_writers_keep_their_unfinished_files(tmp_path):
    """Whoever starts meanwhile, and whatever it removes, two writers of one file both end: the last one's stands."""
    path = tmp_path / "a.txt"
    with replacing(path, "w") as first:
        first.write("first")
        check_writable(path)
        remove_unfinished(tmp_path, ".*")
        with replacing(path, "w") as second:
            second.write("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "the disk is full: {} was not written; free space and run again"),
        (errno.EDQUOT, "the disk quota is used up: {} was not written; free space and run again"),
        (errno.EFBIG, "larger than files may be here: {} was not written; raise the limit (`ulimit -f`) and run again"),
        (errno.EIO, "Input/output error: {} was not written; run again where it can be written"),
    ],
)
def test_why_a_file_could_not_be_written_is_said_with_its_name(tmp_path, number, told):
    with pytest.raises(OSError, match="was not written") as caught, replacing(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert (caught.value.errno, caught.value.strerror) == (number, told.format(tmp_path / "a"))
    with pytest.raises(OSError, match="was not written") as again, replacing(tmp_path / "b"):
        raise caught.value
    assert again.value is caught.value  # it says of which file already


def test_limit_of_file_sizes(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"larger than files may be here: .*a\.npz was not written"):
            write_archive(tmp_path / "a.npz", {}, {"a": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_names_that_are_not_text_are_written_as_such(tmp_path):
    with replacing(tmp_path / "a", "w") as file:
        file.write("x\udcff")
    assert (tmp_path / "a").read_text("utf-8") == r"x\udcff"


def test_a_lock_says_whose_it_is(tmp_path):
    own = rf"another process \({os.getpid()} on {re.escape(socket.gethostname())}\) is at work "
    with alone_in(tmp_path), pytest.raises(BlockingIOError, match=rf"{own}in .*; wait .* another folder"):
        alone_in(tmp_path).__enter__()
    (tmp_path / ".lock").write_text("1 on a host that has gone\n")  # left by a killed process
    with alone_in(tmp_path), pytest.raises(BlockingIOError, match=rf"{own}in .*a\.npz; wait .* another file"):
        alone_in(tmp_path, at=tmp_path / "a.npz").__enter__()
    (tmp_path / ".lock").write_bytes(b"\x1b[31m\n")
    with open(tmp_path / ".lock") as held:
        assert hold(held.fileno())
        with pytest.raises(BlockingIOError, match=r"another process is at work in"):
            alone_in(tmp_path).__enter__()
