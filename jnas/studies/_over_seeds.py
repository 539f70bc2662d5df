"""Numbers over seeds, and how files of numbers and terminals show them."""

import math
import textwrap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.io._text import number_cell, terminal_width
from jnas.statistics._intervals import FEWEST, Floats, mean_interval
from jnas.statistics._statistics import mean_over_seeds, std_over_seeds

OVER_SEEDS = ("seeds", "mean", "std", "ci_low", "ci_high")
"""The columns of `csv_cells`."""


class OverSeeds(NamedTuple):
    """What numbers come to over seeds, column by column."""

    mean: Floats  # [...], of the seeds that gave a number
    std: Floats  # [...], of a sample (ddof 1); NaN for one seed
    low: Floats  # [...], 95 % bootstrap interval of the mean; NaN for fewer than `FEWEST` seeds that gave a number
    high: Floats  # [...]
    found: NDArray[np.int64]  # [...], seeds that gave a number


def statistics_over_seeds(values: Floats) -> OverSeeds:
    """Returns what `values [S, ...]` come to over seeds, those left out that are NaN."""
    mean, std = (f(values, nan_policy="omit") for f in (mean_over_seeds, std_over_seeds))
    return OverSeeds(mean, std, *mean_interval(values), found=(~np.isnan(values)).sum(axis=0))


def csv_cells(numbers: Any, place: Any, form: str) -> list[Any]:
    """Returns the cells of a row of a file for one place of what has the fields of `OverSeeds`.

    The number of seeds that gave a number, over which mean, standard deviation (ddof 1) and the 95 % bootstrap interval
    of the mean are taken; the deviation is empty for fewer than two of them, the interval for fewer than five.
    """
    told = (numbers.mean, numbers.std, numbers.low, numbers.high)
    return [numbers.found[place], *(number_cell(x[place], form) for x in told)]


def best_rows(means: Floats) -> list[int]:
    """Returns which row of `means [K, C]` is the highest in each column, -1 where nothing is known."""
    return [int(np.nanargmax(column)) if np.isfinite(column).any() else -1 for column in means.T]


def few_words(least: int, noun: str) -> str:
    """Returns the sentence that says why some have no interval, where the least number of seeds is too small."""
    return f" No interval is given for fewer than {FEWEST} {noun}s." if least < FEWEST else ""


def what_lines(words: str, noun: str) -> list[str]:
    """Returns the lines above a table of `mean_text`: what its numbers are, in which unit, over what, then nothing."""
    text = f"{words}: mean over {noun} (standard deviation)"
    return [*textwrap.wrap(text, terminal_width() or 120), ""]


def mean_text(mean: Any, std: Any = math.nan, digits: int = 2) -> str:
    """Returns a mean with its deviation behind it, as far as they are known."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" if math.isnan(std) else f"{mean:.{digits}f} ({std:.{digits}f})"
