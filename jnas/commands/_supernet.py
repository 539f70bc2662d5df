"""The command `jnas supernet`."""

import argparse
import json
from typing import Any

from jnas.commands._from_scratch import carry_out_with, check_trainable, scratch_recipe
from jnas.commands._study_work import carry_out_and_tell
from jnas.commands._training_setup import (
    count_cores,
    make_dataset,
    prepare_devices,
    refuse_texts,
    show_recipes,
    with_share,
)
from jnas.core._registry import DEFAULT_SPACE
from jnas.io._text import aligned
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers._settings import read_spec, settings_text
from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names
from jnas.studies._settings import study_arguments
from jnas.studies.supernets._plan import plan_supernet_study, supernet_methods
from jnas.studies.supernets._settings import LOOK_SETTINGS, SUPERNET_SETTINGS
from jnas.studies.supernets._study import carry_out_supernets
from jnas.studies.supernets._text import supernet_results_text
from jnas.tables._load import load_table
from jnas.tables._table import Table
from jnas.training._recipe import BatchNormPolicy, get_recipe
from jnas.training.networks._families import FAMILIES, make_supernet

_EPOCHS_ON_DIGITS, _ONE_SHOT = 50, 1000
_POLICIES: tuple[BatchNormPolicy, ...] = ("batch", "running", "reestimated")


def run_supernet(options: argparse.Namespace) -> None:
    """Runs `jnas supernet`."""
    if options.methods == ("help",):
        print(_methods_text(options.space))
        return
    if options.from_scratch == "help":
        show_recipes(argparse.Namespace(recipe="help"))
        return
    refuse_texts(options, "jnas supernet")
    names = _method_names(options.methods, options.space)
    prepare_devices(options, most=_devices(options))
    dataset = with_share(make_dataset(options), options.train_share, options)
    recipe = scratch_recipe(options, dataset)
    on_digits = options.dataset == "digits"
    embedded = on_digits and options.space == DEFAULT_SPACE
    path = options.table or ("digits" if embedded else None)
    table = None if path is None else load_table(path)
    sizes = _sizes(options, table)
    net = make_supernet(dataset, **sizes, space=options.space, rematerialize=options.rematerialize)
    check_trainable(recipe, net.space)
    methods = supernet_methods(
        names,
        net,
        dataset,
        epochs=options.epochs or (_EPOCHS_ON_DIGITS if on_digits else None),
        batch_size=options.batch_size,
        selection=_selection(options),
        controller_steps=options.controller_steps,
    )
    asked = study_arguments((*SUPERNET_SETTINGS, *LOOK_SETTINGS), options) | {"one_shot": _one_shot(options, table)}
    asked |= {"split": None, "batch_norms": _POLICIES, "sizes": sizes, "command": options.command}
    plan = plan_supernet_study(methods, net, dataset, table=table, **asked)
    told = [*plan.config["methods"], plan.config["dataset"], plan.config["num_seeds"]]
    more = [*(["one_shot.csv"] if plan.config["one_shot"] else []), *(["random_search.csv"] if plan.targets else [])]
    more += ["ranking.csv"] if plan.config["one_shot"] or plan.config.get("pool") else []
    more += [] if recipe is None else ["from_scratch.csv", "from_scratch_cells.csv"]
    files = ("summary.csv", "epochs.csv", *more, "report.html")
    carry_out = carry_out_with(options, recipe, carry_out_supernets)
    carry_out_and_tell(options, "supernet", plan, told, carry_out, supernet_results_text, files)


def _sizes(options: argparse.Namespace, table: Table | None) -> dict[str, Any]:
    """Returns the supernet's sizes: those asked for, else on the digits those of networks there, else as published."""
    family = FAMILIES.entry(options.space)
    channels, cells = family.searched
    if options.dataset == "digits":
        recipe = get_recipe(family.recipes[0])
        channels, cells = recipe.channels, recipe.cells
    sizes = {"channels": options.channels or channels, "cells": options.cells or cells}
    vertices = options.vertices
    if vertices is None and family.by_vertices and table is not None and table.space.name == family.name:
        vertices = json.loads(table.space.config).get("max_vertices")  # of a table of few vertices, those
    more = {"vertices": vertices, "operations": options.operations}
    return sizes | {name: value for name, value in more.items() if value is not None}


def _method_names(wanted: tuple[str, ...], space: str) -> list[str]:
    compared = find_benchmark(space).shared
    names = list(dict.fromkeys(n for word in wanted for n in (compared if word == "all" else (word,))))
    for name in names:
        weight_sharing_entry(read_spec(name).name)
    return names


def _devices(options: argparse.Namespace) -> int | None:
    """Returns among how many CPU devices seeds are divided: no more than it takes for the fewest seeds on each.

    None for all that there are, where more than seeds is to be divided.
    """
    seeds = -(-options.num_seeds // (options.num_processes or 1))
    return None if options.from_scratch else -(-seeds // -(-seeds // count_cores()))


def _selection(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what is to be changed of how candidates are compared."""
    asked = {field: getattr(options, field) for field in ("comparison", "num_candidates", "batch_norm")}
    return {field: value for field, value in asked.items() if value is not None}


def _one_shot(options: argparse.Namespace, table: Any) -> Any:
    if options.one_shot is not None:
        return options.one_shot
    return 0 if table is None else _ONE_SHOT


def _methods_text(space: str) -> str:
    """Returns the methods, a line each, as they were published for a space."""
    entries = [weight_sharing_entry(name, space) for name in weight_sharing_names()]
    rows = [(e.name, f"{e.epochs} epochs, batches of {e.batch_size}", e.description) for e in entries]
    told = "epochs and batches are those that they were published with"
    settings = settings_text({e.name: e.factory for e in entries})
    return "\n".join([*aligned(rows, "lll"), "", told, "", *settings])
