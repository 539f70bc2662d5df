"""ENAS's controller by itself: its distribution, its gradient in expectation, its baseline, what it can express."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas import searchers, spaces
from jnas.core._vocabulary import Array, Evaluation, propose
from jnas.searchers.black_box._enas_controller import _policy
from jnas.searchers.black_box._sequences import flat_leaves, leaves_of, sequence_of
from jnas.searchers.weight_sharing._predecessor_controller import PredecessorSettings

FOUR = spaces.nasbench101(max_vertices=4)
PLAIN = spaces.categorical((2, 3, 1, 2), decisions=("a", "b", "c", "d"))
SMALL, FEW = searchers.ControllerSettings(4, temperature=0.2), PredecessorSettings(4, temperature=0.2)
MAKE = functools.partial(searchers.enas_controller, controller=SMALL, predecessors=FEW)


class Case:
    """A controller away from its start, with all sequences of decisions that it can draw."""

    def __init__(self, space: Any, reachable: Any):
        self.searcher = MAKE(space, reachable=reachable, baseline_decay=1.0, entropy_weight=0.0, num_samples=2)
        self.policy = _policy(space, reachable, SMALL, FEW)
        counts = sequence_of(space, reachable, "enas").num_choices
        self.choices = np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=1).astype(np.int32)
        self.state = self.searcher.init(jax.random.key(1), 10)
        moved = self.state.controller + 0.3 * jax.random.normal(jax.random.key(2), self.state.controller.shape)
        self.state = self.state._replace(controller=moved, baseline=jnp.float32(0.3), num_told=jnp.int32(1))
        self.as_parameters = leaves_of(jax.eval_shape(self.policy.init, jax.random.key(0)))

    def log_probabilities(self, flat: Array) -> Array:
        return jax.vmap(lambda each: self.policy.score(self.as_parameters(flat), each)[0])(self.choices)


@pytest.fixture(scope="module", params=["whole", "released"])
def case(request) -> Case:
    return Case(*{"whole": (PLAIN, "whole"), "released": (FOUR, "released")}[request.param])


@pytest.mark.statistical
def test_draws_follow_the_probabilities(case):
    probabilities = np.exp(np.asarray(jax.jit(case.log_probabilities)(case.state.controller), np.float64))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert probabilities.std() > 0.005  # away from the uniform distribution

    def draw(key: Array) -> Array:
        noise = jax.random.gumbel(key, case.policy.noise)
        return case.policy.sample(case.as_parameters(case.state.controller), noise)

    drawn = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 5000)))
    counts = (drawn[:, None] == case.choices[None]).all(axis=2).sum(axis=0)
    assert counts.sum() == 5000
    assert stats.chisquare(counts, 5000 * probabilities / probabilities.sum()).pvalue > 5e-4


def test_the_policy_gradient_is_that_of_the_expected_reward(case):
    """By enumeration: what `tell` adds up, over all architectures by their probabilities, whatever the baseline."""
    scores = np.random.default_rng(0).uniform(50, 90, len(case.choices)).astype(np.float32)

    def added(choices: Array, score: Array) -> Array:
        proposal = propose(case.policy.to_arch(choices)[None])
        told = Evaluation(score[None], jnp.ones(1), jnp.ones(1, bool))
        # Of two samples, the second ends the controller's step: look at what the optimizer would be given.
        state = case.state._replace(asked=choices, num_told=jnp.int32(2))
        return case.searcher.tell(state, proposal, told).gradients

    each = jax.jit(jax.vmap(added))(case.choices, scores)
    probabilities = np.exp(case.log_probabilities(case.state.controller))
    expected = jax.grad(lambda flat: jnp.sum(jnp.exp(case.log_probabilities(flat)) * 0.01 * scores))
    exact = np.asarray(jax.jit(expected)(case.state.controller))
    assert np.abs(exact).max() > 1e-3
    np.testing.assert_allclose(probabilities @ np.asarray(each), -exact / 2, atol=2e-6)


def test_the_baseline_begins_anew_with_each_epoch():
    searcher = MAKE(PLAIN, num_samples=2, steps_per_epoch=2, baseline_decay=0.9, entropy_weight=0.0)
    ask, tell = jax.jit(searcher.ask), jax.jit(searcher.tell)
    state, baseline = searcher.init(jax.random.key(0), 20), None
    for number, score in enumerate([50.0, 70.0, 60.0, 90.0, 80.0, 85.0]):
        before = state
        proposal, state = ask(state)
        state = tell(state, proposal, Evaluation(jnp.full(1, score), jnp.ones(1), jnp.ones(1, bool)))
        reward = score / 100
        baseline = reward if number % 4 == 0 else baseline - 0.1 * (baseline - reward)
        assert float(state.baseline) == pytest.approx(baseline, abs=1e-6)
        steps = number % 2 == 1
        assert bool(jnp.any(state.controller != before.controller)) == steps
        assert bool(jnp.any(state.gradients != 0)) == (number == 2)  # the first reward of an epoch teaches nothing


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
