"""Architectures as sequences of choices, and what these stand for, as their space lists it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Array, Key, Space, Supernet
from jnas.searchers.black_box._sequences import (
    Reachable,
    Sequence,
    draw_valid,
    make_sequence,
    sequence_of,
    uniform_choices,
)
from jnas.searchers.weight_sharing._rsps import uniform_archs

_TRIES = 100  # until choices are valid: with five interior vertices one in 120 has all of them on the input


class Encoding(NamedTuple):
    """How a search says architectures."""

    sequence: Sequence
    uniform: Callable[[Key, int], Array]  # (key, count) -> valid choices int32 [count, D]
    is_valid: Callable[[Array], Array]  # of choices int32 [D]
    to_arch: Callable[[Array], Array]  # from valid choices int32 [D] to an architecture int32 [E], as it is listed
    cells: "Callable[[], ListedCells] | None"  # all that there are, where these are few

    def draw(self, key: Key, choose: Callable[[Array], Array]) -> Array:
        """Returns valid choices int32 `[D]`: those that `choose` makes of Gumbel noise `[D, C]`, until they are."""
        return _draw(key, self.sequence, choose, self.is_valid)


def make_encoding(supernet: Supernet, reachable: Reachable, sampler: str) -> Encoding:
    """Returns how a search says architectures of a supernet's space.

    Args:
      supernet: Of whose space.
      reachable: `'whole'`: by the space's decisions, or the supernet's sequential ones. `'released'`: by those of the
        released sampler.
      sampler: The name of that sampler.

    Raises:
      ValueError: `reachable` is neither, or the space has no released sampler.
    """
    space, sequence, own = supernet.space, sequence_of(supernet.space, reachable, sampler), supernet.sequential
    if reachable == "whole" and own is not None:
        sequence = make_sequence(own.choices, own.to_arch)
        return Encoding(
            sequence,
            uniform=lambda key, count: jax.vmap(own.of_arch)(uniform_archs(key, supernet, count)),
            is_valid=lambda choices: jnp.bool_(True),
            to_arch=sequence.to_arch,
            cells=None,
        )
    if reachable == "whole":
        free = np.flatnonzero(np.asarray(space.num_choices) > 1).astype(np.int32)
        return Encoding(
            sequence,
            uniform=lambda key, count: uniform_archs(key, supernet, count)[:, free],
            is_valid=lambda choices: space.is_valid(sequence.to_arch(choices)),
            to_arch=lambda choices: listed_arch(space, sequence.to_arch(choices)),
            cells=None,
        )
    cells = _listed_cells(space, sequence)

    def is_valid(choices: Array) -> Array:
        return cells().is_valid(choices)

    def uniform(key: Key, count: int) -> Array:
        def draw(key: Key) -> Array:
            return _draw(key, sequence, lambda noise: uniform_choices(sequence, noise), is_valid)

        return jax.vmap(draw)(jax.random.split(key, count))

    return Encoding(sequence, uniform, is_valid, lambda choices: cells().to_arch(choices), cells)


def _draw(key: Key, sequence: Sequence, choose: Callable[[Array], Array], is_valid: Callable[[Array], Array]) -> Array:
    return draw_valid(key, sequence.choice_shape, choose, is_valid, _TRIES)[1]


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


def _listed_cells(space: Space, sequence: Sequence) -> Callable[[], ListedCells]:
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


def listed_arch(space: Space, arch: Array) -> Array:
    """Returns the encoding of a valid architecture's class that its space lists; the same where there is no index."""
    if space.index is None or space.from_index is None:
        return arch
    found: Array = space.from_index(space.index(arch))
    return found


def marginals(archs: Array, shares: Array, num_choices: int) -> Array:
    """Returns how often each decision has each choice, float32 `[E, K]`, of architectures `[N, E]` by shares `[N]`."""
    return jnp.einsum("n,nek->ek", shares, jax.nn.one_hot(archs, num_choices, dtype=jnp.float32))
