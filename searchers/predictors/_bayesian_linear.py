"""Bayesian linear regression, on given features or as the head of a network."""

import math
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import uniform
from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.searchers._checks import check_positive_int
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._numerics import Standard, exact_product, standard, standardized
from jnas.searchers.predictors._predictor import check_fit, check_vectors

Hyperparameters = Literal["marginal_likelihood", "mcmc"]
"""How the precisions of prior and noise are found."""

_LOG_PRIOR_PRECISION = (math.log(1e-4), math.log(1e5))  # bounds, for scores and features in standard units
_LOG_NOISE_PRECISION = (math.log(1e-2), math.log(1e6))
_GRID = 25  # points along each side: the likelihood may have two modes, one without noise
_ZOOMS = 8
_ZOOM = 0.3  # of the sides; much faster, and the end of a slanting ridge is missed. The spacing falls from 0.9 to 6e-5
_SPREAD = 3.0  # deviation of the hyperpriors' logarithms: three is a factor of twenty
_CENTER = (0.0, math.log(100.0))
_STRETCH = 2.0  # of the stretch move, as published


class LinearModel(NamedTuple):
    """A posterior over the weights of `D` regressors, for each of `H` pairs of hyper-parameters; `R = min(N, D)`."""

    basis: Array  # [R, D], right singular vectors of the regressors
    coefficients: Array  # [H, R], posterior mean of the weights in that basis
    precisions: Array  # [H, R], posterior precision of each
    prior: Array  # [H], prior precision of the weights: alpha
    noise: Array  # [H], precision of the noise: beta


class _Spectrum(NamedTuple):
    """What the marginal likelihood depends on."""

    squares: Array  # [R], squared singular values of the regressors
    projected: Array  # [R], squared scores along the left singular vectors
    rest: Array  # [], squared length of the scores across them
    num_rows: Array  # []


def fit_linear(
    key: Key,
    regressors: Array,
    targets: Array,
    mask: Array,
    *,
    hyperparameters: Hyperparameters = "marginal_likelihood",
    num_hypers: int = 20,
    chain_length: int = 200,
) -> LinearModel:
    """Returns the posterior over the weights of a linear function of some regressors.

    Args:
      key: Used by `'mcmc'` only.
      regressors: `[N, D]`; a column of ones where there is to be a bias.
      targets: `[N]`, in standard units.
      mask: bool `[N]`; only these rows count.
      hyperparameters: See `bayesian_linear_regression`.
      num_hypers: `H` where they are drawn; otherwise there is one.
      chain_length: Steps of the chain.
    """
    regressors = jnp.where(mask[:, None], regressors, 0)
    targets = jnp.where(mask, targets, 0)
    left, singular, basis = jnp.linalg.svd(regressors, full_matrices=False)
    along = exact_product(left.T, targets)
    rest = jnp.maximum(jnp.sum(targets**2) - jnp.sum(along**2), 0)
    spectrum = _Spectrum(singular**2, along**2, rest, jnp.sum(mask).astype(jnp.float32))
    points = _most_likely(spectrum)[None]
    if hyperparameters == "mcmc":
        points = _chain(key, spectrum, points[0], num_hypers, chain_length)
    prior, noise = jnp.exp(points[:, 0]), jnp.exp(points[:, 1])
    precisions = prior[:, None] + noise[:, None] * spectrum.squares[None]
    coefficients = noise[:, None] * (singular * along)[None] / precisions
    return LinearModel(basis, coefficients, precisions, prior, noise)


def predict_linear(model: LinearModel, regressors: Array) -> tuple[Array, Array]:
    """Returns mean and deviation `[B]` of the function at regressors `[B, D]`, averaged over the hyper-parameters.

    The variance is the mean of the variances plus the variance of the means; the noise is not part of it.
    """
    inside = exact_product(regressors, model.basis.T)
    means = exact_product(model.coefficients, inside.T)
    variances = exact_product(1 / model.precisions, (inside**2).T)
    if model.basis.shape[0] < model.basis.shape[1]:  # directions of which no row says anything
        outside = jnp.maximum(jnp.sum(regressors**2, axis=1) - jnp.sum(inside**2, axis=1), 0)
        variances = variances + outside[None] / model.prior[:, None]
    return jnp.mean(means, axis=0), jnp.sqrt(jnp.mean(variances, axis=0) + jnp.var(means, axis=0))


def sample_linear(key: Key, model: LinearModel, regressors: Array) -> Array:
    """Returns the values `[B]` of one function drawn from the posterior, its hyper-parameters drawn too."""
    which_key, normal_key = jax.random.split(key)
    rank, width = model.basis.shape
    h = jax.random.randint(which_key, (), 0, model.prior.shape[0], jnp.int32)
    normal = jax.random.normal(normal_key, (rank + width,), jnp.float32)
    weights = exact_product(model.coefficients[h] + normal[:rank] / jnp.sqrt(model.precisions[h]), model.basis)
    if rank < width:
        free = normal[rank:] - exact_product(exact_product(model.basis, normal[rank:]), model.basis)
        weights = weights + free / jnp.sqrt(model.prior[h])
    return exact_product(regressors, weights)


def _evidence(spectrum: _Spectrum, points: Array) -> Array:
    """Returns the logarithms of the marginal likelihood `[G]`, up to a constant.

    The scores are normal with covariance `1 / beta + Phi Phi' / alpha`, which the left singular vectors diagonalise.

    Args:
      spectrum: Of the regressors and the scores.
      points: `[G, 2]`, logarithms of alpha and beta.
    """
    prior, noise = jnp.exp(-points[:, :1]), jnp.exp(-points[:, 1:])  # variances
    variances = noise + prior * spectrum.squares[None]
    # Along directions without regressors, and in the rows beyond the R, there is nothing but noise.
    used = spectrum.squares > 0
    logarithms = jnp.where(used[None], jnp.log(variances), 0)
    inside = jnp.sum(spectrum.projected[None] / variances + logarithms, axis=1)
    outside = spectrum.rest / noise[:, 0] - (spectrum.num_rows - jnp.sum(used)) * points[:, 1]
    return -0.5 * (inside + outside)


def _most_likely(spectrum: _Spectrum) -> Array:
    """Returns the logarithms `[2]` of the precisions of the largest marginal likelihood.

    A grid over all plausible values, then finer ones around its best point: unlike a climb from a starting point, it
    does not end in a lower mode, and costs next to nothing once the regressors are decomposed.
    """
    bounds = np.asarray([_LOG_PRIOR_PRECISION, _LOG_NOISE_PRECISION], np.float32)
    unit = np.linspace(-1, 1, _GRID, dtype=np.float32)
    offsets = np.stack(np.meshgrid(unit, unit, indexing="ij"), axis=-1).reshape(-1, 2)

    def zoom(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        center, half = state
        points = jnp.clip(center[None] + offsets * half[None], bounds[:, 0][None], bounds[:, 1][None])
        best = points[jnp.argmax(_evidence(spectrum, points))]
        return (best, half * _ZOOM), None

    start = jnp.asarray(bounds.mean(axis=1)), jnp.asarray((bounds[:, 1] - bounds[:, 0]) / 2)
    (best, _), _ = jax.lax.scan(zoom, start, None, length=1 + _ZOOMS)
    return best


def _chain(key: Key, spectrum: _Spectrum, start: Array, num_walkers: int, num_steps: int) -> Array:
    """Returns the walkers `[H, 2]` of an affine-invariant ensemble after some steps.

    A walker moves on the line through another of the other half: "Ensemble samplers with affine invariance", Goodman
    and Weare, 2010. All random numbers are drawn before the loop.
    """
    half = num_walkers // 2
    start_key, words_key = jax.random.split(key)
    spread = jax.random.normal(start_key, (num_walkers, 2), jnp.float32)
    words = jax.random.bits(words_key, (num_steps, 2, 3, half), jnp.uint32)
    bounds = np.asarray([_LOG_PRIOR_PRECISION, _LOG_NOISE_PRECISION], np.float32)

    def density(points: Array) -> Array:
        inside = jnp.all((points >= bounds[:, 0][None]) & (points <= bounds[:, 1][None]), axis=1)
        hyperprior = -0.5 * jnp.sum(((points - np.asarray([_CENTER], np.float32)) / _SPREAD) ** 2, axis=1)
        return jnp.where(inside, _evidence(spectrum, points) + hyperprior, -jnp.inf)

    def move(walkers: Array, others: Array, words: Array) -> Array:
        u = uniform(words)
        stretch = (1 + (_STRETCH - 1) * u[0]) ** 2 / _STRETCH
        partner = others[jnp.minimum(u[1] * half, half - 1).astype(jnp.int32)]
        proposed = partner + stretch[:, None] * (walkers - partner)
        # stretch ** (dimensions - 1) times the ratio of the densities
        ratio = jnp.log(stretch) + density(proposed) - density(walkers)
        return jnp.where((jnp.log(u[2]) < ratio)[:, None], proposed, walkers)

    def step(halves: tuple[Array, Array], words: Array) -> tuple[tuple[Array, Array], None]:
        first = move(halves[0], halves[1], words[0])
        return (first, move(halves[1], first, words[1])), None

    walkers = jnp.clip(start[None] + 0.5 * spread, bounds[:, 0][None] + 0.01, bounds[:, 1][None] - 0.01)
    halves, _ = jax.lax.scan(step, (walkers[:half], walkers[half:]), words)
    return jnp.concatenate(halves)


class _Regression(NamedTuple):
    """What `bayesian_linear_regression` has learned."""

    linear: LinearModel
    features: Standard  # [F]
    scores: Standard  # []


def check_hyperparameters(hyperparameters: Any, num_hypers: Any, chain_length: Any) -> None:
    """Raises TypeError or ValueError unless `fit_linear` can find hyper-parameters so."""
    if hyperparameters not in get_args(Hyperparameters):
        raise ValueError(f"hyperparameters is {hyperparameters!r}, expected 'marginal_likelihood' or 'mcmc'")
    check_positive_int("num_hypers", num_hypers, least=4)
    check_positive_int("chain_length", chain_length)
    if num_hypers % 2:
        raise ValueError(f"num_hypers is {num_hypers}, expected an even number: the chain moves half of them at a time")


def with_bias(features: Array) -> Array:
    """Returns features `[N, D]` with a column of ones after them."""
    return jnp.concatenate([features, jnp.ones((features.shape[0], 1), jnp.float32)], axis=1)


@recorded
def bayesian_linear_regression(
    *, hyperparameters: Hyperparameters = "marginal_likelihood", num_hypers: int = 20, chain_length: int = 200
) -> Predictor:
    """Returns Bayesian linear regression on the features and a bias.

    Features and scores are standardised. Weights are normal with precision alpha, scores have normal noise with
    precision beta.

    Args:
      hyperparameters: `'marginal_likelihood'`: the alpha and beta under which the scores are most likely, from a grid
        that is refined around its best point; alpha from 1e-4 to 1e5, beta from 1e-2 to 1e6. `'mcmc'`: `num_hypers`
        draws from their posterior, over which predictions are averaged; their logarithms have normal priors with
        deviation 3 around alpha 1 and beta 100.
      num_hypers: How many are drawn: the walkers of an affine-invariant ensemble. Even.
      chain_length: Steps of each walker, starting around the most likely point (with two parameters and that start a
        few hundred do; the released DNGO takes 4,000).

    Returns:
      A predictor of features `[N, F]`. `std` is the deviation of the function, without the noise.

    Raises:
      TypeError: A size is not a Python int, or the features are a graph.
      ValueError: An argument is out of range.

    References:
      "Pattern Recognition and Machine Learning", Bishop, 2006, Sections 3.3 and 3.5.
      "Ensemble samplers with affine invariance", Goodman and Weare, 2010.

    Example:
      >>> features, scores = jnp.arange(5.0)[:, None], 70 + 2 * jnp.arange(5.0)
      >>> predictor = jnas.searchers.predictors.bayesian_linear_regression()
      >>> model = jax.jit(predictor.fit)(jax.random.key(0), features, scores, jnp.ones(5, bool))
      >>> jax.jit(predictor.predict)(model, jnp.array([[10.0]])).mean.round(1).tolist()
      [90.0]
    """
    check_hyperparameters(hyperparameters, num_hypers, chain_length)

    def regressors(features: Features, by: Standard) -> Array:
        return with_bias(standardized(features, by))

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> _Regression:
        features = check_vectors("bayesian_linear_regression", features)
        check_fit(features, scores, mask)
        inputs, units = standard(features, mask), standard(scores, mask)
        linear = fit_linear(
            key,
            regressors(features, inputs),
            standardized(scores, units, mask),
            mask,
            hyperparameters=hyperparameters,
            num_hypers=num_hypers,
            chain_length=chain_length,
        )
        return _Regression(linear, inputs, units)

    def predict(model: _Regression, features: Features) -> Prediction:
        features = check_vectors("bayesian_linear_regression", features)
        mean, std = predict_linear(model.linear, regressors(features, model.features))
        return Prediction(mean * model.scores.scale + model.scores.center, std * model.scores.scale)

    def sample(key: Key, model: _Regression, features: Features) -> Array:
        features = check_vectors("bayesian_linear_regression", features)
        drawn = sample_linear(key, model.linear, regressors(features, model.features))
        return drawn * model.scores.scale + model.scores.center

    return Predictor(fit, predict, sample, "bayesian_linear_regression")
