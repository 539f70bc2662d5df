"""Numerics that predictors share: standard units over the rows that count, products that round alike everywhere."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array
from jnas.core._widths import in_32_bits


class Standard(NamedTuple):
    """What takes values to standard units: none deviates if all are the same."""

    center: Array  # [...], mean
    scale: Array  # [...], population deviation; 1 where all values are the same


def standard(values: Array, mask: Array) -> Standard:
    """Returns mean and deviation of the rows whose mask is True.

    Args:
      values: `[N, ...]`; rows outside the mask may hold anything, NaN included.
      mask: bool `[N]`.
    """
    mask = mask.reshape(-1, *(1 for _ in values.shape[1:]))
    values = jnp.where(mask, values, 0).astype(jnp.float32)
    count = jnp.maximum(jnp.sum(mask), 1)

    def mean(numbers: Array) -> Array:
        return jnp.sum(jnp.where(mask, numbers, 0), axis=0) / count

    first = mean(values)
    center = first + mean(values - first[None])  # what the first sum lost to rounding
    deviation = jnp.sqrt(mean((values - center[None]) ** 2))
    # Equal values deviate from their mean by a rounding error.
    return Standard(center, jnp.where(deviation > 1e-6 * jnp.abs(center), deviation, 1.0))


def standardized(values: Array, by: Standard, mask: Array | None = None) -> Array:
    """Returns values `[N, ...]` in standard units as float32; 0 in rows outside the mask."""
    units = (values - by.center[None]) / by.scale[None]
    if mask is not None:
        units = jnp.where(mask.reshape(-1, *(1 for _ in values.shape[1:])), units, 0)
    return units.astype(jnp.float32)


@in_32_bits
def shares(mask: Array) -> Array:
    """Returns what each row of a mask bool `[N]` counts in the mean of those that are True, float32 `[N]`."""
    return mask / jnp.maximum(jnp.sum(mask), 1)


def exact_product(a: Array, b: Array) -> Array:
    """Returns `a @ b` in float32; GPUs would otherwise round the factors to 10 bits.

    For what is solved or subtracted afterwards: a posterior's variance is a small difference of large sums.
    """
    product: Array = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    return product
