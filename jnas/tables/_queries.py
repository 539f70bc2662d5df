"""What a person asks a table: all that it holds of one architecture, the best one under limits, its statistics.

These give plain Python numbers. Inside `jit`, and for many architectures, use the look-ups of `Table`.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below
from jnas.core._vocabulary import Key
from jnas.io._fields import describe_fields
from jnas.tables._file import decode_curve, member
from jnas.tables._look_ups import Metric, Seed
from jnas.tables._table import Table
from jnas.tables.report._summary import splits_of


@describe_fields
class SplitInfo(NamedTuple):
    """One architecture on one split of a data set.

    Attributes:
      accuracy: In percent.
      loss: Cross-entropy; NaN where the table has none.
      seconds: Of one pass over the split; NaN where the table has no such times.
    """

    accuracy: float
    loss: float
    seconds: float


@describe_fields
class Info(NamedTuple):
    """One architecture after some epochs of one training.

    Attributes:
      arch_index: The architecture's index in its space.
      arch: Its string.
      dataset: Of the training.
      epochs: Of the training.
      at: Epochs done.
      seed: The run; where one was drawn, the one that was drawn.
      splits: By published split.
      epoch_seconds: Of one epoch of training.
      train_seconds: Of all epochs done.
    """

    arch_index: int
    arch: str
    dataset: str
    epochs: int
    at: int
    seed: Seed
    splits: Mapping[str, SplitInfo]
    epoch_seconds: float
    train_seconds: float


@describe_fields
class Costs(NamedTuple):
    """What the network of an architecture takes; NaN where the table does not say.

    Attributes:
      parameters: How many, in millions.
      flops: Multiply-adds in millions.
      latency: Of a batch, in seconds.
    """

    parameters: float
    flops: float
    latency: float


@describe_fields
class Best(NamedTuple):
    """The architecture that `best` found.

    Attributes:
      arch_index: The architecture's index in its space.
      arch: Its string.
      value: Percent, or the loss.
    """

    arch_index: int
    arch: str
    value: float


@describe_fields
class SplitStatistics(NamedTuple):
    """One split over all architectures that have a number, each the mean over its runs.

    Attributes:
      num_archs: Architectures that have a number.
      mean: In the metric's unit: percent for accuracies.
      std: Of these architectures (ddof 0).
      minimum: In the same unit.
      median: In the same unit.
      maximum: In the same unit.
      best: Index of the architecture with the maximum; with the minimum where lower is better.
    """

    num_archs: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    best: int


@describe_fields
class Statistics(NamedTuple):
    """What a table holds of one training.

    Attributes:
      num_runs: Number of runs -> how many architectures have so many.
      splits: By published split.
    """

    num_runs: Mapping[int, int]
    splits: Mapping[str, SplitStatistics]


def info(
    table: Table, arch: Any, *, dataset: str, epochs: int, seed: Seed, key: Key | None = None, at: int | None = None
) -> Info:
    """Returns all that a table holds of one architecture after one training, on every split.

    This is `get_more_info` of the published interfaces, without its fallbacks.

    Args:
      table: The table.
      arch: An encoded architecture `[E]`, an index or a string.
      dataset: The training's data set, a published key: splits have their published names.
      epochs: The training: its total number of epochs.
      seed: A seed's name, `'mean'`, or `'random'`: one of the runs that the architecture has, drawn from `key`.
      key: PRNG key `[]` for `seed='random'`.
      at: Number of epochs done, where the table has curves; by default all.

    Raises:
      ValueError: The table lacks the architecture, training, seed or curve; the message says what it has.

    Example:
      >>> found = jnas.queries.info(jnas.load_table(), 0, dataset="digits", epochs=8, seed="mean")
      >>> found.arch
      '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
      >>> {split: round(of.accuracy, 1) for split, of in found.splits.items()}
      {'test': 89.4, 'train': 84.4, 'validation': 91.1}
    """
    index, training = _index(table, arch), table.training(dataset, epochs)
    if seed == "random":
        if key is None:
            raise ValueError("seed is 'random' but no key was given; pass key=jax.random.key(...)")
        runs = seeds_of(table, index, dataset=dataset, epochs=epochs)
        if not runs:
            raise ValueError(f"this table holds no single runs of architecture {index} there; pass seed='mean'")
        seed = runs[int(below(jax.random.bits(key, dtype=jnp.uint32), len(runs)))]
    done = epochs if at is None else at
    splits = {}
    for split in splits_of(table, dataset, epochs):
        if _has(table, dataset, split, epochs, seed, at):
            found = table.runs("accuracy", dataset, split, epochs, seed, at)
            timed = table.has_eval_seconds(dataset, split, epochs)
            splits[split] = SplitInfo(
                accuracy=float(found.value[index, 0]),
                loss=_loss(table, index, dataset, split, epochs, seed, at),
                seconds=float(found.eval_seconds[index, 0]) if timed else math.nan,
            )
    if not splits:  # say why, as a look-up does
        table.runs("accuracy", dataset, splits_of(table, dataset, epochs)[0], epochs, seed, at)
    seconds = table.read(member("train_seconds", dataset, epochs))
    epoch = math.nan if seconds is None else _of_seed(seconds[index], training.seeds, seed)
    point = table.read(member("seconds_at", dataset, epochs, done))
    trained = math.nan if point is None else _of_seed(point[index], training.seeds, seed)
    trained = epoch * done if math.isnan(trained) else trained
    return Info(index, table.text(index), dataset, epochs, done, seed, splits, epoch, trained)


def _has(table: Table, dataset: str, split: str, epochs: int, seed: Seed, at: int | None) -> bool:
    """Returns whether the table has accuracies of a split for this seed, at this point of the training."""
    if at is not None and at != epochs:
        known = {member("accuracy_curve", dataset, epochs, split), member("accuracy_at", dataset, epochs, split, at)}
        return not table.names.isdisjoint(known)
    runs = table.read(member("accuracy", dataset, epochs, split))
    return seed == "mean" or (runs is not None and runs.shape[1] > 0)


def _index(table: Table, arch: Any) -> int:
    found = np.asarray(table.index(arch))
    if found.ndim:
        raise ValueError(
            f"arch stands for {found.shape} architectures, expected one; batches are looked up in the table"
        )
    if found < 0:
        raise ValueError("this table does not hold that architecture")
    return int(found)


def _loss(table: Table, index: int, dataset: str, split: str, epochs: int, seed: Seed, at: int | None) -> float:
    kind = "loss" if at is None or at == epochs else "loss_curve"
    if member(kind, dataset, epochs, split) not in table.names:
        return math.nan
    return float(table.runs("loss", dataset, split, epochs, seed, at).value[index, 0])


def _of_seed(values: np.ndarray, seeds: tuple[int, ...], seed: Seed) -> float:
    """Returns the number of a named seed, or the mean, from numbers `[1 or S]`."""
    if seed == "mean":
        there = values[~np.isnan(values)]
        return float(there.mean(dtype=np.float64)) if there.size else math.nan
    return float(values[min(seeds.index(int(seed)), len(values) - 1)])


def seeds_of(table: Table, arch: Any, *, dataset: str, epochs: int) -> tuple[int, ...]:
    """Returns the names of the seeds with which an architecture was trained; none where the table has means alone.

    Example:
      >>> table = jnas.load_table()
      >>> [jnas.queries.seeds_of(table, arch, dataset="digits", epochs=8) for arch in (0, 5)]
      [(0,), (0, 1, 2)]
    """
    index, training = _index(table, arch), table.training(dataset, epochs)
    there = np.zeros(len(training.seeds), bool)
    for split in splits_of(table, dataset, epochs):
        values = table.read(member("accuracy", dataset, epochs, split))
        if values is not None and values.shape[1]:
            there |= ~np.isnan(values[index])
    return tuple(seed for seed, known in zip(training.seeds, there, strict=True) if known)


def results(table: Table, arch: Any, *, dataset: str, epochs: int, at: int | None = None) -> dict[int, Info]:
    """Returns what `info` does for every run of an architecture, by the name of its seed (`query_by_index`).

    Example:
      >>> found = jnas.queries.results(jnas.load_table(), 5, dataset="digits", epochs=8)
      >>> {seed: round(of.splits["test"].accuracy, 1) for seed, of in found.items()}
      {0: 91.7, 1: 86.9, 2: 84.4}
    """
    index = _index(table, arch)
    seeds = seeds_of(table, index, dataset=dataset, epochs=epochs)
    return {seed: info(table, index, dataset=dataset, epochs=epochs, seed=seed, at=at) for seed in seeds}


def costs(table: Table, arch: Any, *, dataset: str) -> Costs:
    """Returns parameters, FLOPs and latency of an architecture's network (`get_cost_info`, `get_latency`).

    Example:
      >>> costs = jnas.queries.costs(jnas.load_table(), 0, dataset="digits")
      >>> round(costs.parameters, 4), round(costs.flops, 3), costs.latency
      (0.0072, 0.05, nan)
    """
    index = _index(table, arch)
    found = [table.read(member(kind, dataset)) for kind in Costs._fields]
    return Costs(*(math.nan if values is None else float(values[index]) for values in found))


def best(
    table: Table,
    *,
    dataset: str,
    split: str,
    epochs: int,
    seed: Seed = "mean",
    metric: Metric = "accuracy",
    at: int | None = None,
    max_parameters: float | None = None,
    max_flops: float | None = None,
    cost_dataset: str | None = None,
) -> Best:
    """Returns the best architecture of a table, under limits if any (`find_best`).

    Args:
      table: The table.
      dataset: As in `Table.accuracy`.
      split: As in `Table.accuracy`.
      epochs: As in `Table.accuracy`.
      seed: A seed's name, or `'mean'`.
      metric: `'accuracy'`, of which the highest is best (of another metric of the table's, as that says), or `'loss'`,
        the lowest.
      at: As in `Table.accuracy`.
      max_parameters: Most parameters in millions.
      max_flops: Most multiply-adds in millions.
      cost_dataset: The data set whose network the limits are of; by default the one of the training.

    Raises:
      ValueError: `seed` is `'random'`, the table lacks what is asked for, or no architecture is within the limits.

    Example:
      >>> what = {"dataset": "digits", "split": "validation", "epochs": 8}
      >>> small = jnas.queries.best(jnas.load_table(), **what, max_parameters=0.007)
      >>> small.arch, round(small.value, 1)
      ('|none~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|nor_conv_1x1~2|', 96.7)
    """
    if seed == "random":
        raise ValueError("seed is 'random', expected 'mean' or a seed's name")
    values = table.runs(metric, dataset, split, epochs, seed, at).value[:, 0].astype(np.float64)
    sign = table.sign(metric)
    allowed = ~np.isnan(values)
    of = table.resolve(dataset, split)[0] if cost_dataset is None else cost_dataset
    for kind, most in (("parameters", max_parameters), ("flops", max_flops)):
        if most is not None:
            allowed &= np.asarray(getattr(table, kind)(table.archs, dataset=of)) <= most
    if not allowed.any():
        raise ValueError(
            f"no architecture with a number is within max_parameters={max_parameters} and max_flops={max_flops}"
        )
    index = int(np.argmax(np.where(allowed, sign * values, -np.inf)))
    return Best(index, table.text(index), float(values[index]))


def statistics(table: Table, *, dataset: str, epochs: int) -> Statistics:
    """Returns how many runs architectures have of a training, and how accuracies are distributed on each split.

    Raises:
      ValueError: The table has no such training.

    Example:
      >>> found = jnas.queries.statistics(jnas.load_table(), dataset="digits", epochs=8)
      >>> found.num_runs, found.splits["test"].num_archs, round(found.splits["test"].maximum, 2)
      ({1: 13645, 3: 1980}, 15625, 98.06)
    """
    table.training(dataset, epochs)
    known, splits = np.zeros(table.num_archs, np.int64), {}
    for split in splits_of(table, dataset, epochs):
        runs = table.read(member("accuracy", dataset, epochs, split))
        if runs is not None and runs.shape[1]:
            known = np.maximum(known, (~np.isnan(runs)).sum(axis=1))
        values = table.runs("accuracy", dataset, split, epochs, "mean").value[:, 0].astype(np.float64)
        there = values[~np.isnan(values)]
        if there.size:
            splits[split] = SplitStatistics(
                num_archs=int(there.size),
                mean=float(there.mean()),
                std=float(there.std()),
                minimum=float(there.min()),
                median=float(np.median(there)),
                maximum=float(there.max()),
                best=int(np.nanargmax(table.metric.sign * values)),
            )
    counts, archs = np.unique(known, return_counts=True)
    return Statistics({int(c): int(n) for c, n in zip(counts, archs, strict=True)}, splits)


def learning_curves(table: Table, arch: Any, *, dataset: str, epochs: int) -> dict[str, np.ndarray]:
    """Returns accuracies after each epoch `[seeds, epochs]` of one architecture by split, for splits that have them.

    Example:
      >>> curves = jnas.queries.learning_curves(jnas.load_table(), 0, dataset="digits", epochs=8)
      >>> {split: curve.shape for split, curve in curves.items()}
      {'test': (3, 8), 'train': (3, 8), 'validation': (3, 8)}
    """
    index = _index(table, arch)
    found = {s: table.read(member("accuracy_curve", dataset, epochs, s)) for s in splits_of(table, dataset, epochs)}
    return {split: decode_curve(steps[index]) for split, steps in found.items() if steps is not None}
