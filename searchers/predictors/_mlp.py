"""Small fully connected networks and their training by Adam, written for speed when many train at once."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import draw_words, uniform
from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Key
from jnas.searchers.predictors._numerics import shares

Loss = Literal["mae", "mape", "gaussian"]

Shape = tuple[int, int]
"""Hidden layers and their width."""

_FEW = 1024  # features; of DARTS's 11,204 paths, a hundred random genotypes have some 600
_ROW_BITS = 12  # of a word that rows are sorted by; those above are random


class MlpWeights(NamedTuple):
    """A network of `D` hidden layers of `W` units for `F` features, with `H` heads.

    The last input and the last unit of each layer are always 1, so that biases are a column of the weights and their
    gradient comes with that of the weights, in one product. The last row of a hidden layer's weights, which makes its
    unit 1, does not learn.
    """

    hidden: tuple[Array, ...]  # [W + 1, F + 1], then D - 1 of [W + 1, W + 1], float32
    heads: Array  # [H, W + 1] float32


class MlpTraining(NamedTuple):
    """How a network is trained; `mlp_ensemble` says what each setting is."""

    loss: Loss
    learning_rate: Any
    decays: tuple[Any, Any]
    epsilon: Any
    l1: Any
    epochs: int
    batch_size: int


class AdamMoments(NamedTuple):
    """A network in training."""

    weights: MlpWeights
    mean: MlpWeights
    square: MlpWeights
    num_steps: Array  # [] float32, made so far


def initial_mlp_weights(key: Key, shape: Shape, num_features: int, num_heads: int) -> tuple[Key, MlpWeights]:
    """Returns the next key and Glorot-uniform weights with biases of 0."""
    num_layers, width = shape
    sizes = [(width, num_features), *[(width, width)] * (num_layers - 1), (num_heads, width)]
    ends = np.cumsum([rows * columns for rows, columns in sizes])
    key, words = draw_words(key, int(ends[-1]))
    parts = []
    for (rows, columns), part in zip(sizes, jnp.split(2 * uniform(words) - 1, ends[:-1]), strict=True):
        limit = math.sqrt(6 / (rows + columns))
        parts.append(jnp.pad(limit * part.reshape(rows, columns), ((0, 1), (0, 1))))
    return key, MlpWeights(tuple(part.at[-1, -1].set(1) for part in parts[:-1]), parts[-1][:-1])


def apply(weights: MlpWeights, features: Array) -> Array:
    """Returns the heads' outputs float32 `[H, B]` for features `[B, F]`."""
    return weights.heads @ _activations(weights, _with_ones(features))[-1]


def variance_of(head: Array) -> Array:
    """Returns the variance that the second head says."""
    return jax.nn.softplus(head) + 1e-6


def train_mlp(
    key: Key,
    weights: MlpWeights,
    training: MlpTraining,
    features: Array,
    targets: Array,
    importance: Array,
    mask: Array,
) -> MlpWeights:
    """Returns the weights after training on the valid rows.

    Args:
      key: Typed key; consumed.
      weights: To begin with.
      training: How.
      features: `[N, F]` float32, finite.
      targets: `[N]` float32, finite.
      importance: `[N]` float32, what a row's absolute error is multiplied with.
      mask: `[N]` bool, the rows that count.
    """
    size = training.batch_size
    count = jnp.sum(mask, dtype=jnp.int32)
    valid_first = jnp.argsort(~mask, stable=True)  # so that it does not matter where the other rows are
    rows = [array[valid_first] for array in (_with_ones(features), targets, importance)]

    def epoch(_: Array, carry: tuple[Key, AdamMoments]) -> tuple[Key, AdamMoments]:
        key, state = carry
        key, words = draw_words(key, len(mask))
        order = jnp.pad(_shuffle(words, count), (0, -len(mask) % size))

        def step(carry: tuple[Array, AdamMoments]) -> tuple[Array, AdamMoments]:
            first, state = carry
            batch = jax.lax.dynamic_slice_in_dim(order, first, size)
            inputs, target, weight = (array.at[batch].get(mode="promise_in_bounds") for array in rows)
            valid = first + np.arange(size, dtype=np.int32) < count
            share = shares(valid)
            gradient = gradients(state.weights, training, inputs, target, weight, share)
            return first + size, adam_step(state, gradient, first < count, training)

        # Lanes that have no more rows wait for those that have; where none has any, the epoch is over.
        _, state = jax.lax.while_loop(lambda carry: ~all_lanes(carry[0] >= count), step, (jnp.int32(0), state))
        return key, state

    zeros = jax.tree.map(jnp.zeros_like, weights)
    start = AdamMoments(weights, zeros, zeros, jnp.float32(0))
    _, (trained, *_) = jax.lax.fori_loop(0, training.epochs, epoch, (key, start))
    return MlpWeights(*trained)


def train_mlp_on_few(key: Key, weights: MlpWeights, training: MlpTraining, features: Array, *rows: Array) -> MlpWeights:
    """Returns `train_mlp`, up to rounding, in a tenth of the time where thousands of features are zero in all rows.

    Where a feature is always zero, its weights have no gradient, and Adam leaves them as they were; training goes on
    without them. Arguments are those of `train_mlp`; rows that do not count are zero.
    """
    size = features.shape[1]
    if size < 4 * _FEW:
        return train_mlp(key, weights, training, features, *rows)
    there = jnp.any(features != 0, axis=0)
    few = jnp.argsort(~there, stable=True)[:_FEW]  # and others, where these are fewer

    def on_few(key: Key, weights: MlpWeights) -> MlpWeights:
        first, *later = weights.hidden
        columns = jnp.append(few, size)  # with the bias
        trained = train_mlp(
            key, weights._replace(hidden=(first[:, columns], *later)), training, features[:, few], *rows
        )
        learned, *later = trained.hidden
        return trained._replace(hidden=(first.at[:, columns].set(learned), *later))

    def on_all(key: Key, weights: MlpWeights) -> MlpWeights:
        return train_mlp(key, weights, training, features, *rows)

    trained: MlpWeights = jax.lax.cond(jnp.sum(there) <= _FEW, on_few, on_all, key, weights)
    return trained


def gradients(
    weights: MlpWeights, training: MlpTraining, inputs: Array, targets: Array, importance: Array, share: Array
) -> MlpWeights:
    """Returns the gradient of the loss of one batch.

    Written out, since the transposes that automatic differentiation leaves inside the products cost a CPU more than
    transposing first.

    Args:
      weights: The network.
      training: Gives the loss and the weight of the absolute output weights.
      inputs: `[B, F + 1]`, features and a 1.
      targets: `[B]`.
      importance: `[B]`.
      share: `[B]`, what each row counts; 0 where it is none.
    """
    last = len(weights.hidden) - 1
    learns = np.arange(weights.heads.shape[1])[None] < weights.heads.shape[1] - 1
    values = _activations(weights, inputs)

    def total(outputs: Array) -> Array:
        return jnp.sum(share * losses(outputs, targets, importance, training.loss))

    slope = jax.grad(total)(weights.heads @ values[last])
    heads = slope @ values[last].T + training.l1 * jnp.sign(weights.heads) * learns
    slope = weights.heads.T @ slope
    hidden = []
    for layer in range(last, -1, -1):
        slope = jnp.where((values[layer] > 0) & learns.T, slope, 0)
        below = _transposed(values[layer - 1]) if layer > 0 else inputs
        hidden.append(slope @ below)
        if layer > 0:
            slope = _transposed(weights.hidden[layer]) @ slope
    return MlpWeights(tuple(hidden[::-1]), heads)


def losses(outputs: Array, targets: Array, importance: Array, loss: Loss) -> Array:
    """Returns the loss of each row `[B]`, given the heads' outputs `[H, B]`."""
    if loss == "gaussian":
        variance = variance_of(outputs[1])
        return 0.5 * jnp.log(2 * np.pi * variance) + jnp.square(targets - outputs[0]) / (2 * variance)
    return importance * jnp.abs(outputs[0] - targets)


def adam_step(state: AdamMoments, gradient: MlpWeights, moves: Array, training: MlpTraining) -> AdamMoments:
    """Returns the state after one step, or the same state where `moves` is False."""
    b1, b2 = training.decays
    num_steps = state.num_steps + 1
    rate = training.learning_rate * jnp.sqrt(1 - b2**num_steps) / (1 - b1**num_steps)
    mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, gradient)
    square = jax.tree.map(lambda s, g: b2 * s + (1 - b2) * jnp.square(g), state.square, gradient)
    weights = jax.tree.map(lambda w, m, s: w - rate * m / (jnp.sqrt(s) + training.epsilon), state.weights, mean, square)
    stepped = AdamMoments(weights, mean, square, num_steps)
    return AdamMoments(*jax.tree.map(lambda new, old: jnp.where(moves, new, old), stepped, state))


def _with_ones(features: Array) -> Array:
    """Returns inputs `[N, F + 1]`."""
    return jnp.pad(features, ((0, 0), (0, 1)), constant_values=1)


def _activations(weights: MlpWeights, inputs: Array) -> list[Array]:
    """Returns each hidden layer's activations `[W + 1, B]` for inputs `[B, F + 1]`."""
    values = [jax.nn.relu(weights.hidden[0] @ inputs.T)]
    for layer in weights.hidden[1:]:
        values.append(jax.nn.relu(layer @ values[-1]))
    return values


def _shuffle(words: Array, count: Array | int) -> Array:
    """Returns the rows int32 `[N]`, the first `count` in random order before the others.

    One word carries validity, chance and row, since sorting words takes a fifth of the time of sorting pairs. The
    order of the first does not depend on how many others there are, as long as there are at most 4,096 rows.
    """
    bits = max(_ROW_BITS, (len(words) - 1).bit_length())
    rows = np.arange(len(words), dtype=np.uint32)
    words = (jnp.asarray(rows >= count, jnp.uint32) << 31) | (words >> (bits + 1) << bits) | rows
    return (jnp.sort(words) & np.uint32(2**bits - 1)).astype(jnp.int32)


def _transposed(matrix: Array) -> Array:
    """Returns the transpose as an array of its own; otherwise XLA would make it a part of the product again."""
    transposed: Array = jax.lax.optimization_barrier(matrix.T)  # type: ignore[no-untyped-call]
    return transposed
