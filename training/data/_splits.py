"""Splits drawn by class, the same for the same seed with any version of NumPy."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np


def random_words(size: int, seed: int) -> np.ndarray:
    """Returns the first words of a random stream, uint64 `[size]`.

    They are the raw ones of PCG64, which NumPy promises never to change (NEP 19), as it does not promise of what
    `Generator` makes of them.

    Raises:
      TypeError: The seed is not a whole number.
      ValueError: The seed is negative.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}, expected a whole number")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected a number of at least 0")
    words: np.ndarray = np.random.PCG64(int(seed)).random_raw(size)
    return words


def stratified(labels: np.ndarray, sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Returns disjoint sets of rows, with each class in each set in proportion.

    The images of each class, in random order, are laid out evenly over one line, and the line is cut into the sets.
    So the sets have exactly the sizes asked for, and each its share of each class to within two images. Where each
    class begins on the line differs and is random, so that of rare classes not all or none come into a small set.

    Args:
      labels: The classes `[N]`.
      sizes: How many rows each set gets, at most `N` together.
      seed: What order and beginnings are drawn from. The same seed gives the same sets, with any version of NumPy.

    Returns:
      For each set its rows, int32 `[size]`, ascending.
    """
    num_images, num_classes = len(labels), len(np.unique(labels))
    words = random_words(num_images + num_classes + 1, seed)
    order = np.argsort(words[:num_images], kind="stable")
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(num_images) - np.repeat(starts, counts)
    places = np.argsort(words[num_images:-1], kind="stable")
    begin = (places + words[-1] / 2.0**64) / num_classes
    line = by_class[np.argsort((rank + np.repeat(begin, counts)) / np.repeat(counts, counts), kind="stable")]
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
