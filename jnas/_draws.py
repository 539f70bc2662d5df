"""Uniform integers and choices from raw random words, so that a step can draw once and divide the draw."""

import jax
import jax.numpy as jnp

from jnas._vocabulary import Array


def below(words: Array, bound: Array | int) -> Array:
    """Returns integers uniform in `[0, bound)` from uniform 32-bit words.

    Args:
      words: uint32 `[...]` from `jax.random.bits`.
      bound: Positive, at most 65,536; broadcast against `words`. May be traced.

    Returns:
      int32 `[...]`, `floor(word * bound / 2**32)`; its probabilities differ from `1 / bound` by at most `2**-32`.
    """
    bound = jnp.asarray(bound, jnp.uint32)
    high, low = words >> 16, words & 0xFFFF
    return ((high * bound + ((low * bound) >> 16)) >> 16).astype(jnp.int32)


def uniform(words: Array) -> Array:
    """Returns floats uniform in `[0, 1)` (multiples of `2**-23`) from uniform 32-bit words `[...]`."""
    return (words >> 9).astype(jnp.float32) * jnp.float32(2.0**-23)


def permutation(key: Array, length: int) -> Array:
    """Returns a uniform permutation of `range(length)`, int32 `[length]`, from one draw of words."""
    return jnp.argsort(jax.random.bits(key, (length,)))
