"""What the kinds of studies share: rows that are compared, each over its seeds, by a table of a space."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jnas import spaces
from jnas.core._folder import MADE_WITH
from jnas.core._vocabulary import Space
from jnas.io._text import counted
from jnas.searchers._recorded import arguments_of
from jnas.tables._digest import table_digest
from jnas.tables._metric import ACCURACY, TableMetric, metric_words
from jnas.tables._table import Table


def check_rows(what: str, rows: Any, kind: type, expected: str) -> None:
    """Raises TypeError or ValueError unless an argument maps names to at least one value of a kind."""
    if not isinstance(rows, Mapping):
        raise TypeError(f'{what} is {type(rows).__name__}, expected a mapping such as {{"mine": {what[:-1]}}}')
    if not rows:
        raise ValueError(f"{what} is empty, expected at least one")
    for name, row in rows.items():
        if not isinstance(name, str) or not 1 <= len(name) <= 80:
            raise ValueError(f"{what} has the name {name!r}, expected a string of 1 to 80 characters")
        if not isinstance(row, kind):
            raise TypeError(f"{what}[{name!r}] is {type(row).__name__}, expected {expected}")


def seeds_by_name(rows: Mapping[str, Any], num_seeds: int, num_python_seeds: int) -> dict[str, int]:
    """Returns how many seeds each row gets: fewer where it cannot be compiled."""
    return {n: int(num_seeds if row.compiled else min(num_seeds, num_python_seeds)) for n, row in rows.items()}


def made_with(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a configuration says of what rows are, and of the arguments with which they were made, if known.

    `jnas.core._folder` compares them one by one: folders of before say nothing of them, or not of all.
    """
    told = {name: (row.name, arguments_of(row)) for name, row in rows.items()}
    return {MADE_WITH: {name: {"name": own, **given} for name, (own, given) in told.items() if given}}


def fewer_seeds(seeds: Mapping[str, int], num_seeds: int) -> dict[str, Any]:
    """Returns what a configuration says of rows with fewer seeds than the others, if there are any."""
    fewer = {name: count for name, count in seeds.items() if count < num_seeds}
    return {"fewer_seeds": fewer} if fewer else {}


def seeds_text(config: Mapping[str, Any]) -> str:
    """Returns how many seeds there are, and of which rows fewer."""
    fewer = ", ".join(f"{name} {count:,}" for name, count in config.get("fewer_seeds", {}).items())
    return counted(config["num_seeds"], "seed") + (f" ({fewer})" if fewer else "")


def fewer_lines(runs: Mapping[str, int], most: int, noun: str) -> list[str]:
    """Returns a line on each row that had fewer runs than the most."""
    return [f"{name}: {counted(count, noun)}, the others {most:,}" for name, count in runs.items() if count < most]


def table_words(table: Table | None, curves: Sequence[str] = ()) -> dict[str, Any]:
    """Returns what a configuration says of the table."""
    if table is None:
        return dict.fromkeys(("table_name", "table_path", "table_sha256"))
    return {"table_name": table.header.name, "table_path": table.where, "table_sha256": table_digest(table, curves)} | (
        metric_words(table.metric)
    )


def ranks_among(column: np.ndarray, values: np.ndarray, metric: TableMetric = ACCURACY) -> np.ndarray:
    """Returns the ranks int32 `[...]` of values `[...]` among those of a table's column `[N]`, 1 is the best.

    Equal ones share the better rank; -1 for NaN, and NaN of the column have no rank.
    """
    column, values = (np.float32(metric.sign) * numbers for numbers in (column, values))
    known = np.sort(column[np.isfinite(column)])
    better = len(known) - np.searchsorted(known, values, side="right")
    return np.where(np.isnan(values), -1, better + 1).astype(np.int32)


def known_space(config: str) -> Space | None:
    """Returns the space of a configuration, None where `jnas.spaces.from_config` does not know it."""
    try:
        return spaces.from_config(config)
    except (ValueError, TypeError, KeyError):
        return None
