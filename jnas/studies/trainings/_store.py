"""The trainings of a study, by architecture: each made once, whichever search asks for it, and kept in the folder.

```
trainings/NAME-00003.npz   what searcher NAME's fourth round trained: architectures and curves
trainings/NAME-00003/      the same while it runs, a folder of training runs
trainings/NAME.npz         the states of searcher NAME's searches after the last round, until all have ended
```
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._folder import FolderKind, begun_chunk, config_digest, read_description, read_part
from jnas.core._vocabulary import Space
from jnas.io._archive import read_archive, write_archive
from jnas.io._text import listed
from jnas.io._tree import as_members, fill, find_leaves
from jnas.spaces._registry import canonical
from jnas.studies.trainings._plan import TrainingSearchPlan
from jnas.training.runs._jobs import (
    Jobs,
    JobsProgress,
    Programs,
    Runs,
    begun_folder,
    describe,
    load_runs,
    run_jobs,
)

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
BEFORE = "(before)"
"""Whose trainings those are that were taken over from another folder."""

_SAME_TRAINING = ("space", "dataset_digest", "recipe", "form", "rematerialize", "training_seed", "images")


class Trainings(NamedTuple):
    """`N` architectures that were trained, in the order in which they were."""

    archs: np.ndarray  # int32 [N, E]
    runs: Runs

    @classmethod
    def joined(cls, parts: Sequence["Trainings"]) -> "Trainings":
        """Returns trainings one after another; at least one part."""
        together: Trainings = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
        return together


def round_path(folder: Path, name: str, number: int) -> Path:
    """Returns where the trainings of a searcher's round stand."""
    return folder / TRAININGS / f"{quote(name, safe=' ()+,=')}-{number:05d}.npz"


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


def as_trained(space: Space) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from valid architectures `[N, E]` to those that are trained for them, int32 `[N, E]`."""
    program = jax.jit(jax.vmap(canonical(space)))
    return lambda archs: np.asarray(program(jnp.asarray(archs)), np.int32)


class Store:
    """What has been trained, by architecture, and how more is."""

    def __init__(self, plan: TrainingSearchPlan, folder: Path, identity: Mapping[str, Any]):
        self._plan, self._folder, self._identity = plan, folder, identity
        self._rows: dict[bytes, tuple[Trainings, int]] = {}
        self._programs: dict[int, Programs] = {}
        self._rounds: dict[str, int] = {}  # of each searcher, how many the folder holds
        (folder / TRAININGS).mkdir(exist_ok=True)

    def _whose(self, name: str, number: int) -> dict[str, Any]:
        return {**self._identity, "searcher": name, "round": number}

    def take_up(self, name: str) -> None:
        """Takes up all rounds of a searcher that the folder holds.

        Raises:
          ValueError: A file is damaged, or of another study.
        """
        number = 0
        while (path := round_path(self._folder, name, number)).exists():
            self._add(load_trainings(path, self._whose(name, number), self._plan.config))
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # where a kill came between the two
            number += 1
        self._rounds[name] = number

    def _add(self, trainings: Trainings) -> None:
        self._rows |= {arch.tobytes(): (trainings, row) for row, arch in enumerate(trainings.archs)}

    def start_from(self, other: str | os.PathLike[str]) -> int:
        """Takes trainings of another such folder over into this one, and returns how many there are.

        Raises:
          FileNotFoundError: There is no such folder.
          ValueError: It holds something else, or trainings of other networks, images or recipes.
        """
        path = round_path(self._folder, BEFORE, 0)
        if not path.exists():
            said = read_description(Path(other), FOLDER)
            theirs, ours = said["config"], self._plan.config
            differing = [name for name in _SAME_TRAINING if theirs.get(name) != ours[name]]
            if differing:
                raise ValueError(
                    f"the trainings in {other} are not those that are made here, they have another "
                    f"{listed(differing)}; start from another folder, or from none"
                )
            identity = {**FOLDER.header, "study": config_digest(theirs)}
            found = all_trainings(Path(other), theirs["searchers"], identity, theirs)
            if found is None:
                return 0
            save_trainings(path, found, self._whose(BEFORE, 0))
        self.take_up(BEFORE)
        return len(self._rows)

    def save_searches(self, name: str, searches: Any) -> None:
        """Keeps the states of a searcher's searches, a pytree of arrays and keys."""
        whose = {**self._whose(name, self._rounds[name]), "searches": True}
        write_archive(searches_path(self._folder, name), whose, as_members(searches, "leaf_"))

    def load_searches(self, name: str, like: Any) -> Any:
        """Returns the states that the folder holds of a searcher's searches, or those given where it holds none.

        Raises:
          ValueError: The file is damaged, or of other searches.
        """
        path = searches_path(self._folder, name)
        if not path.exists():
            return like

        def check(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
            whose = {**self._identity, "searcher": name, "searches": True}
            try:
                if any(header.get(key) != value for key, value in whose.items()):
                    raise ValueError(f"it is not of {FOLDER.this}")
                if int(header["round"]) > self._rounds[name]:
                    raise ValueError("trainings of before are missing")
                find_leaves(arrays, like, "leaf_")
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path} is not of these searches ({error}); {FOLDER.remedy}") from None

        arrays = read_archive(path, kind="states of searches", remedy=FOLDER.remedy, check=check).arrays
        return fill(like, find_leaves(arrays, like, "leaf_"))

    def has(self, arch: np.ndarray) -> bool:
        """Returns whether an architecture `[E]` has been trained."""
        return arch.tobytes() in self._rows

    def scores(self, archs: np.ndarray) -> np.ndarray:
        """Returns the scores of trained architectures `[N, E]`, float32 `[N]`; NaN of those whose training diverged."""
        return self._read(archs, self._plan.config["splits"]["validation"], self._plan.config["last_epochs"])

    def finals(self, archs: np.ndarray, role: str) -> np.ndarray:
        """Returns the accuracies after the last epoch on a split by its role, float32 `[N]`; NaN without a training."""
        return self._read(archs, self._plan.config["splits"][role], 1)

    def _read(self, archs: np.ndarray, split: str, last: int) -> np.ndarray:
        values = np.full(len(archs), np.nan, np.float32)
        for place, arch in enumerate(archs):
            if self.has(arch):
                trainings, row = self._rows[arch.tobytes()]
                values[place] = trainings.runs.accuracy[split][row, -last:].mean(dtype=np.float64)
        return values

    def train(
        self,
        name: str,
        archs: np.ndarray,
        chunk_size: int,
        progress: Callable[[JobsProgress], None],
        compiled: Callable[[float], None],
        compiling: Callable[[], contextlib.AbstractContextManager[Any]],
    ) -> int:
        """Trains those of the architectures `[N, E]` that have not been, and returns how many these were.

        Args:
          name: The searcher, which has been taken up.
          archs: What it asks for; one may stand there twice.
          chunk_size: Candidates in one program; those that were begun go on in as many as they were begun with.
          progress: As in `run_jobs`.
          compiled: As there.
          compiling: As there.

        Raises:
          ValueError: The folder was begun with versions that compute other bits, or holds other runs in this place.
          OSError: A file cannot be written.
        """
        new = {arch.tobytes(): arch for arch in archs if not self.has(arch)}
        if not new:
            return 0
        plan, number = self._plan, self._rounds[name]
        path = round_path(self._folder, name, number)
        jobs = Jobs(np.stack([*new.values()]), np.full(len(new), plan.config["training_seed"], np.int64))
        running = path.with_suffix("")
        chunk_size = begun_chunk(running) or chunk_size
        said = describe(jobs, plan.dataset, plan.recipe, plan.network, chunk_size=chunk_size)
        programs = self._programs.setdefault(chunk_size, Programs(plan.recipe, plan.network, compiled, compiling))
        with begun_folder(running, said, ()) as folder:
            run_jobs(
                jobs,
                plan.dataset,
                plan.recipe,
                plan.network,
                folder,
                chunk_size=chunk_size,
                epochs_per_checkpoint=1,
                progress=progress,
                programs=programs,
            )
            runs = load_runs(folder, len(new), chunk_size, plan.recipe, list(plan.dataset.splits))
        trainings = Trainings(jobs.archs, runs)
        save_trainings(path, trainings, self._whose(name, number))
        shutil.rmtree(running)
        self._add(trainings)
        self._rounds[name] = number + 1
        return len(new)


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
