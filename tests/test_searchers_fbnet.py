"""FBNet: its temperature, its weights, and a step against brute force; and searches by other preferences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Decisions, Preferences, decisions_of
from jnas.searchers import Adam, Sgd, darts, fbnet
from jnas.searchers.weight_sharing._architecture_parameters import make_adam
from jnas.searchers.weight_sharing._fbnet import fbnet_temperature, gumbel_softmax
from tests._toy_supernet import TOY, K, batch, differences, flat, numpy_loss, numpy_softmax

ADAM, SGD = Adam(0.01, weight_decay=5e-4), Sgd(0.1, weight_decay=3e-4, nesterov=False)


def test_temperature_falls_by_a_share_in_each_epoch_and_not_below_the_least():
    epochs = np.arange(200)
    found = fbnet_temperature(epochs)
    np.testing.assert_allclose(found, np.maximum(5 * np.exp(-0.045) ** epochs, 0.05), rtol=1e-5)
    assert (found[0], found[-1]) == (5, np.float32(0.05))


def test_weights_are_a_draw_where_it_is_cold_and_even_where_it_is_hot():
    rng = np.random.default_rng(0)
    noise, alpha = rng.gumbel(size=(4000, K)).astype(np.float32), np.array([0.0, 1.0, -np.inf], np.float32)
    cold = np.asarray(gumbel_softmax(jnp.asarray(alpha)[None], jnp.asarray(noise), jnp.float32(1e-4)))
    assert np.mean(cold.max(axis=1) > 0.999) > 0.99
    share = 1 / (1 + np.exp(-1))
    assert abs(cold[:, 1].mean() - share) < 4 * np.sqrt(share * (1 - share) / 4000)
    hot = np.asarray(gumbel_softmax(jnp.asarray(alpha)[None], jnp.asarray(noise), jnp.float32(1e4)))
    np.testing.assert_allclose(hot, np.broadcast_to([0.5, 0.5, 0], hot.shape), atol=1e-3)


def test_a_step_is_that_of_brute_force():
    """Alpha on the validation batch, then the weights on the training batch with other noise; in the second epoch."""
    searcher, data = fbnet(TOY, steps_per_epoch=2, epochs=4, sgd=SGD, adam=ADAM, decay=0.5), batch(3, 32)
    state = jax.jit(searcher.init)(jax.random.key(1))._replace(step=jnp.int32(2))
    noise_key = jax.random.split(jax.random.clone(state.key))[1]
    noise = np.asarray(jax.random.gumbel(noise_key, (2, 2, 3), jnp.float32), np.float64)
    after, info = jax.jit(searcher.step)(state, data)
    heat, start = 5 * np.exp(-0.5), flat(state.weights.shared.parameters)

    def loss(numbers, alpha, noise, examples):
        return numpy_loss(numbers, numpy_softmax((alpha + noise) / heat), examples)

    alpha = np.asarray(state.alpha, np.float64)
    gradient = differences(lambda alpha: loss(start, alpha, noise[0], data.validation), alpha)
    updates, _ = make_adam(ADAM).update(jnp.asarray(gradient, jnp.float32), state.optimizer, state.alpha)
    np.testing.assert_allclose(after.alpha, state.alpha + updates, atol=1e-5)
    np.testing.assert_allclose(info.validation_loss, loss(start, alpha, noise[0], data.validation), rtol=1e-4)
    moved = np.asarray(after.alpha, np.float64)
    gradient = differences(lambda numbers: loss(numbers, moved, noise[1], data.train), start)
    rate = 0.001 + 0.099 * (1 + np.cos(np.pi / 4)) / 2
    np.testing.assert_allclose(
        flat(after.weights.shared.parameters), start - rate * (gradient + 3e-4 * start), rtol=1e-4, atol=1e-5
    )


# Preferences that are not the supernet's decisions: here the same two rows the other way round, and started elsewhere.

TURNED = Preferences(
    decisions=Decisions(np.ones((2, K), bool), decisions_of(TOY).names),
    mixture=lambda parameters, statistics, weights, x: TOY.mixture(parameters, statistics, weights[::-1], x),
    discretize=lambda logits: TOY.discretize(logits[::-1]),
    probabilities=lambda logits: jax.nn.softmax(logits[::-1], axis=1),
    log_probability=lambda logits, archs: jnp.zeros(len(archs)),
    start=np.array([[9.0, 0, 0], [0, 0, 0]], np.float32),
)


@pytest.mark.parametrize(("make", "settings"), [(darts, {"order": "second"}), (fbnet, {})])
def test_other_preferences_are_mixed_and_derived_by_their_own_rules(make, settings):
    usual, turned = (
        make(TOY._replace(released=TURNED), steps_per_epoch=2, epochs=2, reachable=reachable, **settings)
        for reachable in ("whole", "released")
    )
    begin = jax.jit(turned.init)(jax.random.key(2))
    np.testing.assert_array_equal(np.round(begin.alpha), TURNED.start)
    assert turned.derive(begin, None, "validation").arch.tolist()[1] == 0  # row 0 prefers the first choice by far
    np.testing.assert_array_equal(np.asarray(turned.probabilities(begin))[1].argmax(), 0)
    if make is darts:  # without noise, the very same step
        state = jax.jit(usual.init)(jax.random.key(3))
        after, info = jax.jit(usual.step)(state, batch(1, 16))
        same, told = jax.jit(turned.step)(state._replace(alpha=state.alpha[::-1]), batch(1, 16))
        np.testing.assert_allclose(told, info, rtol=1e-5)
        np.testing.assert_allclose(same.alpha[::-1], after.alpha, atol=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="reachable is 'all', expected one of 'whole', 'released'"):
        fbnet(TOY, steps_per_epoch=1, reachable="all")
    with pytest.raises(ValueError, match="has no released decisions of its own; use reachable='whole'"):
        darts(TOY, steps_per_epoch=1, reachable="released")
