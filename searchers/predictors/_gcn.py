"""The graph convolutional predictor of Wen et al., and ensembles of it as BONAS uses them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from jnas.core._lanes import lane_maximum
from jnas.core._vocabulary import Array, Features, Graph, Key, Prediction, Predictor
from jnas.searchers._checks import check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._graph_network import (
    GCNWeights,
    PaddedGraphs,
    apply_network,
    draw_kept,
    initial_graph_weights,
    prepare,
)
from jnas.searchers.predictors._in_blocks import in_parts
from jnas.searchers.predictors._minibatches import epoch_order, row_words
from jnas.searchers.predictors._numerics import Standard, standard, standardized
from jnas.searchers.predictors._predictor import check_fit
from jnas.spaces._hashing import mix

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's usual ones
_ROWS_AT_ONCE = 1024  # predicted together: 15,625 cells of 8 vertices would need 150 MB a layer


class GCNModel(NamedTuple):
    """What `gcn` has learned."""

    weights: GCNWeights  # of M members, each leaf [M, ...]
    units: Standard  # of the scores


class _Rates(NamedTuple):
    learning_rate: Any
    weight_decay: Any
    dropout: Any


def _in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function; under `vmap` on a CPU its lanes run one after another.

    A member's weights and their moments fit into a core's cache, those of many members do not, and a product of a few
    dozen rows is large enough to run at a core's full rate. Elsewhere lanes are batched: a GPU needs them to be busy.
    """
    one_at_a_time = sequential_vmap(function)  # type: ignore[no-untyped-call]

    def call(*arguments: Any) -> Any:
        return jax.lax.platform_dependent(*arguments, cpu=one_at_a_time, default=function)

    return call


def _orders(key: Key, mask: Array, epochs: int) -> Array:
    """Returns for each epoch the rows in a random order, those outside the mask last: int32 `[epochs, N]`."""
    return jax.vmap(epoch_order, (None, None, 0))(row_words(key, mask), mask, jnp.arange(epochs))


def _adam(
    weights: GCNWeights, moments: tuple[GCNWeights, GCNWeights], gradients: GCNWeights, step: Array, rates: _Rates
) -> tuple[GCNWeights, tuple[GCNWeights, GCNWeights]]:
    """Returns weights and moments after a step of Adam; weight decay is part of the gradient, as in PyTorch's Adam.

    Args:
      weights: Before the step.
      moments: Of first and second order.
      gradients: Of the loss.
      step: float32 `[]`, 1 at the first step.
      rates: Its `learning_rate` is that of this step.
    """
    scale = rates.learning_rate / (1 - _BETA1**step)
    root = jax.lax.rsqrt(1 - _BETA2**step)

    def one(weight: Array, first: Array, second: Array, gradient: Array) -> tuple[Array, Array, Array]:
        gradient = gradient + rates.weight_decay * weight
        first = _BETA1 * first + (1 - _BETA1) * gradient
        second = _BETA2 * second + (1 - _BETA2) * gradient * gradient
        return weight - scale * first / (jnp.sqrt(second) * root + _EPSILON), first, second

    updated = jax.tree.map(one, weights, *moments, gradients)
    new, first, second = jax.tree.transpose(jax.tree.structure(weights), jax.tree.structure((0, 0, 0)), updated)
    return new, (first, second)


def _train(
    words: Array, cells: PaddedGraphs, targets: Array, mask: Array, rates: _Rates, *, impl: Any, sizes: dict[str, int]
) -> GCNWeights:
    """Trains one member.

    Args:
      words: The data of this member's key. (What looks for keys used twice cannot look into a `custom_vmap`.)
      cells: `N` rows.
      targets: `[N]` in standard units, 0 outside the mask.
      mask: `[N]`.
      rates: Of the training.
      impl: The key's kind.
      sizes: Those of `gcn`.

    Returns:
      Its weights. All steps are those of the valid rows alone: an epoch is as long as they make it.
    """
    init_key, order_key, dropout_key = jax.random.split(jax.random.wrap_key_data(words, impl=impl), 3)
    batch, hidden = sizes["batch_size"], sizes["hidden"]
    weights = initial_graph_weights(init_key, cells.nodes.shape[2], sizes["num_layers"], sizes["width"], hidden)
    orders = _orders(order_key, mask, sizes["epochs"])
    seeds = jax.random.key_data(dropout_key)
    count = jnp.sum(mask, dtype=jnp.int32)
    per_epoch = jnp.maximum(count // batch, 1)
    total = jnp.where(count > 0, per_epoch * sizes["epochs"], 0)
    vertex_shape = (batch, cells.nodes.shape[1], sizes["width"])

    def advance(t: Array, state: tuple[GCNWeights, tuple[GCNWeights, GCNWeights]]) -> Any:
        weights, moments = state
        epoch, place = t // per_epoch, (t % per_epoch) * batch
        rows = jax.lax.dynamic_slice(orders, (epoch, place), (1, batch))[0]
        here = jax.tree.map(lambda leaf: leaf[rows], cells)
        counts = (place + jnp.arange(batch, dtype=jnp.int32) < count).astype(jnp.float32)
        seed = mix(mix(seeds[0] + t.astype(jnp.uint32)) ^ seeds[1])
        kept = draw_kept(seed, rates.dropout, vertex_shape, sizes["num_layers"], hidden)

        def loss(weights: GCNWeights) -> Array:
            errors = apply_network(weights, here, kept) - targets[rows]
            return jnp.sum(counts * errors * errors) / jnp.maximum(jnp.sum(counts), 1)

        # After its own last step a lane waits for the others: its rate is 0.
        through = t.astype(jnp.float32) / jnp.maximum(total, 1).astype(jnp.float32)
        rate = jnp.where(t < total, rates.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * through)), 0)
        step = (t + 1).astype(jnp.float32)
        return _adam(weights, moments, jax.grad(loss)(weights), step, rates._replace(learning_rate=rate))

    zeros = jax.tree.map(jnp.zeros_like, weights)
    trained: GCNWeights = jax.lax.fori_loop(0, lane_maximum(total), advance, (weights, (zeros, zeros)))[0]
    return trained


@recorded
def gcn(
    *,
    num_members: int = 1,
    num_layers: int = 4,
    width: int = 144,
    hidden: int = 128,
    epochs: int = 300,
    batch_size: int = 7,
    learning_rate: Any = 1e-4,
    weight_decay: Any = 3e-4,
    dropout: Any = 0.1,
) -> Predictor:
    """Returns the graph convolutional predictor of Wen et al., an ensemble of them with more than one member.

    Each layer computes `(relu(S X A) + relu(S^T X B)) / 2` on the vertices' features `X [V, W]`, where `S` is the
    adjacency matrix with the vertices' own ones added and its rows divided by their sums, followed by dropout. The
    mean over a cell's vertices goes through two linear layers without biases, with dropout between. It minimises the
    mean squared error of the standardised scores by Adam, whose gradient holds the weight decay, under a cosine
    schedule that ends at 0 with the last step. A batch that the training data cannot fill is left out of the epoch;
    with fewer cells than a batch holds, they are the batch.

    Released versions standardise by two constants of NAS-Bench-101's accuracies, on NAS-Bench-201 too, and forget to
    reset the gradients between steps; here the mean and deviation are those of the scores that are given, and
    each step has its own gradient. They also divide the rows of `S^T` by their sums once more, and lower the learning
    rate once an epoch; here `S^T` is the transpose as it is, and the rate falls at every step. The graph layers'
    weights are drawn as Glorot's uniform ones, those of the linear layers uniformly within one over the square root of
    their inputs, PyTorch's default.

    Args:
      num_members: `M`, networks that differ in their weights and batches; BONAS has 5.
      num_layers: `L`, graph layers.
      width: `W`, units of a graph layer.
      hidden: `H`, units of the first linear layer.
      epochs: Passes over the training data.
      batch_size: Cells in a step.
      learning_rate: Adam's at the first step; may be traced, as may the two others.
      weight_decay: What the loss's gradient gets of the weights.
      dropout: The fraction dropped, from 0 to below 1; rounded to a multiple of `2**-16`.

    Returns:
      A predictor whose features are `Graph` arrays: nodes `[N, V, K]`, zero where a vertex is unused, and adjacency
      `[N, V, V]`. Unused vertices change nothing. `std` is the population deviation over the members.

    Raises:
      TypeError: A size is not a Python int; on fitting, features are not a `Graph`.
      ValueError: A number is out of range.

    References:
      "Neural Predictor for Neural Architecture Search", Wen et al., 2020, Section 3.2.
      "Bridging the Gap between Sample-based and One-shot Neural Architecture Search with BONAS", Shi et al., 2020.
    """
    sizes = {
        "num_layers": num_layers,
        "width": width,
        "hidden": hidden,
        "epochs": epochs,
        "batch_size": batch_size,
    }
    check_sizes(num_members=num_members, **sizes)
    if not isinstance(dropout, jax.core.Tracer) and not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}, expected a fraction of at least 0 and below 1")
    output = _in_turn(apply_network)

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> GCNModel:
        _check_graph(features)
        check_fit(features, scores, mask)
        missing = max(0, batch_size - scores.shape[0])
        features, scores, mask = jax.tree.map(
            lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)), (features, scores, mask)
        )
        units = standard(scores, mask)
        rates = _Rates(*(jnp.asarray(rate, jnp.float32) for rate in (learning_rate, weight_decay, dropout)))
        train = functools.partial(_train, impl=jax.random.key_impl(key), sizes=sizes)
        weights = jax.vmap(_in_turn(train), (0, None, None, None, None))(
            jax.random.key_data(jax.random.split(key, num_members)),
            prepare(features, mask),
            standardized(scores, units, mask),
            mask,
            rates,
        )
        return GCNModel(weights, units)

    def members(model: GCNModel, features: Features) -> Array:
        _check_graph(features)

        def outputs(graphs: Graph) -> Array:
            found: Array = jax.vmap(output, (0, None))(model.weights, prepare(graphs))
            return found.T

        scores: Array = model.units.center + model.units.scale * in_parts(outputs, _ROWS_AT_ONCE)(features).T
        return scores

    def predict(model: GCNModel, features: Features) -> Prediction:
        found = members(model, features)
        return Prediction(jnp.mean(found, axis=0), jnp.std(found, axis=0))

    def sample(key: Key, model: GCNModel, features: Features) -> Array:
        # Of all members, so that many samples of one model need them only once.
        return members(model, features)[jax.random.randint(key, (), 0, num_members, jnp.int32)]

    return Predictor(fit, predict, sample, "gcn", members)


def _check_graph(features: Any) -> None:
    if not isinstance(features, Graph):
        raise TypeError(
            f"gcn was given features of type {type(features).__name__}, expected a Graph of nodes [N, V, K] and "
            "adjacency [N, V, V], as a space's features named 'graph' are"
        )
