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
    """Returns every cell of the space once, int8 `[423624, 26]`; takes a few seconds, once in a process.

    The index of the space counts these rows: by number of vertices (1, 6, 84, 2441, 62010, 359082 of 2 to 7), then by
    the bits of the adjacency matrix (column by column, the lowest first), then by operations. Each cell stands for all
    that are isomorphic to it, as the first that this order meets.

    Args:
      max_vertices: Cells of up to so many vertices alone, the first rows: 1, 7, 91, 2532, 64542 or 423624. Of fewer
        than 7 they take a moment.

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
    return _enumerated(max_vertices)[0]


def fingerprints(max_vertices: int = MAX_VERTICES) -> np.ndarray:
    """Returns the fingerprints, uint32 `[423624, 2]`, of `nasbench101_cells`."""
    return _enumerated(max_vertices)[1]


@functools.cache
def _enumerated(max_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    archs = np.concatenate([labelled_graphs(vertices) for vertices in range(2, max_vertices + 1)])
    find = jax.jit(jax.vmap(fingerprint))
    # An eighth of the 1,293,208 graphs at a time: all at once take half a gigabyte more, and no less time.
    parts = 8 if max_vertices == MAX_VERTICES else 1
    words = np.concatenate([np.asarray(find(part)) for part in np.split(archs, parts)])
    _, first = np.unique(words.astype(np.uint64) @ np.array([1 << 32, 1], np.uint64), return_index=True)
    first.sort()
    found = archs[first].astype(np.int8), words[first]
    for array in found:
        array.flags.writeable = False
    return found


def labelled_graphs(vertices: int) -> np.ndarray:
    """Returns every cell with that many vertices and at most 9 edges, none of them unused, int32 `[G, 26]`.

    Isomorphic ones are all there. A vertex of an ordered graph lies on a path from the first to the last one if and
    only if every vertex has a predecessor (but for the first) and a successor (but for the last).
    """
    pairs = [(x, y) for y in range(vertices) for x in range(y)]
    numbers = np.arange(2 ** len(pairs), dtype=np.int32)
    bits = (numbers[:, None] >> np.arange(len(pairs))) & 1 == 1
    bits = bits[bits.sum(axis=1) <= MAX_EDGES]
    ends = [[pair[side] for pair in pairs] for side in (0, 1)]
    for side, needed in ((0, range(vertices - 1)), (1, range(1, vertices))):
        for v in needed:
            bits = bits[bits[:, [end == v for end in ends[side]]].any(axis=1)]
    # The output of a smaller cell stands at the last of seven vertices.
    place = [*range(vertices - 1), MAX_VERTICES - 1]
    column = {edge: i for i, edge in enumerate(itertools.combinations(range(MAX_VERTICES), 2))}
    graphs = np.zeros((len(bits), len(NUM_CHOICES)), np.int32)
    graphs[:, [column[place[x], place[y]] for x, y in pairs]] = bits
    labels = np.array(list(itertools.product(range(len(OPERATIONS)), repeat=vertices - 2)), np.int32)
    archs = np.repeat(graphs, len(labels), axis=0)
    archs[:, len(column) : len(column) + vertices - 2] = np.tile(labels, (len(graphs), 1))
    return archs
