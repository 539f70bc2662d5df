"""PASHA: ASHA that trains for longer only while rankings still change."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import split
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, nothing_pending, usable_score
from jnas.searchers._checks import check_budgets, check_eta
from jnas.searchers._recorded import recorded
from jnas.searchers.asynchronous._rungs import Rungs, next_evaluation, no_rungs, promotion, with_evaluation


class PashaState(NamedTuple):
    """What PASHA needs for its next step."""

    key: Key  # []
    rungs: Rungs
    highest: Array  # [] int32, the highest fidelity that is in use
    epsilon: Array  # [] float32, differences of scores that say nothing


@recorded
def pasha(space: Space, *, budgets: Sequence[float], eta: float = 3, percentile: float = 90) -> Searcher:
    """Returns PASHA: progressive ASHA, which begins with two rungs and adds one when rankings are not stable.

    As an architecture ends in the highest rung in use, those that are there are ranked by their scores there and by
    those in the rung below. If at some place of the two rankings stand architectures whose scores in the highest rung
    differ by more than `epsilon`, the next rung is put to use. The search itself never ends by that: give it a budget.

    `epsilon` is taken from curves that cross: pairs of architectures in the highest rung of which first one is better,
    then the other, then the first again (at the fidelities of the search) are taken for equally good, and `epsilon` is
    the percentile of their differences in the highest rung. It is 0 before there are such pairs.

    Args:
      space: The search space.
      budgets: The fidelities in ascending order, as in `asha`.
      eta: One in `eta` goes on.
      percentile: Which percentile of the differences, from 0 to 100.

    Returns:
      A searcher as that of `asha`; with one or two budgets it is ASHA.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: `budgets` is empty or not ascending, or another argument is out of range.

    References:
      "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", Bohdal et al., ICLR 2023, Section 4 and
      Algorithm 1 (eta 3; the noise of rankings with percentile 90).

    Example:
      >>> jnas.searchers.pasha(jnas.spaces.categorical((3, 3, 3)), budgets=(1, 3, 9, 27)).num_fidelities
      4
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile is {percentile}, expected 0 to 100")
    num_fidelities = len(budgets)

    def init(key: Key, capacity: int) -> PashaState:
        rungs = no_rungs(capacity, space.num_decisions, num_fidelities)
        return PashaState(key, rungs, jnp.int32(min(1, num_fidelities - 1)), jnp.float32(0))

    def ask(state: PashaState) -> tuple[Proposal, PashaState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: PashaState, pending: Proposal) -> tuple[Proposal, PashaState]:
        key, sample_key = split(state.key)
        number, exists = promotion(state.rungs, pending, 0, state.highest, eta)
        proposal = next_evaluation(state.rungs, number, exists, space.sample(sample_key), 0)
        return proposal, state._replace(key=key)

    def tell(state: PashaState, proposal: Proposal, evaluation: Evaluation) -> PashaState:
        rungs, _ = with_evaluation(state.rungs, proposal, usable_score(evaluation)[0])
        state = state._replace(rungs=rungs)
        if num_fidelities <= 2:
            return state
        new = proposal.valid[0] & (proposal.fidelity[0] == state.highest)
        scores, there = _at_top(rungs, state.highest, eta)
        epsilon = jnp.where(
            new, noise_of_ranking(scores, there, state.highest, percentile, state.epsilon), state.epsilon
        )
        stable = is_ranking_stable(scores, there, state.highest, epsilon)
        grows = new & ~stable & (state.highest < num_fidelities - 1)
        return PashaState(state.key, rungs, state.highest + grows, epsilon)

    return Searcher(init, ask, tell, "pasha", num_fidelities, ask_beside=ask_beside)


def _at_top(rungs: Rungs, highest: Array, eta: float) -> tuple[Array, Array]:
    """Returns the scores of those in the highest rung in use that have not failed, and which places are in use.

    At most one in `eta` architectures comes as far as the second rung.

    Returns:
      `(scores float32 [F, M], there bool [M])`.
    """
    capacity = rungs.reached.shape[0]
    most = int(capacity / eta + 1e-9) + 1
    failed = jnp.any((jnp.arange(len(rungs.scores))[:, None] <= highest) & (rungs.scores == -jnp.inf), axis=0)
    member = (rungs.reached >= highest) & ~failed
    place = jnp.where(member, jnp.cumsum(member) - 1, most)
    numbers = jnp.full((most,), capacity, jnp.int32).at[place].set(jnp.arange(capacity, dtype=jnp.int32), mode="drop")
    there = numbers < capacity
    return jnp.where(there[None], rungs.scores[:, jnp.minimum(numbers, capacity - 1)], -jnp.inf), there


def is_ranking_stable(scores: Array, there: Array, highest: Array, epsilon: Array) -> Array:
    """Returns whether the ranking of the rung below the highest is one of that in the highest, but for `epsilon`.

    Args:
      scores: float32 `[F, M]`, at each fidelity; minus infinity for who is not there.
      there: bool `[M]`.
      highest: int32 `[]`.
      epsilon: float32 `[]`.
    """
    before = jnp.argsort(-scores[highest - 1], stable=True)
    after = -jnp.sort(-scores[highest])
    differs = jnp.abs(scores[highest][before] - after) > epsilon
    return ~jnp.any(differs & there[before])


def noise_of_ranking(scores: Array, there: Array, highest: Array, percentile: float, otherwise: Array) -> Array:
    """Returns the percentile of the differences in the highest rung of pairs whose curves cross twice.

    Args:
      scores: float32 `[F, M]`, as in `is_ranking_stable`.
      there: bool `[M]`.
      highest: int32 `[]`.
      percentile: From 0 to 100; between two differences it is interpolated.
      otherwise: What comes back where there is no such pair, float32 `[]`.
    """
    one, other = np.triu_indices(there.shape[0], 1)
    leads, turns = jnp.zeros(one.shape, jnp.int32), jnp.zeros(one.shape, jnp.int32)
    for fidelity in range(len(scores)):
        ahead = jnp.sign(scores[fidelity, one] - scores[fidelity, other]).astype(jnp.int32)
        ahead = jnp.where((fidelity <= highest) & there[one] & there[other], ahead, 0)
        turns += (ahead != 0) & (leads != 0) & (ahead != leads)
        leads = jnp.where(ahead != 0, ahead, leads)
    crossing = turns >= 2
    count = jnp.sum(crossing)
    gaps = jnp.sort(jnp.where(crossing, jnp.abs(scores[highest, one] - scores[highest, other]), jnp.inf))
    place = jnp.maximum(count - 1, 0) * jnp.float32(percentile / 100)
    low = jnp.floor(place).astype(jnp.int32)
    below, above = gaps[low], gaps[jnp.minimum(low + 1, jnp.maximum(count - 1, 0))]
    return jnp.where(count > 0, below + (above - below) * (place - low), otherwise)
