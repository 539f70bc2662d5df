"""Scores from what goes on inside a network: what ReLUs let through, how batch-norm scales, how maps correlate."""

from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network, Point
from jnas.training.proxies._proxy import Scores, draw, drawn_layers, pass_with

_STEP = 1e-2  # between the two images of Zen-NAS, in deviations of an image


def measure_nwot(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `nwot`, the logarithm of how far apart a batch's images are in which ReLUs they open."""

    def tap(point: Point, value: Array, given: Any) -> tuple[Array, Any]:
        if point.kind != "rectifier":
            return value, None
        # +1 where a ReLU is open and -1 where not: half of (products + count) counts where two images agree.
        signs = 2 * (_by_examples(point, value) > 0).astype(jnp.float32) - 1
        return value, (signs @ signs.T + signs.shape[1]) / 2

    _, records = pass_with(network, draw(key, arch, network).parameters, arch, batch.inputs, tap)
    agreements = sum(jnp.sum(leaf, tuple(range(leaf.ndim - 2))) for leaf in jax.tree.leaves(records))
    return {"nwot": jnp.linalg.slogdet(agreements)[1]}


def measure_fisher(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `fisher` and `fisher_plain`, from the gradient of the loss in a factor of each image's every channel."""
    parameters, size = draw(key, arch, network).parameters, len(batch.targets)

    def tap(point: Point, value: Array, factors: Any) -> tuple[Array, Any]:
        if point.kind != "convolution":
            return value, None
        weights = jnp.full(value.shape[point.axis], point.size, jnp.float32)
        if factors is not None:  # [B, C]
            across = tuple(axis for axis in range(value.ndim) if axis not in (point.axis, point.batch_axis))
            value = value * jnp.expand_dims(factors.T if point.batch_axis > point.axis else factors, across)
        return value, weights

    def loss(factors: Any) -> tuple[Array, Any]:
        logits, weights = pass_with(network, parameters, arch, batch.inputs, tap, factors)
        return jnp.mean(network.task.loss(logits, batch.targets)), weights

    shapes = jax.eval_shape(lambda: pass_with(network, parameters, arch, batch.inputs, tap)[1])
    ones = jax.tree.map(lambda leaf: jnp.ones((*leaf.shape[:-1], size, leaf.shape[-1])), shapes)
    gradients, weights = jax.grad(loss, has_aux=True)(ones)
    channels = jax.tree.map(lambda leaf: jnp.mean(jnp.square(leaf), -2) / 2, gradients)
    sums = [
        jnp.stack([jnp.sum(d * w), jnp.sum(d)]) for d, w in zip(*map(jax.tree.leaves, (channels, weights)), strict=True)
    ]
    released, plain = sum(sums[1:], sums[0])
    return {"fisher": released, "fisher_plain": plain}


def measure_zen(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `zen` and `zen_plain`: how far two images that are close to each other come apart, by scales undone."""
    start = draw(key, arch, network)
    of_weights, of_images, of_steps = jax.random.split(start.key, 3)
    parameters = drawn_layers(of_weights, arch, network, start.parameters, jnp.ones_like)
    images = jax.random.normal(of_images, batch.inputs.shape, batch.inputs.dtype)

    def tap(point: Point, value: Array, given: Any) -> tuple[Array, Any]:
        if point.kind == "features":
            return value, _by_examples(point, value)
        if point.kind != "moments":
            return value, None
        unbiased = point.size / max(point.size - 1, 1)
        return value, jnp.stack([jnp.ones_like(value[1]), value[1], unbiased * value[1]])

    def look(images: Array) -> tuple[Array, list[Array]]:
        leaves = jax.tree_util.tree_leaves_with_path(
            pass_with(network, parameters, arch, images, tap)[1], is_leaf=lambda x: False
        )
        named = [(path[-1].key, leaf) for path, leaf in leaves]
        return next(leaf for kind, leaf in named if kind == "features"), [x for kind, x in named if kind == "moments"]

    near = images + _STEP * jax.random.normal(of_steps, images.shape, images.dtype)
    (first, moments), (second, moments_near) = look(images), look(near)
    apart = jnp.log(jnp.mean(jnp.sum(jnp.abs(first - second), -1)))
    # Running variances begin at 1, and move by a tenth in each of the two passes.
    running = [0.81 + 0.09 * a[..., 2, :] + 0.1 * b[..., 2, :] for a, b in zip(moments, moments_near, strict=True)]
    return {
        "zen": apart + _log_scales(running, moments),
        "zen_plain": apart + _log_scales([each[..., 1, :] for each in moments], moments),
    }


def _log_scales(variances: list[Array], moments: list[Array]) -> Array:
    """Returns the sum of the logarithms of batch-norms' deviations; of those that an architecture has."""
    there = [each[..., 0, 0] > 0 for each in moments]
    logs = [jnp.log(jnp.mean(variance, -1)) / 2 for variance in variances]
    return sum((jnp.sum(jnp.where(has, log, 0)) for has, log in zip(there, logs, strict=True)), jnp.float32(0))


def measure_meco(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `meco` and `meco_plain`: the least eigenvalues of how channels correlate, of one image of noise.

    The image is twice as high and as wide as those of the batch, as published for images of 32 by 32.
    """
    start = draw(key, arch, network)
    _, height, width, channels = batch.inputs.shape
    image = jax.random.normal(start.key, (1, 2 * height, 2 * width, channels), batch.inputs.dtype)

    def tap(point: Point, value: Array, given: Any) -> tuple[Array, Any]:
        if point.kind in ("rectifier", "moments", "features") or value.ndim < 4:
            return value, None
        maps = jnp.moveaxis(value, point.axis, 0).reshape(value.shape[point.axis], -1)
        centred = maps - jnp.mean(maps, 1, keepdims=True)
        length = jnp.sqrt(jnp.sum(jnp.square(centred), 1))
        unit = centred / jnp.where(length > 0, length, 1)[:, None]  # constant maps correlate with nothing: 0, not NaN
        least = jnp.linalg.eigvalsh(unit @ unit.T)[0]
        outside = 1.0 if point.kind not in ("stage",) else 0.0  # a stage gives what its last cell gives
        return value, jnp.stack([point.copies * least, outside * least])

    _, records = pass_with(network, start.parameters, arch, image, tap)
    released, plain = sum(leaf.reshape(-1, 2).sum(0) for leaf in jax.tree.leaves(records))
    return {"meco": released, "meco_plain": plain}


def _by_examples(point: Point, value: Array) -> Array:
    """Returns a value as a row for each example, `[B, D]`."""
    if point.batch_axis == 0:
        return value.reshape(value.shape[0], -1)
    return value.reshape(-1, value.shape[-1]).T
