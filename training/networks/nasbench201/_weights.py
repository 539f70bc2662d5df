"""The weights of a network of NAS-Bench-201: their names in a file, and whether they are those of an architecture."""

from typing import Any

import numpy as np

from jnas.core._vocabulary import Weights
from jnas.spaces.nasbench201._cells import EDGES, OPERATIONS
from jnas.training.networks._family import Named, name_convolution, name_norm
from jnas.training.networks.nasbench201._network import NasBench201Parameters


def nasbench201_named_arrays(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    """Yields the arrays of a cell `[6]`, edges in the order of the architecture string."""
    yield from name_convolution("stem", parameters.stem.kernel, 3)
    yield from name_norm("stem", parameters.stem, statistics.stem)
    for stage, edges in enumerate(parameters.cells):
        for cell in range(edges.kernel.shape[0]):
            for edge, choice in enumerate(arch):
                size = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(OPERATIONS[choice])
                if size is not None:
                    name = f"stages/{stage}/cells/{cell}/edge {edge}"
                    yield from name_convolution(name, edges.kernel[cell, edge], size)
                    yield from name_norm(name, edges, statistics.cells[stage], cell, edge)
    for number, block in enumerate(parameters.reductions):
        for place, part in enumerate(("first", "second")):
            name = f"reductions/{number}/{part}"
            yield from name_convolution(name, block[place].kernel, 3)
            yield from name_norm(name, block[place], statistics.reductions[number][place])
        yield f"reductions/{number}/shortcut/kernel", block.shortcut.T[None, None]
    head = parameters.head
    yield from name_norm("head", head, statistics.head)
    yield "head/kernel", head.kernel.T
    yield "head/bias", head.bias


def check_weights(arch: np.ndarray, weights: Any) -> None:
    """Raises where weights are not those of one run, or hold kernels that the architecture does not have."""
    if not (isinstance(weights, Weights) and isinstance(weights.parameters, NasBench201Parameters)):
        raise TypeError(f"weights is {type(weights).__name__}, expected the Weights that jnas.training.train returns")
    if weights.parameters.stem.kernel.ndim != 2:
        shape = list(weights.parameters.stem.kernel.shape)
        raise TypeError(
            f"the stem's kernel in weights has the shape {shape}, expected that of one run, [C', 9 C]; choose one of "
            "many by jax.tree.map(lambda x: x[number], weights)"
        )
    for stage, edges in enumerate(weights.parameters.cells):
        kernels = np.asarray(edges.kernel)
        width = kernels.shape[-2]
        taps = np.any(kernels.reshape(len(kernels), len(EDGES), width, 9, width) != 0, (0, 2, 4))
        for number, choice in enumerate(arch):
            expected = np.zeros(9, bool)
            if OPERATIONS[choice] == "nor_conv_3x3":
                expected[:] = True
            elif OPERATIONS[choice] == "nor_conv_1x1":
                expected[4] = True
            if not np.array_equal(taps[number], expected):
                source, target = EDGES[number]
                raise ValueError(
                    f"the weights are those of another architecture: on the edge from node {source} to node {target} "
                    f"of stage {stage} this one has {OPERATIONS[choice]}, and the weights have "
                    f"{int(taps[number].sum())} of 9 taps of a kernel"
                )
