"""Cells of NAS-Bench-101 drawn and mutated in the terms of the continuous adjacency and of the path encodings."""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, draw_words, uniform
from jnas.core._vocabulary import Array, Key
from jnas.io._text import not_one_of
from jnas.spaces._hashing import find_fingerprint, mix
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_CHOICES, NUM_EDGES, OPERATIONS, is_valid_cell
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._features import NUM_PATHS, PATH_LENGTHS, TRUNCATED_PATHS, host_paths, path_set

PathEncoding = Literal[
    "path",
    "truncated_path",
    "weighted_path",
    "weighted_truncated_path",
    "continuous_path",
    "truncated_continuous_path",
    "weighted_continuous_path",
    "weighted_truncated_continuous_path",
]
"""Truncated: only the 40 paths of up to three operations are drawn. Weighted: shorter paths are likelier."""

_WEIGHTS_BY_LENGTH = (0.2, 0.127, 3.36e-2, 3.92e-3, 1.5e-4, 6.37e-7)
_MOST_EDGES_DRAWN = 8
_MOST_PATHS_DRAWN = 6
_MOST_TRIES = 5000
_NUM_VERTICES = MAX_VERTICES - 2  # that have operations

_SALTS = np.asarray(mix(np.arange(1, 2 * NUM_PATHS + 1, dtype=np.uint32).reshape(NUM_PATHS, 2)))  # type: ignore[arg-type]
"""Two words for each path; the sums over a set of paths stand for the set."""


def sample_continuous_adjacency(key: Key) -> Array:
    """Returns a valid architecture: of 1 to 8 edges, their number and which they are uniform, again until it is valid.

    Each edge gets a uniform value and the largest are there, as published for the continuous adjacency encoding.
    Operations are uniform.

    References:
      "A Study on Encodings for Neural Architecture Search", White et al., 2020, Section 3.
    """

    def attempt(words: Array) -> tuple[Array, Array]:
        values = words[:NUM_EDGES]
        count = 1 + below(words[NUM_EDGES], _MOST_EDGES_DRAWN)
        edges = values >= jnp.sort(values)[NUM_EDGES - count]
        number = below(words[NUM_EDGES + 1], len(OPERATIONS) ** _NUM_VERTICES)
        operations = number // len(OPERATIONS) ** np.arange(_NUM_VERTICES) % len(OPERATIONS)
        arch = jnp.concatenate([edges.astype(jnp.int32), operations])
        return arch, is_valid_cell(arch)

    return first_accepted(key, NUM_EDGES + 2, attempt, _direct_edge())


def mutate_continuous_adjacency(key: Key, arch: Array, rate: float = 1.0) -> Array:
    """Returns a valid architecture in which an edge went, came, or went while another came, each as likely.

    Each operation is replaced by another with probability `rate / 5`. Both again until the architecture is valid; one
    from which no such step leads to a valid cell stays as it is.

    References:
      "A Study on Encodings for Neural Architecture Search", White et al., 2020, Section 3.
    """
    arch = jnp.asarray(arch, jnp.int32)
    there = arch[:NUM_EDGES] > 0
    (present,), (absent,) = (jnp.nonzero(mask, size=NUM_EDGES, fill_value=NUM_EDGES) for mask in (there, ~there))
    count = jnp.sum(there)

    def attempt(words: Array) -> tuple[Array, Array]:
        step = below(words[0], 3) - 1
        # An edge beyond the last is none: where nothing can go or come, or where the step is another.
        goes = jnp.where(step <= 0, present[below(words[1], jnp.maximum(count, 1))], NUM_EDGES)
        comes = jnp.where(step >= 0, absent[below(words[2], jnp.maximum(NUM_EDGES - count, 1))], NUM_EDGES)
        numbers = jnp.arange(NUM_EDGES)
        edges = (there & (numbers != goes)) | (numbers == comes)
        chance = words[3:]
        other = (arch[NUM_EDGES:] + 1 + (chance & 1).astype(jnp.int32)) % len(OPERATIONS)
        operations = jnp.where(uniform(chance) < rate / _NUM_VERTICES, other, arch[NUM_EDGES:])
        mutant = jnp.concatenate([edges.astype(jnp.int32), operations])
        return mutant, is_valid_cell(mutant)

    return first_accepted(key, 3 + _NUM_VERTICES, attempt, arch)


def path_sampler(encoding: PathEncoding) -> Callable[[Key], Array]:
    """Returns `sample(key) -> arch`, which draws sets of paths until one is the set of a cell.

    Each path is in the set with probability 1/364, truncated 1/40, weighted by its number of operations (0.2, 0.127,
    0.0336, 0.00392, 0.00015, 6.37e-7 for 0 to 5). A continuous encoding draws a number of paths from 1 to 6 and a
    uniform value for each path, times its weight, and takes the paths with the largest values.

    Several cells may have the same paths (423,624 cells have 170,820 different sets); then it is the first of them in
    the order of `nasbench101_cells`, so one in 2.5 cells can come. The space is enumerated when the sampler is first
    traced.

    Raises:
      ValueError: The encoding is unknown.

    References:
      "A Study on Encodings for Neural Architecture Search", White et al., 2020, Section 3.
    """
    weights = _path_weights(encoding)
    thresholds = _thresholds(weights)
    continuous = "continuous" in encoding

    def sample(key: Key) -> Array:
        find, row_to_cell = _look_up()

        def attempt(words: Array) -> tuple[Array, Array]:
            if continuous:
                values, places = jax.lax.top_k(uniform(words[1:]) * weights.astype(np.float32), _MOST_PATHS_DRAWN)
                del values
                drawn = jnp.arange(_MOST_PATHS_DRAWN) <= below(words[0], _MOST_PATHS_DRAWN)
                row = find(_set_words(drawn, jnp.asarray(_SALTS)[places]))
            else:
                row = find(_set_words(words[1:] < thresholds, _SALTS[: len(thresholds)]))
            return row, row >= 0

        return row_to_cell(first_accepted(key, 1 + len(weights), attempt, jnp.int32(0)))

    return sample


def path_mutation(encoding: PathEncoding) -> Callable[[Key, Array], Array]:
    """Returns `mutate(key, arch) -> arch`, which changes the set of an architecture's paths.

    Each path comes or goes with the probability that `path_sampler` names for it. A continuous encoding lets a path
    go, or come, or one go and another come, each as likely and all paths alike, weighted or not. Both again until the
    set is one that a cell has, up to 5000 times; then the architecture stays as it is.

    What comes back is the first cell with these paths in the order of `nasbench101_cells`; if no path came or went
    (unweighted in a third of the first tries) it may still be another cell than `arch`. Truncated encodings leave
    paths of more than three operations alone.

    Raises:
      ValueError: The encoding is unknown.

    References:
      "A Study on Encodings for Neural Architecture Search", White et al., 2020, Section 3.
    """
    weights = _path_weights(encoding)
    attempts = _move_one_path if "continuous" in encoding else _toggle_paths

    def mutate(key: Key, arch: Array) -> Array:
        find, row_to_cell = _look_up()
        num_words, new_set = attempts(path_set(arch), weights)

        def attempt(words: Array) -> tuple[Array, Array]:
            row = find(new_set(words))
            return row, row >= 0

        row = first_accepted(key, num_words, attempt, jnp.int32(-1))
        return jnp.where(row >= 0, row_to_cell(row), arch).astype(jnp.int32)

    return mutate


def _toggle_paths(paths: Array, weights: np.ndarray) -> tuple[int, Callable[[Array], Array]]:
    """Returns how many words a try takes, and what makes of them the words of the new set."""
    thresholds = _thresholds(weights)

    def new_set(words: Array) -> Array:
        toggled = jnp.concatenate([words < thresholds, jnp.zeros(NUM_PATHS - len(thresholds), bool)])
        return _set_words(paths ^ toggled, _SALTS)

    return len(weights), new_set


def _move_one_path(paths: Array, weights: np.ndarray) -> tuple[int, Callable[[Array], Array]]:
    """As `_toggle_paths`, with at most one path that goes and one that comes."""
    drawn = len(weights)
    there = paths[:drawn]
    (present,), (absent,) = (jnp.nonzero(mask, size=drawn, fill_value=0) for mask in (there, ~there))
    count = jnp.sum(there)
    start = _set_words(paths, _SALTS)

    def new_set(words: Array) -> Array:
        salts = jnp.asarray(_SALTS)
        step = jnp.where(count > 0, below(words[0], 3) - 1, 1)  # where none can go, one comes
        goes = jnp.where(step <= 0, salts[present[below(words[1], jnp.maximum(count, 1))]], 0)
        comes = jnp.where(step >= 0, salts[absent[below(words[2], drawn - count)]], 0)
        return start - goes + comes

    return 3, new_set


def _path_weights(encoding: str) -> np.ndarray:
    """Returns the weight of each path that the encoding draws, `[364]` or `[40]`; ValueError for an unknown one."""
    if encoding not in PATH_ENCODINGS:
        raise ValueError(not_one_of("encoding", encoding, tuple(PATH_ENCODINGS)))
    drawn = TRUNCATED_PATHS if "truncated" in encoding else NUM_PATHS
    if "weighted" in encoding:
        return np.asarray(_WEIGHTS_BY_LENGTH)[list(PATH_LENGTHS[:drawn])]
    return np.full(drawn, 1 / drawn)


def _thresholds(probabilities: np.ndarray) -> np.ndarray:
    """Returns the words below which a uniform word is with these probabilities (a float32 is too coarse for 6e-7)."""
    return np.round(probabilities * 2.0**32).astype(np.uint32)


def _set_words(chosen: Array, salts: Array | np.ndarray) -> Array:
    return jnp.sum(jnp.where(chosen[:, None], salts, 0), axis=0, dtype=jnp.uint32)


def _look_up() -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Returns the functions from the words of a set of paths to a number or -1, and from that number to the cell."""
    with jax.ensure_compile_time_eval():
        words, rows = path_sets()
        cells = nasbench101_cells()[rows]
    return find_fingerprint(words), lambda number: jnp.asarray(cells)[number].astype(jnp.int32)


@functools.cache
def path_sets() -> tuple[np.ndarray, np.ndarray]:
    """Returns the words of all sets of paths that cells have, uint32 `[170820, 2]`, and each one's first cell's row."""
    salts = np.concatenate([_SALTS, np.zeros((1, 2), np.uint32)])  # none for what fills up
    words = salts[host_paths(nasbench101_cells())].sum(axis=1, dtype=np.uint32)
    _, rows = np.unique(words.astype(np.uint64) @ np.array([1 << 32, 1], np.uint64), return_index=True)
    rows.sort()
    found = words[rows], rows.astype(np.int32)
    for array in found:
        array.flags.writeable = False
    return found


def first_accepted(
    key: Key, num_words: int, attempt: Callable[[Array], tuple[Array, Array]], otherwise: Array
) -> Array:
    """Returns the first result that `attempt(words) -> (result, accepted)` accepts, or `otherwise` after 5000 tries."""

    def again(carry: tuple[Key, Array, Array, Array]) -> tuple[Key, Array, Array, Array]:
        key, words = draw_words(carry[0], num_words)
        result, accepted = attempt(words)
        return key, carry[1] + 1, accepted, jnp.where(accepted, result, otherwise)

    def unfinished(carry: tuple[Key, Array, Array, Array]) -> Array:
        return ~carry[2] & (carry[1] < _MOST_TRIES)

    return jax.lax.while_loop(unfinished, again, (key, jnp.int32(0), jnp.bool_(False), otherwise))[3]


def _direct_edge() -> Array:
    """The smallest cell, for a sampler that finds no other: with the rates above that does not happen."""
    return jnp.zeros(len(NUM_CHOICES), jnp.int32).at[MAX_VERTICES - 2].set(1)


PATH_ENCODINGS: tuple[PathEncoding, ...] = get_args(PathEncoding)

SAMPLERS: dict[str, Callable[[Key], Array]] = {
    "continuous_adjacency": sample_continuous_adjacency,
    **{encoding: path_sampler(encoding) for encoding in PATH_ENCODINGS},
}
"""`sample(key) -> arch` by the encoding in whose terms it draws."""

MUTATIONS: dict[str, Callable[[Key, Array], Array]] = {
    "continuous_adjacency": mutate_continuous_adjacency,
    **{encoding: path_mutation(encoding) for encoding in PATH_ENCODINGS},
}
"""`mutate(key, arch) -> arch` by the encoding in whose terms it changes."""
