"""The report of studies: one page that opens without a network."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._atomic import replacing
from jnas.io._text import counted, listed
from jnas.pages._frame import chapter
from jnas.pages._html import Html, element, page
from jnas.pages._parts import note_box, p_text
from jnas.pages._settings import settings_section, value_text
from jnas.studies._compared import known_space
from jnas.studies.search._differences import differences_section
from jnas.studies.search._evaluation_section import evaluation_section
from jnas.studies.search._front_section import front_section
from jnas.studies.search._objectives import bounds_told
from jnas.studies.search._random_order import random_order_section
from jnas.studies.search._results import StudyResults
from jnas.studies.search._searched import with_searched
from jnas.studies.search._sections import best_found_section, finals_section, results_section, time_section
from jnas.studies.search._summary import (
    Comparison,
    Finals,
    compare,
    finals,
    main_target,
    optimum,
    pairwise,
    ranks,
    study_has_times,
)
from jnas.tables._metric import ACCURACY, metric_of

_HALVING = ("hyperband", "successive_halving", "bohb")  # searchers that need several fidelities to differ


def write_report(
    results: Sequence[StudyResults],
    path: str | os.PathLike[str],
    *,
    space: Space | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """Writes the report of one study, or of several compared, as one HTML file.

    Args:
      results: The studies. Those with the same columns and the same optima are compared; others stand below each
        other in one page.
      path: Where; an older file there is replaced at once or not at all.
      space: The search space, where `jnas.spaces.from_config` does not know it: without it architectures are numbers.
      names: What to call each of several studies, for example its folder; in tables and legends they are A, B, ...

    Raises:
      ValueError: There is no study, or not one name for each.
      OSError: The file cannot be written.
    """
    text = search_report(results, space=space, names=names)
    with replacing(path, "w") as file:
        file.write(text)


def search_report(
    results: Sequence[StudyResults], *, space: Space | None = None, names: Sequence[str] | None = None
) -> str:
    """Returns the page that `write_report` writes; the same results give the same page."""
    if not results:
        raise ValueError("results is empty, expected at least one study to report")
    if names is not None and len(names) != len(results):
        raise ValueError(f"names has {len(names)} names, expected {len(results)}, one for each study")
    comparisons = compare(results, names)
    title = _title(results)
    chapters = [
        _chapter(comparison, space, "" if len(comparisons) == 1 else f"-{i + 1}")
        for i, comparison in enumerate(comparisons)
    ]
    apart = None
    if len(comparisons) > 1:
        text = "These studies have different columns or different optima, so they stand below each other, not compared."
        apart = element("p", text, class_="note")
    return page(title, element("header", element("h1", title), apart), chapters)


def _title(results: Sequence[StudyResults]) -> str:
    datasets = list(dict.fromkeys(str(s.config.get("dataset", "")) for s in results))
    where = " and ".join(d for d in datasets if d)
    names = list(dict.fromkeys(_space_name(s) for s in results))
    what = "Comparison of searchers" if len(results) == 1 else f"Comparison of {len(results)} studies"
    return f"{what} on {' and '.join(names)}" + (f", {where}" if where else "")


def _space_name(study: StudyResults) -> str:
    """Returns the name of the table, or else of the space."""
    for key in ("table_name", "name"):
        if isinstance(study.config.get(key), str):
            return str(study.config[key])
    try:
        config = json.loads(study.space)
        return str(config.get("name") or config["kind"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return study.space or "a space"


def _chapter(comparison: Comparison, space: Space | None, suffix: str) -> list[Any]:
    """Returns all that one comparison has to show."""
    if space is None:
        space = known_space(comparison.studies[0].space)
    head = _summaries(comparison)
    if not comparison.entries or not comparison.targets:
        nothing = element(
            "p", "No searcher has finished in this study, so there is nothing to show yet.", class_="note"
        )
        return [*head, nothing, _settings(comparison, suffix)]
    evaluated, ordered = evaluation_section(comparison, suffix), random_order_section(comparison, suffix)
    comparison = with_searched(comparison)
    numbers = finals(comparison)
    sections = {
        ("results", "What the searchers found"): results_section(comparison, numbers, suffix),
        ("front", "The front"): front_section(comparison, space, suffix),
        ("time", "How fast"): time_section(comparison, suffix),
        ("finals", "How reliably"): finals_section(comparison, suffix),
        ("evaluation", "Against all cells"): evaluated,
        ("random-order", "Against a random order"): ordered,
        ("differences", "Who differs"): differences_section(comparison, numbers, suffix),
        ("best", "The best architectures"): best_found_section(comparison, space, suffix),
    }
    together = element("h2", "All studies together") if len(comparison.studies) > 1 else None
    return [
        *head,
        together,
        _findings(comparison, numbers),
        _noisy(comparison),
        *chapter(sections, [_settings(comparison, suffix)], suffix),
    ]


# In words.


def _summaries(comparison: Comparison) -> list[Any]:
    """Returns what was done in each study, in sentences, and what a reader must know of the numbers."""
    notes = [_notes(study.config) for study in comparison.studies]
    shared = [note for note in notes[0] if all(note in other for other in notes)]
    parts: list[Any] = []
    if len(notes) > 1:
        parts += [_unequal(comparison), note_box(shared, "About the numbers of all these studies")]
    for study, name, title, own in zip(comparison.studies, comparison.names, comparison.titles, notes, strict=True):
        own_words = study.config.get("sentences")  # of studies that are not `jnas.study`
        sentences = own_words or [_task(study), _budget(study.config, study_has_times(study)), _judgement(study)]
        parts += [
            element("h2", f"Study {name}{title and ': '}{title}") if name else None,
            element("p", " ".join(s for s in sentences if s), class_="lead"),
            note_box([note for note in own if len(notes) == 1 or note not in shared]),
        ]
    return [*parts, _without_halving(comparison)]


def _unequal(comparison: Comparison) -> Html | None:
    """Returns a warning where compared studies were not given the same to search with."""
    settings = {
        "budget_seconds": "budget in seconds",
        "max_evaluations": "number of evaluations",
        "overshoot": "rule for the evaluation that exceeds the budget",
        "epochs": "epochs of training",
        "of_epochs": "training whose curve is searched on",
        "dataset": "data set searched on",
        "split": "split searched on",
        "reward": "training seed searched on",
        "objective": "score without training that is searched on",
        "objectives": "objectives",
        "at_most": "constraints",
        "workers": "evaluations side by side in each search",
    }
    differ = []
    for key, words in settings.items():
        values = [_setting_text(key, study.config) for study in comparison.studies]
        if len(set(values)) > 1:
            each = ", ".join(f"{name}: {value}" for name, value in zip(comparison.names, values, strict=True))
            differ.append(f"{words} ({each})")
    if not differ:
        return None
    text = (
        " These studies do not compare on equal terms: final accuracies, ranks and tests between them also show what "
        f"differs here: {'; '.join(differ)}."
    )
    return element("p", element("strong", "Different settings."), text, class_="note")


def _setting_text(key: str, config: Mapping[str, Any]) -> str:
    return value_text(bounds_told(config) or None if key == "at_most" else config.get(key))


def _without_halving(comparison: Comparison) -> Html | None:
    """Returns a warning where searchers that halve had a single fidelity, at which there is nothing to halve."""
    names = []
    for entry in comparison.entries:
        epochs = comparison.studies[entry.study].config.get("epochs")
        if isinstance(epochs, list | tuple) and len(epochs) == 1 and entry.result.name.startswith(_HALVING):
            names.append((entry.result.name, entry.label))
    if not names:
        return None
    random = [label for name, label in names if not name.startswith("bohb")]
    modelled = [label for name, label in names if name.startswith("bohb")]
    text = [
        f" {listed(random)} {'is' if len(random) == 1 else 'are'} random search here." if random else "",
        f" {listed(modelled)} {'is its' if len(modelled) == 1 else 'are their'} model alone here." if modelled else "",
    ]
    strong = element("strong", "With one fidelity there is no halving.")
    return element("p", strong, text, class_="note")


def _task(study: StudyResults) -> str:
    config, names = study.config, [s.name for s in study.searchers]
    runs = sorted({s.final.shape[1] for s in study.searchers})
    count = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}" if runs else "no"
    who = (
        f"{len(names)} searchers were" if len(names) > 1 else f"{names[0]} was" if names else "No searcher has yet been"
    )
    goal = f"{config['split']} {metric_of(config).name}" if "split" in config else "the objective's score"
    if "dataset" in config:
        goal += f" on {config['dataset']}"
    if "epochs" in config:
        goal += f" after {_epochs(config['epochs'])}"
    if config.get("of_epochs"):
        goal += f" of a training of {config['of_epochs']}"
    reduction = config.get("reward")
    if config.get("objective") is not None:
        goal = f"the score {config['objective'].removeprefix('proxy:')}, without training"
    elif reduction is not None:
        how = {"mean": "the mean over training seeds", "random": "of a training seed drawn at random each time"}
        goal += f" ({how.get(str(reduction), f'of training seed {reduction}')})"
    each = (
        f", {count} independent run{'' if count == '1' else 's'} each,"
        if len(names) != 1
        else f", in {count} run{'' if count == '1' else 's'},"
    )
    what = f"the architecture with the best {goal}"
    if config.get("objectives"):
        what = f"all that nothing dominates by {goal} and {listed(config['objectives'][1:])}"
    bounds = bounds_told(config)
    kept = f" with {listed(bounds)}" if bounds else ""
    return f"{who} run on {_space_name(study)}{each} to find {what}{kept}."


def _epochs(epochs: Any) -> str:
    values = [str(e) for e in (epochs if isinstance(epochs, list | tuple) else [epochs])]
    return f"{listed(values)} epoch{'' if values == ['1'] else 's'}" if values else "training"


def _budget(config: Mapping[str, Any], timed: bool) -> str:
    seconds, evaluations = config.get("budget_seconds"), config.get("max_evaluations")
    limits = []
    if seconds is not None:
        clock = f"{config.get('clock', 'simulated')} seconds"
        limits.append(f"{float(seconds):,.0f} {clock if timed else 'epochs of training'}")
    if evaluations is not None:
        limits.append(counted(int(evaluations), "evaluation"))
    if not limits:
        return ""
    rule = (
        {
            "discard": " The evaluation that would have exceeded the budget was discarded.",
            "keep": " The evaluation that exceeded the budget was kept, as the last one.",
        }.get(str(config.get("overshoot")), "")
        if seconds is not None
        else ""
    )
    workers = config.get("workers", 1)
    beside = f" It made {workers} evaluations side by side." if workers > 1 else ""
    return (
        f"A run ended after {' or '.join(limits)}{', whichever came first' if len(limits) > 1 else ''}.{rule}{beside}"
    )


def _judgement(study: StudyResults) -> str:
    if not study.targets:
        return ""
    metric = metric_of(study.config)
    columns = [list(dict.fromkeys(column)) for column in zip(*study.targets, strict=True)]
    datasets, splits, epochs = (list(map(str, column)) for column in columns)
    if len(study.targets) == len(datasets) * len(splits) * len(epochs):
        judge = f"{listed(splits)} {metric.name} on {listed(datasets)} after {_epochs(epochs)} of training"
    else:
        judge = f"its {metric.plural} on {listed([t.label for t in study.targets], '; ')}"
    return (
        f"What a run returns is the best architecture that it evaluated by that score alone; it is judged by {judge}."
    )


def _notes(config: Mapping[str, Any]) -> list[str]:
    notes = config.get("notes", ())
    return [str(n) for n in (notes if isinstance(notes, list | tuple) else [notes]) if n]


def _findings(comparison: Comparison, numbers: Finals) -> Html | None:
    """Returns the answer in a few sentences: who is best on the main target, by how much, and who is not worse."""
    target, metric = main_target(comparison), comparison.metric
    means = numbers.mean[:, target]
    if not np.isfinite(means).any():
        return None
    best = int(np.nanargmax(metric.sign * means))
    label, entries = comparison.targets[target].label, comparison.entries
    average = " on average" if numbers.found[best, target] > 1 else " in its one run"
    interval = (
        ""
        if np.isnan(numbers.low[best, target])
        else f" (95 % confidence interval {numbers.low[best, target]:.3f} to {numbers.high[best, target]:.3f})"
    )
    named = "" if metric == ACCURACY else f"a {metric.name} of "
    text: list[Any] = [
        f"On {label}, ",
        element("strong", entries[best].label),
        f" reached {named}{means[best]:.3f}{metric.mark}{average}{interval}",
    ]
    top = optimum(comparison, target)
    if top is not None:
        side = "below" if metric.higher_is_better else "above"
        text.append(f", {abs(top - means[best]):.3f} points {side} the table's optimum of {top:.3f}{metric.mark}")
    text.append(". ")
    tests = pairwise(comparison, target)
    if tests is not None:
        alike = [
            (b if a == entries[best].label else a, p)
            for (a, b), p in zip(tests.pairs, tests.p_holm, strict=True)
            if entries[best].label in (a, b) and p >= 0.05
        ]
        if len(alike) > 3:
            others = len(entries) - 1
            text.append(f"These runs cannot tell it from {len(alike)} of the {others} others.")
        elif alike:
            named = listed([f"{other} (p\u00a0{p_text(p)})" for other, p in alike])
            text.append(f"These runs cannot tell it from {named}.")
        else:
            text.append(
                "It differs significantly from every other searcher (Mann-Whitney with Holm's correction, 5 %)."
            )
        if ranks(comparison, target) is not None:
            text.append(
                " Nemenyi's test on ranks, in the pictures of who differs, is the more cautious one, so the two can "
                "disagree: it sees only who is ahead of whom within each run number, not how all runs of two searchers "
                "lie, and one critical difference serves for every pair."
            )
    return element("p", text, class_="finding")


def _noisy(comparison: Comparison) -> Html | None:
    """Returns, where searches saw a training drawn at random each time, what they report beside what it is worth."""
    config = comparison.studies[0].config
    if not comparison.searched or config.get("reward") != "random" or len(comparison.studies) > 1:
        return None
    target = comparison.targets[0]
    true = next((c for c, t in enumerate(comparison.targets) if c and t == target), None)
    told = []
    for entry in comparison.entries if true is not None else ():
        seen, worth = (float(np.nanmean(entry.result.final[c])) for c in (0, true))
        told.append(f"{entry.label} reports {seen:.2f} and its picks are worth {worth:.2f}{comparison.metric.mark}")
    text = (
        " Each evaluation sees a training drawn at random, anew each time: first reads are not remembered, and a cell "
        "that is evaluated again may get another score. What a search reports is the highest read that it met, so it "
        "lies on the good side of what its pick is worth on average over trainings, and the more so the longer it "
        "runs; both have a column and a curve here. "
    )
    means = f"On {target.label}: {'; '.join(told)}." if told else ""
    return element("p", element("strong", "Reported and true part ways."), text, means, class_="note")


def _settings(comparison: Comparison, suffix: str) -> Html:
    studies = comparison.studies
    return settings_section([s.config for s in studies], [s.versions for s in studies], comparison.names, suffix)
