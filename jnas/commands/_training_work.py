"""How the commands that train divide their work, do it with a bar, and wait for other processes."""

import argparse
import contextlib
import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.commands._processes import say
from jnas.core._folder import begun_chunk, begun_setting
from jnas.core._program_memory import program_memory_words
from jnas.core._shares import wait_for_shares
from jnas.core._vocabulary import Network
from jnas.io._progress import ProgressBar, progress_bar
from jnas.io._run_log import run_log
from jnas.training._recipe import Recipe, recipe_words
from jnas.training.networks._families import FAMILIES, make_network
from jnas.training.runs._guess import guess_compile_seconds, guess_seconds
from jnas.training.runs._job_files import FOLDER
from jnas.training.runs._jobs import (
    Jobs,
    Runs,
    begun_folder,
    describe,
    device_batches,
    load_runs,
    owners_of_chunks,
    run_jobs,
)
from jnas.training.runs._logged import log_done, log_kept


class TrainingWork(NamedTuple):
    """What is to be trained, and how it is divided."""

    jobs: Jobs  # all runs, those of other processes too
    dataset: Any  # a `Dataset`, or a `TextDataset`
    recipe: Recipe
    network: Network
    chunk: int  # candidates in one program
    batches: np.ndarray | None  # int32 [batches, K, E]: what each device gets at once, where the network sorts them


def plan_work(
    jobs: Jobs, dataset: Any, recipe: Recipe, options: argparse.Namespace, out: Path, *, most: int
) -> TrainingWork:
    """Returns the work of some runs in the form and the chunks that options name, or those that fit.

    Args:
      jobs: The runs.
      dataset: What they learn from.
      recipe: How.
      options: Of `add_training_options`, with `space`.
      out: The folder, which may have been begun.
      most: Candidates of one CPU device at once.
    """
    how: dict[str, Any] = {"space": options.space, "rematerialize": options.rematerialize}
    how["dtype"] = _dtype(options, out)
    if getattr(options, "nodes", None) is not None:
        how["nodes"] = options.nodes
    form, batches = options.form, None
    alone = FAMILIES.entry(options.space).alone if len(np.unique(jobs.archs, axis=0)) == 1 else None
    if form is None and alone is not None:
        form = begun_setting(out, "form") or alone
    network = make_network(dataset, recipe, form, jobs.archs[0] if form == "static" else None, **how)
    chunk = options.chunk_size or begun_chunk(out) or _chunk_size(len(jobs.archs), dataset, recipe, most)
    if network.form == "dispatch":
        batches = device_batches(jobs, network, chunk)
        network = make_network(dataset, recipe, "dispatch", batches, **how)
    return TrainingWork(jobs, dataset, recipe, network, chunk, batches)


def _dtype(options: argparse.Namespace, out: Path) -> str:
    """Returns in what networks compute their images: as `--precision` says, where they can.

    A folder goes on as it was begun; once that option was about products alone.
    """
    if begun_setting(out, "form") is not None:
        return str(begun_setting(out, "dtype") or "float32")
    asked = getattr(options, "precision", None) == "bfloat16" and FAMILIES.entry(options.space).bfloat16
    return "bfloat16" if asked else "float32"


def begun_recipe(out: Path, recipe: Recipe) -> Recipe:
    """Returns the recipe with which a folder goes on: as it was begun, where the first step was another then."""
    before = recipe._replace(zero_first_step=False)
    if recipe == before or begun_setting(out, "recipe") != recipe_words(before):
        return recipe
    say(
        f"{out} was begun when the recipe's first step had the learning rate {recipe.learning_rate:g}, and goes on so; "
        "for the published schedule, whose first step has 0, give another folder"
    )
    return before


def _chunk_size(num_jobs: int, dataset: Any, recipe: Recipe, most: int) -> int:
    """Returns how many candidates to train at once, the same on every process, as evenly as they can be divided.

    On a CPU device they are at most `most`, on others as many as their memory holds.
    """
    devices = -(-int(jax.device_count()) // int(jax.process_count()))
    if jax.default_backend() != "cpu":
        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 8 << 30)
        if recipe.text is None:
            height, width, _ = dataset.image_shape
            kept = 2 * 6 * 1.75 * recipe.cells + 20  # two arrays for each edge, and what a 3x3 convolution unfolds
            one = 4 * recipe.batch_size * height * width * recipe.channels * kept
        else:  # three arrays of a window's logits, and of all parameters six
            one = 4 * dataset.num_tokens * (3 * recipe.batch_size * 2 * recipe.text.window + 6 * recipe.channels)
        most = max(1, min(256, int(0.5 * limit / one)))
    processes = int(jax.process_count())
    rounds = -(-num_jobs // (most * devices * processes))
    return -(-num_jobs // (rounds * processes))


@contextlib.contextmanager
def begun_work(
    out: Path, work: TrainingWork, outputs: Sequence[str] = (), *, elsewhere: str = FOLDER.elsewhere, **more: Any
) -> Iterator[Path]:
    """Gives the folder of the work, made or begun before, in which no other command is meanwhile.

    Args:
      out: The folder.
      work: From `plan_work`.
      outputs: The names of the files that are written beside config.json.
      elsewhere: What to give where the folder holds other work.
      **more: What more config.json says.

    Raises:
      ValueError: It holds other work.
      OSError: It cannot be written, or another process is at work in it.
    """
    jobs, dataset, recipe, network, chunk, _ = work
    described = describe(jobs, dataset, recipe, network, chunk_size=chunk, **more)
    with begun_folder(out, described, outputs, elsewhere) as folder:
        yield folder


def load_work(folder: Path, work: TrainingWork) -> Runs:
    """Returns the runs that a folder holds so far; raises ValueError where a file is damaged."""
    return load_runs(folder, len(work.jobs.archs), work.chunk, work.recipe, list(work.dataset.splits))


def make_runs(
    work: TrainingWork, folder: Path, log: str | None = None, numbers: Sequence[Any] = (), **how: Any
) -> None:
    """Makes the runs that a folder lacks, with a bar whose clock goes on, and waits for those of other processes.

    Args:
      work: From `plan_work`.
      folder: From `begun_work`.
      log: The tool in whose format runs are logged too, those that the folder holds with them; None for none.
      numbers: For it, of each run the number of its cell.
      **how: The other arguments of `run_jobs`.
    """
    with run_log(log, folder) as opened:
        how["kept"] = log_kept(opened, work.jobs, numbers, work.network, work.recipe.epochs)
        if log is not None:
            log_done(load_work(folder, work), work.chunk, how["kept"])
        _make_with_bar(work, folder, how)
    if jax.process_count() > 1:
        _wait(folder, len(work.jobs.archs), work.chunk)


def _make_with_bar(work: TrainingWork, folder: Path, how: dict[str, Any]) -> None:
    jobs, dataset, recipe, network, chunk, _ = work
    total = guess_seconds(jobs.archs, dataset, recipe, network)
    to_compile = guess_compile_seconds(network)
    pool = ThreadPoolExecutor(1)
    try:
        with progress_bar(total, title="training ") as bar:
            shown = 0.0

            def show(progress: Any) -> None:
                nonlocal shown
                bar.say(f"{progress.chunks_done} of {progress.num_chunks} chunks done")
                bar.advance((progress.share - max(shown, progress.begun_at)) * total / (1 - progress.begun_at))
                shown = progress.share

            how |= {"chunk_size": chunk, "progress": show, "compiled": functools.partial(_tell_memory, bar)}
            how["compiling"] = functools.partial(bar.apart, "compiling", to_compile)
            bar.wait(pool.submit(run_jobs, jobs, dataset, recipe, network, folder, **how))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _tell_memory(bar: ProgressBar, need: float) -> None:
    words = program_memory_words(need)
    if words:
        bar.aside(say, words)


def _wait(folder: Path, num_jobs: int, chunk: int) -> None:
    """Waits until all processes have made their share.

    Raises:
      ValueError: One ended before it had.
    """
    left = functools.partial(owners_of_chunks, folder, num_jobs, chunk)
    wait_for_shares(folder, left, -(-num_jobs // chunk), "chunks")
