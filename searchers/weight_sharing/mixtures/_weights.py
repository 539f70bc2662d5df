"""Rules by which alpha becomes the weights of a mixture: a softmax, a draw of Dirichlet's distribution, or sigmoids.

A row of alpha is decided for good by numbers that no gradient comes back from: see `decided`.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Array, Decisions, Key
from jnas.io._text import not_one_of

MixingName = Literal["softmax", "dirichlet", "sigmoid"]

FAR = np.float32(1e9)
"""So far alpha is from all that is undecided: a step of Adam, at most of size 1, does not change it in float32."""
_LEAST = 1e-3  # of concentrations: what is below is a choice that weighs nothing, and digamma of 0 is not finite


class Mixing(NamedTuple):
    """How alpha `[D, C]` becomes the weights of a mixture, and what it is read as."""

    weights: Callable[[Any, Array], Array]
    """`weights(key, alpha) -> [D, C]`, 0 for choices that a row lacks; the key is for those that draw."""

    mean: Callable[[Array], Array]
    """`mean(alpha) -> [D, C]`: the weights without chance."""

    logits: Callable[[Array], Array]
    """`logits(alpha) -> [D, C]`, whose softmax is what each choice has of a row's weights; minus infinity where there
    is none."""

    derived: Callable[[Array], Array]
    """`derived(alpha) -> [D, C]`, the logits that become an architecture."""

    penalty: Callable[[Array], Array] | None
    """`penalty(alpha) -> []`, added to the loss that alpha follows."""

    draws: bool = False
    independent: bool = False  # whether weights of a row are without regard to one another


def make_mixing(name: Any, decisions: Decisions, penalty: Any = None, none: int | None = None) -> Mixing:
    """Returns a rule by its name.

    Args:
      name: `'softmax'`, `'dirichlet'` or `'sigmoid'`.
      decisions: What alpha is of, `[D, C]`.
      penalty: How much of the rule's penalty is added to the loss; None for none of it.
      none: The choice that stands for no edge at all, where architectures keep some edges alone.

    Raises:
      ValueError: There is no such rule, or it has no penalty.
    """
    if name not in get_args(MixingName):
        raise ValueError(not_one_of("mixing", name, get_args(MixingName)))
    if name == "softmax":
        if penalty is not None:
            raise ValueError(
                "penalty is given, and a softmax has none; give mixing='dirichlet' or 'sigmoid', or adam.weight_decay"
            )
        return _softmax(decisions)
    return _dirichlet(decisions, penalty) if name == "dirichlet" else _sigmoid(decisions, penalty, none)


def _softmax(decisions: Decisions) -> Mixing:
    def mean(alpha: Array) -> Array:
        return jax.nn.softmax(decisions.restrict(alpha), axis=1)

    return Mixing(lambda key, alpha: mean(alpha), mean, decisions.restrict, decisions.restrict, None)


def _dirichlet(decisions: Decisions, scale: Any) -> Mixing:
    def there(alpha: Array) -> Array:
        return jnp.asarray(decisions.mask) & (alpha > -FAR / 2)

    def logits(alpha: Array) -> Array:
        return jnp.where(there(alpha), jnp.log(concentration(alpha)), -jnp.inf)

    def weights(key: Key, alpha: Array) -> Array:
        return dirichlet_weights(key, concentration(alpha), there(alpha))

    def penalty(alpha: Array) -> Array:
        return jnp.asarray(scale * divergence_from_flat(concentration(alpha), there(alpha)))

    return Mixing(
        weights,
        lambda alpha: jax.nn.softmax(logits(alpha), axis=1),
        logits,
        decisions.restrict,
        None if scale is None else penalty,
        draws=True,
    )


def concentration(alpha: Array) -> Array:
    """Returns the concentrations of Dirichlet's distributions, `elu(alpha) + 1`, and at least 0.001."""
    return jnp.maximum(jax.nn.elu(alpha) + 1, _LEAST)


def dirichlet_weights(key: Key, concentrations: Array, there: Array) -> Array:
    """Returns a draw of a row each, float32 `[D, C]`, through which pathwise gradients go.

    A draw is the share of each of independent gamma variables, and the derivative of one in its concentration is that
    of its quantile: minus the derivative of the distribution function over its density.

    Args:
      key: What is drawn from.
      concentrations: float32 `[D, C]`.
      there: bool `[D, C]`, which choices a row has; others have weight 0.
    """
    logs = jax.random.loggamma(key, concentrations)
    weights: Array = jax.nn.softmax(jnp.where(there, logs, -jnp.inf), axis=1)
    return weights


def divergence_from_flat(concentrations: Array, there: Array) -> Array:
    """Returns the Kullback-Leibler divergence `[]` of Dirichlet's distributions from flat ones, summed over rows."""
    digamma, lgamma = jax.scipy.special.digamma, jax.scipy.special.gammaln
    kept = jnp.where(there, concentrations, 0)
    total, count = jnp.sum(kept, axis=1), jnp.sum(there, axis=1).astype(concentrations.dtype)
    each = (concentrations - 1) * (digamma(concentrations) - digamma(total)[:, None]) - lgamma(concentrations)
    return jnp.sum(jnp.sum(jnp.where(there, each, 0), axis=1) + lgamma(total) - lgamma(count))


def _sigmoid(decisions: Decisions, scale: Any, none: int | None) -> Mixing:
    mixed = decisions.mask & (np.asarray(decisions.names, str) != "none")

    def mean(alpha: Array) -> Array:
        return jnp.where(mixed, jax.nn.sigmoid(alpha), 0)

    def logits(alpha: Array) -> Array:
        return jnp.where(mixed, jax.nn.log_sigmoid(alpha), -jnp.inf)

    def derived(alpha: Array) -> Array:
        if none is None:
            return logits(alpha)
        # Edges are compared by the softmax of these, which is a sigmoid over a number that all edges share.
        rest = mixed.shape[1] - jnp.sum(mean(alpha), axis=1)
        return logits(alpha).at[:, none].set(jnp.log(rest))

    def penalty(alpha: Array) -> Array:
        return jnp.asarray(-scale * distance_from_half(alpha, mixed))

    return Mixing(
        lambda key, alpha: mean(alpha), mean, logits, derived, None if scale is None else penalty, independent=True
    )


def distance_from_half(alpha: Array, mixed: NDArray[np.bool_]) -> Array:
    """Returns the mean squared distance `[]` of the sigmoids of some of alpha from a half."""
    squares: Array = jnp.where(mixed, (jax.nn.sigmoid(alpha) - 0.5) ** 2, 0)
    return jnp.asarray(jnp.sum(squares) / mixed.sum())


def decided(alpha: Array, row: Array | int, choice: Array) -> Array:
    """Returns alpha with a row whose weight is all at one choice, by each rule, and stays there in later steps."""
    own = jnp.where(jnp.arange(alpha.shape[1]) == choice, FAR, -FAR)
    return jnp.where((jnp.arange(alpha.shape[0]) == row)[:, None], own[None], alpha)


def skips_of(decisions: Decisions) -> NDArray[np.bool_]:
    """Returns which choices pass on what an edge gets, bool `[D, C]`.

    Raises:
      ValueError: None does.
    """
    skips: NDArray[np.bool_] = decisions.mask & (np.asarray(decisions.names, str) == "skip_connect")
    if not skips.any():
        raise ValueError(
            "auxiliary_skip is given, and no operation is 'skip_connect', which it goes beside; leave it out, or "
            "search a space that has it"
        )
    return skips
