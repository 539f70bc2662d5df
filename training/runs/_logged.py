"""Training runs in the logs of other tools: which runs they are, and what of their curves stands there."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jnas.core._vocabulary import Network, Task
from jnas.io._run_log import NO_LOG, Points, RunLog
from jnas.tables._metric import metric_of_task
from jnas.training.runs._jobs import Jobs, Runs, divide
from jnas.training.runs._run_state import Curves


def curve_points(curves: Curves | Runs, row: int, task: Task) -> Points:
    """Returns what a run's curves are in a log: by epoch, the metric and the loss on each split.

    Args:
      curves: Of several runs.
      row: Which.
      task: What they learn; its metric names the scalars, as the columns of curves.csv are.

    Returns:
      Scalars such as `accuracy_percent/validation`, of the epochs in which they are numbers.
    """
    metric = metric_of_task(task).column
    points: dict[int, dict[str, float]] = {}
    for name, by_split in ((metric, curves.accuracy), ("loss", curves.loss)):
        for split, values in by_split.items():
            for place in np.flatnonzero(np.isfinite(values[row])).tolist():
                points.setdefault(place + 1, {})[f"{name}/{split}"] = float(values[row, place])
    return points


def log_kept(
    log: RunLog, jobs: Jobs, numbers: Sequence[Any], network: Network, epochs: int
) -> Callable[[np.ndarray, Curves | Runs], None]:
    """Returns what logs runs as they are kept: `kept` of `run_jobs`.

    Args:
      log: Where.
      jobs: The runs.
      numbers: Of each run, the number of its cell, or a word for it; with the seed it is the run's name, as of files of
        weights.
      network: What they train.
      epochs: So many have a run that has ended.
    """
    if log is NO_LOG:
        return lambda rows, curves: None

    def kept(rows: np.ndarray, curves: Curves | Runs) -> None:
        last = max(values.shape[1] for values in curves.loss.values()) >= epochs
        places = {job: place for place, job in enumerate(rows.tolist())}  # what fills a chunk up stands there again
        for job, place in places.items():
            number, seed = numbers[job], int(jobs.seeds[job])
            name = f"{number if isinstance(number, str) else format(int(number), '05d')}-seed-{seed}"
            told = {"arch": network.space.to_string(jobs.archs[job]), "seed": str(seed)}
            log.add(name, curve_points(curves, place, network.task), told, last)

    return kept


def log_done(runs: Runs, chunk_size: int, kept: Callable[[np.ndarray, Curves | Runs], None]) -> None:
    """Logs the runs that a folder holds, those of this process's chunks: what a kill came before, or nobody asked for.

    Args:
      runs: From `load_runs`.
      chunk_size: As there.
      kept: From `log_kept`.
    """
    chunks = divide(len(runs.done), chunk_size)[jax.process_index() :: jax.process_count()]
    for rows in chunks:
        if runs.done[rows].all():
            each = [{split: v[rows] for split, v in by.items()} for by in (runs.accuracy, runs.loss)]
            kept(rows, Curves(*each))
