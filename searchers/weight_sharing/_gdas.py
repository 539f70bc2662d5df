"""GDAS: one operation on each edge, drawn by the Gumbel-max trick, with a straight-through gradient."""

from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Batch, Key, StepInfo, Supernet, WeightSharingSearcher, decisions_of
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._architecture_parameters import (
    Adam,
    AlphaState,
    alpha_functions,
    begin_alpha,
    update_alpha,
)
from jnas.searchers.weight_sharing._shared_weights import (
    Measured,
    Sgd,
    as_architecture,
    check_schedule,
    learning_rate,
    loss_of,
    step_info,
    train_arch,
)


@recorded
def gdas(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 250,
    first_temperature: Any = 10.0,
    last_temperature: Any = 0.1,
    sgd: Sgd = Sgd(),  # noqa: B008 (immutable)
    adam: Adam = Adam(),  # noqa: B008
    init_scale: Any = 1e-3,
) -> WeightSharingSearcher:
    """Returns GDAS, with the published hyper-parameters of NAS-Bench-201's comparison.

    Each step draws an architecture, the same in all cells, and makes a step of the weights with it on the training
    batch; then another, and makes a step of alpha with it on the validation batch. The value is that of the
    architecture that was drawn; the gradient is that of a softmax with a temperature, and an operation that was not
    drawn has a gradient too: its weight, which is 0, was added to every pixel (`Supernet.straight_through`).

    Published with batches of 64. Draws are finite by construction, so none is repeated.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; schedules follow it.
      epochs: Of the whole search.
      first_temperature: Of the first epoch; it falls in equal parts, once an epoch.
      last_temperature: Of the last one.
      sgd: How the weights are trained; running estimates of batch-norm are taken from their steps.
      adam: How alpha is.
      init_scale: Standard deviation of the first alpha.

    Returns:
      A searcher that derives what the supernet's `discretize` makes of alpha; on NAS-Bench-201 the operation of the
      largest alpha on each edge.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int.
      ValueError: An argument is out of range, or the supernet has no straight-through pass.

    References:
      "Searching for A Robust Neural Architecture in Four GPU Hours", Dong and Yang, 2019, Section 3.2, Equations 3 to
        7; in "NAS-Bench-201", Dong and Yang, 2020, Section 4.
    """
    schedule = check_schedule(steps_per_epoch, epochs)
    decisions, straight_through = decisions_of(supernet), supernet.straight_through
    if straight_through is None:
        raise ValueError(
            f"gdas needs a straight-through pass, which the supernet of {supernet.space.name} lacks; use another method"
        )

    def init(key: Key) -> AlphaState:
        return begin_alpha(key, supernet, init_scale, adam)

    def temperature(step: Array) -> Array:
        share = schedule.epoch(step) / max(epochs - 1, 1)
        value: Array = first_temperature + (last_temperature - first_temperature) * share
        return value

    def step(state: AlphaState, batch: Batch) -> tuple[AlphaState, StepInfo]:
        key, noise_key = jax.random.split(state.key)
        noise = jax.random.gumbel(noise_key, (2, *decisions.shape), jnp.float32)
        choices, _ = hard_gumbel(decisions.restrict(state.alpha), noise[0], temperature(state.step))
        arch = choices if decisions.absent is not None else as_architecture(supernet, choices)
        rate = learning_rate(sgd, schedule, state.step)
        trained, on_train = train_arch(supernet, state.weights, arch, batch.train, rate, sgd)

        def validation(alpha: Array) -> tuple[Array, Measured]:
            choices, one_hot = hard_gumbel(decisions.restrict(alpha), noise[1], temperature(state.step))
            loss, (measured, _) = loss_of(
                supernet.task,
                lambda parameters, inputs: straight_through(parameters, None, one_hot, choices, inputs),
                trained.shared.parameters,
                batch.validation,
            )
            return loss, measured

        gradient, on_validation = jax.grad(validation, has_aux=True)(state.alpha)
        alpha, optimizer = update_alpha(adam, gradient, state.optimizer, state.alpha)
        return AlphaState(key, state.step + 1, trained, alpha, optimizer), step_info(batch, on_train, on_validation)

    return WeightSharingSearcher(init, step, *alpha_functions(supernet), "gdas")


def hard_gumbel(alpha: Array, noise: Array, temperature: Array) -> tuple[Array, Array]:
    """Returns a draw from the softmax of alpha, and it as one-hot weights with the gradient of a softmax.

    Args:
      alpha: float32 `[E, K]`; minus infinity where a decision has no such choice.
      noise: float32 `[E, K]`, standard Gumbel.
      temperature: Of the softmax that the gradient is taken from; the draw does not depend on it.

    Returns:
      Choices int32 `[E]`, and weights float32 `[E, K]`.
    """
    soft = jax.nn.softmax((jax.nn.log_softmax(alpha, axis=1) + noise) / temperature, axis=1)
    arch = jnp.argmax(soft, axis=1).astype(jnp.int32)
    one_hot = jax.nn.one_hot(arch, alpha.shape[1], dtype=soft.dtype)
    return arch, one_hot + (soft - jax.lax.stop_gradient(soft))
