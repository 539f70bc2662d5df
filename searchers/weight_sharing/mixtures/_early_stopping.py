"""RobustDARTS: a search is stopped where the curvature of the validation loss in alpha grows, and goes back before it.

The rule is a function of the eigenvalues that were measured, so that it says of a search that has ended, too, where it
would have stopped.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from jnas.core._vocabulary import Array
from jnas.io._fields import describe_fields
from jnas.searchers._checks import check_positive_int


@describe_fields
class EarlyStopping(NamedTuple):
    """When a search ends for the growth of the eigenvalue, as published; `factor` may be traced.

    Attributes:
      every: Epochs between two measurements; 0 for never, published with 2.
      factor: By which a local mean may have grown.
      window: Measurements that a local mean is of.
      delta: Measurements between the two that are compared.
      start: Epochs before which no search goes back.
    """

    every: int = 0
    factor: Any = 1.3
    window: int = 5
    delta: int = 4
    start: int = 10


class Watched(NamedTuple):
    """What has been measured of a search; NaN for measurements to come."""

    eigenvalues: Array  # [M] float32
    alphas: Array  # [M, D, C] float32, alpha at each
    stopped: Array  # [] int32, the measurement to which the search went back; -1 before


def check_early_stopping(settings: Any, epochs: int) -> EarlyStopping:
    """Returns the settings, or raises a `ValueError` or `TypeError` that names what makes no sense."""
    if not isinstance(settings, EarlyStopping):
        raise TypeError(f"stopping is {settings!r}, expected a jnas.searchers.EarlyStopping")
    check_positive_int("the stopping's every", settings.every, least=0)
    for field in ("window", "delta", "start"):
        check_positive_int(f"the stopping's {field}", getattr(settings, field), least=int(field != "start"))
    if settings.every > epochs:
        raise ValueError(
            f"the stopping's every is {settings.every}, expected no more than the {epochs} epochs there are"
        )
    return settings


def goes_back_to(eigenvalues: ArrayLike, epochs: ArrayLike, settings: EarlyStopping) -> Array:
    """Returns to which measurement a search goes back, int32 `[]`; -1 where it is not stopped.

    The mean over a window of measurements belongs to its middle. A search is stopped at the first measurement whose
    mean is more than `factor` times that of `delta` measurements before, and goes back to the middle of that earlier
    window, which must not lie before epoch `start`. The first windows are of the measurements that there are, from half
    a window on.

    Args:
      eigenvalues: `[M]`; NaN where not measured (yet), which stops nothing.
      epochs: int `[M]`, done before each, in equal steps.
      settings: The rule's; `every` is not looked at.

    References:
      "Understanding and Robustifying Differentiable Architecture Search", Zela et al., 2020, Section 4 and its
        released code (`EVLocalAvg`).
    """
    values, count = jnp.asarray(eigenvalues, jnp.float32), len(jnp.asarray(eigenvalues))
    back, half = settings.window // 2 + settings.delta, -(-settings.window // 2)
    numbers = jnp.arange(count)
    inside = (numbers[None] <= numbers[:, None]) & (numbers[None] > numbers[:, None] - settings.window)
    means = jnp.sum(jnp.where(inside, values[None], 0), axis=1) / jnp.minimum(numbers + 1, settings.window)
    before = means[jnp.maximum(numbers - settings.delta, 0)]
    known = (numbers - settings.delta >= half - 1) & (numbers >= back)
    late = jnp.asarray(epochs)[jnp.maximum(numbers - back, 0)] >= settings.start
    stops = known & late & (means / before > settings.factor)
    return jnp.where(jnp.any(stops), jnp.argmax(stops) - back, -1).astype(jnp.int32)


def begin_watch(alpha: Array, settings: EarlyStopping, epochs: int) -> Watched:
    """Returns what is known before the first measurement."""
    count = epochs // settings.every
    nothing = jnp.full((count,), jnp.nan, jnp.float32)
    return Watched(nothing, jnp.zeros((count, *alpha.shape), alpha.dtype), jnp.int32(-1))


def watch_eigenvalue(
    watched: Watched, alpha: Array, eigenvalue: Array, epoch: Array, settings: EarlyStopping
) -> Watched:
    """Returns what is known after one more measurement, made when so many epochs had been done."""
    number = epoch // settings.every - 1
    values = watched.eigenvalues.at[number].set(eigenvalue)
    alphas = watched.alphas.at[number].set(alpha)
    epochs = settings.every * (1 + jnp.arange(len(values)))
    return Watched(values, alphas, goes_back_to(values, epochs, settings))


def kept_where(stopped: Array, old: Any, new: Any) -> Any:
    """Returns the leaves of `old` where a search has stopped, else those of `new`."""
    return jax.tree.map(lambda before, after: jnp.where(stopped, before, after), old, new)
