"""NAO: what its decoder says of its encoder, where gradient ascent leads, and its rounds."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.core._vocabulary import Array, Evaluation
from jnas.searchers.black_box import _nao_model
from jnas.searchers.black_box._nao_model import (
    NaoSettings,
    _drawn_share,
    ascend,
    decode,
    encode,
    flat_nao,
    init_nao,
    predict,
    reconstruction_loss,
    train_nao,
)
from jnas.searchers.black_box._sequences import leaves_of, sequence_of

FIVE = spaces.nasbench101(max_vertices=5)
SIX = spaces.nasbench101(max_vertices=6)
MODEL = NaoSettings(16, predictor_layers=2, predictor_hidden=16, epochs=100, batch_size=50, learning_rate=1e-2)
TINY = MODEL._replace(hidden=4, predictor_hidden=4, epochs=2)


class Trained:
    """A model of ENAS's encoding of cells with four interior vertices, trained on 300 of its 1,944 sequences."""

    def __init__(self):
        self.sequence = sequence_of(SIX, "released", "nao")
        counts = self.sequence.num_choices
        choices = np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=1)
        self.words = self.sequence.word_of[np.arange(len(counts))[None], choices]
        order = np.random.default_rng(0).permutation(len(choices))
        self.seen, self.unseen = order[:300], order[300:]
        # How many 3x3 convolutions, and how far back the predecessors are: from 0 to 1.
        good = (choices[:, 1::2] == 0).sum(axis=1) - 0.5 * choices[:, ::2].sum(axis=1)
        self.targets = ((good - good.min()) / np.ptp(good)).astype(np.float32)
        self.mask = jnp.asarray(self.sequence.mask)
        length, num_words = self.sequence.mask.shape
        shapes = jax.eval_shape(lambda: init_nao(jax.random.key(0), num_words, length, MODEL))
        start = flat_nao(jax.random.key(1), num_words, length, MODEL)
        rows = self.words[self.seen], self.targets[self.seen]
        train = jax.jit(lambda key, flat, rows: train_nao(key, flat, shapes, rows, jnp.ones(300, bool), MODEL))
        self.as_model = leaves_of(shapes)
        self.start, self.model = self.as_model(start), self.as_model(train(jax.random.key(2), start, rows))

    @functools.cached_property
    def share_of(self) -> Any:
        """The share of sequences that come back from a model."""
        back = jax.jit(lambda model, words: jax.vmap(lambda each: decode(model, encode(model, each), self.mask))(words))
        return lambda model, rows: np.mean((np.asarray(back(model, self.words[rows])) == self.words[rows]).all(axis=1))


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained()


def test_the_decoder_inverts_the_encoder_on_what_it_has_not_seen(trained):
    """Of the sequences that were not trained on nine in ten come back whole; before training hardly any."""
    assert trained.share_of(trained.start, trained.unseen) < 0.1
    assert trained.share_of(trained.model, trained.unseen) > 0.9


def test_the_predictor_orders_what_it_has_not_seen(trained):
    predicted = jax.vmap(lambda each: predict(trained.model, encode(trained.model, each)))
    found = np.asarray(jax.jit(predicted)(trained.words[trained.unseen]))
    assert np.corrcoef(found, trained.targets[trained.unseen])[0, 1] > 0.9


def test_gradient_ascent_raises_the_predicted_and_the_true_score(trained):
    poor = trained.unseen[np.argsort(trained.targets[trained.unseen])[100:300]]
    score_of = {tuple(words): target for words, target in zip(trained.words, trained.targets, strict=True)}

    @jax.jit
    def move(words: Array, step: Array) -> tuple[Array, Array]:
        return jax.vmap(lambda each: ascend(trained.model, each, trained.mask, step))(words)

    still, before = move(trained.words[poor], jnp.float32(0))
    there, after = move(trained.words[poor], jnp.float32(10))
    assert np.mean(np.asarray(after > before)) > 0.95
    true = [np.mean([score_of[tuple(words)] for words in np.asarray(each)]) for each in (still, there)]
    assert true[1] > true[0] + 0.1


def test_the_loss_is_that_of_the_words_one_by_one(trained):
    """Of greedy decoding the words are the likeliest, so that they lose no more than any others by the first word."""
    words = jnp.asarray(trained.words[trained.unseen[0]])
    encoding = encode(trained.model, words)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(encoding), axis=1), 1.0, atol=1e-5)
    right = reconstruction_loss(trained.model, encoding, words)
    wrong = reconstruction_loss(trained.model, encoding, jnp.asarray(trained.words[trained.unseen[1]]))
    assert float(right) < 0.1 < float(wrong)


def test_copies_are_rows_that_stand_there_more_often(monkeypatch):
    learned = []

    def train(loss: Any, flat: Array, key: Array, rows: Any, mask: Array, **how: Any) -> Array:
        learned.append((*rows, mask))
        return flat

    monkeypatch.setattr(_nao_model, "train_on_minibatches", train)
    rows, mask = (np.arange(12).reshape(4, 3), np.float32(np.arange(4) / 4)), np.arange(4) < 3
    for model in (TINY, TINY._replace(copies=3), TINY._replace(copies=3, share=0.7)):
        train_nao(jax.random.key(0), jnp.zeros(5), {"all": jnp.zeros(5)}, rows, jnp.asarray(mask), model)
    for before, after in zip((*rows, mask), learned[1], strict=True):
        np.testing.assert_array_equal(after, np.repeat(before, 3, axis=0))
    np.testing.assert_array_equal(learned[0][2], mask)
    assert learned[2][2].sum() == 6  # three copies of two of the three that count


def test_a_share_of_what_counts_is_learned_from():
    mask = np.arange(30) % 3 > 0  # 20 of them
    drawn = np.stack([_drawn_share(jax.random.key(seed), jnp.asarray(mask), 0.9) for seed in range(4)])
    assert (drawn.sum(axis=1) == 18).all()
    assert not drawn[:, ~mask].any()
    assert len({row.tobytes() for row in drawn}) > 1
    assert _drawn_share(jax.random.key(0), jnp.asarray([False, True]), 0.9).tolist() == [False, True]


def run_of(searcher: Any, space: Any, capacity: int) -> Any:
    """Traces of three searches for many 3x3 convolutions; every fifth score is NaN."""

    def score(key: Array, arch: Array) -> Array:
        del key
        total = jnp.sum(arch[21:] == 0).astype(jnp.float32) - jnp.sum(arch[:21]).astype(jnp.float32) / 10
        return jnp.where(jnp.sum(arch) % 5 == 4, jnp.nan, total)

    objective = jnas.function_objective(score)
    keys = jax.random.split(jax.random.key(0), 3)
    with jax.debug_key_reuse(True):
        return jax.device_get(
            jax.jit(jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=capacity)))(keys)
        )


def test_rounds_find_new_architectures():
    searcher = searchers.nao(
        FIVE, reachable="released", num_init=30, num_new=8, num_random=2, num_top=6, max_step=20, model=TINY
    )
    trace = run_of(searcher, FIVE, 50)
    assert trace.mask.all()
    assert np.asarray(jax.vmap(jax.vmap(FIVE.is_valid))(trace.arch)).all()
    words = np.asarray(jax.vmap(jax.vmap(FIVE.fingerprint))(trace.arch))
    reachable = {tuple(w) for w in np.asarray(jax.vmap(FIVE.fingerprint)(spaces.reachable_cells("nao", 5)))}
    assert {tuple(word) for lane in words for word in lane} <= reachable
    assert len({lane.tobytes() for lane in trace.arch}) == 3


def test_what_it_was_told_and_what_it_asked_stand_beside_one_another():
    searcher = searchers.nao(FIVE, num_init=3, model=TINY)
    state, ask = searcher.init(jax.random.key(0), 3), jax.jit(searcher.ask)
    for number in range(3):
        proposal, state = ask(state)
        evaluation = Evaluation(jnp.full(1, float(number)), jnp.ones(1), jnp.ones(1, bool))
        unsaid = searcher.tell(state, proposal._replace(valid=jnp.zeros(1, bool)), evaluation)
        assert int(unsaid.history.num_told) == number
        state = searcher.tell(state, proposal, evaluation)
        decided = sequence_of(FIVE, "whole", "nao").to_arch(state.choices[number])
        np.testing.assert_array_equal(decided, state.history.archs[number])
        np.testing.assert_array_equal(decided, proposal.archs[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_init": 0}, "num_init is 0, expected at least 1"),
        ({"model": NaoSettings(copies=0)}, "model.copies is 0, expected at least 1"),
        ({"model": NaoSettings(share=9)}, "model.share is 9, expected a fraction"),
        ({"model": NaoSettings(7)}, "model.hidden is 7, expected an even number"),
        ({"reachable": "all"}, "reachable is 'all', expected one of"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        searchers.nao(FIVE, **arguments)
