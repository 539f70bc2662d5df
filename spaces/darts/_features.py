"""How the cells of the DARTS space are described to predictors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Graph
from jnas.spaces._batch_last import batch_last
from jnas.spaces._categorical import one_hot, unknown_feature
from jnas.spaces.darts._cells import EDGES, NODES, SHAPE, num_choices
from jnas.spaces.darts._genotype import CELLS

FEATURE_NAMES = ("one_hot", "ordinal", "adjacency", "path", "truncated_path", "graph")

_TRUNCATED = 2  # operations of the longest path in the truncated encoding
_FIRST_EDGE = np.asarray([EDGES.index((0, node)) for node in range(NODES)], np.int32)


def num_paths(operations: int, longest: int = NODES) -> int:
    """Returns how many sequences of up to `longest` operations begin at one input of one cell, none at all included.

    Example:
      >>> [4 * num_paths(operations) for operations in (7, 8)]
      [11204, 18724]
    """
    return sum(operations**length for length in range(longest + 1))


def path_places(arch: Array, operations: int) -> Array:
    """Returns the places of an architecture's paths in its path encoding, int32 `[60]`.

    A path leads from an input of a cell to any of its nodes, all of which the output concatenates. The operations
    `o_0, ..., o_{L-1}` from input `i` of cell `c` stand at `(2 c + i) n + sum_j operations^j (o_j + 1)`, where `n` is
    `num_paths(operations)`.

    Args:
      arch: int32 `[32]`.
      operations: How many the space has.

    Returns:
      A place for each way back from each node; `4 n`, which no path has, where there is none. A place may come twice.
    """
    return batch_last(functools.partial(_places, operations=operations))(arch)


def _places(arch: Array, operations: int) -> Array:
    batch = arch.shape[1:]
    cells = arch.astype(jnp.int32).reshape(*SHAPE, *batch)
    from_input, found = num_paths(operations), []
    for c in range(len(CELLS)):
        # Of the paths that end at each node: number (with the input that they begin at), and operations^length.
        ending: list[tuple[Array, Array]] = []
        for node in range(NODES):
            ways = [_continued(cells[c, node, i], ending, operations, from_input) for i in range(2)]
            ending.append(tuple(jnp.concatenate(parts) for parts in zip(*ways, strict=True)))  # type: ignore[arg-type]
        numbers = jnp.concatenate([number for number, _ in ending])
        found.append(jnp.where(numbers < 0, 4 * from_input, numbers + 2 * c * from_input))
    return jnp.concatenate(found)


def _continued(edge: Array, ending: list[tuple[Array, Array]], operations: int, from_input: int) -> tuple[Array, Array]:
    """Returns the paths that an edge `[2, ...]` continues, `[M, ...]`: their numbers, or -1, and their powers."""
    state, operation = edge[0][None], edge[1][None] + 1
    size = max((len(number) for number, _ in ending), default=1)
    begins = (state < 2) & (np.arange(size) == 0).reshape(size, *(1,) * (state.ndim - 1))
    number, power = jnp.where(begins, state * from_input + operation, -1), jnp.where(begins, operations, 0)
    for node, (before, powers) in enumerate(ending):
        rest = ((0, size - len(before)), *((0, 0),) * (state.ndim - 1))
        longer = jnp.where(before < 0, -1, before + powers * operation)
        here = state == 2 + node
        number = jnp.where(here, jnp.pad(longer, rest, constant_values=-1), number)
        power = jnp.where(here, jnp.pad(powers * operations, rest), power)
    return number, power


def _paths(arch: Array, operations: int, longest: int = NODES) -> Array:
    """Returns which paths of up to `longest` operations an architecture has, float32, only as many as asked for."""
    places, whole, kept = path_places(arch, operations), num_paths(operations), num_paths(operations, longest)
    begin, number = jnp.divmod(places, whole)
    wanted = (places < 4 * whole) & (number < kept)
    return jnp.zeros(4 * kept, jnp.float32).at[jnp.where(wanted, begin * kept + number, 4 * kept)].set(1.0, mode="drop")


def _adjacency(arch: Array, operations: int) -> Array:
    """Returns float32 `[28 K]`: for each edge that a search has open, which operation it carries, if any."""
    cells = arch.reshape(SHAPE)
    edge = np.arange(len(CELLS))[:, None, None] * len(EDGES) + _FIRST_EDGE[None, :, None] + cells[..., 0]
    places = (edge * operations + cells[..., 1]).reshape(-1)
    return jnp.zeros(len(CELLS) * len(EDGES) * operations, jnp.float32).at[places].set(1.0, mode="drop")


def _graph(arch: Array, operations: int) -> Graph:
    """Returns both cells beside one another as a graph of 22 vertices; `darts_features` says which."""
    cells = arch.astype(jnp.int32).reshape(len(CELLS), 2 * NODES, 2)
    kinds, size = 3 + len(CELLS) * operations, 2 + 2 * NODES + 1
    # Which vertices make a state: an input itself, or both operations of a node.
    makes = np.zeros((2 + NODES, size), np.float32)
    makes[[0, 1], [0, 1]] = 1
    for node in range(NODES):
        makes[2 + node, [2 + 2 * node, 3 + 2 * node]] = 1
    to_output = np.zeros((size, size), np.float32)
    to_output[2:-1, -1] = 1
    adjacency = jnp.zeros((len(CELLS), size, size), jnp.float32)
    vertices: list[Array | np.ndarray] = []
    for c in range(len(CELLS)):
        reads = jnp.zeros((size, size), jnp.float32).at[:, 2:-1].set(jnp.asarray(makes)[cells[c, :, 0]].T)
        adjacency = adjacency.at[c].set(reads + to_output)
        ends = np.array([1, 2, 0], np.int32)
        vertices += [ends[:2], 3 + c * operations + cells[c, :, 1], ends[2:]]
    nodes = jax.nn.one_hot(jnp.concatenate(vertices), kinds, dtype=jnp.float32)
    apart = np.eye(len(CELLS), dtype=np.float32)[:, None, :, None]
    return Graph(nodes, (adjacency[:, :, None, :] * apart).reshape(len(CELLS) * size, len(CELLS) * size))


# One program outside of `jit`; inside it as if it were written there.
@functools.partial(jax.jit, static_argnames=("name", "operations"), inline=True)
def darts_features(arch: Array, name: str, operations: int) -> Array | Graph:
    """Returns the named features of an architecture `[32]`.

    Those but `'one_hot'` and `'ordinal'` do not depend on the order of a node's two inputs; paths not on that of the
    nodes either.

    Args:
      arch: int32 `[32]`.
      name: One of, for `K` operations,

        - `'one_hot'`, `[56 + 16 K]`: the decisions in one-hot form.
        - `'ordinal'`, `[32]`: the numbers of the architecture.
        - `'adjacency'`, `[28 K]`: for each of the 14 edges of the normal cell and then of the reduction cell, in the
          order of DARTS's parameters, which operation it carries; all 0 where it is not read.
        - `'path'`, `[11204]` with 7 operations, `[18724]` with 8: 1 for each sequence of operations that leads from an
          input of a cell to one of its nodes (all of which are its output), at the place that `path_places` gives;
          the order is that of BANANAS's code, but for the order of the operations.
        - `'truncated_path'`, `[228]` or `[292]`: of these, from each input, the ones of up to two operations.
        - `'graph'`: a `Graph` of 22 vertices of `3 + 2 K` kinds: for each cell its two inputs, its eight operations,
          its output. An operation has arcs from both operations of the node that it reads; all have arcs to the
          output. The kinds are output, the cell before the last, the last cell, the operations of the normal cell,
          those of the reduction cell.
      operations: How many the space has.

    Returns:
      float32, or a `Graph`.

    Raises:
      ValueError: The name is unknown.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021.
    """
    if name == "one_hot":
        return one_hot(num_choices(operations), arch)
    if name == "ordinal":
        return arch.astype(jnp.float32)
    if name == "adjacency":
        return _adjacency(arch, operations)
    if name == "path":
        return _paths(arch, operations)
    if name == "truncated_path":
        return _paths(arch, operations, _TRUNCATED)
    if name == "graph":
        return _graph(arch, operations)
    raise unknown_feature(name, FEATURE_NAMES)
