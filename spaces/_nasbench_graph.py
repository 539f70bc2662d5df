"""The space of NAS-Bench-Graph: cells of graph neural networks, each node reading one other."""

import ast
import functools
import itertools
import json
import re
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._text import not_one_of, short
from jnas.spaces._categorical import categorical, checked_arch
from jnas.spaces._listed import all_encodings, product_part, spelled

LINKS = (
    *((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3)),
    *((0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 2, 2), (0, 1, 2, 3)),
)
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
_SKIP = OPERATIONS.index("skip")
_NUM_NODES = 4
_ARCH = re.compile(r"Arch\(\s*(\[[^\]]*\])\s*,\s*(\[[^\]]*\])\s*\)")
_ALIKE = {0: (0, 1, 2, 3), 1: (1, 2), 2: (2, 3), 5: (1, 2, 3), 7: (2, 3)}
"""By pattern, the nodes that may change places: their operations stand in ascending order."""


def nasbench_graph() -> Space:
    """Returns the space of NAS-Bench-Graph: 26,206 cells of graph neural networks.

    A cell has four nodes, each of which reads the raw input (0) or one node before it (1 to 3), by one of nine
    operations; nodes that nobody reads make the output. An architecture is int32 `[5]`: which of the nine published
    link patterns, then the four operations. Of the 9 * 9**4 encodings those that are one cell by the published rule
    have the same fingerprint and the same index: equal parts may change places, a skip connection within a path stands
    at its beginning, and one from the raw input straight to the output is left out. Cells of skips alone are none.

    The index is the ascending order of the published keys (`nasbench_graph_key`). Strings are Python as the benchmark's
    package reads it, `Arch([0, 1, 2, 3], ['gat', 'gcn', 'fc', 'skip'])`; read are also the other orders of the nodes,
    and keys. `sample` is uniform over cells; the package's `random_arch` is uniform over encodings, among which some
    cells come 54 times, and 14,608 once.

    References:
      "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", Qin et al., 2022, Section 3; keys as in the
      package `nas-bench-graph` 1.4.0.

    Example:
      >>> space = jnas.spaces.nasbench_graph()
      >>> arch = space.from_string("Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])")
      >>> space.to_string(arch), nasbench_graph_key(arch)
      ("Arch([0, 1, 1, 2], ['gcn', 'gin', 'cheb', 'fc'])", 61237)
    """
    return _nasbench_graph()


@functools.cache
def _nasbench_graph() -> Space:
    whole = categorical((9,) * 5, (_link_names(), *[OPERATIONS] * 4), name="nasbench_graph")
    keys = _all_keys()
    known, rows = np.unique(keys[keys >= 0], return_inverse=True)
    numbers = np.full(len(keys), -1, np.int32)
    numbers[keys >= 0] = rows

    def to_string(arch: Any) -> str:
        pattern, *chosen = checked_arch(arch, whole.num_choices)
        return f"Arch({list(LINKS[pattern])}, {[OPERATIONS[choice] for choice in chosen]})"

    def from_string(text: str) -> np.ndarray:
        return _read(text, known)

    config = json.dumps({"kind": "nasbench_graph"})
    return product_part(whole, numbers, _of_keys(known), config=config, to_string=to_string, from_string=from_string)


def nasbench_graph_key(arch: Any) -> int:
    """Returns the key under which the published tables have a cell: its pattern and operations, as decimal digits.

    Args:
      arch: An encoding `[5]`, of any order of equal parts.

    Raises:
      ValueError: It is no encoding, or one of skip connections alone, which the tables do not have.
    """
    choices = np.asarray([checked_arch(arch, (9,) * 5)], np.int32)
    key = int(_keys(np.asarray(LINKS)[choices[:, 0]], choices[:, 1:])[0])
    if key < 0:
        raise ValueError("this cell has skip connections alone, which NAS-Bench-Graph leaves out")
    return key


def _link_names() -> tuple[str, ...]:
    return tuple("".join(map(str, links)) for links in LINKS)


@functools.cache
def _all_keys() -> np.ndarray:
    """Returns the keys of all encodings `[9**5]`, in lexicographic order; -1 where there is no cell."""
    encodings = all_encodings((9,) * 5)
    return _keys(np.asarray(LINKS)[encodings[:, 0]], encodings[:, 1:])


def _of_keys(keys: np.ndarray) -> np.ndarray:
    """Returns the encodings int32 `[N, 5]` that keys spell."""
    return (keys[:, None] // 10 ** np.arange(4, -1, -1) % 10).astype(np.int32)


def _keys(links: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """Returns the published keys `[N]` of cells, whose links `[N, 4]` are those of a pattern; -1 for skips alone."""
    links, operations = links.copy(), operations.copy()
    nothing = (operations == _SKIP).all(axis=1)
    for node in range(_NUM_NODES):
        links, operations = _skips_first(node, links, operations)
    pattern, operations = _in_pattern(links, operations)
    for number, nodes in _ALIKE.items():
        places = np.ix_(np.flatnonzero(pattern == number), np.asarray(nodes))
        operations[places] = np.sort(operations[places], axis=1)
    # Two paths of two nodes: the smaller one first.
    first, second = operations[:, [0, 2]] @ (10, 1), operations[:, [1, 3]] @ (10, 1)
    turned = (pattern == LINKS.index((0, 0, 1, 2))) & (first > second)
    operations[turned] = operations[turned][:, [1, 0, 3, 2]]
    keys = pattern * 10**4 + operations @ 10 ** np.arange(3, -1, -1)
    found: np.ndarray = np.where(nothing, -1, keys)
    return found


def _skips_first(node: int, links: np.ndarray, operations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Puts a node that skips before all others, where that changes nothing by the published rule.

    It does where somebody reads the node, or it alone reads what it reads; and where the node ends a path of skips from
    the raw input, which is left out for it.
    """
    others = np.arange(_NUM_NODES) != node
    is_read = (links == node + 1).any(axis=1)
    has_brother = ((links == links[:, node, None]) & others).any(axis=1)
    raw, at = np.ones(len(links), bool), np.full(len(links), node)
    for _ in range(_NUM_NODES):
        rows = np.arange(len(links))
        raw &= (at < 0) | (operations[rows, at] == _SKIP)
        at = np.where(at < 0, -1, links[rows, at] - 1)
    moves = (operations[:, node] == _SKIP) & (is_read | ~has_brother | raw)
    above = links[:, node, None]
    # What read the node reads what it read; the raw input, and the nodes before it, are one further.
    moved = np.where(links == node + 1, above + 1, np.where(links <= node, links + 1, links))
    order = [node, *(other for other in range(_NUM_NODES) if other != node)]
    moved = np.concatenate([np.zeros((len(links), 1), links.dtype), moved[:, order[1:]]], axis=1)
    return np.where(moves[:, None], moved, links), np.where(moves[:, None], operations[:, order], operations)


def _in_pattern(links: np.ndarray, operations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which pattern `[N]` cells have in a suitable order of their nodes, and the operations in that order."""
    pattern, ordered = np.full(len(links), -1), operations.copy()
    for spelt in {tuple(row) for row in links.tolist()}:
        number, order = _pattern_of(spelt)
        rows = (links == spelt).all(axis=1)
        pattern[rows], ordered[rows] = number, operations[rows][:, order]
    return pattern, ordered


@functools.cache
def _pattern_of(links: tuple[int, ...]) -> tuple[int, list[int]]:
    """Returns the pattern of some links, and which node stands at each place of it."""
    for order in itertools.permutations(range(_NUM_NODES)):
        place = {0: 0, **{node + 1: new + 1 for new, node in enumerate(order)}}
        renamed = tuple(place[links[node]] for node in order)
        if renamed in LINKS:
            return LINKS.index(renamed), list(order)
    raise AssertionError(links)


def _read(text: str, known: np.ndarray) -> np.ndarray:
    """Returns the encoding of a string or of a key, that of the published order of nodes."""
    plain = spelled(text)
    if plain.isdecimal():
        if len(plain) > 5 or int(plain) not in known:
            raise ValueError(f"{short(plain)} is no key of NAS-Bench-Graph, expected one of its 26,206")
        spelt: np.ndarray = _of_keys(np.asarray([int(plain)]))[0]
        return spelt
    found = _ARCH.fullmatch(plain)
    try:
        links, names = (ast.literal_eval(part) for part in found.groups()) if found else ((), ())
    except (ValueError, SyntaxError):
        links, names = (), ()
    reads = all(type(link) is int and 0 <= link <= node for node, link in enumerate(links))
    if len(links) != _NUM_NODES or len(names) != _NUM_NODES or not reads:
        raise ValueError(
            f"{short(repr(text), 200)} is no cell of NAS-Bench-Graph, expected one as in "
            "\"Arch([0, 1, 2, 3], ['gat', 'gcn', 'fc', 'skip'])\", or its key"
        )
    for name in names:
        if name not in OPERATIONS:
            raise ValueError(not_one_of("an operation", name, OPERATIONS))
    number, order = _pattern_of(tuple(links))
    return np.asarray([number, *(OPERATIONS.index(names[node]) for node in order)], np.int32)
