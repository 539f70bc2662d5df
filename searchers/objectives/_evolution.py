"""Regularized evolution for several objectives."""

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
)
from jnas.searchers._checks import check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.objectives._ranking import ToldCosts, beats_each, check_num_objectives, costs_of, no_costs


class MultiObjectiveEvolutionState(NamedTuple):
    """The population, and how many architectures have joined it."""

    key: Key  # []
    archs: Array  # [P, E] int32; before its turn, a slot holds the random architecture that will be proposed for it
    costs: ToldCosts  # of P
    num_told: Array  # [] int32, evaluations told so far


@recorded
def multi_objective_evolution(
    space: Space, *, num_objectives: int = 2, population_size: int = 100, sample_size: int = 10
) -> Searcher:
    """Returns regularized evolution for several objectives: mutate what nothing in a sample dominates.

    As `regularized_evolution`, but the parent is one of the members of the sample that no other dominates, each of
    them as likely; the newcomer displaces the oldest. With one objective it is regularized evolution.

    Args:
      space: The search space.
      num_objectives: `O`: the score and the first `O - 1` columns of `Evaluation.objectives`. Columns behind them are
        violations of constraints: what keeps all of them comes before what does not.
      population_size: `P`, at most 65,536.
      sample_size: Architectures drawn for a tournament, with replacement.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range, or evaluations have fewer objectives.

    References:
      "Regularized Evolution for Image Classifier Architecture Search", Real et al., 2019, Algorithm 1; tournaments by
        dominance: Horn, Nafpliotis and Goldberg, "A Niched Pareto Genetic Algorithm", 1994, without niches.

    Example:
      >>> searcher = jnas.searchers.multi_objective_evolution(jnas.spaces.categorical((3, 3)), population_size=4)
      >>> proposal, state = searcher.ask(searcher.init(jax.random.key(0), 10))
      >>> proposal.archs.shape, state.costs.values.shape
      ((1, 2), (4, 2))
    """
    check_sizes(population_size=population_size, sample_size=sample_size)
    if population_size > 65_536:
        raise ValueError(f"population_size is {population_size}, expected at most 65536")
    check_num_objectives(num_objectives)

    def init(key: Key, capacity: int) -> MultiObjectiveEvolutionState:
        del capacity
        key, sample_key = split(key)
        archs = jax.vmap(space.sample)(split(sample_key, population_size)).astype(jnp.int32)
        return MultiObjectiveEvolutionState(key, archs, no_costs(population_size, num_objectives), jnp.int32(0))

    def mutate(words: Array, arch: Array) -> Array:
        if space.mutate_from is not None:
            return space.mutate_from(words, arch)
        return space.mutate(jax.random.wrap_key_data(words, impl="threefry2x32"), arch)

    def ask(state: MultiObjectiveEvolutionState) -> tuple[Proposal, MultiObjectiveEvolutionState]:
        return ask_beside(state, nothing_pending(space.num_decisions))

    def ask_beside(
        state: MultiObjectiveEvolutionState, pending: Proposal
    ) -> tuple[Proposal, MultiObjectiveEvolutionState]:
        key, words = draw_words(state.key, sample_size + 2)
        number = num_asked(state.num_told, pending)
        starting = number < population_size
        drawn = below(words[2:], jnp.clip(state.num_told, 1, population_size))
        costs = jax.tree.map(lambda x: x[drawn], state.costs)
        # Members are drawn in random order, so that the first that nothing dominates is any of them.
        parent = drawn[jnp.argmax(~jnp.any(beats_each(costs), axis=0))]
        member = state.archs[jnp.where(starting, number, parent)]
        return propose(jnp.where(starting, member, mutate(words[:2], member))[None]), state._replace(key=key)

    def tell(
        state: MultiObjectiveEvolutionState, proposal: Proposal, evaluation: Evaluation
    ) -> MultiObjectiveEvolutionState:
        told, costs = proposal.valid[0], costs_of(evaluation, num_objectives)
        here = told & (jnp.arange(population_size) == state.num_told % population_size)
        return state._replace(
            archs=jnp.where(here[:, None], proposal.archs[0][None], state.archs),
            costs=ToldCosts(
                jnp.where(here[:, None], costs.values[0][None], state.costs.values),
                jnp.where(here, costs.violation[0], state.costs.violation),
            ),
            num_told=state.num_told + told,
        )

    return Searcher(init, ask, tell, "multi_objective_evolution", num_init=population_size, ask_beside=ask_beside)
