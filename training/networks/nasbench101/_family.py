"""The row of NAS-Bench-101's networks."""

from typing import Any

import jax
import numpy as np

from jnas.core._vocabulary import FormName, Network, Supernet
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, OPERATIONS, pruned
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.training.networks._family import Family, count_flops
from jnas.training.networks.nasbench101._network import NasBench101Parameters, nasbench101_network
from jnas.training.networks.nasbench101._supernet import nasbench101_supernet
from jnas.training.networks.nasbench101._weights import nasbench101_named_arrays


def _network(form: FormName, archs: np.ndarray | None, *, cells: int, **sizes: Any) -> Network:
    return nasbench101_network(modules=cells, arch=archs if form == "static" else None, **sizes)


def _supernet(form: FormName, **sizes: Any) -> Supernet:
    assert form == "switch"
    return nasbench101_supernet(**sizes)


def _count_operations(archs: np.ndarray, network: Network) -> np.ndarray:
    """Returns how many vertices have each operation, edges from the input, and multiply-adds, `[N, 5]`."""
    matrix, used = (np.asarray(each) for each in jax.jit(pruned)(archs.T))
    kinds = [((choice == archs[:, NUM_EDGES:].T) & used[1:-1]).sum(0) for choice in range(len(OPERATIONS))]
    return np.concatenate([np.stack([*kinds, matrix[0].sum(0)], 1), count_flops(archs, network)], 1)


def _cells(vertices: int | None) -> np.ndarray:
    return nasbench101_cells(vertices or MAX_VERTICES)


FAMILY = Family(
    name="nasbench101",
    network=_network,
    forms=("switch", "static"),
    recipes=("small101-12", "nasbench101-108"),
    parameters=NasBench101Parameters,
    supernet=_supernet,
    supernet_forms=("switch",),
    searched=(16, 3),
    default_form=lambda: "switch",
    named_arrays=nasbench101_named_arrays,
    time_features=_count_operations,
    cells=_cells,
    by_vertices=True,
)
