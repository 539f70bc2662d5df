"""One edge of a NAS-Bench-201 cell: the operation that the architecture says, and its gradient."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array, Tap
from jnas.spaces.nasbench201._cells import OPERATIONS
from jnas.training.networks._taps import See, unseen, watch
from jnas.training.operations._convolutions import (
    average_pool_3x3,
    average_pool_3x3_transposed,
    channelwise,
    moments,
    pixels,
)
from jnas.training.operations._forms import Form
from jnas.training.operations._layouts import Layout
from jnas.training.operations._many_kernels import normalize_backward


class EdgeParameters(NamedTuple):
    """What an edge can learn, whichever operation it has."""

    kernel: Array  # float [C, 9 C]; a 1x1 convolution has its numbers at the middle tap
    scale: Array  # float [C]
    shift: Array  # float [C]


class _Saved(NamedTuple):
    """What an edge's gradient needs."""

    images: Array  # [C, H, W, B], or in the order of the layout: its input
    parameters: EdgeParameters
    normalized: Array  # the same: a convolution's output, normalized; zeros for other operations
    factor: Array  # [C]: one over the standard deviation


class _Result(NamedTuple):
    """What an operation gives."""

    images: Array  # as in `_Saved`
    statistics: Array  # [2, C]: what batch-norm used; zeros where there is none
    normalized: Array  # as in `_Saved`
    factor: Array  # as in `_Saved`


Edge = Callable[[int, Array, Array, EdgeParameters, Array | None], tuple[Array, Array]]
"""`edge(decision, choice, images, parameters, statistics) -> (images, statistics)`; see `make_edge`."""

_ALL_POINTS = OPERATIONS.index("nor_conv_3x3"), OPERATIONS.index("avg_pool_3x3")  # these have them between them
_Gradients = tuple[Array, EdgeParameters]


def make_edge(form: Form, epsilon: float, layout: Layout) -> Edge:
    """Returns a function that does the operation of an edge.

    `edge(decision, choice, images, parameters, statistics)` returns images, in the layout's order, and the statistics
    `[2, C]` that batch-norm used (zeros where the operation has none). The operations, in the order of the space: none,
    skip, ReLU-1x1 convolution-batch-norm, ReLU-3x3 convolution-batch-norm, 3x3 average pooling. Batch-norm uses the
    statistics that are given, or the batch's own where they are `None`.

    Forward and backward passes both choose by `form`, and nothing is differentiated through the choice.

    Args:
      form: How one of five operations is chosen.
      epsilon: Of batch-norm.
      layout: The order of the images' axes, and the convolutions.
    """
    forward = _forward_operations(epsilon, layout)
    backward = _backward_operations(layout)

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def learning(decision: int, choice: Array, images: Array, parameters: EdgeParameters) -> tuple[Array, Array]:
        result: _Result = form.choose(decision, forward, choice, images, parameters)
        return result.images, result.statistics

    def learning_forward(
        decision: int, choice: Array, images: Array, parameters: EdgeParameters
    ) -> tuple[tuple[Array, Array], tuple[Array, _Saved]]:
        result: _Result = form.choose(decision, forward, choice, images, parameters)
        saved = _Saved(images, parameters, result.normalized, result.factor)
        return (result.images, result.statistics), (choice, saved)

    def learning_backward(
        decision: int, kept: tuple[Array, _Saved], gradients: tuple[Array, Array]
    ) -> tuple[None, Array, EdgeParameters]:
        choice, saved = kept
        to_images, to_parameters = form.choose(decision, backward, choice, saved, gradients[0])
        return None, to_images, to_parameters

    learning.defvjp(learning_forward, learning_backward)

    def evaluated(
        operation: Callable[..., _Result], images: Array, parameters: EdgeParameters, statistics: Array
    ) -> tuple[Array, Array]:
        return operation(images, parameters, statistics)[:2]

    def edge(
        decision: int, choice: Array, images: Array, parameters: EdgeParameters, statistics: Array | None
    ) -> tuple[Array, Array]:
        result: tuple[Array, Array]
        if statistics is None:
            result = learning(decision, choice, images, parameters)
        else:
            operations = [functools.partial(evaluated, operation) for operation in forward]
            result = form.choose(decision, operations, choice, images, parameters, statistics)
        return result

    return edge


def make_tapped_edge(form: Form, epsilon: float, layout: Layout, tap: Tap) -> Callable[..., tuple[Array, Any]]:
    """Returns a function that does the operation of an edge while a tap looks on.

    `edge(decision, choice, images, parameters, given)` returns images and the records of the edge's points by their
    kinds, zeros where the operation lacks a point. Batch-norm uses the batch's own statistics. JAX differentiates it,
    through the choice too.

    Args:
      form: How one of five operations is chosen.
      epsilon: Of batch-norm.
      layout: The order of the images' axes, and the convolutions.
      tap: What looks on.
    """
    count = len(_forward_operations(epsilon, layout))

    def through(number: int, images: Array, parameters: EdgeParameters, given: Any) -> tuple[Array, dict[str, Any]]:
        see, records = watch(tap, given, layout.axis)
        result = _forward_operations(epsilon, layout, see)[number](images, parameters)
        return result.images, records

    def edge(
        decision: int, choice: Array, images: Array, parameters: EdgeParameters, given: Any
    ) -> tuple[Array, dict[str, Any]]:
        kept: dict[str, Any] = {}
        for number in _ALL_POINTS:
            kept |= jax.eval_shape(functools.partial(through, number), images, parameters, given)[1]

        def filled(number: int, *arguments: Any) -> tuple[Array, dict[str, Any]]:
            out, records = through(number, *arguments)
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), kept)
            return out, {**zeros, **records}

        operations = [functools.partial(filled, number) for number in range(count)]
        result: tuple[Array, dict[str, Any]] = form.choose(decision, operations, choice, images, parameters, given)
        return result

    return edge


def middle_tap(kernel: Array) -> Array:
    """Returns the 1x1 kernel `[C, C]` that a kernel `[C, 9 C]` holds."""
    channels = kernel.shape[0]
    return kernel[:, 4 * channels : 5 * channels]


def _forward_operations(epsilon: float, layout: Layout, see: See = unseen) -> list[Callable[..., _Result]]:
    """Returns a function of images, parameters and statistics (`None`: the batch's own) for each operation."""

    def without_parameters(images: Array) -> _Result:
        channels = images.shape[layout.axis]
        zeros = jnp.zeros((2, channels), images.dtype), jnp.zeros_like(images), jnp.zeros(channels, images.dtype)
        return _Result(images, *zeros)

    def none(images: Array, parameters: EdgeParameters, statistics: Array | None = None) -> _Result:
        return without_parameters(jnp.zeros_like(images))

    def skip(images: Array, parameters: EdgeParameters, statistics: Array | None = None) -> _Result:
        return without_parameters(see("operation", images))

    def pool(images: Array, parameters: EdgeParameters, statistics: Array | None = None) -> _Result:
        return without_parameters(see("operation", average_pool_3x3(images), copies=2))

    def normalize(images: Array, parameters: EdgeParameters, statistics: Array | None) -> _Result:
        count = images.size // images.shape[layout.axis]
        used = see("moments", moments(images, layout.axis), count) if statistics is None else statistics
        factor = lax.rsqrt(used[1] + epsilon)
        mean, by, scale, shift = (channelwise(each, layout.axis) for each in (used[0], factor, *parameters[1:]))
        normalized = (images - mean) * by
        out = see("normalized", normalized * scale + shift, copies=3)
        return _Result(out, used, normalized, factor)

    def rectified(images: Array) -> Array:
        return see("activation", jax.nn.relu(see("rectifier", images)))

    def convolution_1x1(images: Array, parameters: EdgeParameters, statistics: Array | None = None) -> _Result:
        kernel = middle_tap(parameters.kernel)
        out = layout.convolve_1x1(rectified(images), kernel)
        return normalize(see("convolution", out, kernel.shape[1]), parameters, statistics)

    def convolution_3x3(images: Array, parameters: EdgeParameters, statistics: Array | None = None) -> _Result:
        kernel = parameters.kernel
        out = layout.convolve_3x3(rectified(images), kernel)
        return normalize(see("convolution", out, kernel.shape[1]), parameters, statistics)

    return [none, skip, convolution_1x1, convolution_3x3, pool]


def _backward_operations(layout: Layout) -> list[Callable[[_Saved, Array], _Gradients]]:
    """Returns a function of what was saved and the gradient of the output for each operation."""

    def nothing(saved: _Saved) -> EdgeParameters:
        zeros: EdgeParameters = jax.tree.map(jnp.zeros_like, saved.parameters)
        return zeros

    def none(saved: _Saved, gradient: Array) -> _Gradients:
        return jnp.zeros_like(gradient), nothing(saved)

    def skip(saved: _Saved, gradient: Array) -> _Gradients:
        return gradient, nothing(saved)

    def pool(saved: _Saved, gradient: Array) -> _Gradients:
        return average_pool_3x3_transposed(gradient), nothing(saved)

    def convolve(saved: _Saved, gradient: Array, function: Callable[..., Any], kernel: Array) -> tuple[Array, ...]:
        to_convolved, to_scale, to_shift = _batch_norm_backward(saved, gradient, layout.axis)
        _, transpose = jax.vjp(function, jax.nn.relu(saved.images), kernel)
        to_images, to_kernel = transpose(to_convolved)
        return jnp.where(saved.images > 0, to_images, 0), to_kernel, to_scale, to_shift

    def convolution_1x1(saved: _Saved, gradient: Array) -> _Gradients:
        kernel = middle_tap(saved.parameters.kernel)
        to_images, to_kernel, *rest = convolve(saved, gradient, layout.convolve_1x1, kernel)
        around = 4 * kernel.shape[0]
        return to_images, EdgeParameters(jnp.pad(to_kernel, ((0, 0), (around, around))), *rest)

    def convolution_3x3(saved: _Saved, gradient: Array) -> _Gradients:
        to_images, *rest = convolve(saved, gradient, layout.convolve_3x3, saved.parameters.kernel)
        return to_images, EdgeParameters(*rest)

    return [none, skip, convolution_1x1, convolution_3x3, pool]


def _batch_norm_backward(saved: _Saved, gradient: Array, axis: int) -> tuple[Array, Array, Array]:
    """Returns the gradients of the normalized images' input, of the scale and of the shift."""
    to_shift = jnp.sum(gradient, pixels(axis))
    to_scale = jnp.sum(gradient * saved.normalized, pixels(axis))
    factor = saved.parameters.scale * saved.factor
    return normalize_backward(gradient, saved.normalized, factor, to_shift, to_scale, axis), to_scale, to_shift
