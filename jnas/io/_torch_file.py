"""A reader of the files that `torch.save` writes, without PyTorch.

Both formats are pickles whose tensors refer to storages kept beside them: in a zip archive (since PyTorch 1.6; members
`NAME/data.pkl` and `NAME/data/KEY`), or one after the other in a single stream (before). Tables hold plain numbers, so
a tensor is read as what it is called (`Tensor`: its type and shape) and its values are passed over.
"""

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from jnas.io._pickle_values import BUILDERS, NAMES, Global
from jnas.io._restricted_pickle import load
from jnas.io._stream import Stream

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ZIP = b"PK\x03\x04"
_ITEM_BYTES = {
    "torch.DoubleStorage": 8,
    "torch.FloatStorage": 4,
    "torch.HalfStorage": 2,
    "torch.BFloat16Storage": 2,
    "torch.LongStorage": 8,
    "torch.IntStorage": 4,
    "torch.ShortStorage": 2,
    "torch.CharStorage": 1,
    "torch.ByteStorage": 1,
    "torch.BoolStorage": 1,
    "torch.storage.UntypedStorage": 1,
}


class Storage(NamedTuple):
    """What a tensor refers to: numbers of one type, kept elsewhere in the file."""

    kind: str  # such as 'torch.FloatStorage'
    key: str
    size: int  # numbers


class Tensor(NamedTuple):
    """A tensor without its values."""

    storage: Storage
    shape: tuple[int, ...]


def read_torch(
    path: str | os.PathLike[str],
    *,
    on_dict: Callable[[dict[Any, Any]], bool] | None = None,
    max_containers: int = 50_000_000,
) -> Any:
    """Returns the data of a file that `torch.save` wrote, in either of its formats; runs nothing.

    Args:
      path: The file.
      on_dict: As for `jnas.io._restricted_pickle.load`: lets a large file pass through without standing in memory.
      max_containers: Most lists, dictionaries and tuples.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is cut off or foreign, or asks for something that plain data does not need.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    with open(path, "rb") as file:
        start = file.read(16)
        file.seek(0)
        if start.startswith(_ZIP):
            return _read_zip(file, str(path), on_dict, max_containers)
        if start.startswith(b"\x80"):
            return _read_legacy(file, str(path), on_dict, max_containers)
    raise ValueError(f"{path} is {_describe(start)}, not a file that torch.save wrote; get it again from its source")


def has_checksum(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file of `torch.save` is in the format that has checksums of its members."""
    with open(path, "rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _describe(start: bytes) -> str:
    if not start:
        return "empty"
    if start.startswith(b"BZh"):
        return "compressed with bzip2 (as the files of NATS-Bench are)"
    if start.lstrip().startswith(b"<"):
        return "a web page"
    return "of an unknown kind"


def _read_zip(
    file: IO[bytes], where: str, on_dict: Callable[[dict[Any, Any]], bool] | None, max_containers: int
) -> Any:
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            found = [i for i in archive.infolist() if i.filename.count("/") == 1 and i.filename.endswith("/data.pkl")]
            if len(found) != 1:
                raise ValueError(f"{where} is a zip archive but not one that torch.save wrote: it has no data.pkl")
            if found[0].compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{where} is not as torch.save wrote it: its data.pkl is compressed; get the original")
            member = stack.enter_context(archive.open(found[0]))
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{where} is cut off, or no zip archive at all ({error}); get it again from its source"
            ) from error
        return _load(Stream(member.read, where), {}, on_dict, max_containers)


def _read_legacy(
    file: IO[bytes], where: str, on_dict: Callable[[dict[Any, Any]], bool] | None, max_containers: int
) -> Any:
    stream = Stream(file.read, where)
    if load(stream, max_containers=0) != _MAGIC:
        raise stream.error("is a pickle but not one that torch.save wrote")
    if load(stream, max_containers=0) != _PROTOCOL:
        raise stream.error("is of a version of torch.save that is not known")
    system = load(stream, max_containers=100)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise stream.error("was written on a big-endian machine, which is not supported")
    storages: dict[str, Storage] = {}
    data = _load(stream, storages, on_dict, max_containers)
    for key in _texts(load(stream, max_containers=100), stream):
        if key not in storages:
            raise stream.error("is damaged: it ends with a storage that no tensor uses")
        size = int.from_bytes(stream.take(8), "little")
        if size != storages[key].size:
            raise stream.error(f"is damaged: storage {key} has {size} numbers, not {storages[key].size}")
        stream.skip(size * _ITEM_BYTES[storages[key].kind])
    return data


def _texts(keys: Any, stream: Stream) -> Iterator[str]:
    if type(keys) is not list or not all(type(k) is str for k in keys):
        raise stream.error("is damaged: it does not end with a list of its storages")
    return iter(keys)


def _load(
    stream: Stream,
    storages: dict[str, Storage],
    on_dict: Callable[[dict[Any, Any]], bool] | None,
    max_containers: int,
) -> Any:
    def storage(identity: Any) -> Storage:
        fits = type(identity) is tuple and len(identity) in (5, 6) and identity[0] == "storage"
        if not (fits and type(identity[1]) is Global and identity[1].name in _ITEM_BYTES):
            raise ValueError("a reference to something that is not a tensor's storage")
        _, kind, key, _, size, *view = identity
        if not (type(key) is str and type(size) is int and 0 <= size < 2**48 and view in ([], [None])):
            raise ValueError("a tensor's storage of a form that is not known")
        return storages.setdefault(key, Storage(kind.name, key, size))

    builders = {
        **BUILDERS,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
    }
    return load(
        stream,
        builders=builders,
        names=NAMES | _ITEM_BYTES.keys(),
        persistent=storage,
        on_dict=on_dict,
        max_containers=max_containers,
    )


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    numbers = type(shape) is tuple and type(strides) is tuple and type(offset) is int
    if not (numbers and type(storage) is Storage and all(type(n) is int and n >= 0 for n in (*shape, *strides))):
        raise ValueError("a tensor of a form that is not known")
    return Tensor(storage, shape)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if type(tensor) is not Tensor:
        raise ValueError("a parameter that is not a tensor")
    return tensor
