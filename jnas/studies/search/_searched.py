"""The column of a comparison that was searched on, which stands before those that judge."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jnas.studies.search._results import SearcherResult, StudyResults
from jnas.studies.search._summary import ComparedSearcher, Comparison
from jnas.tables._targets import Reference, Target


class Searched(NamedTuple):
    """What the searches of a study looked at."""

    target: Target
    judges_too: bool  # a column of this name holds the same numbers: means over training seeds, at a training's end
    at_once: bool  # every evaluation was at this number of epochs


def with_searched(comparison: Comparison) -> Comparison:
    """Returns the comparison with what was searched on as its first column.

    It is one of the columns that judge, or else is made of the scores that the incumbents had. Where studies searched
    on different numbers, or at several fidelities of which no column is the last, the comparison stays as it is.
    """
    found = {_searched(study) for study in comparison.studies}
    searched = found.pop() if len(found) == 1 else None
    if searched is None or not comparison.entries:
        return comparison
    if searched.judges_too and searched.target in comparison.targets:
        first = comparison.targets.index(searched.target)
        order = [first, *(i for i in range(len(comparison.targets)) if i != first)]
        return _ordered(comparison, order)
    return _with_scores(comparison, searched.target) if searched.at_once else comparison


def _searched(study: StudyResults) -> Searched | None:
    config = study.config
    epochs = config.get("epochs")
    known = all(isinstance(config.get(name), str) for name in ("dataset", "split"))
    if (
        config.get("reward") is None
        or config.get("objective") is not None
        or not known
        or not isinstance(epochs, list | tuple)
        or not epochs
    ):
        return None  # no study of searchers on a table
    judges_too = config["reward"] == "mean" and config.get("of_epochs") in (None, epochs[-1])
    target = Target(config["dataset"], config["split"], int(epochs[-1]))
    return Searched(target, judges_too, len(epochs) == 1)


def _ordered(comparison: Comparison, order: Sequence[int]) -> Comparison:
    def ordered(result: SearcherResult) -> SearcherResult:
        return result._replace(values=result.values[order], final=result.final[order])

    return comparison._replace(
        targets=tuple(comparison.targets[i] for i in order),
        references=tuple(r._replace(values=np.asarray(r.values)[order]) for r in comparison.references),
        entries=tuple(e._replace(result=ordered(e.result)) for e in comparison.entries),
        searched=True,
    )


def _with_scores(comparison: Comparison, target: Target) -> Comparison:
    """Returns the comparison with the scores of the incumbents as a column before the others."""

    known = {name: value for study in comparison.studies for name, value in study.searched.items()}

    def extended(reference: Reference) -> Reference:
        seen = known.get(reference.name)
        return reference._replace(values=np.append(np.nan if seen is None else seen, reference.values))

    def scored(entry: ComparedSearcher) -> ComparedSearcher:
        result = entry.result
        row = np.asarray(result.incumbent)
        score = np.take_along_axis(np.asarray(result.traces.score, np.float32), np.maximum(row, 0), axis=1)
        seen = np.where(row >= 0, np.float32(comparison.metric.sign) * score, np.float32(np.nan))
        values = np.concatenate([seen[None], result.values])
        return entry._replace(result=result._replace(values=values, final=values[:, :, -1]))

    return comparison._replace(
        targets=(target, *comparison.targets),
        references=tuple(map(extended, comparison.references)),
        entries=tuple(map(scored, comparison.entries)),
        searched=True,
    )
