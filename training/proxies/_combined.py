"""Scores of several proxies taken together, over architectures that are compared with one another: NumPy alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_ROWS = 200  # of the pairs that are compared at once


def vote(scores: ArrayLike) -> Floats:
    """Returns in which share of pairs an architecture wins by a majority of scores, float64 `[N]`.

    The published 'vote' decides pairs (of synflow, jacov and snip); that it decides .82 of NAS-Bench-201's pairs as
    accuracy does has been quoted as a correlation, and is one of .63.

    Args:
      scores: `[K, N]`, higher is better. A pair of which a score is NaN, or that is equal, has no vote of it.

    References:
      Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", 2021.

    Example:
      >>> jnas.training.vote([[1, 2, 3], [2, 1, 3], [1, 3, 2]]).tolist()
      [0.0, 0.5, 1.0]
    """
    wins = [(margin > 0).sum(1) + ((margin == 0).sum(1) - 1) / 2 for _, margin in _margins(scores)]
    shares = np.concatenate(wins)
    return np.asarray(shares / max(len(shares) - 1, 1), np.float64)


def _margins(scores: ArrayLike) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Gives some rows at a time, and by how many more scores each is better than each of all, int64 `[n, N]`."""
    table = np.asarray(scores, np.float64)
    for start in range(0, table.shape[1], _ROWS):  # a matrix of all pairs of a space takes gigabytes
        rows = slice(start, start + _ROWS)
        signs = np.sign(table[:, rows, None] - table[:, None, :])
        yield rows, np.nansum(signs, axis=0).astype(np.int64)


def concordant_share(scores: ArrayLike, truth: ArrayLike) -> float:
    """Returns the share of pairs of different truth that a vote decides as the truth does; NaN where there is none.

    Args:
      scores: `[K, N]`, as for `vote`.
      truth: `[N]`.
    """
    values, right, pairs = np.asarray(truth, np.float64), 0, 0
    for rows, margin in _margins(scores):
        differs = values[rows, None] > values[None, :]
        right += int((margin[differs] > 0).sum())
        pairs += int(differs.sum())
    return right / pairs if pairs else float("nan")


def rank_average(scores: ArrayLike) -> Floats:
    """Returns the mean rank of each architecture, float64 `[N]`; 1 is the worst, and NaN is no rank.

    Args:
      scores: `[K, N]`, higher is better.

    Example:
      >>> jnas.training.rank_average([[0.1, 0.2, 0.3], [7.0, 9.0, 8.0]]).tolist()
      [1.0, 2.5, 2.5]
    """
    return np.asarray(np.mean([_ranks(row) for row in np.asarray(scores, np.float64)], axis=0), np.float64)


def az_nas(scores: ArrayLike) -> Floats:
    """Returns AZ-NAS's combination, the sum of the logarithms of relative ranks, float64 `[N]`, at most 0.

    Args:
      scores: `[4, N]`: expressivity, progressivity, trainability, complexity. One that is NaN, or minus infinity in the
        released code, makes the architecture NaN.

    References:
      Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", 2024.
    """
    ranks = np.stack([_ranks(row) for row in np.asarray(scores, np.float64)])
    return np.asarray(np.log(ranks / ranks.shape[1]).sum(0), np.float64)


def _ranks(row: Floats) -> Floats:
    from scipy.stats import rankdata  # here, since it takes longer to import than the rest of the package

    return np.asarray(rankdata(row, nan_policy="omit"), np.float64)
