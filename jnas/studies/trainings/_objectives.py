"""What a search by trainings searches for beside the metric: what is known of a network that was trained, and bounds.

They have the names that the table of the study's trainings gives them, so that `jnas study --objectives` takes the same
words: `parameters` and `flops` (multiply-adds) in millions, and `train_seconds`, of an epoch with its evaluations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Network
from jnas.io._text import did_you_mean
from jnas.studies.search._objectives import TableFront, check_objectives, front_among
from jnas.studies.search._results import SearcherResult
from jnas.tables._cost_columns import VIOLATION, CostColumn, cost_columns, violations
from jnas.tables._file import member
from jnas.tables._metric import TableMetric, metric_of

_COUNTED = ("parameters", "flops")
_TIMED = "train_seconds"
_NOTHING = dict.fromkeys((*_COUNTED, _TIMED), np.zeros(0, np.float32))  # is known of no network


class _Known(NamedTuple):
    """What is known of some networks, as a table would have it."""

    columns: Mapping[str, np.ndarray]  # [N]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.columns)

    def read(self, name: str) -> np.ndarray | None:
        return self.columns.get(name)


class TrainingGoals(NamedTuple):
    """What is searched for beside the metric."""

    dataset: str  # as the table of the trainings calls it
    epochs: int
    others: tuple[str, ...]  # the objectives behind the metric
    at_most: Mapping[str, float]

    @property
    def num_columns(self) -> int | None:
        """Columns of `Evaluation.objectives`; None for none."""
        return len(self.others) + bool(self.at_most) or None

    @property
    def timed(self) -> bool:
        """Whether anything depends on what trainings took."""
        return any(word.partition("=")[0] == _TIMED for word in (*self.others, *self.at_most))

    @property
    def named(self) -> tuple[tuple[str, ...], np.ndarray]:
        """The names of those columns, and the signs float32 `[O]` that make values of costs."""
        columns, bounded = self.columns(_NOTHING), bool(self.at_most)
        names = (*(column.name for column in columns), *(VIOLATION,) * bounded)
        return names, np.asarray([*(column.sign for column in columns), *(1.0,) * bounded], np.float32)

    def columns(self, known: Mapping[str, np.ndarray]) -> list[CostColumn]:
        """Returns the objectives behind the metric, of networks of which `parameters`... `[N]` are known."""
        return cost_columns(self._as_table(known), self.others, (self.dataset,))

    def violations(self, known: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns by how much the networks violate the bounds, float32 `[N]`, as `violations` of a table has it."""
        return violations(self._as_table(known), self.at_most, (self.dataset,))

    def _as_table(self, known: Mapping[str, np.ndarray]) -> _Known:
        places = {kind: member(kind, self.dataset) for kind in _COUNTED}
        places[_TIMED] = member(_TIMED, self.dataset, self.epochs)
        return _Known({places[kind]: values for kind, values in known.items()})


def goals_of(config: Mapping[str, Any]) -> TrainingGoals:
    """Returns what a study's configuration says is searched for."""
    others = tuple(config.get("objectives", ())[1:])
    return TrainingGoals(config["dataset"], int(config["epochs"][0]), others, config.get("at_most", {}))


def goal_words(
    metric: TableMetric,
    objectives: Sequence[str] | None,
    at_most: Mapping[str, float] | None,
    dataset: str,
    epochs: int,
) -> dict[str, Any]:
    """Returns what a configuration says of objectives and bounds, nothing where there are none.

    Raises:
      ValueError: The first objective is not the metric, or trainings know no such number.
    """
    others = check_objectives(metric, objectives) if objectives else ()
    goals = TrainingGoals(dataset, epochs, others, dict(at_most or {}))
    for what, words in (("objectives", others), ("at_most", goals.at_most)):
        for word in words:
            _check_known(what, word)
    goals.columns(_NOTHING)
    if goals.at_most:
        goals.violations(_NOTHING)
    said: dict[str, Any] = {"objectives": list(objectives)} if objectives and others else {}
    return said | ({"at_most": {name: float(bound) for name, bound in at_most.items()}} if at_most else {})


def _check_known(what: str, word: str) -> None:
    known = (*_COUNTED, _TIMED)
    if (name := word.partition("=")[0]) not in known:
        offer = did_you_mean(name, known) or ","
        first = "behind the first " if what == "objectives" else ""
        raise ValueError(
            f"{what} holds {word!r}{offer} expected {first}{_COUNTED[0]}, {_COUNTED[1]} or {_TIMED}, which are known "
            "of a training"
        )


def counts_of(network: Network) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns a function from architectures `[N, E]` to their parameters and multiply-adds, float32 `[N]` in millions.

    Each architecture is counted once, by one program.
    """
    program = jax.jit(lambda arch: jnp.stack([getattr(network, kind)(arch) for kind in _COUNTED]))
    found: dict[bytes, np.ndarray] = {}

    def counts(archs: np.ndarray) -> dict[str, np.ndarray]:
        for arch in archs:
            if arch.tobytes() not in found:
                found[arch.tobytes()] = np.asarray(program(jnp.asarray(arch, jnp.int32)), np.float32)
        rows = np.stack([found[arch.tobytes()] for arch in archs]) if len(archs) else np.zeros((0, len(_COUNTED)))
        return dict(zip(_COUNTED, rows.T, strict=True))

    return counts


def told_of(goals: TrainingGoals, known: Mapping[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns `Evaluation.objectives` `[N, O]` of networks, and which of them keep the bounds `[N]`; None for none."""
    columns = [column.costs for column in goals.columns(known)]
    if not goals.at_most:
        return (np.stack(columns, axis=1) if columns else None), None
    over = goals.violations(known)
    return np.stack([*columns, over], axis=1).astype(np.float32), over <= 0


def trained_front(
    config: Mapping[str, Any],
    searchers: Sequence[SearcherResult],
    trained: Callable[[np.ndarray], np.ndarray],
    text: Callable[[np.ndarray], str],
) -> TableFront | None:
    """Returns the front of all that searches had trained; None with one objective, or where nothing counts.

    Args:
      config: The study's configuration.
      searchers: That have ended.
      trained: From architectures `[N, E]` to what was trained for them.
      text: From an architecture `[E]` to its string.
    """
    goals, metric = goals_of(config), metric_of(config)
    if not goals.others or not searchers:
        return None
    archs, costs = [], []
    for searcher in searchers:
        traces = searcher.traces
        counts, further = np.asarray(traces.mask & traces.valid), np.asarray(traces.objectives)
        archs.append(trained(np.asarray(traces.arch, np.int32)[counts]))
        costs.append(np.column_stack([np.asarray(traces.score)[counts], further[counts][:, : len(goals.others)]]))
    rows, first = np.unique(np.concatenate(archs), axis=0, return_index=True)
    if not len(rows):
        return None
    values = np.concatenate(costs)[first]
    columns = [
        column._replace(values=np.float32(column.sign) * values[:, place])
        for place, column in enumerate(goals.columns(_NOTHING), 1)
    ]
    front = front_among(metric, metric.sign * values[:, 0], columns, None, lambda row: text(rows[row]))
    return front and front._replace(trained=True)
