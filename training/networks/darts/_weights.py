"""The names of the weights of a network of the DARTS space in a file."""

from typing import Any

import numpy as np

from jnas.spaces.darts._cells import ALL_OPERATIONS, NODES, SHAPE
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


def check_darts_weights(arch: np.ndarray, weights: Any) -> None:
    """Raises where weights are not those of one run, or hold kernels that the architecture `[32]` does not have."""
    if weights.parameters.stem.kernel.ndim != 2:
        shape = list(weights.parameters.stem.kernel.shape)
        raise TypeError(
            f"the stem's kernel in weights has the shape {shape}, expected that of one run, [3 C, 9 C']; choose one of "
            "many by jax.tree.map(lambda x: x[number], weights)"
        )
    cells, count = np.asarray(arch).reshape(SHAPE), len(weights.parameters.cells)
    for number, own in enumerate(weights.parameters.cells):
        taps, products = (
            np.any(np.asarray(own.edges.depthwise) != 0, 2),
            np.any(np.asarray(own.edges.pointwise) != 0, (2, 3)),
        )
        reduction = number in (count // 3, 2 * count // 3)
        for edge, (state, choice) in enumerate(cells[int(reduction)].reshape(2 * NODES, 2)):
            rounds = 2 if choice in (SEP_3, SEP_5) else int(choice in (DIL_3, DIL_5))
            expected, around = np.zeros((2, 5, 5), bool), (5 - KERNEL_SIZES.get(choice, 5)) // 2
            expected[:rounds, around : 5 - around, around : 5 - around] = True
            halved = choice == SKIP and reduction and state < 2
            has = np.arange(2) < (1 if halved else rounds)
            if not (np.array_equal(taps[edge], expected) and np.array_equal(products[edge], has)):
                raise ValueError(
                    f"the weights are those of another architecture: edge {edge} of cell {number} has other kernels "
                    f"than those of {ALL_OPERATIONS[choice]}"
                )


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
