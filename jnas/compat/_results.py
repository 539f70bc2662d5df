"""What the interfaces of NATS-Bench and NAS-Bench-201 give of one architecture, as objects over a table's row."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jnas.io._text import listed
from jnas.tables._file import Training, decode_curve, member
from jnas.tables._published import SPLITS
from jnas.tables._table import Table

NO_WEIGHTS = "a jnas table holds no trained weights; read them from the benchmark's full archives"


class ResultsCount:
    """One training of an architecture: a data set, a number of epochs and a seed; None for the mean over its seeds."""

    def __init__(self, table: Table, row: int, training: Training, seed: int | None):
        """Looks at a row of a table."""
        self.name, self.seed, self.epochs = training.dataset, seed, training.epochs
        self._table, self._row, self._training = table, row, training
        self._slot = None if seed is None else training.seeds.index(seed)
        self.flop = _cost(table, "flops", training.dataset, row)
        self.params = _cost(table, "parameters", training.dataset, row)
        splits = [split for split in _splits(table, training) if split != "train"]
        self.eval_names = [split for split in splits if not math.isnan(self._last("accuracy", split))]

    def get_total_epoch(self) -> int:
        """Returns the number of epochs of the training."""
        return self.epochs

    def get_eval_set(self) -> list[str]:
        """Returns the splits on which the training was evaluated."""
        return list(self.eval_names)

    def get_latency(self) -> float:
        """Returns the latency of a batch in seconds, -1 where it is not known."""
        found = _cost(self._table, "latency", self.name, self._row)
        return -1.0 if math.isnan(found) else found

    def get_train(self, iepoch: int | None = None) -> dict[str, Any]:
        """Returns iepoch, loss, accuracy, cur_time and all_time of training, after the epoch of that number (from 0).

        Raises:
          ValueError: There is no such epoch, or the table has no learning curves.
        """
        return self._metrics("train", iepoch)

    def get_eval(self, name: str, iepoch: int | None = None) -> dict[str, Any]:
        """Returns the same on a split: 'x-valid', 'x-test' or 'ori-test' ('valid' is 'x-valid').

        Raises:
          ValueError: There is no such epoch or split, or the table has no learning curves.
        """
        name = "x-valid" if name == "valid" else name
        if name not in self.eval_names:
            raise ValueError(f"{self.name} has no split {name!r}, expected {listed(self.eval_names)}")
        return self._metrics(name, iepoch)

    def is_known(self, split: str, iepoch: int | None) -> bool:
        """Returns whether the training was evaluated on a split after that epoch."""
        at_end = iepoch is None or iepoch == self.epochs - 1
        return at_end or self._table.read(member("accuracy_curve", self.name, self.epochs, split)) is not None

    def get_times(self) -> dict[str, float | None]:
        """Returns the seconds of an epoch and of the whole, of training and of each evaluation; None where unknown."""
        found: dict[str, float | None] = {}
        for name in ("train", *self.eval_names):
            seconds = self._seconds(name)
            found[f"T-{name}@epoch"] = seconds
            found[f"T-{name}@total"] = None if seconds is None else self.epochs * seconds
        return found

    def get_net_param(self, clone: bool = False) -> Any:
        """Raises ValueError: tables hold no weights."""
        raise ValueError(NO_WEIGHTS)

    def get_config(self, str2structure: Callable[[str], Any] | None = None) -> dict[str, Any]:
        """Returns the configuration of the network, as the published interface gives it for its topology space.

        Raises:
          ValueError: The table is of another space.
        """
        text = self._table.space.to_string(self._table.archs[self._row])
        classes = {"cifar100": 100, "ImageNet16-120": 120}.get(self.name, 10)
        if "|" not in text:
            raise ValueError("a jnas table does not hold the genotype of a size candidate's cells; use its channels")
        arch = ("arch_str", text) if str2structure is None else ("genotype", str2structure(text))
        return {"name": "infer.tiny", "C": 16, "N": 5, arch[0]: arch[1], "num_classes": classes}

    def _metrics(self, split: str, iepoch: int | None) -> dict[str, Any]:
        last = self.epochs - 1
        iepoch = last if iepoch is None else iepoch
        if not 0 <= iepoch <= last:
            raise ValueError(f"invalid iepoch={iepoch} < {self.epochs}: epochs are counted from 0")
        seconds = self._seconds(split)
        return {
            "iepoch": iepoch,
            "loss": self._after("loss", split, iepoch),
            "accuracy": self._after("accuracy", split, iepoch),
            "cur_time": seconds,
            "all_time": None if seconds is None else (iepoch + 1) * seconds,
        }

    def _after(self, kind: str, split: str, iepoch: int) -> float:
        if iepoch == self.epochs - 1:
            return self._last(kind, split)
        curve = self._table.read(member(f"{kind}_curve", self.name, self.epochs, split))
        if curve is None:
            raise ValueError(
                f"the table has no learning curves of {kind} of {self.name} with {self.epochs} epochs on {split}; "
                "leave iepoch out, or import the original archive, which has them"
            )
        values = decode_curve(curve[self._row][:, iepoch]) if kind == "accuracy" else curve[self._row][:, iepoch]
        return self._of_seeds(values)

    def _last(self, kind: str, split: str) -> float:
        values = self._table.read(member(kind, self.name, self.epochs, split))
        if values is not None and values.shape[1]:
            return self._of_seeds(values[self._row])
        mean = self._table.read(member(f"{kind}_mean", self.name, self.epochs, split))
        return math.nan if mean is None or self.seed is not None else float(mean[self._row])

    def _seconds(self, split: str) -> float | None:
        """Returns what an epoch of training, or a pass over a split, takes; None where the table does not say."""
        parts = (self.name, self.epochs)
        name = member("train_seconds", *parts) if split == "train" else member("eval_seconds", *parts, split)
        values = self._table.read(name)
        if values is None:
            return None
        row = values[self._row]
        found = float(row[0]) if len(row) == 1 else self._of_seeds(row)
        return None if math.isnan(found) else found

    def _of_seeds(self, values: np.ndarray) -> float:
        """Returns the run's own number of those of all seeds, or the mean of those that are there."""
        if self._slot is not None:
            return float(values[self._slot])
        there = values[~np.isnan(values)].astype(np.float64)
        return float(there.mean()) if len(there) else math.nan


class ArchResults:
    """All trainings of an architecture with one number of epochs."""

    def __init__(self, table: Table, row: int, epochs: int):
        """Looks at a row of a table."""
        self.arch_index, self.arch_str = row, table.space.to_string(table.archs[row])
        self._table, self._epochs = table, epochs
        trainings = [t for t in table.header.trainings if t.epochs == epochs]
        self._trainings: Mapping[str, Training] = {t.dataset: t for t in trainings if _is_there(table, t, row)}
        self.dataset_seed = {name: _seeds(table, t, row) for name, t in self._trainings.items()}

    def get_dataset_names(self) -> list[str]:
        """Returns the data sets that have trainings."""
        return list(self._trainings)

    def get_dataset_seeds(self, dataset: str) -> list[int]:
        """Returns the seeds of the trainings on a data set; none where the table has means alone."""
        return list(self.dataset_seed[self._named(dataset)])

    def get_total_epoch(self, dataset: str | None = None) -> int:
        """Returns the number of epochs."""
        return self._epochs

    def get_latency(self, dataset: str) -> float:
        """Returns the latency of a batch in seconds, -1 where it is not known."""
        return self._mean(dataset).get_latency()

    def get_compute_costs(self, dataset: str) -> dict[str, float | None]:
        """Returns flops and params in millions, latency in seconds (None where unknown), and the times of trainings."""
        result = self._mean(dataset)
        latency = result.get_latency()
        return {
            "flops": result.flop,
            "params": result.params,
            "latency": latency if latency > 0 else None,
            **result.get_times(),
        }

    def get_metrics(
        self, dataset: str, setname: str, iepoch: int | None = None, is_random: bool | int = False
    ) -> dict[str, Any]:
        """Returns iepoch, loss, accuracy, cur_time and all_time on a split.

        Args:
          dataset: 'cifar10-valid', 'cifar10', 'cifar100' or 'ImageNet16-120'.
          setname: 'train', 'x-valid', 'x-test' or 'ori-test'.
          iepoch: After which epoch, from 0; by default the last.
          is_random: True for a run at random, False for the mean over runs, an integer for the run of that seed.

        Raises:
          ValueError: There is no such data set, split, epoch or seed in the table.
        """
        result = self.result(dataset, is_random)
        return result.get_train(iepoch) if setname == "train" else result.get_eval(setname, iepoch)

    def query(self, dataset: str, seed: int | None = None) -> Any:
        """Returns the training of a seed, or a dictionary of all by their seeds."""
        if seed is not None:
            return self.result(dataset, int(seed))
        return {each: self.result(dataset, each) for each in self.get_dataset_seeds(dataset)}

    def get_net_param(self, dataset: str, seed: int | None = None) -> Any:
        """Raises ValueError: tables hold no weights."""
        raise ValueError(NO_WEIGHTS)

    def clear_params(self) -> None:
        """Does nothing: there are no weights to clear."""

    def result(self, dataset: str, is_random: bool | int) -> ResultsCount:
        """Returns a training, or the mean of all, by `is_random` as `get_metrics` takes it."""
        seeds = self.get_dataset_seeds(dataset)
        if isinstance(is_random, bool):
            if not is_random:
                return self._mean(dataset)
            if not seeds:
                raise ValueError(
                    f"this table has means over the seeds of {dataset} alone, and no single runs: pass is_random=False"
                )
            is_random = random.choice(seeds)
        if is_random not in seeds:
            raise ValueError(f"can not find random seed ({is_random}) from {seeds}")
        return ResultsCount(self._table, self.arch_index, self._trainings[dataset], is_random)

    def _mean(self, dataset: str) -> ResultsCount:
        return ResultsCount(self._table, self.arch_index, self._trainings[self._named(dataset)], None)

    def _named(self, dataset: str) -> str:
        if dataset not in self._trainings:
            raise ValueError(f"invalid dataset-name : {dataset} vs. {self.get_dataset_names()}")
        return dataset


def _cost(table: Table, kind: str, dataset: str, row: int) -> float:
    """Returns a cost; that of cifar10 for the half of its images, whose networks are the same."""
    for name in (dataset, "cifar10" if dataset == "cifar10-valid" else dataset):
        values = table.read(member(kind, name))
        if values is not None and not math.isnan(values[row]):
            return float(values[row])
    return math.nan


def _splits(table: Table, training: Training) -> list[str]:
    """Returns the splits of which a table has accuracies, the published ones in their order and then others."""
    begins = tuple(member(kind, training.dataset, training.epochs, "") for kind in ("accuracy", "accuracy_mean"))
    there = {name.rsplit("/", 1)[-1] for name in table.names if name.startswith(begins)}
    return [*(split for split in SPLITS if split in there), *sorted(there - set(SPLITS))]


def _is_there(table: Table, training: Training, row: int) -> bool:
    splits = _splits(table, training)
    names = [member(kind, *training[:2], split) for kind in ("accuracy", "accuracy_mean") for split in splits]
    found = (table.read(name) for name in names)
    return any(values is not None and not np.isnan(values[row]).all() for values in found)


def _seeds(table: Table, training: Training, row: int) -> list[int]:
    """Returns the seeds of which an architecture has numbers."""
    there = np.zeros(len(training.seeds), bool)
    for split in _splits(table, training):
        values = table.read(member("accuracy", *training[:2], split))
        if values is not None and values.shape[1]:
            there |= ~np.isnan(values[row])
    return [seed for seed, known in zip(training.seeds, there, strict=True) if known]
