"""SDARTS: the shared weights are trained at weights of the mixture that were moved, by chance or by an adversary."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key
from jnas.core._widths import in_32_bits
from jnas.io._fields import describe_fields
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_positive_int

PerturbationKind = Literal["none", "random", "adversarial"]


@describe_fields
class Perturbation(NamedTuple):
    """How far weights of the mixture are moved before a step of the shared weights; radii may be traced.

    Attributes:
      kind: What moves the weights of the mixture.
      radius: That the last epoch comes to, the largest change of a weight.
      first_radius: Of the first epoch.
      attack_steps: Of the adversary.
    """

    kind: PerturbationKind = "none"
    radius: Any = 0.3
    first_radius: Any = 0.03
    attack_steps: int = 7


def check_perturbation(settings: Any) -> Perturbation:
    """Returns the settings, or raises a `ValueError` or `TypeError` that names what makes no sense."""
    if not isinstance(settings, Perturbation):
        raise TypeError(f"perturbation is {settings!r}, expected a jnas.searchers.Perturbation")
    if settings.kind not in get_args(PerturbationKind):
        raise ValueError(not_one_of("the perturbation's kind", settings.kind, get_args(PerturbationKind)))
    check_positive_int("the perturbation's attack_steps", settings.attack_steps)
    return settings


@in_32_bits
def radius_of(settings: Perturbation, epoch: Array, epochs: int) -> Array:
    """Returns the radius float32 `[]` of an epoch, the first of which is 0."""
    radius: Array = settings.first_radius + (settings.radius - settings.first_radius) * epoch / np.float32(epochs)
    return radius


def on_simplex(weights: Array) -> Array:
    """Returns weights `[D, C]` cut to 0 and 1 and divided by the sum of each row, as published: no projection."""
    cut = jnp.clip(weights, 0, 1)
    return cut / jnp.maximum(jnp.sum(cut, axis=1, keepdims=True), 1e-12)


def moved_weights(
    key: Key, settings: Perturbation, weights: Array, there: Any, radius: Array, loss: Callable[[Array], Array]
) -> Array:
    """Returns weights of a mixture, moved.

    Args:
      key: Of what is drawn.
      settings: By chance, or from there by steps up the sign of the loss's gradient; these are taken back where the
        loss came out smaller than it was.
      weights: float32 `[D, C]`.
      there: bool `[D, C]`, which choices a row has.
      radius: The largest change of a weight, before it is cut and divided.
      loss: Of the training batch, by weights.

    References:
      "Stabilizing Differentiable Architecture Search via Perturbation-based Regularization", Chen and Hsieh, 2020,
        Equations 2 to 4 and Algorithm 1.
    """

    def within(moved: Array) -> Array:
        return on_simplex(jnp.where(there, moved, 0))

    moved = within(weights + jax.random.uniform(key, weights.shape, weights.dtype, -1, 1) * radius)
    if settings.kind == "random":
        return moved
    size = 2 * radius / settings.attack_steps

    def climb(_: Array, moved: Array) -> Array:
        ahead = moved + size * jnp.sign(jax.grad(loss)(moved))
        return within(weights + jnp.clip(ahead - weights, -radius, radius))

    moved = jax.lax.fori_loop(0, settings.attack_steps, climb, moved)
    both = jax.lax.map(loss, jnp.stack([weights, moved]))
    return jnp.where(both[0] > both[1], weights, moved)
