"""What a ranking by shared weights is measured against: another training, which is a ceiling, and networks' sizes."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnas.statistics._intervals import Floats
from jnas.statistics._rank_correlation import kendall_interval, kendall_tau
from jnas.tables._file import member
from jnas.tables._look_ups import Seed
from jnas.tables._numbers import table_name
from jnas.tables._table import Table
from jnas.tables._targets import Target

BETWEEN_SEEDS = "another training seed"


class Yardstick(NamedTuple):
    """How well something that needs no shared weights ranks some cells."""

    name: str
    cells: int
    kendall: float  # tau-b
    low: float  # 95 % interval over cells
    high: float


def yardsticks(truth: Any, runs: Any, costs: Mapping[str, Any]) -> list[Yardstick]:
    """Returns how sizes rank cells, and how one training ranks them for another: the mean over pairs of trainings.

    Args:
      truth: `[A]`, higher is better; NaN where unknown.
      runs: `[A, R]`, the same of each training.
      costs: Numbers of each cell `[A]`, by name.
    """
    found = [
        (name, [(np.asarray(truth, np.float64), np.asarray(values, np.float64))]) for name, values in costs.items()
    ]
    columns = np.asarray(runs, np.float64).T
    found.append((BETWEEN_SEEDS, list(itertools.combinations(columns, 2))))
    return [stick for name, each in found if (stick := _yardstick(name, each)) is not None]


def _yardstick(name: str, pairs: Sequence[tuple[Floats, Floats]]) -> Yardstick | None:
    """Returns the mean over pairs of columns `[A]`, or None where none orders anything."""
    taus, counts = [], []
    for pair in pairs:
        there = np.isfinite(pair[0]) & np.isfinite(pair[1])
        a, b = (column[there] for column in pair)
        if len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0:
            taus.append((kendall_tau(a, b), *kendall_interval(a, b)))
            counts.append(len(a))
    return Yardstick(name, max(counts), *map(float, np.mean(taus, axis=0))) if taus else None


def table_yardsticks(table: Table, target: Target, rows: Any) -> list[Yardstick]:
    """Returns the yardsticks of some rows of a table by one of its columns; none where there are none to order."""
    if not len(rows):
        return []
    resolved = table.resolve(target.dataset, target.split)
    place = (*resolved, target.epochs)
    seeds = table.training(resolved[0], target.epochs).seeds
    if member("accuracy", resolved[0], target.epochs, resolved[1]) not in table.names:
        seeds = ()  # of means alone
    asked: list[Seed] = ["mean", *seeds]
    mean, *runs = (table.metric.sign * table.runs("accuracy", *place, seed).value[rows, 0] for seed in asked)
    costs = {}
    for kind, words in (("parameters", "number of parameters"), ("flops", "multiply-adds")):
        names = [member(kind, name) for name in (resolved[0], table_name(target.dataset))]
        known = next((name for name in names if name in table.names), None)
        if known is not None:
            costs[words] = np.asarray(table.read(known))[rows]
    return yardsticks(mean, np.reshape(runs, (len(seeds), len(rows))).T, costs)


def yardsticks_as_json(found: Sequence[Yardstick]) -> list[list[Any]]:
    """Returns yardsticks as config.json says them."""
    return [[s.name, s.cells, *(None if np.isnan(x) else x for x in s[2:])] for s in found]


def yardsticks_from_json(said: Any) -> tuple[Yardstick, ...]:
    """Returns what `yardsticks_as_json` gave; raises TypeError where it says something else."""
    try:
        return tuple(
            Yardstick(str(name), int(cells), *(np.nan if x is None else float(x) for x in (tau, low, high)))
            for name, cells, tau, low, high in said
        )
    except ValueError as error:
        raise TypeError(str(error)) from None
