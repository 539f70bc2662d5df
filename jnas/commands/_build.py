"""The command `jnas table build`: a tabular benchmark of a data set, by training."""

import argparse
import shlex
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas import spaces
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
from jnas.core._version import __version__
from jnas.core._vocabulary import Space
from jnas.io._atomic import check_writable
from jnas.io._progress import status_line
from jnas.io._run_log import check_log
from jnas.io._text import counted
from jnas.spaces._registry import SPACES, up_to_vertices
from jnas.tables._file import save_arrays
from jnas.tables._named_cells import read_arch
from jnas.training._recipe import Recipe
from jnas.training.networks._families import FAMILIES, space_of
from jnas.training.networks._family import all_archs
from jnas.training.runs._build import TablePlan, assemble_table, measure_seconds, plan_table
from jnas.training.runs._jobs import Runs

_MOST_AT_ONCE = 32  # candidates of a CPU device between two files
_MOST_CELLS = 1 << 22  # that are listed for a table


def run_build(options: argparse.Namespace) -> None:
    """Runs `jnas table build`."""
    if show_recipes(options):
        return
    family = FAMILIES.entry(options.space)
    if options.vertices is not None and (not family.by_vertices or options.archs):
        known = " and ".join(row.name for row in FAMILIES.rows.values() if row.by_vertices)
        raise ValueError(f"--vertices chooses among all cells of {known}; leave it out")
    output = Path(options.output)
    check_writable(output)
    check_log(options.log)
    out = Path(options.out or output.with_suffix(""))
    prepare_devices(options)
    dataset = make_dataset(options)
    if dataset.validation_split is None or dataset.test_split is None:
        raise ValueError(f"the data set {dataset.name!r} lacks a validation or a test split, and a table needs both")
    recipe = begun_recipe(out, make_recipe(options, dataset, begun_setting(out, "recipe")))
    dataset = divide_as(dataset, recipe, options)
    plan = plan_table(
        seeds=range(options.num_seeds),
        num_cells=options.num_cells,
        num_repeated=options.num_repeated,
        copies=not options.no_copies,
        archs=_chosen_archs(options),
        space=options.space,
    )
    work = plan_work(plan.jobs, dataset, recipe, options, out, most=_MOST_AT_ONCE)
    if work.batches is not None and family.padding is not None:
        padding = family.padding(work.batches)
        say(f"sorted batches: {padding:.2f} times the convolutions that the candidates have")
    with begun_work(out, work) as folder:
        if not options.partial:
            cells = len(set(plan.cells.tolist()))
            say(
                f"{counted(len(plan.cells), 'run')} of {counted(cells, 'cell')} on {dataset.name}, "
                f"{counted(recipe.epochs, 'epoch')} each, in {out}; stopped at any moment, the same command goes on"
            )
            make_runs(work, folder, options.log, plan.cells.tolist())
        if jax.process_index() == 0:
            _write(options, plan, load_work(folder, work), work, output)


def _chosen_archs(options: argparse.Namespace) -> np.ndarray | None:
    """Returns the architectures that the options name, `[N, E]`; `None` for all of the space."""
    if options.archs:
        space = space_of(options.space, options.nodes)
        each = jnp.asarray(_read_lines(Path(options.archs), space))
        _, first = np.unique(np.asarray(jax.jit(jax.vmap(space.fingerprint))(each)), axis=0, return_index=True)
        return np.asarray(each)[np.sort(first)]
    if options.nodes is not None:
        space = space_of(options.space, options.nodes)
        if space.size is None or space.size > _MOST_CELLS:
            raise ValueError(f"--nodes is {options.nodes}, too many for a table of all cells; name some by --archs")
        return all_archs(space)
    if FAMILIES.entry(options.space).by_nodes:
        raise ValueError(f"--space is {options.space}, all cells of which are no table; add --nodes 2, or --archs FILE")
    cells = FAMILIES.entry(options.space).cells
    return cells(options.vertices) if cells is not None and options.vertices is not None else None


def _read_lines(path: Path, space: Space) -> np.ndarray:
    """Returns the architectures `[N, E]` of a file, one in each line that is not blank."""
    archs = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                archs.append(read_arch(line, space))
            except ValueError as error:
                raise ValueError(f"--archs {path}, line {number}: {error}") from None
    if not archs:
        raise ValueError(f"--archs {path} is empty, expected lines with valid cells of {space.name}")
    return np.stack(archs)


def _table_space(options: argparse.Namespace) -> Space | None:
    """Returns the sub-space that a table is of; None for the whole space, and for a part that no sub-space is."""
    chosen = None if options.vertices is None else up_to_vertices(options.space, options.vertices)
    return None if chosen is None or chosen.size == spaces.get(options.space).size else chosen


def _write(options: argparse.Namespace, plan: TablePlan, runs: Runs, work: TrainingWork, output: Path) -> None:
    """Times some cells, and writes the table."""
    dataset, recipe, network = work.dataset, work.recipe, work.network
    with status_line() as show:
        show("timing some cells")
        seconds, how = measure_seconds(plan, dataset, recipe, network)
    header, arrays = assemble_table(
        plan,
        runs,
        dataset,
        recipe,
        network,
        seconds,
        space=_table_space(options),
        name=options.name or f"{SPACES.entry(options.space).title.removesuffix(' cells')} cells (recipe {recipe.name})",
        source=f"trained by jnas {__version__} with recipe {recipe.name}: {options.command}",
        notes=(_recipe_text(recipe, dataset), how),
    )
    save_arrays(output, header, arrays, compress=options.compress)
    print(
        f"{output}: {output.stat().st_size / 1e6:,.1f} MB; {header.notes[0]}\n"
        f"see what it holds: {shlex.join(['jnas', 'table', 'report', str(output)])}"
    )


def _recipe_text(recipe: Recipe, dataset: Any) -> str:
    images = ", ".join(f"{len(rows):,} of {split}" for split, rows in dataset.splits.items())
    if recipe.text is not None:
        return (
            f"recipe {recipe.name}: {recipe.epochs} epochs in batches of {recipe.batch_size}, {recipe.channels} units, "
            f"windows of about {recipe.text.window}; a text of {dataset.num_tokens:,} different "
            f"{dataset.vocabulary.unit}: {images}"
        )
    height, width, channels = dataset.image_shape
    return (
        f"recipe {recipe.name}: {recipe.epochs} epochs in batches of {recipe.batch_size}, {recipe.channels} channels, "
        f"{recipe.cells} cells in each stage; images of {height}x{width}x{channels}: {images}"
    )
