"""What predictors check of what they are given. The words are `jnas.core._vocabulary`'s."""

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Features


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
