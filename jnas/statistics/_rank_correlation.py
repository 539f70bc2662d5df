"""How well one ranking of architectures predicts another, and how good a rank is, on the host in float64."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.statistics._statistics import NanPolicy, check_choice, nan_error

Floats = NDArray[np.float64]

_PARTS = 1_000  # a sparse bin is cut into so many whole parts, coarser than float32's error, finer than one image
_ROWS = 1_000  # of the pairs that are compared at once
_FEWEST = 5  # architectures, below which no interval is given


def kendall_tau(a: ArrayLike, b: ArrayLike, *, nan_policy: NanPolicy = "raise") -> float:
    """Returns Kendall's tau-b of two sets of scores, in [-1, 1]; NaN if either is constant (it orders nothing).

    Args:
      a: `[N]`.
      b: `[N]`, of the same architectures.
      nan_policy: With 'omit', architectures with a NaN on either side are left out.

    Raises:
      ValueError: Shapes differ, fewer than two architectures are left, or NaN came and `nan_policy` is 'raise'.

    References:
      Kendall, "The treatment of ties in ranking problems", 1945 (Biometrika 33).

    Example:
      >>> round(jnas.statistics.kendall_tau([70, 72, 74, 76], [1, 2, 4, 3]), 3)  # one of six pairs is the wrong way
      0.667
    """
    import scipy.stats  # here, since it takes longer to import than the rest of the package

    return float(scipy.stats.kendalltau(*pairs("a", a, "b", b, nan_policy)).statistic)


def sparse_kendall_tau(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    threshold: float = 0.1,
    bins: Literal["rounded", "floor_adaptive"] = "rounded",
    nan_policy: NanPolicy = "raise",
) -> float:
    """Returns Kendall's tau in which true differences below a threshold do not count, in [-1, 1].

    The true scores are put into bins. The predicted ranking is then read in the same bins: the architecture at place
    `r` of the predicted order gets the bin of the architecture at place `r` of the true order. The result is tau-b of
    the two, 1 when no architecture stands in a wrong bin. Predictions that are equal share their places' mean bin, so
    the order in which the architectures are listed never matters.

    Args:
      truth: `[N]`, the scores that bins are made of.
      predicted: `[N]`, of the same architectures; only their order is used.
      threshold: Width of a bin in the unit of `truth`: 0.1 for percent, 0.001 for fractions.
      bins: 'rounded' rounds to the nearest multiple of the threshold, halves up, and decides in integers, so that
        rounding errors of float32 or float64 change no bin. 'floor_adaptive' is the published computation: the floor
        of `truth` times 1 / threshold in floating point, where a score on a bin's edge falls to either side.
      nan_policy: With 'omit', architectures with a NaN on either side are left out.

    Returns:
      tau-b; NaN if all true scores share a bin or all predictions are equal.

    Raises:
      ValueError: An argument is out of range, shapes differ, or NaN came and `nan_policy` is 'raise'.

    References:
      Yu et al., "Evaluating the Search Phase of Neural Architecture Search", 2020 (ICLR), whose released code numbers
      the distinct floors 0, 1, 2, ... in rising order; tau-b cannot tell these numbers from the floors themselves.

    Example:
      >>> truth, predicted = [70.01, 70.02, 74.0, 76.0], [0.2, 0.1, 0.5, 0.9]
      >>> jnas.statistics.sparse_kendall_tau(truth, predicted), round(jnas.statistics.kendall_tau(truth, predicted), 3)
      (1.0, 0.667)
    """
    check_choice("bins", bins, ("rounded", "floor_adaptive"))
    if not (threshold > 0 and np.isfinite(threshold)):
        raise ValueError(f"threshold is {threshold}, expected a positive number in the unit of truth")
    truth, predicted = pairs("truth", truth, "predicted", predicted, nan_policy)
    if np.isinf(truth).any():
        raise ValueError("truth holds infinities, expected scores that bins can be made of")
    if bins == "rounded":
        # In whole parts of a bin, since 0.15 / 0.1 is 1.4999999999999998: halves would fall to either side.
        parts = np.rint(truth / threshold * _PARTS).astype(np.int64)
        true_bins = (parts + _PARTS // 2) // _PARTS
    else:
        true_bins = np.floor(truth * (1 / threshold)).astype(np.int64)
    _, group = np.unique(predicted, return_inverse=True)
    bins_in_order = np.sort(true_bins)[np.argsort(np.argsort(group, kind="stable"))]  # by predicted place
    mean_bins = np.bincount(group, weights=bins_in_order) / np.bincount(group)
    return kendall_tau(true_bins, mean_bins[group])


def spearman_correlation(a: ArrayLike, b: ArrayLike, *, nan_policy: NanPolicy = "raise") -> float:
    """Returns Spearman's rank correlation of `a [N]` and `b [N]`, ties at their mean rank; NaN if either is constant.

    Raises:
      ValueError: Shapes differ, fewer than two architectures are left, or NaN came and `nan_policy` is 'raise'.

    Example:
      >>> round(jnas.statistics.spearman_correlation([1, 2, 3, 4], [1, 4, 9, 16]), 3)
      1.0
    """
    import scipy.stats

    a, b = pairs("a", a, "b", b, nan_policy)
    return pearson_correlation(scipy.stats.rankdata(a), scipy.stats.rankdata(b))


def pearson_correlation(a: ArrayLike, b: ArrayLike, *, nan_policy: NanPolicy = "raise") -> float:
    """Returns Pearson's correlation of `a [N]` and `b [N]`; NaN if either is constant.

    Raises:
      ValueError: Shapes differ, fewer than two architectures are left, or NaN came and `nan_policy` is 'raise'.

    Example:
      >>> round(jnas.statistics.pearson_correlation([1, 2, 3, 4], [1, 4, 9, 16]), 3)
      0.984
    """
    a, b = pairs("a", a, "b", b, nan_policy)
    # The spread and not the deviation, which rounding makes positive for equal numbers.
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def precision_at_k(truth: ArrayLike, predicted: ArrayLike, k: int, *, nan_policy: NanPolicy = "raise") -> float:
    """Returns the share of the `k` best predicted architectures that are truly among the `k` best.

    Whatever truly equals the `k`-th best is among the best. Where equal predictions compete for the last places, the
    result is the mean over who gets them: a constant prediction scores what chance would.

    Args:
      truth: `[N]`, higher is better.
      predicted: `[N]`, of the same architectures, higher is better.
      k: How many, from 1 to `N`.
      nan_policy: With 'omit', architectures with a NaN on either side are left out.

    Raises:
      ValueError: `k` is out of range, shapes differ, or NaN came and `nan_policy` is 'raise'.

    Example:
      >>> jnas.statistics.precision_at_k([90, 80, 70, 60], [3, 1, 2, 0], k=2)
      0.5
    """
    truth, predicted = pairs("truth", truth, "predicted", predicted, nan_policy)
    if not 1 <= k <= truth.size:
        raise ValueError(f"k is {k}, expected 1 to {truth.size}, the number of architectures")
    best = truth >= np.sort(truth)[-k]
    last = np.sort(predicted)[-k]
    chosen, competing = predicted > last, predicted == last
    places = k - np.count_nonzero(chosen)
    return float((np.count_nonzero(best & chosen) + places * np.mean(best[competing])) / k)


def rank_of(values: ArrayLike, index: ArrayLike, *, nan_policy: NanPolicy = "raise") -> NDArray[np.int64]:
    """Returns the rank of architectures among all, 1 for the best; equal values share the better rank.

    Args:
      values: `[N]`, higher is better.
      index: Which architectures, int `[...]` in `[0, N)`.
      nan_policy: With 'omit', architectures whose value is NaN (missing in a table) take no rank.

    Returns:
      int64 `[...]`: one more than the number of architectures that are better.

    Raises:
      ValueError: An index is out of range or its value NaN, or NaN came and `nan_policy` is 'raise'.

    Example:
      >>> jnas.statistics.rank_of([90, 95, 95, 80], [0, 1, 2]).tolist()
      [3, 1, 1]
    """
    check_choice("nan_policy", nan_policy, ("raise", "omit"))
    values, index = np.asarray(values, np.float64), np.asarray(index)
    if values.ndim != 1:
        raise ValueError(f"values has shape {values.shape}, expected [N]")
    if not np.issubdtype(index.dtype, np.integer):
        raise TypeError(f"index has dtype {index.dtype}, expected integers")
    if nan_policy == "raise" and np.isnan(values).any():
        raise nan_error("values", values, "pass nan_policy='omit' to leave them out of the ranking")
    if np.any((index < 0) | (index >= values.size)):
        raise ValueError(f"index is {index}, expected numbers from 0 to {values.size - 1}")
    if np.isnan(values[index]).any():
        raise ValueError("index names an architecture whose value is NaN: it has no rank")
    ordered = np.sort(values[~np.isnan(values)])
    return np.asarray(ordered.size - np.searchsorted(ordered, values[index], side="right") + 1, np.int64)


def probability_to_surpass_random(rank: ArrayLike, num_archs: int, num_runs: int) -> NDArray[np.float64]:
    """Returns the probability that random search does not reach a rank: `(1 - rank / num_archs) ** num_runs`.

    It is the chance that as many architectures drawn at random, one for each run of the searcher, are all worse than
    the best that its runs found. Of ten runs on the 423,624 cells of NAS-Bench-101 the reference gives 0.07, 0.24 and
    0.62 with shared weights, which are ranks of 96,939, 57,079 and 19,552, and 0.90 and 0.92 without, 4,610 and 3,543.
    The best run alone counts; `compare_with_draws` takes all of them.

    Args:
      rank: `[...]`, the best rank that a searcher reached in `num_runs` runs, 1 for the best: see `rank_of`.
      num_archs: How many architectures there are.
      num_runs: How many runs the searcher had.

    Returns:
      float64 `[...]` in [0, 1).

    Raises:
      ValueError: A rank is not from 1 to `num_archs`, or `num_runs` is not positive.

    References:
      Yu et al., "Evaluating the Search Phase of Neural Architecture Search", 2020 (ICLR).

    Example:
      >>> float(jnas.statistics.probability_to_surpass_random(10, num_archs=1000, num_runs=3).round(3))
      0.97
    """
    ranks = np.asarray(rank, np.float64)
    if not np.all((ranks >= 1) & (ranks <= num_archs)):
        raise ValueError(f"rank is {ranks}, expected 1 (the best) to num_archs = {num_archs}")
    if num_runs < 1:
        raise ValueError(f"num_runs is {num_runs}, expected at least 1")
    return np.asarray((1 - ranks / num_archs) ** num_runs)


def pairs(first: str, a: Any, second: str, b: Any, nan_policy: NanPolicy) -> tuple[Floats, Floats]:
    """Returns two sets of scores `[N]` of the same architectures, without NaN."""
    check_choice("nan_policy", nan_policy, ("raise", "omit"))
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"{first} has shape {a.shape} and {second} {b.shape}, expected [N] for both")
    if nan_policy == "raise":
        for name, values in ((first, a), (second, b)):
            if np.isnan(values).any():
                raise nan_error(name, values, "pass nan_policy='omit' to leave those architectures out")
    there = ~(np.isnan(a) | np.isnan(b))
    if np.count_nonzero(there) < 2:
        raise ValueError(f"{first} and {second} have {np.count_nonzero(there)} architectures in common, expected 2")
    return a[there], b[there]


def kendall_interval(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Returns the 95 % interval of `kendall_tau` over the architectures, which are a sample of all that there could be.

    From the spread of each architecture's own share of agreeing pairs: a U-statistic's standard error, whatever the
    true correlation is. Over seeds of a search there is `mean_interval` instead.

    Args:
      a: `[N]`, without NaN.
      b: `[N]`, of the same architectures.

    Returns:
      Its ends within [-1, 1]; NaN for fewer than five architectures, or where either side is constant.

    References:
      Noether, "Elements of Nonparametric Statistics", 1967, section 10.2; Daniels and Kendall, 1947 (Biometrika 34).
    """
    first, second = pairs("a", a, "b", b, "raise")
    size = first.size
    if size < _FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan, np.nan
    own = np.zeros(size)
    untied = np.zeros(2)
    for start in range(0, size, _ROWS):
        signs = [np.sign(x[start : start + _ROWS, None] - x[None]) for x in (first, second)]
        own[start : start + _ROWS] = np.sum(signs[0] * signs[1], axis=1)
        untied += [np.count_nonzero(sign) for sign in signs]
    scale = size / np.sqrt(untied[0] * untied[1])  # the mean of `scale * own` is tau-b
    half = 1.959963984540054 * 2 * np.std(scale * own, ddof=1) / np.sqrt(size)
    tau = float(np.mean(scale * own))
    return max(-1.0, tau - float(half)), min(1.0, tau + float(half))
