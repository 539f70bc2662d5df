"""What the commands of the command line do. Imports that take long stand in the functions that need them."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jnas.io._atomic import check_writable

_NUMBERS = ("accuracy/", "accuracy_mean/")  # members that say how good an architecture is


def study(options: argparse.Namespace) -> None:
    """Runs `jnas study`."""
    from jnas.commands._study import study

    study(options)


def predictors(options: argparse.Namespace) -> None:
    """Runs `jnas predictors`."""
    from jnas.commands._predictors import predictors

    predictors(options)


def report(options: argparse.Namespace) -> None:
    """Runs `jnas report`."""
    from jnas.studies._load import load_results, write_results_report

    studies = []
    for folder in options.folders:
        found, missing = load_results(folder)
        if missing:
            print(f"jnas: {folder} is not finished: without {', '.join(missing)}", file=sys.stderr)
        studies.append(found)
    alone = len(options.folders) == 1
    path = Path(options.output or (Path(options.folders[0]) / "report.html" if alone else "jnas-report.html"))
    check_writable(path)
    write_results_report(studies, path, names=None if alone else options.folders)
    print(f"report: {path}")


def train(options: argparse.Namespace) -> None:
    """Runs `jnas train`."""
    from jnas.commands._train import train

    train(options)


def supernet(options: argparse.Namespace) -> None:
    """Runs `jnas supernet`."""
    from jnas.commands._supernet import supernet

    supernet(options)


# Tables.


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


def build(options: argparse.Namespace) -> None:
    """Runs `jnas table build`."""
    from jnas.commands._build import build

    build(options)


def show(options: argparse.Namespace) -> None:
    """Runs `jnas table show`."""
    from jnas.tables._load import load_table
    from jnas.tables.report._text import describe

    print(describe(load_table(options.table)))


def query(options: argparse.Namespace) -> None:
    """Runs `jnas table query`."""
    from jnas.tables._load import load_table
    from jnas.tables.report._text import describe_arch

    arch = int(options.arch) if options.arch.isdecimal() else options.arch
    table = load_table(options.table)
    print(describe_arch(table, arch, dataset=options.dataset, epochs=options.epochs, at=options.at))


def table_report(options: argparse.Namespace) -> None:
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
