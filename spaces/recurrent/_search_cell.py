"""Recurrent cells as DARTS's search cell has them: weights of five operations, `none` first, on all edges."""

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.recurrent._cells import SEARCH_OPERATIONS, RecurrentCell, arch_of_cell, edges, recurrent_cell

_NONE = SEARCH_OPERATIONS.index("none")


def one_hot_edges(arch: Array) -> Array:
    """Returns the weights of a search cell that is one architecture `[2 n]`: float32 `[n (n + 1) / 2, 5]`, 0 and 1.

    The edges are those of `edges`, the operations `SEARCH_OPERATIONS`; edges that no node reads have 0 alone.

    Example:
      >>> one_hot_edges(jnp.array([0, 0, 1, 2])).tolist()  # node 1 reads state 0 by tanh, node 2 node 1 by sigmoid
      [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0]]
    """
    cell = recurrent_cell(arch)
    node = np.arange(cell.inputs.shape[0])
    weights = jnp.zeros((len(edges(len(node))), len(SEARCH_OPERATIONS)), jnp.float32)
    return weights.at[node * (node + 1) // 2 + cell.inputs, cell.operations + 1].set(1.0)


def strongest_cell(logits: Array) -> Array:
    """Returns the architecture int32 `[2 n]` of logits `[n (n + 1) / 2, 5]`, as DARTS derives it.

    Each node reads the state on whose edge an operation other than `none` has the largest share of a softmax over all
    five, the first among equals, by the likeliest of these operations.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, and its released code.

    Example:
      >>> strongest_cell(one_hot_edges(jnp.array([0, 0, 1, 2]))).tolist()
      [0, 0, 1, 2]
    """
    nodes = round((2 * logits.shape[0]) ** 0.5 - 0.5)
    shares = jnp.nan_to_num(jax.nn.softmax(jnp.where(jnp.isnan(logits), 0, logits), axis=1))[:, _NONE + 1 :]
    best, likeliest = jnp.max(shares, axis=1), jnp.argmax(shares, axis=1).astype(jnp.int32)
    # Of all edges `[n, n]`, one row for each node; states that it cannot read come last.
    state, node = np.arange(nodes), np.arange(nodes)[:, None]
    place = np.minimum(node * (node + 1) // 2 + state, len(edges(nodes)) - 1)
    inputs = jnp.argmax(jnp.where(state <= node, best[place], -1.0), axis=1).astype(jnp.int32)
    operations = jnp.take_along_axis(likeliest[place], inputs[:, None], axis=1)[:, 0]
    return arch_of_cell(RecurrentCell(inputs, operations))
