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
    """What a backward pass through a stage needs."""

    nodes: Array  # [3 N + 1, C, H, W, B], or in the order of the layout: a cell's last node is the next one's first
    kernels: Kernels
    arch: Array  # [6]
    weights: Array | None  # [6, 5]
    outs: Array  # [6 N, C, H, W, B], as `nodes`: of each edge's operation
    factors: Array  # [N, 6, C]
    learns: tuple[()] | None  # whether the kernels' gradients are asked for: () or None, so that it is static
    prefers: tuple[()] | None  # whether those of the weights are


class _Place(NamedTuple):
    """Where an edge is in its stage; `number` is of Python where a form must know it."""

    number: Any  # of the edge in its cell
    row: Any  # of the edge in the stage
    source: Any  # of the stage's nodes
    target: Any
    is_first: Any  # of the edges into its target
    is_last: Any  # of the edges out of its source


SampledStage = Callable[[Array, Kernels, Array | None, Array, Array | None], tuple[Array, Array]]
"""`stage(images, kernels, statistics, arch, weights) -> (images, statistics)`; see `make_sampled_stage`."""

_SOURCES, _TARGETS = np.transpose(EDGES)
_IS_FIRST = np.array([target not in _TARGETS[:number] for number, target in enumerate(_TARGETS)])
_IS_LAST = np.array([source not in _SOURCES[number + 1 :] for number, source in enumerate(_SOURCES)])
_NODES = 3  # that each cell adds to a stage


def make_sampled_stage(form: Form, epsilon: float, layout: Layout) -> SampledStage:
    """Returns a function that does one operation on each edge of N cells, one after another, and nothing of the others.

    `stage(images, kernels, statistics, arch, weights)` takes images in the layout's order, the kernels of the edges,
    arrays `[N, 6, ...]`, what batch-norms use, `[N, 6, 2, 2, C]` (cell, edge, 1x1 or 3x3, mean or variance) or `None`
    for the batch's own, an architecture int32 `[6]`, and weights `[6, 5]`, of which each edge's result is multiplied by
    its operation's and the others are added to every pixel, or `None`. It returns the last node and the statistics that
    batch-norms used, zeros for what was not run. Forward and backward passes both choose by `form`, and nothing is
    differentiated through the choice; a backward pass leaves out what is not asked for.

    Args:
      form: How one of five operations is chosen. With a branch (`switch`) the edges of all cells are one loop, which
        compiles in half of the time.
      epsilon: Of batch-norm.
      layout: The order of the images' axes, and the convolutions.
    """
    forward = _forward_operations(epsilon, layout)
    to_images = list(map(_of_rows, _operations_to_images(layout)))
    to_both = list(map(_of_rows, _operations_to_both(layout)))

    def run(
        images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None, num_rows: int
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Returns the last node, all rows of nodes, and of each edge its operation's output, statistics and factor.

        Nodes take their turn in `num_rows` rows: four are enough for going on, and a backward pass needs them all.
        """

        def edge(nodes: Array, place: _Place, own: tuple[Kernels, Array | None]) -> tuple[Array, Any]:
            choice, arguments = arch[place.number], own[:1] if own[1] is None else own
            source = (nodes, place.source % num_rows)
            out, used, factor = _choose(form, place, forward, choice, (source,), *arguments)
            result = out
            if weights is not None:
                scale, rest = _scale_and_rest(weights[place.number], choice)
                result = scale * out + rest
            return _add_to_row(nodes, place.target % num_rows, place.is_first, result), (out, used, factor)

        nodes = jnp.zeros((num_rows, *images.shape), images.dtype).at[0].set(images)
        nodes, (outs, used, factors) = _over_edges(form, edge, nodes, (kernels, statistics))
        return nodes[_NODES * len(kernels.one) % num_rows], nodes, outs, used, factors

    # A gradient of its own, since JAX's gradient of a branch keeps room for what each of its operations would save.
    @jax.custom_vjp
    def learning(images: Array, kernels: Kernels, arch: Array, weights: Array | None) -> tuple[Array, Array]:
        last, _, _, used, _ = run(images, kernels, None, arch, weights, _NODES + 1)
        return last, used

    def learning_forward(*primals: Any) -> tuple[tuple[Array, Array], _Saved]:
        # `symbolic_zeros` says which gradients are asked for: a step of alpha alone needs none of the kernels. What is
        # saved must be arrays, among which a bool would be traced and could not be branched on in Python; () and None
        # have no arrays, so which of them it is belongs to the structure, which the backward pass knows when it is
        # traced.
        _, learns, _, prefers = (() if any(x.perturbed for x in _primals(each)) else None for each in primals)
        images, kernels, arch, weights = jax.tree.map(lambda each: each.value, primals, is_leaf=_is_primal)
        num_rows = _NODES * len(kernels.one) + 1
        last, nodes, outs, used, factors = run(images, kernels, None, arch, weights, num_rows)
        outs = outs.reshape(-1, *images.shape)
        return (last, used), _Saved(nodes, kernels, arch, weights, outs, factors, learns, prefers)

    def learning_backward(saved: _Saved, gradients: tuple[Any, Any]) -> tuple[Any, ...]:
        operations = to_images if saved.learns is None else to_both

        def edge(to_nodes: Array, place: _Place, own: tuple[Kernels, Array]) -> tuple[Array, Any]:
            choice, scale, to_weights, to_own = saved.arch[place.number], None, None, None
            target = (to_nodes, place.target % (_NODES + 1))
            if saved.weights is not None:
                scale, _ = _scale_and_rest(saved.weights[place.number], choice)
                if saved.prefers is not None:
                    gradient, out = _row(*target), _row(saved.outs, place.row)
                    is_chosen = jnp.arange(saved.weights.shape[1]) == choice
                    to_weights = jnp.where(is_chosen, jnp.sum(gradient * out), jnp.sum(gradient))
            rows = ((saved.nodes, place.source), (saved.outs, place.row), target)
            to_input = _choose(form, place, operations, choice, rows, *own, scale)
            if saved.learns is not None:
                to_input, to_own = to_input
            to_nodes = _add_to_row(to_nodes, place.source % (_NODES + 1), place.is_last, to_input)
            return to_nodes, (to_own, to_weights)

        # The statistics used have no gradient: they enter running estimates, which no loss of this step depends on.
        end, last = _NODES * len(saved.factors), gradients[0]
        to_nodes = jnp.zeros((_NODES + 1, *saved.nodes.shape[1:]), saved.nodes.dtype)
        if not isinstance(last, SymbolicZero):
            to_nodes = to_nodes.at[end % (_NODES + 1)].set(last)
        edges = (saved.kernels, saved.factors)
        to_nodes, (to_kernels, to_weights) = _over_edges(form, edge, to_nodes, edges, reverse=True)
        return to_nodes[0], to_kernels, None, None if to_weights is None else jnp.sum(to_weights, 0)

    learning.defvjp(learning_forward, learning_backward, symbolic_zeros=True)

    def stage(
        images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None
    ) -> tuple[Array, Array]:
        if statistics is None:
            result: tuple[Array, Array] = learning(images, kernels, arch, weights)
            return result
        last, _, _, used, _ = run(images, kernels, statistics, arch, weights, _NODES + 1)
        return last, used

    return stage


def _over_edges(
    form: Form, function: Callable[..., Any], carry: Array, edges: tuple[Any, ...], reverse: bool = False
) -> tuple[Array, Any]:
    """Returns what `lax.scan` of `function(carry, place, own)` over edges does, arrays `[N, 6, ...]` in and out.

    Forms that must know which edge of a cell they are at get a loop over cells.
    """
    cells = len(jax.tree.leaves(edges)[0])
    order = range(len(EDGES))

    def one_edge(carry: Array, each: Any) -> tuple[Array, Any]:
        row, own = each
        return function(carry, _place(row // len(EDGES), row % len(EDGES)), own)

    def one_cell(carry: Array, each: Any) -> tuple[Array, Any]:
        cell, own = each
        found: list[Any] = [None] * len(EDGES)
        for number in reversed(order) if reverse else order:
            rows = jax.tree.map(lambda array, number=number: array[number], own)
            carry, found[number] = function(carry, _place(cell, number), rows)
        return carry, jax.tree.map(lambda *each: jnp.stack(each), *found)

    if form.name != "switch":
        return lax.scan(one_cell, carry, (jnp.arange(cells), edges), reverse=reverse)
    rows = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), edges)
    carry, results = lax.scan(one_edge, carry, (jnp.arange(cells * len(EDGES)), rows), reverse=reverse)
    return carry, jax.tree.map(lambda array: array.reshape(cells, -1, *array.shape[1:]), results)


def _place(cell: Array, number: Any) -> _Place:
    def of(rows: np.ndarray) -> Any:
        return rows[number] if isinstance(number, int) else jnp.asarray(rows)[number]

    first = _NODES * cell
    row = len(EDGES) * cell + number
    return _Place(number, row, first + of(_SOURCES), first + of(_TARGETS), of(_IS_FIRST), of(_IS_LAST))


def _choose(
    form: Form,
    place: _Place,
    operations: list[Callable[..., Any]],
    choice: Array,
    rows: tuple[tuple[Array, Any], ...],
    *arguments: Any,
) -> Any:
    """Returns the result of the chosen operation on rows of arrays and further arguments.

    A branch is given whole arrays and reads the rows itself, since a row that is read outside of it is copied; other
    forms would sort whole arrays.
    """
    if form.name != "switch":
        return form.choose(place.number, operations, choice, *[_row(*each) for each in rows], *arguments)

    def reads(operation: Callable[..., Any]) -> Callable[..., Any]:
        return lambda rows, *arguments: operation(*[_row(*each) for each in rows], *arguments)

    return form.choose(place.number, [reads(operation) for operation in operations], choice, rows, *arguments)


def _of_rows(operation: Callable[[_Edge, Array], Any]) -> Callable[..., Any]:
    """Returns a gradient as a function of rows and of what the output was multiplied with, or `None`."""

    def of_rows(
        images: Array, out: Array, gradient: Array, kernels: Kernels, factor: Array, scale: Array | None
    ) -> Any:
        return operation(_Edge(images, kernels, out, factor), gradient if scale is None else scale * gradient)

    return of_rows


def _scale_and_rest(weights: Array, choice: Array) -> tuple[Array, Array]:
    """Returns the weight of the chosen operation and the sum of the others."""
    is_chosen = jnp.arange(weights.shape[0]) == choice
    return jnp.sum(jnp.where(is_chosen, weights, 0)), jnp.sum(jnp.where(is_chosen, 0, weights))


def _row(array: Array, row: Any) -> Array:
    found: Array = lax.dynamic_index_in_dim(array, row, keepdims=False)
    return found


def _add_to_row(array: Array, row: Any, is_first: Any, values: Array) -> Array:
    """Returns an array with more in a row, or with `values` there alone where they are the first."""
    more = jnp.where(is_first, values, _row(array, row) + values)
    updated: Array = lax.dynamic_update_index_in_dim(array, more, row, 0)
    return updated


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
