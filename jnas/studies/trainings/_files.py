"""The files of a study's trainings.

```
trainings/NAME-00003.npz   what searcher NAME's fourth round trained: architectures and curves
trainings/NAME-00003/      the same while it runs, a folder of training runs
trainings/alone-1f0c.../   with several workers, one architecture's training while it runs
trainings/NAME.npz         the states of searcher NAME's searches after the last round, until all have ended
```
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jax
import numpy as np

from jnas.core._folder import FolderKind, read_part
from jnas.io._archive import write_archive
from jnas.training.runs._jobs import Runs

FOLDER = FolderKind(
    "jnas-training-search",
    1,
    "a study of searches by trainings",
    "jnas search",
    "traces",
    "results of searches by trainings",
    remedy="delete it, and the same command makes it again",
)
TRAININGS = "trainings"
_ALONE = "alone-"
BEFORE = "(before)"
"""Whose trainings those are that were taken over from another folder."""


class Trainings(NamedTuple):
    """`N` architectures that were trained, in the order in which they were."""

    archs: np.ndarray  # int32 [N, E]
    runs: Runs

    @classmethod
    def joined(cls, parts: Sequence["Trainings"]) -> "Trainings":
        """Returns trainings one after another; at least one part."""
        together: Trainings = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
        return together


def no_trainings(num_decisions: int, config: Mapping[str, Any]) -> Trainings:
    """Returns those of a study in which nothing has been trained yet."""
    curves = dict.fromkeys(config["images"], np.zeros((0, int(config["epochs"][0])), np.float32))
    runs = Runs(curves, curves, np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))
    return Trainings(np.zeros((0, num_decisions), np.int32), runs)


def round_path(folder: Path, name: str, number: int) -> Path:
    """Returns where the trainings of a searcher's round stand."""
    return folder / TRAININGS / f"{quote(name, safe=' ()+,=')}-{number:05d}.npz"


def alone_path(folder: Path, arch: np.ndarray) -> Path:
    """Returns where the training of an architecture `[E]` runs that is made by itself."""
    words = hashlib.sha256(np.ascontiguousarray(arch, np.int32).tobytes()).hexdigest()
    return folder / TRAININGS / f"{_ALONE}{words[:32]}"


def alone_paths(folder: Path) -> list[Path]:
    """Returns where such trainings run, or did."""
    return [path for path in (folder / TRAININGS).glob(f"{_ALONE}*") if path.is_dir()]


def searches_path(folder: Path, name: str) -> Path:
    """Returns where the states of a searcher's searches stand while there is something left of them."""
    return folder / TRAININGS / f"{quote(name, safe=' ()+,=')}.npz"


def save_trainings(path: Path, trainings: Trainings, identity: Mapping[str, Any]) -> None:
    """Writes the trainings of a round."""
    archs, runs = trainings
    curves = {f"{kind}/{split}": v for kind in ("accuracy", "loss") for split, v in getattr(runs, kind).items()}
    write_archive(path, identity, {"archs": archs, **curves, "failed": runs.failed, "seconds": runs.seconds})


def load_trainings(path: Path, identity: Mapping[str, Any], config: Mapping[str, Any]) -> Trainings:
    """Returns the trainings of a round; errors are those of `read_part`."""
    splits, sizes = list(config["images"]), {"T": int(config["epochs"][0])}
    curves = {f"{kind}/{split}": "f N T" for kind in ("accuracy", "loss") for split in splits}
    expected = {"archs": "i N E", **curves, "failed": "b N", "seconds": "f N"}
    _, arrays = read_part(path, identity, FOLDER, expected, sizes)
    accuracy, loss = ({split: arrays[f"{kind}/{split}"] for split in splits} for kind in ("accuracy", "loss"))
    done = np.ones(len(arrays["failed"]), bool)
    return Trainings(arrays["archs"].astype(np.int32), Runs(accuracy, loss, arrays["seconds"], arrays["failed"], done))


def all_trainings(
    folder: Path,
    names: Sequence[str],
    identity: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    before: bool = True,
) -> Trainings | None:
    """Returns what a folder holds of searchers' rounds, in their order; None where there is nothing.

    Args:
      folder: The study's.
      names: Of the searchers.
      identity: What its files say of themselves, but for the searcher and the round.
      config: The study's configuration.
      before: Whether trainings that were taken over from another folder count, and come first.
    """
    found = []
    for name in (BEFORE, *names) if before else names:
        number = 0
        while (path := round_path(folder, name, number)).exists():
            found.append(load_trainings(path, {**identity, "searcher": name, "round": number}, config))
            number += 1
    return Trainings.joined(found) if found else None
