"""The best of random draws against lists of all draws, and what a prediction's best are worth."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jnas.statistics import _predicted_best, _random_draws
from jnas.statistics._predicted_best import predicted_best_percentiles, subset_kendall_tau
from jnas.statistics._random_draws import (
    best_of_draws,
    best_quantiles,
    compare_with_draws,
    compare_with_tails,
    expected_best,
    probability_at_least,
    probability_at_most,
)
from jnas.statistics._rank_correlation import probability_to_surpass_random

SCORES = st.lists(st.integers(0, 4), min_size=1, max_size=5)
RNG = np.random.default_rng(3)


def listed(scores, worth, draws, replacement):
    """What the first of the best of each ordered draw is worth, a number for each draw."""
    cells = range(len(scores))
    every = itertools.product(cells, repeat=draws) if replacement else itertools.permutations(cells, draws)
    return [worth[max(drawn, key=lambda i: scores[i])] for drawn in every]


@settings(max_examples=30, deadline=None)
@given(SCORES, st.data())
def test_the_distribution_is_that_of_all_draws(scores, data):
    replacement = data.draw(st.booleans())
    draws = data.draw(st.integers(1, 4 if replacement else min(4, len(scores))))
    worth = data.draw(st.lists(st.integers(-3, 3), min_size=len(scores), max_size=len(scores)))
    every = np.asarray(listed(scores, worth, draws, replacement))
    found = best_of_draws(scores, draws, judged_by=worth, replacement=replacement)
    assert found.value.tolist() == sorted(set(every))
    np.testing.assert_allclose(found.probability, [np.mean(every == v) for v in found.value], atol=1e-12)
    assert expected_best(found) == pytest.approx(every.mean(), abs=1e-12)
    asked = np.arange(-4, 5) / 2
    np.testing.assert_allclose(probability_at_least(found, asked), [np.mean(every >= x) for x in asked], atol=1e-12)
    np.testing.assert_allclose(probability_at_most(found, asked), [np.mean(every <= x) for x in asked], atol=1e-12)
    levels = [0, 0.1, 0.25, 0.5, 0.9, 1]
    inverse = np.quantile(every, levels, method="inverted_cdf")
    np.testing.assert_array_equal(best_quantiles(found, levels), inverse)


def test_more_draws_are_better_and_all_of_them_reach_the_best():
    scores = RNG.normal(size=300)
    for replacement in (True, False):
        means = [expected_best(best_of_draws(scores, k, replacement=replacement)) for k in (1, 2, 5, 30, 300)]
        assert np.all(np.diff(means) > 0)
        assert means[0] == pytest.approx(scores.mean())
    everything = best_of_draws(scores, 300, replacement=False)
    assert everything.value.tolist() == [scores.max()]
    assert everything.probability == pytest.approx([1])
    both = [expected_best(best_of_draws(scores, 30, replacement=r)) for r in (False, True)]
    assert both[0] > both[1]  # no draw is wasted on an architecture that was drawn


def test_of_many_architectures_nothing_is_lost_to_rounding():
    size, draws = 423_624, 20_000
    for replacement in (True, False):
        found = best_of_draws(np.arange(size), draws, replacement=replacement)
        assert found.probability.sum() == pytest.approx(1, abs=1e-12)
        mean = size - 1 - size / (draws + 1) if replacement else (draws * (size + 1)) / (draws + 1) - 1
        assert expected_best(found) == pytest.approx(mean, abs=0.6 if replacement else 1e-5)


def test_the_published_probability_is_one_of_this_distribution():
    scores = np.arange(423_624)[::-1]  # the first is the best
    ranks = np.asarray([96_939, 57_079, 19_552, 4_610, 3_543])
    worse = 1 - probability_at_least(best_of_draws(scores, 10), scores[ranks - 1])
    np.testing.assert_allclose(worse, probability_to_surpass_random(ranks, scores.size, 10), atol=1e-12)
    np.testing.assert_array_equal(worse.round(2), [0.07, 0.24, 0.62, 0.90, 0.92])


def test_what_is_not_known_is_not_drawn_or_raises():
    found = best_of_draws([1, np.nan, 3], 1, judged_by=[5, 6, np.nan], nan_policy="omit")
    assert found.value.tolist() == [5]
    assert np.isnan(probability_at_least(found, np.nan))
    with pytest.raises(ValueError, match="scores holds 1 NaN among 2 values"):
        best_of_draws([1, np.nan], 1)
    with pytest.raises(ValueError, match=r"num_draws is 3 of 2 .* expected 1 to 2 of draws without replacement"):
        best_of_draws([1, 2], 3, replacement=False)
    with pytest.raises(ValueError, match=r"num_draws is 0 of 2 .* expected at least 1"):
        best_of_draws([1, 2], 0)
    with pytest.raises(ValueError, match=r"expected \[N\] for both"):
        best_of_draws([1, 2], 1, judged_by=[1])
    with pytest.raises(ValueError, match="probabilities are"):
        best_quantiles(found, 2)


# Found architectures.


def test_found_ones_are_compared_by_hand():
    draws = best_of_draws([0, 10, 20, 30], 1)
    test = compare_with_draws([20, 30], draws)
    assert test.difference == 25 - 15
    assert test.superiority == pytest.approx((5 / 8 + 7 / 8) / 2)
    assert test.p_value == pytest.approx(2 * (0.5 + 0.25) ** 2 / 2)  # the triangle of two uniform numbers' sum
    assert math.isnan(test.superiority_low)
    assert compare_with_draws([15.0], draws).p_value == 1
    assert compare_with_draws([20, np.nan], draws, nan_policy="omit").difference == 5
    low = compare_with_draws([0, 0], draws)
    assert low.superiority == pytest.approx(1 / 8)
    assert low.p_value == pytest.approx(2 * 0.5**2 / 2)
    test = compare_with_draws(np.asarray([20, 30, 20, 30, 20, 30]), draws)
    assert test.difference_low < 10 < test.difference_high
    assert test.superiority_low < 0.75 < test.superiority_high
    far = compare_with_draws([0], best_of_draws([0, 10, 20, 30], 100))
    assert far.p_value == pytest.approx(2 * 0.25**100)  # small, but not nothing


@pytest.mark.statistical
@pytest.mark.parametrize(("runs", "k"), [(1, 1), (4, 1), (30, 10)])
def test_the_p_value_is_uniform_where_runs_are_random_draws_and_small_where_they_are_better(runs, k):
    rng, size, trials = np.random.default_rng(runs), 100_000, 200
    draws = best_of_draws(np.arange(size), k)
    best = rng.integers(0, size, (trials, runs, k)).max(axis=-1)
    reached, passed = probability_at_least(draws, best), probability_at_most(draws, best)
    sides = [[_random_draws._uniform_sum(each) for each in side] for side in (reached, passed)]
    p = np.minimum(1, 2 * np.min(sides, axis=0))
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3
    assert compare_with_draws(best[0], draws).p_value == p[0]
    better = rng.integers(0, size, (60, k + 20)).max(axis=-1)
    assert compare_with_draws(better, draws).p_value < 0.001


def test_equal_scores_make_the_test_careful():
    scores = np.repeat([1.0, 2.0, 3.0], 4)
    draws = best_of_draws(scores, 1)
    every = [compare_with_draws(found, draws).p_value for found in itertools.product([1.0, 2.0, 3.0], repeat=4)]
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(np.asarray(every) <= level) <= level


def test_comparisons_say_what_is_wrong():
    draws = best_of_draws([1, 2], 1)
    with pytest.raises(ValueError, match="found holds 1 NaN"):
        compare_with_draws([1, np.nan], draws)
    with pytest.raises(ValueError, match="no run with a score"):
        compare_with_draws([np.nan], draws, nan_policy="omit")
    with pytest.raises(ValueError, match=r"expected \[S\]"):
        compare_with_tails([1, 2], 0.0, [1], [1])


# What a prediction calls the best.


def test_percentiles_by_hand():
    truth = np.asarray([50, 60, 70, 80, 90, 91, 92, 93, 94, 95.0])
    assert predicted_best_percentiles(truth, truth, 3) == pytest.approx((0.8, 0.9, 1.0))
    assert predicted_best_percentiles(truth, -truth, 3) == pytest.approx((0.1, 0.2, 0.3))
    assert predicted_best_percentiles(truth, truth, 1) == (1, 1, 1)
    assert predicted_best_percentiles(truth, -truth, 10) == pytest.approx((0.1, 0.55, 1.0))
    assert predicted_best_percentiles([1, 2, 2, 0], [4, 3, 2, 1], 2) == pytest.approx((0.5, 0.75, 1.0))
    assert predicted_best_percentiles([1, 2, np.nan], [1, 2, 9], 1, nan_policy="omit") == (1, 1, 1)
    with pytest.raises(ValueError, match="k is 11, expected 1 to 10"):
        predicted_best_percentiles(truth, truth, 11)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=2, max_size=12), st.randoms(), st.data())
def test_percentiles_do_not_depend_on_the_order_of_listing(rows, random, data):
    k = data.draw(st.integers(1, len(rows)))
    found = predicted_best_percentiles(*np.transpose(rows), k)
    random.shuffle(rows)
    assert predicted_best_percentiles(*np.transpose(rows), k) == found


def test_a_constant_prediction_is_worth_what_chance_is():
    found = predicted_best_percentiles(RNG.permutation(1000), np.zeros(1000), 10)
    assert found == pytest.approx((0.05, 0.5, 0.95), abs=0.002)


def test_tau_of_rows_is_scipys():
    a, b = RNG.integers(0, 5, (6, 12)).astype(float), RNG.integers(0, 9, (6, 12)).astype(float)
    a[2], b[3] = 1.0, 2.0
    expected = [scipy.stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(_predicted_best._kendall_of_rows(a, b), expected, atol=1e-12)


def test_subsets_by_hand():
    truth, noise = np.arange(200.0), RNG.normal(size=200)
    whole = scipy.stats.kendalltau(truth, truth + 80 * noise).statistic
    found = subset_kendall_tau(truth, truth + 80 * noise, 200, np.random.default_rng(0))
    assert found == pytest.approx((whole,) * 3)
    small = subset_kendall_tau(truth, truth + 80 * noise, 10, np.random.default_rng(0), num_subsets=300)
    assert small.low < small.middle < small.high
    assert abs(small.middle - whole) < 0.06  # 4 standard errors of a mean of 300
    assert small == subset_kendall_tau(truth, truth + 80 * noise, 10, np.random.default_rng(0), num_subsets=300)
    assert np.isnan(subset_kendall_tau(truth, np.zeros(200), 10, np.random.default_rng(0)).middle)
    with pytest.raises(ValueError, match="size is 201, expected 2 to 200"):
        subset_kendall_tau(truth, truth, 201, np.random.default_rng(0))
    with pytest.raises(ValueError, match="num_subsets is 0"):
        subset_kendall_tau(truth, truth, 20, np.random.default_rng(0), num_subsets=0)
