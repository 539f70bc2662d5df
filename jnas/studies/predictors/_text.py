"""The results of a study of predictors as text: the files of numbers, and the table that a terminal shows."""

import numpy as np

from jnas.io._text import aligned, csv_text, number_cell
from jnas.studies._compared import fewer_lines
from jnas.studies._over_seeds import OVER_SEEDS, csv_cells, mean_text
from jnas.studies.predictors._measures import NAMES
from jnas.studies.predictors._results import PredictorStudy
from jnas.studies.predictors._summary import lines, measure_index, measure_title

_CASE = ("predictor", "encoding", "train_size")
_SHOWN = ("mae", "kendall", "precision_at_k")  # on the terminal


def results_csv(study: PredictorStudy) -> str:
    """Returns a row for each predictor, encoding, training size and seed; a cell is empty where there is no number."""
    rows = (
        [*place, seed, *(number_cell(value, ".6f") for value in values)]
        for place, fits in study.fits.items()
        for seed, values in enumerate(fits.values)
    )
    return csv_text((*_CASE, "seed", *NAMES), rows)


def predictor_summary_csv(study: PredictorStudy) -> str:
    """Returns a row for each predictor, encoding, training size and measure (as in `csv_cells`)."""
    rows = (
        [line.predictor, line.encoding, size, name, *csv_cells(line, (n, m), ".6f")]
        for line in lines(study)
        for n, size in enumerate(study.config["train_sizes"])
        for m, name in enumerate(NAMES)
    )
    return csv_text((*_CASE, "measure", *OVER_SEEDS), rows)


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
    sizes, found = study.config["train_sizes"], lines(study)
    rows = []
    for name in _SHOWN:
        rows.append([measure_title(study, name), *(f"{size:,}" for size in sizes)])
        rows += [[f"  {x.label}", *(mean_text(v, digits=3) for v in x.mean[:, measure_index(name)])] for x in found]
    runs = {line.predictor: line.runs for line in found}
    fewer = fewer_lines(runs, int(study.config["num_seeds"]), "seed")
    return "\n".join([*aligned(rows, "l" + "r" * len(sizes)), *fewer])
