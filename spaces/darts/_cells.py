"""The two cells of the DARTS space as an array, and as the genotype that the field prints."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import did_you_mean, short
from jnas.spaces._categorical import checked_arch
from jnas.spaces.darts._genotype import CELLS, Genotype, edge_name

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The operations in DARTS's own order, but for `none`, which searches put first and genotypes never have."""

ALL_OPERATIONS = (*OPERATIONS, "none", "noise")
"""With those that only some spaces have: nothing at all, and noise that does not depend on the input (RobustDARTS)."""

NODES = 4
CONCAT = tuple(range(2, 2 + NODES))

SHAPE = (len(CELLS), NODES, 2, 2)
"""An architecture's axes: cell (normal, reduce), node, which of its two inputs, (earlier state, operation)."""

EDGES = tuple((state, node) for node in range(NODES) for state in range(2 + node))
"""The 14 edges that a search has open, as (state, node), in the order of DARTS's parameters."""


def num_choices(operations: int = len(OPERATIONS)) -> tuple[int, ...]:
    """Returns the numbers of choices of the 32 decisions, of which every other one chooses among the operations."""
    return tuple(count for _ in CELLS for node in range(NODES) for count in 2 * (2 + node, operations))


def genotype_of(arch: Any) -> Genotype:
    """Returns the genotype of an architecture.

    Args:
      arch: Integers `[32]`, as `jnas.spaces.darts` describes them.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It does not have 32 of them, each a choice of its decision.

    Example:
      >>> from jnas.spaces.darts._genotype import PUBLISHED
      >>> genotype_of(arch_of(PUBLISHED["DARTS_V2"])) == PUBLISHED["DARTS_V2"]
      True
    """
    cells = checked_arch(arch, num_choices(len(ALL_OPERATIONS))).reshape(len(CELLS), 2 * NODES, 2)
    normal, reduce = (tuple((ALL_OPERATIONS[op], int(state)) for state, op in cell) for cell in cells)
    return Genotype(normal, CONCAT, reduce, CONCAT)


def arch_of(genotype: Genotype, operations: Sequence[str] = OPERATIONS) -> np.ndarray:
    """Returns the architecture int32 `[32]` of a genotype of four nodes, which both cells concatenate.

    The order of a node's two inputs is kept.

    Args:
      genotype: From `parse_genotype`, or one of `PUBLISHED`.
      operations: Those that the space has, in the order of `ALL_OPERATIONS`.

    Raises:
      ValueError: It has another number of nodes, another concatenation, or an operation that the space does not have;
        the message names the edge.

    Example:
      >>> from jnas.spaces.darts._genotype import PUBLISHED
      >>> arch_of(PUBLISHED["DARTS_V2"]).reshape(2, 4, 2, 2)[0, 3].tolist()  # node 5 of the normal cell
      [[0, 2], [2, 5]]
    """
    normal = _cell_array("normal", genotype.normal, genotype.normal_concat, operations)
    reduce = _cell_array("reduce", genotype.reduce, genotype.reduce_concat, operations)
    return np.asarray([normal, reduce], np.int32).reshape(-1)


def _cell_array(
    name: str, edges: tuple[tuple[str, int], ...], concat: tuple[int, ...], operations: Sequence[str]
) -> list[tuple[int, int]]:
    if len(edges) != 2 * NODES:
        raise ValueError(f"{name} has {len(edges)} edges, expected {2 * NODES}: two into each of {NODES} nodes")
    for i, (operation, _) in enumerate(edges):
        if operation not in operations:
            offer = did_you_mean(operation, operations) or ","
            raise ValueError(
                f"{edge_name(name, i)} has the operation {short(repr(operation))}, which the space has not{offer} "
                f"expected one of {', '.join(operations)}"
            )
    if tuple(sorted(concat)) != CONCAT:
        raise ValueError(f"{name}_concat is {list(concat)}, expected {list(CONCAT)}: a cell concatenates all its nodes")
    return [(state, ALL_OPERATIONS.index(operation)) for operation, state in edges]


def check_inputs(arch: Any) -> None:
    """Raises ValueError for an architecture `[32]` with a node that reads one state twice."""
    cells = np.asarray(arch).reshape(SHAPE)
    for cell, node in zip(*np.nonzero(cells[:, :, 0, 0] == cells[:, :, 1, 0]), strict=True):
        first = 2 * int(node)
        raise ValueError(
            f"{edge_name(CELLS[cell], first + 1)} reads state {cells[cell, node, 1, 0]} as edge {first} does, expected "
            "the two inputs of a node to differ"
        )


def check_operations(arch: np.ndarray, allowed: np.ndarray) -> None:
    """Raises ValueError for an architecture `[32]` with an operation that its edge does not have.

    Args:
      arch: Of choices in range.
      allowed: Bool `[2, 4, 5, K]`: by cell, node and state read, which operations there are.
    """
    for c, cell in enumerate(arch.reshape(SHAPE[0], -1, 2)):
        for i, (state, operation) in enumerate(cell):
            here = allowed[c, i // 2, state]
            if not here[operation]:
                known = ", ".join(ALL_OPERATIONS[o] for o in np.flatnonzero(here))
                raise ValueError(
                    f"{edge_name(CELLS[c], i)} has the operation {ALL_OPERATIONS[operation]!r} from state {state}, "
                    f"expected one of {known}"
                )
