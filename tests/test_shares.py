"""Processes that share the folder of a study: each makes its share, and all give what one process gives."""

import socket

import numpy as np
import pytest

from jnas.core import _shares
from jnas.core._shares import making_own_share, share_lock
from jnas.io._lock import is_abandoned
from jnas.studies.search import _study
from jnas.studies.search._study import study
from tests._processes import start_jnas
from tests._shares import as_process, in_two_processes, make_share
from tests.test_study import OPTIONS, SEARCHERS, TABLE
from tests.test_study_kinds import go as go_toy

pytestmark = pytest.mark.usefixtures("studies_compiled_once")

STUDY = ["study", "--searchers", "random_search,regularized_evolution,reinforce", "--num-seeds", "6"]
STUDY += ["--max-evaluations", "20", "--out"]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(_study, "_page", lambda results, space=None: "a page")


def go(folder=None):
    return study(SEARCHERS, TABLE, out=folder, **OPTIONS)


def same(one, other):
    """Whether two folders hold the same numbers; times are measured."""
    for path in sorted(one.glob("*/*.npz")):
        a, b = np.load(path), np.load(other / path.relative_to(one))
        for name in set(a.files) - {"header"}:
            np.testing.assert_array_equal(a[name], b[name], err_msg=f"{path.name} {name}")


def test_two_processes_share_the_chunks_of_a_study(tmp_path, monkeypatch):
    """Of two searchers in three chunks each, which are dealt in turn and put together by the first process."""
    go(tmp_path / "one")
    with monkeypatch.context() as patch:
        make_share(patch, go, tmp_path / "two", 1)
        there = sorted(path.name for path in (tmp_path / "two" / "traces").iterdir())
        assert there == ["evolution.part-0000.npz", "evolution.part-0002.npz", "random.part-0001.npz"]
        first, second = in_two_processes(patch, go, tmp_path / "two")
    same(tmp_path / "one", tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").rglob("*.*"))
    assert names == sorted(path.name for path in (tmp_path / "two").rglob("*.*") if path.name != share_lock(0))
    for each in (first, second):
        assert [len(searcher.final[0]) for searcher in each.searchers] == [7, 7]


def test_another_number_of_processes_goes_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        make_share(patch, go, tmp_path / "shared", 2, processes=3)
    assert len(list((tmp_path / "shared" / "traces").iterdir())) == 2
    assert sorted(path.name for path in (tmp_path / "shared").glob(".lock*")) == [".lock-0", ".lock-2"]
    go(tmp_path / "shared")
    assert not list((tmp_path / "shared").glob(".lock*"))
    go(tmp_path / "one")
    same(tmp_path / "one", tmp_path / "shared")


def test_parts_that_are_one_piece_are_dealt_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        make_share(patch, go_toy, tmp_path / "two", 1)
        assert [path.name for path in (tmp_path / "two" / "proxies").iterdir()] == ["opposite.npz"]
        assert not (tmp_path / "two" / "summary.csv").exists()
        first, second = in_two_processes(patch, go_toy, tmp_path / "two")
        as_process(patch, 1)
        alone = go_toy()  # without a folder there is nothing to share through
    for each in (first, second):
        for name, values in alone.correlations.items():
            np.testing.assert_array_equal(each.correlations[name], values)


def test_one_that_ends_by_an_error_is_told_as_one_that_is_killed(tmp_path, monkeypatch):
    as_process(monkeypatch, 1)
    with pytest.raises(RuntimeError), making_own_share(tmp_path):
        raise RuntimeError
    assert is_abandoned(tmp_path / share_lock(1))
    assert _shares.ended_early(tmp_path, [0, 1, 1]) == [1]
    with making_own_share(tmp_path):
        assert _shares.ended_early(tmp_path, [1]) == []
    assert not (tmp_path / share_lock(1)).exists()
    as_process(monkeypatch, 0, processes=1)
    with pytest.raises(RuntimeError), making_own_share(tmp_path):
        raise RuntimeError
    assert not (tmp_path / share_lock(0)).exists()


@pytest.mark.slow
def test_two_processes_of_the_command(tmp_path):
    """Which learn from one another that they are two; a third is one by itself."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    hosts = ["two", "--coordinator", address, "--num-processes", "2", "--process-id"]
    running = [start_jnas(*STUDY, *hosts, i, output=tmp_path / f"told-{i}", folder=tmp_path) for i in (0, 1)]
    try:
        told = [process.wait(400) for process in running]
    finally:
        for process in running:
            process.stop()
    assert [each.returncode for each in told] == [0, 0], told
    assert "3 searchers x 6 seeds" in told[0].stdout
    assert "2 processes share it" in told[0].stdout
    assert told[1].stdout == ""  # the first speaks for all
    alone = start_jnas(*STUDY, "one", output=tmp_path / "told-alone", folder=tmp_path).wait()
    assert alone.returncode == 0, alone.stderr
    same(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "report.html").exists()
    assert not list((tmp_path / "two").glob(".lock*"))
