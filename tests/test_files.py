"""Files are written whole or not at all."""

import errno
import os

import pytest

from jnas.io._atomic import replacing


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
