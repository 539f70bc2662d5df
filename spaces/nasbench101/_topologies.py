"""Graphs of NAS-Bench-101's cells without their operations, and lists of them that share the vertices among them."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._draws import below
from jnas.core._vocabulary import Array, Key, Space
from jnas.spaces.nasbench101._cells import EDGES, MAX_VERTICES, NUM_EDGES
from jnas.spaces.nasbench101._enumeration import nasbench101_cells

_SOURCES, _TARGETS = np.asarray(EDGES, np.int32).T
_NUMBER = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int32)  # of the edge between two vertices
_NUMBER[_SOURCES, _TARGETS] = np.arange(NUM_EDGES)


@functools.cache
def topologies(max_vertices: int = MAX_VERTICES) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Returns the different graphs of the cells that are listed, fewer vertices first, without those that have none.

    Args:
      max_vertices: Of cells of up to so many, 3 to 7.

    Returns:
      Edge bits int32 `[T, 21]`, of graphs on the interior vertices 1, 2, ...; and how many these are, int32 `[T]`.
    """
    edges = np.unique(nasbench101_cells(max_vertices)[:, :NUM_EDGES], axis=0).astype(np.int32)
    used = [(edges[:, vertex == _TARGETS] > 0).any(axis=1) for vertex in range(1, MAX_VERTICES - 1)]
    sizes = np.stack(used).sum(axis=0).astype(np.int32)
    order = np.argsort(sizes, kind="stable")[(sizes == 0).sum() :]
    return edges[order], sizes[order]


def partition(space: Space, key: Key) -> tuple[Array, Array]:
    """Returns architectures int32 `[n, 26]` of which each interior vertex is in exactly one, and which there are `[n]`.

    One graph after another is drawn, each that has no more vertices than are left being as likely, and stands on random
    ones of these, in their order. Operations are all the first.

    Args:
      space: NAS-Bench-101's, a sub-space or a part of it, of cells with up to `n` interior vertices.
      key: PRNG key; consumed.
    """
    most = json.loads((space.part_of or space).config).get("max_vertices", MAX_VERTICES)
    with jax.ensure_compile_time_eval():
        edges, sizes = map(jnp.asarray, topologies(most))
    interior, (order_key, draw_key) = most - 2, jax.random.split(key)
    places = jax.random.permutation(order_key, interior)  # of the vertices 1, 2, ... in the order in which they go
    fitting = jnp.searchsorted(sizes, jnp.arange(interior + 1), side="right")  # graphs of up to so many vertices

    def draw(taken: Array, word: Array) -> tuple[Array, tuple[Array, Array]]:
        there = taken < interior
        graph = below(word, jnp.maximum(fitting[jnp.where(there, interior - taken, 1)], 1))
        after = taken + sizes[graph]
        inside = (places >= taken) & (places < after)
        number = jnp.where(inside, jnp.cumsum(inside, dtype=jnp.int32), 0)  # in the graph, of each interior vertex
        ends = jnp.zeros(MAX_VERTICES, jnp.int32).at[MAX_VERTICES - 1].set(MAX_VERTICES - 1)
        own = ends.at[1 : interior + 1].set(number)
        has = jnp.ones(MAX_VERTICES, bool).at[1:-1].set(False).at[1 : interior + 1].set(inside)
        bits = jnp.where(
            has[_SOURCES] & has[_TARGETS], edges[graph][jnp.asarray(_NUMBER)[own[_SOURCES], own[_TARGETS]]], 0
        )
        arch = jnp.concatenate([bits, jnp.zeros(MAX_VERTICES - 2, jnp.int32)])
        return jnp.where(there, after, taken), (arch, there)

    return jax.lax.scan(draw, jnp.int32(0), jax.random.bits(draw_key, (interior,), jnp.uint32))[1]
