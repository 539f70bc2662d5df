"""The pictures of weight-sharing searches: what is seen after each epoch, and shared weights against a table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.pages._html import Html
from jnas.pages._plots import INK, MUTED, Mark, frame, log_axis, number, plain_axis, styled, to_svg

__all__ = ["Drawn", "agreement_panel", "epoch_panel"]

Floats = NDArray[np.float64]


class Drawn(NamedTuple):
    """What is seen of a method's `S` searches at `L` epochs."""

    label: str
    look: Mark
    epochs: NDArray[np.int32]  # [L]
    values: Floats  # [S, L]; NaN is not drawn


def epoch_panel(
    drawn: Sequence[Drawn], *, label: str, title: str, levels: Sequence[float] = (), logarithmic: bool = False
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
        figure, axes = frame()
        for line in drawn:
            values = np.where(line.values > 0, line.values, np.nan) if logarithmic else line.values
            for seed in values:
                axes.plot(line.epochs, seed, color=line.look.color, linewidth=0.6, alpha=0.4, zorder=2)
            there = np.isfinite(values).any(axis=0)
            if not there.any():
                continue
            mean = np.nanmean(values[:, there], axis=0)
            dots = line.look.marker if there.sum() <= 12 else None
            middle = axes.plot(
                line.epochs[there], mean, color=line.look.color, linewidth=1.7, marker=dots, markersize=3.6, zorder=3
            )[0]
            if line.look.dashes:
                middle.set_dashes(line.look.dashes)
        for level in levels:
            axes.axhline(level, color=INK if level == levels[0] else MUTED, linewidth=1.0, dashes=(5, 3), zorder=1.5)
        _vertical(axes, drawn, levels, label, logarithmic)
        last = max(int(line.epochs[-1]) for line in drawn)
        plain_axis(axes, "x", 0.0 if last > 1 else 0.5, last * 1.02, "epochs", whole=True)
        ends = (
            f"{line.label} {number(float(np.nanmean(line.values[:, -1])))}"
            for line in drawn
            if np.isfinite(line.values[:, -1]).any()
        )
        return to_svg(figure, f"{title}. At the end: {', '.join(ends) or 'nothing'}")


def _vertical(axes: object, drawn: Sequence[Drawn], levels: Sequence[float], label: str, logarithmic: bool) -> None:
    values = np.concatenate([np.ravel(line.values) for line in drawn] + [np.asarray(levels, np.float64)])
    values = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if logarithmic:
        log_axis(axes, "y", low / 1.25 if values.size else 0.1, max(high, low * 1.5) * 1.25, label)  # type: ignore[arg-type]
    else:
        room = max(high - low, 1e-3)
        plain_axis(axes, "y", low - 0.06 * room, high + 0.06 * room, label)  # type: ignore[arg-type]


def agreement_panel(truth: Floats, predicted: Floats, look: Mark, *, label: str, title: str) -> Html:
    """Returns accuracies under shared weights against those of a table, a dot for each architecture.

    The axes leave out the lowest two in a hundred architectures of either.

    Args:
      truth: `[N]`, percent.
      predicted: `[N]`, percent.
      look: Of the dots.
      label: Of the horizontal axis.
      title: What the picture shows.
    """
    there = np.isfinite(truth) & np.isfinite(predicted)
    truth, predicted = truth[there], predicted[there]
    with styled():
        figure, axes = frame(3.0, 2.6)
        axes.plot(
            truth,
            predicted,
            marker="o",
            markersize=2.4,
            markeredgewidth=0,
            color=look.color,
            alpha=0.45,
            linestyle="",
            rasterized=len(truth) > 1000,
            zorder=2,
        )
        for which, values, text in (("x", truth, label), ("y", predicted, "under shared weights (%)")):
            low, high = (float(np.quantile(values, 0.02)), float(values.max())) if values.size else (0.0, 1.0)
            room = max(high - low, 1e-3)
            plain_axis(axes, which, low - 0.04 * room, high + 0.04 * room, text, most=5)
        return to_svg(figure, title)
