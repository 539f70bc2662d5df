"""Images of the user's own, in an `.npz`."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from jnas.io._members import announced, damage_said, list_members, open_archive, read_member
from jnas.io._text import short
from jnas.training.data._dataset import check_images, check_labels
from jnas.training.data._parts import Parts

_SPLITS = {
    "train": ("train_images", "train_labels"),
    "validation": ("validation_images", "validation_labels"),
    "test": ("test_images", "test_labels"),
}
_WANTED = {"images", "labels", *(name for pair in _SPLITS.values() for name in pair)}
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

    def damaged(why: str) -> str:
        return f"{path} is no .npz of images, or it is cut off or damaged ({why})"

    with contextlib.ExitStack() as stack:
        with damage_said(damaged):
            archive = stack.enter_context(open_archive(path))
            members = {_usual(name): info for name, info in list_members(archive).items()}
            shapes = {name: announced(archive, info) for name, info in members.items() if name in _WANTED}
        chosen = _choose(path, members, shapes)
        _check_announced(path, {split: (shapes[x], shapes[y]) for split, (x, y) in chosen.items()})
        with damage_said(damaged):
            read = {s: tuple(read_member(archive, members[name]) for name in pair) for s, pair in chosen.items()}
    return {split: _checked(path, split, *arrays) for split, arrays in read.items()}


def _usual(name: str) -> str:
    """Returns the name of an array as `_SPLITS` has it."""
    for prefix, usual in _ALSO.items():
        name = usual + name.removeprefix(prefix) if name.startswith(prefix) else name
    return name


def _choose(path: Path, members: Iterable[str], shapes: Mapping[str, np.ndarray]) -> dict[str, tuple[str, str]]:
    """Returns for each split the names of its images and labels; ValueError where there are none."""
    if {"images", "labels"} <= shapes.keys():
        return {"all": ("images", "labels")}
    chosen = {split: pair for split, pair in _SPLITS.items() if shapes.keys() >= set(pair)}
    if "train" not in chosen:
        raise ValueError(f"{path} has the arrays {short(', '.join(members))}; {_EXPECTED}")
    return chosen


def _check_announced(path: Path, parts: Parts) -> None:
    """Raises where arrays of no data cannot be images and labels, so that those that are not wanted are never read."""
    shape: tuple[int, ...] = ()
    for split, (images, labels) in parts.items():
        # Of a kind that is refused, and of labels, no more than one is needed: these checks look at the data too.
        one = images[:1] if images.ndim and images.dtype != np.uint8 else images
        only = labels[:1] if labels.ndim == 1 or labels.shape[1:] == (1,) else labels
        checked, _ = _checked(path, split, one, only)
        if len(images) != len(labels):
            raise ValueError(f"{path} has {len(images)} {split} images and {len(labels)} labels, expected as many")
        if checked.shape[1:] != (shape or checked.shape[1:]):
            raise ValueError(
                f"{path} has {split} images of shape {list(checked.shape[1:])}, but others of {list(shape)}"
            )
        shape = checked.shape[1:]


def _checked(path: Path, split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        return check_images(images), check_labels(labels)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}, {split}: {error}") from None
