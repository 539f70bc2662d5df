"""The operations of a cell's network on one candidate, said so that they are fast inside loops.

Activations are `[C, H, W, B]`: the batch is the last axis, so that shifting an image by a pixel moves whole runs of
memory and a batch-norm's sums go over contiguous numbers. Kernels are `[C', 9 C]`, or `[C', C]` for 1x1: a row for
each output channel, the nine taps row by row, and within a tap the input channels.

A convolution is a matrix product with the nine shifted images ("patches"), in its gradient too. XLA makes native
backward convolutions inside `scan` 10 to 60 times slower on CPUs (jax issue 12868), and under `vmap` they become
grouped convolutions, which are slow everywhere. Where the patches of one candidate would not fit a CPU's cache, the
convolution and its input gradient are native ones (both are forward convolutions) and the kernel's gradient goes
over the image in bands. A native convolution here has its images transposed before and after: networks of large images
keep them in the order of `jnas.training.operations._channels_last` instead (`_layouts.py` chooses).
"""

import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array
from jnas.io._text import not_one_of

Convolution = Literal["auto", "patches", "native"]
"""How 3x3 convolutions are said; see `convolve_3x3`."""

_CACHED_BYTES = 8 << 20


def check_convolution(convolution: str) -> None:
    """Raises a `ValueError` for an unknown way to say a convolution."""
    if convolution not in get_args(Convolution):
        raise ValueError(not_one_of("convolution", convolution, get_args(Convolution)))


def patches(images: Array, stride: int = 1) -> Array:
    """Returns the nine shifted images, `[9 C, H' W' B]` of `[C, H, W, B]`, with a border of zeros.

    Args:
      images: `[C, H, W, B]`.
      stride: 1, or 2 for an image of half the size (even sizes alone).
    """
    channels, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height : stride, j : j + width : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, 0).reshape(9 * channels, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_3x3(images: Array, kernel: Array, convolution: Convolution = "auto") -> Array:
    """Returns a 3x3 convolution of stride 1 with a border of zeros, `[C', H, W, B]`.

    Args:
      images: `[C, H, W, B]`.
      kernel: `[C', 9 C]`.
      convolution: `'patches'`: one matrix product. `'native'`: XLA's convolution. `'auto'`: patches where they take
        at most 8 MiB, which is where they are faster on CPUs; under `vmap`, ask for `'patches'`.
    """
    if _by_patches(images, kernel, convolution):
        return (kernel @ patches(images)).reshape(-1, *images.shape[1:])
    # Said in the order that CPUs have fast code for: asked for any other, XLA falls back to loops, 60 times slower.
    out = lax.conv_general_dilated(
        images.transpose(3, 1, 2, 0),
        kernel.reshape(kernel.shape[0], 3, 3, images.shape[0]).transpose(1, 2, 3, 0),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.transpose(3, 1, 2, 0)


def _convolve_forward(images: Array, kernel: Array, convolution: Convolution) -> tuple[Array, tuple[Array, Array]]:
    return convolve_3x3(images, kernel, convolution), (images, kernel)


def _convolve_backward(convolution: Convolution, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Both gradients from the patches of the output's gradient alone: shifting back is shifting with flipped taps."""
    images, kernel = saved
    inputs, outputs = images.shape[0], kernel.shape[0]
    flipped = kernel.reshape(outputs, 9, inputs)[:, ::-1].transpose(2, 1, 0).reshape(inputs, 9 * outputs)
    if _by_patches(images, kernel, convolution):
        shifted = patches(gradient)
        to_images = (flipped @ shifted).reshape(images.shape)
        to_kernel = contract(images.reshape(inputs, -1), shifted)
    else:
        to_images = convolve_3x3(gradient, flipped, "native")
        to_kernel = _banded_contraction(images, gradient)
    to_kernel = to_kernel.reshape(inputs, 9, outputs)[:, ::-1].transpose(2, 1, 0)
    return to_images, to_kernel.reshape(kernel.shape)


convolve_3x3.defvjp(_convolve_forward, _convolve_backward)


def _by_patches(images: Array, kernel: Array, convolution: Convolution) -> bool:
    if convolution != "auto":
        return convolution == "patches"
    count = images.size // images.shape[0]
    return fits_cache(max(images.shape[0], kernel.shape[0]), count, images.dtype.itemsize)


def fits_cache(channels: int, count: int, itemsize: int = 4) -> bool:
    """Returns whether a CPU's cache holds the nine shifted images of so many channels and pixels."""
    return 9 * channels * count * itemsize <= _CACHED_BYTES


def contract(left: Array, right: Array) -> Array:
    """Returns `left @ right.T` without a transposed copy."""
    return lax.dot_general(left, right, (((1,), (1,)), ((), ())))


def _banded_contraction(images: Array, gradient: Array) -> Array:
    """Returns the product of the images with the patches of the gradient, `[C, 9 C']`, one band of rows at a time."""
    inputs, height = images.shape[:2]
    bands = next(n for n in (8, 4, 2, 1) if height % n == 0)
    rows = height // bands
    padded = jnp.pad(gradient, ((0, 0), (1, 1), (0, 0), (0, 0)))

    def add(total: Array, band: Array) -> tuple[Array, None]:
        left = lax.dynamic_slice_in_dim(images, band * rows, rows, 1).reshape(inputs, -1)
        shifted = _patches_of_band(lax.dynamic_slice_in_dim(padded, band * rows, rows + 2, 1))
        return total + contract(left, shifted), None

    zero = jnp.zeros((inputs, 9 * gradient.shape[0]), images.dtype)
    return lax.scan(add, zero, jnp.arange(bands))[0]


def _patches_of_band(band: Array) -> Array:
    """As `patches`, of rows whose neighbours above and below come with them."""
    outputs, height, width, _ = band.shape
    padded = jnp.pad(band, ((0, 0), (0, 0), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height - 2, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, 0).reshape(9 * outputs, -1)


def convolve_3x3_halving(images: Array, kernel: Array) -> Array:
    """Returns a 3x3 convolution of stride 2 with a border of one pixel, `[C', H / 2, W / 2, B]`.

    Args:
      images: `[C, H, W, B]`, of even height and width.
      kernel: `[C', 9 C]`.
    """
    _, height, width, batch = images.shape
    return (kernel @ patches(images, 2)).reshape(-1, height // 2, width // 2, batch)


def convolve_1x1(images: Array, kernel: Array) -> Array:
    """Returns a 1x1 convolution of `[C, H, W, B]` with a kernel `[C', C]`."""
    return (kernel @ images.reshape(images.shape[0], -1)).reshape(-1, *images.shape[1:])


def average_pool_3x3(images: Array) -> Array:
    """Returns the mean over each pixel's 3x3 neighbours within the image (the border does not count)."""
    _, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    share = 1 / (_neighbours(height)[:, None] * _neighbours(width)[None, :])
    return total * jnp.asarray(share, images.dtype)[None, :, :, None]


def average_pool_3x3_transposed(gradient: Array) -> Array:
    """Returns the gradient of `average_pool_3x3` in its images: each pixel's mean goes back to its neighbours."""
    _, height, width, _ = gradient.shape
    share = 1 / (_neighbours(height)[:, None] * _neighbours(width)[None, :])
    padded = jnp.pad(gradient * jnp.asarray(share, gradient.dtype)[None, :, :, None], ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]


def _neighbours(size: int) -> np.ndarray:
    """Returns how many of the three neighbours along one axis lie within the image, `[size]`."""
    places = np.arange(size)
    return np.minimum(places + 1, size - 1) - np.maximum(places - 1, 0) + 1.0


def average_pool_2x2(images: Array) -> Array:
    """Returns the means of 2x2 blocks, `[C, H / 2, W / 2, B]`."""
    rows = images[:, ::2] + images[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4


def moments(images: Array, axis: int = 0) -> Array:
    """Returns the mean and the (biased) variance of each channel, `[2, C]`; `axis` is that of channels."""
    mean = jnp.mean(images, pixels(axis))
    return jnp.stack([mean, jnp.mean(jnp.square(images - channelwise(mean, axis)), pixels(axis))])


def channelwise(values: Array, axis: int = 0) -> Array:
    """Returns `[C]` as `[C, 1, 1, 1]`, or with the axis of channels at another place."""
    return jnp.expand_dims(values, pixels(axis))


def pixels(axis: int) -> tuple[int, ...]:
    """Returns all axes of images but that of channels."""
    return tuple(each for each in range(4) if each != axis)


def batch_norm(
    images: Array, scale: Array, shift: Array, statistics: Array | None, epsilon: float, axis: int = 0
) -> tuple[Array, Array]:
    """Returns normalized images and the mean and variance that they had in this batch.

    Args:
      images: `[C, H, W, B]`.
      scale: `[C]`.
      shift: `[C]`.
      statistics: Mean and variance to normalize with, `[2, C]`, or `None` for the batch's own.
      epsilon: Added to the variance.
      axis: That of channels, where it is not the first.

    Returns:
      Images of the same shape, and the statistics that were used, `[2, C]`.
    """
    used = moments(images, axis) if statistics is None else statistics
    factor = scale * lax.rsqrt(used[1] + epsilon)
    return (images - channelwise(used[0], axis)) * channelwise(factor, axis) + channelwise(shift, axis), used


def max_pool_3x3(images: Array, stride: int = 1) -> Array:
    """Returns the largest of each pixel's 3x3 neighbours within the image, `[C, H / stride, W / stride, B]`."""
    for axis in (2, 1):
        # Along a row first, so that the first of equal pixels is the first in reading order.
        border = [(0, 0, 0)] * images.ndim
        border[axis] = (1, 1, 0)
        size = images.shape[axis]
        padded = lax.pad(images, jnp.array(-jnp.inf, images.dtype), border)
        before, here, after = (lax.slice_in_dim(padded, place, place + size, stride, axis) for place in range(3))
        images = _larger(_larger(before, here), after)
    return images


def max_pool_2x2(images: Array) -> Array:
    """Returns the largest of each 2x2 block, `[C, H / 2, W / 2, B]`."""
    columns = _larger(images[:, :, ::2], images[:, :, 1::2])
    return _larger(columns[:, ::2], columns[:, 1::2])


def _larger(first: Array, second: Array) -> Array:
    """As `maximum`, which would halve the gradient between equals."""
    return jnp.where((first >= second) | jnp.isnan(first), first, second)
