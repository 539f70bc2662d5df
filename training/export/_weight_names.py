"""The name of each array of a network's weights in a file, and where it lies in memory."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, host_pruned
from jnas.spaces.nasbench101._cost import NUM_STACKS, compute_vertex_channels
from jnas.spaces.nasbench201._cells import OPERATIONS
from jnas.training.networks.nasbench101._module import CONV_3X3, MAX_POOL, MIDDLE
from jnas.training.networks.nasbench101._network import NasBench101Parameters
from jnas.training.runs._train import Weights

Named = Iterator[tuple[str, np.ndarray]]


def named_arrays(arch: np.ndarray, weights: Weights) -> Named:
    """Yields the name of each array that an architecture has, and a view of it in the file's order of axes.

    Args:
      arch: int `[6]` or `[26]`, a valid one of the space whose weights these are.
      weights: Of one run, NumPy's.
    """
    of_space = _nasbench101 if isinstance(weights.parameters, NasBench101Parameters) else _nasbench201
    yield from of_space(arch, weights.parameters, weights.statistics)


def _nasbench201(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    yield from _convolution("stem", parameters.stem.kernel, 3)
    yield from _norm("stem", parameters.stem, statistics.stem)
    for stage, edges in enumerate(parameters.cells):
        for cell in range(edges.kernel.shape[0]):
            for edge, choice in enumerate(arch):
                size = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(OPERATIONS[choice])
                if size is not None:
                    name = f"stages/{stage}/cells/{cell}/edge {edge}"
                    yield from _convolution(name, edges.kernel[cell, edge], size)
                    yield from _norm(name, edges, statistics.cells[stage], cell, edge)
    for number, block in enumerate(parameters.reductions):
        for place, part in enumerate(("first", "second")):
            name = f"reductions/{number}/{part}"
            yield from _convolution(name, block[place].kernel, 3)
            yield from _norm(name, block[place], statistics.reductions[number][place])
        yield f"reductions/{number}/shortcut/kernel", block.shortcut.T[None, None]
    head = parameters.head
    yield from _norm("head", head, statistics.head)
    yield "head/kernel", head.kernel.T
    yield "head/bias", head.bias


def _nasbench101(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    yield from _convolution("stem", parameters.stem.kernel, 3)
    yield from _norm("stem", parameters.stem, statistics.stem)
    in_stack = len(parameters.modules) // NUM_STACKS
    for number, (own, used) in enumerate(zip(parameters.modules, statistics.modules, strict=True)):
        name = f"stacks/{number // in_stack}/modules/{number % in_stack}"
        yield from _module(name, arch, own, used)
    yield "head/kernel", parameters.head.kernel.T
    yield "head/bias", parameters.head.bias


def _module(name: str, arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    """Yields what a module has; a vertex has the first of the channels for which there is room."""
    matrix, used = host_pruned(arch)
    outputs, inputs = parameters.output.kernel.shape
    vertices = np.flatnonzero(used)
    widths = compute_vertex_channels(inputs, outputs, matrix[np.ix_(vertices, vertices)])
    for vertex, width in itertools.islice(zip(vertices.tolist(), widths, strict=True), 1, len(vertices) - 1):
        row, own = vertex - 1, slice(width)
        choice = arch[NUM_EDGES + vertex - 1]
        if choice != MAX_POOL:
            kernel = parameters.vertices.kernel[row, own, :, own]
            if choice == CONV_3X3:
                yield f"{name}/vertex {vertex}/kernel", kernel.reshape(width, 3, 3, width).transpose(1, 2, 3, 0)
            else:
                yield f"{name}/vertex {vertex}/kernel", kernel[:, MIDDLE].T[None, None]
            yield from _norm(f"{name}/vertex {vertex}", parameters.vertices, statistics.vertices, row, channels=own)
        if matrix[0, vertex]:
            yield f"{name}/input to vertex {vertex}/kernel", parameters.inputs.kernel[row, own].T[None, None]
            yield from _norm(
                f"{name}/input to vertex {vertex}", parameters.inputs, statistics.inputs, row, channels=own
            )
    if matrix[0, MAX_VERTICES - 1]:
        yield f"{name}/input to output/kernel", parameters.output.kernel.T[None, None]
        yield from _norm(f"{name}/input to output", parameters.output, statistics.output)


def _convolution(name: str, kernel: np.ndarray, size: int) -> Named:
    """Yields `[size, size, C, C']` of a kernel `[C', 9 C]`, or of the middle tap of one."""
    outputs = kernel.shape[0]
    taps = kernel.reshape(outputs, 3, 3, -1)
    if size == 1:
        taps = taps[:, 1:2, 1:2]
    yield f"{name}/kernel", taps.transpose(1, 2, 3, 0)


def _norm(name: str, parameters: Any, statistics: np.ndarray, *place: int, channels: slice = slice(None)) -> Named:
    """Yields what a batch-norm has; `place` says which of several it is."""
    yield f"{name}/scale", parameters.scale[place][channels]
    yield f"{name}/shift", parameters.shift[place][channels]
    yield f"{name}/mean", statistics[place][0, channels]
    yield f"{name}/variance", statistics[place][1, channels]


__all__ = ["named_arrays"]
