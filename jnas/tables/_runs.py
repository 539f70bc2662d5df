"""The runs that a table's look-ups choose from: which member of its file a number comes from, and what it costs."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from jnas.io._text import did_you_mean
from jnas.tables._file import Training, decode_curve, member
from jnas.tables._look_ups import Metric, RunValues, Seed, choose_runs


class Members(Protocol):
    """What the runs of a table come from: its trainings and the members of its file."""

    names: frozenset[str]

    @property
    def num_archs(self) -> int:
        """How many architectures the members have rows for."""

    def read(self, name: str) -> np.ndarray | None:
        """Returns a member, or None where there is none of that name."""

    def training(self, dataset: str, epochs: int) -> Training:
        """Returns a training; ValueError lists those there are."""


def find_runs(
    table: Members, metric: Metric, dataset: str, split: str, epochs: int, seed: Seed, at: int | None
) -> RunValues:
    """Returns the runs of a published split; see `Table.runs`."""
    training = table.training(dataset, epochs)
    slots = seed_slot(training, seed)
    value = _values(table, metric, training, split, seed, at)
    train, evaluation = _seconds(table, training, split, epochs if at is None else at)
    return choose_runs(value, train, evaluation, slots, seed)


def runs_along(
    table: Members, metric: Metric, dataset: str, split: str, levels: Sequence[tuple[int, int | None]]
) -> list[RunValues]:
    """Returns runs at points of a curve, only those that have them all and in one order: a training keeps its seed."""
    training = table.training(dataset, levels[0][0])
    points = [training.epochs if a is None else a for _, a in levels]
    values = [_values(table, metric, training, split, "random", at) for at in points]
    gaps = np.any(np.isnan(values), axis=0)
    return [
        choose_runs(np.where(gaps, np.nan, value), *_seconds(table, training, split, at), None, "random")
        for value, at in zip(values, points, strict=True)
    ]


def find_readings(table: Members, dataset: str, epochs: int, name: str, seed: Seed, at: int | None) -> RunValues:
    """Returns the runs of a reading (without costs); see `Table.reading`."""
    training = table.training(dataset, epochs)
    slot = seed_slot(training, seed)
    names = [member("reading_at", dataset, epochs, name, epochs if at is None else at)]
    if at in (None, epochs):
        names.insert(0, member("reading", dataset, epochs, name))
    values = next((table.read(n) for n in names if n in table.names), None)
    if values is None:
        known = readings_of(table, dataset, epochs)
        raise ValueError(
            f"this table has no reading {name!r} for dataset={dataset!r}, epochs={epochs}, at={at}"
            f"{did_you_mean(name, known) or ';'} it has {', '.join(known) or 'none'}"
        )
    nothing = np.zeros_like(values)
    return choose_runs(values, nothing, nothing, slot, seed)


def readings_of(table: Members, dataset: str, epochs: int) -> list[str]:
    """Returns the readings of a training, with the epochs done where they are not of its end: `energy_kwh at 54`."""
    found = []
    for name in table.names:
        kind, *parts = name.split("/")
        if kind in ("reading", "reading_at") and parts[:2] == [dataset, str(epochs)]:
            found.append(parts[2] if kind == "reading" or parts[3] == str(epochs) else f"{parts[2]} at {parts[3]}")
    return sorted(found)


def check_seed(table: Members, dataset: str, split: str, epochs: int, seed: Seed, name: str) -> None:
    """Raises ValueError, in which the argument is called `name`, unless a training's end is known as `seed` wants."""
    training = table.training(dataset, epochs)
    seed_slot(training, seed, name)
    _check_named(table, training, split, seed, name)


def seed_slot(training: Training, seed: Seed, name: str = "seed") -> int | None:
    """Returns the slot of a named seed; None for `'mean'` and `'random'`; ValueError lists the seeds there are."""
    if seed in ("mean", "random"):
        return None
    if isinstance(seed, int) and not isinstance(seed, bool) and seed in training.seeds:
        return training.seeds.index(seed)
    known = f"seeds {', '.join(map(str, training.seeds))}" if training.seeds else "means over seeds only"
    raise ValueError(
        f"{name} is {seed!r}; for {training.dataset} with {training.epochs} epochs this table has {known}: "
        "pass one of these, 'mean' or 'random'"
    )


def read_curve(table: Members, metric: Metric, dataset: str, split: str, epochs: int) -> np.ndarray:
    """Returns a metric after each epoch `[N, S, epochs]`; ValueError where the table has no such curves."""
    steps = table.read(member(f"{metric}_curve", dataset, epochs, split))
    if steps is None:
        points = points_of(table, dataset, epochs, split) if metric == "accuracy" else []
        known = (
            f"the end of the training and what is known after {', '.join(map(str, points))} epochs, pass one of these "
            "as `at` or leave it out"
            if points
            else "the end of the training is known, leave `at` out"
        )
        raise ValueError(
            f"this table has no {metric} curves for {_place(dataset, epochs, split)}: only {known}; "
            f"{_splits(table, dataset, epochs, split)}"
        )
    return decode_curve(steps) if metric == "accuracy" else steps.astype(np.float32)


def has_times(table: Members, dataset: str, epochs: int) -> bool:
    """Returns whether a table says what a training takes.

    It does not where it has no times, and not where every epoch takes the one second that `make_table` writes then.
    """
    seconds = table.read(member("train_seconds", dataset, epochs))
    return seconds is not None and bool(np.any((seconds > 0) & (seconds != 1)))


def points_of(table: Members, dataset: str, epochs: int, split: str) -> list[int]:
    """Returns the numbers of epochs done at which single points of a training are known, without its end."""
    prefix = member("accuracy_at", dataset, epochs, split, "")
    return sorted(int(name.removeprefix(prefix)) for name in table.names if name.startswith(prefix))


def _values(table: Members, metric: Metric, training: Training, split: str, seed: Seed, at: int | None) -> np.ndarray:
    """Numbers at the end of (or `at` an epoch of) a training: `[N, S]`, or `[N, 1]` for a mean from the source."""
    place = (training.dataset, training.epochs, split)
    if at is not None and at != training.epochs:
        point = table.read(member("accuracy_at", *place, at)) if metric == "accuracy" else None
        return (
            read_curve(table, metric, training.dataset, split, training.epochs)[:, :, at - 1]
            if point is None
            else point
        )
    if seed == "mean" and metric == "accuracy":
        mean = table.read(member("accuracy_mean", *place))
        if mean is not None:
            return mean[:, None]
    values = table.read(member(metric, *place))
    if values is None or values.shape[1] == 0:
        if metric == "accuracy":
            _check_named(table, training, split, seed, "seed")
        raise ValueError(
            f"this table has no {metric} for {_place(*place)}; "
            f"{_splits(table, training.dataset, training.epochs, split)}"
        )
    return values


def _check_named(table: Members, training: Training, split: str, seed: Seed, name: str) -> None:
    """Raises ValueError where a run is wanted of a training of which the table holds means alone."""
    place = (training.dataset, training.epochs, split)
    means_alone = member("accuracy", *place) not in table.names and member("accuracy_mean", *place) in table.names
    if seed != "mean" and means_alone:
        raise ValueError(
            f"{name} is {seed!r}, but for {_place(*place)} this table holds means over seeds only; pass {name}='mean'"
        )


def _seconds(table: Members, training: Training, split: str, epochs_done: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of some epochs of a training (NaN where unknown) and of one evaluation, each `[N, 1 or S]`."""
    here = (training.dataset, training.epochs)
    nothing = np.zeros((table.num_archs, 1), np.float32)
    epoch = table.read(member("train_seconds", *here))
    point = table.read(member("seconds_at", *here, epochs_done))
    evaluation = table.read(member("eval_seconds", *here, split))
    train = nothing + np.nan if epoch is None else np.float32(epochs_done) * epoch
    if point is not None:  # where it is known, the time to that point is better than a multiple of the mean epoch's
        train = np.where(np.isnan(point), train, point)
    return train, nothing if evaluation is None else evaluation


def _splits(table: Members, dataset: str, epochs: int, split: str) -> str:
    prefix = {member(kind, dataset, epochs, "") for kind in ("accuracy", "accuracy_mean")}
    names = sorted({n.split("/", 3)[3] for n in table.names for p in prefix if n.startswith(p)})
    offer = "" if split in names else did_you_mean(split, names).removeprefix("; ")
    return f"{offer + ' ' if offer else ''}its splits there are {', '.join(names)}"


def _place(dataset: str, epochs: int, split: str) -> str:
    return f"dataset={dataset!r}, epochs={epochs}, split={split!r}"
