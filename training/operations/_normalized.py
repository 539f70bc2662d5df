"""1x1 convolutions and batch-norms that are learned, with gradients of few passes over the images, `[C, H, W, B]`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.operations._convolutions import channelwise, contract, convolve_1x1, moments, pixels
from jnas.training.operations._depthwise import kept
from jnas.training.operations._many_kernels import normalize_backward, normalized


@jax.custom_vjp
def pointwise(images: Array, kernel: Array) -> Array:
    """Returns a 1x1 convolution of `[C, H, W, B]` with a kernel `[C', C]`."""
    return convolve_1x1(images, kernel)


def _pointwise_forward(images: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve_1x1(images, kernel), (images, kernel)


def _pointwise_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    images, kernel = saved
    flat = gradient.reshape(kernel.shape[0], -1)
    # Turned beforehand: XLA has its own loop, three times slower, for a product with what is yet to be turned.
    turned: Array = kept(kernel.T)
    return (turned @ flat).reshape(images.shape), contract(flat, images.reshape(images.shape[0], -1))


pointwise.defvjp(_pointwise_forward, _pointwise_backward)


def learned_norm(
    images: Array, scale: Array, shift: Array, statistics: Array | None, epsilon: float
) -> tuple[Array, Array]:
    """As `batch_norm` of `_convolutions`, with a gradient that goes over the images three times.

    Images of fewer bits than the scale has are normalized with all of its bits, and come back in their own; the
    statistics are as the scale.
    """
    if statistics is not None:
        return _scaled(images, statistics, scale, shift, epsilon), statistics
    result: tuple[Array, Array] = _learned_norm(images, scale, shift, epsilon)
    return result


def _scaled(images: Array, used: Array, scale: Array, shift: Array, epsilon: float) -> Array:
    factor = scale * lax.rsqrt(used[1] + epsilon)
    out = normalized(images.astype(scale.dtype), used[0], factor) + channelwise(shift)
    return out.astype(images.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _learned_norm(images: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Array, Array]:
    used = moments(images.astype(scale.dtype))
    return _scaled(images, used, scale, shift, epsilon), used


def _norm_forward(images: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Any, tuple[Array, ...]]:
    used = moments(images.astype(scale.dtype))
    return (_scaled(images, used, scale, shift, epsilon), used), (images, used, scale)


def _norm_backward(epsilon: float, saved: tuple[Array, ...], gradients: tuple[Array, Array]) -> tuple[Array, ...]:
    """The statistics used have no gradient: they enter running estimates, which no loss of this step depends on."""
    images, used, scale = saved
    factor, gradient = lax.rsqrt(used[1] + epsilon), gradients[0].astype(scale.dtype)
    values = normalized(images.astype(scale.dtype), used[0], factor)
    to_shift, to_scale = jnp.sum(gradient, pixels(0)), jnp.sum(gradient * values, pixels(0))
    to_images = normalize_backward(gradient, values, factor * scale, to_shift, to_scale)
    return to_images.astype(images.dtype), to_scale, to_shift


_learned_norm.defvjp(_norm_forward, _norm_backward)
