"""The gradient in alpha through a step of the weights: DARTS's second order."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array
from jnas.searchers.weight_sharing._shared_weights import Measured, Sgd, WeightsState, clipped, norm

SecondOrder = Literal["exact", "finite_difference"]

Loss = Callable[[Any, Array], tuple[Array, Measured]]
"""`loss(parameters, alpha) -> (loss, measured)`."""


def unrolled_gradient(
    train: Loss,
    validation: Loss,
    state: WeightsState,
    alpha: Array,
    rate: Any,
    sgd: Sgd,
    second: SecondOrder = "exact",
    clip: Any = None,
) -> tuple[Array, Measured]:
    """Returns the gradient in alpha of the validation loss after a step of the weights, and what validation measured.

    Args:
      train: The loss whose gradient the weights follow.
      validation: The loss that alpha follows.
      state: The weights and their momentum.
      alpha: float32 `[E, K]`.
      rate: The learning rate of the step.
      sgd: Its momentum and weight decay; the step is not Nesterov's, as published.
      second: How the derivative of the step is computed.
      clip: Largest norm of the step's gradient, or None. Its share is differentiated too (where released code clips, it
        takes the share as a number, and clips the derivative of the validation loss).
    """
    parameters = state.shared.parameters

    def gradients_of_train(parameters: Any) -> tuple[Any, Array]:
        found: tuple[Any, Array] = jax.grad(train, argnums=(0, 1), has_aux=True)(parameters, alpha)[0]
        return found

    if second == "exact":  # the derivative goes on from what the gradient has computed
        (gradients, _), derivative = jax.linearize(gradients_of_train, parameters)
    else:
        gradients, _ = gradients_of_train(parameters)
    stepped = jax.tree.map(
        lambda value, mean, gradient: value - rate * (sgd.momentum * mean + gradient + sgd.weight_decay * value),
        parameters,
        state.momentum,
        clipped(gradients, clip),
    )
    (direction, direct), measured = jax.grad(validation, argnums=(0, 1), has_aux=True)(stepped, alpha)
    if clip is not None:
        direction = jax.vjp(lambda gradients: clipped(gradients, clip), gradients)[1](direction)[0]
    if second == "exact":
        _, indirect = derivative(direction)
    else:
        size = 1e-2 / jnp.maximum(norm(direction), 1e-12)

        def on_side(sign: Array) -> Array:
            moved = jax.tree.map(lambda value, along: value + sign * size * along, parameters, direction)
            return gradients_of_train(moved)[1]

        above, below = jax.lax.map(on_side, jnp.asarray([1.0, -1.0], jnp.float32))
        indirect = (above - below) / (2 * size)
    return direct - rate * indirect, measured
