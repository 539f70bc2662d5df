"""The curves of a study's report: incumbents against time or evaluations, over runs."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.core._trace_statistics import evaluation_counts
from jnas.statistics._bootstrap import bootstrap_interval
from jnas.statistics._curves import curve_at
from jnas.statistics._intervals import FEWEST, Floats
from jnas.statistics._statistics import mean_over_seeds
from jnas.studies.search._results import SearcherResult
from jnas.studies.search._summary import Comparison

_GRID = 150  # points of a curve
_RESAMPLES = 1_000  # for a curve's band; the table of results takes the default
_SHARE = 0.9  # of the runs must have an incumbent before a curve begins


class Curve(NamedTuple):
    """The value of an entry's incumbents against time or evaluations.

    NaN before nine tenths of the runs have an incumbent and after the last run's end.
    """

    label: str
    entry: int
    grid: Floats  # [G], seconds or evaluations
    mean: Floats  # [G], of the metric (percent)
    low: Floats  # [G], 95 % bootstrap interval of the mean; the mean where there are fewer than `FEWEST` runs
    high: Floats  # [G]
    median: Floats  # [G], of the metric (percent)
    lower_quartile: Floats  # [G], the worse one, whatever the metric
    upper_quartile: Floats  # [G]


def curves(
    comparison: Comparison,
    targets: Sequence[int],
    axis: Literal["seconds", "evaluations"],
    entries: Sequence[int] | None = None,
) -> dict[int, list[Curve]]:
    """Returns, for each target, the curves of entries on a common grid; none where the axis has no extent.

    Args:
      comparison: What to draw.
      targets: Indices of targets.
      axis: The study's clock, or the number of evaluations made.
      entries: Indices of the entries, all by default.
    """
    places = range(len(comparison.entries)) if entries is None else entries
    chosen = [comparison.entries[k] for k in places]
    clocks = [_clock(entry.result, axis) for entry in chosen]
    masks = [np.asarray(entry.result.traces.mask) for entry in chosen]
    grid = _grid(clocks, masks, axis)
    found: dict[int, list[Curve]] = {target: [] for target in targets}
    if grid is None:
        return found
    for k, entry, clock, mask in zip(places, chosen, clocks, masks, strict=True):
        rows = curve_at(grid, clock, np.broadcast_to(np.arange(clock.shape[1]), clock.shape), mask)  # [S, G]
        began = ~np.isnan(rows)
        place = np.where(began, rows, 0).astype(np.intp)
        over = grid > clock[mask].max(initial=0.0) * (1 + 1e-9)
        values = np.stack(
            [np.take_along_axis(np.asarray(entry.result.values[t], np.float64), place, axis=1) for t in targets]
        )
        values = np.where(began & ~over, values, np.nan).transpose(1, 0, 2)  # [S, C, G]
        drawn = (~np.isnan(values)).mean(axis=0) >= _SHARE
        mean = np.where(drawn, mean_over_seeds(values, nan_policy="omit"), np.nan)
        if len(values) >= FEWEST:
            low, high = bootstrap_interval(
                values,
                np.random.default_rng(0),
                method="percentile",
                num_resamples=_RESAMPLES,
                nan_policy="omit",
            )
        else:
            low = high = mean
        sign = comparison.metric.sign
        quartiles = [sign * line for line in _quartiles(sign * values)]
        for i, target in enumerate(targets):
            rest = (np.where(drawn[i], line[i], np.nan) for line in (low, high, *quartiles))
            found[target].append(Curve(entry.label, k, grid, mean[i], *rest))
    return found


def _quartiles(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns median, lower and upper quartile over the runs of scores `[S, C, G]`; NaN counts as the worst."""
    ordered = np.where(np.isnan(values), -np.inf, values)
    lower, median, upper = np.quantile(ordered, [0.25, 0.5, 0.75], axis=0, method="nearest")
    return tuple(np.where(np.isinf(line), np.nan, line) for line in (median, lower, upper))  # type: ignore[return-value]


def _clock(result: SearcherResult, axis: str) -> Floats:
    return np.asarray(result.elapsed if axis == "seconds" else evaluation_counts(result.traces), np.float64)


def _grid(clocks: Sequence[Floats], masks: Sequence[NDArray[np.bool_]], axis: str) -> Floats | None:
    """Returns common points, even in the logarithm; all whole numbers of evaluations where these are few.

    The end of each entry is among them, so that its curve ends with what its runs returned.
    """
    used = [clock[mask & (clock > 0)] for clock, mask in zip(clocks, masks, strict=True)]
    used = [u for u in used if u.size]
    if not used:
        return None
    low, high = min(float(u.min()) for u in used), max(float(u.max()) for u in used)
    if axis == "evaluations" and high <= _GRID:
        return np.arange(1.0, high + 1)
    if not high > low:
        return np.asarray([high])
    grid = np.geomspace(low, high, _GRID)
    grid[-1] = high  # exactly
    grid = np.round(grid) if axis == "evaluations" else grid
    return np.unique([*grid, *(float(u.max()) for u in used)])
