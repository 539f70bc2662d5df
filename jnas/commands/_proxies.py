"""The command `jnas proxies`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from jnas.commands._processes import say
from jnas.commands._study import check_split, default_dataset
from jnas.commands._study_work import carry_out_and_tell
from jnas.commands._training_setup import make_dataset, prepare_devices
from jnas.io._atomic import check_writable
from jnas.io._text import aligned
from jnas.studies._settings import study_arguments
from jnas.studies.proxies._plan import plan_proxy_study
from jnas.studies.proxies._results import ProxyStudy
from jnas.studies.proxies._settings import PROXY_SETTINGS
from jnas.studies.proxies._study import carry_out_proxies
from jnas.studies.proxies._summary import mean_scores
from jnas.studies.proxies._text import proxy_results_text
from jnas.tables._file import EMBEDDED, member, save_arrays
from jnas.tables._load import load_table
from jnas.tables._table import Table
from jnas.training._recipe import get_recipe
from jnas.training.networks._families import FAMILIES, make_network
from jnas.training.proxies._registry import PROXIES, proxy_names


def run_proxies(options: argparse.Namespace) -> None:
    """Runs `jnas proxies`."""
    if options.proxies == ("help",):
        print(_proxies_text())
        return
    if options.out_table:
        check_writable(Path(options.out_table))
    prepare_devices(options)
    table = load_table(options.table)
    family = FAMILIES.entry(table.space.name)
    if family.text or family.network is None:
        raise ValueError(f"the table is of {family.name}, whose networks are not scored; give a table of images' cells")
    options.space = family.name
    options.dataset = options.dataset or default_dataset(table)
    epochs = options.epochs or _longest(table, options.dataset, options.split)
    check_split(table, options.dataset, options.split, (epochs,))
    images = make_dataset(options)
    recipe = get_recipe(family.recipes[0 if options.dataset == EMBEDDED else 1])
    sizes = {"channels": options.channels or recipe.channels, "cells": options.stage_cells or recipe.cells}
    network = make_network(images, get_recipe(recipe.name, **sizes), space=family.name)
    names = _names(options.proxies or ("all",), proxy_names(network))
    asked = {**study_arguments(PROXY_SETTINGS, options), "epochs": epochs, "sizes": sizes}
    plan = plan_proxy_study(names, network, images, table, **asked, command=options.command)
    told = [plan.config["table_name"], options.dataset, epochs, plan.config["num_cells"], plan.config["num_seeds"]]
    files = ("scores.csv", "summary.csv", "report.html")
    study = carry_out_and_tell(options, "proxies", plan, told, carry_out_proxies, proxy_results_text, files)
    if options.out_table and jax.process_index() == 0:
        save_with_scores(options.out_table, table, study)
        say(f"table: {options.out_table}")


def _longest(table: Table, dataset: str, split: str) -> int:
    """Returns the number of epochs of the longest training on a data set; 1, for the error, where there is none."""
    published, _ = table.resolve(dataset, split)
    return max((t.epochs for t in table.header.trainings if t.dataset == published), default=1)


def save_with_scores(path: str, table: Table, study: ProxyStudy) -> None:
    """Writes a table file that has scores beside what it had, as members `proxy/NAME`: means over seeds.

    Args:
      path: Where.
      table: Of whose cells they are.
      study: Which scored some of them; the others have NaN.
    """
    arrays = {name: array for name in table.names if (array := table.read(name)) is not None}
    for name, values in mean_scores(study).items():
        column = np.full(table.num_archs, np.nan, np.float32)
        column[study.cells.rows] = values
        arrays[member("proxy", name)] = column
    config = study.config
    note = (
        f"proxy/...: scores without training of {config['num_cells']:,} cells, means over {config['num_seeds']} draws "
        f"of weights and batches of {config['batch_size']} images of {config['images']}"
    )
    save_arrays(path, table.header._replace(notes=(*table.header.notes, note)), {"archs": table.archs, **arrays})


def _names(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for word in wanted for name in (known if word == "all" else (word,))))


def _proxies_text() -> str:
    """Returns the scores, a few lines each."""
    rows = [(row.name, row.words) for row in PROXIES.rows.values()]
    released = [(row.name, row.released) for row in PROXIES.rows.values() if row.released]
    sources = [(row.name, row.source) for row in PROXIES.rows.values() if row.source]
    return "\n".join(
        [
            *aligned(rows, "ll"),
            "",
            "higher scores are said to be better cells, by all of them",
            "",
            "what the released code does beyond the paper, and so does the score of that name:",
            *aligned(released, "ll"),
            "",
            "sources:",
            *aligned(sources, "ll"),
        ]
    )
