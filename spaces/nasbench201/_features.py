"""How cells of NAS-Bench-201 are described to predictors."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Graph
from jnas.spaces._categorical import one_hot, unknown_feature
from jnas.spaces.nasbench201._cells import EDGES, NUM_CHOICES, OPERATIONS

PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""The edges along each of the four paths from the input to the output."""

_TRUNCATED = 30  # paths of one or two operations


def _paths(arch: Array) -> Array:
    """Returns float32 `[155]`: 1 where a path of these operations leads from the input to the output."""
    base = len(OPERATIONS)
    offsets = [sum(base**shorter for shorter in range(1, len(path))) for path in PATHS]
    weights = np.zeros((len(PATHS), len(EDGES)), np.int32)
    for row, path in enumerate(PATHS):
        for digit, edge in enumerate(path):
            weights[row, edge] = base**digit
    places = np.asarray(offsets, np.int32) + jnp.sum(weights * arch[None, :], axis=1, dtype=jnp.int32)
    total = sum(base**length for length in (1, 2, 3))
    return jnp.any(places[:, None] == np.arange(total, dtype=np.int32)[None, :], axis=0).astype(jnp.float32)


def _adjacency() -> np.ndarray:
    """Returns `[8, 8]`: the cell with its edges as vertices: input, the six edges in order, output."""
    ends = [(-1, 0), *EDGES, (3, 4)]  # (node that the vertex comes from, node that it leads to)
    return np.asarray([[target == source for source, _ in ends] for _, target in ends], np.float32)


def _graph(arch: Array) -> Graph:
    """Returns the cell as a graph of 8 vertices of 7 kinds: output, input and the five operations."""
    kinds = 2 + len(OPERATIONS)
    vertices = jnp.concatenate([jnp.array([1], jnp.int32), arch.astype(jnp.int32) + 2, jnp.array([0], jnp.int32)])
    return Graph(jax.nn.one_hot(vertices, kinds, dtype=jnp.float32), jnp.asarray(_adjacency()))


def _there(arch: Array) -> Array:
    return arch != OPERATIONS.index("none")


def _continuous_adjacency(arch: Array) -> Array:
    return jnp.concatenate([arch, jnp.sum(_there(arch), dtype=jnp.int32)[None]]).astype(jnp.float32)


def _nasbot(arch: Array) -> Array:
    """Returns float32 `[21]`: degrees of the graph without the edges that are none, and how often each operation is."""
    there = jnp.concatenate([jnp.ones(1, bool), _there(arch), jnp.ones(1, bool)]).astype(jnp.float32)
    matrix = _adjacency() * there[:, None] * there[None, :]
    counts = jnp.sum(arch[:, None] == np.arange(len(OPERATIONS), dtype=np.int32)[None], axis=0, dtype=jnp.float32)
    return jnp.concatenate([jnp.sort(jnp.sum(matrix, axis=1)), jnp.sort(jnp.sum(matrix, axis=0)), counts])


_FEATURES: dict[str, Callable[[Array], Array | Graph]] = {
    "one_hot": lambda arch: one_hot(NUM_CHOICES, arch),
    "ordinal": lambda arch: arch.astype(jnp.float32),
    "continuous_adjacency": _continuous_adjacency,
    "path": _paths,
    "truncated_path": lambda arch: _paths(arch)[:_TRUNCATED],
    "graph": _graph,
    "nasbot": _nasbot,
}

FEATURE_NAMES = tuple(_FEATURES)


def nasbench201_features(arch: Array, name: str) -> Array | Graph:
    """Returns the named features of one cell; `jnas.spaces.nasbench201` says what they are.

    Raises:
      ValueError: The name is unknown.
    """
    if name not in _FEATURES:
        raise unknown_feature(name, FEATURE_NAMES)
    return _FEATURES[name](arch)
