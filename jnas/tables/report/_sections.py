"""The sections of a table's report, after the figures and Table 6 of the paper of NAS-Bench-201."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import counted
from jnas.pages._html import Html, breakable, element, join, scrolling, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import arch_text, drawing, panels, seconds_text
from jnas.pages._plots import number
from jnas.tables._table import Table
from jnas.tables.report._papers import after, published_row
from jnas.tables.report._plots import histogram, network_size_panel, noise_panel, rank_panel
from jnas.tables.report._summary import (
    COEFFICIENTS,
    AccuracyColumn,
    Correlations,
    Early,
    early_rows,
    final_columns,
    holdings,
    reference_index,
    search_column,
    seed_noise,
    shown_column,
    size_of,
    subsets,
    table_correlations,
)

# How good architectures are.


def accuracy_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html:
    """Returns how good architectures are: quantiles and histograms."""
    star, metric = reference_index(table), table.metric
    levels = (0, 0.1, 0.5, 0.9, 0.99, 1)
    rows = []
    for c in columns:
        values = metric.sign * c.values[np.isfinite(c.values)]
        extra = [] if star is None else [_percent(float(c.values[star]))]
        rows.append(
            [c.label, f"{c.epochs:,}", *(_percent(metric.sign * float(q)) for q in np.quantile(values, levels)), *extra]
        )
    head = ["", "epochs", "worst", "10 %", "median", "90 %", "99 %", "best", *([] if star is None else ["ResNet cell"])]
    shown = [c for c in columns if "test" in c.split] or list(columns)
    drawn = [
        (
            c.label,
            histogram(
                c.values,
                None if star is None else float(c.values[star]),
                label=metric.axis,
                title=f"How many architectures have which {metric.name} on {c.label}",
            ),
        )
        for c in shown[:6]
    ]
    line = "" if star is None else " The orange line is the ResNet cell."
    return section(
        "How good architectures are",
        html_table(head, rows, caption=f"Quantiles of final {metric.words}, means over seeds", class_="plain numbers"),
        panels(drawn, f"How many architectures have which final {metric.name}.{line}"),
        id="accuracy",
    )


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def size_section(table: Table) -> Html | None:
    """Returns Figure 2 of the paper: accuracies against parameters and against FLOPs."""
    star, metric = reference_index(table), table.metric
    columns = final_columns(table, train=True)
    kinds = [("parameters", "parameters (millions)"), ("flops", "FLOPs (millions of multiply-adds)")]
    figures: list[Html] = []
    for kind, label in kinds:
        drawn, of = [], set()
        for c in columns[:9] if kind == "parameters" else [c for c in columns if "test" in c.split][:3]:
            found = size_of(table, kind, c.dataset)
            if found is None or not np.any(np.isfinite(found[0]) & np.isfinite(c.values)):
                continue
            of.add(found[1])
            title = f"{metric.first_upper} on {c.label} against {label}"
            picture = network_size_panel(found[0], c.values, star, label=label, title=title, metric=metric)
            drawn.append((c.label, picture))
        if drawn:
            name = "FLOPs" if kind == "flops" else "Parameters"
            network = "" if len(of) > 1 else f" {name} are those of the network for {of.pop()}."
            figures.append(panels(drawn, f"Final {metric.name} against {label}.{network}"))
    if not figures:
        return None
    marked = "" if star is None else " The orange star is the ResNet cell."
    text = f"Every point is an architecture; the axis leaves out the worst twentieth.{marked}{after(table, 'Figure 2')}"
    return section(f"{metric.first_upper} and size", element("p", text), figures, id="size")


# Rankings.


def cells_ranking_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html | None:
    """Returns Figures 3 and 4 of the paper: rankings on other sets, and correlations between the sets."""
    if len(columns) < 2:
        return None
    columns = [c._replace(values=table.metric.sign * c.values) for c in columns]  # as scores, of which 1 is the best
    main = columns[shown_column(columns)]
    others = [c for c in columns if c is not main and (c.dataset != main.dataset or c.split != main.split)]
    tests = [c for c in others if "test" in c.split and c.dataset != main.dataset] or others
    drawn = [
        (
            c.label,
            rank_panel(
                main.values,
                c.values,
                xlabel=f"rank on {main.label}",
                ylabel=f"rank on {c.label}",
                title=f"Ranks on {c.label} against ranks on {main.label}",
            ),
        )
        for c in tests[:3]
    ]
    found = [table_correlations(columns, title, chosen) for title, chosen in subsets(columns)]
    return section(
        "Do the sets agree",
        panels(
            drawn,
            f"Ranks of all architectures, 1 is the best, sorted by {main.label}; on the dashed line both ranks are "
            f"equal.{after(table, 'Figure 3')}",
        ),
        element(
            "p",
            f"How {table.metric.plural} on the sets correlate: Pearson's coefficient above the diagonal, Kendall's τ-b "
            "below it.",
            " Among the best architectures they agree less than among all." if _agree_less(found) else None,
            after(table, "Figure 4"),
        ),
        element("div", [_matrix(columns, f) for f in found], class_="panels wide"),
        id="ranking",
    )


def _agree_less(found: Sequence[Correlations]) -> bool:
    """Returns whether the columns correlate less, on average, in the last set of architectures than in the first."""
    first, last = (
        float(np.nanmean(f.kendall)) if np.isfinite(f.kendall).any() else math.nan for f in (found[0], found[-1])
    )
    return last < first


def _matrix(columns: Sequence[AccuracyColumn], found: Correlations) -> Html:
    size = len(columns)
    rows = []
    for i, c in enumerate(columns):
        cells = []
        for j in range(size):
            if i == j:
                cells.append(element("td"))
                continue
            value = float(found.pearson[i, j] if j > i else found.kendall[i, j])
            cells.append(element("td", _coefficient(value), style=_shade(value)))
        rows.append(element("tr", element("th", c.label, scope="row"), cells))
    head = element("tr", element("td"), [element("th", c.label, scope="col") for c in columns])
    title = element("caption", found.title, element("small", f" {found.archs:,} architectures"))
    body = element(
        "table",
        title,
        element("thead", head),
        element("tbody", rows),
        class_="heat",
        style=f"min-width: {9 + 5 * size}rem",
    )
    return element("div", scrolling(body), class_="panel")


def _coefficient(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def _shade(value: float) -> str | None:
    """Returns a background that is stronger the further a coefficient is from zero: blue, or orange below zero."""
    if math.isnan(value):
        return None
    color = "0 114 178" if value >= 0 else "213 94 0"
    return f"background: rgb({color} / {0.6 * abs(value):.2f})"


# Short trainings.


def early_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html | None:
    """Returns Figure 5 and Table 6 of the paper: what accuracy after few epochs tells of final accuracy."""
    rows = early_rows(table, columns)
    if not rows or (len(rows) == 1 and rows[0].epochs == search_column(columns).epochs):
        return None  # nothing is shorter than the final training
    searched, main = search_column(columns), columns[shown_column(columns)]
    target = next(i for i, c in enumerate(columns) if c is main)
    taus = [f"Kendall's τ-b {_coefficient(float(row.coefficients['Kendall'][target]))}" for row in rows]
    drawn = [
        (
            join([f"after {row.done:,} of {counted(row.epochs, 'epoch')}", element("small", tau)]),
            rank_panel(
                table.metric.sign * main.values,
                table.metric.sign * row.values,
                xlabel=f"rank on {main.label} in the end",
                ylabel=f"rank on {searched.label} after {row.done:,}",
                title=f"Ranks on {searched.label} after {row.done:,} of {counted(row.epochs, 'epoch')} against final"
                " ranks",
            ),
        )
        for row, tau in zip(rows, taus, strict=True)
    ]
    curves = any(row.done < row.epochs for row in rows)
    caption = f"Ranks on {searched.label} after some epochs against final ranks on {main.label}. "
    if curves:
        caption += (
            "A short training that is complete can tell more than the first epochs of a longer one: its learning "
        )
        caption += "rate has come down. "
    else:
        caption += "The table has no curves: only the ends of its trainings are known. "
    return section(
        "What a short training tells",
        panels(drawn, f"{caption.rstrip()}{after(table, 'Figure 5')}"),
        _early_table(table, columns, rows, searched),
        id="early",
    )


def _early_table(
    table: Table, columns: Sequence[AccuracyColumn], rows: Sequence[Early], searched: AccuracyColumn
) -> Html:
    body = []
    for row in rows:
        paper = published_row(row, table, columns)
        cells: list[Any] = [f"{row.done:,} / {row.epochs:,}"]
        for i in range(len(columns)):
            pearson, tau = (float(row.coefficients[name][i]) for name in ("Pearson", "Kendall"))
            small = ("" if paper is None else f"paper {paper[i]:.3f}, ") + f"τ {tau:.3f}"
            cells.append(join([f"{pearson:.3f}", element("small", small)]))
        body.append(cells)
    head, name = ["epochs done / of training", *(c.label for c in columns)], table.metric.name
    text = (
        f"Correlation of {name} on {searched.label} after some epochs with each final {name}: Pearson's "
        f"coefficient, and in small print Kendall's τ-b.{after(table, 'Table 6')}"
    )
    return join(
        [
            element("h3", f"Correlation with final {table.metric.plural}"),
            element("p", text, " ", published_sentence(table, columns, rows)),
            html_table(head, body, class_="plain numbers"),
        ]
    )


def published_sentence(table: Table, columns: Sequence[AccuracyColumn], rows: Sequence[Early]) -> str:
    """Returns which coefficient reproduces the paper's Table 6, and how closely; nothing where it does not apply."""
    known = [(row, paper) for row in rows if (paper := published_row(row, table, columns)) is not None]
    if not known:
        return ""
    off = {
        name: max(float(np.max(np.abs(row.coefficients[name] - np.asarray(paper)))) for row, paper in known)
        for name in COEFFICIENTS
    }
    best = min(off, key=lambda name: off[name])
    others = " and ".join(f"{name}'s by up to {off[name]:.3f}" for name in off if name != best)
    which = ", ".join(f"{row.done}/{row.epochs}" for row, _ in known)
    return (
        f"The paper does not name its coefficient: {best}'s comes closest to its values, within {off[best]:.3f} in "
        f"the rows {which}; {others} lie off. The paper's numbers are of an older release of the benchmark."
    )


# Seeds.


def noise_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html:
    """Returns how trainings with different seeds scatter."""
    found = seed_noise(table, columns)
    if not found:
        name = table.metric.name
        text = f"The table holds no architecture's {name} for several seeds, so the noise of a training is not known."
        return section("Noise between seeds", element("p", text, class_="note"), id="noise")
    rows: list[list[str]] = []
    drawn: list[tuple[str, Html]] = []
    sign = table.metric.sign
    for noise in found:
        there = np.isfinite(noise.std)
        order = np.argsort(-np.where(there, sign * noise.mean, -np.inf), kind="stable")
        best = float(np.median(noise.std[order[: max(1, int(there.sum()) // 100)]]))
        rows.append(
            [
                noise.column.label,
                str(noise.seeds),
                f"{int(there.sum()):,}",
                f"{np.median(noise.std[there]):.3f}",
                f"{best:.3f}",
                f"{noise.kendall:.3f}" if math.isfinite(noise.kendall) else "–",
            ]
        )
        if len(drawn) < 3 or "test" in noise.column.split:
            title = f"Deviation between seeds on {noise.column.label} against mean {table.metric.name}"
            drawn.append((noise.column.label, noise_panel(noise.mean, noise.std, title=title, metric=table.metric)))
    head = [
        "",
        "seeds, at most",
        "architectures with several",
        "median deviation",
        "of the best hundredth",
        "τ-b of two seeds",
    ]
    text = (
        f"Each point is an architecture: the standard deviation (n − 1) of its final {table.metric.name} between "
        "training seeds against its mean, with the running median. The axes leave out the worst twentieth of the "
        "architectures and the noisiest fiftieth."
    )
    caption = f"Standard deviation between seeds in {table.metric.points}, and how two seeds rank the architectures"
    return section(
        "Noise between seeds",
        html_table(head, rows, caption=caption, class_="plain numbers"),
        panels(drawn[:6], text),
        id="noise",
    )


# Seconds.


def seconds_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html:
    """Returns what training every architecture costs, and how costs are spread for the accuracy searched on."""
    searched = search_column(columns)
    dataset, split = table.resolve(searched.dataset, searched.split)
    rows, drawn = [], []
    for held in holdings(table):
        if not held.train_seconds:
            continue
        training = held.training
        runs = table.runs("accuracy", training.dataset, held.split, training.epochs, "mean")
        cost = np.asarray(runs.train_seconds[:, 0] + runs.eval_seconds[:, 0], np.float64)
        known = cost[np.isfinite(cost) & (cost > 0)]
        if not known.size:
            continue
        rows.append(
            [
                f"{training.dataset} {held.split}",
                f"{training.epochs:,}",
                *(seconds_text(float(q)) for q in np.quantile(known, (0, 0.5, 1))),
                f"{known.sum() / 86_400:,.1f}",
                "training and evaluation" if held.eval_seconds else "training alone",
            ]
        )
        if (training.dataset, held.split) == (dataset, split):
            title = f"Seconds to train on {training.dataset} for {counted(training.epochs, 'epoch')}"
            drawn.append(
                (
                    f"{training.dataset} {held.split}, {counted(training.epochs, 'epoch')}",
                    histogram(
                        known, None, label="seconds of the benchmark", title=title, log=known.max() > 3 * known.min()
                    ),
                )
            )
    if not rows:
        text = "The table has no times: budgets in seconds have no meaning on it."
        return section("Seconds", element("p", text, class_="note"), id="seconds")
    head = ["", "epochs", "least", "median", "most", "all, in days", "what is counted"]
    text = (
        "What one evaluation costs: training for all epochs and evaluating once, where the table knows it. The seconds "
        "are the benchmark's, measured or estimated on its machines; see the notes above."
    )
    return section(
        "Seconds",
        element("p", text),
        html_table(head, rows, class_="plain numbers"),
        panels(drawn[:3], "How the cost of an evaluation is spread over architectures.") if drawn else None,
        id="seconds",
    )


# The best.


def best_known_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html:
    """Returns the best architecture of each set, drawn where the space draws."""
    found: dict[int, list[str]] = {}
    for c in columns:
        found.setdefault(int(np.nanargmax(table.metric.sign * c.values)), []).append(c.label)
    star = reference_index(table)
    cards = [_card(table, columns, index, "best on " + ", ".join(labels)) for index, labels in found.items()]
    if star is not None:
        cards.append(_card(table, columns, star, "the ResNet cell"))
    text = f"The best architecture of each set by its final {table.metric.name}, the mean over seeds."
    return section("The best architectures", element("p", text), element("div", cards, class_="cards"), id="best")


def _card(table: Table, columns: Sequence[AccuracyColumn], index: int, title: str) -> Html:
    arch = table.archs[index]
    values = [(c.label, table.metric.text(float(c.values[index]))) for c in columns]
    for kind, unit in (("parameters", "million"), ("flops", "million")):
        size = size_of(table, kind, columns[0].dataset)
        if size is not None:
            name = {"flops": "FLOPs"}.get(kind, kind)
            values.append((f"{name} ({size[1]})", f"{number(float(size[0][index]))} {unit}"))
    return element(
        "article",
        drawing(table.space, arch),
        element("p", element("strong", title), f", index {index:,}"),
        element("p", element("code", breakable(arch_text(table.space, arch)))),
        element("dl", [element("div", element("dt", t), element("dd", v)) for t, v in values], class_="values"),
        class_="card",
    )
