"""One edge of a NAS-Bench-201 cell: the operation that the architecture says, and its gradient."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas._vocabulary import Array
from jnas.training._forms import Form
from jnas.training._operations import (
    Convolution,
    average_pool_3x3,
    average_pool_3x3_transposed,
    channelwise,
    convolve_1x1,
    convolve_3x3,
    moments,
)


class EdgeParameters(NamedTuple):
    """What an edge can learn, whichever operation it has."""

    kernel: Array  # float [C, 9 C]; a 1x1 convolution has its numbers at the middle tap
    scale: Array  # float [C]
    shift: Array  # float [C]


class _Saved(NamedTuple):
    """What an edge's gradient needs."""

    images: Array  # [C, H, W, B]: its input
    parameters: EdgeParameters
    normalized: Array  # [C, H, W, B]: a convolution's output, normalized; zeros for other operations
    factor: Array  # [C]: one over the standard deviation


def make_edge(form: Form, epsilon: float, convolution: Convolution):  # type: ignore[no-untyped-def]
    """Returns `edge(decision, choice, images, parameters, statistics) -> (images, statistics)`.

    The operations, in the order of the space: none, skip, ReLU-1x1 convolution-batch-norm, ReLU-3x3
    convolution-batch-norm, 3x3 average pooling. Batch-norm uses the statistics `[2, C]` that are given, or the batch's
    own where they are `None`; the statistics that were used are returned (zeros where the operation has none).

    Forward and backward passes both choose by `form`, and nothing is differentiated through the choice.

    Args:
      form: How one of five operations is chosen.
      epsilon: Of batch-norm.
      convolution: How 3x3 convolutions are said.
    """
    forward = _forward_operations(epsilon, convolution)
    backward = _backward_operations(convolution)

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def learning(decision: int, choice: Array, images: Array, parameters: EdgeParameters) -> tuple[Array, Array]:
        images, statistics, *_ = form.choose(decision, forward, choice, images, parameters)
        return images, statistics

    def learning_forward(decision, choice, images, parameters):  # type: ignore[no-untyped-def]
        out, statistics, normalized, factor = form.choose(decision, forward, choice, images, parameters)
        return (out, statistics), (choice, _Saved(images, parameters, normalized, factor))

    def learning_backward(decision, saved, gradients):  # type: ignore[no-untyped-def]
        choice, rest = saved
        return None, *form.choose(decision, backward, choice, rest, gradients[0])

    learning.defvjp(learning_forward, learning_backward)

    def edge(
        decision: int, choice: Array, images: Array, parameters: EdgeParameters, statistics: Array | None
    ) -> tuple[Array, Array]:
        if statistics is None:
            return learning(decision, choice, images, parameters)
        operations = [functools.partial(_with_statistics, operation) for operation in forward]
        return form.choose(decision, operations, choice, images, parameters, statistics)

    return edge


def _with_statistics(operation, images, parameters, statistics):  # type: ignore[no-untyped-def]
    return operation(images, parameters, statistics)[:2]


def middle_tap(kernel: Array) -> Array:
    """Returns the 1x1 kernel `[C, C]` that a kernel `[C, 9 C]` holds."""
    channels = kernel.shape[0]
    return kernel[:, 4 * channels : 5 * channels]


def _forward_operations(epsilon, convolution):  # type: ignore[no-untyped-def]
    """Functions of `(images, parameters, statistics)`: images, statistics, normalized images, factor."""

    def nothing(images):  # type: ignore[no-untyped-def]
        channels = images.shape[0]
        return jnp.zeros((2, channels), images.dtype), jnp.zeros_like(images), jnp.zeros(channels, images.dtype)

    def none(images, parameters, statistics=None):  # type: ignore[no-untyped-def]
        return jnp.zeros_like(images), *nothing(images)

    def skip(images, parameters, statistics=None):  # type: ignore[no-untyped-def]
        return images, *nothing(images)

    def pool(images, parameters, statistics=None):  # type: ignore[no-untyped-def]
        return average_pool_3x3(images), *nothing(images)

    def normalize(images, parameters, statistics):  # type: ignore[no-untyped-def]
        used = moments(images) if statistics is None else statistics
        factor = lax.rsqrt(used[1] + epsilon)
        normalized = (images - channelwise(used[0])) * channelwise(factor)
        out = normalized * channelwise(parameters.scale) + channelwise(parameters.shift)
        return out, used, normalized, factor

    def convolution_1x1(images, parameters, statistics=None):  # type: ignore[no-untyped-def]
        kernel = middle_tap(parameters.kernel)
        return normalize(convolve_1x1(jax.nn.relu(images), kernel), parameters, statistics)

    def convolution_3x3(images, parameters, statistics=None):  # type: ignore[no-untyped-def]
        return normalize(convolve_3x3(jax.nn.relu(images), parameters.kernel, convolution), parameters, statistics)

    return [none, skip, convolution_1x1, convolution_3x3, pool]


def _backward_operations(convolution):  # type: ignore[no-untyped-def]
    """Functions of `(saved, gradient)`: the gradients of the images and of the parameters."""

    def none(saved, gradient):  # type: ignore[no-untyped-def]
        return jnp.zeros_like(gradient), jax.tree.map(jnp.zeros_like, saved.parameters)

    def skip(saved, gradient):  # type: ignore[no-untyped-def]
        return gradient, jax.tree.map(jnp.zeros_like, saved.parameters)

    def pool(saved, gradient):  # type: ignore[no-untyped-def]
        return average_pool_3x3_transposed(gradient), jax.tree.map(jnp.zeros_like, saved.parameters)

    def convolve(saved, gradient, function, kernel):  # type: ignore[no-untyped-def]
        to_convolved, to_scale, to_shift = _batch_norm_backward(saved, gradient)
        _, transpose = jax.vjp(function, jax.nn.relu(saved.images), kernel)
        to_images, to_kernel = transpose(to_convolved)
        to_images = jnp.where(saved.images > 0, to_images, 0)
        return to_images, to_kernel, to_scale, to_shift

    def convolution_1x1(saved, gradient):  # type: ignore[no-untyped-def]
        kernel = middle_tap(saved.parameters.kernel)
        to_images, to_kernel, *rest = convolve(saved, gradient, convolve_1x1, kernel)
        around = 4 * kernel.shape[0]
        return to_images, EdgeParameters(jnp.pad(to_kernel, ((0, 0), (around, around))), *rest)

    def convolution_3x3(saved, gradient):  # type: ignore[no-untyped-def]
        function = functools.partial(convolve_3x3, convolution=convolution)
        to_images, *rest = convolve(saved, gradient, function, saved.parameters.kernel)
        return to_images, EdgeParameters(*rest)

    return [none, skip, convolution_1x1, convolution_3x3, pool]


def _batch_norm_backward(saved: _Saved, gradient: Array) -> tuple[Array, Array, Array]:
    """Returns the gradients of the normalized images' input, of the scale and of the shift."""
    to_shift = jnp.sum(gradient, (1, 2, 3))
    to_scale = jnp.sum(gradient * saved.normalized, (1, 2, 3))
    count = gradient.size // gradient.shape[0]
    centred = gradient - channelwise(to_shift / count) - saved.normalized * channelwise(to_scale / count)
    return centred * channelwise(saved.parameters.scale * saved.factor), to_scale, to_shift
