"""Convolutions and batch-norms of a supernet: matrix products in plain JAX, forward and backward.

Unlike those of `jnas.training._operations` they are made for many kernels at once: a backward pass shifts the image
back, of `9 C` channels, and not the gradients of all kernels. All is plain
JAX or has a forward-mode derivative, so that `jvp(grad(...))` works.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas._vocabulary import Array
from jnas.training._operations import channelwise, patches


class Kernels(NamedTuple):
    """The weights of edges."""

    one: Array  # float [..., C, C], a row for each output channel
    three: Array  # float [..., C, 9 C]


def convolve_3x3(images: Array, kernel: Array, stride: int = 1) -> Array:
    """Returns a 3x3 convolution with a border of zeros, `[C', H, W, B]`; of half the size for a stride of 2.

    Args:
      images: `[C, H, W, B]`.
      kernel: `[C', 9 C]`.
      stride: 1 or 2.
    """
    _, height, width, batch = images.shape
    return (kernel @ _gathered(images, stride)).reshape(-1, height // stride, width // stride, batch)


def convolution_3x3(images: Array, kernel: Array, stride: int = 1) -> Array:
    """As `convolve_3x3`, for JAX to differentiate."""
    _, height, width, batch = images.shape
    return (kernel @ _shifted(images, stride)).reshape(-1, height // stride, width // stride, batch)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _shifted(images: Array, stride: int) -> Array:
    return _gathered(images, stride)


@_shifted.defjvp
def _shifted_jvp(stride: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Said by slices, whose transpose is padding: that of `_gathered` would be a scatter."""
    return _gathered(primals[0], stride), patches(tangents[0], stride)


def convolve_3x3_backward(images: Array, kernel: Array, gradient: Array, stride: int = 1) -> tuple[Array, Array]:
    """Returns the gradients of `convolve_3x3` in its images and in its kernel."""
    flat = gradient.reshape(kernel.shape[0], -1)
    shift_back = jax.linear_transpose(lambda images: patches(images, stride), images)
    to_kernel = lax.dot_general(flat, _gathered(images, stride), (((1,), (1,)), ((), ())))
    return shift_back(kernel.T @ flat)[0], to_kernel


def _gathered(images: Array, stride: int) -> Array:
    """As `patches`, by an operation that XLA makes one loop of, not eighteen: it compiles in a quarter of the time."""
    channels, height, width, batch = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    starts = np.stack(np.divmod(np.arange(9), 3), 1)
    shifted = lax.gather(
        padded,
        starts,
        lax.GatherDimensionNumbers(offset_dims=(1, 2, 3, 4), collapsed_slice_dims=(), start_index_map=(1, 2)),
        (channels, height, width, batch),
        mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )
    return shifted[:, :, ::stride, ::stride].reshape(9 * channels, -1)


def convolve_1x1_backward(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """Returns the gradients of `convolve_1x1` in its images and in its kernel."""
    flat = gradient.reshape(kernel.shape[0], -1)
    to_kernel = lax.dot_general(flat, images.reshape(images.shape[0], -1), (((1,), (1,)), ((), ())))
    return (kernel.T @ flat).reshape(images.shape), to_kernel


def moments_of(images: Array) -> Array:
    """Returns the mean and the (biased) variance of each channel, `[2, C]`."""
    mean = jnp.mean(images, (1, 2, 3))
    return jnp.stack([mean, jnp.mean(jnp.square(images - channelwise(mean)), (1, 2, 3))])


def normalized(images: Array, mean: Array, factor: Array) -> Array:
    """Returns images less their mean, times a factor, both `[C]`."""
    return (images - channelwise(mean)) * channelwise(factor)


def normalize_backward(gradient: Array, values: Array, factor: Array, total: Array, along: Array) -> Array:
    """Returns the gradient of a batch-norm in its input.

    Args:
      gradient: Of the output, `[C, H, W, B]`.
      values: The output.
      factor: One over the standard deviation, `[C]`, times what the output is multiplied with.
      total: The sum of the gradient, `[C]`.
      along: The sum of the gradient times the output, `[C]`.
    """
    count = gradient.size // gradient.shape[0]
    centred = gradient - channelwise(total / count) - values * channelwise(along / count)
    return centred * channelwise(factor)


def normalize(images: Array, statistics: Array | None, epsilon: float) -> tuple[Array, Array]:
    """Returns normalized images, without scale or shift, and the mean and variance that were used, `[2, C]`.

    Args:
      images: `[C, H, W, B]`.
      statistics: Mean and variance to normalize with, `[2, C]`, or `None` for the batch's own.
      epsilon: Added to the variance.
    """
    if statistics is not None:
        return normalized(images, statistics[0], lax.rsqrt(statistics[1] + epsilon)), statistics
    result: tuple[Array, Array] = _normalize(images, epsilon)
    return result


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _normalize(images: Array, epsilon: float) -> tuple[Array, Array]:
    used = moments_of(images)
    return normalized(images, used[0], lax.rsqrt(used[1] + epsilon)), used


@_normalize.defjvp
def _normalize_jvp(
    epsilon: float, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The derivative is symmetric: transposed, it is the quick backward pass."""
    (images,), (tangent,) = primals, tangents
    out, used = _normalize(images, epsilon)
    factor = lax.rsqrt(used[1] + epsilon)
    total, along = jnp.sum(tangent, (1, 2, 3)), jnp.sum(tangent * out, (1, 2, 3))
    count = images.size // images.shape[0]
    to_used = jnp.stack([total / count, 2 * along / (count * factor)])
    return (out, used), (normalize_backward(tangent, out, factor, total, along), to_used)
