"""NSGA-II."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits, split, uniform
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose
from jnas.searchers._checks import check_fraction, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.objectives._ranking import ToldCosts, check_num_objectives, costs_of, crowded_places, no_costs

_MUTATION, _PARENTS, _CROSSES = 2, 4, 1  # words of each child, beside one for each decision


class Nsga2State(NamedTuple):
    """The population, best first: by front, then the less crowded."""

    key: Key  # []
    archs: Array  # [P, E] int32
    costs: ToldCosts  # of P
    num_told: Array  # [] int32


@recorded
def nsga2(
    space: Space,
    *,
    num_objectives: int = 2,
    population_size: int = 50,
    batch_size: int | None = None,
    crossover: float = 0.9,
) -> Searcher:
    """Returns NSGA-II: children of binary tournaments; the best fronts of parents and children survive.

    A child is the uniform crossover of two parents, or a copy of the first, and is mutated once, as the space mutates.
    A crossover that is no architecture of the space is the first parent. Twice as many children are drawn as are
    proposed, and those that are in the population, or were drawn before, come last.

    Args:
      space: The search space.
      num_objectives: `O`: the score and the first `O - 1` columns of `Evaluation.objectives`. Columns behind them are
        violations of constraints: what keeps all of them comes before what does not.
      population_size: `P`. Published: 100; Optuna's default is 50.
      batch_size: Children that are proposed at once; by default `P`, a generation, and 1 for the steady state.
      crossover: How often a child has two parents. Published: 0.9.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range, or evaluations have fewer objectives.

    References:
      "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", Deb et al., 2002 (IEEE TEC 6(2)); for
        architectures, "NSGA-Net", Lu et al., 2019.

    Example:
      >>> space = jnas.spaces.categorical((5, 5, 5))
      >>> searcher = jnas.searchers.nsga2(space, population_size=10)
      >>> def evaluate(keys, proposal):
      ...     total = proposal.archs.sum(axis=1).astype(jnp.float32)  # the score, and its cost
      ...     return jnas.Evaluation(total, jnp.ones_like(total), proposal.valid, objectives=total[:, None])
      >>> objective = jnas.Objective(evaluate, objective_names=("cost",))
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=60))(jax.random.key(0))
      >>> trace.objectives.shape, bool(trace.score.max() > trace.score[:10].max())
      ((60, 1), True)
    """
    batch = population_size if batch_size is None else batch_size
    check_sizes(population_size=population_size, batch_size=batch)
    if population_size > 65_536:
        raise ValueError(f"population_size is {population_size}, expected at most 65536")
    check_fraction("crossover", crossover)
    check_num_objectives(num_objectives)
    num_words = _MUTATION + _PARENTS + _CROSSES + space.num_decisions

    def init(key: Key, capacity: int) -> Nsga2State:
        del capacity
        archs = jnp.zeros((population_size, space.num_decisions), jnp.int32)
        return Nsga2State(key, archs, no_costs(population_size, num_objectives), jnp.int32(0))

    def child(words: Array, state: Nsga2State) -> Array:
        drawn = below(words[_MUTATION : _MUTATION + _PARENTS], jnp.clip(state.num_told, 1, population_size))
        # The population stands in order: of two members the first is the better.
        one, other = state.archs[jnp.minimum(drawn[0], drawn[1])], state.archs[jnp.minimum(drawn[2], drawn[3])]
        rest = words[_MUTATION + _PARENTS :]
        crosses = uniform(rest[0]) < crossover
        mixed = jnp.where(crosses & (rest[1:] >> 31).astype(bool), other, one)
        mixed = jnp.where(space.is_valid(mixed), mixed, one)
        if space.mutate_from is not None:
            return space.mutate_from(words[:_MUTATION], mixed).astype(jnp.int32)
        return space.mutate(jax.random.wrap_key_data(words[:_MUTATION], impl="threefry2x32"), mixed).astype(jnp.int32)

    def ask(state: Nsga2State) -> tuple[Proposal, Nsga2State]:
        key, sample_key, words_key = split(state.key, 3)
        number = state.num_told + np.arange(batch)
        starting = (number < population_size) | (state.num_told == 0)
        drawn = jax.vmap(space.sample)(split(sample_key, batch)).astype(jnp.int32)
        children = jax.vmap(child, (0, None))(bits(words_key, (2 * batch, num_words)), state)
        archs = jnp.where(starting[:, None], drawn, _new_first(children, state.archs)[:batch])
        return propose(archs), state._replace(key=key)

    def tell(state: Nsga2State, proposal: Proposal, evaluation: Evaluation) -> Nsga2State:
        told, unknown = costs_of(evaluation, num_objectives), no_costs(batch, num_objectives)
        accepted = proposal.valid
        told = ToldCosts(
            jnp.where(accepted[:, None], told.values, unknown.values),
            jnp.where(accepted, told.violation, unknown.violation),
        )
        archs = jnp.concatenate([state.archs, proposal.archs])
        costs = ToldCosts(*(jnp.concatenate(pair) for pair in zip(state.costs, told, strict=True)))
        # Rows that were never told stand behind those whose numbers are unusable, for these are members.
        members = jnp.concatenate([np.arange(population_size) < state.num_told, accepted])
        place = _members_first(crowded_places(costs), members)
        kept = (jnp.zeros((population_size, *x.shape[1:]), x.dtype) for x in (archs, *costs))
        survivors = [y.at[place].set(x, mode="drop") for y, x in zip(kept, (archs, *costs), strict=True)]
        after = state._replace(
            archs=survivors[0],
            costs=ToldCosts(*survivors[1:]),
            num_told=state.num_told + jnp.sum(accepted, dtype=jnp.int32),
        )
        some = jnp.any(accepted)
        return Nsga2State(state.key, *jax.tree.map(lambda new, old: jnp.where(some, new, old), after[1:], state[1:]))

    return Searcher(init, ask, tell, "nsga2", num_init=population_size if batch_size == 1 else 0)


def _new_first(children: Array, population: Array) -> Array:
    """Returns children `[M, E]` in order, those behind that are in the population or were drawn before."""
    size = len(children)
    known = jnp.any(jnp.all(children[:, None] == population[None], axis=2), axis=1)
    same = jnp.all(children[:, None] == children[None], axis=2)
    known |= jnp.any(same & (np.arange(size)[None, :] < np.arange(size)[:, None]), axis=1)
    return jnp.zeros_like(children).at[_members_first(np.arange(size, dtype=np.int32), ~known)].set(children)


def _members_first(place: Array | np.ndarray, members: Array) -> Array:
    """Returns places `[N]` in which members come before others, both in the order that they had."""
    place = jnp.asarray(place)
    ahead = (members[None, :] & ~members[:, None]) | (
        (members[None, :] == members[:, None]) & (place[None, :] < place[:, None])
    )
    return jnp.sum(ahead, axis=1, dtype=jnp.int32)
