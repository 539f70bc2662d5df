"""What training runs leave for people: curves as a table of text and as a picture, and a summary."""

import csv
import os
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jnas.core._vocabulary import IMAGE_CLASSIFICATION, Task
from jnas.io._atomic import replacing
from jnas.io._text import aligned, counted
from jnas.pages._plots import INK, MUTED, mark, plain_axis, styled
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.runs._jobs import Runs

_MOST_NAMED = 20  # architectures in the picture's legend
_NAME_WIDTH = 155  # characters of a line of that legend
_MOST_IN_A_ROW = 120  # characters of a name in a row of the summary; longer ones have lines of their own


class RunGroup(NamedTuple):
    """An architecture and its runs."""

    name: str  # the architecture string
    number: int  # its index in the benchmark
    rows: np.ndarray  # int [S]: of its runs in `Runs`
    parameters: float  # millions
    flops: float  # millions of multiply-adds


def write_curves(
    path: str | os.PathLike[str],
    groups: Sequence[RunGroup],
    seeds: Sequence[int],
    runs: Runs,
    task: Task = IMAGE_CLASSIFICATION,
) -> None:
    """Writes `arch, seed, epoch, split, accuracy, loss` of every epoch; accuracy in percent, `nan` after divergence.

    Another task's metric stands in the place of accuracy, under its name.
    """
    metric = "_".join(filter(None, (task.metric_name, task.unit)))
    with replacing(path, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("arch", "index", "seed", "epoch", "split", metric, "loss"))
        for group in groups:
            for seed, row in zip(seeds, group.rows, strict=True):
                for split in runs.accuracy:
                    accuracy, loss = runs.accuracy[split][row], runs.loss[split][row]
                    for epoch, (a, b) in enumerate(zip(accuracy, loss, strict=True), 1):
                        table.writerow((group.name, group.number, seed, epoch, split, str(a), str(b)))


def draw_curves(
    path: str | os.PathLike[str],
    groups: Sequence[RunGroup],
    runs: Runs,
    dataset: Dataset | TextDataset,
    task: Task = IMAGE_CLASSIFICATION,
) -> None:
    """Writes a PNG: the task's metric and loss by epoch, for each architecture the mean over its seeds and their range.

    The split is the validation split, or the test split where there is no such.
    """
    others = (s for s in dataset.splits if s != "train")
    split = dataset.validation_split or dataset.test_split or next(others, "train")
    shown = groups[:_MOST_NAMED]
    lines = [line for group in shown for line in _legend_lines(group.name)]
    below = 0.85 + 0.19 * len(lines)  # inches
    width, height = 9.0, below + 2.9
    with styled():
        figure = Figure((width, height), facecolor="white")
        metric = task.metric_name + (", %" if task.unit == "percent" else "")
        for place, (kind, label) in enumerate((("accuracy", metric), ("loss", "loss (cross-entropy)"))):
            axes = figure.add_axes((0.065 + 0.49 * place, below / height, 0.425, 2.5 / height))
            title = f"{dataset.name}: {split} {label}"
            _panel(
                axes, groups, getattr(runs, kind)[split], title if len(title) <= 60 else title.replace(": ", ":\n", 1)
            )
        _legend(figure, shown, below - 0.62, len(groups))
        canvas: Any = FigureCanvasAgg(figure)
        with replacing(path) as file:
            figure.set_dpi(160)
            canvas.print_png(file, metadata={"Software": None})


def _panel(axes: Axes, groups: Sequence[RunGroup], values: np.ndarray, title: str) -> None:
    epochs = np.arange(1, values.shape[1] + 1)
    low, high = np.inf, -np.inf
    for number, group in enumerate(groups):
        look = mark(number)
        known = np.ma.masked_invalid(values[group.rows])
        if known.count() == 0:
            continue
        mean, least, most = (f(known, axis=0).filled(np.nan) for f in (np.ma.mean, np.ma.min, np.ma.max))
        style: dict[str, Any] = {
            "color": look.color,
            "dashes": look.dashes,
            "marker": look.marker,
            "markersize": 3.5,
            "lw": 1.6,
        }
        axes.plot(epochs, mean, markevery=max(1, len(epochs) // 12), clip_on=False, zorder=3, **style)
        axes.fill_between(epochs, least, most, color=look.color, alpha=0.16, linewidth=0)
        low, high = min(low, np.nanmin(least)), max(high, np.nanmax(most))
    if not high >= low:
        low, high = 0.0, 1.0
        axes.text(0.5, 0.5, "every run diverged", transform=axes.transAxes, ha="center", color=MUTED)
    room = 0.06 * (high - low) or 0.5
    plain_axis(axes, "x", 1 if len(epochs) > 1 else 0.5, len(epochs) + (len(epochs) == 1) * 0.5, "epoch", whole=True)
    plain_axis(axes, "y", low - room, high + room, "")
    axes.set_title(title, loc="left", fontsize=9, color=INK)


def _legend(figure: Figure, shown: Sequence[RunGroup], top: float, total: int) -> None:
    """Names architectures below the panels, from `top` inches down."""
    width, height = figure.get_size_inches()
    above = 0
    for number, group in enumerate(shown):
        look, y, lines = mark(number), (top - 0.19 * above) / height, _legend_lines(group.name)
        above += len(lines)
        line: Any = figure.add_axes((0.065, y - 0.05 / height, 0.4 / width, 0.1 / height))
        line.set_axis_off()
        line.plot([0, 1, 2], [0, 0, 0], color=look.color, dashes=look.dashes, marker=look.marker, markevery=[1], ms=3.5)
        figure.text(0.065 + 0.5 / width, y, f"#{group.number}", fontsize=7, va="center")
        for row, text in enumerate(lines):
            figure.text(0.065 + 1.0 / width, y - 0.19 * row / height, text, fontsize=7, va="center")
    told = "means over seeds, with bands from the lowest to the highest" if len(shown[0].rows) > 1 else ""
    if total > len(shown):
        told = "; ".join(filter(None, (f"and {total - len(shown)} more architectures", told)))
    figure.text(0.98, 0.1 / height, told, fontsize=7, color=MUTED, ha="right")


def _legend_lines(name: str) -> list[str]:
    """Returns a name as lines of the legend: a genotype of the DARTS space takes three."""
    return textwrap.wrap(name, _NAME_WIDTH) or [""]


def summary_text(
    groups: Sequence[RunGroup],
    seeds: Sequence[int],
    runs: Runs,
    dataset: Dataset | TextDataset,
    task: Task = IMAGE_CLASSIFICATION,
) -> str:
    """Returns the task's final metrics, mean and deviation over the seeds that did not diverge, and the costs."""
    splits = [s for s in dict.fromkeys((dataset.validation_split, dataset.test_split)) if s is not None]
    splits = splits or [s for s in dataset.splits if s != "train"] or ["train"]
    epochs = next(iter(runs.accuracy.values())).shape[1]
    long = any(len(group.name) > _MOST_IN_A_ROW for group in groups)
    percent = task.unit == "percent"
    metric, metrics = ("%", "accuracies") if percent else (task.metric_name, f"{task.metric_name} of each split")
    rows = [("architecture", "index", *(f"{split} {metric}" for split in splits), "parameters", "MFLOPs", "")]
    for group in groups:
        finals = [_mean_and_deviation(runs.accuracy[split][group.rows, -1]) for split in splits]
        failed = [str(seed) for seed, row in zip(seeds, group.rows, strict=True) if runs.failed[row]]
        told = f"diverged: seed {', '.join(failed)}" if failed else ""
        costs = (f"{1e6 * group.parameters:,.0f}", f"{group.flops:,.2f}")
        rows.append((group.name, f"#{group.number}", *finals, *costs, told))
    seconds = float(np.mean(runs.seconds)) / epochs
    told = f"{metrics} after {counted(epochs, 'epoch')}, mean ± standard deviation over the seeds that did not diverge"
    told = f"{metrics} after {counted(epochs, 'epoch')}" if len(seeds) == 1 else told
    took = f"an epoch of a run took {seconds:.2g} s of this machine, evaluations included (mean over all runs)"
    sides = "lr" + "r" * (len(splits) + 2) + "l"
    lines = aligned([row[long:] for row in rows], sides[long:])
    names = [f"#{group.number}  {group.name}" for group in groups] if long else []
    return "\n".join([*lines, told, took, *names])


def _mean_and_deviation(values: np.ndarray) -> str:
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return "-"
    return f"{known.mean():.2f} ± {known.std(ddof=1):.2f}" if len(known) > 1 else f"{known.mean():.2f}"
