"""The cross-entropy of the next token, without the logits of a whole window ever being there.

For 2,240 tokens and 10,000 words they are 90 MB, which a plain program writes and reads several times. Here some rows
at a time are multiplied, normalized and, where a gradient is wanted, multiplied back while they are in a cache.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array

_ROWS = 256  # tokens at a time on CPUs; others take a whole window


def cross_entropy(states: Array, words: Array, bias: Array, targets: Array, count: Array) -> Array:
    """Returns the sum of the cross-entropy of the first `count` rows, float32 `[]`.

    Its time goes with `count`, and not with how many rows there are. Gradients are of the first order, in reverse.

    Args:
      states: float32 `[N, D]`.
      words: float32 `[V, D]`: logits are `states @ words.T + bias`.
      bias: float32 `[V]`.
      targets: int32 `[N]`.
      count: int32 `[]`.
    """
    rows = min(_ROWS, len(targets)) if jax.default_backend() == "cpu" else len(targets)
    total: Array = _cross_entropy(rows, states, words, bias, targets, count)
    return total


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _cross_entropy(rows: int, states: Array, words: Array, bias: Array, targets: Array, count: Array) -> Array:
    total: Array = _one_by_one(functools.partial(_losses, rows))(states, words, bias, targets, count)
    return total


def _one_by_one(function: Any) -> Any:
    """Returns a function of which `vmap` makes a loop where caches are small: the members' logits would not fit."""
    if jax.default_backend() != "cpu":
        return function
    return jax.custom_batching.sequential_vmap(function)  # type: ignore[no-untyped-call]


def _blocks(rows: int, states: Array, targets: Array) -> tuple[Array, Array]:
    """Returns states `[blocks, rows, D]` and targets `[blocks, rows]`, filled up with zeros."""
    more = -len(targets) % rows
    return (
        jnp.pad(states, ((0, more), (0, 0))).reshape(-1, rows, states.shape[1]),
        jnp.pad(targets, (0, more)).reshape(-1, rows),
    )


def _loss_of_block(
    number: Array, state: Array, words: Array, bias: Array, target: Array, count: Array
) -> tuple[Array, Array, Array]:
    """Returns the sum of a block's losses, the exponentials `[rows, V]`, and what makes gradients of them `[rows]`."""
    rows = len(target)
    counted = (number * rows + jnp.arange(rows) < count).astype(state.dtype)
    logits = state @ words.T + bias[None, :]
    most = jnp.max(logits, 1)
    powers = jnp.exp(logits - most[:, None])
    total = jnp.sum(powers, 1)
    right = jnp.take_along_axis(logits, target[:, None], 1)[:, 0]
    return jnp.sum(counted * (most + jnp.log(total) - right)), powers, counted / total


def _losses(rows: int, states: Array, words: Array, bias: Array, targets: Array, count: Array) -> Array:
    blocks, each = _blocks(rows, states, targets)

    def add(number: Array, total: Array) -> Array:
        return total + _loss_of_block(number, blocks[number], words, bias, each[number], count)[0]

    total: Array = lax.fori_loop(0, -(-count // rows), add, jnp.zeros((), states.dtype))
    return total


def _with_gradients(
    rows: int, states: Array, words: Array, bias: Array, targets: Array, count: Array
) -> tuple[Array, Array, Array, Array]:
    blocks, each = _blocks(rows, states, targets)

    def add(number: Array, sums: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        total, of_states, of_words, of_bias = sums
        state, target = blocks[number], each[number]
        loss, powers, weight = _loss_of_block(number, state, words, bias, target, count)
        counted = jnp.where(number * rows + jnp.arange(rows) < count, 1.0, 0.0).astype(state.dtype)
        shares = powers * weight[:, None]
        return (
            total + loss,
            of_states.at[number].set(shares @ words - counted[:, None] * words[target]),
            (of_words + shares.T @ state).at[target].add(-counted[:, None] * state),
            (of_bias + jnp.sum(shares, 0)).at[target].add(-counted),
        )

    start = (jnp.zeros((), states.dtype), jnp.zeros_like(blocks), jnp.zeros_like(words), jnp.zeros_like(bias))
    total, of_states, of_words, of_bias = lax.fori_loop(0, -(-count // rows), add, start)
    return total, of_states.reshape(-1, states.shape[1])[: len(states)], of_words, of_bias


def _forward(rows: int, *arguments: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    total, *gradients = _one_by_one(functools.partial(_with_gradients, rows))(*arguments)
    return total, tuple(gradients)


def _backward(rows: int, gradients: tuple[Array, Array, Array], of_total: Array) -> tuple[Any, ...]:
    return (*(of_total * gradient for gradient in gradients), None, None)


_cross_entropy.defvjp(_forward, _backward)
