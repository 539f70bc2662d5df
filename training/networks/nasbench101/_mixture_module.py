"""A module of NAS-Bench-101 in which every vertex mixes its predecessors and its operations.

In plain JAX, so that gradients can be differentiated again in forward mode: second-order DARTS takes `jvp(grad(...))`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, OPERATIONS
from jnas.training.networks.nasbench101._module import ConvBatchNorm, ModuleSettings
from jnas.training.networks.nasbench101._shared_module import SharedModule, SharedStatistics
from jnas.training.operations._convolutions import channelwise, convolve_1x1, max_pool_3x3
from jnas.training.operations._many_kernels import convolution_3x3, normalize_batch


class MixtureWeights(NamedTuple):
    """What a module of `n` vertices is mixed by; vertex 0 is its input."""

    sources: Array  # float [n + 1, n]: of each edge to a vertex; what lies on or below the diagonal is never read
    operations: Array  # float [n, 3]: of each operation at a vertex
    outputs: Array  # float [n + 1]: of each edge to the output


def edge_weights(weights: Array, vertices: int) -> MixtureWeights:
    """Returns what a mixture by weights `[26, K]` of decisions mixes: of an edge that of its being there."""
    edges = jnp.zeros((MAX_VERTICES, MAX_VERTICES), weights.dtype)
    edges = edges.at[np.triu_indices(MAX_VERTICES, 1)].set(weights[:NUM_EDGES, 1])
    own = slice(vertices + 1)
    return MixtureWeights(
        edges[own, 1 : vertices + 1], weights[NUM_EDGES : NUM_EDGES + vertices], edges[own, MAX_VERTICES - 1]
    )


def predecessor_weights(weights: Array) -> Array:
    """Returns weights `[26, 3]` for the supernet's mixture of the decisions of DARTS and FBNet, as they were released.

    Each vertex mixes its predecessors, of which there is one or none, and its operations; the input and every vertex
    go to the output with weight 1. At one-hot weights without a `none` that is the cell whose vertices have these
    predecessors. (In the released DARTS the input's projection has weight 1 and the other weights are shifted by one,
    which is an error.)

    Args:
      weights: float `[2 n, K]`, in the order of `jnas.spaces.released_decisions("darts", n + 2)`: for each vertex those
        of no predecessor, of the input and of each vertex before it, then those of its operations.
    """
    vertices = weights.shape[0] // 2
    edges = jnp.zeros((MAX_VERTICES, MAX_VERTICES), weights.dtype).at[: vertices + 1, -1].set(1)
    for vertex in range(1, vertices + 1):
        edges = edges.at[:vertex, vertex].set(weights[2 * vertex - 2, 1 : vertex + 1])
    there = edges[np.triu_indices(MAX_VERTICES, 1)]
    operations = jnp.zeros((MAX_VERTICES - 2, len(OPERATIONS)), weights.dtype)
    operations = operations.at[:vertices].set(weights[1::2, : len(OPERATIONS)])
    return jnp.concatenate([jnp.stack([1 - there, there, jnp.zeros_like(there)], 1), operations])


def mixture_channels(vertices: int, outputs: int) -> list[int]:
    """Returns the channels of each vertex where all of them go to the output: an equal share, the first one more."""
    return [outputs // vertices + (vertex < outputs % vertices) for vertex in range(vertices)]


def mixture_module(
    settings: ModuleSettings,
    weights: MixtureWeights,
    images: Array,
    parameters: SharedModule,
    statistics: SharedStatistics | None,
) -> tuple[Array, SharedStatistics]:
    """Returns a module's output `[C', H, W, B]`, and the statistics used, zeros beyond the vertices' channels.

    A vertex has the channels that it has in a cell whose vertices all go to the output. Its input is the sum of what
    comes before it by the weights of the edges, what it gives the sum of its operations by theirs; all vertices are
    concatenated, each times the weight of its edge to the output, and the projected input is added by that of its own.
    Batch-norms are those of a vertex with all predecessors.

    Args:
      settings: Of the network.
      weights: What is mixed.
      images: `[C, H, W, B]`.
      parameters: Of all cells; vertices read the first channels.
      statistics: To normalize with, or `None` for the batch's own.
    """
    count, _, norms, outputs = parameters.vertices.scale.shape
    widths = mixture_channels(count, outputs)
    given = SharedStatistics(None, None, None) if statistics is None else statistics  # type: ignore[arg-type]
    projected, of_inputs = _project(settings, images, parameters.inputs, given.inputs, widths)
    nodes: list[Array] = []
    used: list[Array] = []
    for vertex, width in enumerate(widths):
        total = weights.sources[0, vertex] * projected[vertex]
        for source, node in enumerate(nodes, start=1):
            total = total + weights.sources[source, vertex] * node[:width]
        norm = min(2 ** (vertex + 1), norms) - 1
        kernels = parameters.vertices.three[vertex, :width, :, :width], parameters.vertices.one[vertex, :width, :width]
        convolved = convolution_3x3(total, kernels[0].reshape(width, -1)), convolve_1x1(total, kernels[1])
        result = weights.operations[vertex, 2] * max_pool_3x3(total)
        each = []
        for choice, raw in enumerate(convolved):
            scale, shift = (values[vertex, choice, norm, :width] for values in parameters.vertices[2:])
            known = None if statistics is None else given.vertices[vertex, choice, norm, :, :width]
            out, moments = rectified(settings, raw, scale, shift, known)
            result = result + weights.operations[vertex, choice] * out
            each.append(moments)
        nodes.append(result)
        used.append(_at(jnp.stack(each), norm, norms, outputs))
    joined = jnp.concatenate([weights.outputs[v] * node for v, node in enumerate(nodes, start=1)])
    own_output = parameters.output
    raw = convolve_1x1(images, own_output.kernel)
    added, of_output = rectified(settings, raw, own_output.scale, own_output.shift, given.output)
    return joined + weights.outputs[0] * added, SharedStatistics(jnp.stack(used), of_inputs, of_output)


def _project(
    settings: ModuleSettings, images: Array, own: ConvBatchNorm, given: Any, widths: list[int]
) -> tuple[list[Array], Array]:
    """Returns the projected input at each vertex, all of them by one product, and the statistics used `[n, 2, C']`."""
    ends = np.cumsum(widths)[:-1].tolist()

    def joined(array: Array) -> Array:
        return jnp.concatenate([array[vertex, :width] for vertex, width in enumerate(widths)])

    kernel, scale, shift = map(joined, own)
    known = None if given is None else joined(given.transpose(0, 2, 1)).T
    out, used = rectified(settings, convolve_1x1(images, kernel), scale, shift, known)
    outputs = own.scale.shape[1]
    rows = [jnp.pad(each, ((0, 0), (0, outputs - each.shape[1]))) for each in jnp.split(used, ends, 1)]
    return jnp.split(out, ends), jnp.stack(rows)


def rectified(
    settings: ModuleSettings, images: Array, scale: Array, shift: Array, given: Array | None
) -> tuple[Array, Array]:
    """Returns what follows a convolution, batch-norm and ReLU, and the statistics used `[2, C]`."""
    out, used = normalize_batch(images, given, settings.epsilon)
    return jax.nn.relu(out * channelwise(scale) + channelwise(shift)), used


def _at(moments: Array, norm: int, norms: int, outputs: int) -> Array:
    """Returns statistics `[2, 2, C]` as those of one of `P` batch-norms, `[2, P, 2, C']`, the others zero."""
    around = ((0, 0), (norm, norms - norm - 1), (0, 0), (0, outputs - moments.shape[2]))
    return jnp.pad(moments[:, None], around)
