"""The trials of NAS-Bench-201 and NATS-Bench, gathered into the arrays of a table."""

from collections.abc import Iterable, Mapping

import numpy as np

from jnas.tables._file import CURVE_MISSING, LARGEST_HALF, Training, encode_curve, member
from jnas.tables._published import DATASETS
from jnas.tables.readers._nats_records import MOST_SEEDS, Trial

_MOST_TRAININGS = 32


class TrialArrays:
    """Gathers trials into arrays, a column for each seed that comes."""

    def __init__(self, rows: int):
        """Starts without numbers for `rows` architectures."""
        self.rows = rows
        self.num_filled = 0  # rows that have a trial
        self._filled = np.zeros(rows, bool)
        self._columns: dict[tuple[str, ...], dict[int, np.ndarray]] = {}
        self._seeds: dict[tuple[str, int], set[int]] = {}
        self._costs: dict[tuple[str, str], dict[tuple[int, int], np.ndarray]] = {}

    def add(self, row: int, trials: Iterable[Trial]) -> None:
        """Puts the trials of one architecture into its row.

        Raises:
          ValueError: There are more trainings or seeds than any benchmark has.
        """
        for trial in trials:
            training = (trial.dataset, trial.epochs)
            self._seeds.setdefault(training, set()).add(trial.seed)
            if len(self._seeds) > _MOST_TRAININGS or len(self._seeds[training]) > MOST_SEEDS:
                raise ValueError("has far more different trainings than the benchmark")
            for (kind, split), values in trial.curves.items():
                self._put((kind, *map(str, training), split), trial.seed, row, values[-1])
                if not np.isnan(values[:-1]).all():
                    self._put_curve((f"{kind}_curve", *map(str, training), split), trial.seed, row, values)
            self._put(("train_seconds", *map(str, training)), trial.seed, row, trial.train_seconds)
            for split, seconds in trial.eval_seconds.items():
                self._put(("eval_seconds", *map(str, training), split), trial.seed, row, seconds)
            for name, cost in trial.costs.items():
                columns = self._costs.setdefault((name, trial.dataset), {})
                column = columns.get((trial.epochs, trial.seed))
                if column is None:
                    column = columns[trial.epochs, trial.seed] = np.full(self.rows, np.nan)
                column[row] = cost
        self.num_filled += not self._filled[row]
        self._filled[row] = True

    def _put(self, name: tuple[str, ...], seed: int, row: int, value: float) -> None:
        if np.isnan(value):
            return
        columns = self._columns.setdefault(name, {})
        if seed not in columns:
            columns[seed] = np.full(self.rows, np.nan, np.float32)
        columns[seed][row] = value

    def _put_curve(self, name: tuple[str, ...], seed: int, row: int, values: np.ndarray) -> None:
        columns = self._columns.setdefault(name, {})
        if seed not in columns:
            columns[seed] = _missing(name, (self.rows, len(values)))
        if name[0] == "accuracy_curve":
            columns[seed][row] = encode_curve(values)
        else:
            columns[seed][row] = np.clip(values, -LARGEST_HALF, LARGEST_HALF)

    def trainings(self) -> tuple[Training, ...]:
        """Returns the trainings that came, in the published order, with the union of their seeds."""
        order = sorted(self._seeds, key=lambda t: (DATASETS.index(t[0]), t[1]))
        return tuple(Training(d, e, tuple(sorted(self._seeds[d, e]))) for d, e in order)

    def finish(self) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Returns the members of a table and notes about them, and forgets what was gathered.

        Where all seeds of an architecture have the same time, a time has one column. Parameters and multiply-adds that
        differ between trials are those of seed 888, as in the published interface: others were miscounted.
        """
        arrays: dict[str, np.ndarray] = {}
        for training in self.trainings():
            for name in sorted(n for n in self._columns if n[1:3] == (training.dataset, str(training.epochs))):
                columns = self._columns.pop(name)
                missing = _missing(name, next(iter(columns.values())).shape)
                stacked = np.stack([columns.pop(seed, missing) for seed in training.seeds], axis=1)
                arrays[member(*name)] = _one_column(stacked) if name[0].endswith("_seconds") else stacked
        notes = []
        for (cost, dataset), by_trial in self._costs.items():
            values, differing = _latency(by_trial) if cost == "latency" else _agreed(by_trial)
            if not np.isnan(values).all():
                arrays[member(cost, dataset)] = values.astype(np.float32)
            if differing:
                notes.append(f"{cost} of {dataset}: trials of {differing:,} architectures differ, seed 888 is kept")
        notes += _notes_on_times(self.trainings(), arrays)
        return arrays, tuple(notes)


def _missing(name: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array without numbers in the type that a member has in a file."""
    if name[0] == "accuracy_curve":
        return np.full(shape, CURVE_MISSING, np.uint16)
    return np.full(shape, np.nan, np.float16 if name[0] == "loss_curve" else np.float32)


def _one_column(values: np.ndarray) -> np.ndarray:
    """Returns times `[N, 1]` if all seeds have the same ones, else `[N, S]` as they came."""
    there = ~np.isnan(values)
    first = np.take_along_axis(values, there.argmax(axis=1)[:, None], axis=1)
    return first if (~there | (values == first)).all() else values


def _agreed(columns: Mapping[tuple[int, int], np.ndarray]) -> tuple[np.ndarray, int]:
    """Returns one cost `[N]` from those of several (epochs, seed), and for how many rows they differ.

    The published interface compares five decimals and falls back to seed 888. Where that is missing too, the shortest
    training speaks: it was counted last.
    """
    keys = sorted(columns)
    stacked = np.stack([columns[k] for k in keys])
    there = ~np.isnan(stacked)
    low = np.where(there, stacked, np.inf).min(axis=0)
    high = np.where(there, stacked, -np.inf).max(axis=0)
    differs = np.round(high, 5) > np.round(low, 5)
    trusted = [k for k in reversed(keys) if k[1] == 888]
    result = _first_there([columns[k] for k in keys])
    return np.where(differs, _first_there([columns[k] for k in (*trusted, *keys)]), result), int(differs.sum())


def _latency(columns: Mapping[tuple[int, int], np.ndarray]) -> tuple[np.ndarray, int]:
    """Returns the mean over seeds `[N]` of the longest training that has latencies, as the published interface."""
    means = []
    for epochs in sorted({e for e, _ in columns}, reverse=True):
        stacked = np.stack([column for (e, _), column in columns.items() if e == epochs])
        there = ~np.isnan(stacked)
        total = np.where(there, stacked, 0.0).sum(axis=0)
        means.append(np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), np.nan))
    return _first_there(means), 0


def _first_there(columns: list[np.ndarray]) -> np.ndarray:
    result = columns[0].copy()
    for column in columns[1:]:
        result = np.where(np.isnan(result), column, result)
    return result


def _notes_on_times(trainings: Iterable[Training], arrays: Mapping[str, np.ndarray]) -> list[str]:
    notes = []
    for dataset, epochs, _ in trainings:
        accuracy = arrays.get(member("accuracy", dataset, epochs, "train"))
        seconds = arrays.get(member("train_seconds", dataset, epochs))
        if accuracy is None:
            continue
        trained = ~np.isnan(accuracy)
        lacking = trained if seconds is None else trained & np.isnan(np.broadcast_to(seconds, trained.shape))
        if lacking.any():
            share = f"{int(lacking.sum()):,} of {int(trained.sum()):,}"
            notes.append(f"no training time for {share} trials on {dataset} with {epochs} epochs")
    return notes
