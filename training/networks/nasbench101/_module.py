"""A module of NAS-Bench-101 of one architecture that is known when the program is written, and what modules share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, OPERATIONS, host_pruned
from jnas.spaces.nasbench101._cost import compute_vertex_channels
from jnas.training.operations._convolutions import batch_norm, max_pool_3x3
from jnas.training.operations._layouts import Layout

NUM_INTERIOR = MAX_VERTICES - 2
TAPS, MIDDLE = 9, 4
CONV_3X3, CONV_1X1, MAX_POOL = range(len(OPERATIONS))


class ConvBatchNorm(NamedTuple):
    """A convolution and its batch-norm; leading axes where there are several."""

    kernel: Array  # float [C', C], or [C', 9 C] of a 3x3 convolution
    scale: Array  # float [C']
    shift: Array  # float [C']


class ModuleParameters(NamedTuple):
    """What a module can learn, whichever cell it is; `C` channels come in and `C'` go out."""

    vertices: ConvBatchNorm  # kernel [5, C', 9, C'], scale and shift [5, C']; a 1x1 convolution is at the middle tap
    inputs: ConvBatchNorm  # kernel [5, C', C]: the convolution of the edge from the input to each vertex
    output: ConvBatchNorm  # kernel [C', C]: that of the edge from the input to the output


class ModuleStatistics(NamedTuple):
    """Means and variances of a module's batch-norms."""

    vertices: Array  # float [5, 2, C']
    inputs: Array  # float [5, 2, C']
    output: Array  # float [2, C']


def normalize_and_rectify(
    images: Array, scale: Array, shift: Array, statistics: Array | None, epsilon: float, axis: int
) -> tuple[Array, Array]:
    """Returns what follows every convolution, batch-norm and ReLU, and the statistics that it used."""
    out, used = batch_norm(images, scale, shift, statistics, epsilon, axis)
    return jax.nn.relu(out), used


class ModuleSettings(NamedTuple):
    """What is the same in all modules of a network."""

    epsilon: float  # of batch-norm
    layout: Layout  # the order of the images' axes, and the convolutions

    def channels(self, images: Array, first: int, count: int) -> Array:
        """Returns some channels of images."""
        return lax.slice_in_dim(images, first, first + count, axis=self.layout.axis)


def static_module(
    arch: np.ndarray,
    settings: ModuleSettings,
    images: Array,
    parameters: ModuleParameters,
    statistics: ModuleStatistics | None,
) -> tuple[Array, ModuleStatistics]:
    """Returns a module's output and the statistics that its batch-norms used, zeros where it has none.

    Args:
      arch: int `[26]`, not a tracer: the program has the operations of this cell alone.
      settings: Of the network.
      images: `[C, H, W, B]`, or in the order of the layout.
      parameters: Of every cell; of these, the program reads what the cell has.
      statistics: To normalize with, or `None` for the batch's own.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.2 and Figure 1.
    """
    matrix, used = host_pruned(arch)
    if not used[0]:
        raise ValueError("the architecture has no path from its input to its output, expected a valid cell")
    outputs, layout = parameters.output.scale.shape[0], settings.layout
    widths = np.zeros(MAX_VERTICES, int)
    widths[used] = compute_vertex_channels(images.shape[layout.axis], outputs, matrix[np.ix_(used, used)])
    found: dict[str, Any] = {"vertices": {}, "inputs": {}}

    def rectified(kind: str, vertex: int, images: Array, own: ConvBatchNorm) -> Array:
        width = int(widths[vertex])
        given = None if statistics is None else getattr(statistics, kind)[vertex - 1, :, :width]
        out, each = normalize_and_rectify(
            images, own.scale[vertex - 1, :width], own.shift[vertex - 1, :width], given, settings.epsilon, layout.axis
        )
        found[kind][vertex] = jnp.pad(each, ((0, 0), (0, outputs - width)))
        return out

    def operation(vertex: int, choice: int, images: Array) -> Array:
        width = int(widths[vertex])
        if choice == MAX_POOL:
            return max_pool_3x3(images)
        kernel = parameters.vertices.kernel[vertex - 1, :width, :, :width]
        if choice == CONV_1X1:
            images = layout.convolve_1x1(images, kernel[:, MIDDLE])
        else:
            images = layout.convolve_3x3(images, kernel.reshape(width, TAPS * width))
        return rectified("vertices", vertex, images, parameters.vertices)

    nodes: dict[int, Array] = {}
    for vertex in np.flatnonzero(used)[1:-1].tolist():
        width = int(widths[vertex])
        incoming = [settings.channels(nodes[u], 0, width) for u in range(1, vertex) if matrix[u, vertex]]
        if matrix[0, vertex]:
            projected = layout.convolve_1x1(images, parameters.inputs.kernel[vertex - 1, :width])
            incoming.append(rectified("inputs", vertex, projected, parameters.inputs))
        nodes[vertex] = operation(vertex, int(arch[NUM_EDGES + vertex - 1]), sum(incoming[1:], incoming[0]))
    joined = [nodes[u] for u in range(1, MAX_VERTICES - 1) if matrix[u, -1]]
    none = jnp.zeros((2, outputs), images.dtype)
    result, last = (jnp.concatenate(joined, layout.axis) if joined else None), none
    if matrix[0, -1]:
        projected, last = project_to_output(settings, images, parameters, statistics)
        result = projected if result is None else result + projected
    vertices, inputs = (
        jnp.stack([found[kind].get(v, none) for v in range(1, MAX_VERTICES - 1)]) for kind in ("vertices", "inputs")
    )
    assert result is not None
    return result, ModuleStatistics(vertices, inputs, last)


def project_to_output(
    settings: ModuleSettings, images: Array, parameters: ModuleParameters, statistics: ModuleStatistics | None
) -> tuple[Array, Array]:
    """Returns what the edge from the input to the output brings, and the statistics used `[2, C']`."""
    own = parameters.output
    given = None if statistics is None else statistics.output
    projected = settings.layout.convolve_1x1(images, own.kernel)
    return normalize_and_rectify(projected, own.scale, own.shift, given, settings.epsilon, settings.layout.axis)
