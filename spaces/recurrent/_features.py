"""How recurrent cells are described to predictors."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Graph
from jnas.spaces._categorical import one_hot, unknown_feature
from jnas.spaces.recurrent._cells import (
    OPERATIONS,
    Output,
    RecurrentCell,
    choices_of_decisions,
    edges,
    in_output,
    recurrent_cell,
)
from jnas.spaces.recurrent._fingerprint import in_use

FEATURE_NAMES = ("one_hot", "ordinal", "adjacency", "path", "truncated_path", "graph")

LONGEST = 6  # operations of a path in the path encoding; all eight of a default cell would be 87,380 numbers
_TRUNCATED = 3

_K = len(OPERATIONS)


def num_recurrent_paths(longest: int) -> int:
    """Returns how many sequences of one to `longest` operations there are.

    Example:
      >>> num_recurrent_paths(3), num_recurrent_paths(6)
      (84, 5460)
    """
    return sum(_K**length for length in range(1, longest + 1))


def _paths(cell: RecurrentCell, output: Output, longest: int) -> Array:
    """Returns which sequences of up to `longest` operations lead from the initial state to a node of the output.

    The operations `o_0, ..., o_{L-1}` stand at `sum_j 4^j (o_j + 1) - 1`.
    """
    nodes = cell.inputs.shape[0]
    kept = num_recurrent_paths(min(longest, nodes))

    def extend(states: tuple[Array, Array], node: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        numbers, powers = states
        new, read, operation = node
        number = numbers[read] + powers[read] * (operation + 1)
        number, power = (jnp.minimum(x, kept + 1) for x in (number, _K * powers[read]))  # or long paths would overflow
        return (numbers.at[new].set(number), powers.at[new].set(power)), number

    states = jnp.zeros(nodes + 1, jnp.int32), jnp.ones(nodes + 1, jnp.int32)
    each: Any = (np.arange(1, nodes + 1), *cell)
    number = jax.lax.scan(extend, states, each)[1]
    shown = in_output(cell, output) & (number <= kept)
    return jnp.zeros(kept, jnp.float32).at[jnp.where(shown, number - 1, kept)].set(1.0, mode="drop")


def _adjacency(cell: RecurrentCell) -> Array:
    """Returns float32 `[4 n (n + 1) / 2]`: for each edge that a search has open, which operation it carries, if any."""
    node = np.arange(cell.inputs.shape[0])
    places = (node * (node + 1) // 2 + cell.inputs) * _K + cell.operations
    return jnp.zeros(len(edges(len(node))) * _K, jnp.float32).at[places].set(1.0, mode="drop")


def _graph(cell: RecurrentCell, output: Output) -> Graph:
    """Returns the cell as a graph; `recurrent_features` says which."""
    nodes = cell.inputs.shape[0]
    used = in_use(cell, output).astype(jnp.float32)
    kinds = jnp.concatenate([np.array([1], np.int32), 2 + cell.operations, np.array([0], np.int32)])
    there = jnp.concatenate([np.ones(1, np.float32), used, np.ones(1, np.float32)])
    vertices = jax.nn.one_hot(kinds, 2 + _K, dtype=jnp.float32) * there[:, None]
    adjacency = jnp.zeros((nodes + 2, nodes + 2), jnp.float32)
    adjacency = adjacency.at[cell.inputs, np.arange(1, nodes + 1)].set(used)
    return Graph(vertices, adjacency.at[1 : nodes + 1, -1].set(in_output(cell, output).astype(jnp.float32)))


# One program outside of `jit`; inside it as if it were written there.
@functools.partial(jax.jit, static_argnames=("name", "output"), inline=True)
def recurrent_features(arch: Array, name: str, output: Output = "all") -> Array | Graph:
    """Returns the named features of an architecture `[2 n]`.

    Paths do not depend on how the nodes are numbered.

    Args:
      arch: int32 `[2 n]`.
      name: One of

        - `'one_hot'`, `[n (n + 1) / 2 + 4 n]`: the decisions in one-hot form.
        - `'ordinal'`, `[2 n]`: the numbers of the architecture.
        - `'adjacency'`, `[2 n (n + 1)]`: for each edge in the order of DARTS's parameters, which operation it carries;
          all 0 where it is not read.
        - `'path'`, `[84]` with three nodes, `[5460]` with six and more: 1 for each sequence of operations that leads
          from the initial state to a node of the output; sequences of more than six are left out.
        - `'truncated_path'`, `[84]` with three nodes and more: of these the ones of up to three operations.
        - `'graph'`: a `Graph` of `n + 2` vertices (initial state, nodes, output) of six kinds: output, initial state,
          and the operations. Nodes that the output does not depend on are left out: they are of no kind, without arcs.
      output: Whose mean the cell puts out.

    Returns:
      float32, or a `Graph`.

    Raises:
      ValueError: The name is unknown.
    """
    cell = RecurrentCell(*(field.astype(jnp.int32) for field in recurrent_cell(arch)))
    nodes = cell.inputs.shape[0]
    if name == "one_hot":
        return one_hot(choices_of_decisions(nodes), arch)
    if name == "ordinal":
        return arch.astype(jnp.float32)
    if name == "adjacency":
        return _adjacency(cell)
    if name == "path":
        return _paths(cell, output, LONGEST)
    if name == "truncated_path":
        return _paths(cell, output, _TRUNCATED)
    if name == "graph":
        return _graph(cell, output)
    raise unknown_feature(name, FEATURE_NAMES)
