"""The numbers of a study with several objectives: what its runs attained of the table's front, and how soon."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jnas.io._text import csv_text, number_cell
from jnas.statistics._attainment import AttainmentSurface, attainment_surface
from jnas.statistics._bootstrap import bootstrap_interval
from jnas.statistics._curves import curve_at
from jnas.statistics._fronts import additive_epsilon, hypervolume
from jnas.statistics._intervals import FEWEST, Floats
from jnas.studies.search._curves import Curve
from jnas.studies.search._objectives import TableFront
from jnas.studies.search._results import SearcherResult, StudyResults

REFERENCE = 1.1
"""Of hypervolumes, in units in which the table's front reaches from 0 to 1 in each objective."""

MOST_MEASURED = 3
"""Objectives of which there is a hypervolume."""

_GRID = 100
_COUNTS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Progress(NamedTuple):
    """How the fronts of an entry's `S` runs grew: `K` evaluations of each that nothing before dominated."""

    costs: NDArray[np.float32]  # [S, K, O], as shares of what the table's front extends over
    mask: NDArray[np.bool_]  # [S, K]
    rows: NDArray[np.intp]  # [S, K], of the trace
    volume: Floats  # [S, K], hypervolume after each, as a share of the table's front's


class FrontFinals(NamedTuple):
    """What an entry's runs had found after some evaluations."""

    evaluations: int
    mean: float  # hypervolume regret, as a share of the front's; NaN of more than three objectives
    low: float  # 95 % bootstrap interval; NaN for few runs
    high: float
    epsilon: float  # mean additive epsilon, as a share of what the front extends over


def front_progress(result: SearcherResult, front: TableFront) -> Progress:
    """Returns what runs found, by the objectives of their study.

    Only what keeps the constraints counts, and evaluations of the fidelity that the front is of.
    """
    further = result.traces.objectives
    assert further is not None
    num = len(front.names)
    costs = np.concatenate([-np.asarray(result.traces.score)[..., None], np.asarray(further)[..., : num - 1]], axis=-1)
    costs = front.shares(costs).astype(np.float32)
    counts = np.asarray(result.traces.mask & result.traces.valid) & np.isfinite(costs).all(axis=-1)
    counts &= np.asarray(result.traces.fidelity) == front.fidelity
    rows, mask = _improving(costs, counts)
    kept = np.take_along_axis(costs, rows[..., None], axis=1)
    whole = _volumes(front.shares(front.costs).astype(np.float32)[None], np.ones((1, len(front.costs)), bool))[0, -1]
    return Progress(kept, mask, rows, _volumes(kept, mask) / whole)


def _improving(costs: NDArray[np.float32], counts: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Returns the rows `[S, K]` that no earlier row is as good as in all objectives, and which of them there are."""
    seen = np.where(counts[..., None], costs, np.inf)
    new = counts.copy()
    for row in range(1, costs.shape[1]):
        as_good: NDArray[np.bool_] = np.all(seen[:, :row] <= seen[:, row, None], axis=2)
        new[:, row] &= ~np.any(as_good, axis=1)
    most = 1 << int(max(new.sum(axis=1).max(), 1) - 1).bit_length()  # few sizes, few programs
    rows = np.argsort(~new, axis=1, kind="stable")[:, :most]
    rows = np.pad(rows, ((0, 0), (0, most - rows.shape[1])))
    return rows, np.arange(most)[None] < new.sum(axis=1)[:, None]


@jax.jit
def _volumes_of(costs: jax.Array, mask: jax.Array) -> jax.Array:
    steps = np.tri(costs.shape[1], dtype=bool)
    reference = [REFERENCE] * costs.shape[2]

    def of_run(own: jax.Array, there: jax.Array) -> jax.Array:
        after: jax.Array = jax.lax.map(lambda step: hypervolume(own, reference, there & step), steps)
        return after

    volumes: jax.Array = jax.vmap(of_run)(costs, mask)
    return volumes


def _volumes(costs: NDArray[np.float32], mask: NDArray[np.bool_]) -> Floats:
    """Returns hypervolumes `[S, K]` after each of the points `[S, K, O]`; of more than three objectives NaN."""
    if costs.shape[2] > MOST_MEASURED:
        return np.full(mask.shape, np.nan)
    return np.asarray(_volumes_of(costs, mask), np.float64)


def volume_curves(
    results: Sequence[tuple[int, str, SearcherResult]], progress: Sequence[Progress], axis: str
) -> list[Curve]:
    """Returns hypervolumes against evaluations or seconds, as shares of the front's: one curve for each entry."""
    clocks = []
    for (_, _, result), own in zip(results, progress, strict=True):
        each = np.asarray(result.elapsed, np.float64)
        numbers = np.arange(1, each.shape[1] + 1, dtype=np.float64)
        clocks.append(
            np.take_along_axis(each if axis == "seconds" else np.broadcast_to(numbers, each.shape), own.rows, 1)
        )
    used = [clock[own.mask & (clock > 0)] for clock, own in zip(clocks, progress, strict=True)]
    used = [each for each in used if each.size]
    if not used:
        return []
    low, high = min(float(each.min()) for each in used), max(_end(result, axis) for _, _, result in results)
    if not high > low:
        return []
    grid = np.geomspace(low, high, _GRID)
    grid = np.unique(np.round(grid)) if axis == "evaluations" else grid
    return [
        _curve(label, entry, grid, clock, own)
        for (entry, label, _), clock, own in zip(results, clocks, progress, strict=True)
    ]


def _end(result: SearcherResult, axis: str) -> float:
    mask = np.asarray(result.traces.mask)
    return float(mask.sum(axis=1).max() if axis == "evaluations" else np.asarray(result.elapsed)[mask].max(initial=0))


def _curve(label: str, entry: int, grid: Floats, clock: Floats, own: Progress) -> Curve:
    values = np.nan_to_num(_volume_at(grid, clock, own))  # nothing has no volume
    mean: Floats = np.mean(values, axis=0, dtype=np.float64)
    low, high = _interval(values, mean)
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75], axis=0, method="nearest")
    return Curve(label, entry, grid, mean, low, high, median, lower, upper)


def _volume_at(grid: Floats, clock: Floats, own: Progress) -> Floats:
    times = np.where(own.mask, clock, 0.0)
    return curve_at(grid, np.maximum.accumulate(times, axis=1), own.volume, own.mask)


def _interval(values: Floats, mean: Floats) -> tuple[Floats, Floats]:
    if len(values) < FEWEST:
        return mean, mean
    found = bootstrap_interval(values, np.random.default_rng(0), method="percentile", num_resamples=1_000)
    return found.low, found.high


def front_finals(result: SearcherResult, own: Progress, front: TableFront) -> list[FrontFinals]:
    """Returns regrets of hypervolume at round numbers of evaluations and at the end.

    NaN where there is none to tell: of more than three objectives, or where nothing of any run counts for the front.
    """
    most = int(np.asarray(result.traces.mask).sum(axis=1).max(initial=1))
    counts = [*(count for count in _COUNTS if count < most), most]
    volumes = np.nan_to_num(_volume_at(np.asarray(counts, np.float64), 1 + own.rows.astype(np.float64), own))
    regrets: Floats = 1 - volumes
    mean: Floats = np.mean(regrets, axis=0, dtype=np.float64)
    low, high = _interval(regrets, mean) if len(regrets) >= FEWEST else (np.full_like(mean, np.nan),) * 2
    nothing = not own.mask.any()
    if own.costs.shape[2] > MOST_MEASURED or nothing:
        mean, low, high = (np.full_like(mean, np.nan),) * 3
    whole = front.shares(front.costs)
    found = []
    for i, count in enumerate(counts):
        there = own.mask & (own.rows < count)
        epsilons = [additive_epsilon(costs[m], whole) for costs, m in zip(own.costs, there, strict=True)]
        epsilon = math.nan if nothing else float(np.mean(epsilons))
        found.append(FrontFinals(count, float(mean[i]), float(low[i]), float(high[i]), epsilon))
    return found


def attained(own: Progress, column: int, share: float, grid: Floats) -> AttainmentSurface:
    """Returns the least first cost that a share of runs attains at each of `grid [G]` of another objective."""
    return attainment_surface(own.costs[:, :, [column, 0]], grid, share=share, mask=own.mask)


def fronts_csv(results: StudyResults) -> str | None:
    """Returns a row for each searcher and number of evaluations; None where there is one objective."""
    front = results.front
    if front is None:
        return None
    rows = []
    for searcher in results.searchers:
        for found in front_finals(searcher, front_progress(searcher, front), front):
            rows.append([searcher.name, found.evaluations, *(number_cell(number, ".6f") for number in found[1:])])
    return csv_text(("searcher", "evaluations", "hypervolume_regret", "low", "high", "additive_epsilon"), rows)
