"""The pictures of weight-sharing searches: what is seen after each epoch, and shared weights against a table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from jnas.pages._html import Html
from jnas.pages._plots import (
    INK,
    MUTED,
    Mark,
    dots,
    keep_series,
    level,
    line,
    log_axis,
    number,
    plain_axis,
    plot_frame,
    styled,
    to_svg,
    widened,
)
from jnas.statistics._intervals import Floats
from jnas.tables._metric import ACCURACY, TableMetric


class EpochCurves(NamedTuple):
    """What is seen of a method's `S` searches at `L` epochs."""

    label: str
    look: Mark
    epochs: NDArray[np.int32]  # [L]
    values: Floats  # [S, L]; NaN is not drawn


def epoch_panel(
    drawn: Sequence[EpochCurves], *, label: str, title: str, levels: Sequence[float] = (), logarithmic: bool = False
) -> Html:
    """Returns values against epochs: means over seeds as lines, single seeds as thin ones.

    Args:
      drawn: Of each method.
      label: Of the vertical axis, with its unit.
      title: What the picture shows.
      levels: Drawn as dashes from side to side; the first is the higher one.
      logarithmic: Whether the vertical axis is; what is not positive is then left out.
    """
    with styled():
        figure, axes = plot_frame()
        for each in drawn:
            values = np.where(each.values > 0, each.values, np.nan) if logarithmic else each.values
            for seed in values:
                axes.plot(each.epochs, seed, color=each.look.color, linewidth=0.6, alpha=0.4, zorder=2)
            there = np.isfinite(values).any(axis=0)
            if not there.any():
                continue
            mean, marker = np.nanmean(values[:, there], axis=0), each.look.marker if there.sum() <= 12 else None
            style = {"linewidth": 1.7, "marker": marker, "markersize": 3.6, "zorder": 3}
            line(axes, each.epochs[there], mean, each.look, name=each.label, **style)
            for place, seed in enumerate(values):
                keep_series(axes, f"{each.label}, seed {place}", x=each.epochs[there], y=seed[there])
        for place, value in enumerate(levels):
            level(axes, value, MUTED if place else INK, name="dashes")
        _vertical(axes, drawn, levels, label, logarithmic)
        last = max(int(each.epochs[-1]) for each in drawn)
        plain_axis(axes, "x", 0.0 if last > 1 else 0.5, last * 1.02, "epochs", whole=True)
        ends = (
            f"{each.label} {number(float(np.nanmean(each.values[:, -1])))}"
            for each in drawn
            if np.isfinite(each.values[:, -1]).any()
        )
        return to_svg(figure, f"{title}. At the end: {', '.join(ends) or 'nothing'}")


def _vertical(axes: Axes, drawn: Sequence[EpochCurves], levels: Sequence[float], label: str, logarithmic: bool) -> None:
    values = np.concatenate([np.ravel(each.values) for each in drawn] + [np.asarray(levels, np.float64)])
    values = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if logarithmic:
        log_axis(axes, "y", low / 1.25 if values.size else 0.1, max(high, low * 1.5) * 1.25, label)
    else:
        plain_axis(axes, "y", *widened(low, high, 0.06, 0.06), label)


def agreement_panel(
    truth: Floats, predicted: Floats, look: Mark, *, title: str, metric: TableMetric = ACCURACY
) -> Html:
    """Returns accuracies under shared weights against those of a table, a dot for each architecture.

    The axes leave out the worst two in a hundred architectures of either.

    Args:
      truth: `[N]`, percent.
      predicted: `[N]`, percent.
      look: Of the dots.
      title: What the picture shows.
      metric: What both are, where they are not accuracies.
    """
    there = np.isfinite(truth) & np.isfinite(predicted)
    truth, predicted = truth[there], predicted[there]
    with styled():
        figure, axes = plot_frame(3.0, 2.6)
        dots(axes, truth, predicted, look, size=2.4, alpha=0.45, many=len(truth) > 1000)
        unit = f" ({metric.mark.strip()})" if metric.unit else f" ({metric.name})"
        for which, values, text in (("x", truth, "by the table"), ("y", predicted, "under shared weights")):
            ends = (0.02, 1.0) if metric.higher_is_better else (0.0, 0.98)
            low, high = (float(np.quantile(values, end)) for end in ends) if values.size else (0.0, 1.0)
            text += unit
            plain_axis(axes, which, *widened(low, high, 0.04, 0.04), text, most=5)
        return to_svg(figure, title)
