"""What a training run is between two epochs, and what it leaves of each."""

from typing import Any, NamedTuple

from jnas.core._vocabulary import Array, Key, Weights


class Curves(NamedTuple):
    """What was measured after each of `T` epochs; NaN once a run has diverged.

    The fields are named for images; another task's metric stands in the place of accuracy, in its own unit.
    """

    accuracy: dict[str, Array]  # of each split, float32 [T], percent
    loss: dict[str, Array]  # of each split, float32 [T], cross-entropy


class RunState(NamedTuple):
    """A run between two epochs: all that the next one needs."""

    key: Key
    arch: Array  # int32 [E]
    weights: Weights
    optimizer: Any  # the optimizer's state
    epoch: Array  # int32 []: epochs done
    failed: Array  # bool []: a loss was not finite
