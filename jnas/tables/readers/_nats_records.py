"""The file of one architecture of NATS-Bench, read by processes that need no JAX.

NAS-Bench-201 and NATS-Bench keep, for an architecture and a number of epochs, a dictionary with `all_results`: for each
data set and seed the record of one training. Its curves are dictionaries from epoch (0 is the first) to number, or from
`SPLIT@EPOCH` to number. Nothing of it is trusted: types, names and ranges are checked before a number is kept.
"""

import bz2
import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.io._restricted_pickle import load
from jnas.io._stream import Stream
from jnas.tables._published import DATASETS, SPLITS

_MOST_BYTES = 1 << 25  # of one unpacked file of a folder; the real ones have 0.3 MB, the list of architectures 1.4 MB
_MOST_EPOCHS = 1000
MOST_SEEDS = 32
_COSTS = ("parameters", "flops", "latency")
_PLAIN = {float, int, type(None)}


class Trial(NamedTuple):
    """One training of one architecture; NaN where the record lacks a number."""

    dataset: str
    epochs: int
    seed: int
    curves: Mapping[tuple[str, str], np.ndarray]  # ('accuracy' | 'loss', split) -> float64 [epochs]
    train_seconds: float  # mean over epochs
    eval_seconds: Mapping[str, float]  # split -> mean over epochs
    costs: Mapping[str, float]  # parameters and multiply-adds in millions, latency in seconds


def read_file(task: tuple[int, str, Path]) -> list[Trial]:
    """Returns the trials in the file of one architecture; the task is its index, its string and the path."""
    index, text, path = task
    states = load(Stream(BytesIO(unpack(path)).read, str(path)))
    if not isinstance(states, dict) or not states:
        raise ValueError(f"{path} is a pickle but not one of NATS-Bench; get it again from its source")
    return [trial for state in states.values() for trial in parse(state, index, text, str(path))]


def parse(state: Any, index: int, text: str, where: str) -> list[Trial]:
    """Returns the trials of one architecture's dictionary, which must be of this index and string."""
    if not isinstance(state, dict) or state.get("arch_index") != index or state.get("arch_str") != text:
        raise ValueError(f"{where} does not hold architecture {index} as listed; get it again from its source")
    with saying(index, where):
        return parse_trials(state)


@contextlib.contextmanager
def saying(index: int, where: str) -> Iterator[None]:
    """Completes the messages on trials, which know neither the file nor the architecture."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where} {error} of architecture {index}; get it again from its source") from error


def unpack(path: Path) -> bytes:
    """Returns the bytes of a bzip2 file that is not larger than it should be."""
    try:
        with bz2.open(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError) as error:
        raise ValueError(
            f"{path} is cut off or not compressed with bzip2 ({error}); get it again from its source"
        ) from error
    if len(data) > _MOST_BYTES:
        raise ValueError(
            f"{path} unpacks to more than {_MOST_BYTES >> 20} MB, far more than numbers take; "
            "pass the folder whose name ends in 'simple', which has no trained weights"
        )
    return data


def parse_trials(state: Any) -> list[Trial]:
    """Returns the trials of one architecture's dictionary.

    Raises:
      ValueError: It does not have the published form; the message says what is wrong, for a caller to say where.
    """
    results = state.get("all_results") if isinstance(state, dict) else None
    if not isinstance(results, dict) or len(results) > MOST_SEEDS * len(DATASETS):
        raise ValueError("has no dictionary 'all_results' of trials")
    return [_parse_trial(key, record) for key, record in results.items()]


def _parse_trial(key: Any, record: Any) -> Trial:
    if not (type(key) is tuple and len(key) == 2 and key[0] in DATASETS and type(key[1]) is int):
        raise ValueError("has a trial that is not of one of the data sets " + ", ".join(DATASETS))
    dataset, seed = key
    epochs = record.get("epochs") if isinstance(record, dict) else None
    if type(epochs) is not int or not 1 <= epochs <= _MOST_EPOCHS or not 0 <= seed < 2**31:
        raise ValueError(f"has a trial on {dataset} without a sensible seed and number of epochs")
    try:
        curves = {("accuracy", "train"): _numbers(record.get("train_acc1es"), range(epochs))}
        curves["loss", "train"] = _numbers(record.get("train_losses"), range(epochs))
        eval_seconds = {}
        for split in SPLITS[1:]:
            keys = _split_keys(split, epochs)
            curves["accuracy", split] = _numbers(record.get("eval_acc1es"), keys)
            curves["loss", split] = _numbers(record.get("eval_losses"), keys)
            eval_seconds[split] = _mean(_numbers(record.get("eval_times"), keys))
        train_seconds = _mean(_numbers(record.get("train_times"), range(epochs)))
        latency = dict(enumerate(record.get("latency") or ()))  # of each batch that was timed
        costs = [record.get("params"), record.get("flop"), _mean(_numbers(latency, latency))]
        trial = Trial(
            dataset=dataset,
            epochs=epochs,
            seed=seed,
            curves=curves,
            train_seconds=train_seconds,
            eval_seconds=eval_seconds,
            costs={name: _positive(cost) for name, cost in zip(_COSTS, costs, strict=True)},
        )
    except (TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"has something other than a number in the trial on {dataset} with seed {seed}") from error
    _check_trial(trial)
    return trial


def _check_trial(trial: Trial) -> None:
    name = f"the trial on {trial.dataset} with seed {trial.seed}"
    for (kind, split), values in trial.curves.items():
        if kind == "accuracy" and ((values < 0) | (values > 100.001)).any():
            raise ValueError(f"has an accuracy outside of 0 to 100 percent on {split} in {name}")
    if any(seconds < 0 or seconds == np.inf for seconds in (trial.train_seconds, *trial.eval_seconds.values())):
        raise ValueError(f"has a negative or infinite time in {name}")
    for cost, value in trial.costs.items():
        if value == np.inf:
            raise ValueError(f"has an infinite number as {cost} in {name}")


@functools.cache
def _split_keys(split: str, epochs: int) -> tuple[str, ...]:
    return tuple(f"{split}@{epoch}" for epoch in range(epochs))


def _numbers(curve: Any, keys: Iterable[Any]) -> np.ndarray:
    """Returns the float64 numbers of a dictionary at some keys, NaN where it lacks them (or there is none)."""
    if curve is None:
        curve = {}
    values = list(map(curve.get, keys))
    if not set(map(type, values)) <= _PLAIN:
        raise TypeError
    return np.array(values, np.float64)


def _mean(values: np.ndarray) -> float:
    """Returns the mean of the numbers that are there, NaN if there are none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan


def _positive(cost: Any) -> float:
    """Returns a cost, NaN where the record has none or marks it as unknown with -1."""
    if type(cost) not in _PLAIN:
        raise TypeError
    return float(cost) if cost is not None and cost > 0 else np.nan
