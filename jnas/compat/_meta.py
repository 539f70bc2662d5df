"""What the interfaces of NATS-Bench and NAS-Bench-201 share: queries of an architecture by its number or string."""

import os
import random
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.compat._results import NO_WEIGHTS, ArchResults
from jnas.tables._load import load_table, table_from_arrays
from jnas.tables._table import Table
from jnas.tables.readers._nats import nasbench201_table, nats_table

_SIMULATED = ("cifar10", "cifar100", "ImageNet16-120")
_SETS = {"valid": "x-valid", "test": "x-test"}


def open_benchmark(source: Any, space: str, default: str | None) -> tuple[Table, str]:
    """Returns the table of what an interface was given, and its name.

    Args:
      source: A `jnas.Table`; the path of one; of an original archive, which is read now; or None for `default`.
      space: Of which it must be, a name of `jnas.spaces`.
      default: Where the original archive lies unless told otherwise.

    Raises:
      FileNotFoundError: There is no such file or folder.
      ValueError: It is of another space, or damaged.
      TypeError: It is of another kind.
    """
    if isinstance(source, Mapping):
        raise TypeError("file_path_or_dict is a dictionary; pass a jnas.Table, its file, or the path of the archive")
    if source is None:
        if default is None or not os.path.exists(default):
            raise FileNotFoundError(
                f"there is no archive at {default}, where $TORCH_HOME says; pass the path of a table that `jnas table "
                "import` made, or of the archive"
            )
        source = default
    if isinstance(source, Table):
        table, name = source, source.header.name
    elif isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        name = os.path.basename(os.path.normpath(path))
        if name.endswith(".npz") or not os.path.exists(path):
            table = load_table(path)
        elif name.endswith(".pth"):
            table = table_from_arrays(*nasbench201_table(path))
        else:
            table = table_from_arrays(*nats_table(path))
    else:
        raise TypeError(f"file_path_or_dict is {type(source).__name__}, expected a jnas.Table or a path")
    if table.space.name != space:
        raise ValueError(f"{name} is of the space {table.space.name!r}, expected {space!r}")
    if table.num_archs != table.space.size:
        raise ValueError(f"{name} has {table.num_archs:,} architectures, expected all {table.space.size:,} of {space}")
    return table, name


class MetaAPI:
    """The methods that the interfaces share. Architectures are found by their number, or by their string."""

    def __init__(self, table: Table, filename: str, name: str, full_epochs: int, verbose: bool):
        """Takes the table and what the published interface says of its space."""
        self.table, self.filename, self.verbose = table, filename, verbose
        self._search_space_name, self._full_train_epochs = name, full_epochs
        self._used_time: float = 0
        archs = np.asarray(jax.jit(jax.vmap(_index_of(table)))(jnp.asarray(table.archs, jnp.int32)))
        if (archs != np.arange(len(archs))).any():
            raise ValueError(f"{filename} has its architectures in another order than the benchmark's own index")
        self._epochs = sorted({training.epochs for training in table.header.trainings})

    # What there is.

    def __getitem__(self, index: int) -> str:
        """Returns the string of an architecture."""
        return self.table.text(index)

    def __len__(self) -> int:
        """Returns the number of architectures."""
        return self.table.num_archs

    def __repr__(self) -> str:
        """Returns what the interface is of."""
        return f"{type(self).__name__}({len(self.evaluated_indexes)}/{len(self)} architectures, file={self.filename})"

    def arch(self, index: int) -> str:
        """Returns the string of an architecture.

        Raises:
          ValueError: There is no such number.
        """
        return self.table.text(self._checked(index))

    @property
    def evaluated_indexes(self) -> list[int]:
        """The numbers of the architectures that have accuracies."""
        known = np.zeros(len(self), bool)
        for name in self.table.names:
            values = self.table.read(name) if name.split("/")[0] in ("accuracy", "accuracy_mean") else None
            if values is not None and values.size:
                known |= ~np.isnan(values.reshape(len(values), -1)).all(axis=1)
        return np.flatnonzero(known).tolist()

    @property
    def avaliable_hps(self) -> list[str]:
        """The numbers of epochs of trainings, as texts (the published name, as it is spelled)."""
        return [f"{epochs:02d}" for epochs in self._epochs]

    @property
    def used_time(self) -> float:
        """The seconds that `simulate_train_eval` has accounted for."""
        return self._used_time

    @property
    def search_space_name(self) -> str:
        """`'topology'` or `'size'`."""
        return self._search_space_name

    @property
    def full_train_epochs(self) -> int:
        """The epochs of the longest training."""
        return self._full_train_epochs

    def reset_time(self) -> None:
        """Sets `used_time` to 0."""
        self._used_time = 0

    def random(self) -> int:
        """Returns the number of an architecture at random, by Python's own generator."""
        return random.randint(0, len(self) - 1)

    def query_index_by_arch(self, arch: Any) -> int:
        """Returns the number of an architecture: of its string, of an object with `tostr()`, or the number itself.

        Returns:
          -1 for what is no architecture of the space.

        Raises:
          ValueError: A number out of range.
        """
        if isinstance(arch, int | np.integer):
            return self._checked(int(arch))
        text = arch.tostr() if hasattr(arch, "tostr") else arch
        if not isinstance(text, str):
            return -1
        try:
            return int(_index_of(self.table)(jnp.asarray(self.table.space.from_string(text))))
        except ValueError:
            return -1

    # What an architecture is worth.

    def query_meta_info_by_index(self, arch_index: int, hp: str | int = "12") -> ArchResults:
        """Returns all trainings of an architecture with `hp` epochs.

        Raises:
          ValueError: The table has none.
        """
        index = self._found(arch_index)
        results = ArchResults(self.table, index, self._hp(hp))
        if not results.get_dataset_names():
            raise ValueError(f"arch_index [{index}] has no trainings of {hp} epochs in this table")
        return results

    def query_by_index(self, arch_index: int, dataname: str | None = None, hp: str | int = "12") -> Any:
        """Returns the same, or the trainings on a data set as a dictionary by their seeds."""
        results = self.query_meta_info_by_index(arch_index, hp)
        return results if dataname is None else results.query(dataname)

    def get_more_info(
        self, index: Any, dataset: str, iepoch: int | None = None, hp: str | int = "12", is_random: bool | int = True
    ) -> dict[str, Any]:
        """Returns losses, accuracies and times of a training, by `train-loss`, `valid-accuracy`, `test-per-time`, ...

        Args:
          index: The number or string of an architecture.
          dataset: 'cifar10-valid', 'cifar10', 'cifar100' or 'ImageNet16-120'.
          iepoch: After which epoch, from 0; by default the last.
          hp: The number of epochs of the training.
          is_random: True for a run at random, False for the mean over runs, an integer for the run of that seed.

        Returns:
          `valid-...` where the data set has a validation split, `test-...`, and `valtest-...` of both together; as
          published, without those that were not evaluated after that epoch.

        Raises:
          ValueError: The table has no such numbers.
        """
        results = self.query_meta_info_by_index(index, hp)
        result = results.result(dataset, is_random)
        info: dict[str, Any] = {}
        names = {"train": "train", "x-valid": "valid", "x-test": "test", "ori-test": "valtest"}
        if dataset in ("cifar10", "cifar10-valid"):
            names["ori-test"] = "test"
            info["comment"] = (
                f"train-... is of CIFAR-10's {'train+valid sets' if dataset == 'cifar10' else 'train set'}, test-... "
                f"of its test set, after a training of {hp} epochs; per-time is of an epoch, all-time of all of them"
            )
        for split in ("train", *(each for each in result.get_eval_set() if result.is_known(each, iepoch))):
            found = result.get_train(iepoch) if split == "train" else result.get_eval(split, iepoch)
            all_time = found["all_time"]
            info |= {
                f"{names.get(split, split)}-loss": found["loss"],
                f"{names.get(split, split)}-accuracy": found["accuracy"],
                f"{names.get(split, split)}-per-time": None if all_time is None else all_time / (found["iepoch"] + 1),
                f"{names.get(split, split)}-all-time": all_time,
            }
        return info

    def simulate_train_eval(
        self, arch: Any, dataset: str, iepoch: int | None = None, hp: str | int = "12", account_time: bool = True
    ) -> tuple[float, float | None, float, float]:
        """Returns the validation accuracy of a run at random, the latency, what it cost, and `used_time` after it.

        Raises:
          ValueError: There is no such data set, or the table has no single runs or no times.
        """
        if dataset not in _SIMULATED:
            raise ValueError(f"Invalid dataset name : {dataset} vs {_SIMULATED}")
        index = self._found(arch)
        info = self.get_more_info(index, "cifar10-valid" if dataset == "cifar10" else dataset, iepoch, hp, True)
        kind = "valid" if "valid-accuracy" in info else "valtest"
        seconds = (info["train-all-time"], info[f"{kind}-per-time"])
        if None in seconds:
            raise ValueError(f"this table has no times of trainings on {dataset} and of their evaluation")
        cost = float(sum(seconds))
        if account_time:
            self._used_time += cost
        return info[f"{kind}-accuracy"], self.get_latency(index, dataset, hp), cost, self._used_time

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None = None,
        param_max: float | None = None,
        hp: str | int = "12",
        enforce_all: bool | None = None,
    ) -> tuple[int, float | None]:
        """Returns the number and accuracy of the best architecture by the mean over runs, within limits in millions.

        Where none is within them it is -1 and None, as published.

        `valid` and `test` of cifar10 are x-valid of 'cifar10-valid' and ori-test of 'cifar10', as published.
        """
        if dataset == "cifar10" and metric_on_set == "valid":
            dataset, metric_on_set = "cifar10-valid", "x-valid"
        elif dataset == "cifar10" and metric_on_set == "test":
            metric_on_set = "ori-test"
        elif dataset in ("cifar100", "ImageNet16-120"):
            metric_on_set = _SETS.get(metric_on_set, metric_on_set)
        values = self.table.runs("accuracy", dataset, metric_on_set, self._hp(hp), "mean").value[:, 0].astype(float)
        for kind, most in (("flops", flop_max), ("parameters", param_max)):
            costs = None if most is None else self.table.read(f"{kind}/{dataset}")
            if most is not None:
                costs = self.table.read(f"{kind}/cifar10") if costs is None else costs
                if costs is None:
                    raise ValueError(f"this table has no {kind} of {dataset}")
                values = np.where(costs <= most, values, np.nan)
        if np.isnan(values).all():
            return -1, None
        best = int(np.nanargmax(values))
        return best, float(values[best])

    def get_cost_info(self, index: int, dataset: str, hp: str | int = "12") -> dict[str, float | None]:
        """Returns flops, params (millions), latency (seconds) and times of an architecture's trainings."""
        return self.query_meta_info_by_index(index, hp).get_compute_costs(dataset)

    def get_latency(self, index: int, dataset: str, hp: str | int = "12") -> float | None:
        """Returns the latency in seconds of a batch of 256, None where it is unknown."""
        return self.get_cost_info(index, dataset, hp)["latency"]

    def get_net_config(self, index: int, dataset: str) -> dict[str, Any]:
        """Returns the configuration of the network of an architecture."""
        epochs = next(e for e in self._epochs if ArchResults(self.table, index, e).get_dataset_names())
        return ArchResults(self.table, self._found(index), epochs).result(dataset, False).get_config(None)

    def statistics(self, dataset: str, hp: str | int) -> dict[int, int]:
        """Returns how many architectures have how many runs."""
        counts: dict[int, int] = {}
        for index in self.evaluated_indexes:
            number = len(ArchResults(self.table, index, self._hp(hp)).dataset_seed.get(dataset, ()))
            counts[number] = counts.get(number, 0) + 1
        return counts

    # As text.

    def query_info_str_by_arch(self, arch: Any, hp: str | int = "12") -> str:
        """Returns lines that say what an architecture is worth."""
        return "\n".join(self._lines(self.query_meta_info_by_index(self._found(arch), hp)))

    def query_by_arch(self, arch: Any, hp: str | int) -> str:
        """Returns the same, under its oldest name."""
        return self.query_info_str_by_arch(arch, hp)

    def show(self, index: int = -1) -> None:
        """Prints what an architecture is worth, or what the benchmark is for a negative number."""
        print(self)
        for epochs in self._epochs if index >= 0 else ():
            results = ArchResults(self.table, self._checked(index), epochs)
            print(f"{'>' * 40} {epochs:03d} epochs {'>' * 40}", *self._lines(results), sep="\n")

    def _lines(self, results: ArchResults) -> list[str]:
        lines = [results.arch_str, f"datasets : {results.get_dataset_names()}, arch-index={results.arch_index}"]
        for dataset in results.get_dataset_names():
            costs, result = results.get_compute_costs(dataset), results.result(dataset, False)
            splits = [(split, results.get_metrics(dataset, split)) for split in ("train", *result.get_eval_set())]
            told = ", ".join(f"{s} : [loss = {m['loss']:.3f} & top1 = {m['accuracy']:.2f}%]" for s, m in splits)
            latency = costs["latency"]
            shown = "None" if latency is None else f"{1000 * latency:.2f}"
            lines += [
                f"{dataset:14s} FLOP={costs['flops']:6.2f} M, Params={costs['params']:.3f} MB, latency={shown} ms.",
                f"{dataset:14s} {told}",
            ]
        return lines

    # What a table cannot do.

    def reload(self, archive_root: str | None = None, index: int | None = None) -> None:
        """Raises ValueError: a table is read as a whole."""
        raise ValueError("a jnas table is read as a whole, and nothing of it can be loaded again; import the archive")

    def clear_params(self, index: int, hp: str | int | None = None) -> None:
        """Does nothing: a table holds no weights."""
        self._checked(index)

    def get_net_param(self, index: int, dataset: str, seed: int | None, hp: str | int = "12") -> Any:
        """Raises ValueError: a table holds no weights."""
        raise ValueError(NO_WEIGHTS)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise ValueError(f"Invalid architecture index {index} vs [0, {len(self)}).")
        return index

    def _found(self, arch: Any) -> int:
        """Returns the number of an architecture; ValueError for what is none."""
        index = self.query_index_by_arch(arch)
        if index < 0:
            raise ValueError(f"{arch!r} is no architecture of the {self.search_space_name} space")
        return index

    def _hp(self, hp: str | int) -> int:
        """Returns the number of epochs that a text means."""
        known = self.avaliable_hps
        if str(hp).zfill(2) not in known:
            raise ValueError(f"hp is {hp!r}, expected one of the table's numbers of epochs, {', '.join(known)}")
        return int(hp)


def _index_of(table: Table) -> Any:
    assert table.space.index is not None
    return table.space.index
