"""The command `jnas supernet`. Imports that take long stand in the functions that need them."""

import argparse
import os
import shlex
from typing import TYPE_CHECKING, Any

from jnas.commands._training_setup import IMAGE_SETTINGS, make_dataset, prepare_devices
from jnas.commands._words import add_command, study_folder
from jnas.core._registry import DEFAULT_SPACE
from jnas.studies._settings import DATASET, NAMES, Setting, add_settings, study_arguments
from jnas.studies.supernets._settings import LOOK_SETTINGS, NET_SETTINGS, SUPERNET_SETTINGS

if TYPE_CHECKING:
    from jnas.training._recipe import BatchNormPolicy

_SUPERNET = """\
Trains supernets of NAS-Bench-201, networks that hold the weights of all its cells, by weight-sharing searches, over
several seeds in one program, and writes a report: what the derived cells are worth by a table, whether they collapse to
skip connections, what the shared weights know. Stopped at any moment, the same command goes on, to the same results.
methods: darts-v1, darts-v2, gdas, setn, enas, rsps.
"""

_DIGITS = {"channels": 4, "cells": 3, "epochs": 50, "one_shot": 1000}  # sizes of the embedded table's networks
_PUBLISHED = {"channels": 16, "cells": 5}
_POLICIES: "tuple[BatchNormPolicy, ...]" = ("batch", "running", "reestimated")


def add_supernet(commands: Any) -> None:
    """Adds `jnas supernet`."""
    words = "search with shared weights on a data set, over several seeds"
    parser = add_command(commands, "supernet", words, run_supernet, _SUPERNET, goes_on=True)
    # One process, as many CPU devices as seeds can be divided among.
    parser.set_defaults(coordinator=None, num_processes=None, process_id=None, distributed=False)
    parser.add_argument(
        "methods",
        metavar="METHOD,METHOD",
        type=Setting("methods", NAMES).read,
        help="which searches, or `all`; `help` says what they are. `METHOD:SETTING=VALUE` changes a setting of one",
    )
    add_settings(parser, SUPERNET_SETTINGS)
    data = (DATASET.of("as for `jnas train` (default digits, needs no files)", "digits"), *IMAGE_SETTINGS)
    add_settings(parser.add_argument_group("data"), data)
    add_settings(parser.add_argument_group("supernet and searches"), NET_SETTINGS)
    add_settings(parser.add_argument_group("what is looked at"), LOOK_SETTINGS)


def run_supernet(options: argparse.Namespace) -> None:
    """Runs `jnas supernet`."""
    if options.methods == ("help",):
        print(_methods_text())
        return
    names = _method_names(options.methods)
    prepare_devices(options, most=_devices(options.num_seeds))
    from jnas.studies.supernets._plan import plan_supernet_study, supernet_methods
    from jnas.studies.supernets._study import carry_out_supernets
    from jnas.studies.supernets._text import supernet_results_text
    from jnas.tables._load import load_table
    from jnas.training.networks._families import make_supernet

    dataset = make_dataset(options)
    on_digits = options.dataset == "digits"
    sizes = {key: getattr(options, key) or (_DIGITS if on_digits else _PUBLISHED)[key] for key in _PUBLISHED}
    embedded = on_digits and options.space == DEFAULT_SPACE
    path = options.table or ("digits" if embedded else None)
    table = None if path is None else load_table(path)
    net = make_supernet(dataset, channels=sizes["channels"], cells=sizes["cells"], space=options.space)
    methods = supernet_methods(
        names,
        net,
        dataset,
        epochs=options.epochs or (_DIGITS["epochs"] if on_digits else None),
        batch_size=options.batch_size,
        selection=_selection(options),
        controller_steps=options.controller_steps,
    )
    asked = study_arguments((*SUPERNET_SETTINGS, *LOOK_SETTINGS), options) | {"one_shot": _one_shot(options, table)}
    command = shlex.join(["jnas", *options.words])
    plan = plan_supernet_study(
        methods, net, dataset, table=table, split=None, batch_norms=_POLICIES, sizes=sizes, command=command, **asked
    )
    told = [*plan.config["methods"], plan.config["dataset"], plan.config["num_seeds"]]
    out = study_folder(options, "jnas-supernet", told, plan.config)
    study = carry_out_supernets(plan, out=out, log=lambda line: print(line, flush=True))
    files = ("summary.csv", "epochs.csv", *(("one_shot.csv",) if study.config["one_shot"] else ()), "report.html")
    listed = "\n".join(f"{name.partition('.')[0]}: {out / name}" for name in files)
    print(f"\n{supernet_results_text(study)}\n\n{listed}")


def _method_names(wanted: tuple[str, ...]) -> list[str]:
    from jnas.searchers._settings import read_spec
    from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names

    names = list(dict.fromkeys(n for word in wanted for n in (weight_sharing_names() if word == "all" else (word,))))
    for name in names:
        weight_sharing_entry(read_spec(name).name)
    return names


def _devices(seeds: int) -> int:
    """Returns among how many CPU devices seeds can be divided evenly."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, cores + 1) if seeds % n == 0)


def _selection(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what is to be changed of how candidates are compared."""
    asked = {field: getattr(options, field) for field in ("comparison", "num_candidates", "batch_norm")}
    return {field: value for field, value in asked.items() if value is not None}


def _one_shot(options: argparse.Namespace, table: Any) -> Any:
    if options.one_shot is not None:
        return options.one_shot
    return 0 if table is None else _DIGITS["one_shot"]


def _methods_text() -> str:
    """Returns the methods, a line each."""
    from jnas.io._text import aligned
    from jnas.searchers._settings import settings_text
    from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names

    entries = [weight_sharing_entry(name) for name in weight_sharing_names()]
    rows = [(e.name, f"{e.epochs} epochs, batches of {e.batch_size}", e.description) for e in entries]
    told = "epochs and batches are those that they were published with"
    settings = settings_text({e.name: e.factory for e in entries})
    return "\n".join([*aligned(rows, "lll"), "", told, "", *settings])
