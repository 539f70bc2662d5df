"""The pictures of a study of predictors: measures against the number of training cells, predictions against truth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator

from jnas.pages._html import Html
from jnas.pages._plots import (
    MUTED,
    Mark,
    dots,
    keep_series,
    level,
    line,
    log_axis,
    mark,
    plain_axis,
    plot_frame,
    styled,
    to_svg,
    widened,
)
from jnas.statistics._intervals import Floats
from jnas.tables._metric import ACCURACY, TableMetric

_SERIES = 7  # colours; `mark` repeats them with other dashes
CONSTANT = "the mean of the training cells"


class SizeCurve(NamedTuple):
    """A line of a panel over the training sizes `N`."""

    label: str
    look: Mark
    mean: Floats  # [N]
    low: Floats  # [N], NaN where there is no interval
    high: Floats  # [N]


def look(predictor: int, encoding: int) -> Mark:
    """Returns how a line looks: colour and marker say the predictor, dashes the encoding."""
    whose = mark(predictor)
    return Mark(whose.color, mark(_SERIES * encoding).dashes, whose.marker)


def train_size_panel(
    drawn: Sequence[SizeCurve],
    sizes: Sequence[int],
    *,
    label: str,
    title: str,
    floor: float | None,
    constant: Sequence[float] | None = None,
) -> Html:
    """Returns a measure against the number of training cells, whose axis is logarithmic.

    Args:
      drawn: The lines. Those at one size stand beside each other, so that their intervals can be told apart.
      sizes: The training sizes.
      label: Of the vertical axis, with its unit.
      title: What the picture shows.
      floor: What chance would reach, drawn as dashes, or None.
      constant: `[N]`, what predicting the mean of the training cells reaches, drawn as grey dashes, or None.
    """
    with styled():
        figure, axes = plot_frame()
        spread = 0.10 * min(1.0, np.log(sizes[-1] / sizes[0]) / len(sizes)) if len(sizes) > 1 else 0.05
        for k, each in enumerate(drawn):
            x = np.asarray(sizes) * np.exp(spread * (2 * k - len(drawn) + 1) / max(len(drawn), 1))
            there, look = np.isfinite(each.mean), each.look
            bounds = np.isfinite(each.low) & there
            axes.vlines(x[bounds], each.low[bounds], each.high[bounds], color=look.color, linewidth=1.1, zorder=3)
            line(axes, x[there], each.mean[there], look, marker=look.marker, markersize=4.2, linewidth=1.4, zorder=4)
            exact = {"x": np.asarray(sizes)[there], "y": each.mean[there]}  # not where it stands beside the others
            keep_series(axes, each.label, look, **exact, low=each.low[there], high=each.high[there])
        if floor is not None:
            level(axes, floor, name="chance")
        if constant is not None:
            axes.plot(sizes, constant, color=MUTED, linewidth=1.1, dashes=(2, 2), zorder=2)
            keep_series(axes, CONSTANT, x=sizes, y=constant)
        low, high = _limits(drawn, floor if constant is None else max(constant))
        plain_axis(axes, "y", low, high, label)
        log_axis(axes, "x", sizes[0] / 1.25, sizes[-1] * 1.25, "training cells")
        axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{n:,}" for n in sizes]))
        ends = ", ".join(f"{each.label} {each.mean[-1]:.3f}" for each in drawn if np.isfinite(each.mean[-1]))
        return to_svg(figure, f"{title}. With {sizes[-1]:,} cells: {ends or 'nothing'}")


def scatter_panel(
    truth: Floats,
    mean: Floats,
    lines: tuple[float, float],
    *,
    look: Mark,
    title: str,
    many: bool,
    metric: TableMetric = ACCURACY,
) -> Html:
    """Returns predictions against the truth, with the diagonal on which they would be exact.

    Args:
      truth: `[T]`, of the metric.
      mean: `[T]`, what was predicted.
      lines: Where both axes begin and end.
      look: Of the dots.
      title: What the picture shows.
      many: Whether to draw the dots as pixels, where there would be too many of them in the page.
      metric: What the truth is.
    """
    low, high = lines
    with styled():
        figure, axes = plot_frame(3.0, 2.85)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.9, dashes=(5, 3), zorder=1.5)
        dots(axes, truth, mean, look, size=2.6, alpha=0.55, many=many)
        plain_axis(axes, "x", low, high, f"true {metric.axis}", most=5)
        plain_axis(axes, "y", low, high, f"predicted{metric.mark and f' ({metric.mark.strip()})'}", most=5)
        return to_svg(figure, title)


def scatter_limits(truth: Floats, means: Sequence[Floats]) -> tuple[float, float]:
    """Returns limits of both axes for predictions `[T]` of one truth: but for its lowest two in a hundred, all of it.

    Args:
      truth: `[T]`.
      means: The predictions, of which the middle 96 in a hundred of each are shown at least where they are not far off.
    """
    low, high = float(np.quantile(truth, 0.02)), float(truth.max())
    room = max(high - low, 1e-3)
    for mean in means:
        finite = mean[np.isfinite(mean)]
        if finite.size:
            low = min(low, max(float(np.quantile(finite, 0.02)), low - room / 2))
            high = max(high, min(float(np.quantile(finite, 0.98)), high + room / 2))
    return widened(low, high, 0.04, 0.04)


def _limits(drawn: Sequence[SizeCurve], floor: float | None) -> tuple[float, float]:
    """Returns limits that show all lines with their intervals, but what lies so far off that it would hide the rest."""
    values = np.concatenate([v for each in drawn for v in (each.mean, each.low, each.high)] + [[floor or np.nan]])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, middle = float(values.min()), float(np.median(values))
    high = min(float(values.max()), low + 8 * (middle - low)) if middle > low else float(values.max())
    return widened(low, high, 0.05, 0.05)
