"""The section of the report on cells trained from scratch: found ones against random ones, and what weights know."""

from typing import Any

import numpy as np

from jnas.io._text import counted
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_cell, mean_words, named, p_text
from jnas.pages._plots import mark
from jnas.studies._over_seeds import OverSeeds, few_words
from jnas.studies.supernets._results import SupernetStudy
from jnas.studies.supernets._scratch_summary import (
    AgainstDrawn,
    against_drawn,
    best_drawn,
    drawn_cells,
    scratch_agreement,
    scratch_yardsticks,
)
from jnas.studies.supernets._yardsticks import BETWEEN_SEEDS, Yardstick
from jnas.tables._metric import metric_of


def from_scratch_section(study: SupernetStudy) -> Html | None:
    """Returns what training from scratch says; None where nothing was trained."""
    if study.scratch is None:
        return None
    parts = [element("p", _words(study)), _found_table(study), element("p", _ranking_words(study)), _ranking(study)]
    return section("Trained from scratch", parts, id="scratch")


def _words(study: SupernetStudy) -> str:
    scratch = study.scratch
    assert scratch is not None
    recipe, trainings = scratch.recipe, scratch.accuracies.shape[2]
    seeds = "one training each, with seed 0" if trainings == 1 else f"{trainings} trainings each, with seeds from 0"
    mean = "" if trainings == 1 else ", the mean of its trainings"
    metric = metric_of(study.config)
    direction = "" if metric.higher_is_better else " (lower is better)"
    images = "the same text" if "text" in study.config else "the same images"
    width = counted(recipe["channels"], "unit" if "text" in study.config else "channel")
    if scratch.divided:
        images = f"{recipe['train_share']:g} of the images of training and validation (the recipe's share)"
    return (
        f"The cells that the searches ended with and {counted(len(scratch.random), 'cell')} drawn uniformly from the "
        f"space, {len(scratch.archs):,} different ones, trained alike on {images}: recipe {recipe['name']}, "
        f"{counted(recipe['epochs'], 'epoch')}, {width}, {seeds}; cells that coincide were trained once. Judged by "
        f"{study.config['dataset']} {scratch.splits[scratch.judged]} {metric.name}{direction} after the last epoch"
        f"{mean}. Better than random: the share of pairs of a run's cell and a random one in which the run's is better "
        "(equal ones counted half, 0.5 is no difference) with its 95 % interval (Newcombe), and the p-value of a "
        "two-sided Mann-Whitney test. The best of as many random cells as there are runs is an expectation over "
        f"draws from those that were trained.{few_words(study.config['num_seeds'], 'seed')}"
    )


def _found_table(study: SupernetStudy) -> Html:
    scratch = study.scratch
    assert scratch is not None
    places = {name: k for k, name in enumerate(scratch.methods)}
    metric = metric_of(study.config)
    tests, drawn = against_drawn(scratch, metric), drawn_cells(scratch)
    rows: list[list[Any]] = [_found_row(places[test.name], test, drawn) for test in tests]
    own = element("div", "random cells", element("small", f"{int(drawn.found):,} that gave a number"))
    rows.append([own, _spread(drawn, ".2f"), mean_words(best_drawn(scratch, metric)), "–", "–"])
    head = ["method", "mean of the runs' cells", "best", "better than random", "less the random mean"]
    return html_table(head, rows, class_="numbers")


def _found_row(k: int, test: AgainstDrawn, drawn: OverSeeds) -> list[Any]:
    runs = int(test.own.found)
    ends = f"[{test.low:.3f}, {test.high:.3f}], p\u00a0{p_text(test.test.p_value)}"
    best = element("small", f"{test.random_best:.2f} the best of {runs:,} random")
    return [
        element("div", named(mark(k), test.name), element("small", counted(runs, "run"))),
        _spread(test.own, ".2f"),
        element("div", mean_words(test.best), best),
        element("div", f"{test.test.superiority:.3f}", element("small", ends)),
        f"{float(test.own.mean) - float(drawn.mean):+.2f}",
    ]


def _ranking_words(study: SupernetStudy) -> str:
    scratch, metric = study.scratch, metric_of(study.config)
    assert scratch is not None
    is_text = "text" in study.config
    how = "" if is_text else " (batch-norm with each batch's statistics)"
    return (
        "How the order that the shared weights give to these cells agrees with that of training from scratch: "
        f"Kendall's tau over the {len(np.unique(scratch.random)):,} different random cells, by their {metric.plural} "
        f"on the {study.config['split']} split under the weights that a search ended with{how} and by the probability "
        "that it gives to each; then over all cells that were trained, which a search has chosen from and which "
        "therefore are no fair sample. Means over searches with deviations and 95 % "
        f"intervals. {yardstick_words()}"
    )


def yardstick_words() -> str:
    """Returns what the rows are that no search made."""
    return (
        "Beside them what needs no shared weights, with 95 % intervals over cells: the sizes of the networks, a floor, "
        "and how one training from scratch ranks the cells for another with another seed, a ceiling of what a single "
        "training can be foretold (the mean over pairs; the mean of several trainings can be foretold better)."
    )


def _ranking(study: SupernetStudy) -> Html:
    scratch, metric = study.scratch, metric_of(study.config)
    assert scratch is not None
    rows: list[list[Any]] = [
        [named(mark(k), each.name), *(_spread(over, ".3f") for over in each[1:4])]
        for k, each in enumerate(scratch_agreement(scratch, metric))
    ]
    sticks = scratch_yardsticks(scratch, metric)
    rows += [[name, cell, "–", "–"] for name, cell in yardstick_cells(sticks)]
    if all(stick.name != BETWEEN_SEEDS for stick in sticks):
        rows.append([element("div", BETWEEN_SEEDS, element("small", "give --trainings 2 or more")), "–", "–", "–"])
    by = metric.name
    head = ["method", f"random cells, by {by}", "random cells, by probability", f"all cells, by {by}"]
    return html_table(head, rows, class_="numbers")


def yardstick_cells(found: Any) -> list[tuple[Any, Html]]:
    """Returns the name and the number of each yardstick for a table."""

    def one(stick: Yardstick) -> tuple[Any, Html]:
        name = element("div", stick.name, element("small", f"{stick.cells:,} cells"))
        return name, mean_cell(stick.kendall, stick.low, stick.high)

    return [one(stick) for stick in found]


def _spread(over: OverSeeds, form: str) -> Html:
    return mean_cell(over.mean, over.low, over.high, std=over.std, forms=(form, form))
