"""A Bayesian neural network, sampled by stochastic gradient Hamiltonian Monte Carlo: the predictor of BOHAMIANN."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below
from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.core._widths import in_32_bits
from jnas.searchers._checks import check_fraction, check_positive, check_positive_int, check_sizes
from jnas.searchers.predictors._numerics import Standard, shares, standard, standardized
from jnas.searchers.predictors._predictor import check_fit, check_vectors


class Bohamiann(NamedTuple):
    """Networks drawn from the posterior, and the units that they work in."""

    networks: Array  # [M, P] float32, all parameters of a network in one row
    of_features: Standard  # [F]
    of_scores: Standard  # []


class Chain(NamedTuple):
    """A chain of stochastic gradient Hamiltonian Monte Carlo, with what it knows of its gradients."""

    position: Array  # [P]
    velocity: Array  # [P]
    window: Array  # [P], over how many steps the averages below reach back
    gradient: Array  # [P], smoothed
    square: Array  # [P], of the gradient, smoothed: what steps are scaled by


def bohamiann(
    *,
    width: int = 50,
    num_layers: int = 2,
    num_steps: int = 10_000,
    num_burn_in: int = 1_000,
    keep_every: int = 50,
    batch_size: int = 20,
    learning_rate: float = 1e-2,
    friction: float = 0.05,
    weight_std: float = 1.0,
    noise: float = 1e-2,
) -> Predictor:
    """Returns the predictor of BOHAMIANN: a Bayesian neural network, as many networks drawn from its posterior.

    A fully connected network of tanh layers predicts the mean of a score; the logarithm of the scores' variance about
    it is one more parameter, the same for all architectures. Stochastic gradient Hamiltonian Monte Carlo draws from
    the posterior of all parameters. During burn-in it adapts each parameter's step to its gradients; after it, every
    `keep_every`-th network is a member of the ensemble.

    Features and scores are standardised by the mean and deviation of the training set; naszilla divides scores by 30.
    A mini-batch is a run of rows in a random order that is drawn once. `Prediction.std` is the deviation between
    members, without the scores' own variance.

    Args:
      width: Units of a hidden layer.
      num_layers: Hidden layers.
      num_steps: Of the chain, burn-in included.
      num_burn_in: Steps before the first network that is kept.
      keep_every: Steps from one network that is kept to the next; the defaults keep 180.
      batch_size: Rows of a mini-batch; all, if there are fewer.
      learning_rate: The step size, in units of the adapted scale.
      friction: The share of its velocity that a parameter loses in a step.
      weight_std: The standard deviation of the normal prior: of a bias, and of the sum of a unit's weights times
        inputs that are 1 or -1 (a weight's is that divided by the root of the number of inputs).
      noise: The median of the log-normal prior of the scores' variance, a standardised score having 1; the standard
        deviation of its logarithm is 1.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range, or the chain keeps no network.

    References:
      "Bayesian Optimization with Robust Bayesian Neural Networks", Springenberg, Klein, Falkner and Hutter, 2016,
        Sections 3 and 4; "BANANAS", White, Neiswanger and Savani, 2021, Section 6, compares it.
    """
    check_sizes(width=width, num_layers=num_layers, num_steps=num_steps, keep_every=keep_every, batch_size=batch_size)
    check_positive_int("num_burn_in", num_burn_in, least=0)
    for name, rate in (("learning_rate", learning_rate), ("weight_std", weight_std), ("noise", noise)):
        check_positive(name, rate)
    check_fraction("friction", friction)
    num_kept = (num_steps - num_burn_in) // keep_every
    if num_kept < 1:
        raise ValueError(
            f"num_steps is {num_steps}, num_burn_in {num_burn_in} and keep_every {keep_every}: no network is kept; "
            "give at least num_burn_in + keep_every steps"
        )

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> Bohamiann:
        check_fit(features, scores, mask)
        features = check_vectors("bohamiann", features)
        of_features, of_scores = standard(features, mask), standard(scores, mask)
        order_key, init_key, chain_key = jax.random.split(key, 3)
        order, num_rows = shuffled(order_key, mask, batch_size)
        xs = standardized(features, of_features, mask)[order]
        ys = standardized(scores, of_scores, mask)[order]
        shapes = layer_shapes(features.shape[1], width, num_layers)

        def gradient(word: Array, position: Array) -> Array:
            start = below(word, jnp.maximum(num_rows, 1))
            return energy_gradient(
                position,
                shapes,
                jax.lax.dynamic_slice_in_dim(xs, start, batch_size),
                jax.lax.dynamic_slice_in_dim(ys, start, batch_size),
                num_rows,
                weight_std,
                noise,
            )

        networks = sample_chain(
            chain_key,
            gradient,
            initial_position(init_key, shapes, noise),
            num_rows,
            num_burn_in=num_burn_in,
            num_kept=num_kept,
            keep_every=keep_every,
            learning_rate=learning_rate,
            friction=friction,
        )
        return Bohamiann(networks, of_features, of_scores)

    def members(model: Bohamiann, features: Features) -> Array:
        x = standardized(check_vectors("bohamiann", features), model.of_features)
        shapes = layer_shapes(x.shape[1], width, num_layers)
        # One after the other: all layers of 180 networks at all cells of a space would not fit into memory.
        outputs = jax.lax.map(lambda position: forward(unravel(position, shapes), x), model.networks)
        values: Array = model.of_scores.center + model.of_scores.scale * outputs
        return values

    def predict(model: Bohamiann, features: Features) -> Prediction:
        values = members(model, features)
        return Prediction(values.mean(axis=0), values.std(axis=0))

    def sample(key: Key, model: Bohamiann, features: Features) -> Array:
        chosen = jax.random.randint(key, (), 0, num_kept, jnp.int32)
        values: Array = members(model._replace(networks=model.networks[chosen][None]), features)[0]
        return values

    return Predictor(fit, predict, sample, "bohamiann", members)


def shuffled(key: Key, mask: Array, batch_size: int) -> tuple[Array, Array]:
    """Returns the rows that count in a random order, and their number.

    Args:
      key: Gives each row that counts its random word, whatever rows are masked between them.
      mask: `[N]`.
      batch_size: Of the mini-batches.

    Returns:
      The order, int32 `[N + batch_size]`, in which the rows that count repeat, so that a mini-batch may begin at any of
      them; and how many there are.
    """
    rank = jnp.cumsum(mask) - 1
    words = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i), dtype=jnp.uint32))(rank)
    order = jnp.lexsort((words, ~mask))
    num_rows = mask.sum()
    places = jnp.arange(mask.size + batch_size) % jnp.maximum(num_rows, 1)
    return order[places], num_rows


def layer_shapes(num_features: int, width: int, num_layers: int) -> tuple[tuple[int, int], ...]:
    """Returns the shapes of the layers' weights, the last to one output."""
    sizes = (num_features, *([width] * num_layers), 1)
    return tuple(itertools.pairwise(sizes))


def unravel(position: Array, shapes: tuple[tuple[int, int], ...]) -> list[tuple[Array, Array]]:
    """Returns the weights `[I, O]` and biases `[O]` of each layer; the logarithm of the variance comes after them."""
    layers, start = [], 0
    for inputs, outputs in shapes:
        end = start + inputs * outputs
        layers.append((position[start:end].reshape(inputs, outputs), position[end : end + outputs]))
        start = end + outputs
    return layers


def forward(layers: list[tuple[Array, Array]], x: Array) -> Array:
    """Returns what the network says of standardised features `[B, F]`: `[B]`."""
    for weights, biases in layers[:-1]:
        x = jnp.tanh(x @ weights + biases[None])
    weights, biases = layers[-1]
    return (x @ weights + biases[None])[:, 0]


def relative_std(shapes: tuple[tuple[int, int], ...], of_biases: float) -> np.ndarray:
    """Returns `1 / sqrt(I)` for each weight of a unit of `I` inputs, and a number for each bias: float32 `[P - 1]`."""
    parts = [
        np.full(count, deviation, np.float32)
        for inputs, outputs in shapes
        for count, deviation in ((inputs * outputs, inputs**-0.5), (outputs, of_biases))
    ]
    return np.concatenate(parts)


@in_32_bits
def initial_position(key: Key, shapes: tuple[tuple[int, int], ...], noise: Array | float) -> Array:
    """Returns parameters to begin with, `[P]`: weights that keep tanh from saturating, biases of 0."""
    std = relative_std(shapes, of_biases=0.0)
    return jnp.append(std * jax.random.normal(key, std.shape, jnp.float32), jnp.log(noise))


@in_32_bits
def energy_gradient(
    position: Array,
    shapes: tuple[tuple[int, int], ...],
    x: Array,
    y: Array,
    num_rows: Array,
    weight_std: Array | float,
    noise: Array | float,
) -> Array:
    """Returns the gradient `[P]` of the negative log posterior over the number of rows, from a mini-batch.

    Args:
      position: `[P]`.
      shapes: Of the layers' weights.
      x: `[B, F]`; only the first `num_rows` count where there are fewer than `B`.
      y: `[B]`.
      num_rows: Of the training set, `[]`.
      weight_std: Of the prior.
      noise: Of the prior.
    """
    share = shares(jnp.arange(y.size) < num_rows)

    def likelihood(layers: list[tuple[Array, Array]], log_variance: Array) -> Array:
        error = (forward(layers, x) - y) ** 2
        return 0.5 * jnp.sum(share * (error * jnp.exp(-log_variance) + log_variance))

    of_layers, of_variance = jax.grad(likelihood, (0, 1))(unravel(position, shapes), position[-1])
    data = jnp.concatenate([part.reshape(-1) for part in jax.tree.leaves((of_layers, of_variance))])
    of_weights = position[:-1] / (weight_std * relative_std(shapes, of_biases=1.0)) ** 2
    prior = jnp.append(of_weights, position[-1] - jnp.log(noise))
    return data + prior / jnp.maximum(num_rows, 1)


def sample_chain(
    key: Key,
    gradient: Callable[[Array, Array], Array],
    position: Array,
    num_rows: Array | int,
    *,
    num_burn_in: int,
    num_kept: int,
    keep_every: int,
    learning_rate: float,
    friction: float,
) -> Array:
    """Returns positions of a chain whose density is `exp(-num_rows * energy)`: `[num_kept, P]`.

    Args:
      key: Of the chain.
      gradient: `gradient(word, position [P]) -> [P]`, of the energy; the uniform word uint32 `[]` may choose a
        mini-batch.
      position: `[P]`, where it begins.
      num_rows: What the energy is divided by.
      num_burn_in: Steps before the first that counts, rounded up to a multiple of `keep_every`; the chain adapts
        during these.
      num_kept: How many positions.
      keep_every: Steps from one to the next.
      learning_rate: The step size.
      friction: The share of its velocity that a parameter loses in a step.
    """
    burn_in = -(-num_burn_in // keep_every)
    temperature = 1 / jnp.maximum(jnp.asarray(num_rows, jnp.float32), 1)

    def advance(chain: Chain, given: tuple[Array, Array, Array]) -> tuple[Chain, None]:
        adapts, word, normals = given
        slope = gradient(word, chain.position)
        chain = jax.tree.map(lambda new, old: jnp.where(adapts, new, old), adapted(chain, slope), chain)
        scale = learning_rate**2 * jax.lax.rsqrt(chain.square + 1e-16)
        # Less what the mini-batch's own noise adds, Section 4.1.
        variance = jnp.maximum(2 * friction * temperature * scale - learning_rate**4, 0)
        velocity = (1 - friction) * chain.velocity - scale * slope + jnp.sqrt(variance) * normals
        return chain._replace(position=chain.position + velocity, velocity=velocity), None

    def stretch(carry: tuple[Key, Chain], i: Array) -> tuple[tuple[Key, Chain], Array]:
        key, chain = carry
        key, word_key, normal_key = jax.random.split(key, 3)
        words = jax.random.bits(word_key, (keep_every,), jnp.uint32)
        normals = jax.random.normal(normal_key, (keep_every, position.size), jnp.float32)
        chain, _ = jax.lax.scan(advance, chain, (jnp.full((keep_every,), i < burn_in), words, normals))
        return (key, chain), chain.position

    one, zero = jnp.ones_like(position), jnp.zeros_like(position)
    start = Chain(position, velocity=zero, window=one, gradient=zero, square=one)
    _, positions = jax.lax.scan(stretch, (key, start), jnp.arange(burn_in + num_kept))
    return positions[burn_in:]


def adapted(chain: Chain, slope: Array) -> Chain:
    """Returns the chain with its averages moved towards a gradient `[P]`: equations 9 and 10 of the paper."""
    rate = 1 / (chain.window + 1)  # of 1 / window nothing would be averaged: a window of one step would stay one
    return chain._replace(
        window=1 + chain.window * (1 - chain.gradient**2 / (chain.square + 1e-16)),
        gradient=(1 - rate) * chain.gradient + rate * slope,
        square=(1 - rate) * chain.square + rate * slope**2,
    )
