"""Data sets by name."""

import dataclasses
import importlib
import os
import warnings
from collections.abc import Callable

import numpy as np

from jnas.training._augmentation import Augmentation, check_augmentation
from jnas.training._dataset import Dataset, dataset_from_arrays
from jnas.training._splits import stratified

_Path = str | os.PathLike[str]


def load_dataset(
    name: str, *, data_dir: _Path | None = None, seed: int = 0, augmentation: Augmentation | None = None
) -> Dataset:
    """Returns a data set by name, from files that are on this machine; nothing is downloaded.

    Args:
      name: One of `dataset_names()`.
      data_dir: Where the files are, if not in the usual places.
      seed: What splits are drawn from where the source has none.
      augmentation: How training images are changed at random, if not as published.
    """
    if name not in _LOADERS:
        raise ValueError(f"there is no data set named {name!r}, expected one of {', '.join(_LOADERS)}")
    dataset = _LOADERS[name](data_dir, seed)
    if augmentation is not None:
        dataset = dataclasses.replace(dataset, augmentation=check_augmentation(augmentation))
    return dataset


def dataset_names() -> tuple[str, ...]:
    """Returns the names that `load_dataset` knows."""
    return tuple(_LOADERS)


def _digits(data_dir: _Path | None, seed: int) -> Dataset:
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


_LOADERS: dict[str, Callable[[_Path | None, int], Dataset]] = {"digits": _digits}
