"""The section of a table's page that says how hard the table is to search."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import counted
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.tables._table import Table
from jnas.tables.report._hardness import (
    DRAWS,
    MOST_ARCHS,
    best_of_k,
    fingerprints_of,
    landscape,
    neighbors_of,
    repeats,
    runs_to_tell,
    transfer,
)
from jnas.tables.report._summary import AccuracyColumn

_PAIRS = ((100, 200), (300, 1000))  # of random searches that are to be told apart


def hardness_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html | None:
    """Returns local optima, repeated networks, longer searches, transfer, and the runs that a comparison needs."""
    searched = [c for c in columns if "test" not in c.split and np.isfinite(c.values).sum() > 1]
    if not searched:
        return None
    return section(
        "How hard it is to search",
        _landscape_part(table, searched),
        _repeats_part(table),
        _longer_part(table, searched, columns),
        _transfer_part(table, searched, columns),
        _runs_part(table, searched, columns),
        id="hardness",
    )


def _landscape_part(table: Table, searched: Sequence[AccuracyColumn]) -> list[Any]:
    near = neighbors_of(table)
    if near is None:
        text = f"Local optima are counted in tables of at most {MOST_ARCHS:,} architectures."
        return [element("p", text, class_="caption")]
    rows = []
    for c in searched:
        found = landscape(table.metric.sign * c.values, near)
        rows.append(
            [
                c.label,
                f"{found.optima:,}",
                f"{found.strict:,}",
                f"{100 * found.share:.1f} %",
                f"{found.ends_below:.2f}",
                f"{found.evaluations:.1f}",
                "–" if not found.share else f"{found.evaluations / found.share:,.0f}",
            ]
        )
    head = ["", "optima", "strict ones", "climbs that reach the best", "ends below, points"]
    head += ["evaluations of a climb", "of climbs until one reaches it"]
    text = (
        "A local optimum has no better neighbour, one change away (strict: all are worse). Climbs are steepest, from "
        "every architecture once: the share that ends at the best of the table, by how much they end below it on "
        "average, and what they cost, all neighbours of each step evaluated. Where few optima catch most climbs, good "
        "searchers all reach the best and cannot be told apart by how good they are, only by how fast."
    )
    return [element("p", text), html_table(head, rows, caption="Local optima", class_="plain numbers")]


def _repeats_part(table: Table) -> Html:
    found = repeats(fingerprints_of(table))
    if found.networks == table.num_archs:
        return element("p", f"No two of the {table.num_archs:,} architectures are the same network.")
    more = (
        f", and it takes {found.as_many:,} to meet {found.draws:,} different ones: so much is random search worth that "
        "never evaluates a network twice"
        if found.as_many
        else ""
    )
    text = (
        f"The {table.num_archs:,} architectures are {found.networks:,} different networks by the space's fingerprint. "
        f"{found.draws:,} random ones meet {found.met:,.0f} different networks on average{more}."
    )
    return element("p", text)


def _longer_part(table: Table, searched: Sequence[AccuracyColumn], columns: Sequence[AccuracyColumn]) -> list[Any]:
    """Returns what the best of more and more draws is worth on validation and on test."""
    draws = [k for k in (1, *DRAWS) if k <= max(table.num_archs, 10)]
    rows, worse = [], []
    for c in searched:
        sign, test = table.metric.sign, _test_of(c, columns)
        if test is None or not _enough(c, test):
            continue
        found = best_of_k(sign * c.values, sign * test.values, draws)
        seen, worth = sign * c.values, sign * test.values
        known = np.where(np.isfinite(worth), seen, -np.inf)
        best = float(worth[known == known.max()].mean())
        pairs = [(sign * a, sign * b) for a, b in found]
        cells = [element("div", f"{a:.2f}", element("small", f"test {b:.2f}")) for a, b in pairs]
        whole = element("div", f"{sign * known.max():.2f}", element("small", f"test {sign * best:.2f}"))
        top = f"{sign * float(np.nanmax(worth)):.2f}"
        rows.append([c.label, *cells, whole, top])
        values = [b for _, b in found] + [best]
        names = [counted(k, "draw") for k in draws] + ["the whole table"]
        peak = int(np.nanargmax(values))
        if peak < len(values) - 1 and values[peak] - values[-1] > 0.005:
            worse.append(
                f"on {c.dataset} the best by {c.split} of {names[peak]} is worth {sign * values[peak]:.2f} on test, "
                f"and that of {names[-1]} {sign * values[-1]:.2f}"
            )
    if not rows:
        return []
    text = (
        "What random search of so many evaluations is expected to find (exact; the mean over seeds, drawn with "
        "replacement): its score, and in small print the test score of what it chose. "
        + (f"Searching longer loses: {'; '.join(worse)}." if worse else "Searching longer never loses here.")
    )
    head = ["searched on", *(counted(k, "draw") for k in draws), "the best of all", "best test"]
    return [
        element("h3", "Longer searches"),
        element("p", text),
        html_table(head, rows, class_="plain numbers"),
    ]


def _transfer_part(table: Table, searched: Sequence[AccuracyColumn], columns: Sequence[AccuracyColumn]) -> list[Any]:
    judged = [c for c in columns if "test" in c.split] or list(searched)
    if len({c.dataset for c in searched}) < 2:
        return []
    found = transfer(searched, judged, table.metric.sign)
    rows = [
        [name, *("–" if math.isnan(v) else f"{v:.2f}" for v in row)]
        for name, row in zip(found.chosen, found.lost, strict=True)
    ]
    text = (
        f"By how many {table.metric.points} the best architecture by the row's scores is worse than the best of the "
        "column, in the column's scores."
    )
    head = ["chosen by", *found.judged]
    return [
        element("h3", "From one data set to another"),
        element("p", text),
        html_table(head, rows, class_="plain numbers"),
    ]


def _test_of(c: AccuracyColumn, columns: Sequence[AccuracyColumn]) -> AccuracyColumn | None:
    """Returns the test column of a data set, None where there is none."""
    tests = (t for t in columns if t.dataset == c.dataset and "test" in t.split and t.epochs == c.epochs)
    return next(tests, None)


def _enough(c: AccuracyColumn, test: AccuracyColumn) -> bool:
    """Returns whether there are architectures to choose from of which both columns know a number."""
    return int((np.isfinite(c.values) & np.isfinite(test.values)).sum()) > 1


def _runs_part(table: Table, searched: Sequence[AccuracyColumn], columns: Sequence[AccuracyColumn]) -> list[Any]:
    rows, sign = [], table.metric.sign
    for c in searched:
        test, cells = _test_of(c, columns) or c, []
        if not _enough(c, test):
            continue
        for first, second in _PAIRS:
            share, needed = runs_to_tell(sign * c.values, sign * test.values, first, second)
            runs = f"{needed:,.0f} runs" if math.isfinite(needed) else "no number of runs"
            cells.append(element("div", runs, element("small", f"ahead {share:.3f}")))
        rows.append([c.label, *cells])
    if not rows:
        return []
    text = (
        "How many runs of each it takes to tell random search from random search of more evaluations by the test score "
        "of their picks: a Mann-Whitney test at 5 % that finds the difference four times in five (Noether, 1987); in "
        "small print the chance that a run of the longer one is ahead, equal ones counted half. What needs more runs "
        "here than a study has, that study cannot see."
    )
    head = ["", *(f"{first:,} against {second:,} evaluations" for first, second in _PAIRS)]
    return [
        element("h3", "Runs that a comparison needs"),
        element("p", text),
        html_table(head, rows, class_="plain numbers"),
    ]
