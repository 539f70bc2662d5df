"""Successive halving and Hyperband."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jnas.core._draws import split
from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, Space, nothing_pending, usable_score
from jnas.searchers._checks import check_budgets, check_eta, check_positive_int, check_rounding
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._brackets import (
    Brackets,
    BracketState,
    Rounding,
    hyperband_brackets,
    next_proposal,
    record,
    start_brackets,
    successive_halving_brackets,
)


class HyperbandState(NamedTuple):
    """What successive halving and Hyperband need for their next step."""

    key: Key  # []
    brackets: BracketState


@recorded
def successive_halving(
    space: Space, *, budgets: Sequence[float], eta: float = 3, num_configs: int | None = None
) -> Searcher:
    """Returns successive halving: many architectures at the lowest fidelity, the best of them at the next, and so on.

    Args:
      space: The search space.
      budgets: The fidelities in ascending order, for example epochs `(4, 12, 36, 108)`; proposals carry their indices,
        so the objective's `fidelities` are the same tuple. `geometric_budgets` makes such a tuple.
      eta: One in `eta` architectures goes on to the next fidelity.
      num_configs: Architectures at the lowest fidelity; by default `eta ** (len(budgets) - 1)`, which leaves one at the
        highest. When a bracket is through, the next begins with new ones.

    Returns:
      A searcher that proposes one architecture at a time, new ones uniformly; a promoted one resumes the training of
      its first evaluation. Those whose score is NaN or invalid are not promoted.

    Raises:
      TypeError: `budgets` is not a sequence, or `num_configs` is not a Python int.
      ValueError: `budgets` is empty or not ascending, or another argument is out of range.

    References:
      "Non-stochastic Best Arm Identification and Hyperparameter Optimization", Jamieson and Talwalkar, 2016.

    Example:
      >>> searcher = jnas.searchers.successive_halving(jnas.spaces.categorical((3, 3, 3)), budgets=(4, 12, 36))
      >>> objective = jnas.function_objective(lambda key, arch, epochs: arch.sum() * epochs, fidelities=(4, 12, 36))
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=13))(jax.random.key(0))
      >>> jnp.bincount(trace.fidelity).tolist()  # a third goes on
      [9, 3, 1]
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    if num_configs is None:
        num_configs = math.floor(eta ** (len(budgets) - 1) + 1e-9)
    check_positive_int("num_configs", num_configs)
    brackets = successive_halving_brackets(len(budgets), eta, num_configs)
    return _random_brackets(space, brackets, len(budgets), "successive_halving")


@recorded
def hyperband(space: Space, *, budgets: Sequence[float], eta: float = 3, rounding: Rounding = "floor") -> Searcher:
    """Returns Hyperband: brackets of successive halving that start at different fidelities, in a cycle.

    Args:
      space: The search space.
      budgets: The fidelities in ascending order, as in `successive_halving`.
      eta: One in `eta` architectures goes on to the next fidelity.
      rounding: With `S` fidelities, the bracket of `s + 1` rungs starts with `floor(S / (s + 1)) * eta**s`
        architectures by `'floor'` (the table of the first paper, and HpBandSter), with `ceil(S / (s + 1) * eta**s)`
        by `'ceil'` (Algorithm 1 of the journal version).

    Returns:
      A searcher as that of `successive_halving`; with a single budget it is random search.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: `budgets` is empty or not ascending, or another argument is out of range.

    References:
      "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", Li et al., ICLR 2017 (Table 1) and
        JMLR 2018 (Algorithm 1).

    Example:
      >>> searcher = jnas.searchers.hyperband(jnas.spaces.categorical((3, 3, 3)), budgets=(4, 12, 36))
      >>> objective = jnas.function_objective(lambda key, arch, epochs: arch.sum() * epochs, fidelities=(4, 12, 36))
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=20))(jax.random.key(0))
      >>> jnp.bincount(trace.fidelity).tolist()  # brackets of 9 + 3 + 1, 3 + 1 and 3 architectures
      [9, 6, 5]
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    check_rounding(rounding)
    return _random_brackets(space, hyperband_brackets(len(budgets), eta, rounding), len(budgets), "hyperband")


def geometric_budgets(min_budget: float, max_budget: float, eta: float = 3) -> tuple[float, ...]:
    """Returns the fidelities `max_budget / eta**i` that are not below `min_budget`, ascending.

    Args:
      min_budget: Positive.
      max_budget: At least `min_budget`; always the last of the tuple.
      eta: More than 1.

    Raises:
      ValueError: An argument is out of range.

    References:
      "BOHB" (Falkner, Klein and Hutter, 2018) as its library HpBandSter computes them.

    Example:
      >>> geometric_budgets(4, 108)
      (4.0, 12.0, 36.0, 108.0)
    """
    check_eta(eta)
    if not 0 < min_budget <= max_budget:
        raise ValueError(f"min_budget is {min_budget} and max_budget is {max_budget}, expected 0 < min <= max")
    steps = math.floor(math.log(max_budget / min_budget) / math.log(eta) + 1e-9)
    return tuple(max_budget / eta**i for i in reversed(range(steps + 1)))


def _random_brackets(space: Space, brackets: Brackets, num_fidelities: int, name: str) -> Searcher:
    """Returns the searcher that fills brackets with uniform samples."""

    def init(key: Key, capacity: int) -> HyperbandState:
        return HyperbandState(key, start_brackets(brackets, capacity, space.num_decisions))

    def ask(state: HyperbandState) -> tuple[Proposal, HyperbandState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: HyperbandState, pending: Proposal) -> tuple[Proposal, HyperbandState]:
        key, sample_key = split(state.key)
        proposal = next_proposal(brackets, num_fidelities, state.brackets, pending, space.sample(sample_key))
        return proposal, state._replace(key=key)

    def tell(state: HyperbandState, proposal: Proposal, evaluation: Evaluation) -> HyperbandState:
        score = usable_score(evaluation)[0]
        return state._replace(brackets=record(brackets, state.brackets, proposal, score))

    return Searcher(init, ask, tell, name, num_fidelities, ask_beside=ask_beside)
