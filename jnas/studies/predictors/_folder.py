"""The folder of a study of predictors: what it holds, how it is written, and how a study goes on from it.

```
config.json      the configuration and the versions
cells.npz        the cells that each seed draws, as rows of the table, and their accuracies
fits/NAME.npz    what a predictor on an encoding, fitted to so many cells, predicts for the test cells of each seed
results.csv      one row for each predictor, encoding, training size and seed
summary.csv      means over seeds, with intervals
times.csv        what fits and queries took
report.html      the same with pictures
```
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from jnas.io._archive import read_archive, write_archive
from jnas.io._atomic import remove_unfinished
from jnas.studies._folder import FolderKind, open_result_folder
from jnas.studies.predictors._measures import NAMES
from jnas.studies.predictors._plan import Case, Cells
from jnas.studies.predictors._results import Fits

FORMAT = "jnas-predictors"
VERSION = 1
_FOLDER = FolderKind(FORMAT, VERSION, "a study of predictors", command="jnas predictors", parts="fits")
_KIND = "the fits of a study of predictors"
_TIMES = ("fit_seconds", "fit_cpu_seconds", "query_seconds", "query_cpu_seconds")


def open_folder(
    out: str | os.PathLike[str], config: Mapping[str, Any], versions: Mapping[str, str]
) -> tuple[Path, dict[str, Any]]:
    """Makes the folder of a study, or finds the one of a study that was begun; removes what had not been finished.

    Returns:
      The folder's path, and what its config.json says now: of a study that was begun, what it said.

    Raises:
      ValueError: The folder holds another study, or something else.
      OSError: It cannot be made or written.
    """
    description = {"format": FORMAT, "version": VERSION, "config": dict(config), "versions": dict(versions)}
    folder, said = open_result_folder(out, description, _FOLDER)
    remove_unfinished(folder, r"config\.json|cells\.npz|(?:results|summary|times)\.csv|report\.html")
    stems = "|".join(re.escape(quote(name, safe="")) for name in config["predictors"])
    remove_unfinished(folder / _FOLDER.parts, rf"(?:{stems})-\S+-\d+\.npz")
    return folder, said


def save_cells(folder: Path, cells: Cells, test_cells: int) -> None:
    """Writes which cells each seed draws, for those who want to do more with the predictions."""
    write_archive(
        folder / "cells.npz",
        {"format": FORMAT, "version": VERSION, "test_cells": test_cells},
        {"rows": cells.rows, "scores": cells.scores},
        compress=True,
    )


def fits_path(folder: Path, case: Case, size: int) -> Path:
    """Returns where the fits of a case to so many cells stand."""
    return folder / _FOLDER.parts / f"{quote(case.name, safe='')}-{quote(case.encoding, safe='')}-{size}.npz"


def save_fits(path: Path, fits: Fits, identity: Mapping[str, Any]) -> None:
    """Writes the fits of a case."""
    arrays = {name: np.asarray(array) for name, array in fits._asdict().items() if name != "compile_seconds"}
    header = {"format": FORMAT, "version": VERSION, **identity, "measures": list(NAMES)}
    write_archive(path, {**header, "compile_seconds": fits.compile_seconds}, arrays, compress=True)


def load_fits(path: Path, identity: Mapping[str, Any], num_seeds: int, test_cells: int) -> Fits:
    """Returns the fits of a case.

    Args:
      path: The file.
      identity: What it must say of itself: the study, the predictor, its encoding, the training size.
      num_seeds: `S`.
      test_cells: `T`.

    Raises:
      ValueError: The file is damaged, of another origin, or of another study.
    """
    remedy = "delete it and run the study again"
    header, arrays = read_archive(path, kind=_KIND, remedy=remedy)
    expected = {"format": FORMAT, "version": VERSION, **identity, "measures": list(NAMES)}
    if any(header.get(name) != value for name, value in expected.items()):
        raise ValueError(f"{path} is not of this study; {remedy}, or give another --out")
    shapes = {"values": (num_seeds, len(NAMES)), "mean": (num_seeds, test_cells), "std": (num_seeds, test_cells)}
    wrong = [n for n in Fits._fields[:-1] if n not in arrays or arrays[n].dtype.kind != "f"]
    wrong += [n for n, shape in shapes.items() if n not in wrong and arrays[n].shape != shape]
    wrong += [n for n in _TIMES if n not in wrong and arrays[n].ndim != 1]
    if wrong or not isinstance(header.get("compile_seconds"), float):
        raise ValueError(f"{path} is not {_KIND}, or it is damaged ({wrong or 'compile_seconds'}); {remedy}")
    return Fits._make([*(arrays[n] for n in Fits._fields[:-1]), header["compile_seconds"]])
