"""A table's space that knows the table's scores without training."""

from jnas.core._vocabulary import Array, Space
from jnas.spaces._columns import with_columns
from jnas.tables._table import Table


def scored_space(table: Table, space: Space | None = None) -> Space:
    """Returns the space of a table with its scores without training, to begin searches by and for predictors to read.

    The columns are those that `jnas proxies --out-table` wrote, by the names of the proxies: `Space.column` gives them
    as they are, and `Space.features` standardised, alone (`'synflow'`) or behind others (`'path+synflow'`).

    Args:
      table: Where scores are looked up; as they are of all cells, and cost nothing, no search peeks at an accuracy.
      space: The space to extend, such as a part of the table's; by default the table's.

    Example:
      >>> table = jnas.load_table("digits")
      >>> jnas.scored_space(table).column_names  # the embedded table has none
      ()
    """
    space = table.space if space is None else space
    names = sorted(name.removeprefix("proxy/") for name in table.names if name.startswith("proxy/"))
    fitting = [name for name in names if name not in space.feature_names and "+" not in name]
    if not fitting:
        return space

    def column(arch: Array, name: str) -> Array:
        return table.proxy(arch, name=name)

    read = [table.read(f"proxy/{name}") for name in fitting]
    return with_columns(space, fitting, column, [each for each in read if each is not None])
