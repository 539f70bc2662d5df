"""A table of a user's own numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Space
from jnas.tables._file import Header, Training, arch_dtype, check_archs, member
from jnas.tables._load import table_from_arrays
from jnas.tables._table import Table


def make_table(
    space: Space,
    *,
    accuracy: Mapping[str, Any],
    train_seconds: Any = None,
    archs: Any = None,
    dataset: str = "data",
    epochs: int = 1,
    seeds: Sequence[int] | None = None,
    name: str = "table",
    source: str = "",
) -> Table:
    """Returns a table of your own numbers.

    Args:
      space: The search space.
      accuracy: By split (such as `'validation'` and `'test'`), percent `[N]` or `[N, S]`; NaN where missing.
      train_seconds: Seconds of one epoch of training, `[N]`, `[N, S]` or a number; by default 1.
      archs: Encoded architectures `[N, E]`; by default all of the space in the order of its index.
      dataset: What to call the data set.
      epochs: Epochs of each training.
      seeds: Names of the `S` runs; by default 0, 1, ...
      name: What to call the table.
      source: Where the numbers come from.

    Raises:
      ValueError: Shapes do not fit, an accuracy is infinite, or an architecture is not of the space.

    Example:
      >>> space = jnas.spaces.categorical((2, 3))
      >>> table = jnas.make_table(space, accuracy={"validation": [70, 72, 71, 74, 75, 73]}, train_seconds=30.0)
      >>> jnas.queries.best(table, dataset="data", split="validation", epochs=1)
      Best(arch_index=4, arch='1|1', value=75.0)
    """
    if archs is None:
        if space.from_index is None or space.size is None:
            raise ValueError(f"the space {space.name!r} has no index, so archs is needed: integers [N, E]")
        archs = jax.vmap(space.from_index)(jnp.arange(space.size))
    archs = np.asarray(archs)
    if archs.ndim != 2 or archs.dtype.kind not in "iu":
        raise ValueError(f"archs has shape {archs.shape} and type {archs.dtype}, expected integers [N, E]")
    check_archs(space, archs, "the table")  # before the smaller type, in which a number that is too large may fit
    columns = {split: _two_axes(values, len(archs), f"accuracy[{split!r}]") for split, values in accuracy.items()}
    width = {c.shape[1] for c in columns.values()}
    if len(width) != 1:
        raise ValueError(
            f"accuracy has splits with {sorted(width)} runs, expected the same number in each, at least one"
        )
    slots = tuple(range(width.pop())) if seeds is None else tuple(int(s) for s in seeds)
    seconds = np.ones(len(archs)) if train_seconds is None else np.asarray(train_seconds, np.float32)
    arrays = {
        "archs": archs.astype(arch_dtype(space)),
        member("train_seconds", dataset, epochs): _two_axes(
            np.broadcast_to(seconds, (len(archs), *seconds.shape[1:])), len(archs), "train_seconds"
        ),
    } | {member("accuracy", dataset, epochs, split): values for split, values in columns.items()}
    header = Header(name, space.config, (Training(dataset, epochs, slots),), {}, source)
    return table_from_arrays(header, arrays, space=space)


def _two_axes(values: Any, rows: int, name: str) -> np.ndarray:
    array = np.asarray(values, np.float32)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(f"{name} has shape {np.shape(values)}, expected [{rows}] or [{rows}, S]")
    if np.isinf(array).any():
        raise ValueError(f"{name} holds an infinite number; use NaN for what is missing")
    return array
