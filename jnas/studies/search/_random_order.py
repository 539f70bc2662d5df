"""The section that says what a random order of the same trainings would have found."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jnas.io._text import counted
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_cell, mean_words, named
from jnas.pages._plots import Mark
from jnas.statistics._intervals import Floats
from jnas.statistics._random_draws import (
    BestOfDraws,
    best_of_draws,
    best_quantiles,
    expected_best,
    probability_at_least,
    probability_at_most,
)
from jnas.studies._over_seeds import few_words, statistics_over_seeds
from jnas.studies.search._parts import entry_looks
from jnas.studies.search._results import StudyResults, TrainedPool
from jnas.studies.search._summary import ComparedSearcher, Comparison
from jnas.tables._metric import metric_of

_RANGE = (0.025, 0.975)


class RandomOrder(NamedTuple):
    """What draws without replacement among trainings come to, by one target, the best chosen by the score.

    Where lower is better by the target, all of it is of the negative values.
    """

    found: BestOfDraws
    mean: float
    std: float
    low: float  # 95 % of the draws' results lie from here
    high: float  # to here
    best: float  # of all these trainings, by the target


def random_order(scores: Floats, worth: Floats, num_draws: int) -> RandomOrder | None:
    """Returns what the best of some trainings drawn at random is worth; None where no training has a number.

    A training that diverged is drawn as any other, and worse than each of them.

    Args:
      scores: `[N]`, by which the best is chosen; NaN where the training diverged.
      worth: `[N]`, by the target, higher is better.
      num_draws: How many are drawn, or all where these are fewer.
    """
    known = np.isfinite(scores) & np.isfinite(worth)
    if not known.any():
        return None
    worst = worth[known].min()
    scores, worth = np.where(known, scores, scores[known].min() - 1), np.where(known, worth, worst)
    found = best_of_draws(scores, min(num_draws, len(scores)), judged_by=worth, replacement=False)
    mean = expected_best(found)
    std = float(np.sqrt(np.sum(found.probability * np.square(found.value - mean))))
    low, high = best_quantiles(found, _RANGE)
    return RandomOrder(found, mean, std, float(low), float(high), float(worth.max()))


def share_of_worse(order: RandomOrder, values: Floats) -> float:
    """Returns the probability that a random order ends worse than a run, ties counted half; the mean over runs.

    Args:
      order: Of the same target.
      values: `[S]`, what runs ended with, higher is better; those left out that are NaN.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return float("nan")
    worse = 1 - probability_at_least(order.found, known)
    return float(np.mean((worse + probability_at_most(order.found, known)) / 2))


def random_order_section(comparison: Comparison, suffix: str) -> Html | None:
    """Returns each searcher's runs beside random orders of the study's trainings; None where none were kept."""
    tables = []
    for number, study in enumerate(comparison.studies):
        entries = [
            (look, entry)
            for look, entry in zip(entry_looks(comparison), comparison.entries, strict=True)
            if entry.study == number
        ]
        if study.pool is not None and entries and len(study.pool.scores) > int(study.config["max_evaluations"]):
            told = f"Study {comparison.names[number]}: " if comparison.names[number] else ""
            tables += [
                _table(study, study.pool, entries, target, f"{told}{label}")
                for target, label in enumerate(t.label for t in comparison.targets)
            ]
    if not tables:
        return None
    runs = min(entry.result.final.shape[1] for entry in comparison.entries)
    bounded = any(study.config.get("at_most") for study in comparison.studies)
    out = " What violates a bound is drawn as any other, and worse than what does not." if bounded else ""
    text = (
        "What the searchers owe to the order in which they asked: as many of the same trainings drawn at random, none "
        "twice, and the best of them by the score searched on. Its mean, deviation and range (95 % of draws, in small "
        "print) are exact for the trainings that there are. Most of those were asked for by searchers, so that all "
        "together they are better than random genotypes; what random search asked for is a sample of the space. Of a "
        "searcher: mean ± standard deviation over all runs with the 95 % interval of the mean, the best run (below: "
        "the best of all these trainings in that column, whatever its score), and the share of random orders that end "
        "worse than a run, equal ones counted half (0.5 by chance)."
    )
    return section(
        "Against a random order", element("p", text + out + few_words(runs, "run")), tables, id=f"random-order{suffix}"
    )


def _table(
    study: StudyResults,
    pool: TrainedPool,
    entries: Sequence[tuple[Mark, ComparedSearcher]],
    target: int,
    label: str,
) -> Html:
    draws, metric = int(study.config["max_evaluations"]), metric_of(study.config)
    worth = metric.sign * np.asarray(pool.worth[target], np.float64)
    pools = {"random order of all": np.ones(len(pool.scores), bool)}
    pools |= {f"random order of {name}'s": rows for name, rows in pool.sampled.items()}
    # Of as many as are drawn, or fewer, every order ends with the best: that says nothing.
    more = {name: rows for name, rows in pools.items() if rows.sum() > draws}
    orders = {name: random_order(pool.scores[r], worth[r], draws) for name, r in more.items()}
    known = {name: order for name, order in orders.items() if order is not None}
    rows: list[list[Any]] = []
    for look, entry in entries:
        final = np.asarray(entry.result.final[target], np.float64)
        mean, std, low, high = (float(x[0]) for x in statistics_over_seeds(final[:, None])[:4])
        name = element("div", named(look, entry.label), element("small", counted(len(final), "run")))
        shares = [f"{share_of_worse(order, metric.sign * final):.2f}" for order in known.values()]
        found = mean_cell(mean, low, high, std=std, forms=(".2f", ".2f"))
        rows.append([name, found, metric.text(float(metric.best(final))), *shares])
    for drawn, order in known.items():
        size = int(pools[drawn].sum())
        told = element("small", f"{draws:,} of {counted(size, 'training')}")
        low, high = sorted(metric.sign * end for end in (order.low, order.high))
        reach = element("small", f"{low:.2f} to {high:.2f}")
        found = element("div", mean_words(metric.sign * order.mean, order.std), reach)
        rows.append([element("div", drawn, told), found, metric.text(metric.sign * order.best), *["–"] * len(known)])
    head = [label, f"mean{metric.mark and f', {metric.mark.strip()}'}", "best", *(f"beats {name}" for name in known)]
    return html_table(head, rows, class_="numbers")
