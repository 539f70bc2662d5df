"""A pass through a network of the DARTS space on which a tap looks."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array, Tap
from jnas.spaces.darts._cells import NODES, SHAPE
from jnas.training.networks._taps import See, filled_alike, watched_places
from jnas.training.networks.darts._cell import (
    NUM_EDGES,
    NUM_INPUTS,
    branch_number,
    buffers,
    node_row,
    places_of_states,
    row_added,
    row_of,
)
from jnas.training.networks.darts._edge import (
    DartsEdgeParameters,
    factorized_reduction,
    operations_of_edge,
    seen_halves,
    seen_rectified,
)
from jnas.training.operations._convolutions import patches
from jnas.training.operations._normalized import learned_norm, pointwise

_CHANNELS = 0  # their axis: images are `[C, H, W, B]`


def watched_pass(
    parameters: Any, arch: Array, images: Array, tap: Tap, given: Any, *, own: Any, sizes: Sequence[Any], epsilon: float
) -> tuple[Array, dict[str, Any]]:
    """Returns logits and what the tap keeps; see `Network.tapped`. There is no auxiliary head, and no path is dropped.

    Args:
      parameters: `DartsParameters`.
      arch: int32 `[32]`.
      images: `[B, H, W, C]`.
      tap: What looks on.
      given: Of the structure of the records, or None.
      own: int `[2, 4, 2, 2]`, the one architecture that the program has; None for a branch at every edge.
      sizes: `CellSize` of each cell.
      epsilon: Of batch-norm.
    """
    given, records = given or {}, dict[str, Any]()
    wiring = jnp.asarray(arch).reshape(SHAPE)

    def part(name: str) -> Callable[[str], See]:
        at, records[name] = watched_places(tap, given.get(name), _CHANNELS)
        return at

    at, stem, head = part("0 stem"), parameters.stem, parameters.head
    turned = images.transpose(3, 1, 2, 0).astype(stem.kernel.dtype)
    convolved = (stem.kernel @ patches(turned)).reshape(-1, *turned.shape[1:])
    convolved = at("0 convolution")("convolution", convolved, stem.kernel.shape[1])
    before = last = _normalize(at("1 norm"), convolved, stem, epsilon, 2)
    for number, (size, cell) in enumerate(zip(sizes, parameters.cells, strict=True)):
        name = f"1 cell {number:03}"
        at = part(f"{name} inputs")
        kind, kernel = int(size.reduction), cell.first.kernel
        rectified = jax.nn.relu(seen_rectified(at("0 input"), before))
        if size.after_reduction:
            first = factorized_reduction(rectified, kernel, *seen_halves(at, "0"))
        else:
            first = at("0 convolution")("convolution", pointwise(rectified, kernel), kernel.shape[1])
        first = _normalize(at("0 norm"), first, cell.first, epsilon, 2 if size.after_reduction else 3)
        rectified, kernel = jax.nn.relu(seen_rectified(at("1 input"), last)), cell.second.kernel
        second = at("1 convolution")("convolution", pointwise(rectified, kernel), kernel.shape[1])
        second = _normalize(at("1 norm"), second, cell.second, epsilon, 3)
        edges = _any_edges if own is None else functools.partial(_chosen_edges, own[kind])
        nodes, records[f"{name} nodes"] = edges(
            2 if kind else 1, epsilon, tap, given.get(f"{name} nodes"), wiring[kind], (first, second), cell.edges
        )
        before, last = last, part(f"{name} output")("0 all")("cell", nodes.reshape(-1, *nodes.shape[2:]))
    at = part("2 head")
    last = at("0 features")("features", last)
    features = jnp.mean(last, (1, 2), head.kernel.dtype)
    logits = (head.kernel @ features).T + head.bias[None]
    return at("1 linear")("convolution", logits, head.kernel.shape[1]), records


def _normalize(see: See, images: Array, own: Any, epsilon: float, copies: int) -> Array:
    out, used = learned_norm(images, own.scale, own.shift, None, epsilon)
    see("moments", used, images.size // len(images))
    return see("normalized", out, copies=copies)


def _chosen_edges(
    own: Any, stride: int, epsilon: float, tap: Tap, given: Any, _: Array, inputs: Any, parameters: DartsEdgeParameters
) -> tuple[Array, dict[str, Any]]:
    """Returns the nodes `[4, C, H, W, B]` and records, by edge, of a cell whose architecture is known."""
    states, records, outs = list(inputs), dict[str, Any](), []
    for number, (state, choice) in enumerate((int(s), int(c)) for node in own for s, c in node):
        name = f"edge {number}"
        at, records[name] = watched_places(tap, None if given is None else given.get(name), _CHANNELS)
        edge = DartsEdgeParameters(*(leaf[number] for leaf in parameters))
        operations = operations_of_edge(stride if state < NUM_INPUTS else 1, epsilon, at)
        outs.append(operations[choice](states[state], edge, None)[0])
        if number % 2:
            states.append(outs[-2] + outs[-1])
    return jnp.stack(states[NUM_INPUTS:]), records


def _any_edges(
    stride: int, epsilon: float, tap: Tap, given: Any, cell: Array, inputs: Any, parameters: DartsEdgeParameters
) -> tuple[Array, dict[str, Any]]:
    """Returns the nodes `[4, C, H, W, B]` and records with a leading axis of edges, by a branch for each operation.

    JAX differentiates the loop over the edges, and keeps room for what every operation might save.
    """

    def run(place: Any, number: int, states: Any, state: Array, own: Any, told: Any) -> tuple[Array, dict[str, Any]]:
        at, records = watched_places(tap, told, _CHANNELS)
        operation = operations_of_edge(place.stride, epsilon, at)[number]
        return operation(row_of(states[place.buffer], state - place.first), own, None)[0], records

    count = len(operations_of_edge(1, epsilon))
    branches = [functools.partial(run, place, n) for place in places_of_states(stride) for n in range(count)]
    wiring = cell.reshape(NUM_EDGES, 2)

    def step(states: tuple[Array, ...], each: Any) -> tuple[tuple[Array, ...], dict[str, Any]]:
        number, (state, choice), own, told = each
        arguments = states, state, own, told
        out, records = lax.switch(branch_number(stride, state, choice), filled_alike(branches, *arguments), *arguments)
        return (*states[:-1], row_added(states[-1], node_row(stride, number), out)), records

    channels, height, width, batch = inputs[0].shape
    nodes = jnp.zeros((NODES, channels, height // stride, width // stride, batch), inputs[0].dtype)
    xs = (jnp.arange(NUM_EDGES), (wiring[:, 0], wiring[:, 1]), parameters, given)
    states, records = lax.scan(step, buffers(stride, inputs, nodes), xs)
    return states[-1][-NODES:], records
