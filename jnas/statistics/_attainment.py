"""Attainment surfaces: how far runs with two objectives came, as the step functions that so many of them attain."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.io._fields import describe_fields
from jnas.statistics._intervals import Floats

_TAIL = 0.025


@describe_fields
class AttainmentSurface(NamedTuple):
    """The second cost that a share of runs attains at a first cost of at most `grid`.

    Attributes:
      grid: `[G]`, first costs.
      value: `[G]`, infinity where fewer runs attain anything.
      low: `[G]`, lower end of the 95 % interval of that quantile over runs; minus infinity where there are too few runs
        for one (of the median five or less).
      high: `[G]`, its upper end; infinity where so many runs may attain nothing, or there are too few.
    """

    grid: Floats
    value: Floats
    low: Floats
    high: Floats


def attainment_surface(
    costs: ArrayLike, grid: ArrayLike, *, share: float = 0.5, mask: ArrayLike | None = None
) -> AttainmentSurface:
    """Returns the surface that a share of runs attains, of two costs that are minimised.

    Args:
      costs: `[S, N, 2]`, what each of `S` runs found. What is not finite in either does not count.
      grid: First costs `[G]` at which to look.
      share: Of the runs, in (0, 1]; 0.5 for the median surface.
      mask: bool `[S, N]`, which points count; by default all.

    Returns:
      At each of the grid the least second cost that at least this share of the runs attains, with the interval between
      two order statistics of the runs that covers the quantile in at least 95 % of samples (exact, by the binomial).

    Raises:
      ValueError: Shapes differ, or `share` is out of range.

    References:
      Fonseca and Fleming, "On the Performance Assessment and Comparison of Stochastic Multiobjective Optimizers", 1996
      (PPSN IV). Conover, "Practical Nonparametric Statistics", 1999, Section 3.2, on intervals of quantiles.

    Example:
      >>> runs = [[[1, 5], [3, 2]], [[1, 4], [2, 3]], [[2, 1], [9, 0]]]
      >>> jnas.statistics.attainment_surface(runs, [0, 1, 2, 3]).value.tolist()
      [inf, 5.0, 3.0, 2.0]
    """
    points, levels = np.asarray(costs, np.float64), np.asarray(grid, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or not len(points) or levels.ndim != 1:
        raise ValueError(f"costs has shape {points.shape} and grid {levels.shape}, expected [S, N, 2] and [G]")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a share of the runs in (0, 1], such as 0.5")
    counts = np.asarray(np.isfinite(points).all(axis=2))
    if mask is not None:
        counts = counts & np.asarray(mask, bool)
    attained = np.stack([_attained(run[c], levels) for run, c in zip(points, counts, strict=True)])
    ordered = np.sort(attained, axis=0)
    first, place, last = _places(len(points), share)
    low = ordered[first] if first >= 0 else np.full_like(levels, -np.inf)
    high = ordered[last] if last < len(points) else np.full_like(levels, np.inf)
    return AttainmentSurface(levels, ordered[place], low, high)


def _places(runs: int, share: float) -> tuple[int, int, int]:
    """Returns the places, from 0, of the ends of the quantile's interval and of the quantile among so many sorted runs.

    The runs below the quantile are binomial: the interval leaves at most a fortieth of its probability on either side.
    An end may lie outside of the runs, which are too few to have one.
    """
    from scipy.stats import binom  # here, since it takes longer to import than the rest of the package

    place = int(np.ceil(round(runs * share, 9))) - 1  # 0.07 of 100 are 7, whatever the floating point says
    below = binom(runs, share)
    first = int(np.searchsorted(below.cdf(np.arange(runs)), _TAIL, side="right")) - 1
    last = int(np.searchsorted(below.cdf(np.arange(runs)), 1 - _TAIL, side="left"))
    return first, place, last


def _attained(points: NDArray[np.float64], grid: Floats) -> Floats:
    """Returns the least second cost of a run's `points [N, 2]` whose first is at most each of `grid [G]`."""
    points = points[np.argsort(points[:, 0], kind="stable")]
    least = np.append(np.inf, np.minimum.accumulate(points[:, 1]))
    found: Floats = least[np.searchsorted(points[:, 0], grid, side="right")]
    return found
