"""Recurrent cells over a window of a text: which cell it is may be data, so that many run as one program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.recurrent._cells import RecurrentCell


class RecurrentCellParameters(NamedTuple):
    """The products of a cell of `n` nodes and `D` units; they have no bias."""

    initial: Array  # [2 D, 2 D], of the input (first) and the hidden state to gate and candidate
    nodes: Array  # [n, D, 2 D], of the state that a node reads


class CellMasks(NamedTuple):
    """What is left out of a cell's products, the same at every step of a window; what stays weighs more."""

    inputs: Array  # [B, D] float32
    states: Array  # [B, D] float32: before every product; what goes past the product is not left out


def activate(operation: Any, values: Array) -> Array:
    """Returns an activation, by its place in `OPERATIONS`: a Python number, or data.

    As data, tanh and sigmoid are one `tanh`, of which the values are chosen, so that a batch of cells does no operation
    but that one more than once.
    """
    if isinstance(operation, int | np.integer):
        return (jnp.tanh, jax.nn.relu, sigmoid, lambda x: x)[operation](values)
    is_sigmoid = operation == 2
    scale = jnp.where(is_sigmoid, np.float32(0.5), np.float32(1))
    bounded = scale * jnp.tanh(scale * values) + jnp.where(is_sigmoid, np.float32(0.5), np.float32(0))
    return lax.select_n(operation, bounded, jax.nn.relu(values), bounded, values)


def sigmoid(values: Array) -> Array:
    """Returns the logistic function by `tanh`, as `activate` of data has it."""
    return 0.5 * jnp.tanh(0.5 * values) + 0.5


def state_of(states: Sequence[Array], number: Any) -> Array:
    """Returns one of the states so far, by a Python number or by data."""
    if len(states) == 1:
        return states[0]
    return states[int(number)] if isinstance(number, int | np.integer) else lax.select_n(number, *states)


def gated(state: Array, product: Array, operation: Any) -> Array:
    """Returns `s + sigmoid(c) (f(g) - s)`, of a state `[B, D]` and the product `[c, g]`, `[B, 2 D]`."""
    units = state.shape[-1]
    candidate = activate(operation, product[:, units:])
    return state + sigmoid(product[:, :units]) * (candidate - state)


def run_cell(
    parameters: RecurrentCellParameters,
    cell: RecurrentCell,
    put_out: Array,
    inputs: Array,
    hidden: Array,
    length: Array,
    masks: CellMasks | None = None,
) -> tuple[Array, Array]:
    """Returns what a cell puts out over a window, and its hidden state at the end.

    Args:
      parameters: Of the cell.
      cell: Which cell: int32 `[n]` each; NumPy's for a program of this cell alone.
      put_out: bool `[n]`, the nodes whose mean is the output.
      inputs: float32 `[T, B, D]`.
      hidden: float32 `[B, D]`, the state before.
      length: int32 `[]`, how many steps count; the state stays as it is after them, and outputs are of no meaning.
      masks: What is left out in training.

    Returns:
      Outputs float32 `[T, B, D]` and the hidden state float32 `[B, D]`.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.2; gates as in "Recurrent
      Highway Networks", Zilly et al., 2017.
    """
    units, nodes = inputs.shape[-1], parameters.nodes.shape[0]
    shares = put_out.astype(inputs.dtype)
    shares = shares / jnp.sum(shares)
    seen = inputs if masks is None else inputs * masks.inputs[None]
    products = seen @ parameters.initial[:units]  # of all steps at once

    def masked(state: Array) -> Array:
        return state if masks is None else state * masks.states

    def step(hidden: Array, each: tuple[Array, Array]) -> tuple[Array, Array]:
        product, number = each
        states = [gated(hidden, product + masked(hidden) @ parameters.initial[units:], 0)]
        for node in range(nodes):
            read = state_of(states, cell.inputs[node])
            states.append(gated(read, masked(read) @ parameters.nodes[node], cell.operations[node]))
        output = sum((shares[node] * states[node + 1] for node in range(1, nodes)), shares[0] * states[1])
        return jnp.where(number < length, output, hidden), output

    hidden, outputs = lax.scan(step, hidden, (products, jnp.arange(inputs.shape[0])))
    return outputs, hidden
