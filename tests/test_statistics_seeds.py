"""Means, deviations, quantiles and bootstrap intervals over seeds."""

import math

import jax
import numpy as np
import pytest
import scipy.stats

from jnas.statistics import _bootstrap
from jnas.statistics._bootstrap import bootstrap_interval, resample
from jnas.statistics._statistics import mean_over_seeds, quantiles_over_seeds, std_over_seeds

NAN = math.nan
HOLES = np.array([[1.0, NAN, NAN], [2.0, 4.0, NAN], [6.0, 8.0, NAN]])


def test_by_hand():
    values = [[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]]
    np.testing.assert_allclose(mean_over_seeds(values), [3, 5])
    np.testing.assert_allclose(std_over_seeds(values), [math.sqrt(7), 0])  # (4 + 1 + 9) / (3 - 1)
    np.testing.assert_allclose(std_over_seeds(values, ddof=0), [math.sqrt(14 / 3), 0])
    np.testing.assert_allclose(quantiles_over_seeds(values, [0, 0.25, 0.5, 1]), [[1, 5], [1.5, 5], [2, 5], [6, 5]])
    np.testing.assert_allclose(quantiles_over_seeds(values, 0.5), [2, 5])


def test_omitted_nan_are_left_out_of_their_own_column():
    np.testing.assert_allclose(mean_over_seeds(HOLES, nan_policy="omit"), [3, 6, NAN])
    np.testing.assert_allclose(std_over_seeds(HOLES, nan_policy="omit"), [math.sqrt(7), math.sqrt(8), NAN])
    np.testing.assert_allclose(quantiles_over_seeds(HOLES, 0.5, nan_policy="omit"), [2, 6, NAN])
    low, high = bootstrap_interval(HOLES, np.random.default_rng(0), nan_policy="omit")
    assert 1 <= low[0] < 3 < high[0] <= 6
    assert 4 <= low[1] < 6 < high[1] <= 8
    assert np.isnan([low[2], high[2]]).all()


@pytest.mark.parametrize(
    "statistic",
    [
        mean_over_seeds,
        std_over_seeds,
        lambda x, **kw: quantiles_over_seeds(x, 0.5, **kw),
        lambda x, **kw: bootstrap_interval(x, np.random.default_rng(0), **kw),
    ],
)
def test_nan_and_emptiness_never_pass_silently(statistic):
    with pytest.raises(ValueError, match="values holds 4 NaN among 9"):
        statistic(HOLES)
    with pytest.raises(ValueError, match="'raise', 'omit'"):
        statistic(HOLES, nan_policy="propagate")
    with pytest.raises(ValueError, match="at least one seed"):
        statistic(np.empty((0, 3)))
    with pytest.raises(ValueError, match="at least one seed"):
        statistic(3.0)


def test_against_numpy_on_curves():
    values = np.random.default_rng(0).normal(size=(50, 4, 5))
    np.testing.assert_allclose(mean_over_seeds(values), values.mean(axis=0))
    np.testing.assert_allclose(std_over_seeds(values), values.std(axis=0, ddof=1))
    np.testing.assert_allclose(quantiles_over_seeds(values, [0.1, 0.9]), np.quantile(values, [0.1, 0.9], axis=0))
    assert mean_over_seeds(values.astype(np.float32)).dtype == np.float64


def test_one_seed_has_no_deviation():
    assert math.isnan(std_over_seeds([3.0]))
    assert std_over_seeds([3.0], ddof=0) == 0


def test_quantiles_refuse_what_is_no_probability():
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        quantiles_over_seeds([1.0], [0.5, 95])


def skewed(seeds, columns, seed=0):
    return np.random.default_rng(seed).lognormal(sigma=1.0, size=(seeds, columns))


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("statistic", ["mean", "median", np.std])
def test_intervals_equal_scipys_on_the_same_resamples(method, statistic):
    values = skewed(25, 3)
    interval = bootstrap_interval(
        values, np.random.default_rng(7), statistic=statistic, level=0.9, method=method, num_resamples=400
    )
    drawn = resample(values, np.random.default_rng(7), statistic, 400)
    function = {"mean": np.mean, "median": np.median}.get(statistic, statistic)
    for column in range(3):
        theirs = scipy.stats.bootstrap(
            (values[:, column],), function, n_resamples=2, method="percentile", rng=np.random.default_rng(0)
        )
        theirs.bootstrap_distribution = drawn[:, column]
        theirs = scipy.stats.bootstrap(
            (values[:, column],),
            function,
            n_resamples=0,
            confidence_level=0.9,
            method=method,
            bootstrap_result=theirs,
            rng=np.random.default_rng(0),
        ).confidence_interval
        assert interval.low[column] == pytest.approx(theirs.low, rel=1e-9)
        assert interval.high[column] == pytest.approx(theirs.high, rel=1e-9)


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("holes", [False, True])
def test_resampled_statistics_equal_a_plain_loop(monkeypatch, statistic, holes):
    values = skewed(9, 4)
    values[np.random.default_rng(1).random(values.shape) < 0.6 * holes] = NAN
    rng = np.random.default_rng(3)
    drawn = np.concatenate([rng.integers(0, 9, (9, 9)) for _ in range(10)])
    function = {"mean": np.nanmean, "median": np.nanmedian}[statistic]
    expected = [[function(c) if not np.isnan(c).all() else NAN for c in values[rows].T] for rows in drawn]
    # A small chunk shows that chunks are put together, and fixes how the draws are divided.
    monkeypatch.setattr(_bootstrap, "_CHUNK", 81 if statistic == "mean" else 81 * 4)
    np.testing.assert_allclose(resample(values, np.random.default_rng(3), statistic, 90), expected, rtol=1e-12)


def test_intervals_are_deterministic_and_a_key_is_as_good_as_a_generator():
    values = skewed(30, 2)
    twice = [bootstrap_interval(values, np.random.default_rng(1)) for _ in range(2)]
    np.testing.assert_array_equal(twice[0], twice[1])
    keyed = [bootstrap_interval(values, jax.random.key(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(keyed[0], keyed[1])
    assert not np.array_equal(keyed[0], keyed[2])
    assert not np.array_equal(twice[0], bootstrap_interval(values, np.random.default_rng(2)))


def test_columns_do_not_influence_one_another():
    values = skewed(30, 3)
    together = bootstrap_interval(values, np.random.default_rng(1))
    alone = bootstrap_interval(values[:, 1], np.random.default_rng(1))
    np.testing.assert_allclose([together.low[1], together.high[1]], alone, rtol=1e-12)
    assert alone.low.shape == ()
    cube = bootstrap_interval(values[:, :, None] * np.ones(2), np.random.default_rng(1))
    np.testing.assert_allclose(cube.low[:, 0], together.low, rtol=1e-12)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("statistic", ["mean", "median", np.max])
def test_equal_values_give_exactly_that_point(method, statistic):
    values = np.full((7, 2), 0.1)
    interval = bootstrap_interval(values, np.random.default_rng(0), statistic=statistic, method=method)
    np.testing.assert_array_equal(interval, np.full((2, 2), 0.1))
    single = bootstrap_interval([[0.3, 0.7]], np.random.default_rng(0), statistic=statistic, method=method)
    np.testing.assert_array_equal(single, [[0.3, 0.7], [0.3, 0.7]])


@pytest.mark.statistical
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_normal_samples_are_covered_as_often_as_the_level_says(method):
    columns, seeds, level = 2_000, 100, 0.9
    values = np.random.default_rng(11).normal(size=(seeds, columns))
    low, high = bootstrap_interval(values, np.random.default_rng(12), level=level, method=method)
    error = math.sqrt(level * (1 - level) / columns)
    # A bootstrap lacks the factor of n / (n - 1) and Student's t: 0.893 is expected at n = 100.
    student = scipy.stats.t(seeds - 1).cdf(scipy.stats.norm.ppf(0.95) * math.sqrt((seeds - 1) / seeds)) * 2 - 1
    assert abs(np.mean((low <= 0) & (high >= 0)) - student) < 4 * error


@pytest.mark.statistical
def test_bca_covers_a_skewed_mean_more_often_than_percentiles():
    columns, level = 8_000, 0.95
    values = skewed(30, columns, seed=5)
    truth = math.exp(0.5)
    covered = {}
    for method in ("percentile", "bca"):
        low, high = bootstrap_interval(
            values, np.random.default_rng(6), level=level, method=method, num_resamples=1_000
        )
        covered[method] = (low <= truth) & (high >= truth)
    gain = covered["bca"].astype(float) - covered["percentile"]
    assert gain.mean() > 4 * gain.std(ddof=1) / math.sqrt(columns)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"level": 95}, "expected a share"),
        ({"method": "basic"}, "'bca', 'percentile'"),
        ({"statistic": "mode"}, "'mean', 'median'"),
        ({"num_resamples": 0}, "at least 1"),
        ({"values": [1.0, math.inf]}, "infinities"),
        ({"statistic": lambda x, axis: x.sum()}, "reduce that axis alone"),
        ({"values": [1.0, NAN], "statistic": np.max, "nan_policy": "omit"}, "drop them first"),
    ],
)
def test_bootstrap_says_what_is_wrong(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        bootstrap_interval(**{"values": [1.0, 2.0], "rng": np.random.default_rng(0), **change})


@pytest.mark.parametrize("rng", [0, None, np.random.RandomState])
def test_bootstrap_wants_an_explicit_source_of_chance(rng):
    with pytest.raises(TypeError, match=r"numpy.random.default_rng\(seed\) or one key"):
        bootstrap_interval([1.0, 2.0], rng)
