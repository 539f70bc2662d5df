"""A tabular benchmark of a data set: every distinct cell trained, its results given to the cells that are the same."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from jnas.core._registry import DEFAULT_SPACE
from jnas.core._vocabulary import Network, Space
from jnas.io._fields import describe_fields
from jnas.spaces._registry import get
from jnas.tables._file import Header, Training, arch_dtype, encode_metric_curve, member
from jnas.tables._metric import metric_of_task
from jnas.tables._numbers import table_name
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import FAMILIES
from jnas.training.networks._family import all_archs
from jnas.training.runs._jobs import Jobs, Runs
from jnas.training.runs._train import begin_run, run_epochs


@describe_fields
class TablePlan(NamedTuple):
    """Which runs make a table.

    Attributes:
      archs: int32 `[N, E]`: the table's cells; by their index, where they are all of the space.
      trained_as: int32 `[N]`: the cell whose runs a cell gets; itself where it is trained.
      jobs: The runs, in the order in which they are made.
      cells: int32 `[J]`: of each run, the index of the cell.
      slots: int32 `[J]`: of each run, the number of its seed in `seeds`.
      seeds: The seeds of trainings that the table has.
    """

    archs: np.ndarray
    trained_as: np.ndarray
    jobs: Jobs
    cells: np.ndarray
    slots: np.ndarray
    seeds: tuple[int, ...]


def plan_table(
    *,
    seeds: Sequence[int],
    num_cells: int | None = None,
    num_repeated: int | None = None,
    copies: bool = True,
    archs: np.ndarray | None = None,
    space: str = DEFAULT_SPACE,
) -> TablePlan:
    """Returns the runs that make a table of a space's cells, or of given ones.

    Of NAS-Bench-201, one cell of each of the 6,466 published classes is trained, the one with the fewest multiply-adds;
    the others get its results. All cells come first with the first seed, then each cell with the other seeds, so that
    work that is stopped leaves a table of use.

    Args:
      seeds: Of the runs; a seed says the first weights, the order of the images and their augmentation.
      num_cells: How many cells to train, drawn from all; by default every one.
      num_repeated: How many of them to train with all seeds, the others with the first alone; by default all.
      copies: Whether cells of a class share one run; otherwise all 15,625 are trained.
      archs: int `[N, E]`, cells of any space, each of which is trained; the table has these and no others.
      space: Whose cells are trained where none are given; of a space without such classes each one.

    Raises:
      ValueError: A number is out of range, or a seed stands twice.

    Example:
      >>> plan = jnas.training.plan_table(seeds=(0, 1), num_repeated=100)
      >>> len(plan.archs), len(plan.cells)  # the cells of the table, and the runs that make it
      (15625, 6566)
    """
    seeds = tuple(int(seed) for seed in seeds)
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ValueError(f"seeds are {seeds}, expected one or more different numbers from 0")
    family = FAMILIES.entry(space)
    if archs is None and family.representatives is None:
        archs = all_archs(get(space)) if family.cells is None else family.cells(None)
    if archs is not None:
        kept = _drawn(np.arange(len(archs)), num_cells)
        archs, num_cells = np.asarray(archs)[np.sort(kept)].astype(np.int32), None
        trained_as = np.arange(len(archs), dtype=np.int32)
    else:
        archs = all_archs(get(space))
        assert family.representatives is not None
        trained_as = family.representatives() if copies else np.arange(len(archs), dtype=np.int32)
    chosen = _drawn(np.unique(trained_as), num_cells)
    repeated = chosen[: _within("num_repeated", num_repeated, len(chosen))]
    cells = np.concatenate([chosen, np.repeat(repeated, len(seeds) - 1)]).astype(np.int32)
    slots = np.concatenate([np.zeros(len(chosen)), np.tile(np.arange(1, len(seeds)), len(repeated))]).astype(np.int32)
    jobs = Jobs(archs[cells].astype(np.int32), np.asarray(seeds, np.int64)[slots])
    return TablePlan(archs, trained_as, jobs, cells, slots, seeds)


def _drawn(rows: np.ndarray, number: int | None) -> np.ndarray:
    order = np.asarray(jax.random.permutation(jax.random.key(0), rows))
    return order[: _within("num_cells", number, len(rows))]


def _within(name: str, number: int | None, most: int) -> int:
    if number is None:
        return most
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        raise ValueError(f"{name} is {number!r}, expected a number up to {most:,}")
    return number


def assemble_table(
    plan: TablePlan,
    runs: Runs,
    dataset: Dataset | TextDataset,
    recipe: Recipe,
    network: Network,
    seconds: np.ndarray,
    *,
    name: str,
    source: str,
    notes: Sequence[str] = (),
    space: Space | None = None,
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of the runs that there are; what is missing or diverged is NaN.

    Args:
      plan: From `plan_table`.
      runs: From `load_runs`.
      dataset: What was learned.
      recipe: How.
      network: What was trained, for its parameters and multiply-adds.
      seconds: float `[N]`, of an epoch with its evaluations, of every cell.
      name: What to call the table.
      source: Where the numbers come from.
      notes: What more a user must know.
      space: The table's, where it is a sub-space of the network's that has all of its cells.

    Returns:
      Header and members of a table, as `save_arrays` takes them.
    """
    own = table_name(dataset.name)
    metric = metric_of_task(network.task)
    place = (own, recipe.epochs)
    arrays = {
        "archs": plan.archs.astype(arch_dtype(network.space)),
        member("trained_as", *place): plan.trained_as.astype(np.uint32),
        member("train_seconds", *place): seconds.astype(np.float32)[:, None],
    }
    cells = jnp.asarray(plan.archs, jnp.int32)
    for kind in ("parameters", "flops"):
        arrays[member(kind, own)] = np.asarray(jax.vmap(getattr(network, kind))(cells), np.float32)
    for split in dataset.splits:
        accuracy, loss = (_by_cell(plan, values[split]) for values in (runs.accuracy, runs.loss))
        arrays[member("accuracy", *place, split)] = accuracy[:, :, -1]
        arrays[member("loss", *place, split)] = loss[:, :, -1]
        arrays[member("accuracy_curve", *place, split)] = encode_metric_curve(metric, accuracy)
        arrays[member("loss_curve", *place, split)] = loss.astype(np.float16)
        if split != "train":
            arrays[member("eval_seconds", *place, split)] = np.zeros((len(plan.archs), 1), np.float32)
    roles = {"validation": dataset.validation_split, "test": dataset.test_split}
    pairs = {own: {role: (own, split) for role, split in roles.items() if split is not None}}
    header = Header(
        name=name,
        space=(space or network.space).config,
        trainings=(Training(own, recipe.epochs, plan.seeds),),
        pairs=pairs,
        source=source,
        notes=(*_what_was_trained(plan, runs), *notes),
        metric=metric,
    )
    return header, arrays


def _by_cell(plan: TablePlan, values: np.ndarray) -> np.ndarray:
    """Returns `[J, T]` of the runs as `[N, S, T]` of all cells."""
    trained = np.full((len(plan.archs), len(plan.seeds), values.shape[1]), np.nan, np.float32)
    trained[plan.cells, plan.slots] = values
    everywhere: np.ndarray = trained[plan.trained_as]
    return everywhere


def _what_was_trained(plan: TablePlan, runs: Runs) -> list[str]:
    done = np.bincount(plan.cells[runs.done], minlength=len(plan.archs))
    trained, repeated = int((done > 0).sum()), int((done == len(plan.seeds)).sum())
    copied = int(((done[plan.trained_as] > 0) & (plan.trained_as != np.arange(len(plan.archs)))).sum())
    missing = len(plan.archs) - trained - copied
    notes = [f"real training: {trained:,} cells with seed {plan.seeds[0]}"]
    if len(plan.seeds) > 1:
        notes[0] += f", {repeated:,} of them with all {len(plan.seeds)} seeds"
    if copied:
        notes.append(
            f"{copied:,} cells were not trained: they have the runs of a cell of the same published class "
            f"({len(np.unique(plan.trained_as)):,} classes), which `trained_as` names; a class can hold cells that "
            "differ in their parameters"
        )
    if missing:
        notes.append(f"{missing:,} cells have no numbers")
    failed = int(runs.failed.sum())
    if failed:
        notes.append(f"{failed:,} runs diverged and are missing")
    return notes


def measure_seconds(
    plan: TablePlan, dataset: Dataset | TextDataset, recipe: Recipe, network: Network, *, num_cells: int = 32
) -> tuple[np.ndarray, str]:
    """Returns the seconds of an epoch of every cell, from timing some of them, and a note that says how.

    Each timed cell is trained for one epoch by itself, three times, of which the fastest counts; the others follow
    from their numbers of operations by non-negative least squares, none faster than the fastest that was timed: the fit
    may give a cell without operations no seconds at all. Evaluations are part of an epoch.

    Args:
      plan: From `plan_table`.
      dataset: What is learned.
      recipe: How.
      network: What is trained.
      num_cells: How many cells to time.
    """
    timed = np.unique(plan.trained_as[np.linspace(0, len(plan.archs) - 1, num_cells).astype(int)])

    def epoch(dataset: Dataset | TextDataset, arch: Any) -> Any:
        state = begin_run(jax.random.key(0), arch, dataset, recipe, network)
        return run_epochs(state, dataset, recipe, network, 1)[1]

    device = jax.local_devices()[0]
    here, archs = jax.device_put((dataset, jnp.asarray(plan.archs[timed], jnp.int32)), device)
    program = jax.jit(epoch).lower(here, archs[0]).compile()
    jax.tree.map(np.asarray, program(here, archs[0]))
    fastest = np.full(len(timed), np.inf)
    for _ in range(3):
        for number in range(len(timed)):
            arch = archs[number]
            clock = time.perf_counter()
            jax.tree.map(np.asarray, program(here, arch))
            fastest[number] = min(fastest[number], time.perf_counter() - clock)
    counts = FAMILIES.entry(network.space.name).time_features(plan.archs, network)
    features = np.concatenate([np.ones((len(plan.archs), 1)), counts], 1).astype(float)
    weights, _ = scipy.optimize.nnls(features[timed], fastest)
    fitted = np.maximum(features @ weights, fastest.min())
    error = float(np.mean(np.abs(fitted[timed] - fastest) / fastest))
    note = (
        f"seconds are of one epoch of one cell with its evaluations on one {device.device_kind} ({device.platform}), "
        f"measured for {len(timed)} cells and fitted to their operations for all (mean error "
        f"{100 * error:.0f} %); a pass over a split alone is not timed"
    )
    return fitted, note
