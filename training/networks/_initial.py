"""How the arrays of networks start, and how running estimates go on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key


class Uniform(NamedTuple):
    """Uniform within one over the square root of the fan-in, as PyTorch's layers start."""

    shape: tuple[int, ...]
    fan_in: int


class Constant(NamedTuple):
    """The same number everywhere."""

    shape: tuple[int, ...]
    value: float


def is_start(value: Any) -> bool:
    """Returns whether this says how an array starts: a leaf, although JAX takes it for a tuple of two."""
    return isinstance(value, Uniform | Constant)


def initial_arrays(key: Key, starts: Any) -> Any:
    """Returns float32 arrays for a pytree of `Uniform` and `Constant`; one draw serves all."""
    flat, structure = jax.tree.flatten(starts, is_leaf=is_start)
    total = sum(int(np.prod(start.shape)) for start in flat if isinstance(start, Uniform))
    draws = jax.random.uniform(key, (total,), jnp.float32, -1.0, 1.0)
    leaves, place = [], 0
    for start in flat:
        if isinstance(start, Constant):
            leaves.append(jnp.full(start.shape, start.value, jnp.float32))
        else:
            size = int(np.prod(start.shape))
            leaves.append(draws[place : place + size].reshape(start.shape) * np.float32(start.fan_in**-0.5))
            place += size
    return jax.tree.unflatten(structure, leaves)


def fresh_moments(*shape: int) -> Array:
    """Returns means of 0 and variances of 1, float32 `[..., 2, C]`, of batch-norms `[..., C]`."""
    *lead, width = shape
    return jnp.broadcast_to(jnp.asarray([0.0, 1.0], jnp.float32)[:, None], (*lead, 2, width))


def moved_moments(old: Array, new: Array, keep: float, count: int) -> Array:
    """Returns running means and variances `[..., 2, C]` after a batch's own, whose variances are made unbiased.

    Args:
      old: Before.
      new: Of the batch.
      keep: What they keep of themselves.
      count: How many numbers the batch's are of.
    """
    unbiased = jnp.asarray([1.0, count / max(count - 1, 1)], new.dtype)
    return keep * old + (1 - keep) * new * unbiased.reshape((1,) * (new.ndim - 2) + (2, 1))
