"""The cell space of NAS-Bench-101."""

import functools
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits, draw_words, uniform
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import not_one_of
from jnas.spaces._categorical import change_one, checked_arch
from jnas.spaces._hashing import find_fingerprint
from jnas.spaces.nasbench101._cells import (
    CHOICES,
    EDGES,
    MAX_VERTICES,
    NUM_CHOICES,
    NUM_EDGES,
    OPERATIONS,
    fingerprint,
    is_valid_cell,
    nasbench101_from_string,
    nasbench101_to_string,
    pruned,
)
from jnas.spaces.nasbench101._drawing import draw_nasbench101 as draw_cell
from jnas.spaces.nasbench101._enumeration import CELLS_UP_TO, NUM_CELLS, fingerprints, nasbench101_cells
from jnas.spaces.nasbench101._features import FEATURE_NAMES, nasbench101_features
from jnas.spaces.nasbench101._frames import framed, read_in_frame
from jnas.spaces.nasbench101._mutations import MUTATIONS, SAMPLERS, mutate_continuous_adjacency

_EDGE_RATES = {"per_vertex": 1 / MAX_VERTICES, "per_edge": 1 / NUM_EDGES}
_SAMPLING = ("rejection", "uniform", *SAMPLERS)
_MUTATION = (*_EDGE_RATES, "one_decision", *MUTATIONS)


def nasbench101(
    sampling: str = "rejection",
    mutation: str = "per_vertex",
    rate: float = 1.0,
    max_vertices: int = MAX_VERTICES,
) -> Space:
    """Returns the cell space of NAS-Bench-101: graphs of up to 7 vertices and 9 edges, 423,624 cells.

    An architecture is int32 `[26]`: 21 edge bits, the upper triangle of the adjacency matrix row by row ((0,1), (0,2),
    ..., (5,6)), then the operations (0 conv3x3-bn-relu, 1 conv1x1-bn-relu, 2 maxpool3x3) of the vertices 1 to 5;
    vertex 0 is the input and 6 the output. What is on no path from the input to the output is pruned. An architecture
    is valid if there is a path and at most 9 edges remain, which holds for 73 % of all encodings. Isomorphic cells
    share their fingerprint and their index: `from_index(index(arch))` is the same cell, if not the same encoding.

    Neighbours are naszilla's: an edge of the pruned cell goes, or one comes that the new cell uses, or a vertex of the
    pruned cell gets another operation (31 rows, of which `valid` marks those). The cell of two vertices has none.

    Strings list the vertices 1 to 6 with where their edges come from:
    `|conv3x3-bn-relu~0|maxpool3x3~0~1|output~1~2|` is read as a cell of four vertices.

    Features, all but `path`, `graph`, `nasbot` and their kin of the encoding as it is, are described at
    `jnas.spaces.nasbench101._features.nasbench101_features`: `one_hot [36]`, `ordinal [26]`, `adjacency [26]`,
    `categorical_adjacency [26]`, `continuous_adjacency [27]`, `path [364]`, `truncated_path [40]`,
    `categorical_path [20]`, `truncated_categorical_path [20]`, `graph` and `nasbot [17]`.

    Equal arguments give the same object, so functions compiled for it are found again.

    Args:
      sampling: `'rejection'`, as published: bits and operations are drawn until they are valid; `'uniform'`: each of
        the 423,624 cells is as likely (enumerates the space, a few seconds, when it is first traced). The samplers of
        "A Study on Encodings": `'continuous_adjacency'`; and, over sets of paths that are looked up among the cells,
        `'path'`, `'truncated_path'`, `'weighted_path'`, `'weighted_truncated_path'` and `'continuous_path'`,
        `'truncated_continuous_path'`, `'weighted_continuous_path'`, `'weighted_truncated_continuous_path'`.
      mutation: Which changes are made, again until they are valid.
        `'per_vertex'`: each edge is flipped with probability `rate / 7`, each operation replaced by another with
        `rate / 5` (the benchmark's own evolution; about three edges at once).
        `'per_edge'`: `rate / 21` and `rate / 5` (naszilla; about one edge. The cell may stay as it is).
        `'one_decision'`: exactly one of the 26 decisions changes (the evolution of the benchmark's comparison).
        The names of samplers but the first two: changes in the terms of that encoding.
      rate: The factor in these probabilities (and in those of operations with `'continuous_adjacency'`), above 0 and
        at most 5; other mutations have none.
      max_vertices: The most vertices of a cell, 3 to 7, the input and the output among them: 7, 91, 2,532, 64,542 or
        423,624 cells. With `V` below 7 an architecture is int32 `[26]` all the same, in which the vertices `V - 1` to 5
        have no edges and operation 0: those decisions have one choice, all others are as in the whole space, with
        probabilities of `rate / V`, `2 rate / (V (V - 1))` and `rate / (V - 2)`. Neighbours are those of the
        decisions that are left. The index of a cell is that of the whole space, so that
        `from_index(nasbench101().index(arch))` is the encoding here of any architecture of up to `V` vertices; strings
        are read in whatever encoding they have. There are the samplers `'rejection'` and `'uniform'` (each of the
        cells, in its canonical pruned matrix, is as likely), and the first three mutations.

    Raises:
      TypeError: `rate` is no number, or `max_vertices` no Python int.
      ValueError: An argument is not one of those named, or `rate` is out of range.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.
      "A Study on Encodings for Neural Architecture Search", White et al., 2020 (samplers, mutations, features).
      "Local Search is State of the Art for Neural Architecture Search Benchmarks", White et al., 2020 (neighbours).

    Example:
      >>> space = nasbench101()
      >>> cell = space.from_string("|conv3x3-bn-relu~0|maxpool3x3~0~1|output~1~2|")
      >>> space.to_string(cell)
      '|conv3x3-bn-relu~0|maxpool3x3~0~1|conv3x3-bn-relu|conv3x3-bn-relu|conv3x3-bn-relu|output~1~2|'
    """
    for argument, value, known in (("sampling", sampling, _SAMPLING), ("mutation", mutation, _MUTATION)):
        if value not in known:
            raise ValueError(not_one_of(argument, value, tuple(known)))
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise TypeError(f"rate is {rate!r}, expected a number")
    if not 0 < rate <= len(OPERATIONS) + 2:
        raise ValueError(f"rate is {rate}, expected a number above 0 and at most 5")
    if isinstance(max_vertices, bool) or not isinstance(max_vertices, int):
        raise TypeError(f"max_vertices is {max_vertices!r}, expected a Python int: it sets the space's size")
    if not 3 <= max_vertices <= MAX_VERTICES:
        raise ValueError(f"max_vertices is {max_vertices}, expected 3 to {MAX_VERTICES}, input and output among them")
    few = {"sampling": _SAMPLING[:2], "mutation": _MUTATION[:3]} if max_vertices < MAX_VERTICES else {}
    for (argument, known), value in zip(few.items(), (sampling, mutation), strict=False):
        if value not in known:
            raise ValueError(f"{not_one_of(argument, value, known)} for cells of up to {max_vertices} vertices")
    return _nasbench101(sampling, mutation, float(rate), max_vertices)


@functools.cache
def _nasbench101(sampling: str, mutation: str, rate: float, max_vertices: int) -> Space:
    whole = _of_seven_vertices(sampling, mutation, rate)
    return whole if max_vertices == MAX_VERTICES else _up_to(whole, max_vertices, sampling, mutation, rate)


def _of_seven_vertices(sampling: str, mutation: str, rate: float) -> Space:
    samplers = {"rejection": _sample, "uniform": _sample_cell, **SAMPLERS}
    mutate = MUTATIONS.get(mutation, _mutate_one)
    if mutation in _EDGE_RATES:
        mutate = _mutate_each(_EDGE_RATES[mutation] * rate, rate / 5)
    if mutation == "continuous_adjacency":
        mutate = functools.partial(mutate_continuous_adjacency, rate=rate)
    one_program = functools.partial(jax.jit, inline=True)  # outside of `jit`, and not another one at every call
    return Space(
        name="nasbench101",
        num_choices=NUM_CHOICES,
        choices=CHOICES,
        size=NUM_CELLS,
        config=json.dumps({"kind": "nasbench101", "sampling": sampling, "mutation": mutation, "rate": rate}),
        feature_names=FEATURE_NAMES,
        sample=one_program(samplers[sampling]),
        mutate=one_program(mutate),
        neighbors=neighbors,
        is_valid=is_valid_cell,
        fingerprint=fingerprint,
        index=index,
        from_index=from_index,
        features=nasbench101_features,
        to_string=nasbench101_to_string,
        from_string=nasbench101_from_string,
        draw=draw_cell,
    )


def _up_to(whole: Space, vertices: int, sampling: str, mutation: str, rate: float) -> Space:
    """The sub-space of cells of at most so many vertices, fewer than 7."""
    frame = framed(vertices)
    size, counts = CELLS_UP_TO[vertices], np.asarray(frame.num_choices, np.int32)
    around = np.flatnonzero(frame.has_choice[np.r_[:NUM_EDGES, NUM_EDGES + np.arange(2 * (MAX_VERTICES - 2)) // 2]])

    def is_valid(arch: Array) -> Array:
        return jnp.all((arch >= 0) & (arch < counts)) & is_valid_cell(arch)

    def few_neighbors(arch: Array) -> tuple[Array, Array]:
        archs, valid = neighbors(arch)
        return archs[around], valid[around]

    def few_index(arch: Array) -> Array:
        with jax.ensure_compile_time_eval():
            find = find_fingerprint(fingerprints(vertices))
        return jnp.where(is_valid(arch), find(fingerprint(arch)), -1)

    def few_from_index(index: Array) -> Array:
        with jax.ensure_compile_time_eval():
            cells = nasbench101_cells(vertices)
        return jnp.asarray(cells)[index].astype(jnp.int32)

    def sample(key: Key) -> Array:
        if sampling == "uniform":
            return few_from_index(below(bits(key, ()), size))
        return _sample(key, frame.has_choice)

    def mutate(key: Key, arch: Array) -> Array:
        if mutation == "one_decision":
            return _mutate_one(key, arch, frame.has_choice)
        edge_rate = 1 / vertices if mutation == "per_vertex" else 2 / (vertices * (vertices - 1))
        return _mutate_each(edge_rate * rate, rate / (vertices - 2), frame.has_choice)(key, arch)

    return whole._replace(
        num_choices=frame.num_choices,
        choices=frame.choices,
        size=size,
        config=json.dumps({**json.loads(whole.config), "max_vertices": vertices}),
        sample=sample,
        mutate=mutate,
        neighbors=few_neighbors,
        is_valid=is_valid,
        index=few_index,
        from_index=few_from_index,
        to_string=lambda arch: nasbench101_to_string(checked_arch(arch, frame.num_choices)),
        from_string=lambda text: read_in_frame(text, frame),
        draw=lambda arch: draw_cell(checked_arch(arch, frame.num_choices)),
    )


def until_valid(key: Key, num_words: int, propose: Callable[[Array], Array]) -> Array:
    """Returns the first valid architecture `[26]` of those that `propose` makes of fresh random words `[num_words]`."""

    def attempt(carry: tuple[Key, Array]) -> tuple[Key, Array]:
        key, words = draw_words(carry[0], num_words)
        return key, propose(words).astype(jnp.int32)

    def is_invalid(carry: tuple[Key, Array]) -> Array:
        return ~is_valid_cell(carry[1])

    nothing = jnp.zeros(len(NUM_CHOICES), jnp.int32)  # no path: not valid
    return jax.lax.while_loop(is_invalid, attempt, (key, nothing))[1]


def _sample(key: Key, has_choice: np.ndarray | None = None) -> Array:
    """Fair bits and operations, until they are valid; 0 for decisions that are not `has_choice` bool `[26]`."""

    def propose(words: Array) -> Array:
        edges = (words[0] >> jnp.arange(NUM_EDGES, dtype=jnp.uint32)) & 1
        operations = below(words[1], 3**5) // 3 ** np.arange(5) % 3
        arch = jnp.concatenate([edges.astype(jnp.int32), operations])
        return arch if has_choice is None else arch * has_choice

    return until_valid(key, 2, propose)


def _sample_cell(key: Key) -> Array:
    """Each cell with the same probability."""
    words = bits(key, (2,))
    eighth, rest = divmod(NUM_CELLS, 8)
    assert rest == 0
    return from_index(below(words[0], eighth) * 8 + (words[1] >> 29).astype(jnp.int32))


def _mutate_each(
    edge_rate: float, operation_rate: float, has_choice: np.ndarray | None = None
) -> Callable[[Key, Array], Array]:
    """Each edge is flipped and each operation replaced with its probability, until the cell is valid.

    Args:
      edge_rate: The probability of an edge.
      operation_rate: The probability of an operation.
      has_choice: Bool `[26]`, which decisions may change; None for all.
    """

    def mutate(key: Key, arch: Array) -> Array:
        def propose(words: Array) -> Array:
            rates = np.repeat([edge_rate, operation_rate], [NUM_EDGES, MAX_VERTICES - 2]).astype(np.float32)
            rates = rates if has_choice is None else rates * has_choice
            # Whether a decision changes takes the upper 23 bits of its word, what it becomes the lowest one.
            other = jnp.where(np.arange(len(NUM_CHOICES)) < NUM_EDGES, 0, words & 1).astype(jnp.int32) + 1
            changed = (arch + other) % np.asarray(NUM_CHOICES)
            return jnp.where(uniform(words) < rates, changed, arch)

        return until_valid(key, len(NUM_CHOICES), propose)

    return mutate


def _mutate_one(key: Key, arch: Array, has_choice: np.ndarray | None = None) -> Array:
    """Exactly one decision, of those that are `has_choice`, gets another choice, drawn until the cell is valid."""
    weights = (1,) * len(NUM_CHOICES) if has_choice is None else tuple(map(int, has_choice))
    _, change = change_one(NUM_CHOICES, weights, "different")
    return until_valid(key, 2, lambda words: change(words, arch))


@functools.partial(jax.jit, inline=True)  # one program outside of `jit`; inside it as if it were written there
def neighbors(arch: Array) -> tuple[Array, Array]:
    """Returns the 31 changes of one edge or operation `[31, 26]`, and which are valid and change the cell `[31]`."""
    flips = np.eye(NUM_EDGES, len(NUM_CHOICES), dtype=np.int32)
    turns = np.zeros((2 * (MAX_VERTICES - 2), len(NUM_CHOICES)), np.int32)
    turns[np.arange(len(turns)), NUM_EDGES + np.arange(len(turns)) // 2] = 1 + np.arange(len(turns)) % 2
    archs = (arch[None] + np.concatenate([flips, turns])) % np.asarray(NUM_CHOICES)[None]
    sources, targets = np.transpose(EDGES)
    matrix, used = pruned(arch)
    after, _ = pruned(archs.T)  # [7, 7, 31]
    flipped = jnp.arange(NUM_EDGES)
    changes_graph = matrix[sources, targets] | after[sources, targets, flipped]
    changes_vertex = jnp.repeat(used[1:-1], 2, total_repeat_length=len(turns))
    valid = jax.vmap(is_valid_cell)(archs) & is_valid_cell(arch)
    return archs.astype(jnp.int32), valid & jnp.concatenate([changes_graph, changes_vertex])


def index(arch: Array) -> Array:
    """Returns the row int32 `[]` of a valid architecture's cell in `nasbench101_cells`; -1 if it is not valid."""
    with jax.ensure_compile_time_eval():
        find = find_fingerprint(fingerprints())
    return jnp.where(is_valid_cell(arch), find(fingerprint(arch)), -1)


def from_index(index: Array) -> Array:
    """Returns the cell at a row of `nasbench101_cells`, int32 `[26]`."""
    with jax.ensure_compile_time_eval():
        cells = nasbench101_cells()
    return jnp.asarray(cells)[index].astype(jnp.int32)
