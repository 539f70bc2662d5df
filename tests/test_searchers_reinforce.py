"""REINFORCE against plain NumPy, its sampling, its sweep over learning rates, and spaces with invalid encodings."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnas.core._loop import run
from jnas.core._vocabulary import STOPPED_BY, Evaluation, Objective, function_objective
from jnas.searchers import reinforce
from jnas.spaces import categorical, nasbench201

MIXED = categorical((3, 1, 2, 4))


def softmax(logits, counts):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights *= np.arange(logits.shape[1]) < np.asarray(counts)[:, None]
    return weights / weights.sum(axis=1, keepdims=True)


def told(searcher, archs, scores, key):
    """The states after each of some evaluations."""
    state = searcher.init(key, len(archs))
    ask, tell = jax.jit(searcher.ask), jax.jit(searcher.tell)
    states = [state]
    for arch, score in zip(archs, scores, strict=True):
        proposal, state = ask(state)
        evaluation = Evaluation(jnp.full((1,), score, jnp.float32), jnp.ones((1,)), jnp.ones((1,), bool))
        state = tell(state, proposal._replace(archs=jnp.asarray(arch, jnp.int32)[None]), evaluation)
        states.append(state)
    return states


def evaluations(steps, seed):
    rng = np.random.default_rng(seed)
    archs = np.stack([rng.integers(0, count, steps) for count in MIXED.num_choices], axis=1)
    return archs, rng.normal(80, 10, steps)


@pytest.mark.parametrize("decay", [0.9, 0.0])
def test_adam_with_a_debiased_baseline_as_in_numpy(decay):
    archs, scores = evaluations(30, 0)
    states = told(reinforce(MIXED, learning_rate=0.05, baseline_decay=decay), archs, scores, jax.random.key(0))
    logits = np.asarray(states[0].logits, np.float64)
    assert 1e-4 < np.abs(logits).max() < 1e-2  # the initial scale is 1e-3
    first = second = numerator = denominator = 0.0
    for step, (arch, score) in enumerate(zip(archs, scores, strict=True), 1):
        numerator = decay * numerator + (1 - decay) * score
        denominator = decay * denominator + (1 - decay)
        advantage = score - numerator / denominator
        gradient = softmax(logits, MIXED.num_choices)
        gradient[np.arange(4), arch] -= 1
        gradient *= advantage
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        logits = logits - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(states[step].logits, logits, atol=1e-4)


def test_plain_gradient_ascent_by_hand():
    """The first reward is its own baseline; that of the second is (0.1 * 90 + 0.09 * 80) / 0.19."""
    searcher = reinforce(categorical((2, 3)), learning_rate=0.1, init_scale=0.0, optimizer=optax.sgd)
    states = told(searcher, [[0, 2], [1, 0]], [80.0, 90.0], jax.random.key(0))
    np.testing.assert_array_equal(states[1].logits, np.zeros((2, 3)))
    baseline = (0.1 * 90 + 0.09 * 80) / 0.19
    step = 0.1 * (90 - baseline)
    np.testing.assert_allclose(
        states[2].logits, step * np.array([[-1 / 2, 1 / 2, 0], [2 / 3, -1 / 3, -1 / 3]]), rtol=1e-4, atol=1e-6
    )


def test_the_first_reward_teaches_nothing():
    """Its advantage is 0, and not a rounding error that Adam would turn into a full step."""
    searcher = reinforce(MIXED, learning_rate=0.5)
    for reward in (0.1, 1 / 3, 87.654321, 93.7):
        before, after = told(searcher, [[0, 0, 0, 0]], [reward], jax.random.key(0))
        np.testing.assert_array_equal(before.logits, after.logits)


@pytest.mark.statistical
def test_choices_are_drawn_from_the_softmax():
    searcher = reinforce(MIXED)
    state = searcher.init(jax.random.key(0), 1)
    logits = np.random.default_rng(0).normal(size=state.logits.shape)
    keys = jax.random.split(jax.random.key(1), 20_000)
    states = state._replace(logits=jnp.asarray(logits, jnp.float32))
    archs = np.asarray(jax.jit(jax.vmap(lambda key: searcher.ask(states._replace(key=key))[0].archs[0]))(keys))
    expected = softmax(logits, MIXED.num_choices)
    drawn = (archs[:, :, None] == np.arange(4)).mean(axis=0)
    error = np.sqrt(expected * (1 - expected) / len(keys))
    assert (np.abs(drawn - expected) <= 4.5 * error).all()
    np.testing.assert_allclose(drawn.sum(axis=1), 1)


def test_learning_rates_are_swept_in_one_program():
    space = categorical((3,) * 4)
    problem = function_objective(lambda key, arch: jnp.sum(arch).astype(jnp.float32))

    def search(learning_rate):
        return run(reinforce(space, learning_rate=learning_rate), problem, jax.random.key(3), max_evaluations=40)

    swept = jax.jit(jax.vmap(search))(jnp.asarray([0.01, 0.2]))
    assert not np.array_equal(swept.arch[0], swept.arch[1])
    for i, rate in enumerate((0.01, 0.2)):
        np.testing.assert_array_equal(jax.jit(search)(jnp.float32(rate)).arch, swept.arch[i])
    assert swept.score[1, -15:].mean() > swept.score[1, :15].mean()


def test_invalid_encodings_are_drawn_again():
    space = MIXED._replace(is_valid=lambda arch: jnp.sum(arch) % 3 == 0)
    problem = function_objective(lambda key, arch: jnp.sum(arch).astype(jnp.float32))
    keys = jax.random.split(jax.random.key(0), 400)
    traces = jax.jit(jax.vmap(lambda key: run(reinforce(space), problem, key, max_evaluations=2)))(keys)
    assert traces.mask.all()
    assert (np.asarray(traces.arch).sum(axis=2) % 3 == 0).all()
    kinds = {arch.tobytes() for arch in np.asarray(traces.arch[:, 0])}
    assert len(kinds) == sum(sum(arch) % 3 == 0 for arch in np.ndindex(3, 1, 2, 4))


def test_the_run_ends_where_no_valid_encoding_is_drawn():
    space = MIXED._replace(is_valid=lambda arch: jnp.bool_(False))
    problem = function_objective(lambda key, arch: jnp.float32(0))
    trace = run(reinforce(space, max_draws=3), problem, jax.random.key(0), max_evaluations=4)
    assert not trace.mask.any()
    assert STOPPED_BY[int(trace.stopped_by)] == "exhausted"


@pytest.mark.statistical
def test_nas_bench_201_as_a_plain_numpy_loop_found_it(shared_data):
    """CIFAR-10 / CIFAR-100 / ImageNet16-120 test accuracy of 500 runs, 12,000 simulated seconds, by learning rate."""
    expected = {0.05: (93.91, 71.72, 45.32), 0.1: (93.91, 71.85, 45.39), 0.5: (93.17, 70.03, 43.43)}
    data = np.load(shared_data / "nasbench201" / "nasbench201.npz")
    space = nasbench201()
    valid = data["valid_accuracy_12"][:, 0].astype(np.float32)
    seconds = (12 * 0.5 * data["train_seconds_per_epoch_cifar10"]).astype(np.float32)

    def evaluate(keys, proposal):
        index = jax.vmap(space.index)(proposal.archs)
        return Evaluation(jnp.asarray(valid)[index], jnp.asarray(seconds)[index], jnp.ones(index.shape, bool))

    problem = Objective(evaluate, (12,), float(seconds.min()))

    def search(key, learning_rate):
        trace = run(reinforce(space, learning_rate=learning_rate), problem, key, budget_seconds=12_000.0)
        best = jnp.argmax(jnp.where(trace.valid & trace.mask, trace.score, -jnp.inf))
        return space.index(trace.arch[best])

    keys = jax.random.split(jax.random.key(0), 500)
    found = jax.jit(jax.vmap(jax.vmap(search, (0, None)), (None, 0)))(keys, jnp.asarray(list(expected), jnp.float32))
    for row, means in zip(np.asarray(found), expected.values(), strict=True):
        test = data["test_accuracy_200"][row]
        error = np.sqrt(2 / 500) * test.std(axis=0)  # of a difference between two such means
        assert (np.abs(test.mean(axis=0) - means) < 3.5 * error).all()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"baseline_decay is 1:"):
        reinforce(MIXED, baseline_decay=1)
    with pytest.raises(ValueError, match=r"baseline_decay is -0.1"):
        reinforce(MIXED, baseline_decay=-0.1)
    with pytest.raises(ValueError, match="max_draws is 0"):
        reinforce(MIXED, max_draws=0)
