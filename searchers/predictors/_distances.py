"""Distances between architectures: an encoding, and a function of two encoded ones."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jnas.core._vocabulary import Array
from jnas.io._text import not_one_of
from jnas.searchers.predictors._numerics import exact_product

Distance = Callable[[Array, Array], Array]
"""`distance(a [A, F], b [B, F]) -> [A, B]`, not negative."""


def l1(a: Array, b: Array) -> Array:
    """Returns the sums of absolute differences `[A, B]`."""
    return jnp.sum(jnp.abs(a[:, None] - b[None]), axis=2)


def hamming(a: Array, b: Array) -> Array:
    """Returns the numbers of entries that differ `[A, B]`."""
    return jnp.sum(a[:, None] != b[None], axis=2).astype(jnp.float32)


def squared_l2(a: Array, b: Array) -> Array:
    """Returns squared Euclidean distances `[A, B]` in one matrix product; of bits it is their Hamming distance."""
    product = exact_product(a, b.T)
    return jnp.maximum(jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None] - 2 * product, 0)


def hamming_and_count(a: Array, b: Array) -> Array:
    """Returns the Hamming distance of all entries but the last, plus the absolute difference of the last."""
    return hamming(a[:, :-1], b[:, :-1]) + l1(a[:, -1:], b[:, -1:])


def sets_and_sizes(a: Array, b: Array) -> Array:
    """Returns, of sets given as bits, the sizes of the differences plus the absolute difference of the sizes."""
    return squared_l2(a, b) + l1(jnp.sum(a, axis=1, keepdims=True), jnp.sum(b, axis=1, keepdims=True))


_DISTANCES: dict[str, Distance] = {
    "l1": l1,
    "hamming": hamming,
    "squared_l2": squared_l2,
    "hamming_and_count": hamming_and_count,
    "sets_and_sizes": sets_and_sizes,
}

DISTANCES = {
    "adjacency": ("ordinal", "hamming"),
    "continuous_adjacency": ("continuous_adjacency", "hamming_and_count"),
    "path": ("path", "squared_l2"),
    "truncated_path": ("truncated_path", "squared_l2"),
    "continuous_path": ("path", "sets_and_sizes"),
    "truncated_continuous_path": ("truncated_path", "sets_and_sizes"),
    "nasbot": ("nasbot", "l1"),
}
"""Published distances of architectures: for each the encoding, and the distance of two encoded ones.

`'adjacency'` is the number of decisions that differ (on NAS-Bench-101 edges and operations; any space has it),
`'path'` and `'truncated_path'` the number of paths that one has and the other has not; `'continuous_...'` add the
absolute difference of the numbers of edges or paths. `'nasbot'` is the sum of absolute differences of the sorted row
sums and the sorted column sums of the graph and of the numbers of operations. Each is an L1 distance of some vectors,
so that `exp(-d / c)` is positive semidefinite for any `c > 0`.

References:
  "A Study on Encodings for Neural Architecture Search", White et al., 2020 (the distances in a Gaussian process).
  "Neural Architecture Search with Bayesian Optimisation and Optimal Transport", Kandasamy et al., 2018 (NASBOT, whose
    distance this one stands for, as in the comparison of "BANANAS", White et al., 2021).
"""


def resolve_distance(distance: str | Distance) -> Distance:
    """Returns the named distance, or the function that was given.

    Raises:
      TypeError: It is neither.
      ValueError: The name is unknown.
    """
    if callable(distance):
        return distance
    if not isinstance(distance, str):
        raise TypeError(f"distance is {distance!r}, expected a name or a function of two arrays [A, F] and [B, F]")
    if distance not in _DISTANCES:
        told = not_one_of("distance", distance, tuple(_DISTANCES))
        if distance in DISTANCES:
            encoding, between = DISTANCES[distance]
            told += f"; {distance!r} is {between!r} of the features {encoding!r}"
        raise ValueError(told)
    return _DISTANCES[distance]


def named_distance(name: Any, feature_names: tuple[str, ...]) -> tuple[str, str]:
    """Returns for one of `DISTANCES` the encoding and the distance of two encoded architectures.

    Args:
      name: For example `'path'`.
      feature_names: The encodings that the space has.

    Raises:
      ValueError: The name is unknown, or the space does not have its encoding.
    """
    if name not in DISTANCES:
        raise ValueError(not_one_of("distance", name, tuple(DISTANCES)))
    encoding, distance = DISTANCES[name]
    if encoding not in feature_names:
        raise ValueError(
            f"the distance {name!r} needs the encoding {encoding!r}, and the space has {', '.join(feature_names)}; "
            "choose another distance ('adjacency' works in every space)"
        )
    return encoding, distance
