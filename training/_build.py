"""A tabular benchmark of a data set: every distinct cell trained, its results given to the cells that are the same."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas._table_file import Header, Training, arch_dtype, encode_curve, member
from jnas.spaces._nasbench201 import nasbench201
from jnas.spaces._nasbench201_cells import NUM_CELLS, OPERATIONS, nasbench201_classes
from jnas.spaces._nasbench201_cost import nasbench201_flops
from jnas.training._dataset import Dataset
from jnas.training._jobs import Jobs, Runs
from jnas.training._network import Network
from jnas.training._recipe import Recipe


class TablePlan(NamedTuple):
    """Which runs make a table."""

    archs: np.ndarray  # int32 [N, 6]: every cell, by its index
    trained_as: np.ndarray  # int32 [N]: the cell whose runs a cell gets; itself where it is trained
    jobs: Jobs  # the runs, in the order in which they are made
    cells: np.ndarray  # int32 [J]: of each run, the index of the cell
    slots: np.ndarray  # int32 [J]: of each run, the number of its seed in `seeds`
    seeds: tuple[int, ...]


def plan_table(
    *, seeds: Sequence[int], num_cells: int | None = None, num_repeated: int | None = None, copies: bool = True
) -> TablePlan:
    """Returns the runs that make a table of NAS-Bench-201's cells.

    One cell of each of the 6,466 published classes is trained, the one with the fewest multiply-adds; the others get
    its results. All cells come first with the first seed, then each cell with the other seeds, so that work that is
    stopped leaves a table of use.

    Args:
      seeds: Of the runs; a seed says the first weights, the order of the images and their augmentation.
      num_cells: How many cells to train, drawn from all; by default every one.
      num_repeated: How many of them to train with all seeds, the others with the first alone; by default all.
      copies: Whether cells of a class share one run; otherwise all 15,625 are trained.

    Raises:
      ValueError: A number is out of range, or a seed stands twice.
    """
    seeds = tuple(int(seed) for seed in seeds)
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ValueError(f"seeds are {seeds}, expected one or more different numbers from 0")
    archs = np.asarray(jax.vmap(nasbench201().from_index)(jnp.arange(NUM_CELLS)))
    trained_as = _cheapest() if copies else np.arange(NUM_CELLS, dtype=np.int32)
    distinct = np.unique(trained_as)
    order = np.asarray(jax.random.permutation(jax.random.key(0), distinct))
    chosen = order[: _within("num_cells", num_cells, len(distinct))]
    repeated = chosen[: _within("num_repeated", num_repeated, len(chosen))]
    cells = np.concatenate([chosen, np.repeat(repeated, len(seeds) - 1)]).astype(np.int32)
    slots = np.concatenate([np.zeros(len(chosen)), np.tile(np.arange(1, len(seeds)), len(repeated))]).astype(np.int32)
    jobs = Jobs(archs[cells].astype(np.int32), np.asarray(seeds, np.int64)[slots])
    return TablePlan(archs, trained_as, jobs, cells, slots, seeds)


def _within(name: str, number: int | None, most: int) -> int:
    if number is None:
        return most
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        raise ValueError(f"{name} is {number!r}, expected a number up to {most:,}")
    return number


@functools.cache
def _cheapest() -> np.ndarray:
    archs = jax.vmap(nasbench201().from_index)(jnp.arange(NUM_CELLS))
    flops = np.asarray(jax.vmap(nasbench201_flops)(archs))
    classes = nasbench201_classes("skip_and_zero")
    order = np.lexsort((np.arange(NUM_CELLS), flops, classes))
    _, first = np.unique(classes[order], return_index=True)
    cheapest = np.empty(NUM_CELLS, np.int32)
    cheapest[np.unique(classes)] = order[first]
    return cheapest[classes]
