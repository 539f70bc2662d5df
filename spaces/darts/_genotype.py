"""Pairs of cells in the form that the field prints, `Genotype(normal=[('sep_conv_3x3', 1), ...], ...)`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jnas.io._fields import describe_fields
from jnas.io._text import bare, short
from jnas.spaces._genotype_text import call_fields, value_of

Edge = tuple[str, int]
"""An operation and the state that it reads: 0 and 1 are the outputs of the two cells before, then come the nodes."""

EXAMPLE = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ...], normal_concat=[2, 3, 4, 5], reduce=[...], "
    "reduce_concat=[2, 3, 4, 5])"
)

CELLS = ("normal", "reduce")

_MOST_NODES = 64


@describe_fields
class Genotype(NamedTuple):
    """A normal cell and a reduction cell of any number of nodes, each the sum of two operations.

    The edges `2 i` and `2 i + 1` of a cell lead into its node `i`, which is state `2 + i`.

    Attributes:
      normal: The edges of the normal cell: each an operation and the state that it reads.
      normal_concat: The states that are concatenated to the cell's output.
      reduce: The edges of the reduction cell.
      reduce_concat: The same states of the reduction cell.
    """

    normal: tuple[Edge, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Edge, ...]
    reduce_concat: tuple[int, ...]


def parse_genotype(text: str) -> Genotype:
    """Returns the genotype that a text describes, in the form in which the field prints it.

    Lists, tuples and `range` are read, blanks and line ends anywhere, pairs of edges by node, and a name
    before it (`DARTS_V2 = Genotype(...)`). Which operations there are is for others to say.

    Raises:
      TypeError: What was given is not a string.
      ValueError: The text is malformed; the message names the edge that is wrong.

    Example:
      >>> parse_genotype("Genotype([('skip', 0), ('skip', 1)], range(2, 3), [('none', 0), ('none', 1)], [2])")[:2]
      ((('skip', 0), ('skip', 1)), (2,))
    """
    if not isinstance(text, str):
        raise TypeError(f"an architecture of darts is read from a string, not from {type(text).__name__}")
    try:
        fields = call_fields(bare(text), Genotype._fields, EXAMPLE)
        normal, reduce = (_cell(cell, value_of(fields[cell]), value_of(fields[f"{cell}_concat"])) for cell in CELLS)
        return Genotype(*normal, *reduce)
    except ValueError as error:
        raise ValueError(f"{short(repr(text.strip()), 200)}: {error}") from None


def format_genotype(genotype: Genotype) -> str:
    """Returns a genotype as one line, which `parse_genotype` reads.

    Example:
      >>> text = "Genotype(normal=[('none', 0), ('none', 1)], normal_concat=[2], reduce=[('none', 0), ('none', 1)], "
      >>> format_genotype(parse_genotype(text + "reduce_concat=[2])"))[:43]
      "Genotype(normal=[('none', 0), ('none', 1)],"
    """
    fields = (f"{name}={[*value]!r}" for name, value in genotype._asdict().items())
    return f"Genotype({', '.join(fields)})"


def _cell(name: str, edges: Any, concat: Any) -> tuple[tuple[Edge, ...], tuple[int, ...]]:
    """Returns the edges of a cell and the states that it concatenates, or says what is wrong with them."""
    if isinstance(edges, tuple) and edges and all(_is_node(node) for node in edges):
        edges = sum(edges, ())
    if not isinstance(edges, tuple) or not edges or len(edges) % 2 or len(edges) > 2 * _MOST_NODES:
        shown = f"{len(edges)} edges" if isinstance(edges, tuple) else "no list of edges"
        raise ValueError(f"{name} has {shown}, expected two for each node, such as ('sep_conv_3x3', 1)")
    for i, edge in enumerate(edges):
        where = edge_name(name, i)
        if not isinstance(edge, tuple) or len(edge) != 2 or not isinstance(edge[0], str) or type(edge[1]) is not int:
            raise ValueError(f"{where} is {short(repr(edge))}, expected (operation, state), as ('sep_conv_3x3', 1)")
        if not 0 <= edge[1] < 2 + i // 2:
            raise ValueError(f"{where} reads state {edge[1]}, expected an earlier one, 0 to {1 + i // 2}")
    states = 2 + len(edges) // 2
    if not isinstance(concat, tuple) or not concat or not all(type(c) is int and 0 <= c < states for c in concat):
        shown = short(repr([*concat] if isinstance(concat, tuple) else concat))
        raise ValueError(
            f"{name}_concat is {shown}, expected a list of states from 0 to {states - 1}, since {name} has "
            f"{len(edges)} edges, two for each node"
        )
    if len(set(concat)) != len(concat):
        raise ValueError(f"{name}_concat is {list(concat)}, expected each state once")
    return edges, concat


def _is_node(value: Any) -> bool:
    """Returns whether a value is the two edges of a node, in the form that lists the edges by node."""
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(edge, tuple) for edge in value)


def edge_name(cell: str, edge: int) -> str:
    """Returns what messages call an edge of a cell, such as `edge 3 of normal (into node 3)`."""
    return f"edge {edge} of {cell} (into node {2 + edge // 2})"


def _published(**texts: tuple[str, str]) -> Mapping[str, Genotype]:
    """Returns genotypes of the DARTS space by name, from their edges `operation~state` with the names shortened."""
    short_names = {
        "max": "max_pool_3x3", "avg": "avg_pool_3x3", "skip": "skip_connect", "sep3": "sep_conv_3x3",
        "sep5": "sep_conv_5x5", "sep7": "sep_conv_7x7", "dil3": "dil_conv_3x3", "dil5": "dil_conv_5x5",
        "conv71": "conv_7x1_1x7", "conv31": "conv_3x1_1x3", "none": "none",
    }  # fmt: skip

    def cell(text: str) -> tuple[tuple[Edge, ...], tuple[int, ...]]:
        edges, _, concat = text.partition("/")
        pairs = (edge.split("~") for edge in edges.split())
        read = tuple((short_names[operation], int(state)) for operation, state in pairs)
        return read, tuple(map(int, concat.split())) or tuple(range(2, 2 + len(read) // 2))

    return MappingProxyType({name: Genotype(*cell(normal), *cell(reduce)) for name, (normal, reduce) in texts.items()})


PUBLISHED = _published(
    # "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019: first and second order.
    DARTS_V1=(
        "sep3~1 sep3~0 skip~0 sep3~1 skip~0 sep3~1 sep3~0 skip~2",
        "max~0 max~1 skip~2 max~0 max~0 skip~2 skip~2 avg~0",
    ),
    DARTS_V2=(
        "sep3~0 sep3~1 sep3~0 sep3~1 sep3~1 skip~0 skip~0 dil3~2",
        "max~0 max~1 skip~2 max~1 max~0 skip~2 skip~2 max~1",
    ),
    # "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", Xu et al., 2020: the search on
    # CIFAR-10, and that on ImageNet.
    PC_DARTS=(
        "sep3~1 skip~0 sep3~0 dil3~1 sep5~0 sep3~1 avg~0 dil3~1",
        "sep5~1 max~0 sep5~1 sep5~2 sep3~0 sep3~3 sep3~1 sep3~2",
    ),
    PC_DARTS_ImageNet=(
        "skip~1 sep3~0 sep3~0 skip~1 sep3~1 sep3~3 sep3~1 dil5~4",
        "sep3~0 skip~1 dil5~2 max~1 sep3~2 sep3~1 sep5~0 sep3~3",
    ),
    # "Progressive Differentiable Architecture Search", Chen et al., 2019.
    P_DARTS=(
        "skip~0 dil3~1 skip~0 sep3~1 sep3~1 sep3~3 sep3~0 dil5~4",
        "avg~0 sep5~1 sep3~0 dil5~2 max~0 dil3~1 dil3~1 dil5~3",
    ),
    # "Searching for A Robust Neural Architecture in Four GPU Hours", Dong and Yang, 2019.
    GDAS_V1=(
        "skip~0 skip~1 skip~0 sep5~2 sep3~3 skip~0 sep5~4 sep3~3",
        "sep5~0 sep3~1 sep5~2 sep5~1 dil5~2 sep3~1 sep5~0 sep5~1",
    ),
    # "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021; one
    # of its edges is `none`.
    BANANAS=(
        "sep3~1 skip~0 sep5~2 sep5~0 skip~0 sep5~2 sep3~0 skip~2",
        "sep3~1 max~0 max~0 none~1 dil3~2 sep5~3 sep5~4 sep3~1",
    ),
    # "One-Shot Neural Architecture Search via Self-Evaluated Template Network", Dong and Yang, 2019; it has an
    # operation of its own.
    SETN=(
        "skip~0 sep5~1 sep5~0 sep3~1 sep5~1 sep5~3 max~1 conv31~4",
        "sep3~0 sep5~1 avg~0 sep5~1 avg~0 sep5~1 avg~0 skip~1",
    ),
    # In the words of DARTS's code, with what no node reads concatenated. "Learning Transferable Architectures for
    # Scalable Image Recognition", Zoph et al., 2018.
    NASNet_A=(
        "sep5~1 sep3~0 sep5~0 sep3~0 avg~1 skip~0 avg~0 avg~0 sep3~1 skip~1 / 2 3 4 5 6",
        "sep5~1 sep7~0 max~1 sep7~0 avg~1 sep5~0 skip~3 avg~2 sep3~2 max~1 / 4 5 6",
    ),
    # "Regularized Evolution for Image Classifier Architecture Search", Real et al., 2019.
    AmoebaNet_A=(
        "avg~0 max~1 sep3~0 sep5~2 sep3~0 avg~3 sep3~1 skip~1 skip~0 avg~1 / 4 5 6",
        "avg~0 sep3~1 max~0 sep7~2 sep7~0 avg~1 max~0 max~1 conv71~0 sep3~5 / 3 4 6",
    ),
)
"""Published genotypes by name; those of four nodes and the operations of DARTS are architectures of its space."""
