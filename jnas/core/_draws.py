"""Random words, drawn once a step, and what is made of them.

Each call of the random number generator is a loop of its own in the compiled program. Inside a search step over many
lanes these loops take longer than the search, so a step draws all its words at once.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key


def draw_words(key: Key, num_words: int) -> tuple[Key, Array]:
    """Returns the next key and uniform words uint32 `[num_words]`, in one call of the generator.

    The words are the data of keys that are split from `key` and used for nothing else.
    """
    data_size = jax.eval_shape(jax.random.key_data, key).shape[-1]
    keys = jax.random.split(key, 1 - (-num_words // data_size))
    return keys[0], jax.random.key_data(keys[1:]).reshape(-1)[:num_words]


def below(words: Array, bound: Array | int) -> Array:
    """Returns integers uniform in `[0, bound)` from uniform 32-bit words.

    Args:
      words: uint32 `[...]` from `jax.random.bits`.
      bound: Positive; broadcast against `words`. May be traced, or an array, if it is at most 65,536.

    Returns:
      int32 `[...]`, `floor(word * bound / 2**32)`; its probabilities differ from `1 / bound` by at most `2**-32`.
    """
    _check_words(words)
    high, low = words >> 16, words & 0xFFFF
    if isinstance(bound, int) and bound > 1 << 16:  # the product of two words has two of its own
        upper, lower = np.uint32(bound >> 16), np.uint32(bound & 0xFFFF)
        first, second = high * lower, low * upper
        carried = ((first & 0xFFFF) + (second & 0xFFFF) + ((low * lower) >> 16)) >> 16
        return (high * upper + (first >> 16) + (second >> 16) + carried).astype(jnp.int32)
    bound = jnp.asarray(bound, jnp.uint32)
    return ((high * bound + ((low * bound) >> 16)) >> 16).astype(jnp.int32)


def uniform(words: Array) -> Array:
    """Returns floats uniform in `[0, 1)` (multiples of `2**-23`) from uniform 32-bit words `[...]`."""
    _check_words(words)
    return (words >> 9).astype(jnp.float32) * 2.0**-23


def _check_words(words: Array) -> None:
    """Raises TypeError for words of another width, whose upper half would make garbage of every draw."""
    if words.dtype != np.uint32:
        raise TypeError(f"words are {words.dtype}, expected uint32: jax.random.bits(key, shape, jnp.uint32)")
