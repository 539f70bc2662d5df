"""ENAS's controller of cells in which each vertex has one predecessor, by attention, and one operation."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key
from jnas.searchers.weight_sharing._controller import Lstm, advance_lstm


class PredecessorController(NamedTuple):
    """The controller's parameters: `K` operations, `H` units."""

    layer: Lstm
    embedding: Array  # [1 + K, H] float32, the input before each predecessor, then that after each operation
    before: Array  # [H, H] float32, of the attention: of the vertices that may be chosen
    now: Array  # [H, H] float32, of the state that chooses
    attention: Array  # [H] float32
    kernel: Array  # [K, H] float32, of the logits of operations
    bias: Array  # [K] float32


class PredecessorSettings(NamedTuple):
    """The controller's size, and the shapes of its logits; as released."""

    hidden: int = 64
    temperature: Any = 5.0
    tanh_constant: Any = 1.1  # of the predecessors' logits, `tanh_constant * tanh(output / temperature)`
    operation_tanh_reduce: Any = 2.5  # by which that of the operations' logits is smaller
    first_bias: Any = 10.0  # at the start, of the first two operations, inside of the hyperbolic tangent
    fixed_bias: Any = 0.25  # added to their logits, subtracted from the others'


def init_predecessor_controller(key: Key, num_operations: int, settings: PredecessorSettings) -> PredecessorController:
    """Returns a controller before its first step: uniform within 0.1, but for the operations' bias."""
    hidden, place = settings.hidden, 0
    total = 8 * hidden**2 + 8 * hidden + (1 + 2 * num_operations) * hidden + 2 * hidden**2 + hidden
    numbers = jax.random.uniform(key, (total,), jnp.float32, -0.1, 0.1)

    def take(*shape: int) -> Array:
        nonlocal place
        place += math.prod(shape)
        return numbers[place - math.prod(shape) : place].reshape(shape)

    gates = 4 * hidden
    return PredecessorController(
        layer=Lstm(take(gates, hidden), take(gates, hidden), take(gates), take(gates)),
        embedding=take(1 + num_operations, hidden),
        before=take(hidden, hidden),
        now=take(hidden, hidden),
        attention=take(hidden),
        kernel=take(num_operations, hidden),
        bias=jnp.where(jnp.arange(num_operations) < 2, jnp.asarray(settings.first_bias, jnp.float32), 0.0),
    )


def sample_predecessors(controller: PredecessorController, noise: Array, settings: PredecessorSettings) -> Array:
    """Returns decisions int32 `[2 n]`, predecessor and operation of each vertex, by Gumbel noise float32 `[2 n, K]`.

    Args:
      controller: Its parameters.
      noise: Standard Gumbel; `K` is at least the number of choices of each decision.
      settings: The shapes of the logits.
    """

    def draw(logits: Array, noise: Array) -> Array:
        return jnp.argmax(logits + noise[: logits.shape[0]]).astype(jnp.int32)

    return _walk(controller, noise.reshape(-1, 2, noise.shape[1]), draw, settings)[0]


def predecessors_log_probability(
    controller: PredecessorController, decisions: Array, settings: PredecessorSettings
) -> tuple[Array, Array]:
    """Returns the log-probability of decisions `[2 n]`, and the sum of the entropies of each given those before it."""
    return _walk(controller, decisions.reshape(-1, 2), lambda _, decision: decision, settings)[1:]


def _walk(
    controller: PredecessorController,
    given: Array,
    decide: Callable[[Array, Array], Array],
    settings: PredecessorSettings,
) -> tuple[Array, Array, Array]:
    """Returns the decisions `[2 n]` that are made one after another, their log-probability and their entropy.

    Args:
      controller: The parameters.
      given: `[n, 2, ...]`, what `decide` is given for the predecessor and for the operation of each vertex.
      decide: `decide(logits, given) -> []`; logits of what there is not to choose are minus infinity.
      settings: The shapes of the logits.
    """
    num_vertices = given.shape[0]
    nothing, start = jnp.zeros(settings.hidden, jnp.float32), controller.embedding[0]
    sign = np.where(np.arange(controller.bias.shape[0]) < 2, 1.0, -1.0).astype(np.float32)
    first = advance_lstm(controller.layer, nothing, nothing, start)
    # What the attention gives for a vertex that is chosen, and what it looks at; 0 is the cell's input.
    anchors = jnp.zeros((num_vertices, settings.hidden), jnp.float32)
    keys = anchors.at[0].set(controller.before @ first[0])

    def step(carry: Any, each: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array, Array]]:
        (hidden, cell, anchors, keys), (number, given) = carry, each
        hidden, cell = advance_lstm(controller.layer, hidden, cell, start)
        outputs = jnp.tanh(keys + (controller.now @ hidden)[None]) @ controller.attention
        logits = settings.tanh_constant * jnp.tanh(outputs / settings.temperature)
        logits = jnp.where(jnp.arange(num_vertices) <= number, logits, -jnp.inf)
        predecessor = decide(logits, given[0])
        before = _chosen(logits, predecessor)
        hidden, cell = advance_lstm(controller.layer, hidden, cell, anchors[predecessor])
        outputs = (controller.kernel @ hidden + controller.bias) / settings.temperature
        height = settings.tanh_constant / settings.operation_tanh_reduce
        logits = height * jnp.tanh(outputs) + settings.fixed_bias * sign
        operation = decide(logits, given[1])
        after = _chosen(logits, operation)
        hidden, cell = advance_lstm(controller.layer, hidden, cell, controller.embedding[1 + operation])
        anchors = anchors.at[number + 1].set(hidden, mode="drop")
        keys = keys.at[number + 1].set(controller.before @ hidden, mode="drop")
        told = (jnp.stack([predecessor, operation]), before[0] + after[0], before[1] + after[1])
        return (hidden, cell, anchors, keys), told

    steps = (jnp.arange(num_vertices), given)
    decisions, total, entropy = jax.lax.scan(step, (*first, anchors, keys), steps)[1]
    return decisions.reshape(-1), jnp.sum(total), jnp.sum(entropy)


def _chosen(logits: Array, choice: Array) -> tuple[Array, Array]:
    """Returns the log-probability of a choice, and the entropy of all."""
    each = jax.nn.log_softmax(logits)
    finite = jnp.where(jnp.isfinite(logits), each, 0)  # the gradient of 0 times minus infinity would be NaN
    return each[choice], -jnp.sum(jnp.exp(each) * finite)
