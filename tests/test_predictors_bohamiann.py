"""BOHAMIANN: its sampler on a known density, its posterior's gradient, and what it knows of what it does not know."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from jnas.searchers import predictors
from jnas.searchers.predictors import _bohamiann


@pytest.mark.statistical
def test_sampler_draws_from_a_gaussian():
    """Mean and covariance over 48 chains, as near as the chains' own spread and the step's error (2 percent) allow.

    The energy is the negative logarithm over a number of rows, so that the temperature is checked as well.
    """
    mean = np.array([1.0, -2.0, 0.5], np.float32)
    root = np.array([[0.5, 0, 0], [0.6, 1.2, 0], [-0.3, 0.8, 2.0]], np.float32)
    covariance = root @ root.T
    precision = np.linalg.inv(covariance).astype(np.float32)
    rows = 7

    def gradient(word, position):
        return jnp.asarray(precision) @ (position - mean) / rows

    def chain(key):
        return _bohamiann.sample_chain(
            key,
            gradient,
            jnp.zeros((3,)),
            rows,
            num_burn_in=1500,
            num_kept=500,
            keep_every=50,
            learning_rate=0.03,
            friction=0.05,
        )

    drawn = np.asarray(jax.jit(jax.vmap(chain))(jax.random.split(jax.random.key(0), 48)), np.float64)
    assert drawn.shape == (48, 500, 3)
    means = drawn.mean(axis=1)
    away = drawn - mean
    covariances = np.einsum("cti,ctj->cij", away, away) / drawn.shape[1]
    scale = np.sqrt(np.diag(covariance))
    for found, truth, size in ((means, mean, scale), (covariances, covariance, np.outer(scale, scale))):
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (error < 0.05 * size).all()
        assert (np.abs(found.mean(axis=0) - truth) < 4 * error + 0.02 * size).all()


def test_steps_adapt_to_their_gradients():
    """On white noise of a known deviation the averages find its square, over ever longer windows."""
    slopes = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32) * [1.0, 30.0]
    one, zero = jnp.ones((2,)), jnp.zeros((2,))
    start = _bohamiann.Averages(window=one, gradient=zero, square=one)
    averages, windows = jax.jit(
        lambda slopes: jax.lax.scan(
            lambda averages, slope: ((new := _bohamiann.adapted(averages, slope)), new.window), start, slopes
        )
    )(slopes.astype(np.float32))
    np.testing.assert_allclose(np.sqrt(averages.square), [1.0, 30.0], rtol=0.15)
    assert (windows[-1] > 100).all()
    assert (windows > 0.99).all()
    steady = jnp.full((50, 2), 3.0)  # a gradient that only has a direction is followed at once
    _, windows = jax.lax.scan(lambda found, g: ((new := _bohamiann.adapted(found, g)), new.window), start, steady)
    assert (windows[-1] < 2).all()


def test_gradient_is_that_of_the_posterior():
    """Of the density written out: likelihood, normal weights, log-normal variance; over the number of rows."""
    shapes = _bohamiann.layer_shapes(3, 4, 2)
    assert shapes == ((3, 4), (4, 4), (4, 1))
    size = 3 * 4 + 4 + 4 * 4 + 4 + 4 + 1 + 1
    rng = np.random.default_rng(1)
    position, x, y = (rng.normal(size=s).astype(np.float32) for s in (size, (6, 3), 6))

    def negative_log_posterior(position):
        w0, b0, w1, b1, w2, b2, (s,) = jnp.split(position, np.cumsum([12, 4, 16, 4, 4, 1]))
        h = jnp.tanh(jnp.tanh(x @ w0.reshape(3, 4) + b0[None]) @ w1.reshape(4, 4) + b1[None])
        out = h @ w2 + b2
        density = norm.logpdf(jnp.asarray(y), out, jnp.exp(0.5 * s)).sum()
        for part, std in ((w0, 3**-0.5), (w1, 0.5), (w2, 0.5), (b0, 1), (b1, 1), (b2, 1)):
            density += norm.logpdf(part, 0, 2.5 * std).sum()
        return -density - norm.logpdf(s, np.log(0.03), 1)

    @jax.jit
    def gradient(x, y):
        network = _bohamiann.as_position(jnp.asarray(position), shapes)
        inputs = _bohamiann.with_bias(jnp.asarray(x))
        slopes = _bohamiann.energy_gradient(network, inputs, y, 6, weight_std=2.5, noise=0.03)
        return _bohamiann.as_rows(jax.tree.map(lambda leaf: leaf[None], slopes))[0]

    found = gradient(x, y)
    expected = jax.jit(jax.grad(negative_log_posterior))(position) / 6
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    padded = gradient(np.tile(x, (3, 1)), np.tile(y, 3))  # only the first six rows count
    np.testing.assert_allclose(padded, found, rtol=1e-4, atol=1e-5)


def test_start_keeps_units_in_range():
    shapes = _bohamiann.layer_shapes(100, 50, 2)
    position = np.asarray(_bohamiann.initial_position(jax.random.key(0), shapes, 0.01))
    layers = _bohamiann.as_position(position, shapes).layers
    assert position[-1] == pytest.approx(np.log(0.01))
    for weights in layers:
        assert weights[:-1].std() == pytest.approx((len(weights) - 1) ** -0.5, rel=0.3)
        assert not weights[-1].any()


def test_mini_batches_go_round_the_rows_that_count():
    mask = np.zeros(12, bool)
    mask[[1, 4, 5, 9, 11]] = True
    order, count = _bohamiann.shuffled(jax.random.key(3), jnp.asarray(mask), 8)
    assert count == 5
    assert order.shape == (20,)
    assert sorted(order[:5].tolist()) == [1, 4, 5, 9, 11]
    np.testing.assert_array_equal(order, order[:5][np.arange(20) % 5])
    alone, _ = _bohamiann.shuffled(jax.random.key(3), jnp.ones((5,), bool), 8)  # the same rows without the others
    np.testing.assert_array_equal(np.flatnonzero(mask)[alone[:5]], order[:5])
    several = jax.vmap(lambda key: _bohamiann.shuffled(key, jnp.asarray(mask), 8)[0])
    assert len(np.unique(several(jax.random.split(jax.random.key(0), 20))[:, :5], axis=0)) > 10


@pytest.mark.statistical
def test_uncertainty_grows_away_from_data():
    """A sine with a gap: near data the mean is right and sure; in the gap and outside it is less so."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-2.0, -0.8, 25), rng.uniform(0.8, 2.0, 25)]).astype(np.float32)
    scores = (60 + 10 * np.sin(2 * x) + 0.2 * rng.normal(size=50)).astype(np.float32)
    predictor = predictors.bohamiann(width=30, num_steps=6_000, num_burn_in=1_000, keep_every=50)
    points = np.array([-1.4, 1.4, -1.0, 1.9, 0.0, -3.2, 3.2], np.float32)

    @jax.jit
    @jax.vmap
    def said(key):
        model = predictor.fit(key, x[:, None], jnp.asarray(scores), jnp.ones((50,), bool))
        return predictor.predict(model, points[:, None])

    mean, std = (np.asarray(part) for part in said(jax.random.split(jax.random.key(1), 4)))
    near, far = slice(0, 4), slice(4, 7)
    assert np.sqrt(np.mean((mean[:, near] - 60 - 10 * np.sin(2 * points[None, near])) ** 2)) < 1.5
    assert std[:, near].mean() < 1.0
    assert std[:, far].mean(axis=0).min() > 2 * std[:, near].mean()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="no network is kept"):
        predictors.bohamiann(num_steps=100, num_burn_in=80, keep_every=50)
    with pytest.raises(TypeError, match="width is"):
        predictors.bohamiann(width=5.0)
    with pytest.raises(ValueError, match="noise is 0"):
        predictors.bohamiann(noise=0)
    with pytest.raises(ValueError, match="friction is 2"):
        predictors.bohamiann(friction=2)
    predictor = predictors.bohamiann()
    nodes = {"nodes": jnp.zeros((3, 4, 5))}
    with pytest.raises(TypeError, match=r"expected one array \[N, F\]"):
        predictor.fit(jax.random.key(0), nodes, jnp.zeros((3,)), jnp.ones((3,), bool))
