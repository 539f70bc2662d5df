"""What a study searched on stands first in its results; what has no times is shown without any. 8 CPU-seconds."""

import re

import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.commands import _study
from jnas.commands._cli import main
from jnas.studies.search._report import search_report
from jnas.studies.search._searched import with_searched
from jnas.studies.search._summary import compare, finals, shown_targets
from jnas.studies.search._text import search_results_text
from jnas.tables._file import Header, Training, member
from jnas.tables._load import table_from_arrays
from jnas.tables._targets import Target
from jnas.tables.report._text import describe_arch, table_text

SPACE = spaces.categorical((3, 3, 3))
RANDOM = np.random.default_rng(0)
SHORT, LONG, TEST = (RANDOM.uniform(50, 90, (27, 2)).astype(np.float32) for _ in range(3))
ARCHS = np.asarray([[a, b, c] for a in range(3) for b in range(3) for c in range(3)], np.int8)
TABLE = table_from_arrays(
    Header("mine", SPACE.config, (Training("data", 12, (0, 1)), Training("data", 200, (0, 1))), {}, ""),
    {
        "archs": ARCHS,
        member("accuracy", "data", 12, "validation"): SHORT,
        member("accuracy", "data", 200, "validation"): LONG,
        member("accuracy", "data", 200, "test"): TEST,
    },
)
SEARCHERS = {"random": searchers.random_search(SPACE)}


def results_of(table=TABLE, **choice):
    asked = {"dataset": "data", "max_evaluations": 5, "num_seeds": 4} | choice
    return jnas.study(SEARCHERS, table, **asked)


@pytest.fixture(scope="module")
def short():
    return results_of(epochs=12)


def test_the_score_of_the_incumbent_is_the_first_column(short):
    plain = compare([short])[0]
    assert [t.label for t in plain.targets] == ["data validation, 200 epochs", "data test, 200 epochs"]
    shown = with_searched(plain)
    assert shown.targets == (Target("data", "validation", 12), *plain.targets)
    result = shown.entries[0].result
    traces = short.searchers[0].traces
    np.testing.assert_allclose(result.values[0], np.maximum.accumulate(np.asarray(traces.score), axis=1))
    np.testing.assert_array_equal(result.values[1:], short.searchers[0].values)
    index = np.asarray(TABLE.index(result.final_archs))
    np.testing.assert_allclose(finals(shown).mean[0], [c.mean(axis=1)[index].mean() for c in (SHORT, LONG, TEST)])
    assert shown_targets(shown) == [0, 1, 2]
    best = [c.mean(axis=1).max() for c in (SHORT, LONG, TEST)]
    np.testing.assert_allclose(shown.references[-1].values, best, rtol=1e-6)
    older = with_searched(compare([short._replace(searched={})])[0])  # of a folder of before
    np.testing.assert_array_equal(np.isnan(older.references[-1].values), [True, False, False])
    lines = search_results_text(short).splitlines()
    assert lines[:2] == ["accuracy in percent: mean over runs (standard deviation)", ""]
    assert [line.split() for line in lines[2:6]] == [
        ["data", "data", "data"],
        ["validation", "validation", "test"],
        ["12", "epochs", "200", "epochs", "200", "epochs"],
        ["searched", "on"],
    ]
    assert f"{np.asarray(traces.score).max(axis=1).mean():.2f} (" in lines[6]


def test_a_column_that_was_searched_on_comes_first():
    found = with_searched(compare([results_of(epochs=200, split="test")])[0])
    assert [t.split for t in found.targets] == ["test", "validation"]
    np.testing.assert_allclose(found.references[-1].values, [TEST.mean(axis=1).max(), LONG.mean(axis=1).max()])
    several = with_searched(compare([results_of(epochs=(12, 200))])[0])
    assert (several.searched, several.targets[0]) == (True, Target("data", "validation", 200))
    seed = with_searched(compare([results_of(epochs=200, reward=1)])[0])  # not the mean over seeds, which judges
    assert [t.epochs for t in seed.targets] == [200, 200, 200]
    both = [results_of(epochs=12), results_of(epochs=200)]
    assert not with_searched(compare(both)[0]).searched


def test_columns_can_be_chosen(tmp_path, monkeypatch, capsys):
    plans = []
    monkeypatch.setattr(_study, "carry_out_and_tell", lambda options, name, plan, *others: plans.append(plan))
    monkeypatch.setattr(_study, "_complain_of_nothing", lambda results: None)
    jnas.save_table(TABLE, tmp_path / "t.npz")
    words = ["study", "--table", str(tmp_path / "t.npz"), "--searchers", "random_search"]
    assert main([*words, "--targets", "data:test:200, data:validation:12"]) == 0
    assert plans[0].targets == (Target("data", "test", 200), Target("data", "validation", 12))
    assert main([*words, "--targets", "data:test:12"]) == 2
    assert "this table has no accuracy for dataset='data', epochs=12, split='test'" in capsys.readouterr().err
    for wrong in ("data:test", "data:test:long", ":test:12", ""):
        with pytest.raises(SystemExit):
            main([*words, f"--targets={wrong}"])
        assert "expected columns as DATASET:SPLIT:EPOCHS" in capsys.readouterr().err


# Tables without times.

UNTIMED = jnas.make_table(SPACE, accuracy={"validation": SHORT}, epochs=5)


def test_a_table_without_times_says_so():
    text = table_text(UNTIMED)
    assert re.search(r"data, 5 epochs +validation +27 .* nothing ", text)
    assert "there are no times: a budget in seconds has no meaning on this table, where an epoch counts as one" in (
        " ".join(text.split())
    )
    assert re.search(r"validation +[\d.]+ +- +- +-\n", describe_arch(UNTIMED, 3) + "\n")
    timed = jnas.make_table(SPACE, accuracy={"validation": SHORT}, epochs=5, train_seconds=2.0)
    assert "no times" not in table_text(timed)
    assert "training" in table_text(timed).splitlines()[4]


@pytest.mark.parametrize("seconds", [None, 2.0], ids=["without times", "with times"])
def test_costs_are_shown_only_where_there_are_times(seconds):
    table = jnas.make_table(SPACE, accuracy={"validation": SHORT}, epochs=5, train_seconds=seconds)
    lines = []
    results = results_of(table, epochs=5, budget_seconds=1000.0, max_evaluations=7, log=lines.append)
    page = search_report([results])
    timed = seconds is not None
    assert ("1,000 simulated seconds" in page) == timed
    assert ("1,000 epochs of training" in page) == (not timed)
    assert ("Accuracy against simulated seconds" in page) == timed
    assert "Accuracy against the number of evaluations" in page
    note = "the table has no training times: searches are compared by their numbers of evaluations, and an epoch counts"
    assert (note in page) == any(note in line for line in lines) == (not timed)
    assert ("no times" in page) == (not timed)
    assert "searched on" in page
