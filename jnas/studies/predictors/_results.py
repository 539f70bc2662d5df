"""What a study of predictors leaves, as values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.studies.predictors._measures import NAMES
from jnas.studies.predictors._plan import DrawnCells


class Fits(NamedTuple):
    """What came of one predictor on one encoding, fitted to so many cells, over `S` seeds in `C` programs' runs."""

    values: NDArray[np.float64]  # [S, M], by the names of `_predictor_measures.NAMES`
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


class PredictorStudy(NamedTuple):
    """A whole study of predictors."""

    config: Mapping[str, Any]  # as config.json holds it
    versions: Mapping[str, str]
    cells: DrawnCells  # which each seed drew, and their true accuracies
    fits: FitsByCase  # by predictor, encoding and training size

    def measures(self, predictor: str, encoding: str, train_size: int) -> Mapping[str, NDArray[np.float64]]:
        """Returns each measure of a case over seeds, `[S]`, by its name in `results.csv`."""
        values = self.fits[predictor, encoding, train_size].values
        return {name: values[:, i] for i, name in enumerate(NAMES)}
