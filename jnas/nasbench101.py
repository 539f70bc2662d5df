"""The published interface of NAS-Bench-101 as functions over a table: one cell at a time, accuracies as fractions.

These give plain Python numbers. Inside `jit`, for many cells, and for searches, use the look-ups of `Table`, which give
percent and mask what is missing.

Where a cell is asked for, pass a pair `(matrix, operations)` as published (a strictly upper triangular adjacency and
labels such as `['input', 'conv3x3-bn-relu', 'output']`), an encoded architecture `[26]`, or its string.

References:
  "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019.

Example:
  >>> cell = ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3-bn-relu", "output"])
  >>> is_valid(cell), hash_spec(cell)
  (True, 'b49ac8c578b4561d79ac7087988f1c61')
"""

from jnas.tables._nasbench101 import (
    Budget,
    ComputedMetrics,
    FixedMetrics,
    Metrics,
    OutOfDomainError,
    get_metrics_from_hash,
    get_metrics_from_spec,
    hash_iterator,
    hash_spec,
    is_valid,
    query,
)

__all__ = [
    "Budget",
    "ComputedMetrics",
    "FixedMetrics",
    "Metrics",
    "OutOfDomainError",
    "get_metrics_from_hash",
    "get_metrics_from_spec",
    "hash_iterator",
    "hash_spec",
    "is_valid",
    "query",
]
