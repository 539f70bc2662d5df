"""The candidates among which a predictor chooses: fixed-size sets of architectures that were not evaluated yet."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import draw_words, split
from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Features, Key, Space
from jnas.io._fields import describe_fields
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._history import History, first_of_each, seen_before

_MOST_DRAWS = 1024
"""How many random architectures are looked at before a step takes it that nothing new is left."""

_LARGEST_WHOLE = 65_536
"""Most encodings of a space that is listed as a whole."""


@describe_fields
class Candidates(NamedTuple):
    """`C` architectures, of which no two that are marked have the same fingerprint and none was evaluated.

    Attributes:
      archs: int32 `[C, E]`.
      fingerprints: uint32 `[C, 2]`.
      mask: bool `[C]`.
      features: `[C, ...]`, where they are known already.
    """

    archs: Array
    fingerprints: Array
    mask: Array
    features: Features = None


CandidateSource = Callable[[Key, History], Candidates]
"""`source(key, history) -> candidates`, pure, with a fixed `C`."""


class Found(NamedTuple):
    """Different architectures in the order in which they were found: `N` rows, of which `num_found` are in use."""

    archs: Array  # [N, E] int32
    fingerprints: Array  # [N, 2] uint32
    num_found: Array  # [] int32


def nothing_found(size: int, num_decisions: int) -> Found:
    """Returns `size` empty rows."""
    return Found(jnp.zeros((size, num_decisions), jnp.int32), jnp.zeros((size, 2), jnp.uint32), jnp.int32(0))


def find_new(space: Space, archs: Array, history: History, found: Found) -> tuple[Array, Array]:
    """Returns the fingerprints of `archs [N, E]`, and which are neither evaluated, nor found, nor in an earlier row."""
    fingerprints = jax.vmap(space.fingerprint)(archs)
    known = seen_before(fingerprints, history.fingerprints, history.num_told)
    known |= seen_before(fingerprints, found.fingerprints, found.num_found)
    return fingerprints, first_of_each(fingerprints) & ~known


def add_found(found: Found, archs: Array, fingerprints: Array, takes: Array, limit: Array | int) -> Found:
    """Returns `found` with the marked ones of `archs [N, E]` behind, as long as there are fewer than `limit`."""
    place = found.num_found + jnp.cumsum(takes) - 1
    place = jnp.where(takes & (place < limit), place, found.archs.shape[0])
    return Found(
        archs=found.archs.at[place].set(archs, mode="drop"),
        fingerprints=found.fingerprints.at[place].set(fingerprints, mode="drop"),
        num_found=jnp.maximum(found.num_found, jnp.minimum(found.num_found + jnp.sum(takes, dtype=jnp.int32), limit)),
    )


def add_random(key: Key, space: Space, history: History, found: Found, wanted: Array) -> Found:
    """Returns `found` with random architectures behind until there are `wanted`, or a thousand draws gave no more.

    Under `vmap` it goes on until all lanes have what they want; where no lane wants any, nothing is drawn.
    """
    num_draws = max(8, 2 * found.archs.shape[0])

    def lacks(loop: tuple[Array, Key, Found]) -> Array:
        i, _, found = loop
        lacking: Array = (i * num_draws < _MOST_DRAWS) & ~all_lanes(found.num_found >= wanted)
        return lacking

    def add(loop: tuple[Array, Key, Found]) -> tuple[Array, Key, Found]:
        i, key, found = loop
        key, sample_key = split(key)
        return i + 1, key, _add_samples(sample_key, space, history, found, num_draws, wanted)

    return jax.lax.while_loop(lacks, add, (jnp.int32(0), key, found))[2]


def _add_samples(key: Key, space: Space, history: History, found: Found, num_draws: int, limit: Array | int) -> Found:
    archs = jax.vmap(space.sample)(split(key, num_draws)).astype(jnp.int32)
    fingerprints, new = find_new(space, archs, history, found)
    return add_found(found, archs, fingerprints, new, limit)


def _as_candidates(found: Found) -> Candidates:
    return Candidates(found.archs, found.fingerprints, jnp.arange(found.archs.shape[0]) < found.num_found)


@recorded
def mutations(
    space: Space,
    *,
    num_candidates: int = 100,
    num_parents: int = 1,
    max_parents: int | None = None,
    max_edits: int = 1,
    num_drawn: int | None = None,
    num_random: int = 0,
) -> CandidateSource:
    """Returns the source of mutations of the best evaluated architectures.

    From the best on, each parent gives `num_candidates / num_parents` mutants, until at least `num_candidates` have
    been found that are different and new, or `max_parents` have had their turn; so with the defaults it is mostly the
    incumbent's neighbourhood, and the next best architecture's where that is not enough.

    Args:
      space: The search space.
      num_candidates: How many suffice. The last parent may bring more.
      num_parents: The share of a parent, as a divisor.
      max_parents: Most parents; by default five times `num_parents`.
      max_edits: Mutants are mutated 1 to so many times, as many once as twice and so on: each of a chain of mutants
        is a candidate. (The released code of BANANAS passes rates to mutations that ignore them.)
      num_drawn: If given, so many of the candidates are drawn with replacement, and only these are candidates.
      num_random: Draws of random architectures, of which what is new is added, up to `num_candidates + num_random`
        in all.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021,
        Section 4.1; the rule is that of the naszilla library.
    """
    max_parents = 5 * num_parents if max_parents is None else max_parents
    sizes = {"num_candidates": num_candidates, "num_parents": num_parents, "max_parents": max_parents}
    check_sizes(**sizes, max_edits=max_edits, num_drawn=1 if num_drawn is None else num_drawn)
    check_positive_int("num_random", num_random, 0)
    if num_parents > num_candidates:
        raise ValueError(f"num_parents is {num_parents}, expected at most num_candidates ({num_candidates})")
    per_parent = max(1, num_candidates // num_parents // max_edits) * max_edits
    most = num_candidates + max(per_parent - 1, num_random)
    num_rounds = -(-max_parents // num_parents)

    def source(key: Key, history: History) -> Candidates:
        key, random_key, draw_key = split(key, 3)
        parents, exists = _best_evaluated(history, max_parents, num_rounds, num_parents)

        def lacks(loop: tuple[Array, Key, Found]) -> Array:
            i, _, found = loop
            none_left = ~jnp.any(exists[jnp.minimum(i, num_rounds - 1)])
            lacking: Array = (i < num_rounds) & ~all_lanes((found.num_found >= num_candidates) | none_left)
            return lacking

        def mutate_some(loop: tuple[Array, Key, Found]) -> tuple[Array, Key, Found]:
            i, key, found = loop
            key, words = draw_words(key, num_parents * per_parent * 2)
            mutants = _chains(space, words, parents[i], per_parent // max_edits, max_edits)
            fingerprints, new = find_new(space, mutants, history, found)
            new &= jnp.repeat(exists[i], per_parent)
            before = jnp.cumsum(new) - new
            had = found.num_found + jnp.repeat(before[::per_parent], per_parent)  # when the parent had its turn
            return i + 1, key, add_found(found, mutants, fingerprints, new & (had < num_candidates), most)

        start = (jnp.int32(0), key, nothing_found(most, space.num_decisions))
        found = jax.lax.while_loop(lacks, mutate_some, start)[2]
        if num_random:
            found = _add_samples(random_key, space, history, found, num_random, num_candidates + num_random)
        return _as_candidates(found if num_drawn is None else _draw_some(draw_key, found, num_drawn))

    return source


def _best_evaluated(history: History, most: int, num_rounds: int, per_round: int) -> tuple[Array, Array]:
    """Returns the best architectures in order, `[R, P, E]`, and which of these there are, `[R, P]`."""
    top = min(most, history.archs.shape[0])
    scores, rows = jax.lax.top_k(history.scores, top)
    numbers = np.arange(num_rounds * per_round)
    places = np.minimum(numbers, top - 1)
    exists = (scores > -jnp.inf)[places] & (numbers < top)
    archs = history.archs[rows][places]
    return archs.reshape(num_rounds, per_round, -1), exists.reshape(num_rounds, per_round)


def _chains(space: Space, words: Array, parents: Array, num_chains: int, max_edits: int) -> Array:
    """Returns the mutants `[P * num_chains * max_edits, E]` on chains of mutations that begin at parents `[P, E]`."""

    def mutate(arch: Array, words: Array) -> Array:
        if space.mutate_from is not None:
            return space.mutate_from(words, arch)
        return space.mutate(jax.random.wrap_key_data(words, impl="threefry2x32"), arch)

    def step(archs: Array, words: Array) -> tuple[Array, Array]:
        archs = jax.vmap(mutate)(archs, words).astype(jnp.int32)
        return archs, archs

    starts = jnp.repeat(parents, num_chains, axis=0)
    words = words.reshape(max_edits, len(starts), 2)
    if max_edits == 1:
        return step(starts, words[0])[1]
    mutants = jax.lax.scan(step, starts, words)[1]
    return jnp.swapaxes(mutants, 0, 1).reshape(-1, mutants.shape[-1])


def _draw_some(key: Key, found: Found, num_drawn: int) -> Found:
    """Returns what `num_drawn` draws with replacement give of what was found, each once."""
    rows = jax.random.randint(key, (num_drawn,), 0, jnp.maximum(found.num_found, 1), jnp.int32)
    fingerprints = found.fingerprints[rows]
    takes = first_of_each(fingerprints) & (found.num_found > 0)
    empty = nothing_found(num_drawn, found.archs.shape[1])
    return add_found(empty, found.archs[rows], fingerprints, takes, num_drawn)


def random_draws(space: Space, *, num_candidates: int = 100) -> CandidateSource:
    """Returns the source of random architectures: what is new and different among `num_candidates` draws.

    Raises:
      TypeError: `num_candidates` is not a Python int.
      ValueError: It is less than 1.
    """
    check_positive_int("num_candidates", num_candidates)

    def source(key: Key, history: History) -> Candidates:
        found = nothing_found(num_candidates, space.num_decisions)
        return _as_candidates(_add_samples(key, space, history, found, num_candidates, num_candidates))

    return source


def whole_space(space: Space, featurise: Callable[[Array], Features] | None = None) -> CandidateSource:
    """Returns the source of all that was not evaluated: one architecture of each fingerprint, the first by index.

    Args:
      space: A space with an index, of at most 65,536 encodings.
      featurise: `featurise(archs [N, E]) -> features`, computed once.

    Raises:
      ValueError: The space has no index, or is too large.
    """
    if space.size is None or space.from_index is None or space.size > _LARGEST_WHOLE:
        told = "no index" if space.size is None else f"{space.size:,} encodings"
        raise ValueError(
            f"candidates is 'all', but {space.name} has {told}; expected at most {_LARGEST_WHOLE:,} encodings, all of "
            "which are predicted in every step; pass candidates='mutation' or 'mutation_random'"
        )
    from_index, size = space.from_index, space.size

    @functools.cache
    def listed() -> tuple[np.ndarray, np.ndarray, Features]:
        with jax.ensure_compile_time_eval():
            archs = jax.vmap(from_index)(jnp.arange(size, dtype=jnp.int32))
            valid = np.asarray(jax.vmap(space.is_valid)(archs))
            fingerprints = np.asarray(jax.vmap(space.fingerprint)(archs))
            rows = np.flatnonzero(valid)
            rows = rows[np.sort(np.unique(fingerprints[rows], axis=0, return_index=True)[1])]
            chosen = archs[rows].astype(jnp.int32)
            features = None if featurise is None else jax.tree.map(np.asarray, featurise(chosen))
            return np.asarray(chosen), fingerprints[rows], features

    def source(key: Key, history: History) -> Candidates:
        del key
        archs, fingerprints, features = jax.tree.map(jnp.asarray, listed())
        mask = ~seen_before(fingerprints, history.fingerprints, history.num_told)
        return Candidates(archs, fingerprints, mask, features)

    return source


SOURCES = ("mutation", "random", "mutation_random", "all")
"""The names of sources."""


def find_candidate_source(
    candidates: str | CandidateSource, space: Space, num_candidates: int, featurise: Callable[[Array], Features] | None
) -> CandidateSource:
    """Returns a source by its name in its published setting, or as it is.

    Raises:
      TypeError: It is neither a name nor a function, or `num_candidates` is not a Python int.
      ValueError: There is none of that name, or it does not fit the space.
    """
    if callable(candidates):
        return candidates
    if not isinstance(candidates, str):
        raise TypeError(
            f"candidates is {candidates!r}, expected one of {', '.join(map(repr, SOURCES))}, or a function "
            "(key, history) -> candidates"
        )
    if candidates == "mutation":
        return mutations(space, num_candidates=num_candidates)
    if candidates == "mutation_random":
        return mutations(space, num_candidates=num_candidates, num_random=num_candidates)
    if candidates == "random":
        return random_draws(space, num_candidates=num_candidates)
    if candidates == "all":
        return whole_space(space, featurise)
    raise ValueError(not_one_of("candidates", candidates, tuple(SOURCES)))
