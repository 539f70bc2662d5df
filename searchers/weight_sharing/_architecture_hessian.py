"""The curvature of the validation loss in the architecture parameters, whose growth foretells DARTS's collapse."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Decisions, Key, Shared, Supernet, decisions_of
from jnas.searchers._checks import check_sizes
from jnas.searchers.weight_sharing._architecture_parameters import by_weights, mixture_loss
from jnas.searchers.weight_sharing._shared_weights import loss_of
from jnas.searchers.weight_sharing._texts import SearchData
from jnas.training.data._batches import next_batches


def architecture_hessian(
    key: Key,
    supernet: Supernet,
    shared: Shared,
    alpha: Array,
    dataset: SearchData,
    split: str,
    *,
    batch_size: int = 512,
    num_batches: int = 1,
    weights: Callable[[Array], Array] | None = None,
) -> Array:
    """Returns the Hessian of the mixture's mean loss in alpha, float32 `[E K, E K]`, a mean over batches.

    Exact: for each of its columns the gradient is differentiated once more, forward over reverse. The weights stay as
    they are; batch-norm uses the statistics of each batch. Works under `jit` and `vmap`. Where decisions lack choices,
    rows and columns are those of the choices that there are.

    Args:
      key: Of which images are looked at.
      supernet: The mixture.
      shared: Its weights.
      alpha: float32 `[E, K]`, the architecture parameters (`state.alpha` of DARTS, GDAS and SETN).
      dataset: Where the images are; they are not augmented.
      split: Which of them, `'validation'` in the literature.
      batch_size: Images in a batch.
      num_batches: How many batches.
      weights: The weights `[E, K]` of the mixture as a function of alpha; by default its softmax.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive.

    References:
      "Understanding and Robustifying Differentiable Architecture Search", Zela et al., 2020, Section 4.
    """
    check_sizes(batch_size=batch_size, num_batches=num_batches)
    batches = next_batches(key, dataset.rows(split), batch_size, num_batches)

    def of_batch(numbers: Array) -> Array:
        examples = dataset.examples(numbers)

        def loss(alpha: Array) -> Array:
            if weights is None:
                return mixture_loss(supernet, shared.parameters, alpha, examples)[0]
            return loss_of(supernet.task, by_weights(supernet, weights(alpha)), shared.parameters, examples)[0]

        return hessian_on(decisions_of(supernet), loss, alpha)

    return jnp.mean(jax.lax.map(of_batch, batches), axis=0)


def hessian_on(decisions: Decisions, loss: Callable[[Array], Array], alpha: Array) -> Array:
    """Returns the Hessian `[n, n]` of a loss in alpha `[E, K]`, of the `n` choices that there are."""
    # Choices that a decision lacks have no curvature, and would bring eigenvalues of 0 among the true ones.
    there = np.nonzero(decisions.mask)
    if not decisions.ragged:
        return hessian(loss, alpha)
    return hessian(lambda place: loss(alpha.at[there].set(place)), alpha[there])


def hessian_eigenvalue(
    key: Key, supernet: Supernet, shared: Shared, alpha: Array, dataset: SearchData, split: str, **sizes: Any
) -> Array:
    """Returns the largest eigenvalue float32 `[]` of `architecture_hessian`, whose arguments it takes.

    NaN where the Hessian has one.
    """
    found = architecture_hessian(key, supernet, shared, alpha, dataset, split, **sizes)
    largest: Array = jnp.linalg.eigvalsh(found)[-1]
    return largest


def hessian(function: Callable[[Array], Array], place: Array) -> Array:
    """Returns the Hessian `[n, n]` of a function of an array of `n` numbers, column by column in one loop."""
    gradient = jax.grad(function)

    def column(direction: Array) -> Array:
        product: Array = jax.jvp(gradient, (place,), (direction.reshape(place.shape),))[1]
        return product.reshape(-1)

    found: Array = jax.lax.map(column, jnp.eye(place.size, dtype=place.dtype))
    return 0.5 * (found + found.T)
