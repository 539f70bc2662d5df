"""Reductions over the rows of a run, in forms that compilers for CPUs make fast.

XLA rewrites a reduction of more than 32 numbers on CPUs as several passes over arrays in memory, and an `argmax` as a
chain of comparisons that no two lanes of a processor share. Of integers, and of two arrays at once, it makes a loop
that takes eight numbers at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array

_LOWEST, _HIGHEST = np.int32(-(2**31)), np.int32(2**31 - 1)


def first_highest(*scores: Array) -> tuple[Array, ...]:
    """Returns of each array where its highest number stands first, as `jnp.argmax` does; two cost little more than one.

    Args:
      *scores: float32 `[N]` each, without NaN.

    Returns:
      int32 `[]` for each.
    """
    keys = [_ordered(s) for s in scores]
    highest = _reduce(jnp.maximum, _LOWEST, keys)
    place = jnp.arange(scores[0].shape[0], dtype=jnp.int32)
    return _reduce(
        jnp.minimum, _HIGHEST, [jnp.where(k == h, place, _HIGHEST) for k, h in zip(keys, highest, strict=True)]
    )


def _ordered(scores: Array) -> Array:
    """Returns int32 in the order of the numbers, of which 0 and -0 are one."""
    bits = jax.lax.bitcast_convert_type(jnp.where(scores == 0, np.float32(0), scores), jnp.int32)
    return jnp.where(bits < 0, bits ^ _HIGHEST, bits)


def _reduce(operation: Callable[[Array, Array], Array], start: Any, arrays: Sequence[Array]) -> tuple[Array, ...]:
    both = lambda a, b: tuple(map(operation, a, b))  # noqa: E731
    reduced: tuple[Array, ...] = jax.lax.reduce(tuple(arrays), (start,) * len(arrays), both, (0,))
    return reduced
