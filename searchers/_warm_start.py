"""Searches that begin with the best of many random architectures by a score that costs next to nothing."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import split
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, State
from jnas.io._fields import describe_fields
from jnas.io._text import did_you_mean
from jnas.searchers._checks import check_positive_int
from jnas.searchers._recorded import recorded

Score = Callable[[Array], Array]
"""`score(arch [E]) -> []`, higher is better, pure; what is not finite stands behind all that is."""


@describe_fields
class WarmStartState(NamedTuple):
    """A search that is told another beginning than the one it would have drawn.

    Attributes:
      searcher: What its own next step needs.
      design: int32 `[K, E]`, what it begins with, the best by the score first.
      num_design: int32 `[]`, how many of these there are: fewer than `K` where so few different ones were drawn.
      num_told: int32 `[]`, evaluations told so far.
    """

    searcher: State
    design: Array
    num_design: Array
    num_told: Array


@recorded
def warm_start(searcher: Searcher, space: Space, by: str | Score, *, num_drawn: int = 1000) -> Searcher:
    """Returns a search that begins with the best of many random architectures by a score, such as one without training.

    In place of the `K = searcher.num_init` random architectures with which the searcher begins it is told of the best
    `K` different ones among `num_drawn` random ones, the best first. All else is the searcher's own: what it goes on
    with, and what local search draws when it starts again.

    Args:
      searcher: One that begins with random architectures and learns from them: `Searcher.num_init` is above 0.
      space: Its space.
      by: The name of a column of the space (`jnas.spaces.with_columns`; `jnas.scored_space` gives those of a table), or
        a function `arch [E] -> []`, higher is better. What has no score is drawn last.
      num_drawn: How many random architectures are scored, at least `K`. The more, the more the search begins where the
        score wants it, right or wrong.

    Raises:
      TypeError: `num_drawn` is not a Python int.
      ValueError: The searcher does not begin so, the space has no such column, or `num_drawn` is less than `K`.

    References:
      Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", 2021 (ICLR), Section 4.3: warm-up.

    Example:
      >>> space = jnas.spaces.categorical((4, 4, 4))
      >>> evolution = jnas.searchers.regularized_evolution(space, population_size=3)
      >>> searcher = jnas.searchers.warm_start(evolution, space, jnp.sum, num_drawn=500)
      >>> objective = jnas.function_objective(lambda key, arch: -jnp.sum(arch))
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=4))(jax.random.key(0))
      >>> trace.arch[0].tolist()
      [3, 3, 3]
    """
    size = searcher.num_init
    if size < 1:
        raise ValueError(
            f"searcher is {searcher.name!r}, which does not begin with a number of random architectures to learn from; "
            "warm starts are for evolution, local search, TPE, SMAC and searches by predictors (of gcn_predictor with "
            "num_queries)"
        )
    check_positive_int("num_drawn", num_drawn)
    if num_drawn < size:
        raise ValueError(f"num_drawn is {num_drawn}, expected at least the {size} with which {searcher.name} begins")
    score = _score_of(space, by)

    def init(key: Key, capacity: int) -> WarmStartState:
        key, design_key = split(key)
        design, count = best_of_random(design_key, space, score, min(size, capacity), num_drawn)
        return WarmStartState(searcher.init(key, capacity), design, count, jnp.int32(0))

    def ask(state: WarmStartState) -> tuple[Proposal, WarmStartState]:
        return warmed(state, *searcher.ask(state.searcher), jnp.int32(0))

    def ask_beside(state: WarmStartState, pending: Proposal) -> tuple[Proposal, WarmStartState]:
        assert searcher.ask_beside is not None
        num_pending = jnp.sum(pending.valid, dtype=jnp.int32)
        return warmed(state, *searcher.ask_beside(state.searcher, pending), num_pending)

    def warmed(
        state: WarmStartState, proposal: Proposal, own: State, num_pending: Array
    ) -> tuple[Proposal, WarmStartState]:
        valid = jnp.asarray(proposal.valid)
        place = state.num_told + num_pending + jnp.cumsum(valid, dtype=jnp.int32) - 1
        given = state.design[jnp.clip(place, 0, len(state.design) - 1)]
        takes = valid & (place < state.num_design)
        archs = jnp.where(takes[:, None], given, proposal.archs)
        return proposal._replace(archs=archs), state._replace(searcher=own)

    def tell(state: WarmStartState, proposal: Proposal, evaluation: Evaluation) -> WarmStartState:
        return state._replace(
            searcher=searcher.tell(state.searcher, proposal, evaluation),
            num_told=state.num_told + jnp.sum(proposal.valid, dtype=jnp.int32),
        )

    def rescore(state: WarmStartState, scores: Array) -> WarmStartState:
        assert searcher.rescore is not None
        return state._replace(searcher=searcher.rescore(state.searcher, scores))

    again = None if searcher.rescore is None else rescore
    beside = None if searcher.ask_beside is None else ask_beside
    return searcher._replace(init=init, ask=ask, tell=tell, num_init=0, ask_beside=beside, rescore=again)


def best_of_random(key: Key, space: Space, score: Score, size: int, num_drawn: int) -> tuple[Array, Array]:
    """Returns the best different ones of random architectures by a score, and how many these are.

    Args:
      key: A PRNG key.
      space: Which says what is different, by `space.fingerprint`.
      score: Of an architecture; of equal ones the first drawn wins.
      size: `K`, how many are wanted.
      num_drawn: How many are drawn.

    Returns:
      int32 `[K, E]`, the best first, and their number `[]`; rows behind it repeat the first drawn.
    """
    archs = jax.vmap(space.sample)(split(key, num_drawn)).astype(jnp.int32)
    fingerprints = jax.vmap(space.fingerprint)(archs)
    scores = jax.vmap(score)(archs).reshape(num_drawn).astype(jnp.float32)
    least = float(np.finfo(np.float32).min)  # of what has no finite score, which is drawn last; taken ones are below
    scores = jnp.where(jnp.isfinite(scores), scores, least)

    def take(left: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        best = jnp.argmax(left)
        same = jnp.all(fingerprints == fingerprints[best][None], axis=1)
        return jnp.where(same, -jnp.inf, left), (best, left[best] > -jnp.inf)

    _, (rows, found) = jax.lax.scan(take, scores, length=size)
    return archs[rows], jnp.sum(found, dtype=jnp.int32)


def warm_settings(*, warm_start: str | None = None, warm_drawn: int = 1000) -> None:
    """The settings of a warm start on the command line: `NAME:warm_start=synflow:warm_drawn=100`."""
    del warm_start, warm_drawn


def _score_of(space: Space, by: str | Score) -> Score:
    if callable(by):
        return by
    column = space.column
    if column is None or by not in space.column_names:
        offer = did_you_mean(by, space.column_names) or ","
        known = ", ".join(space.column_names) or "none: `jnas proxies --out-table` writes scores into a table"
        raise ValueError(f"warm_start is {by!r}{offer} expected a column that is known of {space.name}: {known}")
    return lambda arch: column(arch, by)
