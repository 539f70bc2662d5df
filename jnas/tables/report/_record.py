"""All that a table holds of one architecture as JSON, for other programs."""

import json
import math
from typing import Any

from jnas.tables._queries import Info, costs, info, results
from jnas.tables._table import Table
from jnas.tables.report._text import asked_arch, chosen_trainings, index_trained_as


def arch_json(
    table: Table, arch: Any, *, dataset: str | None = None, epochs: int | None = None, at: int | None = None
) -> str:
    """Returns what `describe_arch` says as JSON; arguments and errors are those.

    `index`, `architecture`, `metric`, `unit`; `costs` by data set; `columns` by name, readings on devices and scores
    without training; `trainings`, each with `dataset`, `epochs`, `at`, `seed` (a name, or `mean`), `trained_as` (the
    index of the architecture whose runs these are), `train_seconds`, and by split `value`, `loss` and `seconds`. What
    is not known is null.
    """
    trainings, arch = chosen_trainings(table, dataset, epochs, at), asked_arch(arch)
    first = info(table, arch, dataset=trainings[0].dataset, epochs=trainings[0].epochs, seed="mean")
    index = int(first.arch_index)
    runs = []
    for training in trainings:
        trained = int(index_trained_as(table, training, index))
        each = results(table, index, dataset=training.dataset, epochs=training.epochs, at=at)
        mean = info(table, index, dataset=training.dataset, epochs=training.epochs, seed="mean", at=at)
        for one in [*each.values(), mean]:
            runs.append(_run(one, trained))
    record = {
        "index": index,
        "architecture": first.arch,
        "metric": table.metric.name,
        "unit": table.metric.unit,
        "costs": {name: _costs(table, index, name) for name in dict.fromkeys(t.dataset for t in trainings)},
        "columns": _columns(table, index),
        "trainings": runs,
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)


def _costs(table: Table, index: int, dataset: str) -> dict[str, float | None]:
    names = ("parameters_millions", "multiply_adds_millions", "latency_seconds")
    return {name: _known(value) for name, value in zip(names, costs(table, index, dataset=dataset), strict=True)}


def _columns(table: Table, index: int) -> dict[str, float | None]:
    """Returns readings on devices and scores without training, by the name of their column."""
    kinds = ("device_latency", "hardware", "proxy")
    columns = {name: table.read(name) for name in sorted(table.names) if name.partition("/")[0] in kinds}
    return {name: _known(values[index]) for name, values in columns.items() if values is not None}


def _run(found: Info, trained_as: int) -> dict[str, Any]:
    splits = {
        split: {"value": _known(v.accuracy), "loss": _known(v.loss), "seconds": _known(v.seconds)}
        for split, v in found.splits.items()
    }
    return {
        "dataset": found.dataset,
        "epochs": int(found.epochs),
        "at": int(found.at),
        "seed": str(found.seed),
        "trained_as": trained_as,
        "train_seconds": _known(found.train_seconds),
        "splits": splits,
    }


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
