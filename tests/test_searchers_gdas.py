"""GDAS: its draws, its gradient through the whole step against NumPy, its temperature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.searchers import Adam, gdas
from jnas.searchers.weight_sharing._gdas import hard_gumbel
from tests._toy_supernet import CLASSES, TOY, C, E, K, batch, differences, flat, numpy_results, numpy_softmax

ALPHA = np.random.default_rng(4).normal(size=(E, K)).astype(np.float32)
# The first step of this Adam subtracts the gradient itself: lr * g / (|g| + eps), lr = eps.
PLAIN = Adam(learning_rate=1e4, eps=1e4, weight_decay=0.0)


@pytest.mark.statistical
def test_draws_are_from_the_softmax():
    count = 20_000
    noise = jax.random.gumbel(jax.random.key(0), (count, E, K))
    archs, weights = jax.jit(jax.vmap(lambda noise: hard_gumbel(jnp.asarray(ALPHA), noise, 3.0)))(noise)
    hot = np.asarray(archs)[:, :, None] == np.arange(K)
    np.testing.assert_allclose(weights, hot, atol=1e-6)
    expected = numpy_softmax(ALPHA)
    error = np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(hot.mean(axis=0) - expected) < 4 * error).all()


def test_the_draw_does_not_depend_on_the_temperature_and_the_gradient_does():
    noise = jax.random.gumbel(jax.random.key(1), (E, K))
    found = jax.jit(lambda alpha, tau: hard_gumbel(alpha, noise, tau))
    np.testing.assert_array_equal(found(ALPHA, 10.0)[0], found(ALPHA, 0.1)[0])
    slope = jax.jit(jax.jacobian(lambda alpha, tau: hard_gumbel(alpha, noise, tau)[1]))
    for tau in (10.0, 1.0, 0.3):
        found = slope(ALPHA, tau)
        for at in np.ndindex(E, K):
            soft = lambda alpha, at=at, tau=tau: numpy_softmax((alpha + np.asarray(noise)) / tau)[at]  # noqa: E731
            np.testing.assert_allclose(found[at], differences(soft, np.asarray(ALPHA, np.float64)), atol=1e-5)


def numpy_gradient(numbers, noise, tau, examples):
    """The published gradient in alpha, in NumPy: of the value that was drawn, and of numbers added to every pixel."""
    images, labels = np.asarray(examples.inputs), np.asarray(examples.targets)
    results = numpy_results(numbers, images)
    arch = np.argmax(ALPHA + noise, axis=1)
    node = sum(results[edge, arch[edge]] for edge in range(E))
    head = numbers[2:6].reshape(C, CLASSES)
    logits = node @ head + numbers[:2]
    upstream = (numpy_softmax(logits) - np.eye(CLASSES)[labels]) / len(labels) @ head.T  # of the node, [B, C]
    in_weights = np.full((E, K), upstream.sum())
    for edge in range(E):
        in_weights[edge, arch[edge]] = (upstream * results[edge, arch[edge]]).sum()
    soft = lambda alpha: numpy_softmax((alpha + noise) / tau)  # noqa: E731
    return differences(lambda alpha: (soft(alpha) * in_weights).sum(), np.asarray(ALPHA, np.float64)), arch


@functools.cache
def programs():
    searcher = gdas(TOY, steps_per_epoch=10, epochs=5, adam=PLAIN)
    return jax.jit(searcher.init), jax.jit(searcher.step)


@pytest.mark.parametrize(("seed", "step", "tau"), [(0, 0, 10.0), (1, 9, 10.0), (2, 20, 5.05), (3, 44, 0.1)])
def test_a_step_moves_alpha_by_the_published_gradient_at_the_new_weights(seed, step, tau):
    init, advance = programs()
    state = init(jax.random.key(seed))._replace(alpha=jnp.asarray(ALPHA), step=jnp.int32(step))
    data = batch(seed, 32)
    after, info = advance(state, data)
    noise = jax.random.gumbel(jax.random.split(state.key)[1], (2, E, K))
    gradient, arch = numpy_gradient(flat(after.weights.shared.parameters), np.asarray(noise[1]), tau, data.validation)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(ALPHA - after.alpha, gradient, atol=3e-6)
    # The sampled architecture's own accuracy, in percent of 32 images.
    logits, _ = TOY.sampled(after.weights.shared.parameters, None, jnp.asarray(arch), data.validation.inputs)
    right = (np.argmax(logits, axis=1) == np.asarray(data.validation.targets)).mean()
    np.testing.assert_allclose(info.validation_accuracy, 100 * right, atol=1e-4)


def test_the_weights_learn_from_another_draw():
    """Only what the first draw ran has a gradient and a new running estimate."""
    init, advance = programs()
    differ = 0
    for seed in range(8):
        state = init(jax.random.key(seed))
        after, _ = advance(state, batch(seed, 32))
        noise = np.asarray(jax.random.gumbel(jax.random.split(state.key)[1], (2, E, K)))
        first, second = np.argmax(np.asarray(state.alpha) + noise, axis=2)
        differ += (first != second).any()
        moved = np.any(np.asarray(after.weights.shared.statistics != state.weights.shared.statistics), axis=(1, 2))
        np.testing.assert_array_equal(moved, first == 2)
        kept = 1 - 0.025 * 5e-4 * 1.9  # weight decay alone
        scale, old = after.weights.shared.parameters["scale"], state.weights.shared.parameters["scale"]
        unmoved = np.abs(np.asarray(scale - old * kept)).max(axis=1) < 1e-6
        np.testing.assert_array_equal(unmoved, first != 1)
    assert differ > 0
