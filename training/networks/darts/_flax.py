"""The network of one genotype of the DARTS space as a Flax module. Importing this module needs flax."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jnas.core._vocabulary import Array, Weights
from jnas.spaces.darts._cells import NODES, SHAPE
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
from jnas.training.networks.darts._edge import (
    AVG_POOL,
    KERNEL_SIZES,
    MAX_POOL,
    NONE,
    ROUNDS,
    SEP_3,
    SEP_5,
    SKIP,
    TAPS,
    DartsEdgeParameters,
)
from jnas.training.networks.darts._network import (
    STEM_MULTIPLIER,
    AuxiliaryHead,
    CellParameters,
    CellSize,
    CellStatistics,
    DartsParameters,
    DartsStatistics,
    LinearLayer,
    cell_sizes,
    overlapping_quarters,
)
from jnas.training.networks.darts._weights import check_darts_weights

_POOLS: dict[int, Callable[..., Array]] = {
    MAX_POOL: nnx.max_pool,
    AVG_POOL: functools.partial(nnx.avg_pool, count_include_pad=False),
}


class Plain(nnx.Module):
    """An operation without weights: a pool, a skip that keeps the size, or `none`."""

    def __init__(self, choice: int, stride: int):
        """Takes the operation's number."""
        self.choice, self.stride = choice, stride

    def __call__(self, images: Array) -> Array:
        """Returns images `[B, H / stride, W / stride, C]`."""
        if self.choice in _POOLS:
            return _POOLS[self.choice](images, (3, 3), strides=(self.stride,) * 2, padding=((1, 1), (1, 1)))
        return images if self.choice == SKIP else jnp.zeros_like(images[:, :: self.stride, :: self.stride])


class Halved(nnx.Module):
    """A factorized reduction: half of the channels from every other pixel, half from those one further down."""

    def __init__(self, parameters: NormalizedConvolution, statistics: Any, norm: Any):
        """Takes a kernel `[C', C]`, scale and shift `[C']`, and statistics `[2, C']`."""
        half = len(parameters.kernel) // 2
        self.even = convolution_of(parameters.kernel[:half], 1) if half else None
        self.odd = convolution_of(parameters.kernel[half:], 1)
        self.norm = batch_norm_of(parameters.scale, parameters.shift, statistics, norm)

    def __call__(self, images: Array) -> Array:
        """Returns images `[B, H / 2, W / 2, C']`."""
        active = nnx.relu(images)
        parts = [] if self.even is None else [self.even(active[:, ::2, ::2])]
        normalized: Array = self.norm(jnp.concatenate([*parts, self.odd(active[:, 1::2, 1::2])], -1))
        return normalized


class DepthwiseRound(nnx.Module):
    """ReLU, a depthwise convolution, a 1x1 convolution and batch-norm."""

    def __init__(self, kernel: Any, dilation: int, stride: int, product: NormalizedConvolution, used: Any, norm: Any):
        """Takes a kernel `[C, S, S]`; scale, shift and the 1x1 kernel; and statistics `[2, C]`."""
        width, size = kernel.shape[:2]
        self.depthwise = nnx.Conv(
            width,
            width,
            (size, size),
            strides=stride,
            padding=dilation * (size // 2),
            kernel_dilation=dilation,
            feature_group_count=width,
            use_bias=False,
            kernel_init=nnx.initializers.zeros,
            rngs=nnx.Rngs(0),
        )
        set_value(self.depthwise.kernel, kernel.transpose(1, 2, 0)[:, :, None])
        self.product = ConvolutionNorm(product.kernel, 1, product, used, norm)

    def __call__(self, images: Array) -> Array:
        """Returns images `[B, H / stride, W / stride, C]`."""
        return self.product(self.depthwise(nnx.relu(images)))


class DartsCell(nnx.Module):
    """Two inputs, four nodes of two edges each, concatenated."""

    def __init__(self, cell: np.ndarray, size: CellSize, own: CellParameters, used: CellStatistics, norm: Any):
        """Takes a cell `[4, 2, 2]`, its size, parameters and statistics."""
        self.states = tuple(int(state) for state in cell[..., 0].reshape(-1))
        first = Halved if size.after_reduction else _one_by_one
        self.first = first(own.first, used.first, norm)
        self.second = _one_by_one(own.second, used.second, norm)
        edges = []
        for number, (state, choice) in enumerate(cell.reshape(-1, 2).tolist()):
            parameters = DartsEdgeParameters(*(leaf[number] for leaf in own.edges))
            stride = 2 if size.reduction and state < 2 else 1
            edges.append(_operation(choice, stride, parameters, used.edges[number], norm))
        self.edges = nnx.List(edges)

    def __call__(self, before: Array, last: Array) -> Array:
        """Returns images `[B, H, W, 4 C]` of those of the two cells before."""
        states = [self.first(before), self.second(last)]
        for node in range(NODES):
            pair = (2 * node, 2 * node + 1)
            one, two = (self.edges[number](states[self.states[number]]) for number in pair)
            states.append(one + two)
        return jnp.concatenate(states[2:], -1)


class Auxiliary(nnx.Module):
    """The head that helps in training."""

    def __init__(self, parameters: AuxiliaryHead, statistics: Any, norm: Any):
        """Takes the head's parameters and the statistics of its two batch-norms."""
        self.first = ReluConvolutionNorm(parameters.first.kernel, 1, parameters.first, statistics[0], norm)
        self.second = ConvolutionNorm(parameters.second.kernel, 1, parameters.second, statistics[1], norm)
        self.linear = _linear(parameters.linear)

    def __call__(self, images: Array) -> Array:
        """Returns logits `[B, classes]` of the images `[B, H, W, C]` after the second reduction cell."""
        pooled = overlapping_quarters(nnx.relu(images).transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)
        flat = nnx.relu(self.first.norm(self.first.convolution(pooled)))
        logits: Array = self.linear(nnx.relu(self.second(flat.reshape(len(flat), 1, 1, -1))[:, 0, 0]))
        return logits


class DartsModule(nnx.Module):
    """The network of one genotype; `module(images)` gives logits `[B, classes]` of `[B, H, W, C]`.

    Paths are not dropped.

    Attributes:
      arch: The genotype, 32 numbers.
      stem: The first convolution.
      cells: All cells.
      linear: The layer that gives the logits.
      auxiliary: The head that helps in training, of the weights that have one; see `with_auxiliary`.
    """

    def __init__(self, arch: np.ndarray, weights: Weights, epsilon: float, momentum: float):
        """See `jnas.training.to_flax`."""
        parameters, statistics = jax.tree.map(np.asarray, weights)  # what follows would compile one array at a time
        norm = functools.partial(nnx.BatchNorm, epsilon=epsilon, momentum=momentum, use_fast_variance=False)
        self.arch = tuple(int(number) for number in arch)
        kinds, sizes = np.asarray(arch).reshape(SHAPE), _sizes(parameters)
        self.stem = ConvolutionNorm(parameters.stem.kernel, 3, parameters.stem, statistics.stem, norm)
        each = zip(sizes, parameters.cells, statistics.cells, strict=True)
        self.cells = nnx.List(
            [DartsCell(kinds[int(size.reduction)], size, own, used, norm) for size, own, used in each]
        )
        self.linear = _linear(parameters.head)
        head = parameters.auxiliary
        self.auxiliary = None if head is None else Auxiliary(head, statistics.auxiliary, norm)

    def __call__(self, images: Array) -> Array:
        """Returns logits `[B, classes]` of normalized images `[B, H, W, C]`, height and width multiples of 4."""
        return self._run(images)[0]

    def with_auxiliary(self, images: Array) -> tuple[Array, Array]:
        """Returns logits, and those of the auxiliary head."""
        if self.auxiliary is None:
            raise ValueError("the weights have no auxiliary head: the recipe that made them has none")
        logits, reduced = self._run(images)
        return logits, self.auxiliary(reduced)

    def _run(self, images: Array) -> tuple[Array, Array]:
        height, width = images.shape[1:3]
        if height % 4 or width % 4:
            raise ValueError(f"images are {height} by {width}, expected multiples of 4: two cells halve the image")
        before = last = reduced = self.stem(images)
        for number, cell in enumerate(self.cells):
            before, last = last, cell(before, last)
            reduced = last if number == 2 * len(self.cells) // 3 else reduced
        logits: Array = self.linear(jnp.mean(last, (1, 2)))
        return logits, reduced


def _make_module(arch: np.ndarray, weights: Any, epsilon: float, momentum: float) -> DartsModule:
    """Returns the network of a genotype `[32]`, after checking that the weights are its own."""
    check_darts_weights(arch, weights)
    return DartsModule(arch, weights, epsilon, momentum)


def _weights_of(module: DartsModule) -> Weights:
    """Returns what a module holds, in the form in which `train` returns it."""
    cells, cell_statistics = zip(*map(_cell_of, module.cells), strict=True)
    (stem, stem_statistics), head, used = _normalized(module.stem), None, None
    if module.auxiliary is not None:
        (first, used_1), (second, used_2) = _normalized(module.auxiliary.first), _normalized(module.auxiliary.second)
        head, used = AuxiliaryHead(first, second, _linear_of(module.auxiliary.linear)), (used_1, used_2)
    parameters = DartsParameters(stem, cells, _linear_of(module.linear), head)
    statistics = DartsStatistics(stem_statistics, cell_statistics, used)
    weights: Weights = jax.tree.map(jnp.asarray, Weights(parameters, statistics))
    return weights


def _sizes(parameters: DartsParameters) -> tuple[CellSize, ...]:
    return cell_sizes(len(parameters.stem.kernel) // STEM_MULTIPLIER, len(parameters.cells))


def _one_by_one(parameters: NormalizedConvolution, statistics: Any, norm: Any) -> ReluConvolutionNorm:
    return ReluConvolutionNorm(parameters.kernel, 1, parameters, statistics, norm)


def _operation(choice: int, stride: int, own: DartsEdgeParameters, used: Any, norm: Any) -> nnx.Module:
    products = [NormalizedConvolution(own.pointwise[n], own.scale[n], own.shift[n]) for n in range(ROUNDS)]
    if choice == SKIP and stride == 2:
        return Halved(products[0], used[0], norm)
    if choice not in KERNEL_SIZES:
        return Plain(min(choice, NONE), stride)
    rounds, border = 2 if choice in (SEP_3, SEP_5) else 1, (TAPS - KERNEL_SIZES[choice]) // 2
    taps = slice(border, TAPS - border)
    return nnx.Sequential(
        *(
            DepthwiseRound(own.depthwise[n][:, taps, taps], 3 - rounds, 1 if n else stride, products[n], used[n], norm)
            for n in range(rounds)
        )
    )


def _linear(parameters: LinearLayer) -> nnx.Linear:
    linear = nnx.Linear(*reversed(parameters.kernel.shape), kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    set_value(linear.kernel, parameters.kernel.T)
    set_value(linear.bias, parameters.bias)
    return linear


def _linear_of(linear: nnx.Linear) -> LinearLayer:
    return LinearLayer(array_of(linear.kernel).T, array_of(linear.bias))


def _normalized(module: Any) -> tuple[NormalizedConvolution, Any]:
    """Returns the weights and the statistics of a convolution, or of a factorized reduction."""
    if isinstance(module, Halved):
        halves = [rows_of(part) for part in (module.even, module.odd) if part is not None]
        kernel: Any = np.concatenate(halves)
        return NormalizedConvolution(kernel, *affine_of(module.norm)), statistics_of(module.norm)
    own, used = normalized_of(module)
    return NormalizedConvolution(*own), used


def _cell_of(cell: DartsCell) -> tuple[CellParameters, CellStatistics]:
    (first, used_1), (second, used_2) = _normalized(cell.first), _normalized(cell.second)
    parts = [_edge_of(edge, len(first.scale)) for edge in cell.edges]
    edges = jax.tree.map(lambda *leaves: np.stack(leaves), *[own for own, _ in parts])
    statistics: Any = np.stack([used for _, used in parts])
    return CellParameters(first, second, edges), CellStatistics(used_1, used_2, statistics)


def _edge_of(edge: Any, width: int) -> tuple[DartsEdgeParameters, Any]:
    """Returns an edge's parameters and statistics, as they start where it has none."""
    shapes: Any = ((width, TAPS, TAPS), (width, width), (width,), (width,))
    zeros: list[Any] = [np.zeros((ROUNDS, *shape), np.float32) for shape in shapes]
    own: Any = DartsEdgeParameters(*zeros)
    used = np.zeros((ROUNDS, 2, width), np.float32)
    used[:, 1] = 1
    rounds = edge.layers if isinstance(edge, nnx.Sequential) else [edge] if isinstance(edge, Halved) else []
    for number, part in enumerate(rounds):
        if isinstance(part, DepthwiseRound):
            kernel = array_of(part.depthwise.kernel)[:, :, 0].transpose(2, 0, 1)
            border = (TAPS - kernel.shape[1]) // 2
            taps = slice(border, TAPS - border)
            own.depthwise[number][:, taps, taps] = kernel
        weights, used[number] = _normalized(part.product if isinstance(part, DepthwiseRound) else part)
        own.pointwise[number], own.scale[number], own.shift[number] = weights
    return own, used


NETWORKS = FlaxNetworks(DartsModule, _make_module, _weights_of)
