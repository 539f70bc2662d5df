"""An exact Gaussian process over distances between architectures."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.searchers._checks import check_positive
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._distances import Distance, resolve_distance
from jnas.searchers.predictors._numerics import Standard, exact_product, standard, standardized
from jnas.searchers.predictors._predictor import check_fit, check_vectors

_LEAST_NOISE = 1e-4
"""Least noise variance over the prior's. naszilla's 1e-5**2 is lost beside 1 in float32, and below about 1e-5 the
Cholesky factor of many rows that are the same is NaN."""

_ROWS_AT_ONCE = 1024  # 15,625 rows against 150 take 10 MB a matrix, in each of many seeds
_MOST_JOINT = 1024  # rows of a joint draw
_LENGTH_FACTORS = tuple(2.0 ** (i / 2) for i in range(-4, 7))  # of the given length scale: 1/4 to 8
_NOISE_RATIOS = (0.0, 0.03, 0.1, 0.2, 0.4, 0.8)  # deviation of the noise over that of the prior


class _Kernel(NamedTuple):
    """The prior's hyper-parameters, in standard units of the scores."""

    variance: Array  # [], amplitude squared
    decay: Array  # [], length scale squared
    noise: Array  # [], variance of the noise, at least `_LEAST_NOISE` times `variance`


class GaussianProcessModel(NamedTuple):
    """A posterior given `N` rows; those that do not count are all zero."""

    features: Array  # [N, F]
    mask: Array  # [N] bool
    inverse: Array  # [N, N], inverse of the lower Cholesky factor of the covariance of the noisy scores
    white: Array  # [N], that inverse times the scores
    kernel: _Kernel
    scores: Standard  # the scores' units


@recorded
def gaussian_process(
    *,
    distance: str | Distance = "hamming",
    amplitude: Any = 1.5,
    length_scale: Any = 3.0,
    noise: Any = 1e-5,
    fit_hyperparameters: bool = False,
) -> Predictor:
    """Returns an exact Gaussian process with covariance `amplitude**2 * exp(-distance / length_scale**2)`.

    Scores are standardised. The hyper-parameters are those of naszilla's `gp_bayesopt`, fixed and in standard units.
    The noise has a floor, though: its deviation is at least a hundredth of `amplitude`. Less than that is lost in
    float32 as soon as some architectures have the same features; where they do and their scores differ, the process
    predicts the mean of these.

    Args:
      distance: A name, or a function of `[A, F]` and `[B, F]` that gives `[A, B]`.
        `'hamming'`: entries that differ. `'l1'`: sum of absolute differences. `'squared_l2'`: squared Euclidean
        distance in one matrix product, the quick form of `'hamming'` for features that are 0 or 1.
        `'hamming_and_count'`: the last feature is a number, whose difference is added to the entries that differ.
        `'sets_and_sizes'`: features are 0 or 1; entries that differ, plus the difference of the sums.
        `exp(-distance / c)` is positive semidefinite with all of these; with a function of your own it must be.
        `jnas.searchers.predictors.DISTANCES` pairs them with encodings to the published distances.
      amplitude: Deviation of the prior, over that of the scores.
      length_scale: Its square is the distance over which correlation falls to 1/e.
      noise: Deviation of the noise, over that of the scores; see above for the floor.
      fit_hyperparameters: Choose instead the point of the largest marginal likelihood on a grid: length scales of 1/4
        to 8 times `length_scale`, noise of 0 to 0.8 times the amplitude, and for each the best amplitude, which has a
        closed form. 66 Cholesky factorisations a fit.

    Returns:
      A predictor of features `[N, F]`. `std` is the deviation of the function, without the noise. Any number of rows
      can be predicted; `sample` draws jointly at up to 1,024 rows, among which some may be the same.

    Raises:
      TypeError: `distance` is neither a name nor a function, or the features are a graph.
      ValueError: A rate is not positive, the distance is unknown, or too many rows are to be drawn jointly.

    References:
      "Gaussian Processes for Machine Learning", Rasmussen and Williams, 2006, Algorithm 2.1 and Section 5.4.1.
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021
        (GP-BayesOpt with edit distance, and NASBOT).

    Example:
      >>> features, scores = jnp.array([[0.0, 0.0], [1.0, 1.0]]), jnp.array([70.0, 74.0])
      >>> predictor = jnas.searchers.predictors.gaussian_process(length_scale=1.0)
      >>> model = jax.jit(predictor.fit)(jax.random.key(0), features, scores, jnp.ones(2, bool))
      >>> jax.jit(predictor.predict)(model, jnp.array([[1.0, 1.0], [0.0, 1.0]])).mean.round(1).tolist()
      [74.0, 72.0]
    """
    between = resolve_distance(distance)
    for argument, value in (("amplitude", amplitude), ("length_scale", length_scale), ("noise", noise)):
        check_positive(argument, value)

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> GaussianProcessModel:
        del key
        features = check_vectors("gaussian_process", features)
        check_fit(features, scores, mask)
        features = jnp.where(mask[:, None], features, 0)
        units = standard(scores, mask)
        targets = standardized(scores, units, mask)
        distances = between(features, features)
        variance, decay = _scalar(amplitude) ** 2, _scalar(length_scale) ** 2
        kernel = _Kernel(variance, decay, jnp.maximum(_scalar(noise) ** 2, _LEAST_NOISE * variance))
        if fit_hyperparameters:
            kernel = _most_likely(distances, targets, mask, decay)
        inverse = _inverse_factor(distances, mask, kernel)
        return GaussianProcessModel(features, mask, inverse, exact_product(inverse, targets), kernel, units)

    def moments(model: GaussianProcessModel, features: Array) -> tuple[Array, Array, Array]:
        """Returns mean and variance `[B]` in standard units, and the part `[N, B]` of it that the data explain."""
        shared = model.kernel.variance * jnp.exp(-between(model.features, features) / model.kernel.decay)
        # Rows that do not count have features 0, which are as near to some architecture as any others.
        shared = jnp.where(model.mask[:, None], shared, 0)
        explained = exact_product(model.inverse, shared)
        # At a row that was learned next to nothing is left; rounding may make it negative, and its root NaN.
        variance = jnp.maximum(model.kernel.variance - jnp.sum(explained**2, axis=0), 0)
        # Not `shared.T @ (inverse.T @ white)`: those weights are large, and cancel, where rows are nearly the same.
        return exact_product(model.white, explained), variance, explained

    def predict(model: GaussianProcessModel, features: Features) -> Prediction:
        features = check_vectors("gaussian_process", features)
        if features.shape[0] <= _ROWS_AT_ONCE:
            mean, variance, _ = moments(model, features)
        else:
            mean, variance = jax.lax.map(
                lambda row: tuple(found[0] for found in moments(model, row[None])[:2]),
                features,
                batch_size=_ROWS_AT_ONCE,
            )
        return Prediction(mean * model.scores.scale + model.scores.center, jnp.sqrt(variance) * model.scores.scale)

    def sample(key: Key, model: GaussianProcessModel, features: Features) -> Array:
        features = check_vectors("gaussian_process", features)
        if features.shape[0] > _MOST_JOINT:
            raise ValueError(
                f"a joint draw of a Gaussian process was asked for {features.shape[0]} rows, expected at most "
                f"{_MOST_JOINT}, since it takes the covariance of all pairs; draw at fewer candidates, or use an "
                "acquisition that needs mean and std only, such as independent Thompson sampling"
            )
        mean, _, explained = moments(model, features)
        prior = model.kernel.variance * jnp.exp(-between(features, features) / model.kernel.decay)
        known = exact_product(explained.T, explained)
        # Not a Cholesky factor: what has to be added to the diagonal for one would show where the data explain much.
        variances, directions = jnp.linalg.eigh(prior - known)
        deviations = jnp.sqrt(jnp.maximum(variances, 0))
        drawn: Array = mean + exact_product(directions, deviations * jax.random.normal(key, mean.shape, jnp.float32))
        return drawn * model.scores.scale + model.scores.center

    return Predictor(fit, predict, sample, "gaussian_process")


def _scalar(value: Any) -> Array:
    return jnp.asarray(value, jnp.float32)


def _noisy_covariance(distances: Array, mask: Array, kernel: _Kernel) -> Array:
    """Returns the covariance `[N, N]` of the noisy scores; rows that do not count are those of the identity."""
    both = mask[:, None] & mask[None, :]
    covariance = jnp.where(both, kernel.variance * jnp.exp(-distances / kernel.decay), 0)
    # No jitter beside the noise: its floor, `_LEAST_NOISE`, is what keeps the Cholesky factor finite.
    return covariance + jnp.diag(jnp.where(mask, kernel.noise, 1.0))


def _inverse_factor(distances: Array, mask: Array, kernel: _Kernel) -> Array:
    """Returns the inverse `[N, N]` of the lower Cholesky factor: predictions are then matrix products."""
    factor = jnp.linalg.cholesky(_noisy_covariance(distances, mask, kernel))
    inverse: Array = jax.scipy.linalg.solve_triangular(factor, jnp.eye(mask.shape[0], dtype=jnp.float32), lower=True)
    return inverse


def _most_likely(distances: Array, targets: Array, mask: Array, decay: Array) -> _Kernel:
    """Returns the hyper-parameters of the largest marginal likelihood on the grid.

    With covariance `a**2 C` the likelihood is largest at `a**2 = y' C^-1 y / n`, and its logarithm is then
    `-(n log a**2 + log|C|) / 2` up to a constant (Rasmussen and Williams, equation 5.8).
    """
    count = jnp.maximum(jnp.sum(mask), 1).astype(jnp.float32)
    factors, ratios = np.meshgrid(_LENGTH_FACTORS, _NOISE_RATIOS, indexing="ij")
    decays = decay * jnp.asarray(factors.reshape(-1) ** 2, jnp.float32)
    noises = jnp.maximum(jnp.asarray(ratios.reshape(-1) ** 2, jnp.float32), _LEAST_NOISE)

    def judge(point: tuple[Array, Array]) -> tuple[Array, Array]:
        kernel = _Kernel(jnp.float32(1), *point)
        factor = jnp.linalg.cholesky(_noisy_covariance(distances, mask, kernel))
        white = jax.scipy.linalg.solve_triangular(factor, targets, lower=True)
        # Scores that are all the same say nothing of the amplitude.
        variance = jnp.maximum(jnp.sum(white**2) / count, 1e-6)
        return -0.5 * count * jnp.log(variance) - jnp.sum(jnp.log(jnp.diagonal(factor))), variance

    likelihood, variances = jax.lax.map(judge, (decays, noises))
    best = jnp.argmax(jnp.where(jnp.isnan(likelihood), -jnp.inf, likelihood))  # NaN where a factorisation fails
    variance = jnp.where(jnp.any(targets != 0), variances[best], 1.0)
    return _Kernel(variance, decays[best], noises[best] * variance)
