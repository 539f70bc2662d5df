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

    For a table with numbers of a part of its space: one that lists only a part, such as published subsets of
    NAS-Bench-101, has no number for the rest, or not of the training seed. Searchers on it are made for
    `jnas.spaces.subset(table.space, known.archs)`, so that they stay among these architectures.

    Args:
      table: The whole table.
      dataset: As in `Table.objective`, and so the rest.
      split: The split searched on.
      epochs: One training, or several.
      seed: Which run.
      at: Points of one training's curve.

    Returns:
      A table of these rows in their order, with a note that says so; the same object if all of the space is known,
      which is never so of a space without an index.

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
    rows = np.flatnonzero(known_rows(table, dataset=dataset, split=split, epochs=epochs, seed=seed, at=at))
    whole = whole_size(table)
    listed_alone = table.space.size is None  # such a space has more than any table lists
    if len(rows) == table.num_archs == whole and not listed_alone:
        return table
    if len(rows) < 2:
        raise ValueError(
            f"the table knows {len(rows)} architectures with all that is searched on, expected at least two: "
            f"{dataset} {split} after {', '.join(str(e) for e, _ in levels)} epochs"
        )
    arrays = {}
    counting_rows = {n for n in table.names if n.startswith("trained_as/")} if len(rows) < table.num_archs else set()
    for name in table.names - counting_rows:
        array = table.read(name)
        assert array is not None
        arrays[name] = array[rows]
    done = " and ".join(str(e if a is None else a) for e, a in levels)
    of_seed = "" if seed in ("mean", "random") else f" of training seed {seed}"
    of = f"of {whole:,} architectures" + (" listed" if listed_alone else "")
    note = (
        f"only the {len(rows):,} {of} of which the {dataset} {split} accuracy after "
        f"{done} epochs{of_seed} is known: searches stay among them, and the optimum is theirs"
    )
    header = table.header._replace(notes=(*table.header.notes, note))
    part = table_from_arrays(header, arrays, space=table.space)
    part.is_known_part = True
    return part


def whole_size(table: Table) -> int:
    """Returns how many architectures the space of a table has; where it has no index, how many the table lists."""
    return table.num_archs if table.space.size is None else table.space.size


def known_share(
    table: Table,
    *,
    dataset: str,
    split: str,
    epochs: int | Sequence[int],
    seed: Seed = "mean",
    at: int | Sequence[int] | None = None,
) -> float:
    """Returns which share of its space a table's `known_part` is; arguments and errors as there."""
    rows = known_rows(table, dataset=dataset, split=split, epochs=epochs, seed=seed, at=at)
    return 0.0 if table.space.size is None else float(rows.sum()) / whole_size(table)


def known_rows(
    table: Table,
    *,
    dataset: str,
    split: str,
    epochs: int | Sequence[int],
    seed: Seed = "mean",
    at: int | Sequence[int] | None = None,
) -> np.ndarray:
    """Returns which of a table's architectures have the accuracy at every fidelity, bool `[N]`; as `known_part`."""
    runs = table.searched_runs("accuracy", dataset, split, epochs, seed, at)
    return np.asarray(np.all([r.num_runs > 0 for r in runs], axis=0))
