"""Regularized evolution."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._draws import below, draw_words, split
from jnas.core._vocabulary import (
    Array,
    Evaluation,
    Key,
    Proposal,
    Searcher,
    Space,
    nothing_pending,
    num_asked,
    propose,
    usable_score,
)
from jnas.searchers._checks import check_positive_int, check_sizes
from jnas.searchers._recorded import recorded

_LARGEST_UNROLLED = 32  # a tournament that is compared without a loop


class RegularizedEvolutionState(NamedTuple):
    """The population, and how many architectures have joined it."""

    key: Key  # []
    archs: Array  # [P, E] int32; before its turn, a slot holds the random architecture that will be proposed for it
    scores: Array  # [P] float32, minus infinity where empty
    num_told: Array  # [] int32, evaluations told so far


@recorded
def regularized_evolution(
    space: Space,
    *,
    population_size: int = 100,
    sample_size: int = 10,
    num_init: int | None = None,
    aging: bool = True,
    replacement: bool = True,
    mutate: Callable[[Key, Array], Array] | None = None,
) -> Searcher:
    """Returns regularized evolution: mutate the best of a random sample; the newcomer displaces the oldest.

    Args:
      space: The search space.
      population_size: `P`. Published: 100 (Real et al.; NAS-Bench-101's comparison), 10 (NAS-Bench-201), 30 (naszilla),
        50 (NAS-Bench-101's notebook).
      sample_size: Architectures drawn for a tournament. Published: 10 (NAS-Bench-201's paper, naszilla), 3 (the
        script of NAS-Bench-201).
      num_init: Random architectures to begin with, at most `P`; by default `P`. From then on the population grows
        to `P` (naszilla: 10 of 30, though its code holds the population at 29).
      aging: Whether the oldest leaves (regularized evolution); otherwise the worst does, be it the newcomer.
      replacement: Whether tournaments sample with replacement (NAS-Bench-201, naszilla) or without (NAS-Bench-101).
      mutate: `mutate(key, arch) -> arch`; by default the space's.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range.

    References:
      "Regularized Evolution for Image Classifier Architecture Search", Real et al., 2019, Algorithm 1.

    Example:
      >>> space = jnas.spaces.categorical((3, 3, 3))
      >>> searcher = jnas.searchers.regularized_evolution(space, population_size=10, sample_size=5)
      >>> objective = jnas.function_objective(lambda key, arch: -jnp.sum((arch - 1) ** 2))
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=200))(jax.random.key(0))
      >>> jnas.statistics.incumbent(trace).arch.tolist()
      [1, 1, 1]
    """
    check_sizes(population_size=population_size, sample_size=sample_size)
    if population_size > 65_536:
        raise ValueError(f"population_size is {population_size}, expected at most 65536")
    num_init = population_size if num_init is None else num_init
    check_positive_int("num_init", num_init)
    if num_init > population_size:
        raise ValueError(f"num_init is {num_init}, expected 1 to population_size ({population_size})")
    if not replacement and sample_size > num_init:
        raise ValueError(
            f"sample_size is {sample_size}, expected, without replacement, at most the {num_init} architectures that "
            "evolution begins with"
        )
    tournament_words = sample_size if replacement else population_size

    def mutate_from(words: Array, arch: Array) -> Array:
        if mutate is None and space.mutate_from is not None:
            return space.mutate_from(words, arch)
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        return (mutate or space.mutate)(key, arch)

    def init(key: Key, capacity: int) -> RegularizedEvolutionState:
        del capacity
        key, sample_key = split(key)
        archs = jax.vmap(space.sample)(split(sample_key, population_size))
        return RegularizedEvolutionState(
            key, archs.astype(jnp.int32), jnp.full((population_size,), -jnp.inf, jnp.float32), jnp.int32(0)
        )

    def tournament(words: Array, scores: Array, filled: Array) -> Array:
        """The slot of the best of `sample_size` members; the first drawn wins a tie."""
        if replacement:
            drawn = below(words, filled)
        else:
            empty = jnp.arange(population_size) >= filled
            drawn = jnp.argsort(jnp.where(empty, jnp.uint32(0xFFFFFFFF), words))[:sample_size]
        return _first_best(drawn, scores[drawn])

    def ask(state: RegularizedEvolutionState) -> tuple[Proposal, RegularizedEvolutionState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: RegularizedEvolutionState, pending: Proposal) -> tuple[Proposal, RegularizedEvolutionState]:
        key, words = draw_words(state.key, tournament_words + 2)
        number = num_asked(state.num_told, pending)
        starting = number < num_init
        # The first mutants may be asked for when less than the population has been told, or nothing.
        least = 1 if pending.valid.shape[0] else 0
        parent = tournament(words[2:], state.scores, _at_least(least, jnp.minimum(state.num_told, population_size)))
        member = state.archs[jnp.where(starting, number, parent)]
        arch = jnp.where(starting, member, mutate_from(words[:2], member))
        return propose(arch[None]), state._replace(key=key)

    def tell(state: RegularizedEvolutionState, proposal: Proposal, evaluation: Evaluation) -> RegularizedEvolutionState:
        told = proposal.valid[0]
        score = usable_score(evaluation)[0]
        growing = state.num_told < population_size
        leaves = state.num_told % population_size if aging else jnp.argmin(state.scores)
        # Without aging the worst of all leaves, the newcomer included: if it is that one, nothing changes.
        joins = told & (growing | aging | (score > state.scores[leaves]))
        here = joins & (jnp.arange(population_size) == jnp.where(growing, state.num_told, leaves))
        return state._replace(
            archs=jnp.where(here[:, None], proposal.archs[0], state.archs),
            scores=jnp.where(here, score, state.scores),
            num_told=state.num_told + told,
        )

    def rescore(state: RegularizedEvolutionState, scores: Array) -> RegularizedEvolutionState:
        slots = jnp.arange(population_size)
        latest = slots + population_size * ((state.num_told - 1 - slots) // population_size)  # that stands in a slot
        known = scores[jnp.clip(latest, 0, len(scores) - 1)]
        return state._replace(scores=jnp.where(slots < state.num_told, known, -jnp.inf))

    return Searcher(
        init,
        ask,
        tell,
        "regularized_evolution",
        num_init=num_init,
        ask_beside=ask_beside,
        rescore=rescore if aging else None,
    )


def _at_least(least: int, number: Array) -> Array:
    return jnp.maximum(number, least) if least else number


def _first_best(members: Array, scores: Array) -> Array:
    """Returns which of `members [N]` has the highest of `scores [N]`, the first of equal ones."""
    if len(members) > _LARGEST_UNROLLED:
        return members[jnp.argmax(scores)]
    best, highest = members[0], scores[0]
    for i in range(1, len(members)):  # one after another: `argmax` makes a slow loop of a few numbers
        best, highest = jnp.where(scores[i] > highest, members[i], best), jnp.maximum(scores[i], highest)
    return best
