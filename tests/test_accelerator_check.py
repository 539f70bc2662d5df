"""The check of accelerators stays alive: it runs here at its small size, a part of it at a time."""

import json
import sys
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    """Has the scripts import as they do where they are run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name.split(".")[0].startswith("accelerator")]:
        del sys.modules[name]


def test_a_part_is_done_and_one_without_time_is_told(scripts, tmp_path, capsys):
    """The command itself: a process of its own compares searches; what is left out or has no time has rows too."""
    import accelerator

    assert accelerator.main(["--small", "--minutes", "5", "--out", str(tmp_path), "--parts", "check-searchers"]) == 0
    said, *rows = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert (said["size"], said["platform"]) == ("small", "cpu")
    by_name = {row["name"]: row for row in rows}
    assert by_name["random_search"]["status"] == by_name["regularized_evolution"]["status"] == "ok"
    assert by_name["random_search"]["same_evaluations"] == "100.0 %"
    assert by_name["bananas"]["status"] == "left out at this size"
    assert "## Searches agree with the CPU" in (tmp_path / "results.md").read_text()
    assert accelerator.main(["--small", "--minutes", "0", "--out", str(tmp_path / "none")]) == 0
    _, *rows = map(json.loads, (tmp_path / "none" / "results.jsonl").read_text().splitlines())
    assert [row["part"] for row in rows] == [part.name for part in accelerator.PARTS]
    assert {row["status"] for row in rows} == {"not begun: no time was left"}


def test_every_part_lists_what_the_library_has(scripts):
    """New forms, methods, predictors and searchers come into the check by their rows."""
    from accelerator_parts.context import make_context
    from accelerator_parts.plan import PARTS, SIZES

    from jnas import searchers
    from jnas.searchers import predictors
    from jnas.searchers._benchmarks import find_benchmark
    from jnas.training.networks._families import FAMILIES

    context = make_context(SIZES["published"], None)
    modules = {part.name: __import__(f"accelerator_parts.{part.module}", fromlist=["tasks"]) for part in PARTS}
    names = {part: [task.name for task in module.tasks(context, part)] for part, module in modules.items()}
    assert all(len(set(each)) == len(each) > 0 for each in names.values())
    forms = ("switch", "mixture", "dispatch")
    assert {f"nasbench201, {form}" for form in (*forms, "static")} < set(names["check-training"])
    assert {"nasbench101, switch", "nasbench101, static"} < set(names["check-training"])
    rows = [row for row in FAMILIES.rows.values() if row.supernet]
    own = {row.name: find_benchmark(row.name) for row in rows}
    compared = {(method, name) for name, each in own.items() for method in (*each.shared, *each.later)}
    assert {m for m, _ in compared} == set(searchers.weight_sharing_names())
    assert all(any(name.startswith(f"{m} in {space}, ") for name in names["check-supernets"]) for m, space in compared)
    assert set(names["check-predictors"]) == {n for n in predictors.names() if predictors.entry(n).compiled}
    assert len(names["check-searchers"]) >= 18
    assert {f"{form}, K = {k}" for form in forms for k in (1, 8, 32, 128)} < set(names["training"])
    assert len(names["supernets"]) == 6 * 3 * 2
    assert names["studies"] == ["500 seeds", "10,000 seeds"]
    assert names["bananas"] == ["500 seeds, 150 evaluations"]


def test_a_task_that_fails_or_fills_the_memory_ends_alone(scripts, capsys):
    from accelerator_parts.plan import Task, verdict
    from accelerator_parts.worker import attempt

    def done(error):
        prepared = Future()
        prepared.set_exception(error)
        return attempt(Task("one", None, None), prepared, lambda: 1.0)

    assert done(RuntimeError("RESOURCE_EXHAUSTED: 9 GB"))["status"] == "out of memory"
    assert done(ValueError("no such form")) == {"status": "failed", "note": "ValueError: no such form"}
    assert verdict(float("nan"), 1.0)["status"] == "differs"


def test_images_are_few_enough(scripts, tmp_path, capsys):
    import accelerator_images

    from jnas import training

    labels = np.arange(160) % 10
    np.savez(tmp_path / "all.npz", images=np.zeros((160, 32, 32, 3), np.uint8), labels=labels)
    words = ["--dataset", str(tmp_path / "all.npz"), "--images", "80", "-o", str(tmp_path / "some.npz")]
    accelerator_images.main(words)
    dataset = training.load_dataset(tmp_path / "some.npz")
    assert {split: len(rows) for split, rows in dataset.splits.items()} == {"train": 56, "validation": 14, "test": 10}
    with pytest.raises(SystemExit):
        accelerator_images.main([*words[:2], "--images", "20000", *words[4:]])
    assert "at most 40 MB" in capsys.readouterr().err
