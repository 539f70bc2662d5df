"""Tables that know a part of their space, in every way in which that may be: studies keep one rule. 13 CPU-seconds."""

import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.commands import _study
from jnas.commands._cli import main
from jnas.studies.predictors import _plan as predictor_plan
from jnas.studies.search import _report
from jnas.studies.supernets import _plan as supernet_plan
from jnas.tables._file import Header, Training, member
from jnas.tables._known_part import known_share
from jnas.tables._load import table_from_arrays
from jnas.tables._targets import default_targets, target_columns
from jnas.tables.readers._nasbench101 import nasbench101_table

SPACE = spaces.categorical((3, 3, 3))
ARCHS = np.asarray(jax.vmap(SPACE.from_index)(np.arange(27)), np.int8)
KNOWN = np.array([2, 7, 11, 19, 24])
VALUES = np.linspace(50, 90, 27).astype(np.float32)
HOLES = np.where(np.isin(np.arange(27), KNOWN), VALUES, np.nan)


def table_of(trainings, **arrays):
    header = Header("holes", SPACE.config, trainings, {}, "")
    members = {name.replace("__", "/"): np.asarray(a, np.float32) for name, a in arrays.items()}
    return table_from_arrays(header, {"archs": ARCHS, **members})


def of_two_trainings():
    one, two = member("accuracy", "data", 5, "validation"), member("accuracy", "data", 10, "validation")
    return table_of(
        (Training("data", 5, (0,)), Training("data", 10, (0,))), **{one: VALUES[:, None], two: HOLES[:, None]}
    )


def of_points_in_several_runs():
    """Run 0 has the first point of some architectures and run 1 the second: no run has both."""
    known = np.isfinite(HOLES)
    first = np.stack([VALUES, np.where(known, VALUES, np.nan)], axis=1)
    second = np.stack([np.where(known, VALUES, np.nan), VALUES], axis=1)
    points = {
        member("accuracy_at", "data", 9, "validation", 3): first,
        member("accuracy_at", "data", 9, "validation", 6): second,
        member("accuracy", "data", 9, "validation"): second,
    }
    return table_of((Training("data", 9, (0, 1)),), **points)


WAYS = {
    "rows are listed": (
        lambda: jnas.make_table(SPACE, archs=ARCHS[KNOWN], accuracy={"validation": VALUES[KNOWN]}),
        [],
    ),
    "numbers are missing": (lambda: jnas.make_table(SPACE, accuracy={"validation": HOLES}), []),
    "a training seed is missing": (
        lambda: jnas.make_table(SPACE, accuracy={"validation": np.stack([VALUES, HOLES], axis=1)}),
        ["--reward", "1"],
    ),
    "a training is missing": (of_two_trainings, ["--epochs", "5,10"]),
    "no run has all points": (of_points_in_several_runs, ["--reward", "random", "--at", "3,6"]),
}


@pytest.fixture
def planned(monkeypatch):
    """Gives what a command would carry out."""
    plans = []

    def keep(options, name, plan, *others):
        plans.append(plan)

    monkeypatch.setattr(_study, "carry_out_and_tell", keep)
    monkeypatch.setattr(_study, "_complain_of_nothing", lambda results: None)
    return plans


@pytest.mark.parametrize("way", WAYS)
def test_what_is_known_is_searched_and_counted_against_the_space(way, planned, tmp_path):
    make, words = WAYS[way]
    jnas.save_table(make(), tmp_path / "t.npz")
    asked = ["study", "--table", str(tmp_path / "t.npz"), "--max-evaluations", "6", "--searchers", "random_search"]
    for among in ([], ["--among", "known"], ["--among", "all"]):  # the first is the second: less than half is known
        assert main([*asked, *words, *among]) == 0
    default, known, everything = planned
    np.testing.assert_array_equal(default.table.archs, ARCHS[KNOWN])
    searcher = default.searchers["random_search"]
    draw = jax.jit(jax.vmap(lambda key: searcher.ask(searcher.init(key, 6))[0].archs[0]))
    drawn = draw(jax.random.split(jax.random.key(0), 60))
    assert {tuple(a) for a in drawn.tolist()} == {tuple(a) for a in ARCHS[KNOWN].tolist()}
    assert "only the 5 of 27 architectures" in default.gaps[0]
    assert default.config["notes"].count(default.gaps[0]) == 1
    assert default.config == {**known.config, "command": default.config["command"]}
    assert "only 5 of 27 architectures" in everything.gaps[0]
    assert "find nothing, and count as evaluations" in everything.gaps[0]


def test_a_whole_table_has_no_gaps(planned, tmp_path):
    table = jnas.make_table(SPACE, accuracy={"validation": VALUES}, train_seconds=2.0)
    assert jnas.known_part(table, dataset="data", split="validation", epochs=1) is table
    jnas.save_table(table, tmp_path / "t.npz")
    assert main(["study", "--table", str(tmp_path / "t.npz"), "--searchers", "random_search"]) == 0
    assert planned[0].gaps == planned[0].config["notes"] == []


def test_other_studies_count_against_the_space_too():
    listed = WAYS["rows are listed"][0]()
    (note,) = predictor_plan._notes(listed, 5, 5, "data validation accuracy")
    assert note.startswith("only 5 of 27 architectures have the data validation accuracy")
    targets = default_targets(listed)
    assert supernet_plan._gaps(listed, targets, target_columns(listed, targets)) == [
        "only 5 of 27 architectures have the data validation, 1 epoch accuracy: the others are not judged by it"
    ]


def test_a_supernet_is_judged_by_a_table_that_regards_other_cells_as_the_same():
    space = spaces.nasbench201("node_then_edge", isomorphism="none")
    archs = np.asarray([[0, 1, 2, 3, 4, 0], [3] * 6])
    table = jnas.make_table(space, archs=archs, accuracy={"test": [70, 90]})
    targets, columns, *_ = supernet_plan._judges(table, SimpleNamespace(space=spaces.nasbench201()))
    assert [t.label for t in targets] == ["data test, 1 epoch"]
    np.testing.assert_array_equal(columns, [[70, 90]])


# Runs that find nothing.

ONE_HOLE = jnas.make_table(SPACE, accuracy={"validation": np.where(np.arange(27) < 2, VALUES, np.nan)})


def test_a_study_says_which_runs_found_nothing(monkeypatch):
    one = {"random": searchers.random_search(SPACE)}
    with pytest.warns(UserWarning, match=r"of 20 runs of random found nothing: .* jnas\.known_part") as told:
        results = jnas.study(one, ONE_HOLE, dataset="data", epochs=1, max_evaluations=6, num_seeds=20)
    failed = int(np.isnan(results.searchers[0].final[0]).sum())
    assert 0 < failed < 20
    assert str(told[0].message).startswith(f"{failed} of 20 runs")


@pytest.mark.parametrize(("evaluations", "status", "kind"), [(6, 0, "warning"), (1, 2, "error")])
def test_a_command_says_which_runs_found_nothing(evaluations, status, kind, tmp_path, monkeypatch, capsys):
    """A warning where some found something, and no success where none did; the folder has all results."""
    monkeypatch.setattr(_report, "search_report", lambda results, space: "<html>")
    jnas.save_table(ONE_HOLE, tmp_path / "t.npz")
    words = ["--among", "all", "--max-evaluations", str(evaluations), "--num-seeds", "4", "--out", str(tmp_path / "s")]
    if kind == "error":
        words += ["--root-seed", "1"]
    assert main(["study", "--table", str(tmp_path / "t.npz"), "--searchers", "random_search", *words]) == status
    said = capsys.readouterr().err.strip()
    assert re.fullmatch(rf"jnas: {kind}: \d of 4 runs of random_search found nothing: .*--among known.*", said)
    assert (tmp_path / "s" / "traces" / "random_search.npz").exists()


# Searchers of another space.


OTHER_CHOICES = r"searchers\['mine'\] proposed \[.*\], which is no architecture of the table's space"


@pytest.mark.parametrize(
    ("make", "other", "message"),
    [
        (searchers.random_search, (3, 3), r"architectures of 2 decisions, and those of the table's space .* have 3"),
        (searchers.random_search, (9, 9, 9), OTHER_CHOICES),
        (searchers.smac, (9, 9, 9), OTHER_CHOICES),
    ],
    ids=["other decisions", "other choices", "driven from Python"],
)
def test_a_searcher_of_another_space_is_refused(make, other, message):
    table = jnas.make_table(SPACE, accuracy={"validation": VALUES})
    searcher = {"mine": make(spaces.categorical(other))}
    with pytest.raises(ValueError, match=message):
        jnas.study(searcher, table, dataset="data", epochs=1, max_evaluations=3, num_seeds=2)


def test_a_published_part_of_a_space_is_counted_against_it(shared_data):
    """EC-NAS's cells of up to four vertices: all rows of the table are known, and few cells of the space."""
    table = table_from_arrays(*nasbench101_table(shared_data / "nasbench101" / "energy_4V9E.tfrecord"))
    searched = {"dataset": "cifar10", "split": "validation", "epochs": (4, 12, 36, 108)}
    assert known_share(table, **searched) == 91 / 423_624
    assert "only the 91 of 423,624 architectures" in jnas.known_part(table, **searched).header.notes[-1]
