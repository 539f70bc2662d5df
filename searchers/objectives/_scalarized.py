"""Searchers of one objective for several, and under constraints."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._draws import bits, split, uniform
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, State, usable_score
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_positive
from jnas.searchers._recorded import recorded
from jnas.searchers.objectives._ranking import ToldCosts, check_num_objectives, costs_of, no_costs, violation_of

Handling = Literal["penalty", "death", "filter"]
HANDLINGS: tuple[Handling, ...] = ("penalty", "death", "filter")
"""What a searcher of one objective is told of an architecture that violates a constraint."""


class ScalarizedState(NamedTuple):
    """What the searcher needs, and what all evaluations were."""

    searcher: State
    key: Key  # []
    costs: ToldCosts  # of T, in the order in which they were told
    num_told: Array  # [] int32
    weights: Array  # [O] float32, at least 0, their sum 1


@recorded
def scalarized(searcher: Searcher, *, num_objectives: int = 2, augmentation: float = 0.05) -> Searcher:
    """Returns a search for several objectives by a searcher of one, as ParEGO does it.

    Before each proposal weights are drawn, uniformly among those that sum to 1. A searcher that can (`rescore`:
    searches by predictors such as BANANAS, regularized evolution with aging, local search) has all that it was told
    told again under these weights; others (TPE, REINFORCE, Hyperband) keep the numbers that they were told, each under
    the weights of its time, which is little to learn from: TPE so is no better than random search.
    Their scores are the negative augmented Chebyshev function of the costs, each from 0 to 1 between the least and the
    highest that was seen of what keeps the constraints; what violates them is below all that does not, the lower the
    more.

    Args:
      searcher: Of one objective.
      num_objectives: `O`: the score and the first `O - 1` columns of `Evaluation.objectives`. Columns behind them are
        violations of constraints.
      augmentation: Rho, by which the weighted sum is added to the maximum. Published: 0.05.

    Raises:
      TypeError: `num_objectives` is not a Python int.
      ValueError: An argument is out of range, or evaluations have fewer objectives.

    References:
      Knowles, "ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive Multiobjective
        Optimization Problems", 2006 (IEEE TEC 10(1)), equation 2; there weights come from a lattice.

    Example:
      >>> space = jnas.spaces.categorical((3, 3, 3))
      >>> evolution = jnas.searchers.regularized_evolution(space, population_size=5)
      >>> searcher = jnas.searchers.scalarized(evolution, num_objectives=2)
      >>> searcher.name, float(searcher.init(jax.random.key(0), 10).weights.sum())
      ('regularized_evolution', 1.0)
    """
    check_num_objectives(num_objectives)
    check_positive("augmentation", augmentation)

    def init(key: Key, capacity: int) -> ScalarizedState:
        key, own = split(key)
        even = jnp.full((num_objectives,), 1 / num_objectives, jnp.float32)
        return ScalarizedState(
            searcher.init(key, capacity), own, no_costs(capacity, num_objectives), jnp.int32(0), even
        )

    def redrawn(state: ScalarizedState) -> ScalarizedState:
        key, words_key = split(state.key)
        # Exponential numbers over their sum are uniform on the simplex.
        steps = -jnp.log1p(-uniform(bits(words_key, (num_objectives,)))) + 1e-12
        state = state._replace(key=key, weights=steps / jnp.sum(steps))
        if searcher.rescore is None:
            return state
        scores = _scalars(state.costs, state.costs, state.weights, augmentation)
        return state._replace(searcher=searcher.rescore(state.searcher, scores))

    def ask(state: ScalarizedState) -> tuple[Proposal, ScalarizedState]:
        state = redrawn(state)
        proposal, own = searcher.ask(state.searcher)
        return proposal, state._replace(searcher=own)

    def ask_beside(state: ScalarizedState, pending: Proposal) -> tuple[Proposal, ScalarizedState]:
        assert searcher.ask_beside is not None
        state = redrawn(state)
        proposal, own = searcher.ask_beside(state.searcher, pending)
        return proposal, state._replace(searcher=own)

    def tell(state: ScalarizedState, proposal: Proposal, evaluation: Evaluation) -> ScalarizedState:
        told, accepted = costs_of(evaluation, num_objectives), jnp.asarray(proposal.valid)
        place = jnp.where(accepted, state.num_told + jnp.cumsum(accepted) - 1, len(state.costs.violation))
        costs = ToldCosts(*(x.at[place].set(y, mode="drop") for x, y in zip(state.costs, told, strict=True)))
        score = _scalars(told, costs, state.weights, augmentation)
        usable = jnp.isfinite(score)
        seen = Evaluation(jnp.where(usable, score, jnp.nan), evaluation.seconds, usable)
        return state._replace(
            searcher=searcher.tell(state.searcher, proposal, seen),
            costs=costs,
            num_told=state.num_told + jnp.sum(accepted, dtype=jnp.int32),
        )

    beside = None if searcher.ask_beside is None else ask_beside
    return searcher._replace(init=init, ask=ask, tell=tell, ask_beside=beside, rescore=None)


def _scalars(costs: ToldCosts, known: ToldCosts, weights: Array, augmentation: float) -> Array:
    """Returns scores `[N]` of costs in the range of those that keep the constraints; minus infinity where unusable."""
    usable = jnp.isfinite(known.values) & (known.violation == 0)[:, None]
    low = jnp.min(jnp.where(usable, known.values, jnp.inf), axis=0)
    high = jnp.max(jnp.where(usable, known.values, -jnp.inf), axis=0)
    width = jnp.where(high > low, high - low, 1)
    there = jnp.isfinite(costs.violation)
    share = jnp.where(there[:, None], (costs.values - low[None]) / width[None], 0) * weights[None]
    score = -(jnp.max(share, axis=1) + augmentation * jnp.sum(share, axis=1))
    over = costs.violation / (1 + costs.violation)  # below 1
    score = jnp.where(costs.violation > 0, -(1 + augmentation) - over, score)
    return jnp.where(there, score, -jnp.inf)


@recorded
def constrained(
    searcher: Searcher, *, lowest: float = 0.0, spread: float = 1.0, constraint: Handling = "penalty"
) -> Searcher:
    """Returns a search of one objective under constraints, by any searcher.

    An objective says of what violates a constraint that it is invalid, so that it never wins, and by how much it does
    in the columns of `Evaluation.objectives`. What the searcher learns of it is another question.

    Args:
      searcher: Any, of one objective.
      lowest: At most the worst score that keeps the constraints.
      spread: Positive, how far scores of what violates constraints reach below that: about the range of scores.
      constraint: `'penalty'` tells `lowest - spread * v / (1 + v)` for a violation `v`, so that what violates less is
        better, and worse than all that does not. `'death'` tells that the evaluation is invalid, and no more.
        `'filter'` tells the score as if there were no constraint: a search that knows of none, of which what violates
        them is filtered out afterwards.

    Raises:
      ValueError: An argument is out of range.

    References:
      Deb, "An Efficient Constraint Handling Method for Genetic Algorithms", 2000, Section 3, for `'penalty'`; the
        bounded violation keeps scores in a range that models can be fitted to.

    Example:
      >>> space = jnas.spaces.categorical((3, 3))
      >>> jnas.searchers.constrained(jnas.searchers.local_search(space), lowest=10.0, spread=90.0).name
      'local_search'
    """
    if constraint not in HANDLINGS:
        raise ValueError(not_one_of("constraint", constraint, HANDLINGS))
    check_positive("spread", spread)
    if constraint == "death":
        return searcher

    def tell(state: State, proposal: Proposal, evaluation: Evaluation) -> State:
        return searcher.tell(state, proposal, _told(evaluation, constraint, lowest, spread))

    return searcher._replace(tell=tell if searcher.compiled else _as_arrays(tell))


def _told(evaluation: Evaluation, constraint: Handling, lowest: float, spread: float) -> Evaluation:
    """Returns what a searcher of one objective is told."""
    violation = violation_of(evaluation, 1)
    over = jnp.isfinite(evaluation.score) & jnp.isfinite(violation) & (violation > 0)
    score = usable_score(evaluation._replace(valid=evaluation.valid | over))
    if constraint == "penalty":
        score = jnp.where(over, lowest - spread * violation / (1 + violation), score)
    usable = jnp.isfinite(score)
    return evaluation._replace(score=jnp.where(usable, score, jnp.nan), valid=usable)


def _as_arrays(tell: Callable[..., State]) -> Callable[..., State]:
    """Returns what tells a searcher that is driven from Python, whose evaluations may be NumPy arrays."""

    def told(state: State, proposal: Proposal, evaluation: Evaluation) -> State:
        return tell(state, proposal, jax.tree.map(jnp.asarray, evaluation))

    return told
