"""A table read for another space, whose architectures stand for cells of it."""

import json

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Space
from jnas.spaces._registry import to_cell
from jnas.tables._file import arch_dtype
from jnas.tables._table import Table

_AT_ONCE = 65_536  # architectures that are looked up in one program


def table_in_space(table: Table, space: Space, *, partly: bool = False) -> Table:
    """Returns the table of another space's architectures, by the numbers that a table has of their cells.

    The space is a sub-space of the table's, such as `jnas.spaces.nasbench101(max_vertices=5)` of a table of
    NAS-Bench-101, or one whose architectures stand for cells of it, such as `jnas.spaces.nasbench1shot1_1()`. Arrays
    are read from the table when they are asked for.

    Args:
      table: The table of cells.
      space: One with an index.
      partly: Whether the table may lack some of the cells, which are then left out.

    Returns:
      A table in the order of the space's index, with a note that says where its numbers are from; runs that another
      row lent (`trained_as`) are not told.

    Raises:
      ValueError: The space has no index, its architectures are no cells of the table's space, or the table lacks some.

    Example:
      >>> cells = jnas.spaces.nasbench101_cells(4)
      >>> whole = jnas.make_table(jnas.spaces.nasbench101(), archs=cells, accuracy={"test": np.arange(91.0)})
      >>> table_in_space(whole, jnas.spaces.nasbench101(max_vertices=3)).num_archs
      7
    """
    if space.size is None or space.from_index is None:
        raise ValueError(f"the space {space.name!r} has no index, expected one that lists its architectures")
    archs, rows = _looked_up(table, space)
    there = rows >= 0
    has = f"the table {table.where} has {int(there.sum()):,} of the {space.size:,} architectures of {_told(space)}"
    if not there.all() and not partly:
        raise ValueError(
            f"{has}, expected all; choose a smaller part, make a table of all, or search with --among known"
        )
    archs, rows = archs[there].astype(arch_dtype(space)), rows[there]
    if len(rows) < 2:
        raise ValueError(f"{has}, expected at least two")
    note = f"read for {_told(space)}: {len(rows):,} architectures, by the numbers of a table of {table.num_archs:,}"
    header = table.header._replace(space=space.config, notes=(*table.header.notes, note))
    names = frozenset(name for name in table.names if not name.startswith("trained_as/"))

    def read(name: str) -> np.ndarray:
        if name == "archs":
            return archs
        values = table.read(name)
        assert values is not None
        chosen: np.ndarray = values[rows]
        return chosen

    return Table(header, names, read, space, table.where)


def _looked_up(table: Table, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Returns a space's architectures int32 `[size, E]`, and the row of each one's cell in a table, -1 for none."""
    assert space.size is not None
    assert space.from_index is not None
    from_index, cell = space.from_index, to_cell(space) or _same
    shapes = jax.eval_shape(lambda row: cell(from_index(row)), jnp.int32(0)).shape
    if shapes != (table.space.num_decisions,) or (cell is _same and space.name != table.space.name):
        raise ValueError(
            f"the table {table.where} is of the space {table.space.name!r}, whose architectures are not those of "
            f"{_told(space)}; choose a table of its cells"
        )
    size, width = space.size, min(space.size, _AT_ONCE)
    encode = jax.jit(jax.vmap(lambda row: (from_index(row), cell(from_index(row)))))
    parts = []
    for start in range(0, size, width):
        archs, cells = encode(jnp.minimum(start + jnp.arange(width), size - 1))
        parts.append((np.asarray(archs), np.asarray(table.index(cells))))
    archs, rows = (np.concatenate(each)[:size] for each in zip(*parts, strict=True))
    return archs, rows


def _same(arch: Array) -> Array:
    return arch


def _told(space: Space) -> str:
    """Returns how a space is called: its name, and which part of it."""
    most = json.loads(space.config).get("max_vertices")
    return space.name if most is None else f"{space.name} with up to {most} vertices"
