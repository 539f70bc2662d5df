"""How the shared weights of a supernet are trained: SGD with Nesterov's momentum, a cosine, weight decay, clipping."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import (
    Array,
    Batch,
    CarriedInfo,
    Examples,
    Key,
    Shared,
    StepInfo,
    Supernet,
    Task,
    Windows,
    carried_into,
    decisions_of,
)
from jnas.core._widths import in_32_bits
from jnas.io._fields import describe_fields

Forward = Callable[[Any, Any], tuple[Any, Any]]
"""`forward(parameters, inputs) -> (outputs, used)`."""


@describe_fields
class Sgd(NamedTuple):
    """How the shared weights are trained; the numbers may be traced, but for `clip` being None or not, and `nesterov`.

    The learning rate follows a cosine, step by step, from `learning_rate` to `final_learning_rate` over the search or
    over `period` epochs, and then back up. (The published scripts change it once in an epoch.)

    Attributes:
      learning_rate: At the start.
      final_learning_rate: At the end.
      momentum: What the mean of gradients keeps of itself at a step.
      weight_decay: Added to the gradient of every weight, after clipping.
      clip: Largest norm of the gradient of all weights, or None.
      period: Epochs in which the cosine falls, or None for all of the search.
      batch_norm_momentum: What running estimates of batch-norm keep of themselves at a step.
      nesterov: Whether the momentum is Nesterov's.
    """

    learning_rate: Any = 0.025
    final_learning_rate: Any = 0.001
    momentum: Any = 0.9
    weight_decay: Any = 5e-4
    clip: Any = 5.0
    period: Any = None
    batch_norm_momentum: Any = 0.9
    nesterov: bool = True


class Schedule(NamedTuple):
    """How long a search is: Python ints."""

    steps_per_epoch: int  # steps that go through the training images once
    epochs: int
    extra_steps: int = 0  # steps of an epoch beyond those

    def epoch(self, step: Array) -> Array:
        """Returns the epoch int32 `[]` that a step belongs to."""
        return step // (self.steps_per_epoch + self.extra_steps)

    def place(self, step: Array) -> Array:
        """Returns a step's place int32 `[]` in its epoch."""
        return step % (self.steps_per_epoch + self.extra_steps)


class WeightsState(NamedTuple):
    """The shared weights, and what their next step needs."""

    shared: Shared
    momentum: Any  # a pytree like the parameters


class Measured(NamedTuple):
    """What a forward pass over a batch gave, in the order of `StepInfo`."""

    loss: Array  # [] float32, the mean
    metric: Array  # [] float32, the task's, in its unit
    carried: Any = ()  # of texts: the state after the batch's windows


def check_schedule(steps_per_epoch: Any, epochs: Any, extra_steps: Any = 0) -> Schedule:
    """Returns the schedule of a search.

    Raises:
      TypeError: A number is not a Python int.
      ValueError: There are no steps.
    """
    for name, value, least in (
        ("steps_per_epoch", steps_per_epoch, 1),
        ("epochs", epochs, 1),
        ("extra_steps", extra_steps, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}, expected a Python int: schedules are counted in it")
        if value < least:
            raise ValueError(f"{name} is {value}, expected at least {least}")
    return Schedule(steps_per_epoch, epochs, extra_steps)


def as_architecture(supernet: Supernet, choices: Array) -> Array:
    """Returns the architecture int32 `[E]` that a draw of independent choices `[E]` stands for: the draw, or mended."""
    decisions = decisions_of(supernet)
    if decisions.independent:
        return choices
    chosen = jax.nn.one_hot(choices, decisions.shape[1], dtype=bool)
    return supernet.discretize(jnp.where(chosen, jnp.float32(0), -jnp.inf))


def begin_weights(key: Key, supernet: Supernet) -> WeightsState:
    """Returns the weights before the first step."""
    parameters, statistics = supernet.init(key)
    return WeightsState(Shared(parameters, statistics), jax.tree.map(jnp.zeros_like, parameters))


@in_32_bits
def learning_rate(settings: Sgd, schedule: Schedule, step: Array) -> Array:
    """Returns the learning rate float32 `[]` of a step; it stands still in the extra steps of an epoch."""
    place = jnp.minimum(schedule.place(step), schedule.steps_per_epoch)
    epochs = schedule.epoch(step) + place / schedule.steps_per_epoch
    period = schedule.epochs if settings.period is None else settings.period
    share = 0.5 * (1 + jnp.cos(np.float32(np.pi) * epochs / period))
    rate: Array = settings.final_learning_rate + (settings.learning_rate - settings.final_learning_rate) * share
    return rate


def loss_of(task: Task, forward: Forward, parameters: Any, examples: Examples) -> tuple[Array, tuple[Measured, Any]]:
    """Returns the mean loss, and beside it what was measured and the statistics used by batch-norm."""
    outputs, used = forward(parameters, examples.inputs)
    loss = jnp.mean(task.loss(outputs, examples.targets))
    metric = task.metric(jnp.mean(task.measure(outputs, examples.targets)))
    carried = () if task.carried is None else task.carried(outputs)
    return loss, (Measured(loss, if_finite(outputs, metric), carried), used)


def as_evaluated(examples: Examples) -> Examples:
    """Returns a batch of which nothing is left out, as networks are compared; images stay as they are."""
    inputs = examples.inputs
    return examples._replace(inputs=inputs._replace(key=None)) if isinstance(inputs, Windows) else examples


def unmeasured(examples: Examples) -> Measured:
    """Returns what a step measured of a batch that it did not look at: NaN, and the state that the batch came with."""
    return Measured(jnp.float32(jnp.nan), jnp.float32(jnp.nan), carried_into(examples.inputs))


def step_info(batch: Batch, train: Measured | None = None, validation: Measured | None = None) -> Any:
    """Returns what a step saw of the two batches, a `StepInfo` or, of windows, a `CarriedInfo`.

    None for the one that it did not look at.
    """
    first = unmeasured(batch.train) if train is None else train
    second = unmeasured(batch.validation) if validation is None else validation
    info = StepInfo(first.loss, first.metric, second.loss, second.metric)
    return CarriedInfo(info, (first.carried, second.carried)) if isinstance(batch.train.inputs, Windows) else info


def paced(task: Task, rate: Any, examples: Examples) -> Any:
    """Returns the learning rate of a step on a batch."""
    return rate if task.pace is None else rate * task.pace(examples.inputs)


def if_finite(outputs: Any, value: Array) -> Array:
    """Returns a value `[]`, NaN where an output is not finite: such a network's guesses say nothing."""
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(outputs)]
    return jnp.where(finite[0] if len(finite) == 1 else jnp.all(jnp.stack(finite)), value, jnp.nan)


def descend(parameters: Any, momentum: Any, gradients: Any, rate: Any, settings: Sgd) -> tuple[Any, Any]:
    """Returns parameters and momentum after a step of SGD.

    The gradient is clipped, then gets the weight decay, then enters the momentum, as in PyTorch.
    """
    # By hand, not a chain of optax: the rate is that of the searcher's own counter (it stands still in ENAS's extra
    # steps), and DARTS's second order reads the momentum, which is here a pytree like the parameters.
    gradients = jax.tree.map(
        lambda gradient, value: gradient + settings.weight_decay * value, clipped(gradients, settings.clip), parameters
    )
    momentum = jax.tree.map(lambda old, gradient: settings.momentum * old + gradient, momentum, gradients)
    if not settings.nesterov:
        return jax.tree.map(lambda value, mean: value - rate * mean, parameters, momentum), momentum
    parameters = jax.tree.map(
        lambda value, gradient, mean: value - rate * (gradient + settings.momentum * mean),
        parameters,
        gradients,
        momentum,
    )
    return parameters, momentum


def clipped(gradients: Any, limit: Any) -> Any:
    """Returns gradients, scaled down where their norm exceeds the limit; as they are if it is None."""
    if limit is None:
        return gradients
    # The 1e-6 is that of PyTorch's `clip_grad_norm_`, which published scripts call; optax's clip has none.
    scale = jnp.minimum(1.0, limit / (norm(gradients) + 1e-6))
    return jax.tree.map(lambda gradient: gradient * scale, gradients)


def norm(tree: Any) -> Array:
    """Returns the Euclidean norm float32 `[]` of all numbers of a pytree."""
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def train_weights(
    supernet: Supernet,
    state: WeightsState,
    forward: Forward,
    examples: Examples,
    rate: Any,
    settings: Sgd,
    arch: Array | None = None,
) -> tuple[WeightsState, Measured]:
    """Returns the weights after a step on a batch, and what was measured on the way.

    Args:
      supernet: Whose weights they are.
      state: The weights.
      forward: What is trained, with batch statistics.
      examples: The batch.
      rate: The learning rate.
      settings: The others.
      arch: int32 `[E]`, the architecture that `forward` ran: the running estimates of others stay.
    """
    gradient = jax.grad(lambda parameters: loss_of(supernet.task, forward, parameters, examples), has_aux=True)
    gradients, (measured, used) = gradient(state.shared.parameters)
    shape = jax.tree.map(jnp.shape, examples.inputs)
    statistics = supernet.running(state.shared.statistics, used, settings.batch_norm_momentum, shape, arch=arch)
    rate = paced(supernet.task, rate, examples)
    return step_weights(state, gradients, statistics, rate, settings), measured


def step_weights(state: WeightsState, gradients: Any, statistics: Any, rate: Any, settings: Sgd) -> WeightsState:
    """Returns the weights after a step of SGD by gradients, with new running estimates."""
    parameters, momentum = descend(state.shared.parameters, state.momentum, gradients, rate, settings)
    return WeightsState(Shared(parameters, statistics), momentum)


def train_arch(
    supernet: Supernet, state: WeightsState, arch: Array, examples: Examples, rate: Any, settings: Sgd
) -> tuple[WeightsState, Measured]:
    """Returns the weights after a step of one architecture int32 `[E]`; arguments as for `train_weights`."""
    gradients, (measured, used) = arch_gradients(supernet, state.shared.parameters, arch, examples)
    shape = jax.tree.map(jnp.shape, examples.inputs)
    statistics = supernet.running(state.shared.statistics, used, settings.batch_norm_momentum, shape, arch=arch)
    rate = paced(supernet.task, rate, examples)
    return step_weights(state, gradients, statistics, rate, settings), measured


def arch_gradients(
    supernet: Supernet, parameters: Any, arch: Array, examples: Examples
) -> tuple[Any, tuple[Measured, Any]]:
    """Returns the gradients of one architecture's mean loss, and beside them what was measured and the statistics used.

    The gradient is taken inside of the program that the architecture fits (`Supernet.specialize`).
    """

    def gradients(sampled: Any, parameters: Any, arch: Array, examples: Examples) -> Any:
        def forward(parameters: Any, inputs: Any) -> tuple[Any, Any]:
            result: tuple[Any, Any] = sampled(parameters, None, arch, inputs)
            return result

        loss = lambda parameters: loss_of(supernet.task, forward, parameters, examples)  # noqa: E731
        return jax.grad(loss, has_aux=True)(parameters)

    if supernet.specialize is None:
        found: tuple[Any, tuple[Measured, Any]] = gradients(supernet.sampled, parameters, arch, examples)
    else:
        found = supernet.specialize(arch, gradients)(parameters, arch, examples)
    return found
