"""Fingerprints: two 32-bit words, since JAX has no 64-bit integers unless x64 is on."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array


def mix(words: Array) -> Array:
    """Returns uint32 words scrambled by a bijection, MurmurHash3's finaliser (Appleby, 2011)."""
    words = words ^ (words >> 16)
    words = words * np.uint32(0x85EBCA6B)
    words = words ^ (words >> 13)
    words = words * np.uint32(0xC2B2AE35)
    return words ^ (words >> 16)


def hash_number(number: Array) -> Array:
    """Returns the fingerprint, uint32 `[2]`, of an integer `[]`; different 32-bit integers never share one."""
    return mix(jnp.asarray(number).astype(jnp.uint32) + np.array([0x9E3779B9, 0x7F4A7C15], np.uint32))


def hash_digits(digits: Array) -> Array:
    """Returns the fingerprint, uint32 `[2]`, of integers `[E]`.

    Every pair of position and value has its own two scrambled words, and the sums over the positions are scrambled
    again: all positions at once, where a rolling hash would go through them one after another. Two different inputs
    share a fingerprint with a probability of about `2**-64`.
    """
    length = digits.shape[0]
    salts = mix(jnp.arange(1, 2 * length + 1, dtype=jnp.uint32).reshape(length, 2))
    return mix(jnp.sum(mix(digits.astype(jnp.uint32)[:, None] + salts), axis=0, dtype=jnp.uint32))


def find_fingerprint(words: np.ndarray) -> Callable[[Array], Array]:
    """Returns the pure function from a fingerprint uint32 `[2]` to its row int32 `[]` in `words [N, 2]`, or -1.

    A binary search over the sorted fingerprints; `words` has no row twice, and at least one.
    """
    order = np.lexsort((words[:, 1], words[:, 0])).astype(np.int32)
    high, low = words[order, 0], words[order, 1]
    steps = max(1, int(np.ceil(np.log2(len(words) + 1))))

    def find(wanted: Array) -> Array:
        highs, lows = jnp.asarray(high), jnp.asarray(low)

        def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            left, right = bounds
            middle = (left + right) // 2
            less = (highs[middle] < wanted[0]) | ((highs[middle] == wanted[0]) & (lows[middle] < wanted[1]))
            open_ = left < right
            return jnp.where(open_ & less, middle + 1, left), jnp.where(open_ & ~less, middle, right)

        left, _ = jax.lax.fori_loop(0, steps, halve, (jnp.int32(0), jnp.int32(len(order))))
        left = jnp.minimum(left, len(order) - 1)
        same = (highs[left] == wanted[0]) & (lows[left] == wanted[1])
        return jnp.where(same, jnp.asarray(order)[left], -1)

    return find
