"""The networks of NAS-Bench-201: stem, three stages of cells with residual reductions between them, head."""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array, Network, Tap
from jnas.spaces.nasbench201._cells import EDGES, OPERATIONS
from jnas.spaces.nasbench201._cost import nasbench201_flops, nasbench201_parameters
from jnas.spaces.nasbench201._space import nasbench201
from jnas.training.networks._initial import Constant, Uniform, fresh_moments, initial_arrays, is_start
from jnas.training.networks._normalized_convolution import NormalizedConvolution
from jnas.training.networks.nasbench201._blocks import Reduction, halve, through_cell
from jnas.training.networks.nasbench201._edge import EdgeParameters, make_edge
from jnas.training.networks.nasbench201._tapped import tapped_pass
from jnas.training.operations._convolutions import Convolution, batch_norm, check_convolution
from jnas.training.operations._forms import Form, switch_form
from jnas.training.operations._layouts import layout_for, twice_differentiable

NUM_STAGES = 3
_NOTHING: Any = (None, (None,) * NUM_STAGES, (None,) * (NUM_STAGES - 1), None)
_ONE = OPERATIONS.index("nor_conv_1x1")
_THREE = OPERATIONS.index("nor_conv_3x3")


class Nasbench201Head(NamedTuple):
    """The last batch-norm and the linear layer."""

    scale: Array  # float [C]
    shift: Array  # float [C]
    kernel: Array  # float [classes, C]
    bias: Array  # float [classes]


class NasBench201Parameters(NamedTuple):
    """What a network of the space can learn."""

    stem: NormalizedConvolution
    cells: tuple[EdgeParameters, ...]  # one for each stage, arrays [N, 6, ...]
    reductions: tuple[Reduction, ...]
    head: Nasbench201Head


class NasBench201Statistics(NamedTuple):
    """Means and variances of every batch-norm."""

    stem: Array  # float [2, C]
    cells: tuple[Array, ...]  # one for each stage, float [N, 6, 2, C]
    reductions: tuple[Array, ...]  # float [2, 2, C']: of the first and of the second convolution
    head: Array  # float [2, C]


def nasbench201_network(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 16,
    cells: int = 5,
    form: Form | None = None,
    epsilon: float = 1e-5,
    convolution: Convolution = "auto",
    rematerialize: bool = False,
) -> Network:
    """Returns the networks of NAS-Bench-201's cells.

    A 3x3 convolution with batch-norm; three stages of `cells` cells with `channels`, twice and four times as many
    channels; between stages a residual block of stride 2 (ReLU, 3x3 convolution and batch-norm, twice; the shortcut is
    a 2x2 average pooling and a 1x1 convolution); batch-norm, ReLU, the mean over the image, a linear layer. All
    convolutions are without bias; kernels and the linear layer start uniform within one over the square root of their
    fan-in, as PyTorch's layers do.

    The parameters have a 3x3 kernel on every edge, so that architectures are data; what an architecture does not use
    is zero.

    Args:
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the first stage.
      cells: In each stage.
      form: How an edge's operation is chosen; by default a branch (`switch`).
      epsilon: Of batch-norm.
      convolution: How 3x3 convolutions are said; see `jnas.training.operations._convolutions`.
      rematerialize: Whether gradients compute each cell again, of which then the input alone is kept.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, or the image's is not a multiple of 4.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020, Section
      2.1 and Figure 1.

    Example:
      >>> network = jnas.training.nasbench201_network(image_shape=(32, 32, 3), num_classes=10)
      >>> round(float(network.parameters(jnp.array([3, 3, 3, 3, 3, 3]))), 3), network.space.name
      (1.532, 'nasbench201')
    """
    form = form or switch_form()
    height, width, image_channels = image_shape
    check_network_sizes(height, width, image_channels, num_classes, channels, cells)
    check_convolution(convolution)
    widths = tuple(channels * 2**stage for stage in range(NUM_STAGES))

    def init(key: Array, arch: Array) -> tuple[NasBench201Parameters, NasBench201Statistics]:
        parameters = initial_arrays(key, _shapes(widths, cells, image_channels, num_classes))
        own = tuple(_own_kernels(arch, stage) for stage in parameters.cells)
        return parameters._replace(cells=own), _fresh_statistics(widths, cells)

    def apply(
        parameters: NasBench201Parameters, statistics: NasBench201Statistics | None, arch: Array, images: Array
    ) -> tuple[Array, NasBench201Statistics]:
        given: Any = statistics or NasBench201Statistics(*_NOTHING)
        layout = layout_for(images, channels, form.name, convolution)
        edge, normalize = (
            make_edge(form, epsilon, layout),
            functools.partial(batch_norm, epsilon=epsilon, axis=layout.axis),
        )
        stem = parameters.stem
        images = layout.convolve_first(layout.enter(images), stem.kernel)
        images, stem_statistics = normalize(images, stem.scale, stem.shift, given.stem)
        cell_statistics, reduction_statistics = [], []
        for stage in range(NUM_STAGES):
            if stage:
                images, each = halve(
                    images, parameters.reductions[stage - 1], given.reductions[stage - 1], normalize, layout
                )
                reduction_statistics.append(each)

            def through(images: Array, cell: Any) -> tuple[Array, Array]:
                return through_cell(edge, arch, images, *cell)

            cells_of_stage = (parameters.cells[stage], given.cells[stage])
            if rematerialize:  # in a loop, so that a cell is not computed again before its gradient is at hand
                images, each = lax.scan(jax.checkpoint(through, prevent_cse=False), images, cells_of_stage)
            else:
                images, each = lax.scan(through, images, cells_of_stage, unroll=True)
            cell_statistics.append(each)
        head = parameters.head
        images, head_statistics = normalize(images, head.scale, head.shift, given.head)
        features = jnp.mean(jax.nn.relu(images), (1, 2))
        logits = layout.classify(features, head.kernel, head.bias)
        used = NasBench201Statistics(
            stem_statistics, tuple(cell_statistics), tuple(reduction_statistics), head_statistics
        )
        return logits, used

    def tapped(
        parameters: NasBench201Parameters, arch: Array, images: Array, tap: Tap, given: Any = None, twice: bool = False
    ) -> Any:
        layout = twice_differentiable() if twice else layout_for(images, channels, form.name, convolution)
        return tapped_pass(parameters, arch, images, tap, given, form=form, epsilon=epsilon, layout=layout)

    def has(arch: Array) -> NasBench201Parameters:
        shapes = _shapes(widths, cells, image_channels, num_classes)
        everything: NasBench201Parameters = jax.tree.map(
            lambda leaf: jnp.ones(leaf.shape, bool), shapes, is_leaf=is_start
        )
        return everything._replace(cells=tuple(_has(arch, stage) for stage in everything.cells))

    def counts(shape: tuple[int, ...]) -> NasBench201Statistics:
        pixels: Any = shape[0] * height * width
        by_stage = tuple(pixels // 4**stage for stage in range(NUM_STAGES))
        return NasBench201Statistics(pixels, by_stage, by_stage[1:], by_stage[-1])

    sizes: dict[str, Any] = {
        "channels": channels,
        "cells": cells,
        "classes": num_classes,
        "image_channels": image_channels,
    }
    return Network(
        init=init,
        apply=apply,
        has=has,
        counts=counts,
        parameters=functools.partial(nasbench201_parameters, **sizes),
        flops=functools.partial(nasbench201_flops, **sizes, image_size=(height, width)),
        space=nasbench201(),
        form=form.name,
        rematerialize=rematerialize,
        layers=_layers,
        tapped=tapped,
    )


def _layers(parameters: NasBench201Parameters) -> tuple[Array, ...]:
    """Returns the weights of every kind of layer, `[L, C', K]`."""
    cells = [cell.kernel.reshape(-1, *cell.kernel.shape[-2:]) for cell in parameters.cells]
    between = [kernel for each in parameters.reductions for kernel in (each.first.kernel, each.second.kernel, each[2])]
    return (*cells, *(kernel[None] for kernel in (parameters.stem.kernel, *between, parameters.head.kernel)))


def _shapes(widths: tuple[int, ...], cells: int, image_channels: int, num_classes: int) -> NasBench201Parameters:
    """Returns how every array starts."""

    def normalized(inputs: int, outputs: int) -> NormalizedConvolution:
        return NormalizedConvolution(_uniform((outputs, 9 * inputs), 9 * inputs), *_scale_and_shift(outputs))

    def edges(width: int) -> EdgeParameters:
        kernel = _uniform((cells, len(EDGES), width, 9 * width), width)
        return EdgeParameters(kernel, *_scale_and_shift(cells, len(EDGES), width))

    def reduction(narrow: int, wide: int) -> Reduction:
        return Reduction(normalized(narrow, wide), normalized(wide, wide), _uniform((wide, narrow), narrow))

    last = widths[-1]
    return NasBench201Parameters(
        stem=normalized(image_channels, widths[0]),
        cells=tuple(edges(width) for width in widths),
        reductions=tuple(reduction(*pair) for pair in itertools.pairwise(widths)),
        head=Nasbench201Head(
            *_scale_and_shift(last), _uniform((num_classes, last), last), _uniform((num_classes,), last)
        ),
    )


def _uniform(shape: tuple[int, ...], fan_in: int) -> Any:
    return Uniform(shape, fan_in)


def _scale_and_shift(*shape: int) -> tuple[Any, Any]:
    return Constant(shape, 1.0), Constant(shape, 0.0)


def _own_kernels(arch: Array, stage: EdgeParameters) -> EdgeParameters:
    """Keeps of each edge what its operation has; a 3x3 kernel has nine times the fan-in of a 1x1."""
    has = _has(arch, stage)
    scale = jnp.where(jnp.asarray(arch) == _THREE, np.float32(1 / 3), np.float32(1))
    kernel = stage.kernel * scale[None, :, None, None]
    return EdgeParameters(
        *(jnp.where(mask, array, 0) for mask, array in zip(has, stage._replace(kernel=kernel), strict=True))
    )


def _has(arch: Array, stage: EdgeParameters) -> EdgeParameters:
    """Returns which numbers of a stage's edges the architecture has, bool arrays of the same shapes."""
    arch = jnp.asarray(arch)
    width = stage.scale.shape[-1]
    columns = np.arange(9 * width)
    middle = (columns >= 4 * width) & (columns < 5 * width)
    kernel = (arch == _THREE)[:, None] | ((arch == _ONE)[:, None] & middle[None, :])
    convolution = ((arch == _ONE) | (arch == _THREE))[None, :, None]
    return EdgeParameters(
        kernel=jnp.broadcast_to(kernel[None, :, None, :], stage.kernel.shape),
        scale=jnp.broadcast_to(convolution, stage.scale.shape),
        shift=jnp.broadcast_to(convolution, stage.shift.shape),
    )


def _fresh_statistics(widths: tuple[int, ...], cells: int) -> NasBench201Statistics:
    return NasBench201Statistics(
        stem=fresh_moments(widths[0]),
        cells=tuple(fresh_moments(cells, len(EDGES), width) for width in widths),
        reductions=tuple(fresh_moments(2, width) for width in widths[1:]),
        head=fresh_moments(widths[-1]),
    )


def check_network_sizes(height: int, width: int, *rest: int) -> None:
    """Raises a `TypeError` or a `ValueError` for sizes that a network of the space cannot have."""
    for size in (height, width, *rest):
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"a size of the network is {size!r}, expected a Python int")
        if size < 1:
            raise ValueError(f"a size of the network is {size}, expected at least 1")
    if height % 4 or width % 4:
        raise ValueError(f"images are {height} by {width}, expected multiples of 4: two blocks halve the image")
