"""Values over the lanes of a batch: what `vmap` would compute lane by lane, reduced over all of them at once."""

from collections.abc import Callable

import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jnas.core._vocabulary import Array


@custom_vmap
def all_lanes(flag: Array) -> Array:
    """Returns the flag; under `vmap`, whether it holds in every lane, as a value that is not batched.

    A `while_loop` whose condition differs between lanes copies its whole carry at every step to keep finished lanes
    still. With this as its condition the carry is updated in place; finished lanes go on, and their rows are masked.
    """
    return flag


@all_lanes.def_vmap
def _together(axis_size: int, in_batched: list[bool], flag: Array) -> tuple[Array, bool]:
    del axis_size
    return all_lanes(jnp.all(flag, axis=0) if in_batched[0] else flag), False


@custom_vmap
def lane_maximum(number: Array) -> Array:
    """Returns the number; under `vmap`, the largest of all lanes, as a value that is not batched.

    A `switch` whose index differs between lanes computes all its branches for every lane. With an index from this it
    computes one: that which suffices for the lane that needs the most. A loop with this as its number of steps takes
    those of the longest lane, and its carry is updated in place.
    """
    return number


@lane_maximum.def_vmap
def _of_most(axis_size: int, in_batched: list[bool], number: Array) -> tuple[Array, bool]:
    del axis_size
    return lane_maximum(jnp.max(number, axis=0) if in_batched[0] else number), False


LANES_AS_ONE = (_together, _of_most)
"""The rules of what is one value for all lanes, however these differ."""


def lanes_last(function: Callable[..., Array]) -> Callable[..., Array]:
    """Returns a function of arrays that `vmap` gives the lanes of a batch as their last axes, not as their first.

    Side by side in memory, lanes are what processors compute several of at once, however few numbers each has.

    Args:
      function: Of arrays `[..., *lanes]` to one such array; one that is the same for all lanes has 1 in their place.
    """
    over_lanes = custom_vmap(function)

    @over_lanes.def_vmap
    def _(axis_size: int, in_batched: list[bool], *arrays: Array) -> tuple[Array, bool]:
        del axis_size
        last = [jnp.moveaxis(x, 0, -1) if b else x[..., None] for x, b in zip(arrays, in_batched, strict=True)]
        return jnp.moveaxis(over_lanes(*last), -1, 0), True

    called: Callable[..., Array] = over_lanes
    return called
