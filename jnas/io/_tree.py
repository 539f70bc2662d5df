"""Pytrees and named arrays as members of an archive: how they are written, and checked before they are taken."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def plain(leaf: Any) -> np.ndarray:
    """Returns a leaf as a NumPy array, a PRNG key as its data."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def as_members(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """Returns the leaves of a pytree of arrays and PRNG keys as members, by their numbers behind a prefix."""
    return {f"{prefix}{i}": plain(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def find_leaves(members: Mapping[str, np.ndarray], like: Any, prefix: str, rows: int | None = None) -> list[np.ndarray]:
    """Returns the leaves that `as_members` wrote.

    Args:
      members: Of an archive.
      like: A pytree as the one that was written, or its shapes.
      prefix: As it was written.
      rows: The length of the leading axis, where it may be another than in `like`.

    Raises:
      ValueError: One is missing, or has another shape or type.
    """
    found = []
    for i, leaf in enumerate(jax.tree.leaves(like)):
        expected = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else _shaped(leaf)
        shape = expected.shape if rows is None else (rows, *expected.shape[1:])
        array = members.get(f"{prefix}{i}")
        if array is None:
            raise ValueError(f"it has no {prefix}{i}")
        if array.shape != shape or array.dtype != expected.dtype:
            raise ValueError(f"{prefix}{i} is {array.dtype}{list(array.shape)}, expected {expected.dtype}{list(shape)}")
        found.append(array)
    return found


def fill(like: Any, leaves: Sequence[np.ndarray], *, place: bool = False) -> Any:
    """Returns a pytree of the kinds of `like` (PRNG keys, device arrays, NumPy arrays) from its leaves as members.

    Args:
      like: A pytree as the one that was written.
      leaves: From `find_leaves`.
      place: Whether arrays go to where those of `like` are.
    """
    old, structure = jax.tree.flatten(like)
    return jax.tree.unflatten(structure, [_filled(a, b, place) for a, b in zip(leaves, old, strict=True)])


def _filled(array: Any, like: Any, place: bool) -> Any:
    if isinstance(like, np.ndarray):
        return array
    if _is_key(like):
        array = jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like))
    return jax.device_put(array, like.sharding) if place else jnp.asarray(array)


def _shaped(leaf: Any) -> Any:
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def check_members(
    members: Mapping[str, np.ndarray], expected: Mapping[str, str], sizes: Mapping[str, int] | None = None
) -> None:
    """Raises ValueError where arrays are missing or do not fit one another.

    Args:
      members: Of an archive.
      expected: For each name its type and axes, for example `'f S T 4'`: a letter of `numpy.dtype.kind`, then names
        of sizes, which must agree wherever they stand, or numbers.
      sizes: Those that are known.

    Example:
      >>> check_members({"score": np.zeros((2, 3))}, {"score": "f S T"}, {"S": 2})
    """
    known = dict(sizes or {})
    for name, text in expected.items():
        kind, *axes = text.split()
        array = members.get(name)
        if array is None:
            raise ValueError(f"it has no {name}")
        fits = array.dtype.kind == kind and array.ndim == len(axes)
        if not fits or any(
            size != (int(axis) if axis.isdigit() else known.setdefault(axis, size))
            for axis, size in zip(axes, array.shape, strict=True)
        ):
            told = ", ".join(f"{axis} = {known[axis]}" if axis in known else axis for axis in axes)
            raise ValueError(f"{name} is {array.dtype}{list(array.shape)}, expected [{told}]")
