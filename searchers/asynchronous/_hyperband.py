"""Asynchronous Hyperband, and BOHB as its samples come from a density model."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import bits, split, uniform
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, nothing_pending, usable_score
from jnas.searchers._checks import check_budgets, check_eta
from jnas.searchers._recorded import recorded
from jnas.searchers.asynchronous._asha import AshaState, start_asha
from jnas.searchers.asynchronous._rungs import Rungs, next_evaluation, no_rungs, promotion, with_evaluation
from jnas.searchers.black_box._bohb import density_sampler
from jnas.searchers.black_box._brackets import hyperband_brackets
from jnas.searchers.black_box._density import Observations, no_observations, observe


class AsynchronousBohbState(NamedTuple):
    """What asynchronous BOHB needs for its next step."""

    key: Key  # []
    rungs: Rungs
    observations: Observations


@recorded
def asynchronous_hyperband(space: Space, *, budgets: Sequence[float], eta: float = 3) -> Searcher:
    """Returns asynchronous Hyperband: brackets of ASHA that begin at different fidelities, side by side.

    A free worker draws a bracket, each with the probability that a new architecture of Hyperband is in it, and does
    there what ASHA does: it promotes, or begins a uniform sample at the bracket's first fidelity. Each bracket has
    rungs of its own.

    Args:
      space: The search space.
      budgets: The fidelities in ascending order, as in `asha`.
      eta: One in `eta` goes on.

    Returns:
      A searcher as that of `asha`.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: `budgets` is empty or not ascending, or another argument is out of range.

    References:
      "A System for Massively Parallel Hyperparameter Tuning", Li et al., MLSys 2020, Section 3.2 (several brackets of
      ASHA); the draws of "Model-based Asynchronous Hyperparameter and Neural Architecture Search", Klein et al., 2020,
      Section 3, in proportion to the first rungs of Hyperband's brackets.

    Example:
      >>> searcher = jnas.searchers.asynchronous_hyperband(jnas.spaces.categorical((3, 3, 3)), budgets=(4, 12, 36))
      >>> searcher.num_fidelities
      3
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    num_fidelities = len(budgets)
    draw_bracket = bracket_drawer(num_fidelities, eta)

    def ask(state: AshaState) -> tuple[Proposal, AshaState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: AshaState, pending: Proposal) -> tuple[Proposal, AshaState]:
        key, sample_key, bracket_key = split(state.key, 3)
        first = draw_bracket(bits(bracket_key))
        number, exists = promotion(state.rungs, pending, first, num_fidelities, eta)
        proposal = next_evaluation(state.rungs, number, exists, space.sample(sample_key), first)
        return proposal, state._replace(key=key)

    def tell(state: AshaState, proposal: Proposal, evaluation: Evaluation) -> AshaState:
        return state._replace(rungs=with_evaluation(state.rungs, proposal, usable_score(evaluation)[0])[0])

    init = start_asha(space, num_fidelities)
    return Searcher(init, ask, tell, "asynchronous_hyperband", num_fidelities, ask_beside=ask_beside)


def bracket_drawer(num_fidelities: int, eta: float) -> Callable[[Array], Array]:
    """Returns what draws a bracket, named by its first fidelity, from a random word uint32 `[]`.

    Brackets are as likely as they begin architectures in Hyperband.
    """
    sizes = [rungs[0] for rungs in hyperband_brackets(num_fidelities, eta, "ceil")]
    below = np.cumsum(sizes, dtype=np.float64)[:-1] / sum(sizes)

    def draw(word: Array) -> Array:
        return jnp.sum(uniform(word) >= jnp.asarray(below, jnp.float32), dtype=jnp.int32)

    return draw


@recorded
def asynchronous_bohb(
    space: Space,
    *,
    budgets: Sequence[float],
    eta: float = 3,
    num_samples: int = 64,
    random_fraction: Any = 1 / 3,
    top_fraction: float = 0.15,
    min_bandwidth: Any = 0.3,
    min_points: int | None = None,
) -> Searcher:
    """Returns asynchronous BOHB: `asynchronous_hyperband` whose new architectures come from the model of `bohb`.

    The model is of what has been told; what workers are at does not count.

    Args:
      space: The search space; densities are over its encoded decisions.
      budgets: The fidelities in ascending order, as in `asha`.
      eta: One in `eta` goes on.
      num_samples: As in `bohb`.
      random_fraction: As in `bohb`.
      top_fraction: As in `bohb`.
      min_bandwidth: As in `bohb`.
      min_points: As in `bohb`.

    Returns:
      A searcher as that of `asha`.

    Raises:
      TypeError: `budgets` is not a sequence, or a size is not a Python int.
      ValueError: An argument is out of range.

    References:
      The model: "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", Falkner, Klein and Hutter, 2018,
      Section 4; its asynchronous form: Klein et al., 2020, as in `asynchronous_hyperband`, which compares with it.
    """
    budgets = check_budgets(budgets)
    check_eta(eta)
    num_fidelities = len(budgets)
    draw_bracket = bracket_drawer(num_fidelities, eta)
    new_from_model = density_sampler(
        space,
        num_fidelities,
        num_samples=num_samples,
        random_fraction=random_fraction,
        top_fraction=top_fraction,
        min_bandwidth=min_bandwidth,
        min_points=min_points,
    )

    def init(key: Key, capacity: int) -> AsynchronousBohbState:
        return AsynchronousBohbState(
            key=key,
            rungs=no_rungs(capacity, space.num_decisions, num_fidelities),
            observations=no_observations(capacity, space.num_decisions),
        )

    def ask(state: AsynchronousBohbState) -> tuple[Proposal, AsynchronousBohbState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(state: AsynchronousBohbState, pending: Proposal) -> tuple[Proposal, AsynchronousBohbState]:
        key, sample_key, model_key, bracket_key = split(state.key, 4)
        first = draw_bracket(bits(bracket_key))
        number, exists = promotion(state.rungs, pending, first, num_fidelities, eta)
        new = new_from_model(sample_key, model_key, state.observations)
        proposal = next_evaluation(state.rungs, number, exists, new, first)
        return proposal, state._replace(key=key)

    def tell(state: AsynchronousBohbState, proposal: Proposal, evaluation: Evaluation) -> AsynchronousBohbState:
        score = usable_score(evaluation)[0]
        arch, fidelity, told = proposal.archs[0], proposal.fidelity[0], proposal.valid[0]
        return state._replace(
            rungs=with_evaluation(state.rungs, proposal, score)[0],
            observations=observe(state.observations, arch, fidelity, score, told),
        )

    return Searcher(init, ask, tell, "asynchronous_bohb", num_fidelities, ask_beside=ask_beside)
