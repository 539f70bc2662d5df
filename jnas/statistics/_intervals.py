"""Intervals of a mean over seeds."""

import numpy as np
from numpy.typing import NDArray

from jnas.statistics._bootstrap import bootstrap_interval

Floats = NDArray[np.float64]


FEWEST = 5  # runs below which no interval is given: a bootstrap draws from these few values alone


def mean_interval(values: Floats) -> tuple[Floats, Floats]:
    """Returns the interval of the mean of `values [S, C]`; NaN where fewer than `FEWEST` runs found something."""
    low, high = bootstrap_interval(values, np.random.default_rng(0), nan_policy="omit")
    enough = (~np.isnan(values)).sum(axis=0) >= FEWEST
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)
