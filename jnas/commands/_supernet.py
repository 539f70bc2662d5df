"""The command `jnas supernet`."""

import argparse
import inspect
import json
from typing import Any, NamedTuple

import numpy as np

from jnas.commands._from_scratch import carry_out_with, check_trainable, scratch_recipe
from jnas.commands._study_work import carry_out_and_tell
from jnas.commands._training_setup import (
    count_cores,
    make_dataset,
    prepare_devices,
    show_recipes,
    with_share,
)
from jnas.core._registry import DEFAULT_SPACE
from jnas.io._run_log import check_log
from jnas.io._text import aligned
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers._settings import read_spec, settings_text
from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names
from jnas.studies._settings import study_arguments
from jnas.studies.supernets._other_ends import read_selection
from jnas.studies.supernets._plan import plan_supernet_study, supernet_methods
from jnas.studies.supernets._settings import LOOK_SETTINGS, SUPERNET_SETTINGS
from jnas.studies.supernets._study import carry_out_supernets
from jnas.studies.supernets._text import supernet_results_text
from jnas.tables._load import load_table
from jnas.tables._table import Table
from jnas.tables._targets import judging_targets, target_columns
from jnas.training._recipe import BatchNormPolicy, get_recipe
from jnas.training.data._text_sources import needs_no_files
from jnas.training.networks._families import FAMILIES, make_supernet, space_of

_ONE_SHOT = 1000
_SMALL_POOL = 100  # cells of a table that cost little to rank at each look


class _Quick(NamedTuple):
    """What is less than published where a data set is for a first look; None for as published."""

    epochs: int | None = None
    batch_size: int | None = None
    controller_steps: int | None = None


_QUICK_DIGITS, _QUICK_TEXT, _PUBLISHED = _Quick(50), _Quick(10, 32, 50), _Quick()
_POLICIES: tuple[BatchNormPolicy, ...] = ("batch", "running", "reestimated")


def run_supernet(options: argparse.Namespace) -> None:
    """Runs `jnas supernet`."""
    if options.methods == ("help",):
        print(_methods_text(options.space))
        return
    if options.from_scratch == "help":
        show_recipes(argparse.Namespace(recipe="help"))
        return
    check_log(options.log)
    names = _method_names(options.methods, options.space)
    if FAMILIES.entry(options.space).text:
        _refuse_sizes_of_images(options)
    prepare_devices(options, most=_devices(options))
    dataset = with_share(make_dataset(options), options.train_share, options)
    recipe, selection = scratch_recipe(options, dataset), read_selection(options.select)
    on_digits = options.dataset == "digits"
    quick = _QUICK_DIGITS if on_digits else _QUICK_TEXT if needs_no_files(options.dataset) else _PUBLISHED
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
        epochs=options.epochs or quick.epochs,
        batch_size=options.batch_size or quick.batch_size,
        selection=_selection(options),
        controller_steps=options.controller_steps or (quick.controller_steps if _has_controller(names) else None),
    )
    asked = study_arguments((*SUPERNET_SETTINGS, *LOOK_SETTINGS), options) | {"one_shot": _one_shot(options, table)}
    if FAMILIES.entry(options.space).text and table is not None and not options.pool:
        asked["pool"] = _small_pool(table)
    asked |= {"split": None, "batch_norms": _POLICIES, "sizes": sizes, "command": options.command}
    plan = plan_supernet_study(methods, net, dataset, table=table, **asked)._replace(log=options.log)
    told = [*plan.config["methods"], plan.config["dataset"], plan.config["num_seeds"]]
    more = [*(["one_shot.csv"] if plan.config["one_shot"] else []), *(["random_search.csv"] if plan.targets else [])]
    more += ["ranking.csv"] if plan.config["one_shot"] or plan.config.get("pool") else []
    more += [] if recipe is None else ["from_scratch.csv", "from_scratch_cells.csv"]
    more += [] if selection is None else ["selected.csv"]
    files = ("summary.csv", "epochs.csv", *more, "report.html")
    carry_out = carry_out_with(options, recipe, carry_out_supernets, selection)
    carry_out_and_tell(options, "supernet", plan, told, carry_out, supernet_results_text, files)


def _sizes(options: argparse.Namespace, table: Table | None) -> dict[str, Any]:
    """Returns the supernet's sizes: those asked for, else on the digits those of networks there, else as published."""
    family = FAMILIES.entry(options.space)
    channels, cells = family.searched
    if family.text:
        return _text_sizes(options, table)
    if options.nodes is not None:
        space_of(options.space, options.nodes)
    if options.dataset == "digits":
        recipe = get_recipe(family.recipes[0])
        channels, cells = recipe.channels, recipe.cells
    sizes = {"channels": options.channels or channels, "cells": options.cells or cells}
    vertices = options.vertices
    if vertices is None and family.by_vertices and table is not None and table.space.name == family.name:
        vertices = json.loads(table.space.config).get("max_vertices")  # of a table of few vertices, those
    more = {"vertices": vertices, "operations": options.operations}
    return sizes | {name: value for name, value in more.items() if value is not None}


def _refuse_sizes_of_images(options: argparse.Namespace) -> None:
    """Raises a ValueError where an option of images is given for a text."""
    for name in ("cells", "vertices", "operations", "train_share"):
        if getattr(options, name) is not None:
            flag = name.replace("_", "-")
            raise ValueError(
                f"--{flag} is {getattr(options, name)}, which supernets of {options.space} do not have; leave it out"
            )


def _text_sizes(options: argparse.Namespace, table: Table | None) -> dict[str, Any]:
    """Returns the sizes of a supernet of language models: units and nodes of a cell."""
    family = FAMILIES.entry(options.space)
    assert family.search_recipes is not None
    channels = get_recipe(family.search_recipes[0]).channels if needs_no_files(options.dataset) else family.searched[0]
    nodes = options.nodes
    if nodes is None and table is not None and table.space.name == family.name:
        nodes = json.loads(table.space.config).get("num_nodes")
    return {"channels": options.channels or channels} | ({} if nodes is None else {"nodes": nodes})


def _small_pool(table: Table) -> int:
    """Returns how many cells to rank at each look where nobody says: those that the table knows, if they are few."""
    targets = judging_targets(table)
    known = min(int(np.isfinite(column).sum()) for column in target_columns(table, targets))
    return known if known <= _SMALL_POOL else 0


def _has_controller(names: list[str]) -> bool:
    factories = (weight_sharing_entry(read_spec(name).name).factory for name in names)
    return any("controller_steps" in inspect.signature(factory).parameters for factory in factories)


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
