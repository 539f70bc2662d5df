"""What a recipe may add to a training step: cutout, mixup, an auxiliary head's loss, paths that are dropped."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Key, Network
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset


def check_regularizers(recipe: Recipe, network: Network) -> None:
    """Raises a `ValueError` where a recipe asks for what a network does not have."""
    for field in ("auxiliary", "drop_path"):
        value = getattr(recipe, field)
        if value and network.regularized is None:
            raise ValueError(
                f"the recipe's {field} is {value:g}, which networks of {network.space.name} do not have; change it to 0"
            )


def with_cutout(dataset: Dataset, side: int) -> Dataset:
    """Returns a data set whose training images lack a square of at least so many pixels."""
    if side <= dataset.augmentation.cutout:
        return dataset
    return dataclasses.replace(dataset, augmentation=dataset.augmentation._replace(cutout=side))


def regularizer_keys(key: Key, recipe: Recipe) -> tuple[Key, Key, Key]:
    """Returns the keys of a step's augmentation, paths and mixup; the step's own for what draws alone from it."""
    if not (recipe.drop_path or recipe.mixup):
        return key, key, key
    augment_key, path_key, mix_key = jax.random.split(key, 3)
    return augment_key, path_key, mix_key


def apply_learning(
    network: Network,
    apply: Callable[..., Any],
    recipe: Recipe,
    parameters: Any,
    arch: Array,
    inputs: Any,
    key: Key,
    epoch: Array,
) -> tuple[Any, tuple[Any, ...], Any]:
    """Returns outputs, those of auxiliary heads, and the statistics used, as a training step has them."""
    if network.regularized is None or not (recipe.auxiliary or recipe.drop_path):
        outputs, used = apply(parameters, None, arch, inputs)
        return outputs, (), used
    rate = recipe.drop_path * epoch.astype(jnp.float32) / recipe.epochs if recipe.drop_path else None
    outputs, others, used = network.regularized(parameters, arch, inputs, key, rate)
    if recipe.auxiliary and not others:
        raise ValueError(
            f"the recipe's auxiliary is {recipe.auxiliary:g}, and the network has no auxiliary head; "
            "make it by jnas.training.make_network with this recipe"
        )
    return outputs, others if recipe.auxiliary else (), used


def mean_of(targets: Any, function: Callable[..., Array], outputs: Any) -> Array:
    """Returns the mean over a batch of `function(outputs, targets)`."""
    return jnp.mean(function(outputs, targets))


def mixed(key: Key, inputs: Any, targets: Any, strength: float) -> tuple[Any, Callable[..., Array]]:
    """Returns inputs that are mixed in pairs, and `mean_of` by the targets of both, in the same share.

    Args:
      key: Of one share for the whole batch, and of the pairs.
      inputs: Arrays `[B, ...]`.
      targets: Arrays `[B, ...]`.
      strength: Both parameters of the Beta distribution that the share is drawn from.

    References:
      "mixup: Beyond Empirical Risk Minimization", Zhang et al., 2018, Section 2.
    """
    share_key, order_key = jax.random.split(key)
    share = jax.random.beta(share_key, strength, strength, dtype=jnp.float32)
    order = jax.random.permutation(order_key, len(jax.tree.leaves(inputs)[0]))
    others = jax.tree.map(lambda leaf: leaf[order], targets)
    inputs = jax.tree.map(lambda leaf: share * leaf + (1 - share) * leaf[order], inputs)

    def over_both(function: Callable[..., Array], outputs: Any) -> Array:
        own, other = (jnp.mean(function(outputs, each)) for each in (targets, others))
        return share * own + (1 - share) * other

    return inputs, over_both
