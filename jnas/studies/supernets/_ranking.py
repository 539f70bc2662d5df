"""How a search's ranking of its pool holds against a table at each look, and its cells against random search."""

from typing import Any, NamedTuple

import numpy as np

from jnas.searchers.weight_sharing._analysis import best_share, shared_weight_correlations
from jnas.statistics._intervals import Floats
from jnas.statistics._predicted_best import predicted_best_percentiles, subset_kendall_tau
from jnas.statistics._random_draws import DrawsComparison, compare_with_tails
from jnas.statistics._rank_correlation import kendall_tau, probability_to_surpass_random
from jnas.studies.supernets._results import MethodResult, SupernetStudy, diverged
from jnas.tables._metric import ACCURACY, TableMetric, metric_of

CORRELATIONS = ("spearman", "kendall", "sparse_kendall", "sparse_kendall_floor")
SUBSETS = (10, 20, 50, 100)
BEST = (3, 5, 10, 20)
CANDIDATES, POOL = "candidates", "pool"
"""Pools of each look: what the search itself compared then, and the same cells of the table for all searches."""

MEASURES = (
    *CORRELATIONS,
    *(f"best_tenth_{name}" for name in CORRELATIONS),
    *(f"kendall_of_{size}_{part}" for size in SUBSETS for part in ("min", "mean", "max")),
    *(f"best_{k}_percentile_{part}" for k in BEST for part in ("min", "median", "max")),
)
"""What is taken of a ranking, by name."""


class Ranking(NamedTuple):
    """How a ranking of a pool agrees with the table, for each of `S` searches at `L` looks."""

    pool: str  # `CANDIDATES`, `POOL`, or a predictor of the one-shot analysis
    epochs: Any  # [L]
    cells: Any  # [S, L], of the pool that both sides know
    measures: dict[str, Floats]  # each of `MEASURES`, [S, L]; NaN where there is nothing to order


class AgainstRandom(NamedTuple):
    """What a method's final cells are against the best of `draws` random cells."""

    draws: int
    expected: float  # percent
    quantiles: Floats  # [Q] percent
    comparison: DrawsComparison


class BestRank(NamedTuple):
    """The best rank that a method's runs reached."""

    rank: int
    num_archs: int
    runs: int
    surpasses: float  # `probability_to_surpass_random`


def ranking_measures(truth: Any, predicted: Any) -> dict[str, float]:
    """Returns each of `MEASURES` of a prediction `[N]` of the truth `[N]`, higher is better; NaN where it has none.

    Subsets are drawn from a fixed seed: pools of one size have the same places in them. Equal predictions order
    nothing, and have no predicted best.

    References:
      "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020, and its released code.
    """
    true, guess = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    there = np.isfinite(true) & np.isfinite(guess)
    true, guess = true[there], guess[there]
    best, orders = best_share(true, 0.1), np.unique(guess).size > 1
    whole, tenth = shared_weight_correlations(true, guess), shared_weight_correlations(true[best], guess[best])
    values = [*(whole[name] for name in CORRELATIONS), *(tenth[name] for name in CORRELATIONS)]
    nothing = (np.nan,) * 3
    for size in SUBSETS:
        rng = np.random.default_rng(size)
        values += subset_kendall_tau(true, guess, size, rng) if size <= true.size else nothing
    for k in BEST:
        values += predicted_best_percentiles(true, guess, k) if true.size >= k and orders else nothing
    return dict(zip(MEASURES, values, strict=True))


def look_rankings(result: MethodResult, last: bool = False, metric: TableMetric = ACCURACY) -> list[Ranking]:
    """Returns how the pools of a method's looks agree with the table; empty where there is none.

    Args:
      result: Of the method.
      last: Whether to take the last look alone.
      metric: The table's, and that of the shared weights.
    """
    looks, sign = slice(-1, None) if last else slice(None), metric.sign  # of scores, the higher are better
    return [
        _ranking(pool, result.record.looked[looks], sign * truth, sign * predicted)
        for pool, (truth, predicted) in _pools(result, looks).items()
    ]


def look_kendall(result: MethodResult) -> dict[str, Floats]:
    """Returns Kendall's tau of each of these pools alone, at each look `[S, L]`."""
    taus = {}
    for pool, found in _pools(result, slice(None)).items():
        pairs = zip(*(array.reshape(-1, array.shape[-1]) for array in found), strict=True)
        each = [kendall_tau(*p, nan_policy="omit") if _known(*p).sum() > 1 else np.nan for p in pairs]
        taus[pool] = np.reshape(each, found[0].shape[:-1])
    return taus


def _pools(result: MethodResult, looks: slice) -> dict[str, tuple[Any, Any]]:
    """Returns truth and predictions `[S, L, N]` of pools, NaN where unknown; those in which something is ordered."""
    if result.against is None:
        return {}
    found = {CANDIDATES: (result.against.candidate_values[:, looks], result.record.scores[:, looks])}
    if result.record.pool is not None:
        ranked = result.record.pool[:, looks]
        found[POOL] = (np.broadcast_to(result.against.pool_truth, ranked.shape), ranked)
    lost = diverged(result.record)[:, looks, None]
    pools = {pool: (truth, np.where(lost, np.nan, predicted)) for pool, (truth, predicted) in found.items()}
    return {pool: each for pool, each in pools.items() if (_known(*each).sum(axis=-1) > 1).any()}


def _known(truth: Any, predicted: Any) -> Any:
    return np.isfinite(truth) & np.isfinite(predicted)


def one_shot_rankings(study: SupernetStudy, result: MethodResult) -> list[Ranking]:
    """Returns the same of each predictor of the one-shot analysis, at the last look; empty where there was none."""
    shot = result.one_shot
    if shot is None:
        return []
    predictions = {"probability": shot.log_probability}
    sign = metric_of(study.config).sign
    predictions |= dict(zip(study.config["batch_norms"], sign * shot.accuracies, strict=True))
    found = []
    for name, values in predictions.items():
        truth = np.broadcast_to(sign * shot.truth, values.shape)
        found.append(_ranking(name, result.record.looked[-1:], truth[:, None], values[:, None]))
    return found


def _ranking(pool: str, epochs: Any, truth: Any, predicted: Any) -> Ranking:
    """Returns what is taken of predictions `[S, L, N]` of the truth."""
    found = [[ranking_measures(*each) for each in zip(*s, strict=True)] for s in zip(truth, predicted, strict=True)]
    measures = {name: np.asarray([[look[name] for look in seed] for seed in found]) for name in MEASURES}
    return Ranking(pool, epochs, _known(truth, predicted).sum(axis=-1), measures)


def against_random(study_column: int, result: MethodResult) -> list[AgainstRandom]:
    """Returns a method's final cells against random search, for each number of draws; empty where no table knows.

    Args:
      study_column: The main one, by which both are judged.
      result: Of the method.
    """
    own = result.against
    if own is None or not np.isfinite(final := result.values[study_column, :, -1].astype(np.float64)).any():
        return []
    tails = zip(own.at_least[:, :, -1], own.at_most[:, :, -1], strict=True)
    tests = [
        compare_with_tails(final, float(mean), *each, nan_policy="omit")
        for mean, each in zip(own.expected, tails, strict=True)
    ]
    rows = zip(own.draws.tolist(), own.expected.tolist(), own.quantiles, tests, strict=True)
    return [AgainstRandom(*row) for row in rows]


def best_rank(result: MethodResult) -> BestRank | None:
    """Returns the best rank of a method's final cells; None where the table knows none of them."""
    ranks = result.ranks[:, -1]
    if result.against is None or not (ranks > 0).any():
        return None
    rank, runs, size = int(ranks[ranks > 0].min()), int((ranks > 0).sum()), int(result.against.num_archs)
    return BestRank(rank, size, runs, float(probability_to_surpass_random(rank, size, runs)))
