"""Edges that compute their operations on a part of the channels, and pass the others on: PC-DARTS's.

"PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", Xu et al., 2020, Section 3.2.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.operations._convolutions import max_pool_2x2


def first_part(images: Array, channels: int, axis: int = 0) -> Array:
    """Returns so many channels, the first, of images with the channels on an axis."""
    return images if images.shape[axis] == channels else lax.slice_in_dim(images, 0, channels, axis=axis)


def beside_operations(computed: Array, images: Array, weight: Array, axis: int = 0) -> Array:
    """Returns an edge's channels `[C, H', W', B]`: those computed, and the others as they came, in turn.

    Channels of as many parts as there are stand beside one another: the first of each part, then the second of each.

    Args:
      computed: `[C / k, H', W', B]`, of the first part; of images of all channels it is what is returned.
      images: `[C, H, W, B]`, which the edge got; where `computed` is of half the size, the others are pooled to it.
      weight: `[]`, of the channels that are passed on.
      axis: Of the channels; images that are pooled have them first.
    """
    channels, total = computed.shape[axis], images.shape[axis]
    if channels == total:
        return computed
    others = lax.slice_in_dim(images, channels, total, axis=axis)
    if others.shape[1:3] != computed.shape[1:3]:
        others = max_pool_2x2(others)
    together = jnp.concatenate([computed, weight * others], axis)
    before, after = together.shape[:axis], together.shape[axis + 1 :]
    parts = together.reshape(*before, total // channels, channels, *after).swapaxes(axis, axis + 1)
    return parts.reshape(together.shape)


def one_hot_but(none: int, arch: Array, num_choices: int) -> Array:
    """Returns the weights `[E, K]` of an architecture `[E]`: 1 at each choice, and nothing where that is `none`."""
    chosen = jax.nn.one_hot(arch, num_choices, dtype=jnp.float32)
    return chosen.at[:, none].set(0)


def check_parts(partial: int, channels: int) -> None:
    """Raises what is wrong with channels in so many parts.

    Raises:
      TypeError: The number of parts is not a Python int.
      ValueError: It is not positive, or does not divide the channels.
    """
    if isinstance(partial, bool) or not isinstance(partial, int):
        raise TypeError(f"partial is {partial!r}, expected a Python int: sizes of arrays are counted in it")
    if partial < 1:
        raise ValueError(f"partial is {partial}, expected at least 1")
    if channels % partial:
        raise ValueError(
            f"channels is {channels}, which is not in {partial} equal parts as partial={partial} asks; pass a multiple "
            f"of {partial}, such as {-(-channels // partial) * partial}, or another partial"
        )
