"""The published interface of NAS-Bench-101; `jnas.nasbench101`, where its users find it, says how it is meant."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below
from jnas.core._vocabulary import Key
from jnas.io._fields import describe_fields
from jnas.spaces.nasbench101._cells import (
    MAX_EDGES,
    MAX_VERTICES,
    NUM_EDGES,
    from_matrix,
    host_pruned,
    nasbench101_from_string,
    published_hash,
    to_matrix,
)
from jnas.tables._file import member
from jnas.tables._look_ups import Seed
from jnas.tables._runs import points_of, seed_slot
from jnas.tables._table import Table
from jnas.tables.readers._nasbench101 import DATASET

SPLITS = ("train", "validation", "test")
_IMAGES = 9984  # that an evaluation is over: 78 batches of 128; accuracies are float32 quotients of it


class OutOfDomainError(ValueError):
    """A cell or a number of epochs that is not in the benchmark."""


@describe_fields
class Budget(NamedTuple):
    """What queries have cost so far: the published counters, as a value that goes from one query to the next.

    Attributes:
      training_time_spent: Of training, in seconds.
      total_epochs_spent: A training that is stopped halfway counts half of its epochs.
    """

    training_time_spent: float = 0.0
    total_epochs_spent: int = 0


@describe_fields
class FixedMetrics(NamedTuple):
    """What does not change from training to training of a cell.

    Attributes:
      module_adjacency: int32 `[V, V]`, strictly upper triangular, as the table has the cell.
      module_operations: `V` labels.
      trainable_parameters: -1 where the table does not say.
    """

    module_adjacency: np.ndarray
    module_operations: tuple[str, ...]
    trainable_parameters: int


@describe_fields
class Metrics(NamedTuple):
    """One run of a cell, or the mean over its runs.

    Attributes:
      module_adjacency: int32 `[V, V]`.
      module_operations: `V` labels.
      trainable_parameters: -1 where the table does not say.
      training_time: Of training, in seconds.
      train_accuracy: As a fraction; NaN where the table lacks it.
      validation_accuracy: As a fraction; NaN where the table lacks it.
      test_accuracy: As a fraction; NaN where the table lacks it.
    """

    module_adjacency: np.ndarray
    module_operations: tuple[str, ...]
    trainable_parameters: int
    training_time: float
    train_accuracy: float
    validation_accuracy: float
    test_accuracy: float


@describe_fields
class ComputedMetrics(NamedTuple):
    """One run of a cell, in the middle of its training and at the end; NaN where the table lacks numbers.

    Attributes:
      halfway_training_time: Of training up to there, in seconds.
      halfway_train_accuracy: As a fraction.
      halfway_validation_accuracy: As a fraction.
      halfway_test_accuracy: As a fraction.
      final_training_time: Of the whole training, in seconds.
      final_train_accuracy: As a fraction.
      final_validation_accuracy: As a fraction.
      final_test_accuracy: As a fraction.
    """

    halfway_training_time: float
    halfway_train_accuracy: float
    halfway_validation_accuracy: float
    halfway_test_accuracy: float
    final_training_time: float
    final_train_accuracy: float
    final_validation_accuracy: float
    final_test_accuracy: float


def is_valid(spec: Any) -> bool:
    """Returns whether a cell is in the benchmark: known labels, and at most 7 vertices and 9 edges after pruning.

    Raises:
      TypeError: What was given is not a cell in any of the forms that the module names.

    Example:
      >>> unconnected = ([[0, 0], [0, 0]], ["input", "output"])
      >>> connected = ([[0, 1], [0, 0]], ["input", "output"])
      >>> jnas.nasbench101.is_valid(unconnected), jnas.nasbench101.is_valid(connected)
      (False, True)
    """
    try:
        _checked(spec)
    except OutOfDomainError:
        return False
    return True


def hash_spec(spec: Any) -> str:
    """Returns the published hash of a cell: 32 hexadecimal digits that isomorphic cells share.

    Raises:
      OutOfDomainError: The cell is not in the benchmark.

    Example:
      >>> jnas.nasbench101.hash_spec("|conv3x3-bn-relu~0|output~1|")
      'b49ac8c578b4561d79ac7087988f1c61'
    """
    return published_hash(_checked(spec))


def query(
    table: Table,
    spec: Any,
    *,
    run: Seed,
    epochs: int = 108,
    stop_halfway: bool = False,
    key: Key | None = None,
    budget: Budget = Budget(),  # noqa: B008  # an immutable value
) -> tuple[Metrics, Budget]:
    """Returns what a training of a cell gave, and the budget after it.

    Args:
      table: The table.
      spec: The cell.
      run: The number of a run, `'random'` (one of those that the cell has, drawn from `key`: what the published
        interface does), or `'mean'`.
      epochs: The training: 4, 12, 36 or 108 epochs, where the table has them.
      stop_halfway: Whether the training is stopped in the middle. Its learning rate was that of the whole one.
      key: PRNG key `[]` for `run='random'`.
      budget: What earlier queries cost; the result adds this one's training time, and its epochs or half of them.

    Raises:
      OutOfDomainError: The cell, or the number of epochs, is not in the benchmark or the table.
      ValueError: The cell is in the benchmark but not in this table, or there is no such run; the message says so.
    """
    row = _row(table, spec)
    known = _trainings(table)
    if epochs not in known:
        raise OutOfDomainError(f"epochs is {epochs!r}, expected one of {', '.join(map(str, known))}: this table's")
    if run == "random":
        if key is None:
            raise ValueError("run is 'random' but no key was given; pass key=jax.random.key(...)")
        there = _runs_of(table, row, epochs)
        if not there:
            raise ValueError("this table holds no single runs of that cell at these epochs; pass run='mean'")
        run = there[int(below(jax.random.bits(key, dtype=jnp.uint32), len(there)))]
    point = _halfway(table, epochs) if stop_halfway else epochs
    seconds, accuracies = _at(table, row, epochs, run, point)
    metrics = Metrics(*_fixed(table, row), seconds, *accuracies)
    return metrics, Budget(
        budget.training_time_spent + seconds,
        budget.total_epochs_spent + (epochs // 2 if stop_halfway else epochs),
    )


def get_metrics_from_spec(table: Table, spec: Any) -> tuple[FixedMetrics, dict[int, tuple[ComputedMetrics, ...]]]:
    """Returns all that a table holds of a cell: what is fixed, and by number of epochs each of its runs.

    Raises:
      OutOfDomainError: The cell is not in the benchmark.
      ValueError: It is not in this table.
    """
    return _metrics(table, _row(table, spec))


def get_metrics_from_hash(
    table: Table, module_hash: str
) -> tuple[FixedMetrics, dict[int, tuple[ComputedMetrics, ...]]]:
    """Returns the same for a published hash.

    Raises:
      ValueError: This table has no cell of that hash.
    """
    rows = np.flatnonzero((_hashes(table) == np.frombuffer(_digest(module_hash), np.uint8)).all(axis=1))
    if not len(rows):
        raise ValueError(f"this table has no cell with the hash {module_hash}")
    return _metrics(table, int(rows[0]))


def hash_iterator(table: Table) -> Iterator[str]:
    """Yields the published hash of every cell of a table, in the order of its rows."""
    return (row.tobytes().hex() for row in _hashes(table))


# Cells.


def _checked(spec: Any) -> np.ndarray:
    """Returns the architecture int32 `[26]` of a cell, or raises OutOfDomainError."""
    try:
        arch = _encoded(spec)
        matrix, used = host_pruned(arch)
    except ValueError as error:
        raise OutOfDomainError(str(error)) from None
    if not used[0]:
        raise OutOfDomainError("the cell has no path from its input to its output")
    if matrix.sum() > MAX_EDGES:
        raise OutOfDomainError(f"the cell has {matrix.sum()} edges after pruning, expected {MAX_EDGES} at most")
    return arch


def _encoded(spec: Any) -> np.ndarray:
    if isinstance(spec, str):
        return nasbench101_from_string(spec)
    if isinstance(spec, tuple | list) and len(spec) == 2:
        matrix, operations = np.asarray(spec[0]), list(spec[1])
        if matrix.ndim == 2 and matrix.shape == (len(operations),) * 2 and len(operations) > MAX_VERTICES:
            matrix, operations = _without_unused(matrix, operations)
        return from_matrix(matrix, operations)
    arch = np.asarray(spec)
    size = NUM_EDGES + MAX_VERTICES - 2
    if arch.shape != (size,) or arch.dtype.kind not in "iu":
        raise TypeError(
            f"a cell is a pair (matrix, operations), integers [{size}] or a string, not {type(spec).__name__} of shape "
            f"{list(arch.shape)}"
        )
    to_matrix(arch)  # raises where it is not of the space
    return arch.astype(np.int32)


def _without_unused(matrix: np.ndarray, operations: list[str]) -> tuple[np.ndarray, list[str]]:
    """Returns a larger cell without the vertices that lie on no path from its input to its output."""
    reach = np.linalg.matrix_power(np.eye(len(matrix), dtype=np.int64) + (matrix != 0), len(matrix)) > 0
    used = np.flatnonzero(reach[0] & reach[:, -1])
    if len(used) < 2 or len(used) > MAX_VERTICES:
        return matrix, operations
    return matrix[np.ix_(used, used)], [operations[v] for v in used]


def _row(table: Table, spec: Any) -> int:
    row = int(np.asarray(table.index(_checked(spec))))
    if row < 0:
        raise ValueError("the cell is in the benchmark, but this table does not hold it")
    return row


def _hashes(table: Table) -> np.ndarray:
    """Returns the hashes of all cells, uint8 `[N, 16]`."""
    found = table.read("published_hash")
    if found is None:
        text = "".join(published_hash(arch) for arch in table.archs)
        found = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 16)
    return found


def _digest(module_hash: str) -> bytes:
    try:
        digest = bytes.fromhex(module_hash)
    except (TypeError, ValueError):
        digest = b""
    if len(digest) != 16:
        raise ValueError(f"module_hash is {module_hash!r}, expected 32 hexadecimal digits")
    return digest


# Numbers.


def _trainings(table: Table) -> list[int]:
    return sorted(t.epochs for t in table.header.trainings if t.dataset == DATASET)


def _halfway(table: Table, epochs: int) -> int:
    """Returns the number of epochs done at the evaluation in the middle."""
    known = sorted({p for split in SPLITS for p in points_of(table, DATASET, epochs, split)})
    if not known:
        raise ValueError(f"this table has no numbers from the middle of trainings of {epochs} epochs")
    return min(known, key=lambda point: abs(2 * point - epochs))


def _fixed(table: Table, row: int) -> FixedMetrics:
    counts = table.read(member("parameter_count", DATASET))
    return FixedMetrics(*to_matrix(table.archs[row]), -1 if counts is None or counts[row] == 0 else int(counts[row]))


def _runs_of(table: Table, row: int, epochs: int) -> list[int]:
    """Returns the numbers of the runs that a cell has."""
    seeds = table.training(DATASET, epochs).seeds
    arrays = [table.read(member("accuracy", DATASET, epochs, split)) for split in SPLITS]
    there = np.any([~np.isnan(array[row]) for array in arrays if array is not None and array.shape[1]], axis=0)
    return [seed for seed, known in zip(seeds, np.broadcast_to(there, len(seeds)), strict=True) if known]


def _at(table: Table, row: int, epochs: int, run: Seed, point: int) -> tuple[float, tuple[float, ...]]:
    """Returns the seconds, and the accuracies on the three splits, of a cell's run after so many epochs."""
    seconds, accuracies = math.nan, []
    seed_slot(table.training(DATASET, epochs), run)  # says which runs there are
    for split in SPLITS:
        names = [member("accuracy_at", DATASET, epochs, split, point)]
        if point == epochs:
            kinds = ("accuracy", "accuracy_mean") if run == "mean" else ("accuracy",)
            names = [member(kind, DATASET, epochs, split) for kind in kinds]
        if not table.names.intersection(names):
            accuracies.append(math.nan)
            continue
        runs = table.runs("accuracy", DATASET, split, epochs, run, None if point == epochs else point)
        accuracies.append(_fraction(float(runs.value[row, 0]), run))
        seconds = float(runs.train_seconds[row, 0])
    return seconds, tuple(accuracies)


def _fraction(percent: float, run: Seed) -> float:
    """Returns an accuracy as published: the quotient in float32 that the table's percent came from, if there is one."""
    if run == "mean" or math.isnan(percent):
        return percent / 100
    quotient = np.float32(np.rint(percent / 100 * _IMAGES) / _IMAGES)
    return float(quotient) if abs(float(quotient) - percent / 100) < 1e-7 else percent / 100


def _metrics(table: Table, row: int) -> tuple[FixedMetrics, dict[int, tuple[ComputedMetrics, ...]]]:
    computed = {}
    for epochs in _trainings(table):
        runs = []
        for run in _runs_of(table, row, epochs):
            end = _at(table, row, epochs, run, epochs)
            half: tuple[float, tuple[float, ...]] = (math.nan, (math.nan,) * len(SPLITS))
            if any(points_of(table, DATASET, epochs, split) for split in SPLITS):
                half = _at(table, row, epochs, run, _halfway(table, epochs))
            runs.append(ComputedMetrics._make([half[0], *half[1], end[0], *end[1]]))
        computed[epochs] = tuple(runs)
    return _fixed(table, row), computed
