"""The command `jnas table build`: a tabular benchmark of a data set, by training."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnas.commands._training_setup import (
    add_training_options,
    make_dataset,
    make_recipe,
    prepare_devices,
    say,
    show_recipes,
)
from jnas.commands._training_work import begun_chunk, chunk_size, make_runs
from jnas.commands._words import add_command, add_output
from jnas.core._registry import DEFAULT_SPACE
from jnas.io._atomic import check_writable
from jnas.studies._settings import FLAG, NATURAL, NUM_SEEDS, OUT, POSITIVE, TEXT, Setting, add_settings

if TYPE_CHECKING:
    import numpy as np

_MOST_AT_ONCE = 32  # candidates of a CPU device between two files
_BUILD = """\
Trains the cells of a search space on a data set and writes their learning curves as a table, on which studies run:
a tabular benchmark of your own data. One cell of each class of isomorphic cells is trained; the others get its
numbers, and the table says so. The runs stand in a folder: stopped at any moment, the same command goes on.
"""

_SETTINGS = (
    OUT.of("the folder of the runs (default: T, beside the table)"),
    Setting("space", TEXT, "NAME", "nasbench201 (default) or nasbench101", DEFAULT_SPACE),
    Setting("archs", TEXT, "FILE", "train the cells of this file, an architecture string on each line"),
    Setting("vertices", POSITIVE, "N", "nasbench101: train the cells of up to so many vertices"),
    NUM_SEEDS.of("runs of each cell, with seeds 0 to N-1 (default 3)", 3),
    Setting("num_cells", POSITIVE, "N", "train so many cells, drawn from all (default: all)", older=("cells",)),
    Setting(
        "num_repeated",
        NATURAL,
        "N",
        "train so many cells with all seeds, the others with seed 0",
        older=("repeated",),
    ),
    Setting("no_copies", FLAG, help="train all 15,625 cells, not one of each of the 6,466 classes", default=False),
    Setting("partial", FLAG, help="train nothing; write the table of the runs that the folder holds", default=False),
    Setting("name", TEXT, "TEXT", "what to call the table"),
    Setting("compress", FLAG, help="a small file, which opens more slowly", default=False),
)


def add_build(commands: Any) -> None:
    """Adds `jnas table build`."""
    words = "make a table by training the cells of a space on a data set"
    parser = add_command(commands, "build", words, run_build, _BUILD, goes_on=True)
    add_output(parser)
    add_settings(parser, _SETTINGS)
    add_training_options(parser)


def run_build(options: argparse.Namespace) -> None:
    """Runs `jnas table build`."""
    if show_recipes(options):
        return
    from jnas.training.networks._families import FAMILIES

    family = FAMILIES.entry(options.space)
    if options.vertices is not None and (not family.by_vertices or options.archs):
        known = " and ".join(row.name for row in FAMILIES.rows.values() if row.by_vertices)
        raise ValueError(f"--vertices chooses among all cells of {known}; leave it out")
    output = Path(options.output)
    check_writable(output)
    out = Path(options.out or output.with_suffix(""))
    prepare_devices(options)
    import jax

    from jnas.io._text import counted
    from jnas.training.networks._families import make_network
    from jnas.training.runs._build import plan_table
    from jnas.training.runs._jobs import describe, device_batches, load_runs, open_folder

    dataset = make_dataset(options)
    if dataset.validation_split is None or dataset.test_split is None:
        raise ValueError(f"the data set {dataset.name!r} lacks a validation or a test split, and a table needs both")
    recipe = make_recipe(options, dataset)
    plan = plan_table(
        seeds=range(options.num_seeds),
        num_cells=options.num_cells,
        num_repeated=options.num_repeated,
        copies=not options.no_copies,
        archs=_chosen_archs(options),
        space=options.space,
    )
    chunk = options.chunk_size or begun_chunk(out) or chunk_size(len(plan.cells), dataset, recipe, most=_MOST_AT_ONCE)
    network = make_network(dataset, recipe, options.form, space=options.space)
    if network.form == "dispatch":
        batches = device_batches(plan.jobs, network, chunk)
        network = make_network(dataset, recipe, "dispatch", batches, space=options.space)
        if family.padding is not None:
            padding = family.padding(batches)
            say(f"sorted batches: {padding:.2f} times the convolutions that the candidates have")
    identity = describe(plan.jobs, dataset, recipe, network, chunk_size=chunk)
    if not options.partial:
        folder = open_folder(out, identity)
        cells = len(set(plan.cells.tolist()))
        say(
            f"{counted(len(plan.cells), 'run')} of {counted(cells, 'cell')} on {dataset.name}, "
            f"{counted(recipe.epochs, 'epoch')} each, in {out}; stopped at any moment, the same command goes on"
        )
        make_runs(plan.jobs, dataset, recipe, network, folder, chunk_size=chunk)
    else:
        folder = open_folder(out, identity)
    if jax.process_index() == 0:
        splits = list(dataset.splits)
        runs = load_runs(folder, len(plan.cells), chunk, recipe, splits)
        _write(options, plan, runs, dataset, recipe, network, output)


def _chosen_archs(options: argparse.Namespace) -> "np.ndarray | None":
    """Returns the architectures that the options name, `[N, E]`; `None` for all of the space."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jnas import spaces
    from jnas.training.networks._families import FAMILIES

    if options.archs:
        space = spaces.get(options.space)
        lines = [line.strip() for line in Path(options.archs).read_text().splitlines()]
        archs = np.stack([space.from_string(line) for line in lines if line] or [np.zeros(space.num_decisions, int)])
        each = jnp.asarray(archs)
        valid = np.asarray(jax.vmap(space.is_valid)(each))
        if not valid.all():
            wrong = space.to_string(archs[int(np.argmin(valid))]) if any(lines) else "an empty file"
            raise ValueError(f"--archs {options.archs} has {wrong}, expected lines with valid cells of {space.name}")
        _, first = np.unique(np.asarray(jax.vmap(space.fingerprint)(each)), axis=0, return_index=True)
        return np.asarray(each)[np.sort(first)]
    cells = FAMILIES.entry(options.space).cells
    return cells(options.vertices) if cells is not None and options.vertices is not None else None


def _write(
    options: argparse.Namespace, plan: Any, runs: Any, dataset: Any, recipe: Any, network: Any, output: Path
) -> None:
    """Times some cells, and writes the table."""
    from jnas.core._version import __version__
    from jnas.io._progress import status_line
    from jnas.spaces._registry import SPACES
    from jnas.tables._file import save_arrays
    from jnas.training.runs._build import assemble_table, measure_seconds

    with status_line() as show:
        show("timing some cells")
        seconds, how = measure_seconds(plan, dataset, recipe, network)
    command = shlex.join(["jnas", *options.words])
    header, arrays = assemble_table(
        plan,
        runs,
        dataset,
        recipe,
        network,
        seconds,
        name=options.name or f"{SPACES.entry(options.space).title} cells (recipe {recipe.name})",
        source=f"trained by jnas {__version__} with recipe {recipe.name}: {command}",
        notes=(_recipe_text(recipe, dataset), how),
    )
    save_arrays(output, header, arrays, compress=options.compress)
    print(
        f"{output}: {output.stat().st_size / 1e6:,.1f} MB; {header.notes[0]}\n"
        f"see what it holds: {shlex.join(['jnas', 'table', 'report', str(output)])}"
    )


def _recipe_text(recipe: Any, dataset: Any) -> str:
    images = ", ".join(f"{len(rows):,} of {split}" for split, rows in dataset.splits.items())
    height, width, channels = dataset.image_shape
    return (
        f"recipe {recipe.name}: {recipe.epochs} epochs in batches of {recipe.batch_size}, {recipe.channels} channels, "
        f"{recipe.cells} cells in each stage; images of {height}x{width}x{channels}: {images}"
    )
