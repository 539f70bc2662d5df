"""Members of archives of arrays (`.npz`): checked before anything is built, and what damage to them can raise."""

import lzma
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from typing import IO, Any

import numpy as np

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

Code that turns these into a ValueError should hold nothing but the reading in its `try`.
"""


def open_archive(path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Opens an archive.

    Raises:
      Any of `DAMAGE`; OSErrors of the system (no such file, no permission) come as from `open`.
    """
    with open(path, "rb"):  # first, so that a caller can tell what the system refuses from damage: see `read_archive`
        pass
    return zipfile.ZipFile(path)


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


def reason(error: Exception) -> str:
    """Returns what an error of `DAMAGE` says, in one line."""
    if isinstance(error, KeyError):
        return f"no member {error}"
    return (str(error).splitlines() or [type(error).__name__])[0]
