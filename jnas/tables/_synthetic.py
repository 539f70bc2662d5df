"""A full-size table of made-up numbers, for tests, demonstrations and measurements of speed."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas import spaces
from jnas.core._registry import DEFAULT_SPACE, make_registry
from jnas.spaces.nasbench201._features import PATHS
from jnas.tables._file import Header, Training, encode_curve, member
from jnas.tables._published import DATASETS, PAIRS

_CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
_CEILING = {"cifar10-valid": 92.0, "cifar10": 95.0, "cifar100": 74.0, "ImageNet16-120": 48.0}
_IMAGES = {  # of each split; sets what a pass over it costs
    "cifar10-valid": {"train": 25_000, "x-valid": 25_000, "ori-test": 10_000},
    "cifar10": {"train": 50_000, "ori-test": 10_000},
    "cifar100": {"train": 50_000, "x-valid": 5_000, "x-test": 5_000, "ori-test": 10_000},
    "ImageNet16-120": {"train": 151_700, "x-valid": 3_000, "x-test": 3_000, "ori-test": 6_000},
}
_STEP = 0.01  # percent; accuracies are multiples of it, so curves keep them


def synthetic_table(
    space: str = DEFAULT_SPACE,
    *,
    seed: int,
    num_seeds: int = 3,
    curves: bool = True,
    epochs: Sequence[int] = (12, 200),
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns a table with a row for every architecture, every published data set and split, and made-up numbers.

    Accuracies follow how much convolution lies on the paths of the cell (or how wide the stages are), with an effect of
    each single choice, of the split and of the run: so that search is worth while, the data sets and the trainings
    agree in part, and runs differ. They are not measurements and predict none.

    Args:
      space: `'nasbench201'` or `'nats_size'`.
      seed: Of the random effects; equal arguments give equal tables.
      num_seeds: Runs of every training; they are named 777, 888, 999 and on in such steps.
      curves: Whether to make learning curves: accuracies on all splits, losses on the training images (300 MB for
        `nasbench201`).
      epochs: Trainings of each data set.

    Returns:
      Header and members of a table, as `save_arrays` takes them.

    Raises:
      ValueError: An argument is out of range.
    """
    made_up = MADE_UP.entry(space)
    if num_seeds < 1 or not epochs or min(epochs) < 1 or len(set(epochs)) != len(epochs):
        raise ValueError(
            f"num_seeds is {num_seeds} and epochs are {tuple(epochs)}, expected at least one run and different "
            "positive numbers of epochs"
        )
    random = np.random.default_rng(seed)
    searched = spaces.get(space)
    assert searched.from_index is not None
    assert searched.size is not None
    archs = np.asarray(jax.vmap(searched.from_index)(jnp.arange(searched.size))).astype(np.int8)
    quality = made_up.quality(archs) + 0.04 * _single_effects(random, archs)
    arrays = {"archs": archs}
    trainings = []
    for dataset in DATASETS:
        own = np.clip(quality + 0.03 * _single_effects(random, archs), 0, 1)
        arrays |= _costs(made_up, archs, dataset)
        for count in sorted(epochs):
            trainings.append(Training(dataset, count, tuple(777 + 111 * i for i in range(num_seeds))))
            arrays |= _seconds(dataset, count, arrays[member("flops", dataset)])
            arrays |= _accuracies(random, own, dataset, count, num_seeds, curves)
    header = Header(
        name=f"synthetic {space}",
        space=searched.config,
        trainings=tuple(trainings),
        pairs=PAIRS,
        source=f"jnas synthetic table, seed {seed}",
        notes=("not measurements: made-up numbers for tests and demonstrations",),
    )
    return header, arrays


def _cell_quality(archs: np.ndarray) -> np.ndarray:
    """Returns about 0 (no path) to 1 for cells `[N, 6]`: paths with convolutions count, later ones less."""
    worth = np.array([0.0, 0.1, 0.55, 1.0, 0.05])[archs]
    alive = archs != 0
    paths = [np.where(alive[:, p].all(axis=1), 0.05 + worth[:, p].sum(axis=1), 0.0) for p in PATHS]
    ranked = np.sort(np.stack(paths, axis=1), axis=1)[:, ::-1]
    result: np.ndarray = 1 - np.exp(-1.2 * ranked @ np.array([1.0, 0.4, 0.25, 0.15]))
    return result


def _width_quality(archs: np.ndarray) -> np.ndarray:
    """Returns 0 to 1 for the widths of five stages `[N, 5]`: wider is better, with diminishing returns."""
    result: np.ndarray = (1 - np.exp(-(archs + 1) / 2.5)) @ np.array([0.15, 0.15, 0.2, 0.25, 0.25])
    return result


def _single_effects(random: np.random.Generator, archs: np.ndarray) -> np.ndarray:
    """Returns `[N]`, sums of an effect of each single choice, of standard deviation one."""
    effects = random.standard_normal((archs.shape[1], int(archs.max()) + 1)) / math.sqrt(archs.shape[1])
    result: np.ndarray = effects[np.arange(archs.shape[1]), archs].sum(axis=1)
    return result


def _cell_costs(archs: np.ndarray, classes: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    cells = jnp.asarray(archs, jnp.int32)
    parameters = jax.vmap(lambda a: spaces.nasbench201_parameters(a, classes=classes))(cells)
    flops = jax.vmap(lambda a: spaces.nasbench201_flops(a, classes=classes, image_size=size))(cells)
    return np.asarray(parameters), np.asarray(flops)


def _width_costs(archs: np.ndarray, classes: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns numbers of the right order of magnitude."""
    widths = 8.0 * (archs + 1)
    pairs = widths[:, 1:] * widths[:, :-1]
    parameters = ((27 * pairs).sum(axis=1) + widths[:, -1] * classes) / 1e6
    return parameters, (27 * pairs * (size / np.array([1, 2, 2, 4])) ** 2).sum(axis=1) / 1e6


class MadeUp(NamedTuple):
    """What the made-up numbers of a space follow."""

    name: str
    quality: Callable[[np.ndarray], np.ndarray]  # of `archs [N, E]`, about 0 to 1
    costs: Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]
    """`costs(archs, classes, size of images)`: parameters and multiply-adds `[N]`, in millions."""


MADE_UP = make_registry(
    "space with made-up numbers",
    (MadeUp("nasbench201", _cell_quality, _cell_costs), MadeUp("nats_size", _width_quality, _width_costs)),
)


def _costs(made_up: MadeUp, archs: np.ndarray, dataset: str) -> dict[str, np.ndarray]:
    parameters, flops = made_up.costs(archs, _CLASSES[dataset], 16 if dataset == "ImageNet16-120" else 32)
    return {
        member("parameters", dataset): parameters.astype(np.float32),
        member("flops", dataset): flops.astype(np.float32),
        member("latency", dataset): (0.01 + 4e-5 * flops).astype(np.float32),
    }


def _seconds(dataset: str, epochs: int, flops: np.ndarray) -> dict[str, np.ndarray]:
    """Seconds of an epoch and of a pass over each split, `[N, 1]`, from the multiply-adds of an image."""
    per_image = (1.6e-4 + 3.2e-6 * flops)[:, None]
    images = _IMAGES[dataset]
    return {member("train_seconds", dataset, epochs): (per_image * images["train"]).astype(np.float32)} | {
        member("eval_seconds", dataset, epochs, split): (0.35 * per_image * images[split]).astype(np.float32)
        for split in images
        if split != "train"
    }


def _accuracies(
    random: np.random.Generator, quality: np.ndarray, dataset: str, epochs: int, num_seeds: int, curves: bool
) -> dict[str, np.ndarray]:
    """Returns accuracies and losses of one training, and its curves."""
    chance = 100 / _CLASSES[dataset]
    # A short training reaches less, and its order of the architectures is a little different.
    reach = 1 - 0.35 * math.exp(-epochs / 30)
    own = np.clip(quality + 0.06 * math.exp(-epochs / 30) * random.standard_normal(len(quality)), 0, 1)
    expected = chance + (_CEILING[dataset] * reach - chance) * own
    run = 0.25 * random.standard_normal((len(quality), num_seeds)) * (1.5 - own[:, None])
    arrays = {}
    for split in _IMAGES[dataset]:
        above = 0.6 * (100 - expected) * own if split == "train" else 0.15 * random.standard_normal(len(quality))
        exact = expected[:, None] + above[:, None] + run + 0.1 * random.standard_normal(run.shape)
        final = np.round(np.clip(exact, 0, 100) / _STEP).astype(np.float32) * np.float32(_STEP)
        place = (dataset, epochs, split)
        arrays[member("accuracy", *place)] = final
        arrays[member("loss", *place)] = _loss(final, dataset)
        if curves and epochs > 1:
            curve = _curve(random, final, chance, epochs)
            arrays[member("accuracy_curve", *place)] = encode_curve(curve)
            if split == "train":
                arrays[member("loss_curve", *place)] = _loss(curve, dataset).astype(np.float16)
    return arrays


def _loss(accuracy: np.ndarray, dataset: str) -> np.ndarray:
    """Returns a cross-entropy that falls from that of guessing as accuracy rises."""
    return (math.log(_CLASSES[dataset]) * (0.02 + (1 - accuracy / 100) ** 1.3)).astype(np.float32)


def _curve(random: np.random.Generator, final: np.ndarray, chance: float, epochs: int) -> np.ndarray:
    """Returns curves `[N, S, epochs]` that rise to the final accuracies, with noise that dies away."""
    done = np.arange(1, epochs + 1, dtype=np.float32) / epochs
    shape = (0.6 * (1 - np.exp(-12 * done)) / (1 - math.exp(-12)) + 0.4 * done**2).astype(np.float32)
    curve: np.ndarray = random.standard_normal((*final.shape, epochs), np.float32)
    curve *= 1.5 * (1 - done)
    curve += np.float32(chance) + (final[..., None] - np.float32(chance)) * shape
    np.clip(curve, 0, 100, out=curve)
    return curve
