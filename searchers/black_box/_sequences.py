"""Architectures as sequences of decisions, for searchers that make one after another."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import draw_words, uniform
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import not_one_of
from jnas.spaces._registry import released

_TOGETHER = 16  # draws that are made at a time

Reachable = Literal["whole", "released"]
"""Whether a searcher can express the whole space, or what its released sampler can."""


class Sequence(NamedTuple):
    """Decisions that are made one after another, `D` of them, over `K` words that they share."""

    words: tuple[str, ...]  # names of choices, each once
    word_of: np.ndarray  # int32 [D, C], of each choice of each decision its word; the last one fills the rows
    mask: np.ndarray  # bool [D, K], the words that a decision has
    num_choices: tuple[int, ...]  # [D]
    to_arch: Callable[[Array], Array]  # from choices int32 [D] to an architecture int32 [E]

    @property
    def choice_shape(self) -> tuple[int, int]:
        """Returns `(D, C)`, the shape of noise with a number for each choice."""
        return len(self.num_choices), max(self.num_choices)

    @property
    def choice_of(self) -> np.ndarray:
        """Of each word of each decision its choice, int32 `[D, K]`; 0 where it has no such word."""
        found = np.zeros(self.mask.shape, np.int32)
        for row, words, count in zip(found, self.word_of, self.num_choices, strict=True):
            row[words[:count]] = np.arange(count)
        return found


def sequence_of(space: Space, reachable: Reachable, sampler: str) -> Sequence:
    """Returns the decisions in which a searcher says an architecture of a space.

    Args:
      space: The search space.
      reachable: `'whole'`: those of the space that have a choice, in their order. `'released'`: those of the searcher's
        released sampler, which express a part of the space.
      sampler: The name of the released sampler.

    Raises:
      ValueError: `reachable` is neither, or the space has no released sampler.
    """
    if reachable not in get_args(Reachable):
        raise ValueError(not_one_of("reachable", reachable, get_args(Reachable)))
    if reachable == "released":
        decisions = released(space, sampler).decisions
        return make_sequence(decisions.choices, decisions.to_arch)
    free = np.flatnonzero(np.asarray(space.num_choices) > 1).astype(np.int32)

    def to_arch(choices: Array) -> Array:
        return jnp.zeros(space.num_decisions, jnp.int32).at[free].set(choices)

    # Words of its own for each decision: what is learned of one says nothing of another until the memory tells.
    return make_sequence(tuple(tuple(f"{i} {name}" for name in space.choices[i]) for i in free), to_arch)


def make_sequence(choices: tuple[tuple[str, ...], ...], to_arch: Callable[[Array], Array]) -> Sequence:
    """Returns decisions of which equal names are one word, and what choices of them stand for."""
    words = tuple(dict.fromkeys(name for names in choices for name in names))
    place = {word: number for number, word in enumerate(words)}
    counts = tuple(map(len, choices))
    rows = [[place[name] for name in names] + [place[names[-1]]] * (max(counts) - len(names)) for names in choices]
    word_of = np.asarray(rows, np.int32)
    mask = np.zeros((len(choices), len(words)), bool)
    np.put_along_axis(mask, word_of, True, axis=1)
    return Sequence(words, word_of, mask, counts, to_arch)


def uniform_choices(sequence: Sequence, noise: Array) -> Array:
    """Returns choices int32 `[D]`, each as likely as the others of its decision, by Gumbel noise `[D, C]`."""
    exists = np.arange(noise.shape[1])[None] < np.asarray(sequence.num_choices)[:, None]
    return jnp.argmax(jnp.where(exists, noise, -jnp.inf), axis=1).astype(jnp.int32)


def gumbel(words: Array) -> Array:
    """Returns standard Gumbel noise float32 of uniform words uint32, of any shape."""
    return -jnp.log(-jnp.log(uniform(words) + np.float32(2.0**-24)))


def flat_leaves(tree: Any) -> Array:
    """Returns the leaves of a pytree, float32, one after another `[P]`."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(tree)])


def leaves_of(shapes: Any) -> Callable[[Array], Any]:
    """Returns the function from numbers `[P]` to a pytree of these shapes; the inverse of `flat_leaves`."""
    leaves, structure = jax.tree.flatten(shapes)
    ends = np.cumsum([math.prod(leaf.shape) for leaf in leaves])

    def unflatten(flat: Array) -> Any:
        begins = [end - math.prod(leaf.shape) for leaf, end in zip(leaves, ends, strict=True)]
        parts = [flat[b:e].reshape(leaf.shape) for leaf, b, e in zip(leaves, begins, ends, strict=True)]
        return jax.tree.unflatten(structure, parts)

    return unflatten


def draw_valid(
    key: Key, shape: tuple[int, int], choose: Callable[[Array], Array], is_valid: Callable[[Array], Array], tries: int
) -> tuple[Key, Array, Array]:
    """Draws choices again until they are valid.

    Args:
      key: PRNG key.
      shape: Of the noise.
      choose: From standard Gumbel noise of that shape to choices int32 `[D]`.
      is_valid: Of choices.
      tries: How often, at most.

    Returns:
      The next key, the choices, and whether they are valid.
    """
    num_choices = jax.eval_shape(lambda: choose(jnp.zeros(shape, jnp.float32))).shape[0]

    def draw(carry: tuple[Key, Array, Array, Array]) -> tuple[Key, Array, Array, Array]:
        key, words = draw_words(carry[0], shape[0] * shape[1])
        choices = choose(gumbel(words).reshape(shape))
        return key, carry[1] + 1, choices, is_valid(choices)

    def goes_on(carry: tuple[Key, Array, Array, Array]) -> Array:
        return ~carry[3] & (carry[1] < tries)

    start = (key, jnp.int32(0), jnp.zeros(num_choices, jnp.int32), jnp.bool_(False))
    key, _, choices, valid = jax.lax.while_loop(goes_on, draw, start)
    return key, choices, valid


def draw_several(
    key: Key,
    shape: tuple[int, int],
    choose: Callable[[Array], Array],
    is_valid: Callable[[Array], Array],
    num: int,
    tries: int,
) -> tuple[Key, Array, Array]:
    """Draws choices until so many of them are valid: those that `draw_valid` gives one after another.

    Draws are made some at a time, so that a network that chooses reads its weights once for all of them.

    Args:
      key: PRNG key.
      shape: Of the noise of one.
      choose: From standard Gumbel noise of that shape to choices int32 `[D]`.
      is_valid: Of choices.
      num: How many are wanted.
      tries: How often, at most, for each of them.

    Returns:
      The next key, the choices `[num, D]`, and how many of them there are: int32 `[]`.
    """
    num_choices, block = jax.eval_shape(lambda: choose(jnp.zeros(shape, jnp.float32))).shape[0], min(num, _TOGETHER)

    def noise_of(key: Key, _: None) -> tuple[Key, tuple[Array, Array]]:
        key, words = draw_words(key, shape[0] * shape[1])
        return key, (jax.random.key_data(key), words)

    def draw(carry: tuple[Key, Array, Array, Array]) -> tuple[Key, Array, Array, Array]:
        key, drawn, count, missed = carry
        _, (keys, words) = jax.lax.scan(noise_of, key, length=block)
        choices = jax.vmap(choose)(gumbel(words).reshape(block, *shape))
        place, valid = jnp.arange(block, dtype=jnp.int32), jax.vmap(is_valid)(choices)
        last = jax.lax.cummax(jnp.where(valid, place, -1))
        misses = jnp.where(last < 0, missed + 1 + place, place - last)  # since a valid one
        in_time = jax.lax.cummax((misses >= tries).astype(jnp.int32)) == 0
        rank = count + jnp.cumsum(valid & in_time, dtype=jnp.int32) - 1
        taken = valid & in_time & (rank < num)
        drawn = drawn.at[jnp.where(taken, rank, num)].set(choices, mode="drop")
        used = jnp.min(jnp.where(taken & (rank == num - 1), place, block - 1))
        key = jax.random.wrap_key_data(keys[used], impl=jax.random.key_impl(key))
        missed = jnp.where(in_time[-1], misses[-1], tries)
        return key, drawn, count + jnp.sum(taken, dtype=jnp.int32), missed

    def goes_on(carry: tuple[Key, Array, Array, Array]) -> Array:
        return (carry[2] < num) & (carry[3] < tries)

    start = (key, jnp.zeros((num, num_choices), jnp.int32), jnp.int32(0), jnp.int32(0))
    return jax.lax.while_loop(goes_on, draw, start)[:3]
