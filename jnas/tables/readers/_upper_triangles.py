"""Cells of NAS-Bench-101 packed in integers: a number of vertices, the bits of a triangle, and operations."""

from typing import Any

import numpy as np

from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, OPERATIONS


def unpack_cells(*, vertices: np.ndarray, bits: np.ndarray, operations: np.ndarray, where: str) -> np.ndarray:
    """Returns the architectures of packed cells, int8 `[N, 26]`.

    Args:
      vertices: Number of vertices of each cell, integers `[N]` from 2 to 7.
      bits: The triangle above the diagonal of its adjacency matrix, integers `[N]`: column by column, (0, 1), (0, 2),
        (1, 2), (0, 3), ..., the lowest bit first.
      operations: Of its vertices between input and output, integers `[N, 5]`: 0 conv3x3-bn-relu, 1 conv1x1-bn-relu,
        2 maxpool3x3, and -1 where there is no vertex.
      where: What error messages call the cells.

    Raises:
      ValueError: Shapes or numbers are not of that form.
    """
    count = len(vertices) if vertices.ndim == 1 else -1
    shapes: dict[str, tuple[np.ndarray, tuple[Any, ...]]] = {
        "vertices": (vertices, (count,)),
        "bits": (bits, (count,)),
        "operations": (operations, (count, MAX_VERTICES - 2)),
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape or array.dtype.kind not in "iu":
            raise ValueError(
                f"{where}: {name} are {array.dtype}{list(array.shape)}, expected integers, [N] vertices and bits and "
                f"[N, {MAX_VERTICES - 2}] operations"
            )
    archs = np.zeros((count, NUM_EDGES + MAX_VERTICES - 2), np.int8)
    sizes, words, chosen = (array.astype(np.int64) for array in (vertices, bits, operations))
    wrong = (sizes < 2) | (sizes > MAX_VERTICES)
    there = np.arange(MAX_VERTICES - 2) < sizes[:, None] - 2
    wrong |= (np.where(there, (chosen < 0) | (chosen >= len(OPERATIONS)), chosen != -1)).any(axis=1)
    wrong |= (words < 0) | (words >> np.clip(sizes * (sizes - 1) // 2, 0, 62) != 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{where}: cell {row} has {sizes[row]} vertices, the bits {words[row]:b} and the operations "
            f"{chosen[row].tolist()}, expected 2 to {MAX_VERTICES} vertices, a bit for each pair of them, an operation "
            f"from 0 to {len(OPERATIONS) - 1} for each between the first and the last, and then -1"
        )
    column = np.full((MAX_VERTICES, MAX_VERTICES), -1)
    column[np.triu_indices(MAX_VERTICES, 1)] = np.arange(NUM_EDGES)
    for size in range(2, MAX_VERTICES + 1):
        rows = np.flatnonzero(sizes == size)
        place = [*range(size - 1), MAX_VERTICES - 1]  # the output is the last of seven vertices
        pairs = [(place[source], place[target]) for target in range(size) for source in range(target)]
        for bit, pair in enumerate(pairs):
            archs[rows, column[pair]] = words[rows] >> bit & 1
    archs[:, NUM_EDGES:] = np.where(there, chosen, 0)
    return archs
