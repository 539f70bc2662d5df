"""Archives of arrays, `.npz` without pickles: written whole or not at all, and checked before anything is built."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.io._atomic import replacing
from jnas.io._members import announced, damage_said, list_members, open_archive, read_header, read_member
from jnas.io._seal import SEAL, sealed, unseal

_HEADER = "header"

Check = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], None]
"""Of a header, and of arrays that have the type and shape of the file's but not its data; raises ValueError."""


class Archive(NamedTuple):
    """What a file holds."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_archive(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, compress: bool = False
) -> None:
    """Writes a JSON header and arrays to a file, beside it and renamed, under a seal over both.

    Raises:
      OSError: The file cannot be written; the message says which and why.
    """
    held = {name: np.asarray(array) for name, array in arrays.items()}
    packed = np.frombuffer(json.dumps(sealed(header, held)).encode(), np.uint8)
    save = np.savez_compressed if compress else np.savez
    with replacing(path) as file:
        save(file, allow_pickle=False, **{_HEADER: packed, **held})


def read_archive(
    path: str | os.PathLike[str], *, kind: str, remedy: str, check: Check = lambda header, arrays: None
) -> Archive:
    """Returns what `write_archive` wrote.

    Nothing in the file is run, and no member is read whose size is not the one that its own header gives.

    Args:
      path: The file.
      kind: What the file should be, for messages: `'a checkpoint of jnas.search'`.
      remedy: What the user can do where it is not.
      check: Called before any array is read, so that a small file cannot fill the memory with what nobody wants.

    Raises:
      ValueError: The file is cut off, damaged, changed or of another origin; or whatever `check` raises.
      OSError: The file cannot be read.
    """
    path = Path(path)

    def told(why: str) -> str:
        return f"{path} is not {kind}, or it is cut off or damaged ({why}); {remedy}"

    with contextlib.ExitStack() as stack:
        with damage_said(told):
            archive = stack.enter_context(open_archive(path))
            members = list_members(archive)
            header = read_header(archive, members.pop(_HEADER))
            shapes = {name: announced(archive, info) for name, info in members.items()}
        check({name: value for name, value in header.items() if name != SEAL}, shapes)
        with damage_said(told):
            arrays = {name: read_member(archive, info) for name, info in members.items()}
            return Archive(unseal(header, arrays), arrays)
