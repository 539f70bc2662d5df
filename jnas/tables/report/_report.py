"""The report of a table: one page that shows what a benchmark holds, after the figures of its paper."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from jnas.io._atomic import replacing
from jnas.io._text import counted
from jnas.pages._html import Html, element, join, page, section
from jnas.pages._html import table as html_table
from jnas.spaces._rows import many_are_one
from jnas.tables._table import Table
from jnas.tables.report._hardness_section import hardness_section
from jnas.tables.report._papers import find_paper
from jnas.tables.report._sections import (
    accuracy_section,
    best_known_section,
    cells_ranking_section,
    early_section,
    noise_section,
    seconds_section,
    size_section,
)
from jnas.tables.report._summary import (
    final_columns,
    holdings,
    no_times,
)

_MOST_COLUMNS = 12  # in correlation matrices and cards; a table may hold many more data sets


def write_table_report(
    table: Table, path: str | os.PathLike[str], progress: Callable[[str], None] | None = None
) -> None:
    """Writes the report of a table as one HTML file that opens without a network.

    Args:
      table: Any table; parts that it has no numbers for are left out, and the page says so.
      path: Where; an older file there is replaced at once or not at all.
      progress: Called with a few words before each part.

    Raises:
      OSError: The file cannot be written.
    """
    text = table_report(table, progress)
    with replacing(path, "w") as file:
        file.write(text)


def table_report(table: Table, progress: Callable[[str], None] | None = None) -> str:
    """Returns the page that `write_table_report` writes; the same table gives the same page."""
    say = progress or (lambda words: None)
    say("reading accuracies")
    columns = final_columns(table)[:_MOST_COLUMNS]
    parts: list[Any] = [_head(table), _holdings_section(table)]
    if not columns:
        parts.append(element("p", "The table holds no accuracies, so there is nothing to draw.", class_="note"))
        return page(f"What {table.header.name} holds", parts)
    steps: list[tuple[str, Callable[[], Html | None]]] = [
        ("accuracies", lambda: accuracy_section(table, columns)),
        ("accuracy against size", lambda: size_section(table)),
        ("rankings", lambda: cells_ranking_section(table, columns)),
        ("short trainings", lambda: early_section(table, columns)),
        ("seeds", lambda: noise_section(table, columns)),
        ("how hard it is to search", lambda: hardness_section(table, columns)),
        ("seconds", lambda: seconds_section(table, columns)),
        ("best architectures", lambda: best_known_section(table, columns)),
    ]
    own = find_paper(table.space.name).own
    if own is not None:
        steps.insert(2, (own[0], lambda: own[1](table, columns)))
    for words, make in steps:
        say(words)
        parts.append(make())
    return page(f"What {table.header.name} holds", parts)


# What is in it.


def _head(table: Table) -> Html:
    header, space = table.header, table.space
    kind = "cells" if many_are_one(space) else "encodings"
    size = "" if space.size is None else f" of the {space.size:,} {kind}"
    lead = (
        f"{table.num_archs:,}{size} of the space {space.name}: {space.num_decisions} decisions with "
        f"{_range(space.num_choices)} choices each."
    )
    notes = [*header.notes]
    timed = [h for h in holdings(table) if h.train_seconds]
    untimed = [h for h in timed if not h.eval_seconds]
    if any("validation time" in note or "evaluation time" in note for note in notes):
        pass  # the table says it itself
    elif timed and len(untimed) == len(timed):
        notes.append("There are no evaluation times: every cost is the training alone.")
    elif untimed:
        which = ", ".join(f"{h.training.dataset} {h.split} ({counted(h.training.epochs, 'epoch')})" for h in untimed)
        notes.append(f"There are no evaluation times for {which}: a cost there is the training alone.")
    if (sentence := no_times(table)) is not None:
        notes.append(f"T{sentence[1:]}.")
    return element(
        "header",
        element("h1", f"What {header.name} holds"),
        element("p", lead, f" Source: {header.source}" if header.source else None, class_="lead"),
        element(
            "div",
            element("strong", "About the numbers"),
            element("ul", [element("li", n) for n in notes]),
            class_="note",
        )
        if notes
        else None,
    )


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _holdings_section(table: Table) -> Html:
    rows = []
    for held in holdings(table):
        costs = [name for name, has in (("training", held.train_seconds), ("evaluation", held.eval_seconds)) if has]
        rows.append(
            [
                held.training.dataset,
                held.split,
                f"{held.training.epochs:,}",
                f"{table.num_archs - held.missing:,}",
                f"{held.missing:,}" if held.missing else "none",
                f"{held.seeds} ({counted(held.values, 'training')})" if held.seeds else "means alone",
                "every epoch" if held.curves else "the end",
                " and ".join(costs) or "none",
            ]
        )
    head = ["data set", "split", "epochs", "architectures", "missing", "seeds", "known at", "seconds of"]
    pairs = [
        [name, *(join([pair[kind][0], " ", pair[kind][1]]) for kind in ("validation", "test"))]
        for name, pair in table.header.pairs.items()
    ]
    others = {
        kind: sorted(n.removeprefix(f"{kind}/") for n in table.names if n.startswith(f"{kind}/"))
        for kind in ("parameters", "flops", "latency", "device_latency", "hardware", "proxy")
    }
    more = [[kind.replace("_", " "), ", ".join(names)] for kind, names in others.items() if names]
    return section(
        "What is in it",
        html_table(head, rows),
        html_table(
            ["data set", "validation", "test"], pairs, caption="What validation and test of a data set stand for"
        )
        if pairs
        else None,
        html_table(["also", "for"], more, caption="Other numbers of each architecture") if more else None,
        id="holdings",
    )
