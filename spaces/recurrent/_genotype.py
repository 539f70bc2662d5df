"""Recurrent cells in the field's form, `Genotype(recurrent=[('sigmoid', 0), ...], concat=range(1, 9))`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jnas.io._fields import describe_fields
from jnas.io._text import bare, did_you_mean, short
from jnas.spaces._categorical import checked_arch
from jnas.spaces._genotype_text import call_fields, value_of
from jnas.spaces.recurrent._cells import MOST_NODES, OPERATIONS, Output, choices_of_decisions, in_output, recurrent_cell

Node = tuple[str, int]
"""An activation and the state that it reads: 0 the initial state, `k` node `k`."""

EXAMPLE = "Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ...], concat=range(1, 9))"


@describe_fields
class RecurrentGenotype(NamedTuple):
    """A recurrent cell of any number of nodes, each of which reads one earlier state.

    Attributes:
      recurrent: Node k is entry k - 1.
      concat: The nodes, from 1, whose mean is the cell's output.
    """

    recurrent: tuple[Node, ...]
    concat: tuple[int, ...]


def parse_recurrent(text: str) -> RecurrentGenotype:
    """Returns the genotype that a text describes, in the form in which the field prints it.

    Lists, tuples and `range` are read, blanks and line ends anywhere, and a name before it (`DARTS_V2 =
    Genotype(...)`). Which operations there are is for others to say.

    Raises:
      TypeError: What was given is not a string.
      ValueError: The text is malformed; the message names the node that is wrong.

    Example:
      >>> parse_recurrent("Genotype([('tanh', 0), ('relu', 1)], range(1, 3))")
      RecurrentGenotype(recurrent=(('tanh', 0), ('relu', 1)), concat=(1, 2))
    """
    if not isinstance(text, str):
        raise TypeError(f"an architecture of recurrent is read from a string, not from {type(text).__name__}")
    try:
        fields = call_fields(bare(text), RecurrentGenotype._fields, EXAMPLE)
        return _checked(*(value_of(fields[name]) for name in RecurrentGenotype._fields))
    except ValueError as error:
        raise ValueError(f"{short(repr(text.strip()), 200)}: {error}") from None


def format_recurrent(genotype: RecurrentGenotype) -> str:
    """Returns a genotype as one line, which `parse_recurrent` reads.

    Example:
      >>> format_recurrent(RecurrentGenotype((("tanh", 0), ("relu", 1)), (1, 2)))
      "Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=range(1, 3))"
    """
    end = len(genotype.recurrent) + 1
    whole = genotype.concat == tuple(range(1, end))
    concat = f"range(1, {end})" if whole else repr([*genotype.concat])
    return f"Genotype(recurrent={[*genotype.recurrent]!r}, concat={concat})"


def recurrent_genotype(arch: Any, nodes: int, output: Output = "all") -> RecurrentGenotype:
    """Returns the genotype of an architecture.

    Args:
      arch: Integers `[2 n]`, as `jnas.spaces.recurrent` describes them.
      nodes: `n`.
      output: Whose mean cells of the space put out.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It does not have `2 n` of them, each a choice of its decision.
    """
    cell = recurrent_cell(checked_arch(arch, choices_of_decisions(nodes)))
    read = tuple((OPERATIONS[o], int(i)) for i, o in zip(*cell, strict=True))
    return RecurrentGenotype(read, tuple(1 + int(k) for k in np.flatnonzero(in_output(cell, output))))


def recurrent_arch(genotype: RecurrentGenotype, nodes: int, output: Output = "all") -> np.ndarray:
    """Returns the architecture int32 `[2 n]` of a genotype; the inverse of `recurrent_genotype`.

    Args:
      genotype: From `parse_recurrent`, or one of `PUBLISHED_RECURRENT`.
      nodes: `n`, how many nodes the space has.
      output: Whose mean cells of the space put out.

    Raises:
      ValueError: It has another number of nodes, another output, or an operation that the space does not have; the
        message names the node.
    """
    read = genotype.recurrent
    if len(read) != nodes:
        raise ValueError(
            f"recurrent has {len(read)} nodes, expected {nodes}: cells of {len(read)} are those of "
            f"recurrent(num_nodes={len(read)})"
        )
    for i, (operation, _) in enumerate(read):
        if operation not in OPERATIONS:
            offer = did_you_mean(operation, OPERATIONS) or ","
            raise ValueError(
                f"{node_name(i)} has the operation {short(repr(operation))}, which the space has not{offer} expected "
                f"one of {', '.join(OPERATIONS)}"
            )
    arch = np.asarray([(state, OPERATIONS.index(operation)) for operation, state in read], np.int32).reshape(-1)
    expected = recurrent_genotype(arch, nodes, output).concat
    if tuple(sorted(genotype.concat)) != expected:
        mean = {"all": "all nodes", "leaves": "the nodes that no other reads"}.get(str(output), "these nodes")
        raise ValueError(
            f"concat is {[*genotype.concat]}, expected {[*expected]}: a cell of the space puts out the mean of {mean}"
        )
    return arch


def used_nodes(genotype: RecurrentGenotype) -> frozenset[int]:
    """Returns the nodes, from 1, that the output depends on.

    Example:
      >>> sorted(used_nodes(RecurrentGenotype((("tanh", 0), ("relu", 1), ("relu", 0)), (2,))))
      [1, 2]
    """
    used = set(genotype.concat)
    for node in range(len(genotype.recurrent), 0, -1):  # those that read a node come after it
        if node in used:
            used.add(genotype.recurrent[node - 1][1])
    return frozenset(used - {0})


def node_name(entry: int) -> str:
    """Returns what messages call a node, such as `node 3 (entry 2 of recurrent)`."""
    return f"node {entry + 1} (entry {entry} of recurrent)"


def _checked(recurrent: Any, concat: Any) -> RecurrentGenotype:
    """Returns a genotype, or says what is wrong with it."""
    if not isinstance(recurrent, tuple) or not 1 <= len(recurrent) <= MOST_NODES:
        shown = f"{len(recurrent)} nodes" if isinstance(recurrent, tuple) else "no list of nodes"
        raise ValueError(f"recurrent has {shown}, expected 1 to {MOST_NODES}, such as ('sigmoid', 0)")
    for i, node in enumerate(recurrent):
        if not isinstance(node, tuple) or len(node) != 2 or not isinstance(node[0], str) or type(node[1]) is not int:
            raise ValueError(f"{node_name(i)} is {short(repr(node))}, expected (operation, state), as ('sigmoid', 0)")
        if not 0 <= node[1] <= i:
            earlier = f"an earlier one, 0 to {i}" if i else "0, the initial one"
            raise ValueError(f"{node_name(i)} reads state {node[1]}, expected {earlier}")
    nodes = len(recurrent)
    if not isinstance(concat, tuple) or not concat or not all(type(c) is int and 1 <= c <= nodes for c in concat):
        shown = short(repr([*concat] if isinstance(concat, tuple) else concat))
        raise ValueError(f"concat is {shown}, expected a list of nodes from 1 to {nodes}, as many as recurrent has")
    if len(set(concat)) != len(concat):
        raise ValueError(f"concat is {list(concat)}, expected each node once")
    return RecurrentGenotype(recurrent, concat)


def _published(**texts: tuple[str, tuple[int, ...]]) -> Mapping[str, RecurrentGenotype]:
    """Returns genotypes by name, from their nodes `operation~state` and the nodes of the mean (empty: all)."""

    def genotype(text: str, concat: tuple[int, ...]) -> RecurrentGenotype:
        pairs = [node.split("~") for node in text.split()]
        return RecurrentGenotype(
            tuple((operation, int(state)) for operation, state in pairs), concat or tuple(range(1, len(pairs) + 1))
        )

    return MappingProxyType({name: genotype(*text) for name, text in texts.items()})


PUBLISHED_RECURRENT = _published(
    # "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019: first and second order.
    DARTS_V1=("relu~0 relu~1 tanh~2 relu~3 relu~4 identity~1 relu~5 relu~1", ()),
    DARTS_V2=("sigmoid~0 relu~1 relu~1 identity~1 tanh~2 sigmoid~5 tanh~3 relu~5", ()),
    # "Efficient Neural Architecture Search via Parameter Sharing", Pham et al., 2018, as DARTS's code has it: state 0
    # is the first of the paper's twelve nodes. (The code of eval-nas has another text of this name, of twelve nodes.)
    ENAS=(
        "tanh~0 tanh~1 relu~1 tanh~3 tanh~3 relu~3 relu~4 relu~7 relu~8 relu~8 relu~8",
        (2, 5, 6, 9, 10, 11),
    ),
)
"""Published recurrent cells by name: DARTS's of 8 nodes and their mean, ENAS's of 11 nodes and that of its leaves."""
