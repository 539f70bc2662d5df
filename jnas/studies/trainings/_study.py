"""A study of searches by real trainings: searchers times seeds on a data set, in a folder from which it goes on."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jnas.core._folder import config_digest
from jnas.core._versions import SAME
from jnas.core._vocabulary import Network, Searcher
from jnas.io._text import counted
from jnas.studies import _engine
from jnas.studies.search._front_numbers import fronts_csv
from jnas.studies.search._objectives import bounds_told
from jnas.studies.search._results import Chunk, as_result, load_whole, save_traces, traces_file_name
from jnas.studies.search._text import search_results_text, search_summary_csv
from jnas.studies.trainings._files import FOLDER, all_trainings, searches_path
from jnas.studies.trainings._pace import estimate
from jnas.studies.trainings._plan import TrainingSearchPlan, plan_training_search
from jnas.studies.trainings._results import TrainingSearch, as_searches, curves_csv, evaluations_csv
from jnas.studies.trainings._run import begin_trainings, train_proposals
from jnas.tables._metric import metric_of
from jnas.tables._targets import Target
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset

_SAME = ("jnas", "numpy", *SAME)  # where a study goes on


def training_search(
    searchers: Mapping[str, Searcher],
    network: Network,
    dataset: Dataset | TextDataset,
    recipe: Recipe,
    *,
    out: str | os.PathLike[str],
    max_evaluations: int = 100,
    num_seeds: int = 3,
    root_seed: int = 0,
    training_seed: int = 0,
    last_epochs: int | None = None,
    workers: int = 1,
    chunk_size: int | None = None,
    start_from: str | os.PathLike[str] | None = None,
    command: str | None = None,
    log: Callable[[str], None] | None = None,
    objectives: Sequence[str] | None = None,
    at_most: Mapping[str, float] | None = None,
) -> TrainingSearch:
    """Returns what searchers find where every evaluation is a real training.

    All seeds of a searcher go on side by side: what they propose is trained together, as programs over the devices,
    and an architecture that several of them ask for, or several searchers, is trained once. Every training has the same
    seed, so an architecture has one score, whoever asks, and a searcher's searches do not depend on the others.

    Args:
      searchers: By the names under which they are to appear, all of `network.space` and of one fidelity.
      network: What is trained, of the form `'switch'` or `'mixture'`.
      dataset: On what; its validation split is what searchers see.
      recipe: How.
      out: The folder for trainings, results and report. A study that was stopped there goes on, to the same results.
      max_evaluations: Of each search.
      num_seeds: Searches of each searcher.
      root_seed: From which, with the searcher's name and the number of the search, its PRNG key comes.
      training_seed: Of every training.
      last_epochs: The score is the mean of the validation accuracies after so many last epochs, of texts minus that
        of perplexities; by default as many as the recipe says, or one.
      workers: Trainings that each search has under way at once; it is told of each as it ends (`Searcher.ask_beside`),
        in the order of the seconds that they took, which the folder keeps. Each runs on one local device, the next on
        whichever is free. With one worker all that is asked for is trained together, and trainings have no clock.
      chunk_size: Candidates in one program; by default one for each device where networks branch, so that all searchers
        share a program, and otherwise as many as a searcher's seeds propose at first.
      start_from: The folder of another such study, whose trainings are taken over where they are of the same networks,
        images, recipe and seed; what searches find stays the same.
      command: The command line that does the same, for the report.
      log: Called with lines about what is to be done.
      objectives: Several to search for: the metric (`'accuracy'`, of texts `'perplexity'`) first, then `'parameters'`
        and `'flops'` (multiply-adds), both in millions, or `'train_seconds'` of an epoch with its evaluations, as
        measured; with `=max` behind it higher is better. The searchers are to be made for as many (`num_objectives`,
        `jnas.searchers.scalarized`). What depends on `'train_seconds'` has each network trained by itself, and follows
        from the times that the folder keeps.
      at_most: Bounds of the same names. What violates one never wins; what violates one of parameters or multiply-adds
        is not trained, unless for a searcher with `constraint='filter'`, and counts as an evaluation without a score.
        `jnas.searchers.constrained` makes any searcher know them.

    Raises:
      ValueError: An argument is out of range, the networks do not learn such data, or the folder holds another study.
      TypeError: `searchers` is no mapping of names to searchers.
      OSError: The folder cannot be written.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021,
      Section 5 (on DARTS's space 100 trainings of 50 epochs, the score the mean of the last five).
    """
    plan = plan_training_search(
        searchers,
        network,
        dataset,
        recipe,
        max_evaluations=max_evaluations,
        num_seeds=num_seeds,
        root_seed=root_seed,
        training_seed=training_seed,
        last_epochs=last_epochs,
        workers=workers,
        chunk_size=chunk_size,
        start_from=start_from,
        command=command,
        objectives=objectives,
        at_most=at_most,
    )
    return carry_out_training_search(plan, out=out, log=log)


def carry_out_training_search(
    plan: TrainingSearchPlan, *, out: str | os.PathLike[str], log: Callable[[str], None] | None
) -> TrainingSearch:
    """Returns the results of a plan; arguments and errors are those of `training_search`."""
    study: TrainingSearch = _engine.carry_out(KIND, plan, out, log)
    return study


def training_search_text(study: TrainingSearch) -> str:
    """Returns mean and standard deviation of every searcher, as lines."""
    return search_results_text(as_searches(study))


def _headline(plan: TrainingSearchPlan) -> str:
    config = plan.config
    last = "" if config["last_epochs"] == 1 else f", mean of the last {config['last_epochs']}"
    by_workers = f" by {counted(config['workers'], 'worker')}" if "workers" in config else ""
    width = f"{plan.recipe.channels} {'units' if plan.recipe.text else 'channels'}"
    more = "".join(f", {words}" for words in (*config.get("objectives", ())[1:], *bounds_told(config)))
    return (
        f"{counted(len(plan.searchers), 'searcher')} x {counted(config['num_seeds'], 'seed')} in "
        f"{plan.network.space.name}: {config['dataset']} validation {metric_of(config).name} after "
        f"{counted(plan.recipe.epochs, 'epoch')} of training{last}{more} (recipe "
        f"{plan.recipe.name}: {width}, batches of {plan.recipe.batch_size}), "
        f"{counted(config['max_evaluations'], 'evaluation')}{by_workers}"
    )


def _collect(
    said: Mapping[str, Any], found: Mapping[str, Chunk], folder: Path | None, plan: TrainingSearchPlan | None
) -> TrainingSearch:
    config = said["config"]
    assert folder is not None
    targets = tuple(Target(config["dataset"], role, int(config["epochs"][0])) for role in config["splits"])
    searchers = tuple(as_result(name, chunk) for name, chunk in found.items())
    identity = {**FOLDER.header, "study": config_digest(config)}
    trainings = all_trainings(folder, config["searchers"], identity, config)
    return TrainingSearch(config, dict(said["versions"]), targets, searchers, trainings)


def _save(path: Path, chunk: Chunk, identity: Mapping[str, Any]) -> None:
    save_traces(path, chunk, identity)
    searches_path(path.parent.parent, identity["searcher"]).unlink(missing_ok=True)


def _page(study: TrainingSearch) -> str:
    from jnas.studies.search._report import search_report  # it brings matplotlib, which is needed at the end alone

    return search_report([as_searches(study)])


KIND = _engine.Kind(
    folder=FOLDER,
    results=TrainingSearch,
    headline=_headline,
    parts=lambda config: tuple(map(str, config["searchers"])),
    file_name=traces_file_name,
    identity=lambda work, name: {"searcher": name},
    estimate=estimate,
    begin=begin_trainings,
    run=train_proposals,
    save=_save,
    load=load_whole,
    collect=_collect,
    outputs={
        "summary.csv": lambda study: search_summary_csv(as_searches(study)),
        "fronts.csv": lambda study: fronts_csv(as_searches(study)),
        "evaluations.csv": evaluations_csv,
        "curves.csv": curves_csv,
        "report.html": _page,
    },
    same=_SAME,
    as_search=as_searches,
    together=True,
)
