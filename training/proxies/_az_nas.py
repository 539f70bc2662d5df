"""AZ-NAS's scores of the cells of a network, one after another."""

from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network, Point
from jnas.training.proxies._proxy import Scores, draw, drawn_layers, pass_with


def measure_az_nas(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns AZ-NAS's expressivity, progressivity and trainability, of a batch of noise.

    A cell's input is cut off from what came before, and something is added to it that is zero: the gradient in that
    of random signs times what all cells give holds, for each cell, what it makes of the signs behind it.
    """
    start = draw(key, arch, network)
    of_weights, of_images, of_signs = jax.random.split(start.key, 3)
    parameters = drawn_layers(of_weights, arch, network, start.parameters, lambda fan_in: jnp.sqrt(2 / fan_in))
    images = jax.random.normal(of_images, batch.inputs.shape, batch.inputs.dtype)

    def tap(point: Point, value: Array, added: Any) -> tuple[Array, Any]:
        if point.kind != "cell":
            return value, None
        kept = value if point.axis == 3 else value.transpose(3, 1, 2, 0)
        if added is not None:
            value = jax.lax.stop_gradient(value) + (added if point.axis == 3 else added.transpose(3, 1, 2, 0))
        return value, kept

    def cells(added: Any) -> Any:
        return pass_with(network, parameters, arch, images, tap, added)[1]

    shapes, structure = jax.tree.flatten(jax.eval_shape(cells, None))
    keys = jax.random.split(of_signs, len(shapes))
    signs = [jax.random.rademacher(k, leaf.shape, jnp.float32) for k, leaf in zip(keys, shapes, strict=True)]

    def products(added: Any) -> tuple[Array, Any]:
        found = jax.tree.leaves(cells(added))
        return sum(jnp.sum(g * f) for g, f in zip(signs, found, strict=True)), found  # type: ignore[return-value]

    zeros = jax.tree.unflatten(structure, [jnp.zeros(leaf.shape, leaf.dtype) for leaf in shapes])
    arriving, found = jax.grad(products, has_aux=True)(zeros)
    maps, leaving, arriving = _in_a_row(found), _in_a_row(signs), _in_a_row(jax.tree.leaves(arriving))
    entropies = jnp.stack([_entropy(each) for each in maps])
    pairs = [_trainability(g_in, g_out) for g_in, g_out in zip(arriving[:-1], leaving[1:], strict=True)]
    return {
        "az_expressivity": jnp.sum(entropies),
        "az_progressivity": jnp.min(jnp.diff(entropies)),
        "az_trainability": jnp.mean(jnp.stack(pairs)),
    }


def _in_a_row(leaves: list[Array]) -> list[Array]:
    """Returns `[B, H, W, C]` for each cell, of leaves for several cells, `[N, B, H, W, C]`, or for one."""
    return [each for leaf in leaves for each in (leaf if leaf.ndim == 5 else leaf[None])]


def _entropy(maps: Array) -> Array:
    """Returns the entropy of how the variance of pixels `[B, H, W, C]` divides among principal components."""
    pixels = maps.reshape(-1, maps.shape[-1])
    centred = pixels - jnp.mean(pixels, 0, keepdims=True)
    spectrum = jnp.maximum(jnp.linalg.eigvalsh(centred.T @ centred / len(pixels)), 0)
    shares = spectrum / jnp.sum(spectrum)
    return -jnp.sum(shares * jnp.log(shares + 1e-8))


def _trainability(arriving: Array, leaving: Array) -> Array:
    """Returns `2 - s - 1 / s` of the largest stretch of a gradient on its way through a cell; minus infinity for none.

    Args:
      arriving: The gradient before the cell, `[B, H, W, C]`.
      leaving: Behind it, `[B, H', W', C']`.
    """
    batch, height, width, channels = leaving.shape
    stride = arriving.shape[1] // height
    same = jnp.all(arriving == leaving) if arriving.shape == leaving.shape else jnp.zeros((), bool)
    blocks = arriving.reshape(batch, height, stride, width, stride, -1).transpose(0, 1, 3, 2, 4, 5)
    product = blocks.reshape(batch * height * width, -1).T @ leaving.reshape(-1, channels)
    largest = jnp.linalg.svd(product / (batch * height * width), compute_uv=False)[0]
    return jnp.where(same, -jnp.inf, 2 - largest - 1 / (largest + 1e-6))
