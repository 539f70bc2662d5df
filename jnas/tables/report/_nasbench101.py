"""What the report of a table shows of the graphs of NAS-Bench-101, after the figures of its paper."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._draws import below, draw_words
from jnas.core._vocabulary import Array, Key, Space
from jnas.pages._html import Html, element, join, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import panels
from jnas.spaces._registry import named_cells
from jnas.spaces.nasbench101._cells import pruned
from jnas.tables._metric import TableMetric
from jnas.tables._table import Table
from jnas.tables.report._plots import line_panel
from jnas.tables.report._summary import AccuracyColumn, shown_column

Floats = NDArray[np.float64]

_WALKS, _STEPS, _MOST_LAG = 1_000, 80, 15


class GraphRow(NamedTuple):
    """The cells with one number of vertices (or edges)."""

    number: int
    cells: int  # in the table
    known: int  # with a value
    mean: float  # of the table's metric (percent)
    best: float


class Autocorrelation(NamedTuple):
    """How alike the values of architectures are that lie some changes apart on random walks."""

    lags: NDArray[np.int64]  # [L], 0, 1, ...
    values: Floats  # [L], correlation
    pairs: NDArray[np.int64]  # [L], pairs of architectures in it


def graph_section(table: Table, columns: Sequence[AccuracyColumn]) -> Html:
    """Returns counts by vertices and edges, the walk's autocorrelation and the named cells."""
    column, name = columns[shown_column(columns)], table.metric.name
    counted = [
        html_table(
            [what, "cells", "known", "mean", "best"],
            [[r.number, f"{r.cells:,}", f"{r.known:,}", _number(r.mean), _number(r.best)] for r in rows],
            caption=f"Cells by {what} after pruning, with the {name} on {column.label}",
            class_="plain numbers",
        )
        for what, rows in graph_counts(table, column).items()
    ]
    walk = autocorrelation(table, column.values)
    drawn = line_panel(
        walk.lags.astype(float),
        walk.values,
        xlabel="changes apart",
        ylabel="autocorrelation",
        title=f"Random-walk autocorrelation of the {name} on {column.label}",
    )
    one = walk.values[1] if len(walk.values) > 1 else np.nan
    text = (
        f"Autocorrelation of the {name} on {column.label} along {_WALKS:,} random walks of {_STEPS} steps, each to a "
        f"random neighbour (one edge or operation changed): {one:.2f} one change apart. Where it is high, a cell tells "
        "of those around it, and local methods have something to go by. (Section 3.3 of the paper of NAS-Bench-101.)"
    )
    return section(
        "The space of cells",
        join(counted),
        panels([("locality", drawn)], text),
        _named_cells(table, columns),
        id="graphs",
    )


def graph_counts(table: Table, column: AccuracyColumn) -> dict[str, list[GraphRow]]:
    """Returns a row for each number of vertices, and of edges, that cells of the table have after pruning."""

    @jax.jit
    @jax.vmap
    def sizes(arch: Array) -> tuple[Array, Array]:
        matrix, used = pruned(arch)
        return jnp.sum(used), jnp.sum(matrix)

    vertices, edges = map(np.asarray, sizes(table.archs.astype(np.int32)))
    sizes_of = {"vertices": vertices, "edges": edges}
    return {what: _rows(numbers, column.values, table.metric) for what, numbers in sizes_of.items()}


def _rows(numbers: np.ndarray, values: Floats, metric: TableMetric) -> list[GraphRow]:
    rows = []
    for number in np.unique(numbers):
        here = values[numbers == number]
        known = here[np.isfinite(here)]
        mean = known.mean() if known.size else np.nan
        rows.append(GraphRow(int(number), len(here), len(known), float(mean), float(metric.best(known))))
    return rows


def autocorrelation(
    table: Table, values: Floats, *, walks: int = _WALKS, steps: int = _STEPS, most_lag: int = _MOST_LAG
) -> Autocorrelation:
    """Returns the autocorrelation of `values [N]` along random walks through the space, each from a random row.

    A step goes to a uniformly chosen valid neighbour. Pairs of which the table lacks one are left out; means and
    variances are those of the pairs that are there. The same table gives the same numbers.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 3.3.
    """
    start_key, walk_key = jax.random.split(jax.random.key(0))
    known = np.flatnonzero(np.isfinite(values))
    first = known[np.asarray(jax.random.randint(start_key, (walks,), 0, len(known), jnp.int32))]
    archs = jax.jit(jax.vmap(lambda key, arch: _walk(table.space, key, arch, steps)))(
        jax.random.split(walk_key, walks), jnp.asarray(table.archs[first], jnp.int32)
    )
    rows = np.asarray(table.index(archs))
    visited = np.where(rows >= 0, values[rows], np.nan)  # [walks, steps]
    lags = np.arange(min(most_lag, steps - 1) + 1)
    found, pairs = [], []
    for lag in lags:
        before, after = visited[:, : steps - lag].ravel(), visited[:, lag:].ravel()
        both = np.isfinite(before) & np.isfinite(after)
        pairs.append(int(both.sum()))
        enough = both.sum() > 2 and np.ptp(before[both]) > 0 and np.ptp(after[both]) > 0
        found.append(float(np.corrcoef(before[both], after[both])[0, 1]) if enough else np.nan)
    return Autocorrelation(lags, np.asarray(found), np.asarray(pairs))


def _walk(space: Space, key: Key, arch: Array, steps: int) -> Array:
    """Returns the architectures `[steps, E]` of a random walk, the first one included; it stays where it is alone."""

    def step(carry: tuple[Key, Array], _: None) -> tuple[tuple[Key, Array], Array]:
        key, words = draw_words(carry[0], 1)
        around, valid = space.neighbors(carry[1])
        order = jnp.cumsum(valid) - 1
        chosen = jnp.argmax(valid & (order == below(words[0], jnp.maximum(jnp.sum(valid), 1))))
        after = jnp.where(jnp.any(valid), around[chosen], carry[1])
        return (key, after), carry[1]

    archs: Array = jax.lax.scan(step, (key, arch), None, steps)[1]
    return archs


def _named_cells(table: Table, columns: Sequence[AccuracyColumn]) -> Html | None:
    rows = []
    for name, text in named_cells(table.space).items():
        index = int(table.index(text))
        if index >= 0:
            rows.append([name, element("code", text), *(_with_rank(c.values, index, table.metric) for c in columns)])
    if not rows:
        return None
    best = [_number(float(table.metric.best(c.values))) for c in columns]
    rows.append(["best", "", *best])
    return html_table(["cell", "", *(c.label for c in columns)], rows, caption="Cells known by name")


def _with_rank(values: Floats, index: int, metric: TableMetric) -> str:
    better = int(np.sum(metric.sign * values > metric.sign * values[index]))
    return _number(values[index]) + (f" (rank {better + 1:,})" if np.isfinite(values[index]) else "")


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"
