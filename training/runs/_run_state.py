"""What a training run is between two epochs, and what it leaves of each."""

from typing import Any, NamedTuple

from jnas.core._vocabulary import Array, Key, Weights
from jnas.io._fields import describe_fields


@describe_fields
class Curves(NamedTuple):
    """What was measured after each of `T` epochs; NaN once a run has diverged.

    The fields are named for images; another task's metric stands in the place of accuracy, in its own unit.

    Attributes:
      accuracy: Of each split, float32 [T]: percent, or the task's metric in its unit.
      loss: Of each split, float32 [T], cross-entropy.
    """

    accuracy: dict[str, Array]
    loss: dict[str, Array]


@describe_fields
class RunState(NamedTuple):
    """A run between two epochs: all that the next one needs.

    Attributes:
      key: `[]`, of the run.
      arch: int32 `[E]`.
      weights: Parameters and running statistics.
      optimizer: The optimizer's state.
      epoch: int32 `[]`: epochs done.
      failed: bool `[]`: a loss was not finite, and the run had no epoch to go back to.
    """

    key: Key
    arch: Array
    weights: Weights
    optimizer: Any
    epoch: Array
    failed: Array
