"""Curves of incumbents: step functions of time or evaluations, their values on a grid, their regret and their area."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas._statistics import NanPolicy, check_choice

__all__ = ["area_under_curve", "curve_at", "regret"]

Floats = NDArray[np.float64]


def curve_at(grid: ArrayLike, elapsed: ArrayLike, values: ArrayLike, mask: ArrayLike) -> Floats:
    """Returns what each run's incumbent was worth at common times.

    A run's curve is a step function: an evaluation counts from the moment at which it ends, until the next one. After
    the last evaluation its value holds, whatever the grid asks for. For a curve against evaluations pass
    `evaluation_counts(trace)` as `elapsed` and numbers of evaluations as `grid`.

    Args:
      grid: Times `[G]`, in the units of `elapsed`.
      elapsed: Time at the end of each row, `[..., T]`, not falling: `elapsed_seconds(trace)`.
      values: What the incumbent is worth after each row, `[..., T]`: `best_so_far(trace).score`, or another accuracy
        of `best_so_far(trace).arch`. NaN where there is no incumbent yet.
      mask: Which rows were used, `[..., T]`; used rows come first.

    Returns:
      float64 `[..., G]`; NaN before the first evaluation and wherever `values` is NaN.

    Raises:
      ValueError: Shapes differ, used rows do not come first, or times are NaN or fall.
    """
    grid = np.asarray(grid, np.float64)
    if grid.ndim != 1 or np.isnan(grid).any():
        raise ValueError(f"grid has shape {grid.shape}, expected [G] times without NaN")
    elapsed, values, mask = _rows(elapsed, values, mask)
    curves = np.full((len(values), grid.size), np.nan)
    for curve, ends, value, used in zip(curves, elapsed, values, mask.sum(axis=-1), strict=True):
        last = np.searchsorted(ends[:used], grid, side="right") - 1
        curve[last >= 0] = value[last[last >= 0]]
    return curves.reshape(*_batch_shape, grid.size)
