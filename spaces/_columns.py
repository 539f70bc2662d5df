"""Spaces that know numbers from elsewhere, such as scores without training, and features put together."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Graph, Space
from jnas.io._text import did_you_mean


def with_columns(
    space: Space, names: Sequence[str], column: Callable[[Array, str], Array], values: Sequence[np.ndarray]
) -> Space:
    """Returns a space that knows numbers of its architectures, which searches can begin by and predictors can read.

    Each is a feature of its own: standardised by all that are known, and 0 where there is none; where some are missing,
    a second number says 1 where it is known. `A+B` are the features `A` and `B` one after another, so that
    `features(arch, "one_hot+synflow")` are decisions and a score.

    Args:
      space: The space. What it knew stays, but for columns of the same names.
      names: What they are called; without a `+`.
      column: `column(arch, name) -> float32 []`, pure, NaN where there is none.
      values: For each name some of its numbers, by whose mean and standard deviation features are standardised, and
        which say by a NaN that some are missing.

    Raises:
      ValueError: A name is one of the space's features, or has a `+`.

    Example:
      >>> sums = lambda arch, name: jnp.sum(arch).astype(jnp.float32)
      >>> space = with_columns(jnas.spaces.categorical((2, 3)), ["sum"], sums, [np.arange(4.0)])
      >>> [round(x, 2) for x in space.features(jnp.array([1, 2]), "ordinal+sum").tolist()]
      [1.0, 2.0, 1.34]
    """
    before = tuple(name for name in space.feature_names if name not in space.column_names)
    for name in names:
        if name in before or "+" in name:
            raise ValueError(
                f"a column is called {name!r}, which is {'two names' if '+' in name else 'a feature of the space'}; "
                "give it another name"
            )
    scales = {name: _scale(each) for name, each in zip(names, values, strict=True)}
    had = space.column_names

    def features(arch: Array, name: str) -> Array | Graph:
        if name not in scales:
            found: Array | Graph = space.features(arch, name)
            return found
        (mean, deviation, missing), value = scales[name], column(arch, name)
        known = jnp.isfinite(value)
        scaled = jnp.where(known, (value - mean) / deviation, 0)
        return jnp.stack([scaled, known] if missing else [scaled]).astype(jnp.float32)

    def found(arch: Array, name: str) -> Array:
        return column(arch, name) if name in scales else space.column(arch, name)  # type: ignore[misc]

    names_now = (*(name for name in had if name not in scales), *names)
    return space._replace(
        feature_names=(*before, *names_now),
        features=lambda arch, name: joined_features(features, arch, name),
        column_names=names_now,
        column=found,
    )


def has_features(space: Space, name: str) -> bool:
    """Returns whether a space has features of a name, which may be several put together.

    Example:
      >>> has_features(jnas.spaces.nasbench201(), "path+one_hot"), has_features(jnas.spaces.nasbench201(), "path+age")
      (True, False)
    """
    return all(part in space.feature_names for part in name.split("+"))


def space_features(space: Space, arch: Array, name: str) -> Array | Graph:
    """Returns the features of a name, `A+B` being those of `A` and `B` one after another.

    Raises:
      ValueError: There are none of that name, or a graph is among several.
    """
    return joined_features(space.features, arch, name)


def joined_features(features: Callable[[Array, str], Array | Graph], arch: Array, name: str) -> Array | Graph:
    """Returns what a function of an architecture and a name gives for `A+B`: the numbers of A, then those of B.

    Raises:
      ValueError: One of several is a graph, behind which no number can stand.
    """
    if "+" not in name:
        return features(arch, name)
    parts = [features(arch, part) for part in name.split("+")]
    if any(isinstance(part, Graph) for part in parts):
        raise ValueError(f"the features {name!r} hold a graph, behind which nothing can stand; give it alone")
    return jnp.concatenate([jnp.ravel(part).astype(jnp.float32) for part in jax.tree.leaves(parts)])


def unknown_features(space: Space, name: str) -> str:
    """Returns what stands behind the name of features that a space lacks: a near one, or `;`."""
    missing = next((part for part in name.split("+") if part not in space.feature_names), name)
    return did_you_mean(missing, space.feature_names) or ";"


def _scale(values: np.ndarray) -> tuple[np.float32, np.float32, bool]:
    known = np.isfinite(values)
    there = np.asarray(values)[known].astype(np.float64)
    mean, deviation = (there.mean(), there.std()) if len(there) else (0.0, 0.0)
    return np.float32(mean), np.float32(deviation or 1.0), not bool(known.all())
