"""ENAS's controller: a recurrent network that decides one edge after another."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Key
from jnas.io._fields import describe_fields


class Lstm(NamedTuple):
    """One layer of a long short-term memory of `H` units; gates in the order input, forget, cell, output."""

    from_input: Array  # [4 H, H] float32
    from_hidden: Array  # [4 H, H] float32
    input_bias: Array  # [4 H] float32
    hidden_bias: Array  # [4 H] float32; Adam moves the sum of two biases twice as far as one


class Controller(NamedTuple):
    """The controller's parameters."""

    start: Array  # [H] float32, the first input
    layers: tuple[Lstm, Lstm]
    embedding: Array  # [K, H] float32, the input after each decision
    kernel: Array  # [K, H] float32, of the logits
    bias: Array  # [K] float32


@describe_fields
class ControllerSettings(NamedTuple):
    """The controller's size, and the shape of its logits: `tanh_constant * tanh(output / temperature)`.

    Attributes:
      hidden: Units of each of its two layers.
      temperature: What the output is divided by before the hyperbolic tangent.
      tanh_constant: The largest logit.
    """

    hidden: int = 32
    temperature: float = 5.0
    tanh_constant: float = 2.5


def init_controller(key: Key, num_operations: int, hidden: int) -> Controller:
    """Returns a controller before its first step.

    The start, the first layer's matrices, the embedding and the output's matrix are uniform within 0.1; the second
    layer and all biases within one over the root of `hidden`: PyTorch's default, which the published scripts leave.
    """
    wide = float(hidden) ** -0.5
    total = hidden + 2 * (8 * hidden**2 + 8 * hidden) + 2 * num_operations * hidden + num_operations
    numbers, place = jax.random.uniform(key, (total,), jnp.float32, -1.0, 1.0), 0

    def take(scale: float, *shape: int) -> Array:
        nonlocal place
        place += math.prod(shape)
        return scale * numbers[place - math.prod(shape) : place].reshape(shape)

    def lstm(scale: float) -> Lstm:
        gates = 4 * hidden
        return Lstm(take(scale, gates, hidden), take(scale, gates, hidden), take(wide, gates), take(wide, gates))

    return Controller(
        start=take(0.1, hidden),
        layers=(lstm(0.1), lstm(wide)),
        embedding=take(0.1, num_operations, hidden),
        kernel=take(0.1, num_operations, hidden),
        bias=take(wide, num_operations),
    )


def sample_choices(
    controller: Controller, noise: Array, settings: ControllerSettings, mask: Array | None = None
) -> Array:
    """Returns choices int32 `[E]` drawn from the controller by the Gumbel noise float32 `[E, K]`.

    Args:
      controller: Its parameters.
      noise: Standard Gumbel.
      settings: The shape of the logits.
      mask: Bool `[E, K]`, the choices that there are; None where there are all.
    """

    def decide(carry: tuple[Array, Array], each: tuple[Array, Array | None]) -> tuple[tuple[Array, Array], Array]:
        (memory, given), (noise, allowed) = carry, each
        memory, logits = _advance(controller, memory, given, settings)
        logits = _only(allowed, logits)
        choice = jnp.argmax(logits + noise).astype(jnp.int32)
        return (memory, controller.embedding[choice]), choice

    _, choices = jax.lax.scan(decide, (_blank(controller), controller.start), (noise, mask))
    return choices


def log_probabilities(
    controller: Controller, arch: Array, settings: ControllerSettings, mask: Array | None = None
) -> Array:
    """Returns, for each decision given those before it, the log-probability of each operation: `[E, K]` of `[E]`."""
    given = jnp.concatenate([controller.start[None], controller.embedding[arch[:-1]]])

    def decide(memory: Array, each: tuple[Array, Array | None]) -> tuple[Array, Array]:
        given, allowed = each
        memory, logits = _advance(controller, memory, given, settings)
        return memory, jax.nn.log_softmax(_only(allowed, logits))

    _, found = jax.lax.scan(decide, _blank(controller), (given, mask))
    return found


def log_probability_and_entropy(
    controller: Controller, arch: Array, settings: ControllerSettings, mask: Array | None = None
) -> tuple[Array, Array]:
    """Returns the log-probability of an architecture, and the sum over its decisions of their entropies; in nats."""
    found = log_probabilities(controller, arch, settings, mask)
    chosen = jnp.take_along_axis(found, arch[:, None], axis=1)
    if mask is not None:
        found = jnp.where(mask, found, 0)  # before the product: the gradient of 0 times minus infinity would be NaN
    return jnp.sum(chosen), -jnp.sum(jnp.exp(found) * found)


def _only(allowed: Array | None, logits: Array) -> Array:
    """Returns logits `[K]`, minus infinity where a decision has no such choice."""
    return logits if allowed is None else jnp.where(allowed, logits, -jnp.inf)


def _blank(controller: Controller) -> Array:
    """Returns the memory before the first decision: hidden state and cell of each layer, `[layers, 2, H]`."""
    return jnp.zeros((len(controller.layers), 2, controller.start.shape[0]), jnp.float32)


def _advance(controller: Controller, memory: Array, given: Array, settings: ControllerSettings) -> tuple[Array, Array]:
    """Returns the memory and the logits `[K]` after one more input."""
    after = []
    for layer, (hidden, cell) in zip(controller.layers, memory, strict=True):
        given, cell = advance_lstm(layer, hidden, cell, given)
        after.append(jnp.stack([given, cell]))
    logits = (controller.kernel @ given + controller.bias) / settings.temperature
    return jnp.stack(after), settings.tanh_constant * jnp.tanh(logits)


def advance_lstm(layer: Lstm, hidden: Array, cell: Array, given: Array) -> tuple[Array, Array]:
    """Returns a layer's hidden state and cell, `[H]` each, after one more input."""
    gates = layer.from_input @ given + layer.input_bias + layer.from_hidden @ hidden + layer.hidden_bias
    enter, forget, new, leave = jnp.split(gates, 4)
    cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
    return jax.nn.sigmoid(leave) * jnp.tanh(cell), cell
