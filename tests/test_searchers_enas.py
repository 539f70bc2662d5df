"""ENAS: its controller against NumPy, its policy gradient against a listing of all architectures, its phases."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnas.searchers import ControllerSettings, PolicyGradient, Selection, enas
from jnas.searchers.weight_sharing._controller import (
    init_controller,
    log_probabilities,
    log_probability_and_entropy,
    sample_choices,
)
from jnas.searchers.weight_sharing._enas import policy_gradient
from tests._toy_supernet import ARCHS, TOY, E, K, batch, toy_dataset

SMALL = ControllerSettings(hidden=8, temperature=0.5)  # sharper than published, so that preferences matter


def score(parameters, arch):
    return log_probability_and_entropy(parameters, arch, SMALL)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_log_probabilities(controller, arch, settings, mask=None):
    """The controller in NumPy, one number at a time, for one architecture."""
    controller = jax.tree.map(lambda x: np.asarray(x, np.float64), controller)
    size = len(controller.start)
    hidden, cell = np.zeros((2, size)), np.zeros((2, size))
    given, found = controller.start, []
    for number_of_decision, choice in enumerate(arch):
        x = given
        for number, layer in enumerate(controller.layers):
            gates = layer.from_input @ x + layer.from_hidden @ hidden[number] + layer.input_bias + layer.hidden_bias
            i, f, g, o = gates.reshape(4, size)
            cell[number] = sigmoid(f) * cell[number] + sigmoid(i) * np.tanh(g)
            hidden[number] = x = sigmoid(o) * np.tanh(cell[number])
        logits = settings.tanh_constant * np.tanh((controller.kernel @ x + controller.bias) / settings.temperature)
        if mask is not None:
            logits = np.where(mask[number_of_decision], logits, -np.inf)
        found.append(logits - np.log(np.exp(logits).sum()))
        given = controller.embedding[choice]
    return np.array(found)


@functools.cache
def controller(seed=0, scale=3.0):
    """A controller that prefers some architectures to others."""
    with jax.ensure_compile_time_eval():  # tests first ask for it while they are traced
        found = jax.jit(lambda key: init_controller(key, K, 8))(jax.random.key(seed))
        return jax.tree.map(lambda x: scale * x, found)


@functools.cache
def of_all():
    """Of every architecture: its log-probability and the gradient of it, as NumPy arrays."""
    look = lambda controller, arch: log_probability_and_entropy(controller, arch, SMALL)[0]  # noqa: E731
    values = jax.jit(jax.vmap(jax.value_and_grad(look), (None, 0)))(controller(), jnp.asarray(ARCHS))
    return jax.device_get(values)


def test_controller_without_a_choice_is_that_of_numpy():
    mask, arch = np.array([[False, True, True], [True, True, False]]), np.array([2, 1])
    look = lambda controller: log_probability_and_entropy(controller, jnp.asarray(arch), SMALL, jnp.asarray(mask))  # noqa: E731
    value, entropy = jax.jit(look)(controller())
    expected = numpy_log_probabilities(controller(), arch, SMALL, mask)
    np.testing.assert_allclose(value, expected[[0, 1], arch].sum(), rtol=1e-4)
    there = expected[mask]
    np.testing.assert_allclose(entropy, -np.sum(np.exp(there) * there), rtol=1e-4)
    slopes = jax.jit(jax.grad(lambda controller: sum(look(controller))))(controller())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_controller_is_that_of_numpy():
    for settings in (SMALL, ControllerSettings(hidden=8)):
        found = jax.jit(jax.vmap(lambda arch, s=settings: log_probabilities(controller(), arch, s)))(ARCHS)
        expected = np.stack([numpy_log_probabilities(controller(), arch, settings) for arch in ARCHS])
        np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(of_all()[0]).sum(), 1, rtol=1e-5)
    assert np.exp(of_all()[0]).max() > 0.2  # and it is far from uniform
    _, entropy = log_probability_and_entropy(controller(), jnp.asarray(ARCHS[4]), SMALL)
    table = numpy_log_probabilities(controller(), ARCHS[4], SMALL)
    np.testing.assert_allclose(entropy, -(np.exp(table) * table).sum(), rtol=1e-5)


def test_a_new_controller_has_the_published_spread():
    found = jax.jit(init_controller, static_argnums=(1, 2))(jax.random.key(0), 5, 32)
    wide = 32**-0.5
    for array, bound in (
        (found.start, 0.1),
        (found.layers[0].from_input, 0.1),
        (found.layers[0].from_hidden, 0.1),
        (found.layers[0].input_bias, wide),
        (found.layers[1].from_input, wide),
        (found.layers[1].hidden_bias, wide),
        (found.embedding, 0.1),
        (found.kernel, 0.1),
        (found.bias, wide),
    ):
        largest = np.abs(np.asarray(array)).max()
        assert (0.6 if array.size < 10 else 0.9) * bound < largest < bound
    numbers = np.concatenate([np.ravel(x) for x in jax.tree.leaves(found)])
    assert len(np.unique(numbers)) > 0.99 * len(numbers)
    assert len(numbers) == 32 + 2 * (2 * 128 * 32 + 2 * 128) + 2 * 5 * 32 + 5


@pytest.mark.statistical
def test_samples_follow_the_controller():
    count = 20_000
    noise = jax.random.gumbel(jax.random.key(0), (count, E, K))
    archs = jax.jit(jax.vmap(lambda noise: sample_choices(controller(), noise, SMALL)))(noise)
    found = np.bincount(np.asarray(archs) @ [K, 1], minlength=K**E) / count
    expected = np.exp(of_all()[0])
    assert (np.abs(found - expected) < 4 * np.sqrt(expected / count)).all()


def flatten(tree, lead=0):
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(*leaf.shape[:lead], -1) for leaf in leaves], axis=-1)


def test_the_policy_gradient_in_expectation_is_that_of_the_expected_reward():
    """Summed over all architectures by their probability, whatever the baseline."""
    rewards = np.random.default_rng(0).uniform(size=K**E).astype(np.float32)

    def expected_reward(controller):
        each = jax.vmap(lambda arch: log_probability_and_entropy(controller, arch, SMALL)[0])(jnp.asarray(ARCHS))
        return jnp.sum(jnp.exp(each) * rewards)

    exact = flatten(jax.jit(jax.grad(expected_reward))(controller()))
    one = jax.jit(jax.vmap(lambda arch, advantage: policy_gradient(score, controller(), arch, advantage)))
    for baseline in (0.0, 0.7):
        each = flatten(one(jnp.asarray(ARCHS), rewards - np.float32(baseline)), lead=1)
        np.testing.assert_allclose(np.exp(of_all()[0]) @ each, -exact, atol=2e-6)
    assert np.abs(exact).max() > 1e-2


@functools.cache
def made(baseline="moving", batch_norm="batch"):
    policy = PolicyGradient(learning_rate=0.01, baseline_decay=0.9, baseline=baseline, entropy_weight=0.1, clip=0.05)
    searcher = enas(
        TOY,
        steps_per_epoch=3,
        controller_steps=2,
        controller_samples=4,
        controller=SMALL,
        policy=policy,
        selection=Selection("same_batches", num_candidates=16, num_images=64, batch_norm=batch_norm),
    )
    return searcher, jax.jit(searcher.init), jax.jit(searcher.step)


@jax.jit
def right(parameters, statistics, arch, examples):
    logits, _ = TOY.sampled(parameters, statistics, arch, examples.inputs)
    return jnp.mean(jnp.argmax(logits, 1) == examples.targets)


def rewards_of(data, shared):
    """The reward of every architecture on a validation batch, by listing."""
    found = []
    for arch in ARCHS:
        table = numpy_log_probabilities(controller(), arch, SMALL)
        entropy = -(np.exp(table) * table).sum()
        found.append(float(right(shared.parameters, None, arch, data.validation)) + 0.1 * entropy)
    return np.array(found)


@pytest.mark.statistical
def test_steps_of_the_controller_add_up_to_the_policy_gradient():
    """The mean over 2,000 keys of what one step adds, against all architectures by their probability."""
    searcher, init, _ = made()
    state, data = init(jax.random.key(0)), batch(0, 32)
    state = state._replace(controller=controller(), step=jnp.int32(3), baseline=jnp.float32(0.4))
    keys = jax.random.split(jax.random.key(1), 2000)
    one = lambda key: searcher.step(state._replace(key=key), data)[0].gradients  # noqa: E731
    found = flatten(jax.jit(jax.vmap(one))(keys), lead=1) * 4
    advantages = 0.9 * (rewards_of(data, state.weights.shared) - 0.4)  # the baseline has taken in a tenth of the reward
    exact = -(np.exp(of_all()[0]) * advantages) @ flatten(of_all()[1], lead=1)
    error = found.std(axis=0) / np.sqrt(len(keys))
    assert (np.abs(found.mean(axis=0) - exact) < 5 * error + 1e-7).all()
    assert (np.abs(exact) > 10 * error).any()


@pytest.mark.parametrize(("baseline", "batch_norm"), [("moving", "batch"), ("released", "running")])
def test_two_epochs_by_hand(baseline, batch_norm):
    """Three steps of the weights; two of the controller, of four samples each; the next epoch, and a bit more.

    With the released baseline the first epoch's advantages are those of the entropy alone.
    """
    _, init, step = made(baseline, batch_norm)
    state = init(jax.random.key(0))._replace(controller=controller())
    policy = optax.chain(optax.clip_by_global_norm(0.05), optax.adam(0.01, b1=0.0, b2=0.999, eps=1e-3))
    optimizer, average, expected = policy.init(controller()), None, controller()
    gradient_of = jax.jit(lambda c, arch, advantage: policy_gradient(score, c, arch, advantage))
    look = jax.jit(lambda c, arch: log_probability_and_entropy(c, arch, SMALL)[1])
    draw = jax.jit(lambda c, key: sample_choices(c, jax.random.gumbel(jax.random.split(key)[1], (E, K)), SMALL))
    total = jax.tree.map(jnp.zeros_like, expected)
    earlier = None
    for number in range(25):
        before, data = state, batch(number, 32)
        state, info = step(state, data)
        place = number % 11
        if place < 3:
            jax.tree.map(np.testing.assert_array_equal, state.controller, before.controller)
            assert (
                flatten(state.weights.shared.parameters).tolist() != flatten(before.weights.shared.parameters).tolist()
            )
            assert np.isfinite(info.train_loss)
            assert np.isnan(info.validation_accuracy)
            continue
        jax.tree.map(np.testing.assert_array_equal, state.weights, before.weights)
        assert np.isnan(info.train_loss)
        arch = draw(expected, before.key)
        shared = state.weights.shared
        statistics = shared.statistics if batch_norm == "running" else None
        fraction = float(right(shared.parameters, statistics, arch, data.validation))
        np.testing.assert_allclose(info.validation_accuracy, 100 * fraction, rtol=1e-5)
        reward = fraction + 0.1 * float(look(expected, arch))
        if baseline == "moving":
            average = fraction if average is None else average
            average = average - 0.1 * (average - reward)
        else:
            earlier = average if place == 3 else earlier
            average = fraction if earlier is None else earlier - 0.1 * (earlier - reward)
        np.testing.assert_allclose(state.baseline, average, rtol=1e-4)
        gradient = gradient_of(expected, arch, jnp.float32(reward - average))
        total = jax.tree.map(lambda x, y: x + y / 4, total, gradient)
        if place in (6, 10):
            updates, optimizer = policy.update(total, optimizer)
            expected = optax.apply_updates(expected, updates)
            total = jax.tree.map(jnp.zeros_like, expected)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5), state.controller, expected)
    assert np.abs(flatten(expected) - flatten(controller())).max() > 5e-3
    assert step._cache_size() == 1


def test_many_seeds_keep_the_branch():
    """Under `vmap` a step does one phase's work, not both."""
    searcher, init, _ = made()
    states = jax.eval_shape(jax.vmap(init), jax.random.split(jax.random.key(0), 3))
    program = jax.make_jaxpr(jax.vmap(searcher.step, (0, None)))(states, batch(0, 32))
    conditions = [equation for equation in program.eqns if equation.primitive.name == "cond"]
    assert any(equation.invars[0].aval.shape == () for equation in conditions)


def test_marginal_probabilities_and_candidates():
    searcher, init, _ = made()
    state = init(jax.random.key(0))._replace(controller=controller())
    probability = np.exp(of_all()[0])
    found, weights = jax.jit(lambda state: (searcher.log_probability(state, ARCHS), searcher.probabilities(state)))(
        state
    )
    np.testing.assert_allclose(found, of_all()[0], atol=1e-5)
    hot = ARCHS[:, :, None] == np.arange(K)
    np.testing.assert_allclose(weights, np.einsum("a,aek->ek", probability, hot), atol=0.05)
    derived = jax.jit(searcher.derive, static_argnums=2)(state, toy_dataset(), "validation")
    np.testing.assert_array_equal(derived.arch, derived.candidates[np.argmax(derived.scores)])
    assert searcher.extra_steps == 8


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="baseline is 'none'"):
        enas(TOY, steps_per_epoch=3, policy=PolicyGradient(baseline="none"))
    with pytest.raises(ValueError, match="controller_steps is 0"):
        enas(TOY, steps_per_epoch=3, controller_steps=0)
