"""The cells of NAS-Bench-201: operations, edges, published order, architecture strings, isomorphism classes."""

import functools
import itertools
import random
import re
from typing import Any, Literal, get_args

import numpy as np

from jnas.io._text import bare, did_you_mean, not_one_of, short
from jnas.spaces._categorical import checked_arch

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The operations in the benchmark's own order."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target of each edge, in the order of the architecture strings; node 0 is the input, 3 the output."""

NUM_CHOICES = (len(OPERATIONS),) * len(EDGES)

NUM_CELLS = len(OPERATIONS) ** len(EDGES)

Isomorphism = Literal["none", "skip", "skip_and_zero", "function"]
"""Which cells count as the same; see `nasbench201_classes`."""

_EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@functools.cache
def published_order() -> np.ndarray:
    """Returns int32 `[15625]`: at each index of the benchmark, the cell's number in lexicographic order.

    The benchmark's authors listed the cells lexicographically and shuffled the list with Python's generator, seeded
    with 88. Python keeps that sequence stable over its versions, so no file is needed.
    """
    order = list(range(NUM_CELLS))
    random.Random(88).shuffle(order)
    return _constant(order)


@functools.cache
def published_index() -> np.ndarray:
    """Returns int32 `[15625]`: at each cell's number in lexicographic order, its index in the benchmark."""
    return _constant(np.argsort(published_order()))


def nasbench201_to_string(arch: Any) -> str:
    """Returns the architecture string of one cell, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It does not have six of them, each from 0 to 4.
    """
    nodes: list[list[str]] = [[], [], []]
    for (source, target), choice in zip(EDGES, checked_arch(arch, NUM_CHOICES), strict=True):
        nodes[target - 1].append(f"{OPERATIONS[choice]}~{source}")
    return "+".join(f"|{'|'.join(edges)}|" for edges in nodes)


def nasbench201_from_string(text: str) -> np.ndarray:
    """Returns the cell, int32 `[6]`, that an architecture string describes.

    Blanks, line ends and quotes around it are passed over, and so is what the published code prints around it,
    `Structure(4 nodes with ...)`.

    Raises:
      TypeError: What was given is not a string.
      ValueError: The string is malformed; the message says where and how.
    """
    if not isinstance(text, str):
        raise TypeError(f"an architecture of nasbench201 is read from a string, not from {type(text).__name__}")
    whole, text = text, "".join(bare(text).split())
    printed = re.fullmatch(r"\w+\(\d+nodeswith(.*)\)", text)
    text = printed[1] if printed else text
    if not text:
        raise ValueError(f"the architecture string is empty, expected one like {_EXAMPLE!r}")
    shown, nodes = short(repr(whole), 200), text.split("+")
    if len(nodes) != 3:
        raise ValueError(f"{shown} has {len(nodes)} nodes separated by '+', expected 3 as in {_EXAMPLE!r}")
    choices = []
    for target, node in enumerate(nodes, start=1):
        if len(node) < 2 or node[0] != "|" or node[-1] != "|":
            raise ValueError(f"{shown}: node {target} is {short(repr(node))}, expected it to begin and end with '|'")
        edges = node[1:-1].split("|")
        if len(edges) != target:
            raise ValueError(
                f"{shown}: node {target} has {len(edges)} incoming edges, expected {target}, "
                "one from each node before it"
            )
        for source, edge in enumerate(edges):
            try:
                choices.append(_parse_edge(edge, source, target))
            except ValueError as error:
                raise ValueError(f"{shown}: {error}") from None
    return np.asarray(choices, np.int32)


def _parse_edge(edge: str, source: int, target: int) -> int:
    """Returns the operation's number in `operation~source`."""
    parts = edge.split("~")
    if len(parts) != 2:
        raise ValueError(f"edge {short(repr(edge))} of node {target} is not of the form 'operation~node'")
    operation, origin = parts
    if operation not in OPERATIONS:
        offer = did_you_mean(operation, OPERATIONS) or ","
        known = ", ".join(OPERATIONS)
        raise ValueError(f"unknown operation {short(repr(operation))} at node {target}{offer} expected one of {known}")
    if origin not in [str(earlier) for earlier in range(target)]:
        raise ValueError(
            f"edge {short(repr(edge))} of node {target} comes from node {short(repr(origin))}, expected an earlier one "
            f"({', '.join(map(str, range(target)))})"
        )
    if origin != str(source):
        raise ValueError(
            f"edge {short(repr(edge))} of node {target} stands where the edge from node {source} belongs: the edges of "
            "a node are listed by the node that they come from, each once"
        )
    return OPERATIONS.index(operation)


@functools.cache
def nasbench201_classes(level: Isomorphism) -> np.ndarray:
    """Returns the class of each cell, int32 `[15625]` by index: the smallest index of a cell that is the same.

    `numpy.unique(nasbench201_classes(level))` therefore lists one representative of each class, for example to train
    every distinct cell once.

    The published classes are defined on strings: a node is written as the sorted terms of its incoming edges, joined
    by `+`; a term is `(node)@operation`; and cells with equal strings of the output node are the same. No hash of
    operations and neighbours gives exactly these classes, because a node that is skipped to leaves its terms joined
    as they were. So the strings are built once, on the host, and everything inside `jit` looks classes up.

    The classes are the published ones, and neither quite the distinct functions nor the distinct networks. They join
    one convolution used twice with two convolutions of the same input, which have weights of their own (so cells of
    230 of the 12,751 classes differ in parameters). And they keep apart what a sum makes equal, see `'function'`.

    Args:
      level: What is regarded as the same.
        `'none'`: nothing; 15,625 classes.
        `'skip'`: a skip connection gives the node's string itself; 12,751 classes.
        `'skip_and_zero'`: moreover a term that carries only zeros is `#`, whichever way it came about, but stays in
        the sum; 6,466 classes, the published number of unique cells. (109 cells part from the class that `'skip'`
        puts them in, since `#` is sorted before everything else.)
        `'function'`: moreover `#` terms are dropped from sums that have others, as a zero adds nothing; 5,390
        classes. Still an upper bound on the number of functions: if sums that are skipped to were taken apart, 4,930
        would remain; and since average pooling is linear, pool(a) + pool(b) = pool(a + b), 4,660.

    Raises:
      ValueError: The level is unknown.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020,
      Appendix A (12,751 and 6,466 unique cells).

    Example:
      >>> [len(np.unique(jnas.spaces.nasbench201_classes(level))) for level in ("none", "skip", "skip_and_zero")]
      [15625, 12751, 6466]
    """
    if level not in get_args(Isomorphism):
        raise ValueError(not_one_of("level", level, get_args(Isomorphism)))
    if level == "none":
        return _constant(range(NUM_CELLS))
    strings = _output_strings(level)
    first: dict[str, int] = {}
    return _constant([first.setdefault(strings[number], index) for index, number in enumerate(published_order())])


def _output_strings(level: Isomorphism) -> list[str]:
    """Returns the string of the output node of each cell, in lexicographic order of the cells."""
    zeros = level != "skip"

    def term(node: str, operation: str) -> str:
        if zeros and (operation == "none" or node == "#"):
            return "#"
        return node if operation == "skip_connect" else f"({node})@{operation}"

    def total(terms: tuple[str, ...]) -> str:
        if level == "function":
            terms = tuple(x for x in terms if x != "#") or ("#",)
        return "+".join(sorted(terms))

    terms_in = [term("0", operation) for operation in OPERATIONS]
    strings = []
    for to_1 in terms_in:
        terms_1 = [term(total((to_1,)), operation) for operation in OPERATIONS]
        for to_2 in itertools.product(terms_in, terms_1):
            terms_2 = [term(total(to_2), operation) for operation in OPERATIONS]
            strings += [total(to_out) for to_out in itertools.product(terms_in, terms_1, terms_2)]
    return strings


def _constant(values: Any) -> np.ndarray:
    """Returns int32 values that nobody can change, since they are kept for later calls."""
    array = np.asarray(values, np.int32)
    array.setflags(write=False)
    return array
