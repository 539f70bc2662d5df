"""NAO: neural architecture optimization, by gradient ascent on the encodings of the best architectures."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import split
from jnas.core._lanes import lane_maximum
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose
from jnas.searchers._checks import check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._history import History, no_history, remember_evaluations, seen_before
from jnas.searchers.black_box._nao_ascent import Seeking, seek
from jnas.searchers.black_box._nao_model import NaoSettings, check_nao, flat_nao, init_nao, train_nao
from jnas.searchers.black_box._predictor_search import training_scores
from jnas.searchers.black_box._sequences import Reachable, draw_valid, leaves_of, sequence_of, uniform_choices


class NaoState(NamedTuple):
    """What NAO needs for its next step."""

    key: Key  # []
    history: History
    choices: Array  # [T, D] int32, the decisions of each architecture of the history
    asked: Array  # [D] int32, those of the architecture that was last proposed
    num_asked: Array  # [] int32
    model: Array  # [P] float32, the encoder's, the predictor's and the decoder's parameters one after another
    queue: Array  # [Q, D] int32, what gradient ascent has found
    num_queued: Array  # [] int32


@recorded
def nao(
    space: Space,
    *,
    reachable: Reachable = "whole",
    num_init: int = 600,
    num_new: int = 300,
    num_random: int = 100,
    num_top: int = 100,
    max_step: int = 50,
    model: NaoSettings = NaoSettings(),  # noqa: B008 (immutable)
    max_draws: int = 1000,
) -> Searcher:
    """Returns NAO as a searcher by itself: what a decoder makes of the best encodings, moved up a predicted score.

    After `num_init` random architectures, and then after each round of `num_new + num_random`, an encoder, a predictor
    and a decoder are trained on all that was evaluated, from where they were. Then the encodings of the `num_top` best
    architectures move along the gradient of the predicted score by 1, 2, ... `max_step`, and the decoder says which
    architectures stand there; those that are valid and new are evaluated, until there are `num_new`, and what is
    missing of a round is drawn at random. Scores are scaled to 0 to 1 over what was evaluated.

    The training is the work: `model.epochs` of 1000 as published takes minutes for each round and seed. As released, an
    epoch has eight copies of nine tenths of the architectures: `model.copies=8` and `model.share=0.9`.

    Args:
      space: The search space.
      reachable: `'whole'`: one decision of the space after another. `'released'`, for the cells of NAS-Bench-101: one
        predecessor and one operation for each vertex, which expresses few of the cells
        (`jnas.spaces.reachable_cells`).
      num_init: Random architectures at the start.
      num_new: Architectures of a round that gradient ascent finds.
      num_random: Those that are drawn at random.
      num_top: Encodings that move.
      max_step: The largest step.
      model: Its sizes, and how it is trained.
      max_draws: How often decisions are drawn until they are a valid architecture; the run ends if none were.

    Returns:
      A searcher that proposes one architecture at a time. What has no usable score counts as the worst.

    Raises:
      TypeError: A count is not a Python int.
      ValueError: An argument is out of range, or the space has no released sampler.

    References:
      "Neural Architecture Optimization", Luo et al., 2018, Sections 3 and 4; in "Evaluating the Search Phase of Neural
        Architecture Search", Yu et al., 2020 (its released code, without weight sharing).

    Example:
      >>> searcher = jnas.searchers.nao(jnas.spaces.nasbench201(), num_init=50)
      >>> proposal, state = searcher.ask(searcher.init(jax.random.key(0), 10))
      >>> proposal.archs.shape
      (1, 6)
    """
    check_sizes(num_init=num_init, num_new=num_new, num_top=num_top, max_step=max_step, max_draws=max_draws)
    check_sizes(**{"num_random + 1": num_random + 1})
    check_nao(model)
    sequence = sequence_of(space, reachable, "nao")
    (length, num_words), round_size = sequence.mask.shape, num_new + num_random
    rows = np.arange(length, dtype=np.int32)

    def begin(key: Key) -> Any:
        return init_nao(key, num_words, length, model)

    shapes = jax.eval_shape(begin, jax.eval_shape(lambda: jax.random.key(0)))
    as_model = leaves_of(shapes)

    def init(key: Key, capacity: int) -> NaoState:
        key, model_key = split(key)
        return NaoState(
            key=key,
            history=no_history(capacity, space.num_decisions),
            choices=jnp.zeros((capacity, length), jnp.int32),
            asked=jnp.zeros(length, jnp.int32),
            num_asked=jnp.int32(0),
            model=flat_nao(model_key, num_words, length, model),
            queue=jnp.zeros((num_new, length), jnp.int32),
            num_queued=jnp.int32(0),
        )

    def ask(state: NaoState) -> tuple[Proposal, NaoState]:
        key, train_key, draw_key = split(state.key, 3)
        place = (state.num_asked - num_init) % round_size
        begins = (state.num_asked >= num_init) & (place == 0)
        if state.choices.shape[0] > num_init:  # otherwise the run ends before
            # Where any lane begins a round the branch is taken, and lanes that do not keep what they have.
            any_begins = lane_maximum(begins.astype(jnp.int32)) > 0
            learned = jax.lax.cond(any_begins, learn_and_seek, lambda _, state: _known(state), train_key, state)
            learned = jax.tree.map(lambda new, old: jnp.where(begins, new, old), learned, _known(state))
            state = state._replace(model=learned[0], queue=learned[1], num_queued=learned[2])
        is_queued = (state.num_asked >= num_init) & (place < state.num_queued)
        _, drawn, valid = draw_valid(
            draw_key, sequence.choice_shape, lambda noise: uniform_choices(sequence, noise), is_valid, max_draws
        )
        asked = jnp.where(is_queued, state.queue[jnp.minimum(place, num_new - 1)], drawn)
        proposal = propose(sequence.to_arch(asked)[None], valid=is_queued | valid)
        return proposal, state._replace(key=key, asked=asked, num_asked=state.num_asked + 1)

    def is_valid(choices: Array) -> Array:
        return space.is_valid(sequence.to_arch(choices))

    def learn_and_seek(key: Key, state: NaoState) -> tuple[Array, Array, Array]:
        scores, mask, best = training_scores(state.history, state.history.scores.shape[0])
        least = jnp.min(jnp.where(mask, scores, jnp.inf))
        spread = jnp.where(best > least, best - least, 1.0)
        targets = jnp.where(mask, (scores - least) / spread, 0.0)
        words = jnp.asarray(sequence.word_of)[rows[None], state.choices]
        flat = train_nao(key, state.model, shapes, (words, targets), mask, model)
        return flat, *seek_from(flat, words, state.history)

    def seek_from(flat: Array, words: Array, history: History) -> tuple[Array, Array]:
        """Returns new decisions `[Q, D]` and how many there are."""
        values, top = jax.lax.top_k(history.scores, min(num_top, history.scores.shape[0]))
        is_known = lambda found: seen_before(found, history.fingerprints, history.num_told)  # noqa: E731
        wanted = Seeking(num_new, max_step)
        return seek(as_model(flat), words[top], jnp.isfinite(values), is_known, space, sequence, wanted)

    def tell(state: NaoState, proposal: Proposal, evaluation: Evaluation) -> NaoState:
        place = jnp.where(proposal.valid[0], state.history.num_told, state.choices.shape[0])
        return state._replace(
            history=remember_evaluations(state.history, space, proposal, evaluation),
            choices=state.choices.at[place].set(state.asked, mode="drop"),
        )

    return Searcher(init, ask, tell, "nao")


def _known(state: NaoState) -> tuple[Array, Array, Array]:
    return state.model, state.queue, state.num_queued
