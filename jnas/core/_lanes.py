"""Values over the lanes of a batch: what `vmap` would compute lane by lane, reduced over all of them at once."""

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
def _(axis_size: int, in_batched: list[bool], flag: Array) -> tuple[Array, bool]:
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
def _(axis_size: int, in_batched: list[bool], number: Array) -> tuple[Array, bool]:
    del axis_size
    return lane_maximum(jnp.max(number, axis=0) if in_batched[0] else number), False
