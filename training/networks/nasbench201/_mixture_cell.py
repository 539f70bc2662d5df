"""The mixture of all operations on the edges of a NAS-Bench-201 cell, one node at a time, and its gradient.

All edges that leave a node see the same image, so that ReLU, shifting and pooling are done once for them and their
convolutions are one matrix product. Backward passes are written out as matrix products too, in plain JAX: a gradient
can be differentiated again in forward mode, `jvp(grad(...))`, which is what second-order DARTS needs.

Activations are in the order of a layout (`jnas.training.operations._layouts`).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench201._cells import EDGES, OPERATIONS
from jnas.training.operations._convolutions import (
    average_pool_3x3,
    average_pool_3x3_transposed,
    moments,
    pixels,
)
from jnas.training.operations._layouts import Layout
from jnas.training.operations._many_kernels import Kernels, normalize_backward, normalized
from jnas.training.operations._partial import beside_operations, first_part

NONE, SKIP, ONE, THREE, POOL = range(len(OPERATIONS))

_LEAVING = tuple([edge for edge, (source, _) in enumerate(EDGES) if source == node] for node in (0, 1, 2))
"""The edges that leave each node, in the order of their targets."""


class _Saved(NamedTuple):
    images: Array  # [C, H, W, B], or in the order of the layout
    kernels: Kernels
    weights: Array  # [k, 5]
    one: Array  # [k C, H, W, B], as `images`: convolved and normalized
    three: Array  # the same
    factor: Array  # [2, k C]: one over the standard deviations


def mixture_cell(
    images: Array, kernels: Kernels, statistics: Array | None, weights: Array, epsilon: float, layout: Layout
) -> tuple[Array, Array]:
    """Returns a cell's last node, where every edge is the sum of its operations by weights.

    Args:
      images: `[C, H, W, B]`, or in the order of the layout.
      kernels: Of the six edges; of the first part of the channels where the others pass them.
      statistics: What batch-norms use, `[6, 2, 2, C]` (edge, 1x1 or 3x3, mean or variance), or `None` for the batch's.
      weights: `[6, 5]`.
      epsilon: Of batch-norm.
      layout: The order of the images' axes, and the convolutions.

    Returns:
      Images, and the statistics that were used, `[6, 2, 2, C]`.
    """
    incoming: list[list[Array]] = [[images], [], [], []]
    used: list[Array] = [images] * len(EDGES)
    for source, edges in enumerate(_LEAVING):
        node = functools.reduce(jnp.add, incoming[source])
        own = Kernels(_rows(kernels.one, edges), _rows(kernels.three, edges))
        part = first_part(node, kernels.one.shape[1], layout.axis)
        if statistics is None:
            results, each = _learning(part, own, _rows(weights, edges), epsilon, layout)
        else:
            results, each, _ = _mixed(part, own, _rows(weights, edges), _rows(statistics, edges), epsilon, layout)
        for edge, result, statistic in zip(edges, results, each, strict=True):
            incoming[EDGES[edge][1]].append(beside_operations(result, node, jnp.sum(weights[edge]), layout.axis))
            used[edge] = statistic
    return functools.reduce(jnp.add, incoming[-1]), jnp.stack(used)


def _rows(array: Array, rows: list[int]) -> Array:
    """Returns rows by slices, whose gradient is padding: that of an index would be a scatter."""
    return jnp.stack([array[row] for row in rows])


def _mixed(
    images: Array, kernels: Kernels, weights: Array, statistics: Array | None, epsilon: float, layout: Layout
) -> tuple[list[Array], Array, _Saved]:
    """Returns what each of `k` edges gives, the statistics used `[k, 2, 2, C]`, and what a gradient needs."""
    edges, channels = kernels.one.shape[:2]
    active = jax.nn.relu(images)
    convolved = (
        layout.convolve_1x1(active, kernels.one.reshape(edges * channels, -1)),
        layout.forward_3x3(active, kernels.three.reshape(edges * channels, -1)),
    )
    if statistics is None:
        used = jnp.stack([moments(each, layout.axis) for each in convolved])  # [2, 2, k C]
    else:
        used = statistics.transpose(1, 2, 0, 3).reshape(2, 2, edges * channels)
    factor = lax.rsqrt(used[:, 1] + epsilon)
    one, three = (normalized(each, used[i, 0], factor[i], layout.axis) for i, each in enumerate(convolved))
    pooled = average_pool_3x3(images)
    results = []
    for k in range(edges):
        own, (mine_1, mine_3) = weights[k], (_channels(each, k, channels, layout.axis) for each in (one, three))
        results.append(own[SKIP] * images + own[POOL] * pooled + own[ONE] * mine_1 + own[THREE] * mine_3)
    used = used.reshape(2, 2, edges, channels).transpose(2, 0, 1, 3)
    return results, used, _Saved(images, kernels, weights, one, three, factor)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _learning(
    images: Array, kernels: Kernels, weights: Array, epsilon: float, layout: Layout
) -> tuple[list[Array], Array]:
    return _mixed(images, kernels, weights, None, epsilon, layout)[:2]


def _learning_forward(
    images: Array, kernels: Kernels, weights: Array, epsilon: float, layout: Layout
) -> tuple[tuple[list[Array], Array], _Saved]:
    results, used, saved = _mixed(images, kernels, weights, None, epsilon, layout)
    return (results, used), saved


def _learning_backward(
    epsilon: float, layout: Layout, saved: _Saved, gradients: tuple[list[Array], Any]
) -> tuple[Any, ...]:
    images, kernels, weights, one, three, factor = saved
    edges, channels = kernels.one.shape[:2]
    to_one: list[Array] = []
    to_three: list[Array] = []
    to_weights: list[Array] = []
    pooled = average_pool_3x3(images)
    for k, gradient in enumerate(gradients[0]):
        mine, own = slice(k * channels, (k + 1) * channels), weights[k]
        total = jnp.sum(gradient, pixels(layout.axis))
        convolutions = []
        for i, (to_convolved, convolved) in enumerate(((to_one, one), (to_three, three))):
            values = _channels(convolved, k, channels, layout.axis)
            along = jnp.sum(gradient * values, pixels(layout.axis))
            back = normalize_backward(gradient, values, own[ONE + i] * factor[i, mine], total, along, layout.axis)
            to_convolved.append(back)
            convolutions.append(jnp.sum(along))
        to_skip, to_pool = jnp.sum(gradient * images), jnp.sum(gradient * pooled)
        to_weights.append(jnp.stack([jnp.zeros_like(to_skip), to_skip, *convolutions, to_pool]))
    active = jax.nn.relu(images)
    flat = Kernels(*(kernel.reshape(edges * channels, -1) for kernel in kernels))
    from_one, kernel_one = layout.backward_1x1(active, flat.one, jnp.concatenate(to_one, layout.axis))
    wide = jnp.concatenate(to_three, layout.axis)
    from_three, kernel_three = layout.to_images_3x3(flat.three, wide), layout.to_kernel_3x3(active, wide)
    skipped, to_pooled = (_weighted(gradients[0], weights[:, i]) for i in (SKIP, POOL))
    to_images = jnp.where(images > 0, from_one + from_three, 0) + skipped + average_pool_3x3_transposed(to_pooled)
    to_kernels = Kernels(kernel_one.reshape(kernels.one.shape), kernel_three.reshape(kernels.three.shape))
    return to_images, to_kernels, jnp.stack(to_weights)


def _channels(images: Array, edge: int, channels: int, axis: int) -> Array:
    """Returns the channels of one of several edges."""
    return lax.slice_in_dim(images, edge * channels, (edge + 1) * channels, axis=axis)


def _weighted(images: list[Array], weights: Array) -> Array:
    return functools.reduce(jnp.add, [weights[k] * each for k, each in enumerate(images)])


_learning.defvjp(_learning_forward, _learning_backward)
