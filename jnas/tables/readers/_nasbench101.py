"""Tables from the files of NAS-Bench-101, and of EC-NAS, which has the same format.

`nasbench_full.tfrecord` and `nasbench_only108.tfrecord` have a record for each training of each cell. It is a JSON list
of the cell's published hash, the number of epochs, the adjacency matrix row by row as digits, the operations with
commas, and a message ModelMetrics in base64 (`_model_metrics`) with evaluations at the start, in the middle and at the
end. The runs of a cell are its trainings with the same number of epochs, numbered in the order of the file.
"""

import binascii
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.io._tfrecord import RecordBatch, read_records
from jnas.spaces.nasbench101._enumeration import NUM_CELLS
from jnas.spaces.nasbench101._space import nasbench101
from jnas.tables._file import Header, Training, member
from jnas.tables.readers._model_metrics import (
    ACCURACIES,
    READINGS,
    TOTALS,
    MalformedMessage,
    ModelMetrics,
    parse_metrics,
)
from jnas.tables.readers._nasbench101_records import CellList, bad_record

DATASET = "cifar10"
PAIRS = {DATASET: {split: (DATASET, split) for split in ("validation", "test")}}
NO_EVALUATION_TIME = "no evaluation times: an evaluation costs its training alone, as in the published interface"

_RUNS = 3  # of a cell with the same number of epochs
_POINTS = 3  # evaluations of a training: at its start, middle and end
_MOST_EPOCHS = 10_000
_ROUNDING = 1e-6  # float32 accuracies of 1 may come out a little above

_Column = tuple[int, int]
"""A number of a training: the evaluation and its field, or -1 and the place in `TOTALS`."""

Progress = Callable[[int, int], None]
"""`progress(done, total)`, called now and then with megabytes."""


class _Trained(NamedTuple):
    """Some trainings with one number of epochs, in the order of the file."""

    cells: np.ndarray  # [R] int64, number of the cell, in the order in which they came
    numbers: np.ndarray  # [R] int64, of the record
    positions: np.ndarray  # [R] int64, the byte at which the record begins
    columns: dict[_Column, np.ndarray]  # [R] float32, NaN where missing; accuracies in percent


def nasbench101_table(
    path: str | os.PathLike[str], *, progress: Progress | None = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of a file of NAS-Bench-101 or EC-NAS; TensorFlow is not needed.

    Every checksum is verified, and the published hashes of up to 4,096 cells are computed anew.

    Args:
      path: The `.tfrecord`.
      progress: Called after each batch of records.

    Returns:
      Header and members of a table with a row for each cell of the file, in the order of their published hashes, as
      `save_arrays` takes them. Numbers that the file lacks are NaN.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is damaged, cut off, foreign or not of the benchmark; the message names record and byte.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019.
      "EC-NAS: Energy Consumption Aware Tabular Benchmarks for Neural Architecture Search", Bakhtiarifard et al., 2024.
    """
    where = str(path)
    total = Path(path).stat().st_size if Path(path).is_file() else 0
    cells = CellList(where)
    trained: dict[int, list[_Trained]] = {}
    for batch in read_records(path):
        for epochs, part in _parse(batch, cells, where).items():
            trained.setdefault(epochs, []).append(part)
        if progress is not None:
            progress(batch.end >> 20, max(total, batch.end) >> 20)
    archs, hashes, order = cells.finish()
    place = np.empty(len(order), np.int64)  # from the order in which cells came to that of their hashes
    place[order] = np.arange(len(order))
    counts = cells.parameters()[order]
    arrays = {
        "archs": archs,
        "published_hash": hashes,
        member("parameter_count", DATASET): counts.astype(np.uint32),
        member("parameters", DATASET): (counts / 1e6).astype(np.float32),
    }
    trainings = []
    for epochs in sorted(trained):
        seeds, found = _training_members(epochs, _join(trained.pop(epochs)), place, cells, where)
        trainings.append(Training(DATASET, epochs, tuple(range(seeds))))
        arrays |= found
    header = Header(
        name="EC-NAS" if any("/energy_kwh" in name for name in arrays) else "NAS-Bench-101",
        space=nasbench101().config,
        trainings=tuple(trainings),
        pairs=PAIRS,
        source=Path(path).name,
        notes=_notes(cells, len(archs)),
    )
    return header, arrays


def _notes(cells: CellList, count: int) -> tuple[str, ...]:
    notes = ["runs are numbered in the order of the file", NO_EVALUATION_TIME]
    if count < NUM_CELLS:
        notes.append(f"{count:,} of the {NUM_CELLS:,} cells of the space, the others are missing")
    if cells.num_other_parameters:
        notes.append(
            f"{cells.num_other_parameters:,} records give another number of parameters than the first one of their "
            "cell, whose number is kept"
        )
    return tuple(notes)


# Records.


def _parse(batch: RecordBatch, cells: CellList, where: str) -> dict[int, _Trained]:
    """Returns the trainings of a batch of records by their numbers of epochs, checked."""
    rows, epochs, messages = [], [], []
    for i, record in enumerate(batch.records):
        try:
            digest, length, adjacency, operations, metrics = json.loads(record.decode())
            messages.append(binascii.a2b_base64(metrics))
        except (ValueError, TypeError, RecursionError) as error:
            raise _bad(where, batch, i, f"is no row [hash, epochs, adjacency, operations, metrics] ({error})") from None
        if type(length) is not int or not 1 <= length <= _MOST_EPOCHS:
            raise _bad(where, batch, i, f"has {length!r} epochs, expected a number from 1, such as 108")
        try:
            rows.append(cells.find(digest, adjacency, operations, batch.first + i, batch.positions[i]))
        except (TypeError, ValueError) as error:
            raise _bad(where, batch, i, str(error)) from None
        epochs.append(length)
    try:
        metrics = parse_metrics(messages)
    except MalformedMessage as error:
        raise _bad(where, batch, error.index, f"has metrics that are no ModelMetrics ({error})") from None
    lengths, cell = np.asarray(epochs), np.asarray(rows)
    _check(metrics, lengths, batch, where)
    cells.note_parameters(cell, metrics.parameters)
    columns = _columns(metrics)
    columns_of = {}
    for length in np.unique(lengths):
        of = np.flatnonzero(lengths == length)
        parts = {name: values[of] for name, values in columns.items()}
        columns_of[int(length)] = _Trained(cell[of], batch.first + of, np.asarray(batch.positions)[of], parts)
    return columns_of


def _columns(metrics: ModelMetrics) -> dict[_Column, np.ndarray]:
    """Returns the numbers of some trainings that any of them has, each float32 `[R]`."""
    found: dict[_Column, np.ndarray] = {}
    for point in range(_POINTS):
        for field in (1, 2, *ACCURACIES, *READINGS):
            values = metrics.evaluations[:, point, field]
            if (point or field in READINGS) and not np.isnan(values).all():
                # What lies above 1 by rounding is 100 percent.
                found[point, field] = np.minimum(100 * values, 100) if field in ACCURACIES else values
    for place in range(len(TOTALS)):
        if not np.isnan(metrics.totals[:, place]).all():
            found[-1, place] = metrics.totals[:, place]
    return {name: values.astype(np.float32) for name, values in found.items()}


def _join(parts: list[_Trained]) -> _Trained:
    """Returns trainings in one."""
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {}
    for name in names:
        nothing = (np.full(len(part.cells), np.nan, np.float32) for part in parts)
        columns[name] = np.concatenate([p.columns.get(name, n) for p, n in zip(parts, nothing, strict=True)])
    ids = [np.concatenate(arrays) for arrays in zip(*(part[:3] for part in parts), strict=True)]
    return _Trained(ids[0], ids[1], ids[2], columns)


def _check(metrics: ModelMetrics, epochs: np.ndarray, batch: RecordBatch, where: str) -> None:
    """Raises ValueError where the metrics of a record are not those of the benchmark."""

    def bad(wrong: Any) -> int | None:
        return int(wrong.argmax()) if wrong.any() else None

    if (i := bad(metrics.num_evaluations != _POINTS)) is not None:
        what = f"has {metrics.num_evaluations[i]} evaluations, expected {_POINTS}: at the start, middle and end"
        raise _bad(where, batch, i, what)
    later = metrics.evaluations[:, 1:_POINTS]
    middle, end = later[:, 0, 1], later[:, 1, 1]
    if (i := bad(~((middle >= 0.5) & (middle < epochs - 0.5) & (np.abs(end - epochs) < 0.5)))) is not None:
        what = (
            f"of a training of {epochs[i]} epochs has evaluations after {middle[i]:g} and {end[i]:g} of them, expected "
            f"one in between and one after {epochs[i]}"
        )
        raise _bad(where, batch, i, what)
    for field, split in ACCURACIES.items():
        wrong = ~((later[:, :, field] >= 0) & (later[:, :, field] <= 1 + _ROUNDING))
        if (i := bad(wrong.any(axis=1))) is not None:
            value = later[i, wrong[i], field][0]
            raise _bad(where, batch, i, f"has the {split} accuracy {value:g}, expected one from 0 to 1")
    wrong = ~((later[:, :, 2] >= 0) & (later[:, :, 2] < np.inf))
    if (i := bad(wrong.any(axis=1))) is not None:
        raise _bad(where, batch, i, f"has a training time of {later[i, wrong[i], 2][0]:g} s, expected one from 0")
    if (i := bad(np.isinf(metrics.evaluations).any(axis=(1, 2)) | np.isinf(metrics.totals).any(axis=1))) is not None:
        raise _bad(where, batch, i, "has an infinite number among its metrics, expected finite ones")
    if (i := bad((metrics.parameters < 1) | (metrics.parameters >= 1 << 31))) is not None:
        found = metrics.parameters[i]
        raise _bad(where, batch, i, f"has {found} trainable parameters, expected a positive number of 31 bits")


def _bad(where: str, batch: RecordBatch, i: int, what: str) -> ValueError:
    return bad_record(where, batch.first + i, batch.positions[i], what)


# Members.


def _training_members(
    epochs: int, trained: _Trained, place: np.ndarray, cells: CellList, where: str
) -> tuple[int, dict[str, np.ndarray]]:
    """Returns how many runs a training has, and its members."""
    runs = _number_runs(trained, cells, epochs, where)
    rows, seeds = place[trained.cells], int(runs.max()) + 1
    middle = _middle(trained, epochs, where)

    done = {0: 0, 1: middle, 2: epochs}
    here = (DATASET, epochs)
    found: dict[str, np.ndarray] = {}
    for (point, field), values in trained.columns.items():
        if point < 0:
            name = member("reading", *here, list(TOTALS.values())[field])
        elif field == 1:
            continue
        elif field in READINGS:
            name = member("reading_at", *here, READINGS[field], done[point])
        elif field == 2:
            name = member("seconds_at", *here, done[point])
        else:
            name = member("accuracy", *here, ACCURACIES[field])
            name = name if point == 2 else member("accuracy_at", *here, ACCURACIES[field], middle)
        found[name] = np.full((len(place), seeds), np.nan, np.float32)
        found[name][rows, runs] = values
    found[member("train_seconds", *here)] = found[member("seconds_at", *here, epochs)] / np.float32(epochs)
    return seeds, found


def _number_runs(trained: _Trained, cells: CellList, epochs: int, where: str) -> np.ndarray:
    """Returns which run of its cell each training is, int64 `[R]`, counted in the order of the file."""
    order = np.argsort(trained.cells, kind="stable")
    grouped = trained.cells[order]
    begins = np.r_[True, grouped[1:] != grouped[:-1]]
    place = np.arange(len(grouped))
    runs = np.empty(len(grouped), np.int64)
    runs[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    if runs.max() >= _RUNS:
        i = int((runs >= _RUNS).argmax())
        digest = cells.hash_of(int(trained.cells[i]))
        what = f"is the fourth training of cell {digest} for {epochs} epochs, expected {_RUNS} at most"
        raise bad_record(where, int(trained.numbers[i]), int(trained.positions[i]), what)
    return runs


def _middle(trained: _Trained, epochs: int, where: str) -> int:
    """Returns the number of epochs done at the evaluation in the middle, which trainings of one length share."""
    done = np.rint(trained.columns[1, 1]).astype(np.int64)
    if (done != done[0]).any():
        i = int((done != done[0]).argmax())
        what = (
            f"of a training of {epochs} epochs has its second evaluation after {done[i]} of them, where the first such "
            f"record has it after {done[0]}"
        )
        raise bad_record(where, int(trained.numbers[i]), int(trained.positions[i]), what)
    return int(done[0])
