"""Data sets: all images on the device, named splits, and what training must know of them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Examples, Key
from jnas.io._text import did_you_mean, not_one_of
from jnas.training.data._augmentation import Augmentation, augment, check_augmentation, normalize
from jnas.training.data._splits import split_by_fractions

_VALIDATION = ("validation", "x-valid")
_TEST = ("test", "ori-test")
_STATIC = {"static": True}  # for `register_dataclass`: no leaf of the pytree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images of `C` channels with one of `num_classes` labels each, and the rows of each split.

    A pytree whose leaves are the arrays; the rest is static, so that a function of a data set compiles once for each
    kind of data set. `dataclasses.replace` changes a field: the augmentation, the statistics, which split is the test.

    Attributes:
      images: The images of all splits.
      labels: Their classes.
      splits: The row numbers of each split. There is always `'train'`; splits may overlap, as the two halves of the
        CIFAR-100 test set and the whole of it do.
      name: What tables and reports call the data set.
      num_classes: How many classes there are.
      mean: Of each channel, in units of the uint8 values.
      std: Standard deviation of each channel, in the same units.
      augmentation: How training images are changed at random.
      validation_split: The split that hyper-parameters and architectures are chosen by, or None.
      test_split: The split that results are reported on, or None.
    """

    images: Array  # [N, H, W, C] uint8
    labels: Array  # [N] int32
    splits: dict[str, Array]  # of each split [n] int32
    name: str = dataclasses.field(metadata=_STATIC)
    num_classes: int = dataclasses.field(metadata=_STATIC)
    mean: tuple[float, ...] = dataclasses.field(metadata=_STATIC)
    std: tuple[float, ...] = dataclasses.field(metadata=_STATIC)
    augmentation: Augmentation = dataclasses.field(metadata=_STATIC)
    validation_split: str | None = dataclasses.field(metadata=_STATIC)
    test_split: str | None = dataclasses.field(metadata=_STATIC)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def rows(self, split: str) -> Array:
        """Returns the row numbers int32 `[n]` of a split.

        Raises:
          ValueError: There is no such split.
        """
        if split not in self.splits:
            offer = did_you_mean(split, self.splits) or ";"
            raise ValueError(
                f"the data set {self.name!r} has no split {split!r}{offer} it has {', '.join(self.splits)}"
            )
        return self.splits[split]

    def examples(self, rows: Array) -> Examples:
        """Returns the examples of row numbers `[B]`: images normalized, float32 `[B, H, W, C]`, and labels."""
        return Examples(normalize(self.images[rows], self.mean, self.std), self.labels[rows])

    def augmented(self, key: Key, rows: Array) -> Examples:
        """Returns the same with images changed at random, as for training; the key is of the batch."""
        images = augment(key, self.images[rows], self.augmentation, self.mean, self.std)
        return Examples(images, self.labels[rows])


def dataset_from_arrays(
    images: Any,
    labels: Any,
    *,
    name: str = "data",
    splits: Mapping[str, Any] | None = None,
    seed: int = 0,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (immutable)
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    num_classes: int | None = None,
    validation_split: str | None = None,
    test_split: str | None = None,
) -> Dataset:
    """Returns a data set of arrays in memory.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`.
      labels: Integers `[N]` (or `[N, 1]`), from 0.
      name: What tables and reports will call the data set.
      splits: For each split its row numbers; or for each split but `'train'` the share of the images that it gets, by
        default `{'validation': 0.2, 'test': 0.2}`: the rest is `'train'`, and each split has each class in the same
        share, to within two images.
      seed: What shares are drawn from. The same seed gives the same split, with any version of NumPy.
      augmentation: How training images are changed at random; nothing, by default.
      mean: Of each channel, in units of the uint8 values; by default that of the training images.
      std: Standard deviation of each channel; by default that of the training images, or 1 where it is 0.
      num_classes: By default one more than the highest label, of which at least half must occur.
      validation_split: Which split is the validation set; by default `'validation'` or `'x-valid'`, where it exists.
      test_split: Which split is the test set; by default `'test'` or `'ori-test'`, where it exists.

    Returns:
      The data set, its arrays on the default device.

    Raises:
      TypeError: Something is of another kind than said above.
      ValueError: Sizes do not fit one another, a label or a row is out of range, a split is empty, there is no
        `'train'`, or a statistic is not a number.

    Example:
      >>> images, labels = np.zeros((10, 4, 4), np.uint8), np.arange(10) % 2
      >>> dataset = dataset_from_arrays(images, labels, splits={"validation": 0.2})
      >>> {name: len(rows) for name, rows in dataset.splits.items()}, dataset.image_shape
      ({'train': 8, 'validation': 2}, (4, 4, 1))
    """
    images, labels = check_images(images), check_labels(labels)
    if len(images) != len(labels):
        raise ValueError(f"there are {len(images)} images and {len(labels)} labels, expected as many of each")
    classes = _num_classes(labels, num_classes)
    rows = _rows_of_splits(labels, splits, seed)
    if mean is None or std is None:
        found_mean, found_std = pixel_statistics(images, rows["train"])
        mean, std = found_mean if mean is None else mean, found_std if std is None else std
    mean, std = (_check_statistic(n, v, images.shape[-1]) for n, v in (("mean", mean), ("std", std)))
    if 0 < max(mean) < 1 and max(std) < 1 < images.max():
        raise ValueError(
            f"mean is {mean} and std {std}, which look like those of images from 0 to 1; expected units of the uint8 "
            "values, so multiply both by 255"
        )
    return Dataset(
        images=jnp.asarray(images),
        labels=jnp.asarray(labels),
        splits={split: jnp.asarray(numbers) for split, numbers in rows.items()},
        name=name,
        num_classes=classes,
        mean=mean,
        std=std,
        augmentation=check_augmentation(augmentation),
        validation_split=_role("validation_split", validation_split, rows, _VALIDATION),
        test_split=_role("test_split", test_split, rows, _TEST),
    )


def check_images(images: Any) -> np.ndarray:
    """Returns images as uint8 `[N, H, W, C]`; TypeError or ValueError where they are something else."""
    array: np.ndarray = np.asarray(images)
    if array.dtype != np.uint8:
        advice = "expected uint8, values from 0 to 255"
        if array.dtype.kind == "f":
            broken = bool(array.size) and not np.isfinite(array).all()
            advice += (
                "; some of them are not finite"
                if broken
                else (
                    "; scale and round them first, as in (255 * images).round().astype('uint8') for images from 0 to 1"
                )
            )
        raise TypeError(f"images are {array.dtype}, {advice}")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"images have the shape {list(array.shape)}, expected [N, H, W] or [N, H, W, C], none of them 0"
        )
    if array.shape[-1] > 64 or _channels_first(*array.shape[1:]):
        raise ValueError(
            f"images have the shape {list(array.shape)}, which is {array.shape[-1]} channels; expected [N, H, W, C] "
            "with the channels last, as images.transpose(0, 2, 3, 1) gives them"
        )
    return array


def _channels_first(first: int, second: int, third: int) -> bool:
    """Returns whether a shape looks like `[C, H, W]`: as `[H, W, C]` it would be a strip with many channels."""
    strip = first in (1, 3, 4) and first != second and third > 4
    return strip and (second == third or (first > 1 and min(second, third) >= 8))


def check_labels(labels: Any) -> np.ndarray:
    """Returns labels as int32 `[N]`; TypeError or ValueError where they are something else."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"labels have the shape {list(labels.shape)}, expected [N], one for each image")
    if labels.dtype.kind not in "iu":
        nan = labels.dtype.kind == "f" and bool(np.isnan(labels).any())
        raise TypeError(
            f"labels are {labels.dtype}{', with NaN among them' if nan else ''}; expected integers from 0, as in "
            "labels.astype('int32')"
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < 1 << 20:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}, expected 0 to num_classes - 1")
    numbers: np.ndarray = labels.astype(np.int32)
    return numbers


def pixel_statistics(images: np.ndarray, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel over some images (1 where it is 0), exact to rounding.

    Args:
      images: uint8 `[N, H, W, C]`.
      rows: The numbers of the images that count, `[n]`.
    """
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    step = max(1, (1 << 22) // math.prod(images.shape[1:]))  # `bincount` makes eight bytes of each pixel
    for start in range(0, len(rows), step):
        chunk = images[rows[start : start + step]]
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values, total = np.arange(256.0), counts.sum(axis=1)
    mean = counts @ values / total
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / total
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def _num_classes(labels: np.ndarray, num_classes: int | None) -> int:
    highest = int(labels.max())
    if num_classes is None:
        there = len(np.unique(labels))
        if 2 * there <= highest:
            raise ValueError(
                f"labels take {there:,} values from {labels.min():,} to {highest:,}, which would make {highest + 1:,} "
                "classes, most of them without an image; number the classes from 0, as in "
                "numpy.unique(labels, return_inverse=True)[1], or pass num_classes"
            )
        return highest + 1
    if isinstance(num_classes, bool) or not isinstance(num_classes, int | np.integer):
        raise TypeError(f"num_classes is {num_classes!r}, expected a whole number")
    if highest >= num_classes:
        raise ValueError(f"there is a label {highest}, expected 0 to num_classes - 1 = {num_classes - 1}")
    return int(num_classes)


def _rows_of_splits(labels: np.ndarray, splits: Mapping[str, Any] | None, seed: int) -> dict[str, np.ndarray]:
    if splits is None:
        splits = {"validation": 0.2, "test": 0.2}
    if not isinstance(splits, Mapping) or not all(isinstance(name, str) for name in splits):
        raise TypeError("splits is no mapping from names, expected for example {'validation': 0.2, 'test': 0.2}")
    fractions = {name: share for name, share in splits.items() if isinstance(share, float)}
    if len(fractions) == len(splits):
        return split_by_fractions(labels, fractions, seed)
    if fractions:
        raise TypeError("splits holds both shares and row numbers, expected one kind")
    rows = {name: _check_rows(name, numbers, len(labels)) for name, numbers in splits.items()}
    if "train" not in rows:
        raise ValueError(f"splits has {', '.join(rows)}, expected a 'train' among them")
    return rows


def _check_rows(name: str, numbers: Any, num_images: int) -> np.ndarray:
    rows = np.asarray(numbers)
    if rows.ndim != 1:
        raise ValueError(f"the rows of split {name!r} have the shape {list(rows.shape)}, expected [n], row numbers")
    if rows.size == 0:
        raise ValueError(f"split {name!r} is empty; leave it out, or give it images")
    if rows.dtype.kind not in "iu":
        raise TypeError(f"the rows of split {name!r} are {rows.dtype}, expected integers, row numbers of the images")
    if not 0 <= int(rows.min()) <= int(rows.max()) < num_images:
        raise ValueError(
            f"the rows of split {name!r} run from {rows.min()} to {rows.max()}, expected 0 to {num_images - 1}"
        )
    if len(np.unique(rows)) < len(rows):
        raise ValueError(f"split {name!r} has an image twice, expected each row number once")
    return rows.astype(np.int32)


def _check_statistic(name: str, values: Sequence[float], channels: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {values!r}, expected a number for each channel") from None
    if len(numbers) != channels:
        raise ValueError(f"{name} has {len(numbers)} values for images of {channels} channels, expected one for each")
    if not all(map(math.isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        raise ValueError(f"{name} is {numbers}, expected finite {'positive ' if name == 'std' else ''}numbers")
    return numbers


def _role(argument: str, split: str | None, rows: Mapping[str, Any], usual: Sequence[str]) -> str | None:
    if split is None:
        return next((name for name in usual if name in rows), None)
    if split not in rows:
        raise ValueError(f"{not_one_of(argument, split, tuple(rows))}, the splits")
    return split
