"""What the readers of files hand over: images and labels of each split as the source has them."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Parts = dict[str, tuple[np.ndarray, np.ndarray]]
"""For each split of the source its images uint8 `[n, H, W, C]` and labels `[n]`."""


def joined(parts: Parts) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Returns all images, all labels, and for each part its row numbers; empties `parts` on the way."""
    sizes = {name: len(labels) for name, (_, labels) in parts.items()}
    labels = np.concatenate([numbers for _, numbers in parts.values()])
    first = next(iter(parts.values()))[0]
    images = np.empty((len(labels), *first.shape[1:]), np.uint8)
    rows, start = {}, 0
    for name, size in sizes.items():
        images[start : start + size] = parts.pop(name)[0]  # and is freed, so that no image stands in memory twice
        rows[name] = np.arange(start, start + size, dtype=np.int32)
        start += size
    return images, labels, rows


def check_counts(name: str, parts: Parts, counts: Mapping[str, int], where: str | os.PathLike[str]) -> None:
    """Refuses a published data set that has not as many images as were published.

    Raises:
      ValueError: A split has another number of images.
    """
    for split, count in counts.items():
        found = len(parts[split][1]) if split in parts else 0
        if found != count:
            raise ValueError(
                f"{where} has {found:,} {split} images, but {name} has {count:,}; get the original files, or pass "
                "images of your own to jnas.training.dataset_from_arrays"
            )


def check_digests(folder: Path, digests: Mapping[str, str], source: str) -> None:
    """Refuses files of a published data set that are not as they were published: they have no checksum of their own.

    Args:
      folder: Where they are.
      digests: The MD5 of each by its name; those that are not there are passed over.
      source: Where they come from.

    Raises:
      ValueError: A file is another.
      OSError: It cannot be read.
    """
    for name in (name for name in digests if (folder / name).is_file()):
        with open(folder / name, "rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != digests[name]:
            raise ValueError(
                f"{folder / name} is damaged or not the file that was published: its MD5 is {found}, expected "
                f"{digests[name]}; get it again from {source}, or pass images of your own as an .npz"
            )


def in_folder(folder: Path, names: Sequence[str]) -> bool:
    """Says whether all these files stand in a folder."""
    return all((folder / name).is_file() for name in names)
