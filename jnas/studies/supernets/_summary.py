"""The numbers of a study of weight-sharing searches, as values that tests can check."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas import spaces
from jnas.core._folder import StudyConfig
from jnas.core._vocabulary import Trace
from jnas.io._text import listed
from jnas.searchers.weight_sharing._analysis import best_share, shared_weight_correlations
from jnas.spaces._registry import absent_choice
from jnas.statistics._intervals import Floats
from jnas.studies._over_seeds import OverSeeds, statistics_over_seeds
from jnas.studies.search._results import Chunk, SearcherResult, SharedRanking, StudyResults, as_result
from jnas.studies.supernets._ranking import BEST, CANDIDATES, POOL, look_rankings, one_shot_rankings
from jnas.studies.supernets._results import MethodResult, SupernetStudy, diverged
from jnas.tables._metric import ACCURACY, TableMetric, metric_of
from jnas.tables._targets import Reference, judging_column

PARTS = {"all": 1.0, "best": 0.1}
"""Of which share of the evaluated architectures, the truly best ones, correlations are taken."""
_POOLS = {
    "batch": "{} cells of the table",
    "reestimated": "{} cells of the table, batch-norm estimated anew",
    "running": "{} cells of the table, running estimates",
    POOL: "{} cells of the table",
    CANDIDATES: "{} candidates of the search's own",
}
"""What a ranking can be of, the one that is shown first, with the words for it."""


class Agreement(NamedTuple):
    """How a prediction of a method's shared weights agrees with the table, for each of its `S` searches."""

    predictor: str  # 'probability', or a batch-norm policy
    part: str  # of `PARTS`
    cells: int  # how many architectures there were
    coefficients: dict[str, Floats]  # by name, [S]; NaN where there is nothing to order


def final_columns_of(result: MethodResult) -> list[OverSeeds]:
    """Returns what the final architectures are worth over seeds by each column of the table, percent."""
    columns = np.asarray(result.values[:, :, -1], np.float64)
    return [OverSeeds(*(x[0] for x in statistics_over_seeds(values[:, None]))) for values in columns]


def reference_values(study: SupernetStudy, name: str) -> Any:
    """Returns what a reference is worth by each column, percent; None where the study has no such reference."""
    return next((reference.values for reference in study.references if reference.name == name), None)


def reference_spread(study: SupernetStudy, reference: Reference) -> list[float]:
    """Returns the deviation over all cells by each column, of one random cell; NaN of other references."""
    known = study.config["random_std"] if reference.name == "random cell" else [None] * len(study.targets)
    return [math.nan if deviation is None else deviation for deviation in known]


def median_rank(result: MethodResult, unknown: str) -> str:
    """Returns the median over seeds of the final architectures' ranks, where the table knows any."""
    last = result.ranks[:, -1]
    return f"{np.median(last[last > 0]):,.0f}" if (last > 0).any() else unknown


def finite_moments(values: Any) -> tuple[float, float]:
    """Returns mean and deviation (of a sample) of what is finite; NaN where there is too little."""
    known = np.asarray(values)[np.isfinite(values)]
    mean = float(known.mean()) if known.size else math.nan
    return mean, float(known.std(ddof=1)) if known.size > 1 else math.nan


def judged_column(study: SupernetStudy) -> int:
    """Returns the column that ranks and correlations are taken by, -1 without a table."""
    return judging_column(study.targets, str(study.config["dataset"]))


def entropy(study: SupernetStudy, result: MethodResult) -> Floats:
    """Returns the mean over decisions of the entropy of their probabilities `[S, L]`, 1 where all are as likely.

    Each is taken to the base of the number of its choices; decisions that have one alone are left out. Of edges that
    may not be there it is that of the operations that they have if they are.
    """
    space = spaces.from_config(study.space)
    counts, absent = np.asarray(space.num_choices), absent_choice(space)
    weights = np.asarray(result.record.weights, np.float64)
    if absent is not None:
        counts, weights = counts - 1, np.delete(weights, absent, axis=-1)
        weights = weights / np.maximum(weights.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(weights > 0, -weights * np.log(weights), 0.0)
    terms = np.where(np.isnan(weights), np.nan, terms)
    open_ = counts > 1
    return np.asarray((terms.sum(axis=-1)[..., open_] / np.log(counts[open_])).mean(axis=-1))


def operation_names(study: SupernetStudy) -> tuple[str, ...]:
    """Returns the names of the operations that edges or vertices choose from, each once."""
    _, rows = _operations(study)
    return tuple(dict.fromkeys(name for names in rows for name in names))


def operation_counts(study: SupernetStudy, result: MethodResult) -> NDArray[np.int64]:
    """Returns how many edges or vertices have each operation in the architecture of each look, `[S, L, K]`.

    Vertices that a cell has no use for are counted with what their encoding says.
    """
    decisions, rows = _operations(study)
    column = {name: number for number, name in enumerate(operation_names(study))}
    columns = np.asarray([[column[name] for name in names] for names in rows])
    archs = columns[np.arange(len(rows)), result.record.archs[..., decisions]]
    return np.asarray((archs[..., None] == np.arange(len(column))).sum(axis=2), np.int64)


def _operations(study: SupernetStudy) -> tuple[list[int], list[tuple[str, ...]]]:
    """Returns the decisions that are operations, and the names of what each chooses from.

    Decisions with other choices, such as whether an edge is there, are none. Where each edge has operations of its own,
    all are.
    """
    space = spaces.from_config(study.space)
    named = [own for own in space.choices if not all(name.isdigit() for name in own)]  # states to read have numbers
    names = max(named or space.choices, key=len)
    chosen = [i for i, own in enumerate(space.choices) if own == names or absent_choice(space) is not None]
    return chosen, [space.choices[i] for i in chosen]


def skip_connections(study: SupernetStudy, result: MethodResult) -> Floats | None:
    """Returns the number of skip connections in the architecture of each look `[S, L]`; None where no space has any.

    NaN for searches that have diverged.
    """
    numbers = [k for k, name in enumerate(operation_names(study)) if "skip" in name]
    counts = operation_counts(study, result)[..., numbers].sum(axis=-1)
    return np.where(diverged(result.record), np.nan, counts) if numbers else None


def diverged_text(study: SupernetStudy) -> str:
    """Returns a sentence on the searches that ended with numbers that are not finite; empty if there are none."""
    counts = {result.name: int(diverged(result.record)[:, -1].sum()) for result in study.methods}
    told = [f"{count} of {study.config['num_seeds']} of {name}" for name, count in counts.items() if count]
    return f"Searches that diverged, and are not counted: {listed(told)}." if told else ""


def agreement(result: MethodResult, batch_norms: tuple[str, ...], metric: TableMetric = ACCURACY) -> list[Agreement]:
    """Returns the counterpart of Table 7 of NAS-Bench-201; empty where no architectures were evaluated.

    Args:
      result: Of a method.
      batch_norms: The study's policies, in the order of `OneShot.accuracies`.
      metric: The table's.
    """
    one_shot = result.one_shot
    if one_shot is None:
        return []
    predictions = {"probability": one_shot.log_probability}
    truth, values = (metric.sign * np.asarray(each) for each in (one_shot.truth, one_shot.accuracies))  # as scores
    predictions |= dict(zip(batch_norms, values, strict=True))
    found = []
    for part, share in PARTS.items():
        rows = best_share(truth, share)
        for predictor, values in predictions.items():
            each = [shared_weight_correlations(truth[rows], seed[rows]) for seed in values]
            named = {name: np.asarray([c[name] for c in each]) for name in each[0]}
            found.append(Agreement(predictor, part, len(rows), named))
    return found


def measured_seconds(result: MethodResult) -> Floats:
    """Returns seconds measured here, of all seeds together, from the start to the end of each look `[L]`."""
    record = result.record
    trained = np.cumsum(record.train_seconds)[record.looked - 1]
    return np.asarray(trained + np.cumsum(record.look_seconds), np.float64)


def as_study_results(study: SupernetStudy) -> StudyResults:
    """Returns the searches in the form of `jnas.study`, so that what both found can be compared.

    Each look is a row of a trace: the architecture that the search would have returned then, which is also its
    incumbent, whatever had been found before. There is no score (shared weights give none that could be compared with
    a table's), and a search asks the table for nothing. Seconds are those measured here, of all seeds together, divided
    by their number: `config['clock']` says so, and `config['counts']` that rows are epochs, so that no axis mixes
    them with simulated seconds or evaluations.

    Raises:
      ValueError: No table judged the searches.
    """
    if not study.targets:
        raise ValueError(
            f"the weight-sharing searches on {study.config['dataset']} were not judged by a table, so that there is "
            "nothing to compare; run `jnas supernet` with --table"
        )
    told = {
        "dataset": study.config["dataset"],
        "table_name": study.config["table_name"],
        "clock": "measured",
        "counts": "epochs",
        "sentences": [_sentence(study)],
        **{n: v for n, v in study.config.items() if n not in ("epochs", "dataset", "table_name", "split", "clock")},
        "trained_epochs": study.config["epochs"],
    }
    searchers = tuple(_as_searcher(result, judged_column(study)) for result in study.methods)
    judged = (study.space, study.targets, study.references)
    rankings = {r.name: found for r in study.methods if (found := _ranking(study, r)) is not None}
    reachable = {r.name: r.against.reachable.tolist() for r in study.methods if has_reachable(r) and r.against}
    config = StudyConfig(told)
    return StudyResults(config, study.versions, *judged, searchers, {}, rankings, study.yardsticks, reachable)


def has_reachable(result: MethodResult) -> bool:
    """Returns whether it is known what part of the cells a method's encoding can express."""
    return result.against is not None and not np.isnan(result.against.reachable).any()


def _ranking(study: SupernetStudy, result: MethodResult) -> SharedRanking | None:
    """Returns the ranking of the last look that says most: of cells that no search chose, if there are any."""
    found = {ranking.pool: ranking for ranking in look_rankings(result, last=True, metric=metric_of(study.config))}
    found |= {ranking.pool: ranking for ranking in one_shot_rankings(study, result)}
    for pool, words in _POOLS.items():
        if (ranking := found.get(pool)) is not None and np.isfinite(ranking.measures["kendall"]).any():
            last = {name: values[:, -1] for name, values in ranking.measures.items()}
            percentiles = {k: last[f"best_{k}_percentile_median"] for k in BEST}
            count = f"{int(ranking.cells[:, -1].max()):,}"
            return SharedRanking(words.format(count), last["kendall"], percentiles)
    return None


def _sentence(study: SupernetStudy) -> str:
    names = ", ".join(study.config["methods"])
    return (
        f"Weight-sharing searches ({names}) trained supernets on {study.config['dataset']} with "
        f"{study.config['num_seeds']} seeds each. What a run returns is the architecture that it derives at its end; "
        "it saw nothing of the table, which judges it."
    )


def _as_searcher(result: MethodResult, main: int) -> SearcherResult:
    record = result.record
    seeds, looks, _ = record.archs.shape
    shape = (seeds, looks)
    clock = np.broadcast_to(measured_seconds(result) / seeds, shape)
    trace = Trace(
        arch=record.archs.astype(np.int32),  # type: ignore[arg-type]
        fidelity=np.zeros(shape, np.int32),  # type: ignore[arg-type]
        score=np.full(shape, np.nan, np.float32),  # type: ignore[arg-type]
        seconds=np.diff(clock, axis=1, prepend=0.0).astype(np.float32),  # type: ignore[arg-type]
        valid=np.ones(shape, bool),  # type: ignore[arg-type]
        mask=np.ones(shape, bool),  # type: ignore[arg-type]
        stopped_by=np.zeros(seeds, np.int32),  # type: ignore[arg-type]
    )
    incumbent = np.broadcast_to(np.arange(looks, dtype=np.int32), shape)
    spent = float(record.train_seconds.sum() + record.look_seconds.sum())
    chunk = Chunk(trace, incumbent, result.values, float(record.compile_seconds), spent)
    found = as_result(result.name, chunk)._replace(elapsed=np.asarray(clock, np.float64))
    if result.against is None:
        return found
    own = np.arange(len(result.values)) == main  # the column that ranks are taken by
    ranks = np.where(own[:, None], result.ranks[:, -1], -1).astype(np.int32)
    return found._replace(ranks=ranks, num_archs=np.where(own, result.against.num_archs, 0))
