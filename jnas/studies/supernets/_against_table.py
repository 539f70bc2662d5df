"""What a table says of a method's searches beyond their cells: of their candidates, and of random search instead."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.searchers._settings import read_spec
from jnas.statistics._random_draws import (
    BestOfDraws,
    best_of_draws,
    best_quantiles,
    expected_best,
    probability_at_least,
    probability_at_most,
)
from jnas.studies.supernets._plan import DRAWS, SupernetPlan, selecting_column
from jnas.tables._reachable import reachable_part
from jnas.tables._targets import judging_column

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the quantiles of random search that are kept."""

PREFIX = "against/"
MEMBERS = {
    "against/candidate_values": "f S L M",
    "against/num_archs": "i",
    "against/draws": "i D",
    "against/expected": "f D",
    "against/quantiles": f"f D {len(LEVELS)}",
    "against/at_least": "f D S L",
    "against/at_most": "f D S L",
    "against/reachable": "f 7",
    "against/pool_truth": "f P",
}
"""Of a method's file; those of folders made before it have none of them."""


class AgainstTable(NamedTuple):
    """What a table says by its main column of `S` searches with `L` looks; NaN where it does not know.

    Random search draws `D` different numbers of cells with replacement, chooses by validation, and is judged by the
    column; its distribution is exact.
    """

    candidate_values: NDArray[np.float32]  # [S, L, M] percent, of what each look compared
    num_archs: NDArray[np.int64]  # [], that have a number
    draws: NDArray[np.int64]  # [D]
    expected: NDArray[np.float64]  # [D] percent, the mean of random search
    quantiles: NDArray[np.float64]  # [D, Q] percent, at `LEVELS`
    at_least: NDArray[np.float64]  # [D, S, L], probability that random search is as good as the look's cell, or better
    at_most: NDArray[np.float64]  # [D, S, L], that it is no better
    reachable: NDArray[np.float64]  # [7], fields of `Reachable` where a method's encoding is a released one, or NaN
    pool_truth: NDArray[np.float32]  # [P] percent, of the cells that are ranked at each look


def against_table(plan: SupernetPlan, name: str, candidates: Any, values: NDArray[np.float32]) -> AgainstTable:
    """Returns what a plan's table says of a method's searches.

    Args:
      plan: With a table.
      name: Of the method.
      candidates: `[S, L, M, E]`.
      values: float32 `[C, S, L]`, what the looks' own cells are worth.
    """
    assert plan.table is not None
    main = judging_column(plan.targets, plan.dataset.name)
    column, selecting = plan.columns[main], plan.columns[selecting_column(plan.targets, main)]
    index = np.asarray(plan.table.index(np.asarray(candidates, np.int32)))
    known = np.isfinite(column) & np.isfinite(selecting)
    sign = plan.table.metric.sign  # draws choose by scores, of which the higher are better
    scores = sign * selecting[known], sign * column[known]
    spread = [best_of_draws(scores[0], k, judged_by=scores[1]) for k in DRAWS] if known.any() else []
    shape = values.shape[1:]
    return AgainstTable(
        candidate_values=np.where(index >= 0, column[np.maximum(index, 0)], np.float32(np.nan)),
        num_archs=np.asarray(np.isfinite(column).sum(), np.int64),
        draws=np.asarray(DRAWS[: len(spread)], np.int64),
        expected=sign * np.asarray([expected_best(each) for each in spread], np.float64),
        # Of values, from the lowest: the levels are as far from 0 as from 1.
        quantiles=sign * _quantiles(spread)[:, :: int(sign)],
        at_least=np.asarray([probability_at_least(each, sign * values[main]) for each in spread]).reshape(-1, *shape),
        at_most=np.asarray([probability_at_most(each, sign * values[main]) for each in spread]).reshape(-1, *shape),
        reachable=_reachable(plan, name, main),
        pool_truth=column[plan.pool],
    )


def _quantiles(spread: Sequence[BestOfDraws]) -> NDArray[np.float64]:
    """Returns the quantiles of distributions of scores, `[D, Q]`."""
    return np.asarray([best_quantiles(each, LEVELS) for each in spread], np.float64).reshape(-1, len(LEVELS))


def _reachable(plan: SupernetPlan, name: str, main: int) -> NDArray[np.float64]:
    """Returns what a method's encoding can express, where that is the released one."""
    method = plan.methods[name]
    if plan.table is None or (method.reachable or method.settings.get("reachable")) != "released":
        return np.full(7, np.nan)
    dataset, split, epochs = plan.targets[main]
    sampler = read_spec(name).name.partition("-")[0]  # of all orders of `darts`
    try:
        found = reachable_part(plan.table, sampler, dataset=dataset, split=split, epochs=epochs)
    except ValueError:  # a table of a few cells may know none of these; the searches are not lost for it
        return np.full(7, np.nan)
    return np.asarray(found, np.float64)


def join_against(parts: Sequence[AgainstTable | None]) -> AgainstTable | None:
    """Returns what the table says of the seeds of all, in their order."""
    there = [part for part in parts if part is not None]
    if not there or len(there) < len(parts):
        return None
    return there[0]._replace(
        candidate_values=np.concatenate([part.candidate_values for part in there]),
        at_least=np.concatenate([part.at_least for part in there], axis=1),
        at_most=np.concatenate([part.at_most for part in there], axis=1),
    )


def against_members(found: AgainstTable) -> dict[str, Any]:
    """Returns the arrays of a method's file, by name."""
    return {f"{PREFIX}{name}": array for name, array in found._asdict().items()}


def find_against(arrays: Mapping[str, Any]) -> AgainstTable | None:
    """Returns what a method's file holds of it, None if nothing."""
    if not any(name.startswith(PREFIX) for name in arrays):
        return None
    return AgainstTable._make(arrays[f"{PREFIX}{field}"] for field in AgainstTable._fields)
