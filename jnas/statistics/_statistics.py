"""Statistics over seeds, on the host in float64: means, deviations and quantiles (confidence intervals: `_bootstrap`).

The leading axis `S` of `values [S, ...]` is the seeds; what follows it (points of a curve, data sets) is treated
column by column. A NaN never slips into a statistic: by default it raises, and `nan_policy='omit'` leaves it out of its
own column.
"""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.io._text import not_one_of

NanPolicy = Literal["raise", "omit"]
"""What to do with NaN: raise ValueError, or leave it out."""


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless an argument is one of its choices."""
    if value not in choices:
        raise ValueError(not_one_of(name, value, choices))


def nan_error(name: str, values: NDArray[np.float64], remedy: str) -> ValueError:
    """Returns the error that says how many NaN an argument holds and what to do about them."""
    return ValueError(f"{name} holds {np.count_nonzero(np.isnan(values))} NaN among {values.size} values; {remedy}")


def as_samples(name: str, values: ArrayLike, nan_policy: NanPolicy) -> NDArray[np.float64]:
    """Returns `values [S, ...]` as float64, raising ValueError if it is empty or holds NaN that nobody allowed."""
    check_choice("nan_policy", nan_policy, ("raise", "omit"))
    array = np.asarray(values, np.float64)
    if array.ndim < 1 or array.shape[0] < 1:
        raise ValueError(f"{name} has shape {array.shape}, expected [S, ...] with at least one seed")
    if nan_policy == "raise" and np.isnan(array).any():
        raise nan_error(name, array, "pass nan_policy='omit' to leave them out")
    return array


def mean_over_seeds(values: ArrayLike, *, nan_policy: NanPolicy = "raise") -> NDArray[np.float64]:
    """Returns the mean over seeds.

    Args:
      values: `[S, ...]`.
      nan_policy: With 'omit', each column's mean is over the seeds that have a value there.

    Returns:
      float64 `[...]`; with 'omit', NaN for a column without values.

    Raises:
      ValueError: `values` is empty, or holds NaN and `nan_policy` is 'raise'.

    Example:
      >>> jnas.statistics.mean_over_seeds([[70, 90], [72, np.nan]], nan_policy="omit").tolist()
      [71.0, 90.0]
    """
    samples = as_samples("values", values, nan_policy)
    there = ~np.isnan(samples)
    count = there.sum(axis=0)
    total = np.where(there, samples, 0.0).sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def std_over_seeds(values: ArrayLike, *, ddof: int = 1, nan_policy: NanPolicy = "raise") -> NDArray[np.float64]:
    """Returns the standard deviation over seeds; by default that of a sample (`ddof=1`), unlike `numpy.std`.

    Args:
      values: `[S, ...]`.
      ddof: The divisor is the number of seeds less this. 1 estimates the deviation of the seeds' distribution, 0
        describes these seeds alone (what `numpy.std` and most published scripts give).
      nan_policy: With 'omit', each column's deviation is over the seeds that have a value there.

    Returns:
      float64 `[...]`; NaN for a column with no more than `ddof` values, where it is undefined.

    Raises:
      ValueError: `values` is empty, or holds NaN and `nan_policy` is 'raise'.

    Example:
      >>> values = [70.0, 72.0, 74.0]
      >>> float(jnas.statistics.std_over_seeds(values)), round(float(np.std(values)), 3)
      (2.0, 1.633)
    """
    samples = as_samples("values", values, nan_policy)
    there = ~np.isnan(samples)
    freedom = there.sum(axis=0) - ddof
    deviations = np.where(there, samples - mean_over_seeds(samples, nan_policy="omit"), 0.0)
    variance = (deviations**2).sum(axis=0) / np.maximum(freedom, 1)
    return np.asarray(np.where(freedom > 0, np.sqrt(variance), np.nan))


def quantiles_over_seeds(
    values: ArrayLike, probabilities: ArrayLike, *, nan_policy: NanPolicy = "raise"
) -> NDArray[np.float64]:
    """Returns quantiles over seeds, with linear interpolation between order statistics.

    Args:
      values: `[S, ...]`.
      probabilities: `[Q]` (or one, `[]`) in `[0, 1]`.
      nan_policy: With 'omit', each column's quantiles are over the seeds that have a value there.

    Returns:
      float64 `[Q, ...]` (or `[...]`); with 'omit', NaN for a column without values.

    Raises:
      ValueError: A probability is out of range, or `values` is empty, or holds NaN and `nan_policy` is 'raise'.

    Example:
      >>> jnas.statistics.quantiles_over_seeds([[70], [71], [72], [73], [74]], [0.25, 0.5, 0.75]).tolist()
      [[71.0], [72.0], [73.0]]
    """
    samples = as_samples("values", values, nan_policy)
    levels = np.asarray(probabilities, np.float64)
    if not np.all((levels >= 0) & (levels <= 1)):
        raise ValueError(f"probabilities are {levels}, expected numbers in [0, 1]")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # the answer, NaN, is the documented one
        return np.asarray(np.nanquantile(samples, levels, axis=0))
