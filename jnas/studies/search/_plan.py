"""What a study is to do, settled before it starts: its columns, its configuration, its keys, what it will take."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from jnas.core._checks import check_fidelities, resolve_capacity
from jnas.core._vocabulary import Objective, Searcher
from jnas.studies._compared import check_rows, fewer_seeds, made_with, seeds_by_name, table_words
from jnas.studies._keys import chunk_width
from jnas.studies._memory import check_memory
from jnas.studies._settings import CHUNK, check_settings
from jnas.studies.search._objectives import TableFront, check_objectives, find_front, keeps_bounds
from jnas.studies.search._settings import SEARCH_SETTINGS
from jnas.tables._file import member
from jnas.tables._known_part import known_rows, whole_size
from jnas.tables._look_ups import RunValues, Seed
from jnas.tables._runs import check_seed, has_times
from jnas.tables._table import Table
from jnas.tables._targets import Reference, Target, find_references, judging_targets, target_columns

_MOST_BYTES = 4_000_000_000  # of traces in one program
_EXPECTED = "a jnas.Searcher; call the factory first, for example jnas.searchers.random_search(table.space)"


class SearchPlan(NamedTuple):
    """A study before it starts."""

    searchers: Mapping[str, Searcher]
    table: Table
    objective: Objective
    capacity: int
    mean_evaluations: float  # that a run is expected to make
    seeds: Mapping[str, int]  # searches, by searcher
    widths: Mapping[str, int]  # seeds in one program, by searcher
    targets: tuple[Target, ...]
    columns: np.ndarray  # [num_targets, N] float32, percent
    references: tuple[Reference, ...]
    config: Mapping[str, Any]
    gaps: list[str]  # notes on what the table lacks of what is searched on, for who starts the study
    searched: Mapping[str, float | None] = {}  # by reference, its accuracy by what is searched on, in percent
    reachable: Mapping[str, list[float]] = {}  # by searcher with a released encoding, the fields of `Reachable`
    front: TableFront | None = None  # of the table, where there are several objectives

    def num_chunks(self, name: str) -> int:
        """Returns how many times a searcher's program runs."""
        return -(-self.seeds[name] // self.widths[name])

    @property
    def result_bytes(self) -> float:
        """Returns how much memory the results take."""
        columns = len(self.targets) + len(self.objective.objective_names)
        return _result_bytes(self.seeds, self.capacity, self.table.space.num_decisions, columns)


def plan_search_study(searchers: Mapping[str, Searcher], table: Table, **asked: Any) -> SearchPlan:
    """Returns the plan of a study; arguments and errors are those of `jnas.study`, all of which are given."""
    check_settings(SEARCH_SETTINGS, asked)
    check_rows("searchers", searchers, Searcher, _EXPECTED)
    given = SimpleNamespace(**asked)
    for training in np.ravel(given.epochs):
        check_seed(table, *table.resolve(given.dataset, given.split), int(training), given.reward, "reward")
    searched = {"dataset": given.dataset, "split": given.split, "epochs": given.epochs, "at": given.at}
    scored = None if getattr(given, "objective", None) is None else str(given.objective).removeprefix("proxy:")
    if scored is not None and (given.at is not None or np.size(given.epochs) != 1 or given.budget_seconds is not None):
        raise ValueError(
            f"objective is {given.objective!r}, a score at no cost: give one number of epochs, that of the accuracy "
            "which stands beside it, without at, and max_evaluations in place of budget_seconds"
        )
    objectives = getattr(given, "objectives", None)
    others = check_objectives(table.metric, objectives, scored) if objectives else ()
    at_most = dict(getattr(given, "at_most", None) or {})
    if at_most and scored is not None:
        raise ValueError("at_most and a score without training as the objective were given; give one of them")
    datasets = (given.dataset, table.resolve(given.dataset, given.split)[0])
    keeps = keeps_bounds(table, at_most, datasets) if at_most else None
    asked_for = {"seed": given.reward, "objectives": others, "at_most": at_most}
    objective = table.objective(**searched, **asked_for) if scored is None else table.proxy_objective(scored)
    capacity = resolve_capacity(objective, given.budget_seconds, given.max_evaluations, given.overshoot, given.workers)
    for searcher in searchers.values():
        check_fidelities(searcher, objective)
    most = {name: given.chunk[name] if isinstance(given.chunk, Mapping) else given.chunk for name in searchers}
    for name, width in most.items():
        CHUNK._replace(name=f"chunk of {name}").check(width)
    fitting = _seeds_that_fit(capacity, table.space.num_decisions)
    seeds = seeds_by_name(searchers, given.num_seeds, given.num_python_seeds)
    num_targets = 1 if given.targets is None else len(given.targets)
    check_memory(_result_bytes(seeds, capacity, table.space.num_decisions, num_targets), given.num_seeds)
    # A search in Python is a chunk of its own: there is nothing to gain from more, and a stopped study keeps each.
    most = {name: width if searchers[name].compiled else 1 for name, width in most.items()}
    widths = {name: chunk_width(seeds[name], min(width, fitting)) for name, width in most.items()}
    chosen = judging_targets(table) if given.targets is None else tuple(Target(*t) for t in given.targets)
    columns = target_columns(table, chosen)
    columns = columns if keeps is None else np.where(keeps, columns, np.float32(np.nan))  # what else counts
    of_epochs = None if given.at is None else int(np.ravel(given.epochs)[0])
    curves = () if of_epochs is None else _curves(table, given.dataset, given.split, of_epochs)
    config: dict[str, Any] = {
        "searchers": list(searchers),
        **table_words(table, curves),
        "dataset": given.dataset,
        "split": given.split,
        "epochs": [int(e) for e in (objective.fidelities if scored is None else np.ravel(given.epochs))],
        "of_epochs": of_epochs,  # the training whose curve `at` is of
        "reward": given.reward,
        "budget_seconds": None if given.budget_seconds is None else float(given.budget_seconds),
        "max_evaluations": given.max_evaluations,
        "overshoot": given.overshoot,
        "num_seeds": int(given.num_seeds),
        "root_seed": int(given.root_seed),
        "chunk": dict(widths),
        "judged_by": [t.label for t in chosen],
        "notes": list(table.header.notes),
        "command": given.command,
        **fewer_seeds(seeds, given.num_seeds),
        **made_with(searchers),
        **({} if scored is None else {"objective": given.objective}),
        **({} if given.workers == 1 else {"workers": int(given.workers)}),  # folders of before do not say it
        **({"objectives": list(objectives)} if objectives and others else {}),
        **({"at_most": {name: float(bound) for name, bound in at_most.items()}} if at_most else {}),
    }
    budget_alone = given.budget_seconds is not None and given.max_evaluations is None
    gaps = _gaps(table, searched, given.reward, budget_alone) if scored is None else _unscored(table, scored)
    config["notes"] += gaps
    gaps += (untimed := _untimed(table, given) if scored is None else [])
    config["notes"] += untimed
    if table.is_known_part:
        gaps = [table.header.notes[-1], *gaps]  # which is among the notes
    expected = _mean_evaluations(table, config, capacity)
    references = find_references(table, columns)
    seen = _searched_references(table, searched, given.reward, keeps) if scored is None else {}
    front = find_front(table, _runs_at(table, config, -1), others, keeps, datasets) if others else None
    plan = SearchPlan(
        searchers, table, objective, capacity, expected, seeds, widths, chosen, columns, references, config, gaps, seen
    )
    return plan._replace(front=front and front._replace(fidelity=len(objective.fidelities) - 1))


def _result_bytes(seeds: Mapping[str, int], capacity: int, num_decisions: int, num_targets: int) -> float:
    """Returns how many bytes all traces take with what they are worth, and one searcher's again while it is written."""
    evaluation = 4 * num_decisions + 18 + 4 * num_targets
    return float(evaluation * capacity * (sum(seeds.values()) + max(seeds.values(), default=0)))


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


def _searched_references(
    table: Table, searched: Mapping[str, Any], reward: Seed, keeps: np.ndarray | None
) -> dict[str, float | None]:
    """Returns what the references are worth by the accuracy that is searched on; nothing where there are several.

    Only what keeps the constraints counts, if there are any.
    """
    runs = table.searched_runs("accuracy", **searched, seed=reward)
    if len(runs) > 1 or reward == "random":
        return {}
    column = runs[0].value[None, :, 0]
    column = column if keeps is None else np.where(keeps, column, np.nan)
    found = {r.name: float(r.values[0]) for r in find_references(table, column)}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _untimed(table: Table, given: SimpleNamespace) -> list[str]:
    """Returns a note if the table does not say what the trainings take that are searched on."""
    published, _ = table.resolve(given.dataset, given.split)
    if all(has_times(table, published, int(epochs)) for epochs in np.ravel(given.epochs)):
        return []
    budget = "" if given.budget_seconds is None else ", and an epoch counts as one second of the budget"
    return [f"the table has no training times: searches are compared by their numbers of evaluations{budget}"]


def _gaps(table: Table, searched: Mapping[str, Any], reward: Seed, budget_alone: bool) -> list[str]:
    """Returns a note if the table lacks what is searched on for some of the architectures of its space."""
    known, whole = int(known_rows(table, **searched, seed=reward).sum()), whole_size(table)
    if known == whole or table.is_known_part:
        return []
    return [
        f"only {known:,} of {whole:,} architectures have the {table.metric.name} that is searched on: the others cost "
        "nothing, find nothing, and count as evaluations (`--among known`, in Python `jnas.known_part`, stays among "
        "those)" + (", of which there are as many as the budget pays for at the cheapest cost" if budget_alone else "")
    ]


def _unscored(table: Table, name: str) -> list[str]:
    """Returns a note if the table lacks a score without training of some of its architectures."""
    known = int(np.isfinite(table.proxy(table.archs, name=name)).sum())
    if known == table.num_archs:
        return []
    return [
        f"only {known:,} of {table.num_archs:,} architectures have the score {name} that is searched on: the others "
        "find nothing, and count as evaluations (`jnas proxies --cells N --out-table` scores more)"
    ]


def _mean_evaluations(table: Table, config: Mapping[str, Any], capacity: int) -> float:
    """Returns how many evaluations a run can be expected to make, by the mean cost over the table.

    With several fidelities the middle, by ratio, of the lowest's and the highest's: about that of Hyperband's brackets.
    """
    if config["budget_seconds"] is None:
        return float(capacity)
    ends = [_runs_at(table, config, place) for place in (0, -1)]
    cost = math.sqrt(math.prod(float(np.nanmean(runs.train_seconds + runs.eval_seconds)) for runs in ends))
    return min(float(capacity), int(config.get("workers", 1)) * float(config["budget_seconds"]) / cost)


def _curves(table: Table, dataset: str, split: str, epochs: int) -> tuple[str, ...]:
    """Returns the name of the curves on which a study searches, where the table has them."""
    published, known = table.resolve(dataset, split)
    return tuple(table.names & {member("accuracy_curve", published, epochs, known)})
