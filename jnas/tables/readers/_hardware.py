"""HW-NAS-Bench: latencies and energies of NAS-Bench-201's cells on six devices, beside what a table already holds."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jnas.io._pickle_values import Numbers
from jnas.spaces.nasbench201._space import nasbench201
from jnas.tables._file import Header, member
from jnas.tables._table import Table
from jnas.tables.readers._sources import entries_of, read_pickle

METRICS = (
    *("edgegpu_latency", "edgegpu_energy", "raspi4_latency", "edgetpu_latency", "pixel3_latency"),
    *("eyeriss_latency", "eyeriss_energy", "eyeriss_arithmetic_intensity", "fpga_latency", "fpga_energy"),
)
"""Latencies in milliseconds an image, energies in millijoules, arithmetic intensity in operations a byte."""

_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_NOTE = (
    "hardware/... are those of HW-NAS-Bench: latencies in milliseconds and energies in millijoules of networks for "
    "CIFAR-10, or for the data set that a name ends in; -1 in the file is missing"
)


def with_hardware(table: Table, path: str | os.PathLike[str]) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns a table with the numbers of HW-NAS-Bench as its columns `hardware/NAME`.

    Columns of the same name that the table has are replaced. Those for CIFAR-100 and ImageNet16-120 have names that end
    in `_cifar100` and `_ImageNet16-120`.

    Args:
      table: Of the space of NAS-Bench-201, or a part of it.
      path: `HW-NAS-Bench-v1_0.pickle`.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The table is of another space, or the file is cut off, foreign or hostile.

    References:
      "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", Li et al., 2021.
    """
    whole = nasbench201()
    if table.space.name != whole.name:
        raise ValueError(
            f"the table is of the space {table.space.name!r}, expected {whole.name!r}, of whose cells HW-NAS-Bench is"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    root, where = read_pickle(path, str(path), containers=5_000_000)
    of_space = root.get("nasbench201") if isinstance(root, dict) else None
    if not isinstance(of_space, dict):
        raise ValueError(f"{where} is no file of HW-NAS-Bench: it has nothing of nasbench201")
    assert whole.size is not None
    rows = _indices(table)
    columns = {}
    for dataset, metrics in entries_of(of_space, where, "HW-NAS-Bench").items():
        if dataset not in _DATASETS:
            raise ValueError(f"{where} has the data set {dataset!r}, expected {', '.join(_DATASETS)}")
        for name in METRICS:
            values = _column(metrics.get(name), whole.size, f"{name} of {dataset} in {where}")
            ending = "" if dataset == "cifar10" else f"_{dataset}"
            columns[member("hardware", f"{name}{ending}")] = values[rows]
    kept = {name: held for name in sorted(table.names) if (held := table.read(name)) is not None}
    notes = (*(note for note in table.header.notes if note != _NOTE), _NOTE)
    return table.header._replace(notes=notes), {**kept, **columns}


def _indices(table: Table) -> np.ndarray:
    """Returns the published number of each architecture of a table, `[N]`."""
    index = nasbench201().index
    assert index is not None
    return np.asarray(jax.jit(jax.vmap(index))(np.asarray(table.archs, np.int32)))


def _column(values: Any, size: int, what: str) -> np.ndarray:
    """Returns the numbers of all cells, float32 `[size]`, NaN where they are missing."""
    values = values.value if isinstance(values, Numbers) else values
    plain = isinstance(values, list) and all(type(each) in (int, float) for each in values)
    if not (plain or isinstance(values, np.ndarray)) or np.shape(values) != (size,):
        raise ValueError(f"{what} are not {size:,} numbers, one for each cell; get the file again")
    found = np.asarray(values, np.float64)
    if found.dtype.kind != "f" or (found[found != -1] < 0).any() or np.isinf(found).any():
        raise ValueError(f"{what} has negative or infinite numbers; get the file again")
    return np.where(found == -1, np.nan, found).astype(np.float32)
