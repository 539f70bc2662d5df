"""Functions of many lanes or rows that run a few at a time."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def in_blocks(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """Returns a function of arrays whose `vmap` runs `size` lanes at a time on a CPU, and all at once elsewhere.

    A long loop over small arrays is quickest while all lanes' arrays fit into the processor's cache. The results are
    those of `vmap`.

    Args:
      function: From pytrees of arrays to a pytree of arrays.
      size: Lanes at a time, at least 1.
    """

    @jax.custom_batching.custom_vmap
    @functools.wraps(function)
    def one(*arguments: Any) -> Any:
        return function(*arguments)

    @one.def_vmap
    def _(num_lanes: int, in_batched: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
        leaves, structure = jax.tree.flatten(arguments)
        batched = jax.tree.leaves(in_batched)
        shared = [leaf for leaf, is_batched in zip(leaves, batched, strict=True) if not is_batched]
        lanes = [leaf for leaf, is_batched in zip(leaves, batched, strict=True) if is_batched]

        def apply(*lane: Any) -> Any:
            own, common = iter(lane), iter(shared)
            every = [next(own) if is_batched else next(common) for is_batched in batched]
            return function(*jax.tree.unflatten(structure, every))

        def blocks(*lanes: Any) -> Any:
            # The last block is filled up with the last lane: a shorter one would be compiled once more.
            number = -(-num_lanes // size)
            place = np.minimum(np.arange(number * size), num_lanes - 1).reshape(number, size)
            results = jax.lax.map(lambda block: jax.vmap(apply)(*block), [lane[place] for lane in lanes])
            return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:num_lanes], results)

        whole = jax.vmap(apply)
        results = whole(*lanes) if num_lanes <= size else jax.lax.platform_dependent(*lanes, cpu=blocks, default=whole)
        return results, jax.tree.map(lambda _: True, results)

    return one


def in_parts(function: Callable[[Any], Any], size: int) -> Callable[[Any], Any]:
    """Returns a function of rows that takes them `size` at a time where there are more, so that memory is bounded.

    Args:
      function: From a pytree of arrays `[N, ...]` to a pytree of arrays `[N, ...]`, each row by itself.
      size: Rows at a time, at least 1.
    """

    def whole(rows: Any) -> Any:
        count = jax.tree.leaves(rows)[0].shape[0]
        if count <= size:
            return function(rows)
        number = -(-count // size)

        def divided(leaf: Any) -> Any:
            # Filled up with the last row: a shorter part would be compiled once more, and zeros may be no row.
            return jnp.asarray(leaf)[np.minimum(np.arange(number * size), count - 1)].reshape(
                number, size, *leaf.shape[1:]
            )

        found = jax.lax.map(function, jax.tree.map(divided, rows))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], found)

    return whole
