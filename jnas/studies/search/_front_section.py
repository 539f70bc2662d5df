"""The section of a study with several objectives: fronts, hypervolumes, and the cells on the front."""

from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import card, mean_cell, named, panels
from jnas.pages._plots import INK, keep_series, line, plain_axis, plot_frame, styled, to_svg, widened
from jnas.studies.search._front_numbers import (
    MOST_MEASURED,
    REFERENCE,
    Progress,
    attained,
    front_finals,
    front_progress,
    volume_curves,
)
from jnas.studies.search._objectives import TableFront
from jnas.studies.search._parts import clock_name, entry_looks, searcher_legend
from jnas.studies.search._plots import regret_panel
from jnas.studies.search._summary import Comparison, study_has_times
from jnas.tables._metric import TableMetric

_POINTS = 200  # of an attainment surface
_SEEN = 0.9  # of the front's points, the worst by the score being out of the picture
_MOST_CELLS = 8
_UNITS = {"parameters": "millions", "flops": "millions of multiply-adds", "train_seconds": "of an epoch"}
_VOLUME = TableMetric("hypervolume", "share of the front's", higher_is_better=True)


def front_section(comparison: Comparison, space: Space | None, suffix: str) -> Html | None:
    """Returns what runs attained of the front; None where studies have one objective, or different fronts."""
    fronts = [study.front for study in comparison.studies]
    front = fronts[0]
    if front is None or any(f is None or f.describe() != front.describe() for f in fronts):
        return None
    entries = [(k, entry.label, entry.result) for k, entry in enumerate(comparison.entries)]
    progress = [front_progress(result, front) for _, _, result in entries]
    pictures = [
        (front.names[column], _surfaces(comparison, front, progress, column)) for column in range(1, len(front.names))
    ]
    bounded = any(study.config.get("at_most") for study in comparison.studies)
    told = (
        "Median attainment surfaces: the best "
        f"{front.names[0]} that half of the runs reach at each value of the other objective or a better one, the band "
        f"between the quartiles of the runs; the thin line is {front.named}"
        f"{' by all objectives, as it shows in these two' if len(front.names) > 2 else ''}. "
        f"The tenth of its points with the worst {front.names[0]} may lie outside of the picture."
    )
    drawn = any(study.config.get("reward") == "random" for study in comparison.studies)
    parts: list[Any] = [
        element("p", _words(front, bounded, drawn)),
        panels(pictures, told, searcher_legend(comparison)),
    ]
    if len(front.names) <= MOST_MEASURED:
        parts += [_table(comparison, entries, progress, front), _volumes(comparison, entries, progress)]
    return section("The front", parts, _cells(comparison, front, progress, space), id=f"front{suffix}")


def _words(front: TableFront, bounded: bool, drawn: bool = False) -> str:
    among = " among what keeps the constraints" if bounded else ""
    counted = " Of what searchers evaluate, only the longest training counts." if front.fidelity else ""
    if front.trained:
        counted += " What else the space has nobody knows: regrets are against all searches together."
    if drawn:
        counted += " The front is of means over training runs, and searchers are told one run drawn at random."
    return (
        f"{front.named.capitalize()} by {', '.join(front.names)}{among} has {len(front.costs):,} architectures (equal "
        f"ones counted).{counted} Hypervolumes are measured in units in which that front reaches from 0 to 1 in each "
        f"objective, below the point {REFERENCE} in all of them, and given as shares of the front's own; additive "
        "epsilon, in the same units, is by how much everything found would have to be better to match all of the front."
    )


def _surfaces(comparison: Comparison, front: TableFront, progress: list[Progress], column: int) -> Html:
    """Returns median attainment surfaces of the score against another objective."""
    looks = entry_looks(comparison)
    grid = np.linspace(0.0, REFERENCE, _POINTS)
    sign, name = front.signs[column], front.names[column]
    x = sign * (front.low[column] + grid * front.width[column])

    def value(costs: Any) -> Any:
        return front.signs[0] * (front.low[0] + costs * front.width[0])

    with styled():
        figure, axes = plot_frame()
        for k, (own, look) in enumerate(zip(progress, looks, strict=True)):
            middle, low, high = (attained(own, column, share, grid).value for share in (0.5, 0.75, 0.25))
            there = np.isfinite(middle)
            if not there.any():
                continue
            ends = {"worse_quartile": value(low)[there], "better_quartile": value(high)[there]}
            label = comparison.entries[k].label
            line(
                axes, x[there], value(middle[there]), look, name=label, more=ends, linewidth=1.6, drawstyle="steps-post"
            )
            both = np.isfinite(low) & np.isfinite(high)
            axes.fill_between(
                x, value(low), value(high), where=both, step="post", color=look.color, alpha=0.12, linewidth=0, zorder=2
            )
        points = front.costs[np.argsort(front.costs[:, column], kind="stable")]
        best = np.minimum.accumulate(points[:, 0])
        across = sign * np.append(points[:, column], front.low[column] + REFERENCE * front.width[column])
        keep_series(axes, "exact front", x=across[:-1], y=front.signs[0] * best)
        axes.plot(across, front.signs[0] * np.append(best, best[-1]), color=INK, linewidth=1.1, drawstyle="steps-post")
        worst = float(np.quantile(front.costs[:, 0], _SEEN))  # networks at chance would take most of the picture
        bottom, top = sorted((front.signs[0] * worst, float(value(0.0))))
        plain_axis(axes, "y", *widened(bottom, top, 0.04, 0.04), comparison.metric.axis)
        unit = _UNITS.get(name.partition("/")[0].partition(":")[0], "")
        plain_axis(axes, "x", *widened(min(x), max(x), 0.02, 0.02), f"{name} ({unit})" if unit else name)
        return to_svg(figure, f"Attainment surfaces of {front.names[0]} against {name}")


def _table(comparison: Comparison, entries: list[Any], progress: list[Progress], front: TableFront) -> Html:
    """Returns hypervolume regrets at round numbers of evaluations, and what they are."""
    looks = entry_looks(comparison)
    found = [front_finals(result, own, front) for (_, _, result), own in zip(entries, progress, strict=True)]
    counts = sorted({each.evaluations for rows in found for each in rows})
    counts = [count for count in counts if count >= 50] or counts
    body = []
    for (k, label, _), own, rows in zip(entries, progress, found, strict=True):
        if not own.mask.any():
            body.append([named(looks[k], label), *["–"] * (len(counts) + 1)])
            continue
        by_count = {each.evaluations: each for each in rows}
        cells: list[Any] = []
        for count in counts:
            each = by_count.get(count)
            cells.append("–" if each is None else mean_cell(each.mean, each.low, each.high, forms=(".4f", ".4f")))
        body.append([named(looks[k], label), *cells, f"{rows[-1].epsilon:.3f}"])
    head = ["searcher", *(f"after {count:,}" for count in counts), "epsilon at the end"]
    told = (
        "Hypervolume regret is the share of the front's hypervolume that is missing: mean over runs after so many "
        "evaluations and, in small print, its 95 % bootstrap interval. Beside it stands the mean additive epsilon."
    )
    if not all(own.mask.any() for own in progress):
        told += " A dash: no run evaluated anything that counts for the front."
    shown = html_table(head, body, caption="Hypervolume regret", class_="numbers")
    return element("figure", shown, element("figcaption", told))


def _volumes(comparison: Comparison, entries: list[Any], progress: list[Progress]) -> Html | None:
    looks = entry_looks(comparison)
    pictures = []
    timed = [study_has_times(comparison.studies[entry.study]) for entry in comparison.entries]
    for axis, name in (("evaluations", "evaluations"), ("seconds", f"{clock_name(comparison)} seconds")):
        shown = [k for k, there in enumerate(timed) if there or axis == "evaluations"]  # else an epoch is a second
        drawn = volume_curves([entries[k] for k in shown], [progress[k] for k in shown], axis)
        if drawn:
            title = f"Hypervolume regret against {name}"
            pictures.append(
                (f"against {name}", regret_panel(drawn, 1.0, axis=name, title=title, metric=_VOLUME, looks=looks))
            )
    if not pictures:
        return None
    caption = (
        "Hypervolume regret, the share of the front's hypervolume that is missing: median and quartiles over runs."
    )
    return panels(pictures, caption, searcher_legend(comparison))


def _cells(comparison: Comparison, front: TableFront, progress: list[Progress], space: Space | None) -> Html | None:
    """Returns cells on the front, evenly along it, and how many runs of each searcher found them."""
    if space is None:
        return None
    looks, shares = entry_looks(comparison), front.shares(front.costs).astype(np.float32)
    chosen = np.unique(np.linspace(0, len(shares) - 1, min(_MOST_CELLS, len(shares))).round().astype(int))
    cards = []
    for place in chosen:
        finders = []
        for k, own in enumerate(progress):
            same = np.isclose(own.costs, shares[place], rtol=1e-5, atol=1e-5).all(axis=2) & own.mask
            if count := int(same.any(axis=1).sum()):
                finders.append((looks[k], comparison.entries[k].label, f"{count:,} of {len(same):,} runs"))
        costs = front.costs[place] * np.asarray(front.signs)
        rows = [(name, f"{value:,.6g}") for name, value in zip(front.names, costs, strict=True)]
        cards.append(card(space, space.from_string(front.archs[place]), finders, rows))
    caption = (
        f"{'All' if len(chosen) == len(shares) else f'{len(chosen)} of'} {len(shares):,} cells on "
        f"{front.named}, evenly along it, and how many runs evaluated one that is worth the same."
    )
    return element("div", element("p", caption), element("div", cards, class_="cards"))
