"""Acquisition functions: which candidates to evaluate, given what a predictor says of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jax.scipy.stats import norm

from jnas.core._vocabulary import Array, Features, Key, Model, Prediction, Predictor
from jnas.io._text import not_one_of


class Outlook(NamedTuple):
    """What a predictor says of `C` candidates. Only what is called is computed."""

    prediction: Prediction  # of float32 [C]
    members: Callable[[], Array] | None  # () -> float32 [M, C], what each member of an ensemble predicts
    sample: Callable[[Key], Array]  # key -> float32 [C], one function drawn from what the predictor believes


Acquisition = Callable[[Key, Outlook, Array], Array]
"""`acquisition(key, outlook, best) -> float32 [C]`, to be maximised; `best []` is the best score so far."""

EI_SCALE = 1 / 5
"""What `ei` multiplies standard deviations by, as published."""


def its(key: Key, outlook: Outlook, best: Array) -> Array:
    """Independent Thompson sampling: a draw from `N(mean, std)` for each candidate by itself."""
    del best
    mean, std = outlook.prediction
    return mean + std * jax.random.normal(key, mean.shape, mean.dtype)


def ts(key: Key, outlook: Outlook, best: Array) -> Array:
    """Thompson sampling: the values of one function drawn from what the predictor believes."""
    del best
    return outlook.sample(key)


def ei(key: Key, outlook: Outlook, best: Array, scale: float = EI_SCALE) -> Array:
    """Logarithm of the expected improvement on the best score, with the standard deviation times `scale`.

    It ranks as the improvement itself, which in float32 is 0 for all that is some deviations below the best.
    """
    del key
    mean, std = outlook.prediction
    std = scale * std
    excess = mean - best
    z = excess / jnp.where(std > 0, std, 1)
    return jnp.where(std > 0, jnp.log(std) + _log_improvement(z), jnp.log(jnp.maximum(excess, 0)))


def _log_improvement(z: Array) -> Array:
    """Returns the logarithm of `z cdf(z) + pdf(z)` of the standard normal distribution."""
    far = z < -10
    near = jnp.where(far, -1.0, z)
    ratio = jnp.exp(log_ndtr(near) - norm.logpdf(near))
    close = jnp.where(z > 0, jnp.log(near + 1 / ratio) + log_ndtr(near), norm.logpdf(near) + jnp.log1p(near * ratio))
    # Two terms of the asymptotic series, right to a part in ten thousand from here on.
    away = jnp.where(far, z, -10.0)
    return jnp.where(far, norm.logpdf(away) - 2 * jnp.log(-away) + jnp.log1p(-3 / away**2), close)


def pi(key: Key, outlook: Outlook, best: Array) -> Array:
    """Standard deviations from the best score to the mean, which rank as the probability of improvement.

    (The probability itself is 0 or 1 in float32 from some deviations on.) Without uncertainty it is infinite.
    """
    del key
    mean, std = outlook.prediction
    excess = mean - best
    return jnp.where(std > 0, excess / jnp.where(std > 0, std, 1), jnp.where(excess > 0, jnp.inf, -jnp.inf))


def ucb(key: Key, outlook: Outlook, best: Array) -> Array:
    """Upper confidence bound: mean plus half a standard deviation."""
    del key, best
    return outlook.prediction.mean + 0.5 * outlook.prediction.std


def percentile(key: Key, outlook: Outlook, best: Array) -> Array:
    """What the most optimistic member of an ensemble predicts."""
    del key, best
    assert outlook.members is not None  # `find_acquisition` has looked
    return jnp.max(outlook.members(), axis=0)


def mean(key: Key, outlook: Outlook, best: Array) -> Array:
    """The predicted mean."""
    del key, best
    return outlook.prediction.mean


def confidence(key: Key, outlook: Outlook, best: Array) -> Array:
    """Mean less two standard deviations: what is good with confidence (published `mu + 2 sigma` of a loss)."""
    del key, best
    return outlook.prediction.mean - 2 * outlook.prediction.std


ACQUISITIONS: Mapping[str, Acquisition] = {
    "its": its,
    "ts": ts,
    "ei": ei,
    "pi": pi,
    "ucb": ucb,
    "percentile": percentile,
    "mean": mean,
    "confidence": confidence,
}
"""The acquisition functions by name.

References:
  "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021, Section
    4; the factors are those of the naszilla library.
"""


def find_acquisition(acquisition: str | Acquisition, predictor: Predictor) -> Acquisition:
    """Returns an acquisition function by its name, or as it is, after a check that the predictor suffices for it.

    Raises:
      TypeError: It is neither a name nor a function.
      ValueError: There is none of that name, or it needs members and the predictor has none.
    """
    if callable(acquisition):
        return acquisition
    if not isinstance(acquisition, str):
        raise TypeError(
            f"acquisition is {acquisition!r}, expected one of {', '.join(map(repr, ACQUISITIONS))}, or a function "
            "(key, outlook, best) -> values [C]"
        )
    if acquisition == "random":
        raise ValueError("acquisition is 'random', which asks no predictor; pass predictor=None with it")
    if acquisition not in ACQUISITIONS:
        raise ValueError(not_one_of("acquisition", acquisition, tuple(ACQUISITIONS)))
    if acquisition == "percentile" and predictor.members is None:
        raise ValueError(
            f"acquisition is 'percentile', the best that any member of an ensemble predicts, but {predictor.name} has "
            "no members; pass an ensemble, or another acquisition such as 'ucb'"
        )
    return ACQUISITIONS[acquisition]


def outlook(predictor: Predictor, model: Model, features: Features, prediction: Prediction) -> Outlook:
    """Returns what a fitted predictor says of candidates."""
    members = predictor.members
    return Outlook(
        prediction=prediction,
        members=None if members is None else lambda: members(model, features),
        sample=lambda key: predictor.sample(key, model, features),
    )
