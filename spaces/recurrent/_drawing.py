"""Pictures of recurrent cells: trees of nodes from left to right."""

from typing import NamedTuple
from xml.sax.saxutils import escape

from jnas.spaces._layered_layout import layered_layout
from jnas.spaces.recurrent._genotype import RecurrentGenotype, format_recurrent, used_nodes


class _Style(NamedTuple):
    color: str  # after the palette of Okabe and Ito, which colour-blind readers can tell apart
    width: float
    dashes: str = "none"  # with the width, what tells the operations apart in a black-and-white print


_STYLES = {
    "tanh": _Style("#0072b2", 3.6),
    "relu": _Style("#c25200", 1.6),
    "sigmoid": _Style("#007a5a", 2.2, "6 3.5"),
    "identity": _Style("#4d4d4d", 1.3),
}
_OTHER = _Style("#4d4d4d", 1.6, "2 3")
_UNUSED = "#b0b0b0"
_BOX = 88.0, 36.0
_RADIUS = 22.0  # of the initial state
_COLUMN_GAP, _ROW_GAP = 40.0, 12.0
_MARGIN = 12.0
_SENTENCE = 30.0  # below the tree, of what the cell puts out
_CHARACTER = 7.0  # of the sentence, in pixels, at most
_LINE = "#4d4d4d"


def draw_recurrent(genotype: RecurrentGenotype) -> str:
    """Returns a picture of the cell, a self-contained SVG document.

    Each node stands to the right of the state that it reads, labelled with its number and its activation; a sentence
    says whose mean the cell puts out. Nodes that it does not depend on are grey.

    Args:
      genotype: Of any number of nodes.
    """
    nodes = len(genotype.recurrent)
    used = used_nodes(genotype)
    edges = [(state, node) for node, (_, state) in enumerate(genotype.recurrent, start=1)]
    room = {0: 2 * _RADIUS, **dict.fromkeys(range(1, nodes + 1), _BOX[1])}
    layout = layered_layout(edges, room, passing=0.0, gap=_ROW_GAP)
    top = min(layout.height[v] - room[v] / 2 for v in room)
    bottom = max(layout.height[v] + room[v] / 2 for v in room)
    left = _MARGIN + 2 * _RADIUS + _COLUMN_GAP + _BOX[0] / 2
    columns = [_MARGIN + _RADIUS, *(left + i * (_BOX[0] + _COLUMN_GAP) for i in range(max(layout.layer.values())))]
    places = {v: (columns[layout.layer[v]], layout.height[v] - top + _MARGIN) for v in room}
    sentence = _sentence(genotype.concat, nodes)
    width = max(columns[-1] + _BOX[0] / 2 + _MARGIN, 2 * _MARGIN + _CHARACTER * len(sentence))
    height = bottom - top + 2 * _MARGIN + _SENTENCE
    parts = [_line(places[state], places[node], not state, node in used) for state, node in edges]
    parts.append(_start(places[0]))
    parts += [_node(v, genotype.recurrent[v - 1][0], places[v], v in used) for v in range(1, nodes + 1)]
    parts.append(
        f'<text x="{_MARGIN:g}" y="{height - _MARGIN - 4:.1f}" font-size="13" fill="#222222" '
        f'text-anchor="start">{escape(sentence)}</text>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:.1f}" width="{width:g}" '
            f'height="{height:.1f}" role="img" font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
            f"<title>{escape(format_recurrent(genotype))}</title>",
            *parts,
            "</svg>",
        ]
    )


def _sentence(concat: tuple[int, ...], nodes: int) -> str:
    if len(concat) == nodes:
        return "out: mean of all nodes" if nodes > 1 else "out: node 1"
    return f"out: mean of {', '.join(map(str, concat))}" if len(concat) > 1 else f"out: node {concat[0]}"


def _line(source: tuple[float, float], target: tuple[float, float], starts: bool, used: bool) -> str:
    (x, y), (to_x, to_y) = source, target
    x, to_x = x + (_RADIUS if starts else _BOX[0] / 2), to_x - _BOX[0] / 2
    middle = (x + to_x) / 2
    return (
        f'<path d="M{x:.1f},{y:.1f}C{middle:.1f},{y:.1f} {middle:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}" fill="none" '
        f'stroke="{_LINE if used else _UNUSED}" stroke-width="1.4"/>'
    )


def _start(place: tuple[float, float]) -> str:
    x, y = place
    return (
        f'<circle cx="{x:g}" cy="{y:.1f}" r="{_RADIUS:g}" fill="#ececec" stroke="#222222" stroke-width="1.6"/>'
        f'<text x="{x:g}" y="{y + 4.5:.1f}" font-size="13" fill="#222222">x, h</text>'
    )


def _node(number: int, operation: str, place: tuple[float, float], used: bool) -> str:
    x, y = place
    style = _STYLES.get(operation, _OTHER)
    color = style.color if used else _UNUSED
    return (
        f'<rect x="{x - _BOX[0] / 2:.1f}" y="{y - _BOX[1] / 2:.1f}" width="{_BOX[0]:g}" height="{_BOX[1]:g}" rx="9" '
        f'fill="#ffffff" stroke="{color}" stroke-width="{style.width}" stroke-dasharray="{style.dashes}"/>'
        f'<text x="{x + 5:.1f}" y="{y + 5:.1f}" font-size="13" font-weight="bold" fill="{color}">'
        f"{escape(operation)}</text>"
        f'<text x="{x - _BOX[0] / 2 + 10:.1f}" y="{y - _BOX[1] / 2 + 14:.1f}" font-size="10" fill="#666666">'
        f"{number}</text>"
    )
