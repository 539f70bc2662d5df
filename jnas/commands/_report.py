"""The commands that draw what is there: `jnas report` and `jnas table report`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jnas.io._atomic import check_writable
from jnas.io._progress import status_line
from jnas.io._text import counted
from jnas.pages._figures import write_figures
from jnas.studies._load import load_results, write_results_figures, write_results_report
from jnas.tables._load import load_table
from jnas.tables.report._report import table_report, write_table_report


def report_folders(options: argparse.Namespace) -> None:
    """Runs `jnas report`."""
    studies = []
    for folder in options.folders:
        found, missing = load_results(folder)
        if missing:
            print(f"jnas: {folder} is not finished: without {', '.join(missing)}", file=sys.stderr)
        studies.append(found)
    alone = len(options.folders) == 1
    path = Path(options.output or (Path(options.folders[0]) / "report.html" if alone else "jnas-report.html"))
    check_writable(path)
    names = None if alone else options.folders
    write_results_report(studies, path, names=names)
    print(f"report: {path}")
    if options.figures is not None:
        _tell_figures(options.figures, write_results_figures(studies, Path(options.figures), names))


def _tell_figures(folder: str, names: Sequence[str]) -> None:
    print(f"figures: {counted(len(names), 'picture')} in {folder}, each as SVG, PDF and CSV")


def report_table(options: argparse.Namespace) -> None:
    """Runs `jnas table report`."""
    path = Path(options.output or Path(options.table).with_suffix(".html"))
    check_writable(path)
    table = load_table(options.table)
    with status_line() as say:
        write_table_report(table, path, progress=say)
        print(f"report: {path}")
        if options.figures is not None:
            say("drawing pictures for a paper")
            names = write_figures(lambda: table_report(table), Path(options.figures))
    if options.figures is not None:
        _tell_figures(options.figures, names)
