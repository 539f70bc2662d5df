"""The trainings of a study, by architecture: each made once, whichever search asks for it, and kept in the folder."""

import contextlib
import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._folder import begun_chunk, config_digest, read_description
from jnas.core._shares import Share, wait_for_shares
from jnas.core._vocabulary import Space
from jnas.io._archive import read_archive, write_archive
from jnas.io._run_log import NO_LOG, RunLog
from jnas.io._text import listed
from jnas.io._tree import as_members, fill, find_leaves
from jnas.spaces._registry import canonical
from jnas.studies.trainings._files import (
    BEFORE,
    FOLDER,
    TRAININGS,
    Trainings,
    all_trainings,
    alone_path,
    alone_paths,
    load_trainings,
    no_trainings,
    round_path,
    save_trainings,
    searches_path,
)
from jnas.studies.trainings._objectives import goals_of
from jnas.studies.trainings._plan import TrainingSearchPlan
from jnas.tables._metric import metric_of
from jnas.training.runs._jobs import (
    JobPrograms,
    Jobs,
    JobsProgress,
    Runs,
    begun_folder,
    describe,
    divide,
    load_runs,
    owners_of_chunks,
    run_jobs,
)
from jnas.training.runs._logged import log_kept
from jnas.training.runs._stopwatch import Stopwatch

_PAUSE = 0.05  # seconds between two looks for what other processes make
_SAME_TRAINING = ("space", "dataset_digest", "recipe", "form", "rematerialize", "dtype", "training_seed", "images")


def as_trained(space: Space) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from valid architectures `[N, E]` to those that are trained for them, int32 `[N, E]`."""
    program = jax.jit(jax.vmap(canonical(space)))
    return lambda archs: np.asarray(program(jnp.asarray(archs)), np.int32)


class Store:
    """What has been trained, by architecture, and how more is.

    Several processes search alike and train a round together, each its chunks; the first one keeps what comes of it.
    """

    def __init__(
        self,
        plan: TrainingSearchPlan,
        folder: Path,
        identity: Mapping[str, Any],
        share: Share,
        log: RunLog = NO_LOG,
    ):
        self._plan, self._folder, self._identity, self._share = plan, folder, identity, share
        self._log = log if share.process == 0 else NO_LOG
        self._rows: dict[bytes, tuple[Trainings, int]] = {}
        self._programs: dict[int, JobPrograms] = {}
        self._rounds: dict[str, int] = {}  # of each searcher, how many the folder holds
        (folder / TRAININGS).mkdir(exist_ok=True)

    def _whose(self, name: str, number: int) -> dict[str, Any]:
        return {**self._identity, "searcher": name, "round": number}

    def take_up(self, name: str) -> None:
        """Takes up all rounds of a searcher that the folder holds.

        Raises:
          ValueError: A file is damaged, or of another study.
        """
        number = self._rounds.get(name, 0)
        while (path := round_path(self._folder, name, number)).exists():
            self._add(load_trainings(path, self._whose(name, number), self._plan.config))
            if self._share.process == 0:
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # where a kill came between the two
            number += 1
        self._rounds[name] = number

    def _add(self, trainings: Trainings) -> None:
        self._rows |= {arch.tobytes(): (trainings, row) for row, arch in enumerate(trainings.archs)}
        self._kept(self._jobs(trainings.archs))(np.arange(len(trainings.archs)), trainings.runs)

    def _jobs(self, archs: np.ndarray) -> Jobs:
        return Jobs(archs, np.full(len(archs), self._plan.config["training_seed"], np.int64))

    def _kept(self, jobs: Jobs) -> Callable[[np.ndarray, Any], None]:
        """Returns what logs trainings, named by the index of their architecture or a digest of it."""
        if self._log is NO_LOG:
            return lambda rows, runs: None
        space: Space = self._plan.network.space
        if space.index is not None:
            numbers: list[Any] = [int(space.index(jnp.asarray(arch))) for arch in jobs.archs]
        else:
            numbers = [hashlib.sha256(arch.tobytes()).hexdigest()[:8] for arch in jobs.archs]
        return log_kept(self._log, jobs, numbers, self._plan.network, self._plan.recipe.epochs)

    def start_from(self, other: str | os.PathLike[str]) -> int:
        """Takes trainings of another such folder over into this one, and returns how many there are.

        Raises:
          FileNotFoundError: There is no such folder.
          ValueError: It holds something else, or trainings of other networks, images or recipes.
        """
        path = round_path(self._folder, BEFORE, 0)
        if self._share.process > 0:
            self._await(path)
        if not path.exists():
            said = read_description(Path(other), FOLDER)
            theirs, ours = said["config"], self._plan.config
            differing = [name for name in _SAME_TRAINING if theirs.get(name) != ours.get(name)]
            if goals_of(ours).timed and not (goals_of(theirs).timed or theirs.get("workers", 1) > 1):
                raise ValueError(
                    f"train_seconds is searched on, and the trainings in {other} were made several in one program, so "
                    "that none has a time of its own; start from another folder, or from none"
                )
            if differing:
                raise ValueError(
                    f"the trainings in {other} are not those that are made here, they have another "
                    f"{listed(differing)}; start from another folder, or from none"
                )
            identity = {**FOLDER.header, "study": config_digest(theirs)}
            found = all_trainings(Path(other), theirs["searchers"], identity, theirs)
            if found is None:
                if self._share.processes == 1:
                    return 0
                found = no_trainings(self._plan.network.space.num_decisions, ours)  # for which the others wait
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
        """Returns the scores of trained architectures `[N, E]`, float32 `[N]`; NaN of those whose training diverged.

        Where lower is better, minus the task's metric.
        """
        config = self._plan.config
        values = self._read(archs, config["splits"]["validation"], config["last_epochs"])
        return np.float32(metric_of(config).sign) * values

    def finals(self, archs: np.ndarray, role: str) -> np.ndarray:
        """Returns the metric after the last epoch on a split by its role, float32 `[N]`; NaN without a training."""
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
        new = [arch for arch in {arch.tobytes(): arch for arch in archs}.values() if not self.has(arch)]
        if not new:
            return 0
        jobs = self._jobs(np.stack(new))
        path = round_path(self._folder, name, self._rounds[name])
        programs = functools.partial(self._programs_of, compiled=compiled, compiling=compiling)
        runs = self._run_share(path, jobs, chunk_size, progress, programs)
        if runs is None:
            self.take_up(name)
            self._check_same(new)
        else:
            self._keep(name, Trainings(jobs.archs, runs), path.with_suffix(""))
        return len(new)

    def _keep(self, name: str, trainings: Trainings, made_in: Path) -> None:
        """Writes trainings as the next round of a searcher, and removes the folder in which they were made."""
        path = round_path(self._folder, name, self._rounds[name])
        save_trainings(path, trainings, self._whose(name, self._rounds[name]))
        # Another process may just be leaving it; what stays is removed by who goes on with the folder.
        shutil.rmtree(made_in, ignore_errors=True)
        self._add(trainings)
        self._rounds[name] += 1

    # One at a time, on a device.

    def train_alone(
        self, arch: np.ndarray, programs: JobPrograms, watch: Stopwatch, progress: Callable[[JobsProgress], None]
    ) -> Runs:
        """Returns the run of an architecture `[E]`, which goes on where one was begun; `keep_alone` keeps it.

        It may be called from several threads at once, each on its device (`only_on`) with programs of its own.
        """
        plan, jobs = self._plan, self._jobs(arch[None])
        said = describe(jobs, plan.dataset, plan.recipe, plan.network, chunk_size=1)
        how: dict[str, Any] = {"chunk_size": 1, "epochs_per_checkpoint": 1, "progress": progress, "watch": watch}
        with begun_folder(alone_path(self._folder, arch), said, ()) as folder:
            run_jobs(jobs, plan.dataset, plan.recipe, plan.network, folder, programs=programs, **how)
            return load_runs(folder, 1, 1, plan.recipe, list(plan.dataset.splits))

    def keep_alone(self, name: str, arch: np.ndarray, runs: Runs) -> None:
        """Writes what came of an architecture `[E]`, as the next round of a searcher that has been taken up."""
        self._keep(name, Trainings(arch[None], runs), alone_path(self._folder, arch))

    def drop_alone(self, left: bool) -> None:
        """Removes the folders of single trainings that have been kept, and with `left=False` of all others too.

        The former stand there where a kill came between the two, the latter where a training that was killed took
        another time at its second try, so that the order in which searches are told, and what they ask for, changed.
        """
        kept = {alone_path(self._folder, np.frombuffer(arch, np.int32)) for arch in self._rows}
        for path in alone_paths(self._folder):
            if path in kept or not left:
                shutil.rmtree(path, ignore_errors=True)

    def seconds(self, archs: np.ndarray) -> np.ndarray:
        """Returns what trained architectures `[N, E]` took, float32 `[N]`."""
        found = [self._rows[arch.tobytes()] for arch in archs]
        return np.asarray([trainings.runs.seconds[row] for trainings, row in found], np.float32)

    def _programs_of(self, chunk_size: int, **told: Any) -> JobPrograms:
        """Returns the programs of chunks of a size, those of earlier rounds where there are any."""
        if chunk_size not in self._programs:
            self._programs[chunk_size] = JobPrograms(self._plan.recipe, self._plan.network, **told)
        return self._programs[chunk_size]

    def _run_share(
        self,
        path: Path,
        jobs: Jobs,
        chunk_size: int,
        progress: Callable[[JobsProgress], None],
        programs: Callable[[int], JobPrograms],
    ) -> Runs | None:
        """Returns the runs of a round after the processes have made them; None where the first one has kept them."""
        plan, share, running = self._plan, self._share, path.with_suffix("")
        chunk_size = begun_chunk(running) or chunk_size
        chunks = len(divide(len(jobs.archs), chunk_size))
        if share.process >= chunks or path.exists():
            self._await(path)
            return None
        said = describe(jobs, plan.dataset, plan.recipe, plan.network, chunk_size=chunk_size)
        how: dict[str, Any] = {"chunk_size": chunk_size, "epochs_per_checkpoint": 1, "progress": progress}
        if share.processes == 1:  # of several the first one logs what all have made
            how["kept"] = self._kept(jobs)
        with begun_folder(running, said, ()) as folder:
            run_jobs(jobs, plan.dataset, plan.recipe, plan.network, folder, programs=programs(chunk_size), **how)
            if share.process == 0:
                left = functools.partial(owners_of_chunks, folder, len(jobs.archs), chunk_size)
                wait_for_shares(self._folder, left, chunks, "chunks", show=False, pause=_PAUSE)
                return load_runs(folder, len(jobs.archs), chunk_size, plan.recipe, list(plan.dataset.splits))
        self._await(path)
        return None

    def _await(self, path: Path) -> None:
        """Waits until the first process has kept a file."""
        wait_for_shares(self._folder, lambda: () if path.exists() else (0,), 1, "rounds", show=False, pause=_PAUSE)

    def _check_same(self, archs: Sequence[np.ndarray]) -> None:
        if not all(map(self.has, archs)):
            raise ValueError(
                f"the searchers of process {self._share.process} ask for other architectures than those of process 0, "
                "so that their devices compute other bits; give all processes machines of one kind"
            )
