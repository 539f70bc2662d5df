"""What searchers for several objectives share: costs under constraints, who dominates whom, ranks and crowding."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Evaluation
from jnas.searchers._checks import check_positive_int
from jnas.statistics._fronts import dominates


class ToldCosts(NamedTuple):
    """What `N` architectures cost, all minimised."""

    values: Array  # [N, O] float32: the negative score, then the further objectives; infinite where unusable
    violation: Array  # [N] float32: 0 where all constraints hold, infinite where unusable


def check_num_objectives(num_objectives: int) -> None:
    """Raises TypeError or ValueError unless it is a number of objectives."""
    check_positive_int("num_objectives", num_objectives)


def no_costs(size: int, num_objectives: int) -> ToldCosts:
    """Returns those of `size` architectures that are not known yet."""
    return ToldCosts(jnp.full((size, num_objectives), jnp.inf, jnp.float32), jnp.full((size,), jnp.inf, jnp.float32))


def violation_of(evaluation: Evaluation, num_objectives: int) -> Array:
    """Returns by how much each row `[B]` of an evaluation violates constraints: what stands behind the objectives."""
    if evaluation.objectives is None:
        return jnp.zeros_like(evaluation.score)
    return jnp.sum(jnp.maximum(evaluation.objectives[:, num_objectives - 1 :], 0.0), axis=1)


def costs_of(evaluation: Evaluation, num_objectives: int) -> ToldCosts:
    """Returns what was evaluated as costs.

    An architecture that only violates constraints is an invalid evaluation with a finite score: it is usable, but
    behind all that do not.

    Args:
      evaluation: Of `B` rows; the columns of `objectives` behind the first `num_objectives - 1` are violations.
      num_objectives: `O`, the score among them.

    Raises:
      ValueError: The evaluation has fewer objectives.
    """
    given = 1 if evaluation.objectives is None else 1 + evaluation.objectives.shape[1]
    if given < num_objectives:
        raise ValueError(
            f"the searcher was made for {num_objectives} objectives, and evaluations have {given}; make it with "
            f"num_objectives={given}, or give the objective further columns (Table.objective(objectives=...))"
        )
    values = -jnp.asarray(evaluation.score, jnp.float32)[:, None]
    if num_objectives > 1:
        assert evaluation.objectives is not None
        values = jnp.concatenate([values, evaluation.objectives[:, : num_objectives - 1]], axis=1)
    violation = violation_of(evaluation, num_objectives)
    usable = jnp.all(jnp.isfinite(values), axis=1) & jnp.isfinite(violation) & (evaluation.valid | (violation > 0))
    return ToldCosts(jnp.where(usable[:, None], values, jnp.inf), jnp.where(usable, violation, jnp.inf))


def beats(a: ToldCosts, b: ToldCosts) -> Array:
    """Returns whether costs dominate others under constraints; shapes broadcast.

    References:
      Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002, Definition 1: what keeps the
      constraints comes before what does not, and among the latter what violates them less.
    """
    both = (a.violation == 0) & (b.violation == 0)
    return jnp.where(both, dominates(a.values, b.values), a.violation < b.violation)


def beats_each(costs: ToldCosts) -> Array:
    """Returns bool `[N, N]`, whether the row's costs dominate the column's."""
    over, under = (jax.tree.map(lambda x, axis=axis: jnp.expand_dims(x, axis), costs) for axis in (1, 0))
    return beats(ToldCosts(*over), ToldCosts(*under))


def front_ranks(costs: ToldCosts) -> Array:
    """Returns the front `[N]` int32 on which each stands: 0 for what nothing dominates, then without those, and so on.

    References:
      The same, Section III-A, by peeling.
    """
    over = beats_each(costs)

    def peel(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        ranks, left, front = carry
        free = left & ~jnp.any(over & left[:, None], axis=0)
        return jnp.where(free, front, ranks), left & ~free, front + 1

    size = costs.violation.shape[0]
    start = (jnp.zeros((size,), jnp.int32), jnp.ones((size,), bool), jnp.int32(0))
    ranks: Array = jax.lax.while_loop(lambda carry: ~all_lanes(~jnp.any(carry[1])), peel, start)[0]
    return ranks


def crowding(costs: ToldCosts, ranks: Array) -> Array:
    """Returns crowding distances `[N]` within each front: infinite at the ends of an objective.

    References:
      The same, Section III-B. Of equal values the earlier row counts as the lower.
    """
    same = ranks[:, None] == ranks[None, :]
    earlier = np.arange(len(ranks))[None, :] < np.arange(len(ranks))[:, None]  # the column before the row
    total = jnp.zeros(ranks.shape, jnp.float32)
    for column in range(costs.values.shape[1]):
        value = costs.values[:, column]
        mine, other = value[:, None], value[None, :]
        before = same & ((other < mine) | ((other == mine) & earlier))
        after = same & ((other > mine) | ((other == mine) & earlier.T))
        low = jnp.max(jnp.where(before, other, -jnp.inf), axis=1)
        high = jnp.min(jnp.where(after, other, jnp.inf), axis=1)
        ends = [jnp.where(same, other, fill) for fill in (-jnp.inf, jnp.inf)]
        width = jnp.max(ends[0], axis=1) - jnp.min(ends[1], axis=1)
        gap = jnp.where(width > 0, (high - low) / jnp.where(width > 0, width, 1), 0)
        total += jnp.where(jnp.isfinite(low) & jnp.isfinite(high), gap, jnp.inf)
    return total


def crowded_places(costs: ToldCosts) -> Array:
    """Returns the place `[N]` int32 of each in NSGA-II's order: by front, then the less crowded, then the earlier.

    Counted, not sorted: of so few numbers a sort takes longer in a program of many lanes.
    """
    ranks = front_ranks(costs)
    room = crowding(costs, ranks)
    sooner = (ranks[None, :] < ranks[:, None]) | (
        (ranks[None, :] == ranks[:, None])
        & (
            (room[None, :] > room[:, None])
            | ((room[None, :] == room[:, None]) & (np.arange(len(ranks))[None, :] < np.arange(len(ranks))[:, None]))
        )
    )
    return jnp.sum(sooner, axis=1, dtype=jnp.int32)
