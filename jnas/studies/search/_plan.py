"""What a study is to do, settled before it starts: its columns, its configuration, its keys, what it will take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnas.core._checks import Overshoot, check_fidelities, resolve_capacity
from jnas.core._vocabulary import Objective, Searcher
from jnas.studies._keys import chunk_width
from jnas.studies._settings import CHUNK, check_settings
from jnas.studies.search._settings import SEARCH_SETTINGS
from jnas.tables._digest import table_digest
from jnas.tables._file import member
from jnas.tables._look_ups import RunValues, Seed
from jnas.tables._runs import check_seed
from jnas.tables._table import Table
from jnas.tables._targets import Reference, Target, find_references, judging_targets, target_columns

_MOST_BYTES = 4_000_000_000  # of traces in one program


class SearchPlan(NamedTuple):
    """A study before it starts."""

    searchers: Mapping[str, Searcher]
    objective: Objective
    capacity: int
    num_decisions: int  # of an architecture
    mean_evaluations: float  # that a run is expected to make
    seeds: Mapping[str, int]  # searches, by searcher
    widths: Mapping[str, int]  # seeds in one program, by searcher
    targets: tuple[Target, ...]
    columns: np.ndarray  # [num_targets, N] float32, percent
    references: tuple[Reference, ...]
    config: Mapping[str, Any]
    gaps: list[str]  # notes on what the table lacks of what is searched on

    def num_chunks(self, name: str) -> int:
        """Returns how many times a searcher's program runs."""
        return -(-self.seeds[name] // self.widths[name])


def plan_search_study(
    searchers: Mapping[str, Searcher],
    table: Table,
    *,
    dataset: str,
    epochs: int | Sequence[int],
    at: int | Sequence[int] | None,
    split: str,
    reward: Seed,
    budget_seconds: float | None,
    max_evaluations: int | None,
    overshoot: Overshoot,
    num_seeds: int,
    num_python_seeds: int,
    root_seed: int,
    targets: Sequence[Target | tuple[str, str, int]] | None,
    chunk: int | Mapping[str, int],
    command: str | None,
) -> SearchPlan:
    """Returns the plan of a study; arguments and errors are those of `jnas.study`."""
    check_settings(SEARCH_SETTINGS, locals())
    _check_searchers(searchers)
    for training in np.ravel(epochs):
        check_seed(table, *table.resolve(dataset, split), int(training), reward, "reward")
    objective = table.objective(dataset=dataset, split=split, epochs=epochs, seed=reward, at=at)
    capacity = resolve_capacity(objective, budget_seconds, max_evaluations, overshoot)
    for searcher in searchers.values():
        check_fidelities(searcher, objective)
    most = {name: chunk[name] if isinstance(chunk, Mapping) else chunk for name in searchers}
    for name, width in most.items():
        CHUNK._replace(name=f"chunk of {name}").check(width)
    fitting = _seeds_that_fit(capacity, table.space.num_decisions)
    seeds = {n: int(num_seeds if s.compiled else min(num_seeds, num_python_seeds)) for n, s in searchers.items()}
    # A search in Python is a chunk of its own: there is nothing to gain from more, and a stopped study keeps each.
    most = {name: width if searchers[name].compiled else 1 for name, width in most.items()}
    widths = {name: chunk_width(seeds[name], min(width, fitting)) for name, width in most.items()}
    chosen = judging_targets(table) if targets is None else tuple(Target(*t) for t in targets)
    columns = target_columns(table, chosen)
    of_epochs = None if at is None else int(np.ravel(epochs)[0])
    curves = () if of_epochs is None else _curves(table, dataset, split, of_epochs)
    config: dict[str, Any] = {
        "searchers": list(searchers),
        "table_name": table.header.name,
        "table_path": table.where,
        "table_sha256": table_digest(table, curves),
        "dataset": dataset,
        "split": split,
        "epochs": [int(e) for e in objective.fidelities],
        "of_epochs": of_epochs,  # the training whose curve `at` is of
        "reward": reward,
        "budget_seconds": None if budget_seconds is None else float(budget_seconds),
        "max_evaluations": max_evaluations,
        "overshoot": overshoot,
        "num_seeds": int(num_seeds),
        "root_seed": int(root_seed),
        "chunk": dict(widths),
        "judged_by": [t.label for t in chosen],
        "notes": list(table.header.notes),
        "command": command,
    }
    if any(count < num_seeds for count in seeds.values()):
        config["fewer_seeds"] = {name: count for name, count in seeds.items() if count < num_seeds}
    gaps = _gaps(table, config)
    config["notes"] += gaps
    expected = _mean_evaluations(table, config, capacity)
    references = find_references(table, columns)
    return SearchPlan(
        searchers,
        objective,
        capacity,
        table.space.num_decisions,
        expected,
        seeds,
        widths,
        chosen,
        columns,
        references,
        config,
        gaps,
    )


def _check_searchers(searchers: Any) -> None:
    if not isinstance(searchers, Mapping):
        raise TypeError(f'searchers is {type(searchers).__name__}, expected a mapping such as {{"mine": searcher}}')
    if not searchers:
        raise ValueError("searchers is empty, expected at least one")
    for name, searcher in searchers.items():
        if not isinstance(name, str) or not 1 <= len(name) <= 80:
            raise ValueError(f"searchers has the name {name!r}, expected a string of 1 to 80 characters")
        if not isinstance(searcher, Searcher):
            raise TypeError(
                f"searchers[{name!r}] is {type(searcher).__name__}, expected a jnas.Searcher; call the factory first, "
                "for example jnas.searchers.random_search(table.space)"
            )


def _seeds_that_fit(capacity: int, num_decisions: int) -> int:
    """Returns how many traces a program may hold; ValueError if not even one fits."""
    trace_bytes = 3 * capacity * (4 * num_decisions + 14)  # kept, being written, and on its way to the host
    if trace_bytes > _MOST_BYTES:
        raise ValueError(
            f"a search of {capacity:,} evaluations would take {trace_bytes / 1e9:,.0f} GB of memory; expected at most "
            f"{_MOST_BYTES // (3 * (4 * num_decisions + 14)):,} evaluations, or a smaller budget"
        )
    return _MOST_BYTES // trace_bytes


def _runs_at(table: Table, config: Mapping[str, Any], place: int) -> RunValues:
    """Returns what is searched on at a fidelity, the lowest being 0."""
    done, total = config["epochs"][place], config["of_epochs"]
    training, at = (done, None) if total is None else (total, done)
    return table.runs("accuracy", config["dataset"], config["split"], training, config["reward"], at)


def _gaps(table: Table, config: Mapping[str, Any]) -> list[str]:
    """Returns a note if the table lacks what is searched on for some of its architectures."""
    known = int((_runs_at(table, config, 0).num_runs > 0).sum())
    if known == table.num_archs:
        return []
    return [
        f"only {known:,} of {table.num_archs:,} architectures have the accuracy that is searched on: the others cost "
        "nothing, find nothing, and count as evaluations"
    ]


def _mean_evaluations(table: Table, config: Mapping[str, Any], capacity: int) -> float:
    """Returns how many evaluations a run can be expected to make, by the mean cost over the table.

    With several fidelities the middle, by ratio, of the lowest's and the highest's: about that of Hyperband's brackets.
    """
    if config["budget_seconds"] is None:
        return float(capacity)
    ends = [_runs_at(table, config, place) for place in (0, -1)]
    cost = math.sqrt(math.prod(float(np.nanmean(runs.train_seconds + runs.eval_seconds)) for runs in ends))
    return min(float(capacity), float(config["budget_seconds"]) / cost)


def _curves(table: Table, dataset: str, split: str, epochs: int) -> tuple[str, ...]:
    """Returns the name of the curves on which a study searches, where the table has them."""
    published, known = table.resolve(dataset, split)
    return tuple(table.names & {member("accuracy_curve", published, epochs, known)})
