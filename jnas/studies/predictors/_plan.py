"""What a study of predictors is to do, settled before it starts: its cases, its cells, its configuration."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Graph, Predictor, Space
from jnas.io._text import counted
from jnas.spaces._columns import has_features, space_features, unknown_features
from jnas.studies._compared import check_rows, fewer_seeds, made_with, seeds_by_name, table_words
from jnas.studies._keys import chunk_width
from jnas.studies._memory import check_memory
from jnas.studies._settings import check_settings
from jnas.studies.predictors._settings import PREDICTOR_SETTINGS
from jnas.tables._known_part import whole_size
from jnas.tables._runs import check_seed
from jnas.tables._scored_space import scored_space
from jnas.tables._table import Table

Encodings = Sequence[str] | Mapping[str, Sequence[str]]
"""Names of features, for all predictors or by the predictor's name."""


class Case(NamedTuple):
    """A predictor on an encoding: a row of the study's tables."""

    name: str  # of the predictor
    encoding: str
    predictor: Predictor

    @property
    def label(self) -> str:
        """Returns the row's name."""
        return f"{self.name} on {self.encoding}"


class DrawnCells(NamedTuple):
    """The cells that each seed draws: the first `test_cells` are test cells, the others training cells.

    A fit to `n` cells takes the first `n` training cells, so that each training set holds the smaller ones.
    """

    rows: NDArray[np.int32]  # [S, C], rows of the table; no two of a seed are the same architecture
    scores: NDArray[np.float32]  # [S, C], percent


class PredictorPlan(NamedTuple):
    """A study of predictors before it starts."""

    cases: tuple[Case, ...]
    cells: DrawnCells
    archs: NDArray[np.int32]  # [N, E], of the table
    space: Space
    seeds: Mapping[str, int]  # draws, by predictor
    widths: Mapping[str, int]  # of which so many are in one program
    config: Mapping[str, Any]

    @property
    def test_cells(self) -> int:
        """Returns how many cells a fit is tested on."""
        return int(self.config["test_cells"])

    @property
    def result_bytes(self) -> float:
        """Returns how much memory the results take."""
        return _result_bytes(self.cases, self.seeds, self.config["train_sizes"], self.test_cells)


def plan_predictor_study(predictors: Mapping[str, Predictor], table: Table, **asked: Any) -> PredictorPlan:
    """Returns the plan of a study; arguments and errors are those of `jnas.predictor_study`, all of which are given."""
    check_settings(PREDICTOR_SETTINGS, asked)
    check_rows("predictors", predictors, Predictor, "a Predictor: call its factory")
    given, space = SimpleNamespace(**asked), scored_space(table)
    encodings, test_cells, epochs = given.encodings, int(given.test_cells), given.epochs
    chosen = {name: tuple(encodings[name] if isinstance(encodings, Mapping) else encodings) for name in predictors}
    cases = tuple(Case(name, e, p) for name, p in predictors.items() for e in chosen[name])
    for case in cases:
        _check_encoding(space, case)
    check_seed(table, *table.resolve(given.dataset, given.split), epochs, given.reward, "reward")
    runs = table.runs("accuracy", given.dataset, given.split, epochs, given.reward)
    known = np.flatnonzero(runs.num_runs > 0)
    what = f"{given.dataset} {given.split} {table.metric.name} after {counted(epochs, 'epoch')}"
    classes = _classes(table.space, table.archs[known])
    distinct = int(classes.max(initial=-1)) + 1
    check_cells(distinct, test_cells, max(given.train_sizes), what)
    seeds = seeds_by_name(predictors, given.num_seeds, given.num_python_seeds)
    check_memory(_result_bytes(cases, seeds, given.train_sizes, test_cells), given.num_seeds)
    rows = known[draw_cells(classes, test_cells + max(given.train_sizes), given.num_seeds, given.root_seed)]
    widths = {n: chunk_width(seeds[n], min(given.chunk, seeds[n])) if p.compiled else 1 for n, p in predictors.items()}
    config: dict[str, Any] = {
        "predictors": {name: list(chosen[name]) for name in predictors},
        **table_words(table),
        "dataset": given.dataset,
        "split": given.split,
        "epochs": int(epochs),
        "reward": given.reward,
        "train_sizes": [int(n) for n in given.train_sizes],
        "test_cells": test_cells,
        "precision_at": places(given.precision_at, test_cells),
        "num_seeds": int(given.num_seeds),
        "root_seed": int(given.root_seed),
        "chunk": widths,
        "notes": [*table.header.notes, *_notes(table, len(known), distinct, what)],
        "command": given.command,
        **fewer_seeds(seeds, given.num_seeds),
        **made_with(predictors),
    }
    # Predictors learn scores, of which the higher are better.
    cells = DrawnCells(rows.astype(np.int32), np.float32(table.metric.sign) * runs.value[rows, 0])
    return PredictorPlan(cases, cells, table.archs, space, seeds, widths, config)


def _result_bytes(
    cases: Sequence[Case], seeds: Mapping[str, int], train_sizes: Sequence[int], test_cells: int
) -> float:
    """Returns how many bytes the cells that are drawn take, and what is predicted of them."""
    drawn = 12 * max(seeds.values(), default=0) * (test_cells + max(train_sizes))
    return float(drawn + sum(seeds[case.name] for case in cases) * len(train_sizes) * 8 * (test_cells + 20))


def places(precision_at: float, test_cells: int) -> int:
    """Returns the k of the precision at k: a number of cells, or a share of the test cells below 1.

    Raises:
      ValueError: It is neither.
    """
    k = round(precision_at * test_cells) if 0 < precision_at < 1 else precision_at
    if not 1 <= k <= test_cells or k != int(k):
        raise ValueError(
            f"precision_at is {precision_at}, expected a number of cells from 1 to {test_cells}, the number of test "
            "cells, or a share of them below 1 that is at least one cell"
        )
    return int(k)


def check_cells(distinct: int, test_cells: int, train_size: int, what: str) -> None:
    """Raises ValueError unless there are cells enough to draw."""
    if test_cells + train_size > distinct:
        raise ValueError(
            f"{test_cells:,} test cells and {train_size:,} training cells are wanted, and the table knows the {what} "
            f"of {distinct:,} different ones; ask for fewer test_cells, or for smaller train_sizes"
        )


def draw_cells(classes: NDArray[np.int64], count: int, num_seeds: int, root_seed: int) -> NDArray[np.int64]:
    """Returns which cells each seed draws, uniformly, without a cell of a class that it has drawn.

    A seed's draw depends on the root and on the seed's number alone; a larger `count` begins with the smaller.

    Args:
      classes: `[K]`, of each cell: cells of one class are the same architecture.
      count: How many cells a seed draws, at most the number of classes.
      num_seeds: How many seeds there are.
      root_seed: Of all random numbers.

    Returns:
      int64 `[num_seeds, count]`, in `[0, K)`.
    """
    drawn = np.zeros((num_seeds, count), np.int64)
    for number in range(num_seeds):
        order = np.random.default_rng([root_seed, number]).permutation(len(classes))
        for candidates in (order[: 4 * count], order):  # the first are nearly always enough
            _, first = np.unique(classes[candidates], return_index=True)
            if len(first) >= count:
                break
        drawn[number] = candidates[np.sort(first)[:count]]
    return drawn


def takes_graphs(space: Space, encoding: str) -> bool:
    """Returns whether an encoding is graphs, which graph predictors read and no others.

    Raises:
      ValueError: The space has no such encoding.
    """
    arch = np.zeros(space.num_decisions, np.int32)
    return isinstance(jax.eval_shape(lambda a: space_features(space, a, encoding), arch), Graph)


def _check_encoding(space: Space, case: Case) -> None:
    if not has_features(space, case.encoding):
        offer = unknown_features(space, case.encoding)
        raise ValueError(
            f"{case.name} is to be fitted to {case.encoding!r}, which is no encoding of {space.name}{offer} "
            f"expected some of {', '.join(space.feature_names)}"
        )


def _classes(space: Space, archs: NDArray[np.int32]) -> NDArray[np.int64]:
    """Returns a number for each of the architectures `[K, E]`, equal where the space regards them as the same."""
    words = np.asarray(jax.jit(jax.vmap(space.fingerprint))(archs.astype(np.int32))).astype(np.uint64)
    _, classes = np.unique(words @ np.array([1 << 32, 1], np.uint64), return_inverse=True)
    return np.asarray(classes, np.int64)


def _notes(table: Table, known: int, distinct: int, what: str) -> list[str]:
    notes = []
    if known < (whole := whole_size(table)):
        notes.append(f"only {known:,} of {whole:,} architectures have the {what}: cells are drawn from these")
    if distinct < known:
        notes.append(
            f"the space regards these {known:,} as {distinct:,} different architectures: no draw holds two that are "
            "the same, in training and test cells together"
        )
    return notes
