"""The interface of NAS-Bench-101 over a jnas table: `from jnas.compat.nasbench import api`.

Names, arguments and return shapes are those of `nasbench.api`. What is otherwise: `NASBench` also takes a `jnas.Table`
and its file; a query draws among the runs that a cell has, by a generator of its own that `seed` settles (the published
one seeds Python's); cells are not trained; and what a table lacks is an error.

References:
  "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019.
"""

import os
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jnas.tables import _nasbench101 as nasbench101
from jnas.tables._load import load_table, table_from_arrays
from jnas.tables._table import Table
from jnas.tables.readers._nasbench101 import DATASET, nasbench101_table

__all__ = ["ModelSpec", "NASBench", "OutOfDomainError"]

OutOfDomainError = nasbench101.OutOfDomainError


class ModelSpec:
    """A cell: its adjacency and its labels, with what lies on no path from input to output left out."""

    def __init__(self, matrix: Any, ops: Any, data_format: str = "channels_last"):
        """Takes an upper triangular adjacency `[V, V]` of 0 and 1, and `V` labels.

        Raises:
          ValueError: They do not fit one another.
        """
        found = np.array(matrix)
        if found.ndim != 2 or found.shape[0] != found.shape[1]:
            raise ValueError("matrix must be square")
        if len(found) != len(ops):
            raise ValueError("length of ops must match matrix dimensions")
        if np.tril(found).any():
            raise ValueError("matrix must be upper triangular")
        self.original_matrix, self.original_ops, self.data_format = found, list(ops), data_format
        reach = np.linalg.matrix_power(np.eye(len(found), dtype=np.int64) + (found != 0), len(found)) > 0
        used = np.flatnonzero(reach[0] & reach[:, -1])
        self.valid_spec = len(used) >= 2
        self.matrix = found[np.ix_(used, used)] if self.valid_spec else None
        self.ops = [self.original_ops[v] for v in used] if self.valid_spec else None

    def hash_spec(self, canonical_ops: Any = None) -> str:
        """Returns the published hash; the order of operations is the benchmark's own."""
        return nasbench101.hash_spec((self.matrix, self.ops))

    def visualize(self) -> None:
        """Raises ValueError: jnas draws cells by `jnas.spaces.nasbench101().draw`."""
        raise ValueError("not in jnas: jnas.spaces.nasbench101().draw(arch) makes a picture")


class NASBench:
    """The data set, and what queries of it have cost."""

    def __init__(self, dataset_file: Any, seed: int | None = None):
        """Takes a `jnas.Table`, its file, or a `.tfrecord`, which is read now.

        Args:
          dataset_file: What to query.
          seed: Of the generator that chooses among a cell's runs.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: It is damaged, or a table of another space.
        """
        if isinstance(dataset_file, Table):
            self.table = dataset_file
        elif os.fspath(dataset_file).endswith(".tfrecord"):
            self.table = table_from_arrays(*nasbench101_table(dataset_file))
        else:
            self.table = load_table(dataset_file)
        if self.table.space.name != "nasbench101":
            raise ValueError(f"the table is of the space {self.table.space.name!r}, expected 'nasbench101'")
        self._random = random.Random(seed)
        self.valid_epochs = {t.epochs for t in self.table.header.trainings if t.dataset == DATASET}
        self.training_time_spent, self.total_epochs_spent = 0.0, 0
        self.history: dict[Any, Any] = {}
        self.config: Mapping[str, Any] = {
            "module_vertices": 7,
            "max_edges": 9,
            "num_repeats": max(len(t.seeds) for t in self.table.header.trainings),
            "available_ops": ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"],
        }

    def query(self, model_spec: ModelSpec, epochs: int = 108, stop_halfway: bool = False) -> dict[str, Any]:
        """Returns one run of a cell, and counts what it cost.

        Returns:
          module_adjacency, module_operations, trainable_parameters, training_time, train_accuracy, validation_accuracy,
          test_accuracy; accuracies as fractions.

        Raises:
          OutOfDomainError: The cell or the number of epochs is not in the benchmark or the table.
          ValueError: The table has no single runs of the cell.
        """
        if epochs not in self.valid_epochs:
            raise OutOfDomainError(f"invalid number of epochs, must be one of {sorted(self.valid_epochs)}")
        _, computed = self.get_metrics_from_spec(model_spec)
        if not computed[epochs]:
            raise ValueError(f"this table has no single runs of that cell with {epochs} epochs")
        run = self._random.randrange(len(computed[epochs]))
        seeds = self.table.training(DATASET, epochs).seeds
        spent = nasbench101.Budget(self.training_time_spent, self.total_epochs_spent)
        metrics, spent = nasbench101.query(
            self.table, _cell(model_spec), run=seeds[run], epochs=epochs, stop_halfway=stop_halfway, budget=spent
        )
        self.training_time_spent, self.total_epochs_spent = spent
        return {**metrics._asdict(), "module_operations": list(metrics.module_operations)}

    def is_valid(self, model_spec: ModelSpec) -> bool:
        """Returns whether a cell is in the benchmark."""
        return model_spec.valid_spec and nasbench101.is_valid((model_spec.matrix, model_spec.ops))

    def get_budget_counters(self) -> tuple[float, int]:
        """Returns the seconds and the epochs that queries have cost."""
        return self.training_time_spent, self.total_epochs_spent

    def reset_budget_counters(self) -> None:
        """Sets both to 0."""
        self.training_time_spent, self.total_epochs_spent = 0.0, 0

    def hash_iterator(self) -> Iterator[str]:
        """Returns an iterator over the hashes of all cells."""
        return nasbench101.hash_iterator(self.table)

    def get_metrics_from_hash(self, module_hash: str) -> tuple[dict[str, Any], dict[int, list[dict[str, float]]]]:
        """Returns what is fixed of a cell, and by number of epochs each of its runs."""
        return _as_dicts(nasbench101.get_metrics_from_hash(self.table, module_hash))

    def get_metrics_from_spec(self, model_spec: ModelSpec) -> tuple[dict[str, Any], dict[int, list[dict[str, float]]]]:
        """Returns the same for a cell.

        Raises:
          OutOfDomainError: It is not in the benchmark.
          ValueError: It is not in the table.
        """
        return _as_dicts(nasbench101.get_metrics_from_spec(self.table, _cell(model_spec)))

    def evaluate(self, model_spec: ModelSpec, model_dir: str) -> dict[str, Any]:
        """Raises ValueError: cells are trained by `jnas train`."""
        raise ValueError("a table trains nothing; `jnas train ARCH --space nasbench101` trains a cell")


def _cell(model_spec: ModelSpec) -> tuple[Any, Any]:
    if not model_spec.valid_spec:
        raise OutOfDomainError("invalid spec, provided graph is disconnected.")
    return model_spec.matrix, model_spec.ops


def _as_dicts(found: Any) -> tuple[dict[str, Any], dict[int, list[dict[str, float]]]]:
    fixed, computed = found
    told = {**fixed._asdict(), "module_operations": list(fixed.module_operations)}
    return told, {epochs: [run._asdict() for run in runs] for epochs, runs in computed.items()}
