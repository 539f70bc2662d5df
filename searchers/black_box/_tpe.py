"""TPE: the tree-structured Parzen estimator, on categorical decisions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import draw_words, split, uniform
from jnas.core._lanes import all_lanes
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
from jnas.searchers._checks import check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._parzen import (
    Past,
    good_ones,
    histograms,
    no_past,
    probability_to_win,
    rank_latest,
    remember,
    smoothed,
)


class TpeState(NamedTuple):
    """What TPE needs for its next step."""

    key: Key  # []
    initial: Array  # [num_init, E] int32, the random architectures to begin with
    num_told: Array  # [] int32, evaluations
    past: Past  # evaluations, and encodings that are no architectures


@recorded
def tpe(
    space: Space,
    *,
    num_init: int = 20,
    gamma: Any = 0.25,
    most_good: int = 25,
    num_candidates: int = 24,
    prior_weight: Any = 1.0,
    full_memory: int = 25,
    max_draws: int = 1000,
) -> Searcher:
    """Returns TPE as the library hyperopt has it: each decision takes the choice that good evaluations have most often.

    Evaluations are divided into the best few and all others, and for each decision a histogram of its choices is made
    of both, in which a choice counts one evaluation more than it has (`prior_weight`). Of `num_candidates` choices
    drawn from the good ones' histogram, the one where its ratio to the others' is largest is taken. Decisions do not
    know of one another. All defaults are hyperopt's, and so is its way to forget: the latest bad evaluations count in
    full, the older the less.

    An encoding that is no architecture is not proposed, but it is a bad observation, and another one is drawn with
    that knowledge: so it was in the comparison of NAS-Bench-101, whose objective answered such an encoding at no
    cost with the worst possible error. Unlike there, the random architectures to begin with are all valid.

    Instead of the draws, the step computes with what probability each choice would be the best of them.

    Args:
      space: The search space.
      num_init: Random architectures to begin with.
      gamma: The best `ceil(gamma * sqrt(n))` of `n` observations are good,
      most_good: but never more than this many.
      num_candidates: Choices drawn for each decision.
      prior_weight: What each choice counts beside the observations; positive, may be traced.
      full_memory: So many of the latest bad observations count in full; the weights of older ones fall evenly, to
        one over their number for the oldest.
      max_draws: How often an encoding is drawn until it is a valid architecture; the run ends if none was.

    Returns:
      A searcher that proposes one architecture at a time, and may propose it again. An evaluation that is NaN or
      invalid is a bad one.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Algorithms for Hyper-Parameter Optimization", Bergstra et al., 2011, Section 4; the defaults of hyperopt 0.2 and
        0.3 (`tpe.suggest`, over decisions made with `hp.choice`), which "NAS-Bench-101", Ying et al., 2019, compares.
    """
    check_sizes(
        num_init=num_init,
        most_good=most_good,
        num_candidates=num_candidates,
        full_memory=full_memory,
        max_draws=max_draws,
    )
    if isinstance(gamma, jax.core.Tracer) or not 0 < gamma <= 1:
        raise ValueError(f"gamma is {gamma}, expected a Python number of more than 0 and at most 1")
    if not isinstance(prior_weight, jax.core.Tracer) and not prior_weight > 0:
        raise ValueError(f"prior_weight is {prior_weight}, expected more than 0: every choice must be possible")
    counts = np.asarray(space.num_choices, np.int32)

    def init(key: Key, capacity: int) -> TpeState:
        del capacity
        key, sample_key = split(key)
        initial = jax.vmap(space.sample)(split(sample_key, num_init)).astype(jnp.int32)
        return TpeState(key, initial, jnp.int32(0), no_past(space.num_choices, most_good, full_memory))

    def from_model(words: Array, past: Past) -> Array:
        good, bad = (smoothed(h, space.num_choices, prior_weight) for h in histograms(past, good_ones(past, gamma)))
        below = jnp.cumsum(probability_to_win(good, bad, num_candidates), axis=1)
        arch = jnp.sum(uniform(words)[:, None] >= below, axis=1, dtype=jnp.int32)
        return jnp.minimum(arch, counts - 1)  # the sum of probabilities may round to less than 1

    def ask(state: TpeState) -> tuple[Proposal, TpeState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: TpeState, pending: Proposal) -> tuple[Proposal, TpeState]:
        number = num_asked(state.num_told, pending)
        starting = number < num_init
        first = state.initial[jnp.minimum(number, num_init - 1)]
        key, draws_key = split(state.key)

        def draw_arch(carry: tuple[Key, Array, Array, Array, Past]) -> tuple[Key, Array, Array, Array, Past]:
            draws_key, tries, arch, found, past = carry
            draws_key, words = draw_words(draws_key, len(counts))
            arch = jnp.where(found, arch, from_model(words, past))
            found = space.is_valid(arch)
            return draws_key, tries + 1, arch, found, remember(past, arch, ~found)

        def is_missing(carry: tuple[Key, Array, Array, Array, Past]) -> Array:
            _, tries, _, found, _ = carry
            missing: Array = (tries < max_draws) & ~all_lanes(found)  # lanes that have found one stay as they are
            return missing

        start = (draws_key, jnp.int32(0), first, starting, state.past)
        _, _, arch, found, past = jax.lax.while_loop(is_missing, draw_arch, start)
        return propose(arch[None], valid=found), state._replace(key=key, past=past)

    def tell(state: TpeState, proposal: Proposal, evaluation: Evaluation) -> TpeState:
        arch, score, accepted = proposal.archs[0], usable_score(evaluation)[0], proposal.valid[0]
        past = rank_latest(remember(state.past, arch, accepted), arch, score, accepted)
        return state._replace(num_told=state.num_told + accepted, past=past)

    return Searcher(init, ask, tell, "tpe", num_init=num_init, ask_beside=ask_beside)
