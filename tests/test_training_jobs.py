"""Runs in a folder: stopped anywhere and taken up again, damaged, and many at once as one by one."""

import dataclasses
import errno
import functools
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.commands import _training_work
from jnas.core import _shares
from jnas.core._devices_used import other_devices
from jnas.core._shares import share_lock
from jnas.io import _atomic
from jnas.io._archive import read_archive, write_archive
from jnas.io._lock import alone_in
from jnas.training._recipe import get_recipe
from jnas.training.data._dataset import dataset_from_arrays
from jnas.training.networks._families import make_network
from jnas.training.runs import _jobs
from jnas.training.runs._job_files import load_chunk_weights
from jnas.training.runs._jobs import (
    Jobs,
    chunks_left,
    describe,
    divide,
    killed_processes,
    load_runs,
    open_folder,
    run_jobs,
)
from jnas.training.runs._train import train
from jnas.training.runs._train_many import train_many
from tests._descriptions import read_said, write_said
from tests._fewer_stages import stages

COVERING = np.concatenate([(np.arange(5)[:, None] + np.array([0, 3, 1, 4, 2, 2])) % 5, np.zeros((1, 6), int)])
"""Every operation once on every edge, and the cell without any."""

DIVERGING = np.ones(6, int)
JOBS = Jobs(np.concatenate([COVERING, DIVERGING[None]]).astype(np.int32), np.array([0, 1, 2, 3, 4, 5, 2**31 + 7]))
CHUNK = 4  # the last chunk is filled up
RECIPE = get_recipe("small-12", epochs=3, batch_size=16, channels=2, cells=1)


def diverging(network):
    """The network, but that one architecture's first weights are no numbers."""

    def init(key, arch):
        parameters, statistics = network.init(key, arch)
        lost = jnp.all(arch == 1)
        return jax.tree.map(lambda x: jnp.where(lost, jnp.nan, x), parameters), statistics

    return network._replace(init=init)


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = (rng.integers(0, 120, (60, 4, 4, 1)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    return dataset_from_arrays(images, labels, name="tiny", splits={"validation": 0.3})


@pytest.fixture(scope="module")
def network(dataset):
    return diverging(make_network(dataset, RECIPE, "switch"))


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Before `whole`, whose programs all tests share; networks have one stage."""
    with stages(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jobs, "JobPrograms", functools.cache(_jobs.JobPrograms))
        yield


class Stopped(Exception):
    pass


def make(folder, dataset, network, recipe=RECIPE, progress=lambda _: None, every=1):
    identity = describe(JOBS, dataset, recipe, network, chunk_size=CHUNK)
    run_jobs(
        JOBS,
        dataset,
        recipe,
        network,
        open_folder(folder, identity),
        chunk_size=CHUNK,
        epochs_per_checkpoint=every,
        keep_weights=True,
        progress=progress,
    )


def results(folder, dataset, network):
    runs = load_runs(folder, len(JOBS.archs), CHUNK, RECIPE, list(dataset.splits))
    chunks = divide(len(JOBS.archs), CHUNK)
    weights = [load_chunk_weights(folder, number, len(rows), network) for number, rows in enumerate(chunks)]
    return runs._replace(seconds=None), weights


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, dataset, network):
    """The results of an unbroken run."""
    folder = tmp_path_factory.mktemp("whole")
    make(folder, dataset, network)
    return results(folder, dataset, network)


@pytest.mark.slow
def test_runs_are_those_of_train(whole, dataset, network):
    """Each with its own key, in the order of the jobs; the one that diverges is said to and harms no other."""
    runs, weights = whole
    run = jax.jit(lambda key, arch: train(key, arch, dataset, RECIPE, network))
    for job, (arch, seed) in enumerate(zip(JOBS.archs, JOBS.seeds, strict=True)):
        curves, own = run(jax.random.key(int(seed)), arch)
        for split in dataset.splits:
            np.testing.assert_allclose(runs.accuracy[split][job], curves.accuracy[split], atol=1e-3)
            np.testing.assert_allclose(runs.loss[split][job], curves.loss[split], rtol=1e-3)
        if job < 6:
            kept = jax.tree.map(lambda x, job=job: x[job % CHUNK], weights[job // CHUNK])
            for x, y in zip(jax.tree.leaves(kept), jax.tree.leaves(own), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)
    assert runs.failed.tolist() == [False] * 6 + [True]
    assert runs.done.all()
    assert np.isnan(runs.loss["validation"][6]).all()
    assert np.isnan(runs.accuracy["train"][6]).all()
    assert np.isfinite(runs.loss["train"][:6]).all()
    assert len(np.unique(runs.loss["train"][:6, -1])) == 6


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5])
def test_stopped_runs_go_on_to_the_same(whole, dataset, network, tmp_path, checkpoints):
    """Six checkpoints or ends of chunks make the whole; here the work breaks off after some of them."""
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == checkpoints:
            raise Stopped

    with pytest.raises(Stopped):
        make(tmp_path, dataset, network, progress=stop)
    assert (tmp_path / "runs" / "chunk-00000.part.npz").exists() == (checkpoints <= 3)
    make(tmp_path, dataset, network, progress=seen.append)
    assert len(seen) == (7 if checkpoints == 3 else 6)  # what was done is not done again, but an end not yet written
    assert seen[-1].share == pytest.approx(1)
    assert (seen[-1].chunks_done, seen[-1].num_chunks) == (2, 2)
    assert chunks_left(tmp_path, len(JOBS.archs), CHUNK) == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["chunk-00000.npz", "chunk-00001.npz"]
    assert_same(results(tmp_path, dataset, network), whole)
    make(tmp_path, dataset, network, progress=lambda _: pytest.fail("there is nothing left to do"))


@pytest.mark.parametrize("write", [2, 3, 4, 7])
def test_writing_may_break_off_anywhere(whole, dataset, network, tmp_path, monkeypatch, write):
    """Before a file is renamed, its unfinished half stands beside it; nothing that was finished is lost."""
    count = 0
    replace, unlink = os.replace, os.unlink

    def stop(*paths):
        nonlocal count
        count += 1
        if count == write:
            raise Stopped
        replace(*paths)

    monkeypatch.setattr(_atomic.os, "replace", stop)
    monkeypatch.setattr(_atomic.os, "unlink", lambda path: None)  # a killed process does not tidy up
    try:
        with pytest.raises(Stopped):
            make(tmp_path, dataset, network)
    finally:
        monkeypatch.setattr(_atomic.os, "replace", replace)
        monkeypatch.setattr(_atomic.os, "unlink", unlink)
    assert [p.name for p in (tmp_path / "runs").iterdir() if p.name.startswith(".")]
    make(tmp_path, dataset, network)
    assert not [p.name for p in (tmp_path / "runs").iterdir() if p.name.startswith(".") or "part" in p.name]
    assert_same(results(tmp_path, dataset, network), whole)


def test_unfinished_files_of_other_processes_are_left_alone(dataset, network, tmp_path, monkeypatch):
    make(tmp_path, dataset, network)
    own, others = (tmp_path / "runs" / f".chunk-0000{n}.part.npz.abcd_123.part" for n in (0, 1))
    own.write_text("")
    others.write_text("")
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    make(tmp_path, dataset, network)
    assert (own.exists(), others.exists()) == (False, True)


def test_a_process_that_was_killed_is_told_to_the_others(dataset, network, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    make(tmp_path, dataset, network)  # the share of the first: every other chunk
    lock = tmp_path / share_lock(1)
    lock.write_text("7 on another\n")  # left by a process that was killed: nobody holds it
    assert killed_processes(tmp_path, len(JOBS.archs), CHUNK) == [1]
    with alone_in(tmp_path, share_lock(1)):
        assert killed_processes(tmp_path, len(JOBS.archs), CHUNK) == []
    assert killed_processes(tmp_path, len(JOBS.archs), CHUNK) == []  # it has not begun, or left by itself
    lock.write_text("")
    monkeypatch.setattr(_shares, "PATIENCE", 0)
    with pytest.raises(ValueError, match=r"process 1 of 2 ended with work left.* run the same commands again"):
        _training_work._wait(tmp_path, len(JOBS.archs), CHUNK)


def test_full_disk(whole, dataset, network, tmp_path, monkeypatch):
    """Said in a sentence; with space again, the work goes on."""
    writes, fsync = [], os.fsync

    def full(handle):
        writes.append(handle)
        if len(writes) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_atomic.os, "fsync", full)
    with pytest.raises(OSError, match=r"the disk is full: .*chunk-00000\.part\.npz was not written; free space"):
        make(tmp_path, dataset, network)
    monkeypatch.setattr(_atomic.os, "fsync", fsync)
    assert (tmp_path / "runs" / "chunk-00000.part.npz").exists()
    make(tmp_path, dataset, network)
    assert_same(results(tmp_path, dataset, network), whole)


def stopped_folder(folder, dataset, network):
    def stop(progress):
        raise Stopped

    with pytest.raises(Stopped):
        make(folder, dataset, network, progress=stop)
    return folder / "runs" / "chunk-00000.part.npz"


def test_damaged_checkpoint(whole, dataset, network, tmp_path):
    """It is refused, and kept; without it the chunk is trained again."""
    part = stopped_folder(tmp_path, dataset, network)
    good = part.read_bytes()
    with np.load(part) as file:
        arrays = dict(file)
    lacking = {name: array for name, array in arrays.items() if name != "loss/validation"}
    strange = arrays | {"state/0": arrays["state/0"] + np.uint32(1)}  # other keys
    header = arrays | {"header": np.frombuffer(b"{}", np.uint8)}
    short = arrays | {"accuracy/train": arrays["accuracy/train"][:1]}
    kinds = [good[: len(good) // 2], b"", good[:-200] + bytes(200), *(lacking, strange, header, short)]
    for number, kind in enumerate(kinds):
        if isinstance(kind, bytes):
            part.write_bytes(kind)
        else:
            np.savez(part, **kind)
        before = part.read_bytes()
        with pytest.raises(ValueError, match=r"part\.npz is .*; delete it, and the same command trains that chunk aga"):
            make(tmp_path, dataset, network)
        assert part.read_bytes() == before, number
    part.unlink()
    make(tmp_path, dataset, network)
    assert_same(results(tmp_path, dataset, network), whole)


def test_checkpoint_in_another_order(whole, dataset, network, tmp_path):
    """Another number of devices deals a chunk's runs out differently; each finds its own."""
    part = stopped_folder(tmp_path, dataset, network)
    header, arrays = read_archive(part, kind="", remedy="")
    order = np.array([2, 0, 3, 1, 2])
    write_archive(part, header, {name: array[order] for name, array in arrays.items()})
    make(tmp_path, dataset, network)
    assert_same(results(tmp_path, dataset, network), whole)


def test_damaged_chunk(dataset, network, tmp_path):
    make(tmp_path, dataset, network)
    path = tmp_path / "runs" / "chunk-00001.npz"
    header, arrays = read_archive(path, kind="", remedy="")
    plain = {name: array for name, array in arrays.items() if not name.startswith("weights/")}
    write_archive(path, header, plain)
    with pytest.raises(ValueError, match=r"has not the weights of 3 runs \(it has no weights/0\); delete it"):
        results(tmp_path, dataset, network)
    for lost in ("failed", "loss/train"):
        write_archive(path, header, {name: array for name, array in arrays.items() if name != lost})
        with pytest.raises(ValueError, match=r"chunk-00001\.npz .*; delete it"):
            results(tmp_path, dataset, network)
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match="not a chunk of training runs, or it is cut off"):
        results(tmp_path, dataset, network)


def test_other_runs_in_the_folder(dataset, network, tmp_path):
    make(tmp_path, dataset, network)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    told = (
        r"with another configuration: recipe\.learning_rate is 0\.1 there and 0\.2 here\. Give another folder, or the "
        "same arguments to go on"
    )
    with pytest.raises(ValueError, match=told):
        make(tmp_path, dataset, network, RECIPE._replace(learning_rate=0.2))
    other = dataclasses.replace(dataset, labels=dataset.labels[::-1])
    with pytest.raises(ValueError, match=r"configuration: dataset is another\. Give"):
        make(tmp_path, other, network)
    config = read_said(tmp_path)
    config["versions"]["jax"] = "0.0.1"
    write_said(tmp_path, config)
    with pytest.raises(ValueError, match=r"the work in .* was begun with other versions \(jax was 0\.0\.1 and is"):
        make(tmp_path, dataset, network)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is damaged or of another origin"):
        make(tmp_path, dataset, network)
    assert {p: p.read_bytes() for p in before if p.name != "config.json"} == {
        p: data for p, data in before.items() if p.name != "config.json"
    }


def test_runs_go_on_on_another_device_where_that_is_allowed(dataset, network, tmp_path):
    make(tmp_path, dataset, network)
    config = read_said(tmp_path)
    config["versions"]["device"] = "Card 9"
    write_said(tmp_path, config)
    (tmp_path / "runs" / "chunk-00001.npz").unlink()
    with pytest.raises(ValueError, match=r"device was Card 9 and is cpu.* or --allow-other-device$"):
        make(tmp_path, dataset, network)
    with other_devices(True):
        make(tmp_path, dataset, network)
    assert json.loads((tmp_path / "devices.json").read_text()).keys() == {"chunk-00001.npz"}


def test_folders_that_cannot_be(dataset, network, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/inside"):
        with pytest.raises(OSError, match="file"):
            make(tmp_path / folder, dataset, network)
    with pytest.raises(ValueError, match="holds files but no training runs"):
        make(tmp_path, dataset, network)
    assert [p.name for p in tmp_path.iterdir() if p.name != "runs"] == ["file"]
    assert Path(tmp_path / "file").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["switch", "dispatch", "mixture"])
def test_train_many_is_train_for_each(dataset, whole, form):
    """In every form; the order of the members changes nothing but the order of the results.

    Of sorted batches the program has what their members do on each edge: that takes as long to compile as they are
    varied. Of every operation on every edge are those of test_training_operations.
    """
    runs, weights = whole
    recipe = RECIPE
    jobs = np.array([0, 1, 6] if form == "dispatch" else range(len(JOBS.archs)))
    archs = JOBS.archs[jobs]
    batches = archs if form == "dispatch" else None
    network = diverging(make_network(dataset, recipe, form, batches))
    program = jax.jit(lambda keys, archs: train_many(keys, archs, dataset, recipe, network))
    keys = jnp.stack([jax.random.key(int(seed)) for seed in JOBS.seeds[jobs]])
    first = program(keys, archs)
    order = np.random.default_rng(1).permutation(len(archs))
    second = program(keys[order], archs[order])
    for curves, own in zip(first, second, strict=True):
        for x, y in zip(jax.tree.leaves(curves), jax.tree.leaves(own), strict=True):
            np.testing.assert_allclose(x[order], y, rtol=2e-3, atol=2e-4)
    for split in dataset.splits:
        np.testing.assert_allclose(first[0].loss[split], runs.loss[split][jobs], rtol=2e-3)
        np.testing.assert_allclose(first[0].accuracy[split], runs.accuracy[split][jobs], atol=1e-3)
    joined = jax.tree.map(lambda *each: np.concatenate(each), *weights)
    for x, y in zip(jax.tree.leaves(first[1]), jax.tree.leaves(joined), strict=True):
        np.testing.assert_allclose(x[jobs < 6], y[jobs[jobs < 6]], rtol=2e-3, atol=5e-4)
