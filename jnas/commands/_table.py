"""The commands of `jnas table` but `build`."""

import argparse
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jnas.io._atomic import check_writable
from jnas.io._progress import counting_bar
from jnas.spaces._registry import from_name
from jnas.tables._file import save_arrays
from jnas.tables._load import load_space, load_table
from jnas.tables._synthetic import synthetic_table
from jnas.tables._table import Table
from jnas.tables.readers._analog import analog_table
from jnas.tables.readers._array_mapping import read_mapping
from jnas.tables.readers._arrays import arrays_table
from jnas.tables.readers._csv import ENDINGS, csv_columns, header_mapping, is_csv, unread_text
from jnas.tables.readers._hardware import with_hardware
from jnas.tables.readers._model_seconds import model_seconds
from jnas.tables.readers._nasbench101 import nasbench101_table
from jnas.tables.readers._nasbench_graph import nasbench_graph_table
from jnas.tables.readers._nasbench_macro import nasbench_macro_table
from jnas.tables.readers._nats import nasbench201_table, nats_table
from jnas.tables.readers._transnas import transnas_table
from jnas.tables.report._record import arch_json
from jnas.tables.report._text import describe_arch, table_text

_NUMBERS = ("accuracy/", "accuracy_mean/")  # members that say how good an architecture is


def import_nats(options: argparse.Namespace) -> None:
    """Runs `jnas table import nats-bench`."""
    _write_table(options, lambda progress: nats_table(options.source, processes=os.cpu_count() or 1, progress=progress))


def import_nasbench201(options: argparse.Namespace) -> None:
    """Runs `jnas table import nas-bench-201`."""
    _write_table(options, lambda progress: nasbench201_table(options.source, progress=progress))


def import_nasbench101(options: argparse.Namespace) -> None:
    """Runs `jnas table import nasbench101`."""
    _write_table(options, lambda progress: nasbench101_table(options.source, progress=progress))


def import_arrays(options: argparse.Namespace) -> None:
    """Runs `jnas table import arrays`."""
    space = load_space(options.space)
    mapping = None if options.mapping is None else read_mapping(options.mapping)

    def make(progress: Callable[[int, int], None]) -> Any:
        header, arrays = arrays_table(options.source, space, mapping, progress=progress)
        return model_seconds(header, arrays) if options.model_seconds else (header, arrays)

    _write_table(options, make)


def import_nasbench_graph(options: argparse.Namespace) -> None:
    """Runs `jnas table import nas-bench-graph`."""
    _write_table(options, lambda progress: nasbench_graph_table(options.source, progress=progress))


def import_nasbench_macro(options: argparse.Namespace) -> None:
    """Runs `jnas table import nas-bench-macro`."""
    _write_table(options, lambda progress: nasbench_macro_table(options.source, progress=progress))


def import_transnas(options: argparse.Namespace) -> None:
    """Runs `jnas table import transnas-bench-101`."""
    asked = {"task": options.task, "space": options.space}
    _write_table(options, lambda progress: transnas_table(options.source, **asked, progress=progress))


def import_analog(options: argparse.Namespace) -> None:
    """Runs `jnas table import analog-nas-bench`."""
    _write_table(options, lambda progress: analog_table(options.source, progress=progress))


def import_hardware(options: argparse.Namespace) -> None:
    """Runs `jnas table import hw-nas-bench`."""
    table = load_table(options.table)
    _write_table(options, lambda progress: with_hardware(table, options.source))


def import_csv(options: argparse.Namespace) -> None:
    """Runs `jnas table import csv`."""
    if not is_csv(options.source):
        raise ValueError(f"{options.source} is no CSV file by its name, expected one that ends in {', '.join(ENDINGS)}")
    if options.mapping is not None and options.column:
        raise ValueError("give either --mapping or --column, not both")
    space, unread = load_space(options.space), None
    if options.mapping is not None:
        mapping = read_mapping(options.mapping)
    else:
        renamed = dict(_renamed(text) for text in options.column)
        columns = csv_columns(options.source)
        mapping = header_mapping(columns, renamed, options.source)
        unread = unread_text(columns, mapping)
    _write_table(options, lambda progress: arrays_table(options.source, space, mapping, progress=progress))
    if unread is not None:
        print(f"note: {unread}")


def _renamed(text: str) -> tuple[str, str]:
    """Returns the member and the column of `MEMBER=NAME`."""
    name, equals, column = text.partition("=")
    if not (name and equals and column):
        raise ValueError(f"--column is {text!r}, expected MEMBER=NAME, as in accuracy/cifar10/200/test=Acc")
    return name.strip(), column.strip()


def synthesize(options: argparse.Namespace) -> None:
    """Runs `jnas table synthesize`."""
    _write_table(options, lambda progress: synthetic_table(options.space, seed=options.seed, curves=options.curves))


def _write_table(options: argparse.Namespace, make: Callable[[Callable[[int, int], None]], Any]) -> None:
    """Makes a table and writes it, having looked first whether it can be written."""
    path = Path(options.output)
    check_writable(path)
    with counting_bar("reading") as progress:
        header, arrays = make(progress)
    known = np.zeros(len(arrays["archs"]), bool)
    for name, values in arrays.items():
        if name.startswith(_NUMBERS):
            known |= (~np.isnan(values.reshape(len(values), -1))).any(axis=1)
    # Rows without numbers, all NaN, take no room in a small file and next to no time to unpack.
    save_arrays(path, header, arrays, compress=options.compress or 2 * int(known.sum()) < len(known))
    without = "" if known.all() else f", of which {int(known.sum()):,} have numbers"
    print(
        f"{path}: {header.name}, {len(arrays['archs']):,} architectures{without}, "
        f"{path.stat().st_size / 1e6:,.1f} MB\n"
        f"see what it holds: {shlex.join(['jnas', 'table', 'show', str(path)])}"
    )


def show(options: argparse.Namespace) -> None:
    """Runs `jnas table show`."""
    print(table_text(load_table(options.table)))


def query_table(options: argparse.Namespace) -> None:
    """Runs `jnas table query`."""
    number = options.arch.strip().removeprefix("#")
    table = load_table(options.table)
    arch = int(number) if _is_index(number, options.arch, table) else from_name(table.space, options.arch)
    tell = arch_json if options.json else describe_arch
    print(tell(table, arch, dataset=options.dataset, epochs=options.epochs, at=options.at))


def _is_index(number: str, text: str, table: Table) -> bool:
    """Returns whether digits are an index: where they can be none, they may be a string of the space."""
    if not number.isdecimal():
        return False
    if text.strip() != number or (str(int(number)) == number and int(number) < table.num_archs):
        return True
    try:
        table.space.from_string(number)
    except ValueError:
        return True
    return False
