"""Cells of NAS-Bench-101: pruning, validity, when two are the same, and how they are written.

An architecture is int32 `[26]`: 21 edge bits, the upper triangle of a 7 x 7 adjacency matrix row by row ((0,1), (0,2),
..., (0,6), (1,2), ..., (5,6); 1 where there is an edge), then the operations of the vertices 1 to 5. Vertex 0 is the
input and vertex 6 the output. What lies on no path from the input to the output does not count: a cell of fewer
vertices is one that has such vertices, and many architectures are one cell.
"""

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.io._text import bare, did_you_mean, short
from jnas.spaces._batch_last import batch_last
from jnas.spaces._categorical import checked_arch
from jnas.spaces._hashing import mix

MAX_VERTICES = 7
MAX_EDGES = 9
EDGES = tuple(itertools.combinations(range(MAX_VERTICES), 2))
"""Source and target of each of the 21 possible edges, in the order of an architecture's bits."""

NUM_EDGES = len(EDGES)
INPUT, OUTPUT = "input", "output"
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The operations in the benchmark's own order."""

NUM_CHOICES = (2,) * NUM_EDGES + (len(OPERATIONS),) * (MAX_VERTICES - 2)
CHOICES = (("absent", "present"),) * NUM_EDGES + (OPERATIONS,) * (MAX_VERTICES - 2)

_EXAMPLE = "|conv3x3-bn-relu~0|maxpool3x3~0~1|output~1~2|"
_SHORT = {name.removesuffix("-bn-relu"): name for name in OPERATIONS}


# Inside `jit`. Axes after an architecture's are a batch's (see `batch_last`).


def adjacency(arch: Array) -> Array:
    """Returns the matrix bool `[7, 7, ...]` of architectures `[26, ...]`, edges from row to column, before pruning."""
    places = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int32)
    places[np.triu_indices(MAX_VERTICES, 1)] = np.arange(NUM_EDGES)
    upper = np.triu(np.ones((MAX_VERTICES, MAX_VERTICES), bool), 1)
    return (arch[places] > 0) & upper.reshape(upper.shape + (1,) * (arch.ndim - 1))


def used_vertices(matrix: Array) -> Array:
    """Returns which vertices `[7, ...]` lie on a path from the input to the output; none where there is no path."""
    forward = [jnp.ones(matrix.shape[2:], bool)]
    for v in range(1, MAX_VERTICES):
        forward.append(jnp.any(jnp.stack(forward) & matrix[:v, v], axis=0))
    backward = [jnp.ones(matrix.shape[2:], bool)]
    for v in range(MAX_VERTICES - 2, -1, -1):
        backward.insert(0, jnp.any(jnp.stack(backward) & matrix[v, v + 1 :], axis=0))
    return jnp.stack(forward) & jnp.stack(backward)


def pruned(arch: Array) -> tuple[Array, Array]:
    """Returns the matrix bool `[7, 7, ...]` without unused vertices' edges, and which are used, bool `[7, ...]`."""
    matrix = adjacency(arch)
    used = used_vertices(matrix)
    return matrix & used[:, None] & used[None, :], used


@batch_last
def is_valid_cell(arch: Array) -> Array:
    """Returns whether an architecture `[26]` is a cell of the benchmark: a path, and at most 9 edges after pruning."""
    matrix, used = pruned(arch)
    counts = np.asarray(NUM_CHOICES).reshape(-1, *(1 for _ in arch.shape[1:]))
    in_range = jnp.all((arch >= 0) & (arch < counts), axis=0)
    return in_range & used[0] & (jnp.sum(matrix, axis=(0, 1)) <= MAX_EDGES)


@batch_last
def fingerprint(arch: Array) -> Array:
    """Returns the fingerprint, uint32 `[2]`, that the architectures of one cell share.

    Each used vertex begins with a hash of its degrees and operation and takes in, seven times, the multisets of the
    hashes of its predecessors and of its successors; the fingerprint is the multiset of all. These are the classes
    of the published hash. The two words are computed apart, so that a collision must happen in both.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.2 and S1.
    """
    matrix, used = pruned(arch)
    edges = jnp.where(matrix, jnp.uint32(0xFFFFFFFF), jnp.uint32(0))
    batch = arch.shape[1:]
    salts = np.array([[0x9E3779B9, 0x7F4A7C15], [0x85EBCA6B, 0xC2B2AE3D], [0x27D4EB2F, 0x165667B1]], np.uint32)
    salts = salts.reshape(3, 1, 2, *(1 for _ in batch))
    ends = jnp.broadcast_to(jnp.array([3, 4], jnp.uint32).reshape(2, *(1 for _ in batch)), (2, *batch))
    kinds = jnp.concatenate([ends[:1], arch[NUM_EDGES:].astype(jnp.uint32), ends[1:]])
    into, out_of = jnp.sum(matrix, axis=0, dtype=jnp.uint32), jnp.sum(matrix, axis=1, dtype=jnp.uint32)
    words = mix(((into * 8 + out_of) * 8 + kinds)[:, None] + salts[0])  # [7, 2, ...]

    def gather(_: int, words: Array) -> Array:
        forward, back = mix(words ^ salts[1]), mix(words ^ salts[2])
        none = jnp.zeros(words.shape[1:], jnp.uint32)
        # Sums written out: a masked reduction over [7, 7, 2, ...] takes 17 times as long on a CPU.
        vertices = range(MAX_VERTICES)
        before = [sum((forward[u] & edges[u, v][None] for u in range(v)), none) for v in vertices]
        after = [sum((back[u] & edges[v, u][None] for u in range(v + 1, MAX_VERTICES)), none) for v in vertices]
        return mix(words * 5 + mix(jnp.stack(before) + salts[0]) * 3 + mix(jnp.stack(after) + salts[1]))

    words = jax.lax.fori_loop(0, MAX_VERTICES, gather, words)
    return mix(jnp.sum(jnp.where(used[:, None], words, 0), axis=0, dtype=jnp.uint32))


# On the host.


def from_matrix(matrix: Any, operations: Sequence[str]) -> np.ndarray:
    """Returns the architecture, int32 `[26]`, of a published specification.

    Args:
      matrix: Strictly upper triangular 0/1 adjacency `[V, V]`, `V` from 2 to 7.
      operations: `V` labels: `'input'`, the operations of the vertices between, `'output'`.

    Returns:
      The cell with its interior vertices at 1, 2, ..., not pruned; vertices that it does not have are `conv3x3-bn-relu`
      without edges.

    Raises:
      ValueError: They are not of that form; the message says what is wrong. Whether the cell is in the benchmark's
        domain is what `is_valid_cell` tells.
    """
    edges = np.asarray(matrix)
    vertices = len(operations)
    if edges.shape != (vertices, vertices) or edges.dtype.kind not in "iub":
        raise ValueError(
            f"matrix has shape {edges.shape} and type {edges.dtype}, expected integers [{vertices}, {vertices}], "
            "a row and a column for each operation"
        )
    if not 2 <= vertices <= MAX_VERTICES:
        raise ValueError(f"the cell has {vertices} vertices, expected 2 to {MAX_VERTICES}")
    if np.tril(edges).any() or not np.isin(edges, (0, 1)).all():
        raise ValueError("matrix is not strictly upper triangular with entries 0 and 1: edges go from earlier to later")
    if operations[0] != INPUT or operations[-1] != OUTPUT:
        raise ValueError(
            f"operations begin with {operations[0]!r} and end with {operations[-1]!r}, expected "
            f"{INPUT!r} and {OUTPUT!r}"
        )
    whole = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int32)
    places = [*range(vertices - 1), MAX_VERTICES - 1]
    whole[np.ix_(places, places)] = edges
    chosen = [_operation(name, v) for v, name in enumerate(operations[1:-1], start=1)]
    chosen += [0] * (MAX_VERTICES - vertices)
    return np.concatenate([whole[np.triu_indices(MAX_VERTICES, 1)], chosen]).astype(np.int32)


def to_matrix(arch: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the published specification of an architecture `[26]`, pruned: adjacency int32 `[V, V]` and `V` labels.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It is not one of the space, or there is no path from its input to its output.
    """
    values = checked_arch(arch, NUM_CHOICES)
    matrix, used = host_pruned(values)
    if not used[0]:
        raise ValueError(
            f"{nasbench101_to_string(values)!r} has no path from the input to the output, expected a valid cell"
        )
    labels = [INPUT, *(OPERATIONS[o] for o in values[NUM_EDGES:]), OUTPUT]
    return matrix[np.ix_(used, used)], tuple(label for label, u in zip(labels, used, strict=True) if u)


def host_pruned(arch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `pruned`, in NumPy: int32 `[7, 7]` and bool `[7]`."""
    matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int32)
    matrix[np.triu_indices(MAX_VERTICES, 1)] = arch[:NUM_EDGES]
    forward, backward = np.zeros(MAX_VERTICES, bool), np.zeros(MAX_VERTICES, bool)
    forward[0] = backward[-1] = True
    for v in range(1, MAX_VERTICES):
        forward[v] = (forward & (matrix[:, v] > 0)).any()
        backward[-1 - v] = (backward & (matrix[-1 - v] > 0)).any()
    used = forward & backward
    return matrix * used[:, None] * used[None, :], used


def check_cell(arch: np.ndarray) -> None:
    """Raises a ValueError that says why an architecture `[26]` is no cell of the benchmark; see `is_valid_cell`."""
    matrix, used = host_pruned(arch)
    if not used[0]:
        raise ValueError(
            f"{nasbench101_to_string(arch)!r} has no path from the input to the output, expected a valid cell"
        )
    if matrix.sum() > MAX_EDGES:
        raise ValueError(
            f"{nasbench101_to_string(arch)!r} has {matrix.sum()} edges on paths from the input to the output, expected "
            f"at most {MAX_EDGES}"
        )


def published_hash(arch: Any) -> str:
    """Returns the published hash of an architecture `[26]`: 32 hexadecimal digits, equal for isomorphic cells.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It is not one of the space, or there is no path from its input to its output.

    References:
      "NAS-Bench-101", Ying et al., 2019, S1 (iterative graph hashing, with MD5).
    """
    matrix, names = to_matrix(arch)
    labels = [-1, *(OPERATIONS.index(name) for name in names[1:-1]), -2]
    before = [np.flatnonzero(column) for column in matrix.T]
    after = [np.flatnonzero(row) for row in matrix]
    hashes = [_md5(str((len(after[v]), len(before[v]), label))) for v, label in enumerate(labels)]
    for _ in labels:
        hashes = [
            _md5("|".join(("".join(sorted(hashes[u] for u in b)), "".join(sorted(hashes[u] for u in a)), own)))
            for b, a, own in zip(before, after, hashes, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def nasbench101_to_string(arch: Any) -> str:
    """Returns the string of an architecture `[26]`, vertices 1 to 6 with what flows into them.

    `|conv3x3-bn-relu~0|...|output~1~2|`: the operation of vertex 1, whose only edge comes from vertex 0, up to the
    output, which has edges from 1 and 2. Not pruned, so every architecture has a string of its own.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It is not one of the space.
    """
    values = checked_arch(arch, NUM_CHOICES)
    sources: list[list[int]] = [[] for _ in range(MAX_VERTICES)]
    for (source, target), there in zip(EDGES, values, strict=False):
        if there:
            sources[target].append(source)
    names = [*(OPERATIONS[o] for o in values[NUM_EDGES:]), OUTPUT]
    terms = ["~".join((name, *map(str, found))) for name, found in zip(names, sources[1:], strict=True)]
    return f"|{'|'.join(terms)}|"


def nasbench101_from_string(text: str) -> np.ndarray:
    """Returns the architecture, int32 `[26]`, that a string describes.

    Args:
      text: As `nasbench101_to_string` gives it, for any number of vertices up to 7; operations may be short
        (`conv3x3`), and blanks, line ends and quotes around it are passed over.

    Raises:
      TypeError: What was given is not a string.
      ValueError: The string is malformed; the message says where and how.
    """
    if not isinstance(text, str):
        raise TypeError(f"an architecture of nasbench101 is read from a string, not from {type(text).__name__}")
    shown, text = short(repr(text), 200), "".join(bare(text).split())
    if len(text) < 2 or text[0] != "|" or text[-1] != "|":
        raise ValueError(f"{shown} does not begin and end with '|', expected a cell like {_EXAMPLE!r}")
    terms = [term.split("~") for term in text[1:-1].split("|")]
    if not 1 <= len(terms) < MAX_VERTICES or terms[-1][0] != OUTPUT:
        raise ValueError(f"{shown}, expected up to 5 vertices and then the output, as in {_EXAMPLE!r}")
    matrix = np.zeros((len(terms) + 1,) * 2, np.int32)
    for target, (_, *sources) in enumerate(terms, start=1):
        for source in sources:
            if source not in [str(earlier) for earlier in range(target)]:
                raise ValueError(f"{shown}: vertex {target} has an edge from {source!r}, expected an earlier vertex")
            if matrix[int(source), target]:
                raise ValueError(f"{shown}: vertex {target} has two edges from {source}, expected one at most")
            matrix[int(source), target] = 1
    try:
        return from_matrix(matrix, [INPUT, *(term[0] for term in terms)])
    except ValueError as error:
        raise ValueError(f"{shown}: {error}") from None


def _operation(name: str, vertex: int) -> int:
    name = _SHORT.get(name, name)
    if name not in OPERATIONS:
        offer = did_you_mean(name, OPERATIONS) or ","
        raise ValueError(
            f"unknown operation {short(repr(name))} at vertex {vertex}{offer} expected one of {', '.join(OPERATIONS)}"
        )
    return OPERATIONS.index(name)
