"""How hard a table is to search, against climbs and draws made one by one, and published facts. 6 CPU-seconds."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import jnas
from jnas import spaces
from jnas.statistics._comparison import one_sample_p
from jnas.tables.report._hardness import (
    best_of_k,
    fingerprints_of,
    landscape,
    neighbors_of,
    repeats,
    runs_to_tell,
    transfer,
)
from jnas.tables.report._hardness_section import hardness_section
from jnas.tables.report._summary import AccuracyColumn, final_columns

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201" / "nasbench201.npz"
RNG = np.random.default_rng(0)
SPACE = spaces.categorical((3, 4, 3))
SCORES = RNG.permutation(36).astype(np.float64) + 50


@pytest.fixture(scope="module")
def table():
    return jnas.make_table(SPACE, accuracy={"validation": SCORES, "test": RNG.permutation(SCORES)})


@pytest.fixture(scope="module")
def near(table):
    return neighbors_of(table)


def test_climbs_end_where_a_walk_in_python_does(table, near):
    archs = np.asarray(table.archs)
    apart = (archs[:, None] != archs[None]).sum(axis=2)
    ends, steps = [], []
    for start in range(len(archs)):
        here, made = start, 0
        while SCORES[around := np.flatnonzero(apart[here] == 1)].max() > SCORES[here]:
            here, made = around[SCORES[around].argmax()], made + 1
        ends.append(here)
        steps.append(made)
    found = landscape(SCORES, near)
    assert found.optima == found.strict == len(set(ends)) > 1
    assert found.share == np.mean(SCORES[ends] == SCORES.max())
    assert found.ends_below == pytest.approx(SCORES.max() - SCORES[ends].mean())
    assert found.evaluations == pytest.approx(1 + 7 * (np.mean(steps) + 1))  # 2 + 3 + 2 neighbours a step


def test_equal_neighbours_make_an_optimum_that_is_not_strict(near):
    flat = np.full(36, 60.0)
    assert landscape(flat, near)[:3] == (36, 0, 1.0)
    lost = SCORES.copy()
    lost[SCORES.argmax()] = np.nan  # the best is not known: it is no optimum, and no climb ends there
    assert landscape(lost, near).share == np.mean(_ends(lost, near) == np.nanargmax(lost))


def _ends(scores, near):
    known = np.flatnonzero(np.isfinite(scores))
    ends = []
    for here in known:
        while np.nanmax(scores[near.rows[here]]) > scores[here]:
            here = near.rows[here][np.nanargmax(scores[near.rows[here]])]
        ends.append(here)
    return np.asarray(ends)


def test_repeats_are_those_of_draws():
    classes = np.repeat(np.arange(40, dtype=np.uint32), np.arange(40) + 1)[:, None]
    found = repeats(classes, draws=30)
    drawn = [np.unique(RNG.choice(classes[:, 0], 30)).size for _ in range(4000)]
    assert found.networks == 40
    assert found.met == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 60)
    as_many = [np.unique(RNG.choice(classes[:, 0], found.as_many)).size for _ in range(4000)]
    assert np.mean(as_many) == pytest.approx(30, abs=0.2)
    assert repeats(classes, draws=50).as_many == 0


def test_picks_are_judged_by_the_other_column():
    first, second = best_of_k(SCORES, -SCORES, (1, 200))
    assert first == pytest.approx((SCORES.mean(), -SCORES.mean()))
    assert second == pytest.approx((SCORES.max(), -SCORES.max()), abs=0.2)
    share, needed = runs_to_tell(SCORES, SCORES, 1, 2)
    drawn = RNG.choice(SCORES, (200_000, 3))
    gap = drawn[:, :2].max(axis=1) - drawn[:, 2]
    assert share == pytest.approx(np.mean(gap > 0) + np.mean(gap == 0) / 2, abs=0.005)
    assert needed == jnas.statistics.runs_needed(share)


def test_runs_needed_find_the_difference_four_times_in_five():
    """Power of the test at the number that the formula gives, for normal values a deviation apart."""
    superiority = 0.760249938906524  # of N(1, 1) over N(0, 1)
    runs = jnas.statistics.runs_needed(superiority)
    found = 0
    for _ in range(400):
        a, b = RNG.normal(1, 1, runs), RNG.normal(0, 1, runs)
        found += jnas.statistics.mann_whitney_test(a, b).p_value < 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.06)
    assert jnas.statistics.runs_needed(1 - superiority) == runs
    with pytest.raises(ValueError, match=r"superiority is 1\.5"):
        jnas.statistics.runs_needed(1.5)


def test_a_choice_loses_what_it_is_below_the_best():
    a = AccuracyColumn("a", "validation", 1, np.array([3.0, 2, 1]))
    b = AccuracyColumn("b", "test", 1, np.array([5.0, 9, 7]))
    assert transfer([a, b], [a, b], 1.0).lost.tolist() == [[0, 4], [1, 0]]
    assert transfer([a], [b], -1.0).lost.tolist() == [[2]]  # lower is better: the third, 7 where 5 is the best


def test_welch_and_ranks_may_name_opposite_winners():
    a, b = [10.0] * 8 + [0.0] * 2, [9.0] * 10
    assert jnas.statistics.mann_whitney_test(a, b).superiority == 0.8
    assert jnas.statistics.welch_test(a, b).statistic < 0
    for sizes in ((5, 9), (2, 30)):
        first, second = (RNG.normal(0, size, size) for size in sizes)
        peer = scipy.stats.ttest_ind(first, second, equal_var=False)
        found = jnas.statistics.welch_test(first, second)
        np.testing.assert_allclose(found[:2], peer, rtol=1e-9)
        np.testing.assert_allclose(one_sample_p(first, 0.3), scipy.stats.ttest_1samp(first, 0.3).pvalue, rtol=1e-9)
    same = jnas.statistics.welch_test([1.0, 1.0], [1.0, 1.0])
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    with pytest.raises(ValueError, match="at least two"):
        jnas.statistics.welch_test([1.0], [1.0, 2.0])


def test_the_section_says_where_searching_longer_loses(table):
    worse = jnas.make_table(SPACE, accuracy={"validation": SCORES, "test": 130 - SCORES})
    said = [
        hardness_section(t, final_columns(t))
        for t in (worse, jnas.make_table(SPACE, accuracy={"validation": SCORES, "test": SCORES}))
    ]
    assert "Searching longer loses" in said[0]
    assert "Searching longer never loses" in said[1]


@pytest.mark.skipif(not DATA.exists(), reason="the real table of NAS-Bench-201 is not here")
def test_the_optima_of_nasbench201_are_the_known_ones():
    """Strict optima of test accuracy at 200 epochs: 17, 23 and 34; the exact best of 10 random cells on CIFAR-10."""
    found = np.load(DATA)
    test, searched = found["test_accuracy_200"].astype(float), found["valid_accuracy_200"][:, 0].astype(float)
    table = jnas.make_table(spaces.nasbench201(), accuracy={"validation": searched, "test": test[:, 0]})
    near = neighbors_of(table)
    assert [landscape(column, near).strict for column in test.T] == [17, 23, 34]
    assert best_of_k(searched, test[:, 0], (10,))[0][0] == pytest.approx(89.975, abs=0.01)
    assert repeats(fingerprints_of(table)).networks == 6466
