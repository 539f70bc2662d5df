"""Spaces whose architectures are some of the encodings of a product of choices, or classes of them, by a table."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import bare
from jnas.spaces._hashing import hash_number


def product_part(whole: Space, rows: np.ndarray, archs: np.ndarray, **fields: Any) -> Space:
    """Returns the space of the architectures that some encodings of a product of choices stand for.

    Args:
      whole: The product of choices, with an index.
      rows: For each encoding, in the order of its index, the number of its architecture, or -1 where it is none;
        int32 `[whole.size]`.
      archs: The encoding of each architecture that stands for all of it, int32 `[N, E]`.
      **fields: What else the space has otherwise than `whole`: `name`, `config`, `to_string`, `from_string`, ...

    Returns:
      A space whose `sample` is uniform over the architectures; whose neighbours are what an encoding becomes by one
      change of a decision, each architecture in one of its encodings and itself left out; whose mutation is uniform
      over these (the architecture itself, where there are none). `index` of what is no architecture is 0.
    """
    assert whole.index is not None
    number, change, count = whole.index, whole.neighbors, len(archs)
    archs = archs.astype(np.int32)

    def row(arch: Array) -> Array:
        return jnp.where(whole.is_valid(arch), jnp.asarray(rows)[number(jnp.maximum(arch, 0))], -1)

    def from_index(index: Array) -> Array:
        return jnp.asarray(archs)[index]

    def neighbors(arch: Array) -> tuple[Array, Array]:
        changed, _ = change(arch)
        found = jnp.asarray(rows)[changed @ _strides(whole)]
        same = found[:, None] == found[None, :]
        earlier = jnp.any(same & np.tri(len(changed), k=-1, dtype=bool), axis=1)
        return changed, (found >= 0) & (found != row(arch)) & ~earlier

    def mutate_from(words: Array, arch: Array) -> Array:
        changed, valid = neighbors(arch)
        many = jnp.sum(valid, dtype=jnp.int32)
        place = jnp.argmax(jnp.cumsum(valid) > below(words[0], jnp.maximum(many, 1)))
        return jnp.where(many > 0, changed[place], arch).astype(jnp.int32)

    def mutate(key: Key, arch: Array) -> Array:
        return mutate_from(bits(key, (2,)), arch)

    def index(arch: Array) -> Array:
        return jnp.maximum(row(arch), 0).astype(jnp.int32)

    given: dict[str, Callable[..., Any] | Any] = {
        "size": count,
        "sample": lambda key: from_index(below(bits(key, ()), count)),
        "mutate": mutate,
        "neighbors": neighbors,
        "is_valid": lambda arch: row(arch) >= 0,
        # Of what is no architecture its own: two different ones are never the same.
        "fingerprint": lambda arch: hash_number(jnp.where(row(arch) >= 0, row(arch), count + number(arch))),
        "index": index,
        "from_index": from_index,
        "mutate_from": mutate_from,
    }
    return whole._replace(**{**given, **fields})


def _strides(space: Space) -> np.ndarray:
    """Returns by what each decision counts in a lexicographic index."""
    return np.cumprod([1, *space.num_choices[:0:-1]])[::-1].astype(np.int32)


def all_encodings(num_choices: tuple[int, ...]) -> np.ndarray:
    """Returns all encodings of a product of choices in lexicographic order, int32 `[size, E]`."""
    return np.indices(num_choices, np.int32).reshape(len(num_choices), -1).T


def spelled(text: Any) -> str:
    """Returns a text without blanks and quotes around it; TypeError for what is none."""
    if not isinstance(text, str):
        raise TypeError(f"an architecture is read from a string, got {type(text).__name__}")
    return bare(text)
