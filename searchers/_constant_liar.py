"""Batches of searchers that propose one architecture at a time: others are asked for after a lie about the first."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Evaluation, Proposal, Searcher
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_sizes
from jnas.searchers.black_box._history import History
from jnas.searchers.black_box._predictor_search import PredictorSearchState

_LIES: dict[str, Callable[[Array, Array], Array]] = {
    "min": lambda scores, known: jnp.min(jnp.where(known, scores, jnp.inf)),
    "mean": lambda scores, known: jnp.sum(jnp.where(known, scores, 0)) / jnp.maximum(jnp.sum(known), 1),
    "max": lambda scores, known: jnp.max(jnp.where(known, scores, -jnp.inf)),
}


def constant_liar(searcher: Searcher, batch_size: int, *, lie: Literal["min", "mean", "max"] = "min") -> Searcher:
    """Returns a searcher that proposes `batch_size` architectures at a time where the given one proposes one.

    Within a batch each architecture is asked for as if those before it had been told with a constant score; the true
    scores are told when all are there. That is meant for searchers that learn from nothing but scores, by a model
    fitted anew at each step: those by predictors (`gp_bayesopt`, `nasbot`, `dngo`, `bohamiann`, `predictor_search`).

    Args:
      searcher: One of these, made with `batch_size=1`.
      batch_size: `B`, architectures in a batch.
      lie: The score that is told until the true one is there: the lowest so far, which keeps a batch apart (the
        paper's choice of its largest value, where lower is better), the mean, or the highest.

    Returns:
      A searcher of proposals with `B` rows, whose trace with `batch_size=1` is that of the given one.

    Raises:
      ValueError: An argument is out of range.
      TypeError: The searcher is another one: its state holds more than evaluations, which a lie would change. Asked
        when the searcher's first state is made.

    References:
      Ginsbourger, Le Riche & Carraro, "Kriging Is Well-Suited to Parallelize Optimization", 2010 (Computational
      Intelligence in Expensive Optimization Problems), section 4.2.

    Example:
      >>> space = jnas.spaces.categorical((4, 4, 4))
      >>> one = jnas.searchers.predictor_search(space, None, batch_size=1, acquisition="random")
      >>> searcher = jnas.searchers.constant_liar(one, 3)
      >>> state = searcher.init(jax.random.key(0), 12)
      >>> searcher.ask(state)[0].archs.shape
      (3, 3)
    """
    check_sizes(batch_size=batch_size)
    if lie not in _LIES:
        raise ValueError(not_one_of("lie", lie, tuple(_LIES)))

    def init(key: Any, capacity: int) -> PredictorSearchState:
        state = searcher.init(key, capacity + batch_size)  # lies stand behind what was told
        if not isinstance(state, PredictorSearchState):
            raise TypeError(
                f"{searcher.name} keeps more than evaluations between its steps, which a lie would change; give one by "
                "a predictor, such as gp_bayesopt, or evaluate one candidate at a time"
            )
        return state

    def ask(state: PredictorSearchState) -> tuple[Proposal, PredictorSearchState]:
        lied, proposals = state, []
        told = _lie(state.history, lie)
        for _ in range(batch_size):
            proposal, lied = searcher.ask(lied)
            proposals.append(proposal)
            answer = Evaluation(
                jnp.full(proposal.valid.shape, told), jnp.zeros(proposal.valid.shape, jnp.float32), proposal.valid
            )
            lied = searcher.tell(lied, proposal, answer)
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *proposals), state._replace(key=lied.key)

    name = f"constant_liar_{searcher.name}"
    return searcher._replace(init=init, ask=ask, name=name, made_with="", ask_beside=None)


def _lie(history: History, kind: str) -> Array:
    """Returns the score to tell; 0 where nothing is known, when proposals are random."""
    known = jnp.isfinite(history.scores)
    found: Array = jnp.where(known.any(), _LIES[kind](history.scores, known), 0.0)
    return found.astype(jnp.float32)
