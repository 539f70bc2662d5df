"""RobustDARTS's adaptive regularization: where early stopping would end a search, it goes on from there, decayed more.

The rule is that of early stopping (`goes_back_to`), over the measurements that are still a search's own: those after
the one that it went back to are forgotten.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.io._fields import describe_fields
from jnas.searchers.weight_sharing.mixtures._early_stopping import EarlyStopping, goes_back_to, kept_where


@describe_fields
class Adaptation(NamedTuple):
    """How much more a search is regularized where it would have been stopped; `most` may be traced.

    Attributes:
      factor: By which the decay of the shared weights is multiplied; 0 for never, published with 3.
      most: The largest decay, with which a search goes on to its end.
    """

    factor: float = 0.0
    most: Any = 0.0243


class Adapted(NamedTuple):
    """What a search knows of its measurements, and what it would go back to; of slots, R are kept."""

    eigenvalues: Array  # [M] float32, NaN for measurements to come, and for forgotten ones
    epochs: Array  # [M] int32, done before each
    known: Array  # [] int32, measurements that are not forgotten
    oldest: Array  # [] int32, the measurement before which nothing is kept
    decay: Array  # [] float32, that of the shared weights now
    kept: Any  # [R, ...], weights, alpha and its optimizer at the last measurements


def check_adaptation(settings: Any, stopping: EarlyStopping, decay: Any) -> Adaptation:
    """Returns the settings, or raises a `ValueError` or `TypeError` that names what makes no sense.

    Args:
      settings: How a search adapts.
      stopping: When it would be stopped.
      decay: That of the shared weights at the beginning; may be traced, as `most` may, and is not looked at then.
    """
    if not isinstance(settings, Adaptation):
        raise TypeError(f"adapting is {settings!r}, expected a jnas.searchers.Adaptation")
    if isinstance(settings.factor, bool) or not isinstance(settings.factor, (int, float)):
        raise TypeError(f"the adaptation's factor is {settings.factor!r}, expected a number")
    if settings.factor and not settings.factor > 1:
        raise ValueError(f"the adaptation's factor is {settings.factor}, expected more than 1, or 0 for none")
    if settings.factor and not stopping.every:
        raise ValueError(
            "adapting is given, and the stopping's every is 0: nothing is measured; give "
            "stopping=jnas.searchers.EarlyStopping(2) as well"
        )
    if settings.factor:
        _check_decays(settings, decay)
    return settings


def _check_decays(settings: Adaptation, decay: Any) -> None:
    """Raises an error where a search that goes back would not be decayed more, or would never go back."""
    for name, value in (("the adaptation's most", settings.most), ("the sgd's weight_decay", decay)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number, np.ndarray, jax.Array)):
            raise TypeError(f"{name} is {value!r}, expected a number")
        if isinstance(value, jax.core.Tracer):
            return
    if not decay > 0:
        raise ValueError(
            f"adapting is given, and the sgd's weight_decay is {decay}: no factor makes it more; give a positive one"
        )
    if not settings.most > decay:
        raise ValueError(
            f"the adaptation's most is {settings.most}, expected more than the sgd's weight_decay of {decay}, with "
            "which a search begins"
        )


def begin_adaptation(held: Any, decay: Any, stopping: EarlyStopping, epochs: int) -> Adapted:
    """Returns what is known before the first measurement of a search, of which `held` is what it goes back to."""
    count, slots = epochs // stopping.every, _slots(stopping)
    kept = jax.tree.map(lambda leaf: jnp.zeros((slots, *leaf.shape), leaf.dtype), held)
    nothing = jnp.full((count,), jnp.nan, jnp.float32)
    zero = jnp.int32(0)
    return Adapted(nothing, jnp.zeros((count,), jnp.int32), zero, zero, jnp.asarray(decay, jnp.float32), kept)


def adapt(
    seen: Adapted, held: Any, eigenvalue: Array, epoch: Array, stopping: EarlyStopping, settings: Adaptation
) -> tuple[Adapted, Any]:
    """Returns what is known after one more measurement, and what a search goes on with.

    What it would go back to is never older than what it went back to before: checkpoints before that are not kept.

    Args:
      seen: Before it.
      held: The search now: its weights, alpha and optimizer.
      eigenvalue: float32 `[]`.
      epoch: int32 `[]`, epochs done.
      stopping: When a search would be stopped.
      settings: How it goes on.
    """
    number, slots = seen.known, _slots(stopping)
    values, epochs = seen.eigenvalues.at[number].set(eigenvalue), seen.epochs.at[number].set(epoch)
    kept = jax.tree.map(lambda every, own: every.at[number % slots].set(own), seen.kept, held)
    back = goes_back_to(values, epochs, stopping)
    goes = (back >= 0) & (seen.decay < settings.most)
    place = jnp.maximum(back, seen.oldest)
    held = kept_where(goes, jax.tree.map(lambda every: every[place % slots], kept), held)
    forgotten = goes & (jnp.arange(len(values)) > place)
    after = Adapted(
        jnp.where(forgotten, jnp.nan, values),
        jnp.where(forgotten, 0, epochs),
        jnp.where(goes, place, number) + 1,
        jnp.where(goes, place, seen.oldest),
        jnp.where(goes, jnp.minimum(seen.decay * settings.factor, settings.most), seen.decay),
        kept,
    )
    return after, held


def _slots(stopping: EarlyStopping) -> int:
    """Returns how many measurements a search may have to go back over, and the last one."""
    return stopping.window // 2 + stopping.delta + 1
