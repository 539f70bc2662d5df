"""Where the vertices and edges of a small directed graph go in a picture, so that no edge runs through a vertex."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Edge = tuple[int, int]

_MOST_PERMUTED = 6  # layers up to this width are put in the best order, wider ones in a good one
_SWEEPS = 12


class _Stop(NamedTuple):
    """What stands in a layer: a vertex, or the place where an edge passes by the vertices."""

    layer: int
    source: int  # the vertex, or where the edge comes from
    target: int  # the vertex itself, or where the edge goes


class DrawingLayout(NamedTuple):
    """A drawing in layers from left to right."""

    layer: dict[int, int]  # of each vertex
    height: dict[int, float]  # where each vertex stands, downwards
    passes: dict[Edge, list[float]]  # at which heights each edge passes the layers between its ends


def layered_layout(edges: Sequence[Edge], room: Mapping[int, float], *, passing: float, gap: float) -> DrawingLayout:
    """Returns places for the vertices and edges of a graph without cycles.

    A vertex stands one layer after its latest predecessor. In each layer the vertices, and the edges that pass by, are
    ordered so that few edges cross, and placed near what they are joined with. The same graph always gives the same
    layout.

    Args:
      edges: `(source, target)`, each source smaller than its target.
      room: The vertices, and the height that each needs.
      passing: The height that a passing edge needs.
      gap: Between neighbours within a layer.

    References:
      "Methods for Visual Understanding of Hierarchical System Structures", Sugiyama, Tagawa and Toda, 1981.
    """
    layer = dict.fromkeys(room, 0)
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        layer[target] = max(layer[target], layer[source] + 1)
    chains = {edge: _chain(edge, layer) for edge in edges}
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    stops = {_Stop(layer[v], v, v) for v in room}.union(*chains.values())
    rows = [sorted(row) for _, row in itertools.groupby(sorted(stops), key=lambda stop: stop.layer)]
    _uncross(rows, links)
    need = {stop: room[stop.source] if stop.source == stop.target else passing for stop in stops}
    heights = _heights(rows, links, need, gap)
    return DrawingLayout(
        layer,
        {v: heights[_Stop(layer[v], v, v)] for v in room},
        {edge: [heights[stop] for stop in chain[1:-1]] for edge, chain in chains.items()},
    )


def _chain(edge: Edge, layer: Mapping[int, int]) -> list[_Stop]:
    source, target = edge
    first, last = layer[source], layer[target]
    between = [_Stop(at, source, target) for at in range(first + 1, last)]
    return [_Stop(first, source, source), *between, _Stop(last, target, target)]


def _uncross(rows: list[list[_Stop]], links: list[tuple[_Stop, _Stop]]) -> None:
    """Orders each row in turn, its neighbours held, until nothing gets better."""
    for _ in range(_SWEEPS):
        before = [list(row) for row in rows]
        for i in range(len(rows)):
            near = [link for link in links if i in (link[0].layer, link[1].layer)]
            held = {stop: place for row in (*rows[:i], *rows[i + 1 :]) for place, stop in enumerate(row)}
            rows[i] = _best_order(rows[i], near, held)
        if rows == before:
            return


def _best_order(row: list[_Stop], near: list[tuple[_Stop, _Stop]], held: Mapping[_Stop, int]) -> list[_Stop]:
    joined = {stop: [held[a if b == stop else b] for a, b in near if stop in (a, b)] for stop in row}
    orders = [row, sorted(row, key=lambda stop: sum(joined[stop]) / max(len(joined[stop]), 1))]
    if len(row) <= _MOST_PERMUTED:
        orders += map(list, itertools.permutations(row))

    def crossings(order: list[_Stop]) -> int:
        # Two stops' links on one side cross where their other ends stand the other way round.
        return sum(
            (a.layer < row[0].layer) == (b.layer < row[0].layer) and held[a] > held[b]
            for one, other in itertools.combinations(order, 2)
            for a in ends[one]
            for b in ends[other]
        )

    ends = {stop: [a if b == stop else b for a, b in near if stop in (a, b)] for stop in row}
    return min(orders, key=crossings)  # the first of the best, so an order stays if it is as good as any


def _heights(
    rows: list[list[_Stop]], links: list[tuple[_Stop, _Stop]], need: Mapping[_Stop, float], gap: float
) -> dict[_Stop, float]:
    """Places the stops of each row in order, `gap` apart, near the mean of what they are joined with."""
    joined: dict[_Stop, list[_Stop]] = {stop: [] for row in rows for stop in row}
    for a, b in links:
        joined[a].append(b)
        joined[b].append(a)
    heights = dict.fromkeys(joined, 0.0)
    for sweep in range(2 * _SWEEPS):
        for row in rows if sweep % 2 else rows[::-1]:
            wanted = [sum(heights[n] for n in joined[stop]) / max(len(joined[stop]), 1) for stop in row]
            weights = [4.0 if stop.source != stop.target else 1.0 for stop in row]  # so that long edges run straight
            places = _apart(wanted, weights, [need[stop] for stop in row], gap)
            heights.update(zip(row, places, strict=True))
    return heights


def _apart(wanted: list[float], weights: list[float], need: list[float], gap: float) -> list[float]:
    """Returns the places nearest to those wanted (by weighted squares) at which neighbours have the room they need."""
    offsets = [0.0]
    for above, below in itertools.pairwise(need):
        offsets.append(offsets[-1] + (above + below) / 2 + gap)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, members: pool adjacent violators
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, total, count = want - offset, weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, more, members = blocks.pop()
            mean = (mean * total + other * more) / (total + more)
            total, count = total + more, count + members
        blocks.append((mean, total, count))
    moved = [mean for mean, _, count in blocks for _ in range(count)]
    return [m + offset for m, offset in zip(moved, offsets, strict=True)]
