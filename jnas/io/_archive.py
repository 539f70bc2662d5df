"""Archives of arrays, `.npz` without pickles: written whole or not at all, and checked before anything is built."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.io._atomic import replacing
from jnas.io._members import DAMAGE, open_archive, read_member, reason

_HEADER = "header"


class Archive(NamedTuple):
    """What a file holds."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_archive(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, compress: bool = False
) -> None:
    """Writes a JSON header and arrays to a file, beside it and renamed.

    Raises:
      OSError: The file cannot be written; the message says which and why.
    """
    packed = np.frombuffer(json.dumps(header).encode(), np.uint8)
    save = np.savez_compressed if compress else np.savez
    with replacing(path) as file:
        save(file, allow_pickle=False, **{_HEADER: packed, **arrays})


def read_archive(path: str | os.PathLike[str], *, kind: str, remedy: str) -> Archive:
    """Returns what `write_archive` wrote.

    Nothing in the file is run, and no member is read whose size is not the one that its own header gives.

    Args:
      path: The file.
      kind: What the file should be, for messages: `'a checkpoint of jnas.search'`.
      remedy: What the user can do where it is not.

    Raises:
      ValueError: The file is cut off, damaged, or of another origin.
      OSError: The file cannot be read.
    """
    path = Path(path)
    try:
        with open_archive(path) as archive:
            arrays = {info.filename.removesuffix(".npy"): read_member(archive, info) for info in archive.infolist()}
        header = json.loads(arrays.pop(_HEADER).tobytes().decode())
        if not isinstance(header, dict):
            raise ValueError("its header is not a JSON object")
    except DAMAGE as error:
        raise ValueError(f"{path} is not {kind}, or it is cut off or damaged ({reason(error)}); {remedy}") from None
    return Archive(header, arrays)
