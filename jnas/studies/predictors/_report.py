"""The report of a study of predictors: one page that opens without a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import counted, listed
from jnas.pages._frame import legend, study_page
from jnas.pages._html import Html, details, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_cell, named, note_box, p_text, panels, seconds_text
from jnas.studies._over_seeds import few_words
from jnas.studies.predictors._measures import MEASURES, best_index, constant_error
from jnas.studies.predictors._plots import CONSTANT, SizeCurve, look, scatter_limits, scatter_panel, train_size_panel
from jnas.studies.predictors._results import PredictorStudy
from jnas.studies.predictors._summary import (
    Difference,
    Line,
    differences,
    draws_needed,
    lines,
    measure_index,
    measure_title,
    not_told_apart,
)
from jnas.tables._metric import metric_of

_CURVES = ("mae", "kendall", "spearman", "precision_at_k")
_COMPARED = ("mae", "kendall")  # between encodings
_MOST_NAMED = 3  # lines that the draws cannot tell from the best; of more it says how many
_MANY = 6_000  # dots in all panels; more are drawn as pixels


def predictor_report(study: PredictorStudy) -> str:
    """Returns the page; the same results give the same page, but for the times that they took."""
    found = lines(study)
    title = f"Comparison of predictors on {study.config['table_name']}, {study.config['dataset']}"
    notes = note_box([str(note) for note in study.config["notes"]])
    if not found:
        nothing = element("p", "No predictor has finished yet, so there is nothing to show.", class_="note")
        return study_page(title, _task(study), notes, [nothing], {}, study.config, study.versions)
    sections = {
        ("error", "How far off"): _error_section(study, found),
        ("curves", "By training cells"): _curve_section(study, found),
        ("measures", "All measures"): _measure_section(study, found),
        ("encodings", "Encodings"): _encoding_section(study, differences(study)),
        ("scatter", "Predictions"): _scatter_section(study, found),
        ("times", "What it takes"): _time_section(study, found),
    }
    findings = [_findings(study, found)]
    return study_page(title, _task(study), notes, findings, sections, study.config, study.versions)


# In words.


def _task(study: PredictorStudy) -> str:
    config = study.config
    sizes, metric = listed([f"{n:,}" for n in config["train_sizes"]]), metric_of(config)
    negative = "" if metric.higher_is_better else f" They learned minus the {metric.name}: higher is better."
    kinds = {"mean": "the mean over training seeds"}
    kind = kinds.get(str(config["reward"]), f"of training seed {config['reward']}")
    fewer = config.get("fewer_seeds", {})
    less = listed([f"{name} {counted(count, 'draw')}" for name, count in fewer.items()]) if fewer else ""
    only = f" ({less}: not compiled)" if less else ""
    return (
        f"{counted(len(config['predictors']), 'predictor')} learned the {config['split']} {metric.name} on "
        f"{config['dataset']} after {counted(config['epochs'], 'epoch')} ({kind}) from {sizes} cells of "
        f"{config['table_name']}, and predicted it for {config['test_cells']:,} others. Cells were drawn anew in "
        f"each of {counted(config['num_seeds'], 'draw')}{only}; all predictors got the same ones, the test cells "
        f"serve all training sizes, and each training set holds the smaller ones.{negative}"
    )


def _findings(study: PredictorStudy, found: Sequence[Line]) -> Html:
    sentences: list[Any] = []
    error, rank = measure_index("mae"), measure_index("kendall")
    for n, size in enumerate(study.config["train_sizes"]):
        near, order = _best(found, n, error), _best(found, n, rank)
        if near < 0:
            continue
        sentences += [
            f"From {counted(size, 'cell')}, ",
            element("strong", found[near].label),
            f" comes nearest, {found[near].mean[n, error]:.3f} points off on average"
            f"{_interval(study, found[near], n, error)}{_doubt(study, found, n, error, near)}",
        ]
        if order >= 0:
            same = "it also orders cells best" if order == near else f"{found[order].label} orders cells best"
            sentences.append(
                f"; {same}, Kendall's tau {found[order].mean[n, rank]:.3f}{_interval(study, found[order], n, rank)}"
                f"{_doubt(study, found, n, rank, order)}"
            )
        sentences.append(". ")
    if sentences and len(found) > 1:
        few = study.config["num_seeds"] < (needed := draws_needed(len(found)))
        sentences.append(
            "Predictors are told apart by Wilcoxon's signed-rank test over the draws, the same cells for both, with "
            f"Holm's correction for all pairs, at 5 %{f': that takes {needed} draws or more' if few else ''}."
        )
    return element("p", sentences or "No predictor gave finite predictions.", class_="finding")


def _doubt(study: PredictorStudy, found: Sequence[Line], n: int, m: int, best: int) -> str:
    """Returns that the draws cannot tell the best line from some others, where they cannot."""
    alike, draws = not_told_apart(study, found, n, m, best), study.config["num_seeds"]
    if not alike:
        return ""
    if draws < draws_needed(len(found)):
        return f", which {counted(draws, 'draw')} cannot show"
    others = [f"{label} (p\u00a0{p_text(p)})" for label, p in alike]
    few = len(others) <= _MOST_NAMED
    who = listed(others) if few else f"{len(others)} of the {len(found) - 1} others"
    return f", though the draws cannot tell it from {who if few or len(others) < len(found) - 1 else 'any other'}"


def _interval(study: PredictorStudy, line: Line, n: int, m: int) -> str:
    low, high = line.low[n, m], line.high[n, m]
    told = [] if np.isnan(low) else [f"{low:.3f} to {high:.3f}"]
    if line.runs < study.config["num_seeds"]:
        told.append(f"over {counted(line.runs, 'draw')} alone")
    return f" ({', '.join(told)})" if told else ""


# Tables.


def _named(line: Line, *below: Any) -> Html:
    return element("div", named(look(*line.place), line.label), *below)


def _draws(study: PredictorStudy, line: Line) -> Html | None:
    """Returns how many draws a line had, where these were fewer."""
    return element("small", counted(line.runs, "draw")) if line.runs < study.config["num_seeds"] else None


def _best(found: Sequence[Line], n: int, m: int) -> int:
    """Returns which line is the best at a training size by a measure, -1 where none is."""
    return best_index(np.array([line.mean[n, m] for line in found]), MEASURES[m])


def _cell(line: Line, n: int, m: int, best: bool, *below: Any) -> Html:
    return mean_cell(line.mean[n, m], line.low[n, m], line.high[n, m], *below, strong=best)


def _error_section(study: PredictorStudy, found: Sequence[Line]) -> Html:
    """Returns the table that is read first: like Table 1 of BANANAS."""
    sizes, error, train = study.config["train_sizes"], measure_index("mae"), measure_index("train_mae")
    best = [_best(found, n, error) for n in range(len(sizes))]
    rows: list[list[Any]] = [
        [
            _named(line, _draws(study, line)),
            *(
                _cell(line, n, error, best[n] == k, element("small", f"training {line.mean[n, train]:.3f}"))
                for n in range(len(sizes))
            ),
        ]
        for k, line in enumerate(found)
    ]
    least = min([*study.config.get("fewer_seeds", {}).values(), study.config["num_seeds"]])
    rows.append([CONSTANT, *(f"{_constant(study, size):.3f}" for size in sizes)])
    head = ["predictor and encoding", *(counted(size, "cell") for size in sizes)]
    caption = (
        f"Mean absolute error on the test cells in {metric_of(study.config).points}, mean over draws, by the number of "
        "training cells; in small print its 95 % bootstrap confidence interval (BCa) and the error on the training "
        "cells themselves. The best of each column is bold. The last row predicts the same for every cell."
        f"{few_words(least, 'draw')}"
    )
    return section(
        "How far predictions are off",
        html_table(head, rows, class_="numbers"),
        element("p", caption, class_="caption"),
        _failures(found),
        id="error",
    )


def _failures(found: Sequence[Line]) -> Html | None:
    """Returns which fits predicted nothing finite, or the same for all, so that no mean over fewer goes unseen."""
    error, rank = measure_index("mae"), measure_index("kendall")
    told = []
    for line in found:
        infinite, constant = (int((line.runs - line.found[:, m]).sum()) for m in (error, rank))
        fits = counted(line.runs * len(line.found), "fit")
        if infinite:
            told.append(f"{line.label}: {infinite:,} of {fits} gave a prediction that is not finite")
        if constant > infinite:
            told.append(
                f"{line.label}: {constant - infinite:,} of {fits} predicted the same for all, which has no order"
            )
    return note_box([f"{text}." for text in told], "Left out of the means")


def _constant(study: PredictorStudy, size: int) -> float:
    tested = study.config["test_cells"]
    scores = np.asarray(study.cells.scores, np.float64)
    return constant_error(scores[:, :tested], scores[:, tested : tested + size])


def _measure_section(study: PredictorStudy, found: Sequence[Line]) -> Html:
    """Returns all measures at each training size, the largest first."""
    sizes = study.config["train_sizes"]
    metric = metric_of(study.config)
    names = [m.short.replace(" k", f" {study.config['precision_at']}") for m in MEASURES]
    text = (
        f"Errors are in {metric.points}: the mean of their sizes, the root of their mean square, and the mean size on "
        "the training cells themselves. Sparse Kendall's tau does not count true differences below 0.1 points. "
        "Precision at k is the share of the k cells predicted best that are among the k truly best. The last column, "
        f"where a predictor says how uncertain it is, is the share of test cells whose true {metric.name} lies within "
        "two of its standard deviations; with Gaussian errors of that size it would be 0.95."
    )
    tables = []
    for n in reversed(range(len(sizes))):
        best = [_best(found, n, m) for m in range(len(MEASURES))]
        rows = [
            [_named(line), *(_cell(line, n, m, best[m] == k) for m in range(len(MEASURES)))]
            for k, line in enumerate(found)
        ]
        shown = html_table(["predictor and encoding", *names], rows, class_="numbers")
        tables.append(details(f"Fitted to {counted(sizes[n], 'cell')}", shown, open=n == len(sizes) - 1))
    return section("All measures", element("p", text), tables, id="measures")


def _encoding_section(study: PredictorStudy, found: Sequence[Difference]) -> Html | None:
    """Returns how encodings differ, draw by draw."""
    if not found:
        return None
    sizes = study.config["train_sizes"]
    names = {"mae": "error (points)", "kendall": "Kendall's tau"}
    head = ["predictor", "encodings", *(f"{names[m]}, {size:,} cells" for m in _COMPARED for size in sizes)]
    rows = [
        [d.predictor, f"{d.encoding} less {d.first}"]
        + [_difference(d, n, measure_index(m)) for m in _COMPARED for n in range(len(sizes))]
        for d in found
    ]
    text = (
        "The same predictor on the same cells, draw by draw: the mean of what an encoding gives less what the "
        "predictor's first encoding gives, with its 95 % bootstrap confidence interval. Differences whose interval "
        "leaves out 0 are bold. A positive error is worse, a positive tau is better."
    )
    return section(
        "What the encoding changes", element("p", text), html_table(head, rows, class_="numbers"), id="encodings"
    )


def _difference(found: Difference, n: int, m: int) -> Html:
    low, high = found.low[n, m], found.high[n, m]
    return mean_cell(found.mean[n, m], low, high, forms=("+.3f", "+.3f"), strong=bool(low > 0 or high < 0))


def _time_section(study: PredictorStudy, found: Sequence[Line]) -> Html:
    sizes = study.config["train_sizes"]
    rows = []
    for line in found:
        fits = [study.fits[line.predictor, line.encoding, size] for size in sizes]
        together = study.config["chunk"][line.predictor]
        below = element("small", f"{counted(together, 'fit')} at once" if together > 1 else "one fit at a time")
        cells: list[Any] = [_took(f.fit_seconds, f.fit_cpu_seconds) for f in fits]
        cells.append(_took(fits[-1].query_seconds, fits[-1].query_cpu_seconds))
        compiled = sum(f.compile_seconds for f in fits) / len(fits)
        cells.append(seconds_text(compiled) if compiled else "–")
        rows.append([_named(line, below), *cells])
    head = [
        "predictor and encoding",
        *(f"a fit, {counted(size, 'cell')}" for size in sizes),
        "1,000 queries",
        "compiling",
    ]
    text = (
        "Measured here: wall time, and CPU time of all threads in small print, of one fit and of a thousand queries "
        "(fitted to the most cells), as a share of the program that does so many at once; medians over its runs. "
        "Compiling is what the programs for one training size take once, wall time, the mean over sizes (less where "
        "they had been compiled before)."
    )
    return section("What it takes", element("p", text), html_table(head, rows, class_="numbers"), id="times")


def _took(seconds: Any, cpu_seconds: Any) -> Html:
    cpu = element("small", f"CPU {seconds_text(float(np.median(cpu_seconds)))}")
    return element("div", seconds_text(float(np.median(seconds))), cpu)


# Pictures.


def _curve_section(study: PredictorStudy, found: Sequence[Line]) -> Html:
    sizes, k = study.config["train_sizes"], study.config["precision_at"]
    drawn = []
    for name in _CURVES:
        m = measure_index(name)
        label = measure_title(study, name)
        data = [
            SizeCurve(line.label, look(*line.place), line.mean[:, m], line.low[:, m], line.high[:, m]) for line in found
        ]
        floor = k / study.config["test_cells"] if name == "precision_at_k" else None
        constant = [_constant(study, size) for size in sizes] if name == "mae" else None
        shown = train_size_panel(
            data,
            sizes,
            label=label,
            title=f"{label} against the number of training cells",
            floor=floor,
            constant=constant,
        )
        drawn.append((label[0].upper() + label[1:], shown))
    caption = (
        "Means over draws; vertical lines are their 95 % bootstrap confidence intervals. Colours and marks are those "
        "of a predictor, dashes those of an encoding; lines stand a little beside each other so that intervals can be "
        "seen. Grey dashes of the error are what "
        "predicting the mean of the training cells reaches, which orders nothing; the dashed level of the precision is "
        "what chance reaches. Lines that lie far off leave the panel."
    )
    key = legend((look(*line.place), line.label) for line in found)
    return section("By the number of training cells", panels(drawn, caption, key, "panels wide"), id="curves")


def _scatter_section(study: PredictorStudy, found: Sequence[Line]) -> Html:
    """Returns predictions against truth for the first draw: like Figure A.1 of BANANAS."""
    size, tested = study.config["train_sizes"][-1], study.config["test_cells"]
    metric = metric_of(study.config)
    truth = np.asarray(study.cells.scores[0, :tested], np.float64)
    means = [np.asarray(study.fits[line.predictor, line.encoding, size].mean[0], np.float64) for line in found]
    limits = scatter_limits(truth, means)
    drawn = [
        (
            line.label,
            scatter_panel(
                metric.sign * truth,
                metric.sign * mean,
                limits if metric.higher_is_better else (-limits[1], -limits[0]),
                look=look(*line.place),
                metric=metric,
                title=f"Predictions of {line.label} against true {metric.plural}, fitted to {size:,} cells",
                many=len(found) * tested > _MANY,
            ),
        )
        for line, mean in zip(found, means, strict=True)
    ]
    worst = "lowest" if metric.higher_is_better else "highest"
    caption = (
        f"Predictions for the {tested:,} test cells of the first draw against their true {metric.plural}, fitted to "
        f"{counted(size, 'cell')}. On the dashed line they would be exact. The axes leave out the {worst} "
        f"{metric.plural} (2 in 100), and predictions that are far off."
    )
    return section("Predictions against the truth", panels(drawn, caption), id="scatter")
