"""DNGO, and the training on mini-batches that it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnas.searchers.predictors._bayesian_linear import fit_linear, predict_linear
from jnas.searchers.predictors._dngo import dngo
from jnas.searchers.predictors._minibatches import train_on_minibatches

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
SMALL = dngo(width=12, num_layers=2, num_epochs=40)


def problem(rows: int):
    x = RNG.uniform(-1, 1, (rows, 3)).astype(np.float32)
    return x, (90 + 4 * np.sin(3 * x[:, 0]) * x[:, 1]).astype(np.float32)


def spread_out(x, y, rows: int):
    """The same rows among others of NaN, and the mask."""
    places = np.sort(RNG.permutation(rows)[: len(y)])
    features, scores = np.full((rows, x.shape[1]), np.nan, np.float32), np.full(rows, np.nan, np.float32)
    features[places], scores[places] = x, y
    return features, scores, np.isin(np.arange(rows), places)


def times_seen(mask, epochs: int, batch_size: int) -> np.ndarray:
    """How often each row was in a batch: each adds 1 to a weight of its own."""

    def loss(weights, batch, counts):
        return -jnp.sum(jnp.where(counts, weights[batch], 0))

    rows = jnp.arange(len(mask))
    sizes = {"num_epochs": epochs, "batch_size": batch_size}
    found = train_on_minibatches(
        loss, jnp.zeros(len(mask)), KEY, rows, jnp.asarray(mask), **sizes, optimizer=optax.sgd(1.0)
    )
    return np.asarray(found)


def test_each_row_that_counts_is_seen_once_an_epoch():
    mask = RNG.uniform(size=23) < 0.6
    np.testing.assert_array_equal(times_seen(mask, epochs=3, batch_size=5), 3.0 * mask)
    np.testing.assert_array_equal(times_seen(mask, epochs=2, batch_size=100), 2.0 * mask)


def batches(mask, key=KEY) -> list[tuple[int, ...]]:
    """The batches of 4 of six epochs: of each row its place among those that count."""
    seen = []

    def note(gradient, state, _=None):
        jax.debug.callback(lambda rows: seen.append(tuple(np.sort(rows).astype(int).tolist())), gradient)
        return jnp.zeros_like(gradient), state

    train_on_minibatches(
        lambda weights, batch, counts: jnp.sum(weights * jnp.where(counts, batch, -1)),
        jnp.zeros(4),
        key,
        jnp.cumsum(jnp.asarray(mask)) - 1.0,
        jnp.asarray(mask),
        num_epochs=6,
        batch_size=4,
        optimizer=optax.GradientTransformation(lambda _: (), note),
    )
    jax.effects_barrier()
    return seen


def test_orders_differ_between_epochs_and_keys_and_not_with_padding():
    plain = batches(np.ones(12, bool))
    assert len(plain) == 6 * 3
    assert len(set(plain)) > 12  # hardly a batch comes twice
    assert sorted(sum(plain[:3], ())) == sorted(sum(plain[3:6], ())) == list(range(12))
    assert batches(spread_out(*problem(12), 19)[2]) == plain
    assert batches(np.ones(12, bool), jax.random.key(1)) != plain


def test_padding_leaves_the_result_as_it_is():
    x, y = problem(23)
    new = RNG.uniform(-1, 1, (9, 3)).astype(np.float32)
    run = jax.jit(lambda *data: SMALL.predict(SMALL.fit(KEY, *data), new))
    alone, padded = run(x, y, np.ones(23, bool)), run(*spread_out(x, y, 41))
    np.testing.assert_allclose(padded.mean, alone.mean, atol=0.02 * y.std())
    np.testing.assert_allclose(padded.std, alone.std, rtol=0.1, atol=1e-3)
    nothing = run(x, y, np.zeros(23, bool))
    assert np.all(np.isfinite(nothing.mean))
    assert np.all(np.isfinite(nothing.std))


def test_lanes_of_different_lengths_agree_with_single_runs():
    x, y = problem(30)
    new = RNG.uniform(-1, 1, (9, 3)).astype(np.float32)
    masks = np.arange(30)[None] < np.array([[0], [7], [30]])
    run = jax.jit(lambda mask: SMALL.predict(SMALL.fit(KEY, x, y, mask), new))
    lanes = jax.jit(jax.vmap(lambda mask: SMALL.predict(SMALL.fit(KEY, x, y, mask), new)))(masks)
    for i, mask in enumerate(masks):
        alone = run(mask)
        np.testing.assert_allclose(lanes.mean[i], alone.mean, atol=0.02 * y.std())
        np.testing.assert_allclose(lanes.std[i], alone.std, rtol=0.1, atol=1e-3)


def test_it_learns_what_is_not_linear_and_the_head_is_exact():
    x, y = problem(120)
    predictor = dngo(num_epochs=100)
    model = jax.jit(predictor.fit)(KEY, x[:80], y[:80], np.ones(80, bool))
    found = jax.jit(predictor.predict)(model, x[80:])
    assert np.sqrt(np.mean((found.mean - y[80:]) ** 2)) < 0.3 * y.std()
    far = predictor.predict(model, np.float32([[8.0, -8.0, 8.0]]))
    assert far.std[0] > 2 * np.mean(found.std)

    def phi(rows):
        out = (rows - x[:80].mean(0)) / x[:80].std(0)
        for layer in model.hidden:
            out = np.tanh(out @ np.asarray(layer.weight) + np.asarray(layer.bias))
        return np.concatenate([out, np.ones((len(rows), 1), np.float32)], axis=1)

    targets = (y[:80] - y[:80].mean()) / y[:80].std()
    mean, std = predict_linear(fit_linear(KEY, phi(x[:80]), targets, np.ones(80, bool)), phi(x[80:]))
    np.testing.assert_allclose(found.mean, mean * y[:80].std() + y[:80].mean(), atol=0.02)
    np.testing.assert_allclose(found.std, std * y[:80].std(), rtol=0.1, atol=0.01)


@pytest.mark.statistical
def test_draws_have_the_predictions_moments():
    x, y = problem(40)
    predictor = dngo(width=12, num_layers=2, num_epochs=40, hyperparameters="mcmc")
    model = jax.jit(predictor.fit)(KEY, x[:30], y[:30], np.ones(30, bool))
    said = jax.jit(predictor.predict)(model, x[30:])
    draws = np.asarray(jax.jit(jax.vmap(lambda k: predictor.sample(k, model, x[30:])))(jax.random.split(KEY, 4000)))
    np.testing.assert_allclose(draws.mean(0), said.mean, atol=4.5 * np.max(said.std) / 4000**0.5 + 1e-3)
    np.testing.assert_allclose(draws.std(0), said.std, rtol=0.08)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match=r"width is 2\.5, expected a Python int"):
        dngo(width=2.5)
    with pytest.raises(ValueError, match="learning_rate is 0, expected a positive number"):
        dngo(learning_rate=0)
    with pytest.raises(ValueError, match="hyperparameters is 'best'"):
        dngo(hyperparameters="best")
