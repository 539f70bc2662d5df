"""A Bayesian neural network, sampled by stochastic gradient Hamiltonian Monte Carlo: the predictor of BOHAMIANN."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, split
from jnas.core._once import once
from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.core._widths import in_32_bits
from jnas.searchers._checks import check_fraction, check_positive, check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._bayesian_linear import with_bias
from jnas.searchers.predictors._numerics import Standard, shares, standard, standardized
from jnas.searchers.predictors._predictor import check_fit, check_vectors
from jnas.spaces._hashing import mix


class Bohamiann(NamedTuple):
    """Networks drawn from the posterior, and the units that they work in."""

    networks: Array  # [M, P] float32, all parameters of a network in one row
    of_features: Standard  # [F]
    of_scores: Standard  # []


class Position(NamedTuple):
    """All parameters of a network, or what belongs to each of them."""

    layers: tuple[Array, ...]  # of [I + 1, O]: a row for each input, the last that of the biases
    log_variance: Array  # []


class Motion(NamedTuple):
    """Where some parameters of a chain are, and where they go."""

    position: Array  # [...]
    velocity: Array  # [...]


class Averages(NamedTuple):
    """What a chain knows of the gradients of some parameters."""

    window: Array  # [...], over how many steps the averages below reach back
    gradient: Array  # [...], smoothed
    square: Array  # [...], of the gradient, smoothed: what steps are scaled by


class Chain(NamedTuple):
    """Some parameters of a chain of stochastic gradient Hamiltonian Monte Carlo that adapts."""

    motion: Motion
    averages: Averages


@recorded
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
        xs = with_bias(standardized(features, of_features, mask)[order])
        ys = standardized(scores, of_scores, mask)[order]
        shapes = layer_shapes(features.shape[1], width, num_layers)

        def gradient(word: Array, position: Position) -> Position:
            start = below(word, jnp.maximum(num_rows, 1))
            return energy_gradient(
                position,
                jax.lax.dynamic_slice_in_dim(xs, start, batch_size),
                jax.lax.dynamic_slice_in_dim(ys, start, batch_size),
                num_rows,
                weight_std,
                noise,
            )

        positions = sample_chain(
            chain_key,
            gradient,
            as_position(initial_position(init_key, shapes, noise), shapes),
            num_rows,
            num_burn_in=num_burn_in,
            num_kept=num_kept,
            keep_every=keep_every,
            learning_rate=learning_rate,
            friction=friction,
        )
        return Bohamiann(as_rows(positions), of_features, of_scores)

    def members(model: Bohamiann, features: Features) -> Array:
        x = standardized(check_vectors("bohamiann", features), model.of_features)
        shapes, inputs = layer_shapes(x.shape[1], width, num_layers), with_bias(x)
        # One after the other: all layers of 180 networks at all cells of a space would not fit into memory.
        outputs = jax.lax.map(lambda network: forward(as_position(network, shapes).layers, inputs), model.networks)
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


def as_position(row: Array, shapes: tuple[tuple[int, int], ...]) -> Position:
    """Returns a network of which all parameters are a row `[P]`."""
    layers, start = [], 0
    for inputs, outputs in shapes:
        end = start + (inputs + 1) * outputs
        layers.append(row[start:end].reshape(inputs + 1, outputs))
        start = end
    return Position(tuple(layers), row[-1])


def as_rows(positions: Position) -> Array:
    """Returns all parameters of networks `[M]` in rows `[M, P]`: layer by layer the weights, then the biases."""
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(positions)], axis=1)


def forward(layers: tuple[Array, ...], x: Array) -> Array:
    """Returns what the network says of standardised features with a column of ones `[B, F + 1]`: `[B]`."""
    for weights in layers[:-1]:
        x = with_bias(jnp.tanh(x @ weights))
    return (x @ layers[-1])[:, 0]


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
    position: Position, x: Array, y: Array, num_rows: Array, weight_std: Array | float, noise: Array | float
) -> Position:
    """Returns the gradient of the negative log posterior over the number of rows, from a mini-batch.

    Args:
      position: Of the chain.
      x: `[B, F + 1]`, the last of each row 1; only the first `num_rows` count where there are fewer than `B`.
      y: `[B]`.
      num_rows: Of the training set, `[]`.
      weight_std: Of the prior.
      noise: Of the prior.
    """
    share = shares(jnp.arange(y.size) < num_rows)

    def likelihood(position: Position) -> Array:
        error = (forward(position.layers, x) - y) ** 2
        return 0.5 * jnp.sum(share * (error * jnp.exp(-position.log_variance) + position.log_variance))

    def of_prior(weights: Array) -> Array:
        std = relative_std(((weights.shape[0] - 1, weights.shape[1]),), of_biases=1.0).reshape(weights.shape)
        return weights / (weight_std * std) ** 2

    prior = Position(tuple(of_prior(weights) for weights in position.layers), position.log_variance - jnp.log(noise))
    share_of_prior = 1 / jnp.maximum(num_rows, 1).astype(jnp.float32)
    of_data = jax.grad(likelihood)(position)
    slopes: Position = jax.tree.map(lambda one, other: one + share_of_prior * other, of_data, prior)
    return slopes


def sample_chain(
    key: Key,
    gradient: Callable[[Array, Any], Any],
    position: Any,
    num_rows: Array | int,
    *,
    num_burn_in: int,
    num_kept: int,
    keep_every: int,
    learning_rate: float,
    friction: float,
) -> Any:
    """Returns positions of a chain whose density is `exp(-num_rows * energy)`: arrays `[num_kept, ...]`.

    Args:
      key: Of the chain.
      gradient: `gradient(word, position) -> slopes`, of the energy; the uniform word uint32 `[]` may choose a
        mini-batch.
      position: Arrays, where it begins.
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
    leaves, structure = jax.tree.flatten(position)
    sizes = [leaf.size for leaf in leaves]

    def scaled(square: Array) -> tuple[Array, Array]:
        """Returns what slopes and normals are multiplied by."""
        scale = learning_rate**2 * jax.lax.rsqrt(square + 1e-16)
        # Less what the mini-batch's own noise adds, Section 4.1.
        return scale, jnp.sqrt(jnp.maximum(2 * friction * temperature * scale - learning_rate**4, 0))

    def moved(motion: Motion, slope: Array, scale: Array, noise: Array) -> Motion:
        velocity = (1 - friction) * motion.velocity - scale * slope + noise
        return Motion(motion.position + velocity, velocity)

    def slopes_at(motions: list[Motion], word: Array) -> list[Array]:
        found = gradient(word, jax.tree.unflatten(structure, [motion.position for motion in motions]))
        return jax.tree.leaves(found)

    def adapt(chains: list[Chain], given: tuple[Array, list[Array]]) -> tuple[list[Chain], None]:
        word, normal = given
        slopes = slopes_at([chain.motion for chain in chains], word)
        averages = [adapted(chain.averages, slope) for chain, slope in zip(chains, slopes, strict=True)]
        new = []
        for chain, average, slope, numbers in zip(chains, averages, slopes, normal, strict=True):
            scale, deviation = scaled(average.square)
            new.append(Chain(moved(chain.motion, slope, scale, deviation * numbers), average))
        return new, None

    def drawn(key: Key) -> tuple[Key, Array, list[Array]]:
        """Returns words and normals for `keep_every` steps, made in one loop over all of them."""
        key, own = split(key)
        count = keep_every * sum(sizes)
        words = once(hashed(own, keep_every - (-count // 2)))
        parts = jnp.split(once(normals(words[keep_every:])[:count]), keep_every * np.cumsum(sizes)[:-1])
        shaped = [part.reshape(keep_every, *leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        return key, words[:keep_every], shaped

    def warm_up(_: Array, carry: tuple[Key, list[Chain]]) -> tuple[Key, list[Chain]]:
        key, words, normal = drawn(carry[0])
        return key, jax.lax.scan(adapt, carry[1], (words, normal))[0]

    chains = [
        Chain(Motion(leaf, zero), Averages(one, zero, one))
        for leaf, one, zero in ((leaf, jnp.ones_like(leaf), jnp.zeros_like(leaf)) for leaf in leaves)
    ]
    key, chains = jax.lax.fori_loop(0, burn_in, warm_up, (key, chains))
    scales, deviations = zip(*(scaled(chain.averages.square) for chain in chains), strict=True)

    def advance(motions: list[Motion], given: tuple[Array, list[Array]]) -> tuple[list[Motion], None]:
        word, normal = given
        noises = [deviation * part for deviation, part in zip(deviations, normal, strict=True)]
        return list(map(moved, motions, slopes_at(motions, word), scales, noises)), None

    def stretch(carry: tuple[Key, list[Motion]], _: None) -> tuple[tuple[Key, list[Motion]], Any]:
        key, words, normal = drawn(carry[0])
        motions, _ = jax.lax.scan(advance, carry[1], (words, normal))
        return (key, motions), jax.tree.unflatten(structure, [motion.position for motion in motions])

    return jax.lax.scan(stretch, (key, [chain.motion for chain in chains]), None, length=num_kept)[1]


def hashed(key: Key, num_words: int) -> Array:
    """Returns uniform words uint32 `[num_words]`: hashes of the key and of their places.

    JAX's generator would take a good part of a chain's step.
    """
    seeds = jax.random.key_data(key)
    places = jnp.arange(num_words, dtype=jnp.uint32)
    return mix(mix(seeds[0] + places * np.uint32(0x9E3779B9)) ^ seeds[1])


def normals(words: Array) -> Array:
    """Returns standard normal numbers float32 `[2 N]`, two of each uniform word uint32 `[N]`.

    They are 65,536 equally likely values, none beyond 4.4: a chain adds up thousands of them.
    """
    numbers = (words[None] >> np.array([[0], [16]], np.uint32)) & np.uint32(0xFFFF)
    places = (2 * numbers + 1).astype(jnp.float32).reshape(-1) * 2.0**-16 - 1
    found: Array = np.sqrt(2).astype(np.float32) * jax.lax.erf_inv(places)
    return found


def adapted(averages: Averages, slope: Array) -> Averages:
    """Returns the averages moved towards a gradient: equations 9 and 10 of the paper."""
    rate = 1 / (averages.window + 1)  # of 1 / window nothing would be averaged: a window of one step would stay one
    return Averages(
        window=1 + averages.window * (1 - averages.gradient**2 / (averages.square + 1e-16)),
        gradient=(1 - rate) * averages.gradient + rate * slope,
        square=(1 - rate) * averages.square + rate * slope**2,
    )
