"""The command `jnas train`: one or many architectures on a data set, over several seeds."""

import argparse
import errno
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jnas.commands._processes import say
from jnas.commands._training_setup import divide_as, make_dataset, make_recipe, prepare_devices, show_recipes
from jnas.commands._training_work import (
    TrainingWork,
    begun_recipe,
    begun_work,
    load_work,
    make_runs,
    plan_work,
)
from jnas.core._folder import begun_setting
from jnas.core._vocabulary import Network
from jnas.io._atomic import remove_unfinished
from jnas.io._progress import status_line
from jnas.io._run_log import check_log
from jnas.io._text import counted
from jnas.tables._named_cells import find_cells, read_cells
from jnas.training.export._weights import save_weights
from jnas.training.networks._families import FAMILIES, space_of
from jnas.training.runs._job_files import load_chunk_weights
from jnas.training.runs._jobs import Jobs, Runs, divide
from jnas.training.runs._results import RunGroup, draw_curves, summary_text, write_curves

_MOST_AT_ONCE = 16  # candidates of a CPU device between two checkpoints


def run_train(options: argparse.Namespace) -> None:
    """Runs `jnas train`."""
    if show_recipes(options):
        return
    space = space_of(options.space, options.nodes)
    cells = read_cells(options.archs, space)
    out = Path(options.out)
    _check_folder(out)
    check_log(options.log)
    prepare_devices(options, most=len(cells) * options.num_seeds)
    dataset = make_dataset(options)
    recipe = begun_recipe(out, make_recipe(options, dataset, begun_setting(out, "recipe")))
    dataset = divide_as(dataset, recipe, options)
    with status_line() as show:
        show("looking the cells up")
        archs = find_cells(cells, space)
    seeds, each = range(options.num_seeds), np.stack(list(archs.values())).astype(np.int32)
    jobs = Jobs(np.repeat(each, len(seeds), 0), np.tile(np.asarray(seeds, np.int64), len(each)))
    work = plan_work(jobs, dataset, recipe, options, out, most=_MOST_AT_ONCE)
    groups = _group_runs(archs, len(seeds), work.network)
    _check_room(out, work)
    with begun_work(out, work, ("curves.csv", "curves.png"), kept="weights") as folder:
        remove_unfinished(folder / "weights", r"\d{5,}-seed-\d+\.npz")
        _tell(options, archs, work)
        before = load_work(folder, work)  # a damaged file is said before the work
        if before.done.any():
            what = "all of it was" if before.done.all() else counted(before.done.sum(), "run")
            say(f"{what} done before")
        numbers = np.repeat(list(archs), len(seeds)).tolist()
        make_runs(work, folder, options.log, numbers, epochs_per_checkpoint=1, keep_weights=True)
        if jax.process_index() == 0:
            _write_results(work, groups, seeds, folder, load_work(folder, work))


def _tell(options: argparse.Namespace, archs: Mapping[int, np.ndarray], work: TrainingWork) -> None:
    """Says what will be trained, on what, and how."""
    dataset, recipe = work.dataset, work.recipe
    images = ", ".join(f"{split} {len(rows):,}" for split, rows in dataset.splits.items())
    by_default = "" if options.recipe else " (the default)"
    narrow = "" if work.network.dtype == "float32" else "; images within in bfloat16, the rest in float32"
    size = f"{recipe.channels} channels, {counted(recipe.cells, 'cell')} {FAMILIES.entry(options.space).cells_counted}"
    if recipe.text is not None:
        size = f"{recipe.channels} units, windows of {recipe.text.window} {dataset.vocabulary.unit}"
    say(
        f"{counted(len(archs), 'architecture')} x {counted(options.num_seeds, 'seed')} on {dataset.name} ({images}); "
        f"recipe {recipe.name}{by_default}: {counted(recipe.epochs, 'epoch')}, {size}, batches of {recipe.batch_size}"
        f"{narrow}"
    )


def _group_runs(archs: Mapping[int, np.ndarray], num_seeds: int, network: Network) -> list[RunGroup]:
    return [
        RunGroup(
            name=network.space.to_string(arch),
            number=index,
            rows=number * num_seeds + np.arange(num_seeds),
            parameters=float(network.parameters(jnp.asarray(arch))),
            flops=float(network.flops(jnp.asarray(arch))),
        )
        for number, (index, arch) in enumerate(archs.items())
    ]


def _check_folder(out: Path) -> None:
    """Raises before any work where a folder cannot be made or written."""
    place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ValueError(f"--out is {out}, but {place} is a file, expected a folder")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot write to the folder {out}: {error.strerror}") from error


def _check_room(out: Path, work: TrainingWork) -> None:
    """Raises before any work where a disk has not the room for what will be written."""
    shapes = jax.eval_shape(work.network.init, jax.random.key(0), work.jobs.archs[0])
    one = sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(shapes))
    # Each run's weights twice, in its chunk and by itself; a checkpoint with the optimizer's numbers, of texts with the
    # best epoch's weights too, while it is replaced by the next one.
    arrays = 2 if work.recipe.text is None else 3
    needed = 2 * one * len(work.jobs.archs) + 2 * arrays * one * work.chunk * jax.process_count() + (1 << 20)
    place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    written = sum(path.stat().st_size for path in (out / "runs").glob("chunk-*.npz"))
    free = shutil.disk_usage(place).free
    if free + written < needed:
        raise OSError(
            errno.ENOSPC,
            f"about {needed / 1e6:,.0f} MB will be written to {out}, and {free / 1e6:,.0f} MB are free; free space, or "
            "give another --out",
        )


def _write_results(
    work: TrainingWork, groups: Sequence[RunGroup], seeds: Sequence[int], folder: Path, runs: Runs
) -> None:
    """Writes curves, picture and weights, and prints the summary."""
    with status_line() as show:
        show("writing the results")
        task = work.network.task
        write_curves(folder / "curves.csv", groups, seeds, runs, task)
        draw_curves(folder / "curves.png", groups, runs, work.dataset, task)
        (folder / "weights").mkdir(exist_ok=True)
        for chunk, rows in enumerate(divide(len(work.jobs.archs), work.chunk)):
            weights = load_chunk_weights(folder, chunk, len(rows), work.network)
            for place, job in enumerate(rows.tolist()):
                group, seed = groups[job // len(seeds)], seeds[job % len(seeds)]
                if not runs.failed[job]:
                    one = jax.tree.map(lambda array, place=place: array[place], weights)
                    path = folder / "weights" / f"{group.number:05d}-seed-{seed}.npz"
                    save_weights(path, work.jobs.archs[job], one, work.dataset, work.recipe)
    print(f"\n{summary_text(groups, seeds, runs, work.dataset, work.network.task)}\n")
    print(f"curves: {folder / 'curves.csv'}\nplot: {folder / 'curves.png'}\nweights: {folder / 'weights'}")
