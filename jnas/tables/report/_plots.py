"""The pictures of a table: accuracy against size, rankings, distributions. Many points are drawn as pixels."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from jnas.pages._html import Html
from jnas.pages._plots import (
    HIGHLIGHT,
    INK,
    SERIES,
    keep_series,
    log_axis,
    number,
    plain_axis,
    plot_frame,
    styled,
    to_svg,
)
from jnas.tables._metric import ACCURACY, TableMetric

Floats = NDArray[np.float64]

_MANY = 3_000  # points; more are drawn as pixels, so that the page stays small
_DOT = SERIES[5]


def network_size_panel(
    size: Floats, accuracy: Floats, star: int | None, *, label: str, title: str, metric: TableMetric = ACCURACY
) -> Html:
    """Returns accuracy against parameters or FLOPs, with a star at one architecture.

    Args:
      size: `[N]`.
      accuracy: `[N]`, of the metric.
      star: Index of the architecture to mark.
      label: Of the horizontal axis, with its unit.
      title: What the picture shows.
      metric: What the vertical axis is.
    """
    there = np.isfinite(size) & np.isfinite(accuracy)
    with styled():
        figure, axes = plot_frame()
        _dots(axes, size[there], accuracy[there])
        keep_series(axes, "architectures", x=size[there], y=accuracy[there])
        if star is not None and there[star]:
            axes.plot(
                size[star],
                accuracy[star],
                marker="*",
                markersize=13,
                color=HIGHLIGHT,
                markeredgecolor=INK,
                markeredgewidth=0.8,
                linestyle="",
            )
        scores = metric.sign * accuracy[there]
        low, high = float(np.quantile(scores, 0.05)), float(scores.max())
        room = max(high - low, 0.1)
        ends = sorted(metric.sign * end for end in (low - 0.04 * room, high + 0.06 * room))
        plain_axis(axes, "y", ends[0], ends[1], metric.axis)
        wide = float(np.ptp(size[there]))
        plain_axis(axes, "x", float(size[there].min()) - 0.03 * wide, float(size[there].max()) + 0.03 * wide, label)
        return to_svg(figure, title)


def line_panel(x: Floats, y: Floats, *, xlabel: str, ylabel: str, title: str) -> Html:
    """Returns a line with its points, `y [N]` against `x [N]`; the vertical axis reaches from 0 (or below) to 1."""
    with styled():
        figure, axes = plot_frame()
        axes.plot(x, y, color=SERIES[0], marker="o", markersize=4, linewidth=1.6)
        keep_series(axes, "all", x=x, y=y)
        axes.axhline(0, color=INK, linewidth=0.8)
        plain_axis(axes, "y", min(0.0, float(np.nanmin(y))) - 0.04, 1.04, ylabel)
        plain_axis(axes, "x", float(x.min()) - 0.3, float(x.max()) + 0.3, xlabel)
        return to_svg(figure, title)


def rank_panel(x: Floats, y: Floats, *, xlabel: str, ylabel: str, title: str) -> Html:
    """Returns ranks against ranks, 1 at the lower left; architectures without both are left out.

    Args:
      x: `[N]` accuracies that the horizontal axis ranks.
      y: `[N]` accuracies that the vertical axis ranks.
      xlabel: Of the horizontal axis.
      ylabel: Of the vertical axis.
      title: What the picture shows.
    """
    there = np.isfinite(x) & np.isfinite(y)
    with styled():
        figure, axes = plot_frame(left=0.62)
        count = int(there.sum())
        axes.plot([1, count], [1, count], color=INK, linewidth=0.8, dashes=(5, 3), zorder=3)
        ranks = ranks_of(x[there]), ranks_of(y[there])
        _dots(axes, *ranks)
        keep_series(axes, "architectures", x=ranks[0], y=ranks[1])
        room = 0.02 * max(count, 2)
        plain_axis(axes, "x", 1 - room, count + room, xlabel, most=5)
        plain_axis(axes, "y", 1 - room, count + room, ylabel, most=5)
        return to_svg(figure, title)


def ranks_of(values: Floats) -> Floats:
    """Returns ranks `[N]`, 1 for the best, equal values at their mean rank."""
    import scipy.stats

    return np.asarray(scipy.stats.rankdata(-values), np.float64)


def histogram(values: Floats, star: float | None, *, label: str, title: str, log: bool = False) -> Html:
    """Returns how many architectures have which value, with a line at one value.

    Args:
      values: `[N]`; NaN are left out.
      star: A value to mark, or None.
      label: Of the horizontal axis, with its unit.
      title: What the picture shows.
      log: Whether the axis is logarithmic; values must then be positive.
    """
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if not high > low:
        low, high = (low / 1.1, high * 1.1) if log else (low - 0.5, high + 0.5)
    count = int(np.clip(np.sqrt(len(values)), 8, 60))
    edges = np.geomspace(low, high, count + 1) if log else np.linspace(low, high, count + 1)
    heights, _ = np.histogram(values, edges)
    axis: Callable[..., None] = log_axis if log else plain_axis
    with styled():
        figure, axes = plot_frame()
        axes.stairs(heights, edges, fill=True, color=SERIES[0], alpha=0.75)
        keep_series(axes, "bins", x=edges[:-1], to=edges[1:], y=heights)
        if star is not None and np.isfinite(star):
            axes.axvline(star, color=HIGHLIGHT, linewidth=1.6)
        axis(axes, "x", low, high, label)
        plain_axis(axes, "y", 0, float(heights.max()) * 1.05, "architectures", whole=True)
        return to_svg(
            figure, f"{title}. Median {number(float(np.median(values)))}, from {number(low)} to {number(high)}"
        )


def noise_panel(mean: Floats, std: Floats, *, title: str, metric: TableMetric = ACCURACY) -> Html:
    """Returns the deviation between seeds against the mean, with its running median.

    Args:
      mean: `[N]`, of the metric.
      std: `[N]`.
      title: What the picture shows.
      metric: What the horizontal axis is.
    """
    there = np.isfinite(mean) & np.isfinite(std)
    mean, std = mean[there], std[there]
    with styled():
        figure, axes = plot_frame()
        _dots(axes, mean, std)
        keep_series(axes, "architectures", x=mean, y=std)
        order = np.argsort(mean, kind="stable")
        parts = [part for part in np.array_split(order, min(20, max(1, len(order) // 5))) if len(part)]
        middle = [float(np.median(std[part])) for part in parts]
        axes.plot([float(np.median(mean[part])) for part in parts], middle, color=SERIES[1], linewidth=1.8, zorder=3)
        scores = metric.sign * mean
        low, high = float(np.quantile(scores, 0.05)), float(scores.max())
        ends = sorted(metric.sign * end for end in (low, high + 0.02 * max(high - low, 0.1)))
        unit = metric.mark and f" ({metric.mark.strip()})"
        plain_axis(axes, "x", ends[0], ends[1], f"mean {metric.name} over seeds{unit}")
        plain_axis(axes, "y", 0, max(float(np.quantile(std, 0.98)), 1e-3), "deviation between seeds (points)")
        return to_svg(figure, title)


def _dots(axes: Axes, x: Floats, y: Floats) -> None:
    many = len(x) > _MANY
    axes.plot(
        x,
        y,
        marker="o",
        markersize=1.7 if many else 3.2,
        markeredgewidth=0,
        color=_DOT,
        alpha=0.35 if many else 0.7,
        linestyle="",
        rasterized=many,
        zorder=2,
    )
