"""The architectures that sequences of decisions stand for, as their space lists them."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Array, Space
from jnas.searchers.black_box._sequences import Sequence


class ListedCells(NamedTuple):
    """Of all `Q` sequences of `D` choices, in lexicographic order, the `R` different architectures that are valid.

    Isomorphic encodings are one: so the weights that a search trains are those that are read where the space's
    architectures are evaluated.
    """

    choices: NDArray[np.int32]  # [Q, D]
    places: NDArray[np.int32]  # [Q], of each sequence the row of `archs`; `R` where it is not valid
    archs: NDArray[np.int32]  # [R, E], in the order of the space's index
    rows: NDArray[np.int32]  # [R], their indices in the space

    def place(self, choices: Array) -> Array:
        """Returns the place int32 `[]` of choices int32 `[D]`."""
        counts = self.choices.max(axis=0) + 1
        strides = np.append(np.cumprod(counts[:0:-1])[::-1], 1).astype(np.int32)
        found: Array = jnp.asarray(self.places)[jnp.sum(choices * strides)]
        return found

    def is_valid(self, choices: Array) -> Array:
        """Returns whether choices int32 `[D]` are a valid architecture."""
        return self.place(choices) < len(self.archs)

    def to_arch(self, choices: Array) -> Array:
        """Returns the architecture int32 `[E]` of valid choices int32 `[D]`."""
        found: Array = jnp.asarray(self.archs)[jnp.minimum(self.place(choices), len(self.archs) - 1)]
        return found


def listed_cells(space: Space, sequence: Sequence) -> Callable[[], ListedCells]:
    """Returns the function that lists what a sampler of few sequences can express of a space, once.

    It works inside of `jit` too. Looking it up takes a small part of the program that validity and index take.

    Args:
      space: With an index.
      sequence: Its decisions.
    """

    @functools.cache
    def listed() -> ListedCells:
        assert space.index is not None
        assert space.from_index is not None
        index, from_index, counts = space.index, space.from_index, sequence.num_choices
        choices = np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=1).astype(np.int32)
        with jax.ensure_compile_time_eval():
            found = np.asarray(jax.jit(jax.vmap(lambda each: index(sequence.to_arch(each))))(choices))
            rows = np.unique(found[found >= 0]).astype(np.int32)
            archs = np.asarray(jax.vmap(from_index)(jnp.asarray(rows)), np.int32)
        places = np.where(found >= 0, np.searchsorted(rows, found), len(rows)).astype(np.int32)
        return ListedCells(choices, places, archs, rows)

    return listed
