"""Cells of NAS-Bench-101 in terms of decisions at their vertices: which others one reads, which operation it has."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench101._cells import EDGES, MAX_VERTICES, OPERATIONS

OUTPUT = MAX_VERTICES - 1
"""The number of the output; the interior vertices of `n` are 1 to `n`, as in cells of fewer vertices than seven."""


class DecisionEncoding(NamedTuple):
    """Decisions that are made one by one, and the cell that they make."""

    names: tuple[str, ...]  # of the `D` decisions
    choices: tuple[tuple[str, ...], ...]  # of each, the names of its choices
    to_arch: Callable[[Array], Array]  # from decisions int32 `[D]` to an architecture int32 `[26]` of `nasbench101`

    @property
    def num_choices(self) -> tuple[int, ...]:
        """For each decision, its number of choices."""
        return tuple(map(len, self.choices))


def parent_sets(parents: Sequence[int], output_parents: int) -> DecisionEncoding:
    """Returns the decisions of cells in which each vertex reads a fixed number of earlier ones.

    Args:
      parents: How many the interior vertices 1, 2, ... read.
      output_parents: How many the output reads.

    Returns:
      First a set of predecessors for each vertex that has a choice of them, the output's last, then the operations.
      Unused vertices are not pruned.
    """
    interior, sets = range(1, len(parents) + 1), {}
    for vertex, (place, count) in zip((*interior, OUTPUT), enumerate((*parents, output_parents), 1), strict=True):
        sets[vertex] = tuple(itertools.combinations(range(place), count))
    fixed = _edge_bits([(v, own[0]) for v, own in sets.items() if len(own) == 1])
    open_sets = {v: own for v, own in sets.items() if len(own) > 1}
    bits = [np.stack([_edge_bits([(v, chosen)]) for chosen in own]) for v, own in open_sets.items()]

    def to_arch(decisions: Array) -> Array:
        edges = jnp.asarray(fixed)
        for rows, choice in zip(bits, decisions, strict=False):
            edges = edges + jnp.asarray(rows)[choice]
        return _with_operations(edges, decisions[len(bits) :])

    operations = [f"operation {v}" for v in interior]
    named = [f"into {'output' if v == OUTPUT else v}" for v in open_sets]
    told = [tuple("+".join(map(str, chosen)) for chosen in own) for own in open_sets.values()]
    return DecisionEncoding((*named, *operations), (*told, *(OPERATIONS,) * len(parents)), to_arch)


def one_predecessor(num_vertices: int) -> DecisionEncoding:
    """Returns the decisions of ENAS and NAO: one predecessor and one operation for each interior vertex, in turn.

    A vertex that none reads is read by the output.
    """

    def to_arch(decisions: Array) -> Array:
        chosen, into = decisions[::2], range(1, num_vertices + 1)
        edges = [(chosen[target - 1] == source) if target in into else None for source, target in EDGES]
        read = [jnp.any(chosen == vertex) for vertex in range(num_vertices + 1)]
        for number, (source, target) in enumerate(EDGES):
            if target == OUTPUT and source <= num_vertices:
                edges[number] = ~read[source]
        return _with_operations(_stacked(edges), decisions[1::2])

    choices = [(tuple(map(str, range(vertex))), OPERATIONS) for vertex in range(1, num_vertices + 1)]
    return DecisionEncoding(_in_turn(num_vertices), tuple(itertools.chain(*choices)), to_arch)


def one_or_none(num_vertices: int) -> DecisionEncoding:
    """Returns the decisions of DARTS and FBNet: for each interior vertex one predecessor or none, and one operation.

    The output reads the input and every interior vertex.
    """

    def to_arch(decisions: Array) -> Array:
        chosen, into = decisions[::2], range(1, num_vertices + 1)
        edges = [(chosen[target - 1] == source + 1) if target in into else None for source, target in EDGES]
        for number, (source, target) in enumerate(EDGES):
            if target == OUTPUT and source <= num_vertices:
                edges[number] = jnp.bool_(True)
        return _with_operations(_stacked(edges), decisions[1::2])

    choices = [(("none", *map(str, range(vertex))), OPERATIONS) for vertex in range(1, num_vertices + 1)]
    return DecisionEncoding(_in_turn(num_vertices), tuple(itertools.chain(*choices)), to_arch)


def _edge_bits(reads: Sequence[tuple[int, Sequence[int]]]) -> np.ndarray:
    """Returns the edges int32 `[21]` of vertices that each read some earlier ones."""
    there = {(source, target) for target, sources in reads for source in sources}
    return np.array([edge in there for edge in EDGES], np.int32)


def _stacked(edges: Sequence[Array | None]) -> Array:
    """Returns edges as bits int32 `[21]`; those that are None are absent."""
    return jnp.stack([jnp.bool_(False) if edge is None else edge for edge in edges]).astype(jnp.int32)


def _with_operations(edges: Array, operations: Array) -> Array:
    """Returns the architecture `[26]` of edges `[21]` and the operations of the vertices 1 to `n`; others have 0."""
    unused = jnp.zeros(MAX_VERTICES - 2 - operations.shape[0], jnp.int32)
    return jnp.concatenate([edges.astype(jnp.int32), operations.astype(jnp.int32), unused])


def _in_turn(num_vertices: int) -> tuple[str, ...]:
    return tuple(f"{what} {v}" for v in range(1, num_vertices + 1) for what in ("into", "operation"))
