"""Where gradient ascent on the encodings of the best architectures leads: new ones, each once."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Space
from jnas.searchers.black_box._history import first_of_each, seen_before
from jnas.searchers.black_box._nao_model import NaoModel, ascend
from jnas.searchers.black_box._sequences import Sequence


class Seeking(NamedTuple):
    """What is sought: Python ints."""

    num_new: int
    max_step: int


def seek(
    network: NaoModel,
    begin_at: Array,
    counts: Array,
    is_known: Callable[[Array], Array],
    space: Space,
    sequence: Sequence,
    wanted: Seeking,
) -> tuple[Array, Array]:
    """Returns new decisions int32 `[Q, D]` of architectures that are valid, and how many there are.

    Args:
      network: The model.
      begin_at: int32 `[A, D]`, the words of the architectures whose encodings move by 1, 2, ... `max_step`.
      counts: bool `[A]`, which of them there are.
      is_known: Of fingerprints uint32 `[A, 2]` which are not new: bool `[A]`.
      space: The search space.
      sequence: Its decisions.
      wanted: How many, and how far to go for them.
    """
    num_new, length = wanted.num_new, sequence.mask.shape[0]
    rows = np.arange(length, dtype=np.int32)
    mask, choice_of = jnp.asarray(sequence.mask), jnp.asarray(sequence.choice_of)

    def step(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        size, found, known, count = carry
        moved, _ = jax.vmap(lambda each: ascend(network, each, mask, size.astype(jnp.float32)))(begin_at)
        choices = choice_of[rows[None], moved]
        archs = jax.vmap(sequence.to_arch)(choices)
        words = jax.vmap(space.fingerprint)(archs)
        fresh = counts & jax.vmap(space.is_valid)(archs) & first_of_each(words)
        fresh &= ~is_known(words) & ~seen_before(words, known, count)
        place = jnp.where(fresh, count + jnp.cumsum(fresh) - 1, num_new)
        found, known = found.at[place].set(choices, mode="drop"), known.at[place].set(words, mode="drop")
        return size + 1, found, known, jnp.minimum(count + jnp.sum(fresh, dtype=jnp.int32), num_new)

    def goes_on(carry: tuple[Array, Array, Array, Array]) -> Array:
        ends: Array = all_lanes((carry[0] > wanted.max_step) | (carry[3] >= num_new))
        return ~ends

    nothing = (jnp.zeros((num_new, length), jnp.int32), jnp.zeros((num_new, 2), jnp.uint32), jnp.int32(0))
    _, found, _, count = jax.lax.while_loop(goes_on, step, (jnp.int32(1), *nothing))
    return found, count
