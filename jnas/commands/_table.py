"""The commands of `jnas table` but `build`. Imports that take long stand in the functions that need them."""

import argparse
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jnas.commands._words import add_command, add_output
from jnas.core._registry import DEFAULT_SPACE
from jnas.io._atomic import check_writable
from jnas.studies._settings import NATURAL, POSITIVE, Setting

_NUMBERS = ("accuracy/", "accuracy_mean/")  # members that say how good an architecture is
_EPOCHS, _SEED = Setting("epochs", POSITIVE), Setting("seed", NATURAL)


def add_import(commands: Any) -> None:
    """Adds `jnas table import`."""
    parser = add_command(commands, "import", "make a table from published files or from arrays")
    kinds = parser.add_subparsers(title="what to import", metavar="KIND", required=True)
    nats = add_command(kinds, "nats-bench", "NATS-Bench: its folder or file, topology or size space", import_nats)
    nats.add_argument("source", metavar="DIR", help="the folder with meta.pickle.pbz2, or the .pickle.pbz2 file")
    torch = add_command(kinds, "nas-bench-201", "NAS-Bench-201: its .pth file, v1.0 or v1.1", import_nasbench201)
    torch.add_argument("source", metavar="FILE.pth", help="the file; PyTorch is not needed")
    records = add_command(
        kinds, "nasbench101", "NAS-Bench-101: nasbench_full or nasbench_only108, or EC-NAS", import_nasbench101
    )
    records.add_argument("source", metavar="FILE.tfrecord", help="the file; TensorFlow is not needed")
    arrays = add_command(kinds, "arrays", "arrays in an .npz, with a mapping of their names", import_arrays)
    arrays.add_argument("source", metavar="FILE.npz", help="the arrays")
    spaces = "the search space: nasbench101, nasbench201 or nats_size"
    arrays.add_argument("--space", metavar="NAME", required=True, help=spaces)
    arrays.add_argument("--mapping", metavar="FILE", help="JSON that says which array is what")
    arrays.add_argument(
        "--model-seconds",
        action="store_true",
        help="nasbench101: where a training's time is not known, put what a linear model of the known ones says",
    )
    for kind in (nats, torch, records, arrays):
        add_output(kind)


def add_looks(commands: Any) -> None:
    """Adds `jnas table synthesize`, `show`, `query_table` and `report`."""
    made = add_command(commands, "synthesize", "make a table of made-up numbers, to try the commands", synthesize)
    add_output(made)
    made.add_argument(
        "--space", metavar="{nasbench201,nats_size}", default=DEFAULT_SPACE, help=f"default {DEFAULT_SPACE}"
    )
    made.add_argument("--seed", metavar="K", type=_SEED.read, default=0, help="of the made-up numbers (default 0)")
    made.add_argument("--curves", action="store_true", help="with learning curves (300 MB)")

    shown = add_command(commands, "show", "say what a table holds", show)
    shown.add_argument("table", metavar="T.npz")

    asked = add_command(commands, "query", "say all that a table holds of one architecture", query_table)
    asked.add_argument("table", metavar="T.npz")
    asked.add_argument("arch", metavar="ARCH", help="an architecture string, or an index")
    asked.add_argument("--dataset", metavar="NAME", help="trainings on this data set alone")
    asked.add_argument("--epochs", metavar="E", type=_EPOCHS.read, help="trainings of so many epochs alone")
    asked.add_argument("--at", metavar="E", type=_EPOCHS.read, help="after so many epochs, where there are curves")

    drawn = add_command(commands, "report", "draw what a table holds", report_table)
    drawn.add_argument("table", metavar="T.npz")
    drawn.add_argument("-o", "--output", metavar="FILE.html", help="the page (default: T.html beside the table)")


def import_nats(options: argparse.Namespace) -> None:
    """Runs `jnas table import nats-bench`."""
    from jnas.tables.readers._nats import nats_table

    _write_table(options, lambda progress: nats_table(options.source, processes=os.cpu_count() or 1, progress=progress))


def import_nasbench201(options: argparse.Namespace) -> None:
    """Runs `jnas table import nas-bench-201`."""
    from jnas.tables.readers._nats import nasbench201_table

    _write_table(options, lambda progress: nasbench201_table(options.source, progress=progress))


def import_nasbench101(options: argparse.Namespace) -> None:
    """Runs `jnas table import nasbench101`."""
    from jnas.tables.readers._nasbench101 import nasbench101_table

    _write_table(options, lambda progress: nasbench101_table(options.source, progress=progress))


def import_arrays(options: argparse.Namespace) -> None:
    """Runs `jnas table import arrays`."""
    from jnas import spaces
    from jnas.tables.readers._array_mapping import read_mapping
    from jnas.tables.readers._arrays import arrays_table
    from jnas.tables.readers._model_seconds import model_seconds

    space = spaces.get(options.space)
    mapping = None if options.mapping is None else read_mapping(options.mapping)

    def make(progress: Callable[[int, int], None]) -> Any:
        header, arrays = arrays_table(options.source, space, mapping, progress=progress)
        return model_seconds(header, arrays) if options.model_seconds else (header, arrays)

    _write_table(options, make)


def synthesize(options: argparse.Namespace) -> None:
    """Runs `jnas table synthesize`."""
    from jnas.tables._synthetic import synthetic_table

    _write_table(options, lambda progress: synthetic_table(options.space, seed=options.seed, curves=options.curves))


def _write_table(options: argparse.Namespace, make: Callable[[Callable[[int, int], None]], Any]) -> None:
    """Makes a table and writes it, having looked first whether it can be written."""
    import numpy as np

    from jnas.io._progress import counting_bar
    from jnas.tables._file import save_arrays

    path = Path(options.output)
    check_writable(path)
    with counting_bar("reading") as progress:
        header, arrays = make(progress)
    save_arrays(path, header, arrays)
    known = sum((~np.isnan(a.reshape(len(a), -1))).any(axis=1) for n, a in arrays.items() if n.startswith(_NUMBERS)) > 0
    without = "" if known.all() else f", of which {int(known.sum()):,} have numbers"
    print(
        f"{path}: {header.name}, {len(arrays['archs']):,} architectures{without}, "
        f"{path.stat().st_size / 1e6:,.1f} MB\n"
        f"see what it holds: {shlex.join(['jnas', 'table', 'show', str(path)])}"
    )


def show(options: argparse.Namespace) -> None:
    """Runs `jnas table show`."""
    from jnas.tables._load import load_table
    from jnas.tables.report._text import table_text

    print(table_text(load_table(options.table)))


def query_table(options: argparse.Namespace) -> None:
    """Runs `jnas table query`."""
    from jnas.tables._load import load_table
    from jnas.tables.report._text import describe_arch

    arch = int(options.arch) if options.arch.isdecimal() else options.arch
    table = load_table(options.table)
    print(describe_arch(table, arch, dataset=options.dataset, epochs=options.epochs, at=options.at))


def report_table(options: argparse.Namespace) -> None:
    """Runs `jnas table report`."""
    from jnas.io._progress import status_line
    from jnas.tables._load import load_table
    from jnas.tables.report._report import write_table_report

    path = Path(options.output or Path(options.table).with_suffix(".html"))
    check_writable(path)
    table = load_table(options.table)
    with status_line() as say:
        write_table_report(table, path, progress=say)
    print(f"report: {path}")
