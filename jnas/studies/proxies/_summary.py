"""What a study of proxies found, as numbers: how each score orders the cells, and how much of it is noise."""

import itertools
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers.weight_sharing._analysis import best_share
from jnas.statistics._intervals import Floats
from jnas.statistics._rank_correlation import (
    kendall_interval,
    kendall_tau,
    pearson_correlation,
    sparse_kendall_tau,
    spearman_correlation,
)
from jnas.studies._over_seeds import OverSeeds, statistics_over_seeds
from jnas.studies.proxies._plan import FLOOR
from jnas.studies.proxies._results import ProxyStudy
from jnas.studies.supernets._yardsticks import Yardstick, yardsticks
from jnas.tables._metric import metric_of
from jnas.training.proxies._combined import az_nas, concordant_share, rank_average, vote

PARTS = ("all", "best_tenth")
MEASURES = ("kendall", "spearman", "pearson", "sparse_kendall")
_SPARSE = 0.1  # percentage points: true differences below do not count in sparse Kendall's tau
_VOTERS = ("synflow", "jacov", "snip")
_AZ_PARTS = ("az_expressivity", "az_progressivity", "az_trainability", "az_complexity")


class ProxyLine(NamedTuple):
    """How a score orders the cells, its sign kept: positive where higher scores are better cells."""

    name: str
    values: OverSeeds  # [P, M], over the seeds that gave a number
    low: float  # 95 % interval over cells of Kendall's tau of the mean score
    high: float
    of_mean: float  # that tau
    undefined: int  # cells without a score, of the seed that has most of them
    between: float  # mean of Spearman's correlation between the scores of two seeds; NaN for one
    published: float  # Spearman's, without its sign; NaN where nobody published it


def all_scores(study: ProxyStudy) -> dict[str, Floats]:
    """Returns the scores `[S, N]` of all proxies that have finished, and of those taken together."""
    own: dict[str, Any] = {name: values.astype(np.float64) for name, values in study.scores.items()}
    found = dict(own)
    for name, parts, combine in (("vote", _VOTERS, vote), ("az_nas", _AZ_PARTS, az_nas)):
        if all(part in own for part in parts):
            found[name] = np.stack([combine(each) for each in zip(*(own[part] for part in parts), strict=True)])
    averaged = [name for name in own if name not in (*FLOOR, "az_complexity")]
    if len(averaged) > 1:
        found["rank_average"] = np.stack([rank_average(e) for e in zip(*(own[n] for n in averaged), strict=True)])
    return found


_LAST: list[tuple[ProxyStudy, list[ProxyLine]]] = []  # a page, two files and the terminal say the same study


def proxy_lines(study: ProxyStudy) -> list[ProxyLine]:
    """Returns a line for each score, in the study's order; those taken together come last.

    The lines of the last study are kept: intervals over many cells take seconds.
    """
    if not (_LAST and _LAST[0][0] is study):
        _LAST[:] = [(study, _lines(study))]
    return _LAST[0][1]


def _lines(study: ProxyStudy) -> list[ProxyLine]:
    sign = metric_of(study.config).sign
    of_test = study.config["split"] == "test"  # what was published is of that accuracy
    published = find_benchmark(study.config["space"]).proxies.get(study.config["dataset"], {}) if of_test else {}
    truth = sign * study.cells.truth.astype(np.float64)
    return [_line(name, scores, truth, published) for name, scores in all_scores(study).items()]


def voted_share(study: ProxyStudy) -> float:
    """Returns the share of pairs that a vote of three scores decides rightly, mean over seeds; NaN without them."""
    scores, truth = study.scores, metric_of(study.config).sign * study.cells.truth
    if not all(name in scores for name in _VOTERS):
        return float("nan")
    shares = [concordant_share(each, truth) for each in zip(*(scores[name] for name in _VOTERS), strict=True)]
    return float(np.mean(shares))


def ceiling(study: ProxyStudy) -> Yardstick | None:
    """Returns how well one training orders the cells for another; None where the table has one training of each."""
    found = yardsticks(study.cells.truth, study.cells.runs, {})
    return found[0] if found else None


def mean_scores(study: ProxyStudy) -> dict[str, NDArray[np.float32]]:
    """Returns the mean over seeds of each proxy `[N]`, NaN where no seed has a score."""
    return {name: _mean(values.astype(np.float64)).astype(np.float32) for name, values in study.scores.items()}


def seconds_by_group(study: ProxyStudy) -> dict[str, tuple[float, float]]:
    """Returns CPU seconds of a cell, and seconds to compile, of each kind of pass that has finished."""
    found = {}
    for group in study.config["groups"]:
        parts = [one for (name, _), one in study.scored.items() if name == group]
        if parts:
            each = float(np.median([one.cpu_seconds for one in parts]))
            found[group] = (each, max(one.compile_seconds for one in parts))
    return found


def _line(name: str, scores: Floats, truth: Floats, published: Mapping[str, float]) -> ProxyLine:
    best = best_share(truth, 0.1)
    values = np.array([[_measures(truth[part], own[part]) for part in (slice(None), best)] for own in scores])
    mean = _mean(scores)
    there = np.isfinite(mean)
    ordered = there.sum() > 1 and np.ptp(mean[there]) > 0
    tau = kendall_tau(truth[there], mean[there]) if ordered else np.nan
    interval = kendall_interval(truth[there], mean[there]) if ordered else (np.nan, np.nan)
    pairs = [_measures(a, b)[1] for a, b in itertools.combinations(scores, 2)]
    return ProxyLine(
        name,
        statistics_over_seeds(values),
        *interval,
        of_mean=float(tau),
        undefined=int(np.isnan(scores).sum(1).max()),
        between=float(np.mean(pairs)) if pairs else float("nan"),
        published=published.get(name, float("nan")),
    )


def _measures(truth: Floats, scores: Floats) -> list[float]:
    """Returns each of `MEASURES`; NaN where there is nothing to order."""
    there = np.isfinite(truth) & np.isfinite(scores)
    a, b = truth[there], scores[there]
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return [float("nan")] * len(MEASURES)
    sparse = sparse_kendall_tau(a, b, threshold=_SPARSE)
    return [kendall_tau(a, b), spearman_correlation(a, b), pearson_correlation(a, b), sparse]


def _mean(scores: Floats) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of cells without a score
        mean: Floats = np.nanmean(scores, 0)
    return mean
