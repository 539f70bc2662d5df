"""All cells of NAS-Bench-101, each once."""

import functools
import itertools

import jax
import numpy as np

from jnas.spaces.nasbench101._cells import MAX_EDGES, MAX_VERTICES, NUM_CHOICES, OPERATIONS, fingerprint

NUM_CELLS = 423_624
"""Cells of the benchmark."""

CELLS_UP_TO = {2: 1, 3: 7, 4: 91, 5: 2_532, 6: 64_542, 7: NUM_CELLS}
"""Cells by the most vertices that they have, input and output among them."""


def nasbench101_cells(max_vertices: int = MAX_VERTICES) -> np.ndarray:
    """Returns every cell of the space once, int8 `[423624, 26]`; takes a moment, once in a process.

    The index of the space counts these rows: by number of vertices (1, 6, 84, 2441, 62010, 359082 of 2 to 7), then by
    the bits of the adjacency matrix (column by column, the lowest first), then by operations. Each cell stands for all
    that are isomorphic to it, as the first that this order meets.

    Args:
      max_vertices: Cells of up to so many vertices alone, the first rows: 1, 7, 91, 2532, 64542 or 423624. Of fewer
        than 7.

    Raises:
      ValueError: `max_vertices` is not from 2 to 7.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.

    Example:
      >>> [len(nasbench101_cells(vertices)) for vertices in (4, 5)]
      [91, 2532]
    """
    if max_vertices not in CELLS_UP_TO:
        raise ValueError(f"max_vertices is {max_vertices!r}, expected an integer from 2 to {MAX_VERTICES}")
    return _enumerated(max_vertices)


@functools.cache
def fingerprints(max_vertices: int = MAX_VERTICES) -> np.ndarray:
    """Returns the fingerprints, uint32 `[423624, 2]`, of `nasbench101_cells`."""
    find = jax.jit(jax.vmap(fingerprint))
    # A third of the 423,624 cells at a time: all at once take more memory, and no less time.
    parts = np.split(_enumerated(max_vertices), 3 if max_vertices == MAX_VERTICES else 1)
    words = np.concatenate([np.asarray(find(part)) for part in parts])
    words.flags.writeable = False
    return words


@functools.cache
def _enumerated(max_vertices: int) -> np.ndarray:
    parts = []
    for vertices in range(2, max_vertices + 1):
        bits, labels = _graphs(vertices), _labels(vertices)
        graph, label = np.nonzero(_comes_first(bits, labels, vertices))
        parts.append(_architectures(bits[graph], labels[label], vertices, np.int8))
    archs = np.concatenate(parts)
    archs.flags.writeable = False
    return archs


def _comes_first(bits: np.ndarray, labels: np.ndarray, vertices: int) -> np.ndarray:
    """Returns which graphs with which operations, bool `[G, L]`, come before all others that are isomorphic to them.

    Every isomorphism renumbers the interior vertices so that edges still go from earlier to later ones. A graph that
    comes first among its renumberings stands for them; those that leave it as it is exchange operations.
    """
    pairs = _pairs(vertices)
    numbers = bits @ (1 << np.arange(len(pairs)))
    radix = len(OPERATIONS) ** np.arange(vertices - 2)[::-1]
    first = np.ones((len(bits), len(labels)), bool)
    for order in itertools.permutations(range(1, vertices - 1)):
        renumbered = (0, *order, vertices - 1)
        targets = [(renumbered[x], renumbered[y]) for x, y in pairs]
        weights = [1 << pairs.index(pair) if pair in pairs else 1 << len(pairs) for pair in targets]
        others = bits @ np.array(weights)  # that of no graph where an edge would go back
        first[others < numbers] = False
        exchanged = labels[:, np.argsort(order)] @ radix
        first[others == numbers] &= exchanged >= np.arange(len(labels))
    return first


def labelled_graphs(vertices: int) -> np.ndarray:
    """Returns every cell with that many vertices and at most 9 edges, none of them unused, int32 `[G, 26]`.

    Isomorphic ones are all there.
    """
    bits, labels = _graphs(vertices), _labels(vertices)
    return _architectures(np.repeat(bits, len(labels), axis=0), np.tile(labels, (len(bits), 1)), vertices, np.int32)


def _pairs(vertices: int) -> list[tuple[int, int]]:
    """Returns the possible edges, column by column of the adjacency matrix."""
    return [(x, y) for y in range(vertices) for x in range(y)]


def _labels(vertices: int) -> np.ndarray:
    """Returns what the operations of the interior vertices can be, int32 `[3^(V-2), V-2]`, in lexicographic order."""
    return np.array(list(itertools.product(range(len(OPERATIONS)), repeat=vertices - 2)), np.int32)


def _graphs(vertices: int) -> np.ndarray:
    """Returns the edges of every ordered graph of at most 9 of them and no unused vertex, bool `[G, V (V-1) / 2]`.

    A vertex of an ordered graph lies on a path from the first to the last one if and only if every vertex has a
    predecessor (but for the first) and a successor (but for the last).
    """
    pairs = _pairs(vertices)
    numbers = np.arange(2 ** len(pairs), dtype="<u4")  # bit i says whether there is edge i
    numbers = numbers[np.bitwise_count(numbers) <= MAX_EDGES]
    for side, needed in ((0, range(vertices - 1)), (1, range(1, vertices))):
        for v in needed:
            at_v = sum(1 << i for i, pair in enumerate(pairs) if pair[side] == v)
            numbers = numbers[numbers & at_v != 0]
    bits = np.unpackbits(numbers[:, None].view(np.uint8), axis=1, bitorder="little")[:, : len(pairs)]
    return bits.astype(bool)


def _architectures(bits: np.ndarray, labels: np.ndarray, vertices: int, dtype: type[np.generic]) -> np.ndarray:
    """Returns cells `[N, 26]` of edges `[N, V (V-1) / 2]` and operations `[N, V-2]`."""
    # The output of a smaller cell stands at the last of seven vertices.
    place = [*range(vertices - 1), MAX_VERTICES - 1]
    column = {edge: i for i, edge in enumerate(itertools.combinations(range(MAX_VERTICES), 2))}
    archs = np.zeros((len(bits), len(NUM_CHOICES)), dtype)
    archs[:, [column[place[x], place[y]] for x, y in _pairs(vertices)]] = bits
    archs[:, len(column) : len(column) + vertices - 2] = labels
    return archs
