"""The file of a table: an `.npz` with a JSON header, read member by member.

Members, for a file of `N` architectures, `E` decisions and the `S` seeds of a training (a pair of data set and number
of epochs; 12 and 200 epochs are different trainings, each with its own learning-rate schedule):

| member | array | meaning |
| --- | --- | --- |
| `header` | uint8 `[...]` | UTF-8 JSON: `Header` |
| `archs` | int8, int16 or int32 `[N, E]` | the encoded architectures (`arch_dtype`); a row's number is its index |
| `accuracy/DATASET/EPOCHS/SPLIT` | float32 `[N, S]` | percent, after the last epoch; NaN where missing |
| `accuracy_mean/DATASET/EPOCHS/SPLIT` | float32 `[N]` | a mean that the source gives and its seeds do not reproduce |
| `loss/DATASET/EPOCHS/SPLIT` | float32 `[N, S]` | cross-entropy after the last epoch |
| `accuracy_curve/DATASET/EPOCHS/SPLIT` | uint16 `[N, S, EPOCHS]` | each epoch, in 0.002 percent; 65535: missing |
| `loss_curve/DATASET/EPOCHS/SPLIT` | float16 `[N, S, EPOCHS]` | each epoch; NaN where missing |
| `train_seconds/DATASET/EPOCHS` | float32 `[N, 1 or S]` | one epoch of training |
| `eval_seconds/DATASET/EPOCHS/SPLIT` | float32 `[N, 1 or S]` | one pass over the split |
| `accuracy_at/DATASET/EPOCHS/SPLIT/AT` | float32 `[N, S]` | percent, after `AT` of the epochs |
| `seconds_at/DATASET/EPOCHS/AT` | float32 `[N, 1 or S]` | training up to there, as it was measured |
| `measured/DATASET/EPOCHS` | uint8 `[N]` | 1 where the training's seconds were measured, 0 where they were modelled |
| `reading/DATASET/EPOCHS/NAME` | float32 `[N, 1 or S]` | a reading of each run, in the unit that its name says |
| `reading_at/DATASET/EPOCHS/NAME/AT` | float32 `[N, 1 or S]` | the same after `AT` of the epochs, from 0 |
| `trained_as/DATASET/EPOCHS` | uint32 `[N]` | the row whose runs these are: its own, where it was trained |
| `published_hash` | uint8 `[N, 16]` | the MD5 by which NAS-Bench-101 knows a cell |
| `parameter_count/DATASET` | uint32 `[N]` | trainable parameters, exactly; 0 where unknown |
| `parameters/DATASET` | float32 `[N]` | millions |
| `flops/DATASET` | float32 `[N]` | multiply-adds in millions |
| `latency/DATASET` | float32 `[N]` | seconds a batch, as the benchmark measured it |
| `device_latency/DEVICE` | float32 `[N]` | milliseconds |
| `hardware/NAME` | float32 `[N]` | a hardware reading in the unit that its name says |
| `proxy/NAME` | float32 `[N]` | a score without training, higher is better; NaN where there is none |

Where the header names another metric (`metric`: its name, its unit, whether higher is better), the members
`accuracy...` hold that one in its unit, curves as floats.

Members of one number for each architecture (from `parameter_count` to `proxy`) serve as further objectives beside a
score: `Table.objective(..., objectives=("flops/cifar10", "hardware/edgegpu_energy"))` names them as they stand here.

Uncompressed, so that a member is read at once when it is asked for; compressed ones (the package's own) are read too.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._atomic import replacing
from jnas.io._json_checks import parse_pairs
from jnas.io._members import DAMAGE, list_members, open_archive, read_header, read_member, read_shape, reason
from jnas.io._text import did_you_mean, short
from jnas.tables._metric import ACCURACY, TableMetric, metric_of, metric_words

EMBEDDED = "digits"
"""The name of the table that comes with the package."""

FORMAT = "jnas-table"
VERSION = 1
# Percent; one image of 50,000, so that counts of right answers survive for up to 50,000 images. Of more, such as the
# 151,700 training images of ImageNet16-120, accuracies are within 0.001 percent of what they were.
CURVE_STEP = 0.002
CURVE_MISSING = 65535
LARGEST_HALF = 65504.0  # of float16, the type of curves of losses

_SHAPES = {
    "parameter_count": ("N",),
    "parameters": ("N",),
    "flops": ("N",),
    "latency": ("N",),
    "device_latency": ("N",),
    "hardware": ("N",),
    "proxy": ("N",),
    "published_hash": ("NH",),
    "train_seconds": ("N1", "NS"),
    "trained_as": ("N",),
    "measured": ("N",),
    "accuracy": ("NS",),
    "accuracy_mean": ("N",),
    "loss": ("NS",),
    "accuracy_curve": ("NSE",),
    "loss_curve": ("NSE",),
    "eval_seconds": ("N1", "NS"),
    "seconds_at": ("N1", "NS"),
    "reading": ("N1", "NS"),
    "accuracy_at": ("NS",),
    "reading_at": ("N1", "NS"),
}
"""Shapes of each kind of member: N architectures, S seeds and E epochs of its training, H bytes of a hash."""

OBJECTIVE_KINDS = ("parameter_count", "parameters", "flops", "latency", "device_latency", "hardware", "proxy")
"""The kinds of members that `Table.objective` takes for further objectives."""

_AXES = {"1": 1, "H": 16}
_NUM_PARTS = {
    **dict.fromkeys(("train_seconds", "trained_as", "measured"), 2),
    **dict.fromkeys(("accuracy", "accuracy_mean", "loss", "accuracy_curve", "loss_curve", "eval_seconds"), 3),
    **dict.fromkeys(("seconds_at", "reading"), 3),
    **dict.fromkeys(("accuracy_at", "reading_at"), 4),
}
"""Of members that belong to a training, how many parts the name has after its kind; the first two are the training."""


class Training(NamedTuple):
    """One way in which every architecture was trained: a data set and a number of epochs."""

    dataset: str
    epochs: int
    seeds: tuple[int, ...]  # the names of the S slots of its arrays


class Header(NamedTuple):
    """What a table file says of itself."""

    name: str
    space: str  # `Space.config`
    trainings: tuple[Training, ...]
    pairs: Mapping[str, Mapping[str, tuple[str, str]]]  # dataset -> 'validation' | 'test' -> (dataset, split)
    source: str  # where the numbers come from
    notes: tuple[str, ...] = ()  # what a user of the numbers must know
    metric: TableMetric = ACCURACY  # what the members `accuracy/...` and `accuracy_...` hold


def header_words(header: Header) -> dict[str, Any]:
    """Returns what a header says, as files hold it and hashes are taken of it."""
    words = header._asdict()
    del words["metric"]
    return words | metric_words(header.metric)


def encode_metric_curve(metric: TableMetric, values: np.ndarray) -> np.ndarray:
    """Returns curves `[N, S, epochs]` of a metric as a table file holds them."""
    return encode_curve(values) if metric.is_percent else values.astype(np.float32)


def encode_curve(percent: np.ndarray) -> np.ndarray:
    """Returns accuracies in percent (NaN where missing) as the uint16 of a table file."""
    steps = np.round(np.nan_to_num(percent, nan=0.0) / CURVE_STEP)
    return np.where(np.isnan(percent), CURVE_MISSING, np.clip(steps, 0, CURVE_MISSING - 1)).astype(np.uint16)


def decode_curve(steps: np.ndarray) -> np.ndarray:
    """Returns the uint16 of a table file as float32 percent, NaN where missing; other metrics' floats as float32."""
    if steps.dtype.kind == "f":
        return steps.astype(np.float32)
    percent = steps.astype(np.float32) * np.float32(CURVE_STEP)
    return np.where(steps == CURVE_MISSING, np.float32(np.nan), percent)


def arch_dtype(space: Space) -> type[np.signedinteger[Any]]:
    """Returns the smallest of int8, int16 and int32 that a space's numbers of choices fit."""
    most = max(space.num_choices, default=0)
    fitting: list[type[np.signedinteger[Any]]] = [t for t in (np.int8, np.int16) if most <= np.iinfo(t).max]
    return fitting[0] if fitting else np.int32


def member(kind: str, *parts: str | int) -> str:
    """Returns the name of a member, for example `accuracy/cifar100/200/x-test`."""
    return "/".join((kind, *map(str, parts)))


def save_arrays(
    path: str | os.PathLike[str], header: Header, arrays: Mapping[str, np.ndarray], *, compress: bool = False
) -> None:
    """Writes a table file.

    Args:
      path: Where; written beside and renamed.
      header: What the file says of itself.
      arrays: The other members; checked as `read_header` would.
      compress: Whether to make the file small.

    Raises:
      ValueError: A member's name or shape does not fit the header, or the header's pairs are of the wrong form.
      OSError: The file cannot be written.
    """
    check_arrays(header, {name: (array.dtype, array.shape) for name, array in arrays.items()}, "the table")
    parse_pairs(header.pairs, "the table")
    text = json.dumps({"format": FORMAT, "version": VERSION, **header_words(header)}, allow_nan=False)
    packed = np.frombuffer(text.encode(), np.uint8)
    with replacing(path) as file:
        save = np.savez_compressed if compress else np.savez
        save(file, allow_pickle=False, **{"header": packed, **arrays})


class TableFile:
    """An open table file: its header, and its arrays when they are asked for."""

    def __init__(self, path: str | os.PathLike[str]):
        """Opens a file and checks its header and the shapes of its members, reading no large array.

        Raises:
          ValueError: The file is truncated, foreign, of a later version, or contradicts itself; the message says what.
          FileNotFoundError: There is no such file.
        """
        self.path = Path(path)
        if not self.path.is_file():
            there = sorted(each.name for each in self.path.parent.glob("*.npz")) if self.path.parent.is_dir() else []
            offer = did_you_mean(self.path.name, [*there, EMBEDDED]) or ";"
            raise FileNotFoundError(f"there is no table at {path}{offer} make one with `jnas table import`")
        try:
            self._archive = open_archive(self.path)
            self._members = list_members(self._archive)
            header = self._members.get("header")
            raw = None if header is None else read_header(self._archive, header)
        except DAMAGE as error:
            raise ValueError(
                f"{path} is not a table file, or it is cut off ({reason(error)}); make it again with "
                "`jnas table import`"
            ) from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError(
                f"{path} is an .npz but not a jnas table (it has no jnas header); turn arrays into a table with "
                "`jnas table import arrays`"
            )
        if raw.get("version") != VERSION:
            raise ValueError(
                f"{path} has table version {raw.get('version')}, this jnas reads version {VERSION}; "
                "update jnas, or import the source again"
            )
        try:
            self.header = _parse_header(raw)
        except KeyError as error:
            raise ValueError(f"the header of {path} is damaged (it lacks {error}); import the source again") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the header of {path} is damaged ({error}); import the source again") from error
        self.shapes = {name: self._shape(name) for name in self._members if name != "header"}
        check_arrays(self.header, self.shapes, str(path))

    def read(self, name: str) -> np.ndarray:
        """Returns a member's array, read from the file now."""
        if name not in self.shapes:
            raise KeyError(name)
        return self._read(name)

    def _read(self, name: str) -> np.ndarray:
        try:
            return read_member(self._archive, self._members[name])
        except DAMAGE as error:
            raise self._damaged(name, error) from error

    def _shape(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        try:
            return read_shape(self._archive, self._members[name])
        except DAMAGE as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: Exception) -> ValueError:
        return ValueError(
            f"member {short(name)!r} of {self.path} is damaged ({reason(error)}); import the source again"
        )


def _parse_header(raw: Mapping[str, Any]) -> Header:
    return Header(
        name=str(raw["name"]),
        space=str(raw["space"]),
        trainings=tuple(Training(str(d), int(e), tuple(int(s) for s in seeds)) for d, e, seeds in raw["trainings"]),
        pairs=parse_pairs(raw["pairs"], "the header"),
        source=str(raw["source"]),
        notes=tuple(map(str, raw["notes"])),
        metric=metric_of(raw),
    )


def check_arrays(header: Header, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], where: str) -> None:
    """Raises ValueError where a table's members do not fit its header or one another."""

    def fail(name: str, what: str) -> None:
        raise ValueError(f"member {short(name)!r} of {where} {what}")

    if "archs" not in shapes:
        raise ValueError(f"{where} has no member 'archs'; a table needs its encoded architectures")
    dtype, shape = shapes["archs"]
    if len(shape) != 2 or dtype.kind != "i":
        fail("archs", f"is {dtype}{list(shape)}, expected integers [N, E]")
    rows = shape[0]
    trainings = {(t.dataset, str(t.epochs)): t for t in header.trainings}
    for name, (dtype, shape) in shapes.items():
        kind, *parts = name.split("/")
        if kind == "archs":
            continue
        if dtype.kind not in "fu" or not shape or shape[0] != rows:
            fail(name, f"is {dtype}{list(shape)}, expected floats with {rows} rows as 'archs'")
        if kind not in _SHAPES:
            fail(name, "is of a kind that this version does not know")
        axes = {**_AXES, "N": rows}
        if kind in _NUM_PARTS:
            if len(parts) != _NUM_PARTS[kind]:
                fail(name, "has a name of the wrong form; see the documentation of the format")
            training = trainings.get((parts[0], parts[1]))
            if training is None:
                fail(name, "belongs to a training that the header does not list")
                continue
            if kind.endswith("_at") and parts[-1] not in map(str, range(training.epochs + 1)):
                fail(name, f"ends with {parts[-1]!r}, expected a number of epochs done, from 0 to {training.epochs}")
            axes |= {"S": len(training.seeds), "E": training.epochs}
        expected = [tuple(axes[axis] for axis in wanted) for wanted in _SHAPES[kind]]
        if shape not in expected:
            fail(name, f"has shape {list(shape)}, expected {' or '.join(str(list(e)) for e in expected)}")


def check_archs_shape(space: Space, shape: tuple[int, ...], where: str) -> None:
    """Raises ValueError where architectures of a space, no two of them the same, cannot have this shape."""
    if len(shape) != 2 or shape[1] != space.num_decisions:
        raise ValueError(
            f"the architectures of {where} have shape {list(shape)}, "
            f"expected [N, {space.num_decisions}] for the space {space.name!r}"
        )
    encodings = math.prod(int(choices) for choices in space.num_choices)
    if shape[0] > encodings:
        raise ValueError(f"{where} has {shape[0]:,} architectures, but the space {space.name!r} {encodings:,} of them")


def check_archs(space: Space, archs: np.ndarray, where: str) -> None:
    """Raises ValueError where encoded architectures `[N, E]` do not belong to the space or stand twice."""
    check_archs_shape(space, archs.shape, where)
    wrong = (archs < 0) | (archs >= np.asarray(space.num_choices))
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise ValueError(f"architecture {row} of {where}, {archs[row].tolist()}, is not of the space {space.name!r}")
    # Each row as one opaque value: unique over bytes is many times quicker than over rows.
    flat = np.ascontiguousarray(archs).view(np.dtype((np.void, archs.dtype.itemsize * archs.shape[1]))).ravel()
    _, first = np.unique(flat, return_index=True)
    if len(first) != len(archs):
        row = int(np.setdiff1d(np.arange(len(archs)), first)[0])
        raise ValueError(f"architecture {row} of {where}, {archs[row].tolist()}, stands in it twice")
