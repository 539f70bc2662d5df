"""DARTS: both orders of gradient against brute force in NumPy, and what a step does in which order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnas.searchers import Adam, Sgd, darts
from jnas.searchers.weight_sharing._architecture_parameters import mixture_gradient, mixture_loss, mixture_of
from jnas.searchers.weight_sharing._shared_weights import begin_weights, train_weights
from jnas.searchers.weight_sharing.mixtures._unrolled import unrolled_gradient
from tests._toy_supernet import NAMES, TOY, batch, differences, flat, numpy_loss, numpy_softmax

RATE = 0.5  # large, so that the second-order term is
SGD = Sgd(0.5, 0.1, momentum=0.9, weight_decay=0.02)
alpha_gradient = jax.jit(functools.partial(mixture_gradient, TOY))
begin = jax.jit(lambda seed: begin_weights(jax.random.key(seed), TOY))


@functools.cache
def data():
    return batch(5, 32)


@jax.jit
def trained(weights, alpha, examples):
    return train_weights(TOY, weights, mixture_of(TOY, alpha), examples, 0.5, SGD)


def losses(batch):
    return tuple(
        lambda parameters, alpha, part=part: mixture_loss(TOY, parameters, alpha, part)
        for part in (batch.train, batch.validation)
    )


def case():
    """Weights with a momentum, and an alpha, away from where a search begins."""
    state = begin(1)
    rng = np.random.default_rng(1)
    momentum = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape) * 0.2, jnp.float32), state.momentum)
    return state._replace(momentum=momentum), jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)


@functools.partial(jax.jit, static_argnames="second")
def unrolled(weights, alpha, batch, rate, second="exact"):
    return unrolled_gradient(*losses(batch), weights, alpha, rate, SGD, second)[0]


def gradient_by(second="exact", rate=RATE):
    return np.asarray(unrolled(*case(), data(), rate, second=second))


def test_first_order_gradient_is_that_of_numpy():
    weights, alpha = case()
    parameters = weights.shared.parameters
    found, measured = alpha_gradient(parameters, alpha, data().validation)
    loss = lambda alpha: numpy_loss(flat(parameters), numpy_softmax(alpha), data().validation)  # noqa: E731
    np.testing.assert_allclose(found, differences(loss, np.asarray(alpha, np.float64)), atol=2e-6)
    np.testing.assert_allclose(measured.loss, loss(np.asarray(alpha, np.float64)), rtol=1e-5)


def test_exact_second_order_gradient_is_the_derivative_of_the_loss_after_a_step():
    """Brute force: alpha changed by hand, the weights' gradient by differences, a step, the validation loss."""
    weights, alpha = case()
    start, momentum = flat(weights.shared.parameters), flat(weights.momentum)

    def after_a_step(alpha):
        probabilities = numpy_softmax(alpha)
        gradient = differences(lambda numbers: numpy_loss(numbers, probabilities, data().train), start)
        stepped = start - RATE * (0.9 * momentum + gradient + 0.02 * start)
        return numpy_loss(stepped, probabilities, data().validation)

    expected = differences(after_a_step, np.asarray(alpha, np.float64), 1e-4)
    found = gradient_by()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    stepped = start - RATE * (
        0.9 * momentum
        + differences(lambda numbers: numpy_loss(numbers, numpy_softmax(np.asarray(alpha)), data().train), start)
        + 0.02 * start
    )
    direct = differences(
        lambda alpha: numpy_loss(stepped, numpy_softmax(alpha), data().validation), np.asarray(alpha, np.float64)
    )
    assert np.abs(expected - direct).max() > 5e-3  # the term that only the second order has


def test_finite_difference_agrees_with_the_exact_term():
    exact, approximate = gradient_by("exact"), gradient_by("finite_difference")
    np.testing.assert_allclose(approximate, exact, atol=2e-4)
    # A tenth of the term that both compute, which is what is left when the step's other derivatives are taken away.
    assert np.abs(exact - approximate).max() < 0.1 * np.abs(exact - unrolled_direct()).max()


def test_without_a_step_the_second_order_gradient_is_the_first():
    weights, alpha = case()
    first, _ = alpha_gradient(weights.shared.parameters, alpha, data().validation)
    np.testing.assert_allclose(gradient_by(rate=0.0), first, atol=1e-6)


def unrolled_direct():
    """The second order's gradient without the second-order term: that of the validation loss at the stepped weights."""
    weights, alpha = case()
    train, validation = losses(data())
    gradients = jax.grad(lambda parameters: train(parameters, alpha)[0])(weights.shared.parameters)
    stepped = jax.tree.map(
        lambda value, mean, gradient: value - RATE * (0.9 * mean + gradient + 0.02 * value),
        weights.shared.parameters,
        weights.momentum,
        gradients,
    )
    return np.asarray(jax.grad(lambda alpha: validation(stepped, alpha)[0])(alpha))


def adam_step(alpha, gradient):
    """The first step of Adam, by hand: `lr * g / (|g| + eps)` of the gradient with its decay."""
    gradient = gradient + 1e-3 * alpha
    return alpha - 3e-4 * gradient / (np.abs(gradient) + 1e-8)


def begun(searcher):
    state = jax.jit(searcher.init)(jax.random.key(3))
    _, alpha = case()
    return state._replace(alpha=alpha)


def test_first_order_trains_the_weights_and_then_looks_at_the_new_ones():
    searcher = darts(TOY, steps_per_epoch=10, epochs=2, sgd=SGD)
    state = begun(searcher)
    after, info = jax.jit(searcher.step)(state, data())
    weights, on_train = trained(state.weights, state.alpha, data().train)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), after.weights, weights)
    gradient, on_validation = alpha_gradient(weights.shared.parameters, state.alpha, data().validation)
    np.testing.assert_allclose(after.alpha, adam_step(state.alpha, gradient), atol=1e-6)
    np.testing.assert_allclose(info[:4], [*on_train[:2], *on_validation[:2]], rtol=1e-5)
    assert after.step == 1


def test_second_order_looks_ahead_and_then_trains_with_the_new_alpha():
    searcher = darts(TOY, steps_per_epoch=10, epochs=2, sgd=SGD, order="second", adam=Adam(learning_rate=0.3))
    state = begun(searcher)
    after, _ = jax.jit(searcher.step)(state, data())
    gradient = unrolled(state.weights, state.alpha, data(), 0.5)
    tuned = optax.chain(optax.add_decayed_weights(1e-3), optax.adam(0.3, b1=0.5))
    updates, _ = tuned.update(gradient, tuned.init(state.alpha), state.alpha)
    alpha = state.alpha + updates
    np.testing.assert_allclose(after.alpha, alpha, atol=1e-5)
    weights, _ = trained(state.weights, alpha, data().train)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), after.weights, weights)
    # Running estimates have seen the training batch once, and neither the validation batch nor the unrolled model.
    _, used = TOY.mixture(state.weights.shared.parameters, None, jax.nn.softmax(alpha), data().train.inputs)
    expected = TOY.running(state.weights.shared.statistics, used, 0.9, data().train.inputs.shape)
    np.testing.assert_allclose(after.weights.shared.statistics, expected, rtol=1e-5)


def test_alpha_follows_adam_over_several_steps():
    searcher = darts(TOY, steps_per_epoch=4, epochs=1)
    state, step = begun(searcher), jax.jit(searcher.step)
    reference = optax.chain(optax.add_decayed_weights(1e-3), optax.adam(3e-4, b1=0.5, b2=0.999))
    optimizer = reference.init(state.alpha)
    for number in range(4):
        after, _ = step(state, batch(number, 32))
        parameters = after.weights.shared.parameters
        gradient, _ = alpha_gradient(parameters, state.alpha, batch(number, 32).validation)
        updates, optimizer = reference.update(gradient, optimizer, state.alpha)
        np.testing.assert_allclose(after.alpha, state.alpha + updates, atol=1e-6)
        state = after


def test_it_derives_the_largest_alpha_and_its_first_alpha_is_small():
    searcher = darts(TOY, steps_per_epoch=4)
    state = jax.jit(jax.vmap(searcher.init))(jax.random.split(jax.random.key(0), 500))
    assert 0.9e-3 < np.asarray(state.alpha).std() < 1.1e-3
    one = jax.tree.map(lambda x: x[0], state)._replace(alpha=jnp.array([[3.0, 1, 2], [0, 1, 5]]))
    derived = searcher.derive(one, None, "validation")
    np.testing.assert_array_equal(derived.arch, [0, 2])
    np.testing.assert_array_equal(derived.candidates, [[0, 2]])
    assert np.isnan(derived.scores).all()
    np.testing.assert_allclose(searcher.probabilities(one), numpy_softmax(np.asarray(one.alpha)), rtol=1e-5)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="order is 'third'"):
        darts(TOY, steps_per_epoch=3, order="third")
    with pytest.raises(ValueError, match="second is 'fast'"):
        darts(TOY, steps_per_epoch=3, second="fast")


def test_the_toy_in_numpy_is_the_toy():
    weights, alpha = case()
    parameters = weights.shared.parameters
    assert tuple(sorted(parameters)) == NAMES
    loss, _ = mixture_loss(TOY, parameters, alpha, data().train)
    np.testing.assert_allclose(loss, numpy_loss(flat(parameters), numpy_softmax(np.asarray(alpha)), data().train), 1e-5)
