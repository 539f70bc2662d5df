"""Training runs in a folder: chunks of candidates, checkpoints between epochs, and a result that a kill cannot change.

```
config.json              what is trained, on what, how; and the versions that began it
runs/chunk-00012.npz     the runs of a chunk, finished
runs/chunk-00012.part.npz  the same chunk between two epochs
```

Processes on several hosts share the folder: each takes every n-th chunk, and none waits for another.

With networks that branch (`'switch'`) a run's numbers are its own: to the bit, they do not depend on the chunk that it
is in, nor on how many devices share the work, and any number of devices takes a checkpoint up. Sorted batches
(`'dispatch'`) round differently with their composition; they go on to the same result in the same division alone.
"""

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._devices import divided, local_mesh, place_shared
from jnas.core._devices_used import note_device
from jnas.core._folder import begun_in, open_result_folder, read_description, read_part
from jnas.core._program_memory import check_program_fits
from jnas.core._shares import ended_early, making_own_share, remove_left_locks
from jnas.core._versions import check_versions, versions
from jnas.core._vocabulary import Network, Weights
from jnas.io._fields import describe_fields
from jnas.training._recipe import Recipe, recipe_words
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.runs._job_files import (
    FOLDER,
    identities,
    job_chunk_path,
    load_part,
    part_path,
    save_job_chunk,
    save_part,
    tidy,
)
from jnas.training.runs._run_state import Curves, RunState
from jnas.training.runs._stopwatch import Stopwatch
from jnas.training.runs._train import begin_run, run_epochs
from jnas.training.runs._train_many import over_candidates

_SAME = ("jax", "platform", "device", "compiler_options")  # versions, where work goes on


@describe_fields
class Jobs(NamedTuple):
    """Runs to be made: `J` of them.

    Attributes:
      archs: int32 `[J, E]`.
      seeds: int64 `[J]`: run j has the key `jax.random.key(seeds[j])`.
    """

    archs: np.ndarray
    seeds: np.ndarray


@describe_fields
class Runs(NamedTuple):
    """Runs that were made, in the order of the jobs.

    Attributes:
      accuracy: Of each split, float32 [J, T]: percent, or the task's metric in its unit; NaN where a run is missing or
        diverged.
      loss: Of each split, as `accuracy`: the cross-entropy.
      seconds: float64 `[J]`: of a run, the mean over its chunk; NaN where it is missing.
      failed: bool `[J]`: the run diverged.
      done: bool `[J]`.
    """

    accuracy: dict[str, np.ndarray]
    loss: dict[str, np.ndarray]
    seconds: np.ndarray
    failed: np.ndarray
    done: np.ndarray


class JobsProgress(NamedTuple):
    """How far the work has come, for who shows it."""

    chunks_done: int
    num_chunks: int
    share: float  # of all epochs of all chunks
    seconds: float  # that this process has worked
    begun_at: float  # the share when it began


def describe(
    jobs: Jobs, dataset: Dataset | TextDataset, recipe: Recipe, network: Network, **more: Any
) -> dict[str, Any]:
    """Returns what makes these runs these and no others, as JSON."""
    return {
        **FOLDER.header,
        "dataset": dataset.name,
        "dataset_digest": dataset_digest(dataset),
        "recipe": recipe_words(recipe),
        "space": network.space.config,
        "form": network.form,
        "jobs": len(jobs.archs),
        "jobs_digest": _digest([jobs.archs.astype(np.int32), jobs.seeds.astype(np.int64)]),
        # Which folders of before do not know:
        **({"rematerialize": True} if network.rematerialize else {}),
        **({} if network.dtype == "float32" else {"dtype": network.dtype}),
        **more,
    }


def dataset_digest(dataset: Dataset | TextDataset) -> str:
    """Returns a digest of all images, labels, splits and settings of a data set; of a text of all tokens and words."""
    rows = [array for name in sorted(dataset.splits) for array in (name, dataset.splits[name])]
    if isinstance(dataset, TextDataset):
        return _digest([*rows, dataset.vocabulary.digest])
    settings = [dataset.num_classes, dataset.mean, dataset.std, tuple(dataset.augmentation)]
    return _digest([dataset.images, dataset.labels, *rows, json.dumps(settings)])


def _digest(parts: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def open_folder(folder: str | os.PathLike[str], description: Mapping[str, Any]) -> Path:
    """Makes the folder of runs, or finds that of runs that were begun, and checks that it can be written.

    Raises:
      ValueError: It holds something else, other runs, or was begun with versions that compute other bits.
      OSError: It cannot be made or written; the disk is full.
    """
    now = versions()
    folder, said = open_result_folder(folder, {**description, "versions": now}, FOLDER)
    check_versions(said["versions"], now, _SAME, work=f"the work in {folder}", elsewhere="another folder")
    return folder


@contextlib.contextmanager
def begun_folder(
    folder: str | os.PathLike[str],
    description: Mapping[str, Any],
    outputs: Sequence[str],
    elsewhere: str = FOLDER.elsewhere,
) -> Iterator[Path]:
    """Gives `open_folder`'s folder to a command, which is alone in it until it has written its outputs.

    Of several processes that share the work, the first one is; each of the others is alone in its share (`run_jobs`).

    Args:
      folder: The folder.
      description: From `describe`.
      outputs: The names of the files that the command writes beside config.json.
      elsewhere: What to give where the folder holds other work.

    Raises:
      ValueError: As `open_folder`.
      OSError: As `open_folder`; or another process is at work in the folder.
    """
    if jax.process_index() > 0:
        yield open_folder(folder, description)
        return
    now = versions()
    kind = FOLDER._replace(elsewhere=elsewhere)
    with begun_in(folder, {**description, "versions": now}, kind, outputs, ()) as (path, said):
        check_versions(said["versions"], now, _SAME, work=f"the work in {folder}", elsewhere="another folder")
        yield path
        remove_left_locks(path)


def run_jobs(
    jobs: Jobs,
    dataset: Dataset | TextDataset,
    recipe: Recipe,
    network: Network,
    folder: Path,
    *,
    chunk_size: int,
    epochs_per_checkpoint: int | None = None,
    keep_weights: bool = False,
    progress: Callable[[JobsProgress], None] = lambda _: None,
    compiled: Callable[[float], None] = lambda _: None,
    programs: "JobPrograms | None" = None,
    compiling: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    kept: Callable[[np.ndarray, Curves], None] = lambda rows, curves: None,
    watch: Stopwatch | None = None,
) -> None:
    """Makes all runs that a folder lacks, of those that this process is to make.

    Args:
      jobs: The runs. A chunk is `chunk_size` of them, one after another.
      dataset: What they learn from.
      recipe: How.
      network: What they train.
      folder: From `open_folder`.
      chunk_size: Candidates in one program, rounded up to a multiple of the local devices.
      epochs_per_checkpoint: After how many epochs a chunk is kept; by default only when it is done.
      keep_weights: Whether the parameters and statistics of each run are kept too.
      progress: Called after each checkpoint.
      compiled: Called before a program runs for the first time, with the bytes that it takes on each device.
      programs: Those of other runs of the same recipe, network and `chunk_size`, so that nothing is compiled again.
      compiling: Gives a context for each time that something is compiled.
      kept: Called once a checkpoint is written, with the numbers `[R]` of its jobs, of which one may stand there again,
        and their curves `[R, T]` so far.
      watch: Which shows how long the chunk that is at work has been so, without compiling, as its runs will say.

    Raises:
      MemoryError: A device has less memory than a program takes.
      OSError: A file cannot be written, what was finished stays; or another process is at work in the folder.
    """
    with making_own_share(folder):
        _run_chunks(
            jobs,
            dataset,
            recipe,
            network,
            folder,
            chunk_size,
            epochs_per_checkpoint,
            keep_weights,
            progress,
            programs or JobPrograms(recipe, network, compiled, compiling),
            kept,
            watch or Stopwatch(),
        )


def _run_chunks(
    jobs: Jobs,
    dataset: Dataset | TextDataset,
    recipe: Recipe,
    network: Network,
    folder: Path,
    chunk_size: int,
    epochs_per_checkpoint: int | None,
    keep_weights: bool,
    progress: Callable[[JobsProgress], None],
    programs: "JobPrograms",
    tell: Callable[[np.ndarray, Curves], None],
    watch: Stopwatch,
) -> None:
    chunks = divide(len(jobs.archs), chunk_size)
    mine = range(jax.process_index(), len(chunks), jax.process_count())
    paths = {chunk: job_chunk_path(folder, chunk) for chunk in mine}
    tidy(folder, paths)
    left = [chunk for chunk in mine if not paths[chunk].exists()]
    if not left:
        return
    step = min(epochs_per_checkpoint or recipe.epochs, recipe.epochs)
    devices, width = _width(chunk_size)
    shared, whose = place_shared(dataset), identities(folder)
    begun_at = 1 - len(left) / len(mine)
    begun_with, now = read_description(folder, FOLDER)["versions"], versions()
    start = time.monotonic()
    for number, chunk in enumerate(left):
        note_device(folder, paths[chunk].name, begun_with, now, jax.process_index())
        job_rows = chunks[chunk]
        order = _dealt(jobs.archs[job_rows], network, devices, width)
        rows = job_rows[order]
        keys = _keys(jobs.seeds[rows])
        archs = jnp.asarray(jobs.archs[rows], jnp.int32)
        part = part_path(paths[chunk])
        state, curves, seconds = programs.begin(shared, keys, archs), None, 0.0
        if part.exists():
            state, curves, seconds = load_part(part, state, list(dataset.splits), recipe.epochs, whose(chunk))
        done = 0 if curves is None else next(iter(curves.accuracy.values())).shape[1]
        watch.set(seconds)
        while done < recipe.epochs:
            more = min(step, recipe.epochs - done)
            advance = programs.advance(more, shared, state)
            with watch.running():
                state, new = advance(shared, state)
                new = jax.tree.map(np.asarray, new)
            curves = new if curves is None else jax.tree.map(lambda a, b: np.concatenate([a, b], 1), curves, new)
            done += more
            if done < recipe.epochs:
                save_part(part, state, curves, watch.seconds, whose(chunk))
                tell(rows, curves)
            share = begun_at + (1 - begun_at) * (number + done / recipe.epochs) / len(left)
            whole = len(mine) - len(left) + number + (done >= recipe.epochs)
            progress(JobsProgress(whole, len(mine), share, time.monotonic() - start, begun_at))
        kept = _in_order(order, len(job_rows), curves, state, keep_weights)
        save_job_chunk(paths[chunk], *kept, watch.seconds / width, whose(chunk))
        part.unlink(missing_ok=True)
        tell(job_rows, kept[0])


def _in_order(
    order: np.ndarray, num_jobs: int, curves: Curves | None, state: RunState, keep_weights: bool
) -> tuple[Curves, np.ndarray, Weights | None]:
    """Returns what a chunk's jobs gave, in their own order and without those that only fill it up."""
    places = np.argsort(order)[np.searchsorted(np.sort(order), np.arange(num_jobs))]
    everything = (curves, state.failed, state.weights if keep_weights else None)
    kept: tuple[Curves, np.ndarray, Weights | None] = jax.tree.map(lambda array: np.asarray(array)[places], everything)
    return kept


def _width(chunk_size: int) -> tuple[int, int]:
    """Returns the number of local devices, and the candidates in a program of theirs."""
    devices = local_mesh().devices.size
    return devices, -(-chunk_size // devices) * devices


def divide(num_jobs: int, chunk_size: int) -> list[np.ndarray]:
    """Returns the numbers of the jobs of each chunk."""
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size!r}, expected a Python int of at least 1")
    return [np.arange(i, min(i + chunk_size, num_jobs)) for i in range(0, num_jobs, chunk_size)]


def device_batches(jobs: Jobs, network: Network, chunk_size: int) -> np.ndarray:
    """Returns the architectures that each device gets at once, int32 `[batches, K, E]`, as `run_jobs` divides them."""
    devices, width = _width(chunk_size)
    batches = []
    for rows in divide(len(jobs.archs), chunk_size):
        archs = jobs.archs[rows[_dealt(jobs.archs[rows], network, devices, width)]]
        batches += np.split(archs, devices)
    return np.stack(batches)


def chunks_left(folder: Path, num_jobs: int, chunk_size: int) -> int:
    """Returns how many chunks of a folder are not finished."""
    return len(owners_of_chunks(folder, num_jobs, chunk_size))


def owners_of_chunks(folder: Path, num_jobs: int, chunk_size: int) -> list[int]:
    """Returns the process that makes it, for each chunk of a folder that is not finished."""
    count, chunks = jax.process_count(), range(len(divide(num_jobs, chunk_size)))
    return [chunk % count for chunk in chunks if not job_chunk_path(folder, chunk).exists()]


def killed_processes(folder: Path, num_jobs: int, chunk_size: int) -> list[int]:
    """Returns the processes that ended before they had made their share of a folder's runs."""
    return ended_early(folder, owners_of_chunks(folder, num_jobs, chunk_size))


def load_runs(folder: Path, num_jobs: int, chunk_size: int, recipe: Recipe, splits: Sequence[str]) -> Runs:
    """Returns the runs that a folder holds so far.

    Raises:
      ValueError: A file is damaged or does not fit.
    """
    shape = (num_jobs, recipe.epochs)
    accuracy = {split: np.full(shape, np.nan, np.float32) for split in splits}
    loss = {split: np.full(shape, np.nan, np.float32) for split in splits}
    seconds, failed, done = np.full(num_jobs, np.nan), np.zeros(num_jobs, bool), np.zeros(num_jobs, bool)
    whose = identities(folder)
    expected = {f"{kind}/{split}": "f R T" for kind in ("accuracy", "loss") for split in splits} | {"failed": "b R"}
    for chunk, rows in enumerate(divide(num_jobs, chunk_size)):
        path, sizes = job_chunk_path(folder, chunk), {"R": len(rows), "T": recipe.epochs}
        if not path.exists():
            continue
        header, arrays = read_part(path, whose(chunk), FOLDER, expected, sizes, ("seconds_per_run",))
        for split in splits:
            accuracy[split][rows], loss[split][rows] = arrays[f"accuracy/{split}"], arrays[f"loss/{split}"]
        failed[rows], seconds[rows], done[rows] = arrays["failed"], header["seconds_per_run"], True
    return Runs(accuracy, loss, seconds, failed, done)


class JobPrograms:
    """The two compiled programs of a chunk: its beginning, and some more epochs of it."""

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        compiled: Callable[[float], None],
        compiling: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ):
        self._recipe, self._network, self._compiled, self._compiling = recipe, network, compiled, compiling
        self._advance: dict[int, Any] = {}
        self._begin: Any = None

        def begin(dataset: Dataset | TextDataset, keys: Any, archs: Any) -> RunState:
            one = functools.partial(begin_run, dataset=dataset, recipe=recipe, network=network)
            state: RunState = over_candidates(one, network)(keys, archs)
            return state

        self._begin_program = divided(begin, 1)

    def begin(self, dataset: Dataset | TextDataset, keys: Any, archs: Any) -> RunState:
        """Returns runs of which nothing is done yet; the first call compiles."""
        if self._begin is None:
            program: Any = self._begin_program
            with self._compiling():
                self._begin = program.lower(dataset, keys, archs).compile()
        state: RunState = self._begin(dataset, keys, archs)
        return state

    def advance(self, epochs: int, dataset: Dataset | TextDataset, state: RunState) -> Any:
        """Returns the program of `epochs` more epochs, compiled before its work is timed."""
        if epochs not in self._advance:

            def more(dataset: Dataset | TextDataset, state: RunState) -> tuple[RunState, Curves]:
                def one(*leaves: Any) -> tuple[RunState, Curves]:
                    run = jax.tree.unflatten(jax.tree.structure(state), leaves)
                    return run_epochs(run, dataset, self._recipe, self._network, epochs)

                result: tuple[RunState, Curves] = over_candidates(one, self._network)(*jax.tree.leaves(state))
                return result

            program: Any = divided(more, 1)
            with self._compiling():
                self._advance[epochs] = program.lower(dataset, state).compile()
            self._compiled(check_program_fits(self._advance[epochs]))
        return self._advance[epochs]


def _keys(seeds: np.ndarray) -> Any:
    return jax.random.wrap_key_data(jnp.stack([jax.random.key_data(jax.random.key(int(seed))) for seed in seeds]))


def _dealt(archs: np.ndarray, network: Network, devices: int, width: int) -> np.ndarray:
    """Returns an order of a chunk's jobs, `[width]`, in which each device has as much to do as the others.

    The jobs are dealt from the dearest to the cheapest, and a chunk that is too short is filled up with its cheapest.
    """
    cost = np.asarray(jax.vmap(network.flops)(jnp.asarray(archs, jnp.int32)))
    order = np.argsort(-cost, kind="stable")
    order = np.concatenate([order, np.repeat(order[-1:], width - len(order))])
    rounds = order.reshape(-1, devices)
    rounds[1::2] = rounds[1::2, ::-1].copy()
    return rounds.T.reshape(-1)
