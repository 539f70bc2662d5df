"""The results of a study as text: the summary's rows, and the table that a terminal shows."""

import numpy as np

from jnas.io._text import aligned, counted, csv_text
from jnas.studies._compared import fewer_lines
from jnas.studies._over_seeds import OVER_SEEDS, csv_cells, mean_text, what_lines
from jnas.studies.search._results import StudyResults
from jnas.studies.search._searched import with_searched
from jnas.studies.search._summary import compare, finals

COLUMNS = ("searcher", "dataset", "split", "epochs", *OVER_SEEDS)


def search_summary_csv(results: StudyResults) -> str:
    """Returns a row for each searcher, data set, split and epochs, values in the metric's unit (as in `csv_cells`)."""
    numbers = finals(compare([results])[0])
    rows = (
        [searcher.name, *target, *csv_cells(numbers, (k, c), ".4f")]
        for k, searcher in enumerate(results.searchers)
        for c, target in enumerate(results.targets)
    )
    return csv_text(COLUMNS, rows)


def search_results_text(results: StudyResults) -> str:
    """Returns mean and standard deviation of every searcher by every target, and the references, as lines."""
    comparison = with_searched(compare([results])[0])
    targets, numbers = comparison.targets, finals(comparison)
    rows = [[""] + [t.dataset for t in targets], [""] + [t.split for t in targets]]
    rows.append([""] + [counted(t.epochs, "epoch") for t in targets])
    if comparison.searched:
        rows.append(["", "searched on"] + [""] * (len(targets) - 1))
    heads = len(rows)
    for k, searcher in enumerate(results.searchers):
        rows.append([searcher.name, *map(mean_text, numbers.mean[k], numbers.std[k])])
    for reference in comparison.references:
        rows.append([reference.name, *map(mean_text, map(float, reference.values))])
    lines = [*what_lines(comparison.metric.words, "runs"), *aligned(rows, "l" + "r" * len(targets), heads)]
    lost = [(s.name, int(n)) for s, n in zip(results.searchers, numbers.runs - numbers.found.min(axis=1), strict=True)]
    lines += [f"{n:,} runs of {name} found nothing and are left out" for name, n in lost if n]
    runs = {s.name: int(n) for s, n in zip(results.searchers, numbers.runs, strict=True)}
    return "\n".join([*lines, *fewer_lines(runs, int(numbers.runs.max(initial=0)), "run")])


_OF_TABLES = (
    "the table has no number for any architecture that they evaluated, or the budget paid for no evaluation; search "
    "among what the table knows (--among known, in Python jnas.known_part), or give more evaluations or a larger budget"
)


def runs_without_results(results: StudyResults, why: str = _OF_TABLES) -> tuple[list[str], bool]:
    """Returns a sentence on each searcher of which runs found nothing, and whether there is one that found nothing."""
    told, all_of_one = [], False
    for searcher in results.searchers:
        failed, runs = int(np.sum(searcher.incumbent[:, -1] < 0)), len(searcher.incumbent)
        if failed:
            all_of_one |= failed == runs
            told.append(f"{failed:,} of {counted(runs, 'run')} of {searcher.name} found nothing: {why}")
    return told, all_of_one
