"""Images of the user's own, in an `.npz`."""

import os
from pathlib import Path

import numpy as np

from jnas.io._members import DAMAGE, open_archive, read_member, reason
from jnas.io._text import short
from jnas.training.data._dataset import check_images, check_labels
from jnas.training.data._parts import Parts

_SPLITS = {
    "train": ("train_images", "train_labels"),
    "validation": ("validation_images", "validation_labels"),
    "test": ("test_images", "test_labels"),
}
_ALSO = {"val_": "validation_", "valid_": "validation_"}
_EXPECTED = (
    "expected 'images' and 'labels', or 'train_images' and 'train_labels' with, if there are any, "
    "'validation_images' and 'validation_labels', 'test_images' and 'test_labels'"
)


def read_npz(path: str | os.PathLike[str]) -> Parts:
    """Returns the splits that an `.npz` has: `'train'` and perhaps others, or everything as `'all'`.

    Args:
      path: An `.npz` with `images` and `labels`, or with `train_images`, `train_labels` and so on for `validation`
        (also `valid` or `val`) and `test`. Images are uint8 `[n, H, W]` or `[n, H, W, C]`, labels integers `[n]` or
        `[n, 1]`. Pickled objects are refused.

    Raises:
      ValueError: The file is damaged, or its arrays have not those names or do not fit together.
      TypeError: Images are not uint8, or labels not integers.
      OSError: The file cannot be read.
    """
    path = Path(path)
    arrays = _read_arrays(path)
    if {"images", "labels"} <= arrays.keys():
        parts = {"all": (arrays["images"], arrays["labels"])}
    else:
        parts = {s: (arrays[x], arrays[y]) for s, (x, y) in _SPLITS.items() if x in arrays and y in arrays}
        if "train" not in parts:
            raise ValueError(f"{path} has the arrays {short(', '.join(arrays))}; {_EXPECTED}")
    shape: tuple[int, ...] = ()
    for split, (images, labels) in parts.items():
        try:
            parts[split] = images, labels = check_images(images), check_labels(labels)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{path}, {split}: {error}") from None
        if len(images) != len(labels):
            raise ValueError(f"{path} has {len(images)} {split} images and {len(labels)} labels, expected as many")
        if images.shape[1:] != (shape or images.shape[1:]):
            raise ValueError(
                f"{path} has {split} images of shape {list(images.shape[1:])}, but others of {list(shape)}"
            )
        shape = images.shape[1:]
    return parts


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads the members with names that matter."""
    wanted = {"images", "labels", *(name for pair in _SPLITS.values() for name in pair)}
    arrays = {}
    try:
        with open_archive(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                for prefix, usual in _ALSO.items():
                    name = usual + name.removeprefix(prefix) if name.startswith(prefix) else name
                arrays[name] = read_member(archive, info) if name in wanted else np.zeros(0)
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise ValueError(f"{path} is no .npz of images, or it is cut off or damaged ({reason(error)})") from None
    return arrays
