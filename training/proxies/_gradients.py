"""Scores from the gradient of the loss in the weights, at the start of training."""

from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network, Point
from jnas.training.proxies._proxy import Scores, apply_within, draw, layers, masked, mean_loss, pass_with


def measure_gradients(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `grad_norm`, `l2_norm`, `plain` and `snip`, of one gradient; arguments are those of `Proxy.score`."""
    parameters = draw(key, arch, network).parameters
    weights, gradients = layers(network, parameters), layers(network, _gradient(network, arch, parameters, batch))
    products = [w * g for w, g in zip(weights, gradients, strict=True)]
    return {
        "grad_norm": _sum_of_norms(gradients),
        "l2_norm": _sum_of_norms(weights),
        "plain": sum(map(jnp.sum, products), jnp.float32(0)),
        "snip": sum((jnp.sum(jnp.abs(product)) for product in products), jnp.float32(0)),
    }


def measure_grasp(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `grasp`: less the sum of each weight times what the Hessian makes of the gradient there."""
    parameters = draw(key, arch, network).parameters

    def loss(parameters: Any) -> Array:
        logits, _ = pass_with(network, parameters, arch, batch.inputs, _unwatched, twice=True)
        return jnp.mean(network.task.loss(logits, batch.targets))

    own = layers(network, masked(network, arch, jax.grad(loss)(parameters)))

    def along(parameters: Any) -> Array:
        return _inner(own, layers(network, jax.grad(loss)(parameters)))

    curved = layers(network, masked(network, arch, jax.grad(along)(parameters)))
    return {"grasp": -_inner(layers(network, parameters), curved)}


def _unwatched(point: Point, value: Array, given: Any) -> tuple[Array, Any]:
    return value, None


def measure_zico(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `zico` and `zico_plain`, of the gradients of the two halves of a batch."""
    parameters = draw(key, arch, network).parameters
    half = len(batch.targets) // 2
    parts = [jax.tree.map(lambda x, at=at: x[at * half : (at + 1) * half], batch) for at in (0, 1)]
    first, second = (layers(network, _gradient(network, arch, parameters, part)) for part in parts)
    summed = tuple(a + b for a, b in zip(first, second, strict=True))
    return {"zico": _steadiness(first, summed), "zico_plain": _steadiness(first, second)}


def _steadiness(first: tuple[Array, ...], second: tuple[Array, ...]) -> Array:
    """Returns the sum over layers of the logarithm of the sum of each weight's mean size over its deviation."""
    total: Array = jnp.float32(0)
    for one, other in zip(first, second, strict=True):
        deviation = jnp.abs(one - other) / 2
        differs = deviation > 0
        ratios = jnp.where(differs, (jnp.abs(one) + jnp.abs(other)) / 2 / jnp.where(differs, deviation, 1), 0)
        of_layer = jnp.sum(ratios, (1, 2))
        total += jnp.sum(jnp.where(of_layer > 0, jnp.log(jnp.where(of_layer > 0, of_layer, 1)), 0))
    return total


def _gradient(network: Network, arch: Array, parameters: Any, batch: Examples) -> Any:
    """Returns the gradient of the mean loss in the parameters."""

    def gradient(apply: Any, parameters: Any) -> Any:
        return jax.grad(lambda given: mean_loss(network, apply, given, arch, batch))(parameters)

    return masked(network, arch, apply_within(network, arch, gradient)(parameters))


def _sum_of_norms(arrays: tuple[Array, ...]) -> Array:
    """Returns the sum of the norms of all layers."""
    return sum((jnp.sum(jnp.sqrt(jnp.sum(jnp.square(each), (1, 2)))) for each in arrays), jnp.float32(0))


def _inner(left: tuple[Array, ...], right: tuple[Array, ...]) -> Array:
    return sum((jnp.sum(a * b) for a, b in zip(left, right, strict=True)), jnp.float32(0))
