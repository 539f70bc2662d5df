"""Which architectures a run has evaluated already."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import lane_maximum
from jnas.core._vocabulary import Array, Evaluation, Proposal, Space, usable_score
from jnas.io._fields import describe_fields

_BLOCK = 8  # rows of a history that are compared at once


@describe_fields
class History(NamedTuple):
    """Evaluations in the order in which they were made: `T` rows, of which the first `num_told` are in use.

    Attributes:
      archs: int32 `[T, E]`.
      scores: float32 `[T]`, minus infinity for what must not win, and where empty.
      fingerprints: uint32 `[T, 2]`.
      num_told: int32 `[]`.
    """

    archs: Array
    scores: Array
    fingerprints: Array
    num_told: Array


def no_history(capacity: int, num_decisions: int) -> History:
    """Returns a history of `capacity` empty rows."""
    return History(
        archs=jnp.zeros((capacity, num_decisions), jnp.int32),
        scores=jnp.full((capacity,), -jnp.inf, jnp.float32),
        fingerprints=jnp.zeros((capacity, 2), jnp.uint32),
        num_told=jnp.int32(0),
    )


def remember_evaluations(history: History, space: Space, proposal: Proposal, evaluation: Evaluation) -> History:
    """Returns the history with a proposal's valid rows behind those that it has."""
    accepted = proposal.valid
    place = jnp.where(accepted, history.num_told + jnp.cumsum(accepted) - 1, history.archs.shape[0])
    return History(
        archs=history.archs.at[place].set(proposal.archs, mode="drop"),
        scores=history.scores.at[place].set(usable_score(evaluation), mode="drop"),
        fingerprints=history.fingerprints.at[place].set(jax.vmap(space.fingerprint)(proposal.archs), mode="drop"),
        num_told=history.num_told + jnp.sum(accepted, dtype=jnp.int32),
    )


def seen_before(fingerprints: Array, history: Array, count: Array) -> Array:
    """Returns which fingerprints stand among the first `count` rows of a history.

    Every fingerprint is compared with every row, which at the hundreds of rows of a run is cheaper than a hash table:
    block by block, as many as the lane with the longest history needs.

    Args:
      fingerprints: uint32 `[N, 2]`, from `Space.fingerprint`.
      history: uint32 `[T, 2]`.
      count: int32 `[]`, rows in use.

    Returns:
      bool `[N]`.
    """
    rows = min(_BLOCK, history.shape[0])
    padded = jnp.pad(history, ((0, -history.shape[0] % rows), (0, 0)))

    def compare(block: Array, nearest: Array) -> Array:
        """Keeps of each fingerprint the least difference from a row; 0 says that they are equal."""
        some = jax.lax.dynamic_slice_in_dim(padded, block * rows, rows)
        for i in range(rows):  # one after another: a reduction over them would not be vectorised
            differs = (fingerprints[:, 0] ^ some[i, 0]) | (fingerprints[:, 1] ^ some[i, 1])
            nearest = jnp.minimum(nearest, differs | (block * rows + i >= count))
        return nearest

    most = np.uint32(0xFFFFFFFF)
    blocks = lane_maximum((count + rows - 1) // rows)
    nearest: Array = jax.lax.fori_loop(0, blocks, compare, jnp.full(fingerprints.shape[:1], most))
    return nearest == np.uint32(0)


def first_of_each(fingerprints: Array) -> Array:
    """Returns which of the fingerprints uint32 `[N, 2]` do not stand in an earlier row: bool `[N]`.

    A few are compared with one another; of many, sorted ones with the one before.
    """
    count = fingerprints.shape[0]
    if count <= 256:
        same = (fingerprints[:, None, 0] == fingerprints[None, :, 0]) & (
            fingerprints[:, None, 1] == fingerprints[None, :, 1]
        )
        earlier = jnp.arange(count)[None, :] < jnp.arange(count)[:, None]
        return ~jnp.any(same & earlier, axis=1)
    order = jnp.lexsort((fingerprints[:, 1], fingerprints[:, 0]))  # stable: the earliest of equal ones stands first
    ordered = fingerprints[order]
    new = jnp.concatenate([jnp.ones((1,), bool), jnp.any(ordered[1:] != ordered[:-1], axis=1)])
    return jnp.zeros((count,), bool).at[order].set(new)
