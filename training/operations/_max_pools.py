"""Max pooling of images `[C, H, W, B]`; where several pixels are equally large, the first has the gradient."""

import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array


def max_pool_3x3(images: Array) -> Array:
    """Returns the largest of each pixel's 3x3 neighbours within the image, `[C, H, W, B]`."""
    for axis in (2, 1):
        # Along a row first, so that the first of equal pixels is the first in reading order.
        border = [(0, 0, 0)] * images.ndim
        border[axis] = (1, 1, 0)
        size = images.shape[axis]
        padded = lax.pad(images, jnp.array(-jnp.inf, images.dtype), border)
        before, here, after = (lax.slice_in_dim(padded, place, place + size, axis=axis) for place in range(3))
        images = _larger(_larger(before, here), after)
    return images


def max_pool_2x2(images: Array) -> Array:
    """Returns the largest of each 2x2 block, `[C, H / 2, W / 2, B]`."""
    columns = _larger(images[:, :, ::2], images[:, :, 1::2])
    return _larger(columns[:, ::2], columns[:, 1::2])


def _larger(first: Array, second: Array) -> Array:
    """As `maximum`, which would halve the gradient between equals."""
    return jnp.where((first >= second) | jnp.isnan(first), first, second)
