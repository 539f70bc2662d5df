"""Splits drawn by class, the same for the same seed with any version of NumPy."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np


def permutation(size: int, seed: int) -> np.ndarray:
    """Returns the numbers below `size` in an order drawn from a seed, int64 `[size]`.

    The order is that of the raw words of PCG64, which NumPy promises never to change (NEP 19), as it does not promise
    of `Generator.permutation`.

    Raises:
      ValueError: The seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected a number of at least 0")
    return np.argsort(np.random.PCG64(seed).random_raw(size), kind="stable")


def stratified(labels: np.ndarray, sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Returns disjoint sets of rows, with each class in each set in proportion.

    The images of each class, in random order, are laid out evenly over one line, and the line is cut into the sets: so
    the sets have exactly the sizes asked for, and each its share of each class to within two images.

    Args:
      labels: The classes `[N]`.
      sizes: How many rows each set gets, at most `N` together.
      seed: What the order within the classes is drawn from.

    Returns:
      For each set its rows, int32 `[size]`, ascending.
    """
    order = permutation(len(labels), seed)
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    line = by_class[np.argsort((rank + 0.5) / np.repeat(counts, counts), kind="stable")]
    cuts = np.cumsum([0, *sizes])
    return [np.sort(line[a:b]).astype(np.int32) for a, b in itertools.pairwise(cuts)]


def split_by_fractions(labels: np.ndarray, fractions: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """Returns the rows of `'train'`, which gets what is left, and of each split of a given share.

    Raises:
      ValueError: A share is not between 0 and 1, they leave nothing for `'train'`, or a split would be empty.
    """
    if "train" in fractions:
        raise ValueError("splits gives 'train' a share; leave it out, since it gets what the others leave")
    for name, share in fractions.items():
        if not 0 < share < 1:
            raise ValueError(f"the share of split {name!r} is {share}, expected a number between 0 and 1")
    if sum(fractions.values()) >= 1:
        raise ValueError(f"the shares {dict(fractions)} leave nothing for 'train', expected a sum below 1")
    # Half up, not to even: 0.5 of 5 images is 3, of 7 it is 4.
    sizes = {name: math.floor(share * len(labels) + 0.5) for name, share in fractions.items()}
    sizes = {"train": len(labels) - sum(sizes.values()), **sizes}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"split {name!r} would get none of {len(labels)} images; give it a larger share")
    return dict(zip(sizes, stratified(labels, list(sizes.values()), seed), strict=True))
