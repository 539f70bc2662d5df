"""What `jnas supernet --from-scratch` does once the searches have ended: it trains what they found."""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas import spaces
from jnas.commands._processes import say
from jnas.commands._training_setup import divide_as
from jnas.commands._training_work import begun_work, load_work, make_runs, plan_work
from jnas.core._folder import begun_setting
from jnas.core._vocabulary import Network, Space
from jnas.io._text import counted, listed
from jnas.searchers._settings import naming, read_settings, read_spec
from jnas.searchers.weight_sharing.mixtures._projection import Projection
from jnas.spaces._registry import to_cell
from jnas.studies._engine import write_outputs
from jnas.studies.supernets._from_scratch import (
    TRAININGS,
    choose_cells,
    collect_from_scratch,
    save_from_scratch,
    scratch_jobs,
)
from jnas.studies.supernets._other_ends import save_selected, select_again, selectable
from jnas.studies.supernets._plan import SupernetPlan
from jnas.studies.supernets._results import SupernetStudy
from jnas.studies.supernets._run import log_searches
from jnas.studies.supernets._study import KIND
from jnas.training._recipe import Recipe, get_recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import FAMILIES, make_network, nodes_of_space, space_of
from jnas.training.runs._jobs import dataset_digest
from jnas.training.runs._train import steps_per_epoch

_MOST_AT_ONCE = 16  # candidates of a CPU device between two files
_ALIKE = ("rematerialize", "precision")
_ONLY_WITH = ("random", "trainings")
_RANDOM, _TRAININGS = 20, 1
_ELSEWHERE = "the recipe, --random and --trainings of before, or delete that folder to train anew; the searches stay"


def scratch_recipe(options: argparse.Namespace, dataset: Dataset) -> Recipe | None:
    """Returns the recipe that `--from-scratch` names, None without it.

    Raises:
      ValueError: There is no such recipe, the data set or the space's networks do not fit it, or what belongs to it is
        given alone.
    """
    if options.from_scratch is None:
        alone = [name for name in _ONLY_WITH if getattr(options, name) is not None]
        if alone:
            raise ValueError(f"--{alone[0]} is of what is trained from scratch; give --from-scratch RECIPE too")
        return None
    family = FAMILIES.entry(options.space)
    own = spaces.get(options.space) if family.network is None else space_of(options.space, options.nodes)
    space, _ = trained_as(own, np.zeros((1, own.num_decisions), np.int32))
    spec = read_spec(options.from_scratch)
    with naming(options.from_scratch):
        recipe = get_recipe(spec.name, **read_settings(f"the recipe {spec.name}", _changes, spec.settings))
        steps_per_epoch(divide_as(dataset, recipe, options), recipe)
        # What these cannot be is said before the searches, not after.
        make_network(dataset, recipe, space=space, nodes=options.nodes)
    return recipe


def check_trainable(recipe: Recipe | None, space: Space) -> None:
    """Raises ValueError, before any search, where its cells may have operations that networks lack: noise of S4."""
    if recipe is None or to_cell(space) is not None:
        return
    of_networks = space_of(space.name, nodes_of_space(space))
    own, trained = ({name for row in each.choices for name in row} for each in (space, of_networks))
    if lacking := sorted(own - trained - {"none"}):
        raise ValueError(
            f"what is searched may have {listed(lacking)}, which networks that are trained from scratch lack; leave "
            "--from-scratch out"
        )


def _changes(
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    channels: int | None = None,
    cells: int | None = None,
) -> None:
    """What can be changed of a recipe, as options of `jnas train` do."""


def train_from_scratch(
    options: argparse.Namespace, recipe: Recipe, plan: SupernetPlan, study: SupernetStudy, out: Path
) -> SupernetStudy:
    """Returns a study with what training says of the cells that it found and of random ones; its outputs are written.

    Stopped at any moment, it goes on where it was.

    Args:
      options: Of the command.
      recipe: From `scratch_recipe`.
      plan: Of the study.
      study: Its results, all of them.
      out: Its folder.

    Raises:
      ValueError: The folder of the trainings holds others, or a file is damaged.
      OSError: It cannot be written, or another process is at work in it.
    """
    folder, seeds = out / TRAININGS, options.trainings or _TRAININGS
    chosen = choose_cells(study, plan.supernet.space, options.random or _RANDOM)
    space, cells = trained_as(plan.supernet.space, chosen.archs)
    alike = {name: getattr(options, name) for name in _ALIKE}
    nodes = nodes_of_space(plan.supernet.space)
    how = argparse.Namespace(space=space, nodes=nodes, form=None, chunk_size=None, **alike)
    dataset = _images_of(plan.source, recipe, options, folder)
    work = plan_work(scratch_jobs(cells, seeds), dataset, recipe, how, folder, most=_MOST_AT_ONCE)
    with begun_work(folder, work, elsewhere=_ELSEWHERE) as begun:
        before = load_work(begun, work).done
        told = "" if not before.any() else f"; {'all' if before.all() else counted(before.sum(), 'run')} done before"
        say(
            f"from scratch: {counted(len(chosen.archs), 'cell')} ({counted(len(set(chosen.random)), 'random one')}) x "
            f"{counted(seeds, 'training')}, recipe {recipe.name}, {counted(recipe.epochs, 'epoch')} each"
            f"{_share_words(plan.source, dataset, recipe)}{told}"
        )
        numbers = np.repeat(np.arange(len(chosen.archs)), seeds).tolist()
        make_runs(work, begun, options.log, numbers, epochs_per_checkpoint=1)
        runs = load_work(begun, work)
    divided, costs = dataset is not plan.source, _costs(work.network, cells)
    scratch = collect_from_scratch(plan, study, chosen, runs, recipe, costs, out, divided=divided)
    study = study._replace(scratch=scratch)
    if jax.process_index() == 0:
        save_from_scratch(out, scratch, plan.config)
        write_outputs(KIND, study, out)
    return study


def _images_of(
    dataset: Dataset | TextDataset, recipe: Recipe, options: argparse.Namespace, folder: Path
) -> Dataset | TextDataset:
    """Returns the data set of the trainings: with the recipe's share of training images, where it has one.

    A folder that was begun on the splits of the searches, as once all were, goes on with them.
    """
    if recipe.train_share and begun_setting(folder, "dataset_digest") == dataset_digest(dataset):
        return dataset
    divided: Dataset | TextDataset = divide_as(dataset, recipe, options)
    return divided


def _share_words(searched: Any, trained: Any, recipe: Recipe) -> str:
    """Returns on which images trainings learn, where that is not what the searches learned from."""
    if not recipe.train_share:
        return ""
    images = f"{len(trained.rows('train')):,} images"
    if trained is searched:
        return (
            f", on the searches' {images} with which this folder was begun, not on the recipe's {recipe.train_share:g}"
        )
    return f", on {images}: {recipe.train_share:g} of those that the searches learned from or were validated on"


def _select(plan: SupernetPlan, study: SupernetStudy, out: Path, selection: Projection) -> SupernetStudy:
    """Returns a study with its searches' cells selected by perturbation; its outputs are written.

    What a folder holds of the same selection stays.
    """
    before, how = study.selected, selection._asdict()
    if before is not None and (before.settings, before.methods) == (how, selectable(plan, selection)):
        say("selected by perturbation before, in the same way")
    else:
        say(f"selecting by perturbation, {counted(selection.tune_epochs, 'epoch')} of tuning between two decisions")
        study = study._replace(selected=select_again(plan, study, out, selection))
    if jax.process_index() == 0:
        assert study.selected is not None
        save_selected(out, study.selected, plan.config)
        write_outputs(KIND, study, out)
    return study


def trained_as(space: Space, archs: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns the space whose networks are trained, and what stands there for architectures `[A, E]` of another.

    It is the space itself, or that of whose cells it decides. A search network may say the same cells otherwise, as
    that of DARTS does by the edges that are there; what they have in common is their strings.

    Raises:
      ValueError: Neither has networks.
    """
    cell, name = to_cell(space), space.name
    trained = [row.name for row in FAMILIES.rows.values() if row.network is not None]
    if cell is None and name in trained:
        own = space_of(name, nodes_of_space(space))
        if own.num_decisions != archs.shape[1]:
            archs = np.stack([np.asarray(own.from_string(space.to_string(arch)), np.int32) for arch in archs])
        return name, archs
    cells = archs if cell is None else np.asarray(jax.jit(jax.vmap(cell))(archs))
    fitting = [row for row in trained if cell is not None and spaces.get(row).num_decisions == cells.shape[1]]
    if not fitting:
        raise ValueError(
            f"cells of {name} have no networks to train from scratch, expected one of {', '.join(trained)}"
        )
    return fitting[0], cells


def _costs(network: Network, cells: np.ndarray) -> np.ndarray:
    """Returns the millions of parameters and of multiply-adds of cells, `[2, A]`."""
    each = jnp.asarray(cells, jnp.int32)
    return np.stack([np.asarray(jax.vmap(cost)(each), np.float32) for cost in (network.parameters, network.flops)])


def carry_out_with(
    options: argparse.Namespace, recipe: Recipe | None, searches: Any, selection: Projection | None = None
) -> Any:
    """Returns what carries out a plan's searches, and then what was asked for: a selection anew, trainings."""

    def carry_out(plan: SupernetPlan, *, out: Path, log: Any) -> SupernetStudy:
        if selection is not None:
            selectable(plan, selection)  # what cannot be is said before the searches, not after
        study: SupernetStudy = searches(plan, out=out, log=log)
        if jax.process_index() == 0:  # those of before, for whom nobody asked for a log
            log_searches(plan, study, out)
        if selection is not None:
            study = _select(plan, study, out, selection)
        return study if recipe is None else train_from_scratch(options, recipe, plan, study, out)

    return carry_out
