"""The networks of the DARTS space: a stem, cells of which two halve the image, a head, and an auxiliary one."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array, Key, Network, Tap
from jnas.io._text import not_one_of
from jnas.spaces._categorical import checked_arch
from jnas.spaces._registry import check_arch
from jnas.spaces.darts._cells import NODES, SHAPE
from jnas.spaces.darts._cost import darts_flops, darts_parameters
from jnas.spaces.darts._space import darts
from jnas.training.networks._initial import Constant, Uniform, fresh_moments, initial_arrays, is_start
from jnas.training.networks._normalized_convolution import NormalizedConvolution
from jnas.training.networks.darts._cell import NUM_EDGES, Edges, any_edges, chosen_edges
from jnas.training.networks.darts._edge import (
    DIL_5,
    ROUNDS,
    SEP_5,
    TAPS,
    DartsEdgeParameters,
    factorized_reduction,
    has_parameters,
)
from jnas.training.networks.darts._tapped import watched_pass
from jnas.training.networks.nasbench201._network import check_network_sizes
from jnas.training.operations._convolutions import patches
from jnas.training.operations._normalized import learned_norm, pointwise

ImageType = Literal["float32", "bfloat16"]
"""In what a network computes its images."""

STEM_MULTIPLIER = 3
AUXILIARY_CHANNELS = (128, 768)


class CellParameters(NamedTuple):
    """What a cell learns."""

    first: NormalizedConvolution  # 1x1, of the cell before the last one; half of its rows for each half of the pixels
    # where the last cell halved the image
    second: NormalizedConvolution  # 1x1, of the last cell
    edges: DartsEdgeParameters  # arrays [8, ...]


class LinearLayer(NamedTuple):
    """The linear layer."""

    kernel: Array  # float [classes, C]
    bias: Array  # float [classes]


class AuxiliaryHead(NamedTuple):
    """The head that helps in training."""

    first: NormalizedConvolution  # 1x1, to 128 channels
    second: NormalizedConvolution  # 2x2, to 768 channels
    linear: LinearLayer


class DartsParameters(NamedTuple):
    """What a network of the space can learn."""

    stem: NormalizedConvolution
    cells: tuple[CellParameters, ...]
    head: LinearLayer
    auxiliary: AuxiliaryHead | None


class CellStatistics(NamedTuple):
    """Means and variances of a cell's batch-norms."""

    first: Array  # float [2, C]
    second: Array  # float [2, C]
    edges: Array  # float [8, 2, 2, C]: edge, round, mean or variance


class DartsStatistics(NamedTuple):
    """Means and variances of every batch-norm."""

    stem: Array  # float [2, 3 C]
    cells: tuple[CellStatistics, ...]
    auxiliary: tuple[Array, Array] | None  # float [2, 128], [2, 768]


class CellSize(NamedTuple):
    """What a cell is, before its parameters; Python values."""

    inputs: tuple[int, int]  # channels of the cells before
    channels: int  # of its nodes
    reduction: bool  # whether it halves the image
    after_reduction: bool  # whether the last cell did
    halvings: int  # how often the image of its nodes has been halved


def cell_sizes(channels: int, cells: int) -> tuple[CellSize, ...]:
    """Returns the size of each cell; those at a third and at two thirds of them halve the image and double channels."""
    before, last, width = STEM_MULTIPLIER * channels, STEM_MULTIPLIER * channels, channels
    sizes: list[CellSize] = []
    for number in range(cells):
        reduction = number in (cells // 3, 2 * cells // 3)
        width *= 2 if reduction else 1
        halvings = (sizes[-1].halvings if sizes else 0) + reduction
        sizes.append(CellSize((before, last), width, reduction, bool(sizes) and sizes[-1].reduction, halvings))
        before, last = last, NODES * width
    return tuple(sizes)


def darts_network(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 36,
    cells: int = 20,
    arch: Any = None,
    auxiliary: bool = False,
    epsilon: float = 1e-5,
    rematerialize: bool = False,
    dtype: ImageType = "float32",
) -> Network:
    """Returns the networks of the DARTS space's pairs of cells.

    A 3x3 convolution to `3 channels`; `cells` cells, of which those at a third and at two thirds are reduction cells,
    which halve the image and double the channels; the mean over the image; a linear layer. A cell first brings the
    results of the two cells before to its own channels (ReLU, 1x1 convolution, batch-norm; from images twice as large a
    factorized reduction); each of its four nodes is the sum of two operations; it gives all four, concatenated.

    In training there may be an auxiliary head after the cell at two thirds (counted from 0: ReLU, means of overlapping
    quarters, convolutions to 128 and to 768 channels, a linear layer), and paths may be dropped.

    Kernels and linear layers start uniform within one over the square root of their fan-in, as PyTorch's layers do.
    The parameters have room for every operation on every edge, so that architectures are data; what an architecture
    does not have is zero.

    Args:
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the first cells' nodes.
      cells: All of them.
      arch: int `[32]`: a program of this architecture alone, the form `'static'`. By default one program for all,
        the form `'switch'`, which branches at every edge.
      auxiliary: Whether there is an auxiliary head, of which `regularized` gives the outputs.
      epsilon: Of batch-norm.
      rematerialize: Whether gradients compute each cell again, of which then the inputs alone are kept.
      dtype: Of the images within the network and of what they are multiplied with. With `'bfloat16'` parameters and
        their gradients, batch-norm, its statistics, the last layers and the loss stay in float32.

    Raises:
      TypeError: A size is not a Python int, or the architecture is not made of integers.
      ValueError: A size is not positive, the image's is not a multiple of 4, or the architecture is none of the space.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Sections 3.1 and A.
    """
    height, width, image_channels = image_shape
    check_network_sizes(height, width, image_channels, num_classes, channels, cells)
    if dtype not in get_args(ImageType):
        raise ValueError(not_one_of("dtype", dtype, get_args(ImageType)))
    sizes = cell_sizes(channels, cells)
    starts = _starts(sizes, channels, image_channels, num_classes, auxiliary)

    def init(key: Key, arch: Array) -> tuple[DartsParameters, DartsStatistics]:
        parameters: DartsParameters = initial_arrays(key, starts)
        own = tuple(
            cell._replace(edges=_own_edges(arch, size, cell.edges))
            for cell, size in zip(parameters.cells, sizes, strict=True)
        )
        return parameters._replace(cells=own), _fresh_statistics(sizes, channels, auxiliary)

    own = None if arch is None else _checked(arch)
    edges = [any_edges(epsilon)] * 2 if own is None else [chosen_edges(cell.tolist(), epsilon) for cell in own]

    def run(
        parameters: DartsParameters, statistics: Any, arch: Array, images: Array, keeps: Any, with_auxiliary: bool
    ) -> tuple[Array, tuple[Array, ...], DartsStatistics]:
        normalize = functools.partial(learned_norm, epsilon=epsilon)
        cell_archs = jnp.asarray(arch).reshape(SHAPE)
        if dtype == "bfloat16":
            parameters, keeps = _narrowed(jnp.bfloat16, (parameters, keeps))
        images, stem = _stem(parameters.stem, statistics, images, normalize)
        before, last, used = images, images, []
        outputs: tuple[Array, ...] = ()
        used_auxiliary = None if parameters.auxiliary is None else _fresh_auxiliary()
        for number, size in enumerate(sizes):
            kind = int(size.reduction)
            through: Callable[..., Any] = functools.partial(_cell, edges[kind], size, normalize)
            through = jax.checkpoint(through) if rematerialize else through
            given = None if statistics is None else statistics.cells[number]
            keep = None if keeps is None else keeps[number]
            out, each = through(cell_archs[kind], before, last, parameters.cells[number], given, keep)
            before, last = last, out
            used.append(each)
            if with_auxiliary and parameters.auxiliary is not None and number == 2 * cells // 3:
                logits, used_auxiliary = _auxiliary(parameters.auxiliary, out, normalize)
                outputs = (logits,)
        logits = _classify(parameters.head, jnp.mean(last, (1, 2), parameters.head.kernel.dtype))
        return logits, outputs, DartsStatistics(stem, tuple(used), used_auxiliary)

    def apply(parameters: Any, statistics: Any, arch: Array, images: Array) -> tuple[Array, DartsStatistics]:
        logits, _, used = run(parameters, statistics, arch, images, None, False)
        return logits, used

    def regularized(
        parameters: Any, arch: Array, images: Array, key: Key, drop_path: Array | None
    ) -> tuple[Array, tuple[Array, ...], DartsStatistics]:
        keeps = None if drop_path is None else _draw_keeps(key, (cells, NUM_EDGES, len(images)), drop_path)
        return run(parameters, None, arch, images, keeps, True)

    def has(arch: Array) -> DartsParameters:
        everything: DartsParameters = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), starts, is_leaf=is_start)
        own = (cell._replace(edges=_has_edges(arch, size)) for cell, size in zip(everything.cells, sizes, strict=True))
        return everything._replace(cells=tuple(own))

    def counts(shape: tuple[int, ...]) -> DartsStatistics:
        pixels: Any = shape[0] * height * width
        each: Any = [pixels // 4**size.halvings for size in sizes]
        before: Any = [count * (4 if size.reduction else 1) for count, size in zip(each, sizes, strict=True)]
        inner = tuple(CellStatistics(first, first, own) for first, own in zip(before, each, strict=True))
        return DartsStatistics(pixels, inner, (4 * shape[0], shape[0]) if auxiliary else None)  # type: ignore[arg-type]

    def tapped(
        parameters: Any, arch: Array, images: Array, tap: Tap, given: Any = None, twice: bool = False
    ) -> tuple[Array, dict[str, Any]]:
        del twice  # all operations have gradients of gradients
        return watched_pass(parameters, arch, images, tap, given, own=own, sizes=sizes, epsilon=epsilon)

    costs: dict[str, Any] = {
        "channels": channels,
        "layers": cells,
        "classes": num_classes,
        "image_channels": image_channels,
    }
    return Network(
        init=init,
        apply=apply,
        has=has,
        counts=counts,
        parameters=functools.partial(darts_parameters, **costs),
        flops=functools.partial(darts_flops, **costs, image_size=(height, width)),
        space=darts(),
        form="switch" if own is None else "static",
        rematerialize=rematerialize,
        regularized=regularized,
        dtype=dtype,
        layers=functools.partial(_layers, sizes),
        tapped=tapped,
    )


def _layers(sizes: tuple[CellSize, ...], parameters: DartsParameters) -> tuple[Array, ...]:
    """Returns the weights of every kind of layer, `[L, C', K]`; the auxiliary head, of training alone, has none."""
    found = [parameters.stem.kernel[None], parameters.head.kernel[None]]
    for size, cell in zip(sizes, parameters.cells, strict=True):
        halves = 2 if size.after_reduction else 1  # a factorized reduction is two convolutions
        found.append(cell.first.kernel.reshape(halves, -1, cell.first.kernel.shape[-1]))
        found.append(cell.second.kernel[None])
        depthwise, pointwise = cell.edges.depthwise, cell.edges.pointwise
        found.append(depthwise.reshape(-1, depthwise.shape[-3], depthwise.shape[-2] * depthwise.shape[-1]))
        found.append(pointwise.reshape(-1, *pointwise.shape[-2:]))
    return tuple(found)


def _checked(arch: Any) -> np.ndarray:
    """Returns an architecture as `[2, 4, 2, 2]`, after checking that it is one, with or without `none`."""
    space = darts(none=True)
    own = checked_arch(np.asarray(arch), space.num_choices)
    check_arch(space, own)
    return own.reshape(SHAPE)


def _stem(stem: NormalizedConvolution, statistics: Any, images: Array, normalize: Any) -> tuple[Array, Array]:
    turned = images.transpose(3, 1, 2, 0).astype(stem.kernel.dtype)
    convolved = (stem.kernel @ patches(turned)).reshape(-1, *turned.shape[1:])
    result: tuple[Array, Array] = normalize(
        convolved, stem.scale, stem.shift, None if statistics is None else statistics.stem
    )
    return result


def _cell(
    edges: Edges,
    size: CellSize,
    normalize: Callable[..., tuple[Array, Array]],
    cell: Array,
    before: Array,
    last: Array,
    parameters: CellParameters,
    statistics: CellStatistics | None,
    keeps: Array | None,
) -> tuple[Array, CellStatistics]:
    """Returns a cell's concatenated nodes `[4 C, H, W, B]` and the statistics used."""
    first, second, of_edges = statistics or (None, None, None)
    one, two = parameters.first, parameters.second
    reduce = factorized_reduction if size.after_reduction else pointwise
    before, used_1 = normalize(reduce(jax.nn.relu(before), one.kernel), one.scale, one.shift, first)
    last, used_2 = normalize(pointwise(jax.nn.relu(last), two.kernel), two.scale, two.shift, second)
    stride = 2 if size.reduction else 1
    nodes, used = edges(stride, cell, (before, last), parameters.edges, of_edges, keeps)
    return nodes.reshape(-1, *nodes.shape[2:]), CellStatistics(used_1, used_2, used)


def _auxiliary(
    head: AuxiliaryHead, images: Array, normalize: Callable[..., tuple[Array, Array]]
) -> tuple[Array, tuple[Array, Array]]:
    """Returns logits of the auxiliary head and the statistics of its batch-norms."""
    pooled = overlapping_quarters(jax.nn.relu(images))
    out, used_1 = normalize(pointwise(pooled, head.first.kernel), head.first.scale, head.first.shift, None)
    flat = jax.nn.relu(out).transpose(1, 2, 0, 3).reshape(-1, out.shape[-1])
    convolved = (head.second.kernel @ flat)[:, None, None]
    out, used_2 = normalize(convolved, head.second.scale, head.second.shift, None)
    return _classify(head.linear, jax.nn.relu(out[:, 0, 0])), (used_1, used_2)


def overlapping_quarters(images: Array) -> Array:
    """Returns the means of four windows, `[C, 2, 2, B]`, of five eighths of the sides; published are 5 of 8."""
    for axis in (1, 2):
        size = images.shape[axis]
        window = max(1, round(5 * size / 8))
        parts = (lax.slice_in_dim(images, start, start + window, axis=axis) for start in (0, size - window))
        images = jnp.concatenate([jnp.mean(part, axis, keepdims=True) for part in parts], axis)
    return images


def _classify(linear: LinearLayer, features: Array) -> Array:
    return (linear.kernel @ features.astype(linear.kernel.dtype)).T + linear.bias[None]


def _narrowed(dtype: Any, tree: Any) -> Any:
    """Returns parameters whose kernels of convolutions are of a type, or all of an array; linear layers stay."""

    def narrow(own: Any) -> Any:
        if isinstance(own, LinearLayer):
            return own
        if isinstance(own, NormalizedConvolution):
            return own._replace(kernel=own.kernel.astype(dtype))
        if isinstance(own, DartsEdgeParameters):
            return own._replace(depthwise=own.depthwise.astype(dtype), pointwise=own.pointwise.astype(dtype))
        return own.astype(dtype)

    parts = (LinearLayer, NormalizedConvolution, DartsEdgeParameters)
    return jax.tree.map(narrow, tree, is_leaf=lambda own: isinstance(own, parts))


def _draw_keeps(key: Key, shape: tuple[int, ...], drop_path: Array) -> Array:
    """Returns what each path of each example is multiplied with: 0, or one over the probability that it is not."""
    keep = 1 - drop_path
    draws = jax.random.uniform(key, shape, jnp.float32)
    return jnp.where(draws < keep, 1 / keep, 0.0)


def _starts(
    sizes: tuple[CellSize, ...], channels: int, image_channels: int, num_classes: int, auxiliary: bool
) -> DartsParameters:
    """Returns how every array starts."""

    def normalized(outputs: int, inputs: int) -> NormalizedConvolution:
        starts: Any = Uniform((outputs, inputs), inputs), Constant((outputs,), 1.0), Constant((outputs,), 0.0)
        return NormalizedConvolution(*starts)

    def linear(inputs: int) -> LinearLayer:
        return LinearLayer(Uniform((num_classes, inputs), inputs), Uniform((num_classes,), inputs))  # type: ignore[arg-type]

    def cell(size: CellSize) -> CellParameters:
        first, second = (normalized(size.channels, inputs) for inputs in size.inputs)
        each = (NUM_EDGES, ROUNDS, size.channels)
        edges: Any = DartsEdgeParameters(
            Uniform((*each, TAPS, TAPS), TAPS**2),  # type: ignore[arg-type]
            Uniform((*each, size.channels), size.channels),  # type: ignore[arg-type]
            Constant(each, 1.0),  # type: ignore[arg-type]
            Constant(each, 0.0),  # type: ignore[arg-type]
        )
        return CellParameters(first, second, edges)

    at_two_thirds, last = NODES * sizes[2 * len(sizes) // 3].channels, NODES * sizes[-1].channels
    few, many = AUXILIARY_CHANNELS
    head = AuxiliaryHead(normalized(few, at_two_thirds), normalized(many, 4 * few), linear(many))
    return DartsParameters(
        stem=normalized(STEM_MULTIPLIER * channels, 9 * image_channels),
        cells=tuple(map(cell, sizes)),
        head=linear(last),
        auxiliary=head if auxiliary else None,
    )


def _own_edges(arch: Array, size: CellSize, edges: DartsEdgeParameters) -> DartsEdgeParameters:
    """Keeps of each edge what its operation has; a 3x3 kernel has a smaller fan-in than a 5x5 one."""
    choice = jnp.asarray(arch).reshape(2, NUM_EDGES, 2)[int(size.reduction), :, 1]
    wide = (choice == SEP_5) | (choice == DIL_5)
    factor = jnp.where(wide, np.float32(1), np.float32(TAPS / 3))[:, None, None, None, None]
    scaled = edges._replace(depthwise=edges.depthwise * factor)
    has = _has_edges(arch, size)
    return DartsEdgeParameters(*(jnp.where(mask, leaf, 0) for mask, leaf in zip(has, scaled, strict=True)))


def _has_edges(arch: Array, size: CellSize) -> DartsEdgeParameters:
    """Returns which numbers of a cell's edges the architecture has, bool arrays of their shapes."""
    cell = jnp.asarray(arch).reshape(2, NUM_EDGES, 2)[int(size.reduction)]
    strides = jnp.where((cell[:, 0] < 2) & size.reduction, 2, 1)
    return jax.vmap(lambda choice, stride: has_parameters(choice, stride, size.channels))(cell[:, 1], strides)


def _fresh_auxiliary() -> tuple[Array, Array]:
    few, many = AUXILIARY_CHANNELS
    return fresh_moments(few), fresh_moments(many)


def _fresh_statistics(sizes: tuple[CellSize, ...], channels: int, auxiliary: bool) -> DartsStatistics:
    def cell(size: CellSize) -> CellStatistics:
        width = size.channels
        return CellStatistics(fresh_moments(width), fresh_moments(width), fresh_moments(NUM_EDGES, ROUNDS, width))

    stem = fresh_moments(STEM_MULTIPLIER * channels)
    return DartsStatistics(stem, tuple(map(cell, sizes)), _fresh_auxiliary() if auxiliary else None)
