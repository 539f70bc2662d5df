"""A module of NAS-Bench-101 whose architecture is data, and its gradient.

How wide its vertices are at most depends on the number `d` of vertices that are concatenated: `C' / d`, rounded up. A
program is written for cells of at least so many; in it a loop goes over the vertices and branches by their
operations. What a narrower vertex does not have is zero and stays zero. Parameters of fewer than five vertices have no
room for the others: a supernet of small cells has none.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench101._cells import NUM_EDGES
from jnas.spaces.nasbench101._cost import Wiring, wiring
from jnas.training.networks.nasbench101._module import (
    CONV_3X3,
    MAX_POOL,
    MIDDLE,
    TAPS,
    ConvBatchNorm,
    ModuleParameters,
    ModuleSettings,
    ModuleStatistics,
    normalize_and_rectify,
    project_to_output,
)
from jnas.training.operations._convolutions import batch_norm, channelwise, max_pool_3x3, pixels


class _Vertex(NamedTuple):
    """What a program must know of a vertex; of all `n` of them, with a leading axis."""

    number: Array  # int32 []: from 0
    is_used: Array  # bool []
    operation: Array  # int32 []
    sources: Array  # bool [n]
    targets: Array  # bool [n]
    from_input: Array  # bool []
    channels: Array  # int32 []
    offset: Array  # int32 []: of its channels in the concatenation; C', the end, where it is not part of it


class _Saved(NamedTuple):
    """What a vertex's gradient needs; of all `n` of them, with a leading axis."""

    images: Array  # [W, H, W, B], or in the order of the layout: what goes into its operation
    convolved: Array  # the same: before batch-norm; zeros where the operation is no convolution
    moments: Array  # [2, W]: of `convolved`
    moments_of_projected: Array  # [2, W]


def masked_module(
    in_degree: int,
    settings: ModuleSettings,
    arch: Array,
    images: Array,
    parameters: ModuleParameters,
    statistics: ModuleStatistics | None,
    graph: Wiring | None = None,
) -> tuple[Array, ModuleStatistics]:
    """Returns what `static_module` returns, for any architecture with at least `in_degree` concatenated vertices.

    Args:
      in_degree: A Python int; 0 for the cell that is an edge from the input to the output, and that alone. For
        architectures of a smaller number the result means nothing.
      settings: Of the network.
      arch: int32 `[26]`.
      images: `[C, H, W, B]`, or in the order of the layout.
      parameters: Scales and shifts are zero where the architecture has nothing.
      statistics: To normalize with, or `None` for the batch's own.
      graph: The architecture's `wiring` with the module's channels, where that is known already.
    """
    outputs = parameters.output.scale.shape[0]
    count = parameters.vertices.scale.shape[0]
    graph = wiring(arch, outputs) if graph is None else graph
    none = jnp.zeros((count, 2, outputs), images.dtype)
    if not in_degree:
        result, last = project_to_output(settings, images, parameters, statistics)
        return result, ModuleStatistics(none, none, last)
    width = -(-outputs // in_degree)
    own_rows = slice(1, 1 + count)
    vertices = _Vertex(
        number=jnp.arange(count),
        is_used=graph.used[own_rows],
        operation=arch[NUM_EDGES : NUM_EDGES + count],
        sources=graph.matrix[own_rows, own_rows].T,
        targets=graph.matrix[own_rows, own_rows],
        from_input=graph.matrix[0, own_rows],
        channels=graph.channels[own_rows],
        offset=jnp.where(graph.matrix[own_rows, -1], graph.offsets[own_rows], outputs),
    )
    kernels = parameters.vertices.kernel[:, :width, :, :width].reshape(count, width, TAPS * width)
    own = tuple(
        ConvBatchNorm(kernel, each.scale[:, :width], each.shift[:, :width])
        for kernel, each in (
            (kernels, parameters.vertices),
            (parameters.inputs.kernel[:, :width], parameters.inputs),
        )
    )
    if statistics is None:
        joined, used = _learning(settings, outputs, vertices, images, own)
    else:
        given = statistics.vertices[..., :width], statistics.inputs[..., :width]
        joined, saved = _forward(settings, outputs, vertices, images, own, given)
        used = saved.moments, saved.moments_of_projected
    vertex_moments, input_moments = (jnp.pad(each, ((0, 0), (0, 0), (0, outputs - width))) for each in used)

    def with_input(joined: Array) -> tuple[Array, Array]:
        projected, last = project_to_output(settings, images, parameters, statistics)
        return joined + projected, last

    def without(joined: Array) -> tuple[Array, Array]:
        return joined, none[0]

    result, last = lax.cond(graph.matrix[0, -1], with_input, without, joined)
    return result, ModuleStatistics(vertex_moments, input_moments, last)


_Own = tuple[ConvBatchNorm, ...]  # of the vertices and of the edges from the input, each with a leading axis of `n`


# A gradient of its own, since JAX's gradient of a loop with branches keeps, for each of the vertices, what every
# branch would save and all of `nodes`; here a vertex keeps two images (`_Saved`). The same for any architecture: the
# forward rule fixes what is kept, the backward one goes over the vertices in reverse and branches anew.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _learning(
    settings: ModuleSettings, outputs: int, vertices: _Vertex, images: Array, own: _Own
) -> tuple[Array, tuple[Array, Array]]:
    joined, saved = _forward(settings, outputs, vertices, images, own, None)
    return joined, (saved.moments, saved.moments_of_projected)


def _learning_forward(settings: ModuleSettings, outputs: int, vertices: _Vertex, images: Array, own: _Own) -> Any:
    joined, saved = _forward(settings, outputs, vertices, images, own, None)
    return (joined, (saved.moments, saved.moments_of_projected)), (vertices, images, own, saved)


def _learning_backward(settings: ModuleSettings, outputs: int, kept: Any, gradients: Any) -> tuple[None, Array, _Own]:
    vertices, images, own, saved = kept
    # `gradients[1]`, of the moments, is left out: they enter running estimates, which no loss depends on.
    return None, *_backward(settings, vertices, images, own, saved, gradients[0])


_learning.defvjp(_learning_forward, _learning_backward)


def _forward(
    settings: ModuleSettings, outputs: int, vertices: _Vertex, images: Array, own: _Own, given: Any
) -> tuple[Array, _Saved]:
    """Returns the concatenation, and what the gradient needs of each vertex."""
    width, layout = own[0].scale.shape[1], settings.layout
    convolutions = _convolutions(settings)
    no_moments = jnp.zeros((2, width), images.dtype)

    def step(carry: tuple[Array, Array], each: Any) -> tuple[tuple[Array, Array], _Saved]:
        nodes, joined = carry
        vertex, (operation, projection), statistics = each

        def project(total: Array) -> tuple[Array, Array]:
            projected = layout.convolve_1x1(images, projection.kernel)
            out, used = _rectified(settings, projected, projection, None if statistics is None else statistics[1])
            return total + out, used  # whose scale and shift are zero beyond the vertex's channels

        def keep(total: Array) -> tuple[Array, Array]:
            return total, no_moments

        def convolve(total: Array) -> tuple[Array, Array, Array]:
            convolved = lax.cond(vertex.operation == CONV_3X3, *convolutions, total, operation.kernel)
            out, used = _rectified(settings, convolved, operation, None if statistics is None else statistics[0])
            return out, convolved, used

        def pool(total: Array) -> tuple[Array, Array, Array]:
            return max_pool_3x3(total), jnp.zeros_like(total), no_moments

        def present(nodes: Array) -> tuple[Array, _Saved]:
            total = _truncated(_sum_of(vertex.sources, nodes), vertex.channels, layout.axis)
            total, used_by_input = lax.cond(vertex.from_input, project, keep, total)
            out, convolved, used = lax.cond(vertex.operation == MAX_POOL, pool, convolve, total)
            return out, _Saved(total, convolved, used, used_by_input)

        def absent(nodes: Array) -> tuple[Array, _Saved]:
            zeros = jnp.zeros_like(nodes[0])
            return zeros, _Saved(zeros, zeros, no_moments, no_moments)

        node, saved = lax.cond(vertex.is_used, present, absent, nodes)
        nodes = lax.dynamic_update_index_in_dim(nodes, node, vertex.number, 0)
        # A block is as wide as the widest vertex: the next vertex's overwrites what is not its own.
        joined = lax.dynamic_update_slice_in_dim(joined, node, vertex.offset, layout.axis)
        return (nodes, joined), saved

    def zeros(channels: int) -> Array:
        shape = list(images.shape)
        shape[layout.axis] = channels
        return jnp.zeros(shape, images.dtype)

    start = jnp.stack([zeros(width)] * len(own[0].scale)), zeros(outputs + width)
    (_, joined), saved = lax.scan(step, start, (vertices, own, given))
    return settings.channels(joined, 0, outputs), saved


def _backward(
    settings: ModuleSettings, vertices: _Vertex, images: Array, own: _Own, saved: _Saved, gradient: Array
) -> tuple[Array, _Own]:
    """Returns the gradients of the images and of the parameters, from that of the concatenation."""
    width, layout = own[0].scale.shape[1], settings.layout
    # A vertex that is not part of the concatenation has its end as offset, and reads zeros there.
    gradient = jnp.pad(gradient, [(0, width if axis == layout.axis else 0) for axis in range(4)])
    convolutions = _convolutions_backward(settings)

    def step(carry: tuple[Array, Array], each: Any) -> tuple[tuple[Array, Array], _Own]:
        to_sums, to_images = carry
        vertex, (operation, projection), kept = each

        def project(to_total: Array, to_images: Array) -> tuple[Array, ConvBatchNorm]:
            # Convolved again rather than kept, which all vertices would pay for, those without a projection too.
            projected, transpose = jax.vjp(layout.convolve_1x1, images, projection.kernel)
            moments = kept.moments_of_projected
            to_projected, *rest = _rectified_backward(settings, projected, projection, moments, to_total)
            more, to_kernel = transpose(to_projected)
            return to_images + more, ConvBatchNorm(to_kernel, *rest)

        def keep(to_total: Array, to_images: Array) -> tuple[Array, ConvBatchNorm]:
            return to_images, jax.tree.map(jnp.zeros_like, projection)

        def convolve(to_node: Array) -> tuple[Array, ConvBatchNorm]:
            to_convolved, *rest = _rectified_backward(settings, kept.convolved, operation, kept.moments, to_node)
            to_total, to_kernel = lax.cond(
                vertex.operation == CONV_3X3, *convolutions, kept.images, operation.kernel, to_convolved
            )
            return to_total, ConvBatchNorm(to_kernel, *rest)

        def pool(to_node: Array) -> tuple[Array, ConvBatchNorm]:
            (to_total,) = jax.vjp(max_pool_3x3, kept.images)[1](to_node)
            return to_total, jax.tree.map(jnp.zeros_like, operation)

        def present(to_sums: Array, to_images: Array) -> tuple[Array, Array, _Own]:
            block = lax.dynamic_slice_in_dim(gradient, vertex.offset, width, layout.axis)
            to_node = _sum_of(vertex.targets, to_sums)
            # A block is as wide as the widest vertex: what lies beyond this one's channels is the next one's gradient.
            to_node += _truncated(block, vertex.channels, layout.axis)
            to_total, to_operation = lax.cond(vertex.operation == MAX_POOL, pool, convolve, to_node)
            to_total = _truncated(to_total, vertex.channels, layout.axis)
            to_images, to_projection = lax.cond(vertex.from_input, project, keep, to_total, to_images)
            return to_total, to_images, (to_operation, to_projection)

        def absent(to_sums: Array, to_images: Array) -> tuple[Array, Array, _Own]:
            nothing = jax.tree.map(jnp.zeros_like, (operation, projection))
            return jnp.zeros_like(to_sums[0]), to_images, nothing

        to_total, to_images, to_own = lax.cond(vertex.is_used, present, absent, to_sums, to_images)
        to_sums = lax.dynamic_update_index_in_dim(to_sums, to_total, vertex.number, 0)
        return (to_sums, to_images), to_own

    start = jnp.zeros_like(saved.images), jnp.zeros_like(images)
    (_, to_images), to_own = lax.scan(step, start, (vertices, own, saved), reverse=True)
    return to_images, to_own


def _convolutions(settings: ModuleSettings) -> tuple[Callable[[Array, Array], Array], ...]:
    """Returns a 3x3 and a 1x1 convolution of images with a kernel `[W, 9 W]`."""

    def convolution_1x1(images: Array, kernel: Array) -> Array:
        return settings.layout.convolve_1x1(images, _middle(kernel))

    return settings.layout.convolve_3x3, convolution_1x1


def _convolutions_backward(settings: ModuleSettings) -> tuple[Callable[..., tuple[Array, Array]], ...]:
    """Returns their gradients in images and kernel, of images, kernel and the gradient of what they return."""

    def backward(convolve: Any, images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        gradients: tuple[Array, Array] = jax.vjp(convolve, images, kernel)[1](gradient)
        return gradients

    return tuple(functools.partial(backward, convolve) for convolve in _convolutions(settings))


def _middle(kernel: Array) -> Array:
    """Returns the 1x1 kernel `[W, W]` that a kernel `[W, 9 W]` holds."""
    width = kernel.shape[0]
    return kernel[:, MIDDLE * width : (MIDDLE + 1) * width]


def _rectified(
    settings: ModuleSettings, images: Array, own: ConvBatchNorm, statistics: Array | None
) -> tuple[Array, Array]:
    return normalize_and_rectify(images, own.scale, own.shift, statistics, settings.epsilon, settings.layout.axis)


def _rectified_backward(
    settings: ModuleSettings, images: Array, own: ConvBatchNorm, moments: Array, gradient: Array
) -> tuple[Array, Array, Array]:
    """Returns the gradients of the images, the scale and the shift, where the batch's own moments were used."""
    # Where ReLU was active is computed again rather than kept: an image less for each vertex.
    axis = settings.layout.axis
    out, _ = batch_norm(images, own.scale, own.shift, moments, settings.epsilon, axis)
    gradient = jnp.where(out > 0, gradient, 0)
    factor = lax.rsqrt(moments[1] + settings.epsilon)
    normalized = (images - channelwise(moments[0], axis)) * channelwise(factor, axis)
    to_shift = jnp.sum(gradient, pixels(axis))
    to_scale = jnp.sum(gradient * normalized, pixels(axis))
    count = gradient.size // gradient.shape[axis]
    # The two means are what the batch's mean and variance, which depend on the images, give to the gradient.
    centred = gradient - channelwise(to_shift / count, axis) - normalized * channelwise(to_scale / count, axis)
    return centred * channelwise(own.scale * factor, axis), to_scale, to_shift


def _sum_of(chosen: Array, nodes: Array) -> Array:
    """Returns the sum of the nodes `[n, ...]` that are chosen, bool `[n]`."""
    # One after another: one pass, where the reduction of CPUs over a first axis takes ten times as long.
    return functools.reduce(jnp.add, [jnp.where(chosen[place], node, 0) for place, node in enumerate(nodes)])


def _truncated(images: Array, channels: Array, axis: int) -> Array:
    """Returns images whose channels from `channels` on are zero."""
    return jnp.where(channelwise(jnp.arange(images.shape[axis]) < channels, axis), images, 0)
