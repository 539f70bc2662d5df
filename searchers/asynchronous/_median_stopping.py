"""The median stopping rule on learning curves."""

from collections.abc import Sequence

import jax.numpy as jnp

from jnas.core._vocabulary import Array, Searcher, Space
from jnas.searchers._checks import check_budgets
from jnas.searchers._recorded import recorded
from jnas.searchers.asynchronous._asha import stopping_search
from jnas.searchers.asynchronous._rungs import Rungs


@recorded
def median_stopping(space: Space, *, budgets: Sequence[float]) -> Searcher:
    """Returns random search whose trainings are stopped by the median stopping rule.

    A training is stopped at a point of its curve if its best score up to there is strictly worse than the median, over
    the other trainings that have ended and have come that far, of the mean of their scores up to there. Trainings have
    ended that were stopped or have reached the last point; where there are none, a training goes on.

    Args:
      space: The search space.
      budgets: The points of the curve in ascending order, for example `(1, 2, 4, 8)` epochs.

    Returns:
      A searcher with `ask_beside`; with a single budget it is random search. A training that has failed is stopped.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: `budgets` is empty or not ascending.

    References:
      "Google Vizier: A Service for Black-Box Optimization", Golovin et al., KDD 2017, Section 3.2.2.
    """
    budgets = check_budgets(budgets)
    return stopping_search(space, len(budgets), stays_above_median, "median_stopping")


def stays_above_median(rungs: Rungs, number: Array, fidelity: Array) -> Array:
    """Returns whether a training's best score is not below the median of the means of those that have ended."""
    num_fidelities, capacity = rungs.scores.shape
    so_far = (jnp.arange(num_fidelities) <= fidelity)[:, None]
    known = jnp.where(so_far & (rungs.scores > -jnp.inf), rungs.scores, 0)
    means = jnp.sum(known, axis=0) / (fidelity + 1)
    best = jnp.max(jnp.where(so_far[:, 0], rungs.scores[:, number], -jnp.inf))
    ended = (rungs.reached >= fidelity) & ~rungs.ready & (jnp.arange(capacity) != number)
    ended &= ~jnp.any(so_far & (rungs.scores == -jnp.inf), axis=0)  # failures have no mean
    return (rungs.scores[fidelity, number] > -jnp.inf) & ~is_below_median(best, means, ended)


def is_below_median(value: Array, numbers: Array, among: Array) -> Array:
    """Returns whether a value is below the median of some numbers, without sorting them; it is not below that of none.

    Args:
      value: `[]`.
      numbers: `[N]`.
      among: bool `[N]`, which count.
    """
    count = jnp.sum(among)
    above = among & (numbers > value)
    num_above = jnp.sum(above)
    # Of an even number the median is between the two in the middle; it matters where one is above and one is not.
    upper = jnp.min(jnp.where(above, numbers, jnp.inf))
    lower = jnp.max(jnp.where(among & ~above, numbers, -jnp.inf))
    between = value < lower / 2 + upper / 2
    return (2 * num_above > count) | ((2 * num_above == count) & (count > 0) & between)
