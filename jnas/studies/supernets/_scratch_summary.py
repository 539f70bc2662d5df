"""What training from scratch says of a study: of its searches against random cells, and of what their weights know."""

from typing import NamedTuple

import numpy as np

from jnas.statistics._comparison import TwoSampleTest, mann_whitney_test
from jnas.statistics._intervals import Floats
from jnas.statistics._random_draws import best_of_draws, expected_best
from jnas.statistics._rank_correlation import kendall_tau
from jnas.statistics._statistics import mean_over_seeds
from jnas.studies._over_seeds import OverSeeds, statistics_over_seeds
from jnas.studies.search._summary import superiority_interval
from jnas.studies.supernets._results import FromScratch
from jnas.studies.supernets._yardsticks import Yardstick, yardsticks
from jnas.tables._metric import ACCURACY, TableMetric


class AgainstDrawn(NamedTuple):
    """The cells that searches of a method ended with, against those that were drawn, all trained from scratch."""

    name: str
    own: OverSeeds  # in the metric's unit, each field a number
    best: float
    random_best: float  # expected best of as many random cells as there are runs, by the drawn ones
    test: TwoSampleTest  # of both samples
    low: float  # 95 % interval of `test.superiority`
    high: float


class ScratchAgreement(NamedTuple):
    """How a method's weights rank the cells that were trained, by Kendall's tau-b over cells, for each search."""

    name: str
    accuracy: OverSeeds  # of the drawn cells, by their accuracies (or another metric) under the shared weights
    probability: OverSeeds  # of the same, by the probabilities that a search gives to them
    everything: OverSeeds  # by accuracies, of what searches ended with too
    taus: Floats  # [3, S], these three


def trained_accuracies(scratch: FromScratch, split: int | None = None) -> Floats:
    """Returns the mean over training seeds of a split's accuracies `[A]`, by default the one that judges."""
    runs = scratch.accuracies[scratch.judged if split is None else split].T
    return mean_over_seeds(runs, nan_policy="omit")


def against_drawn(scratch: FromScratch, metric: TableMetric = ACCURACY) -> list[AgainstDrawn]:
    """Returns each method's final cells against the drawn ones; those methods left out of which nothing is known."""
    sign, values = metric.sign, metric.sign * trained_accuracies(scratch)  # as scores, the higher are better
    drawn = values[scratch.random]
    drawn, rows = drawn[np.isfinite(drawn)], []
    for name, places in zip(scratch.methods, scratch.found, strict=True):
        own = np.where(places >= 0, values[np.maximum(places, 0)], np.nan)
        known = own[np.isfinite(own)]
        if not (known.size and drawn.size):
            continue
        test = mann_whitney_test(known, drawn)
        interval = superiority_interval(test.superiority, known.size, drawn.size)
        bests = (sign * float(known.max()), sign * expected_best(best_of_draws(drawn, known.size)))
        rows.append(AgainstDrawn(name, _over_seeds(sign * own), *bests, test, *interval))
    return rows


def drawn_cells(scratch: FromScratch) -> OverSeeds:
    """Returns what the drawn cells are worth, each as often as it was drawn."""
    return _over_seeds(trained_accuracies(scratch)[scratch.random])


def best_drawn(scratch: FromScratch, metric: TableMetric = ACCURACY) -> float:
    """Returns what the best of the drawn cells is worth; NaN where nothing is known."""
    return float(metric.best(trained_accuracies(scratch)[scratch.random]))


def scratch_agreement(scratch: FromScratch, metric: TableMetric = ACCURACY) -> list[ScratchAgreement]:
    """Returns how each method's weights rank what was trained."""
    values, drawn, found = metric.sign * trained_accuracies(scratch), np.unique(scratch.random), []
    scores = metric.sign * scratch.shared
    for name, shared, probable in zip(scratch.methods, scores, scratch.log_probability, strict=True):
        pools = ((shared, drawn), (probable, drawn), (shared, np.arange(len(values))))
        taus = np.asarray([[_tau(values[rows], seed[rows]) for seed in each] for each, rows in pools])
        accuracy, probability, everything = map(_over_seeds, taus)
        found.append(ScratchAgreement(name, accuracy, probability, everything, taus))
    return found


def scratch_yardsticks(scratch: FromScratch, metric: TableMetric = ACCURACY) -> list[Yardstick]:
    """Returns what the ranking of the drawn cells is measured against."""
    drawn = np.unique(scratch.random)
    runs = metric.sign * scratch.accuracies[scratch.judged][drawn]
    costs = dict(zip(("number of parameters", "multiply-adds"), scratch.costs[:, drawn], strict=True))
    return yardsticks(metric.sign * trained_accuracies(scratch)[drawn], runs, costs)


def _tau(truth: Floats, predicted: Floats) -> float:
    """Returns tau-b of what both sides know, NaN where nothing is ordered."""
    there = np.isfinite(truth) & np.isfinite(predicted)
    a, b = truth[there], predicted[there]
    return kendall_tau(a, b) if a.size > 1 and np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan


def _over_seeds(values: Floats) -> OverSeeds:
    return OverSeeds(*(field[0] for field in statistics_over_seeds(np.asarray(values, np.float64)[:, None])))
