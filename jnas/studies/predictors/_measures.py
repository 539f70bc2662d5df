"""How good predictions are: errors, rank correlations, calibration."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.statistics._intervals import Floats
from jnas.statistics._rank_correlation import (
    kendall_tau,
    pearson_correlation,
    precision_at_k,
    sparse_kendall_tau,
    spearman_correlation,
)


class Measure(NamedTuple):
    """A number that says how good predictions are."""

    name: str  # in files
    title: str  # on axes and in sentences
    short: str  # above columns
    better: Literal["low", "high", "neither"]


MEASURES = (
    Measure("mae", "mean absolute error (points)", "mean error", "low"),
    Measure("rmse", "root mean square error (points)", "root mean square", "low"),
    Measure("pearson", "Pearson's r", "Pearson", "high"),
    Measure("spearman", "Spearman's rho", "Spearman", "high"),
    Measure("kendall", "Kendall's tau", "Kendall", "high"),
    Measure("sparse_kendall", "sparse Kendall's tau", "sparse Kendall", "high"),
    Measure("precision_at_k", "precision at k", "precision at k", "high"),
    Measure("train_mae", "mean absolute error on the training cells (points)", "training error", "neither"),
    Measure("within_2_std", "share within two deviations", "within 2 std", "neither"),
)
NAMES = tuple(m.name for m in MEASURES)

_SPARSE = 0.1  # percentage points: true differences below do not count in sparse Kendall's tau


def measure(
    truth: NDArray[np.float32],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    *,
    train_truth: NDArray[np.float32],
    train_mean: NDArray[np.float32],
    k: int,
) -> Mapping[str, float]:
    """Returns how good the predictions of one fit are, by the names in `NAMES`.

    Args:
      truth: `[T]`, the accuracies of the test cells in percent.
      mean: `[T]`, what was predicted.
      std: `[T]`, the uncertainty that the predictor said; all 0 where it knows none.
      train_truth: `[N]`, the accuracies to which the predictor was fitted.
      train_mean: `[N]`, what it predicts for them.
      k: Of the precision at k.

    Returns:
      NaN for a correlation of predictions that are all equal, for calibration where no uncertainty was said, and for
      everything where a prediction is not finite.
    """
    if not (np.isfinite(mean).all() and np.isfinite(train_mean).all()):
        return dict.fromkeys(NAMES, float("nan"))
    error = np.abs(np.asarray(mean, np.float64) - truth)
    train_error = np.abs(np.asarray(train_mean, np.float64) - train_truth)
    uncertain = bool(np.any(std > 0)) and bool(np.isfinite(std).all())
    return {
        "mae": float(error.mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "pearson": pearson_correlation(truth, mean),
        "spearman": spearman_correlation(truth, mean),
        "kendall": kendall_tau(truth, mean),
        "sparse_kendall": sparse_kendall_tau(truth, mean, threshold=_SPARSE),
        "precision_at_k": precision_at_k(truth, mean, k),
        "train_mae": float(train_error.mean()),
        "within_2_std": float(np.mean(error <= 2 * np.asarray(std, np.float64))) if uncertain else float("nan"),
    }


def constant_error(truth: Floats, train_truth: Floats) -> float:
    """Returns the mean absolute error of predicting the mean of the training cells, over seeds.

    Args:
      truth: `[S, T]`.
      train_truth: `[S, N]`.
    """
    middle = np.asarray(train_truth, np.float64).mean(axis=1, keepdims=True)
    return float(np.abs(np.asarray(truth, np.float64) - middle).mean())


def best_index(values: Floats, how: Measure) -> int:
    """Returns which of `values [K]` is the best by a measure, -1 where none is."""
    if how.better == "neither" or not np.isfinite(values).any():
        return -1
    return int(np.nanargmin(values) if how.better == "low" else np.nanargmax(values))
