"""What the numbers of a table can be, and the sentences for numbers that came in another unit or on another scale.

What a source says is checked when it becomes a table: by `make_table` and by the readers.
"""

from typing import Any

import numpy as np

from jnas.tables._file import Training

_ROUNDING = 1e-3  # percent; a float32 of 100 may come out a little above
_LARGEST = float(np.finfo(np.float32).max)
_MOST_EPOCHS = 1_000_000
_NOT_NEGATIVE = (
    "train_seconds",
    "eval_seconds",
    "seconds_at",
    "parameter_count",
    "parameters",
    "flops",
    "latency",
    "device_latency",
    "trained_as",
    "measured",
)
"""Kinds of members in which a negative number has no meaning; accuracies have a range of their own."""

_COUNTS = {"parameters": 1e3, "flops": 1e4}
"""Whole numbers alone, of which some are as large, are counts rather than millions: no table has such networks."""

_MOST = {"parameter_count": 2**31 - 1, "trained_as": 2**31 - 1, "measured": 1}
"""The largest number of each kind of whole numbers, kinds whose members are unsigned integers."""


def check_numbers(kind: str, numbers: np.ndarray, what: str, *, scaled: bool = False) -> None:
    """Refuses numbers that a kind of member cannot hold.

    Args:
      kind: Of the member, as `jnas.tables._file` lists them; `'metric'` where `accuracy...` holds no percent.
      numbers: Of any shape, in the member's unit; NaN where missing.
      what: What holds them, for messages, which go on with "has ...".
      scaled: Whether somebody has said what their unit is, so that no guess is made at it.

    Raises:
      ValueError: One is infinite, negative or out of range, or all of them look like numbers of another unit.
    """
    there = numbers[~np.isnan(numbers)]
    if not there.size:
        return
    low, high = float(there.min()), float(there.max())
    if max(-low, high) > _LARGEST:
        too = "infinite numbers" if np.isinf(there).any() else f"numbers beyond {_LARGEST:.1e}"
        raise ValueError(f"{what} has {too}, expected finite ones; mark what is missing with NaN")
    if kind.startswith("accuracy"):
        if low < 0 or high > 100 + _ROUNDING:
            raise ValueError(
                f"{what} has numbers from {low:g} to {high:g}, expected percent; multiply fractions by 100, and mark "
                "what is missing with NaN"
            )
        if not scaled and are_fractions(there):
            raise ValueError(
                f"{what} {fractions_text(there)} (a scale of 100; a scale of 1 says that they are percent)"
            )
    if kind in _NOT_NEGATIVE and low < 0:
        raise ValueError(
            f"{what} has negative numbers, the lowest {low:g}, expected none; mark what is missing with NaN"
        )
    if kind in _MOST and (high > _MOST[kind] or (there != np.floor(there)).any()):
        raise ValueError(f"{what} has numbers up to {high:g}, expected whole ones up to {_MOST[kind]:,}")
    if not scaled and kind in _COUNTS and high >= _COUNTS[kind] and (there == np.floor(there)).all():
        raise ValueError(
            f"{what} has whole numbers up to {high:,.0f}, which look like counts; expected millions, so give a scale "
            "of 1e-6 (or divide by 1e6)"
        )


def are_fractions(numbers: np.ndarray) -> bool:
    """Returns whether accuracies look like fractions of 1 rather than percent: none is above 1, and some are not 0."""
    there = numbers[~np.isnan(numbers)]
    return bool(there.size) and 0 < float(there.max()) <= 1


def fractions_text(numbers: np.ndarray) -> str:
    """Returns what is to be said of such accuracies, after what holds them."""
    return (
        f"has no number above {float(np.nanmax(numbers)):.4g}, so they look like fractions; expected percent: multiply "
        "them by 100"
    )


def table_name(dataset: str) -> str:
    """Returns what a table calls a data set: `mnist:3.0.1` for `mnist/3.0.1`, since `/` parts the names of members."""
    return dataset.replace("/", ":")


def check_training(training: Any, what: str) -> Training:
    """Returns a training, given as its data set, number of epochs and seeds.

    Raises:
      ValueError: One of these is not of its form.
    """
    dataset, epochs, seeds = training
    whole = type(epochs) is int and 1 <= epochs <= _MOST_EPOCHS and isinstance(seeds, list | tuple)
    named = isinstance(dataset, str) and bool(dataset) and "/" not in dataset
    different = whole and all(type(s) is int and abs(s) < 2**63 for s in seeds) and len(set(seeds)) == len(seeds)
    if not (named and different):
        raise ValueError(
            f"{what}, expected a data set's name without '/', a number of epochs from 1, and a list of different seeds "
            "(empty where only means are known)"
        )
    return Training(dataset, epochs, tuple(seeds))
