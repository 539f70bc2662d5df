"""The names of the weights of a network of NAS-Bench-101 in a file."""

import itertools
from typing import Any

import numpy as np

from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, host_pruned
from jnas.spaces.nasbench101._cost import NUM_STACKS, compute_vertex_channels
from jnas.training.networks._family import Named, name_convolution, name_norm
from jnas.training.networks.nasbench101._module import CONV_3X3, MAX_POOL, MIDDLE


def nasbench101_named_arrays(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    """Yields the arrays of a cell `[26]`, vertices counted as in the architecture string."""
    yield from name_convolution("stem", parameters.stem.kernel, 3)
    yield from name_norm("stem", parameters.stem, statistics.stem)
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
            yield from name_norm(f"{name}/vertex {vertex}", parameters.vertices, statistics.vertices, row, channels=own)
        if matrix[0, vertex]:
            yield f"{name}/input to vertex {vertex}/kernel", parameters.inputs.kernel[row, own].T[None, None]
            yield from name_norm(
                f"{name}/input to vertex {vertex}", parameters.inputs, statistics.inputs, row, channels=own
            )
    if matrix[0, MAX_VERTICES - 1]:
        yield f"{name}/input to output/kernel", parameters.output.kernel.T[None, None]
        yield from name_norm(f"{name}/input to output", parameters.output, statistics.output)
