"""The Parzen estimators of TPE over categorical decisions, kept up to date evaluation by evaluation.

Two weighted histograms of each decision's choices: of the good observations, and of all others, in which old ones
fade. The fading weights depend on places in time, and these shift whenever an observation becomes good or ceases to
be. All that is asked of them are sums, so that a step takes time in proportion to the decisions and their choices but
not to the observations: see `histograms`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import lanes_last
from jnas.core._once import once
from jnas.core._vocabulary import Array

_BLOCK = 10  # observations that are tallied without a loop, at most


class Past(NamedTuple):
    """What was observed. `G` best ones and `R` recent ones are kept, of all others sums over `K` choices."""

    num_observed: Array  # [] int32
    totals: Array  # [E, K] int32, observations with each choice
    times: Array  # [E, K] uint32, sum of their times (0 is the first), its lower 32 bits
    times_high: Array  # [E, K] uint32, its upper 32 bits
    recent: Array  # [R, E] int32, the last architectures: that of time t in row t % R
    best: Array  # [G, E] int32, the best architectures, in no order
    best_scores: Array  # [G] float32, minus infinity where a row is empty
    best_times: Array  # [G] int32
    best_sums: Array  # [G, E, K] int32, `totals` at that time, less the time at the architecture's own choices


def no_past(num_choices: tuple[int, ...], most_good: int, full_memory: int) -> Past:
    """Returns a past without observations.

    Args:
      num_choices: Number of choices of each decision.
      most_good: `G`, the most observations that count as good.
      full_memory: Number of the latest bad observations that have not begun to fade; `R` is `G` more.
    """
    decisions, choices = len(num_choices), max(num_choices)
    return Past(
        num_observed=jnp.int32(0),
        totals=jnp.zeros((decisions, choices), jnp.int32),
        times=jnp.zeros((decisions, choices), jnp.uint32),
        times_high=jnp.zeros((decisions, choices), jnp.uint32),
        recent=jnp.zeros((most_good + full_memory, decisions), jnp.int32),
        best=jnp.zeros((most_good, decisions), jnp.int32),
        best_scores=jnp.full((most_good,), -jnp.inf, jnp.float32),
        best_times=jnp.zeros((most_good,), jnp.int32),
        best_sums=jnp.zeros((most_good, decisions, choices), jnp.int32),
    )


def remember(past: Past, arch: Array, counts: Array) -> Past:
    """Returns the past with one more observation, which is not yet among the best; unchanged unless `counts`.

    Args:
      past: What was observed.
      arch: int32 `[E]`.
      counts: bool `[]`.
    """
    time = past.num_observed
    chosen = (arch[:, None] == jnp.arange(past.totals.shape[1])[None, :]) & counts
    added = jnp.where(chosen, time.astype(jnp.uint32), jnp.uint32(0))
    times = past.times + added
    row = jnp.where(counts, time % past.recent.shape[0], past.recent.shape[0])
    return past._replace(
        num_observed=time + counts,
        totals=past.totals + chosen,
        times=times,
        times_high=past.times_high + (times < added),
        recent=past.recent.at[row].set(arch, mode="drop"),
    )


def rank_latest(past: Past, arch: Array, score: Array, counts: Array) -> Past:
    """Returns the past with its latest observation among the best, if it is one of them and `counts`.

    Args:
      past: What was observed, from `remember`.
      arch: The latest architecture, int32 `[E]`.
      score: Its score, float32 `[]`; minus infinity for what must never be good.
      counts: bool `[]`.
    """
    time = past.num_observed - 1
    order = jnp.where(past.best_scores == jnp.min(past.best_scores), past.best_times, -1)
    worst = jnp.argmax(order)  # of equal ones the latest
    row = jnp.where(counts & (score > past.best_scores[worst]), worst, past.best_scores.shape[0])
    chosen = arch[:, None] == jnp.arange(past.totals.shape[1])[None, :]
    return past._replace(
        best=past.best.at[row].set(arch, mode="drop"),
        best_scores=past.best_scores.at[row].set(score, mode="drop"),
        best_times=past.best_times.at[row].set(time, mode="drop"),
        best_sums=past.best_sums.at[row].set(past.totals - jnp.where(chosen, time, 0), mode="drop"),
    )


def good_ones(past: Past, gamma: float) -> Array:
    """Returns which of the best rows are good, bool `[G]`: the best `ceil(gamma * sqrt(observations))`, at most `G`.

    Of equal ones the earlier is better.
    """
    scores, times = past.best_scores, past.best_times
    most = scores.shape[0]
    # ceil(gamma * sqrt(n)) exceeds j just where n exceeds (j / gamma)**2: in whole numbers, free of rounding.
    steps = np.minimum(np.floor((np.arange(most) / gamma) ** 2 + 1e-9), np.iinfo(np.int32).max).astype(np.int32)
    num_good = jnp.sum(past.num_observed > steps)
    better = scores[None, :] > scores[:, None]
    earlier = (scores[None, :] == scores[:, None]) & (times[None, :] < times[:, None])
    rank = jnp.sum(better | earlier, axis=1)
    return once((rank < num_good) & (scores > -jnp.inf))


def histograms(past: Past, good: Array) -> tuple[Array, Array]:
    """Returns the weights of each decision's choices among the good observations, and among all others.

    A good observation has weight 1. Of `N` others the latest 25 (the full memory) have weight 1 and the older ones
    weights that rise evenly from `1 / N` for the oldest to 1. With `s` the rise from one to the next, the `i`-th
    weight is `1 / N + s * i`, less what that is over 1 for the latest. So three sums make the histogram: the number of
    observations with a choice, the sum of their places `i`, and a sum over the latest. The place of an observation is
    its time less the number of good ones before it. Summed over all observations but the good, that is the sum of
    times, less, for each good one, the observations after it: all of them less those up to its time (`best_sums`).

    Args:
      past: What was observed.
      good: bool `[G]`, from `good_ones`.

    Returns:
      float32 `[E, K]` and `[E, K]`.
    """
    num_choices = past.totals.shape[1]
    most_good, kept = past.best.shape[0], past.recent.shape[0]
    num_good = jnp.sum(good, dtype=jnp.int32)
    before = good[None, :] & (past.best_times[None, :] < past.best_times[:, None])
    num_before = once(jnp.sum(before, axis=1))  # good ones before each of the best
    good_counts = _tally(good.astype(jnp.int32), past.best, num_choices)
    good_places = _tally(good * num_before, past.best, num_choices)

    number = past.num_observed - num_good
    one_over = 1.0 / jnp.maximum(number, 1).astype(jnp.float32)
    fading = number - (kept - most_good)
    rise = jnp.where(fading > 1, (1.0 - one_over) / jnp.maximum(fading - 1, 1).astype(jnp.float32), 0.0)
    counts = (past.totals - good_counts).astype(jnp.float32)
    times = past.times_high.astype(jnp.float32) * 2.0**32 + past.times.astype(jnp.float32)
    sums = jnp.sum(jnp.where(good[:, None, None], past.best_sums, 0), axis=0) - num_good * past.totals
    places = times + (sums + good_places).astype(jnp.float32)

    rows = jnp.arange(kept)
    recent_times = once(past.num_observed - 1 - (past.num_observed - 1 - rows) % kept)
    is_good = jnp.any(good[None, :] & (past.best_times[None, :] == recent_times[:, None]), axis=1)
    good_before = jnp.sum(good[None, :] & (past.best_times[None, :] < recent_times[:, None]), axis=1)
    place = recent_times - good_before
    latest = (recent_times >= 0) & ~is_good & (place >= fading)
    less = once(jnp.where(latest, 1.0 - one_over - rise * place.astype(jnp.float32), 0.0))
    bad = counts * one_over + rise * places + _tally(less, past.recent, num_choices)
    return good_counts.astype(jnp.float32), bad


def _tally(weights: Array, archs: Array, num_choices: int) -> Array:
    """Returns the sums of `weights [N]` by choice of `archs [N, E]`: `[E, K]`."""
    return _tally_lanes(weights, archs, jnp.arange(num_choices, dtype=jnp.int32))


@lanes_last
def _tally_lanes(weights: Array, archs: Array, choices: Array) -> Array:
    """Returns the sums of `weights [N, *lanes]` by choice `[K, *lanes]` of `archs [N, E, *lanes]`: `[E, K, *lanes]`."""
    rows = max(r for r in range(1, _BLOCK + 1) if len(weights) % r == 0)

    def add(block: Array, total: Array) -> Array:
        some, of = (jax.lax.dynamic_slice_in_dim(x, block * rows, rows) for x in (archs, weights))
        for i in range(rows):  # one after another: no array of all rows and choices is made
            total = total + jnp.where(some[i, :, None] == choices[None], of[i, None, None], 0)
        return total

    lanes = jnp.broadcast_shapes(weights.shape[1:], archs.shape[2:], choices.shape[1:])
    start = jnp.zeros((archs.shape[1], len(choices), *lanes), weights.dtype)
    total: Array = jax.lax.fori_loop(0, len(weights) // rows, add, start)
    return total


def smoothed(histogram: Array, num_choices: tuple[int, ...], prior_weight: Array | float) -> Array:
    """Returns probabilities float32 `[E, K]`: each choice has a weight of `prior_weight` beside what was observed."""
    exists = np.arange(max(num_choices))[None, :] < np.asarray(num_choices)[:, None]
    weights = jnp.where(exists, histogram + prior_weight, 0.0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def probability_to_win(good: Array, bad: Array, num_draws: int) -> Array:
    """Returns the probability of each choice to be, of independent draws, the one of the largest ratio of densities.

    The first of equal draws wins. With `b` the probability of the choices whose ratio is larger and `t` of those whose
    ratio is the same, none of the better and some of the equal are drawn with probability
    `(1 - b)**n - (1 - b - t)**n`; which of the equal, is as they are distributed. So one number decides what would
    take a number for each draw.

    Args:
      good: Probabilities float32 `[E, K]` from which the choices of each decision are drawn; 0 for what is no choice.
      bad: Probabilities by which they are divided.
      num_draws: `n`.

    Returns:
      float32 `[E, K]`.
    """
    good, ratio = once((good, good / jnp.where(good > 0, bad, 1.0)))
    # Equal but for rounding, which depends on the number of lanes, counts as equal.
    larger = ratio[:, None, :] > ratio[:, :, None] * (1 + 1e-5)
    smaller = ratio[:, None, :] < ratio[:, :, None] * (1 - 1e-5)
    better = jnp.sum(jnp.where(larger, good[:, None, :], 0.0), axis=2)
    equal = jnp.sum(jnp.where(larger | smaller, 0.0, good[:, None, :]), axis=2)
    none_better = jnp.maximum(1 - better, 0.0)
    some_equal = none_better**num_draws - jnp.maximum(none_better - equal, 0.0) ** num_draws
    return jnp.where(good > 0, good / jnp.where(good > 0, equal, 1.0) * some_equal, 0.0)
