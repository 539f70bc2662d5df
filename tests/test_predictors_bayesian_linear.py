"""Bayesian linear regression against the textbook's formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jnas.searchers.predictors._bayesian_linear import (
    LinearModel,
    bayesian_linear_regression,
    fit_linear,
    predict_linear,
    sample_linear,
)

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def problem(rows: int, width: int, noise: float = 0.3):
    """Regressors, targets in standard units, and other regressors."""
    regressors = RNG.normal(size=(rows + 20, width)).astype(np.float32)
    targets = regressors @ RNG.normal(size=width) / width**0.5 + noise * RNG.normal(size=rows + 20)
    targets = ((targets - targets[:rows].mean()) / targets[:rows].std()).astype(np.float32)
    return regressors[:rows], targets[:rows], regressors[rows:]


def by_hand(x, y, new, alpha, beta):
    """Mean, covariance and logarithm of the marginal likelihood, in float64."""
    x, y, new = (np.asarray(a, np.float64) for a in (x, y, new))
    covariance = np.linalg.inv(alpha * np.eye(x.shape[1]) + beta * x.T @ x)
    noisy = np.eye(len(y)) / beta + x @ x.T / alpha
    evidence = -0.5 * y @ np.linalg.solve(noisy, y) - 0.5 * np.linalg.slogdet(noisy)[1]
    return new @ (beta * covariance @ x.T @ y), new @ covariance @ new.T, evidence


def fitted(x, y, mask=None, **arguments) -> LinearModel:
    mask = np.ones(len(y), bool) if mask is None else mask
    return jax.jit(lambda *data: fit_linear(KEY, *data, **arguments))(jnp.asarray(x), jnp.asarray(y), jnp.asarray(mask))


@pytest.mark.parametrize(("rows", "width"), [(60, 8), (15, 30)])
def test_the_posterior_at_the_largest_marginal_likelihood(rows, width):
    x, y, new = problem(rows, width)
    model = fitted(x, y)
    mean, std = predict_linear(model, jnp.asarray(new))
    alpha, beta = float(model.prior[0]), float(model.noise[0])
    expected, covariance, evidence = by_hand(x, y, new, alpha, beta)
    np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(std, np.sqrt(np.diag(covariance)), rtol=2e-3)
    bounds = np.log([(1e-4, 1e5), (1e-2, 1e6)])
    for start in [(0, 0), (0, 5), (3, 3), (-3, 1)]:
        climbed = optimize.minimize(
            lambda p: -by_hand(x, y, new, *np.exp(p))[2], start, method="Nelder-Mead", bounds=bounds
        )
        assert evidence > -climbed.fun - 2e-3


def test_scores_that_the_regressors_say_nothing_of():
    x, _, new = problem(400, 5)
    y = RNG.normal(size=400).astype(np.float32)
    mean, std = predict_linear(fitted(x, (y - y.mean()) / y.std()), jnp.asarray(new))
    assert np.max(np.abs(mean)) < 0.4
    assert np.max(std) < 0.4


@pytest.mark.parametrize("hyperparameters", ["marginal_likelihood", "mcmc"])
def test_masked_rows_do_not_matter(hyperparameters):
    predictor = bayesian_linear_regression(hyperparameters=hyperparameters, num_hypers=4, chain_length=3)
    x, y, new = problem(30, 6)
    mask = np.isin(np.arange(47), places := np.sort(RNG.permutation(47)[:30]))
    features, scores = np.full((47, 6), np.nan, np.float32), np.full(47, np.nan, np.float32)
    features[places], scores[places] = x, 90 + 3 * y
    run = jax.jit(lambda *data: predictor.predict(predictor.fit(KEY, *data), new))
    alone, padded = run(x, 90 + 3 * y, np.ones(30, bool)), run(features, scores, mask)
    np.testing.assert_allclose(padded.mean, alone.mean, atol=3e-3)
    np.testing.assert_allclose(padded.std, alone.std, rtol=1e-2)
    nothing = run(features, scores, np.zeros(47, bool))
    assert np.all(np.isfinite(nothing.mean))
    assert np.all(np.isfinite(nothing.std))


def test_units_and_constant_features_do_not_matter():
    predictor = bayesian_linear_regression()
    x, y, new = problem(40, 6)
    run = jax.jit(lambda a, b, new: predictor.predict(predictor.fit(KEY, a, b, jnp.ones(40, bool)), new))
    plain = run(x, y, new)
    wide = [np.concatenate([1000 + 7 * a, np.full((len(a), 2), 0.3, np.float32)], axis=1) for a in (x, new)]
    other = run(wide[0], 90 + 5 * y, wide[1])
    np.testing.assert_allclose((other.mean - 90) / 5, plain.mean, atol=2e-2)
    np.testing.assert_allclose(other.std / 5, plain.std, rtol=2e-2)


@pytest.mark.statistical
@pytest.mark.parametrize(("rows", "width"), [(40, 6), (8, 12)])
def test_draws_have_the_posteriors_moments(rows, width):
    x, y, new = problem(rows, width)
    model = fitted(x, y)
    mean, covariance, _ = by_hand(x, y, new, float(model.prior[0]), float(model.noise[0]))
    draw = jax.jit(jax.vmap(lambda key: sample_linear(key, model, jnp.asarray(new))))
    draws = np.asarray(draw(jax.random.split(KEY, 4000)))
    assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * draws.std(0) / np.sqrt(len(draws)) + 1e-3)
    variances = np.diag(covariance)
    tolerance = np.sqrt((np.outer(variances, variances) + covariance**2) / len(draws))
    assert np.all(np.abs(np.cov(draws.T) - covariance) < 4.5 * tolerance + 1e-4)


@pytest.mark.statistical
def test_the_chain_draws_from_the_posterior_of_the_hyperparameters():
    x, y, new = problem(30, 8)
    runs = 150
    fit = jax.jit(jax.vmap(lambda key: fit_linear(key, x, y, np.ones(30, bool), hyperparameters="mcmc")))
    models = fit(jax.random.split(KEY, runs))
    drawn = np.log(np.stack([models.prior, models.noise], axis=-1))  # [runs, H, 2]
    first, second = np.meshgrid(np.linspace(np.log(1e-4), np.log(1e5), 70), np.linspace(np.log(1e-2), np.log(1e6), 70))
    points = np.stack([first.ravel(), second.ravel()], axis=1)
    evidence = np.array([by_hand(x, y, new, *np.exp(point))[2] for point in points])
    density = evidence - 0.5 * (points[:, 0] ** 2 + (points[:, 1] - np.log(100)) ** 2) / 9
    share = np.exp(density - density.max())
    share /= share.sum()
    mean = share @ points
    deviation = np.sqrt(share @ (points - mean) ** 2)
    of_runs = drawn.mean(1)  # walkers of a run are not independent, runs are
    assert np.all(np.abs(of_runs.mean(0) - mean) < 4 * of_runs.std(0) / np.sqrt(runs) + 0.02)
    np.testing.assert_allclose(drawn.reshape(-1, 2).std(0), deviation, rtol=0.08)
    one = jax.tree.map(lambda leaf: leaf[0], models)  # a prediction is the mean over the draws
    every = [by_hand(x, y, new, a, b) for a, b in zip(one.prior, one.noise, strict=True)]
    found, std = predict_linear(one, jnp.asarray(new))
    means, variances = np.array([e[0] for e in every]), np.array([np.diag(e[1]) for e in every])
    np.testing.assert_allclose(found, means.mean(0), atol=1e-3)
    np.testing.assert_allclose(std, np.sqrt(variances.mean(0) + means.var(0)), rtol=5e-3)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="hyperparameters is 'guess', expected 'marginal_likelihood' or 'mcmc'"):
        bayesian_linear_regression(hyperparameters="guess")
    with pytest.raises(ValueError, match="num_hypers is 7, expected an even number"):
        bayesian_linear_regression(num_hypers=7)
    with pytest.raises(TypeError, match="given features"):
        bayesian_linear_regression().fit(KEY, jnp.zeros(3), jnp.zeros(3), jnp.ones(3, bool))
