"""DEHB: Hyperband whose new architectures come from differential evolution."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below as below_word
from jnas.core._draws import bits, split, uniform
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
from jnas.searchers._checks import check_budgets, check_eta, check_fraction
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._brackets import hyperband_brackets

_FEWEST = 3  # individuals of which a mutation draws three different ones


class DehbState(NamedTuple):
    """The populations, one for each of `F` fidelities, of which the first `sizes[f]` of `P` places are in use."""

    key: Key  # []
    vectors: Array  # [F, P, E] float32 in [0, 1), the individuals
    scores: Array  # [F, P] float32, minus infinity for failures and where there is none
    evaluated: Array  # [F, P] bool
    promoted: Array  # [F, P] bool, has been promoted to the next fidelity in the first cycle of brackets
    trials: Array  # [F, P, E] float32, what was last asked for in the place of each
    open: Array  # [F, P] bool, asked for and not told
    num_told: Array  # [F] int32, at each fidelity; individuals have their rivals in turn


class _Cycle(NamedTuple):
    """The places of all rungs of Hyperband's brackets, in the order in which they are evaluated: `N`."""

    fidelity: np.ndarray  # [N] int32
    first: np.ndarray  # [N] bool, in the first rung of its bracket
    size: np.ndarray  # [N] int32, places of its rung


def _cycle(num_fidelities: int, eta: float) -> _Cycle:
    rows = []
    for sizes in hyperband_brackets(num_fidelities, eta, "floor"):
        for rung, size in enumerate(sizes):
            rows += [(num_fidelities - len(sizes) + rung, rung == 0, size)] * size
    table = np.asarray(rows, np.int32)
    return _Cycle(table[:, 0], table[:, 1] > 0, table[:, 2])


@recorded
def dehb(
    space: Space, *, budgets: Sequence[float], eta: float = 3, mutation_factor: float = 0.5, crossover: float = 0.5
) -> Searcher:
    """Returns DEHB: differential evolution in Hyperband's brackets, a population for each fidelity.

    Individuals are vectors in `[0, 1)`, which stand for the choice `floor(x * K)` of each decision. At each place of a
    bracket's rungs, the individual whose turn it is in the population of the fidelity gets a rival: of three others one
    plus `mutation_factor` times the difference of the other two (rand/1), crossed with it decision by decision (bin). A
    number outside of `[0, 1)` is drawn anew. The rival takes its place if its score is not worse. The three are drawn
    from the best of the population one fidelity below, as many as the rung has places, in the first rung from that of
    the fidelity itself; all populations stand in where there are fewer than three.

    Where all populations together have fewer than three individuals, as at one budget, there is nobody to draw: rivals
    are random architectures, so that it is random search.

    An individual that has not been evaluated is evaluated itself; in the first cycle of brackets one that has come to a
    fidelity above its bracket's first is the best below that has not been promoted, as in successive halving.

    Args:
      space: The search space.
      budgets: The fidelities in ascending order, for example epochs `(4, 12, 36)`; proposals carry their indices.
      eta: Of Hyperband's brackets.
      mutation_factor: `F`, from 0 to 1.
      crossover: Probability that a decision is the mutant's; one always is.

    Returns:
      A searcher with `ask_beside`: a rung does not wait for the one before it (the paper's immediate, asynchronous
      form), promotions and parents are of what is known. Every evaluation trains from the beginning.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: An argument is out of range.

    References:
      "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter Optimization", Awad, Mallik and
      Hutter, IJCAI 2021, Section 4 (F and crossover 0.5, rand1_bin, eta 3).

    Example:
      >>> searcher = jnas.searchers.dehb(jnas.spaces.categorical((3, 3, 3)), budgets=(4, 12, 36))
      >>> searcher.num_fidelities
      3
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    check_fraction("mutation_factor", mutation_factor)
    check_fraction("crossover", crossover)
    num_fidelities, num_decisions = len(budgets), space.num_decisions
    counts = np.asarray(space.num_choices, np.int32)
    cycle = _cycle(num_fidelities, eta)
    sizes = np.asarray([cycle.size[cycle.fidelity == f].max() for f in range(num_fidelities)], np.int32)
    most = int(sizes.max())
    exists = np.arange(most)[None] < sizes[:, None]  # [F, P]

    def decode(vectors: Array) -> Array:
        each = np.broadcast_to(counts, vectors.shape)
        return jnp.minimum((vectors * each).astype(jnp.int32), each - 1)

    def anew(sample_key: Key, within_key: Key, count: int) -> Array:
        """Returns individuals of random architectures `[count, E]`."""
        archs = jax.vmap(space.sample)(split(sample_key, count))
        within = uniform(bits(within_key, archs.shape))
        return ((archs + within) / counts[None]).astype(jnp.float32)

    def init(key: Key, capacity: int) -> DehbState:
        del capacity
        key, sample_key, within_key = split(key, 3)
        vectors = anew(sample_key, within_key, num_fidelities * most).reshape(num_fidelities, most, num_decisions)
        nobody = jnp.zeros((num_fidelities, most), bool)
        return DehbState(
            key=key,
            vectors=vectors,
            scores=jnp.full((num_fidelities, most), -jnp.inf, jnp.float32),
            evaluated=nobody,
            promoted=nobody,
            trials=vectors,
            open=nobody,
            num_told=jnp.zeros((num_fidelities,), jnp.int32),
        )

    def ask(state: DehbState) -> tuple[Proposal, DehbState]:
        return ask_beside(state, nothing_pending(num_decisions))

    def ask_beside(state: DehbState, pending: Proposal) -> tuple[Proposal, DehbState]:
        key, draw_key = split(state.key)
        number = num_asked(jnp.sum(state.num_told), pending)
        fidelity, first, parents = (jnp.asarray(column)[number % len(cycle.fidelity)] for column in cycle)
        beside = pending.valid & (pending.fidelity == fidelity)
        num_beside, size = jnp.sum(beside, dtype=jnp.int32), jnp.asarray(sizes)[fidelity]
        own = (state.num_told[fidelity] + num_beside) % size
        target, known = state.vectors[fidelity, own], state.evaluated[fidelity, own]
        below = jnp.where(first, fidelity, fidelity - 1)
        # Who goes up: the best of the fidelity below that has not, and is not going up beside this.
        going = jnp.any(
            jnp.all(decode(state.vectors[below])[:, None] == pending.archs[None], axis=-1) & beside[None], axis=1
        )
        waits = state.evaluated[below] & ~state.promoted[below] & ~going & (state.scores[below] > -jnp.inf)
        best = jnp.argmax(jnp.where(waits, state.scores[below], -jnp.inf))
        promotes = (number < len(cycle.fidelity)) & ~first & jnp.any(waits)
        rival = jnp.where(known, differential(draw_key, state, target, below, parents), target)
        chosen = jnp.where(promotes, state.vectors[below, best], rival)
        # A draw that is no architecture gives place to the individual itself, which is one.
        chosen = jnp.where(space.is_valid(decode(chosen)), chosen, target)
        valid = num_beside < size  # otherwise all individuals of the fidelity have a rival at work
        here = places_of(fidelity, own) & valid
        asked = state._replace(
            key=key,
            trials=jnp.where(here[..., None], chosen[None, None], state.trials),
            open=state.open | here,
        )
        return propose(decode(chosen)[None], fidelity, valid[None]), asked

    def places_of(fidelity: Array, own: Array) -> Array:
        """Returns which place of the populations one is, bool `[F, P]`."""
        return (jnp.arange(num_fidelities)[:, None] == fidelity) & (jnp.arange(most) == own)[None]

    def differential(key: Key, state: DehbState, target: Array, below: Array, parents: Array) -> Array:
        """Returns the rival of an individual `[E]`."""
        if sizes.sum() < _FEWEST:
            sample_key, within_key = split(key)
            return anew(sample_key, within_key, 1)[0]
        words = bits(key, (num_fidelities * most + 2 * num_decisions + 1,))
        order = jnp.argsort(-state.scores[below], stable=True)
        ranks = jnp.zeros((most,), jnp.int32).at[order].set(jnp.arange(most, dtype=jnp.int32))
        best = state.evaluated[below] & (ranks < jnp.maximum(parents, _FEWEST))
        enough = jnp.sum(best) >= _FEWEST
        pool = jnp.where(enough, best[None] & (jnp.arange(num_fidelities) == below)[:, None], jnp.asarray(exists))
        lottery = jnp.where(pool.reshape(-1), words[: num_fidelities * most] | np.uint32(1), np.uint32(0))
        _, drawn = jax.lax.top_k(lottery, _FEWEST)
        one, two, three = state.vectors.reshape(-1, num_decisions)[drawn]
        mutant = one + mutation_factor * (two - three)
        fractions = uniform(words[num_fidelities * most : -1].reshape(2, num_decisions))
        mutant = jnp.where((mutant >= 0) & (mutant < 1), mutant, fractions[0])
        always = jnp.arange(num_decisions) == below_word(words[-1], num_decisions)
        return jnp.where((fractions[1] < crossover) | always, mutant, target)

    def tell(state: DehbState, proposal: Proposal, evaluation: Evaluation) -> DehbState:
        told, fidelity, score = proposal.valid[0], proposal.fidelity[0], usable_score(evaluation)[0]
        same = jnp.all(decode(state.trials[fidelity]) == proposal.archs, axis=-1)
        own = jnp.argmax(2 * (same & state.open[fidelity]) + same)  # of equal ones any will do
        trial = state.trials[fidelity, own]
        here = places_of(fidelity, own) & told
        joins = here & ((score >= state.scores) | ~state.evaluated)
        lower = (jnp.arange(num_fidelities) == fidelity - 1)[:, None] & told
        came_up = lower & state.evaluated & jnp.all(state.vectors == trial[None, None], axis=-1)
        return state._replace(
            vectors=jnp.where(joins[..., None], trial[None, None], state.vectors),
            scores=jnp.where(joins, score, state.scores),
            evaluated=state.evaluated | here,
            promoted=(state.promoted | came_up) & ~joins,
            open=state.open & ~here,
            num_told=state.num_told + ((jnp.arange(num_fidelities) == fidelity) & told),
        )

    return Searcher(init, ask, tell, "dehb", num_fidelities, ask_beside=ask_beside)
