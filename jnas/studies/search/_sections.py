"""The sections of a study's report on what was found, how fast, how reliably, and the best architectures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jnas.core._vocabulary import STOPPED_BY, Space
from jnas.io._text import counted
from jnas.pages._html import Html, breakable, element, scrolling, section
from jnas.pages._parts import card, mean_cell, mean_words, named, panels, seconds_text
from jnas.statistics._intervals import FEWEST
from jnas.studies._over_seeds import best_rows
from jnas.studies.search._curves import Curve, curves
from jnas.studies.search._parts import clock_name, counted_name, entry_looks, panel_title, searcher_legend
from jnas.studies.search._plots import accuracy_panel, final_panel, regret_panel
from jnas.studies.search._results import StudyResults
from jnas.studies.search._summary import (
    BestCell,
    ComparedSearcher,
    Comparison,
    Finals,
    best_cells,
    mean_regret,
    optimum,
    share_at_optimum,
    shown_targets,
    study_has_times,
)

Curves = Mapping[int, Sequence[Curve]]
"""Of each target."""


def results_section(comparison: Comparison, numbers: Finals, suffix: str) -> Html:
    """Returns the table that is read first: like Table 5 of the paper of NAS-Bench-201."""
    best, metric = best_rows(comparison.metric.sign * numbers.mean), comparison.metric
    body = [_searcher_row(comparison, numbers, k, best) for k in range(len(comparison.entries))]
    references = [_reference_row(comparison, r) for r in range(len(comparison.references))]
    clock = clock_name(comparison)
    caption = (
        f"{metric.first_upper}{metric.words.removeprefix(metric.name)} of the architectures that the runs returned: "
        "mean ± standard deviation over runs (of a sample, n − 1), and in small print the 95 % bootstrap confidence "
        "interval of the mean (BCa). The "
        f"best mean of each column is bold. Evaluations and {clock} seconds are medians over runs, at the end of the "
        "run; measured seconds are what this machine took for all runs together."
        f"{_optimum_caption(comparison)}{_searched_caption(comparison)}{_interval_caption(numbers)}"
    )
    return section(
        "What the searchers found",
        scrolling(
            element(
                "table",
                _results_head(comparison),
                element("tbody", body),
                element("tbody", references, class_="references") if references else None,
                class_="results",
            )
        ),
        element("p", caption, class_="caption"),
        _missing_note(comparison, numbers),
        id=f"results{suffix}",
    )


def _optimum_caption(comparison: Comparison) -> str:
    if not _has_optimum(comparison):
        return ""
    return (
        " Below stand the share of runs that end at the table's optimum of the column, and the mean regret in "
        f"{comparison.metric.points}."
    )


def _searched_caption(comparison: Comparison) -> str:
    if not comparison.searched:
        return ""
    return (
        " The first column is what the runs searched on and chose by: where it is noisy, it lies "
        f"{'above' if comparison.metric.higher_is_better else 'below'} what the same architectures are worth anew."
    )


def _column_label(comparison: Comparison, column: int) -> str:
    """Returns the name of a column where it stands alone, beside a cell on a narrow screen."""
    return comparison.targets[column].label + _searched_word(comparison, column)


def _searched_word(comparison: Comparison, column: int) -> str:
    return ", searched on" if comparison.searched and column == 0 else ""


def _interval_caption(numbers: Finals) -> str:
    """Returns what must be said of intervals where there are few runs."""
    found = numbers.found[numbers.found > 0]
    if not found.size or found.min() >= 10:
        return ""
    if found.min() < FEWEST:
        return (
            f" No interval is given for fewer than {FEWEST} runs: a bootstrap draws again from the values that there "
            "are, and so few do not show how widely runs scatter."
        )
    return " With fewer than ten runs bootstrap intervals are rough, and often too narrow."


def _results_head(comparison: Comparison) -> Html:
    datasets: list[tuple[str, int]] = []
    for target in comparison.targets:
        if datasets and datasets[-1][0] == target.dataset:
            datasets[-1] = (target.dataset, datasets[-1][1] + 1)
        else:
            datasets.append((target.dataset, 1))
    top = element(
        "tr",
        element("th", "Searcher", rowspan=2, scope="col"),
        [element("th", name, colspan=span, scope="colgroup", class_="group") for name, span in datasets],
        element("th", "Cost of a run", colspan=2, scope="colgroup", class_="group"),
        element("th", "Measured here", element("small", "all runs"), rowspan=2, scope="col", class_="group"),
    )
    splits = [
        element("th", t.split, element("small", counted(t.epochs, "epoch"), _searched_word(comparison, i)), scope="col")
        for i, t in enumerate(comparison.targets)
    ]
    clock = element("th", "time", element("small", clock_name(comparison)), scope="col")
    evaluations = element("th", counted_name(comparison), element("small", "median"), scope="col")
    return element("thead", top, element("tr", splits, evaluations, clock))


def _at_optimum(comparison: Comparison, k: int, target: int) -> Html | None:
    """Returns the share of an entry's runs that end at the optimum and the mean regret, where a table knows it."""
    share = share_at_optimum(comparison, k, target)
    if share is None:
        return None
    regret = mean_regret(comparison, k, target)
    return element("small", f"{100 * share:.0f} % at optimum, regret {regret:.2f}", class_="ends")


def _searcher_row(comparison: Comparison, numbers: Finals, k: int, best: Sequence[int]) -> Html:
    entry = comparison.entries[k]
    cells = []
    with np.errstate(invalid="ignore"):
        narrow = np.nanmin(np.append(numbers.high - numbers.low, [[np.inf] * len(best)], axis=0), axis=0) < 0.02
    for c in range(len(best)):
        mean, std, low, high = (float(a[k, c]) for a in (numbers.mean, numbers.std, numbers.low, numbers.high))
        forms = (".2f", ".3f" if narrow[c] else ".2f")
        at = _at_optimum(comparison, k, c)
        shown = mean_cell(mean, low, high, at, std=std, forms=forms, strong=best[c] == k)
        cells.append(element("td", shown, data_label=_column_label(comparison, c)))
    compiled, ran = entry.result.compile_seconds, entry.result.run_seconds
    told = (
        f"compiling {seconds_text(compiled)}" if compiled else "compiling included"
    )  # which real trainings do not time
    measured = element("td", seconds_text(compiled + ran), element("small", told), data_label="measured here, all runs")
    return element(
        "tr",
        element(
            "th",
            named(entry_looks(comparison)[k], entry.label),
            element("small", _runs_text(comparison, entry)),
            scope="row",
        ),
        cells,
        element(
            "td",
            f"{numbers.evaluations[k]:,.0f}",
            _unless(counted_name, comparison, entry.study),
            data_label=f"{counted_name(comparison)}, median",
        ),
        _spent_cell(comparison, numbers, k),
        measured,
    )


def _spent_cell(comparison: Comparison, numbers: Finals, k: int) -> Html:
    """Returns the cell of the time that a run took on the study's clock, where there is one."""
    study = comparison.entries[k].study
    if not study_has_times(comparison.studies[study]):
        return element("td", "–", element("small", "no times"), data_label="time")
    own = _unless(clock_name, comparison, study)
    return element("td", seconds_text(float(numbers.seconds[k])), own, data_label=f"{clock_name(comparison)} time")


def _unless(name: Callable[[Comparison, int], str], comparison: Comparison, study: int) -> Html | None:
    """Returns what a number counts, where it is not what the column's head says."""
    own = name(comparison, study)
    return None if own == name(comparison, 0) else element("small", own)


def _runs_text(comparison: Comparison, entry: ComparedSearcher) -> str:
    """Returns how many runs there were and what ended them."""
    stops = np.asarray(entry.result.traces.stopped_by)
    counts = {name: int((stops == i).sum()) for i, name in enumerate(STOPPED_BY)}
    ended = {
        "capacity": f"ended by their number of {counted_name(comparison, entry.study)}",
        "budget": "ended by their budget",
        "exhausted": "ended since nothing was left to try",
    }
    runs = counted(len(stops), "run")
    present = [name for name, count in counts.items() if count]
    if len(present) == 1:
        return f"{runs}, {ended[present[0]]}"
    return f"{runs}: " + ", ".join(f"{counts[name]:,} {ended[name]}" for name in present)


def _reference_row(comparison: Comparison, index: int) -> Html:
    reference = comparison.references[index]
    cells = [
        element("td", mean_words(v), data_label=_column_label(comparison, c))
        for c, v in enumerate(np.asarray(reference.values, np.float64))
    ]
    best = reference.name.lower().startswith(("optim", "best"))
    where = reference.arch or ("the best of the table in each column" if best else "")
    return element(
        "tr",
        element("th", reference.name, element("small", breakable(where)), scope="row"),
        cells,
        [element("td", "–", class_="nothing") for _ in range(3)],
    )


def _missing_note(comparison: Comparison, numbers: Finals) -> Html | None:
    """Returns which runs found nothing, so that no mean over fewer runs goes unseen."""
    lines = [
        f"{entry.label}: {numbers.runs[k] - numbers.found[k].min():,} of {counted(int(numbers.runs[k]), 'run')}"
        for k, entry in enumerate(comparison.entries)
        if numbers.found[k].min(initial=numbers.runs[k]) < numbers.runs[k]
    ]
    if not lines:
        return None
    text = (
        "Runs without a value in some column (no valid evaluation, or one of which the table lacks the number) are "
        "left out of its mean, deviation and interval; in ranks and tests they count as worse than every other run. "
    )
    return element("p", element("strong", "Some runs found nothing. "), text, "; ".join(lines), ".", class_="note")


def time_section(comparison: Comparison, suffix: str) -> Html:
    """Returns the curves against the study's clock and against the number of evaluations."""
    targets = shown_targets(comparison)
    intro = (
        "How good the incumbent is, the best architecture so far by the score searched on. Lines are means over runs, "
        f"bands (bars at a few points, where there are more than three lines) their 95 % bootstrap confidence "
        f"intervals (none for fewer than {FEWEST} runs)"
        f"{', dashes the optimum of the table' if _has_optimum(comparison) else ''}. A line begins when nine runs in "
        "ten have evaluated something and ends with the searcher's last run. Horizontal axes are logarithmic; "
        f"vertical axes of {comparison.metric.plural} leave out the start of the curves."
        f"{_weight_sharing(comparison)}"
    )
    timed, counts, metric = [], [], comparison.metric.first_upper
    for name, entries in _by_axis(comparison, clock_name):  # seconds of two kinds never share an axis
        entries = [k for k in entries if study_has_times(comparison.studies[comparison.entries[k].study])]
        clock, found = f"{name} seconds", curves(comparison, targets, "seconds", entries)
        if any(map(_drawable, found.values())):
            timed += [
                _accuracies(comparison, found, clock, f"{metric} against {clock}."),
                _regrets(comparison, found, clock),
            ]
    for name, entries in _by_axis(comparison, counted_name):
        found = curves(comparison, targets, "evaluations", entries)
        counts.append(_accuracies(comparison, found, name, f"{metric} against the number of {name}."))
    if not timed:
        text = "There are no times to draw against: no evaluation has a cost, or each epoch counts as one second."
        timed = [element("p", text, class_="note")]
    return section("How fast", element("p", intro), timed, counts, id=f"time{suffix}")


def _weight_sharing(comparison: Comparison) -> str:
    if not any(counted_name(comparison, k) == "epochs" for k in range(len(comparison.studies))):
        return ""
    return (
        " Of a weight-sharing search it is the architecture that it would have returned then; its seconds are measured "
        "and have axes of their own."
    )


def _by_axis(comparison: Comparison, name: Callable[[Comparison, int], str]) -> list[tuple[str, list[int]]]:
    """Returns which entries share an axis, by what it counts."""
    found: dict[str, list[int]] = {}
    for k, entry in enumerate(comparison.entries):
        found.setdefault(name(comparison, entry.study), []).append(k)
    return list(found.items())


def _accuracies(comparison: Comparison, found: Curves, axis: str, caption: str) -> Html:
    drawn = [
        (
            panel_title(comparison, t),
            accuracy_panel(
                lines,
                optimum(comparison, t),
                axis=axis,
                metric=comparison.metric,
                looks=entry_looks(comparison),
                title=f"Mean {comparison.metric.name} on {comparison.targets[t].label} against {axis}",
            ),
        )
        for t, lines in found.items()
        if _drawable(lines)
    ]
    return panels(drawn, caption, searcher_legend(comparison, _shown(found))) if drawn else Html()


def _shown(found: Curves) -> set[int]:
    """Returns the entries that have a line."""
    return {curve.entry for lines in found.values() for curve in lines}


def _regrets(comparison: Comparison, found: Curves, axis: str) -> Html:
    drawn = [
        (
            panel_title(comparison, t),
            regret_panel(
                lines,
                best,
                axis=axis,
                metric=comparison.metric,
                looks=entry_looks(comparison),
                title=f"Regret on {comparison.targets[t].label} against {axis}",
            ),
        )
        for t, lines in found.items()
        if (best := optimum(comparison, t)) is not None and _drawable(lines)
    ]
    shown = [comparison.entries[k] for k in sorted(_shown(found))]
    runs = ", ".join(f"{e.label} {len(e.result.traces.mask)}" for e in shown)
    caption = (
        f"The same as regret: by how much the {comparison.metric.name} lies {_worse(comparison)} the optimum, against "
        f"{axis}, both logarithmic; 0 has a place of its own below the dotted line. Lines are medians over runs, bands "
        f"(bars, where there are more than three lines) go from the lower to the upper quartile. Runs: {runs}."
    )
    return panels(drawn, caption, searcher_legend(comparison, _shown(found))) if drawn else Html()


def _has_optimum(comparison: Comparison) -> bool:
    """Returns whether a picture has the line of an optimum, which searches by real trainings do not know."""
    return any(optimum(comparison, t) is not None for t in shown_targets(comparison))


def _worse(comparison: Comparison) -> str:
    """Returns on which side of the optimum all else lies."""
    return "below" if comparison.metric.higher_is_better else "above"


def _drawable(found: Sequence[Curve]) -> bool:
    return any(np.isfinite(curve.mean).any() for curve in found)


def finals_section(comparison: Comparison, suffix: str) -> Html:
    """Returns the distributions of what runs ended with."""
    labels, metric = [entry.label for entry in comparison.entries], comparison.metric
    drawn = []
    for t in shown_targets(comparison):
        values = [np.asarray(entry.result.final[t], np.float64) for entry in comparison.entries]
        title = f"Final {metric.plural} on {comparison.targets[t].label}"
        looks = entry_looks(comparison)
        picture = final_panel(labels, values, optimum(comparison, t), title=title, metric=metric, looks=looks)
        drawn.append((panel_title(comparison, t), picture))
    better, worst = ("higher", "lowest") if metric.higher_is_better else ("lower", "highest")
    caption = (
        f"Each line is all runs of a searcher, sorted by the {metric.name} that they ended with: where it is {better} "
        "at the left, bad runs are less bad. "
        f"{'The dashed line is the optimum of the table. ' * _has_optimum(comparison)}The "
        f"vertical axis leaves out the {worst} runs (at most 2 in 100)."
    )
    return section("How reliably", panels(drawn, caption, searcher_legend(comparison)), id=f"finals{suffix}")


def best_found_section(comparison: Comparison, space: Space | None, suffix: str) -> Html:
    """Returns the best architecture of each searcher, drawn where the space draws."""
    cells = best_cells(comparison)
    if not cells:
        text = "No run found an architecture."
        return section("The best architectures", element("p", text, class_="note"), id=f"best{suffix}")
    caption = (
        f"The architectures with the best score searched on (not the best test {comparison.metric.name}) among all "
        "that runs returned, and who returned them: the best six, and each searcher's best."
    )
    cards = [_card(comparison, cell, space) for cell in cells]
    return section(
        "The best architectures",
        element("p", caption),
        element("div", cards, class_="cards"),
        id=f"best{suffix}",
    )


def _card(comparison: Comparison, cell: BestCell, space: Space | None) -> Html:
    found = [(k, comparison.entries[k], count) for k, count in cell.found_by]
    looks = entry_looks(comparison)
    finders = [(looks[k], e.label, f"{count:,} of {counted(e.result.final.shape[1], 'run')}") for k, e, count in found]
    judged = list(zip(comparison.targets, cell.values, strict=True))[comparison.searched :]
    metric, proxy = comparison.metric, _study_of(comparison, cell).config.get("objective")
    values = [(t.label, metric.text(v)) for t, v in judged]
    if proxy is not None:  # a score without training: the higher is the better, whatever the metric
        searched = (f"score {proxy.removeprefix('proxy:')} searched on", f"{cell.score:.3f}")
    else:
        searched = (_searched_on(comparison, cell), f"{metric.sign * cell.score:.3f}{metric.mark}")
    return card(space, cell.arch, finders, [searched, *values])


def _study_of(comparison: Comparison, cell: BestCell) -> StudyResults:
    return comparison.studies[comparison.entries[cell.found_by[0][0]].study]


def _searched_on(comparison: Comparison, cell: BestCell) -> str:
    """Returns what a score is: the data set, split and epochs that the search saw, as far as the study says."""
    config, metric = _study_of(comparison, cell).config, comparison.metric
    epochs = config.get("epochs")
    known = isinstance(epochs, list | tuple) and len(epochs) > cell.fidelity
    place = [str(config[name]) for name in ("dataset", "split") if name in config]
    told = [" ".join(place), counted(int(epochs[cell.fidelity]), "epoch") if known else ""]  # type: ignore[index]
    words = ", ".join(filter(None, told))
    return f"{metric.name if place else 'score'} searched on" + (f" ({words})" if words else "")
