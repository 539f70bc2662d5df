"""Rank correlations, precision, ranks, and the probability to surpass random search."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jnas.statistics._rank_correlation import (
    kendall_tau,
    pearson_correlation,
    precision_at_k,
    probability_to_surpass_random,
    rank_of,
    sparse_kendall_tau,
    spearman_correlation,
)

NAN = math.nan
CORRELATIONS = [kendall_tau, sparse_kendall_tau, spearman_correlation, pearson_correlation]
PAIRS = st.integers(2, 8).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n) for _ in range(2)])
)
quick = settings(max_examples=200, deadline=None, derandomize=True)


def tau_b(a, b):
    """Kendall's tau-b by its definition over all pairs."""
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in itertools.combinations(range(len(a)), 2)]
    untied = math.sqrt(sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs))
    return sum(x * y for x, y in signs) / untied if untied else NAN


@quick
@given(PAIRS)
def test_kendall_tau_equals_its_definition(pair):
    np.testing.assert_allclose(kendall_tau(*pair), tau_b(*pair), atol=1e-12)


def test_kendall_tau_by_hand():
    assert kendall_tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert kendall_tau([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / math.sqrt(6))


def sparse_by_sorting(bins, predicted):
    """The published procedure where no predictions are equal: bins in true order against bins in predicted order."""
    true_order = sorted(range(len(bins)), key=lambda i: bins[i])
    predicted_order = sorted(range(len(bins)), key=lambda i: predicted[i])
    return tau_b([bins[i] for i in true_order], [bins[i] for i in predicted_order])


@quick
@given(st.lists(st.integers(0, 5), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_sparse_tau_equals_the_published_procedure(bins, random):
    predicted = random.sample(range(100), len(bins))
    truth = [90 + 0.1 * b + random.uniform(-0.04, 0.04) for b in bins]
    expected = sparse_by_sorting(bins, predicted)
    np.testing.assert_allclose(sparse_kendall_tau(truth, predicted), expected, atol=1e-12)
    floors = [90.05 + 0.1 * b + random.uniform(-0.04, 0.04) for b in bins]
    floored = sparse_kendall_tau(floors, predicted, bins="floor_adaptive")
    np.testing.assert_allclose(floored, expected, atol=1e-12)


def test_sparse_tau_by_hand():
    truth = [93.01, 93.04, 93.52, 94.0]  # bins 930, 930, 935, 940
    assert sparse_kendall_tau(truth, [1, 2, 3, 4]) == pytest.approx(1)
    assert sparse_kendall_tau(truth, [2, 1, 3, 4]) == pytest.approx(1)  # within a bin the order does not count
    # The predicted order puts the third before the second, so bins [0, 0, 1, 2] stand against [0, 1, 0, 2]: three
    # pairs agree, one does not, and five are untied on either side.
    assert sparse_kendall_tau(truth, [1, 3, 2, 4]) == pytest.approx((3 - 1) / 5)
    assert kendall_tau(truth, [2, 1, 3, 4]) == pytest.approx(4 / 6)


@quick
@given(PAIRS, st.randoms(use_true_random=False))
def test_sparse_tau_does_not_depend_on_the_order_of_listing(pair, random):
    truth, predicted = np.array(pair[0]) * 0.1, np.array(pair[1])
    order = random.sample(range(len(truth)), len(truth))
    np.testing.assert_allclose(
        sparse_kendall_tau(truth, predicted), sparse_kendall_tau(truth[order], predicted[order]), atol=1e-12
    )


def test_sparse_tau_of_a_constant_prediction_is_undefined_even_if_listed_in_true_order():
    assert math.isnan(sparse_kendall_tau([90, 91, 92, 93], [5, 5, 5, 5]))
    assert math.isnan(sparse_kendall_tau([90.01, 90.02], [1, 2]))


def test_sparse_tau_without_ties_is_kendalls():
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 50))
    assert sparse_kendall_tau(truth, predicted, threshold=1e-9) == pytest.approx(kendall_tau(truth, predicted))


@pytest.mark.parametrize(("threshold", "unit"), [(0.1, 1.0), (0.001, 0.01)])
def test_rounded_bins_do_not_depend_on_rounding_errors_and_floors_do(threshold, unit):
    """Accuracies on 10,000 images, many of them on an edge; float32 moves them by more than float64's error."""
    rng = np.random.default_rng(1)
    images = rng.integers(9_300, 9_400, 500)
    truth, predicted = images / 100 * unit, images + rng.normal(scale=20, size=500)
    exact = tau_b((images + 5) // 10, sparse_places(images, predicted))
    for noisy in (truth, truth.astype(np.float32), truth * (1 + 1e-15), truth * (1 - 1e-15)):
        assert sparse_kendall_tau(noisy, predicted, threshold=threshold) == pytest.approx(exact, abs=1e-12)
    floors = {
        sparse_kendall_tau(noisy, predicted, threshold=threshold, bins="floor_adaptive")
        for noisy in (truth * (1 + 1e-15), truth * (1 - 1e-15))
    }
    assert len(floors) == 2


def sparse_places(images, predicted):
    """The bin that each architecture has by its predicted place, in integers."""
    places = np.empty(len(images), int)
    places[np.argsort(predicted)] = np.sort((images + 5) // 10)
    return places


@quick
@given(PAIRS)
def test_spearman_and_pearson_equal_scipys(pair):
    if len(set(pair[0])) == 1 or len(set(pair[1])) == 1:
        assert math.isnan(spearman_correlation(*pair))
        assert math.isnan(pearson_correlation(*pair))
    else:
        np.testing.assert_allclose(spearman_correlation(*pair), scipy.stats.spearmanr(*pair).statistic, atol=1e-12)
        np.testing.assert_allclose(pearson_correlation(*pair), scipy.stats.pearsonr(*pair).statistic, atol=1e-12)


@pytest.mark.parametrize("correlation", [*CORRELATIONS, lambda a, b, **kw: precision_at_k(a, b, 1, **kw)])
def test_correlations_raise_or_omit_nan(correlation):
    a, b = [91.0, NAN, 93.0, 92.0, 94.0], [1.0, 2.0, 3.0, NAN, 2.0]
    with pytest.raises(ValueError, match="holds 1 NaN among 5"):
        correlation(a, b)
    assert correlation(a, b, nan_policy="omit") == correlation([91.0, 93.0, 94.0], [1.0, 3.0, 2.0])
    with pytest.raises(ValueError, match="'raise', 'omit'"):
        correlation(a, b, nan_policy="propagate")
    with pytest.raises(ValueError, match=r"expected \[N\] for both"):
        correlation([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="1 architectures in common"):
        correlation([1.0, NAN], [1.0, 2.0], nan_policy="omit")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"threshold": 0.0}, "expected a positive number in the unit of truth"),
        ({"bins": "floor"}, "'rounded', 'floor_adaptive'"),
        ({"truth": [1.0, math.inf]}, "infinities"),
    ],
)
def test_sparse_tau_says_what_is_wrong(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        sparse_kendall_tau(**{"truth": [1.0, 2.0], "predicted": [1.0, 2.0], **change})


def test_precision_at_k_by_hand():
    truth = [5, 4, 3, 2, 1]
    assert precision_at_k(truth, [9, 1, 8, 2, 3], 2) == 0.5
    assert precision_at_k(truth, truth, 3) == 1
    assert precision_at_k(truth, [0, 0, 0, 0, 0], 2) == pytest.approx(2 / 5)  # what chance would
    assert precision_at_k([5, 4, 4, 1], [9, 0, 8, 0], 2) == 1  # both fours are second best
    with pytest.raises(ValueError, match="expected 1 to 5"):
        precision_at_k(truth, truth, 6)


@quick
@given(PAIRS, st.data())
def test_precision_at_k_is_the_mean_over_all_ways_to_break_ties(pair, data):
    truth, predicted = (x[:5] for x in pair)
    k = data.draw(st.integers(1, len(truth)))
    best = [value >= sorted(truth)[-k] for value in truth]
    shares = []
    for way in itertools.permutations(range(len(truth))):
        chosen = sorted(range(len(truth)), key=lambda i, way=way: (-predicted[i], way[i]))[:k]
        shares.append(np.mean([best[i] for i in chosen]))
    assert precision_at_k(truth, predicted, k) == pytest.approx(np.mean(shares))


def test_rank_of_by_hand():
    values = [70.0, 94.0, 93.0, 94.0, 10.0]
    np.testing.assert_array_equal(rank_of(values, [0, 1, 2, 3, 4]), [4, 1, 3, 1, 5])
    assert rank_of(values, 2) == 3
    assert rank_of([NAN, 94.0, 93.0], 2, nan_policy="omit") == 2


@quick
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_rank_of_counts_the_better_ones(values):
    expected = [1 + sum(other > value for other in values) for value in values]
    np.testing.assert_array_equal(rank_of(values, np.arange(len(values))), expected)


def test_rank_of_says_what_is_wrong():
    with pytest.raises(ValueError, match="values holds 1 NaN"):
        rank_of([NAN, 1.0], 1)
    with pytest.raises(ValueError, match="whose value is NaN"):
        rank_of([NAN, 1.0], 0, nan_policy="omit")
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        rank_of([2.0, 1.0], -1)
    with pytest.raises(TypeError, match="expected integers"):
        rank_of([2.0, 1.0], 0.0)
    with pytest.raises(ValueError, match=r"expected \[N\]"):
        rank_of([[2.0, 1.0]], 0)


def test_probability_to_surpass_random_search_as_published():
    ranks = [96_939, 57_079, 19_552, 4_610, 3_543]
    probabilities = probability_to_surpass_random(ranks, 423_624, 10)
    np.testing.assert_array_equal(probabilities.round(2), [0.07, 0.24, 0.62, 0.90, 0.92])
    assert probability_to_surpass_random(1, 2, 3) == 1 / 8
    assert probability_to_surpass_random(5, 5, 1) == 0


@pytest.mark.statistical
def test_probability_to_surpass_random_search_is_a_probability_of_that():
    rng, draws = np.random.default_rng(0), 20_000
    best_of_random = rng.integers(1, 101, (draws, 10)).min(axis=1)
    p = probability_to_surpass_random(12, 100, 10)
    assert abs(np.mean(best_of_random > 12) - p) < 4 * math.sqrt(p * (1 - p) / draws)


@pytest.mark.parametrize("arguments", [(0, 10, 1), (11, 10, 1), (1, 10, 0), (NAN, 10, 1)])
def test_probability_to_surpass_says_what_is_wrong(arguments):
    with pytest.raises(ValueError, match="expected"):
        probability_to_surpass_random(*arguments)
