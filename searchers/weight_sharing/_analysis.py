"""What shared weights know: accuracies of architectures under them, and how these agree with a table."""

import functools
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.core._vocabulary import Array, Key, Shared, Supernet
from jnas.searchers.weight_sharing._candidates import Selection, candidate_scores
from jnas.searchers.weight_sharing._texts import SearchData
from jnas.statistics._random_draws import best_of_draws, expected_best
from jnas.statistics._rank_correlation import kendall_tau, pearson_correlation, sparse_kendall_tau, spearman_correlation
from jnas.training._recipe import BatchNormPolicy

Floats = NDArray[np.float64]

COEFFICIENTS: Mapping[str, Callable[[Floats, Floats], float]] = {
    "pearson": pearson_correlation,
    "spearman": spearman_correlation,
    "kendall": kendall_tau,
    "sparse_kendall": sparse_kendall_tau,
    "sparse_kendall_floor": functools.partial(sparse_kendall_tau, bins="floor_adaptive"),
}
"""By name; each takes truth and prediction `[N]`. The last has the bins of the published code."""


def one_shot_accuracies(
    key: Key,
    supernet: Supernet,
    shared: Shared,
    archs: Array,
    dataset: SearchData,
    split: str,
    *,
    batch_norm: BatchNormPolicy,
    batch_size: int = 512,
    num_images: int | None = None,
) -> Array:
    """Returns the accuracy of each architecture under shared weights in percent, float32 `[N]`, all on the same images.

    Or another task's metric, in its unit. NaN where an output is not finite. Works inside `jit`.

    Args:
      key: Of the order of the images, which decides on the batches.
      supernet: Whose weights they are.
      shared: The weights.
      archs: int32 `[N, E]`.
      dataset: Where the images are; they are not augmented.
      split: Which of them.
      batch_norm: Whether batch-norm uses each batch's statistics (`'batch'`), the running estimates of the search
        (`'running'`), or means over some batches of training images, taken for each architecture (`'reestimated'`).
      batch_size: Images in a batch.
      num_images: How many images of the split; all by default.

    References:
      "NAS-Bench-201", Dong and Yang, 2020, Table 7.
    """
    how = Selection("same_batches", batch_size=batch_size, num_images=num_images, batch_norm=batch_norm)
    return candidate_scores(key, supernet, shared, archs, dataset, split, how)


def shared_weight_correlations(truth: ArrayLike, predicted: ArrayLike) -> Mapping[str, float]:
    """Returns each of `COEFFICIENTS` of predictions `[N]` with the truth `[N]`, which is in percent.

    Architectures with a NaN on either side are left out. NaN where nothing is left to order: fewer than two
    architectures, or one side constant.
    """
    true, guess = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    there = np.isfinite(true) & np.isfinite(guess)
    true, guess = true[there], guess[there]
    if true.size < 2 or np.ptp(true) == 0 or np.ptp(guess) == 0:
        return dict.fromkeys(COEFFICIENTS, float("nan"))
    return {name: coefficient(true, guess) for name, coefficient in COEFFICIENTS.items()}


def best_share(truth: ArrayLike, share: float) -> NDArray[np.intp]:
    """Returns the places of the truly best architectures, that share of all that are known, rounded up."""
    values = np.asarray(truth, np.float64)
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")
    known = int(np.isfinite(values).sum())
    return order[: int(np.ceil(share * known))]


def expected_random_search(selected_by: ArrayLike, judged_by: ArrayLike, draws: int) -> float:
    """Returns what random search is worth on average: the best of some random cells by one column, judged by another.

    Exact for draws with replacement. Cells that either column does not know are not drawn; NaN if none is left.

    Args:
      selected_by: `[N]`.
      judged_by: `[N]`.
      draws: How many cells are drawn; 1 gives the mean over all.
    """
    score, value = np.asarray(selected_by, np.float64), np.asarray(judged_by, np.float64)
    there = np.isfinite(score) & np.isfinite(value)
    if not there.any():
        return float("nan")
    return expected_best(best_of_draws(score[there], draws, judged_by=value[there]))
