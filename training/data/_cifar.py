"""CIFAR-10 and CIFAR-100 from the archives that their author publishes, or their unpacked folders.

Both come as a binary and as a Python version (pickles). An archive is read in one pass and never unpacked to disk.
"""

import contextlib
import gzip
import os
import tarfile
import zlib
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from jnas.io._progress import counting_bar
from jnas.io._stream import Stream
from jnas.training.data._parts import Parts, check_digests, in_folder
from jnas.training.data._pickled_images import channels_last, read_pickled_images

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"

_ADVICE = f"get it again from {SOURCE}"
_MOST_BYTES = 1 << 28  # of an unpacked archive; the real ones have 186 MB
_PIXELS = 3 * 32 * 32


class CifarLayout(NamedTuple):
    """How one published version is laid out."""

    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int  # before each image of a binary file; the last one is the label. 0: the files are pickles
    label_key: str  # of pickles

    @property
    def files(self) -> tuple[str, ...]:
        """All files with images."""
        return self.train + self.test


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))

LAYOUTS: dict[int, tuple[CifarLayout, ...]] = {
    10: (
        CifarLayout(
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-bin",
            tuple(f"{batch}.bin" for batch in _BATCHES),
            ("test_batch.bin",),
            1,
            "",
        ),
        CifarLayout("cifar-10-python.tar.gz", "cifar-10-batches-py", _BATCHES, ("test_batch",), 0, "labels"),
    ),
    100: (
        CifarLayout("cifar-100-binary.tar.gz", "cifar-100-binary", ("train.bin",), ("test.bin",), 2, ""),
        CifarLayout("cifar-100-python.tar.gz", "cifar-100-python", ("train",), ("test",), 0, "fine_labels"),
    ),
}
"""The versions of CIFAR with 10 and with 100 classes, the ones without pickles first."""


_DIGESTS: dict[int, dict[str, str]] = {
    10: {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    100: {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
}
"""MD5 of the unpacked pickles, which have no checksum; an archive has one of its own. (Of unpacked binary files none is
known.)"""


def check_published(path: Path, num_classes: Literal[10, 100]) -> None:
    """Raises ValueError where the pickles of an unpacked folder are not those that were published."""
    binary, pickles = LAYOUTS[num_classes]
    if path.is_dir() and in_folder(path, pickles.files) and not in_folder(path, binary.files):  # which are read first
        check_digests(path, _DIGESTS[num_classes], SOURCE)


def find_cifar(data_dir: Path, num_classes: Literal[10, 100]) -> Path | None:
    """Returns where in a folder CIFAR is: an archive or an unpacked folder (also `data_dir` itself), or None."""
    if data_dir.is_file():
        return data_dir
    for layout in LAYOUTS[num_classes]:
        for folder in (data_dir / layout.folder, data_dir):
            if in_folder(folder, layout.files):
                return folder
        if (data_dir / layout.archive).is_file():
            return data_dir / layout.archive
    return None


def read_cifar(path: str | os.PathLike[str], num_classes: Literal[10, 100]) -> Parts:
    """Returns `'train'` and `'test'` of CIFAR, in the published order.

    Args:
      path: An archive, binary or Python version, or its unpacked folder.
      num_classes: Which CIFAR; of CIFAR-100 the fine labels.

    Raises:
      ValueError: A file is missing, cut off, foreign or hostile; the message says which. Nothing was run.
      OSError: A file cannot be read.
    """
    path = Path(path)
    layouts = LAYOUTS[num_classes]
    of_file = {file: layout for layout in layouts for file in layout.files}
    found: Parts = {}
    with counting_bar(f"reading {path.name}") as progress:
        for file, stream in _files(path, of_file):
            found[file] = _read_file(stream, of_file[file], num_classes)
            progress(len(found), len(of_file[file].files))
    layout = next((layout for layout in layouts if set(layout.files) <= found.keys()), None)
    if layout is None:
        missing = min((sorted(set(layout.files) - found.keys()) for layout in layouts), key=len)
        raise ValueError(f"{path} is not CIFAR-{num_classes}: it has no {', '.join(missing)}; {_ADVICE}")
    return {"train": _concatenated(found, layout.train), "test": _concatenated(found, layout.test)}


def _concatenated(found: Parts, files: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    batches = [found.pop(file) for file in files]
    if len(batches) == 1:
        return batches[0]
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])


def _read_file(stream: Stream, layout: CifarLayout, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    if layout.label_bytes:
        width = layout.label_bytes + _PIXELS
        data = _rest(stream)
        if not data or len(data) % width:
            raise stream.error(f"has {len(data):,} bytes, which is no multiple of {width:,}: it is cut off or damaged")
        rows = np.frombuffer(data, np.uint8).reshape(-1, width)
        images, labels = rows[:, layout.label_bytes :].reshape(-1, 3, 32, 32), rows[:, layout.label_bytes - 1]
    else:
        images, labels = read_pickled_images(stream, layout.label_key, 32)
        if not len(labels):
            raise stream.error("holds no images")
    if labels.max() >= num_classes:
        raise stream.error(f"has a label {labels.max()}, but CIFAR-{num_classes} has {num_classes} classes")
    return channels_last(images), labels.astype(np.int32)


def _rest(stream: Stream) -> bytes:
    stream.ensure(_MOST_BYTES + 1)
    data = stream.window[stream.position :]
    if len(data) > _MOST_BYTES:
        raise stream.error("is far larger than the published file")
    return data


def _files(path: Path, wanted: Container[str]) -> Iterator[tuple[str, Stream]]:
    """Gives the wanted files of a folder or an archive, each open until the next one is asked for."""
    if path.is_dir():
        for file in sorted(file.name for file in path.iterdir() if file.name in wanted and file.is_file()):
            with open(path / file, "rb") as opened:
                yield file, Stream(opened.read, str(path / file), _ADVICE)
        return
    with open(path, "rb") as packed:
        zipped = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        bounded = _Bounded(gzip.GzipFile(fileobj=packed) if zipped else packed, path)
        for member, content in _regular_members(bounded, path):
            file = member.rpartition("/")[2]
            if file in wanted:
                yield file, Stream(content, f"{file} in {path}", _ADVICE)


def _regular_members(bounded: "_Bounded", path: Path) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    """Gives name and `read` of the plain files of an archive; links and devices are passed over."""
    with _damage_said(path), tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            if not member.isreg() or member.issparse():
                continue
            opened = archive.extractfile(member)
            if opened is not None:
                yield member.name, _careful(opened, path)
        while bounded.read(1 << 20):  # to the end, where the checksum is compared
            pass


class _Bounded:
    """A file that ends in an error where it is far longer than it should be, whatever a header in it announces."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, path: Path):
        self.file, self.path, self.left = file, path, _MOST_BYTES

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise ValueError(f"{self.path} is far larger than CIFAR is when unpacked; {_ADVICE}")
        return data


@contextlib.contextmanager
def _damage_said(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is no archive, or is cut off or damaged ({error}); {_ADVICE}") from None


def _careful(opened: IO[bytes], path: Path) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        with _damage_said(path):
            return opened.read(size)

    return read
