"""The words that predictors are written in: Predictor and Prediction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Key

Features = Any
"""What `Space.features` gives for `N` architectures: float32 `[N, F]`, or a `Graph` of arrays `[N, ...]`."""

Model = Any
"""What a predictor has learned: a pytree of arrays (of anything, where the predictor cannot be compiled)."""


class Prediction(NamedTuple):
    """What a predictor says of `B` architectures, in the units of the scores that it was fitted to."""

    mean: Array  # [B] float32
    std: Array  # [B] float32, its uncertainty of the mean; 0 where it knows none


class Predictor(NamedTuple):
    """A model of scores as pure functions of fixed-size, masked data; higher scores are better.

    All functions work under `jit`, and under `vmap` over seeds. Scores may have any scale: a predictor standardises
    them itself, or says in which units it wants them. Only rows whose mask is True count; what the others hold, NaN
    included, does not matter.

    Attributes:
      fit: `fit(key, features, scores [N], mask [N]) -> model`. With no row at all it predicts anything finite.
      predict: `predict(model, features) -> Prediction` for `B` architectures, each independently of the others.
      sample: `sample(key, model, features) -> float32 [B]`, the values at these architectures of one function drawn
        from what the predictor believes: those of one member of an ensemble, or a joint draw from a posterior.
      name: For tables and legends.
      members: `members(model, features) -> float32 [M, B]`, what each member of an ensemble predicts; None where there
        are no members.
      compiled: Whether the functions can be traced by JAX. Those of a predictor that leans on another library take
        and give NumPy arrays, and searchers that use it are driven from Python.
    """

    fit: Callable[[Key, Features, Array, Array], Model]
    predict: Callable[[Model, Features], Prediction]
    sample: Callable[[Key, Model, Features], Array]
    name: str
    members: Callable[[Model, Features], Array] | None = None
    compiled: bool = True


def check_vectors(name: str, features: Features) -> Array:
    """Returns features as float32 `[N, F]`.

    Args:
      name: The predictor's, for the message.
      features: What a predictor of vectors was given.

    Raises:
      TypeError: They are not one array of two axes.
    """
    is_array = jax.tree.leaves(features) and jax.tree.leaves(features)[0] is features
    if not is_array or jnp.ndim(features) != 2:
        found = jnp.shape(features) if is_array else type(features).__name__
        raise TypeError(
            f"{name} was given features {found}, expected one array [N, F]; choose an encoding of vectors, for example "
            "'one_hot' or 'path'"
        )
    return jnp.asarray(features, jnp.float32)


def check_fit(features: Features, scores: Array, mask: Array) -> None:
    """Raises ValueError unless what a predictor is to be fitted to has one length.

    Args:
      features: `[N, ...]`.
      scores: `[N]`.
      mask: `[N]`.
    """
    lengths = [leaf.shape[:1] for leaf in jax.tree.leaves(features)]
    if scores.ndim != 1 or mask.shape != scores.shape or any(length != scores.shape for length in lengths):
        raise ValueError(
            f"a predictor was given features of lengths {sorted(set(lengths))}, scores {scores.shape} and a mask "
            f"{mask.shape}, expected [N, ...], [N] and [N] with one N"
        )
