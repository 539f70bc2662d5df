"""The best of some architectures drawn at random from all: its exact distribution, and how found ones compare with it.

Nothing is drawn: probabilities come from the sorted scores, on the host in float64.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.io._fields import describe_fields
from jnas.statistics._intervals import mean_interval
from jnas.statistics._statistics import NanPolicy, as_samples, check_choice, nan_error

Floats = NDArray[np.float64]


@describe_fields
class BestOfDraws(NamedTuple):
    """The distribution of the best of some draws: `V` distinct values with their probabilities.

    Attributes:
      value: `[V]`, rising.
      probability: `[V]`, sums to 1.
    """

    value: Floats
    probability: Floats


@describe_fields
class DrawsComparison(NamedTuple):
    """How what `S` runs of a searcher found compares with the best of random draws.

    Attributes:
      difference: Mean over runs less the expected best of the draws, in the scores' unit.
      difference_low: 95 % bootstrap interval; NaN for fewer than five runs.
      difference_high: The upper end of that interval.
      superiority: Probability that a run's result is better than the draws' best, equal ones counted half.
      superiority_low: The same interval of it.
      superiority_high: The upper end of that interval.
      p_value: Two-sided, of runs that are worth what the draws' best is.
    """

    difference: float
    difference_low: float
    difference_high: float
    superiority: float
    superiority_low: float
    superiority_high: float
    p_value: float


def best_of_draws(
    scores: ArrayLike,
    num_draws: int,
    *,
    judged_by: ArrayLike | None = None,
    replacement: bool = True,
    nan_policy: NanPolicy = "raise",
) -> BestOfDraws:
    """Returns the exact distribution of the best of some architectures drawn uniformly from all of a table.

    Args:
      scores: `[N]`, by which the best of the draws is chosen, higher is better.
      num_draws: How many are drawn, at least 1.
      judged_by: `[N]`, what the chosen one is worth, such as test accuracy where `scores` are validation accuracies;
        `scores` themselves by default. Of the drawn that are equal by `scores`, the first is chosen.
      replacement: Whether an architecture may be drawn again. True is right for independent draws: random search, and
        one architecture for each seed. False is right where a search never evaluates an architecture twice; then `N`
        draws reach the best for certain. The two differ little while the draws are few beside `N`.
      nan_policy: With 'omit', architectures with a NaN on either side are not drawn.

    Returns:
      Values with their probabilities; those that cannot come are left out.

    Raises:
      ValueError: `num_draws` is out of range, shapes differ, nothing is left, or NaN came and `nan_policy` is 'raise'.

    References:
      David and Nagaraja, "Order Statistics", 2003, sections 2.1 and 2.5 (the largest of a sample).

    Example:
      >>> found = jnas.statistics.best_of_draws([90, 91, 92, 93], 2)
      >>> found.value.tolist(), found.probability.tolist()
      ([90.0, 91.0, 92.0, 93.0], [0.0625, 0.1875, 0.3125, 0.4375])
    """
    check_choice("nan_policy", nan_policy, ("raise", "omit"))
    score = np.asarray(scores, np.float64)
    worth = score if judged_by is None else np.asarray(judged_by, np.float64)
    if score.ndim != 1 or score.shape != worth.shape:
        raise ValueError(f"scores has shape {score.shape} and judged_by {worth.shape}, expected [N] for both")
    for name, values in (("scores", score), ("judged_by", worth)):
        if nan_policy == "raise" and np.isnan(values).any():
            raise nan_error(name, values, "pass nan_policy='omit' to leave those architectures out")
    there = ~(np.isnan(score) | np.isnan(worth))
    score, worth = score[there], worth[there]
    most = math.inf if replacement else score.size
    if not score.size or not 1 <= num_draws <= most:
        limit = "at least 1" if replacement else f"1 to {score.size} of draws without replacement"
        raise ValueError(f"num_draws is {num_draws} of {score.size} architectures with a score, expected {limit}")
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    below = _all_among_lowest(score.size, num_draws, replacement)[np.concatenate([[0], np.cumsum(size)])]
    each = np.diff(below) / size  # among equal scores, any may be the first
    value, place = np.unique(worth, return_inverse=True)
    probability = np.asarray(np.bincount(place, weights=each[group]), np.float64)
    can = probability > 0
    return BestOfDraws(value[can], probability[can])


def _all_among_lowest(size: int, draws: int, replacement: bool) -> Floats:
    """Returns the probability `[N + 1]` that all draws are among the `n` lowest of `size`, `n` from 0 to `size`."""
    n = np.arange(size + 1, dtype=np.float64)
    if replacement:
        return np.asarray((n / size) ** draws)
    # C(n, k) / C(N, k), whose step from n to n - 1 is a factor of (n - k) / n.
    steps = np.log(np.maximum(n[draws + 1 :] - draws, 1) / n[draws + 1 :])
    inside = np.exp(-np.cumsum(-steps[::-1]))[::-1]  # n from k to N - 1
    return np.concatenate([np.zeros(draws), inside, [1.0]])


def expected_best(distribution: BestOfDraws) -> float:
    """Returns the mean of the best of some draws, in the scores' unit.

    Args:
      distribution: From `best_of_draws`.

    Example:
      >>> jnas.statistics.expected_best(jnas.statistics.best_of_draws([90, 92], 2))
      91.5
    """
    return float(np.sum(distribution.value * distribution.probability))


def best_quantiles(distribution: BestOfDraws, probabilities: ArrayLike) -> Floats:
    """Returns quantiles of the best of some draws: the lowest value that it does not exceed with each probability.

    Args:
      distribution: From `best_of_draws`.
      probabilities: `[...]`, in [0, 1].

    Returns:
      float64 `[...]`, in the scores' unit.

    Raises:
      ValueError: A probability is out of range.

    Example:
      >>> jnas.statistics.best_quantiles(jnas.statistics.best_of_draws([90, 91, 92, 93], 2), [0.05, 0.5]).tolist()
      [90.0, 92.0]
    """
    levels = np.asarray(probabilities, np.float64)
    if not np.all((levels >= 0) & (levels <= 1)):
        raise ValueError(f"probabilities are {levels}, expected numbers in [0, 1]")
    reached = np.cumsum(distribution.probability)
    # A probability that should be met exactly may be missed by rounding.
    place = np.searchsorted(reached, levels - 1e-12 * (levels < 1))
    return distribution.value[np.minimum(place, reached.size - 1)]


def probability_at_least(distribution: BestOfDraws, values: ArrayLike) -> Floats:
    """Returns the probability that the best of some draws reaches values: is as good, or better.

    For `k` draws from distinct scores, one less that of the score of rank `r` is `probability_to_surpass_random` of
    rank `r` in `k` runs.

    Args:
      distribution: From `best_of_draws`.
      values: `[...]`, in the scores' unit.

    Returns:
      float64 `[...]` in [0, 1]; NaN for NaN.

    Example:
      >>> found = jnas.statistics.best_of_draws([90, 91, 92, 93], 2)
      >>> jnas.statistics.probability_at_least(found, [89, 92, 92.5, 94]).tolist()
      [1.0, 0.75, 0.4375, 0.0]
    """
    asked = np.asarray(values, np.float64)
    from_here = np.append(np.cumsum(distribution.probability[::-1])[::-1], 0.0)
    place = np.searchsorted(distribution.value, asked, side="left")
    return np.asarray(np.where(np.isnan(asked), np.nan, from_here[place] / from_here[0]))


def probability_at_most(distribution: BestOfDraws, values: ArrayLike) -> Floats:
    """Returns the probability `[...]` that the best of some draws is no better than values `[...]`; NaN for NaN.

    Example:
      >>> jnas.statistics.probability_at_most(jnas.statistics.best_of_draws([90, 91, 92, 93], 2), [92]).tolist()
      [0.5625]
    """
    asked = np.asarray(values, np.float64)
    up_to = np.append(0.0, np.cumsum(distribution.probability))
    place = np.searchsorted(distribution.value, asked, side="right")
    return np.asarray(np.where(np.isnan(asked), np.nan, up_to[place] / up_to[-1]))


def compare_with_draws(
    found: ArrayLike, distribution: BestOfDraws, *, nan_policy: NanPolicy = "raise"
) -> DrawsComparison:
    """Returns whether what runs of a searcher found differs from the best of random draws, of which all is known.

    Unlike a test against some runs of random search, there is no luck on that side. See `compare_with_tails` for the
    test.

    Args:
      found: `[S]`, one score for each run, in the unit of the distribution's.
      distribution: From `best_of_draws`.
      nan_policy: With 'omit', runs with a NaN are left out.

    Raises:
      ValueError: No run is left, or NaN came and `nan_policy` is 'raise'.

    Example:
      >>> draws = jnas.statistics.best_of_draws(np.arange(1000), 1)
      >>> test = jnas.statistics.compare_with_draws([970, 940, 985], draws)
      >>> round(test.difference, 1), round(test.superiority, 4), round(test.p_value, 5)
      (465.5, 0.9655, 0.00039)
    """
    scores = as_samples("found", found, nan_policy)
    tails = probability_at_least(distribution, scores), probability_at_most(distribution, scores)
    return compare_with_tails(scores, expected_best(distribution), *tails, nan_policy=nan_policy)


def compare_with_tails(
    found: ArrayLike, expected: float, at_least: ArrayLike, at_most: ArrayLike, *, nan_policy: NanPolicy = "raise"
) -> DrawsComparison:
    """Returns `compare_with_draws` from what is kept of a distribution: its mean, and its tails at what was found.

    Each run gives the probability that the draws' best is at least as good, which is uniform where the run is worth
    what that is. The p-value is that of the sum of these over runs (Edgington's additive method), twice that of the
    smaller side, from the exact distribution of a sum of uniform numbers; where scores are equal it is larger than it
    need be, never smaller.

    Args:
      found: `[S]`, one score for each run.
      expected: `expected_best`.
      at_least: `[S]`, `probability_at_least` of each.
      at_most: `[S]`, `probability_at_most` of each.
      nan_policy: With 'omit', runs with a NaN are left out.

    Raises:
      ValueError: Shapes differ, no run is left, or NaN came and `nan_policy` is 'raise'.

    References:
      Edgington, "An additive method for combining probability values from independent experiments", 1972 (The Journal
      of Psychology 80).

    Example:
      >>> test = jnas.statistics.compare_with_tails([93.0, 94.0], 90.0, [0.1, 0.05], [0.9, 0.95])
      >>> round(test.superiority, 3), round(test.p_value, 4)
      (0.925, 0.0225)
    """
    scores, reached, passed = (as_samples("found", each, nan_policy) for each in (found, at_least, at_most))
    if scores.ndim != 1 or not scores.shape == reached.shape == passed.shape:
        raise ValueError(
            f"found, at_least and at_most have shapes {scores.shape}, {reached.shape} and {passed.shape}, expected [S]"
        )
    there = ~np.isnan(scores + reached + passed)
    scores, reached, passed = scores[there], reached[there], passed[there]
    if not scores.size:
        raise ValueError("found holds no run with a score, expected at least one")
    better = (1 - reached + passed) / 2
    sides = (_uniform_sum(reached), _uniform_sum(passed))
    intervals = [mean_interval(values[:, None]) for values in (scores - expected, better)]
    (low, high), (own_low, own_high) = ((float(a[0]), float(b[0])) for a, b in intervals)
    return DrawsComparison(
        float(scores.mean() - expected), low, high, float(better.mean()), own_low, own_high, min(1.0, 2 * min(sides))
    )


def _uniform_sum(parts: Floats) -> float:
    """Returns the probability that as many uniform numbers sum to no more than `parts [S]` do: Irwin and Hall's."""
    n, total = parts.size, Fraction(math.fsum(parts))  # whole numbers, since the terms of alternating signs are huge
    terms = ((-1) ** k * math.comb(n, k) * (total - k) ** n for k in range(math.floor(total) + 1))
    return float(sum(terms, Fraction(0)) / math.factorial(n))
