"""The names of the weights of a network of the DARTS space in a file."""

from typing import Any

import numpy as np

from jnas.spaces.darts._cells import NODES, SHAPE
from jnas.training.networks._family import Named, name_convolution, name_norm
from jnas.training.networks.darts._edge import DIL_3, DIL_5, KERNEL_SIZES, SEP_3, SEP_5, SKIP


def darts_named_arrays(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    """Yields the arrays of an architecture `[32]`, edges in the order of the genotype.

    Depthwise kernels are `[height, width, 1, channels]`.
    """
    yield from name_convolution("stem", parameters.stem.kernel, 3)
    yield from name_norm("stem", parameters.stem, statistics.stem)
    cells, count = np.asarray(arch).reshape(SHAPE), len(parameters.cells)
    for number, own in enumerate(parameters.cells):
        used, name = statistics.cells[number], f"cells/{number}"
        for place in ("first", "second"):
            yield f"{name}/{place}/kernel", getattr(own, place).kernel.T[None, None]
            yield from name_norm(f"{name}/{place}", getattr(own, place), getattr(used, place))
        reduction = number in (count // 3, 2 * count // 3)
        for edge, (state, choice) in enumerate(cells[int(reduction)].reshape(2 * NODES, 2)):
            halves = reduction and state < 2
            yield from _name_edge(f"{name}/edge {edge}", edge, int(choice), halves, own.edges, used.edges)
    yield "head/kernel", parameters.head.kernel.T
    yield "head/bias", parameters.head.bias
    if parameters.auxiliary is not None:
        head, used = parameters.auxiliary, statistics.auxiliary
        yield "auxiliary/first/kernel", head.first.kernel.T[None, None]
        yield from name_norm("auxiliary/first", head.first, used[0])
        outputs = head.second.kernel.shape[0]
        yield "auxiliary/second/kernel", head.second.kernel.reshape(outputs, 2, 2, -1).transpose(1, 2, 3, 0)
        yield from name_norm("auxiliary/second", head.second, used[1])
        yield "auxiliary/linear/kernel", head.linear.kernel.T
        yield "auxiliary/linear/bias", head.linear.bias


def _name_edge(name: str, edge: int, choice: int, halves: bool, parameters: Any, statistics: Any) -> Named:
    if choice == SKIP and halves:
        yield f"{name}/kernel", parameters.pointwise[edge, 0].T[None, None]
        yield from name_norm(name, parameters, statistics, edge, 0)
    rounds = 2 if choice in (SEP_3, SEP_5) else int(choice in (DIL_3, DIL_5))
    for number in range(rounds):
        around = (5 - KERNEL_SIZES[choice]) // 2
        taps = slice(around, 5 - around)
        own = f"{name}/round {number}"
        yield f"{own}/depthwise", parameters.depthwise[edge, number][:, taps, taps].transpose(1, 2, 0)[:, :, None]
        yield f"{own}/pointwise", parameters.pointwise[edge, number].T[None, None]
        yield from name_norm(own, parameters, statistics, edge, number)
