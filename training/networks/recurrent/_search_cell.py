"""The search cell of recurrent cells over a window of a text: all operations on all edges, mixed or one for each node.

All nodes and all steps share one batch-norm without scale and shift, which follows the initial state and each node.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.recurrent._cells import OPERATIONS, RecurrentCell
from jnas.training.networks.recurrent._cell import (
    CellMasks,
    RecurrentCellParameters,
    activate,
    gated,
    sigmoid,
    state_of,
)

NodeRule = Callable[[int, Sequence[Array], Sequence[Array], Array], Array]
"""`rule(node, states, masked, weights [D, 2 D]) -> [B, D]`: a node, before its batch-norm, of the states so far."""


class SearchOutputs(NamedTuple):
    """What a search cell makes of a window."""

    outputs: Array  # [T, B, D] float32, of no meaning after the steps that count
    hidden: Array  # [B, D] float32
    moments: Array  # [2, D] float32: means and variances that batch-norm used, their mean over nodes and steps


def mixture_rule(weights: Array) -> NodeRule:
    """Returns the rule of a node that is the sum over all edges into it and their operations, by weights `[E, 4]`.

    The edges are those of `jnas.spaces.recurrent._cells.edges`; `none` adds nothing, and has no column.
    """

    def rule(node: int, states: Sequence[Array], masked: Sequence[Array], product: Array) -> Array:
        first, count = node * (node + 1) // 2, node + 1
        own = weights[first : first + count]
        batch, units = states[0].shape
        products = (jnp.concatenate(masked) @ product).reshape(count, batch, 2 * units)
        gates, given = sigmoid(products[..., :units]), products[..., units:]
        candidates = sum(own[:, number, None, None] * activate(number, given) for number in range(len(OPERATIONS)))
        stay = jnp.sum(own, 1)[:, None, None] * jnp.stack(states)
        return jnp.sum(stay + gates * (candidates - stay), 0)

    return rule


def sampled_rule(cell: RecurrentCell) -> NodeRule:
    """Returns the rule of a node that reads one state through one operation, both of which may be data."""

    def rule(node: int, states: Sequence[Array], masked: Sequence[Array], product: Array) -> Array:
        read = cell.inputs[node]
        return gated(state_of(states, read), state_of(masked, read) @ product, cell.operations[node])

    return rule


def run_search_cell(
    parameters: RecurrentCellParameters,
    rule: NodeRule,
    put_out: Array,
    inputs: Array,
    hidden: Array,
    length: Array,
    masks: CellMasks | None,
    statistics: Array | None,
    epsilon: float,
) -> SearchOutputs:
    """Returns what a search cell puts out over a window.

    Args:
      parameters: Of the cell; an edge has no weights of its own, but each node has.
      rule: Of its nodes.
      put_out: bool `[n]`, the nodes whose mean is the output.
      inputs: float32 `[T, B, D]`.
      hidden: float32 `[B, D]`, the state before.
      length: int32 `[]`, how many steps count.
      masks: What is left out in training: of what products read, not of what goes past them.
      statistics: float32 `[2, D]`, mean and variance of batch-norm; None for those of each batch, node and step.
      epsilon: Of batch-norm.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.1.2, and its released code.
    """
    units, nodes = inputs.shape[-1], parameters.nodes.shape[0]
    shares = put_out.astype(inputs.dtype)
    shares = shares / jnp.sum(shares)
    seen = inputs if masks is None else inputs * masks.inputs[None]
    products = seen @ parameters.initial[:units]

    def masked(state: Array) -> Array:
        return state if masks is None else state * masks.states

    def normalized(state: Array) -> tuple[Array, Array]:
        moments = jnp.stack([jnp.mean(state, 0), jnp.var(state, 0)]) if statistics is None else statistics
        return (state - moments[0][None]) * lax.rsqrt(moments[1] + epsilon)[None], moments

    def step(carry: tuple[Array, Array], each: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        (hidden, total), (product, number) = carry, each
        start = gated(hidden, product + masked(hidden) @ parameters.initial[units:], 0)
        state, moments = normalized(start)
        states, read = [state], [masked(state)]
        for node in range(nodes):
            state, more = normalized(rule(node, states, read, parameters.nodes[node]))
            states.append(state)
            read.append(masked(state))
            moments = moments + more
        output = sum((shares[node] * states[node + 1] for node in range(1, nodes)), shares[0] * states[1])
        counts = number < length
        hidden = jnp.where(counts, output, hidden)
        return (hidden, total + jnp.where(counts, moments, 0)), output

    start = (hidden, jnp.zeros((2, units), inputs.dtype))
    (hidden, total), outputs = lax.scan(step, start, (products, jnp.arange(inputs.shape[0])))
    return SearchOutputs(outputs, hidden, lax.stop_gradient(total) / (jnp.maximum(length, 1) * (nodes + 1)))


def stream_losses(states: Array, words: Array, bias: Array, targets: Array, length: Array) -> Array:
    """Returns the mean cross-entropy of each stream's first `length` tokens, float32 `[B]`.

    Some steps at a time, whose logits gradients compute again, so that those of a whole window are never there.
    Derivatives of every order; `jnas.training.networks.recurrent._decoder` is faster, and has the first alone.

    Args:
      states: float32 `[T, B, D]`.
      words: float32 `[V, D]`.
      bias: float32 `[V]`.
      targets: int32 `[T, B]`.
      length: int32 `[]`.
    """
    total, batch, units = states.shape
    steps = min(total, max(1, _ROWS // batch))
    more = -total % steps
    blocks = jnp.pad(states, ((0, more), (0, 0), (0, 0))).reshape(-1, steps, batch, units)
    each = jnp.pad(targets, ((0, more), (0, 0))).reshape(-1, steps, batch)
    counted = (jnp.arange(total + more) < length).reshape(-1, steps)

    @jax.checkpoint
    def losses(words: Array, bias: Array, block: tuple[Array, Array, Array]) -> Array:
        states, targets, counted = block
        logits = states @ words.T + bias[None, None]
        right = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        return jnp.sum(jnp.where(counted[:, None], jax.nn.logsumexp(logits, -1) - right, 0), 0)

    def add(sums: Array, block: Any) -> tuple[Array, None]:
        return sums + losses(words, bias, block), None

    sums, _ = lax.scan(add, jnp.zeros(batch, states.dtype), (blocks, each, counted))
    found: Array = sums / jnp.maximum(length, 1)
    return found


_ROWS = 256  # tokens whose logits are computed together
