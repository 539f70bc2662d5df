"""ASHA: successive halving without waiting for a rung to be full."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from jnas.core._draws import split
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, nothing_pending, usable_score
from jnas.searchers._checks import check_budgets, check_eta
from jnas.searchers._recorded import recorded
from jnas.searchers.asynchronous._rungs import (
    Rungs,
    at_work,
    next_evaluation,
    no_rungs,
    promotion,
    stays_in_best,
    with_evaluation,
    with_ready,
)

AshaForm = Literal["promotion", "stopping"]
"""Whether the best are promoted as rungs fill, or whoever falls behind is stopped."""

Stays = Callable[[Rungs, Array, Array], Array]
"""`stays(rungs, number, fidelity) -> bool []`: whether a training that has just reached a fidelity goes on."""


class AshaState(NamedTuple):
    """What ASHA needs for its next step."""

    key: Key  # []
    rungs: Rungs


@recorded
def asha(space: Space, *, budgets: Sequence[float], eta: float = 4, form: AshaForm = "promotion") -> Searcher:
    """Returns ASHA: asynchronous successive halving, for several workers.

    A free worker promotes the best architecture that is among the best `1 / eta` of its rung and has not gone on, from
    the highest rung down; where there is none, it begins a uniform sample at the lowest fidelity. Nobody waits, so that
    some are promoted that would not be, once the rung is full.

    The form `'stopping'` decides once, when a training reaches a rung: it goes on if it is among the best `1 / eta` of
    those that have reached the rung so far, itself included, or if these are fewer than `eta`; otherwise it is stopped
    for good.

    Args:
      space: The search space.
      budgets: The fidelities in ascending order, for example epochs `(4, 12, 36)`; proposals carry their indices.
      eta: One in `eta` goes on. The paper's experiments have 4; Hyperband's and BOHB's have 3.
      form: `'promotion'` or `'stopping'`.

    Returns:
      A searcher with `ask_beside`; with a single budget it is random search. A training that goes on resumes its first
      evaluation. An evaluation that is NaN or invalid counts as a member of its rung and never goes on.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: `budgets` is empty or not ascending, or another argument is out of range.

    References:
      "A System for Massively Parallel Hyperparameter Tuning", Li et al., MLSys 2020, Section 3.2, Algorithm 2 (the
      minimum early-stopping rate `s` is 0). The stopping form: "Model-based Asynchronous Hyperparameter and Neural
      Architecture Search", Klein et al., 2020, Section 2.

    Example:
      >>> searcher = jnas.searchers.asha(jnas.spaces.categorical((3, 3, 3)), budgets=(4, 12, 36), eta=3)
      >>> objective = jnas.function_objective(lambda key, arch, epochs: arch.sum() * epochs, fidelities=(4, 12, 36))
      >>> run = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=20, workers=4))
      >>> jnp.bincount(run(jax.random.key(0)).fidelity).tolist()
      [14, 5, 1]
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    if form not in ("promotion", "stopping"):
        raise ValueError(f"form is {form!r}, expected 'promotion' or 'stopping'")
    if form == "stopping":
        stays = lambda rungs, number, fidelity: stays_in_best(rungs, number, fidelity, eta)  # noqa: E731
        return stopping_search(space, len(budgets), stays, "asha_stopping")

    def ask(state: AshaState) -> tuple[Proposal, AshaState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: AshaState, pending: Proposal) -> tuple[Proposal, AshaState]:
        key, sample_key = split(state.key)
        number, exists = promotion(state.rungs, pending, 0, len(budgets), eta)
        proposal = next_evaluation(state.rungs, number, exists, space.sample(sample_key), 0)
        return proposal, state._replace(key=key)

    def tell(state: AshaState, proposal: Proposal, evaluation: Evaluation) -> AshaState:
        return state._replace(rungs=with_evaluation(state.rungs, proposal, usable_score(evaluation)[0])[0])

    return Searcher(start_asha(space, len(budgets)), ask, tell, "asha", len(budgets), ask_beside=ask_beside)


def start_asha(space: Space, num_fidelities: int) -> Any:
    """Returns the `init` of a searcher whose state is that of ASHA."""

    def init(key: Key, capacity: int) -> AshaState:
        return AshaState(key, no_rungs(capacity, space.num_decisions, num_fidelities))

    return init


def stopping_search(space: Space, num_fidelities: int, stays: Stays, name: str) -> Searcher:
    """Returns the searcher that begins uniform samples and trains each on until it does not stay."""

    def ask(state: AshaState) -> tuple[Proposal, AshaState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: AshaState, pending: Proposal) -> tuple[Proposal, AshaState]:
        key, sample_key = split(state.key)
        ready = state.rungs.ready & ~at_work(state.rungs, pending)
        number = jnp.argmax(ready).astype(jnp.int32)
        proposal = next_evaluation(state.rungs, number, jnp.any(ready), space.sample(sample_key), 0)
        return proposal, state._replace(key=key)

    def tell(state: AshaState, proposal: Proposal, evaluation: Evaluation) -> AshaState:
        rungs, number = with_evaluation(state.rungs, proposal, usable_score(evaluation)[0])
        return state._replace(rungs=with_ready(rungs, proposal, number, stays(rungs, number, proposal.fidelity[0])))

    return Searcher(start_asha(space, num_fidelities), ask, tell, name, num_fidelities, ask_beside=ask_beside)
