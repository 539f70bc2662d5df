"""The results of weight-sharing searches as text: the files of numbers, and the tables that a terminal shows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jnas import spaces
from jnas.io._text import aligned, counted, csv_text, number_cell
from jnas.searchers.weight_sharing._analysis import COEFFICIENTS
from jnas.studies._over_seeds import OVER_SEEDS, csv_cells, mean_text, what_lines
from jnas.studies.supernets._ranking import best_rank
from jnas.studies.supernets._ranking_text import random_search_lines, ranking_lines
from jnas.studies.supernets._results import INFOS, SupernetStudy, diverged
from jnas.studies.supernets._scratch_text import scratch_lines
from jnas.studies.supernets._summary import (
    agreement,
    diverged_text,
    entropy,
    final_columns_of,
    finite_moments,
    judged_column,
    median_rank,
    operation_counts,
    operation_names,
    reference_spread,
    skip_connections,
)
from jnas.tables._metric import metric_of


def supernet_summary_csv(study: SupernetStudy) -> str:
    """Returns a row for each method and column of the table, of final architectures in the table's metric.

    `seeds` is the number of searches whose architecture the table knows. The references (random cells, the optimum)
    follow; of one random cell there is the standard deviation over all cells. The column that ranks are taken by has
    the best rank of the searches among the table's cells, and the probability to surpass random search.
    """
    rows: list[list[Any]] = []
    main = study.targets[judged_column(study)] if study.targets else None
    for result in study.methods:
        best = best_rank(result)
        for target, found in zip(study.targets, final_columns_of(result), strict=True):
            judged = best if target == main else None
            told = ["", "", ""] if judged is None else [judged.rank, judged.num_archs, _number(judged.surpasses)]
            rows.append([result.name, *target, *csv_cells(found, (), ".6g"), *told])
    for reference in study.references:
        spread = reference_spread(study, reference)
        for target, value, deviation in zip(study.targets, reference.values, spread, strict=True):
            rows.append([reference.name, *target, "", _number(float(value)), _number(deviation), *[""] * 5])
    last = ("best_rank", "num_archs", "probability_to_surpass_random")
    return csv_text(("method", "dataset", "split", "epochs", *OVER_SEEDS, *last), rows)


def epochs_csv(study: SupernetStudy) -> str:
    """Returns a row for each method, seed and epoch; what only a look tells is empty where there was none.

    `seconds` and `look_seconds` are measured here, of all seeds of the method together.
    """
    operations, judged_by = operation_names(study), metric_of(study.config).name.replace(" ", "_")
    infos = (info.replace("accuracy", judged_by) for info in INFOS)
    head = ["method", "seed", "epoch", *infos, "seconds", "look_seconds", "arch", "one_shot_score"]
    head += [f"{t.dataset} {t.split} {t.epochs}" for t in study.targets]
    head += ["rank", "entropy", "skip_connections", *operations, "hessian_eigenvalue"]
    return csv_text(head, _epoch_rows(study))


def _epoch_rows(study: SupernetStudy) -> Iterator[list[Any]]:
    space, metric = spaces.from_config(study.space), metric_of(study.config)
    for result in study.methods:
        record, looks = result.record, {int(e): i for i, e in enumerate(result.record.looked)}
        entropies, counts = entropy(study, result), operation_counts(study, result)
        skips = skip_connections(study, result)
        for seed, epoch in np.ndindex(record.info.shape[:2]):
            row = [result.name, seed, epoch + 1, *map(_number, record.info[seed, epoch])]
            row.append(_number(record.train_seconds[epoch]))
            i = looks.get(epoch + 1)
            if i is None:
                yield [*row, *[""] * (7 + len(study.targets) + counts.shape[-1])]
                continue
            rank = result.ranks[seed, i]
            yield [
                *row,
                _number(record.look_seconds[i]),
                space.to_string(record.archs[seed, i].astype(np.int32)),
                _number(metric.best(record.scores[seed, i])),
                *map(_number, result.values[:, seed, i]),
                "" if rank < 0 else rank,
                _number(entropies[seed, i]),
                "" if skips is None else _number(skips[seed, i]),
                *counts[seed, i],
                _number(record.eigenvalues[seed, i]),
            ]


def one_shot_csv(study: SupernetStudy) -> str | None:
    """Returns how shared weights agree with the table, for each method, predictor, part and seed; None if not asked.

    `predictor` is the searcher's probability of an architecture, or its accuracy under the shared weights with a
    batch-norm policy; `part` all evaluated architectures, or the truly best tenth of them.
    """
    if not study.config["one_shot"]:
        return None
    rows = (
        [result.name, found.predictor, found.part, found.cells, seed]
        + [_number(found.coefficients[name][seed]) for name in COEFFICIENTS]
        for result in study.methods
        for found in agreement(result, tuple(study.config["batch_norms"]), metric_of(study.config))
        for seed in range(study.config["num_seeds"])
    )
    return csv_text(("method", "predictor", "part", "cells", "seed", *COEFFICIENTS), rows)


def supernet_results_text(study: SupernetStudy) -> str:
    """Returns what the final architectures are worth, and how shared weights agree with the table, as lines."""
    lines = _finals_lines(study) if study.targets else _archs_lines(study)
    if told := diverged_text(study):
        lines += ["", told]
    found = {
        result.name: agreement(result, tuple(study.config["batch_norms"]), metric_of(study.config))
        for result in study.methods
    }
    if any(found.values()):
        predictors = ["probability", *study.config["batch_norms"]]
        rows = [["Kendall's tau with the table", *predictors]]
        for name, each in found.items():
            taus = [a.coefficients["kendall"] for a in each if a.part == "all"]
            rows.append([f"  {name}", *(mean_text(*finite_moments(tau), digits=3) for tau in taus)])
        lines += ["", *aligned(rows, "l" + "r" * len(predictors))]
    for more in (random_search_lines(study), ranking_lines(study), scratch_lines(study)):
        lines += ["", *more] if more else []
    return "\n".join(lines)


def _finals_lines(study: SupernetStudy) -> list[str]:
    rows = [["", *(t.dataset for t in study.targets), "rank", "skips"]]
    rows.append(["", *(t.split for t in study.targets), "median", "mean"])
    rows.append(["", *(counted(t.epochs, "epoch") for t in study.targets), "", ""])
    for result in study.methods:
        skips = skip_connections(study, result)
        skipped = "-" if skips is None else mean_text(finite_moments(skips[:, -1])[0], digits=1)
        values = (mean_text(c.mean, c.std) for c in final_columns_of(result))
        rows.append([result.name, *values, median_rank(result, "-"), skipped])
    for reference in study.references:
        cells = map(mean_text, map(float, reference.values), reference_spread(study, reference))
        rows.append([reference.name, *cells, "", ""])
    lines = aligned(rows, "l" + "r" * (len(study.targets) + 2), heads=3)
    return [*what_lines(metric_of(study.config).words, "seeds"), *lines]


def _archs_lines(study: SupernetStudy) -> list[str]:
    space = spaces.from_config(study.space)
    rows = [
        [f"{result.name}, seed {seed}", "diverged" if lost else space.to_string(arch.astype(np.int32))]
        for result in study.methods
        for seed, (arch, lost) in enumerate(
            zip(result.record.archs[:, -1], diverged(result.record)[:, -1], strict=True)
        )
    ]
    return aligned(rows, "ll")


def _number(value: Any) -> str:
    return number_cell(value, ".6g")
