"""What a study with several objectives or constraints asks of a table: its words, its exact front, its bounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnas.io._fields import describe_fields
from jnas.pages._settings import value_text
from jnas.statistics._fronts import exact_front
from jnas.tables._cost_columns import CostColumn, cost_columns, violations
from jnas.tables._look_ups import RunValues
from jnas.tables._metric import TableMetric
from jnas.tables._table import Table


@describe_fields
class TableFront(NamedTuple):
    """What nothing in a table, or among a study's trainings, dominates, of what keeps the constraints.

    Attributes:
      names: Of the `O` objectives, the score first.
      signs: `[O]`, by which a cost is multiplied to be a value again: -1 where higher is better.
      costs: float64 `[F, O]`, minimised, ascending in the first.
      archs: `F` architecture strings.
      fidelity: Number of the fidelity that its scores are of; what runs evaluate at others is no part of a front.
      trained: Whether it is of the trainings that a study made, not of a table.
    """

    names: tuple[str, ...]
    signs: tuple[float, ...]
    costs: np.ndarray
    archs: tuple[str, ...]
    fidelity: int = 0
    trained: bool = False

    @property
    def named(self) -> str:
        """What it is the front of, in words."""
        return "the front of all that was trained" if self.trained else "the table's exact front"

    @property
    def low(self) -> np.ndarray:
        """The least cost `[O]` of each objective on the front."""
        least: np.ndarray = self.costs.min(axis=0)
        return least

    @property
    def width(self) -> np.ndarray:
        """From there to the highest cost on the front `[O]`; 1 where that is nothing."""
        extent: np.ndarray = self.costs.max(axis=0) - self.low
        return np.where(extent > 0, extent, 1.0)

    def shares(self, costs: Any) -> np.ndarray:
        """Returns costs `[..., O]` as shares of what the front extends over: 0 is its best, 1 its worst."""
        scaled: np.ndarray = (np.asarray(costs, np.float64) - self.low) / self.width
        return scaled

    def describe(self) -> dict[str, Any]:
        """Returns the same as config.json says it, of a table."""
        said = {**self._asdict(), "costs": self.costs.tolist()}
        del said["trained"]  # such a front follows from the trainings
        return said


def front_of(said: Mapping[str, Any] | None) -> TableFront | None:
    """Returns the front that config.json describes, if it does.

    Raises:
      KeyError, TypeError: It lacks something, or what it says does not fit together.
    """
    if said is None:
        return None
    try:
        costs = np.asarray(said["costs"], np.float64).reshape(-1, len(said["names"]))
    except ValueError as error:
        raise TypeError(str(error)) from None
    if len(costs) != len(said["archs"]) or len(said["signs"]) != len(said["names"]):
        raise TypeError("its front has not a string for each point")
    names, signs = tuple(map(str, said["names"])), tuple(map(float, said["signs"]))
    return TableFront(names, signs, costs, tuple(said["archs"]), int(said["fidelity"]))


def check_objectives(metric: TableMetric, objectives: Sequence[str], scored: str | None = None) -> tuple[str, ...]:
    """Returns the names of the objectives behind the score.

    Raises:
      ValueError: The first is not the accuracy (the table's metric) that is searched on, or one is there twice.
    """
    first, *others = objectives
    if first not in ("accuracy", metric.name) or len(set(objectives)) < len(objectives):
        raise ValueError(
            f"objectives is {','.join(objectives)}, expected {metric.name}, which is searched on, as the first, "
            f"and then each other column once, as in {metric.name},parameters"
        )
    if scored is not None:
        raise ValueError(f"objective is a score without training, {scored!r}, and objectives came beside it; give one")
    return tuple(others)


def bounds_told(config: Mapping[str, Any]) -> list[str]:
    """Returns the constraints of a study's configuration as words, one for each."""
    return [f"{name} at most {value_text(bound)}" for name, bound in (config.get("at_most") or {}).items()]


def keeps_bounds(table: Table, at_most: Mapping[str, float], datasets: Sequence[str]) -> np.ndarray:
    """Returns which architectures `[N]` keep all bounds; ValueError where none does, or a bound has no column."""
    keeps = violations(table, at_most, datasets) <= 0
    if not keeps.any():
        told = ", ".join(f"{name} of at most {bound:g}" for name, bound in at_most.items())
        raise ValueError(f"no architecture of the table has {told}; give larger bounds")
    return np.asarray(keeps)


def find_front(
    table: Table, runs: RunValues, others: Sequence[str], keeps: np.ndarray | None, datasets: Sequence[str]
) -> TableFront:
    """Returns the exact front of a table.

    Args:
      table: The table.
      runs: What is searched on, at the highest fidelity; the front is of means over runs.
      others: The objectives behind it, as `cost_columns` names them.
      keeps: bool `[N]`, which architectures count; None for all.
      datasets: Names of the data set that is searched on.

    Raises:
      ValueError: The table has no such column, one is there twice, or no architecture has a number in all.
    """
    columns = cost_columns(table, others, datasets)
    value = np.where(runs.num_runs > 0, np.nanmean(np.where(runs.num_runs[:, None] > 0, runs.value, 0), axis=1), np.nan)
    found = front_among(table.metric, value, columns, keeps, lambda row: table.space.to_string(table.archs[row]))
    if found is None:
        raise ValueError(f"no architecture of the table has a number for each of {', '.join(others)}")
    return found


def front_among(
    metric: TableMetric,
    value: np.ndarray,
    columns: Sequence[CostColumn],
    keeps: np.ndarray | None,
    text: Callable[[int], str],
) -> TableFront | None:
    """Returns the front of `N` architectures; None where none counts that has a number in all.

    Args:
      metric: Of the first objective.
      value: `[N]`, in its unit.
      columns: The objectives behind it.
      keeps: bool `[N]`, which architectures count; None for all.
      text: From a row to its architecture string.
    """
    costs = np.stack([-metric.sign * value, *(column.costs for column in columns)], axis=1).astype(np.float64)
    if keeps is not None:
        costs = np.where(keeps[:, None], costs, np.nan)
    rows = exact_front(costs)
    if not len(rows):
        return None
    names = (metric.name, *(column.name for column in columns))
    signs = (-metric.sign, *(column.sign for column in columns))
    return TableFront(names, signs, costs[rows], tuple(text(row) for row in rows))
