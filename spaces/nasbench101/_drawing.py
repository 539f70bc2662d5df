"""Pictures of cells of NAS-Bench-101."""

import math
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from jnas.spaces._categorical import checked_arch
from jnas.spaces._layered_layout import DrawingLayout, Edge, layered_layout
from jnas.spaces.nasbench101._cells import (
    EDGES,
    MAX_VERTICES,
    NUM_CHOICES,
    NUM_EDGES,
    host_pruned,
    nasbench101_to_string,
)


class _Style(NamedTuple):
    label: str
    color: str  # after the palette of Okabe and Ito, which colour-blind readers can tell apart
    width: float
    dashes: str = "none"  # with the width, what tells the operations apart in a black-and-white print


_STYLES = (  # in the order of the operations
    _Style("3×3 conv", "#0072b2", 3.6),
    _Style("1×1 conv", "#c25200", 1.6),
    _Style("3×3 max pool", "#007a5a", 2.2, "6 3.5"),
)

_INPUT, _OUTPUT = 0, MAX_VERTICES - 1
_RADIUS = 24.0  # of the input and the output
_BOX = 112.0, 42.0  # width and least height of the other vertices
_COLUMN_GAP, _ROW_GAP = 44.0, 14.0
_PASSING = 12.0  # room of an edge that passes by vertices
_PORT = 10.0  # between the edges that arrive at one vertex, or leave it
_MARGIN = 12.0
_HEAD, _TIP = 9.0, 2.5  # length of an arrow's head, and the distance from its tip to the vertex
_LINE = "#4d4d4d"

_Point = tuple[float, float]


def draw_nasbench101(arch: Any) -> str:
    """Returns a picture of the pruned cell, a self-contained SVG document.

    Vertices are coloured and labelled by their operations and carry their numbers. A cell without a path from its
    input to its output is drawn as these two alone.

    Args:
      arch: Integers `[26]`.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It does not have 26 of them, each a choice of its decision.
    """
    values = checked_arch(arch, NUM_CHOICES)
    matrix, used = host_pruned(values)
    edges = [edge for edge in EDGES if matrix[edge]]
    vertices = [v for v in range(MAX_VERTICES) if used[v] or v in (_INPUT, _OUTPUT)]
    room = {v: _room(v, edges) for v in vertices}
    layout = DrawingLayout({_INPUT: 0, _OUTPUT: 1}, {_INPUT: 0.0, _OUTPUT: 0.0}, {})
    if edges:
        layout = layered_layout(edges, room, passing=_PASSING, gap=_ROW_GAP)
    columns = _columns(layout.layer[_OUTPUT])
    extents = [(layout.height[v], room[v] / 2) for v in vertices]
    extents += [(height, _PASSING / 2) for passed in layout.passes.values() for height in passed]
    top = min(middle - half for middle, half in extents)
    bottom = max(middle + half for middle, half in extents)
    down = _MARGIN - top
    centers = {v: (columns[layout.layer[v]], layout.height[v] + down) for v in vertices}
    width, height = columns[-1] + _RADIUS + _MARGIN, bottom - top + 2 * _MARGIN
    ports = _ports(edges, layout)
    parts = [_arrow(edge, centers, ports[edge], layout, columns, down) for edge in edges]
    for v in vertices:
        parts.append(_end(v, centers[v]) if v in (_INPUT, _OUTPUT) else _vertex(v, centers[v], room[v], values))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:.1f}" width="{width:g}" '
            f'height="{height:.1f}" role="img" font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
            f"<title>{escape(nasbench101_to_string(values))}</title>",
            *parts,
            "</svg>",
        ]
    )


def _room(vertex: int, edges: list[Edge]) -> float:
    """Returns the height of a vertex, enough for the edges at its sides."""
    if vertex in (_INPUT, _OUTPUT):
        return 2 * _RADIUS
    most = max(sum(vertex == edge[side] for edge in edges) for side in (0, 1))
    return max(_BOX[1], _PORT * (most + 1))


def _columns(last: int) -> list[float]:
    """Returns the middle of each layer: the first and the last hold circles, those between boxes."""
    inner = [_MARGIN + 2 * _RADIUS + i * (_BOX[0] + _COLUMN_GAP) - _BOX[0] / 2 for i in range(1, last)]
    end = _MARGIN + 2 * _RADIUS + (last - 1) * (_BOX[0] + _COLUMN_GAP) + _COLUMN_GAP + _RADIUS
    return [_MARGIN + _RADIUS, *inner, end]


def _ports(edges: list[Edge], layout: DrawingLayout) -> dict[Edge, _Point]:
    """Returns how far below the middles of its source and target each edge leaves and arrives.

    They are in the order in which they come from or go to the neighbouring layers, so that edges do not cross there.
    """
    found: dict[Edge, list[float]] = {edge: [0.0, 0.0] for edge in edges}
    for side in (0, 1):
        for vertex in layout.height:
            here = [edge for edge in edges if edge[side] == vertex]
            beside = {e: layout.passes[e][-side] if layout.passes[e] else layout.height[e[1 - side]] for e in here}
            here.sort(key=lambda e: beside[e])
            spread = min(_PORT, 2 * (_RADIUS - 4) / max(len(here) - 1, 1)) if vertex in (_INPUT, _OUTPUT) else _PORT
            for place, edge in enumerate(here):
                found[edge][side] = (place - (len(here) - 1) / 2) * spread
    return {edge: (out, into) for edge, (out, into) in found.items()}


def _side(vertex: int, offset: float) -> float:
    """Returns how far from its middle a vertex's outline is at a height."""
    return math.sqrt(_RADIUS**2 - offset**2) if vertex in (_INPUT, _OUTPUT) else _BOX[0] / 2


def _arrow(
    edge: Edge, centers: dict[int, _Point], ports: _Point, layout: DrawingLayout, columns: list[float], down: float
) -> str:
    """A line that bends between the columns alone, and runs straight beside the vertices that it passes."""
    source, target = edge
    out, into = ports
    here = centers[source][0] + _side(source, out), centers[source][1] + out
    tip = centers[target][0] - _side(target, into) - _TIP, centers[target][1] + into
    stops = [here]
    for column, passed in zip(columns[layout.layer[source] + 1 :], layout.passes[edge], strict=False):
        stops += [(column - _BOX[0] / 2, passed + down), (column + _BOX[0] / 2, passed + down)]
    stops.append((tip[0] - _HEAD, tip[1]))
    line = f"M{_xy(here)}"
    for i in range(0, len(stops), 2):
        (x, y), (to_x, to_y) = stops[i : i + 2]
        middle = (x + to_x) / 2
        line += f"C{_xy((middle, y))} {_xy((middle, to_y))} {_xy((to_x, to_y))}"
        if i + 2 < len(stops):
            line += f"L{_xy(stops[i + 2])}"
    back = tip[0] - _HEAD - 0.8  # overlaps the line, so that no seam shows
    wings = (back, tip[1] + 0.42 * _HEAD), (back, tip[1] - 0.42 * _HEAD)
    return (
        f'<path d="{line}" fill="none" stroke="{_LINE}" stroke-width="1.6"/>'
        f'<path d="M{_xy(tip)}L{_xy(wings[0])} {_xy(wings[1])}Z" fill="{_LINE}"/>'
    )


def _end(vertex: int, center: _Point) -> str:
    x, y = center
    return (
        f'<circle cx="{x:g}" cy="{y:.1f}" r="{_RADIUS:g}" fill="#ececec" stroke="#222222" stroke-width="1.6"/>'
        f'<text x="{x:g}" y="{y + 5:.1f}" font-size="15" fill="#222222">{"in" if vertex == _INPUT else "out"}</text>'
    )


def _vertex(vertex: int, center: _Point, room: float, values: Any) -> str:
    x, y = center
    style = _STYLES[values[NUM_EDGES + vertex - 1]]
    return (
        f'<rect x="{x - _BOX[0] / 2:g}" y="{y - room / 2:.1f}" width="{_BOX[0]:g}" height="{room:g}" rx="9" '
        f'fill="#ffffff" stroke="{style.color}" stroke-width="{style.width}" stroke-dasharray="{style.dashes}"/>'
        f'<text x="{x:g}" y="{y + 7:.1f}" font-size="13" font-weight="bold" fill="{style.color}">'
        f"{escape(style.label)}</text>"
        f'<text x="{x - _BOX[0] / 2 + 10:g}" y="{y - room / 2 + 14:.1f}" font-size="10" fill="#666666">{vertex}</text>'
    )


def _xy(point: _Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
