"""Curves of incumbents: step functions of time or evaluations, their values on a grid, their regret and their area."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.statistics._statistics import NanPolicy, check_choice, nan_error


def curve_at(grid: ArrayLike, elapsed: ArrayLike, values: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """Returns what each run's incumbent was worth at common times.

    A run's curve is a step function: an evaluation counts from the moment at which it ends, until the next one. After
    the last evaluation its value holds, whatever the grid asks for. For a curve against evaluations pass
    `evaluation_counts(trace)` as `elapsed` and numbers of evaluations as `grid`.

    Args:
      grid: Times `[G]`, in the units of `elapsed`.
      elapsed: Time at the end of each row, `[..., T]`, never falling: `elapsed_seconds(trace)`.
      values: What the incumbent is worth after each row, `[..., T]`: `best_so_far(trace).score`, or another accuracy
        of `best_so_far(trace).arch`. NaN where there is no incumbent yet.
      mask: Which rows were used, `[..., T]`; used rows come first.

    Returns:
      float64 `[..., G]`; NaN before the first evaluation, and where `values` is NaN.

    Raises:
      ValueError: Shapes differ, used rows do not come first, or times are NaN or fall.

    Example:
      >>> elapsed, best = [60.0, 120.0, 180.0], [70.0, 70.0, 74.0]
      >>> jnas.statistics.curve_at([30, 100, 500], elapsed, best, np.ones(3, bool)).tolist()
      [nan, 70.0, 74.0]
    """
    grid = np.asarray(grid, np.float64)
    if grid.ndim != 1 or np.isnan(grid).any():
        raise ValueError(
            f"grid has shape {grid.shape}, expected times [G] without NaN; use numpy.linspace or geomspace"
        )
    elapsed, values, mask = _check_rows(elapsed, values, mask)
    curves = np.full((*values.shape[:-1], grid.size), np.nan)
    for run in np.ndindex(values.shape[:-1]):
        used = np.count_nonzero(mask[run])
        last = np.searchsorted(elapsed[run][:used], grid, side="right") - 1
        curves[run] = np.where(last >= 0, values[run][last], np.nan)
    return curves


def area_under_curve(
    elapsed: ArrayLike,
    values: ArrayLike,
    mask: ArrayLike,
    *,
    start: float,
    stop: float,
    scale: Literal["linear", "log"] = "linear",
    nan_policy: NanPolicy = "raise",
) -> NDArray[np.float64]:
    """Returns the mean height of each run's curve between two times, exactly, without a grid.

    The area is divided by the width, so the result has the unit of `values`: the value that the run offers at a time
    drawn uniformly (`scale='linear'`) or log-uniformly (`'log'`) between `start` and `stop`. For the mean over the
    evaluations 1 to N pass `evaluation_counts(trace)` as `elapsed`, `start=1` and `stop=N + 1`.

    Args:
      elapsed: Time at the end of each row, `[..., T]`, never falling.
      values: What the incumbent is worth after each row, `[..., T]`.
      mask: Which rows were used, `[..., T]`; used rows come first.
      start: Where the area begins; positive on the logarithmic scale.
      stop: Where it ends. After a run's last evaluation its value holds.
      scale: Whether time or its logarithm is the axis.
      nan_policy: What to do where a run has no value yet at `start` (its first evaluation ends later, or `values` is
        NaN there): 'raise', or 'omit' to take the mean over the rest of the width.

    Returns:
      float64 `[...]`; with 'omit', NaN for a run that has no value before `stop`.

    Raises:
      ValueError: A run has no value yet at `start` and `nan_policy` is 'raise'; or an argument is out of range.

    Example:
      >>> elapsed, best = [60.0, 120.0, 180.0], [70.0, 70.0, 74.0]
      >>> float(jnas.statistics.area_under_curve(elapsed, best, np.ones(3, bool), start=60, stop=220))
      71.0
    """
    check_choice("scale", scale, ("linear", "log"))
    check_choice("nan_policy", nan_policy, ("raise", "omit"))
    if not start < stop:
        raise ValueError(f"start is {start} and stop is {stop}, expected start < stop")
    if scale == "log" and not start > 0:
        raise ValueError(f"start is {start}, expected a positive time on the logarithmic scale")
    elapsed, values, mask = _check_rows(elapsed, values, mask)
    begins = np.where(mask, np.clip(elapsed, start, stop), stop)  # when each row's value begins to hold
    ends = np.concatenate([begins[..., 1:], np.full_like(begins[..., :1], stop)], axis=-1)
    widths = np.log(ends) - np.log(begins) if scale == "log" else ends - begins
    held = np.where(np.isnan(values), 0.0, widths)
    width = np.log(stop) - np.log(start) if scale == "log" else stop - start
    covered = held.sum(axis=-1)
    # Sums of differences, so the comparison allows for rounding.
    if nan_policy == "raise" and (missing := np.count_nonzero(covered < width * (1 - 1e-9))):
        raise ValueError(
            f"{missing} of {covered.size} runs have no value at start={start}; pass a later start, "
            "or nan_policy='omit' to take their mean over the rest"
        )
    area = np.sum(np.where(held > 0, values, 0.0) * held, axis=-1)
    return np.asarray(np.where(covered > 0, area / np.where(covered > 0, covered, 1.0), np.nan))


def regret(values: ArrayLike, optimum: ArrayLike) -> NDArray[np.float64]:
    """Returns how far values lie below an optimum, float64 `[...]`, in their unit.

    Args:
      values: `[...]`, maximised. A NaN (no incumbent yet) stays a NaN.
      optimum: The best that there is, `[]` or as `values`. Take it from the same split, fidelity and reduction over
        seeds: single seeds lie above the best mean, and their regret is negative.

    Raises:
      ValueError: The optimum is NaN.

    Example:
      >>> jnas.statistics.regret([70.0, 74.0, np.nan], 75.0).tolist()
      [5.0, 1.0, nan]
    """
    optimum = np.asarray(optimum, np.float64)
    if np.isnan(optimum).any():
        raise nan_error("optimum", optimum, "numpy.nanmax leaves out what a table lacks")
    return np.asarray(optimum - np.asarray(values, np.float64))


def _check_rows(
    elapsed: Any, values: Any, mask: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Returns a run's rows as arrays of one shape, checked."""
    elapsed, values = np.asarray(elapsed, np.float64), np.asarray(values, np.float64)
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"mask has dtype {mask.dtype}, expected bool: True for rows that were used")
    if values.ndim < 1 or not elapsed.shape == values.shape == mask.shape:
        raise ValueError(
            f"elapsed has shape {elapsed.shape}, values {values.shape} and mask {mask.shape}, "
            "expected [..., T] for all three"
        )
    if np.any(mask[..., 1:] & ~mask[..., :-1]):
        raise ValueError("mask is True after a False, expected used rows first, as in a Trace")
    if np.isnan(elapsed[mask]).any() or np.any(mask[..., 1:] & (elapsed[..., 1:] < elapsed[..., :-1])):
        raise ValueError(
            "elapsed is NaN or falls within a run, expected the time at the end of each row; "
            "use elapsed_seconds(trace), not trace.seconds"
        )
    return elapsed, values, mask
