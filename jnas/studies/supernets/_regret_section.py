"""By how much the cells of weight-sharing searches lie below the best, epoch by epoch, beside random search."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import listed
from jnas.pages._frame import legend
from jnas.pages._html import Html, section
from jnas.pages._parts import panels
from jnas.pages._plots import (
    MUTED,
    Mark,
    keep_series,
    level,
    line,
    mark,
    number,
    plain_axis,
    plot_frame,
    regret_axis,
    styled,
    to_svg,
)
from jnas.statistics._curves import regret
from jnas.statistics._intervals import FEWEST, Floats, mean_interval
from jnas.studies.supernets._results import SupernetStudy
from jnas.studies.supernets._summary import judged_column, reference_values
from jnas.tables._metric import metric_of

_MOST_BANDS = 3  # more of them blend
_LEVELS = {"random cell": "1 cell", "random search, 10 cells": "10 cells", "random search, 100 cells": "100 cells"}
_APART = 0.06  # of a panel's height, between two labels


def regret_section(study: SupernetStudy) -> Html | None:
    """Returns the regret of the derived cells against epochs; None where the table has no optimum or no accuracies.

    References:
      "NAS-Bench-1Shot1: Benchmarking and Dissecting One-shot Neural Architecture Search", Zela et al., 2020, Figure 3.
    """
    optimum, main = reference_values(study, "optimum"), judged_column(study)
    if main < 0 or optimum is None:
        return None
    shown = [c for c, t in enumerate(study.targets) if t.dataset == study.targets[main].dataset and _known(study, c)]
    if not shown:
        return None
    metric = metric_of(study.config)
    boxes = [(study.targets[c].label, _panel(study, c, float(optimum[c]))) for c in shown[:3]]
    drawn = [words for name, words in _LEVELS.items() if reference_values(study, name) is not None]
    beside = (
        f" Dashes: random search, the best by validation {metric.name} of {listed(drawn)} drawn at random; exact means."
        if drawn
        else ""
    )
    caption = (
        f"How many {metric.points} the cell that a search would have returned after so many epochs lies "
        f"{'below' if metric.higher_is_better else 'above'} the best of the table, as the paper of NAS-Bench-1Shot1 "
        f"draws it. Lines are means over seeds, bands the 95 % "
        f"interval of the mean where there are {FEWEST} seeds or more.{beside} The cells that random search takes were "
        "each trained alone, which costs more than an epoch."
    )
    key = legend((k, result.name) for k, result in enumerate(study.methods))
    return section("Anytime regret", panels(boxes, caption, key, "panels wide"), id="regret")


def _known(study: SupernetStudy, column: int) -> bool:
    optimum = reference_values(study, "optimum")
    return bool(np.isfinite(optimum[column])) and any(np.isfinite(r.values[column]).any() for r in study.methods)


def _panel(study: SupernetStudy, column: int, optimum: float) -> Html:
    """Returns the picture of a column of the table, in percentage points."""
    levels, sign = _levels(study, column, optimum), metric_of(study.config).sign
    curves: dict[str, tuple[Any, Floats, Mark, dict[str, Floats]]] = {}
    label = "mean regret (points)"
    with styled():
        figure, axes = plot_frame(right=0.62 if levels else 0.12)
        for k, result in enumerate(study.methods):
            values = regret(sign * np.asarray(result.values[column], np.float64), sign * optimum)  # [S, L]
            there = np.isfinite(values).any(axis=0)
            if not there.any():
                continue
            epochs, look = result.record.looked[there], mark(k)
            low, high = mean_interval(values[:, there])
            mean = np.maximum(np.nanmean(values[:, there], axis=0), 0.0)
            curves[result.name] = (epochs, mean, look, {"low": low, "high": high})
        zero = regret_axis(axes, np.concatenate([*(c[1] for c in curves.values()), [*levels.values()]]), label)
        for name, (epochs, mean, look, ends) in curves.items():
            low, high = (np.maximum(end, zero) for end in ends.values())
            if len(curves) <= _MOST_BANDS:
                axes.fill_between(epochs, low, high, color=look.color, alpha=0.22, linewidth=0, zorder=2)
            else:
                axes.vlines(epochs, low, high, color=look.color, linewidth=0.9, alpha=0.6, zorder=2)
            dots = look.marker if len(epochs) <= 12 else None
            style: dict[str, Any] = {"linewidth": 1.7, "marker": dots, "markersize": 3.6, "zorder": 3}
            line(axes, epochs, np.maximum(mean, zero), look, **style)
            keep_series(axes, name, look, x=epochs, y=mean, **ends)
        for name, value in levels.items():
            level(axes, max(value, zero), MUTED, name=name)
        heights = [float(_height(axes, max(value, zero))) for value in levels.values()]
        for name, height in zip(levels, _spread(heights), strict=True):
            beside: dict[str, Any] = {"transform": axes.transAxes, "ha": "left", "va": "center"}
            axes.text(1.02, height, _LEVELS[name], fontsize=8, color=MUTED, **beside)
        last = max(int(result.record.looked[-1]) for result in study.methods)
        plain_axis(axes, "x", 0.0 if last > 1 else 0.5, last * 1.02, "epochs", whole=True)
        told = ", ".join(f"{name} {number(float(mean[-1]))}" for name, (_, mean, _, _) in curves.items())
        title = f"Mean regret on {study.targets[column].label} of the derived cell against epochs"
        return to_svg(figure, f"{title}. At the end: {told} points")


def _height(axes: Any, value: float) -> Any:
    """Returns where a value is between the bottom of a panel, 0, and its top, 1."""
    return axes.transAxes.inverted().transform(axes.transData.transform((1.0, value)))[1]


def _spread(heights: Sequence[float]) -> list[float]:
    """Returns heights in their order, those moved up that are too near to the one below to be read beside it."""
    found, below = list(heights), -np.inf
    for place in np.argsort(heights, kind="stable"):
        found[place] = below = max(heights[place], below + _APART)
    return found


def _levels(study: SupernetStudy, column: int, optimum: float) -> dict[str, float]:
    """Returns the mean regret of random search of several lengths, where the table tells."""
    found, sign = ((name, reference_values(study, name)) for name in _LEVELS), metric_of(study.config).sign
    known = {name: float(values[column]) for name, values in found if values is not None}
    return {name: max(float(sign * (optimum - value)), 0.0) for name, value in known.items() if np.isfinite(value)}
