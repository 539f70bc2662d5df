"""How cells of NAS-Bench-101 are described to predictors."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Graph
from jnas.spaces._batch_last import batch_last
from jnas.spaces._categorical import unknown_feature
from jnas.spaces.nasbench101._cells import EDGES, MAX_VERTICES, NUM_EDGES, OPERATIONS, pruned

_INTERIOR = range(1, MAX_VERTICES - 1)
_BASE = len(OPERATIONS)

PATH_LENGTHS = tuple(length for length in range(len(_INTERIOR) + 1) for _ in range(_BASE**length))
"""For each of the 364 paths, its number of operations, 0 to 5."""

NUM_PATHS = len(PATH_LENGTHS)
TRUNCATED_PATHS = 40
"""Paths of up to three operations."""

_LISTED_PATHS = 20  # slots of the categorical path encodings; a valid cell has at most 8 paths, any architecture 32
_OPERATION_SCALARS = (0.5, 0.0, 1.0)  # naszilla's, in the order of OPERATIONS


class _Routes(NamedTuple):
    """The ways from the input to the output that the complete graph has, by number of interior vertices.

    The operations `o_0, ..., o_{L-1}` along a way make the path with the index `sum_i 3^i (o_i + 1)`.
    """

    needed: np.ndarray  # [R, 21] bool, the edges along each way
    weights: np.ndarray  # [R, 5] int32, what the operation of each interior vertex counts
    constant: np.ndarray  # [R] int32, the index where all operations are 0
    length: np.ndarray  # [R] int32, interior vertices


def _all_routes() -> _Routes:
    ways = [way for length in range(len(_INTERIOR) + 1) for way in itertools.combinations(_INTERIOR, length)]
    needed = np.zeros((len(ways), NUM_EDGES), bool)
    weights = np.zeros((len(ways), len(_INTERIOR)), np.int32)
    for row, way in enumerate(ways):
        for edge in itertools.pairwise((0, *way, MAX_VERTICES - 1)):
            needed[row, EDGES.index(edge)] = True
        for digit, vertex in enumerate(way):
            weights[row, vertex - 1] = _BASE**digit
    return _Routes(needed, weights, weights.sum(axis=1, dtype=np.int32), np.array([len(way) for way in ways], np.int32))


_ROUTES = _all_routes()


def _found_paths(arch: Array) -> Array:
    """Returns the paths of architectures `[26, ...]`, shorter ones first: int32 `[32, ...]`.

    A row for each way through the complete graph: the index of its path where all its edges are there, otherwise 364.
    Nothing is pruned, since what lies on a path is used.
    """
    operations = arch[NUM_EDGES:].astype(jnp.int32)
    found = []
    for needed, weights, constant in zip(_ROUTES.needed, _ROUTES.weights, _ROUTES.constant, strict=True):
        # Sums written out: a matrix product of integers is slow.
        index = sum((int(w) * operations[v] for v, w in enumerate(weights) if w), jnp.int32(constant))
        found.append(jnp.where(jnp.all(arch[np.flatnonzero(needed)] > 0, axis=0), index, NUM_PATHS))
    return jnp.stack(found)


def host_paths(archs: np.ndarray) -> np.ndarray:
    """Returns the paths of architectures `[N, 26]`, each once, in ascending order: int16 `[N, P]`, filled up with 364.

    In NumPy, for all cells at once; `P` is the most paths that one of them has.
    """
    columns = np.ascontiguousarray(archs.T)
    edges, operations = columns[:NUM_EDGES] > 0, columns[NUM_EDGES:].astype(np.int16)
    found = np.full((len(archs), len(_ROUTES.length)), NUM_PATHS, np.int16)
    for row, (needed, weights, constant) in enumerate(zip(*_ROUTES[:3], strict=True)):
        have = np.flatnonzero(edges[needed].all(axis=0))
        found[have, row] = constant + weights.astype(np.int16) @ operations[:, have]
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = NUM_PATHS
    found.sort(axis=1)
    return found[:, : (found < NUM_PATHS).sum(axis=1).max()]


def path_set(arch: Array) -> Array:
    """Returns which of the 364 paths an architecture `[26]` has, bool `[364]`."""
    found = batch_last(_found_paths)(arch)
    blocks = []
    for length in range(len(_INTERIOR) + 1):  # a way of L operations can only be one of the 3^L paths of L operations
        ways = np.flatnonzero(_ROUTES.length == length)
        paths = np.flatnonzero(np.asarray(PATH_LENGTHS) == length)
        blocks.append(jnp.any(found[ways][:, None] == paths[None], axis=0))
    return jnp.concatenate(blocks)


def _listed_paths(arch: Array, cutoff: int) -> Array:
    """Returns the indices below `cutoff` of an architecture's paths in ascending order, then zeros, `[20]`."""
    found = batch_last(_found_paths)(arch)
    listed = jnp.sort(jnp.where(found < cutoff, found, NUM_PATHS))[:_LISTED_PATHS]
    return jnp.where(listed < NUM_PATHS, listed, 0)


def _one_hot(arch: Array) -> Array:
    hot = arch[NUM_EDGES:, None] == np.arange(_BASE, dtype=np.int32)[None]
    return jnp.concatenate([arch[:NUM_EDGES], hot.reshape(-1)])


def _scalars(arch: Array) -> Array:
    return jnp.asarray(_OPERATION_SCALARS, jnp.float32)[arch[NUM_EDGES:]]


def _categorical_adjacency(arch: Array) -> Array:
    """The indices of the edges that are there, then zeros, then the operations."""
    edges = jnp.arange(NUM_EDGES, dtype=jnp.int32)
    found = jnp.sort(jnp.where(arch[:NUM_EDGES] > 0, edges, NUM_EDGES))
    return jnp.concatenate([jnp.where(found < NUM_EDGES, found, 0).astype(jnp.float32), _scalars(arch)])


def _continuous_adjacency(arch: Array) -> Array:
    edges = arch[:NUM_EDGES].astype(jnp.float32)
    return jnp.concatenate([edges, _scalars(arch), jnp.sum(edges)[None]])


def _pruned_rows(arch: Array) -> Array:
    matrix, used = pruned(arch)
    return jnp.concatenate([matrix.reshape(MAX_VERTICES**2, *arch.shape[1:]), used])


def _graph(arch: Array) -> Graph:
    """The pruned cell with vertices of 5 kinds: output, input and the operations; all zero where unused."""
    rows = batch_last(_pruned_rows)(arch).astype(jnp.float32)
    ends = np.array([1, 0], np.int32)
    kinds = jnp.concatenate([ends[:1], arch[NUM_EDGES:] + 2, ends[1:]])
    nodes = (kinds[:, None] == np.arange(2 + _BASE, dtype=np.int32)[None]) * rows[MAX_VERTICES**2 :, None]
    return Graph(nodes, rows[: MAX_VERTICES**2].reshape(MAX_VERTICES, MAX_VERTICES))


def _nasbot(arch: Array) -> Array:
    """Degrees of the pruned cell's vertices, and how many of them have each operation."""
    rows = batch_last(_pruned_rows)(arch).astype(jnp.float32)
    matrix = rows[: MAX_VERTICES**2].reshape(MAX_VERTICES, MAX_VERTICES)
    interior = rows[MAX_VERTICES**2 + 1 : -1]
    hot = (arch[NUM_EDGES:, None] == np.arange(_BASE, dtype=np.int32)[None]) * interior[:, None]
    degrees = [jnp.sort(jnp.sum(matrix, axis=axis)) for axis in (1, 0)]
    return jnp.concatenate([*degrees, jnp.sum(hot, axis=0)])


_FEATURES: dict[str, Callable[[Array], Array | Graph]] = {
    "one_hot": _one_hot,
    "ordinal": lambda arch: arch,
    "adjacency": lambda arch: jnp.concatenate([arch[:NUM_EDGES].astype(jnp.float32), _scalars(arch)]),
    "categorical_adjacency": _categorical_adjacency,
    "continuous_adjacency": _continuous_adjacency,
    "path": path_set,
    "truncated_path": lambda arch: path_set(arch)[:TRUNCATED_PATHS],
    "categorical_path": lambda arch: _listed_paths(arch, NUM_PATHS),
    "truncated_categorical_path": lambda arch: _listed_paths(arch, TRUNCATED_PATHS),
    "graph": _graph,
    "nasbot": _nasbot,
}

FEATURE_NAMES = tuple(_FEATURES)


# One program outside of `jit`; inside it as if it were written there.
@functools.partial(jax.jit, static_argnames="name", inline=True)
def nasbench101_features(arch: Array, name: str) -> Array | Graph:
    """Returns the named encoding of an architecture `[26]`.

    Those of the first five names describe the architecture as it is, edges that pruning removes included, as the
    published encodings do; those after them describe the cell, and path encodings are equal for isomorphic cells
    (different cells may have the same paths too).

    Args:
      arch: int32 `[26]`.
      name: One of

        - `'one_hot'`, `[36]`: 21 edge bits, then for each of the vertices 1 to 5 which of the operations it has.
        - `'ordinal'`, `[26]`: the numbers of the architecture.
        - `'adjacency'`, `[26]`: 21 edge bits, then the operations of the vertices 1 to 5 as scalars, 3x3 0.5, 1x1 0,
          pool 1 (naszilla writes these five from the end backwards).
        - `'categorical_adjacency'`, `[26]`: the numbers 0 to 20 of the edges that are there, ascending, then zeros;
          then the same scalars. Edge 0 and an empty slot look alike, as published.
        - `'continuous_adjacency'`, `[27]`: `'adjacency'`, then the number of edges. (The released code writes that
          number over the operation of a vertex.)
        - `'path'`, `[364]`: 1 for each sequence of operations that leads from the input to the output. The operations
          `o_0, ..., o_{L-1}` stand at `sum_i 3^i (o_i + 1)`, the direct edge at 0.
        - `'truncated_path'`, `[40]`: of these the ones of up to three operations.
        - `'categorical_path'`, `[20]`: the places of the cell's paths in `'path'`, ascending, one for each way through
          the graph (so one may come twice), then zeros.
        - `'truncated_categorical_path'`, `[20]`: the same of the places below 40.
        - `'graph'`: a `Graph` of 7 vertices of the 5 kinds output, input, 3x3, 1x1, pool; the rows of unused vertices
          are zero.
        - `'nasbot'`, `[17]`: what NASBOT's distance compares, of the pruned cell (and so equal for isomorphic cells):
          the numbers of edges out of each of the 7 vertices, ascending, and into each, ascending; how many vertices
          are 3x3, 1x1 and pool.

    Returns:
      float32, or a `Graph`.

    Raises:
      ValueError: The name is unknown.

    References:
      "A Study on Encodings for Neural Architecture Search", White et al., 2020, Section 3.
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021.
    """
    if name not in _FEATURES:
        raise unknown_feature(name, FEATURE_NAMES)
    found = _FEATURES[name](arch)
    return found if isinstance(found, Graph) else found.astype(jnp.float32)
