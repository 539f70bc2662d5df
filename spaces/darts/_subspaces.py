"""Which operations each edge of a space may have: all, some, or those of RobustDARTS's four sub-spaces."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.io._text import not_one_of
from jnas.spaces.darts._cells import ALL_OPERATIONS, EDGES, NODES, OPERATIONS, SHAPE
from jnas.spaces.darts._genotype import CELLS

_SKIP, _SEPARABLE = "skip_connect", "sep_conv_3x3"
_S1 = (  # a letter for each edge
    {"a": (_SKIP, "dil_conv_3x3"), "b": (_SKIP, "dil_conv_5x5"), "c": (_SKIP, _SEPARABLE),
     "d": ("max_pool_3x3", _SKIP), "e": ("dil_conv_3x3", "dil_conv_5x5"), "f": ("max_pool_3x3", "avg_pool_3x3"),
     "g": ("max_pool_3x3", "dil_conv_3x3"), "h": ("max_pool_3x3", _SEPARABLE)},
    ("abbcadccacdaee", "fgffbfhabffbbb"),
)  # fmt: skip

SUBSPACES: dict[str, tuple[tuple[tuple[str, ...], ...], ...]] = {
    "s1": tuple(tuple(_S1[0][letter] for letter in cell) for cell in _S1[1]),
    "s2": (((_SKIP, _SEPARABLE),) * len(EDGES),) * len(CELLS),
    "s3": ((("none", _SKIP, _SEPARABLE),) * len(EDGES),) * len(CELLS),
    "s4": (((_SEPARABLE, "noise"),) * len(EDGES),) * len(CELLS),
}
"""For each cell and edge its operations, as RobustDARTS's code lists them.

"Understanding and Robustifying Differentiable Architecture Search", Zela et al., 2020, Section 3.1: S1 has the two
operations of each edge that an earlier search found best, S2 to S4 the same on all edges.
"""


class EdgeChoices(NamedTuple):
    """Which operations there are, and where: constants, and pure functions of the fields of an architecture."""

    num_operations: int  # as many as an operation's decision has choices, whichever of them an edge allows
    allowed: np.ndarray  # bool [2, 4, 5, K]: by cell, node and state read
    listed: np.ndarray  # int32 [2, 4, 5, K]: the operations of each edge in ascending order, repeated to fill the row
    alike: bool  # all edges allow all operations

    def how_many(self, state: Array) -> Array:
        """Returns how many operations the edges from states int32 `[2, 4, 2]` have, int32 `[2, 4, 2]`."""
        if self.alike:
            return jnp.full(SHAPE[:3], self.num_operations, jnp.int32)
        counts: Array = jnp.asarray(self.allowed.sum(-1, dtype=np.int32))[*_places(), state]
        return counts

    def operation(self, state: Array, rank: Array) -> Array:
        """Returns the operations of these ranks among those of their edges, int32 `[2, 4, 2]`."""
        return rank if self.alike else jnp.asarray(self.listed)[*_places(), state, rank]

    def rank(self, state: Array, operation: Array) -> Array:
        """Returns where operations stand among those of their edges, int32 `[2, 4, 2]`."""
        if self.alike:
            return operation
        before = np.cumsum(self.allowed, -1, dtype=np.int32) - self.allowed
        return jnp.asarray(before.astype(np.int32))[*_places(), state, operation]

    def allows(self, state: Array, operation: Array) -> Array:
        """Returns bool `[2, 4, 2]`; states and operations out of range are read as the nearest."""
        if self.alike:
            return jnp.ones(SHAPE[:3], bool)
        state, operation = jnp.clip(state, 0, NODES), jnp.clip(operation, 0, self.num_operations - 1)
        return jnp.asarray(self.allowed)[*_places(), state, operation]


def choices_by_edge(none: bool, operations: Any) -> EdgeChoices:
    """Returns what the edges of a space may have, from the arguments of `jnas.spaces.darts`."""
    by_edge = _by_edge(none, operations)
    named = {name for cell in by_edge for edge in cell for name in edge}
    num_operations = 1 + max(len(OPERATIONS) - 1, *(ALL_OPERATIONS.index(name) for name in named))
    allowed = np.zeros((*SHAPE[:2], NODES + 1, num_operations), bool)
    for c, cell in enumerate(by_edge):
        for (state, node), names in zip(EDGES, cell, strict=True):
            allowed[c, node, state, [ALL_OPERATIONS.index(name) for name in names]] = True
    order = np.argsort(~allowed, axis=-1, kind="stable")
    count = np.maximum(allowed.sum(-1, keepdims=True), 1)
    listed = np.take_along_axis(order, np.arange(num_operations) % count, axis=-1).astype(np.int32)
    exists = allowed.any(-1)
    return EdgeChoices(num_operations, allowed, listed, bool(allowed[exists].all()))


def hashable_operations(operations: Any) -> Any:
    """Returns the argument `operations` with tuples for lists, so that equal ones are one key."""
    return tuple(map(hashable_operations, operations)) if isinstance(operations, list | tuple) else operations


def _by_edge(none: bool, operations: Any) -> Sequence[Sequence[Sequence[str]]]:
    if operations is None:
        return ((ALL_OPERATIONS[: len(OPERATIONS) + none],) * len(EDGES),) * len(CELLS)
    if none:
        raise ValueError("none is True beside operations, expected 'none' among the operations themselves")
    if isinstance(operations, str):
        if operations not in SUBSPACES:
            raise ValueError(not_one_of("operations", operations, tuple(SUBSPACES)))
        return SUBSPACES[operations]
    if _are_names(operations):
        operations = ((operations,) * len(EDGES),) * len(CELLS)
    whole = [len(EDGES)] * len(CELLS)
    if not isinstance(operations, tuple) or [len(c) for c in operations if isinstance(c, tuple)] != whole:
        raise ValueError(
            f"operations is {operations!r}, expected {', '.join(map(repr, SUBSPACES))}, a list of names, or for the "
            f"normal and the reduction cell a list of names for each of the {len(EDGES)} edges"
        )
    for c, cell in enumerate(operations):
        for i, names in enumerate(cell):
            if not _are_names(names) or len(set(names)) != len(names) or len(names) < 2:
                raise ValueError(f"operations[{c}][{i}] is {names!r}, expected at least two different names")
            for name in names:
                if name not in ALL_OPERATIONS:
                    raise ValueError(not_one_of(f"an operation in operations[{c}][{i}]", name, ALL_OPERATIONS))
    return operations


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(name, str) for name in value)


def _places() -> tuple[np.ndarray, np.ndarray]:
    """Returns the cell and the node of each input, int32 `[2, 4, 2]` when broadcast."""
    return np.arange(SHAPE[0])[:, None, None], np.arange(SHAPE[1])[None, :, None]
