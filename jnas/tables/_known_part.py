"""The part of a table of which all is known that a search needs."""

from collections.abc import Sequence

import numpy as np

from jnas.tables._load import table_from_arrays
from jnas.tables._look_ups import Seed
from jnas.tables._objective import fidelity_levels
from jnas.tables._table import Table


def known_part(
    table: Table,
    *,
    dataset: str,
    split: str,
    epochs: int | Sequence[int],
    seed: Seed = "mean",
    at: int | Sequence[int] | None = None,
) -> Table:
    """Returns the table of the architectures that have the accuracy at every fidelity that a search looks at.

    For a table with numbers of a part of its space, such as published subsets of NAS-Bench-101. Searchers on it are
    made for `jnas.spaces.subset(table.space, known.archs)`, so that they stay among these architectures.

    Args:
      table: The whole table.
      dataset: As in `Table.objective`, and so the rest.
      split: The split searched on.
      epochs: One training, or several.
      seed: Which run.
      at: Points of one training's curve.

    Returns:
      A table of these rows in their order, with a note that says so; the same object if all are known.

    Raises:
      ValueError: As `Table.objective`; or fewer than two architectures are known.

    Example:
      >>> space = jnas.spaces.categorical((2, 3))
      >>> table = jnas.make_table(space, accuracy={"validation": [70, 72, np.nan, 74, np.nan, 73]})
      >>> known = jnas.known_part(table, dataset="data", split="validation", epochs=1)
      >>> [space.to_string(arch) for arch in known.archs]
      ['0|0', '0|1', '1|0', '1|2']
    """
    levels = fidelity_levels(epochs, at)
    rows = np.flatnonzero(_known(table, dataset, split, epochs, seed, at))
    if len(rows) == table.num_archs:
        return table
    if len(rows) < 2:
        raise ValueError(
            f"the table knows {len(rows)} architectures with all that is searched on, expected at least two: "
            f"{dataset} {split} after {', '.join(str(e) for e, _ in levels)} epochs"
        )
    arrays = {}
    for name in table.names - {n for n in table.names if n.startswith("trained_as/")}:  # which counts rows
        array = table.read(name)
        assert array is not None
        arrays[name] = array[rows]
    done = " and ".join(str(e if a is None else a) for e, a in levels)
    note = (
        f"only the {len(rows):,} of {table.num_archs:,} architectures of which the {dataset} {split} accuracy after "
        f"{done} epochs is known: searches stay among them, and the optimum is theirs"
    )
    header = table.header._replace(notes=(*table.header.notes, note))
    return table_from_arrays(header, arrays, space=table.space)


def known_share(
    table: Table,
    *,
    dataset: str,
    split: str,
    epochs: int | Sequence[int],
    seed: Seed = "mean",
    at: int | Sequence[int] | None = None,
) -> float:
    """Returns which share of a table `known_part` leaves; arguments and errors as there."""
    return float(_known(table, dataset, split, epochs, seed, at).mean())


def _known(
    table: Table, dataset: str, split: str, epochs: int | Sequence[int], seed: Seed, at: int | Sequence[int] | None
) -> np.ndarray:
    runs = [table.runs("accuracy", dataset, split, e, seed, a) for e, a in fidelity_levels(epochs, at)]
    return np.asarray(np.all([r.num_runs > 0 for r in runs], axis=0))
