"""A cell of the DARTS space: two images from the cells before, four nodes of two edges each, concatenated."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.darts._cells import NODES
from jnas.training.networks.darts._edge import NONE, SKIP, DartsEdgeParameters, Operation, operations_of_edge

NUM_EDGES = 2 * NODES
NUM_INPUTS = 2

Edges = Callable[..., tuple[Array, Array]]
"""`edges(stride, cell, inputs, parameters, statistics, keeps) -> (nodes [4, C, H, W, B], used [8, 2, 2, C])`.

Used are statistics. The stride is that of edges from the inputs, `cell` int `[4, 2, 2]` what the architecture says,
`inputs` two images
`[C, H, W, B]`. Of each edge, `keeps [8, B]` multiplies what it gives, unless it gives an image as it is; or None."""


def chosen_edges(cell: Sequence[Any], epsilon: float) -> Edges:
    """Returns the edges of one cell alone, whose program has no other operations.

    Args:
      cell: Python integers `[4][2][2]`: the state and the operation of each node's inputs.
      epsilon: Of batch-norm.
    """
    wired = [(int(state), int(choice)) for node in cell for state, choice in node]

    def edges(
        stride: int, _: Any, inputs: Sequence[Array], parameters: DartsEdgeParameters, statistics: Any, keeps: Any
    ) -> tuple[Array, Array]:
        states, used, outs = list(inputs), [], []
        for number, (state, choice) in enumerate(wired):
            own = DartsEdgeParameters(*(leaf[number] for leaf in parameters))
            step = stride if state < NUM_INPUTS else 1
            given = None if statistics is None else statistics[number]
            out, each = operations_of_edge(step, epsilon)[choice](states[state], own, given)
            if keeps is not None and not (choice == SKIP and step == 1):
                out = out * keeps[number][None, None, None]
            outs.append(out)
            used.append(each)
            if number % 2:
                states.append(outs[-2] + outs[-1])
        return jnp.stack(states[NUM_INPUTS:]), jnp.stack(used)

    return edges


class _Saved(NamedTuple):
    cell: Array  # int32 [8, 2]
    inputs: tuple[Array, Array]
    nodes: Array  # [4, C, H, W, B]
    parameters: DartsEdgeParameters
    keeps: Any


def any_edges(epsilon: float) -> Edges:
    """Returns the edges of any cell, by a branch for each operation, in a loop that is compiled once.

    Its gradient goes through the edges from the last to the first and computes each of them again: JAX's own would keep
    room for what every operation might save, and for a gradient of all states at every edge.

    Args:
      epsilon: Of batch-norm.
    """

    def edges(
        stride: int, cell: Array, inputs: Sequence[Array], parameters: DartsEdgeParameters, statistics: Any, keeps: Any
    ) -> tuple[Array, Array]:
        wiring = jnp.asarray(cell).reshape(NUM_EDGES, 2)
        if statistics is None:
            result: tuple[Array, Array] = _learning(stride, epsilon, wiring, tuple(inputs), parameters, keeps)
            return result
        return _through(stride, epsilon, wiring, (inputs[0], inputs[1]), parameters, statistics, keeps)

    return edges


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _learning(
    stride: int, epsilon: float, cell: Array, inputs: tuple[Array, Array], parameters: DartsEdgeParameters, keeps: Any
) -> tuple[Array, Array]:
    return _through(stride, epsilon, cell, inputs, parameters, None, keeps)


def _learning_forward(
    stride: int, epsilon: float, cell: Array, inputs: tuple[Array, Array], parameters: DartsEdgeParameters, keeps: Any
) -> tuple[tuple[Array, Array], _Saved]:
    nodes, used = _through(stride, epsilon, cell, inputs, parameters, None, keeps)
    return (nodes, used), _Saved(cell, inputs, nodes, parameters, keeps)


def _learning_backward(stride: int, epsilon: float, saved: _Saved, gradients: tuple[Array, Array]) -> tuple[Any, ...]:
    # The statistics used have no gradient: they enter running estimates, which no loss of this step depends on.
    states = buffers(stride, saved.inputs, saved.nodes)
    to_states = buffers(stride, (jnp.zeros_like(saved.inputs[0]),) * 2, gradients[0])

    def pull(operation: Operation, place: _Place, to_states: Any, state: Array, own: Any, gradient: Array) -> Any:
        image = row_of(states[place.buffer], state - place.first)
        _, pulled = jax.vjp(lambda image, own: operation(image, own, None)[0], image, own)
        to_image, to_own = pulled(gradient)
        moved = list(to_states)
        moved[place.buffer] = row_added(moved[place.buffer], state - place.first, to_image)
        return tuple(moved), to_own

    branches = _branches(stride, epsilon, pull)

    def step(to_states: tuple[Array, ...], each: Any) -> tuple[tuple[Array, ...], DartsEdgeParameters]:
        number, state, choice, own, keep = each
        gradient = row_of(to_states[-1], node_row(stride, number))
        if keep is not None:
            gradient = gradient * _kept(stride, state, choice, keep)
        moved: tuple[tuple[Array, ...], DartsEdgeParameters] = lax.switch(
            branch_number(stride, state, choice), branches, to_states, state, own, gradient
        )
        return moved

    xs = (jnp.arange(NUM_EDGES), saved.cell[:, 0], saved.cell[:, 1], saved.parameters, saved.keeps)
    to_states, to_parameters = lax.scan(step, to_states, xs, reverse=True)
    to_keeps = None if saved.keeps is None else jnp.zeros_like(saved.keeps)
    return None, (to_states[0][0], to_states[0][1]), to_parameters, to_keeps


_learning.defvjp(_learning_forward, _learning_backward)


def _through(
    stride: int,
    epsilon: float,
    cell: Array,
    inputs: tuple[Array, Array],
    parameters: DartsEdgeParameters,
    statistics: Any,
    keeps: Any,
) -> tuple[Array, Array]:
    """Returns the nodes and the statistics used; as `Edges`, of `cell [8, 2]`."""

    def run(operation: Operation, place: _Place, states: Any, state: Array, own: Any, given: Any) -> Any:
        return operation(row_of(states[place.buffer], state - place.first), own, given)

    branches = _branches(stride, epsilon, run)

    def step(states: tuple[Array, ...], each: Any) -> tuple[tuple[Array, ...], Array]:
        number, state, choice, own, given, keep = each
        out, used = lax.switch(branch_number(stride, state, choice), branches, states, state, own, given)
        if keep is not None:
            out = out * _kept(stride, state, choice, keep)
        return (*states[:-1], row_added(states[-1], node_row(stride, number), out)), used

    channels, height, width, batch = inputs[0].shape
    nodes = jnp.zeros((NODES, channels, height // stride, width // stride, batch), inputs[0].dtype)
    xs = (jnp.arange(NUM_EDGES), cell[:, 0], cell[:, 1], parameters, statistics, keeps)
    states, used = lax.scan(step, buffers(stride, inputs, nodes), xs)
    return states[-1][-NODES:], used


class _Place(NamedTuple):
    """Where states of one size lie."""

    buffer: int
    first: int  # the state in its first row
    stride: int  # of edges from there


def places_of_states(stride: int) -> tuple[_Place, ...]:
    """Returns where states lie: all together, or apart where nodes have images of half the size."""
    return (_Place(0, 0, 1),) if stride == 1 else (_Place(0, 0, stride), _Place(1, NUM_INPUTS, 1))


def buffers(stride: int, inputs: tuple[Array, Array], nodes: Array) -> tuple[Array, ...]:
    """Returns all states together, `[6, C, H, W, B]`, or inputs and nodes where these have images of half the size.

    They are joined as rows of numbers, which is compiled in a fifth of the time that five axes take.
    """
    rows = [each.reshape(1, -1) for each in inputs]
    if stride != 1:
        return jnp.concatenate(rows).reshape(-1, *inputs[0].shape), nodes
    return (jnp.concatenate([*rows, nodes.reshape(NODES, -1)]).reshape(-1, *inputs[0].shape),)


def node_row(stride: int, edge: Array) -> Array:
    """Returns the row of the node that an edge leads to, in the last buffer."""
    return edge // 2 + NUM_INPUTS - places_of_states(stride)[-1].first


def _branches(stride: int, epsilon: float, function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Returns `function(operation, place, ...)` of each operation on states of each place."""
    return [
        functools.partial(function, operation, place)
        for place in places_of_states(stride)
        for operation in operations_of_edge(place.stride, epsilon)
    ]


def branch_number(stride: int, state: Array, choice: Array) -> Array:
    """Returns the number of a branch."""
    apart = jnp.where(state < NUM_INPUTS, 0, NONE + 1) if stride != 1 else 0
    return jnp.minimum(choice, NONE) + apart


def _kept(stride: int, state: Array, choice: Array, keep: Array) -> Array:
    """Returns what the images of an edge are multiplied with, `[1, 1, 1, B]`: 1 where it gives an image as it is."""
    as_it_is = (choice == SKIP) & ((state >= NUM_INPUTS) | (stride == 1))
    return jnp.where(as_it_is, jnp.ones_like(keep), keep)[None, None, None]


def row_of(array: Array, row: Any) -> Array:
    """Returns one of the first axis, int32 `[]`, which a program learns as it runs."""
    found: Array = lax.dynamic_index_in_dim(array, row, keepdims=False)
    return found


def row_added(array: Array, row: Any, values: Array) -> Array:
    """Returns the array after values were added to one of its rows."""
    updated: Array = lax.dynamic_update_index_in_dim(array, row_of(array, row) + values, row, 0)
    return updated
