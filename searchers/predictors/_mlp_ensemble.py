"""BANANAS's meta neural network: an ensemble of small fully connected networks."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_fraction, check_positive, check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._in_blocks import in_blocks
from jnas.searchers.predictors._mlp import (
    Loss,
    MlpTraining,
    MlpWeights,
    Shape,
    apply,
    initial_mlp_weights,
    train_mlp_on_few,
    variance_of,
)
from jnas.searchers.predictors._predictor import check_fit, check_vectors

NETWORKS: dict[str, tuple[Shape, ...]] = {
    "standard": ((10, 20),),
    "diverse": ((10, 20), (5, 5), (5, 30), (30, 5), (30, 30)),
}
"""Hidden layers and their width, of each member in turn, under the names of BANANAS's code."""

_PREDICTED_AT_ONCE = 1024  # rows: the activations of a whole search space would not fit into memory
_CACHE_BYTES = 2**21
"""Weights and moments that are in training at once on a CPU; measured by tests/benchmarks/mlp_ensemble_forms.py."""
_LEAST_MARGIN = 0.01  # percent


class MlpEnsemble(NamedTuple):
    """What the ensemble has learned."""

    weights: tuple[MlpWeights, ...]  # with a leading axis of members, for each shape of network
    shift: Array  # [] float32; a score is `shift + scale * output`
    scale: Array  # [] float32


@recorded
def mlp_ensemble(
    *,
    num_members: int = 5,
    networks: Literal["standard", "diverse"] | Sequence[Shape] = "standard",
    loss: Loss = "mae",
    targets: Literal["standardized", "error"] = "standardized",
    lower_bound: Any = 4.5,
    epochs: int = 150,
    batch_size: int = 32,
    learning_rate: Any = 0.01,
    decays: tuple[Any, Any] = (0.9, 0.99),
    epsilon: Any = 1e-7,
    l1: Any = 0.0,
) -> Predictor:
    """Returns the predictor of BANANAS: fully connected networks, each with initial weights and batches of its own.

    Defaults are the published ones, but for the targets. The released code learns the validation error in percent as
    it is, without standardising it; on NAS-Bench-201 networks that learn standardised scores rank other cells better
    (Kendall's tau 0.48 against 0.43 after 100 cells, 0.54 against 0.49 after 140, CIFAR-10 after 12 epochs).

    A fit costs what its valid rows cost, in batches of `batch_size`, however many rows it is given: padding changes
    neither its result nor, but for a sort of the rows once an epoch, its time. Under `vmap`, lanes that run at once
    take as long as the one with most rows. A network whose shape no other member has, and any with a Gaussian loss, may
    be rounded otherwise under `vmap` than alone, which training magnifies; all others are the same.

    Args:
      num_members: Networks.
      networks: `'standard'` (10 hidden layers of 20 units each), `'diverse'` (10 x 20, 5 x 5, 5 x 30, 30 x 5, 30 x 30),
        or pairs of hidden layers and their width; members take them in turn.
      loss: Of what a network says of a row: `'mae'`, the absolute error; `'mape'`, `abs((output - lower_bound) /
        (error - lower_bound) - 1)`, where scores are accuracies in percent, `error` is 100 less the score and `output`
        is what the network says of it; `'gaussian'`, the negative logarithm of a normal density whose mean and
        variance the network says, which then enters the standard deviation of a prediction.
      targets: What the networks learn: `'standardized'` scores, of any scale, or the `'error'`, 100 less the score.
      lower_bound: Of `'mape'` alone, in percent: an error that no architecture is expected to have, so that a row
        counts the more, the nearer its error is to it. The published 4.5 is meant for CIFAR-10. Distances from it
        under 0.01 count as 0.01.
      epochs: Passes over the rows; each member goes through them in an order of its own in each.
      batch_size: Rows in a step; what is left over is a batch too, of whose rows the mean is taken.
      learning_rate: Adam's; may be traced, as all that follow.
      decays: Of Adam's moments.
      epsilon: Adam's, added to the root of the uncorrected second moment, as Keras does.
      l1: Weight of the sum of the absolute output weights (not biases), added to the mean loss of a batch.

    Returns:
      A predictor of features `[N, F]`. Its `std` is the standard deviation among members (divided by their number),
      to whose square a Gaussian loss adds the mean variance; `sample` gives one member's prediction.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range or unknown.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., AAAI
        2021, Section 4 and Appendix A; the settings are those of its code.
    """
    check_sizes(num_members=num_members, epochs=epochs, batch_size=batch_size)
    check_positive("learning_rate", learning_rate)
    check_positive("epsilon", epsilon)
    for decay in decays:
        check_fraction("a decay in decays", decay)
    if not isinstance(l1, jax.core.Tracer) and not l1 >= 0:
        raise ValueError(f"l1 is {l1}, expected at least 0")
    if loss not in ("mae", "mape", "gaussian"):
        raise ValueError(f"loss is {loss!r}, expected 'mae', 'mape' or 'gaussian'")
    if targets not in ("standardized", "error"):
        raise ValueError(f"targets is {targets!r}, expected 'standardized' or 'error'")
    shapes = _shapes(networks, num_members)
    groups = {shape: [i for i, other in enumerate(shapes) if other == shape] for shape in dict.fromkeys(shapes)}
    # The place of each member among the groups' members.
    place = np.argsort([i for group in groups.values() for i in group]).astype(np.int32)
    training = MlpTraining(loss, learning_rate, decays, epsilon, l1, epochs, batch_size)
    num_heads = 2 if loss == "gaussian" else 1

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> MlpEnsemble:
        features = check_vectors("mlp_ensemble", features)
        check_fit(features, scores, mask)
        features = jnp.where(mask[:, None], features, 0)
        scores = jnp.where(mask, scores, 0).astype(jnp.float32)
        shift, scale = (jnp.float32(100), jnp.float32(-1)) if targets == "error" else _moments(scores, mask)
        importance = jnp.ones_like(scores)
        if loss == "mape":
            importance = jnp.abs(scale) / jnp.maximum(jnp.abs(100 - scores - lower_bound), _LEAST_MARGIN)

        def fit_member(shape: Shape, key: Key, *rows: Array) -> MlpWeights:
            key, weights = initial_mlp_weights(key, shape, features.shape[1], num_heads)
            return train_mlp_on_few(key, weights, training, *rows)

        def fit_all(keys: Key, *rows: Array) -> tuple[MlpWeights, ...]:
            fitted, first = [], 0
            for shape, members in groups.items():
                last = first + len(members)
                fitted.append(jax.vmap(lambda key, shape=shape: fit_member(shape, key, *rows))(keys[first:last]))
                first = last
            return tuple(fitted)

        rows_to_learn = features, (scores - shift) / scale, importance, mask
        seeds_at_once = max(1, _CACHE_BYTES // _num_bytes(shapes, features.shape[1], num_heads))
        weights = in_blocks(fit_all, seeds_at_once)(jax.random.split(key, num_members), *rows_to_learn)
        return MlpEnsemble(weights, shift, scale)

    def outputs(model: MlpEnsemble, features: Features) -> Array:
        """Returns float32 `[M, H, B]`."""

        def of_one(row: Array) -> Array:
            groups = [jax.vmap(apply, (0, None))(weights, row[None]) for weights in model.weights]
            return jnp.concatenate(groups)[place, :, 0]

        rows = jax.lax.map(of_one, check_vectors("mlp_ensemble", features), batch_size=_PREDICTED_AT_ONCE)
        return jnp.moveaxis(rows, 0, -1)

    def members(model: MlpEnsemble, features: Features) -> Array:
        return model.shift + model.scale * outputs(model, features)[:, 0]

    def predict(model: MlpEnsemble, features: Features) -> Prediction:
        heads = outputs(model, features)
        variance = jnp.var(heads[:, 0], axis=0)
        if loss == "gaussian":
            variance = variance + jnp.mean(variance_of(heads[:, 1]), axis=0)
        mean = model.shift + model.scale * jnp.mean(heads[:, 0], axis=0)
        return Prediction(mean, jnp.abs(model.scale) * jnp.sqrt(variance))

    def sample(key: Key, model: MlpEnsemble, features: Features) -> Array:
        return members(model, features)[jax.random.randint(key, (), 0, num_members, jnp.int32)]

    return Predictor(fit, predict, sample, "mlp_ensemble", members)


def _shapes(networks: Any, num_members: int) -> tuple[Shape, ...]:
    """Returns each member's hidden layers and their width."""
    if isinstance(networks, str):
        if networks not in NETWORKS:
            raise ValueError(f"{not_one_of('networks', networks, tuple(NETWORKS))}, or pairs (layers, width)")
        networks = NETWORKS[networks]
    pairs = tuple(tuple(pair) for pair in networks)
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"networks is {networks!r}, expected pairs (layers, width) such as ((10, 20),)")
    for layers, width in pairs:
        check_positive_int("layers in networks", layers)
        check_positive_int("width in networks", width)
    return tuple(pairs[i % len(pairs)] for i in range(num_members))


def _moments(scores: Array, mask: Array) -> tuple[Array, Array]:
    """Returns mean and standard deviation of the valid scores; 0 and 1 for none, a deviation of 1 for equal ones."""
    count = jnp.maximum(jnp.sum(mask), 1)
    mean = _sum_in_order(jnp.where(mask, scores, 0)) / count
    deviation = jnp.sqrt(_sum_in_order(jnp.where(mask, jnp.square(scores - mean), 0)) / count)
    return mean, jnp.where(deviation > 0, deviation, 1)


def _sum_in_order(values: Array) -> Array:
    """Returns the sum of `[N]`, rounded the same way whatever is padded or batched.

    Training magnifies a difference in the last bit of the targets, since the sign of an error may turn on it.
    """
    total: Array = jax.lax.scan(lambda total, value: (total + value, None), jnp.float32(0), values)[0]
    return total


def _num_bytes(shapes: Sequence[Shape], num_features: int, num_heads: int) -> int:
    """Returns what training these networks holds: weights and both moments, 4 bytes each."""
    return 12 * sum(
        (width + 1) * (num_features + 1 + (layers - 1) * (width + 1) + num_heads) for layers, width in shapes
    )
