"""Parameters and multiply-adds of the networks of genotypes, from their structure."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.io._text import did_you_mean
from jnas.spaces.darts._cells import ALL_OPERATIONS, CONCAT, SHAPE
from jnas.spaces.darts._genotype import CELLS, Genotype, edge_name


class Cost(NamedTuple):
    """What a part of a network costs."""

    parameters: int = 0
    multiply_adds: int = 0  # of one image, of convolutions and linear layers

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


_Operation = Callable[[int, int, int], Cost]  # of channels, stride and pixels of the output


def _convolution(weights: int, channels: int, pixels: int) -> Cost:
    """Weights without bias, used at each of so many pixels, and batch-norm with scale and shift."""
    return Cost(weights + 2 * channels, weights * pixels)


def _separable(size: int, times: int) -> _Operation:
    def cost(channels: int, stride: int, pixels: int) -> Cost:
        del stride
        one = _convolution(size * size * channels + channels * channels, channels, pixels)
        return Cost(times * one.parameters, times * one.multiply_adds)

    return cost


def _row_and_column(size: int) -> _Operation:
    """A convolution along rows, which has the stride there alone, then one along columns, then batch-norm."""

    def cost(channels: int, stride: int, pixels: int) -> Cost:
        weights = size * channels * channels
        return Cost(2 * weights + 2 * channels, weights * pixels * (stride + 1))

    return cost


def _reduce(inputs: int, channels: int, pixels: int) -> Cost:
    """Factorized reduction: two 1x1 convolutions of stride 2, of half the channels each, then batch-norm."""
    return _convolution(inputs * (channels // 2) * 2, channels, pixels)


_OPERATIONS: dict[str, _Operation] = {
    **dict.fromkeys(("none", "noise", "max_pool_3x3", "avg_pool_3x3"), lambda *_: Cost()),
    "skip_connect": lambda channels, stride, pixels: Cost() if stride == 1 else _reduce(channels, channels, pixels),
    "sep_conv_3x3": _separable(3, 2),
    "sep_conv_5x5": _separable(5, 2),
    "sep_conv_7x7": _separable(7, 2),
    "dil_conv_3x3": _separable(3, 1),
    "dil_conv_5x5": _separable(5, 1),
    "conv_7x1_1x7": _row_and_column(7),
    "conv_3x1_1x3": _row_and_column(3),
}


class _Place(NamedTuple):
    """A cell of the network."""

    reduces: bool
    channels: int
    pixels: int  # of its input


def _skeleton(
    concats: tuple[int, int], channels: int, layers: int, classes: int, area: int, image_channels: int
) -> tuple[Cost, Cost, list[_Place]]:
    """Returns what all networks of one size cost, what the auxiliary head does, and their cells.

    Args:
      concats: How many states the normal and the reduction cell concatenate.
      channels: Of the first cells.
      layers: How many cells.
      classes: Outputs of the linear layer.
      area: Pixels of the image.
      image_channels: Channels of the image.
    """
    stem = 3 * channels
    cost, auxiliary = _convolution(9 * image_channels * stem, stem, area), Cost()
    before, last, places = stem, stem, []
    pixels, reduced = area, False
    for layer in range(layers):
        reduces = layer in (layers // 3, 2 * layers // 3)
        channels *= 2 if reduces else 1
        cost += _reduce(before, channels, pixels) if reduced else _convolution(before * channels, channels, pixels)
        cost += _convolution(last * channels, channels, pixels)
        places.append(_Place(reduces, channels, pixels))
        before, last, reduced = last, concats[reduces] * channels, reduces
        pixels //= 4 if reduces else 1
        if layer == 2 * layers // 3:
            auxiliary = _convolution(128 * last, 128, 4) + _convolution(4 * 128 * 768, 768, 1)
            auxiliary += Cost(768 * classes + classes, 768 * classes)
    return cost + Cost(last * classes + classes, last * classes), auxiliary, places


def _edge_cost(operation: str, of_inputs: bool, reduces: bool, places: list[_Place]) -> Cost:
    """Returns what an operation costs in all cells of its kind together."""
    stride = 2 if reduces and of_inputs else 1
    cost = Cost()
    for place in places:
        if place.reduces == reduces:
            cost += _OPERATIONS[operation](place.channels, stride, place.pixels // (4 if reduces else 1))
    return cost


def genotype_cost(
    genotype: Genotype,
    *,
    channels: int = 36,
    layers: int = 20,
    classes: int = 10,
    auxiliary: bool = False,
    image_size: int | tuple[int, int] = 32,
    image_channels: int = 3,
) -> Cost:
    """Returns the trainable parameters and the multiply-adds of one image of a genotype's network, exactly.

    The network is DARTS's for CIFAR: a 3x3 convolution to three times `channels`; `layers` cells, of which those after
    a third and two thirds are reduction cells that double the channels, each with its two inputs brought to its
    channels; global pooling; a linear layer. Convolutions have no bias and are followed by batch-norm with a scale and
    a shift. Counted are convolutions and linear layers, without bias, as in evaluation: the auxiliary head has
    parameters, and no multiply-adds.

    Args:
      genotype: Of any number of nodes, of the operations of DARTS, NASNet and AmoebaNet (and `noise`, which costs
        nothing).
      channels: Channels of the first cells.
      layers: Number of cells.
      classes: Outputs of the linear layer.
      auxiliary: Whether the auxiliary head counts.
      image_size: Height and width of the image, or the two of them; multiples of 4.
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, the image's is not a multiple of 4, or an operation is unknown.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section A.

    Example:
      >>> genotype_cost(jnas.spaces.PUBLISHED_GENOTYPES["DARTS_V2"])
      Cost(parameters=3349342, multiply_adds=528359040)
    """
    area = _checked(image_size, channels=channels, layers=layers, classes=classes, image_channels=image_channels)
    concats = len(genotype.normal_concat), len(genotype.reduce_concat)
    cost, head, places = _skeleton(concats, channels, layers, classes, area, image_channels)
    for reduces, (name, edges) in enumerate(zip(CELLS, (genotype.normal, genotype.reduce), strict=True)):
        for i, (operation, state) in enumerate(edges):
            if operation not in _OPERATIONS:
                offer = did_you_mean(operation, _OPERATIONS) or ","
                known = ", ".join(_OPERATIONS)
                raise ValueError(
                    f"{edge_name(name, i)} has the unknown operation {operation!r}{offer} expected one of {known}"
                )
            cost += _edge_cost(operation, state < 2, bool(reduces), places)
    return Cost(cost.parameters + head.parameters * auxiliary, cost.multiply_adds)


def darts_parameters(
    arch: Array,
    *,
    channels: int = 36,
    layers: int = 20,
    classes: int = 10,
    auxiliary: bool = False,
    image_channels: int = 3,
) -> Array:
    """Returns the number of trainable parameters of an architecture's network, float32 `[]`, in millions.

    The network and the arguments are those of `genotype_cost`, which counts exactly. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[32]`.
      channels: Channels of the first cells.
      layers: Number of cells.
      classes: Outputs of the linear layer.
      auxiliary: Whether the auxiliary head counts.
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive.

    Example:
      >>> arch = jnas.spaces.arch_of(jnas.spaces.PUBLISHED_GENOTYPES["DARTS_V2"])
      >>> round(float(jnas.spaces.darts_parameters(arch)), 3)
      3.349
    """
    _checked(32, channels=channels, layers=layers, classes=classes, image_channels=image_channels)
    fixed, table = _tables(channels, layers, classes, 16, image_channels)[0][int(auxiliary)]
    return _summed(arch, fixed, table)


def darts_flops(
    arch: Array,
    *,
    channels: int = 36,
    layers: int = 20,
    classes: int = 10,
    image_size: int | tuple[int, int] = 32,
    image_channels: int = 3,
) -> Array:
    """Returns the cost of one image in an architecture's network, float32 `[]`, in millions of multiply-adds.

    The network, the arguments and what counts are those of `genotype_cost`, which counts exactly. Works under `jit`
    and `vmap`.

    Args:
      arch: int32 `[32]`.
      channels: Channels of the first cells.
      layers: Number of cells.
      classes: Outputs of the linear layer.
      image_size: Height and width of the image, or the two of them; multiples of 4.
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, or the image's is not a multiple of 4.

    Example:
      >>> arch = jnas.spaces.arch_of(jnas.spaces.PUBLISHED_GENOTYPES["DARTS_V2"])
      >>> round(float(jnas.spaces.darts_flops(arch)), 3)
      528.359
    """
    area = _checked(image_size, channels=channels, layers=layers, classes=classes, image_channels=image_channels)
    return _summed(arch, *_tables(channels, layers, classes, area, image_channels)[1])


@functools.lru_cache(maxsize=64)
def _tables(
    channels: int, layers: int, classes: int, area: int, image_channels: int
) -> tuple[tuple[tuple[int, np.ndarray], tuple[int, np.ndarray]], tuple[int, np.ndarray]]:
    """Returns what is fixed, and int64 `[2, 2, 9]` by cell, whether a node is read, and operation.

    Of the parameters without and with the auxiliary head, and of the multiply-adds.
    """
    fixed, head, places = _skeleton((len(CONCAT), len(CONCAT)), channels, layers, classes, area, image_channels)
    costs = np.asarray(
        [
            [[_edge_cost(name, not node, bool(c), places) for name in ALL_OPERATIONS] for node in range(2)]
            for c in range(len(CELLS))
        ],
        np.int64,
    )
    parameters, multiply_adds = costs[..., 0], costs[..., 1]
    with_head = fixed.parameters + head.parameters
    return ((fixed.parameters, parameters), (with_head, parameters)), (fixed.multiply_adds, multiply_adds)


def _summed(arch: Array, fixed: int, table: np.ndarray) -> Array:
    """Returns a sum over the edges in millions: of thousands and of ones apart, which int32 holds without rounding."""
    cells = jnp.asarray(arch, jnp.int32).reshape(SHAPE)
    places = np.arange(SHAPE[0])[:, None, None], (cells[..., 0] >= 2).astype(jnp.int32), cells[..., 1]
    thousands, ones = (
        jnp.sum(jnp.asarray(part.astype(np.int32))[places], dtype=jnp.int32) for part in divmod(table, 1000)
    )
    thousands += fixed // 1000 + (ones + fixed % 1000) // 1000
    return thousands.astype(jnp.float32) * 1e-3 + ((ones + fixed % 1000) % 1000).astype(jnp.float32) * 1e-6


def _checked(image_size: int | tuple[int, int], **sizes: int) -> int:
    """Returns the pixels of the image; raises for sizes that no network has."""
    height, width = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    for name, size in (*sizes.items(), ("image_size", height), ("image_size", width)):
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} is {size!r}, expected a Python int")
        if size < 1:
            raise ValueError(f"{name} is {size}, expected at least 1")
        if name == "image_size" and size % 4:
            raise ValueError(f"image_size is {size}, expected a multiple of 4: two reduction cells halve the image")
    return height * width
