"""Rankings against a table, and found cells against random search, as files of numbers and lines of a terminal."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jnas.io._text import aligned, csv_text, number_cell
from jnas.studies._over_seeds import mean_text
from jnas.studies.supernets._against_table import LEVELS
from jnas.studies.supernets._ranking import (
    MEASURES,
    Ranking,
    against_random,
    best_rank,
    look_rankings,
    one_shot_rankings,
)
from jnas.studies.supernets._results import SupernetStudy
from jnas.studies.supernets._summary import finite_moments, judged_column
from jnas.tables._metric import metric_of


def ranking_csv(study: SupernetStudy) -> str | None:
    """Returns a row for each method, pool, seed and look: how its ranking agrees with the table; None if none has one.

    `pool` is `candidates`, what the search itself compared then; `pool`, the cells that were asked for at each look; or
    at the last look a predictor of the one-shot analysis. Percentiles are shares of the pool, 1 is its best.
    """
    rows = [row for name, ranking in _rankings(study) for row in _ranking_rows(name, ranking)]
    return csv_text(("method", "pool", "seed", "epoch", "cells", *MEASURES), rows) if rows else None


def _rankings(study: SupernetStudy) -> Iterator[tuple[str, Ranking]]:
    metric = metric_of(study.config)
    for result in study.methods:
        for ranking in [*look_rankings(result, metric=metric), *one_shot_rankings(study, result)]:
            yield result.name, ranking


def _ranking_rows(name: str, ranking: Ranking) -> Iterator[list[Any]]:
    for seed, look in np.ndindex(ranking.cells.shape):
        numbers = (_number(ranking.measures[measure][seed, look]) for measure in MEASURES)
        yield [name, ranking.pool, seed, int(ranking.epochs[look]), int(ranking.cells[seed, look]), *numbers]


def random_search_csv(study: SupernetStudy) -> str | None:
    """Returns a row for each method and number of random cells: the final cells against the exact distribution.

    None where no table judged them (or a folder is older than the file). `superiority` is the probability that a run's
    cell is better, equal ones counted half; `p_value` of a two-sided test. The last columns are of the best run.
    """
    rows: list[list[Any]] = []
    for result in study.methods:
        best = best_rank(result)
        for found in against_random(judged_column(study), result):
            assert best is not None
            numbers = (found.expected, *found.quantiles, *found.comparison)
            told = [best.rank, best.num_archs, _number(best.surpasses)]
            rows.append([result.name, found.draws, best.runs, *map(_number, numbers), *told])
    quantiles = (f"random_{100 * level:g}_percent" for level in LEVELS)
    tests = ("difference", "difference_low", "difference_high", "superiority", "superiority_low", "superiority_high")
    last = ("p_value", "best_rank", "num_archs", "probability_to_surpass_random")
    head = ("method", "draws", "runs", "random_mean", *quantiles, *tests, *last)
    return csv_text(head, rows) if rows else None


def random_search_lines(study: SupernetStudy) -> list[str]:
    """Returns the final cells against random search as lines; empty where nothing is known."""
    rows: list[list[str]] = []
    for result in study.methods:
        found, best = against_random(judged_column(study), result), best_rank(result)
        if not found or best is None:
            continue
        if not rows:
            counts = (f"{each.draws} cell{'' if each.draws == 1 else 's'}" for each in found)
            rows.append(["Share of random searches that are worse (p)", *counts, "best rank", "surpasses"])
        tests = (f"{each.comparison.superiority:.3f} ({each.comparison.p_value:.2g})" for each in found)
        rows.append([f"  {result.name}", *tests, f"{best.rank:,} of {best.num_archs:,}", f"{best.surpasses:.2f}"])
    return aligned(rows, "l" + "r" * (len(rows[0]) - 1)) if rows else []


def ranking_lines(study: SupernetStudy) -> list[str]:
    """Returns how the last look's pools were ranked, as lines; empty where there are none."""
    shown = {
        "kendall": "Kendall",
        "spearman": "Spearman",
        "sparse_kendall": "sparse",
        "best_10_percentile_median": "best 10",
    }
    rows = [["The ranking of the last look, and the table's", "cells", *shown.values()]]
    for result in study.methods:
        for ranking in look_rankings(result, last=True, metric=metric_of(study.config)):
            cells = (mean_text(*finite_moments(ranking.measures[name]), digits=3) for name in shown)
            rows.append([f"  {result.name}, {ranking.pool}", f"{int(ranking.cells.max()):,}", *cells])
    return aligned(rows, "l" + "r" * (len(shown) + 1)) if len(rows) > 1 else []


def _number(value: Any) -> str:
    return number_cell(value, ".6g")
