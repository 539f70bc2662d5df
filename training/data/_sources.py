"""Data sets by name, as published or as the user has them."""

import dataclasses
import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jnas.core._registry import unknown_name
from jnas.io._fields import describe_fields
from jnas.io._text import did_you_mean
from jnas.training.data import _cifar, _imagenet16, _tfds
from jnas.training.data._augmentation import Augmentation, check_augmentation
from jnas.training.data._dataset import Dataset, dataset_from_arrays
from jnas.training.data._npz import read_npz
from jnas.training.data._parts import Parts, check_counts, check_digests, joined
from jnas.training.data._splits import stratified

_PathLike = str | os.PathLike[str]


@describe_fields
class Settings(NamedTuple):
    """How a paper prepares the images of a data set: `dataclasses.replace(dataset, **settings._asdict())`.

    Attributes:
      mean: Of each channel, in pixels of 0 to 255.
      std: Of each channel, in pixels of 0 to 255.
      augmentation: What is done to training images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation


CIFAR10 = Settings((125.3, 123.0, 113.9), (63.0, 62.1, 66.7), Augmentation(flip=True, pad=4))
"""CIFAR-10 in NAS-Bench-201."""

CIFAR100 = Settings((129.3, 124.1, 112.4), (68.2, 65.4, 70.4), Augmentation(flip=True, pad=4))
"""CIFAR-100 in NAS-Bench-201."""

IMAGENET16 = Settings((122.68, 116.66, 104.01), (63.22, 61.26, 65.09), Augmentation(flip=True, pad=2))
"""ImageNet16-120 in NAS-Bench-201."""

NASBENCH101_CIFAR10 = Settings((125.31, 122.95, 113.87), (62.99, 62.09, 66.70), Augmentation(flip=True, pad=4))
"""CIFAR-10 in NAS-Bench-101."""


def load_dataset(
    name: _PathLike, *, data_dir: _PathLike | None = None, seed: int = 0, augmentation: Augmentation | None = None
) -> Dataset:
    """Returns a data set by name, from files on this machine. Nothing is downloaded, and nothing is written.

    Splits that the source does not have are drawn from the seed, with the same share of each class in each:

    - `digits`: the 1,797 images of 8 x 8 pixels that come with scikit-learn, values 0 to 16; train 1,077, validation
      360, test 360.
    - `mnist`: train 50,000, validation 10,000, test 10,000.
    - `cifar10-valid`: train and x-valid, halves of the training images, 25,000 each; ori-test 10,000.
    - `cifar10`: train, all 50,000 training images; ori-test 10,000. It has no validation split.
    - `cifar100`: train 50,000; x-valid and x-test, the halves of the test images; ori-test, all 10,000 of them.
    - `ImageNet16-120`: train 151,700; x-valid and x-test, the halves of the published validation images, 3,000 each;
      ori-test, all 6,000 of them.
    - `tfds:NAME` (or `tfds:NAME/VERSION`, `tfds:NAME:VERSION`): what tensorflow-datasets has prepared in array_record
      format, with features `image` and `label`.
    - a path that ends in `.npz`: the user's own images; see `read_npz` in `_npz.py` for its arrays.

    Of the last two, a fifth of the training images becomes the validation split where there is none; where there is
    nothing but training images, another fifth becomes the test split. They are augmented only as `augmentation` says.

    NAS-Bench-201 fixed its halves in files of row numbers. These here are other halves of the same sizes; with the
    images in the published order (from the archives), `dataclasses.replace(dataset, splits=...)` sets others.

    Args:
      name: One of the above; upper and lower case are the same.
      data_dir: Where the files are: for CIFAR a folder with the archive (`cifar-10-python.tar.gz`,
        `cifar-10-binary.tar.gz`, `cifar-100-...`) or what it unpacks to, or the archive itself; for ImageNet16 the
        folder with `train_data_batch_1` to `_10` and `val_data`; otherwise, and also for CIFAR, a folder of
        tensorflow-datasets. By default `$TFDS_DATA_DIR`, or `~/tensorflow_datasets`.
      seed: What splits are drawn from.
      augmentation: How training images are changed at random, if not as published.

    Raises:
      FileNotFoundError: The files are not there; the message says which to put where.
      ImportError: The files need a package that is not installed.
      ValueError: There is no data set of that name, or a file is cut off, foreign or hostile, or an unpacked one of a
        published data set not as it was published. Nothing of it was run.
      TypeError: An argument is of the wrong kind.

    Example:
      >>> dataset = jnas.training.load_dataset("digits")
      >>> dataset.image_shape, dataset.num_classes, {split: len(rows) for split, rows in dataset.splits.items()}
      ((8, 8, 1), 10, {'train': 1077, 'validation': 360, 'test': 360})
    """
    text = os.fspath(name)
    folder = _data_dir(data_dir)
    if augmentation is not None:
        augmentation = check_augmentation(augmentation)
    if text.lower().endswith(".npz"):
        dataset = _with_held_out(read_npz(text), Path(text).stem, seed, None)
    elif text.lower().startswith("tfds:"):
        dataset = _prepared(text[5:], folder, seed)
    elif text.lower() in _LOADERS:
        dataset = _LOADERS[text.lower()](folder, seed)
    else:
        raise unknown_name("data set", text, dataset_names(), "of your own, give the path of an .npz")
    return dataset if augmentation is None else dataclasses.replace(dataset, augmentation=augmentation)


def dataset_names() -> tuple[str, ...]:
    """Returns the names that `load_dataset` knows; it also takes a path that ends in `.npz`.

    Example:
      >>> jnas.training.dataset_names()
      ('digits', 'mnist', 'cifar10-valid', 'cifar10', 'cifar100', 'ImageNet16-120', 'tfds:NAME')
    """
    return ("digits", "mnist", "cifar10-valid", "cifar10", "cifar100", "ImageNet16-120", "tfds:NAME")


def _data_dir(data_dir: _PathLike | None) -> Path:
    if data_dir is None:
        return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    path = Path(data_dir).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"data_dir is {path}, which does not exist")
    return path


def _digits(data_dir: Path, seed: int) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn's own imports
        images, labels = importlib.import_module("sklearn.datasets").load_digits(return_X_y=True)
    names = ("train", "validation", "test")
    return dataset_from_arrays(
        images.reshape(-1, 8, 8).astype(np.uint8),
        labels,
        name="digits",
        splits=dict(zip(names, stratified(labels, (1077, 360, 360), seed), strict=True)),
        augmentation=Augmentation(pad=1),
    )


def _mnist(data_dir: Path, seed: int) -> Dataset:
    folder = _tfds.find_prepared("mnist", data_dir)
    if folder is None:
        raise FileNotFoundError(f"there is no MNIST in {data_dir}: {_how_to_prepare('mnist')}")
    parts, _ = _tfds.read_prepared(folder)
    check_counts("MNIST", parts, {"train": 60_000, "test": 10_000}, folder)
    images, labels, rows = joined(parts)
    train, validation = stratified(labels[rows["train"]], (50_000, 10_000), seed)
    splits = {"train": train, "validation": validation, "test": rows["test"]}
    return dataset_from_arrays(images, labels, name="mnist", splits=splits, augmentation=Augmentation(pad=2))


def _cifar_parts(data_dir: Path, num_classes: Literal[10, 100]) -> Parts:
    name = f"cifar{num_classes}"
    path = _cifar.find_cifar(data_dir, num_classes)
    if path is not None:
        parts = _cifar.read_cifar(path, num_classes)
    else:
        path = _tfds.find_prepared(name, data_dir)
        if path is None:
            archives = " or ".join(layout.archive for layout in _cifar.LAYOUTS[num_classes])
            raise FileNotFoundError(
                f"there is no CIFAR-{num_classes} in {data_dir}: put {archives} from {_cifar.SOURCE} there, or pass "
                f"the folder that has it as data_dir; or {_how_to_prepare(name)}"
            )
        parts, _ = _tfds.read_prepared(path)
    check_counts(f"CIFAR-{num_classes}", parts, {"train": 50_000, "test": 10_000}, path)
    _cifar.check_published(path, num_classes)
    return parts


def _how_to_prepare(name: str) -> str:
    return f"pass as data_dir the folder where tensorflow-datasets prepared {name}/VERSION in array_record format"


def _cifar10(data_dir: Path, seed: int) -> Dataset:
    images, labels, rows = joined(_cifar_parts(data_dir, 10))
    splits = {"train": rows["train"], "ori-test": rows["test"]}
    return _published("cifar10", images, labels, splits, CIFAR10, 10)


def _cifar10_valid(data_dir: Path, seed: int) -> Dataset:
    images, labels, rows = joined(_cifar_parts(data_dir, 10))
    train, valid = stratified(labels[rows["train"]], (25_000, 25_000), seed)
    splits = {"train": train, "x-valid": valid, "ori-test": rows["test"]}
    return _published("cifar10-valid", images, labels, splits, CIFAR10, 10)


def _cifar100(data_dir: Path, seed: int) -> Dataset:
    return _halves_of_test("cifar100", _cifar_parts(data_dir, 100), CIFAR100, 100, seed)


def _imagenet16_120(data_dir: Path, seed: int) -> Dataset:
    folder = _imagenet16.find_imagenet16(data_dir)
    if folder is None:
        raise FileNotFoundError(
            f"there is no ImageNet16 in {data_dir}: put train_data_batch_1 to train_data_batch_10 and val_data from "
            f"{_imagenet16.SOURCE} there, or pass the folder that has them as data_dir"
        )
    parts = _imagenet16.read_imagenet16(folder)
    check_counts("ImageNet16-120", parts, {"train": 151_700, "test": 6_000}, folder)
    check_digests(folder, _imagenet16.DIGESTS, _imagenet16.SOURCE)
    return _halves_of_test("ImageNet16-120", parts, IMAGENET16, _imagenet16.NUM_CLASSES, seed)


def _halves_of_test(name: str, parts: Parts, settings: Settings, num_classes: int, seed: int) -> Dataset:
    images, labels, rows = joined(parts)
    test = rows["test"]
    valid, half = (test[r] for r in stratified(labels[test], (len(test) // 2, len(test) // 2), seed))
    splits = {"train": rows["train"], "x-valid": valid, "x-test": half, "ori-test": test}
    return _published(name, images, labels, splits, settings, num_classes)


def _published(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    splits: Mapping[str, np.ndarray],
    settings: Settings,
    num_classes: int,
) -> Dataset:
    test = "x-test" if "x-test" in splits else "ori-test"
    return dataset_from_arrays(
        images, labels, name=name, splits=splits, num_classes=num_classes, test_split=test, **settings._asdict()
    )


def _prepared(name: str, data_dir: Path, seed: int) -> Dataset:
    name = name.strip().replace(":", "/")  # the library's own form, `mnist:3.0.1`, names a version after a colon
    folder = _tfds.find_prepared(name, data_dir)
    if folder is None:
        raise FileNotFoundError(
            f"there is no prepared data set {name!r} in {data_dir}{_what_there_is(name, data_dir) or ':'} "
            f"{_how_to_prepare(name)}"
        )
    parts, num_classes = _tfds.read_prepared(folder)
    return _with_held_out(parts, name, seed, num_classes)


def _what_there_is(name: str, data_dir: Path) -> str:
    """Returns which other versions, or which data set of nearly that name, a folder has."""
    first = name.partition("/")[0]
    around = data_dir / first if (data_dir / first).is_dir() else data_dir
    there = sorted(each.name for each in around.iterdir() if each.is_dir()) if around.is_dir() else []
    return did_you_mean(first, there) if around == data_dir else f", which has {', '.join(there) or 'nothing'} of it;"


def _with_held_out(parts: Parts, name: str, seed: int, num_classes: int | None) -> Dataset:
    """Returns a data set of parts, holding out a fifth of the training images for each split that must be drawn."""
    if len(parts) == 1:
        ((images, labels),) = parts.values()
        return dataset_from_arrays(images, labels, name=name, seed=seed, num_classes=num_classes)
    images, labels, rows = joined(parts)
    if "validation" not in rows:
        train = rows["train"]
        held = max(len(train) // 5, 1)
        rest, validation = stratified(labels[train], (len(train) - held, held), seed)
        rows = {**rows, "train": train[rest], "validation": train[validation]}
    return dataset_from_arrays(images, labels, name=name, splits=rows, num_classes=num_classes)


_LOADERS: Mapping[str, Callable[[Path, int], Dataset]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar10-valid": _cifar10_valid,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "imagenet16-120": _imagenet16_120,
}
