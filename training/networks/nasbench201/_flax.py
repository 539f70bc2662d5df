"""The network of one NAS-Bench-201 cell as a Flax module. Importing this module needs flax."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jnas.core._vocabulary import Array, Weights
from jnas.spaces.nasbench201._cells import EDGES, OPERATIONS
from jnas.training.networks._family import FlaxNetworks
from jnas.training.networks._flax_layers import (
    ConvolutionNorm,
    ReluConvolutionNorm,
    affine_of,
    array_of,
    batch_norm_of,
    convolution_of,
    normalized_of,
    rows_of,
    set_value,
    statistics_of,
)
from jnas.training.networks._normalized_convolution import NormalizedConvolution
from jnas.training.networks.nasbench201._blocks import Reduction
from jnas.training.networks.nasbench201._edge import EdgeParameters, middle_tap
from jnas.training.networks.nasbench201._network import (
    Nasbench201Head,
    NasBench201Parameters,
    NasBench201Statistics,
)
from jnas.training.networks.nasbench201._weights import check_weights

_average_pool: Callable[..., Array] = nnx.avg_pool
_KERNEL_SIZES = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class Zero(nnx.Module):
    """The operation `none`."""

    def __call__(self, images: Array) -> Array:
        """Returns zeros."""
        return jnp.zeros_like(images)


class Skip(nnx.Module):
    """The operation `skip_connect`."""

    def __call__(self, images: Array) -> Array:
        """Returns the images themselves."""
        return images


class Pool(nnx.Module):
    """The operation `avg_pool_3x3`."""

    def __call__(self, images: Array) -> Array:
        """Returns means over 3x3 neighbours within the image."""
        return _average_pool(images, (3, 3), strides=(1, 1), padding="SAME", count_include_pad=False)


class Cell(nnx.Module):
    """Four nodes and six operations between them."""

    def __init__(self, arch: Sequence[int], parameters: EdgeParameters, statistics: Array, norm: Any):
        """Takes the parameters and statistics of a cell's edges, arrays `[6, ...]`."""
        edges = (EdgeParameters(*(array[number] for array in parameters)) for number in range(len(EDGES)))
        self.edges = nnx.List(
            [_operation(OPERATIONS[c], e, s, norm) for c, e, s in zip(arch, edges, statistics, strict=True)]
        )

    def __call__(self, images: Array) -> Array:
        """Returns the last node's images, `[B, H, W, C]`."""
        nodes = [images]
        for node in (1, 2, 3):
            incoming = [
                (source, edge) for (source, target), edge in zip(EDGES, self.edges, strict=True) if target == node
            ]
            nodes.append(functools.reduce(operator.add, [edge(nodes[source]) for source, edge in incoming]))
        return nodes[-1]


class ResidualReduction(nnx.Module):
    """A residual block that halves the image."""

    def __init__(self, parameters: Reduction, statistics: Array, norm: Any):
        """Takes a block's parameters and the statistics `[2, 2, C']` of its two batch-norms."""
        first, second, shortcut = parameters
        self.first = ReluConvolutionNorm(first.kernel, 3, first, statistics[0], norm, stride=2)
        self.second = ReluConvolutionNorm(second.kernel, 3, second, statistics[1], norm)
        self.shortcut = convolution_of(shortcut, 1)

    def __call__(self, images: Array) -> Array:
        """Returns images `[B, H / 2, W / 2, C']`."""
        halved = _average_pool(images, (2, 2), strides=(2, 2))
        return self.second(self.first(images)) + self.shortcut(halved)


class NasBench201Module(nnx.Module):
    """The network of one cell; `module(images)` gives logits `[B, classes]` of `[B, H, W, C]`.

    Attributes:
      arch: The cell, six numbers.
      stem: The first convolution.
      stages: Three lists of cells.
      reductions: The two blocks between them.
      norm: The last batch-norm.
      linear: The layer that gives the logits.
    """

    def __init__(self, arch: "Sequence[int] | np.ndarray", weights: Weights, epsilon: float, momentum: float):
        """See `jnas.training.to_flax`."""
        parameters, statistics = jax.tree.map(np.asarray, weights)  # what follows would compile one array at a time
        norm = functools.partial(nnx.BatchNorm, epsilon=epsilon, momentum=momentum, use_fast_variance=False)
        self.arch = tuple(int(choice) for choice in arch)
        self.stem = ConvolutionNorm(parameters.stem.kernel, 3, parameters.stem, statistics.stem, norm)
        self.stages = nnx.List(
            [_stage(self.arch, *pair, norm) for pair in zip(parameters.cells, statistics.cells, strict=True)]
        )
        self.reductions = nnx.List(
            [ResidualReduction(*pair, norm) for pair in zip(parameters.reductions, statistics.reductions, strict=True)]
        )
        head = parameters.head
        self.norm = batch_norm_of(head.scale, head.shift, statistics.head, norm)
        self.linear = nnx.Linear(*reversed(head.kernel.shape), kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
        set_value(self.linear.kernel, head.kernel.T)
        set_value(self.linear.bias, head.bias)

    def __call__(self, images: Array) -> Array:
        """Returns logits `[B, classes]` of normalized images `[B, H, W, C]`, height and width multiples of 4."""
        height, width = images.shape[1:3]
        if height % 4 or width % 4:
            raise ValueError(f"images are {height} by {width}, expected multiples of 4: two blocks halve the image")
        images = self.stem(images)
        for number, stage in enumerate(self.stages):
            images = self.reductions[number - 1](images) if number else images
            for cell in stage:
                images = cell(images)
        logits: Array = self.linear(jnp.mean(nnx.relu(self.norm(images)), (1, 2)))
        return logits


def _make_module(arch: np.ndarray, weights: Any, epsilon: float, momentum: float) -> NasBench201Module:
    """Returns the network of a cell `[6]`, after checking that the weights are its own."""
    check_weights(arch, weights)
    return NasBench201Module(arch, weights, epsilon, momentum)


def _weights_of(module: NasBench201Module) -> Weights:
    """Returns what a module holds, in the form in which `train` returns it."""
    width = module.stem.convolution.kernel.shape[-1]
    cells = [[_edges_of(cell, width * 2**stage) for cell in each] for stage, each in enumerate(module.stages)]
    stages = [jax.tree.map(_stacked, *stage) for stage in cells]
    blocks = [[normalized_of(block.first), normalized_of(block.second)] for block in module.reductions]
    stem, stem_statistics = normalized_of(module.stem)
    shortcuts = [rows_of(block.shortcut) for block in module.reductions]
    head = Nasbench201Head(*affine_of(module.norm), array_of(module.linear.kernel).T, array_of(module.linear.bias))
    parameters = NasBench201Parameters(
        stem=NormalizedConvolution(*stem),
        cells=tuple(parameters for parameters, _ in stages),
        reductions=tuple(
            Reduction(NormalizedConvolution(*a), NormalizedConvolution(*b), shortcut)
            for ((a, _), (b, _)), shortcut in zip(blocks, shortcuts, strict=True)
        ),
        head=head,
    )
    statistics = NasBench201Statistics(
        stem=stem_statistics,
        cells=tuple(statistics for _, statistics in stages),
        reductions=tuple(_stacked(a, b) for (_, a), (_, b) in blocks),
        head=statistics_of(module.norm),
    )
    weights: Weights = jax.tree.map(jnp.asarray, Weights(parameters, statistics))
    return weights


def _stage(arch: Sequence[int], parameters: EdgeParameters, statistics: Any, norm: Any) -> nnx.List[Cell]:
    cells = zip(*parameters, statistics, strict=True)
    return nnx.List([Cell(arch, EdgeParameters(*arrays), own, norm) for *arrays, own in cells])


def _operation(name: str, parameters: EdgeParameters, statistics: Any, norm: Any) -> nnx.Module:
    if name in _KERNEL_SIZES:
        size = _KERNEL_SIZES[name]
        kernel = parameters.kernel if size == 3 else middle_tap(parameters.kernel)
        return ReluConvolutionNorm(kernel, size, parameters, statistics, norm)
    return {"none": Zero, "skip_connect": Skip, "avg_pool_3x3": Pool}[name]()


def _edges_of(cell: Cell, width: int) -> tuple[EdgeParameters, Any]:
    """Returns a cell's parameters and statistics as arrays `[6, ...]`, as they start where an edge has none."""
    zeros: list[Any] = [np.zeros(shape, np.float32) for shape in ((width, 9 * width), width, width)]
    nothing = EdgeParameters(*zeros)
    fresh = np.stack([np.zeros(width, np.float32), np.ones(width, np.float32)])
    parameters: list[Any] = []
    statistics: list[Any] = []
    for edge in cell.edges:
        if isinstance(edge, ConvolutionNorm):
            (own, *affine), used = normalized_of(edge)
            around = (9 * width - own.shape[1]) // 2
            kernel: Any = np.pad(own, ((0, 0), (around, around)))
            parameters.append(EdgeParameters(kernel, *affine))
            statistics.append(used)
        else:
            parameters.append(nothing)
            statistics.append(fresh)
    return jax.tree.map(_stacked, *parameters), _stacked(*statistics)


def _stacked(*arrays: Any) -> Any:
    return np.stack(arrays)


NETWORKS = FlaxNetworks(NasBench201Module, _make_module, _weights_of)
