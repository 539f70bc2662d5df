"""Architectures as rows of an array: from their strings, and where one stands among them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Space
from jnas.spaces._hashing import find_fingerprint


def many_are_one(space: Space) -> bool:
    """Returns whether several encodings may be one architecture: not where the index counts all encodings."""
    return math.prod(space.num_choices) != space.size


def encode_texts(space: Space, texts: Iterable[Any]) -> np.ndarray:
    """Returns the architectures int32 `[N, E]` of `N` strings (or UTF-8 bytes); ValueError says which is none."""
    rows = []
    for number, text in enumerate(texts):
        try:
            rows.append(space.from_string(text.decode() if isinstance(text, bytes) else str(text)))
        except ValueError as error:
            raise ValueError(f"architecture {number} is no string of the space {space.name!r}: {error}") from error
    return np.asarray(rows, np.int32).reshape(len(rows), space.num_decisions)


def row_locator(space: Space, archs: np.ndarray) -> Callable[[Array], Array]:
    """Returns the pure function from one architecture `[E]` to its row among `archs [N, E]`, or -1."""
    if space.index is None or space.size is None or many_are_one(space):
        return _fingerprint_locator(space, archs)
    numbers = np.asarray(jax.jit(jax.vmap(space.index))(archs.astype(np.int32)))
    rows = np.full(space.size, -1, np.int32)
    rows[numbers] = np.arange(len(archs))
    index, identity = space.index, bool((rows == np.arange(space.size)).all())

    def locate(arch: Array) -> Array:
        row = index(arch) if identity else jnp.asarray(rows)[index(arch)]
        return jnp.where(space.is_valid(arch), row, -1)

    return locate


def _fingerprint_locator(space: Space, archs: np.ndarray) -> Callable[[Array], Array]:
    """Returns a search by fingerprint, for spaces without an index and those in which many encodings are one cell."""
    find = find_fingerprint(np.asarray(jax.jit(jax.vmap(space.fingerprint))(archs.astype(np.int32))))
    return lambda arch: jnp.where(space.is_valid(arch), find(space.fingerprint(arch)), -1)


def encoding_finder(archs: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function, of NumPy's, from encodings `[..., E]` to the row of each among `archs [N, E]`, or -1.

    Unlike `row_locator` it does not find an architecture in another encoding.
    """
    factors = np.random.default_rng(0).integers(1 << 63, size=archs.shape[1], dtype=np.uint64)
    words = archs.astype(np.uint64) @ factors
    order = np.argsort(words, kind="stable")
    words = words[order]

    def find(encodings: np.ndarray) -> np.ndarray:
        place = np.searchsorted(words, encodings.astype(np.uint64) @ factors)
        rows = order[np.minimum(place, len(order) - 1)].astype(np.int32)
        return np.where((archs[rows] == encodings).all(axis=-1), rows, np.int32(-1))

    return find
