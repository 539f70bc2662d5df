"""Simulated time as a sum of two float32 numbers, since one counts 5e6 s in steps of half a second."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import lanes_last
from jnas.core._vocabulary import Array


class Moment(NamedTuple):
    """Seconds since a run began, to about 48 bits; of one moment or of several."""

    high: Array  # [...] float32
    low: Array  # [...] float32, less than a step of `high`


def later(moment: Moment, seconds: Array) -> Moment:
    """Returns the moment so many seconds later (Knuth's two-sum)."""
    high = moment.high + seconds
    part = high - moment.high
    # What rounding took from `high`, exactly; XLA keeps the order of additions, so it is not simplified to 0. (float64
    # would do, but JAX has it for a whole program or not at all.)
    low = moment.low + ((moment.high - (high - part)) + (seconds - part))
    total = high + low
    # Again, so that `low` is less than a step of `total`: then comparing `total` first is right.
    return Moment(total, low - (total - high))


def is_past(moment: Moment, budget: Array) -> Array:
    """Returns whether a moment is later than a budget's end: one comparison in two parts."""
    return (moment.high > budget) | ((moment.high == budget) & (moment.low > 0))


def has_come(moment: Moment, budget: Array) -> Array:
    """Returns whether a moment is that of a budget's end, or later."""
    return (moment.high > budget) | ((moment.high == budget) & (moment.low >= 0))


def earliest(moments: Moment, among: Array, number: Array) -> Array:
    """Returns the place of the earliest moment, int32 `[]`; of equal ones, that of the lowest number.

    Args:
      moments: `[N]`.
      among: bool `[N]`, which count.
      number: int32 `[N]`.
    """
    return _earliest(moments.high, moments.low, among, number)


def first_true(flags: Array) -> Array:
    """Returns the place of the first of flags bool `[N]` that holds, int32 `[]`; `N` where none does."""
    return _first_true(flags)


@lanes_last
def _first_true(flags: Array) -> Array:
    """The same of `[N, *lanes]`; side by side, lanes are compared several at once."""
    count = flags.shape[0]
    place = np.arange(count, dtype=np.int32).reshape(-1, *[1] * (flags.ndim - 1))
    return jnp.min(jnp.where(flags, place, np.int32(count)), axis=0)


@lanes_last
def _earliest(high: Array, low: Array, among: Array, number: Array) -> Array:
    high = jnp.where(among, high, jnp.inf)
    first = among & (high == jnp.min(high, axis=0, keepdims=True))
    low = jnp.where(first, low, jnp.inf)
    first &= low == jnp.min(low, axis=0, keepdims=True)
    lowest = jnp.where(first, number, np.int32(2**31 - 1))
    first &= lowest == jnp.min(lowest, axis=0, keepdims=True)
    place = np.arange(first.shape[0], dtype=np.int32).reshape(-1, *[1] * (first.ndim - 1))
    return jnp.min(jnp.where(first, place, np.int32(first.shape[0] - 1)), axis=0)
