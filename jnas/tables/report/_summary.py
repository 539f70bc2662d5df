"""The numbers of a table's report: what its tables and pictures show, as values that tests can check."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.spaces._registry import named_cells
from jnas.statistics._rank_correlation import kendall_tau, pearson_correlation, spearman_correlation
from jnas.tables._file import Training, decode_curve, member
from jnas.tables._look_ups import mean_over_runs
from jnas.tables._runs import has_times
from jnas.tables._table import Table
from jnas.tables._targets import default_targets

Floats = NDArray[np.float64]

COEFFICIENTS = {"Pearson": pearson_correlation, "Spearman": spearman_correlation, "Kendall": kendall_tau}


class AccuracyColumn(NamedTuple):
    """One accuracy of every architecture, the mean over training seeds."""

    dataset: str
    split: str
    epochs: int
    values: Floats  # [N] percent, NaN where missing

    @property
    def label(self) -> str:
        """Returns the data set and the split."""
        return f"{self.dataset} {self.split}"


class Holding(NamedTuple):
    """What a table holds of one training and split."""

    training: Training
    split: str
    missing: int  # architectures without a number
    seeds: int  # of which single trainings are known; 0 where there are means alone
    values: int  # numbers, over seeds; the architectures where there are means alone
    curves: bool
    train_seconds: bool
    eval_seconds: bool


class Correlations(NamedTuple):
    """How columns agree on some of the architectures."""

    title: str
    archs: int  # how many architectures
    pearson: Floats  # [C, C]
    kendall: Floats  # [C, C], tau-b


class Early(NamedTuple):
    """How well validation accuracy after some epochs predicts final accuracies."""

    done: int
    epochs: int  # of the training that was looked at
    values: Floats  # [N], the early accuracies
    coefficients: Mapping[str, Floats]  # by name, [C]


class SeedNoise(NamedTuple):
    """How single trainings scatter around the mean of their architecture."""

    column: AccuracyColumn
    seeds: int  # most that an architecture has
    mean: Floats  # [N]
    std: Floats  # [N], of a sample; NaN with fewer than two seeds
    kendall: float  # tau-b between the first two seeds, over architectures


def splits_of(table: Table, dataset: str, epochs: int) -> list[str]:
    """Returns the published splits with accuracies of a training, in the order of their names."""
    prefixes = [member(kind, dataset, epochs, "") for kind in ("accuracy", "accuracy_mean")]
    return sorted({name.removeprefix(p) for name in table.names for p in prefixes if name.startswith(p)})


def column(table: Table, dataset: str, split: str, epochs: int) -> AccuracyColumn | None:
    """Returns a column, `split` published or one of a documented pair; None where the table has no such numbers."""
    place = table.resolve(dataset, split)
    if place[1] not in splits_of(table, place[0], epochs):
        return None
    values = np.asarray(table.runs("accuracy", *place, epochs, "mean").value[:, 0], np.float64)
    return AccuracyColumn(dataset, split, epochs, values)


def final_columns(table: Table, *, train: bool = False) -> list[AccuracyColumn]:
    """Returns the columns that judge an architecture, those of a study: of each data set after the longest training.

    Args:
      table: The table.
      train: Whether accuracies on the training images come too, before the others of their data set.
    """
    found: list[AccuracyColumn | None] = []
    seen: set[str] = set()
    for target in default_targets(table):
        if train and target.dataset not in seen:
            seen.add(target.dataset)
            trained_on = table.resolve(target.dataset, "test")[0]
            training = column(table, trained_on, "train", target.epochs)
            found.append(training and training._replace(dataset=target.dataset))
        found.append(column(table, *target))
    return [c for c in found if c is not None and np.isfinite(c.values).any()]


def shown_column(columns: Sequence[AccuracyColumn]) -> int:
    """Returns which column sorts the others: the first test column, or else the last one."""
    return next((i for i, c in enumerate(columns) if "test" in c.split), len(columns) - 1)


def search_column(columns: Sequence[AccuracyColumn]) -> AccuracyColumn:
    """Returns the column that a search would look at: the first that is neither training nor test."""
    return next((c for c in columns if "test" not in c.split and c.split != "train"), columns[shown_column(columns)])


def holdings(table: Table) -> list[Holding]:
    """Returns what the table holds, by training and split, and how much of it is missing."""
    found = []
    for training in table.header.trainings:
        dataset, epochs = training.dataset, training.epochs
        for split in splits_of(table, dataset, epochs):
            runs = table.read(member("accuracy", dataset, epochs, split))
            mean = np.asarray(table.runs("accuracy", dataset, split, epochs, "mean").value[:, 0])
            single = runs is not None and runs.shape[1] > 0
            there = runs if runs is not None and single else mean
            found.append(
                Holding(
                    training=training,
                    split=split,
                    missing=int(np.isnan(mean).sum()),
                    seeds=len(training.seeds) if single else 0,
                    values=int(np.isfinite(there).sum()),
                    curves=member("accuracy_curve", dataset, epochs, split) in table.names,
                    train_seconds=has_times(table, dataset, epochs),
                    eval_seconds=table.has_eval_seconds(dataset, split, epochs),
                )
            )
    return found


def no_times(table: Table) -> str | None:
    """Returns the sentence on a table that says of no training how long it takes, or None."""
    trainings = [(t.dataset, t.epochs) for t in table.header.trainings]
    if any(has_times(table, *place) for place in trainings):
        return None
    counted = any(member("train_seconds", *place) in table.names for place in trainings)
    return "there are no times: a budget in seconds has no meaning on this table" + (
        ", where an epoch counts as one second" if counted else ""
    )


def size_of(table: Table, kind: str, dataset: str) -> tuple[Floats, str] | None:
    """Returns parameters or FLOPs `[N]` in millions and the data set whose network they are of, or None.

    A table may give them for one data set alone; networks for others differ in their last layer and image size.
    """
    there = sorted(name.removeprefix(f"{kind}/") for name in table.names if name.startswith(f"{kind}/"))
    if not there:
        return None
    chosen = dataset if dataset in there else there[0]
    values = table.read(member(kind, chosen))
    return None if values is None else (np.asarray(values, np.float64), chosen)


def reference_index(table: Table) -> int | None:
    """Returns the index of the ResNet cell where the table holds it."""
    text = named_cells(table.space).get("ResNet")
    index = -1 if text is None else int(table.index(text))
    return index if index >= 0 else None


# Agreement of columns.


def subsets(columns: Sequence[AccuracyColumn]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Returns the sets of architectures that agreement is looked at on: all, and the best by the main column."""
    main = columns[shown_column(columns)]
    there = np.all([np.isfinite(c.values) for c in columns], axis=0)
    count = int(there.sum())
    found = [("all architectures", there)]
    good = there & (main.values > 92)
    if main.dataset == "cifar10" and 100 <= good.sum() < count:
        found.append((f"more than 92 % on {main.label}", good))
    order = np.argsort(-np.where(there, main.values, -np.inf), kind="stable")
    tops = [n for n in (1000, 100) if n <= count // 5] or ([count // 2] if count >= 20 else [])
    for top in tops:
        chosen = np.zeros(len(there), bool)
        chosen[order[:top]] = True
        found.append((f"the best {top:,} on {main.label}", chosen))
    return found


def table_correlations(columns: Sequence[AccuracyColumn], title: str, chosen: NDArray[np.bool_]) -> Correlations:
    """Returns how the columns agree on the chosen architectures; NaN where a column is constant or too short."""
    size = len(columns)
    pearson, kendall = np.eye(size), np.eye(size)
    for i in range(size):
        for j in range(i):
            pair = (columns[i].values[chosen], columns[j].values[chosen])
            pearson[i, j] = pearson[j, i] = _coefficient("Pearson", *pair)
            kendall[i, j] = kendall[j, i] = _coefficient("Kendall", *pair)
    return Correlations(title, int(chosen.sum()), pearson, kendall)


def _coefficient(name: str, a: Floats, b: Floats) -> float:
    return COEFFICIENTS[name](a, b, nan_policy="omit") if np.sum(np.isfinite(a) & np.isfinite(b)) > 1 else float("nan")


def early_rows(table: Table, columns: Sequence[AccuracyColumn]) -> list[Early]:
    """Returns what the accuracy searched on tells of the final columns, at each known training and point of a curve.

    The rows of Table 6 of the paper of NAS-Bench-201 where the table has them; without curves, ends of trainings only.
    """
    searched = search_column(columns)
    dataset, split = table.resolve(searched.dataset, searched.split)
    rows = []
    for training in sorted(table.header.trainings, key=lambda t: t.epochs):
        if training.dataset != dataset or split not in splits_of(table, dataset, training.epochs):
            continue
        steps = table.read(member("accuracy_curve", dataset, training.epochs, split))
        for done in _points(training.epochs) if steps is not None else [training.epochs]:
            if steps is None or done == training.epochs:
                runs = table.runs("accuracy", dataset, split, training.epochs, "mean").value[:, 0]
            else:
                runs = mean_over_runs(decode_curve(steps[:, :, done - 1]))
            values = np.asarray(runs, np.float64)
            found = {name: np.asarray([_coefficient(name, values, c.values) for c in columns]) for name in COEFFICIENTS}
            rows.append(Early(done, training.epochs, values, found))
    return rows


def _points(epochs: int) -> list[int]:
    """Returns the points of a training that Table 6 has for 12 and 200 epochs, and the like for others."""
    shares = (0.06, 0.12, 0.5, 0.75, 0.875, 1) if epochs >= 50 else (0.5, 1)
    return sorted({max(1, round(epochs * share)) for share in shares})


# Seeds.


def seed_noise(table: Table, columns: Sequence[AccuracyColumn]) -> list[SeedNoise]:
    """Returns how trainings with different seeds scatter, for the columns of which single trainings are known."""
    found = []
    for c in columns:
        dataset, split = table.resolve(c.dataset, c.split)
        runs = table.read(member("accuracy", dataset, c.epochs, split))
        if runs is None or runs.shape[1] < 2:
            continue
        values = np.asarray(runs, np.float64)
        there = ~np.isnan(values)
        count = there.sum(axis=1)
        mean = np.where(count > 0, np.where(there, values, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
        squares = np.where(there, (values - mean[:, None]) ** 2, 0).sum(axis=1)
        std = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
        if np.isfinite(std).any():
            both = there[:, 0] & there[:, 1]
            tau = _coefficient("Kendall", values[both, 0], values[both, 1]) if both.sum() > 1 else float("nan")
            found.append(SeedNoise(c, int(count.max()), mean, std, tau))
    return found
