"""Which architectures a run has evaluated already."""

import jax.numpy as jnp

from jnas._vocabulary import Array


def seen_before(fingerprints: Array, history: Array, count: Array) -> Array:
    """Returns which fingerprints stand among the first `count` rows of a history.

    Every fingerprint is compared with every row, which at the hundreds of rows of a run is cheaper than a hash table.

    Args:
      fingerprints: uint32 `[N, 2]`, from `Space.fingerprint`.
      history: uint32 `[T, 2]`.
      count: int32 `[]`, rows in use.

    Returns:
      bool `[N]`.
    """
    used = jnp.arange(history.shape[0]) < count
    same = (fingerprints[:, None, 0] == history[None, :, 0]) & (fingerprints[:, None, 1] == history[None, :, 1])
    return jnp.any(same & used[None, :], axis=1)
