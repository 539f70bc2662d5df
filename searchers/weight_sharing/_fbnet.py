"""FBNet: all choices mixed by Gumbel-softmax weights that are drawn at each step and become harder."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Batch, Key, StepInfo, Supernet, WeightSharingSearcher
from jnas.core._widths import in_32_bits
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._architecture_parameters import (
    Adam,
    AlphaState,
    Reachable,
    alpha_functions,
    begin_preferences,
    preferences_of,
    update_alpha,
    with_preferences,
)
from jnas.searchers.weight_sharing._shared_weights import (
    Forward,
    Measured,
    Sgd,
    check_schedule,
    learning_rate,
    loss_of,
    step_info,
    train_weights,
)


@recorded
def fbnet(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 200,
    first_temperature: Any = 5.0,
    decay: Any = 0.045,
    least_temperature: Any = 0.05,
    sgd: Sgd = Sgd(0.1, weight_decay=3e-4, nesterov=False),  # noqa: B008 (immutable)
    adam: Adam = Adam(0.01, weight_decay=5e-4),  # noqa: B008
    init_scale: Any = 1e-3,
    reachable: Reachable = "whole",
) -> WeightSharingSearcher:
    """Returns FBNet's search, with the published hyper-parameters of the evaluation of search phases.

    Each step mixes all choices by weights `softmax((alpha + noise) / temperature)` with standard Gumbel noise: once for
    a step of alpha on the validation batch, then with other noise for a step of the weights on the training batch. One
    draw serves all cells of the network (in the released code each has its own). Weights become one-hot as the
    temperature falls, once an epoch.

    Published with batches of 64, and 4 of 5 images for the weights; here the data set says which images are which
    (`jnas supernet --train-share 0.8` divides them so). Not as released: those 1,000 draws of the result share one
    noise, so that at a low temperature they are one cell, and there is none if that is not in the space. Here each draw
    has noise of its own.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; schedules follow it.
      epochs: Of the whole search.
      first_temperature: Of the first epoch.
      decay: In an epoch the temperature is multiplied by `exp(-decay)`.
      least_temperature: It does not fall below.
      sgd: How the weights are trained; running estimates of batch-norm are taken from their steps.
      adam: How alpha is.
      init_scale: Standard deviation of the first alpha.
      reachable: As for `darts`.

    Returns:
      A searcher that derives what one of `darts` derives.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int.
      ValueError: An argument is out of range, or the supernet has no released decisions.

    References:
      "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search", Wu et al., 2019,
        Section 3; in "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020, Section 4.
    """
    schedule = check_schedule(steps_per_epoch, epochs)
    preferences = preferences_of(supernet, reachable)
    mixed = with_preferences(supernet, preferences)
    decisions = preferences.decisions

    def init(key: Key) -> AlphaState:
        return begin_preferences(key, mixed, preferences, init_scale, adam)

    def forward(alpha: Array, noise: Array, temperature: Array) -> Forward:
        weights = gumbel_softmax(decisions.restrict(alpha), noise, temperature)
        return lambda parameters, inputs: mixed.mixture(parameters, None, weights, inputs)

    def step(state: AlphaState, batch: Batch) -> tuple[AlphaState, StepInfo]:
        key, noise_key = jax.random.split(state.key)
        noise = jax.random.gumbel(noise_key, (2, *decisions.shape), jnp.float32)
        heat = fbnet_temperature(schedule.epoch(state.step), first_temperature, decay, least_temperature)

        def validation(alpha: Array) -> tuple[Array, Measured]:
            parameters = state.weights.shared.parameters
            found = loss_of(mixed.task, forward(alpha, noise[0], heat), parameters, batch.validation)
            return found[0], found[1][0]

        gradient, on_validation = jax.grad(validation, has_aux=True)(state.alpha)
        alpha, optimizer = update_alpha(adam, gradient, state.optimizer, state.alpha)
        rate = learning_rate(sgd, schedule, state.step)
        mixing = forward(alpha, noise[1], heat)
        trained, on_train = train_weights(mixed, state.weights, mixing, batch.train, rate, sgd)
        return AlphaState(key, state.step + 1, trained, alpha, optimizer), step_info(batch, on_train, on_validation)

    return WeightSharingSearcher(init, step, *alpha_functions(supernet, preferences), "fbnet", mixed=mixed)


@in_32_bits
def fbnet_temperature(epoch: Array, first: Any = 5.0, decay: Any = 0.045, least: Any = 0.05) -> Array:
    """Returns the temperature float32 `[]` of an epoch, the first of which is 0."""
    return jnp.maximum(first * jnp.exp(-decay * epoch), np.float32(0) + least)


def gumbel_softmax(alpha: Array, noise: Array, temperature: Array) -> Array:
    """Returns random weights `[D, C]` that sum to 1 in each row, and through which gradients go.

    Args:
      alpha: float32 `[D, C]`; minus infinity where a row has no such choice.
      noise: float32 `[D, C]`, standard Gumbel.
      temperature: Near 0 the weights are one-hot, and a draw from the softmax of alpha.
    """
    weights: Array = jax.nn.softmax((alpha + noise) / temperature, axis=1)
    return weights
