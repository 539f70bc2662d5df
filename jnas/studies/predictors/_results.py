"""What a study of predictors leaves, as values, and how these stand in its folder.

```
cells.npz        the cells that each seed draws, as rows of the table, and their accuracies
fits/NAME.npz    what a predictor on an encoding, fitted to so many cells, predicts for the test cells of each seed
results.csv      one row for each predictor, encoding, training size and seed
summary.csv      means over seeds, with intervals
times.csv        what fits and queries took
report.html      the same with pictures
```
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from jnas.core._folder import FolderKind, config_digest, read_part
from jnas.io._archive import write_archive
from jnas.io._fields import describe_fields
from jnas.io._seal import SEAL
from jnas.studies.predictors._measures import NAMES
from jnas.studies.predictors._plan import DrawnCells

FOLDER = FolderKind(
    "jnas-predictors", 1, "a study of predictors", "jnas predictors", "fits", "the fits of a study of predictors"
)
_MEASURES = {"measures": list(NAMES)}
_MEMBERS = {
    "values": "f S M",
    "mean": "f S T",
    "std": "f S T",
    "fit_seconds": "f C",
    "fit_cpu_seconds": "f C",
    "query_seconds": "f C",
    "query_cpu_seconds": "f C",
}


class Fits(NamedTuple):
    """What came of one predictor on one encoding, fitted to so many cells, over `S` seeds in `C` programs' runs."""

    values: NDArray[np.float64]  # [S, M], by the names of `_measures.NAMES`
    mean: NDArray[np.float32]  # [S, T], predictions for the test cells
    std: NDArray[np.float32]  # [S, T], their uncertainties
    fit_seconds: NDArray[np.float64]  # [C], of one fit
    fit_cpu_seconds: NDArray[np.float64]  # [C]
    query_seconds: NDArray[np.float64]  # [C], of a thousand queries
    query_cpu_seconds: NDArray[np.float64]  # [C]
    compile_seconds: float  # to trace and compile the fit and the query


CaseAtSize = tuple[str, str, int]
"""A predictor, an encoding, a training size: a part of a study."""
FitsByCase = Mapping[CaseAtSize, Fits]


@describe_fields
class PredictorStudy(NamedTuple):
    """A whole study of predictors.

    Attributes:
      config: As config.json holds it.
      versions: Of jnas, jax, numpy, Python; the device; XLA flags.
      cells: Which each seed drew, and their true accuracies.
      fits: By predictor, encoding and training size.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    cells: DrawnCells
    fits: FitsByCase

    def measures(self, predictor: str, encoding: str, train_size: int) -> Mapping[str, NDArray[np.float64]]:
        """Returns each measure of a case over seeds, `[S]`, by its name in `results.csv`."""
        values = self.fits[predictor, encoding, train_size].values
        return {name: values[:, i] for i, name in enumerate(NAMES)}


def save_cells(folder: Path, cells: DrawnCells, config: Mapping[str, Any]) -> None:
    """Writes which cells each seed draws, for those who want to do more with the predictions."""
    arrays = {"rows": cells.rows, "scores": cells.scores}
    header = {**FOLDER.header, "study": config_digest(config), "test_cells": config["test_cells"]}
    write_archive(folder / "cells.npz", header, arrays, compress=True)


def load_cells(folder: Path, said: Mapping[str, Any]) -> DrawnCells:
    """Returns what `save_cells` wrote; errors are those of `read_part`.

    Args:
      folder: Of the study.
      said: What its config.json says.
    """
    config = said["config"]
    identity = {**FOLDER.header, **({"study": config_digest(config)} if SEAL in said else {})}
    sizes = {"S": config["num_seeds"], "N": config["test_cells"] + max(config["train_sizes"])}
    members = {"rows": "i S N", "scores": "f S N"}
    arrays = read_part(folder / "cells.npz", identity, FOLDER, members, sizes).arrays
    return DrawnCells(arrays["rows"], arrays["scores"])


def fits_file_name(part: CaseAtSize) -> str:
    """Returns the name of the file of the fits of a predictor on an encoding to so many cells."""
    return f"{'-'.join(quote(str(word), safe='') for word in part)}.npz"


def save_fits(path: Path, fits: Fits, identity: Mapping[str, Any]) -> None:
    """Writes the fits of a case."""
    arrays = {name: np.asarray(array) for name, array in fits._asdict().items() if name in _MEMBERS}
    header = {**identity, **_MEASURES, "compile_seconds": fits.compile_seconds}
    write_archive(path, header, arrays, compress=True)


def load_fits(path: Path, part: CaseAtSize, identity: Mapping[str, Any], config: Mapping[str, Any]) -> Fits:
    """Returns the fits of a case.

    Args:
      path: The file.
      part: The predictor, its encoding, the training size.
      identity: What the file must say of itself.
      config: The study's configuration, which says how many seeds and test cells there are.

    Raises:
      ValueError: The file is damaged, of another origin, or of another study.
    """
    seeds = config.get("fewer_seeds", {}).get(part[0], config["num_seeds"])
    sizes = {"S": seeds, "T": config["test_cells"], "M": len(NAMES)}
    found = read_part(path, {**identity, **_MEASURES}, FOLDER, _MEMBERS, sizes, ("compile_seconds",))
    return Fits._make([*(found.arrays[name] for name in _MEMBERS), found.header["compile_seconds"]])
