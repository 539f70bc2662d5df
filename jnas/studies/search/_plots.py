"""The pictures of a study: curves over time, final accuracies, critical differences."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jnas.pages._html import Html
from jnas.pages._plots import (
    INK,
    MUTED,
    PAPER,
    level,
    line,
    log_axis,
    mark,
    number,
    plain_axis,
    plot_frame,
    shorten,
    styled,
    to_svg,
    widened,
)
from jnas.statistics._average_ranks import RankComparison
from jnas.statistics._intervals import Floats
from jnas.studies.search._curves import Curve
from jnas.tables._metric import ACCURACY, TableMetric

_FLOOR = 1e-3  # of the metric: regret below this is drawn as this, a logarithm has no zero


def accuracy_panel(
    curves: Sequence[Curve], best: float | None, *, axis: str, title: str, metric: TableMetric = ACCURACY
) -> Html:
    """Returns mean values against time or evaluations, with bands and the optimum as a line.

    Args:
      curves: Of one target; at least one with a point.
      best: The optimum, if known.
      axis: What the horizontal axis counts, with its unit.
      title: What the picture shows.
      metric: What the values are.
    """
    with styled():
        figure, axes = plot_frame()
        for curve in curves:
            _band(axes, curve, curve.mean, curve.low, curve.high)
        low, high = _value_range(curves, best, metric.sign)
        plain_axis(axes, "y", low, high, f"mean {metric.axis}")
        _grid_axis(axes, curves, axis)
        if best is not None:
            level(axes, best)
        return to_svg(figure, f"{title}. {_ends(curves, metric.mark)}")


def regret_panel(
    curves: Sequence[Curve], best: float, *, axis: str, title: str, metric: TableMetric = ACCURACY
) -> Html:
    """Returns how much worse the incumbents are than the optimum: median and quartiles over runs, on logarithmic axes.

    Arguments are those of `accuracy_panel`.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Figure 7 (left).
    """
    with styled():
        figure, axes = plot_frame()
        medians = [np.maximum(metric.sign * (best - curve.median), _FLOOR) for curve in curves]
        for curve, middle in zip(curves, medians, strict=True):
            quartiles = (curve.upper_quartile, curve.lower_quartile)
            bounds = [np.maximum(metric.sign * (best - q), _FLOOR) for q in quartiles]
            _band(axes, curve, middle, *bounds)
        drawn = np.concatenate(medians)
        low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
        log_axis(axes, "y", low / 1.25, max(high, low * 1.5) * 1.15, f"median regret ({metric.points})")
        _grid_axis(axes, curves, axis)
        return to_svg(figure, title)


def final_panel(
    labels: Sequence[str],
    samples: Sequence[Floats],
    best: float | None,
    *,
    title: str,
    metric: TableMetric = ACCURACY,
) -> Html:
    """Returns the final values of all runs, each entry's sorted from the worst to the best.

    Args:
      labels: Names of the entries.
      samples: Each entry's values `[S]`; NaN for a run that found nothing, and these come first.
      best: The optimum, if known.
      title: What the picture shows.
      metric: What the values are.
    """
    with styled():
        figure, axes = plot_frame()
        for k, values in enumerate(samples):
            look = mark(k)
            found = metric.sign * np.sort(metric.sign * values[~np.isnan(values)])
            ordered = np.concatenate([values[np.isnan(values)], found])
            share = 100 * (np.arange(len(ordered)) + 0.5) / len(ordered)
            dots = look.marker if len(ordered) <= 30 else None
            line(axes, share, ordered, look, linewidth=1.6, marker=dots, markersize=3.5)
            if dots is None:
                _beads(axes, share, ordered, k, len(samples))
        plain_axis(axes, "y", *_final_range(samples, best, metric), f"final {metric.axis}")
        plain_axis(axes, "x", 0, 100, "runs, from the worst to the best (%)")
        if best is not None:
            level(axes, best)
        middle = (
            f"{label} {number(float(np.nanmedian(v)))}"
            for label, v in zip(labels, samples, strict=True)
            if np.isfinite(v).any()
        )
        return to_svg(figure, f"{title}. Medians: {', '.join(middle)}{metric.mark}")


def critical_difference_picture(ranks: RankComparison, styles: Sequence[int], *, title: str) -> Html:
    """Returns Demsar's picture: average ranks on an axis, and a bar over each group that does not differ.

    Args:
      ranks: What to draw; the best rank is at the right, as in the paper.
      styles: The series number of each name, for its colour.
      title: What the picture shows.

    References:
      Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006 (JMLR 7), Figure 1.
    """
    count = len(ranks.names)
    right = (count + 1) // 2  # the better half has its names at the right
    rows, step = max(right, count - right), 0.23
    tiers = _tiers(ranks.groups)
    bars = 0.14 * (max(tiers, default=-1) + 1)
    height = 0.78 + bars + step * rows + 0.16
    width = 5.7
    with styled():
        figure = Figure((width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(-height, 0)
        left, span = 1.85, width - 3.7

        def place(rank: float) -> float:
            return left + span * (count - rank) / max(count - 1, 1)

        baseline = -0.62
        _rank_axis(axes, count, place, baseline)
        _difference_bar(axes, ranks.critical_difference, count, place)
        for (first, last), tier in zip(ranks.groups, tiers, strict=True):
            y = baseline - 0.12 - 0.14 * tier
            ends = [place(ranks.ranks[last]) - 0.05, place(ranks.ranks[first]) + 0.05]
            axes.plot(ends, [y, y], color=INK, linewidth=3.6, solid_capstyle="round")
        for i, (name, rank) in enumerate(zip(ranks.names, ranks.ranks, strict=True)):
            on_right = i < right
            row = i if on_right else count - 1 - i
            y = baseline - 0.2 - bars - step * (row + 0.5)
            edge, sign = (left + span + 0.12, 1) if on_right else (left - 0.12, -1)
            color = mark(styles[i]).color
            axes.plot([place(rank), place(rank), edge], [baseline, y, y], color=color, linewidth=1.3)
            axes.plot([place(rank)], [baseline], marker="o", markersize=4.5, color=color)
            axes.text(
                edge + sign * 0.06,
                y,
                f"{shorten(name, 22)}  {rank:.2f}" if on_right else f"{rank:.2f}  {shorten(name, 22)}",
                ha="left" if on_right else "right",
                va="center",
                fontsize=8.5,
            )
        listed = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(ranks.names, ranks.ranks, strict=True))
        return to_svg(figure, f"{title}. Average ranks: {listed}; critical difference {ranks.critical_difference:.2f}")


def _rank_axis(axes: Axes, count: int, place: Callable[[float], float], y: float) -> None:
    axes.plot([place(count), place(1)], [y, y], color=MUTED, linewidth=0.9)
    for rank in range(1, count + 1):
        axes.plot([place(rank)] * 2, [y, y + 0.07], color=MUTED, linewidth=0.9)
        axes.text(place(rank), y + 0.1, str(rank), ha="center", va="bottom", fontsize=8, color=MUTED)
    axes.text(place(1) + 0.18, y + 0.1, "best", ha="left", va="bottom", fontsize=8, color=MUTED)
    axes.text(place(count) - 0.18, y + 0.1, "average rank: worst", ha="right", va="bottom", fontsize=8, color=MUTED)


def _difference_bar(axes: Axes, difference: float, count: int, place: Callable[[float], float]) -> None:
    """Draws the length of the critical difference above the axis, cut where it is longer than the axis."""
    length = min(difference, count - 1)
    start, stop, y = place(count), place(count - length), -0.24
    axes.plot([start, stop], [y, y], color=INK, linewidth=1.3)
    for x in (start, stop):
        axes.plot([x, x], [y - 0.04, y + 0.04], color=INK, linewidth=1.3)
    label = f"critical difference {difference:.2f}" + (" (longer than the axis)" if difference > count - 1 else "")
    axes.text(stop + 0.1, y, label, ha="left", va="center", fontsize=8, color=INK)


def _tiers(groups: Sequence[tuple[int, int]]) -> list[int]:
    """Returns on which line each bar stands, so that bars on one line do not touch."""
    ends: list[int] = []  # of the last bar on each line
    tiers = []
    for first, last in groups:
        free = next((i for i, end in enumerate(ends) if first > end), len(ends))
        ends[free : free + 1] = [last]
        tiers.append(free)
    return tiers


def _band(axes: Axes, curve: Curve, middle: Floats, low: Floats, high: Floats) -> None:
    look = mark(curve.entry)
    there = np.isfinite(middle)
    if not there.any():
        return
    if there.sum() == 1:
        axes.plot(curve.grid[there], middle[there], color=look.color, marker=look.marker, markersize=5, linestyle="")
        return
    axes.fill_between(
        curve.grid, low, high, where=there, step="post", color=look.color, alpha=0.22, linewidth=0, zorder=2
    )
    line(axes, curve.grid, middle, look, linewidth=1.6, drawstyle="steps-post", zorder=3)
    _beads(axes, curve.grid[there], middle[there], curve.entry, 7)


def _beads(axes: Axes, x: Floats, y: Floats, k: int, count: int) -> None:
    """Draws a few marks along a line, each entry's at places of its own, so that colour is not all there is."""
    offset = (k % count + 0.5) / count
    places = np.unique(((np.arange(4) + offset) / 4 * (len(x) - 1)).astype(int))
    look = mark(k)
    axes.plot(
        x[places],
        y[places],
        color=look.color,
        marker=look.marker,
        markersize=4.6,
        markeredgecolor=PAPER,
        markeredgewidth=0.7,
        linestyle="",
        zorder=4,
    )


def _grid_axis(axes: Axes, curves: Sequence[Curve], label: str) -> None:
    grid = curves[0].grid
    drawn = np.any([np.isfinite(curve.mean) for curve in curves], axis=0)
    low, high = float(grid[drawn].min()), float(grid.max())
    if high > low * 1.05:
        log_axis(axes, "x", low, high * 1.02, label)
    else:
        plain_axis(axes, "x", low * 0.9, high * 1.1, label)


def _value_range(curves: Sequence[Curve], best: float | None, sign: float) -> tuple[float, float]:
    """Returns limits that show how the curves end: from where the worst of them is after a third of the axis."""
    grid = curves[0].grid
    late = [curve.mean[grid >= grid[0] * (grid[-1] / grid[0]) ** (1 / 3)] for curve in curves]
    first = [values[np.isfinite(values)][0] for values in late if np.isfinite(values).any()]
    tops = [float(np.nanmax(sign * curve.mean)) for curve in curves if np.isfinite(curve.mean).any()]
    high = max([*tops, sign * best] if best is not None else tops)
    low = min([sign * float(v) for v in first] or [high - 1])
    return _turned(*widened(low, high, 0.04, 0.08), sign)


def _final_range(samples: Sequence[Floats], best: float | None, metric: TableMetric) -> tuple[float, float]:
    """Returns limits that leave out at most the worst two in a hundred runs of the worst entry."""
    found = [metric.sign * v[np.isfinite(v)] for v in samples]
    found = [v for v in found if v.size]
    if not found:
        return 0.0, 100.0
    high = max([*(float(v.max()) for v in found), *([] if best is None else [metric.sign * best])])
    low = min(float(np.quantile(v, 0.02)) for v in found)
    return _turned(*widened(low, high, 0.05, 0.08), metric.sign)


def _turned(low: float, high: float, sign: float) -> tuple[float, float]:
    """Returns the limits of values whose scores have these."""
    return (low, high) if sign > 0 else (-high, -low)


def _ends(curves: Sequence[Curve], mark: str) -> str:
    """Returns where curves end, in words."""
    ends = []
    for curve in curves:
        values = curve.mean[np.isfinite(curve.mean)]
        if values.size and math.isfinite(values[-1]):
            ends.append(f"{curve.label} {values[-1]:.2f}")
    return f"At the end: {', '.join(ends)}{mark}" if ends else "Nothing was found"
