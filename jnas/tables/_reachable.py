"""What of a table a released sampler can reach at all: a bound that holds whatever its search does."""

from typing import NamedTuple

import numpy as np

from jnas.io._fields import describe_fields
from jnas.spaces._registry import released
from jnas.tables._look_ups import Seed
from jnas.tables._table import Table


@describe_fields
class Reachable(NamedTuple):
    """The part of a table that a sampler can express, and the whole of it, by one column; in the column's unit.

    Attributes:
      num_reachable: Architectures that the sampler can express and the table has.
      num_archs: Architectures of the table.
      best: Of the reachable ones.
      mean: Of the reachable ones.
      rank: Of the best reachable one among all, the best of which has rank 1.
      whole_best: Of all architectures of the table.
      whole_mean: Of all architectures of the table.
    """

    num_reachable: int
    num_archs: int
    best: float
    mean: float
    rank: int
    whole_best: float
    whole_mean: float


def reachable_part(
    table: Table, sampler: str, *, dataset: str, split: str, epochs: int, seed: Seed = "mean", at: int | None = None
) -> Reachable:
    """Returns how many of a table's architectures a released sampler can express, and how good these are.

    Args:
      table: Of a space with released samplers.
      sampler: `'enas'`, `'nao'`, `'darts'` or `'fbnet'`: see `jnas.spaces.released_decisions`.
      dataset: As in `Table.accuracy`, and so the rest.
      split: As there.
      epochs: As there.
      seed: As there, but `'random'`.
      at: As there.

    Raises:
      ValueError: The space has no such sampler, or the table no such column, or no number of a reachable one.

    Example:
      >>> space = jnas.spaces.nasbench101(max_vertices=4)
      >>> table = jnas.make_table(space, accuracy={"test": np.arange(91.0)})
      >>> reachable_part(table, "enas", dataset="data", split="test", epochs=1).num_reachable
      15
    """
    if seed == "random":
        raise ValueError("seed is 'random', expected 'mean' or a seed's name: a bound is of one column")
    values = np.asarray(table.runs("accuracy", dataset, split, epochs, seed, at).value[:, 0], np.float64)
    rows = np.asarray(table.index(released(table.space, sampler).cells()))
    own = values[rows[rows >= 0]]
    if not np.isfinite(own).any():
        raise ValueError(f"the table {table.where} has no accuracy of what {sampler} can express, expected some")
    sign = table.metric.sign
    best = float(sign * np.nanmax(sign * own))
    return Reachable(
        num_reachable=len(own),
        num_archs=len(values),
        best=best,
        mean=float(np.nanmean(own)),
        rank=1 + int(np.sum(sign * values > sign * best)),
        whole_best=float(sign * np.nanmax(sign * values)),
        whole_mean=float(np.nanmean(values)),
    )
