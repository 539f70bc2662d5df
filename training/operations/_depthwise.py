"""Depthwise convolutions after a ReLU, dilated and of stride 2 too, as sums of shifted images, and their gradients.

Activations are `[C, H, W, B]`, as in `jnas.training.operations._convolutions`: a shift moves whole runs of memory, and
so does a stride. XLA's own grouped convolution takes 50 times as long on CPUs, and its kernel's gradient grows with the
square of the channels. That gradient is a sum over all pixels for each tap, in which XLA adds one number at a time;
said as a product of rows of pixels, of whose result the diagonals count, it does more and takes a fifth to an eighth of
the time.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.operations._convolutions import contract


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def rectified_depthwise(images: Array, kernel: Array, dilation: int = 1, stride: int = 1) -> Array:
    """Returns ReLU and a convolution of each channel by itself, `[C, H / stride, W / stride, B]`.

    The border is of zeros. Windows are centred on every pixel, or on every other one from that in the corner.

    Args:
      images: `[C, H, W, B]`.
      kernel: `[C, S, S]`, of odd size.
      dilation: How far apart the taps are, in pixels.
      stride: 1 or 2.
    """
    return rectified_depthwise_plain(images, kernel, dilation, stride)


def rectified_depthwise_plain(images: Array, kernel: Array, dilation: int = 1, stride: int = 1) -> Array:
    """As `rectified_depthwise`, with no gradient of its own, hence with a forward mode."""
    padded = _bordered(jax.nn.relu(images), _reach(kernel, dilation))
    return _shifted_sum(padded, kernel, dilation, stride, images.shape)


def _forward(images: Array, kernel: Array, dilation: int, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return rectified_depthwise_plain(images, kernel, dilation, stride), (images, kernel)


def _backward(dilation: int, stride: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    images, kernel = saved
    to_active = depthwise_to_images(kernel, gradient, dilation, stride, images.shape)
    padded = _bordered(jax.nn.relu(images), _reach(kernel, dilation))
    # What comes before would add up the shifted images anew for each of its sums.
    to_images = kept(jnp.where(images > 0, to_active, 0))
    return to_images, depthwise_to_kernel(padded, gradient, kernel.shape[1], dilation, stride)


rectified_depthwise.defvjp(_forward, _backward)


def depthwise_to_images(kernel: Array, gradient: Array, dilation: int, stride: int, shape: tuple[int, ...]) -> Array:
    """Returns the gradient in what is convolved, of a shape, of that of the result."""
    reach = _reach(kernel, dilation)
    if stride == 1:
        padded = _bordered(gradient, reach)
    else:  # zeros between the pixels, and after the last where no window was centred on an image's last row or column
        sizes = zip(shape[1:3], gradient.shape[1:3], strict=True)
        after = [reach + size - 1 - (out - 1) * stride for size, out in sizes]
        border = ((0, 0, 0), (reach, after[0], stride - 1), (reach, after[1], stride - 1), (0, 0, 0))
        padded = kept(lax.pad(gradient, jnp.zeros((), gradient.dtype), border))
    return _shifted_sum(padded, kernel[:, ::-1, ::-1], dilation, 1, shape)


def depthwise_to_kernel(padded: Array, gradient: Array, size: int, dilation: int, stride: int) -> Array:
    """Returns the gradient in the kernel, `[C, S, S]`, of that of the result, given the images with their border.

    For each shift along a row, the product of all rows of the images with all rows of the gradient,
    `[H + border, H']`, of which the diagonals are the taps of a column. Numbers of 16 bits are added up in 32.
    """
    padded, gradient = kept((padded, gradient))  # or the shifted images would be made long before the gradient is there
    channels, rows, columns = gradient.shape[:3]
    height, width = padded.shape[1], stride * (columns - 1) + 1
    starts = [dilation * tap for tap in range(size)]
    if stride == 1:  # along rows of the pixels of all images: faster, and compiled in half of the time
        batch = padded.shape[3]
        flat = padded.reshape(channels, height, -1)
        shifted = jnp.stack([flat[:, :, start * batch : (start + width) * batch] for start in starts], 1)
    else:
        shifted = jnp.stack([padded[:, :, start : start + width : stride] for start in starts], 1)
    left, right = shifted.reshape(channels, size * height, -1), gradient.reshape(channels, rows, -1)
    total = jnp.promote_types(gradient.dtype, jnp.float32)
    products = lax.dot_general(left, right, (((2,), (2,)), ((0,), (0,))), preferred_element_type=total)
    diagonals = np.zeros((size, height, rows), total)
    for tap in range(size):
        diagonals[tap, stride * np.arange(rows) + dilation * tap, np.arange(rows)] = 1
    sums = contract(products.reshape(channels * size, -1), jnp.asarray(diagonals.reshape(size, -1)))
    return sums.reshape(channels, size, size).swapaxes(1, 2).astype(gradient.dtype)


def kept(arrays: Any) -> Any:
    """Returns arrays that stand in memory as they are: what comes after does not compute them once more."""
    return lax.optimization_barrier(arrays)  # type: ignore[no-untyped-call]


def _reach(kernel: Array, dilation: int) -> int:
    return dilation * (kernel.shape[1] // 2)


def _bordered(images: Array, reach: int) -> Array:
    """Returns images with a border of zeros, which is made once: every tap would look anew where the border is.

    It is added to rows of the pixels of all images: with four axes that is compiled in four times the time.
    """
    channels, height, width, batch = images.shape
    rows = images.reshape(channels, height, width * batch)
    padded = jnp.pad(rows, ((0, 0), (reach, reach), (reach * batch, reach * batch)))
    bordered: Array = kept(padded.reshape(channels, height + 2 * reach, width + 2 * reach, batch))
    return bordered


def _shifted_sum(padded: Array, kernel: Array, dilation: int, stride: int, shape: tuple[int, ...]) -> Array:
    """Returns the convolution of images of a shape, whose border is there already."""
    starts = [dilation * tap for tap in range(kernel.shape[1])]
    terms = [
        kernel[:, i, j][:, None, None, None] * padded[:, y : y + shape[1] : stride, x : x + shape[2] : stride]
        for i, y in enumerate(starts)
        for j, x in enumerate(starts)
    ]
    return functools.reduce(jnp.add, terms)
