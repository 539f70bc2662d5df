"""Synaptic flow: what goes through a network whose weights are all positive."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network
from jnas.training.proxies._proxy import Scores, apply_within, draw, layers

_INPUT = 2.0**-80  # the flow grows with every layer, beyond float32 in networks of published size
_SCALE = 2.0**10
_VARIANCE = _SCALE**2  # beside which the epsilon of batch-norm is lost: scaled, it is passed over exactly


def measure_synflow(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns the logarithm of `synflow`, of whose batch the shape of an image alone is used.

    The network is one of degree 1 in its input, which is therefore scaled down, and what it gives is divided out
    before the gradient is taken: all numbers stay within float32.
    """
    parameters = draw(key, arch, network).parameters
    flowing = jax.tree_util.tree_map_with_path(_passing, parameters)
    start = jax.eval_shape(lambda: network.apply(parameters, None, arch, batch.inputs)[1])
    statistics = jax.tree.map(lambda leaf: _identity(leaf.shape), start)
    flow = _flow(network, arch, flowing, statistics, _INPUT * jnp.ones_like(batch.inputs[:1]))
    return {"synflow": flow - jnp.log(_INPUT)}


def measure_synflow_bn(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns the logarithm of `synflow_bn`: batch-norm normalizes an image of ones by its own pixels."""
    parameters = jax.tree.map(jnp.abs, draw(key, arch, network).parameters)
    return {"synflow_bn": _flow(network, arch, parameters, None, jnp.ones_like(batch.inputs[:1]))}


def _flow(network: Network, arch: Array, parameters: Any, statistics: Any, image: Array) -> Array:
    """Returns the logarithm of the sum of all weights times the gradients of the outputs' sum, taken absolutely."""

    def score(apply: Callable[..., Any], parameters: Any) -> Array:
        def outputs(parameters: Any) -> Array:
            return jnp.sum(apply(parameters, statistics, arch, image)[0])

        total, back = jax.vjp(outputs, parameters)
        (gradient,) = back(1 / total)
        weights, gradients = layers(network, parameters), layers(network, gradient)
        shares = sum(jnp.sum(jnp.abs(w * g)) for w, g in zip(weights, gradients, strict=True))
        return jnp.log(shares) + jnp.log(jnp.abs(total))

    flow: Array = apply_within(network, arch, score)(parameters)
    return flow


def _passing(path: Any, leaf: Array) -> Array:
    """Returns the absolute values of weights, and what makes batch-norm pass images on."""
    name = getattr(path[-1], "name", "")
    if name == "scale":
        return jnp.full_like(leaf, _SCALE)
    return jnp.zeros_like(leaf) if name in ("shift", "bias") else jnp.abs(leaf)


def _identity(shape: tuple[int, ...]) -> Array:
    """Returns means of 0 and variances that a scale undoes, `[..., 2, C]`."""
    return jnp.broadcast_to(jnp.asarray([0.0, _VARIANCE])[:, None], shape)
