"""Scores from the gradients of a network's outputs in its images."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network
from jnas.training.proxies._proxy import Scores, apply_within, draw

_SMALL = 1e-5  # added to eigenvalues, and to correlations
_FEW_CLASSES = 100  # so many classes are added up; more are compared in pairs


def measure_jacobians(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `jacov` and `epe_nas`, of how the images' gradients correlate; arguments are those of `Proxy.score`."""
    parameters = draw(key, arch, network).parameters

    def correlate(apply: Callable[..., Any], parameters: Any) -> tuple[Array, Array]:
        def outputs(images: Array) -> tuple[Array, Array]:
            logits = apply(parameters, None, arch, images)[0]
            return jnp.sum(logits), logits

        gradient, logits = jax.grad(outputs, has_aux=True)(batch.inputs)
        return _correlations(gradient.reshape(len(gradient), -1)), logits

    correlations, logits = apply_within(network, arch, correlate)(parameters)
    return {
        "jacov": _spread(correlations),
        "epe_nas": _by_classes(correlations, batch.targets, logits.shape[-1]),
    }


def _correlations(rows: Array) -> Array:
    """Returns Pearson's correlations of rows `[B, D]`, `[B, B]`; NaN where a row is constant."""
    centred = rows - jnp.mean(rows, 1, keepdims=True)
    largest = jnp.max(jnp.abs(centred), 1, keepdims=True)  # else squares of small gradients are 0
    centred = centred / largest
    unit = centred / jnp.sqrt(jnp.sum(jnp.square(centred), 1, keepdims=True))
    return jnp.clip(unit @ unit.T, -1, 1)


def _spread(correlations: Array) -> Array:
    """Returns less the sum of `log(v + k) + 1 / (v + k)` over the eigenvalues: high where images are told apart."""
    values = jnp.maximum(jnp.linalg.eigvalsh(correlations), 0) + _SMALL  # none is below 0 but by rounding
    return -jnp.sum(jnp.log(values) + 1 / values)


def _by_classes(correlations: Array, labels: Array, num_classes: int) -> Array:
    """Returns how alike the images of one class are, summed over classes, or compared where there are many.

    Many classes are compared in both orders, those of two images at least, as released.
    """
    logs = jnp.log(jnp.abs(correlations) + _SMALL)
    belongs = jax.nn.one_hot(labels, num_classes)
    sums = jnp.sum(belongs * (logs @ belongs), 0)
    if num_classes <= _FEW_CLASSES:
        return jnp.sum(jnp.abs(sums))
    counts = jnp.sum(belongs, 0)
    seen = counts > 1  # the released code fails on a class of one image, and goes on without it
    means = jnp.where(seen, sums / jnp.where(seen, counts, 1), 0)
    apart = jnp.abs(means[:, None] - means[None, :]) * seen[:, None] * seen[None, :]
    return jnp.sum(apart) / jnp.sum(seen)
