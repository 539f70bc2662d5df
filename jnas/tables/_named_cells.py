"""Cells as a user names them on the command line: architecture strings, indices, and published names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jnas.io._text import short

if TYPE_CHECKING:
    import numpy as np

    from jnas.core._vocabulary import Space


def read_cells(words: Sequence[str], space: "Space") -> "list[int | np.ndarray]":
    """Returns what words name, an index or an architecture `[E]` each, checked; starts no device.

    Args:
      words: Architecture strings of the space, names by which people know some, such as `ResNet` or `DARTS_V2`, or
        indices, such as `1234` or `#1234`.
      space: Of one without an index, strings alone; indices of `nasbench101` are the rows of `nasbench101_cells`.

    Raises:
      ValueError: There is no word, or one names no cell of the space.
    """
    if not words:
        more = "" if space.size is None else " or indices, such as 1234"
        raise ValueError(f"no architecture was given; pass architecture strings{more}")
    return [_read(word, space) for word in words]


def _read(word: str, space: "Space") -> "int | np.ndarray":
    number = word.strip().removeprefix("#")
    if number.isdecimal() and space.size is not None:
        if int(number) >= space.size:
            raise ValueError(f"the index {number} is not of {space.name}, whose indices are 0 to {space.size - 1:,}")
        return int(number)
    if number.isdecimal():
        fewer = ", or fewer nodes, such as --nodes 2, whose cells have" if "num_nodes" in space.config else ""
        raise ValueError(f"{word.strip()!r} is a number, and cells of {space.name} have none; give strings{fewer}")
    return read_arch(word, space)


def read_arch(word: str, space: "Space") -> "np.ndarray":
    """Returns the architecture `[E]` that a string or a published name says, checked.

    Raises:
      ValueError: It is none of the space; the message quotes the word.
    """
    from jnas.spaces._registry import check_arch, from_name

    text, quoted = from_name(space, word), short(word.strip(), 200)
    try:
        arch = space.from_string(text)
        check_arch(space, arch)
    except ValueError as error:
        raise error if quoted[:100] in str(error) else ValueError(f"{quoted}: {error}") from None
    return arch


def find_cells(cells: "Sequence[int | np.ndarray]", space: "Space") -> "dict[int, np.ndarray]":
    """Returns architectures int32 `[E]` by their index, in the order given; of isomorphic cells the first alone.

    In a space without an index they are numbered from 0.

    Args:
      cells: From `read_cells`.
      space: The same. The cells of `nasbench101` are enumerated, which takes some seconds, once in a process.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    found: dict[int, np.ndarray] = {}
    if space.index is None or space.from_index is None:
        given = np.asarray(cells, np.int32)
        prints = np.asarray(jax.vmap(space.fingerprint)(jnp.asarray(given)))
        first = sorted(np.unique(prints, axis=0, return_index=True)[1].tolist())
        return {number: given[row] for number, row in enumerate(first)}
    rows = jnp.asarray([cell if isinstance(cell, int) else 0 for cell in cells], jnp.int32)
    archs = np.array(jax.vmap(space.from_index)(rows), np.int32)
    for row, cell in enumerate(cells):
        if not isinstance(cell, int):
            archs[row] = cell
    indices = np.asarray(jax.vmap(space.index)(jnp.asarray(archs)))
    for index, arch in zip(indices.tolist(), archs, strict=True):
        found.setdefault(index, arch)
    return found
