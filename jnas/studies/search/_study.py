"""A study: searchers times seeds on a table, in a folder from which it goes on wherever it was stopped."""

import functools
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jnas.core._checks import Overshoot
from jnas.core._vocabulary import Searcher, Space
from jnas.studies import _engine
from jnas.studies._pieces import Pieces
from jnas.studies._settings import plan_arguments
from jnas.studies.search._extend import extended
from jnas.studies.search._front_numbers import fronts_csv
from jnas.studies.search._objectives import front_of
from jnas.studies.search._plan import SearchPlan, plan_search_study
from jnas.studies.search._results import (
    FOLDER,
    Chunk,
    StudyResults,
    as_result,
    load_whole,
    traces_chunk_path,
    traces_file_name,
)
from jnas.studies.search._run import (
    begin,
    estimate_search_study,
    identity,
    run_chunk,
    run_searcher,
    save_whole,
    search_headline,
)
from jnas.studies.search._text import runs_without_results, search_summary_csv
from jnas.tables._look_ups import Seed
from jnas.tables._table import Table
from jnas.tables._targets import Target

_MOST = 500  # seeds in one program, unless the caller says otherwise


def study(
    searchers: Mapping[str, Searcher],
    table: Table,
    *,
    dataset: str,
    epochs: int | Sequence[int],
    at: int | Sequence[int] | None = None,
    split: str = "validation",
    reward: Seed = "mean",
    budget_seconds: float | None = None,
    max_evaluations: int | None = None,
    overshoot: Overshoot = "discard",
    num_seeds: int = 500,
    num_python_seeds: int = 20,
    root_seed: int = 0,
    targets: Sequence[Target | tuple[str, str, int]] | None = None,
    out: str | os.PathLike[str] | None = None,
    chunk: int | Mapping[str, int] = _MOST,
    command: str | None = None,
    log: Callable[[str], None] | None = None,
    seed: Seed | None = None,
    objective: str | None = None,
    workers: int = 1,
    objectives: Sequence[str] | None = None,
    at_most: Mapping[str, float] | None = None,
) -> StudyResults:
    """Returns what searchers find on a table over many seeds, each searcher's runs as one compiled program.

    A searcher that cannot be compiled is driven from Python, search by search, over fewer seeds. On a terminal a bar
    shows how far it is.

    Args:
      searchers: By the names under which they are to appear.
      table: What they search, and what judges the architectures that they find.
      dataset: What they search on, as in `Table.objective`.
      epochs: One training, or several (ascending) for searchers that use several fidelities.
      at: Points of one training's curve as fidelities, in epochs done, where the table has curves.
      split: As in `Table.objective`.
      reward: Which training run's accuracy a search sees: the `'mean'`, a `'random'` one each time, or a seed's name.
      budget_seconds: Simulated seconds of one search.
      max_evaluations: Evaluations of one search; this, the budget, or both are needed.
      overshoot: As in `jnas.run`.
      num_seeds: Searches of each searcher.
      num_python_seeds: Searches of a searcher that cannot be compiled, at most `num_seeds`.
      root_seed: From which, with the searcher's name and the number of the search, its PRNG key comes. More seeds
        begin with the fewer; another searcher changes nothing for the others.
      targets: The columns: triples of data set, split and epochs by which found architectures are judged (means over
        training seeds). By default validation and test of each data set at its most epochs. What is searched on
        stands before them on the page.
      out: The folder for results, summary and report. A study that was stopped there goes on, to the same results; one
        with fewer seeds or searchers that is otherwise the same is extended, and keeps its runs.
      chunk: Most seeds in one program, by searcher or for all; a study that is stopped loses at most one chunk.
      command: The command line that does the same, for the report.
      log: Called with lines about what is to be done, the estimate among them.
      seed: An older name of `reward`.
      objective: `'proxy:NAME'` to search on a score without training, a column `proxy/NAME` of the table; what was
        found is judged by accuracies all the same.
      workers: Evaluations made side by side in each search, as in `jnas.run`.
      objectives: Several to search for: the table's metric first, then columns as `Table.objective` takes them. The
        searchers are to be made for as many (`num_objectives`, `jnas.searchers.scalarized`).
      at_most: Bounds of columns, as in `Table.objective`; `jnas.searchers.constrained` makes any searcher know them.

    Returns:
      The results: for each searcher its traces and what its incumbents were worth. With `out` they are drawn as well.

    Raises:
      ValueError: An argument is out of range, the table lacks what is asked of it, a searcher is made for another
        space, or the folder holds another study.
      TypeError: `searchers` is not a mapping of names to searchers, or both `reward` and `seed` were given.
      OSError: The folder cannot be written.

    Warns:
      UserWarning: Runs of a searcher found nothing.

    Example:
      >>> accuracy = {"validation": [70, 72, 71, 74, 75, 73], "test": [69, 70, 70, 71, 74, 73]}
      >>> table = jnas.make_table(jnas.spaces.categorical((2, 3)), accuracy=accuracy)
      >>> searchers = {"random_search": jnas.searchers.random_search(table.space)}
      >>> results = jnas.study(searchers, table, dataset="data", epochs=1, max_evaluations=100, num_seeds=2)
      >>> [target.label for target in results.targets], results.searchers[0].final.tolist()
      (['data validation, 1 epoch', 'data test, 1 epoch'], [[75.0, 75.0], [74.0, 74.0]])
    """
    plan = plan_search_study(**plan_arguments(locals()))
    results = carry_out_search(plan, table, out=out, log=log)
    for sentence in runs_without_results(results)[0]:
        warnings.warn(sentence, UserWarning, stacklevel=2)
    return results


def carry_out_search(
    plan: SearchPlan,
    table: Table,
    *,
    out: str | os.PathLike[str] | None,
    log: Callable[[str], None] | None,
) -> StudyResults:
    """Returns the results of a plan; arguments and errors are those of `study`."""
    page = functools.partial(_page, space=table.space)
    kind = KIND._replace(outputs={**KIND.outputs, "report.html": page})
    if out is not None:
        plan = extended(plan, Path(out), _describe, log or (lambda line: None))
    results: StudyResults = _engine.carry_out(kind, plan, out, log)
    return results


def load_study(folder: str | os.PathLike[str]) -> StudyResults:
    """Returns the results in a study's folder: of those searchers that have finished.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is not a study's, or a file in it is damaged.
    """
    results: StudyResults = _engine.load_folder(KIND, folder)[0]
    return results


def _collect(
    said: Mapping[str, Any], found: Mapping[str, Chunk], folder: Path | None, plan: SearchPlan | None
) -> StudyResults:
    searchers = tuple(as_result(name, chunk) for name, chunk in found.items())
    seen = dict(said.get("searched", {}))  # folders of before lack it
    judged, reachable = _engine.judged_by(said), dict(said.get("reachable", {}))
    front, versions = front_of(said.get("front")), dict(said["versions"])
    return StudyResults(said["config"], versions, *judged, searchers, seen, reachable=reachable, front=front)


def _describe(plan: SearchPlan) -> dict[str, Any]:
    judged = _engine.Judged(plan.table.space.config, plan.targets, plan.references)
    more: dict[str, Any] = {"reachable": dict(plan.reachable)} if plan.reachable else {}
    more |= {} if plan.front is None else {"front": plan.front.describe()}
    return {**judged.describe(), "searched": dict(plan.searched), **more}


def _page(results: StudyResults, space: Space | None = None) -> str:
    from jnas.studies.search._report import search_report  # it brings matplotlib, which a study needs at its end alone

    return search_report([results], space=space)


KIND = _engine.Kind(
    folder=FOLDER,
    results=StudyResults,
    headline=search_headline,
    notes=lambda plan: plan.gaps,
    begin=begin,
    describe=_describe,
    parts=lambda config: tuple(map(str, config["searchers"])),
    memory=lambda plan: plan.result_bytes,
    file_name=traces_file_name,
    identity=identity,
    estimate=estimate_search_study,
    run=run_searcher,
    save=save_whole,
    load=load_whole,
    collect=_collect,
    outputs={"summary.csv": search_summary_csv, "fronts.csv": fronts_csv, "report.html": _page},
    as_search=lambda results: results,
    pieces=Pieces(
        how_many=lambda plan, name, processes: plan.num_chunks(name),
        path=lambda folder, name, piece, of: traces_chunk_path(folder, name, piece),
        run=run_chunk,
    ),
)
