"""A space restricted to listed architectures, for tables that know a part of their space."""

import functools
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import bits, split
from jnas.core._vocabulary import Array, Key, Space
from jnas.spaces._categorical import one_hot
from jnas.spaces._hashing import mix
from jnas.spaces._registry import from_config
from jnas.spaces._rows import row_locator


def subset(space: Space, archs: np.ndarray) -> Space:
    """Returns the space of the architectures listed, among which a searcher stays.

    Drawing, mutating and listing neighbours end at listed architectures by one rule, the *nearest*: the one that agrees
    with a wanted architecture in most decisions of its encoding as listed; among equally near ones a mutation
    chooses at random, a neighbourhood by a fixed scrambled order.

    - `sample` is uniform over the list.
    - `mutate` mutates in the whole space. If the mutant is listed (in any encoding), and is not the parent, it is
      taken; otherwise the nearest one that is not the parent.
    - `neighbors` are the nearest to the architecture, as many as the whole space has, itself left out.
    - `is_valid` holds for what is listed, so searchers that draw encodings until one is valid draw until it is known.
    - `index` counts the list.

    A search among listed architectures is easier, or harder, than one in the whole space, and is to be compared with
    random search over the same list.

    Args:
      space: The whole space.
      archs: Valid architectures, integers `[N, E]`, each once; at least two.

    Raises:
      ValueError: Architectures are of the wrong shape, not valid, or the same as another.

    Example:
      >>> whole = jnas.spaces.categorical((3, 3))
      >>> space = jnas.spaces.subset(whole, np.array([[0, 0], [1, 1], [2, 2]]))
      >>> space.size, bool(space.is_valid(jnp.array([1, 1]))), bool(space.is_valid(jnp.array([0, 1])))
      (3, True, False)
    """
    archs = np.asarray(archs)
    if archs.ndim != 2 or archs.shape[1] != space.num_decisions or len(archs) < 2:
        raise ValueError(f"archs has shape {archs.shape}, expected [N, {space.num_decisions}] with N of at least 2")
    archs = archs.astype(np.int32)
    valid = np.asarray(jax.jit(jax.vmap(space.is_valid))(archs))
    if not np.all(valid):
        raise ValueError(f"architecture {int(np.argmin(valid))} of archs is not valid in the space {space.name!r}")
    index = row_locator(space, archs)
    if np.any(np.asarray(jax.jit(jax.vmap(index))(archs)) != np.arange(len(archs))):
        raise ValueError("archs holds an architecture twice (or two encodings of one), expected each once")
    count = min(int(jax.eval_shape(space.neighbors, archs[0])[1].shape[0]), len(archs) - 1)

    def from_index(index: Array) -> Array:
        return jnp.asarray(archs)[index]

    def sample(key: Key) -> Array:
        return from_index(jax.random.randint(key, (), 0, len(archs), jnp.int32))

    @functools.cache
    def nearest_rows() -> np.ndarray:
        """For each listed one the rows `[N, count]` of the nearest others; made once, seconds for 30,000."""
        listed = np.asarray(jax.vmap(lambda a: one_hot(space.num_choices, a))(archs))
        scrambled = np.asarray(mix(jnp.arange(len(archs), dtype=jnp.uint32)))
        fraction = (scrambled >> 16).astype(np.float32) * np.float32(2.0**-16)
        found = np.empty((len(archs), count), np.int32)
        for start in range(0, len(archs), 256):
            near = listed[start : start + 256] @ listed.T + fraction
            near[np.arange(len(near)), start + np.arange(len(near))] = -1.0
            chosen = np.argpartition(-near, count - 1, axis=1)[:, :count]
            order = np.argsort(-np.take_along_axis(near, chosen, axis=1), axis=1, kind="stable")
            found[start : start + 256] = np.take_along_axis(chosen, order, axis=1)
        return found

    def neighbors(arch: Array) -> tuple[Array, Array]:
        with jax.ensure_compile_time_eval():
            nearest = nearest_rows()
        row = index(arch)
        return jnp.asarray(archs)[jnp.asarray(nearest)[row]], jnp.broadcast_to(row >= 0, (count,))

    return space._replace(
        size=len(archs),
        config=_config(space, len(archs)),
        sample=sample,
        mutate=_mutate_among(space, len(archs), index, from_index),
        neighbors=neighbors,
        is_valid=lambda arch: index(arch) >= 0,
        index=index,
        from_index=from_index,
        mutate_from=None,
        part_of=space,
    )


def with_mutation(space: Space, mutation: str | None) -> Space:
    """Returns the space with another of its mutations and all else as it is; a part of a space stays that part.

    Args:
      space: The space.
      mutation: As the function that makes the space takes it; None for the one that it has. A space of the user's
        own, even under the name of a known one, keeps its mutation.

    Raises:
      ValueError: The space has no such mutation.

    Example:
      >>> space = with_mutation(jnas.spaces.nasbench201(isomorphism="none"), "each_edge")
      >>> space.config == jnas.spaces.nasbench201("each_edge", "none").config
      True
    """
    if mutation is None:
        return space
    if space.part_of is not None:
        return _in_part(space, with_mutation(space.part_of, mutation))
    try:
        arguments = json.loads(space.config)
    except ValueError:
        return space  # of the user's own making
    if not isinstance(arguments, dict) or arguments.get("kind") != space.name or "mutation" not in arguments:
        return space
    other = from_config(json.dumps({**arguments, "mutation": mutation}))
    if from_config(space.config) is space:
        return other
    # What else the user has changed of a known space stays.
    return space._replace(config=other.config, mutate=other.mutate, mutate_from=other.mutate_from)


def _in_part(part: Space, whole: Space) -> Space:
    """Returns a part of a space with the mutation of another form of that space."""
    assert part.size is not None
    assert part.index is not None
    assert part.from_index is not None
    mutate = _mutate_among(whole, part.size, part.index, part.from_index)
    return part._replace(config=_config(whole, part.size), mutate=mutate, part_of=whole)


def _config(whole: Space, size: int) -> str:
    try:
        of = json.loads(whole.config)
    except ValueError:
        of = whole.config  # of the user's own making
    return json.dumps({"kind": "subset", "of": of, "size": size})


def _mutate_among(
    whole: Space, size: int, index: Callable[[Array], Array], from_index: Callable[[Array], Array]
) -> Callable[[Key, Array], Array]:
    """Returns the mutation of a space that ends at the nearest of the `size` architectures listed.

    Args:
      whole: The space.
      size: How many are listed.
      index: From an architecture `[E]` to its row, -1 where it is not listed.
      from_index: From a row to the architecture `[E]`.
    """

    def nearness(arch: Array, word: Array, parent: Array) -> Array:
        """A number `[N]` that is higher for nearer architectures, and -1 for the parent's row."""
        with jax.ensure_compile_time_eval():
            listed = jax.vmap(lambda row: one_hot(whole.num_choices, from_index(row)))(jnp.arange(size))
        agreeing = listed @ one_hot(whole.num_choices, arch)
        scrambled = mix(jnp.arange(size, dtype=jnp.uint32) ^ word)
        # Which of equally near ones: a fraction of 2**-16, which float32 still tells apart beside up to 127 decisions.
        near = agreeing + (scrambled >> 16).astype(jnp.float32) * 2.0**-16
        return jnp.where(jnp.arange(size) == parent, -1.0, near)

    def mutate(key: Key, arch: Array) -> Array:
        mutate_key, tie_key = split(key)
        mutant = whole.mutate(mutate_key, arch)
        parent, row = index(arch), index(mutant)
        nearest = jnp.argmax(nearness(mutant, bits(tie_key), parent))
        return from_index(jnp.where((row >= 0) & (row != parent), row, nearest))

    return mutate
