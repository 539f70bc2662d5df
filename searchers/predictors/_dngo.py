"""DNGO: Bayesian linear regression on the features that a network has learned."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jnas.core._draws import draw_words, uniform
from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.core._widths import narrow_optimizer
from jnas.searchers._checks import check_positive, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._bayesian_linear import (
    Hyperparameters,
    LinearModel,
    check_hyperparameters,
    fit_linear,
    predict_linear,
    sample_linear,
    with_bias,
)
from jnas.searchers.predictors._minibatches import train_on_minibatches
from jnas.searchers.predictors._numerics import Standard, standard, standardized
from jnas.searchers.predictors._predictor import check_fit, check_vectors


class _Layer(NamedTuple):
    weight: Array  # [inputs, outputs]
    bias: Array  # [outputs]


class DNGOModel(NamedTuple):
    """What `dngo` has learned."""

    hidden: tuple[_Layer, ...]
    linear: LinearModel  # on the last hidden layer and a bias
    features: Standard  # [F]
    scores: Standard  # []


@recorded
def dngo(
    *,
    width: int = 50,
    num_layers: int = 3,
    num_epochs: int = 500,
    batch_size: int = 10,
    learning_rate: Any = 0.01,
    hyperparameters: Hyperparameters = "marginal_likelihood",
    num_hypers: int = 20,
    chain_length: int = 200,
) -> Predictor:
    """Returns DNGO: a network learns features, and Bayesian linear regression on them gives mean and uncertainty.

    A fully connected network with tanh layers and a linear output is trained to the standardised scores by Adam on the
    mean squared error; then its output is replaced by Bayesian linear regression on the last hidden layer and a bias.
    Features are standardised too. The defaults are those of the published comparison with BANANAS. The code released
    with it multiplies mean and variance of these predictions by 30 and ranks candidates by noise around their common
    mean; neither is done here.

    Args:
      width: Units of a layer.
      num_layers: Tanh layers.
      num_epochs: Passes over the training set.
      batch_size: Rows of a step of Adam; the last batch of an epoch may have fewer.
      learning_rate: Adam's.
      hyperparameters: How the precisions of weights and noise are found, by `'marginal_likelihood'` or `'mcmc'`; see
        `bayesian_linear_regression`.
      num_hypers: How many pairs of them `'mcmc'` averages over.
      chain_length: Steps of its chain.

    Returns:
      A predictor of features `[N, F]`. `std` is the deviation of the function, without the noise.

    Raises:
      TypeError: A size is not a Python int, or the features are a graph.
      ValueError: An argument is out of range.

    References:
      "Scalable Bayesian Optimization Using Deep Neural Networks", Snoek et al., 2015, Section 3.
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021.
    """
    check_sizes(width=width, num_layers=num_layers, num_epochs=num_epochs, batch_size=batch_size)
    check_positive("learning_rate", learning_rate)
    check_hyperparameters(hyperparameters, num_hypers, chain_length)

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> DNGOModel:
        features = check_vectors("dngo", features)
        check_fit(features, scores, mask)
        weights_key, order_key, linear_key = jax.random.split(key, 3)
        inputs, units = standard(features, mask), standard(scores, mask)
        rows = standardized(features, inputs, mask), standardized(scores, units, mask)
        layers = train_on_minibatches(
            _loss,
            _initial(weights_key, (features.shape[1], *[width] * num_layers, 1)),
            order_key,
            rows,
            mask,
            num_epochs=num_epochs,
            batch_size=batch_size,
            optimizer=narrow_optimizer(optax.adam(learning_rate)),
        )
        linear = fit_linear(
            linear_key,
            with_bias(_hidden(layers[:-1], rows[0])),
            rows[1],
            mask,
            hyperparameters=hyperparameters,
            num_hypers=num_hypers,
            chain_length=chain_length,
        )
        return DNGOModel(layers[:-1], linear, inputs, units)

    def regressors(model: DNGOModel, features: Features) -> Array:
        features = check_vectors("dngo", features)
        return with_bias(_hidden(model.hidden, standardized(features, model.features)))

    def predict(model: DNGOModel, features: Features) -> Prediction:
        mean, std = predict_linear(model.linear, regressors(model, features))
        return Prediction(mean * model.scores.scale + model.scores.center, std * model.scores.scale)

    def sample(key: Key, model: DNGOModel, features: Features) -> Array:
        drawn = sample_linear(key, model.linear, regressors(model, features))
        return drawn * model.scores.scale + model.scores.center

    return Predictor(fit, predict, sample, "dngo")


def _initial(key: Key, sizes: tuple[int, ...]) -> tuple[_Layer, ...]:
    """Draws the weights and biases of each layer, uniform up to one over the root of its inputs."""
    shapes = list(itertools.pairwise(sizes))
    _, words = draw_words(key, sum((inputs + 1) * outputs for inputs, outputs in shapes))
    numbers, layers = 2 * uniform(words) - 1, []
    for inputs, outputs in shapes:
        part, numbers = numbers[: (inputs + 1) * outputs], numbers[(inputs + 1) * outputs :]
        part = part.reshape(inputs + 1, outputs) / inputs**0.5
        layers.append(_Layer(part[:-1], part[-1]))
    return tuple(layers)


def _hidden(layers: tuple[_Layer, ...], x: Array) -> Array:
    """Returns the last tanh layer `[B, width]`."""
    for layer in layers:
        x = jnp.tanh(x @ layer.weight + layer.bias[None])
    return x


def _loss(layers: tuple[_Layer, ...], batch: tuple[Array, Array], counts: Array) -> Array:
    """Returns the mean squared error of the rows that count."""
    features, targets = batch
    outputs = (_hidden(layers[:-1], features) @ layers[-1].weight + layers[-1].bias[None])[:, 0]
    return jnp.sum(jnp.where(counts, (outputs - targets) ** 2, 0)) / jnp.maximum(jnp.sum(counts), 1)
