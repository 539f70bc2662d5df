"""The operations on an edge of a supernet whose operations have weights of their own, and their gradients."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.operations._convolutions import (
    average_pool_3x3,
    average_pool_3x3_transposed,
    moments,
    pixels,
)
from jnas.training.operations._layouts import Layout
from jnas.training.operations._many_kernels import Kernels, normalize_backward, normalized


class Edge(NamedTuple):
    """What a backward pass through one edge needs."""

    images: Array  # [C, H, W, B], or in the order of the layout: its input
    kernels: Kernels
    out: Array  # the same: its operation's output, which for a convolution is the normalized image
    factor: Array  # [C]: one over the standard deviation; zeros where there is none


def forward_operations(epsilon: float, layout: Layout) -> list[Callable[..., tuple[Array, Array, Array]]]:
    """Returns for each operation a function of images, kernels and statistics (`None`: the batch's own).

    It returns images, the statistics used `[2, 2, C]`, and one over the standard deviation `[C]`.
    """

    def without_kernels(images: Array) -> tuple[Array, Array, Array]:
        channels = images.shape[layout.axis]
        return images, jnp.zeros((2, 2, channels), images.dtype), jnp.zeros(channels, images.dtype)

    def none(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return without_kernels(jnp.zeros_like(images))

    def skip(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return without_kernels(images)

    def pool(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return without_kernels(average_pool_3x3(images))

    def normalize(place: int, images: Array, statistics: Array | None) -> tuple[Array, Array, Array]:
        used = moments(images, layout.axis) if statistics is None else statistics[place]
        factor = lax.rsqrt(used[1] + epsilon)
        among = [jnp.zeros_like(used)] * 2
        among[place] = used
        return normalized(images, used[0], factor, layout.axis), jnp.stack(among), factor

    def one(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return normalize(0, layout.convolve_1x1(jax.nn.relu(images), kernels.one), statistics)

    def three(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return normalize(1, layout.forward_3x3(jax.nn.relu(images), kernels.three), statistics)

    return [none, skip, one, three, pool]


def operations_to_images(layout: Layout) -> list[Callable[[Edge, Array], Array]]:
    """Returns for each operation its gradient in the images, of what was saved and the gradient of its output."""

    def none(saved: Edge, gradient: Array) -> Array:
        return jnp.zeros_like(gradient)

    def skip(saved: Edge, gradient: Array) -> Array:
        return gradient

    def pool(saved: Edge, gradient: Array) -> Array:
        return average_pool_3x3_transposed(gradient)

    def one(saved: Edge, gradient: Array) -> Array:
        active, kernel = jax.nn.relu(saved.images), saved.kernels.one
        to_active, _ = layout.backward_1x1(active, kernel, _to_convolved(saved, gradient, layout.axis))
        return jnp.where(saved.images > 0, to_active, 0)

    def three(saved: Edge, gradient: Array) -> Array:
        to_active = layout.to_images_3x3(saved.kernels.three, _to_convolved(saved, gradient, layout.axis))
        return jnp.where(saved.images > 0, to_active, 0)

    return [none, skip, one, three, pool]


def operations_to_both(layout: Layout) -> list[Callable[[Edge, Array], tuple[Array, Kernels]]]:
    """Returns for each operation its gradients in the images and in the kernels."""

    def nothing(saved: Edge) -> Kernels:
        return Kernels(jnp.zeros_like(saved.kernels.one), jnp.zeros_like(saved.kernels.three))

    def without_kernels(operation: Callable[[Edge, Array], Array]) -> Callable[..., tuple[Array, Kernels]]:
        return lambda saved, gradient: (operation(saved, gradient), nothing(saved))

    def one(saved: Edge, gradient: Array) -> tuple[Array, Kernels]:
        active, kernel = jax.nn.relu(saved.images), saved.kernels.one
        to_active, to_kernel = layout.backward_1x1(active, kernel, _to_convolved(saved, gradient, layout.axis))
        return jnp.where(saved.images > 0, to_active, 0), nothing(saved)._replace(one=to_kernel)

    def three(saved: Edge, gradient: Array) -> tuple[Array, Kernels]:
        to_convolved = _to_convolved(saved, gradient, layout.axis)
        to_active = layout.to_images_3x3(saved.kernels.three, to_convolved)
        to_kernel = layout.to_kernel_3x3(jax.nn.relu(saved.images), to_convolved)
        return jnp.where(saved.images > 0, to_active, 0), nothing(saved)._replace(three=to_kernel)

    none, skip, _, _, pool = map(without_kernels, operations_to_images(layout))
    return [none, skip, one, three, pool]


def _to_convolved(saved: Edge, gradient: Array, axis: int) -> Array:
    """Returns the gradient in what a convolution gave, before batch-norm."""
    total, along = jnp.sum(gradient, pixels(axis)), jnp.sum(gradient * saved.out, pixels(axis))
    # From the normalized image alone: the convolution's result before batch-norm need not be kept.
    return normalize_backward(gradient, saved.out, saved.factor, total, along, axis)
