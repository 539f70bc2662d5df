"""Tests of whether two searchers differ, and Holm's correction where many pairs are tested, on the host in float64."""

import itertools
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.io._fields import describe_fields
from jnas.statistics._statistics import NanPolicy, as_samples, check_choice

Floats = NDArray[np.float64]


@describe_fields
class TwoSampleTest(NamedTuple):
    """A two-sided test of whether two searchers differ.

    Attributes:
      statistic: Mann-Whitney's U of the first sample, Wilcoxon's smaller sum of signed ranks, or Welch's t.
      p_value: Two-sided.
      superiority: Probability that the first is better, equal values counted half; 0.5 says no difference.
    """

    statistic: float
    p_value: float
    superiority: float


@describe_fields
class PairwiseTests(NamedTuple):
    """Tests of every pair of `K` searchers, `C = K (K - 1) / 2`, in the order of `itertools.combinations`.

    Attributes:
      pairs: `[C]`, the names of both searchers.
      statistic: `[C]`, of each test, as in `TwoSampleTest`.
      p_value: `[C]`, of each test alone.
      p_holm: `[C]`, corrected for there being C of them.
      superiority: `[C]`, probability that the pair's first is better, equal values counted half.
    """

    pairs: tuple[tuple[str, str], ...]
    statistic: Floats
    p_value: Floats
    p_holm: Floats
    superiority: Floats


def wilcoxon_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    zero_method: Literal["wilcox", "pratt", "zsplit"] = "wilcox",
    nan_policy: NanPolicy = "raise",
) -> TwoSampleTest:
    """Returns Wilcoxon's signed-rank test of paired samples.

    Seeds of two searchers are pairs only where something is shared: the same key, start or data set. Else see
    `mann_whitney_test`.

    Args:
      a: `[S]`.
      b: `[S]`, paired with `a` row by row.
      zero_method: What becomes of equal pairs: 'wilcox' drops them, 'pratt' ranks and then drops them, 'zsplit' gives
        half of their ranks to each side.
      nan_policy: With 'omit', pairs with a NaN on either side are left out.

    Raises:
      ValueError: Shapes differ, or nothing is left, or NaN came and `nan_policy` is 'raise'.

    References:
      Wilcoxon, "Individual Comparisons by Ranking Methods", 1945 (Biometrics Bulletin 1).

    Example:
      >>> test = jnas.statistics.wilcoxon_test([71, 72, 73, 74, 75], [70, 70, 70, 70, 70])
      >>> test.statistic, round(test.p_value, 4), test.superiority
      (0.0, 0.0625, 1.0)
    """
    import scipy.stats  # here, since it takes longer to import than the rest of the package

    check_choice("zero_method", zero_method, ("wilcox", "pratt", "zsplit"))
    first, second = _sample("a", a, nan_policy), _sample("b", b, nan_policy)
    if first.shape != second.shape:
        raise ValueError(
            f"a has shape {first.shape} and b {second.shape}, expected [S] for both; "
            "samples that are not paired are for mann_whitney_test"
        )
    there = ~(np.isnan(first) | np.isnan(second))
    first, second = first[there], second[there]
    if not first.size:
        raise ValueError("a and b have no pair without NaN")
    if np.isinf(first).any() or np.isinf(second).any():
        raise ValueError("a or b holds infinities, whose differences have no rank; pass finite values")
    superiority = float(np.mean(first > second) + np.mean(first == second) / 2)
    if np.array_equal(first, second):
        return TwoSampleTest(0.0, 1.0, superiority)
    result = scipy.stats.wilcoxon(first, second, zero_method=zero_method)
    return TwoSampleTest(float(result.statistic), float(result.pvalue), superiority)


def mann_whitney_test(a: ArrayLike, b: ArrayLike, *, nan_policy: NanPolicy = "raise") -> TwoSampleTest:
    """Returns the Mann-Whitney U test of independent samples, such as two searchers' own seeds.

    Args:
      a: `[S]`.
      b: `[S2]`.
      nan_policy: With 'omit', NaN are left out of either sample.

    Returns:
      The test; its `superiority`, U over the number of pairs, is Vargha and Delaney's effect size A.

    Raises:
      ValueError: Nothing is left, or NaN came and `nan_policy` is 'raise'.

    References:
      Mann & Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other", 1947.
      Vargha & Delaney, "A Critique and Improvement of the CL Common Language Effect Size Statistics", 2000.

    Example:
      >>> test = jnas.statistics.mann_whitney_test([3, 4, 5, 6], [1, 2, 3])
      >>> test.statistic, round(test.superiority, 3)
      (11.5, 0.958)
    """
    import scipy.stats

    first, second = _sample("a", a, nan_policy), _sample("b", b, nan_policy)
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not (first.size and second.size):
        raise ValueError("a or b has no value that is not NaN")
    if np.ptp(np.concatenate([first, second])) == 0:
        return TwoSampleTest(first.size * second.size / 2, 1.0, 0.5)
    result = scipy.stats.mannwhitneyu(first, second, alternative="two-sided")
    return TwoSampleTest(
        float(result.statistic), float(result.pvalue), float(result.statistic) / (first.size * second.size)
    )


def welch_test(a: ArrayLike, b: ArrayLike, *, nan_policy: NanPolicy = "raise") -> TwoSampleTest:
    """Returns Welch's t test of whether two independent samples have the same mean, whatever their deviations.

    Args:
      a: `[S]`.
      b: `[S2]`.
      nan_policy: With 'omit', NaN are left out of either sample.

    Returns:
      The test; `superiority` is that of `mann_whitney_test`, which may point the other way: a mean says how far runs
      lie from one another, ranks only which is ahead.

    Raises:
      ValueError: Fewer than two values are left of a sample, or NaN came and `nan_policy` is 'raise'.

    References:
      Welch, "The Generalization of 'Student's' Problem when Several Different Population Variances are Involved",
      1947 (Biometrika 34).

    Example:
      >>> test = jnas.statistics.welch_test([3, 4, 5, 6], [1, 2, 3])
      >>> round(test.statistic, 3), round(test.p_value, 3)
      (2.887, 0.035)
    """
    import scipy.special

    first, second = _sample("a", a, nan_policy), _sample("b", b, nan_policy)
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if min(first.size, second.size) < 2:
        raise ValueError("a or b has fewer than two values that are not NaN, expected at least two of each")
    superiority = mann_whitney_test(first, second).superiority
    if np.ptp(first) == 0 and np.ptp(second) == 0:  # no deviation, by which t is divided
        gap = float(first[0] - second[0])
        return TwoSampleTest(math.copysign(math.inf, gap) if gap else 0.0, 0.0 if gap else 1.0, superiority)
    parts = [float(np.var(sample, ddof=1)) / len(sample) for sample in (first, second)]
    t = float(first.mean() - second.mean()) / math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(parts, (first, second), strict=True))
    return TwoSampleTest(t, float(2 * scipy.special.stdtr(freedom, -abs(t))), superiority)


def one_sample_p(values: ArrayLike, known: float) -> float | None:
    """Returns the two-sided p of Student's t test that values `[S]` scatter around a known number.

    NaN are left out; None for fewer than two others.
    """
    import scipy.special

    sample = _sample("values", values, "omit")
    sample = sample[~np.isnan(sample)]
    if sample.size < 2:
        return None
    if np.ptp(sample) == 0:
        return float(sample[0] == known)
    t = float(sample.mean() - known) / (float(np.std(sample, ddof=1)) / math.sqrt(sample.size))
    return float(2 * scipy.special.stdtr(sample.size - 1, -abs(t)))


def compare_pairwise(
    samples: Mapping[str, ArrayLike],
    *,
    test: Literal["mann_whitney", "wilcoxon", "welch"] = "mann_whitney",
    nan_policy: NanPolicy = "raise",
) -> PairwiseTests:
    """Returns tests of every pair of searchers, with Holm's correction for their number.

    Args:
      samples: For each searcher's name its values over seeds, `[S]`.
      test: 'mann_whitney' for independent seeds, 'wilcoxon' for seeds that are pairs (the same keys), 'welch' for means
        of independent seeds.
      nan_policy: As in the tests themselves.

    Raises:
      ValueError: There are fewer than two searchers, or a test cannot be taken.

    Example:
      >>> samples = {"random": [1, 2, 3, 2, 1, 2], "evolution": [3, 4, 4, 5, 3, 4], "tpe": [5, 6, 5, 4, 6, 5]}
      >>> tests = jnas.statistics.compare_pairwise(samples)
      >>> dict(zip(tests.pairs, tests.p_holm.round(3).tolist(), strict=True))
      {('random', 'evolution'): 0.014, ('random', 'tpe'): 0.013, ('evolution', 'tpe'): 0.024}
    """
    check_choice("test", test, ("mann_whitney", "wilcoxon", "welch"))
    if len(samples) < 2:
        raise ValueError(f"samples holds {len(samples)} searchers, expected at least two to compare")
    take = {"mann_whitney": mann_whitney_test, "wilcoxon": wilcoxon_test, "welch": welch_test}[test]
    pairs = tuple(itertools.combinations(samples, 2))
    results = [take(samples[first], samples[second], nan_policy=nan_policy) for first, second in pairs]
    statistic, p_value, superiority = (np.array(column, np.float64) for column in zip(*results, strict=True))
    return PairwiseTests(pairs, statistic, p_value, holm_correction(p_value), superiority)


def holm_correction(p_values: ArrayLike) -> Floats:
    """Returns p-values `[C]` adjusted by Holm's step-down method, in the order in which they came.

    Rejecting where the adjusted value is at most alpha keeps the chance of any false rejection at most alpha.

    Raises:
      ValueError: A value is NaN or not in [0, 1].

    References:
      Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979 (Scandinavian Journal of Statistics 6).

    Example:
      >>> jnas.statistics.holm_correction([0.01, 0.04, 0.03]).round(2).tolist()
      [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"p_values are {values}, expected probabilities [C] in [0, 1] without NaN")
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _sample(name: str, values: ArrayLike, nan_policy: NanPolicy) -> Floats:
    """Returns one sample `[S]`."""
    sample = as_samples(name, values, nan_policy)
    if sample.ndim != 1:
        raise ValueError(f"{name} has shape {sample.shape}, expected [S], one value for each seed")
    return sample
