"""Tables from files and to files, and the one that comes with the package."""

import importlib.resources
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jnas import spaces
from jnas.core._vocabulary import Space
from jnas.io._json_checks import read_object
from jnas.tables._file import EMBEDDED, Header, TableFile, check_archs_shape, check_arrays, save_arrays
from jnas.tables._table import Table

_SPACE_EXAMPLE = '{"num_choices": [2, 3], "names": [["relu", "gelu"], ["16", "32", "64"]]}'


def load_table(path: str | os.PathLike[str] = EMBEDDED, *, space: Space | None = None) -> Table:
    """Returns the table of a file, or the one that comes with the package.

    That one, `'digits'`, has the 15,625 cells of NAS-Bench-201 on scikit-learn's 8x8 digits: `dataset='digits'`, 8
    epochs, splits `'train'`, `'validation'` and `'test'`, with learning curves. One cell of each of the 6,466 published
    classes was trained, some with three seeds; the notes in its header say how it was made.

    Args:
      path: A file that `jnas table import`, `jnas table build` or `save_table` wrote; by default `'digits'`, the
        package's own (unless a file of this name stands here).
      space: The search space, where the file names one that `jnas.spaces.from_config` does not know.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is truncated, foreign or of another version, or contradicts itself or the space.

    Example:
      >>> table = jnas.load_table()
      >>> table.space.name, table.num_archs, [(t.dataset, t.epochs, t.seeds) for t in table.header.trainings]
      ('nasbench201', 15625, [('digits', 8, (0, 1, 2))])
    """
    is_embedded = path == EMBEDDED and not os.path.exists(path)
    file = TableFile(embedded_path() if is_embedded else path)
    space = spaces.from_config(file.header.space) if space is None else space
    check_archs_shape(space, file.shapes["archs"][1], str(path))
    return Table(file.header, frozenset(file.shapes), file.read, space, str(path))


def load_space(name: str) -> Space:
    """Returns a space by its name, or one of a user's own by a file.

    Args:
      name: A name that `jnas.spaces.get` knows; the path of a JSON file (its name ends in `.json`) with the arguments
        of `jnas.spaces.categorical`, or with what `Space.config` holds; or the path of a table, whose space it is.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: There is no such space, or the file describes none.
    """
    if name in spaces.names() or not name.lower().endswith((".json", ".npz")):
        return spaces.get(name)
    if name.lower().endswith(".npz"):
        return spaces.from_config(TableFile(name).header.space)
    arguments = {"kind": "categorical", **read_object(name, "space")}
    try:
        return spaces.from_config(json.dumps(arguments))
    except ValueError as error:
        raise ValueError(f"the space {name}: {error}; expected an object such as {_SPACE_EXAMPLE}") from error


def embedded_path() -> Path:
    """Returns where the package's own table lies."""
    with importlib.resources.as_file(importlib.resources.files("jnas") / "assets" / "digits.npz") as path:
        return path


def table_from_arrays(header: Header, arrays: Mapping[str, np.ndarray], *, space: Space | None = None) -> Table:
    """Returns the table of a header and the members that `jnas.tables._file` lists, as importers give them."""
    check_arrays(header, {name: (array.dtype, array.shape) for name, array in arrays.items()}, header.name)
    space = spaces.from_config(header.space) if space is None else space
    return Table(header, frozenset(arrays), arrays.__getitem__, space, header.name)


def save_table(table: Table, path: str | os.PathLike[str], *, compress: bool = False) -> None:
    """Writes a table to a file that `load_table` reads.

    Args:
      table: What to write.
      path: Where; written beside and renamed.
      compress: Whether to make the file small; then it opens and reads more slowly.

    Raises:
      OSError: The file cannot be written.

    Example:
      >>> space = jnas.spaces.categorical((2, 3))
      >>> jnas.save_table(jnas.make_table(space, accuracy={"validation": [70, 72, 71, 74, 75, 73]}), "mine.npz")
      >>> jnas.load_table("mine.npz").num_archs
      6
    """
    arrays = {name: table.read(name) for name in table.names}
    save_arrays(path, table.header, {n: a for n, a in arrays.items() if a is not None}, compress=compress)
