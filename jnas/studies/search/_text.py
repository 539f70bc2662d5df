"""The results of a study as text: the summary's rows, and the table that a terminal shows."""

import math

from jnas.io._text import aligned, counted, csv_text, number_cell
from jnas.studies.search._results import StudyResults

COLUMNS = ("searcher", "dataset", "split", "epochs", "seeds", "mean", "std", "ci_low", "ci_high")


def search_summary_csv(results: StudyResults) -> str:
    """Returns a row for each searcher, data set, split and epochs, accuracies in percent.

    `seeds` is the number of runs that found something, over which mean, standard deviation (ddof 1) and the 95 %
    bootstrap interval of the mean are taken; the deviation is empty for fewer than two of them, the interval for fewer
    than five.
    """
    from jnas.studies.search._summary import compare, finals  # it brings scipy, which a study needs at its end alone

    numbers = finals(compare([results])[0])
    told = (numbers.mean, numbers.std, numbers.low, numbers.high)
    rows = (
        [searcher.name, *target, numbers.found[k, c], *(number_cell(x[k, c], ".4f") for x in told)]
        for k, searcher in enumerate(results.searchers)
        for c, target in enumerate(results.targets)
    )
    return csv_text(COLUMNS, rows)


def search_results_text(results: StudyResults) -> str:
    """Returns mean and standard deviation of every searcher by every target, and the references, as lines."""
    from jnas.studies.search._summary import compare, finals

    numbers = finals(compare([results])[0])
    rows = [[""] + [t.dataset for t in results.targets], [""] + [f"{t.split} {t.epochs}" for t in results.targets]]
    for k, searcher in enumerate(results.searchers):
        cells = zip(numbers.mean[k], numbers.std[k], strict=True)
        rows.append([searcher.name, *(_cell(mean, std) for mean, std in cells)])
    for reference in results.references:
        rows.append([reference.name, *(_cell(float(v), math.nan) for v in reference.values)])
    lines = aligned(rows, "l" + "r" * len(results.targets))
    lost = [(s.name, int(n)) for s, n in zip(results.searchers, numbers.runs - numbers.found.min(axis=1), strict=True)]
    lines += [f"{n:,} runs of {name} found nothing and are left out" for name, n in lost if n]
    most = int(numbers.runs.max(initial=0))
    lines += [
        f"{s.name}: {counted(int(n), 'run')}, the others {most:,}"
        for s, n in zip(results.searchers, numbers.runs, strict=True)
        if n < most
    ]
    return "\n".join(lines)


def _cell(mean: float, std: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.2f}" if math.isnan(std) else f"{mean:.2f} ({std:.2f})"
