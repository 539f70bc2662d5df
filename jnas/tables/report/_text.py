"""What `jnas table show` and `jnas table query` print."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jnas.io._text import aligned, counted, did_you_mean, filled
from jnas.tables._file import Training, member
from jnas.tables._metric import ACCURACY
from jnas.tables._queries import Info, costs, info, results, statistics
from jnas.tables._runs import has_times, points_of, readings_of
from jnas.tables._table import Table
from jnas.tables.report._summary import Holding, holdings, no_times, splits_of

_WIDTH = 110


def table_text(table: Table) -> str:
    """Returns what a table holds, as text for a terminal."""
    header, space = table.header, table.space
    lines = [header.name]
    if header.source:
        lines.append(f"  source    {header.source}")
    if Path(table.where).is_file():
        lines.append(f"  file      {table.where}, {Path(table.where).stat().st_size / 1e6:,.1f} MB")
    of_all = "" if space.size is None else f" of {space.size:,}"
    lines.append(f"  space     {space.name}: {table.num_archs:,}{of_all} architectures, for example {table.text(0)}")
    if table.metric != ACCURACY:
        lines.append(f"  metric    {table.metric.words}")
    for dataset, kinds in header.pairs.items():
        meant = ", ".join(f"{kind} = {split} of {published}" for kind, (published, split) in kinds.items())
        lines.append(f"  {'pairs' if dataset == next(iter(header.pairs)) else '':8s}  {dataset}: {meant}")
    lines = [filled(line, " " * 12, 10_000) for line in lines]
    rows = [["training", "split", "archs", "runs", "known at", "costs include", "mean", "best"]]
    for held in holdings(table):
        training = held.training
        found = statistics(table, dataset=training.dataset, epochs=training.epochs).splits.get(held.split)
        timed = [word for word, there in (("training", held.train_seconds), ("evaluation", held.eval_seconds)) if there]
        rows.append(
            [
                f"{training.dataset}, {counted(training.epochs, 'epoch')}",
                held.split,
                f"{table.num_archs - held.missing:,}",
                _runs(held),
                _known_at(table, held),
                " and ".join(timed) or "nothing",
                f"{found.mean:.2f}" if found else "-",
                f"{found.maximum if table.metric.higher_is_better else found.minimum:.2f}" if found else "-",
            ]
        )
    lines += ["", *aligned(rows, "llrlllrr")]
    others = [*_more(table), *(f"note: {note}" for note in [*header.notes, *_missing_times(table)])]
    lines += ["", *(filled(line, most=_WIDTH) for line in others)] if others else []
    return "\n".join(lines)


def _known_at(table: Table, held: Holding) -> str:
    """Returns at which epochs of a training numbers are known."""
    points = points_of(table, held.training.dataset, held.training.epochs, held.split)
    return "every epoch" if held.curves else ", ".join([*map(str, points), "the end"])


def _runs(held: Holding) -> str:
    """Returns how many runs a split has, and the names of their seeds."""
    if not held.seeds:
        return "means alone"
    return f"{held.values:,} (seed{'' if held.seeds == 1 else 's'} {', '.join(map(str, held.training.seeds))})"


def _missing_times(table: Table) -> list[str]:
    """Returns what must be said of costs, unless the table's own notes speak of it."""
    held = holdings(table)
    if any(words in note for note in table.header.notes for words in ("validation time", "evaluation time")):
        return []
    if (sentence := no_times(table)) is not None:
        return [sentence]
    if not any(h.eval_seconds for h in held):
        return ["there are no evaluation times: the cost of an evaluation is its training alone"]
    return []


def _more(table: Table) -> list[str]:
    """Returns a line for each kind of number that does not belong to a training."""
    units = {
        "parameters": "parameters, millions",
        "flops": "multiply-adds, millions",
        "latency": "latency, seconds a batch",
        "device_latency": "latency, ms, on",
        "hardware": "hardware",
        "proxy": "scores without training",
    }
    lines = []
    for kind, words in units.items():
        names = sorted(n.removeprefix(f"{kind}/") for n in table.names if n.startswith(f"{kind}/"))
        if names:
            lines.append(f"{words}: {', '.join(names)}")
    readings = {name for t in table.header.trainings for name in readings_of(table, *t[:2]) if " at " not in name}
    if readings:
        lines.append(f"readings of each run: {', '.join(sorted(readings))}")
    alike: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for training in table.header.trainings:
        if training.seeds:
            counts = statistics(table, dataset=training.dataset, epochs=training.epochs).num_runs
            alike.setdefault(tuple(counts.items()), []).append(f"{training.dataset} {training.epochs}")
    for shares, names in alike.items():
        told = ", ".join(f"{archs:,} with {runs}" for runs, archs in shares)
        lines.append(f"runs of an architecture ({', '.join(names)}): {told}")
    return lines


def describe_arch(
    table: Table, arch: Any, *, dataset: str | None = None, epochs: int | None = None, at: int | None = None
) -> str:
    """Returns all that a table holds of one architecture, as text for a terminal.

    Args:
      table: The table.
      arch: An encoded architecture `[E]`, an index or a string.
      dataset: Only trainings on this data set.
      epochs: Only trainings of so many epochs.
      at: Number of epochs done; trainings that are shorter, or have no curves, are left out.

    Raises:
      ValueError: The table does not hold the architecture, or no such training.
    """
    trainings, arch = chosen_trainings(table, dataset, epochs, at), asked_arch(arch)
    first = info(table, arch, dataset=trainings[0].dataset, epochs=trainings[0].epochs, seed="mean")
    lines = [f"architecture {first.arch_index}: {first.arch}"]
    for name in dict.fromkeys(t.dataset for t in trainings):
        found = costs(table, first.arch_index, dataset=name)
        told = [
            f"{value:,.0f} {unit}" if value >= 1e4 else f"{value:.4g} {unit}"
            for value, unit in zip(found, ("M parameters", "M multiply-adds", "s a batch"), strict=True)
            if not math.isnan(value)
        ]
        if told:
            lines.append(f"  {name}: {', '.join(told)}")
    lines += _readings(table, first.arch_index)
    rows = [["training", "seed", "split", table.metric.name, "loss", "training s", "evaluation s"]]
    for training in trainings:
        means = info(table, first.arch_index, dataset=training.dataset, epochs=training.epochs, seed="mean", at=at)
        each = results(table, first.arch_index, dataset=training.dataset, epochs=training.epochs, at=at)
        timed = has_times(table, training.dataset, training.epochs)
        for one in [*each.values(), means]:
            rows += _info_rows(one if timed else one._replace(train_seconds=math.nan))
    for training in trainings:
        trained = index_trained_as(table, training, first.arch_index)
        if trained != first.arch_index:
            lines.append(f"  {_listed([training])}: the numbers of {trained}, {table.text(trained)}, which is the same")
    if all(cell == "-" for row in rows[1:] for cell in row[3:]):
        return "\n".join(
            [*lines, "", f"This table holds no {table.metric.name}, loss or time of it in these trainings."]
        )
    return "\n".join([*lines, "", *aligned(rows, "lllrrrr")])


def asked_arch(arch: Any) -> Any:
    """Returns an architecture as a query takes it: a negative number as an index, which the table refuses."""
    return int(arch) if isinstance(arch, str) and re.fullmatch(r"-\d+", arch) else arch


def index_trained_as(table: Table, training: Training, index: int) -> int:
    """Returns the architecture whose runs an architecture has: its own index, where it was trained itself."""
    rows = table.read(member("trained_as", training.dataset, training.epochs))
    return index if rows is None else int(rows[index])


def chosen_trainings(table: Table, dataset: str | None, epochs: int | None, at: int | None) -> list[Training]:
    """Returns the trainings that a query is about, or raises ValueError that lists what there is."""
    there = table.header.trainings
    asked = [t for t in there if dataset in (None, t.dataset) and epochs in (None, t.epochs)]
    if not asked:
        on = "" if dataset is None else f" on dataset={dataset!r}"
        length = "" if epochs is None else f" for epochs={epochs}"
        known = [t.dataset for t in there]
        offer = "" if dataset is None or dataset in known else did_you_mean(dataset, known)
        raise ValueError(f"this table has no training{on}{length}{offer or ';'} it has {_listed(there)}")
    chosen = [t for t in asked if at is None or _reaches(table, t, at)]
    if not chosen:
        raise ValueError(
            f"at is {at}, but none of the trainings asked for is {at} epochs long or has a curve through that epoch: "
            f"{_listed(asked)}"
        )
    return chosen


def _reaches(table: Table, training: Training, at: int) -> bool:
    """Returns whether accuracies of a training are known after so many epochs."""
    curves = member("accuracy_curve", training.dataset, training.epochs, "")
    if at == training.epochs or (1 <= at < training.epochs and any(name.startswith(curves) for name in table.names)):
        return True
    return any(at in points_of(table, *training[:2], split) for split in splits_of(table, *training[:2]))


def _listed(trainings: Sequence[Training]) -> str:
    return ", ".join(f"{t.dataset} for {counted(t.epochs, 'epoch')}" for t in trainings)


def _readings(table: Table, index: int) -> list[str]:
    """Returns what is known of an architecture on devices, and its scores without training, as lines."""
    lines = []
    kinds = (("device_latency", "latency, ms, on"), ("hardware", "hardware"), ("proxy", "scores without training"))
    for kind, words in kinds:
        told = []
        for name in sorted(n.removeprefix(f"{kind}/") for n in table.names if n.startswith(f"{kind}/")):
            values = table.read(member(kind, name))
            if values is not None and not math.isnan(values[index]):
                told.append(f"{name}\u00a0{values[index]:.4g}")  # kept together where lines are broken
        if told:
            lines.append(filled(f"  {words}: {', '.join(told)}", "    ", _WIDTH).replace("\u00a0", " "))
    return lines


def _info_rows(found: Info) -> list[list[str]]:
    total = counted(found.epochs, "epoch")
    after = total if found.at == found.epochs else f"{found.at} of {total}"
    return [
        [
            f"{found.dataset}, {after}",
            str(found.seed),
            split,
            _number(values.accuracy, 2),
            _number(values.loss, 4),
            _number(found.train_seconds, 1),
            _number(values.seconds, 2),
        ]
        for split, values in found.splits.items()
    ]


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"
