"""Training of a small network on masked rows by mini-batches, and the orders in which epochs go through the rows."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Key
from jnas.spaces._hashing import mix

Weights = TypeVar("Weights")


def row_words(key: Key, mask: Array) -> Array:
    """Returns random words uint32 `[N, 2]` for each row, from the key and from its place among the rows that count."""
    places = jnp.maximum(jnp.cumsum(mask) - 1, 0).astype(jnp.uint32)
    words: Array = jax.random.key_data(jax.vmap(jax.random.fold_in, (None, 0))(key, places))
    return words


def epoch_order(words: Array, mask: Array, epoch: Array) -> Array:
    """Returns the rows in a random order of this epoch, those that do not count last: int32 `[N]`.

    The order of the rows that count does not depend on where others stand between them.

    Args:
      words: From `row_words`.
      mask: bool `[N]`.
      epoch: `[]`, its number.
    """
    hashed = mix(mix(words[:, 0] + epoch.astype(jnp.uint32)) ^ words[:, 1]) >> 1
    return jnp.argsort(jnp.where(mask, hashed, jnp.uint32(0xFFFFFFFF))).astype(jnp.int32)


def train_on_minibatches(
    loss: Callable[..., Array],
    weights: Weights,
    key: Key,
    rows: Any,
    mask: Array,
    *,
    num_epochs: int,
    batch_size: int,
    optimizer: optax.GradientTransformation,
    numbered: bool = False,
) -> Weights:
    """Returns the weights after some epochs over the rows that count, each in a new order.

    Rows that do not count change nothing, wherever they stand and however many they are: the order of the others
    depends on the key and on their own order, and a batch without a row leaves weights and moments as they are. The
    last batch of an epoch has the rows that are left.

    Args:
      loss: `loss(weights, batch, counts [batch_size]) -> []`; the batch has the structure of `rows`, and only its rows
        whose `counts` is True may matter.
      weights: To begin with.
      key: For the orders.
      rows: Arrays `[N, ...]`.
      mask: bool `[N]`.
      num_epochs: Times that each row is seen.
      batch_size: Rows of a step.
      optimizer: From optax.
      numbered: Whether the loss takes a fourth argument, an int32 `[]` that differs between steps, for its own noise.
    """
    batch_size = min(batch_size, mask.shape[0])
    padding = -mask.shape[0] % batch_size
    count = jnp.sum(mask, dtype=jnp.int32)
    words = row_words(key, mask)

    def epoch(number: Array, state: tuple[Weights, Any]) -> tuple[Weights, Any]:
        order = jnp.pad(epoch_order(words, mask, number), (0, padding))

        def step(carry: tuple[Array, tuple[Weights, Any]]) -> tuple[Array, tuple[Weights, Any]]:
            first, (weights, moments) = carry
            chosen = jax.lax.dynamic_slice_in_dim(order, first, batch_size)
            counts = first + jnp.arange(batch_size) < count
            told = (number * (mask.shape[0] + padding) + first,) if numbered else ()
            gradient = jax.grad(loss)(weights, jax.tree.map(lambda leaf: leaf[chosen], rows), counts, *told)
            updates, after = optimizer.update(gradient, moments, weights)
            new = optax.apply_updates(weights, updates), after
            # Under `vmap` the loop lasts as long as any lane needs it.
            return first + batch_size, jax.tree.map(
                lambda one, other: jnp.where(first < count, one, other), new, (weights, moments)
            )

        def is_left(carry: tuple[Array, tuple[Weights, Any]]) -> Array:
            left: Array = ~all_lanes(carry[0] >= count)
            return left

        trained: tuple[Weights, Any] = jax.lax.while_loop(is_left, step, (jnp.int32(0), state))[1]
        return trained

    final: tuple[Weights, Any] = jax.lax.fori_loop(0, num_epochs, epoch, (weights, optimizer.init(weights)))
    return final[0]
