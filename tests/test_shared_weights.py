"""How the shared weights are trained: against optax, against numbers worked out by hand, and the schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnas.core._vocabulary import IMAGE_CLASSIFICATION
from jnas.searchers import Sgd, rsps
from jnas.searchers.weight_sharing._shared_weights import (
    Schedule,
    begin_weights,
    clipped,
    descend,
    if_finite,
    learning_rate,
    train_arch,
)
from tests._toy_supernet import TOY, examples


def test_descent_is_that_of_optax():
    settings = Sgd(momentum=0.9, weight_decay=0.05, clip=0.7)
    rates = [0.5, 0.3, 0.1, 0.02]
    reference = optax.chain(
        optax.clip_by_global_norm(0.7),
        optax.add_decayed_weights(0.05),
        optax.sgd(lambda step: jnp.asarray(rates)[step], momentum=0.9, nesterov=True),
    )
    rng = np.random.default_rng(0)
    parameters = expected = {"a": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32), "b": jnp.ones(4)}
    momentum, state = jax.tree.map(jnp.zeros_like, parameters), reference.init(parameters)
    for rate in rates:
        gradients = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), parameters)
        parameters, momentum = descend(parameters, momentum, gradients, rate, settings)
        updates, state = reference.update(gradients, state, expected)
        expected = optax.apply_updates(expected, updates)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), parameters, expected)


def test_two_steps_by_hand():
    """Gradients 3 and 1, momentum .5, decay .1: m = 3.2, then .5 * 3.2 + (1 + .1 * -.4) = 2.54."""
    settings = Sgd(momentum=0.5, weight_decay=0.1, clip=None)
    value, momentum = descend(jnp.float32(2), jnp.float32(0), jnp.float32(3), 0.5, settings)
    np.testing.assert_allclose([value, momentum], [2 - 0.5 * (3.2 + 0.5 * 3.2), 3.2], rtol=1e-6)
    gradient = 1 + 0.1 * (2 - 0.5 * 4.8)
    value, momentum = descend(value, momentum, jnp.float32(1), 0.5, settings)
    expected = 0.5 * 3.2 + gradient
    np.testing.assert_allclose([value, momentum], [-0.4 - 0.5 * (gradient + 0.5 * expected), expected], rtol=1e-6)


def test_clipping_bounds_the_norm_of_all_gradients():
    small, large = {"a": jnp.array([0.3]), "b": jnp.array([0.4])}, {"a": jnp.array([30.0]), "b": jnp.array([40.0])}
    np.testing.assert_array_equal(clipped(small, 5.0)["a"], small["a"])
    np.testing.assert_allclose([clipped(large, 5.0)["a"][0], clipped(large, 5.0)["b"][0]], [3, 4], rtol=1e-5)
    assert clipped(large, None) is large


def test_learning_rate_follows_a_cosine():
    settings, schedule = Sgd(1.0, 0.2), Schedule(4, 5)
    rates = jax.vmap(lambda step: learning_rate(settings, schedule, step))(jnp.arange(21))
    expected = 0.2 + 0.8 * 0.5 * (1 + np.cos(np.pi * np.arange(21) / 20))
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_learning_rate_of_enas_falls_in_ten_epochs_and_waits_for_the_controller():
    settings, schedule = Sgd(1.0, 0.0, period=10), Schedule(2, 250, extra_steps=3)
    at = lambda step: float(learning_rate(settings, schedule, jnp.int32(step)))  # noqa: E731
    np.testing.assert_allclose(at(0), 1.0)
    np.testing.assert_allclose(at(25), 0.5, atol=1e-6)  # 5 epochs of 5 steps
    np.testing.assert_allclose(at(50), 0.0, atol=1e-6)
    np.testing.assert_allclose(at(100), 1.0, atol=1e-6)  # and it rises again
    assert at(2) == at(3) == at(4) == at(5) < at(1)


def test_accuracy_is_a_percentage_and_nan_where_a_logit_is_not_finite():
    logits = jnp.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    task, targets = IMAGE_CLASSIFICATION, jnp.array([1, 0, 0, 0])
    right = task.measure(logits, targets)
    assert task.metric(jnp.mean(right)) == task.metric(jnp.sum(right), 4) == 75
    assert task.reward(75.0) == 0.75
    assert if_finite(logits, 75.0) == 75
    assert jnp.isnan(if_finite(logits.at[1, 1].set(jnp.nan), 75.0))
    assert jnp.isnan(if_finite((logits, logits / 0.0), 75.0))


def test_a_step_of_one_architecture_leaves_what_it_does_not_run():
    """Edge 0 squares, edge 1 scales: the other operations' numbers change by weight decay alone."""
    state = jax.jit(lambda key: begin_weights(key, TOY))(jax.random.key(0))
    settings = Sgd(weight_decay=0.5, batch_norm_momentum=0.8)
    step = jax.jit(lambda state, arch, batch: train_arch(TOY, state, arch, batch, 0.1, settings))
    data = examples(3)
    after, measured = step(state, jnp.array([2, 1]), data)
    old, new = state.shared.parameters, after.shared.parameters
    decayed = 1 - 0.1 * 0.5 * 1.9  # Nesterov's first step is 1.9 gradients
    np.testing.assert_allclose(new["scale"][0], old["scale"][0] * decayed, rtol=1e-5)
    np.testing.assert_allclose(new["share"][1], old["share"][1] * decayed, rtol=1e-5)
    assert np.abs(new["scale"][1] - old["scale"][1] * decayed).max() > 1e-3
    assert np.abs(new["share"][0] - old["share"][0] * decayed).max() > 1e-4
    x = np.asarray(data.inputs)[:, 0, 0, :2]
    raw = x**2 + np.asarray(old["share"])[0] * x
    expected = np.stack([0.2 * raw.mean(axis=0), 0.8 + 0.2 * raw.var(axis=0, ddof=1)])
    np.testing.assert_allclose(after.shared.statistics[0], expected, rtol=1e-4)
    np.testing.assert_array_equal(after.shared.statistics[1], state.shared.statistics[1])
    assert 0 < measured.metric < 100


def test_arguments_are_checked():
    with pytest.raises(TypeError, match=r"steps_per_epoch is 2\.0"):
        rsps(TOY, steps_per_epoch=2.0)
    with pytest.raises(ValueError, match="epochs is 0"):
        rsps(TOY, steps_per_epoch=2, epochs=0)
