"""How good the architectures are that a prediction calls the best, and how its ranking holds in small samples."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.io._fields import describe_fields
from jnas.statistics._rank_correlation import Floats, pairs
from jnas.statistics._statistics import NanPolicy


@describe_fields
class Spread(NamedTuple):
    """The least, a middle and the largest of some numbers.

    Attributes:
      low: The least.
      middle: The mean or the median, as the function says that returns it.
      high: The largest.
    """

    low: float
    middle: float
    high: float


def predicted_best_percentiles(
    truth: ArrayLike, predicted: ArrayLike, k: int, *, nan_policy: NanPolicy = "raise"
) -> Spread:
    """Returns the true percentiles of the `k` architectures that a prediction calls the best: least, median, largest.

    An architecture's percentile is the share of all that are not truly better: 1 for the best, `1 / N` for the worst
    of `N` distinct ones. Where equal predictions compete for the last places, these go to as many of the competing at
    even distances in true order: about what chance would give, and whatever the order in which they are listed.

    Args:
      truth: `[N]`, higher is better.
      predicted: `[N]`, of the same architectures, higher is better.
      k: How many, from 1 to `N`.
      nan_policy: With 'omit', architectures with a NaN on either side are left out.

    Returns:
      Shares in (0, 1]; the middle one is the median.

    Raises:
      ValueError: `k` is out of range, shapes differ, or NaN came and `nan_policy` is 'raise'.

    References:
      Yu et al., "Evaluating the Search Phase of Neural Architecture Search", 2020 (ICLR), whose code takes `k` of 3, 5,
      10 and 20.

    Example:
      >>> truth, predicted = [70, 74, 72, 76], [0.1, 0.8, 0.3, 0.9]
      >>> jnas.statistics.predicted_best_percentiles(truth, predicted, k=2)
      Spread(low=0.75, middle=0.875, high=1.0)
    """
    true, guess = pairs("truth", truth, "predicted", predicted, nan_policy)
    if not 1 <= k <= true.size:
        raise ValueError(f"k is {k}, expected 1 to {true.size}, the number of architectures")
    percentile = np.searchsorted(np.sort(true), true, side="right") / true.size
    last = np.sort(guess)[-k]
    chosen, competing = percentile[guess > last], np.sort(percentile[guess == last])
    places = k - chosen.size
    evenly = ((np.arange(places) + 0.5) * competing.size / places).astype(np.int64)
    best = np.concatenate([chosen, competing[evenly]])
    return Spread(float(best.min()), float(np.median(best)), float(best.max()))


def subset_kendall_tau(
    truth: ArrayLike,
    predicted: ArrayLike,
    size: int,
    rng: np.random.Generator,
    *,
    num_subsets: int = 5,
    nan_policy: NanPolicy = "raise",
) -> Spread:
    """Returns Kendall's tau-b over random subsets of the architectures: least, mean, largest.

    It says how far the figure of a small sample can be trusted: papers give it of ten to a hundred architectures.

    Args:
      truth: `[N]`.
      predicted: `[N]`, of the same architectures.
      size: Architectures in a subset, from 2 to `N`; none comes twice.
      rng: A NumPy generator, which advances.
      num_subsets: How many subsets.
      nan_policy: With 'omit', architectures with a NaN on either side are left out.

    Returns:
      tau-b in [-1, 1]; the middle one is the mean. Subsets that are constant on either side are left out, and it is NaN
      if all are.

    Raises:
      ValueError: A number is out of range, shapes differ, or NaN came and `nan_policy` is 'raise'.

    References:
      Yu et al., "Evaluating the Search Phase of Neural Architecture Search", 2020 (ICLR), whose code takes five subsets
      of 10, 20, 50 and 100 each.

    Example:
      >>> jnas.statistics.subset_kendall_tau(np.arange(50), np.arange(50) ** 2, 10, np.random.default_rng(0))
      Spread(low=1.0, middle=1.0, high=1.0)
    """
    true, guess = pairs("truth", truth, "predicted", predicted, nan_policy)
    if not 2 <= size <= true.size:
        raise ValueError(f"size is {size}, expected 2 to {true.size}, the number of architectures")
    if num_subsets < 1:
        raise ValueError(f"num_subsets is {num_subsets}, expected at least 1")
    rows = np.stack([rng.choice(true.size, size, replace=False) for _ in range(num_subsets)])
    taus = _kendall_of_rows(true[rows], guess[rows])
    taus = taus[np.isfinite(taus)]
    return Spread(float(taus.min()), float(taus.mean()), float(taus.max())) if taus.size else Spread(*[np.nan] * 3)


def _kendall_of_rows(a: Floats, b: Floats) -> Floats:
    """Returns tau-b of each row of `a [R, M]` and `b [R, M]`, by all pairs; NaN where a side is constant."""
    signs: Sequence[NDArray[np.float64]] = [np.sign(x[:, :, None] - x[:, None, :]) for x in (a, b)]
    both, *own = (np.sum(x * y, axis=(1, 2)) for x, y in (signs, [signs[0]] * 2, [signs[1]] * 2))
    untied = np.sqrt(own[0] * own[1])
    return np.asarray(np.where(untied > 0, both / np.maximum(untied, 1), np.nan))
