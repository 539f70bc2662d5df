"""Channels, parameters and multiply-adds of the networks of NAS-Bench-101, from their structure.

They depend on the order of a cell's vertices, not on its class alone: where channels divide unevenly, the first
vertices before the output get one more. Isomorphic cells can differ in their parameters.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, OPERATIONS, pruned

NUM_STACKS = 3
MIN_CHANNELS = 4
"""With fewer, a vertex before the output could be left without a channel: at most 4 share them, as a fifth would be the
tenth edge."""

_TAPS = (9, 1, 0)
assert tuple(name[:7] for name in OPERATIONS) == ("conv3x3", "conv1x1", "maxpool")


def compute_vertex_channels(input_channels: int, output_channels: int, matrix: Any) -> list[int]:
    """Returns the channels of each vertex of a pruned cell.

    The vertices whose edge goes to the output share its channels, the first ones having one more where these do not
    divide; any other vertex has as many as the widest of those that it goes to. An edge from the input to the output
    shares nothing: it is added.

    Args:
      input_channels: Of the cell's input.
      output_channels: Of its output.
      matrix: Strictly upper triangular 0/1 adjacency `[V, V]`, every vertex on a path from the input to the output.

    Raises:
      ValueError: The matrix is not square, or a vertex leads nowhere.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.2 and S2.

    Example:
      >>> compute_vertex_channels(8, 9, [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
      [8, 5, 4, 9]
    """
    edges = np.asarray(matrix)
    if edges.ndim != 2 or edges.shape[0] != edges.shape[1] or len(edges) < 2:
        raise ValueError(f"matrix has shape {edges.shape}, expected [V, V] with at least an input and an output")
    last = len(edges) - 1
    channels = [input_channels, *[0] * (last - 1), output_channels]
    feeding = [v for v in range(1, last) if edges[v, last]]
    for rank, v in enumerate(feeding):
        channels[v] = output_channels // len(feeding) + (rank < output_channels % len(feeding))
    for v in range(last - 1, 0, -1):
        if v in feeding:
            continue
        after = [channels[u] for u in range(v + 1, last) if edges[v, u]]
        if not after:
            raise ValueError(f"vertex {v} leads nowhere, expected the matrix of a pruned cell")
        channels[v] = max(after)
    return channels


class Wiring(NamedTuple):
    """How a cell becomes a module, for any batch `...` of cells."""

    matrix: Array  # bool [7, 7, ...], pruned
    used: Array  # bool [7, ...]
    channels: Array  # int32 [7, ...]: of each vertex's output, 0 where it is not used; of the input, 0
    offsets: Array  # int32 [7, ...]: where its channels begin in the concatenation before the output, for those in it
    in_degree: Array  # int32 [...]: how many vertices are concatenated


def wiring(arch: Array, output_channels: int | np.ndarray) -> Wiring:
    """Returns the pruned graph of architectures `[26, ...]` and the channels of its vertices; works inside `jit`.

    `output_channels` may be those of each architecture, `[...]`.
    The channels are those of `compute_vertex_channels`, at the vertices' places among the seven.
    """
    matrix, used = pruned(arch)
    feeds = matrix[1:-1, -1]
    in_degree = jnp.sum(feeds, axis=0, dtype=jnp.int32)
    shared, left = jnp.divmod(output_channels, jnp.maximum(in_degree, 1))
    rank = jnp.cumsum(feeds, axis=0, dtype=jnp.int32) - 1
    channels = [jnp.where(feeds[v], shared + (rank[v] < left), 0) for v in range(MAX_VERTICES - 2)]
    for v in range(MAX_VERTICES - 4, -1, -1):
        for u in range(v + 1, MAX_VERTICES - 2):
            wider = ~feeds[v] & matrix[v + 1, u + 1]
            channels[v] = jnp.where(wider, jnp.maximum(channels[v], channels[u]), channels[v])
    ends = jnp.zeros_like(in_degree), jnp.where(used[-1], output_channels, 0)
    every = jnp.stack([ends[0], *channels, ends[1]]).astype(jnp.int32)
    offsets = jnp.where(matrix[:, -1], jnp.asarray(_before(matrix, every)), 0)
    return Wiring(matrix, used, every, offsets, in_degree)


def _before(matrix: Array, channels: Array) -> Array:
    concatenated = jnp.where(matrix[:, -1], channels, 0)
    return jnp.cumsum(concatenated, axis=0, dtype=jnp.int32) - concatenated


def nasbench101_parameters(
    arch: Array, *, channels: int = 128, modules: int = 3, classes: int = 10, image_channels: int = 3
) -> Array:
    """Returns the number of trainable parameters of a cell's network, float32 `[]`, in millions.

    The network: a 3x3 convolution; three stacks of `modules` modules with `channels`, twice and four times as many
    channels; a linear layer with bias. Convolutions have batch-norm (a scale and a shift) and no bias; an edge from
    the input of a module has a 1x1 convolution. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[26]`.
      channels: Channels of the stem and the first stack, at least 4.
      modules: Modules in each stack.
      classes: Outputs of the linear layer.
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is too small, or so large that parameters are not counted in 31 bits.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.2 and 2.3.

    Example:
      >>> cell = jnas.spaces.nasbench101().from_string("|conv3x3-bn-relu~0|conv3x3-bn-relu~1|output~0~2|")
      >>> round(float(jax.jit(jnas.spaces.nasbench101_parameters)(cell)), 3)
      20.347
    """
    sizes = {"channels": channels, "modules": modules, "classes": classes, "image_channels": image_channels}
    count = nasbench101_parameter_count(arch, **sizes)
    # A quotient of float32 would round twice: above 2^24 the count itself is not a float32.
    millions, rest = jnp.divmod(count, 1_000_000)
    return millions.astype(jnp.float32) + rest.astype(jnp.float32) * np.float32(1e-6)


def nasbench101_parameter_count(
    arch: Array, *, channels: int = 128, modules: int = 3, classes: int = 10, image_channels: int = 3
) -> Array:
    """Returns the number of trainable parameters of a cell's network, int32 `[]`; see `nasbench101_parameters`."""
    check_image_sizes(channels=channels, modules=modules, classes=classes, image_channels=image_channels)
    fixed = 9 * image_channels * channels + 2 * channels + 4 * channels * classes + classes
    count: Array = _total(arch, channels, modules, 2, (1, 1, 1), fixed)
    return count


def nasbench101_flops(
    arch: Array,
    *,
    channels: int = 128,
    modules: int = 3,
    classes: int = 10,
    image_size: int | tuple[int, int] = 32,
    image_channels: int = 3,
) -> Array:
    """Returns the cost of one image in a cell's network, float32 `[]`, in millions of multiply-adds.

    Convolutions and the linear layer with its bias; batch-norm, pooling and sums are free. The network is that of
    `nasbench101_parameters`. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[26]`.
      channels: Channels of the stem and the first stack, at least 4.
      modules: Modules in each stack.
      classes: Outputs of the linear layer.
      image_size: Height and width of the image, or the two of them; multiples of 4.
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is too small, or the image's is not a multiple of 4.

    Example:
      >>> cell = jnas.spaces.nasbench101().from_string("|conv3x3-bn-relu~0|conv3x3-bn-relu~1|output~0~2|")
      >>> round(float(jax.jit(jnas.spaces.nasbench101_flops)(cell)))
      2990
    """
    check_image_sizes(channels=channels, modules=modules, classes=classes, image_channels=image_channels)
    height, width = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    check_image_size(height, width)
    area = height * width // 16
    fixed = 9 * image_channels * channels * 16 * area + 4 * channels * classes + classes
    # Counted in pixels of the last stack, whose cost per pixel is exact; float32 rounds the product alone.
    whole: Array = _total(arch, channels, modules, 0, (16, 4, 1), 0)
    return whole.astype(jnp.float32) * np.float32(area / 1e6) + np.float32(fixed / 1e6)


# One program outside of `jit`; inside it as if it were written there.
@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5), inline=True)
def _total(
    arch: Array, channels: int, modules: int, per_channel: int, weights: tuple[int, int, int], fixed: int
) -> Array:
    """Returns the weighted sum over stacks of what their modules have, and `fixed`, int32 `[...]`.

    Args:
      arch: int32 `[26, ...]`.
      channels: Of the first stack.
      modules: In a stack.
      per_channel: What each output channel of a convolution counts beside its kernel.
      weights: Of the stacks.
      fixed: Added once.
    """
    width = channels * 2 ** (NUM_STACKS - 1)
    most = fixed + sum(weights) * modules * (MAX_VERTICES - 2) * width * (10 * width + 2 * per_channel)
    if most >= 2**31:
        raise ValueError(f"channels are {channels} and modules {modules}, too many to count in 31 bits")
    total: Array = jnp.int32(fixed)
    for stack, weight in enumerate(weights):
        outputs = channels * 2**stack
        inputs = channels * 2 ** max(stack - 1, 0)
        graph = wiring(jnp.asarray(arch), outputs)
        own = functools.partial(_module, jnp.asarray(arch), graph, outputs=outputs, per_channel=per_channel)
        total = total + weight * (own(inputs=inputs) + (modules - 1) * own(inputs=outputs))
    return total


def _module(arch: Array, graph: Wiring, *, inputs: int, outputs: int, per_channel: int) -> Array:
    own = graph.channels[1:-1]
    taps = jnp.asarray(_TAPS, jnp.int32)[arch[NUM_EDGES:]]
    operations = jnp.where(taps > 0, own * (taps * own + per_channel), 0)
    projections = jnp.where(graph.matrix[0, 1:-1], own * (inputs + per_channel), 0)
    output = jnp.where(graph.matrix[0, -1], outputs * (inputs + per_channel), 0)
    total: Array = jnp.sum(operations + projections, axis=0, dtype=jnp.int32) + output
    return total


def check_image_sizes(*, channels: int, **sizes: int) -> None:
    """Raises a `TypeError` or `ValueError` that names the size of a network that makes no sense."""
    for name, size in {"channels": channels, **sizes}.items():
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} is {size!r}, expected a Python int")
        least = MIN_CHANNELS if name == "channels" else 1
        if size < least:
            why = ": four vertices may share them" if name == "channels" else ""
            raise ValueError(f"{name} is {size}, expected at least {least}{why}")


def check_image_size(height: int, width: int) -> None:
    """Raises a `TypeError` or `ValueError` for an image that cannot be halved twice."""
    check_image_sizes(channels=MIN_CHANNELS, height=height, width=width)
    if height % 4 or width % 4:
        raise ValueError(f"images are {height} by {width}, expected multiples of 4: two poolings halve the image")
