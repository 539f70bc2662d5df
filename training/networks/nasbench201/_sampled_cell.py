"""One operation on an edge of a supernet whose operations have weights of their own, and its gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench201._cells import EDGES
from jnas.training.operations._convolutions import (
    average_pool_3x3,
    average_pool_3x3_transposed,
    moments,
    pixels,
)
from jnas.training.operations._forms import Form
from jnas.training.operations._layouts import Layout
from jnas.training.operations._many_kernels import Kernels, normalize_backward, normalized


class _Edge(NamedTuple):
    """What a backward pass through one edge needs."""

    images: Array  # [C, H, W, B], or in the order of the layout: its input
    kernels: Kernels
    out: Array  # the same: its operation's output, which for a convolution is the normalized image
    factor: Array  # [C]: one over the standard deviation; zeros where there is none


class _Saved(NamedTuple):
    """What a backward pass through a cell needs."""

    nodes: Array  # [4, C, H, W, B], or in the order of the layout
    kernels: Kernels
    arch: Array  # [6]
    weights: Array | None  # [6, 5]
    outs: Array  # [6, C, H, W, B], as `nodes`: of each edge's operation
    factors: Array  # [6, C]
    learns: tuple[()] | None  # whether the kernels' gradients are asked for: () or None, so that it is static
    prefers: tuple[()] | None  # whether those of the weights are


SampledCell = Callable[[Array, Kernels, Array | None, Array, Array | None], tuple[Array, Array]]
"""`cell(images, kernels, statistics, arch, weights) -> (images, statistics)`; see `make_sampled_cell`."""

_SOURCES, _TARGETS = np.transpose(EDGES)


def make_sampled_cell(form: Form, epsilon: float, layout: Layout) -> SampledCell:
    """Returns a function that does one operation on each edge of a cell, and nothing of the others.

    `cell(images, kernels, statistics, arch, weights)` takes images in the layout's order, the kernels of six edges,
    what batch-norms use, `[6, 2, 2, C]` (edge, 1x1 or 3x3, mean or variance) or `None` for the batch's own, an
    architecture int32 `[6]`, and weights `[6, 5]`, of which each edge's result is multiplied by its operation's and the
    others are added to every pixel, or `None`. It returns the last node and the statistics that batch-norms used, zeros
    for what was not run. Forward and backward passes both choose by `form`, and nothing is differentiated through the
    choice; a backward pass leaves out what is not asked for.

    Args:
      form: How one of five operations is chosen. With a branch (`switch`) the edges are a loop, which compiles in
        half of the time.
      epsilon: Of batch-norm.
      layout: The order of the images' axes, and the convolutions.
    """
    forward = _forward_operations(epsilon, layout)
    to_images, to_both = _operations_to_images(layout), _operations_to_both(layout)

    def run(
        images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None
    ) -> tuple[Array, Array, Array, Array]:
        """Returns all nodes, and of each edge what its operation gave, the statistics used and the factor."""

        def edge(nodes: Array, each: Any) -> tuple[Array, Any]:
            number, choice, own, given, mine = each
            arguments = (own,) if given is None else (own, given)
            out, used, factor = form.choose(number, forward, choice, _row(nodes, _SOURCES, number), *arguments)
            result = out
            if mine is not None:
                is_chosen = jnp.arange(mine.shape[0]) == choice
                result = jnp.sum(jnp.where(is_chosen, mine, 0)) * out + jnp.sum(jnp.where(is_chosen, 0, mine))
            return _add_to_row(nodes, _TARGETS, number, result), (out, used, factor)

        nodes = jnp.concatenate([images[None], jnp.zeros((3, *images.shape), images.dtype)])
        nodes, (outs, used, factors) = _over_edges(form, edge, nodes, (arch, kernels, statistics, weights))
        return nodes, outs, used, factors

    # A gradient of its own, since JAX's gradient of a branch keeps room for what each of its operations would save.
    @jax.custom_vjp
    def learning(images: Array, kernels: Kernels, arch: Array, weights: Array | None) -> tuple[Array, Array]:
        nodes, _, used, _ = run(images, kernels, None, arch, weights)
        return nodes[-1], used

    def learning_forward(*primals: Any) -> tuple[tuple[Array, Array], _Saved]:
        # `symbolic_zeros` says which gradients are asked for: a step of alpha alone needs none of the kernels. What is
        # saved must be arrays, among which a bool would be traced and could not be branched on in Python; () and None
        # have no arrays, so which of them it is belongs to the structure, which the backward pass knows when it is
        # traced.
        _, learns, _, prefers = (() if any(x.perturbed for x in _primals(each)) else None for each in primals)
        images, kernels, arch, weights = jax.tree.map(lambda each: each.value, primals, is_leaf=_is_primal)
        nodes, outs, used, factors = run(images, kernels, None, arch, weights)
        return (nodes[-1], used), _Saved(nodes, kernels, arch, weights, outs, factors, learns, prefers)

    def learning_backward(saved: _Saved, gradients: tuple[Any, Any]) -> tuple[Any, ...]:
        def edge(to_nodes: Array, each: Any) -> tuple[Array, Any]:
            number, choice, own, mine, out, factor = each
            gradient, to_mine, to_own = _row(to_nodes, _TARGETS, number), None, None
            if mine is not None:
                is_chosen = jnp.arange(mine.shape[0]) == choice
                if saved.prefers is not None:
                    to_mine = jnp.where(is_chosen, jnp.sum(gradient * out), jnp.sum(gradient))
                gradient = jnp.sum(jnp.where(is_chosen, mine, 0)) * gradient
            kept = _Edge(_row(saved.nodes, _SOURCES, number), own, out, factor)
            if saved.learns is None:
                to_input = form.choose(number, to_images, choice, kept, gradient)
            else:
                to_input, to_own = form.choose(number, to_both, choice, kept, gradient)
            return _add_to_row(to_nodes, _SOURCES, number, to_input), (to_own, to_mine)

        # The statistics used have no gradient: they enter running estimates, which no loss of this step depends on.
        last = jnp.zeros_like(saved.nodes[-1]) if isinstance(gradients[0], SymbolicZero) else gradients[0]
        to_nodes = jnp.concatenate([jnp.zeros_like(saved.nodes[:-1]), last[None]])
        edges = (saved.arch, saved.kernels, saved.weights, saved.outs, saved.factors)
        to_nodes, (to_kernels, to_weights) = _over_edges(form, edge, to_nodes, edges, reverse=True)
        return to_nodes[0], to_kernels, None, to_weights

    learning.defvjp(learning_forward, learning_backward, symbolic_zeros=True)

    def cell(
        images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None
    ) -> tuple[Array, Array]:
        if statistics is None:
            result: tuple[Array, Array] = learning(images, kernels, arch, weights)
            return result
        nodes, _, used, _ = run(images, kernels, statistics, arch, weights)
        return nodes[-1], used

    return cell


def _over_edges(
    form: Form, function: Callable[..., Any], carry: Array, edges: tuple[Any, ...], reverse: bool = False
) -> tuple[Array, Any]:
    """Returns what `lax.scan` of a function over edges does, each given by its number and its row of arrays.

    Forms that must know which edge they are at get a number of Python.
    """
    if form.name == "switch":
        carry, results = lax.scan(function, carry, (jnp.arange(len(EDGES)), *edges), reverse=reverse)
        return carry, results
    found: list[Any] = [None] * len(EDGES)
    for number in reversed(range(len(EDGES))) if reverse else range(len(EDGES)):
        rows = jax.tree.map(lambda array, number=number: array[number], edges)
        carry, found[number] = function(carry, (number, *rows))
    return carry, jax.tree.map(lambda *each: jnp.stack(each), *found)


def _row(array: Array, rows: np.ndarray, number: Any) -> Array:
    """Returns the row of an array that belongs to an edge."""
    row = rows[number] if isinstance(number, int) else jnp.asarray(rows)[number]
    found: Array = lax.dynamic_index_in_dim(array, row, keepdims=False)
    return found


def _add_to_row(array: Array, rows: np.ndarray, number: Any, values: Array) -> Array:
    """Returns an array with more in the row that belongs to an edge."""
    row = rows[number] if isinstance(number, int) else jnp.asarray(rows)[number]
    more: Array = lax.dynamic_update_index_in_dim(array, _row(array, rows, number) + values, row, 0)
    return more


def _is_primal(each: Any) -> bool:
    return hasattr(each, "perturbed")


def _primals(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=_is_primal)


def _forward_operations(epsilon: float, layout: Layout) -> list[Callable[..., tuple[Array, Array, Array]]]:
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


def _operations_to_images(layout: Layout) -> list[Callable[[_Edge, Array], Array]]:
    """Returns for each operation its gradient in the images, of what was saved and the gradient of its output."""

    def none(saved: _Edge, gradient: Array) -> Array:
        return jnp.zeros_like(gradient)

    def skip(saved: _Edge, gradient: Array) -> Array:
        return gradient

    def pool(saved: _Edge, gradient: Array) -> Array:
        return average_pool_3x3_transposed(gradient)

    def one(saved: _Edge, gradient: Array) -> Array:
        active, kernel = jax.nn.relu(saved.images), saved.kernels.one
        to_active, _ = layout.backward_1x1(active, kernel, _to_convolved(saved, gradient, layout.axis))
        return jnp.where(saved.images > 0, to_active, 0)

    def three(saved: _Edge, gradient: Array) -> Array:
        to_active = layout.to_images_3x3(saved.kernels.three, _to_convolved(saved, gradient, layout.axis))
        return jnp.where(saved.images > 0, to_active, 0)

    return [none, skip, one, three, pool]


def _operations_to_both(layout: Layout) -> list[Callable[[_Edge, Array], tuple[Array, Kernels]]]:
    """Returns for each operation its gradients in the images and in the kernels."""

    def nothing(saved: _Edge) -> Kernels:
        return Kernels(jnp.zeros_like(saved.kernels.one), jnp.zeros_like(saved.kernels.three))

    def without_kernels(operation: Callable[[_Edge, Array], Array]) -> Callable[..., tuple[Array, Kernels]]:
        return lambda saved, gradient: (operation(saved, gradient), nothing(saved))

    def one(saved: _Edge, gradient: Array) -> tuple[Array, Kernels]:
        active, kernel = jax.nn.relu(saved.images), saved.kernels.one
        to_active, to_kernel = layout.backward_1x1(active, kernel, _to_convolved(saved, gradient, layout.axis))
        return jnp.where(saved.images > 0, to_active, 0), nothing(saved)._replace(one=to_kernel)

    def three(saved: _Edge, gradient: Array) -> tuple[Array, Kernels]:
        to_convolved = _to_convolved(saved, gradient, layout.axis)
        to_active = layout.to_images_3x3(saved.kernels.three, to_convolved)
        to_kernel = layout.to_kernel_3x3(jax.nn.relu(saved.images), to_convolved)
        return jnp.where(saved.images > 0, to_active, 0), nothing(saved)._replace(three=to_kernel)

    none, skip, _, _, pool = map(without_kernels, _operations_to_images(layout))
    return [none, skip, one, three, pool]


def _to_convolved(saved: _Edge, gradient: Array, axis: int) -> Array:
    """Returns the gradient in what a convolution gave, before batch-norm."""
    total, along = jnp.sum(gradient, pixels(axis)), jnp.sum(gradient * saved.out, pixels(axis))
    # From the normalized image alone: the convolution's result before batch-norm need not be kept.
    return normalize_backward(gradient, saved.out, saved.factor, total, along, axis)
