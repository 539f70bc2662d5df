"""SETN: its distribution over all architectures by listing them, its two steps, and what it compares at the end."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.searchers import Adam, Selection, setn
from jnas.searchers.weight_sharing._architecture_parameters import log_probability_of, most_probable
from tests._toy_supernet import (
    ARCHS,
    TOY,
    E,
    K,
    batch,
    differences,
    examples,
    flat,
    numpy_loss,
    numpy_softmax,
    toy_dataset,
)

ALPHA = np.random.default_rng(4).normal(size=(E, K)).astype(np.float32)
PLAIN = Adam(learning_rate=1e4, eps=1e4, weight_decay=0.0)  # whose first step subtracts the gradient itself


@functools.cache
def made():
    searcher = setn(TOY, steps_per_epoch=10, epochs=5, adam=PLAIN, selection=Selection(num_candidates=4, batch_size=40))
    return searcher, jax.jit(searcher.init), jax.jit(searcher.step)


def test_the_joint_distribution_by_listing_all_architectures():
    searcher, init, _ = made()
    state = init(jax.random.key(0))._replace(alpha=jnp.asarray(ALPHA))
    found = np.asarray(searcher.log_probability(state, jnp.asarray(ARCHS)))
    expected = numpy_softmax(ALPHA)[np.arange(E), ARCHS].prod(axis=1)
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(searcher.probabilities(state), numpy_softmax(ALPHA), rtol=1e-5)


@pytest.mark.parametrize(("decisions", "choices", "count"), [(2, 3, 9), (2, 3, 4), (6, 5, 100), (6, 5, 1), (5, 2, 32)])
def test_the_most_probable_architectures_by_sorting_all(decisions, choices, count):
    rng = np.random.default_rng(decisions)
    table = np.log(numpy_softmax(rng.normal(size=(decisions, choices)))).astype(np.float32)
    archs = np.stack(np.unravel_index(np.arange(choices**decisions), (choices,) * decisions), axis=1)
    totals = table[np.arange(decisions), archs].sum(axis=1)
    found = np.asarray(jax.jit(most_probable, static_argnums=1)(table, count))
    assert found.shape == (count, decisions)
    assert len(np.unique(found, axis=0)) == count
    np.testing.assert_array_equal(found, archs[np.argsort(-totals, kind="stable")[:count]])
    np.testing.assert_allclose(log_probability_of(jnp.asarray(table), found), np.sort(totals)[::-1][:count], rtol=1e-5)


def test_equals_are_all_listed():
    found = np.asarray(most_probable(jnp.zeros((3, 2)), 8))
    assert len(np.unique(found, axis=0)) == 8
    lacking = jnp.array([[-jnp.inf, 0, -1], [0, -jnp.inf, -3]])  # of each decision one choice: 4 are left
    np.testing.assert_array_equal(most_probable(lacking, 4), [[1, 0], [2, 0], [1, 2], [2, 2]])


def test_alpha_follows_the_mixture_at_the_weights_of_a_uniform_architecture():
    _, init, step = made()
    archs = []
    for seed in range(6):
        state = init(jax.random.key(seed))._replace(alpha=jnp.asarray(ALPHA))
        data = batch(seed, 32)
        after, info = step(state, data)
        numbers = flat(after.weights.shared.parameters)
        loss = lambda alpha, n=numbers, d=data: numpy_loss(n, numpy_softmax(alpha), d.validation)  # noqa: E731
        place = np.asarray(ALPHA, np.float64)
        np.testing.assert_allclose(ALPHA - after.alpha, differences(loss, place), atol=3e-6)
        np.testing.assert_allclose(info.validation_loss, loss(place), rtol=1e-5)
        start = flat(state.weights.shared.parameters)
        of_all = [numpy_loss(start, np.eye(K)[arch], data.train) for arch in ARCHS]
        matches = np.isclose(of_all, info.train_loss, rtol=1e-5)
        assert matches.sum() == 1  # the weights learned from one architecture, and it is told by its loss
        archs.append(int(np.argmax(matches)))
    assert len(set(archs)) > 2


def test_weights_are_not_clipped():
    """A large loss moves the weights by all of its gradient."""
    searcher, init, step = made()
    del searcher
    state = init(jax.random.key(0))
    parameters = {name: 40 * value for name, value in state.weights.shared.parameters.items()}
    shared = state.weights.shared._replace(parameters=parameters)
    state = state._replace(weights=state.weights._replace(shared=shared))
    after, _ = step(state, batch(0, 32))
    moved = np.concatenate([np.ravel(x) for x in jax.tree.leaves(after.weights.momentum)])
    assert np.linalg.norm(moved) > 5.5


def test_it_compares_the_most_probable_and_takes_the_best():
    searcher, init, _ = made()
    state = init(jax.random.key(0))._replace(alpha=jnp.asarray(ALPHA))
    derived = jax.jit(searcher.derive, static_argnums=2)(state, toy_dataset(), "validation")
    totals = np.log(numpy_softmax(ALPHA))[np.arange(E), ARCHS].sum(axis=1)
    np.testing.assert_array_equal(derived.candidates, ARCHS[np.argsort(-totals)[:4]])
    np.testing.assert_array_equal(derived.arch, derived.candidates[np.argmax(derived.scores)])
    assert examples(0).inputs.shape[1:] == toy_dataset().image_shape


def test_a_small_space_is_compared_whole():
    searcher = setn(TOY, steps_per_epoch=10)
    form = jax.eval_shape(lambda key: searcher.derive(searcher.init(key), toy_dataset(), "test"), jax.random.key(0))
    assert form.candidates.shape == (9, 2)
