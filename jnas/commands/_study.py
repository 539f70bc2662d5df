"""The command `jnas study`."""

import argparse
import contextlib
import functools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jnas.commands._processes import say, take_share
from jnas.commands._study_work import carry_out_and_tell
from jnas.io._compilation_cache import use_compilation_cache
from jnas.io._text import aligned, counted, filled, listed
from jnas.searchers import _registry, at_fidelity
from jnas.searchers._benchmarks import BENCHMARKS, find_benchmark
from jnas.searchers._goals import COMPARED_FOR_SEVERAL, Goals, make_for
from jnas.searchers._settings import naming, read_settings, read_spec, settings_text
from jnas.spaces._registry import get, up_to_vertices
from jnas.spaces._subset import subset
from jnas.studies._settings import study_arguments
from jnas.studies.search._plan import SearchPlan, plan_search_study
from jnas.studies.search._settings import SEARCH_SETTINGS
from jnas.studies.search._study import carry_out_search
from jnas.studies.search._text import runs_without_results, search_results_text
from jnas.tables._file import member
from jnas.tables._in_space import table_in_space
from jnas.tables._known_part import known_part, known_share
from jnas.tables._load import load_table
from jnas.tables._reachable import reachable_part
from jnas.tables._runs import check_seed, has_times
from jnas.tables._scored_space import scored_space
from jnas.tables._table import Table
from jnas.tables._targets import judging_column


def run_study(options: argparse.Namespace) -> None:
    """Runs `jnas study`."""
    if options.searchers == ("help",):
        print(_searchers_text())
        return
    use_compilation_cache()
    take_share(options)
    table = _searched_table(options)
    dataset = options.dataset or default_dataset(table)
    epochs = options.epochs or default_epochs(table, dataset, options.split)
    check_split(table, dataset, options.split, epochs)
    for number in epochs:
        check_seed(table, *table.resolve(dataset, options.split), number, options.reward, "reward")
    searched = {"dataset": dataset, "split": options.split, "epochs": epochs, "at": options.at, "seed": options.reward}
    space, among = table.space, options.among or ("known" if known_share(table, **searched) < 0.5 else "all")
    if among == "known":
        part = known_part(table, **searched)
        space = space if part is table else subset(space, part.archs)
        table = part
    limits = _limits(options, table, dataset, epochs)
    goals = _goals(options, table, searched)
    searchers, widths = _make_searchers(options.searchers, scored_space(table, space), options.at or epochs, goals)
    asked = {**study_arguments(SEARCH_SETTINGS, options), "dataset": dataset, "epochs": epochs, **limits}
    plan = plan_search_study(searchers, table, **asked, targets=options.targets, chunk=widths, command=options.command)
    plan = plan._replace(reachable=_reachable(plan))
    told = [plan.config["table_name"], dataset, *plan.config["epochs"], plan.config["num_seeds"]]
    told += [*(options.objectives or ()), *(f"{name}-{bound:g}" for name, bound in (options.at_most or {}).items())]
    carry_out = functools.partial(carry_out_search, table=table)
    files = ("summary.csv", "report.html")
    results = carry_out_and_tell(options, "study", plan, told, carry_out, search_results_text, files)
    _complain_of_nothing(results)


def _goals(options: argparse.Namespace, table: Table, searched: Mapping[str, Any]) -> Goals:
    """Returns what searchers are made for: how many objectives, and where scores lie if there are constraints."""
    if options.at_most is None:
        return Goals(len(options.objectives or ("accuracy",)))
    runs = table.searched_runs("accuracy", **searched)
    scores = table.metric.sign * np.concatenate([np.ravel(r.value) for r in runs])
    scores = scores[np.isfinite(scores)]
    lowest = float(scores.min(initial=0.0 if not len(scores) else np.inf))
    return Goals(len(options.objectives or ("accuracy",)), lowest, float(np.ptp(scores)) or 1.0)


def _reachable(plan: SearchPlan) -> dict[str, list[float]]:
    """Returns what the released encodings of a study's searchers can express of its table, by searcher."""
    found, space = {}, plan.table.space.name
    dataset, split, epochs = plan.targets[judging_column(plan.targets, plan.config["dataset"])]
    for name in plan.searchers:
        kind, _, given = read_spec(name)
        usual = find_benchmark(space).settings.get(kind, {}).get("reachable")
        if given.get("reachable", usual) == "released":
            sampler = kind.removesuffix("_controller")
            with contextlib.suppress(ValueError):  # the table knows none of these cells
                part = reachable_part(plan.table, sampler, dataset=dataset, split=split, epochs=epochs)
                found[name] = [float(number) for number in part]
    return found


def _searched_table(options: argparse.Namespace) -> Table:
    """Returns the table, read for another space or a part of its own where that is asked for."""
    table, partly = load_table(options.table), options.among == "known"
    if options.space is not None and options.space != table.space.name:
        chosen = get(options.space) if options.vertices is None else up_to_vertices(options.space, options.vertices)
        return table_in_space(table, chosen, partly=partly)
    if options.vertices is None:
        return table
    return table_in_space(table, up_to_vertices(table.space.name, options.vertices), partly=partly)


def _complain_of_nothing(results: Any) -> None:
    """Says on standard error which runs found nothing; ValueError where that is all of a searcher's."""
    sentences, all_of_one = runs_without_results(results)
    if all_of_one:
        raise ValueError("; ".join(sentences))
    for sentence in sentences:
        print(f"jnas: warning: {sentence}", file=sys.stderr, flush=True)


def _limits(options: argparse.Namespace, table: Any, dataset: str, epochs: Sequence[int]) -> dict[str, Any]:
    """Returns when a search ends: what was asked for, or the defaults of the table."""
    limits = {"budget_seconds": options.budget_seconds, "max_evaluations": options.max_evaluations}
    if options.objective is not None:  # a score costs nothing
        limits["max_evaluations"] = options.max_evaluations or 100
    elif limits == {"budget_seconds": None, "max_evaluations": None}:
        limits |= _default_limit(table, dataset, options.split, epochs)
    elif options.budget_seconds is not None and not _has_costs(table, dataset, options.split, epochs):
        where = f"{dataset} with {' and '.join(map(str, epochs))} epochs"
        raise ValueError(
            f"this table has no times for {where}, so that --budget-seconds has no meaning; give --max-evaluations N"
        )
    budget_alone = limits["max_evaluations"] is None and limits["budget_seconds"] is not None
    if budget_alone and len(epochs) > 1 and find_benchmark(table.space.name).all_epochs:
        # The cheapest architecture would allow for many times more, and time and memory go with it. No searcher comes
        # near: those of one fidelity use the most epochs here, the others make about half as many as this.
        ends = [table.runs("accuracy", dataset, options.split, e, options.reward) for e in (epochs[0], epochs[-1])]
        costs = [float(np.nanmean(runs.train_seconds + runs.eval_seconds)) for runs in ends]
        paid = options.workers * limits["budget_seconds"] / math.sqrt(math.prod(costs))
        limits["max_evaluations"] = max(100, math.ceil(2 * paid))
    return limits


def default_dataset(table: Any) -> str:
    """Returns the data set of a table on which studies run unless told otherwise."""
    known = [*table.header.pairs, *(t.dataset for t in table.header.trainings)]
    return "cifar10" if "cifar10" in known else str(known[0])


def default_epochs(table: Any, dataset: str, split: str) -> tuple[int, ...]:
    """Returns the trainings on which studies run unless told otherwise, by their numbers of epochs."""
    published, split = table.resolve(dataset, split)
    known = sorted(t.epochs for t in table.header.trainings if t.dataset == published)
    if find_benchmark(table.space.name).all_epochs:
        return tuple(e for e in known if _holds(table, published, e, split)) or tuple(known)
    return (12,) if 12 in known or not known else (known[0],)


def _holds(table: Any, dataset: str, epochs: int, split: str) -> bool:
    return bool({member(kind, dataset, epochs, split) for kind in ("accuracy", "accuracy_mean")} & table.names)


def _default_limit(table: Any, dataset: str, split: str, epochs: Sequence[int]) -> dict[str, Any]:
    row = find_benchmark(table.space.name)
    holds = row.budget_datasets is None or dataset in row.budget_datasets
    published, _ = table.resolve(dataset, split)
    timed = _has_costs(table, dataset, split, epochs) and all(has_times(table, published, e) for e in epochs)
    if timed and row.budget_seconds is not None and holds:
        return {"budget_seconds": row.budget_seconds}
    return {"max_evaluations": 100}


def check_split(table: Any, dataset: str, split: str, epochs: Sequence[int]) -> None:
    """Raises ValueError, with what to give instead, where a table has nothing of trainings on a split but on others."""
    published, known = table.resolve(dataset, split)
    kinds = ("accuracy", "accuracy_mean", "accuracy_at", "accuracy_curve")
    for number in epochs:
        places = (name.split("/") for name in table.names)
        there = sorted({p[3] for p in places if p[0] in kinds and p[1:3] == [published, str(number)]})
        if there and known not in there:
            raise ValueError(
                f"this table has no {split} {table.metric.name} of {dataset} with {counted(number, 'epoch')}; give "
                f"{' or '.join(f'--split {name}' for name in there)}"
            )


def _has_costs(table: Any, dataset: str, split: str, epochs: Sequence[int]) -> bool:
    """Returns whether these trainings cost anything in the table; raises ValueError where it has no such training."""
    published, _ = table.resolve(dataset, split)
    trainings = [table.training(published, e) for e in epochs]
    times = [table.read(member("train_seconds", t.dataset, t.epochs)) for t in trainings]
    return all(found is not None and bool((found > 0).any()) for found in times)


def _make_searchers(
    wanted: Sequence[str] | None, space: Any, epochs: Sequence[int], goals: Goals
) -> tuple[dict[str, Any], dict[str, int]]:
    """Returns the searchers by name, and the most seeds of each in one program."""
    row = find_benchmark(space.name)
    asked = _registry.compared(len(epochs), space.name) if wanted is None else wanted
    if wanted is None and goals.num_objectives > 1:
        asked = COMPARED_FOR_SEVERAL
    if wanted is None and not row.all_epochs:
        asked = _with_lowest(asked, epochs)
    fitting = _registry.names(space=space)
    everything = _with_lowest(fitting, epochs)
    if "all" in asked and (missing := [n for n in _registry.names() if n not in fitting]):
        say(f"note: without {listed(missing)}: {_lacking(space, missing)}")
    searchers, widths = {}, {}
    for name in dict.fromkeys(n for word in asked for n in (everything if word == "all" else (word,))):
        kind, level, given = read_spec(name)
        known = _registry.entry(kind)
        settings = read_settings(f"the searcher {kind}", (*known.reads, *goals.reads(known)), given)
        if known.needs not in (None, *space.feature_names):
            raise ValueError(f"{name} cannot search here: {_lacking(space, [kind])}; leave it out of --searchers")
        if level is not None and level not in map(str, epochs):
            named = ", ".join(map(str, epochs))
            raise ValueError(f"{name} names the epochs {level!r}, expected one of those of the study: {named}")
        # A method of one fidelity uses the fewest epochs, or the most where it shares a figure with the others.
        alone = len(epochs) - 1 if row.all_epochs and not known.multi_fidelity else 0
        place = alone if level is None else list(map(str, epochs)).index(level)
        whole = known.multi_fidelity and level is None
        budgets = tuple(map(float, epochs if whole else (epochs[place],)))
        with naming(name):
            made = make_for(goals, kind, space, budgets, **settings)
        searchers[name] = made if whole else at_fidelity(made, place)
        widths[name] = 500 if known.quick else 100
    return searchers, widths


def _lacking(space: Any, names: Sequence[str]) -> str:
    """Returns that a space lacks the features that some searchers read."""
    needed = dict.fromkeys(str(_registry.entry(name).needs) for name in names)
    return f"the space {space.name} has no features {listed(list(needed))}"


def _with_lowest(names: Sequence[str], epochs: Sequence[int]) -> list[str]:
    """Returns the names, and after those that use several fidelities `NAME@E`: the same on the lowest alone."""
    found = []
    for name in names:
        known = _registry.entry(name)
        alone = len(epochs) > 1 and known.multi_fidelity and not known.random_at_one
        found += [name, f"{name}@{epochs[0]}"] if alone else [name]
    return found


def _searchers_text() -> str:
    """Returns the searchers, a line each."""
    lines = aligned([(name, _registry.entry(name).description) for name in _registry.names()], "ll")
    told = [
        "optuna:NAME is any sampler of Optuna, such as optuna:TPESampler or optuna:TPESampler:n_startup_trials=20",
        f"without --searchers, on one training: {', '.join(_registry.compared(1))}",
        f"with several --epochs or --at: {', '.join(_registry.compared(2))}",
        *(
            f"on {row.title}, with several: {', '.join(row.compared)}"
            for row in BENCHMARKS.rows.values()
            if row.compared != _registry.compared(2)
        ),
    ]
    settings = settings_text({name: _registry.entry(name).reads for name in _registry.names()})
    return "\n".join([*lines, "", *map(filled, told), "", *settings])
