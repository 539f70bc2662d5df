"""Convolutions and batch-norms of a supernet: matrix products with shifted images, forward and backward.

Unlike those of `jnas.training.operations._convolutions` they are made for many kernels at once: a backward pass shifts
the image back, of `9 C` channels, and not the gradients of all kernels. All is plain JAX or has a forward-mode
derivative, so that `jvp(grad(...))` works.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.operations._convolutions import channelwise, contract, moments, patches, pixels

_CACHED_BYTES = 12 << 20


class Kernels(NamedTuple):
    """The weights of edges."""

    one: Array  # float [..., C, C], a row for each output channel
    three: Array  # float [..., C, 9 C]


def convolve_3x3_many(images: Array, kernel: Array) -> Array:
    """Returns a 3x3 convolution with a border of zeros, `[C', H, W, B]`.

    Its gradients are the two functions below, to be called and not to be left to JAX.

    Args:
      images: `[C, H, W, B]`.
      kernel: `[C', 9 C]`.
    """
    _, height, width, batch = images.shape
    padded, bands = _padded(images), _num_bands(images)
    if bands == 1:
        return (kernel @ _shifted_rows(padded, height)).reshape(-1, height, width, batch)
    rows = height // bands

    def fill(band: Array, out: Array) -> Array:
        shifted = _shifted_rows(lax.dynamic_slice_in_dim(padded, band * rows, rows + 2, 1), rows)
        return lax.dynamic_update_slice_in_dim(out, (kernel @ shifted).reshape(-1, rows, width, batch), band * rows, 1)

    # JAX's own gradient of this loop would keep the shifted images of every band, nine times the image: hence the two
    # functions below, which make them anew.
    out: Array = lax.fori_loop(0, bands, fill, jnp.zeros((kernel.shape[0], height, width, batch), images.dtype))
    return out


def convolve_3x3_to_images(kernel: Array, gradient: Array) -> Array:
    """Returns the gradient of `convolve_3x3_many` in its images, `[C, H, W, B]` of `[C', H, W, B]`."""
    shape = (kernel.shape[1] // 9, *gradient.shape[1:])
    shift_back = jax.linear_transpose(patches, jax.core.ShapedArray(shape, gradient.dtype))
    # The product first: its 9 C channels are shifted back at once, however many output channels there are.
    to_images: Array = shift_back(kernel.T @ gradient.reshape(kernel.shape[0], -1))[0]
    return to_images


def convolve_3x3_to_kernel(images: Array, gradient: Array) -> Array:
    """Returns the gradient of `convolve_3x3_many` in its kernel, `[C', 9 C]`."""
    outputs, height = gradient.shape[:2]
    padded, bands = _padded(images), _num_bands(images)
    if bands == 1:
        return contract(gradient.reshape(outputs, -1), _shifted_rows(padded, height))
    rows = height // bands

    def add(band: Array, total: Array) -> Array:
        shifted = _shifted_rows(lax.dynamic_slice_in_dim(padded, band * rows, rows + 2, 1), rows)
        own = lax.dynamic_slice_in_dim(gradient, band * rows, rows, 1)
        return total + contract(own.reshape(outputs, -1), shifted)

    total: Array = lax.fori_loop(0, bands, add, jnp.zeros((outputs, 9 * images.shape[0]), images.dtype))
    return total


def convolution_3x3(images: Array, kernel: Array, stride: int = 1) -> Array:
    """As `convolve_3x3_many`, for JAX to differentiate; of half the size for a stride of 2."""
    _, height, width, batch = images.shape
    return (kernel @ _shifted(images, stride)).reshape(-1, height // stride, width // stride, batch)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _shifted(images: Array, stride: int) -> Array:
    """As `patches`."""
    if jax.default_backend() != "cpu":
        return patches(images, stride)
    if stride == 1:
        return _shifted_rows(_padded(images), images.shape[1])
    channels, height, width, batch = images.shape
    squares = _padded(images).reshape(channels, height // 2 + 1, 2, width // 2 + 1, 2, batch)
    squares = squares.transpose(2, 4, 0, 1, 3, 5)  # whose pixels are neighbours where those of the images are two apart

    def one(_: None, tap: Array) -> tuple[None, Array]:
        row, column = tap // 3, tap % 3
        start = (row % 2, column % 2, 0, row // 2, column // 2, 0)
        return None, lax.dynamic_slice(squares, start, (1, 1, channels, height // 2, width // 2, batch))

    return lax.scan(one, None, jnp.arange(9))[1].reshape(9 * channels, -1)


@_shifted.defjvp
def _shifted_jvp(stride: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Said by slices, whose transpose is padding: that of a loop over slices is slow."""
    return _shifted(primals[0], stride), patches(tangents[0], stride)


def _padded(images: Array) -> Array:
    return jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _shifted_rows(padded: Array, height: int) -> Array:
    """Returns `patches` of images, or of a band of their rows, that have their neighbours around them.

    On CPUs a loop over the nine taps copies whole rows: in a third of the time that XLA's concatenation takes, and
    compiled in half.
    """
    channels, _, width, batch = padded.shape
    rows = padded.reshape(channels, height + 2, -1)

    def one(tap: Any) -> Array:
        return lax.dynamic_slice(rows, (0, tap // 3, tap % 3 * batch), (channels, height, (width - 2) * batch))

    if jax.default_backend() == "cpu":
        shifted = lax.scan(lambda _, tap: (None, one(tap)), None, jnp.arange(9))[1]
    else:
        shifted = jnp.stack([one(tap) for tap in range(9)])
    return shifted.reshape(9 * channels, -1)


def _num_bands(images: Array) -> int:
    """Returns in how many bands of rows the shifted images are made, so that a large one stays in a CPU's cache."""
    size, height = 9 * images.size * images.dtype.itemsize, images.shape[1]
    if jax.default_backend() != "cpu" or size <= _CACHED_BYTES:
        return 1
    return next((n for n in (2, 4, 8, 16) if height % n == 0 and size / n <= _CACHED_BYTES / 4), 1)


def convolve_1x1_backward(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """Returns the gradients of `convolve_1x1` in its images and in its kernel."""
    flat = gradient.reshape(kernel.shape[0], -1)
    return (kernel.T @ flat).reshape(images.shape), contract(flat, images.reshape(images.shape[0], -1))


def normalized(images: Array, mean: Array, factor: Array, axis: int = 0) -> Array:
    """Returns images less their mean, times a factor, both `[C]`; `axis` is that of channels."""
    return (images - channelwise(mean, axis)) * channelwise(factor, axis)


def normalize_backward(
    gradient: Array, values: Array, factor: Array, total: Array, along: Array, axis: int = 0
) -> Array:
    """Returns the gradient of a batch-norm in its input.

    Args:
      gradient: Of the output, `[C, H, W, B]`.
      values: The output.
      factor: One over the standard deviation, `[C]`, times what the output is multiplied with.
      total: The sum of the gradient, `[C]`.
      along: The sum of the gradient times the output, `[C]`.
      axis: That of channels, where it is not the first.
    """
    count = gradient.size // gradient.shape[axis]
    centred = gradient - channelwise(total / count, axis) - values * channelwise(along / count, axis)
    return centred * channelwise(factor, axis)


def normalize_batch(images: Array, statistics: Array | None, epsilon: float, axis: int = 0) -> tuple[Array, Array]:
    """Returns normalized images, without scale or shift, and the mean and variance that were used, `[2, C]`.

    Args:
      images: `[C, H, W, B]`.
      statistics: Mean and variance to normalize with, `[2, C]`, or `None` for the batch's own.
      epsilon: Added to the variance.
      axis: That of channels, where it is not the first.
    """
    if statistics is not None:
        return normalized(images, statistics[0], lax.rsqrt(statistics[1] + epsilon), axis), statistics
    result: tuple[Array, Array] = _normalize(images, epsilon, axis)
    return result


# A forward-mode rule and not a `custom_vjp`, which has none: DARTS's second order takes `jvp(grad(...))`.
@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _normalize(images: Array, epsilon: float, axis: int) -> tuple[Array, Array]:
    used = moments(images, axis)
    return normalized(images, used[0], lax.rsqrt(used[1] + epsilon), axis), used


@_normalize.defjvp
def _normalize_jvp(
    epsilon: float, axis: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The derivative is symmetric: transposed, it is the quick backward pass."""
    (images,), (tangent,) = primals, tangents
    out, used = _normalize(images, epsilon, axis)
    factor = lax.rsqrt(used[1] + epsilon)
    total, along = jnp.sum(tangent, pixels(axis)), jnp.sum(tangent * out, pixels(axis))
    count = images.size // images.shape[axis]
    # Of the mean, and of the variance: `out / factor` is the image less its mean.
    to_used = jnp.stack([total / count, 2 * along / (count * factor)])
    return (out, used), (normalize_backward(tangent, out, factor, total, along, axis), to_used)
