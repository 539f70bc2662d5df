"""The numbers of a study's report: what its tables and pictures show, as values that tests can check."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.statistics._average_ranks import RankComparison, compare_ranks
from jnas.statistics._comparison import PairwiseTests, compare_pairwise
from jnas.statistics._intervals import Floats
from jnas.studies._over_seeds import OverSeeds, statistics_over_seeds
from jnas.studies.search._results import SearcherResult, StudyResults
from jnas.tables._metric import TableMetric, metric_of
from jnas.tables._targets import Reference, Target


class ComparedSearcher(NamedTuple):
    """One searcher of one study: a row of the comparison."""

    label: str  # no other entry has it
    study: int  # index into `Comparison.studies`
    result: SearcherResult


class Comparison(NamedTuple):
    """Studies that may be compared: the same columns, and the same optimum in each."""

    studies: tuple[StudyResults, ...]
    names: tuple[str, ...]  # of the studies: A, B, ...; empty where there is one alone
    titles: tuple[str, ...]  # what the user calls them
    targets: tuple[Target, ...]
    references: tuple[Reference, ...]
    entries: tuple[ComparedSearcher, ...]
    searched: bool = False  # whether the first column is what was searched on

    @property
    def metric(self) -> TableMetric:
        """What the values of all columns are."""
        return metric_of(self.studies[0].config)


class Finals(NamedTuple):
    """What the runs of each entry returned, over seeds; `K` entries by `C` targets, of the metric (percent)."""

    mean: Floats  # [K, C], of the runs that found something
    std: Floats  # [K, C], of a sample (ddof 1); NaN for one run
    low: Floats  # [K, C], 95 % bootstrap interval of the mean; NaN for fewer than `FEWEST` runs that found something
    high: Floats  # [K, C]
    found: NDArray[np.int64]  # [K, C], runs that found something
    runs: NDArray[np.int64]  # [K], all runs
    evaluations: Floats  # [K], median over runs
    seconds: Floats  # [K], median over runs, on the study's clock


class BestCell(NamedTuple):
    """An architecture that runs returned, judged by the objective that they searched on."""

    arch: NDArray[np.int32]  # [E]
    found_by: tuple[tuple[int, int], ...]  # (entry, number of its runs that returned this very architecture)
    fidelity: int  # index into the study's epochs
    score: float  # of the objective, there
    values: Floats  # [C], of the metric (percent)


def compare(results: Sequence[StudyResults], titles: Sequence[str] | None = None) -> list[Comparison]:
    """Returns the studies in groups that may be compared, each group's searchers under labels of their own.

    Two studies may be compared if they have the same targets and the same optimum in each: then they searched the same
    table.

    Args:
      results: The studies.
      titles: What the user calls each of them.
    """
    groups: list[list[int]] = []
    for i, study in enumerate(results):
        for group in groups:
            if _comparable(results[group[0]], study):
                group.append(i)
                break
        else:
            groups.append([i])
    names = [_letter(i) for i in range(len(results))] if len(results) > 1 else [""]
    titles = [""] * len(results) if titles is None else titles
    return [
        _comparison([results[i] for i in group], [names[i] for i in group], [titles[i] for i in group])
        for group in groups
    ]


def _comparison(studies: list[StudyResults], names: list[str], titles: list[str]) -> Comparison:
    places = [(i, searcher) for i, study in enumerate(studies) for searcher in study.searchers]
    taken: dict[str, int] = {}
    entries = []
    for i, searcher in places:
        label = f"{names[i]} · {searcher.name}" if names[i] else searcher.name
        taken[label] = taken.get(label, 0) + 1
        entries.append(ComparedSearcher(label if taken[label] == 1 else f"{label} ({taken[label]})", i, searcher))
    references = {r.name: r for study in reversed(studies) for r in study.references}
    return Comparison(
        studies=tuple(studies),
        names=tuple(names),
        titles=tuple(titles),
        targets=studies[0].targets,
        references=tuple(references.values()),
        entries=tuple(entries),
    )


def _comparable(a: StudyResults, b: StudyResults) -> bool:
    same = a.targets == b.targets and metric_of(a.config) == metric_of(b.config)
    return same and np.array_equal(_optima(a.references), _optima(b.references), equal_nan=True)


def _optima(references: Sequence[Reference]) -> Floats:
    found = [r.values for r in references if r.name.lower().startswith(("optim", "best"))]
    return np.asarray(found[0] if found else [], np.float64)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"study {index + 1}"


def optimum(comparison: Comparison, target: int) -> float | None:
    """Returns the best value that the table holds for a target, or None if the study does not say."""
    found = _optima(comparison.references)
    return float(found[target]) if found.size and np.isfinite(found[target]) else None


def main_target(comparison: Comparison) -> int:
    """Returns the index of the target that the summary speaks of: the test set of the data set searched on."""
    dataset = comparison.studies[0].config.get("dataset")

    def preference(i: int) -> tuple[bool, bool, int]:
        target = comparison.targets[i]
        return target.dataset == dataset, "test" in target.split, target.epochs

    return max(range(len(comparison.targets)), key=lambda i: (*preference(i), -i))


def shown_targets(comparison: Comparison, most: int = 3) -> list[int]:
    """Returns the targets that get pictures: test sets at the highest epochs, or all where these are few.

    What was searched on comes before them, where it is a column.
    """
    if comparison.searched:
        judging = comparison._replace(targets=comparison.targets[1:], searched=False)
        return [0, *(1 + i for i in (shown_targets(judging, most) if judging.targets else ()))]
    targets = comparison.targets
    if len(targets) <= most:
        return list(range(len(targets)))
    main = main_target(comparison)
    alike = [i for i, t in enumerate(targets) if t.split == targets[main].split and t.epochs == targets[main].epochs]
    tests = alike if len(alike) > 1 else [i for i, t in enumerate(targets) if "test" in t.split]
    chosen = [main, *(i for i in tests if i != main)]
    return sorted(chosen[:most])


def finals(comparison: Comparison) -> Finals:
    """Returns means, deviations and intervals of what the runs returned; the same results give the same numbers."""
    entries = comparison.entries
    values = [np.asarray(entry.result.final, np.float64).T for entry in entries]  # each [S, C]
    shape = (len(entries), len(comparison.targets))
    each = [statistics_over_seeds(v) for v in values]
    columns: dict[str, Any] = {
        n: np.reshape([getattr(numbers, n) for numbers in each], shape) for n in OverSeeds._fields
    }
    return Finals(
        **columns,
        runs=np.asarray([len(v) for v in values], np.int64),
        evaluations=np.asarray([np.median(np.asarray(e.result.traces.mask).sum(axis=-1)) for e in entries], np.float64),
        seconds=np.asarray([np.median(_ends(e.result)) for e in entries], np.float64),
    )


def _ends(result: SearcherResult) -> Floats:
    """Returns the clock at the end of each run `[S]`."""
    elapsed = np.where(np.asarray(result.traces.mask), result.elapsed, 0.0)
    return np.asarray(elapsed.max(axis=1, initial=0.0), np.float64)


def study_has_times(study: StudyResults) -> bool:
    """Returns whether the costs of a study are times.

    They are none where every evaluation cost nothing, or a second for each epoch, as tables without times count.
    """
    epochs = study.config.get("epochs")
    if "clock" in study.config or not isinstance(epochs, list | tuple):
        return True
    resumed = {later - sooner for later, sooner in itertools.combinations(sorted(epochs, reverse=True), 2)}
    counted = np.asarray([0, *epochs, *resumed], np.float32)
    spent = (np.asarray(s.traces.seconds, np.float32)[np.asarray(s.traces.mask)] for s in study.searchers)
    return not all(np.isin(seconds, counted).all() for seconds in spent)


def share_at_optimum(comparison: Comparison, entry: int, target: int) -> float | None:
    """Returns the share of an entry's runs that end at a target's optimum, None where that is not known."""
    best = optimum(comparison, target)
    if best is None:
        return None
    final = np.asarray(comparison.entries[entry].result.final[target], np.float64)
    return float(np.mean(np.abs(final - best) <= 1e-6 * max(abs(best), 1.0)))  # of float32 numbers


def mean_regret(comparison: Comparison, entry: int, target: int) -> float:
    """Returns by how much the runs of an entry that found something end worse than a target's optimum, on average."""
    best = optimum(comparison, target)
    final = np.asarray(comparison.entries[entry].result.final[target], np.float64)
    there = final[np.isfinite(final)]
    return math.nan if best is None or not there.size else float(comparison.metric.sign * (best - there).mean())


# Comparisons.


class Disagreement(NamedTuple):
    """Two entries of which means and ranks name opposite winners, both significantly."""

    by_mean: str
    by_rank: str
    welch: float  # p of Welch's test of the means, with Holm's correction
    mann_whitney: float  # p of the test of ranks, with Holm's correction


def disagreements(comparison: Comparison, target: int) -> list[Disagreement]:
    """Returns the pairs of which the mean says one and the ranks the other, both below 5 % after Holm's correction."""
    values = samples(comparison, target)
    if len(values) < 2 or min(len(v) for v in values.values()) < 2:
        return []
    found = {  # as the means of the page: without the runs that found nothing
        e.label: comparison.metric.sign * np.asarray(e.result.final[target], np.float64) for e in comparison.entries
    }
    if any(np.isfinite(v).sum() < 2 for v in found.values()):
        return []
    ranked, means = compare_pairwise(values), compare_pairwise(found, test="welch", nan_policy="omit")
    told = []
    for i, (a, b) in enumerate(ranked.pairs):
        share, welch, p = float(ranked.superiority[i]), float(means.p_holm[i]), float(ranked.p_holm[i])
        first = bool(np.nanmean(found[a]) > np.nanmean(found[b]))
        if max(welch, p) < 0.05 and share != 0.5 and (share > 0.5) != first:
            told.append(Disagreement(*((a, b) if first else (b, a)), welch, p))
    return told


def samples(comparison: Comparison, target: int) -> dict[str, Floats]:
    """Returns each entry's final values `[S]`, higher is better; a run that found nothing is worse than all others.

    Where lower is better, they are the negative ones.
    """
    values = [comparison.metric.sign * np.asarray(e.result.final[target], np.float64) for e in comparison.entries]
    worst = min((float(np.nanmin(v)) for v in values if np.isfinite(v).any()), default=0.0) - 1.0
    return {e.label: np.where(np.isnan(v), worst, v) for e, v in zip(comparison.entries, values, strict=True)}


def pairwise(comparison: Comparison, target: int) -> PairwiseTests | None:
    """Returns Mann-Whitney tests of every pair with Holm's correction; None with one entry or one run."""
    values = samples(comparison, target)
    if len(values) < 2 or min(len(v) for v in values.values()) < 2:
        return None
    return compare_pairwise(values)


def ranks(comparison: Comparison, target: int) -> RankComparison | None:
    """Returns average ranks over runs; None with one entry or one run.

    Where entries have different numbers of runs, the first runs of each count, as many as the shortest has.
    """
    values = samples(comparison, target)
    runs = min((len(v) for v in values.values()), default=0)
    if len(values) < 2 or runs < 2:
        return None
    return compare_ranks({label: v[:runs] for label, v in values.items()})


def superiority_interval(share: float, first: int, second: int) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the probability that one searcher's run beats another's.

    Args:
      share: Its estimate, the Mann-Whitney statistic over the number of pairs, in [0, 1].
      first: Number of runs of the one.
      second: Number of runs of the other.

    References:
      Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2", 2006
      (Statistics in Medicine 25), method 5: it stays within [0, 1] and has a width at 0 and 1.
    """
    z = 1.959963984540054
    half = (first + second) / 2 - 1

    def excess(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return (share - theta) ** 2 - z**2 * spread / (first * second)

    return _root(excess, share, 0.0), _root(excess, share, 1.0)


def _root(function: Callable[[float], float], inside: float, outside: float) -> float:
    """Returns where a function turns positive on the way from a point where it is not to an end."""
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if function(middle) > 0 else (middle, outside)
    return inside


# The best cells.


def best_cells(comparison: Comparison, most: int = 6) -> list[BestCell]:
    """Returns the best architectures that runs returned, judged by the objective at the highest fidelity, best first.

    Scores of different fidelities are never compared: an architecture seen at a higher one comes first. Nor are scores
    without training and accuracies: the studies then follow one another.

    Args:
      comparison: The studies.
      most: How many of each study; the best of each entry comes too, if it is not among them.
    """
    found: list[BestCell] = []
    for study in range(len(comparison.studies)):
        cells: dict[bytes, BestCell] = {}
        wanted: set[bytes] = set()
        for k, entry in enumerate(comparison.entries):
            if entry.study == study:
                own = _returned(entry.result, k)
                wanted |= set(sorted(own, key=lambda arch: _merit(own[arch]))[-1:])
                for arch, cell in own.items():
                    cells[arch] = _merge(cells[arch], cell) if arch in cells else cell
        ordered = sorted(cells, key=lambda arch: _merit(cells[arch]), reverse=True)
        found += [cells[arch] for i, arch in enumerate(ordered) if i < most or arch in wanted]
    goals = {study.config.get("objective") for study in comparison.studies}
    return found if len(goals) > 1 else sorted(found, key=_merit, reverse=True)


def _merit(cell: BestCell) -> tuple[int, float]:
    return cell.fidelity, cell.score


def _merge(before: BestCell, cell: BestCell) -> BestCell:
    return max(before, cell, key=_merit)._replace(found_by=before.found_by + cell.found_by)


def _returned(result: SearcherResult, entry: int) -> dict[bytes, BestCell]:
    """Returns every architecture that runs of an entry returned, with the best score that it got there."""
    fidelity, score = _final_scores(result)
    runs = np.flatnonzero(np.isfinite(score))
    archs = np.ascontiguousarray(result.final_archs, np.int32)
    cells: dict[bytes, BestCell] = {}
    for run in runs[np.lexsort((score[runs], fidelity[runs]))[::-1]]:
        place = archs[run].tobytes()
        if place in cells:
            cells[place] = cells[place]._replace(found_by=((entry, cells[place].found_by[0][1] + 1),))
        else:
            values = np.asarray(result.final[:, run], np.float64)
            cells[place] = BestCell(archs[run], ((entry, 1),), int(fidelity[run]), float(score[run]), values)
    return cells


def _final_scores(result: SearcherResult) -> tuple[NDArray[np.int64], Floats]:
    """Returns fidelity and score `[S]` of what each run returned; -inf where it found nothing."""
    last = np.asarray(result.incumbent)[:, -1]
    rows = np.maximum(last, 0)[:, None]
    score = np.take_along_axis(np.asarray(result.traces.score, np.float64), rows, axis=1)[:, 0]
    fidelity = np.take_along_axis(np.asarray(result.traces.fidelity, np.int64), rows, axis=1)[:, 0]
    return fidelity, np.where((last >= 0) & ~np.isnan(score), score, -np.inf)
