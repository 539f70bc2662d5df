"""The command `jnas search`."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jnas.commands._processes import say
from jnas.commands._study_work import carry_out_and_tell
from jnas.commands._training_setup import (
    divide_as,
    make_dataset,
    make_recipe,
    prepare_devices,
    show_recipes,
)
from jnas.core._version import __version__
from jnas.core._vocabulary import Searcher, Space
from jnas.io._run_log import check_log
from jnas.io._text import aligned
from jnas.searchers import _registry
from jnas.searchers._goals import Goals, make_for
from jnas.searchers._settings import naming, read_settings, read_spec, setting_names, settings_text
from jnas.studies._settings import study_arguments
from jnas.studies.search._text import runs_without_results
from jnas.studies.trainings._plan import plan_training_search
from jnas.studies.trainings._results import as_searches, as_table
from jnas.studies.trainings._settings import TRAINING_SEARCH_SETTINGS
from jnas.studies.trainings._study import carry_out_training_search, training_search_text
from jnas.tables._file import save_arrays
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import make_network, space_of


def run_search(options: argparse.Namespace) -> None:
    """Runs `jnas search`."""
    if options.searchers == ("help",):
        print(_searchers_text())
        return
    if show_recipes(options):
        return
    check_log(options.log)
    space = space_of(options.space, options.nodes)
    searchers = _make_searchers(options, space, _goals(options, 100.0))
    prepare_devices(options)
    dataset = make_dataset(options)
    if isinstance(dataset, TextDataset) and options.at_most:  # scores are perplexities, that of chance the vocabulary
        searchers = _make_searchers(options, space, _goals(options, float(dataset.num_tokens), lowest=-1.0))
    recipe = make_recipe(options, dataset)
    dataset = divide_as(dataset, recipe, options)
    how = {"space": options.space, "nodes": options.nodes, "rematerialize": options.rematerialize}
    network = make_network(dataset, recipe, options.form, **how)
    asked = study_arguments(TRAINING_SEARCH_SETTINGS, options)
    asked |= {"chunk_size": options.chunk_size, "command": options.command}
    plan = plan_training_search(searchers, network, dataset, recipe, **asked)._replace(log=options.log)
    nodes = [] if options.nodes is None else [f"{options.nodes}-nodes"]
    told = [options.space, *nodes, *searchers, plan.config["dataset"], recipe.name, plan.config["num_seeds"]]
    told += [*(options.objectives or ()), *(f"{name}-{bound:g}" for name, bound in (options.at_most or {}).items())]
    folder: list[Path] = []

    def carry_out(plan: Any, *, out: Path, log: Any) -> Any:
        study = carry_out_training_search(plan, out=out, log=log)
        source = f"trained by jnas {__version__} with recipe {recipe.name}: {options.command}"
        if jax.process_index() == 0 and study.trainings is not None:
            header, arrays = as_table(study, network, dataset, recipe, source=source)
            save_arrays(out / "table.npz", header, arrays)
        folder.append(out)
        return study

    files = ("summary.csv", "fronts.csv", "evaluations.csv", "curves.csv", "table.npz", "report.html")
    study = carry_out_and_tell(options, "search", plan, told, carry_out, training_search_text, files)
    for sentence in runs_without_results(as_searches(study), _NOTHING_FOUND)[0]:
        print(f"jnas: warning: {sentence}", file=sys.stderr, flush=True)
    if study.trainings is None:  # all that was asked for is above a bound, so that nothing needed training
        return
    same = f" --objectives {','.join(options.objectives)}" if options.objectives else ""
    same += f" --at-most {','.join(f'{n}={b:g}' for n, b in options.at_most.items())}" if options.at_most else ""
    say(f"what its trainings say of other searchers: jnas study --table {folder[0] / 'table.npz'} --among known{same}")


_ONE = Goals()
_NOTHING_FOUND = "all that they trained diverged or is above a bound; give more evaluations or larger bounds"


def _goals(options: argparse.Namespace, spread: float, lowest: float = 0.0) -> Goals:
    """Returns what searchers are made for: how many objectives, and where scores lie if there are constraints.

    Args:
      options: Of the command.
      spread: From the lowest score to the highest: percents of accuracy.
      lowest: Score, in units of `spread`.
    """
    return Goals(len(options.objectives or ("",)), lowest * spread if options.at_most else None, spread)


def _names(wanted: tuple[str, ...], space: Space) -> list[str]:
    """Returns the searchers asked for; `all` are those of one fidelity that can search the space."""
    every = [name for name in _registry.names(space=space) if not _registry.entry(name).random_at_one]
    return list(dict.fromkeys(name for word in wanted for name in (every if word == "all" else (word,))))


def _make_searchers(options: argparse.Namespace, space: Space, goals: Goals) -> dict[str, Searcher]:
    return {name: _make_searcher(name, space, options.batch, goals) for name in _names(options.searchers, space)}


def _make_searcher(text: str, space: Space, batch: int | None, goals: Goals = _ONE) -> Searcher:
    """Returns a searcher with its settings, which proposes so many architectures at once if it can."""
    name, level, given = read_spec(text)
    known = _registry.entry(name)
    if level is not None:
        raise ValueError(f"{text} names epochs, and all trainings here have the recipe's; leave @{level} out")
    if known.needs not in (None, *space.feature_names):
        raise ValueError(f"{text} cannot search here: the space {space.name} has no features {known.needs!r}")
    reads = (*known.reads, *goals.reads(known))
    settings: Mapping[str, Any] = read_settings(f"the searcher {name}", reads, given)
    if batch is not None:
        takes = setting_names(known.reads)
        sizes = [n for n in ("batch_size", "num_init") if n in takes and "batch_size" in takes and n not in settings]
        settings = {**dict.fromkeys(sizes, batch), **settings}
    with naming(text):
        return make_for(goals, name, space, (1.0,), **settings)


def _searchers_text() -> str:
    """Returns the searchers, a line each, and their settings."""
    rows = [_registry.entry(name) for name in _registry.names()]
    lines = aligned([(row.name, row.description) for row in rows], "ll")
    return "\n".join([*lines, "", *settings_text({row.name: row.reads for row in rows})])
