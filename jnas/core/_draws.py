"""Random words, drawn once a step, and what is made of them.

Each call of the random number generator is a loop of its own in the compiled program. Inside a search step over many
lanes these loops take longer than the search, so a step draws all its words at once.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from numpy.typing import NDArray

from jnas.core._once import once
from jnas.core._vocabulary import Array, Key

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def split(key: Key, num: int = 2) -> Key:
    """Returns keys `[num]`, those of `jax.random.split(key, num)`, in a program that is faster on CPUs."""
    if not _is_threefry(key):
        return jax.random.split(key, num)
    keys: Key = jax.random.wrap_key_data(jnp.stack(_hash(key, np.arange(num, dtype=np.uint32)), axis=-1))
    return keys


def bits(key: Key, shape: tuple[int, ...] = ()) -> Array:
    """Returns uniform words uint32 `[*shape]`, those of `jax.random.bits`, in a program that is faster on CPUs."""
    size = math.prod(shape)
    if not _is_threefry(key) or not size:
        return jax.random.bits(key, shape, jnp.uint32)
    high, low = _hash(key, np.arange(size, dtype=np.uint32))
    words: Array = (high ^ low).reshape(shape)
    return words


def fold_in(key: Key, data: Array) -> Key:
    """Returns the key of `jax.random.fold_in(key, data)` for a uint32 `[]`, in a program that is faster on CPUs."""
    if not _is_threefry(key):
        return jax.random.fold_in(key, data)
    # As in JAX, a key that numbers are folded into is not used up.
    again = jax.random.clone(key)  # type: ignore[no-untyped-call]
    folded: Key = jax.random.wrap_key_data(jnp.stack(_hash(again, jnp.asarray(data, jnp.uint32)[None]), axis=-1)[0])
    return folded


def fold_in_on_host(data: NDArray[np.uint32], numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Returns the data `[N, 2]` of the keys that `jax.random.fold_in` makes of a Threefry key's data `[2]` and `[N]`.

    By NumPy, without a program to compile.
    """
    return np.stack(_words(data[:1], data[1:], numbers), axis=-1)


def _is_threefry(key: Key) -> bool:
    """Returns whether a key is a traced one of JAX's default generator as it is by default, in a program for CPUs."""
    return (
        jax.default_backend() == "cpu"
        and isinstance(key, jax.core.Tracer)
        and key.ndim == 0
        and str(jax.random.key_impl(key)) == "threefry2x32"
        and getattr(jax.config, "jax_threefry_partitionable", True)
    )


@custom_vmap
def _hash(key: Key, counts: Array) -> tuple[Array, Array]:
    """Returns the two words of Threefry-2x32 for each of some numbers uint32 `[*lanes, N]`, under keys `[*lanes]`.

    JAX's own lowering for CPUs is a loop of five trips that copies its state at each. Here its 20 rounds follow one
    another, and lanes lie side by side in memory, for processors to compute several at once.

    References:
      "Parallel Random Numbers: As Easy as 1, 2, 3", Salmon et al., 2011.
    """
    high, low = once(_rounds(jax.random.key_data(key), counts))
    return jnp.moveaxis(high, 0, -1), jnp.moveaxis(low, 0, -1)


@jax.jit
def _rounds(data: Array, counts: Array) -> tuple[Array, Array]:
    """Returns the words `[N, *lanes]`; compiled functions are traced once for all places that draw alike."""
    return _words(data[None, ..., 0], data[None, ..., 1], jnp.moveaxis(counts, -1, 0))


def _words(first: Any, second: Any, counts: Any) -> tuple[Any, Any]:
    """Returns both words of each count uint32 under the two words of a key; all are JAX's arrays, or all NumPy's."""
    keys = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    high, low = keys[0], counts + keys[1]
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            high = high + low
            low = high ^ ((low << np.uint32(r)) | (low >> np.uint32(32 - r)))
        high, low = high + keys[(i + 1) % 3], low + keys[(i + 2) % 3] + np.uint32(i + 1)
    return high, low


@_hash.def_vmap
def _(axis_size: int, in_batched: list[bool], key: Key, counts: Array) -> tuple[tuple[Array, Array], tuple[bool, bool]]:
    del axis_size
    key, counts = (x if batched else x[None] for x, batched in zip((key, counts), in_batched, strict=True))
    return _hash(key, counts), (True, True)


def draw_words(key: Key, num_words: int) -> tuple[Key, Array]:
    """Returns the next key and uniform words uint32 `[num_words]`, in one call of the generator.

    The words are the data of keys that are split from `key` and used for nothing else.
    """
    data_size = jax.eval_shape(jax.random.key_data, key).shape[-1]
    keys = split(key, 1 - (-num_words // data_size))
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
