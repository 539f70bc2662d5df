"""The command `jnas report`. Imports that take long stand in the functions that need them."""

import argparse
import sys
from pathlib import Path
from typing import Any

from jnas.commands._words import add_command
from jnas.io._atomic import check_writable


def add_report(commands: Any) -> None:
    """Adds `jnas report`."""
    parser = add_command(commands, "report", "make the report of a study again, or compare studies", report_folders)
    parser.add_argument("folders", metavar="DIR", nargs="+", help="folders of studies")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the page (default: DIR/report.html, or jnas-report.html for several)"
    )


def report_folders(options: argparse.Namespace) -> None:
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
