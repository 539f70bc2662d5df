"""What the readers of published files share: where a file lies, how its pickle is read, and checks of its numbers."""

import contextlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from jnas.io._members import DAMAGE, damage_said, reason
from jnas.io._pickle_values import BUILDERS, Builder
from jnas.io._restricted_pickle import load
from jnas.io._stream import Stream
from jnas.io._text import short

Progress = Any
"""`progress(done, total)`, called now and then; None for nobody."""

_PLAIN = frozenset((int, float))


def members_named(path: str | os.PathLike[str], end: str) -> dict[str, str]:
    """Returns the files whose names end in a certain way, by their names: in a folder, or in a wheel (a zip archive).

    Raises:
      FileNotFoundError: There is nothing at that path.
      ValueError: It is no folder and no zip archive, or has no such file.
    """
    path = Path(path)
    if path.is_dir():
        found = {each.name: str(each) for each in sorted(path.rglob(f"*{end}"))}
    elif not path.is_file():
        raise FileNotFoundError(f"there is no folder or file at {path}")
    elif path.name.endswith(end):
        found = {path.name: str(path)}
    elif zipfile.is_zipfile(path):
        said = damage_said(lambda why: f"{path} is damaged ({why}); get it again from its source")
        with said, zipfile.ZipFile(path) as archive:
            found = {Path(name).name: name for name in archive.namelist() if name.endswith(end)}
    else:
        raise ValueError(
            f"{path} is no file *{end}, no folder and no wheel with such files, or it is cut off; get it again from "
            "its source"
        )
    if not found:
        raise ValueError(f"{path} has no file *{end}; pass the package's wheel, its folder, or the file itself")
    return found


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], name: str) -> Iterator[tuple[IO[bytes], str]]:
    """Gives a file that `members_named` found, open, and what messages call it.

    Raises:
      ValueError: The archive that holds it is damaged.
    """
    path = Path(path)
    if not zipfile.is_zipfile(path):
        with open(name, "rb") as plain:
            yield plain, name
        return
    where = f"{name} in {path}"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            yield member, where
    except ValueError:  # of what is read, which says what is wrong itself
        raise
    except DAMAGE as error:
        raise ValueError(f"{where} is damaged ({reason(error)}); get it again from its source") from error


def read_pickle(
    path: str | os.PathLike[str], name: str, builders: Mapping[str, Builder] = BUILDERS, containers: int = 2_000_000
) -> tuple[Any, str]:
    """Returns the data of a pickle and what messages call its file; nothing of it is run.

    Raises:
      ValueError: It is cut off, foreign or hostile.
    """
    with opened(path, name) as (file, where):
        return load(Stream(file.read, where), builders=builders, max_containers=containers), where


def entry_number(values: Mapping[Any, Any], name: str, what: str) -> float:
    """Returns a number of an entry.

    Raises:
      ValueError: It has none of that name, or something else.
    """
    found = values.get(name)
    if type(found) not in _PLAIN:
        raise ValueError(f"{what} has {name} = {short(repr(found), 60)}, expected a number; get the file again")
    return float(found)  # type: ignore[arg-type]


def entries_of(root: Any, where: str, benchmark: str) -> dict[Any, Any]:
    """Returns the dictionary of a file whose values are dictionaries.

    Raises:
      ValueError: It is something else.
    """
    if not isinstance(root, dict) or not root or not all(isinstance(value, dict) for value in root.values()):
        raise ValueError(f"{where} is no file of {benchmark}: it holds no entries by architecture")
    return root


def gap_note(known: int, size: int) -> tuple[str, ...]:
    """Returns the note of a table whose source lacks some architectures."""
    lacking = f"{known:,} of {size:,} architectures have numbers, the others are missing"
    return () if known == size else (lacking,)


def archs_by_index(space: Any) -> np.ndarray:
    """Returns all architectures of a space int8 `[size, E]`, in the order of its index."""
    return np.asarray(jax.jit(jax.vmap(space.from_index))(np.arange(space.size))).astype(np.int8)
