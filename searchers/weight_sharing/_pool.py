"""The architectures that a search drew last, each once, which are compared with one another at the end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array


class CandidatePool(NamedTuple):
    """As many as there is room for: what was drawn longest ago makes room for what is new."""

    archs: Array  # [P, E] int32
    drawn: Array  # [P] int32, when each was drawn last; -1 where there is none


def empty_pool(size: int, num_decisions: int) -> CandidatePool:
    """Returns a pool of so many places and no architecture."""
    return CandidatePool(jnp.zeros((size, num_decisions), jnp.int32), jnp.full((size,), -1, jnp.int32))


def with_drawn(pool: CandidatePool, arch: Array, when: Array) -> CandidatePool:
    """Returns the pool after an architecture int32 `[E]` was drawn at a time int32 `[]` that is later than all others.

    One that it has is now the newest; another takes an empty place, or that of the oldest.
    """
    same = (pool.drawn >= 0) & jnp.all(pool.archs == arch[None], axis=1)
    place = jnp.where(jnp.any(same), jnp.argmax(same), jnp.argmin(pool.drawn))
    return CandidatePool(pool.archs.at[place].set(arch), pool.drawn.at[place].set(when))


def with_all(pool: CandidatePool, archs: Array) -> CandidatePool:
    """Returns the pool after architectures int32 `[N, E]` were drawn, one after another."""

    def add(pool: CandidatePool, arch: Array) -> tuple[CandidatePool, None]:
        return with_drawn(pool, arch, jnp.max(pool.drawn) + 1), None

    return jax.lax.scan(add, pool, archs)[0]
