"""Convolutions on images `[B, H, W, C]`, for CPUs and images too large for a cache.

The order for which XLA has fast code on CPUs: a native convolution reads the images where they are, at two thirds of
what the processor can do. The gradient in the images is such a convolution too. The gradient in the kernel would not be
one: it goes over a few images at a time, so that the shifted copies which a matrix product wants stay in the cache.
Kernels are `[C', 9 C]` as in `jnas.training.operations._convolutions`. All of it works in forward mode too where the
three functions are called one by one, and in `jvp(grad(...))`.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array

_CACHED_BYTES = 1 << 18


def convolve(images: Array, kernel: Array, stride: int = 1) -> Array:
    """Returns a 3x3 convolution with a border of one pixel of zeros, `[B, H / stride, W / stride, C']`.

    Args:
      images: `[B, H, W, C]`.
      kernel: `[C', 9 C]`.
      stride: 1, or 2 for an image of half the size (even sizes alone).
    """
    taps = kernel.reshape(kernel.shape[0], 3, 3, images.shape[3]).transpose(1, 2, 3, 0)
    return _native(images, taps, (stride, stride))


def convolve_to_images(kernel: Array, gradient: Array, stride: int = 1) -> Array:
    """Returns the gradient of `convolve` in its images, of that of its result."""
    outputs = kernel.shape[0]
    flipped = kernel.reshape(outputs, 3, 3, -1)[:, ::-1, ::-1].transpose(1, 2, 0, 3)
    return _native(gradient, flipped, (1, 1), stride)


def convolve_to_kernel(images: Array, gradient: Array, stride: int = 1) -> Array:
    """Returns the gradient of `convolve` in its kernel, `[C', 9 C]`, of that of its result."""
    batch, height, width, inputs = images.shape
    outputs = gradient.shape[3]
    size = 3 * (height + 2) * width * inputs * images.dtype.itemsize
    each = next((n for n in (8, 4, 2) if batch % n == 0 and n * size <= _CACHED_BYTES), 1)

    def add(number: Array, total: Array) -> Array:
        some = lax.dynamic_slice_in_dim(images, number * each, each)
        own = lax.dynamic_slice_in_dim(gradient, number * each, each).reshape(-1, outputs)
        padded = jnp.pad(some, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifted = jnp.concatenate([padded[:, :, j : j + width : stride] for j in range(3)], 3)
        by_row = [shifted[:, i : i + height : stride].reshape(len(own), -1) for i in range(3)]
        return total + jnp.stack([contract_pixels(own, row) for row in by_row], 1)

    zero = jnp.zeros((outputs, 3, 3 * inputs), images.dtype)
    total: Array = lax.fori_loop(0, batch // each, add, zero)
    return total.reshape(outputs, -1)


def contract_pixels(left: Array, right: Array) -> Array:
    """Returns `left.T @ right` without a transposed copy."""
    return lax.dot_general(left, right, (((0,), (0,)), ((), ())))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_3x3_nhwc(images: Array, kernel: Array, stride: int = 1) -> Array:
    """As `convolve`, for JAX to differentiate."""
    return convolve(images, kernel, stride)


def _convolve_forward(images: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return convolve(images, kernel, stride), (images, kernel)


def _convolve_backward(stride: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    images, kernel = saved
    return convolve_to_images(kernel, gradient, stride), convolve_to_kernel(images, gradient, stride)


convolve_3x3_nhwc.defvjp(_convolve_forward, _convolve_backward)


def convolve_1x1_nhwc(images: Array, kernel: Array) -> Array:
    """Returns a 1x1 convolution of `[B, H, W, C]` with a kernel `[C', C]`."""
    flat = images.reshape(-1, images.shape[3])
    return lax.dot_general(flat, kernel, (((1,), (1,)), ((), ()))).reshape(*images.shape[:3], -1)


def convolve_1x1_nhwc_backward(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """Returns the gradients of `convolve_1x1_nhwc` in its images and in its kernel."""
    flat = gradient.reshape(-1, kernel.shape[0])
    return (flat @ kernel).reshape(images.shape), contract_pixels(flat, images.reshape(-1, images.shape[3]))


def _native(images: Array, taps: Array, strides: tuple[int, int], dilation: int = 1) -> Array:
    """Returns XLA's convolution; of a gradient with `dilation - 1` zeros between its pixels where that is not 1."""
    after = 1 if dilation == 1 else 2  # an image of an even size has a last row that no convolution was centred on
    return lax.conv_general_dilated(
        images,
        taps,
        strides,
        ((1, after), (1, after)),
        lhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
