"""The pictures of a study: curves over time, final accuracies, critical differences."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from jnas.pages._html import Html
from jnas.pages._plots import (
    INK,
    MUTED,
    PAPER,
    Mark,
    keep_series,
    level,
    line,
    log_axis,
    mark,
    number,
    paper_size,
    plain_axis,
    plot_frame,
    regret_axis,
    shorten,
    styled,
    to_svg,
    widened,
)
from jnas.statistics._average_ranks import RankComparison
from jnas.statistics._intervals import Floats
from jnas.studies.search._curves import Curve
from jnas.tables._metric import ACCURACY, TableMetric

_MOST_BANDS = 3  # more of them blend: they are drawn as bars at a few points
Looks = Sequence[Mark]  # of all entries of a comparison


def accuracy_panel(
    curves: Sequence[Curve],
    best: float | None,
    *,
    axis: str,
    title: str,
    metric: TableMetric = ACCURACY,
    looks: Looks | None = None,
) -> Html:
    """Returns mean values against time or evaluations, with bands and the optimum as a line.

    Args:
      curves: Of one target; at least one with a point.
      best: The optimum, if known.
      axis: What the horizontal axis counts, with its unit.
      title: What the picture shows.
      metric: What the values are.
      looks: Of the entries; by their numbers where there are none.
    """
    with styled():
        figure, axes = plot_frame()
        for curve in curves:
            ends = {"low": curve.low, "high": curve.high}
            _band(axes, curve, curve.mean, ends, _look(looks, curve.entry), len(curves))
        low, high = _value_range(curves, best, metric.sign)
        plain_axis(axes, "y", low, high, f"mean {metric.axis}")
        _grid_axis(axes, curves, axis)
        if best is not None:
            level(axes, best, name="optimum")
        return to_svg(figure, f"{title}. {_ends(curves, metric.mark)}")


def regret_panel(
    curves: Sequence[Curve],
    best: float,
    *,
    axis: str,
    title: str,
    metric: TableMetric = ACCURACY,
    looks: Looks | None = None,
) -> Html:
    """Returns how much worse the incumbents are than the optimum: median and quartiles over runs, on logarithmic axes.

    A regret of 0 stands at a tick of its own. Arguments are those of `accuracy_panel`.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Figure 7 (left).
    """
    with styled():
        figure, axes = plot_frame()
        regrets = [  # of float32 numbers: what is next to nothing is nothing
            {name: _regret(best, getattr(curve, name), metric.sign) for name in ("median", *_QUARTILES)}
            for curve in curves
        ]
        zero = regret_axis(axes, [r["median"] for r in regrets], f"median regret ({metric.points})")
        for curve, regret in zip(curves, regrets, strict=True):
            ends = {name: regret[name] for name in _QUARTILES}
            _band(axes, curve, regret["median"], ends, _look(looks, curve.entry), len(curves), zero)
        _grid_axis(axes, curves, axis)
        return to_svg(figure, title)


_QUARTILES = ("upper_quartile", "lower_quartile")


def _regret(best: float, values: Floats, sign: float) -> Floats:
    return np.where(np.abs(best - values) < 1e-6 * max(abs(best), 1.0), 0.0, np.maximum(sign * (best - values), 0.0))


def _look(looks: Looks | None, entry: int) -> Mark:
    return mark(entry) if looks is None else looks[entry]


def final_panel(
    labels: Sequence[str],
    samples: Sequence[Floats],
    best: float | None,
    *,
    title: str,
    metric: TableMetric = ACCURACY,
    looks: Looks | None = None,
) -> Html:
    """Returns the final values of all runs, each entry's sorted from the worst to the best.

    Args:
      labels: Names of the entries.
      samples: Each entry's values `[S]`; NaN for a run that found nothing, and these come first.
      best: The optimum, if known.
      title: What the picture shows.
      metric: What the values are.
      looks: Of the entries; by their numbers where there are none.
    """
    with styled():
        figure, axes = plot_frame()
        for k, values in enumerate(samples):
            look = _look(looks, k)
            found = metric.sign * np.sort(metric.sign * values[~np.isnan(values)])
            ordered = np.concatenate([values[np.isnan(values)], found])
            share = 100 * (np.arange(len(ordered)) + 0.5) / len(ordered)
            dots = look.marker if len(ordered) <= 30 else None
            line(axes, share, ordered, look, name=labels[k], linewidth=1.6, marker=dots, markersize=3.5)
            if dots is None:
                _beads(axes, share, ordered, k, len(samples), look)
        plain_axis(axes, "y", *_final_range(samples, best, metric), f"final {metric.axis}")
        plain_axis(axes, "x", 0, 100, "runs, from the worst to the best (%)")
        if best is not None:
            level(axes, best, name="optimum")
        middle = (
            f"{label} {number(float(np.nanmedian(v)))}"
            for label, v in zip(labels, samples, strict=True)
            if np.isfinite(v).any()
        )
        return to_svg(figure, f"{title}. Medians: {', '.join(middle)}{metric.mark}")


def critical_difference_picture(
    ranks: RankComparison, looks: Sequence[int | Mark], *, title: str, narrow: bool = False
) -> Html:
    """Returns Demsar's picture: average ranks on an axis, and a bar over each group that does not differ.

    Args:
      ranks: What to draw; the best rank is at the right, as in the paper.
      looks: Of each name, or its number: for its colour.
      title: What the picture shows.
      narrow: Whether all names stand at the left, for a column or a small screen.

    References:
      Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006 (JMLR 7), Figure 1.
    """
    size, count = paper_size(), len(ranks.names)
    width = size.width if size is not None else 3.6 if narrow else 5.7
    narrow = narrow or width < 4
    right = 0 if narrow else (count + 1) // 2  # the better half has its names at the right
    rows, step = max(right, count - right), 0.23
    tiers = _tiers(ranks.groups)
    bars = 0.14 * (max(tiers, default=-1) + 1)
    height = 0.78 + bars + step * rows + 0.16
    with styled():
        figure = Figure((width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(-height, 0)
        left = 1.7 if narrow else 1.85
        span = width - left - (0.5 if narrow else left)

        def place(rank: float) -> float:
            return left + span * (count - rank) / max(count - 1, 1)

        baseline = -0.62
        _rank_axis(axes, count, place, baseline, narrow)
        _difference_bar(axes, ranks.critical_difference, count, place, width)
        for (first, last), tier in zip(ranks.groups, tiers, strict=True):
            y = baseline - 0.12 - 0.14 * tier
            ends = [place(ranks.ranks[last]) - 0.05, place(ranks.ranks[first]) + 0.05]
            axes.plot(ends, [y, y], color=INK, linewidth=3.6, solid_capstyle="round")
        for i, (name, rank) in enumerate(zip(ranks.names, ranks.ranks, strict=True)):
            on_right = i < right
            row = i if on_right else count - 1 - i
            y = baseline - 0.2 - bars - step * (row + 0.5)
            edge, sign = (left + span + 0.12, 1) if on_right else (left - 0.12, -1)
            look = looks[i]
            color = (look if isinstance(look, Mark) else mark(look)).color
            axes.plot([place(rank), place(rank), edge], [baseline, y, y], color=color, linewidth=1.3)
            axes.plot([place(rank)], [baseline], marker="o", markersize=4.5, color=color)
            most = 17 if narrow else 22
            axes.text(
                edge + sign * 0.06,
                y,
                f"{shorten(name, most)}  {rank:.2f}" if on_right else f"{rank:.2f}  {shorten(name, most)}",
                ha="left" if on_right else "right",
                va="center",
            )
            keep_series(axes, name, rank=[rank])
        keep_series(axes, "critical difference", rank=[ranks.critical_difference])
        listed = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(ranks.names, ranks.ranks, strict=True))
        return to_svg(figure, f"{title}. Average ranks: {listed}; critical difference {ranks.critical_difference:.2f}")


def _rank_axis(axes: Axes, count: int, place: Callable[[float], float], y: float, narrow: bool) -> None:
    axes.plot([place(count), place(1)], [y, y], color=MUTED, linewidth=0.9)
    for rank in range(1, count + 1):
        axes.plot([place(rank)] * 2, [y, y + 0.07], color=MUTED, linewidth=0.9)
        axes.text(place(rank), y + 0.1, str(rank), ha="center", va="bottom", fontsize=8, color=MUTED)
    axes.text(place(1) + 0.18, y + 0.1, "best", ha="left", va="bottom", fontsize=8, color=MUTED)
    worst = "worst" if narrow else "average rank: worst"
    axes.text(place(count) - 0.18, y + 0.1, worst, ha="right", va="bottom", fontsize=8, color=MUTED)


def _difference_bar(axes: Axes, difference: float, count: int, place: Callable[[float], float], width: float) -> None:
    """Draws the length of the critical difference above the axis, cut where it is longer than the axis."""
    length = min(difference, count - 1)
    start, stop, y = place(count), place(count - length), -0.24
    axes.plot([start, stop], [y, y], color=INK, linewidth=1.3)
    for x in (start, stop):
        axes.plot([x, x], [y - 0.04, y + 0.04], color=INK, linewidth=1.3)
    label = f"critical difference {difference:.2f}" + (" (longer than the axis)" if difference > count - 1 else "")
    fits = stop + 0.1 + 0.066 * len(label) < width  # else it stands above the bar
    x, height, side = (stop + 0.1, y, "left") if fits else (width - 0.04, y + 0.13, "right")
    axes.text(x, height, label, ha=side, va="center", fontsize=8, color=INK)


def _tiers(groups: Sequence[tuple[int, int]]) -> list[int]:
    """Returns on which line each bar stands, so that bars on one line do not touch."""
    ends: list[int] = []  # of the last bar on each line
    tiers = []
    for first, last in groups:
        free = next((i for i, end in enumerate(ends) if first > end), len(ends))
        ends[free : free + 1] = [last]
        tiers.append(free)
    return tiers


def _band(
    axes: Axes,
    curve: Curve,
    middle: Floats,
    ends: Mapping[str, Floats],
    look: Mark,
    count: int,
    zero: float = -math.inf,
) -> None:
    """Draws a curve with the ends of its band; what is 0 on a logarithmic axis stands at `zero`."""
    there = np.isfinite(middle)
    if not there.any():
        return
    keep_series(axes, curve.label, look, x=curve.grid[there], y=middle[there], **{n: v[there] for n, v in ends.items()})
    low, high = (np.maximum(values, zero) for values in ends.values())
    middle = np.maximum(middle, zero)
    if there.sum() == 1:
        axes.plot(curve.grid[there], middle[there], color=look.color, marker=look.marker, markersize=5, linestyle="")
        return
    if count <= _MOST_BANDS:
        axes.fill_between(
            curve.grid, low, high, where=there, step="post", color=look.color, alpha=0.22, linewidth=0, zorder=2
        )
    else:
        at = np.flatnonzero(there)[_places(int(there.sum()), curve.entry, max(count, 7))]
        axes.vlines(curve.grid[at], low[at], high[at], color=look.color, linewidth=1.0, alpha=0.75, zorder=2)
    line(axes, curve.grid, middle, look, linewidth=1.6, drawstyle="steps-post", zorder=3)
    _beads(axes, curve.grid[there], middle[there], curve.entry, max(count, 7), look)


def _places(length: int, k: int, count: int) -> NDArray[np.int_]:
    """Returns a few points along a line of so many, each entry's at places of its own."""
    offset = (k % count + 0.5) / count
    return np.unique(((np.arange(4) + offset) / 4 * (length - 1)).astype(int))


def _beads(axes: Axes, x: Floats, y: Floats, k: int, count: int, look: Mark) -> None:
    """Draws a few marks along a line, so that colour is not all there is."""
    places = _places(len(x), k, count)
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
