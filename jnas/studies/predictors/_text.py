"""The results of a study of predictors as text: the files of numbers, and the table that a terminal shows."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import aligned, counted, csv_text, number_cell
from jnas.studies.predictors._measures import MEASURES, NAMES
from jnas.studies.predictors._results import PredictorStudy
from jnas.studies.predictors._summary import lines, measure_index

_CASE = ("predictor", "encoding", "train_size")
_SHOWN = ("mae", "kendall", "precision_at_k")  # on the terminal


def results_csv(study: PredictorStudy) -> str:
    """Returns a row for each predictor, encoding, training size and seed; a cell is empty where there is no number."""
    rows = (
        [*place, seed, *map(_number, values)]
        for place, fits in study.fits.items()
        for seed, values in enumerate(fits.values)
    )
    return csv_text((*_CASE, "seed", *NAMES), rows)


def predictor_summary_csv(study: PredictorStudy) -> str:
    """Returns a row for each predictor, encoding, training size and measure.

    `seeds` is the number of seeds that gave a number, over which mean, standard deviation (ddof 1) and the 95 %
    bootstrap interval of the mean are taken; the deviation is empty for fewer than two of them, the interval for fewer
    than five.
    """
    rows = (
        [
            *(line.predictor, line.encoding, size, name, line.found[n, m]),
            *(_number(x[n, m]) for x in (line.mean, line.std, line.low, line.high)),
        ]
        for line in lines(study)
        for n, size in enumerate(study.config["train_sizes"])
        for m, name in enumerate(NAMES)
    )
    return csv_text((*_CASE, "measure", "seeds", "mean", "std", "ci_low", "ci_high"), rows)


def times_csv(study: PredictorStudy) -> str:
    """Returns what each case took here, for one fit and for a thousand queries: medians over its program's runs."""
    rows = (
        [
            *place,
            study.config["chunk"][place[0]],
            f"{fits.compile_seconds:.3f}",
            *(f"{np.median(x):.6g}" for x in (fits.fit_seconds, fits.fit_cpu_seconds)),
            *(f"{np.median(x):.6g}" for x in (fits.query_seconds, fits.query_cpu_seconds)),
        ]
        for place, fits in study.fits.items()
    )
    times = ("fit_seconds", "fit_cpu_seconds", "seconds_per_1000_queries", "cpu_seconds_per_1000_queries")
    return csv_text((*_CASE, "seeds_in_program", "compile_seconds", *times), rows)


def predictor_results_text(study: PredictorStudy) -> str:
    """Returns error, rank correlation and precision of every predictor on each encoding by training size, as lines."""
    sizes, k = study.config["train_sizes"], study.config["precision_at"]
    found, rows = lines(study), []
    for name in _SHOWN:
        title = f"precision at {k}" if name == "precision_at_k" else MEASURES[measure_index(name)].title
        rows.append([title, *(f"{size:,}" for size in sizes)])
        rows += [[f"  {line.label}", *map(_shown, line.mean[:, measure_index(name)])] for line in found]
    return "\n".join([*aligned(rows, "l" + "r" * len(sizes)), *_remarks(study, found)])


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _remarks(study: PredictorStudy, found: Sequence[Any]) -> list[str]:
    most = int(study.config["num_seeds"])
    told = {line.predictor: line.runs for line in found if line.runs < most}
    return [f"{name}: {counted(runs, 'seed')}, the others {most:,}" for name, runs in told.items()]


def _number(value: Any) -> str:
    return number_cell(value, ".6f")
