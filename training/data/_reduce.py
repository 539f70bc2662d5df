"""Smaller versions of a data set: fewer pixels, fewer images."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jnas.training.data._dataset import Dataset, pixel_statistics
from jnas.training.data._splits import split_by_fractions, stratified

_CHUNK = 4096


def resized(dataset: Dataset, size: int, *, name: str | None = None) -> Dataset:
    """Returns a data set of smaller images, each pixel the mean of a square of the old ones.

    Mean and standard deviation are taken anew from the training images, since averaging makes the second smaller;
    padding and cutout shrink with the images, rounded up (a crop by 4 of 32 pixels becomes one by 2 of 16, as
    published for ImageNet16).

    Args:
      dataset: What to make smaller.
      size: The new height; divides the old one, and the width shrinks by the same whole factor.
      name: By default the old name with the size, such as `'cifar10-16px'`.

    Raises:
      TypeError: The size is not a whole number.
      ValueError: The size does not divide the old one.

    Example:
      >>> small = jnas.training.resized(jnas.training.load_dataset("digits"), 4)
      >>> small.name, small.image_shape
      ('digits-4px', (4, 4, 1))
    """
    height, width, channels = dataset.image_shape
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"size is {size!r}, expected a whole number of pixels")
    if size < 1 or height % size or width % (height // size):
        raise ValueError(f"size is {size}, expected a divisor of the height, {height}, whose factor divides the width")
    factor = height // int(size)
    old = np.asarray(dataset.images)
    images = np.empty((len(old), int(size), width // factor, channels), np.uint8)
    for start in range(0, len(old), _CHUNK):
        chunk = old[start : start + _CHUNK]
        corners = np.ndindex(factor, factor)
        total = sum(chunk[:, i::factor, j::factor].astype(np.uint32) for i, j in corners)
        images[start : start + _CHUNK] = (total + factor**2 // 2) // factor**2
    mean, std = pixel_statistics(images, np.asarray(dataset.splits["train"]))
    _, pad, cutout = dataset.augmentation
    return dataclasses.replace(
        dataset,
        images=jnp.asarray(images),
        name=f"{dataset.name}-{size}px" if name is None else name,
        mean=mean,
        std=std,
        augmentation=dataset.augmentation._replace(pad=-(-pad // factor), cutout=-(-cutout // factor)),
    )


def divided_anew(dataset: Dataset, share: float, seed: int = 0) -> Dataset:
    """Returns a data set whose images of training and validation are divided anew, each class in its share.

    Args:
      dataset: What to divide; other splits stay as they are.
      share: What `'train'` gets; the rest is the validation split.
      seed: What the splits are drawn from.

    Raises:
      ValueError: The share is not between 0 and 1, or leaves a split without images.

    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, expected a number between 0 and 1")
    validation = dataset.validation_split or "validation"
    names = [name for name in ("train", validation) if name in dataset.splits]
    rows = np.unique(np.concatenate([np.asarray(dataset.splits[name]) for name in names]))
    parts = split_by_fractions(np.asarray(dataset.labels)[rows], {validation: 1 - share}, seed)
    found = {name: jnp.asarray(rows[places].astype(np.int32)) for name, places in parts.items()}
    others = {name: numbers for name, numbers in dataset.splits.items() if name not in found}
    return dataclasses.replace(dataset, splits={**found, **others}, validation_split=validation)


def subset(dataset: Dataset, split: str, size: int, seed: int = 0, *, name: str | None = None) -> Dataset:
    """Returns a data set in which one split has fewer images, each class in its share to within two.

    Images that no split uses any more are dropped; the others keep their order. Mean and standard deviation stay.

    Args:
      dataset: What to take from.
      split: The split to reduce; the others stay as they are, also where they overlap with it.
      size: How many images it keeps.
      seed: What they are drawn from.
      name: By default the old name with what was done, such as `'cifar10-train5000'`.

    Raises:
      TypeError: The size is not a whole number.
      ValueError: There is no such split, or it has fewer images.

    Example:
      >>> small = jnas.training.subset(jnas.training.load_dataset("digits"), "train", 100)
      >>> small.name, len(small.splits["train"]), len(small.splits["test"])
      ('digits-train100', 100, 360)
    """
    rows = np.asarray(dataset.rows(split))
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"size is {size!r}, expected a whole number of images")
    if not 0 < size <= len(rows):
        raise ValueError(f"size is {size}, expected 1 to {len(rows)}, the images of split {split!r}")
    labels = np.asarray(dataset.labels)
    splits = {s: np.asarray(r) for s, r in dataset.splits.items()}
    splits[split] = rows[stratified(labels[rows], [int(size)], seed)[0]]
    kept = np.unique(np.concatenate(list(splits.values())))
    return dataclasses.replace(
        dataset,
        images=jnp.asarray(np.asarray(dataset.images)[kept]),
        labels=jnp.asarray(labels[kept]),
        splits={s: jnp.asarray(np.searchsorted(kept, r).astype(np.int32)) for s, r in splits.items()},
        name=f"{dataset.name}-{split}{size}" if name is None else name,
    )
