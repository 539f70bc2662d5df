"""Columns of a table as objectives beside the score, and as constraints: their names, directions and bounds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from jnas.io._text import did_you_mean
from jnas.tables._file import OBJECTIVE_KINDS

_TIMED = "train_seconds"
_KINDS = (*OBJECTIVE_KINDS, _TIMED)

VIOLATION = "violation"
"""The last of `Objective.objective_names` where there are constraints."""


class CostColumn(NamedTuple):
    """A member of a table with one number for each architecture."""

    name: str  # what the user called it
    member: str  # `jnas.tables._file` lists them
    sign: float  # 1, or -1 where higher is better
    values: np.ndarray  # [N] float32 in the member's unit, NaN where missing

    @property
    def costs(self) -> np.ndarray:
        """The values `[N]` as what is minimised."""
        return np.float32(self.sign) * self.values


class _Readable(Protocol):
    @property
    def names(self) -> frozenset[str]: ...

    def read(self, name: str) -> np.ndarray | None: ...


def cost_columns(table: _Readable, words: Sequence[str], datasets: Sequence[str] = ()) -> list[CostColumn]:
    """Returns the columns that words name, as `cost_column` does; ValueError where two are one column."""
    columns = [cost_column(table, word, datasets) for word in words]
    before: dict[str, str] = {}
    for word, column in zip(words, columns, strict=True):
        if column.member in before:
            named = "twice" if before[column.member] == word else "twice, under two names"
            raise ValueError(f"objectives has the column of {column.name!r} {named}; leave one out")
        before[column.member] = word
    return columns


def cost_column(table: _Readable, word: str, datasets: Sequence[str] = (), what: str = "objectives") -> CostColumn:
    """Returns the column that a word names.

    Args:
      table: The table.
      word: A member as it stands in the file (`hardware/eyeriss_energy`); or `KIND` of the data set that is searched on
        (`parameters`, `flops`, `latency`); or `KIND:NAME`: `energy:eyeriss` is `hardware/eyeriss_energy`, and
        `latency:pixel3` whichever the table has of `device_latency/pixel3` and `hardware/pixel3_latency`.
        `train_seconds` is what an epoch of training takes, the mean over its runs, and `train_seconds:200` of one of
        several trainings. With `=max` or `=min` behind it; lower is better otherwise, of scores without training
        higher.
      datasets: Names of the data set that is searched on.
      what: The argument, for messages.

    Raises:
      ValueError: The table has no such column, or several (measured by different people); the message lists them.
    """
    name, _, direction = word.partition("=")
    kind, _, rest = name.partition(":")
    wanted = [name, f"{kind}/{rest}"] if rest else [name, *(f"{kind}/{each}" for each in datasets)]
    if rest:
        wanted += [f"device_{kind}/{rest}", f"hardware/{rest}_{kind}"]
    known = sorted(n for n in table.names if n.split("/")[0] in _KINDS)
    fits = [each for each in wanted if each in known] or _of_trainings(known, kind, rest, datasets)
    found = fits[0] if fits else None
    if direction not in ("", "min", "max"):
        raise ValueError(f"{what} holds {word!r}, expected a column with =min or =max behind it, or neither")
    if found is None:
        offer = did_you_mean(name, [*known, *map(_spoken, known)]) or ","
        raise ValueError(f"{what} holds {word!r}{offer} expected one of {', '.join(known) or 'none: it has none'}")
    if (rest or kind == _TIMED) and name not in known and len(fits) > 1:
        raise ValueError(f"{what} holds {word!r}, of which the table has several; pass one of {', '.join(fits)}")
    values = table.read(found)
    assert values is not None
    if values.ndim == 2:
        values = _mean_of_runs(values)
    missing = values == 0 if found.startswith("parameter_count/") else np.isnan(values)
    higher = direction == "max" or (not direction and found.startswith("proxy/"))
    return CostColumn(name, found, -1.0 if higher else 1.0, np.where(missing, np.nan, values).astype(np.float32))


def _of_trainings(known: Sequence[str], kind: str, epochs: str, datasets: Sequence[str]) -> list[str]:
    """Returns the members with the seconds of trainings on the data set that is searched on, of so many epochs."""
    for dataset in reversed(datasets):  # the last is the one under which the table has what is searched on
        own = [n for n in known if n.startswith(f"{kind}/{dataset}/") and epochs in ("", n.rpartition("/")[2])]
        if kind == _TIMED and own:
            return own
    return []


def _mean_of_runs(values: np.ndarray) -> np.ndarray:
    """Returns the means `[N]` of values `[N, S]` over the runs that have one, NaN where none has."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(axis=1, dtype=np.float64)
    return np.where(there.any(axis=1), total / np.maximum(there.sum(axis=1), 1), np.nan)


def _spoken(member: str) -> str:
    """Returns a member as `KIND:NAME`."""
    kind, _, name = member.partition("/")
    if kind == _TIMED:
        return f"{kind}:{name.rpartition('/')[2]}"
    if kind == "hardware" and "_" in name:
        device, _, kind = name.rpartition("_")
        return f"{kind}:{device}"
    return f"{kind.removeprefix('device_')}:{name}"


def violations(table: _Readable, at_most: Mapping[str, float], datasets: Sequence[str] = ()) -> np.ndarray:
    """Returns by how much architectures violate bounds, float32 `[N]`: 0 where all hold, NaN where one is not known.

    Args:
      table: The table.
      at_most: Bounds by column, as `cost_column` names them, in the column's unit.
      datasets: As for `cost_column`.

    Returns:
      The sum over bounds of what is above each, as a share of its size (as it is for a bound of 0).

    Raises:
      ValueError: The table has no such column, a column has a direction, or a bound is not finite.
    """
    total: np.ndarray | None = None
    for word, bound in at_most.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not np.isfinite(bound):
            raise ValueError(f"at_most has {bound!r} for {word!r}, expected a finite number in the column's unit")
        if "=" in word:
            raise ValueError(f"at_most has {word!r}, expected a column alone: what is above its bound violates it")
        values = cost_column(table, word, datasets, "at_most").values
        over = np.maximum(values - np.float32(bound), 0) / np.float32(abs(bound) or 1.0)
        total = over if total is None else total + over
    assert total is not None
    return total
