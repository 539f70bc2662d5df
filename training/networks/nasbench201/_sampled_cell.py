"""Cells of a supernet with one operation on each edge, and their gradient."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench201._cells import EDGES
from jnas.training.networks.nasbench201._sampled_operations import (
    Edge,
    forward_operations,
    operations_to_both,
    operations_to_images,
)
from jnas.training.operations._forms import Form
from jnas.training.operations._layouts import Layout
from jnas.training.operations._many_kernels import Kernels


class _Saved(NamedTuple):
    """What a backward pass through a stage needs."""

    outs: Array  # [6 N + 3, C, H, W, B], or in the order of the layout; see `run`
    kernels: Kernels
    arch: Array  # [6]
    weights: Array | None  # [6, 5]
    factors: Array  # [N, 6, C]
    learns: tuple[()] | None  # whether the kernels' gradients are asked for: () or None, so that it is static
    prefers: tuple[()] | None  # whether those of the weights are


class _Row(NamedTuple):
    """A row of an array, modulo the number of rows."""

    array: Array
    row: Any

    def value(self) -> Array:
        """Returns the row."""
        found: Array = lax.dynamic_index_in_dim(self.array, self.row % len(self.array), keepdims=False)
        return found


class _Sum(NamedTuple):
    """A weighted sum of three rows of an array, and a number."""

    array: Array
    rows: Any  # int [3]
    scales: Array  # [3]: 0 where there are fewer
    number: Array | None = None

    def value(self) -> Array:
        """Returns the sum."""
        total = functools.reduce(jnp.add, [self.scales[i] * _Row(self.array, self.rows[i]).value() for i in range(3)])
        return total if self.number is None else total + self.number


SampledStage = Callable[[Array, Kernels, Array | None, Array, Array | None], tuple[Array, Array]]
"""`stage(images, kernels, statistics, arch, weights) -> (images, statistics)`; see `make_sampled_stage`."""

_EDGES = len(EDGES)
_LAST = max(target for _, target in EDGES)


def _terms(edges_of: Callable[[int], list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns for every edge three edges, counted from the first of its cell, and which of them there are, `[6, 3]`."""
    edges = [edges_of(number) for number in range(_EDGES)]
    missing = [3 - len(each) for each in edges]
    rows = np.array([each + each[:1] * more for each, more in zip(edges, missing, strict=True)])
    return rows, np.array([[1] * len(each) + [0] * more for each, more in zip(edges, missing, strict=True)])


def _into_source(number: int) -> list[int]:
    source = EDGES[number][0]  # the first node of a cell is the last of the cell before
    return [e - (0 if source else _EDGES) for e, (_, target) in enumerate(EDGES) if target == (source or _LAST)]


def _out_of_target(number: int) -> list[int]:
    target = EDGES[number][1]
    return [e + _EDGES * (target == _LAST) for e, (source, _) in enumerate(EDGES) if source == target % _LAST]


_INTO_SOURCE, _OUT_OF_TARGET = _terms(_into_source), _terms(_out_of_target)
_BEFORE, _AFTER = 3, 4  # how many rows of the neighbouring cell those edges span


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
    forward = forward_operations(epsilon, layout)
    num_operations = len(forward)
    to_images = list(map(_of_reads, operations_to_images(layout)))
    to_both = list(map(_of_reads, operations_to_both(layout)))

    def run(
        images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None, num_rows: int
    ) -> tuple[Array, Array, Array, Array]:
        """Returns the last node, the rows of outputs, and of each edge the statistics used and the factor.

        Each edge's output is kept, and a node is summed from them wherever it is needed: on CPUs the time goes into
        memory, and this writes least. The edges of cell k have the rows from `6 k + 3`; the images and two rows of
        zeros stand in the place of the edges into the last node of a cell before. Rows are taken modulo `num_rows`.
        """
        cells = len(kernels.one)
        scales = _scales_and_rests(weights, arch, cells, images.dtype)

        def edge(outs: Array, cell: Any, number: Any, own: tuple[Kernels, Array | None]) -> tuple[Array, Any]:
            arguments = own[:1] if own[1] is None else own
            source = _source(outs, scales, cell, number)
            out, used, factor = _choose(form, number, forward, arch[number], (source,), *arguments)
            return _set_row(outs, _BEFORE + _EDGES * cell + number, out), (used, factor)

        outs = jnp.zeros((num_rows, *images.shape), images.dtype).at[0].set(images)
        outs, (used, factors) = _over_edges(form, edge, outs, (kernels, statistics))
        return _source(outs, scales, cells, 0).value(), outs, used, factors

    # A gradient of its own, since JAX's gradient of a branch keeps room for what each of its operations would save.
    @jax.custom_vjp
    def learning(images: Array, kernels: Kernels, arch: Array, weights: Array | None) -> tuple[Array, Array]:
        last, _, used, _ = run(images, kernels, None, arch, weights, _BEFORE + _EDGES)
        return last, used

    def learning_forward(*primals: Any) -> tuple[tuple[Array, Array], _Saved]:
        # `symbolic_zeros` says which gradients are asked for: a step of alpha alone needs none of the kernels. What is
        # saved must be arrays, among which a bool would be traced and could not be branched on in Python; () and None
        # have no arrays, so which of them it is belongs to the structure, which the backward pass knows when it is
        # traced.
        _, learns, _, prefers = (() if any(x.perturbed for x in _primals(each)) else None for each in primals)
        images, kernels, arch, weights = jax.tree.map(lambda each: each.value, primals, is_leaf=_is_primal)
        num_rows = _BEFORE + _EDGES * len(kernels.one)
        last, outs, used, factors = run(images, kernels, None, arch, weights, num_rows)
        return (last, used), _Saved(outs, kernels, arch, weights, factors, learns, prefers)

    def learning_backward(saved: _Saved, gradients: tuple[Any, Any]) -> tuple[Any, ...]:
        """Goes through the edges from the last; row `6 k + e` is the gradient that an edge gives to its source."""
        cells, dtype = len(saved.factors), saved.outs.dtype
        scales = _scales_and_rests(saved.weights, saved.arch, cells, dtype)
        operations = to_images if saved.learns is None else to_both

        def edge(to_inputs: Array, cell: Any, number: Any, own: tuple[Kernels, Array]) -> tuple[Array, Any]:
            choice, row, to_own, to_weights = saved.arch[number], _BEFORE + _EDGES * cell + number, None, None
            out, to_target = _Row(saved.outs, row), _target(to_inputs, cell, number)
            if saved.prefers is not None:
                gradient = to_target.value()
                is_chosen = jnp.arange(num_operations) == choice
                to_weights = jnp.where(is_chosen, jnp.sum(gradient * out.value()), jnp.sum(gradient))
            scale = None if saved.weights is None else scales[0][row]
            sums = (_source(saved.outs, scales, cell, number), out, to_target)
            to_input = _choose(form, number, operations, choice, sums, *own, scale)
            if saved.learns is not None:
                to_input, to_own = to_input
            return _set_row(to_inputs, _EDGES * cell + number, to_input), (to_own, to_weights)

        # The statistics used have no gradient: they enter running estimates, which no loss of this step depends on.
        last = jnp.zeros(saved.outs.shape[1:], dtype) if isinstance(gradients[0], SymbolicZero) else gradients[0]
        to_inputs = jnp.zeros((_EDGES + _AFTER, *last.shape), dtype)
        to_inputs = _set_row(to_inputs, _EDGES * cells, last)  # as if of the first edge out of a cell after
        to_inputs, (to_kernels, to_weights) = _over_edges(
            form, edge, to_inputs, (saved.kernels, saved.factors), reverse=True
        )
        to_stage = _target(to_inputs, -1, _EDGES - 1).value()
        return to_stage, to_kernels, None, None if to_weights is None else jnp.sum(to_weights, 0)

    learning.defvjp(learning_forward, learning_backward, symbolic_zeros=True)

    def stage(
        images: Array, kernels: Kernels, statistics: Array | None, arch: Array, weights: Array | None
    ) -> tuple[Array, Array]:
        if statistics is None:
            result: tuple[Array, Array] = learning(images, kernels, arch, weights)
            return result
        last, _, used, _ = run(images, kernels, statistics, arch, weights, _BEFORE + _EDGES)
        return last, used

    return stage


def _over_edges(
    form: Form, function: Callable[..., Any], carry: Array, edges: tuple[Any, ...], reverse: bool = False
) -> tuple[Array, Any]:
    """Returns what `lax.scan` of `function(carry, cell, number, own)` over edges does, arrays `[N, 6, ...]` in and out.

    Forms that must know which edge of a cell they are at get a loop over cells.
    """
    cells, order = len(jax.tree.leaves(edges)[0]), range(_EDGES)

    def one_edge(carry: Array, each: Any) -> tuple[Array, Any]:
        row, own = each
        result: tuple[Array, Any] = function(carry, row // _EDGES, row % _EDGES, own)
        return result

    def one_cell(carry: Array, each: Any) -> tuple[Array, Any]:
        cell, own = each
        found: list[Any] = [None] * _EDGES
        for number in reversed(order) if reverse else order:
            mine = jax.tree.map(lambda array, number=number: array[number], own)
            carry, found[number] = function(carry, cell, number, mine)
        return carry, jax.tree.map(lambda *each: jnp.stack(each), *found)

    if form.name != "switch":
        return lax.scan(one_cell, carry, (jnp.arange(cells), edges), reverse=reverse)
    rows = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), edges)
    carry, results = lax.scan(one_edge, carry, (jnp.arange(cells * _EDGES), rows), reverse=reverse)
    return carry, jax.tree.map(lambda array: array.reshape(cells, _EDGES, *array.shape[1:]), results)


def _choose(
    form: Form, number: Any, operations: list[Callable[..., Any]], choice: Array, reads: tuple[Any, ...], *rest: Any
) -> Any:
    """Returns the result of the chosen operation on rows or sums of rows, and on further arguments.

    A branch is given whole arrays and reads them itself, since what is read outside of it is copied; other forms would
    sort whole arrays.
    """
    if form.name != "switch":
        return form.choose(number, operations, choice, *[each.value() for each in reads], *rest)

    def reading(operation: Callable[..., Any]) -> Callable[..., Any]:
        return lambda reads, *rest: operation(*[each.value() for each in reads], *rest)

    return form.choose(number, [reading(operation) for operation in operations], choice, reads, *rest)


def _source(outs: Array, scales: tuple[Array, Array | None], cell: Any, number: Any) -> _Sum:
    """Returns the node that an edge comes from."""
    rows = _BEFORE + _EDGES * cell + _of(_INTO_SOURCE[0], number)
    there = _of(_INTO_SOURCE[1], number).astype(outs.dtype)
    own, rests = scales
    return _Sum(outs, rows, there * own[rows], None if rests is None else jnp.sum(there * rests[rows]))


def _target(to_inputs: Array, cell: Any, number: Any) -> _Sum:
    """Returns the gradient of the node that an edge goes to."""
    rows = _EDGES * cell + _of(_OUT_OF_TARGET[0], number)
    return _Sum(to_inputs, rows, _of(_OUT_OF_TARGET[1], number).astype(to_inputs.dtype))


def _scales_and_rests(weights: Array | None, arch: Array, cells: int, dtype: Any) -> tuple[Array, Array | None]:
    """Returns what each row of outputs is multiplied with, the weight of its operation, and the sum of the others."""
    if weights is None:
        return jnp.ones(_BEFORE + _EDGES * cells, dtype), None
    is_chosen = jnp.arange(weights.shape[1])[None, :] == arch[:, None]
    own, others = (jnp.sum(jnp.where(which, weights, 0), 1) for which in (is_chosen, ~is_chosen))
    return (
        jnp.concatenate([jnp.ones(_BEFORE, dtype), jnp.tile(own, cells)]),
        jnp.concatenate([jnp.zeros(_BEFORE, dtype), jnp.tile(others, cells)]),
    )


def _of_reads(operation: Callable[[Edge, Array], Any]) -> Callable[..., Any]:
    """Returns a gradient as a function of what is read and of what the output was multiplied with, or `None`."""

    def of_reads(
        images: Array, out: Array, gradient: Array, kernels: Kernels, factor: Array, scale: Array | None
    ) -> Any:
        return operation(Edge(images, kernels, out, factor), gradient if scale is None else scale * gradient)

    return of_reads


def _of(table: np.ndarray, number: Any) -> Any:
    return table[number] if isinstance(number, int) else jnp.asarray(table)[number]


def _set_row(array: Array, row: Any, values: Array) -> Array:
    updated: Array = lax.dynamic_update_index_in_dim(array, values, row % len(array), 0)
    return updated


def _is_primal(each: Any) -> bool:
    return hasattr(each, "perturbed")


def _primals(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=_is_primal)
