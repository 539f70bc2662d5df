"""Scalars of runs in the formats of other tools: TensorBoard's event files, Weights & Biases.

A point that a log holds is not written again, so that work which goes on in its folder leaves each once.

```
FOLDER/tensorboard/RUN/events.out.tfevents.0.jnas   a run's events; `tensorboard --logdir FOLDER/tensorboard`
FOLDER/wandb/                                       as that package keeps it
FOLDER/wandb-logged/RUN.json                        how far a run was handed to it
```
"""

import contextlib
import hashlib
import importlib
import json
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jnas.io._atomic import replacing
from jnas.io._tfrecord import frame_record

Points = Mapping[int, Mapping[str, float]]
"""Scalars of a run by their names, by step: the epoch, from 1."""

_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
LOG_FORMATS = tuple(_PACKAGES)


class RunLog(NamedTuple):
    """Where runs are logged.

    `add(run, points, told, last)` takes all points of a run so far, of which those that are new are written at once;
    what is said of the run in words; and whether these were its last.
    """

    add: Callable[[str, Points, Mapping[str, str], bool], None]


NO_LOG = RunLog(lambda run, points, told, last: None)


def check_log(name: str | None) -> None:
    """Raises ValueError, before any work, where the package of a format is not installed."""
    if name is None:
        return
    package = _PACKAGES[name]
    try:
        _modules(name)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == package
        why = f"the package {package}, which is not installed" if absent else f"{package}, which fails to import"
        more = "" if absent else f" ({error})"
        raise ValueError(f"--log {name} needs {why}{more}; pip install 'jnas[{name}]', or leave --log out") from None


def _modules(name: str) -> Any:
    if name == "wandb":
        return importlib.import_module("wandb")
    # Its messages alone: what writes files there starts a thread for each, and cannot add to a file.
    return tuple(importlib.import_module(f"tensorboardX.proto.{part}_pb2") for part in ("event", "summary", "tensor"))


@contextlib.contextmanager
def run_log(name: str | None, folder: Path) -> Iterator[RunLog]:
    """Gives the log of a folder's runs, of no runs where the name is None.

    Args:
      name: One of `LOG_FORMATS`, or None.
      folder: What the log is beside.

    Raises:
      ValueError: Its package is not installed.
      OSError: A file cannot be written.
    """
    check_log(name)
    if name is None:
        yield NO_LOG
        return
    with contextlib.ExitStack() as stack:
        yield RunLog(_tensorboard(folder / name) if name == "tensorboard" else _wandb(folder, stack))


def _tensorboard(folder: Path) -> Any:
    event, summary, tensor = _modules("tensorboard")
    logged: dict[str, set[int]] = {}

    def framed(when: float, step: int, values: list[Any]) -> bytes:
        said = event.Event(wall_time=when, step=step, summary=summary.Summary(value=values))
        return frame_record([said.SerializeToString()])

    def begin(words: Mapping[str, str], when: float) -> bytes:
        """Returns the first events of a file: its version, and texts."""
        version = frame_record([event.Event(wall_time=when, file_version="brain.Event:2").SerializeToString()])
        plugin = summary.SummaryMetadata(plugin_data=summary.SummaryMetadata.PluginData(plugin_name="text"))
        shape = {"dim": [{"size": 1}]}
        texts = [
            summary.Summary.Value(
                tag=f"{name}/text_summary",
                metadata=plugin,
                tensor=tensor.TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape),
            )
            for name, text in words.items()
        ]
        return version + (framed(when, 0, texts) if texts else b"")

    def add(run: str, points: Points, told: Mapping[str, str], last: bool) -> None:
        path = folder / run / "events.out.tfevents.0.jnas"
        if run not in logged:
            logged[run] = _steps_of(path, event.Event)
        new = [step for step in points if step not in logged[run]]
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            now = time.time()
            steps = [
                framed(now, step, [summary.Summary.Value(tag=t, simple_value=v) for t, v in points[step].items()])
                for step in new
            ]
            with open(path, "ab") as file:
                file.write((b"" if file.tell() else begin(told, now)) + b"".join(steps))
            logged[run].update(new)
        if last:
            del logged[run]

    return add


def _steps_of(path: Path, event: Any) -> set[int]:
    """Returns the steps whose scalars an event file holds; what a kill left behind its last whole event is cut off."""
    if not path.exists():
        return set()
    steps: set[int] = set()
    data, position = path.read_bytes(), 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        end = position + 16 + length
        if end > len(data):
            break
        try:
            said = event.FromString(data[position + 12 : end - 4])
        except Exception as error:  # protobuf's own
            raise ValueError(f"{path} is damaged ({error}); delete it, and the run is logged anew") from None
        if any(value.HasField("simple_value") for value in said.summary.value):
            steps.add(said.step)
        position = end
    if position < len(data) or not steps:  # without a point the words at the beginning may lack too
        os.truncate(path, position if steps else 0)
    return steps


def _wandb(folder: Path, stack: contextlib.ExitStack) -> Any:
    wandb = _modules("wandb")
    folder = folder.resolve()
    kept = folder / "wandb-logged"
    kept.mkdir(parents=True, exist_ok=True)
    opened: dict[str, Any] = {}

    def close() -> None:
        for run in opened.values():
            run.finish()

    stack.callback(close)

    def add(run: str, points: Points, told: Mapping[str, str], last: bool) -> None:
        path = kept / f"{run}.json"
        done = json.loads(path.read_text("utf-8"))["steps"] if path.exists() else 0
        new = sorted(step for step in points if step > done)
        if new:
            if run not in opened:
                opened[run] = wandb.init(
                    project=f"jnas-{folder.name}",
                    name=run,
                    id=hashlib.sha256(f"{folder}/{run}".encode()).hexdigest()[:16],
                    dir=str(folder),
                    config=dict(told),
                    resume="allow",
                    reinit="create_new",
                )
            for step in new:
                opened[run].log(dict(points[step]), step=step)
            with replacing(path, "w") as file:
                json.dump({"steps": new[-1]}, file)
        if last and run in opened:
            opened.pop(run).finish()

    return add
