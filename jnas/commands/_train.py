"""The command `jnas train`: one or many architectures on a data set, over several seeds."""

import argparse
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jnas.commands._training_setup import (
    add_training_options,
    make_dataset,
    make_recipe,
    prepare_devices,
    say,
    show_recipes,
)
from jnas.commands._training_work import begun_chunk, chunk_size, make_runs
from jnas.commands._words import add_command
from jnas.core._registry import DEFAULT_SPACE
from jnas.studies._settings import NUM_SEEDS, OUT, TEXT, Setting, add_settings
from jnas.tables._named_cells import find_cells, read_cells

if TYPE_CHECKING:
    import numpy as np

    from jnas.training import Dataset, Jobs, Network, Recipe, Runs
    from jnas.training.runs._results import RunGroup

_TRAIN = """\
Trains cells of NAS-Bench-201 or NAS-Bench-101 on a data set. DIR gets curves.csv, curves.png and a file of weights for
each run, which jnas.training.load_weights reads. Of isomorphic cells of NAS-Bench-101, the first that is given is
trained. Stopped at any moment, the same command goes on, to the same results.
"""

_SETTINGS = (
    Setting("space", TEXT, "{nasbench201,nasbench101}", f"default {DEFAULT_SPACE}", DEFAULT_SPACE),
    NUM_SEEDS.of("runs of each, with seeds 0 to N-1 (default 1)", 1),
    OUT.of("the folder of the runs (default jnas-train)", "jnas-train"),
)
_MOST_AT_ONCE = 16  # candidates of a CPU device between two checkpoints


class _Work(NamedTuple):
    """What is to be trained."""

    groups: "list[RunGroup]"
    seeds: range
    jobs: "Jobs"
    dataset: "Dataset"
    recipe: "Recipe"
    network: "Network"
    chunk: int


def add_train(commands: Any) -> None:
    """Adds `jnas train`."""
    words = "train architectures on a data set, over several seeds"
    parser = add_command(commands, "train", words, run_train, _TRAIN, goes_on=True)
    parser.add_argument(
        "archs", metavar="ARCH", nargs="*", help="architecture strings (in quotes), or indices in the space"
    )
    add_settings(parser, _SETTINGS)
    add_training_options(parser)


def run_train(options: argparse.Namespace) -> None:
    """Runs `jnas train`."""
    if show_recipes(options):
        return
    from jnas import spaces
    from jnas.training.networks._families import FAMILIES

    space = spaces.get(FAMILIES.entry(options.space).name)
    cells = read_cells(options.archs, space)
    out = Path(options.out)
    _check_folder(out)
    prepare_devices(options, most=len(cells) * options.num_seeds)
    import jax

    from jnas.io._progress import status_line
    from jnas.io._text import counted
    from jnas.training.runs._jobs import describe, load_runs, open_folder

    dataset = make_dataset(options)
    recipe = make_recipe(options, dataset)
    with status_line() as show:
        show("looking the cells up")
        archs = find_cells(cells, space)
    work = _plan(archs, range(options.num_seeds), dataset, recipe, options, out)
    _check_room(out, work)
    identity = describe(work.jobs, dataset, recipe, work.network, chunk_size=work.chunk, kept="weights")
    folder = open_folder(out, identity)
    num_jobs, splits = len(work.jobs.archs), list(dataset.splits)
    images = ", ".join(f"{split} {len(rows):,}" for split, rows in dataset.splits.items())
    by_default = "" if options.recipe else " (the default)"
    say(
        f"{counted(len(archs), 'architecture')} x {counted(options.num_seeds, 'seed')} on {dataset.name} ({images}); "
        f"recipe {recipe.name}{by_default}: {counted(recipe.epochs, 'epoch')}, {recipe.channels} channels, "
        f"{counted(recipe.cells, 'cell')} in each stage, batches of {recipe.batch_size}"
    )
    before = load_runs(folder, num_jobs, work.chunk, recipe, splits)  # a damaged file is said before the work
    if before.done.any():
        say("all of it was done before" if before.done.all() else f"{counted(before.done.sum(), 'run')} done before")
    make_runs(
        work.jobs,
        work.dataset,
        work.recipe,
        work.network,
        folder,
        chunk_size=work.chunk,
        epochs_per_checkpoint=1,
        keep_weights=True,
    )
    if jax.process_index() == 0:
        _write_results(work, folder, load_runs(folder, num_jobs, work.chunk, recipe, splits))


def _plan(
    archs: "dict[int, np.ndarray]",
    seeds: range,
    dataset: "Dataset",
    recipe: "Recipe",
    options: argparse.Namespace,
    out: Path,
) -> _Work:
    import jax.numpy as jnp
    import numpy as np

    from jnas.training.networks._families import make_network
    from jnas.training.runs._jobs import Jobs, device_batches
    from jnas.training.runs._results import RunGroup

    network = make_network(dataset, recipe, options.form, space=options.space)
    each = np.stack(list(archs.values())).astype(np.int32)
    jobs = Jobs(np.repeat(each, len(seeds), 0), np.tile(np.asarray(seeds, np.int64), len(each)))
    chunk = options.chunk_size or begun_chunk(out) or chunk_size(len(jobs.archs), dataset, recipe, most=_MOST_AT_ONCE)
    if network.form == "dispatch":
        batches = device_batches(jobs, network, chunk)
        network = make_network(dataset, recipe, "dispatch", batches, space=options.space)
    groups = [
        RunGroup(
            name=network.space.to_string(arch),
            number=index,
            rows=number * len(seeds) + np.arange(len(seeds)),
            parameters=float(network.parameters(jnp.asarray(arch))),
            flops=float(network.flops(jnp.asarray(arch))),
        )
        for number, (index, arch) in enumerate(archs.items())
    ]
    return _Work(groups, seeds, jobs, dataset, recipe, network, chunk)


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


def _check_room(out: Path, work: _Work) -> None:
    """Raises before any work where a disk has not the room for what will be written."""
    import errno

    import jax

    shapes = jax.eval_shape(work.network.init, jax.random.key(0), work.jobs.archs[0])
    one = sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(shapes))
    # Each run's weights twice, in its chunk and by itself; a checkpoint with the optimizer's numbers while it is
    # replaced by the next one.
    needed = 2 * one * len(work.jobs.archs) + 4 * one * work.chunk * jax.process_count() + (1 << 20)
    place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    written = sum(path.stat().st_size for path in (out / "runs").glob("chunk-*.npz"))
    free = shutil.disk_usage(place).free
    if free + written < needed:
        raise OSError(
            errno.ENOSPC,
            f"about {needed / 1e6:,.0f} MB will be written to {out}, and {free / 1e6:,.0f} MB are free; free space, or "
            "give another --out",
        )


def _write_results(work: _Work, folder: Path, runs: "Runs") -> None:
    """Writes curves, picture and weights, and prints the summary."""
    import jax

    from jnas.io._progress import status_line
    from jnas.training.export._weights import save_weights
    from jnas.training.runs._job_files import load_chunk_weights
    from jnas.training.runs._jobs import divide
    from jnas.training.runs._results import draw_curves, summary_text, write_curves

    with status_line() as show:
        show("writing the results")
        write_curves(folder / "curves.csv", work.groups, work.seeds, runs)
        draw_curves(folder / "curves.png", work.groups, runs, work.dataset)
        (folder / "weights").mkdir(exist_ok=True)
        for chunk, rows in enumerate(divide(len(work.jobs.archs), work.chunk)):
            weights = load_chunk_weights(folder, chunk, len(rows), work.network)
            for place, job in enumerate(rows.tolist()):
                group, seed = work.groups[job // len(work.seeds)], work.seeds[job % len(work.seeds)]
                if not runs.failed[job]:
                    one = jax.tree.map(lambda array, place=place: array[place], weights)
                    path = folder / "weights" / f"{group.number:05d}-seed-{seed}.npz"
                    save_weights(path, work.jobs.archs[job], one, work.dataset, work.recipe)
    print(f"\n{summary_text(work.groups, work.seeds, runs, work.dataset)}\n")
    print(f"curves: {folder / 'curves.csv'}\nplot: {folder / 'curves.png'}\nweights: {folder / 'weights'}")
