"""Pareto local search."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import bits, split
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose
from jnas.searchers._checks import check_positive_int
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._history import seen_before
from jnas.searchers.objectives._ranking import ToldCosts, beats, check_num_objectives, costs_of, no_costs

_DRAWS = 8  # random architectures looked at for each that is drawn; the first that is new is taken


class ParetoLocalSearchState(NamedTuple):
    """Evaluations in the order in which they were made."""

    key: Key  # []
    archs: Array  # [T, E] int32
    costs: ToldCosts  # of T
    fingerprints: Array  # [T, 2] uint32
    front: Array  # [T] bool, nothing that was evaluated dominates it
    done: Array  # [T] bool, all its neighbours have been evaluated
    num_told: Array  # [] int32


class _Look(NamedTuple):
    """Where it looks for a neighbour."""

    done: Array  # [T] bool
    neighbors: Array  # [N, E] int32
    open: Array  # [N] bool, not evaluated yet
    left: Array  # [] bool, whether a neighbourhood is left to look at


@recorded
def pareto_local_search(space: Space, *, num_objectives: int = 2, num_init: int = 10) -> Searcher:
    """Returns Pareto local search: neighbours of what nothing dominates, each architecture once.

    After `num_init` random architectures each step takes, at random, one of those evaluated that nothing dominates and
    that has a neighbour yet to be evaluated, and proposes such a neighbour at random. Where all neighbourhoods of the
    front are known it draws a random architecture; where draws give nothing new the run ends.

    Args:
      space: The search space.
      num_objectives: `O`: the score and the first `O - 1` columns of `Evaluation.objectives`. Columns behind them are
        violations of constraints: what keeps all of them comes before what does not.
      num_init: Random architectures to begin with.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range, or evaluations have fewer objectives.

    References:
      Paquete, Chiarandini and Stützle, "Pareto Local Optimum Sets in the Biobjective Traveling Salesman Problem", 2004,
        with one neighbour at a time, as local search for architectures (White et al., 2020) has it.

    Example:
      >>> searcher = jnas.searchers.pareto_local_search(jnas.spaces.categorical((3, 4)), num_init=2)
      >>> proposal, state = searcher.ask(searcher.init(jax.random.key(0), 10))
      >>> proposal.archs.shape, state.front.shape
      ((1, 2), (10,))
    """
    check_positive_int("num_init", num_init)
    check_num_objectives(num_objectives)

    def init(key: Key, capacity: int) -> ParetoLocalSearchState:
        return ParetoLocalSearchState(
            key=key,
            archs=jnp.zeros((capacity, space.num_decisions), jnp.int32),
            costs=no_costs(capacity, num_objectives),
            fingerprints=jnp.zeros((capacity, 2), jnp.uint32),
            front=jnp.zeros((capacity,), bool),
            done=jnp.zeros((capacity,), bool),
            num_told=jnp.int32(0),
        )

    def unseen(state: ParetoLocalSearchState, archs: Array) -> Array:
        return ~seen_before(jax.vmap(space.fingerprint)(archs), state.fingerprints, state.num_told)

    def ask(state: ParetoLocalSearchState) -> tuple[Proposal, ParetoLocalSearchState]:
        key, sample_key, words_key = split(state.key, 3)
        draws = jax.vmap(space.sample)(split(sample_key, _DRAWS)).astype(jnp.int32)
        shape = jax.eval_shape(space.neighbors, draws[0])
        capacity, count = len(state.archs), shape[1].shape[0]
        words = bits(words_key, (capacity + count,)) | np.uint32(1)
        starting = state.num_told < num_init

        def look(found: _Look) -> _Look:
            # One order for all looks of a step: what is done stays out of the next.
            center = jnp.argmax(jnp.where(state.front & ~found.done, words[:capacity], 0))
            left = jnp.any(state.front & ~found.done)
            neighbors, valid = space.neighbors(state.archs[center])
            open_ = valid & unseen(state, neighbors) & left
            here = (np.arange(capacity) == center) & left & ~jnp.any(open_)
            return _Look(found.done | here, neighbors.astype(jnp.int32), open_, left)

        start = _Look(state.done, jnp.zeros(shape[0].shape, jnp.int32), jnp.zeros(shape[1].shape, bool), ~starting)
        found = jax.lax.while_loop(lambda look: look.left & ~jnp.any(look.open), look, start)
        walks = jnp.any(found.open) & ~starting
        new = unseen(state, draws)
        neighbor = found.neighbors[jnp.argmax(jnp.where(found.open, words[capacity:], 0))]
        arch = jnp.where(walks, neighbor, draws[jnp.argmax(new)])
        return propose(arch[None], valid=walks | jnp.any(new)), state._replace(key=key, done=found.done)

    def tell(state: ParetoLocalSearchState, proposal: Proposal, evaluation: Evaluation) -> ParetoLocalSearchState:
        accepted, costs = proposal.valid[0], costs_of(evaluation, num_objectives)
        capacity = len(state.archs)
        row = jnp.where(accepted, state.num_told, capacity)
        # What is unusable is dominated by whatever is not, and stands on no front.
        beaten = jnp.any(state.front & beats(state.costs, costs)) | jnp.isinf(costs.violation[0])
        front = state.front & ~(beats(costs, state.costs) & accepted)
        return state._replace(
            archs=state.archs.at[row].set(proposal.archs[0], mode="drop"),
            costs=ToldCosts(*(x.at[row].set(y[0], mode="drop") for x, y in zip(state.costs, costs, strict=True))),
            fingerprints=state.fingerprints.at[row].set(space.fingerprint(proposal.archs[0]), mode="drop"),
            front=front.at[row].set(~beaten, mode="drop"),
            num_told=state.num_told + accepted,
        )

    return Searcher(init, ask, tell, "pareto_local_search", num_init=num_init)
