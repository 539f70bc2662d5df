"""The numbers of a study of searchers one by one: a row for each run and column, and for each step of a curve."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jnas.io._text import csv_text, number_cell

RUNS = ("searcher", "seed", "dataset", "split", "epochs", "value", "score", "evaluations", "seconds", "arch")
"""The columns of `runs_csv`."""
CURVES = ("searcher", "seed", "evaluation", "seconds", "score", "dataset", "split", "epochs", "value")
"""The columns of `run_curves_csv`."""


def runs_csv(results: Any) -> str:
    """Returns a row for each run of each searcher and target of a `StudyResults`.

    `value` is what the architecture that the run returned is worth by that target, of the metric (percent of accuracy);
    `score` what the search saw of it, higher is better; `seconds` the study's clock at the run's end; `arch` its
    decisions with blanks between them. What is not known is empty.
    """
    return csv_text(RUNS, _runs(results))


def _runs(results: Any) -> Iterator[list[Any]]:
    for searcher in results.searchers:
        mask = np.asarray(searcher.traces.mask)
        made, clock = mask.sum(axis=1), np.where(mask, searcher.elapsed, 0.0).max(axis=1, initial=0.0)
        last = np.asarray(searcher.incumbent)[:, -1]
        for seed in range(len(mask)):
            found = last[seed] >= 0
            score = float(searcher.traces.score[seed, last[seed]]) if found else float("nan")
            arch = " ".join(str(int(x)) for x in searcher.final_archs[seed]) if found else ""
            for c, target in enumerate(results.targets):
                value = number_cell(float(searcher.final[c, seed]), ".7g")
                told = [number_cell(score, ".7g"), int(made[seed]), number_cell(float(clock[seed]), ".9g"), arch]
                yield [searcher.name, seed, *target, value, *told]


def run_curves_csv(results: Any) -> str:
    """Returns a row for each improvement of each run and target: what the incumbent was worth from then on.

    `evaluation` counts from 1; `score` is what was seen of the incumbent. The last row of a run stands at its end, so
    that a curve drawn in steps ends where the run did.
    """
    return csv_text(CURVES, _curves(results))


def _curves(results: Any) -> Iterator[list[Any]]:
    for searcher in results.searchers:
        mask, incumbent = np.asarray(searcher.traces.mask), np.asarray(searcher.incumbent)
        for seed, t in zip(*np.nonzero(mask), strict=True):
            better = incumbent[seed, t] >= 0 and (t == 0 or incumbent[seed, t] != incumbent[seed, t - 1])
            ends = t + 1 == mask.shape[1] or not mask[seed, t + 1]
            if not (better or (ends and incumbent[seed, t] >= 0)):
                continue
            seconds = number_cell(float(searcher.elapsed[seed, t]), ".9g")
            score = number_cell(float(searcher.traces.score[seed, incumbent[seed, t]]), ".7g")
            for c, target in enumerate(results.targets):
                value = number_cell(float(searcher.values[c, seed, t]), ".7g")
                yield [searcher.name, int(seed), int(t) + 1, seconds, score, *target, value]


def data_frame(text: str) -> Any:
    """Returns a file of numbers as a pandas data frame; empty cells are NaN.

    Raises:
      ImportError: pandas, an extra, is not installed.
    """
    import io

    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install 'jnas[pandas]'") from error
    return pandas.read_csv(io.StringIO(text))
