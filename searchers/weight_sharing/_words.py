"""The words that weight-sharing searchers are written in: Examples, Batch, StepInfo, Derived, WeightSharingSearcher."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jnas.core._vocabulary import Array, Key


class Examples(NamedTuple):
    """Labelled images, normalized (and augmented, where they are for training)."""

    images: Array  # [B, H, W, C] float32
    labels: Array  # [B] int32


class Batch(NamedTuple):
    """What a step sees: one batch for the weights and one for the architecture."""

    train: Examples
    validation: Examples


class StepInfo(NamedTuple):
    """What a person may look at after a step; NaN for what the step did not look at."""

    train_loss: Array  # [] float32
    train_accuracy: Array  # [] float32, in percent
    validation_loss: Array  # [] float32
    validation_accuracy: Array  # [] float32, in percent


class Derived(NamedTuple):
    """The architecture that a search would return now, and the candidates that it was chosen from."""

    arch: Array  # [E] int32
    candidates: Array  # [M, E] int32; the architecture alone where none are compared
    scores: Array  # [M] float32, in percent; NaN where none are compared


class Shared(NamedTuple):
    """The shared weights."""

    parameters: Any
    statistics: Any  # running estimates of batch-norm


class WeightSharingSearcher(NamedTuple):
    """A search that trains one supernet, as pure functions over a state that carries its PRNG key.

    Many seeds run under `vmap` or, on CPUs where branches beat selections, `lax.map`.

    Attributes:
      init: `init(key) -> state`.
      step: `step(state, batch) -> (state, StepInfo)`; phases and schedules read a counter in the state.
      derive: `derive(state, dataset, split) -> Derived`, from the images of that split of a `training.Dataset`; leaves
        the state as it is, and takes its randomness from a key folded from the state's.
      log_probability: `log_probability(state, archs [N, E]) -> float32 [N]`, of each architecture under what the
        searcher has learned to prefer; uniform for one that prefers none.
      weights: `weights(state) -> float32 [E, K]`, the probabilities of the operations on each edge (marginal ones,
        estimated where they have no closed form), for entropies and pictures.
      shared: `shared(state) -> Shared`.
      name: For tables and legends.
      extra_steps: Steps of an epoch beyond those that go through the training images once (a controller's).
    """

    init: Callable[[Key], Any]
    step: Callable[[Any, Batch], tuple[Any, StepInfo]]
    derive: Callable[[Any, Any, str], Derived]
    log_probability: Callable[[Any, Array], Array]
    weights: Callable[[Any], Array]
    shared: Callable[[Any], Shared]
    name: str
    extra_steps: int = 0
