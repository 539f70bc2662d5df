"""What many searches found, judged on a table, in one line of numbers."""

from typing import NamedTuple

import numpy as np

from jnas.core._trace_statistics import elapsed_seconds, incumbent, num_evaluations
from jnas.core._vocabulary import Trace
from jnas.io._fields import describe_fields
from jnas.io._text import counted
from jnas.statistics._bootstrap import bootstrap_interval
from jnas.statistics._statistics import mean_over_seeds, std_over_seeds
from jnas.tables._look_ups import Seed
from jnas.tables._metric import ACCURACY
from jnas.tables._runs import has_times
from jnas.tables._table import Table


@describe_fields
class Summary(NamedTuple):
    """Statistics over `S` searches of what the table says of the architectures that they returned.

    Attributes:
      mean: Percent, of the searches that found something.
      std: Percent, of a sample (ddof 1); NaN for one search.
      ci_low: The lower end of the mean's 95 % bootstrap interval; NaN for one search.
      ci_high: The upper end of that interval.
      num_seeds: `S`, how many searches there are.
      num_failed: Searches that found nothing that the table can judge.
      values: float64 `[S]`, percent, NaN for those.
      evaluations: int32 `[S]`, evaluations made.
      seconds: float64 `[S]`, seconds spent.
      label: Which accuracy it is.
      timed: Whether the table says what trainings take; otherwise seconds are of no clock.
      unit: Of these numbers; of another metric than accuracy its name, unit and direction.
    """

    mean: float
    std: float
    ci_low: float
    ci_high: float
    num_seeds: int
    num_failed: int
    values: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray
    label: str
    timed: bool = True
    unit: str = "percent"

    def __str__(self) -> str:
        spent = f" and {self.seconds.mean():,.0f} s on average" if self.timed else " on average"
        lines = [
            f"{self.label}, {self.unit}",
            f"  mean {self.mean:.2f}   std {self.std:.2f} (ddof 1)   "
            f"95 % interval of the mean {self.ci_low:.2f} to {self.ci_high:.2f} (bootstrap)",
            f"  of {self.num_seeds:,} search{'' if self.num_seeds == 1 else 'es'}, each with "
            f"{self.evaluations.mean():,.1f} evaluations{spent}",
        ]
        if not self.timed:
            lines.append("  the table has no training times")
        if self.num_failed:
            lines.append(f"  {self.num_failed:,} found nothing and are left out of the mean")
        return "\n".join(lines)


def summarize(traces: Trace, table: Table, *, dataset: str, split: str, epochs: int, seed: Seed = "mean") -> Summary:
    """Returns statistics of what searches returned: the best architecture of each, by its own scores, judged anew.

    Args:
      traces: Of many searches (`jax.vmap` of `jnas.run`, `[S, T]`) or of one (`[T]`).
      table: What judges.
      dataset: As in `Table.accuracy`.
      split: As in `Table.accuracy`.
      epochs: As in `Table.accuracy`.
      seed: A seed's name, or `'mean'` over the training seeds.

    Returns:
      A summary; `print` gives it as text.

    Raises:
      ValueError: The traces have more axes, `seed` is `'random'`, or the table has no such numbers.

    Example:
      >>> accuracy = {"validation": [70, 72, 71, 74, 75, 73], "test": [69, 70, 70, 71, 74, 73]}
      >>> table = jnas.make_table(jnas.spaces.categorical((2, 3)), accuracy=accuracy)
      >>> objective = table.objective(dataset="data", split="validation", epochs=1, seed="mean")
      >>> searcher = jnas.searchers.random_search(table.space)
      >>> search = jax.jit(jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=100)))
      >>> traces = search(jax.random.split(jax.random.key(0), 4))
      >>> print(jnas.summarize(traces, table, dataset="data", split="test", epochs=1))
      table: data test after 1 epoch, mean over training seeds, percent
        mean 74.00   std 0.00 (ddof 1)   95 % interval of the mean 74.00 to 74.00 (bootstrap)
        of 4 searches, each with 100.0 evaluations on average
        the table has no training times
    """
    scores = np.shape(traces.score)
    if len(scores) not in (1, 2):
        raise ValueError(f"traces have scores of shape {scores}, expected [S, T] or [T]; reshape a sweep first")
    if seed == "random":
        raise ValueError("seed is 'random', expected 'mean' or a seed's name: what is judged is not drawn")
    found = incumbent(traces)
    accuracy = table.accuracy(found.arch, dataset=dataset, split=split, epochs=epochs, seed=seed)
    values = np.where(np.asarray(found.row) >= 0, np.asarray(accuracy, np.float64), np.nan).reshape(-1)
    low, high = bootstrap_interval(values, np.random.default_rng(0), nan_policy="omit")
    failed = int(np.isnan(values).sum())
    enough = len(values) - failed > 1
    return Summary(
        mean=float(mean_over_seeds(values, nan_policy="omit")),
        std=float(std_over_seeds(values, nan_policy="omit")),
        ci_low=float(low) if enough else float("nan"),
        ci_high=float(high) if enough else float("nan"),
        num_seeds=len(values),
        num_failed=failed,
        values=values,
        evaluations=np.asarray(num_evaluations(traces)).reshape(-1),
        seconds=elapsed_seconds(traces)[..., -1].reshape(-1),
        label=_label(table, dataset, split, epochs, seed),
        timed=any(has_times(table, t.dataset, t.epochs) for t in table.header.trainings),
        unit="percent" if table.metric == ACCURACY else table.metric.words,
    )


def _label(table: Table, dataset: str, split: str, epochs: int, seed: Seed) -> str:
    published = table.resolve(dataset, split)
    meant = f" ({published[1]} of {published[0]})" if published != (dataset, split) else ""
    runs = "mean over training seeds" if seed == "mean" else f"training seed {seed}"
    return f"{table.header.name}: {dataset} {split}{meant} after {counted(epochs, 'epoch')}, {runs}"
