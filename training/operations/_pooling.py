"""3x3 average pooling of stride 1 or 2 whose gradient is a pooling too.

Activations are `[C, H, W, B]`. Windows are centred on every pixel, or on every other one, the first being that in the
corner; what lies beyond the border does not count.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.operations._convolutions import average_pool_3x3, average_pool_3x3_transposed


def average_pool(images: Array, stride: int = 1) -> Array:
    """Returns means over 3x3 neighbours within the image, `[C, H / stride, W / stride, B]`."""
    result: Array = _average_pool(images, stride)
    return result


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _average_pool(images: Array, stride: int) -> Array:
    return average_pool_plain(images, stride)


def average_pool_plain(images: Array, stride: int = 1) -> Array:
    """As `average_pool`, with no gradient of its own, hence with a forward mode."""
    return average_pool_3x3(images)[:, ::stride, ::stride]


def _forward(images: Array, stride: int) -> tuple[Array, tuple[int, ...]]:
    return average_pool_plain(images, stride), images.shape[1:3]


def _backward(stride: int, size: tuple[int, ...], gradient: Array) -> tuple[Array]:
    return (average_pool_transposed(gradient, stride, size),)


_average_pool.defvjp(_forward, _backward)


def average_pool_transposed(gradient: Array, stride: int, size: tuple[int, ...]) -> Array:
    """Returns the gradient of `average_pool` in its images, of height and width `size`."""
    if stride == 1:
        return average_pool_3x3_transposed(gradient)
    after = [full - 1 - (out - 1) * stride for full, out in zip(size, gradient.shape[1:3], strict=True)]
    border = ((0, 0, 0), (0, after[0], stride - 1), (0, after[1], stride - 1), (0, 0, 0))
    return average_pool_3x3_transposed(lax.pad(gradient, jnp.zeros((), gradient.dtype), border))
