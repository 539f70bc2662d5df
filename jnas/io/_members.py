"""Members of archives of arrays (`.npz`): checked before anything is built, and what damage to them can raise."""

import contextlib
import json
import lzma
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from jnas.io._text import short

DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # also NotImplementedError (a compression that does not exist) and RecursionError
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What `zipfile`, its decompressors and `numpy` may raise on bytes that are not as they were written.

`damage_said` turns these into a ValueError; its block should hold nothing but the reading.
"""

_MOST_TOLD = 300  # characters of what an error says
_MOST_NAMED = 1000  # characters of a member's name
_MOST_ITEM_BYTES = 1 << 16  # of one number, or one text
_MOST_END_BYTES = 22 + 0xFFFF  # of what stands behind the directory, with a comment
_MOST_HEADER_BYTES = 1 << 24


def open_archive(path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Opens an archive, and checks that its directory has as many members as its end says.

    Raises:
      Any of `DAMAGE`; OSErrors of the system (no such file, no permission) come as from `open`.
    """
    with open(path, "rb") as file:  # first, so that a caller can tell what the system refuses from damage
        file.seek(-min(os.fstat(file.fileno()).st_size, _MOST_END_BYTES), os.SEEK_END)
        end = file.read()
    archive = zipfile.ZipFile(path)
    place, found = end.rfind(b"PK\5\6") + 10, len(archive.infolist())
    counted = int.from_bytes(end[place : place + 2], "little")
    if counted != min(found, 0xFFFF):  # `zipfile` does not look, and a damaged length in the directory loses members
        archive.close()
        raise zipfile.BadZipFile(f"its directory has {found:,} of {counted:,} members")
    return archive


def list_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Returns the members by the names of their arrays; ValueError where a name is no name, or stands twice."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if len(info.filename) > _MOST_NAMED:
            raise ValueError(f"the name of a member has {len(info.filename):,} characters")
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"it has two members {short(name)!r}")
        members[name] = info
    return members


def read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    """Returns the JSON object of a member of bytes; raises any of `DAMAGE`."""
    if info.file_size > _MOST_HEADER_BYTES:
        raise ValueError(f"its header has {info.file_size:,} bytes")
    header = json.loads(read_member(archive, info).tobytes().decode())
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header


def announced(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Returns an array of a member's type and shape without its data, in no memory; raises any of `DAMAGE`."""
    dtype, shape = read_shape(archive, info)
    return np.broadcast_to(np.zeros((), dtype), shape)


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Returns one member, after checking that its size fits its header; raises any of `DAMAGE`."""
    read_shape(archive, info)
    with archive.open(info) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # reads to the end, where the checksum is compared
            raise ValueError(f"{info.filename} goes on after its array")
    return array


def read_shape(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Returns the type and shape of one member, checked against its size; raises any of `DAMAGE`."""
    with archive.open(info) as file:
        dtype, shape = _array_header(file)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        if dtype.itemsize > _MOST_ITEM_BYTES:
            raise ValueError(f"{info.filename} has {dtype.itemsize:,} bytes for each of its entries")
        if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
            raise ValueError(f"{info.filename} has not the size of an array of shape {list(shape)}")
    return dtype, shape


def _array_header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():  # numpy guesses at a header that is not as it writes them, and says so
        warnings.simplefilter("ignore")
        shape, _, dtype = read(file)
    return dtype, shape


@contextlib.contextmanager
def damage_said(told: Callable[[str], str]) -> Iterator[None]:
    """Turns any of `DAMAGE` within the block into a ValueError, but for a file that is not there.

    Args:
      told: From what the error says to the message.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise ValueError(told(reason(error))) from None


def reason(error: Exception) -> str:
    """Returns what an error of `DAMAGE` says, in one line that is not long."""
    if isinstance(error, KeyError):
        return f"no member {short(str(error))}"
    return short((str(error).splitlines() or [type(error).__name__])[0], _MOST_TOLD)
