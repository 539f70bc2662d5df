"""ENAS's controller by itself: its distribution, its gradient in expectation, its baseline, what it can express."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas import searchers, spaces
from jnas.core._vocabulary import Array, Evaluation
from jnas.searchers.black_box._enas_controller import _policy, _policy_gradient
from jnas.searchers.black_box._sequences import draw_several, draw_valid, flat_leaves, leaves_of, sequence_of
from jnas.searchers.weight_sharing._predecessor_controller import PredecessorSettings

FOUR = spaces.nasbench101(max_vertices=4)
PLAIN = spaces.categorical((2, 3, 1, 2), decisions=("a", "b", "c", "d"))
SMALL, FEW = searchers.ControllerSettings(4, temperature=0.2), PredecessorSettings(4, temperature=0.2)
MAKE = functools.partial(searchers.enas_controller, controller=SMALL, predecessors=FEW)


class Case:
    """A controller away from its start, with all sequences of decisions that it can draw."""

    def __init__(self, space: Any, reachable: Any):
        self.policy = _policy(space, reachable, SMALL, FEW)
        counts = sequence_of(space, reachable, "enas").num_choices
        self.choices = np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=1).astype(np.int32)
        start = flat_leaves(self.policy.init(jax.random.key(1)))
        self.flat = start + 0.3 * jax.random.normal(jax.random.key(2), start.shape)
        self.as_parameters = leaves_of(jax.eval_shape(self.policy.init, jax.random.key(0)))

    def score(self, flat: Array, choices: Array) -> tuple[Array, Array]:
        return self.policy.score(self.as_parameters(flat), choices)

    def log_probabilities(self, flat: Array) -> Array:
        return jax.vmap(lambda each: self.score(flat, each)[0])(self.choices)


@pytest.fixture(scope="module", params=["whole", "released"])
def case(request) -> Case:
    return Case(*{"whole": (PLAIN, "whole"), "released": (FOUR, "released")}[request.param])


@pytest.mark.statistical
def test_draws_follow_the_probabilities(case):
    probabilities = np.exp(np.asarray(jax.jit(case.log_probabilities)(case.flat), np.float64))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert probabilities.std() > 0.005  # away from the uniform distribution

    def draw(key: Array) -> Array:
        noise = jax.random.gumbel(key, case.policy.noise)
        return case.policy.sample(case.as_parameters(case.flat), noise)

    drawn = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 5000)))
    counts = (drawn[:, None] == case.choices[None]).all(axis=2).sum(axis=0)
    assert counts.sum() == 5000
    assert stats.chisquare(counts, 5000 * probabilities / probabilities.sum()).pvalue > 5e-4


def test_the_policy_gradient_is_that_of_the_expected_reward(case):
    """By enumeration, over all architectures by their probabilities, whatever the baseline."""
    scores = np.random.default_rng(0).uniform(50, 90, len(case.choices)).astype(np.float32)
    rates = (0.01, 0.0, 1.0)  # a baseline that stays
    of_one = lambda each, score: _policy_gradient(  # noqa: E731
        case.score, case.flat, each[None], score[None], jnp.float32(0.3), rates
    )[0]
    each = jax.jit(jax.vmap(of_one))(case.choices, scores)
    probabilities = np.exp(case.log_probabilities(case.flat))
    expected = jax.grad(lambda flat: jnp.sum(jnp.exp(case.log_probabilities(flat)) * 0.01 * scores))
    exact = np.asarray(jax.jit(expected)(case.flat))
    assert np.abs(exact).max() > 1e-3
    np.testing.assert_allclose(probabilities @ np.asarray(each), -exact, atol=4e-6)


def test_the_samples_of_a_step_share_a_baseline_that_begins_anew_with_each_epoch(case):
    """Two samples at once are one after the other, of which the second has the baseline that the first leaves."""
    scores, rates = jnp.array([50.0, 70.0]), (0.01, 0.1, 0.9)
    gradient = jax.jit(lambda *given: _policy_gradient(case.score, case.flat, *given, rates))
    both, after = gradient(case.choices[:2], scores, jnp.float32(0.3))
    one, between = gradient(case.choices[:1], scores[:1], jnp.float32(0.3))
    other, last = gradient(case.choices[1:2], scores[1:], between)
    assert float(after) == pytest.approx(float(last), abs=1e-6)
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)
    begun, first = gradient(case.choices[:1], scores[:1], jnp.float32(-jnp.inf))
    assert not np.any(begun)  # the first reward of an epoch teaches nothing
    assert float(first) == pytest.approx(0.5 + 0.1 * float(case.score(case.flat, case.choices[0])[1]), abs=1e-6)


def test_a_step_is_made_of_so_many_rewards_and_a_new_controller_draws_anew():
    searcher = MAKE(PLAIN, num_samples=2, steps_per_epoch=2, baseline_decay=0.9, entropy_weight=0.0)
    ask, tell = jax.jit(searcher.ask), jax.jit(searcher.tell)
    state, baseline, told = searcher.init(jax.random.key(0), 20), None, 0
    for score in [50.0, np.nan, 70.0, 60.0, 90.0, 80.0, 85.0]:
        before = state
        proposal, state = ask(state)
        state = tell(state, proposal, Evaluation(jnp.full(1, score), jnp.ones(1), jnp.ones(1, bool)))
        if np.isfinite(score):
            reward = score / 100
            baseline = reward if told % 4 == 0 else baseline - 0.1 * (baseline - reward)
            told += 1
        steps = bool(np.isfinite(score)) and told % 2 == 0
        assert int(state.num_told) == told
        assert bool(jnp.any(state.controller != before.controller)) == steps
        assert (int(state.num_queued) == 0) == steps
        if steps:
            assert float(state.baseline) == pytest.approx(baseline, abs=1e-6)


@pytest.mark.parametrize("num", [3, 20])
def test_several_draws_are_those_one_after_another(num):
    """Whatever they share: the same words, the same next key, and the same limit on what was drawn in vain."""
    shape, tries = (2, 4), 3
    choose = lambda noise: jnp.argmax(noise, axis=1).astype(jnp.int32)  # noqa: E731
    is_valid = lambda choices: choices.sum() == 3  # noqa: E731

    def singly(key: Array) -> Any:
        def one(carry: tuple[Array, Array], _: None) -> Any:
            after, choices, valid = draw_valid(carry[0], shape, choose, is_valid, tries)
            return (after, carry[1] & valid), (choices, carry[1] & valid)

        (after, _), found = jax.lax.scan(one, (key, jnp.bool_(True)), length=num)
        return jax.random.key_data(after), *found

    def together(key: Array) -> Any:
        after, choices, count = draw_several(key, shape, choose, is_valid, num, tries)
        return jax.random.key_data(after), choices, count

    keys = jax.random.split(jax.random.key(0), 40)
    next_keys, choices, valid = map(np.asarray, jax.jit(jax.vmap(singly))(keys))
    after, drawn, counts = map(np.asarray, jax.jit(jax.vmap(together))(keys))
    np.testing.assert_array_equal(counts, valid.sum(axis=1))
    np.testing.assert_array_equal(drawn[valid], choices[valid])
    whole = valid.all(axis=1)
    np.testing.assert_array_equal(after[whole], next_keys[whole])
    assert whole.any() == (num == 3)
    assert not whole.all()


def test_the_released_controller_stays_among_what_it_can_express():
    searcher = MAKE(spaces.nasbench101(max_vertices=5), reachable="released")

    def first(key: Array) -> tuple[Array, Array]:
        proposal, _ = searcher.ask(searcher.init(key, 1))
        return proposal.archs[0], proposal.valid[0]

    archs, valid = jax.jit(jax.vmap(first))(jax.random.split(jax.random.key(0), 400))
    assert np.asarray(valid).all()
    words = [np.asarray(jax.vmap(FOUR.fingerprint)(each)) for each in (archs, spaces.reachable_cells("enas", 5))]
    found, known = ({tuple(word) for word in each} for each in words)
    assert found <= known
    assert len(found) > 30


def test_sequences_say_every_architecture():
    sequence = sequence_of(PLAIN, "whole", "enas")
    assert sequence.num_choices == (2, 3, 2)  # what has no choice is not decided
    assert sequence.to_arch(jnp.array([1, 2, 1])).tolist() == [1, 2, 0, 1]
    assert len(sequence.words) == 7
    rows = np.arange(3)
    for choices in ([0, 0, 0], [1, 2, 1]):
        assert sequence.choice_of[rows, sequence.word_of[rows, choices]].tolist() == choices
        assert sequence.mask[rows, sequence.word_of[rows, choices]].all()
    assert sequence_of(FOUR, "released", "enas").words == ("0", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "1")


def test_flat_leaves_come_back():
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.float32(7), jnp.ones(2))}
    again = leaves_of(jax.eval_shape(lambda: tree))(flat_leaves(tree))
    jax.tree.map(np.testing.assert_array_equal, again, tree)


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        (FOUR, {"reachable": "all"}, "reachable is 'all', expected one of 'whole', 'released'"),
        (spaces.nasbench201(), {"reachable": "released"}, "'nasbench201' has no released sampler"),
        (FOUR, {"num_samples": 0}, "num_samples is 0, expected at least 1"),
        (FOUR, {"baseline_decay": 2}, "baseline_decay is 2, expected a fraction"),
    ],
)
def test_wrong_arguments_are_refused(space, arguments, message):
    with pytest.raises(ValueError, match=message):
        searchers.enas_controller(space, **arguments)
