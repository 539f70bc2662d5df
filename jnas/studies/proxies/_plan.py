"""What a study of proxies is to do, settled before it starts: its cells, its batches, its configuration."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Network
from jnas.io._text import counted
from jnas.studies._compared import table_words
from jnas.studies._settings import check_settings
from jnas.studies.proxies._settings import PROXY_SETTINGS
from jnas.tables._runs import check_seed
from jnas.tables._table import Table
from jnas.training.data._dataset import Dataset
from jnas.training.proxies._registry import get_proxies
from jnas.training.runs._jobs import dataset_digest

FLOOR = ("params", "flops")
"""What always stands beside scores: how well the size of a network alone orders cells."""


class ScoredCells(NamedTuple):
    """The cells that are scored, and what they are worth."""

    rows: NDArray[np.int32]  # [N], of the table
    truth: NDArray[np.float32]  # [N], percent; of another metric its values
    runs: NDArray[np.float32]  # [N, R], of each training seed; [N, 0] where the table has means alone


class ProxyPlan(NamedTuple):
    """A study of proxies before it starts."""

    network: Network
    images: Dataset
    cells: ScoredCells
    archs: NDArray[np.int32]  # [N, E], of these cells
    config: Mapping[str, Any]


def plan_proxy_study(names: Sequence[str], network: Network, images: Dataset, table: Table, **asked: Any) -> ProxyPlan:
    """Returns the plan of a study; arguments and errors are those of `jnas.proxy_study`, all of which are given."""
    check_settings(PROXY_SETTINGS, asked)
    given = SimpleNamespace(**asked)
    if network.space.name != table.space.name or network.space.num_decisions != table.space.num_decisions:
        raise ValueError(
            f"the table is of the space {table.space.name!r} and the network of {network.space.name!r}; pass a network "
            "of the table's space"
        )
    rows = get_proxies([*FLOOR, *names], network)
    train = len(images.rows("train"))
    if given.batch_size > train:
        raise ValueError(f"batch_size is {given.batch_size}, expected at most {train:,}, the number of training images")
    cells, known, runs_of = _draw_cells(table, given)
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.measure.__name__.removeprefix("measure_"), []).append(row.name)
    config: dict[str, Any] = {
        "groups": groups,
        **table_words(table),
        "dataset": given.dataset,
        "split": given.split,
        "epochs": int(given.epochs),
        "reward": given.reward,
        "runs_of": runs_of,  # the split of which the table knows single trainings
        "images": images.name,
        "dataset_sha256": dataset_digest(images),
        "image_shape": list(images.image_shape),
        "space": network.space.name,
        "form": network.form,
        **(given.sizes or {}),
        "batch_size": int(given.batch_size),
        "num_cells": len(cells.rows),
        "num_seeds": int(given.num_seeds),
        "root_seed": int(given.root_seed),
        "notes": [*table.header.notes, *_notes(given, len(cells.rows), known)],
        "command": given.command,
    }
    return ProxyPlan(network, images, cells, table.archs[cells.rows].astype(np.int32), config)


def _draw_cells(table: Table, given: Any) -> tuple[ScoredCells, int, str | None]:
    """Returns cells of which the table knows the truth, in a random order that begins alike, and how many it knows.

    Single trainings are of the same split, or of validation where the table has means alone; the split comes last.
    """
    published = table.resolve(given.dataset, given.split)
    check_seed(table, *published, given.epochs, given.reward, "reward")
    place = (given.dataset, given.split, given.epochs)
    truth = table.runs("accuracy", *place, given.reward)
    known = np.flatnonzero(truth.num_runs > 0)
    if len(known) < 5:
        raise ValueError(
            f"the table knows the {given.dataset} {given.split} {table.metric.name} after "
            f"{counted(given.epochs, 'epoch')} of {len(known)} cells, expected at least 5 to order"
        )
    rows = np.random.default_rng([given.root_seed, 0x960C5]).permutation(known)[: given.num_cells]
    columns, runs_of = np.zeros((len(rows), 0)), None
    for split in (given.split, "validation"):
        dataset, _ = table.resolve(given.dataset, split)
        seeds = table.training(dataset, given.epochs).seeds if dataset == published[0] else ()
        try:
            runs = [table.runs("accuracy", given.dataset, split, given.epochs, seed).value[rows, 0] for seed in seeds]
        except ValueError:  # of means alone, or no such split
            continue
        if len(runs) > 1:
            columns, runs_of = np.stack(runs, 1), split
            break
    values = truth.value[rows, 0].astype(np.float32)
    return ScoredCells(rows.astype(np.int32), values, columns.astype(np.float32)), len(known), runs_of


def _notes(given: Any, drawn: int, known: int) -> list[str]:
    notes = ["images are normalized and not augmented; published scores saw augmented ones"]
    if drawn < given.num_cells:
        notes.append(f"{given.num_cells:,} cells were asked for, and the table knows {known:,}: these were scored")
    return notes
