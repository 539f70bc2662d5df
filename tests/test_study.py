"""`jnas.study`: its numbers, its folder, and that it goes on wherever it was stopped, to the same results."""

import csv
import errno
import io
import json
import os
import re
import shutil
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.core._constants import with_large_constants
from jnas.core._devices_used import other_devices
from jnas.core._loop import run
from jnas.core._versions import compile_quickly, compiler_options
from jnas.core._vocabulary import Searcher
from jnas.io import _atomic
from jnas.io._progress import duration
from jnas.searchers.black_box._hyperband import successive_halving
from jnas.searchers.black_box._random_search import random_search
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.spaces._categorical import categorical
from jnas.studies import _engine
from jnas.studies._keys import chunk_width, seed_keys
from jnas.studies.search import _report, _run
from jnas.studies.search._cost import estimate_study, is_short
from jnas.studies.search._results import Chunk, finished_path, join_chunks, load_chunk, traces_chunk_path
from jnas.studies.search._study import load_study, study
from jnas.studies.search._text import search_results_text
from jnas.tables._file import Header, Training, encode_curve, member
from jnas.tables._load import table_from_arrays
from jnas.tables._make import make_table
from jnas.tables._synthetic import synthetic_table
from jnas.tables._targets import Target, default_targets
from tests._descriptions import read_said, write_said

pytestmark = pytest.mark.usefixtures("studies_compiled_once")

SPACE = categorical((3, 3, 3, 3))
RNG = np.random.default_rng(0)
VALIDATION = RNG.uniform(50, 90, 81).astype(np.float32)
TEST = (VALIDATION + RNG.normal(0, 3, (2, 81))).T.astype(np.float32)  # two training seeds
VALIDATION[13] = np.nan
TABLE = make_table(
    SPACE,
    accuracy={"validation": np.stack([VALIDATION] * 2, axis=1), "test": TEST},
    train_seconds=RNG.uniform(1, 3, 81),
    dataset="data",
    epochs=5,
    name="small",
)
RANDOM = random_search(SPACE)
EVOLUTION = regularized_evolution(SPACE, population_size=4, sample_size=2)
SEARCHERS = {"random": RANDOM, "evolution": EVOLUTION}
OPTIONS = {"dataset": "data", "epochs": 5, "budget_seconds": 200.0, "num_seeds": 7, "chunk": 3}


def go(out=None, searchers=None, table=TABLE, **changes):
    return study(SEARCHERS if searchers is None else searchers, table, out=out, **(OPTIONS | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken study and its folder."""
    folder = tmp_path_factory.mktemp("studies") / "whole"
    return go(folder), folder


@pytest.fixture(autouse=True)
def plain_page(monkeypatch):
    """A page without pictures, which take longer than the studies here; `whole` has a real one."""
    monkeypatch.setattr(_report, "search_report", lambda results, space: "<html>")


def assert_same(one, other):
    """Asserts that two studies found the same, bit by bit; how long it took may differ."""
    assert [s.name for s in one.searchers] == [s.name for s in other.searchers]
    assert (one.config, one.targets, one.space) == (other.config, other.targets, other.space)
    for a, b in zip(one.searchers, other.searchers, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a[1:7], b[1:7])


def test_is_what_plain_runs_and_look_ups_give(whole):
    results, _ = whole
    assert [t.label for t in results.targets] == ["data validation, 5 epochs", "data test, 5 epochs"]
    objective = TABLE.objective(dataset="data", split="validation", epochs=5, seed="mean")
    columns = [VALIDATION, TEST.mean(axis=1)]
    for found in results.searchers:
        keys = seed_keys(0, found.name, 7)
        searcher = SEARCHERS[found.name]
        plain = jax.jit(jax.vmap(lambda key, s=searcher: run(s, objective, key, budget_seconds=200.0)))(keys)
        length = found.traces.score.shape[1]
        assert length == int(plain.mask.sum(axis=1).max())  # rows that no run used are cut off
        for name in ("arch", "fidelity", "score", "seconds", "valid", "mask"):
            np.testing.assert_array_equal(getattr(found.traces, name), getattr(plain, name)[:, :length], err_msg=name)
        np.testing.assert_array_equal(found.traces.stopped_by, plain.stopped_by)
        index = np.asarray(TABLE.index(plain.arch))
        for s in range(7):
            best, clock = -1, 0.0
            for t in range(length):
                if plain.mask[s, t]:
                    clock += float(plain.seconds[s, t])
                    if plain.valid[s, t] and (best < 0 or plain.score[s, t] > plain.score[s, best]):
                        best = t
                assert found.incumbent[s, t] == best
                assert found.elapsed[s, t] == pytest.approx(clock)
                expected = [np.nan if best < 0 else c[index[s, best]] for c in columns]
                np.testing.assert_allclose(found.values[:, s, t], expected, rtol=1e-6)
            np.testing.assert_array_equal(found.final[:, s], found.values[:, s, -1])
            np.testing.assert_array_equal(found.final_archs[s], plain.arch[s, best])
    assert len({tuple(a) for a in results.searchers[0].final_archs.tolist()}) > 1


def test_references_are_the_optimum_and_cells_known_by_name(whole):
    results, _ = whole
    (optimum,) = results.references
    assert optimum.name == "optimum"
    np.testing.assert_allclose(optimum.values, [np.nanmax(VALIDATION), TEST.mean(axis=1).max()])


def test_another_searcher_and_more_seeds_change_nothing_for_the_others(whole):
    results, _ = whole
    other = go(searchers={"evolution": EVOLUTION}, num_seeds=3, chunk=500)
    before, now = results.searchers[1], other.searchers[0]
    rows = now.traces.score.shape[1]
    np.testing.assert_array_equal(before.traces.arch[:3, :rows], now.traces.arch)
    np.testing.assert_array_equal(before.final[:, :3], now.final)
    keys = [seed_keys(*which) for which in ((0, "a", 3), (0, "b", 3), (1, "a", 3))]
    root = jax.random.fold_in(jax.random.key(0), zlib.crc32(b"b"))
    theirs = jax.vmap(jax.random.fold_in, (None, 0))(root, jnp.arange(3, dtype=jnp.uint32))
    assert (jax.random.key_data(keys[1]) == jax.random.key_data(theirs)).all()
    words = {tuple(word) for found in keys for word in jax.random.key_data(found).tolist()}
    assert len(words) == 9  # no two searches of a study share a key


def test_folder_gives_the_results_back(whole):
    results, folder = whole
    again = load_study(folder)
    assert_same(again, results)
    jax.tree.map(np.testing.assert_array_equal, again.searchers, results.searchers)  # times as well
    assert again.versions == results.versions
    np.testing.assert_array_equal(again.references[0].values, results.references[0].values)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
    wanted = ["config.json", "report.html", "summary.csv", "traces", "traces/evolution.npz", "traces/random.npz"]
    assert names == wanted
    config = json.loads((folder / "config.json").read_text())
    assert config["config"]["chunk"] == {"random": 3, "evolution": 3}
    assert re.fullmatch("[0-9a-f]{64}", config["config"]["table_sha256"])
    assert {"jnas", "jax", "numpy", "python", "device", "xla_flags"} <= set(config["versions"])


def test_summary_has_a_row_for_each_searcher_and_target(whole):
    results, folder = whole
    rows = list(csv.DictReader(io.StringIO((folder / "summary.csv").read_text())))
    assert list(rows[0]) == ["searcher", "dataset", "split", "epochs", "seeds", "mean", "std", "ci_low", "ci_high"]
    assert [(r["searcher"], r["dataset"], r["split"], r["epochs"], r["seeds"]) for r in rows] == [
        (name, "data", split, "5", "7") for name in SEARCHERS for split in ("validation", "test")
    ]
    for row, final in zip(rows, np.concatenate([s.final for s in results.searchers]), strict=True):
        assert float(row["mean"]) == pytest.approx(final.mean(), abs=1e-4)
        assert float(row["std"]) == pytest.approx(final.std(ddof=1), abs=1e-4)
        assert float(row["ci_low"]) < float(row["mean"]) < float(row["ci_high"])
    text = search_results_text(results)
    assert f"{results.searchers[0].final[1].mean():.2f} ({results.searchers[0].final[1].std(ddof=1):.2f})" in text
    assert f"{TEST.mean(axis=1).max():.2f}" in text


def test_report_stands_beside_and_names_the_searchers(whole):
    page = (whole[1] / "report.html").read_text()
    assert "<html" in page
    assert all(name in page for name in SEARCHERS)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("saves", [1, 3, 5])
def test_goes_on_from_every_chunk(whole, tmp_path, monkeypatch, saves):
    """Stopped after any number of chunks, a study repeats none of them and ends with the same bits."""
    made, ran = [], []

    def save(path, chunk, identity, save=_run.save_traces):
        if len(made) == saves:
            raise Stopped
        made.append(path)
        save(path, chunk, identity)

    def run_chunk(compiled, keys, judge, run_chunk=_run._run_chunk):
        ran.append(1)
        return run_chunk(compiled, keys, judge)

    monkeypatch.setattr(_run, "save_traces", save)
    monkeypatch.setattr(_run, "_run_chunk", run_chunk)
    with pytest.raises(Stopped):
        go(tmp_path / "study")
    monkeypatch.setattr(_run, "save_traces", lambda *a: made.append(a[0]) or _save(*a))
    results = go(tmp_path / "study")
    assert_same(results, whole[0])
    assert_same(load_study(tmp_path / "study"), whole[0])
    assert len(ran) <= 2 * 3 + 1  # three chunks a searcher; the one that was not saved was run again
    assert (tmp_path / "study" / "summary.csv").read_bytes() == (whole[1] / "summary.csv").read_bytes()
    assert not list((tmp_path / "study" / "traces").glob("*part*"))


def test_further_objectives_stand_in_the_files_of_traces(whole, tmp_path):
    result = whole[0].searchers[0]
    further = np.stack([result.traces.score, -result.traces.seconds], axis=-1)
    one = Chunk(result.traces._replace(objectives=further), result.incumbent, result.values, 0.0, 0.0)
    _run.save_traces(tmp_path / "a.npz", one, {})
    again = join_chunks([load_chunk(tmp_path / "a.npz", {})], 5)
    length = again.traces.mask.shape[1]
    np.testing.assert_array_equal(again.traces.objectives, further[:5, :length])
    np.testing.assert_array_equal(again.traces.score, result.traces.score[:5, :length])
    assert load_study(whole[1]).searchers[0].traces.objectives is None


_save = _run.save_traces


def test_finished_study_runs_nothing_again(whole, tmp_path, monkeypatch):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    (folder / "report.html").unlink()
    monkeypatch.setattr(_run, "compile_program", None)
    lines = []
    results = go(folder, log=lines.append)
    assert_same(results, whole[0])
    jax.tree.map(np.testing.assert_array_equal, results.searchers, whole[0].searchers)
    assert lines[2] == "all of it was done before"
    assert (folder / "report.html").exists()


def test_unfinished_study_can_be_read(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    finished_path(folder, "random").unlink()
    assert [s.name for s in load_study(folder).searchers] == ["evolution"]


def test_another_study_in_the_folder_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    content = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r"num_seeds is 7 there and 6 here\. Give another --out"):
        go(folder, num_seeds=6)
    with pytest.raises(ValueError, match="root_seed is 0 there and 1 here"):
        go(folder, root_seed=1)
    with pytest.raises(ValueError, match=r'searchers is \["random", "evolution"\] there and \["random"\] here'):
        go(folder, searchers={"random": RANDOM})
    with pytest.raises(ValueError, match=r"budget_seconds is 200\.0 there and 41\.0 here"):
        go(folder, budget_seconds=41.0)
    with pytest.raises(ValueError, match="workers is not given there and 2 here"):
        go(folder, workers=2)
    changed = make_table(SPACE, accuracy={"validation": VALIDATION, "test": TEST[:, 0]}, dataset="data", epochs=5)
    with pytest.raises(ValueError, match="another table"):
        go(folder, table=changed)
    with pytest.raises(ValueError, match=r"random\.npz was made by another program"):
        go(folder, searchers={"random": EVOLUTION, "evolution": EVOLUTION})
    eager = regularized_evolution(SPACE, population_size=4, sample_size=3)
    with pytest.raises(ValueError, match=r"configuration: evolution\.sample_size is 2 there and 3 here"):
        go(folder, searchers={"random": RANDOM, "evolution": eager})
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == content


def test_unfinished_study_of_other_versions_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    said = read_said(folder)
    said["versions"]["jax"] = "0.0.1"
    write_said(folder, said)
    results = go(folder)  # nothing is left to do: it is what it was
    assert results.versions["jax"] == "0.0.1"
    finished_path(folder, "random").unlink()
    with pytest.raises(ValueError, match=r"begun with other versions \(jax was 0\.0\.1 and is"):
        go(folder)


@pytest.mark.parametrize(
    ("name", "was", "told"),
    [
        ("xla_flags", "--xla_cpu_enable_fast_math=true", "xla_flags was --xla_cpu_enable_fast_math=true and is "),
        ("compiler_options", "{}", "compiler_options was {} and is "),
        ("device", "", "device was empty and is "),
    ],
)
def test_unfinished_study_goes_on_only_as_it_was_compiled(whole, tmp_path, name, was, told):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    said = read_said(folder)
    assert said["versions"][name] != was
    said["versions"][name] = was
    write_said(folder, said)
    go(folder)  # it is finished: nothing can differ
    finished_path(folder, "random").unlink()
    with pytest.raises(ValueError, match=f"begun with other versions .{re.escape(told)}"):
        go(folder)


@pytest.mark.parametrize("name", ["jax", "jnas"])
def test_finished_study_is_read_where_programs_are_written_differently(whole, tmp_path, monkeypatch, name):
    """Another version of jax or jnas writes the same searcher's program in other words."""
    folder = shutil.copytree(whole[1], tmp_path / "study")
    lower, now = _run.make_program, _engine.versions()
    monkeypatch.setattr(_run, "make_program", lambda plan, name: lower(plan, name)._replace(digest="other words"))
    with pytest.raises(ValueError, match="made by another program"):
        go(folder)
    monkeypatch.setattr(_engine, "versions", lambda: now | {name: "9.9.9"})
    assert_same(go(folder), whole[0])
    finished_path(folder, "random").unlink()
    with pytest.raises(ValueError, match="begun with other versions" if name == "jax" else "made by another program"):
        go(folder)


def test_a_study_of_an_older_version_goes_on(whole, tmp_path, monkeypatch):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    said = read_said(folder)
    said["versions"]["jnas"] = "0.1.0"
    write_said(folder, said)
    finished_path(folder, "random").unlink()
    lower = _run.make_program
    monkeypatch.setattr(_run, "make_program", lambda plan, name: lower(plan, name)._replace(digest="other words"))
    assert_same(go(folder), whole[0])


def test_a_study_goes_on_on_another_device_where_that_is_allowed(whole, tmp_path, monkeypatch):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    finished_path(folder, "random").unlink()
    lower, now = _run.make_program, _engine.versions()
    with monkeypatch.context() as there:  # whose compiler is told the same searcher in other words
        there.setattr(_run, "make_program", lambda plan, name: lower(plan, name)._replace(digest="other words"))
        there.setattr(_engine, "versions", lambda: now | {"platform": "gpu", "device": "Card 9"})
        with pytest.raises(ValueError, match=r"device was cpu and is Card 9.* or --allow-other-device$"):
            go(folder)
        assert not (folder / "devices.json").exists()
        with other_devices(True):
            results = go(folder)
    assert_same(results, whole[0])
    assert results.versions["device"] == "cpu; random on Card 9 (gpu)"
    assert json.loads((folder / "devices.json").read_text()).keys() == {"random.npz"}
    assert load_study(folder).versions == results.versions
    finished_path(folder, "evolution").unlink()
    assert_same(go(folder), whole[0])  # back where it was begun, beside what was made elsewhere
    (folder / "devices.json").write_text("[]")
    with pytest.raises(ValueError, match=r"devices\.json is damaged; delete it"):
        go(folder)


def test_what_a_killed_study_left_is_removed_and_nothing_else(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    chunk = traces_chunk_path(folder, "random", 2)
    litter = [
        chunk,
        folder / ".config.json.abcd_123.part",
        folder / ".summary.csv.abcdefgh.part",
        folder / ".report.html.abcdefgh.part",
        folder / "traces" / ".random.npz.abcdefgh.part",
        folder / "traces" / f".{chunk.name}.abcdefgh.part",
    ]
    dear = [
        tmp_path / ".config.json.abcdefgh.part",
        folder / ".config.json.abcdefghi.part",
        folder / ".config.json.ABCDEFGH.part",
        folder / ".thesis.tex.abcdefgh.part",
        folder / ".random.npz.abcdefgh.part",
        folder / "summary.csv.part",
        folder / "traces" / ".another.npz.abcdefgh.part",
        folder / "traces" / "random.part-draft.npz",
        folder / "traces" / "another.part-0002.npz",
    ]
    for path in litter + dear:
        path.write_text("half")
    assert_same(go(folder), whole[0])
    assert [p.name for p in litter if p.exists()] == []
    assert [p.name for p in dear if not p.exists()] == []


def test_damaged_and_foreign_folders_are_refused(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    file = finished_path(folder, "random")
    content = file.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"random\.npz is not the traces of a jnas study.*delete it"):
            go(folder)
        with pytest.raises(ValueError, match=r"random\.npz is not the traces of a jnas study"):
            load_study(folder)
    shutil.copy(finished_path(folder, "evolution"), file)
    with pytest.raises(ValueError, match=r"random\.npz is not of this study"):
        load_study(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged or of another origin"):
        load_study(folder)
    with pytest.raises(ValueError, match=r"config\.json is damaged or of another origin"):
        go(folder)
    (folder / "config.json").write_text('{"format": "jnas-study", "version": 1}')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_study(folder)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("dear to someone")
    with pytest.raises(ValueError, match="holds files but no study"):
        go(foreign)
    with pytest.raises(ValueError, match=r"has no config\.json"):
        load_study(foreign)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_study(tmp_path / "nowhere")


def test_folder_that_cannot_be_written_is_said_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "make_program", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot make the folder"):
        go(tmp_path / "file" / "study")


def test_full_disk_is_said_and_what_is_done_is_kept(whole, tmp_path, monkeypatch):
    saved = []

    def full(handle, fsync=os.fsync):
        saved.append(1)
        if len(saved) == 4:  # config.json and two chunks were written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(_atomic.os, "fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        go(tmp_path / "study")
    monkeypatch.undo()
    chunks = [traces_chunk_path(tmp_path / "study", "random", c) for c in range(3)]
    assert [chunk.exists() for chunk in chunks] == [True, True, False]
    first = chunks[0].read_bytes()
    shutil.copy(chunks[1], chunks[0])  # of this searcher, but of other seeds
    with pytest.raises(ValueError, match=r"random\.part-0000\.npz is not of this study"):
        go(tmp_path / "study")
    chunks[0].write_bytes(first)
    assert_same(go(tmp_path / "study"), whole[0])


def test_names_of_searchers_may_hold_anything_but_stay_in_the_folder(tmp_path):
    name = "../../my searcher: 50 %/é"
    results = go(tmp_path / "study", searchers={name: RANDOM}, num_seeds=2)
    assert results.searchers[0].name == name
    assert load_study(tmp_path / "study").searchers[0].name == name
    assert len(list((tmp_path / "study" / "traces").iterdir())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["study"]


def test_runs_that_find_nothing_are_counted(tmp_path):
    accuracy = np.full(81, np.nan, np.float32)
    accuracy[:8] = 60.0
    table = make_table(SPACE, accuracy={"validation": accuracy}, dataset="data", epochs=5)
    with pytest.warns(UserWarning, match="of 20 runs of random found nothing"):
        results = go(
            tmp_path / "study", {"random": RANDOM}, table, budget_seconds=None, max_evaluations=3, num_seeds=20
        )
    lost = int(np.isnan(results.searchers[0].final[0]).sum())
    assert 0 < lost < 20
    assert (results.searchers[0].final_archs[np.isnan(results.searchers[0].final[0])] == -1).all()
    (row,) = csv.DictReader(io.StringIO((tmp_path / "study" / "summary.csv").read_text()))
    assert row["seeds"] == str(20 - lost)
    assert f"{lost} runs of random found nothing" in search_results_text(results)


def test_one_seed_has_no_spread(tmp_path):
    go(tmp_path / "study", {"random": RANDOM}, num_seeds=1)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "study" / "summary.csv").read_text())))
    assert all(r["mean"] and not (r["std"] or r["ci_low"] or r["ci_high"]) for r in rows)


def test_wrong_arguments_are_refused():
    for searchers, error, words in (
        ([RANDOM], TypeError, "expected a mapping"),
        ({}, ValueError, "searchers is empty"),
        ({"random": random_search}, TypeError, "call the factory first"),
        ({"": RANDOM}, ValueError, "a string of 1 to 80 characters"),
    ):
        with pytest.raises(error, match=words):
            study(searchers, TABLE, **OPTIONS)
    for changes, words in (
        ({"num_seeds": 0}, "num_seeds is 0"),
        ({"chunk": 0}, "chunk of random is 0"),
        ({"root_seed": -1}, "root_seed is -1"),
        ({"budget_seconds": None}, "neither budget_seconds nor max_evaluations"),
        ({"split": "tset"}, "no accuracy"),
        ({"targets": ()}, "targets is empty"),
        ({"targets": [Target("data", "test", 6)]}, "no training on dataset='data' for epochs=6"),
    ):
        with pytest.raises(ValueError, match=words):
            go(**changes)
    with pytest.raises(ValueError, match="2 fidelities but the objective has 1"):
        go(searchers={"two": RANDOM._replace(num_fidelities=2)})


def test_targets_of_published_tables_are_the_columns_of_table_5():
    table = table_from_arrays(*synthetic_table("nasbench201", seed=0, num_seeds=1, curves=False, epochs=(12, 200)))
    assert default_targets(table) == tuple(
        Target(dataset, split, 200)
        for dataset in ("cifar10", "cifar100", "ImageNet16-120")
        for split in ("validation", "test")
    )
    names = [r.name for r in _references(table)]
    assert names == ["ResNet", "optimum"]


def _references(table):
    from jnas.tables._targets import find_references, target_columns

    return find_references(table, target_columns(table, default_targets(table)))


def test_resnet_of_the_real_table_is_that_of_the_paper(shared_data):
    """Its row of Table 5 within what separates the table's releases."""
    from jnas.tables.readers._arrays import arrays_table

    path = shared_data / "nasbench201" / "nasbench201.npz"
    resnet, optimum = _references(table_from_arrays(*arrays_table(path, spaces.get("nasbench201"))))
    np.testing.assert_allclose(resnet.values, [90.83, 93.97, 70.42, 70.86, 44.53, 43.63], atol=0.65)
    np.testing.assert_allclose(optimum.values, [91.61, 94.37, 73.49, 73.51, 46.77, 47.31], atol=0.05)


def test_chunks_are_even():
    for seeds in (1, 7, 499, 500, 501, 1200, 10_000):
        width = chunk_width(seeds, 500)
        chunks = -(-seeds // width)
        assert width <= 500
        assert 0 <= width * chunks - seeds < chunks


def test_estimate_grows_with_the_work_and_names_what_it_does_not_know():
    few = estimate_study({"random_search": 1}, {"random_search": 5e4}, {"random_search": 0.25}, True)
    more = estimate_study({"random_search": 1, "bohb@12": 9}, {"random_search": 5e4, "bohb@12": 5e4}, {}, True)
    slow = estimate_study({"random_search": 1}, {"random_search": 5e4}, {"random_search": 2.5}, True)
    assert few.total < more.total
    assert slow.total == pytest.approx(10 * few.total)
    mine = estimate_study({"mine": 1}, {"mine": 100}, {}, False)
    assert "not knowing how fast mine will be" in mine.text
    assert few.text.startswith(f"estimate: about {duration(few.total)} (less where")
    assert [duration(s) for s in (0.2, 8.4, 83, 659, 11_391)] == ["1 s", "9 s", "1 min 25 s", "11 min", "3 h 10 min"]


def test_programs_of_little_work_are_compiled_quickly():
    assert is_short("bohb", 5e4, 6)
    assert is_short("random_search@12", 1e5, 6)
    assert not is_short("bohb", 5e5, 6)
    assert not is_short("random_search", 1e5, 26)
    assert not is_short("mine", 1, 6)
    program = jax.jit(lambda x: jnp.cumsum(x * 1.1)).lower(jnp.arange(9.0))
    plain = program.compile(compiler_options=compiler_options())
    np.testing.assert_array_equal(compile_quickly(program)(jnp.arange(9.0)), plain(jnp.arange(9.0)))


def test_large_arrays_are_arguments_of_the_program():
    large, small = np.arange(9_000, dtype=np.float32), np.arange(3, dtype=np.float32)

    def worth(rows, of):
        return {"value": jnp.asarray(large)[rows["row"]] + jnp.asarray(small)[of], "more": (of, jnp.asarray(large)[0])}

    lifted, arrays = with_large_constants(worth, {"row": jnp.int32(1)}, jnp.int32(0))
    assert [a.shape for a in arrays] == [(9_000,)]
    assert "9000" in str(jax.make_jaxpr(lifted)(*arrays, {"row": 1}, 0).in_avals)
    found = lifted(2 * large, {"row": jnp.int32(8_999)}, jnp.int32(2))
    assert (float(found["value"]), int(found["more"][0])) == (2 * 8_999 + 2, 2)


def test_log_says_what_is_done_and_estimates_first():
    lines = []
    go(searchers={"random": RANDOM}, num_seeds=2, log=lines.append)
    assert lines[0] == (
        "1 searcher x 2 seeds on small: data validation accuracy after 5 epochs (mean over training seeds), "
        "200 simulated seconds a search (about 19 evaluations; --budget-seconds or --max-evaluations give more)"
    )
    assert lines[1].startswith("note: only 80 of 81 architectures")
    assert lines[2].startswith("estimate: about ")


def test_users_own_searcher_is_a_few_lines():
    def init(key, capacity):
        return key

    def ask(state):
        from jnas.core._vocabulary import propose

        key, sample_key = jax.random.split(state)
        return propose(SPACE.sample(sample_key)[None]), key

    mine = Searcher(init, ask, lambda state, proposal, evaluation: state, "mine")
    results = go(searchers={"mine": mine, "random": RANDOM}, num_seeds=2)
    assert [s.name for s in results.searchers] == ["mine", "random"]


def curved_table(midway=0.8):
    """A table whose order of architectures does not change with time, and what they score after each epoch."""
    space = categorical((3, 3))
    archs = np.stack(np.meshgrid(range(3), range(3), indexing="ij"), -1).reshape(-1, 2).astype(np.int8)
    final = np.linspace(50, 90, 9)[:, None, None]
    return table_from_arrays(
        Header("curves", space.config, (Training("data", 3, (0,)),), {}, "made up"),
        {
            "archs": archs,
            member("accuracy", "data", 3, "validation"): final[:, :, 0].astype(np.float32),
            member("accuracy_curve", "data", 3, "validation"): encode_curve(final * np.asarray([0.5, midway, 1.0])),
            member("train_seconds", "data", 3): np.ones((9, 1), np.float32),
        },
    )


def test_searched_curves_are_part_of_what_a_study_is():
    """Two tables that differ in a curve are two where a study searches on it, and one where it does not."""

    def digest(table, at):
        options = {"dataset": "data", "epochs": 3, "max_evaluations": 2, "num_seeds": 1}
        return study({"random": random_search(table.space)}, table, at=at, **options).config["table_sha256"]

    one, other = curved_table(), curved_table(midway=0.7)
    assert digest(one, 2) != digest(other, 2)
    assert digest(one, None) == digest(other, None)
    assert digest(one, 2) == digest(curved_table(), 2)


def test_points_of_a_curve_are_fidelities():
    """On one training's curve, a promoted search pays the difference, and the study says whose epochs they are."""
    table = curved_table()
    choice = {"dataset": "data", "epochs": 3, "at": (1, 3)}
    halving = successive_halving(table.space, budgets=(1, 3), eta=3, num_configs=3)
    results = study({"halving": halving}, table, **choice, max_evaluations=8, num_seeds=5)
    assert (results.config["epochs"], results.config["of_epochs"]) == ([1, 3], 3)
    (found,) = results.searchers
    np.testing.assert_array_equal(found.traces.fidelity, [[0, 0, 0, 1, 0, 0, 0, 1]] * 5)
    np.testing.assert_array_equal(found.traces.seconds, [[1, 1, 1, 2, 1, 1, 1, 2]] * 5)
    best_of_three = np.asarray(found.traces.score)[:, :3].max(axis=1)
    np.testing.assert_allclose(found.traces.score[:, 3], best_of_three * 2, atol=0.01)


def test_a_search_that_fits_no_memory_is_refused_before_it_starts(tmp_path):
    with pytest.raises(ValueError, match=r"would take .* GB of memory"):
        go(tmp_path / "large", max_evaluations=10**9)
    assert not (tmp_path / "large").exists()


def test_what_a_table_lacks_is_said_before_a_study_starts():
    space = categorical((3, 3))
    accuracy = np.where(np.arange(9) < 2, 50.0, np.nan)
    table = make_table(space, accuracy={"validation": accuracy}, train_seconds=2.0)
    said = []
    results = study(
        {"random": random_search(space)},
        table,
        dataset="data",
        epochs=1,
        max_evaluations=30,
        num_seeds=2,
        log=said.append,
    )
    assert said[1].startswith("note: only 2 of 9 architectures have the accuracy that is searched on")
    assert "only 2 of 9" in results.config["notes"][-1]


DRIVEN = {"random": RANDOM._replace(compiled=False), "evolution": EVOLUTION}


def test_what_cannot_be_compiled_makes_the_same_searches_but_fewer(whole):
    """Python drives the same searches, over as many seeds as it is given."""
    lines = []
    results = go(searchers=DRIVEN, num_python_seeds=3, log=lines.append)
    assert results.config["fewer_seeds"] == {"random": 3}
    assert "2 searchers x 7 seeds (random 3) on small" in lines[0]
    driven, compiled = results.searchers[0], whole[0].searchers[0]
    length = driven.traces.mask.shape[1]
    assert driven.final.shape[1] == 3
    for one, other in zip(driven.traces[:6], compiled.traces[:6], strict=True):
        np.testing.assert_array_equal(one, other[:3, :length])
    np.testing.assert_array_equal(driven.final, compiled.final[:, :3])
    assert_same(
        results._replace(config={}, searchers=results.searchers[1:]),
        whole[0]._replace(config={}, searchers=whole[0].searchers[1:]),
    )
    assert "random: 3 runs, the others 7" in search_results_text(results)
    assert "the others" not in search_results_text(whole[0])
    more = go(searchers=DRIVEN, num_python_seeds=100)
    assert "fewer_seeds" not in more.config
    assert more.searchers[0].final.shape[1] == 7


def test_searches_driven_from_python_are_kept_one_by_one(tmp_path, monkeypatch):
    """A study that is stopped after two of four goes on with the third; with other numbers it is another study."""
    whole_one, ran = go(searchers=DRIVEN, num_python_seeds=4), []

    def run_chunk(runs, keys, judge, run_chunk=_run._run_chunk):
        ran.append(len(keys))
        if len(ran) == 3:
            raise Stopped
        return run_chunk(runs, keys, judge)

    monkeypatch.setattr(_run, "_run_chunk", run_chunk)
    with pytest.raises(Stopped):
        go(tmp_path / "study", DRIVEN, num_python_seeds=4)
    assert traces_chunk_path(tmp_path / "study", "random", 1).exists()
    results = go(tmp_path / "study", DRIVEN, num_python_seeds=4)
    assert_same(results, whole_one)
    assert ran[:5] == [1] * 5
    assert len(ran) == 3 + 2 + 3  # the third and fourth here, and three chunks of evolution
    assert_same(go(tmp_path / "study", DRIVEN, num_python_seeds=4), whole_one)
    assert_same(go(tmp_path / "study", DRIVEN, num_python_seeds=5), go(searchers=DRIVEN, num_python_seeds=5))
    with pytest.raises(ValueError, match="fewer_seeds"):
        go(tmp_path / "study", DRIVEN, num_python_seeds=4)
    with pytest.raises(ValueError, match="num_python_seeds is 0"):
        go(searchers=DRIVEN, num_python_seeds=0)
