"""The published figures of "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020."""

from typing import NamedTuple


class PublishedSearch(NamedTuple):
    """What ten searches of a method came to on NAS-Bench-101; None where it is not known.

    Those that stand in `unverified` are told from memory of the paper, and were not checked against a second source.
    """

    mean: float | None = None  # percent of test accuracy
    std: float | None = None
    best: float | None = None
    rank: int | None = None  # the best one
    surpasses: float | None = None
    kendall: float | None = None
    unverified: tuple[str, ...] = ()


_MEANS = ("mean", "std", "best", "rank")
NUM_ARCHS, NUM_EPOCHS, NUM_RUNS = 423_624, 108, 10
MEAN_KENDALL = 0.195
"""Over its methods with shared weights on CIFAR-10, ten searches each."""

SHARED = {
    "enas": PublishedSearch(91.83, 0.42, 92.54, 96_939, 0.07, unverified=_MEANS),
    "nao": PublishedSearch(92.59, 0.59, 93.33, 19_552, 0.62, unverified=("mean", "std", "rank")),
    "darts-v2": PublishedSearch(92.21, 0.61, 93.02, 57_079, 0.24, unverified=_MEANS),
    "fbnet": PublishedSearch(92.29, 1.25, 93.98, 9_228, 0.80, unverified=(*_MEANS, "surpasses")),
    "spos": PublishedSearch(89.85, 3.80, unverified=_MEANS),
    "fairnas": PublishedSearch(91.10, 1.84, kendall=-0.23, unverified=_MEANS),
}
"""By weight-sharing searcher. Its DARTS is of second order; FairNAS's tau is from a discussion in its repository."""

UNSHARED = {
    "enas_controller": PublishedSearch(rank=4_610, surpasses=0.90, unverified=("rank",)),
    "nao": PublishedSearch(rank=3_543, surpasses=0.92, unverified=("rank",)),
}
"""By searcher on the table itself: its 'ground truth' variants."""
