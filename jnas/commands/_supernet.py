"""The command `jnas supernet`. Imports that take long stand in the functions that need them."""

import argparse
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnas.commands._training_setup import make_dataset, prepare_devices
from jnas.core._registry import DEFAULT_SPACE

if TYPE_CHECKING:
    from jnas.training._recipe import BatchNormPolicy

_DIGITS = {"channels": 4, "cells": 3, "epochs": 50, "one_shot": 1000}  # sizes of the embedded table's networks
_PUBLISHED = {"channels": 16, "cells": 5}
_POLICIES: "tuple[BatchNormPolicy, ...]" = ("batch", "running", "reestimated")


def add_supernet_options(parser: Any, names: Callable[[str], Any], positive: Any, natural: Any) -> None:
    """Adds the options of `jnas supernet`; the last three are the types of words."""

    def cells(text: str) -> Any:
        return text if text == "all" else natural(text)

    # One process, as many CPU devices as seeds can be divided among.
    parser.set_defaults(coordinator=None, num_processes=None, process_id=None, distributed=False)
    add = parser.add_argument
    add("methods", metavar="METHOD,METHOD", type=names, help="which searches, or `all`; `help` says what they are")
    add("--seeds", metavar="K", type=positive, default=3, help="searches of each method (default 3)")
    add("--seed", metavar="K", type=natural, default=0, help="root of all random numbers (default 0)")
    add(
        "--epochs",
        metavar="N",
        type=positive,
        help="epochs of all methods (default: 50 on the digits, else as published: 50 of DARTS, 250 of the others)",
    )
    add("--out", metavar="DIR", help="the study's folder (default: a folder in jnas-supernet/ named after the study)")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset", metavar="NAME", default="digits", help="as for `jnas train` (default digits, needs no files)"
    )
    data.add_argument("--data-dir", metavar="DIR", help="where its files lie (default: that of tensorflow-datasets)")
    data.add_argument("--split-seed", metavar="K", type=natural, default=0, help="of random splits (default 0)")
    data.add_argument("--image-size", metavar="PIXELS", type=positive, help="make images smaller, by averaging")
    data.add_argument("--train-images", metavar="N", type=positive, help="train on so many, with equal classes")
    data.add_argument("--eval-images", metavar="N", type=positive, help="keep so many of each other split")
    net = parser.add_argument_group("supernet and searches")
    net.add_argument("--space", metavar="NAME", default=DEFAULT_SPACE, help=f"whose supernet (default {DEFAULT_SPACE})")
    net.add_argument("--channels", metavar="N", type=positive, help="of the first stage (default 16; digits 4)")
    net.add_argument("--cells", metavar="N", type=positive, help="in each stage (default 5; digits 3)")
    net.add_argument("--batch-size", metavar="N", type=positive, help="images in a batch (default: as published)")
    net.add_argument(
        "--controller-steps",
        metavar="N",
        type=positive,
        help="of enas in an epoch, 20 architectures each (default 50, as published)",
    )
    net.add_argument(
        "--selection",
        choices=("published", "same_batches"),
        help="what setn, enas and rsps compare their candidates on: each on the next batch of its own (published, the "
        "default), or all on the same images",
    )
    net.add_argument("--candidates", metavar="N", type=positive, help="how many these compare (default 100)")
    net.add_argument(
        "--batch-norm",
        choices=_POLICIES,
        help="what batch-norm uses where these compare: each batch's statistics (default), running estimates of the "
        "search, or estimates made anew for each candidate",
    )
    look = parser.add_argument_group("what is looked at")
    look.add_argument(
        "--table",
        metavar="T.npz",
        help="what judges the cells that are found (default: for the digits the table that comes with jnas)",
    )
    look.add_argument(
        "--look-every", metavar="N", type=positive, default=1, help="derive a cell after every N epochs (default 1)"
    )
    look.add_argument(
        "--one-shot",
        metavar="N",
        type=cells,
        help="evaluate so many cells of the table, or `all`, under the shared weights (default 1000 with a table)",
    )
    look.add_argument(
        "--hessian",
        action="store_true",
        help="the largest eigenvalue of the validation loss's Hessian in the architecture parameters, at each look",
    )


def supernet(options: argparse.Namespace) -> None:
    """Runs `jnas supernet`."""
    if options.methods == ("help",):
        print(_methods_text())
        return
    names = _method_names(options.methods)
    prepare_devices(options, most=_devices(options.seeds))
    from jnas.studies.supernets._plan import make_plan, supernet_methods
    from jnas.studies.supernets._study import carry_out
    from jnas.studies.supernets._text import results_text
    from jnas.tables._load import load_table
    from jnas.training.networks._families import make_supernet

    dataset = make_dataset(options)
    on_digits = options.dataset == "digits"
    sizes = {key: getattr(options, key) or (_DIGITS if on_digits else _PUBLISHED)[key] for key in _PUBLISHED}
    embedded = on_digits and options.space == DEFAULT_SPACE
    path = options.table or ("digits" if embedded else None)
    table = None if path is None else load_table(path)
    net = make_supernet(dataset, channels=sizes["channels"], cells=sizes["cells"], space=options.space)
    try:
        plan = make_plan(
            supernet_methods(
                names,
                net,
                dataset,
                epochs=options.epochs or (_DIGITS["epochs"] if on_digits else None),
                batch_size=options.batch_size,
                selection=_selection(options),
                controller_steps=options.controller_steps,
            ),
            net,
            dataset,
            table=table,
            split=None,
            num_seeds=options.seeds,
            root_seed=options.seed,
            look_every=options.look_every,
            hessian=options.hessian,
            one_shot=_one_shot(options, table),
            batch_norms=_POLICIES,
            sizes=sizes,
            command=shlex.join(["jnas", *options.words]),
        )
    except ValueError as error:  # in the words of the command line
        raise ValueError(_in_options(str(error))) from error
    out = Path(options.out) if options.out else _default_folder(plan.config)
    study = carry_out(plan, out=out, log=lambda line: print(line, flush=True))
    files = ("summary.csv", "epochs.csv", *(("one_shot.csv",) if study.config["one_shot"] else ()), "report.html")
    listed = "\n".join(f"{name.partition('.')[0]}: {out / name}" for name in files)
    print(f"\n{results_text(study)}\n\n{listed}")


def _method_names(wanted: tuple[str, ...]) -> list[str]:
    from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names

    names = list(dict.fromkeys(n for word in wanted for n in (weight_sharing_names() if word == "all" else (word,))))
    for name in names:
        weight_sharing_entry(name)
    return names


def _devices(seeds: int) -> int:
    """Returns among how many CPU devices seeds can be divided evenly."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, cores + 1) if seeds % n == 0)


def _selection(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what is to be changed of how candidates are compared."""
    asked = {
        "comparison": options.selection,
        "num_candidates": options.candidates,
        "batch_norm": options.batch_norm,
    }
    return {field: value for field, value in asked.items() if value is not None}


def _one_shot(options: argparse.Namespace, table: Any) -> Any:
    if options.one_shot is not None:
        return options.one_shot
    return 0 if table is None else _DIGITS["one_shot"]


def _in_options(text: str) -> str:
    """Returns a message with the options' names in place of the arguments'."""
    text = text.replace("one_shot needs a table to compare with; pass table, or one_shot=0", "--one-shot needs --table")
    text = text.replace("hessian is asked for", "--hessian is asked for")
    text = text.replace("selection is given", "--selection, --candidates or --batch-norm is given")
    text = text.replace("controller_steps is given", "--controller-steps is given")
    text = text.replace("give a smaller batch size", "give a smaller --batch-size")
    return re.sub(r"\broot_seed\b", "--seed", text)


def _methods_text() -> str:
    """Returns the methods, a line each."""
    from jnas.io._text import aligned
    from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names

    entries = [weight_sharing_entry(name) for name in weight_sharing_names()]
    rows = [(e.name, f"{e.epochs} epochs, batches of {e.batch_size}", e.description) for e in entries]
    return "\n".join([*aligned(rows, "lll"), "", "epochs and batches are those that they were published with"])


def _default_folder(config: Any) -> Path:
    """Returns a folder whose name tells studies apart, so that the same command finds its own again."""
    from jnas.studies._folder import config_digest

    told = f"{'-'.join(config['methods'])}-{config['dataset']}-{config['seeds']}"
    return Path("jnas-supernet") / f"{re.sub('[^A-Za-z0-9.]+', '-', told).strip('-')}-{config_digest(config)[:8]}"
