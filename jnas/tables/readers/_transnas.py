"""Tables from the file of TransNAS-Bench-101: one for each task and space, whose metrics and directions differ."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._text import not_one_of, short
from jnas.io._torch_file import has_checksum, read_torch
from jnas.spaces._transnas import transnas_macro, transnas_micro
from jnas.tables._file import Header, Training, encode_metric_curve, member
from jnas.tables._metric import ACCURACY, TableMetric
from jnas.tables._numbers import check_numbers
from jnas.tables.readers._release import note_without_checksum
from jnas.tables.readers._sources import Progress, archs_by_index, entry_number, gap_note

_MOST_OBJECTS = 20_000_000
_SPLITS = ("train", "valid", "test")
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")


class _Judged(NamedTuple):
    """By what a task is judged."""

    key: str  # what the file calls it, after the split
    metric: TableMetric
    sign: float = 1.0  # from the file's number to the metric


_TOP1 = _Judged("top1", ACCURACY)
_SSIM = _Judged("ssim", TableMetric("SSIM", "", True))
TASKS: Mapping[str, _Judged] = {
    "class_scene": _TOP1,
    "class_object": _TOP1,
    "jigsaw": _TOP1,
    "segmentsemantic": _Judged("mIoU", TableMetric("mIoU", "percent", True)),
    "room_layout": _Judged("neg_loss", TableMetric("loss", "", False), -1.0),  # a squared error, negative in the file
    "normal": _SSIM,
    "autoencoder": _SSIM,
}
"""The seven tasks. All but the loss of `room_layout` are the better the higher."""

_SPACES = {"micro": transnas_micro, "macro": transnas_macro}


def transnas_table(
    path: str | os.PathLike[str], *, task: str, space: str = "micro", progress: Progress = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of a task of TransNAS-Bench-101; PyTorch is not needed.

    Args:
      path: `transnas-bench_v10141024.pth`.
      task: One of the seven tasks, such as `'class_scene'`.
      space: `'micro'`, 4,096 cells, or `'macro'`, 3,256 backbones.
      progress: Called after each hundredth architecture.

    Returns:
      Header and members of a table: the task's metric on training, validation and test images after the last epoch and
      as curves, parameters and multiply-adds in millions, latency in seconds, and seconds of training where the file
      has them. The published interface's `mode='best'` is the highest of a curve, this table's number the last of it.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: There is no such task or space, or the file is cut off, foreign or hostile.

    References:
      "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural Architecture Search",
      Duan et al., 2021.
    """
    if task not in TASKS:
        raise ValueError(not_one_of("task", task, tuple(TASKS)))
    if space not in _SPACES:
        raise ValueError(not_one_of("space", space, tuple(_SPACES)))
    where, chosen = str(path), _SPACES[space]()
    root = read_torch(path, on_dict=_other_tasks_forgotten(task), max_containers=_MOST_OBJECTS)
    data = root.get("data") if isinstance(root, dict) else None
    cells = data.get(space) if isinstance(data, dict) else None
    if not isinstance(cells, dict) or not cells:
        raise ValueError(f"{where} is no file of TransNAS-Bench-101: it holds no architectures of the space {space!r}")
    archs = archs_by_index(chosen)
    rows = {chosen.to_string(arch): row for row, arch in enumerate(archs)}
    results: dict[int, Mapping[str, Any]] = {}
    for done, (text, tasks) in enumerate(cells.items(), start=1):
        if text not in rows:
            raise ValueError(f"{where} has the architecture {short(repr(text))}, which {chosen.name} does not have")
        if not isinstance(tasks, dict) or not isinstance(tasks.get(task), dict):
            raise ValueError(f"{where} has nothing of {task} for {text}; get it again")
        results[rows[text]] = tasks[task]
        if progress is not None and done % 100 == 0:
            progress(done, len(cells))
    return _table(results, chosen, archs, task, where)


def _other_tasks_forgotten(task: str) -> Any:
    """Returns what leaves of each architecture's results one task, as they pass."""

    def on_dict(items: dict[Any, Any]) -> bool:
        if task in items and isinstance(items[task], dict) and "metrics" in items[task]:
            for other in [name for name in items if name != task]:
                del items[other]
        return False

    return on_dict


def _table(
    results: Mapping[int, Mapping[str, Any]], space: Space, archs: np.ndarray, task: str, where: str
) -> tuple[Header, dict[str, np.ndarray]]:
    judged = TASKS[task]
    names = {row: f"{space.to_string(archs[row])}, {task}, of {where}" for row in results}
    epochs = {_length(each, names[row]) for row, each in results.items()}
    if len(epochs) != 1:
        raise ValueError(f"{where} has trainings of {sorted(epochs)} epochs for {task}, expected as many for all")
    (total,) = epochs
    arrays: dict[str, np.ndarray] = {"archs": archs}
    for split in _SPLITS:
        curve = np.full((len(archs), 1, total), np.nan)
        for row, each in results.items():
            curve[row, 0] = _curve(each["metrics"], f"{split}_{judged.key}", total, names[row])
        curve *= judged.sign
        check_numbers(judged.metric.checked_as, curve, f"{split} {judged.metric.name} of {task} in {where}")
        arrays[member("accuracy", task, total, split)] = curve[:, :, -1].astype(np.float32)
        arrays[member("accuracy_curve", task, total, split)] = encode_metric_curve(judged.metric, curve)
    costs = {"parameters": ("model_params", 1e-6), "flops": ("model_FLOPs", 1e-6), "latency": ("inference_time", 1.0)}
    for kind, (key, scale) in costs.items():
        values = np.full(len(archs), np.nan, np.float32)
        for row, each in results.items():
            values[row] = scale * entry_number(_object(each, "model_info", names[row]), key, names[row])
        check_numbers(kind, values, f"{key} of {where}", scaled=True)
        arrays[member(kind, task)] = values
    seconds = np.full((len(archs), 1), np.nan, np.float32)
    for row, each in results.items():
        seconds[row] = _seconds(each["metrics"].get("time_elapsed"), names[row]) / total
    if not np.isnan(seconds).all():
        arrays[member("train_seconds", task, total)] = seconds
    notes = [
        "one training each; numbers are those after the last epoch, where the published interface's mode='best' takes "
        "the highest of the curve",
        *([] if judged.sign > 0 else [f"the file's {judged.key} with its sign turned: lower is better"]),
        *gap_note(len(results), len(archs)),
        *([] if has_checksum(where) else [note_without_checksum(Path(where))]),
    ]
    header = Header(
        name=f"TransNAS-Bench-101 {space.name.removeprefix('transnas_')}, {task}",
        space=space.config,
        trainings=(Training(task, total, (0,)),),
        pairs={task: {"validation": (task, "valid"), "test": (task, "test")}},
        source=f"TransNAS-Bench-101, {Path(where).name}",
        notes=tuple(notes),
        metric=judged.metric,
    )
    return header, arrays


def _object(result: Mapping[str, Any], name: str, what: str) -> dict[str, Any]:
    found = result.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"{what} has no {name}; get the file again")
    return found


def _length(result: Mapping[str, Any], what: str) -> int:
    """Returns the number of epochs of a training."""
    _object(result, "metrics", what)
    total = result.get("total_epochs")
    if type(total) is not int or not 1 <= total <= 1000:
        raise ValueError(f"{what} has total_epochs = {short(repr(total), 60)}, expected a number of epochs")
    return total


def _curve(metrics: Mapping[str, Any], name: str, total: int, what: str) -> list[float]:
    values = metrics.get(name)
    if not isinstance(values, list) or len(values) != total:
        raise ValueError(f"{what} has no {name} of {total} epochs; get the file again")
    return [entry_number({name: value}, name, what) for value in values]


def _seconds(elapsed: Any, what: str) -> float:
    """Returns what a training took: the last time since its start, in seconds or as hours:minutes:seconds."""
    if elapsed is None:
        return float("nan")
    last = elapsed[-1] if isinstance(elapsed, list) and elapsed else elapsed
    clock = _CLOCK.fullmatch(last) if isinstance(last, str) else None
    if clock is not None:
        return 3600.0 * int(clock[1]) + 60 * int(clock[2]) + int(clock[3])
    return entry_number({"time_elapsed": last}, "time_elapsed", what)
