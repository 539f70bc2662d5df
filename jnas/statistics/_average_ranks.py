"""Average ranks of searchers, Friedman's test of them, and Nemenyi's critical difference, on the host in float64."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.io._fields import describe_fields
from jnas.statistics._statistics import NanPolicy, check_choice, nan_error

Floats = NDArray[np.float64]


@describe_fields
class FriedmanTest(NamedTuple):
    """A test of whether `K` searchers have the same average rank over `N` blocks.

    Attributes:
      statistic: Friedman's chi-squared, corrected for ties.
      p_value: Of the statistic, by the chi-squared distribution.
      f_statistic: Iman & Davenport's less conservative form of it.
      f_p_value: Of that form, by the F distribution.
    """

    statistic: float
    p_value: float
    f_statistic: float
    f_p_value: float


@describe_fields
class RankComparison(NamedTuple):
    """What a critical-difference picture shows, from the best average rank to the worst.

    Attributes:
      names: `[K]`, of the searchers, in the order of `ranks`.
      ranks: `[K]`, ascending; 1 is the best.
      test: Friedman's; None for two searchers.
      critical_difference: Average ranks that differ by more differ significantly.
      groups: First and last (inclusive) of names that do not differ, to join with a bar.
    """

    names: tuple[str, ...]
    ranks: Floats
    test: FriedmanTest | None
    critical_difference: float
    groups: tuple[tuple[int, int], ...]


def average_ranks(values: ArrayLike, *, nan_policy: NanPolicy = "raise") -> Floats:
    """Returns the average rank of each searcher over blocks, 1 for the best; equal values share their mean rank.

    Args:
      values: `[N, K]`, `N` blocks (data sets, or seeds) by `K` searchers, higher is better.
      nan_policy: With 'omit', blocks that hold a NaN are left out.

    Returns:
      float64 `[K]`.

    Raises:
      ValueError: The shape is another, nothing is left, or NaN came and `nan_policy` is 'raise'.

    Example:
      >>> jnas.statistics.average_ranks([[90, 85, 80], [70, 75, 60], [50, 50, 40]]).round(2).tolist()
      [1.5, 1.5, 3.0]
    """
    import scipy.stats  # here, since it takes longer to import than the rest of the package

    return np.asarray(scipy.stats.rankdata(-_blocks(values, nan_policy), axis=1).mean(axis=0))


def friedman_test(values: ArrayLike, *, nan_policy: NanPolicy = "raise") -> FriedmanTest:
    """Returns Friedman's test of whether at least three searchers rank alike over blocks.

    Blocks are what the searchers share, such as data sets. With seeds as blocks, a row joins independent runs: that is
    a valid test of whether they differ, if a weaker one than a block that truly pairs them.

    Args:
      values: `[N, K]`, `N >= 2` blocks by `K >= 3` searchers, higher is better.
      nan_policy: With 'omit', blocks that hold a NaN are left out.

    Raises:
      ValueError: There are too few blocks or searchers, or NaN came and `nan_policy` is 'raise'.

    References:
      Friedman, "The Use of Ranks to Avoid the Assumption of Normality", 1937 (JASA 32).
      Iman & Davenport, "Approximations of the Critical Region of the Friedman Statistic", 1980.

    Example:
      >>> test = jnas.statistics.friedman_test([[90, 85, 80], [70, 75, 60], [50, 45, 40], [33, 32, 30]])
      >>> round(test.statistic, 2), round(test.p_value, 3)
      (6.5, 0.039)
    """
    import scipy.stats

    blocks = _blocks(values, nan_policy)
    num_blocks, num_searchers = blocks.shape
    if num_blocks < 2 or num_searchers < 3:
        raise ValueError(
            f"values has {num_blocks} blocks and {num_searchers} searchers, expected at least 2 and 3; "
            "two searchers are for wilcoxon_test"
        )
    if np.all(blocks == blocks[:, :1]):  # nothing but ties: the correction for ties would divide by zero
        return FriedmanTest(0.0, 1.0, 0.0, 1.0)
    statistic, p_value = scipy.stats.friedmanchisquare(*blocks.T)
    freedom = num_searchers - 1
    remainder = num_blocks * freedom - statistic
    if remainder <= 1e-9 * num_blocks * freedom:  # all blocks agree
        return FriedmanTest(float(statistic), float(p_value), float("inf"), 0.0)
    f_statistic = (num_blocks - 1) * statistic / remainder
    f_p_value = scipy.stats.f.sf(f_statistic, freedom, freedom * (num_blocks - 1))
    return FriedmanTest(float(statistic), float(p_value), float(f_statistic), float(f_p_value))


def critical_difference(num_searchers: int, num_blocks: int, *, alpha: float = 0.05) -> float:
    """Returns by how much average ranks must differ to be significant by Nemenyi's test.

    Args:
      num_searchers: `K`, at least 2.
      num_blocks: `N`, over how many blocks ranks were averaged.
      alpha: Chance of any false claim among all pairs, in (0, 1).

    Raises:
      ValueError: An argument is out of range.

    References:
      Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006 (JMLR 7), section 3.2.2.

    Example:
      >>> round(jnas.statistics.critical_difference(4, 30), 3), round(jnas.statistics.critical_difference(4, 120), 3)
      (0.856, 0.428)
    """
    import scipy.stats

    if num_searchers < 2 or num_blocks < 1:
        raise ValueError(f"num_searchers is {num_searchers} and num_blocks {num_blocks}, expected at least 2 and 1")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, expected a probability in (0, 1), for example 0.05")
    quantile = scipy.stats.studentized_range.ppf(1 - alpha, num_searchers, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(num_searchers * (num_searchers + 1) / (6 * num_blocks)))


def compare_ranks(
    samples: Mapping[str, ArrayLike], *, alpha: float = 0.05, nan_policy: NanPolicy = "raise"
) -> RankComparison:
    """Returns average ranks, their test, and which searchers do not differ: a critical-difference picture's data.

    Args:
      samples: For each searcher's name its values over the same blocks, `[N]`, higher is better.
      alpha: Chance of any false claim among all pairs.
      nan_policy: With 'omit', blocks that hold a NaN are left out.

    Returns:
      The comparison. `groups` are the longest runs of neighbours whose first and last differ by less than the
      critical difference; searchers that stand in no common group differ significantly.

    Raises:
      ValueError: There are fewer than two searchers or blocks, lengths differ, or NaN came and `nan_policy` is 'raise'.

    References:
      Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006 (JMLR 7), sections 3.2.1 to 3.2.3.

    Example:
      >>> samples = {"random": [1, 2, 3, 2, 1, 2], "evolution": [3, 4, 4, 5, 3, 4], "tpe": [5, 6, 5, 4, 6, 5]}
      >>> found = jnas.statistics.compare_ranks(samples)
      >>> found.names, found.ranks.round(2).tolist(), found.groups
      (('tpe', 'evolution', 'random'), [1.17, 1.83, 3.0], ((0, 1), (1, 2)))
    """
    columns = [np.asarray(values, np.float64) for values in samples.values()]
    if len(columns) < 2 or any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        shapes = ", ".join(f"{name} {column.shape}" for name, column in zip(samples, columns, strict=True))
        raise ValueError(f"samples holds {shapes or 'nothing'}, expected at least two searchers with [N] values each")
    blocks = _blocks(np.stack(columns, axis=1), nan_policy)
    ranks = average_ranks(blocks)
    order = np.argsort(ranks, kind="stable")
    difference = critical_difference(len(columns), len(blocks), alpha=alpha)
    return RankComparison(
        names=tuple(tuple(samples)[i] for i in order),
        ranks=ranks[order],
        test=friedman_test(blocks) if len(columns) > 2 else None,
        critical_difference=difference,
        groups=_groups(ranks[order], difference),
    )


def _groups(ranks: Floats, difference: float) -> tuple[tuple[int, int], ...]:
    """Returns the maximal ranges `(first, last)` of ascending ranks, at least two, that span less than a difference."""
    groups: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.searchsorted(ranks, rank + difference)) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return tuple(groups)


def _blocks(values: ArrayLike, nan_policy: NanPolicy) -> Floats:
    """Returns blocks `[N, K]` without NaN."""
    check_choice("nan_policy", nan_policy, ("raise", "omit"))
    blocks = np.asarray(values, np.float64)
    if blocks.ndim != 2:
        raise ValueError(f"values has shape {blocks.shape}, expected [N, K], blocks by searchers")
    missing = np.isnan(blocks).any(axis=1)
    if nan_policy == "raise" and missing.any():
        raise nan_error("values", blocks, "pass nan_policy='omit' to leave out the blocks that hold one")
    blocks = blocks[~missing]
    if not blocks.size:
        raise ValueError(f"values has shape {np.shape(values)} and no block without NaN")
    return blocks
