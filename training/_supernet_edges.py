"""One operation on an edge of a supernet whose operations have weights of their own, and its gradient."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas._vocabulary import Array
from jnas.spaces._nasbench201_cells import EDGES
from jnas.training._forms import Form
from jnas.training._operations import (
    average_pool_3x3,
    average_pool_3x3_transposed,
    convolve_1x1,
)
from jnas.training._supernet_operations import (
    Kernels,
    convolve_1x1_backward,
    convolve_3x3,
    convolve_3x3_backward,
    moments_of,
    normalize_backward,
    normalized,
)


class _Saved(NamedTuple):
    """What an edge's gradient needs."""

    images: Array  # [C, H, W, B]: its input
    kernels: Kernels
    out: Array  # [C, H, W, B]: its output, which for a convolution is the normalized image
    factor: Array  # [C]: one over the standard deviation; zeros where there is none


Edge = Callable[[int, Array, Array, Kernels, Array | None], tuple[Array, Array]]
"""`edge(decision, choice, images, kernels, statistics) -> (images, statistics)`; see `make_supernet_edge`."""


def make_supernet_edge(form: Form, epsilon: float) -> Edge:
    """Returns a function that does one operation of an edge and nothing of the others.

    `edge(decision, choice, images, kernels, statistics)` returns images `[C, H, W, B]` and the statistics
    `[2, 2, C]` (1x1 or 3x3, mean or variance) that batch-norms used, zeros for what was not run. Batch-norm uses the
    statistics that are given, or the batch's own where they are `None`. Forward and backward passes both choose by
    `form`, and nothing is differentiated through the choice.

    Args:
      form: How one of five operations is chosen.
      epsilon: Of batch-norm.
    """
    forward = _forward_operations(epsilon)
    backward = _backward_operations()

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def learning(decision: int, choice: Array, images: Array, kernels: Kernels) -> tuple[Array, Array]:
        out, used, _ = form.choose(decision, forward, choice, images, kernels)
        return out, used

    def learning_forward(
        decision: int, choice: Array, images: Array, kernels: Kernels
    ) -> tuple[tuple[Array, Array], tuple[Array, _Saved]]:
        out, used, factor = form.choose(decision, forward, choice, images, kernels)
        return (out, used), (choice, _Saved(images, kernels, out, factor))

    def learning_backward(
        decision: int, kept: tuple[Array, _Saved], gradients: tuple[Array, Array]
    ) -> tuple[None, Array, Kernels]:
        choice, saved = kept
        to_images, to_kernels = form.choose(decision, backward, choice, saved, gradients[0])
        return None, to_images, to_kernels

    learning.defvjp(learning_forward, learning_backward)

    def edge(
        decision: int, choice: Array, images: Array, kernels: Kernels, statistics: Array | None
    ) -> tuple[Array, Array]:
        if statistics is None:
            result: tuple[Array, Array] = learning(decision, choice, images, kernels)
            return result
        out, used, _ = form.choose(decision, forward, choice, images, kernels, statistics)
        return out, used

    return edge


def sampled_cell(
    edge: Edge, images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None
) -> tuple[Array, Array]:
    """Returns a cell's last node, where every edge has one operation, and the statistics used, `[6, 2, 2, C]`.

    Args:
      edge: From `make_supernet_edge`.
      images: `[C, H, W, B]`.
      kernels: Of the six edges.
      statistics: What batch-norms use, `[6, 2, 2, C]`, or `None` for the batch's.
      arch: int32 `[6]`.
      weights: `[6, 5]`, of which each edge's result is multiplied by its operation's and the others are added to
        every pixel; or `None`.
    """
    incoming: list[list[Array]] = [[images], [], [], []]
    used: list[Array] = [images] * len(EDGES)
    nodes: dict[int, Array] = {}
    for number, (source, target) in sorted(enumerate(EDGES), key=lambda each: each[1]):
        if source not in nodes:
            nodes[source] = functools.reduce(jnp.add, incoming[source])
        own = Kernels(kernels.one[number], kernels.three[number])
        given = None if statistics is None else statistics[number]
        out, used[number] = edge(number, arch[number], nodes[source], own, given)
        if weights is not None:
            is_mine = jnp.arange(weights.shape[1]) == arch[number]
            out = jnp.sum(jnp.where(is_mine, weights[number], 0)) * out
            out = out + jnp.sum(jnp.where(is_mine, 0, weights[number]))
        incoming[target].append(out)
    return functools.reduce(jnp.add, incoming[-1]), jnp.stack(used)


def _forward_operations(epsilon: float) -> list[Callable[..., tuple[Array, Array, Array]]]:
    """Returns for each operation a function of images, kernels and statistics (`None`: the batch's own).

    It returns images, the statistics used `[2, 2, C]`, and one over the standard deviation `[C]`.
    """

    def without_kernels(images: Array) -> tuple[Array, Array, Array]:
        channels = images.shape[0]
        return images, jnp.zeros((2, 2, channels), images.dtype), jnp.zeros(channels, images.dtype)

    def none(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return without_kernels(jnp.zeros_like(images))

    def skip(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return without_kernels(images)

    def pool(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return without_kernels(average_pool_3x3(images))

    def normalize(place: int, images: Array, statistics: Array | None) -> tuple[Array, Array, Array]:
        used = moments_of(images) if statistics is None else statistics[place]
        factor = lax.rsqrt(used[1] + epsilon)
        among = [jnp.zeros_like(used)] * 2
        among[place] = used
        return normalized(images, used[0], factor), jnp.stack(among), factor

    def one(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return normalize(0, convolve_1x1(jax.nn.relu(images), kernels.one), statistics)

    def three(images: Array, kernels: Kernels, statistics: Array | None = None) -> tuple[Array, Array, Array]:
        return normalize(1, convolve_3x3(jax.nn.relu(images), kernels.three), statistics)

    return [none, skip, one, three, pool]


def _backward_operations() -> list[Callable[[_Saved, Array], tuple[Array, Kernels]]]:
    """Returns for each operation a function of what was saved and the gradient of its output."""

    def nothing(saved: _Saved) -> Kernels:
        return Kernels(jnp.zeros_like(saved.kernels.one), jnp.zeros_like(saved.kernels.three))

    def none(saved: _Saved, gradient: Array) -> tuple[Array, Kernels]:
        return jnp.zeros_like(gradient), nothing(saved)

    def skip(saved: _Saved, gradient: Array) -> tuple[Array, Kernels]:
        return gradient, nothing(saved)

    def pool(saved: _Saved, gradient: Array) -> tuple[Array, Kernels]:
        return average_pool_3x3_transposed(gradient), nothing(saved)

    def to_convolved(saved: _Saved, gradient: Array) -> Array:
        total, along = jnp.sum(gradient, (1, 2, 3)), jnp.sum(gradient * saved.out, (1, 2, 3))
        return normalize_backward(gradient, saved.out, saved.factor, total, along)

    def one(saved: _Saved, gradient: Array) -> tuple[Array, Kernels]:
        active, kernel = jax.nn.relu(saved.images), saved.kernels.one
        to_active, to_kernel = convolve_1x1_backward(active, kernel, to_convolved(saved, gradient))
        return jnp.where(saved.images > 0, to_active, 0), nothing(saved)._replace(one=to_kernel)

    def three(saved: _Saved, gradient: Array) -> tuple[Array, Kernels]:
        active, kernel = jax.nn.relu(saved.images), saved.kernels.three
        to_active, to_kernel = convolve_3x3_backward(active, kernel, to_convolved(saved, gradient))
        return jnp.where(saved.images > 0, to_active, 0), nothing(saved)._replace(three=to_kernel)

    return [none, skip, one, three, pool]
