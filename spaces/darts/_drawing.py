"""Pictures of pairs of cells, as circuits: a line for each state, from which operations branch off."""

from typing import NamedTuple
from xml.sax.saxutils import escape

from jnas.spaces.darts._genotype import CELLS, Edge, Genotype, format_genotype


class _Style(NamedTuple):
    label: str
    color: str  # after the palette of Okabe and Ito, which colour-blind readers can tell apart
    width: float
    dashes: str = "none"  # with the width, what tells the operations apart in a black-and-white print


_STYLES = {
    "none": _Style("none", "#9a9a9a", 1.3, "0.1 4"),
    "noise": _Style("noise", "#9a9a9a", 1.6, "2 3"),
    "skip_connect": _Style("skip", "#4d4d4d", 1.5),
    "max_pool_3x3": _Style("3×3 max pool", "#007a5a", 2.2, "6 3.5"),
    "avg_pool_3x3": _Style("3×3 avg pool", "#7a5c00", 2.2, "2.5 2.5"),
    "sep_conv_3x3": _Style("3×3 sep conv", "#0072b2", 2.2),
    "sep_conv_5x5": _Style("5×5 sep conv", "#0072b2", 3.8),
    "sep_conv_7x7": _Style("7×7 sep conv", "#0072b2", 5.4),
    "dil_conv_3x3": _Style("3×3 dil conv", "#c25200", 2.2),
    "dil_conv_5x5": _Style("5×5 dil conv", "#c25200", 3.8),
}
_TITLES = {"normal": "normal cell", "reduce": "reduction cell"}

_LEFT, _RIGHT, _MARGIN = 74.0, 70.0, 12.0  # room for the inputs, and for the output
_LANE = 22.0  # between the lines of states
_BOX = 96.0, 30.0
_GAP, _UP = 8.0, 40.0  # between the two boxes of a node, and after them, where the node's line rises
_TITLE, _DROP = 30.0, 26.0  # above the lines, and between them and the boxes
_RADIUS = 12.0
_LINE = "#4d4d4d"
_NODE = 2 * _BOX[0] + _GAP + _UP


def draw_genotype(genotype: Genotype) -> str:
    """Returns a picture of both cells, one below the other, a self-contained SVG document.

    Each state has a horizontal line, the two inputs from the left, a node's from where it is made. A dot marks where
    an operation reads it. Operations are coloured and labelled.

    Args:
      genotype: Of any number of nodes.
    """
    cells = [
        _cell("normal", genotype.normal, genotype.normal_concat),
        _cell("reduce", genotype.reduce, genotype.reduce_concat),
    ]
    width, height = max(cell[0] for cell in cells), sum(cell[1] for cell in cells)
    parts = []
    for i, (_, _, drawn) in enumerate(cells):
        parts += [f'<g transform="translate(0 {sum(cell[1] for cell in cells[:i]):g})">', *drawn, "</g>"]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
            f"<title>{escape(format_genotype(genotype))}</title>",
            *parts,
            "</svg>",
        ]
    )


def _cell(name: str, edges: tuple[Edge, ...], concat: tuple[int, ...]) -> tuple[float, float, list[str]]:
    """Returns width, height and parts of one cell."""
    assert name in CELLS
    nodes = len(edges) // 2
    lanes = [_TITLE + _LANE * (0.5 + state) for state in range(2 + nodes)]
    boxes = lanes[-1] + _DROP
    node_height = boxes + _BOX[1] + 2 * _RADIUS + 6
    end = _LEFT + nodes * _NODE
    parts = [
        f'<text x="{_MARGIN:g}" y="20" font-size="14" font-weight="bold" fill="#222222" text-anchor="start">'
        f"{_TITLES[name]}</text>"
    ]
    for state, y in enumerate(lanes):
        start = _LEFT if state < 2 else _LEFT + (state - 1) * _NODE - _UP / 2
        read = [_middle(i) for i, (_, source) in enumerate(edges) if source == state]
        stop = end + _RIGHT / 4 if state in concat else max([*read, start])
        parts.append(_path(f"M{start:g},{y:g}H{stop:g}"))
        if state < 2:
            parts.append(_text(_LEFT / 2, y + 4, ("cell k−2", "cell k−1")[state], 12))
    for i, (operation, state) in enumerate(edges):
        parts += _operation(operation, _middle(i), lanes[state], boxes)
    for node in range(nodes):
        parts += _sum(node, boxes + _BOX[1], node_height, lanes[2 + node])
    first, last = min(lanes[c] for c in concat), max(lanes[c] for c in concat)
    parts.append(
        f'<rect x="{end + _RIGHT / 4:g}" y="{first - 9:g}" width="40" height="{last - first + 18:g}" rx="9" '
        'fill="#ececec" stroke="#222222" stroke-width="1.6"/>'
    )
    parts.append(_text(end + _RIGHT / 4 + 20, (first + last) / 2 + 5, "out", 14))
    return end + _RIGHT + _MARGIN, node_height + _RADIUS + _MARGIN, parts


def _middle(edge: int) -> float:
    """Returns where the box of an edge's operation stands."""
    return _LEFT + edge // 2 * _NODE + _BOX[0] / 2 + edge % 2 * (_BOX[0] + _GAP)


def _operation(operation: str, x: float, lane: float, top: float) -> list[str]:
    style = _STYLES.get(operation, _Style(operation, _LINE, 1.5))
    return [
        _path(f"M{x:g},{lane:g}V{top:g}"),
        f'<circle cx="{x:g}" cy="{lane:g}" r="3.6" fill="{_LINE}"/>',
        f'<rect x="{x - _BOX[0] / 2:g}" y="{top:g}" width="{_BOX[0]:g}" height="{_BOX[1]:g}" rx="8" fill="#ffffff" '
        f'stroke="{style.color}" stroke-width="{style.width:g}" stroke-dasharray="{style.dashes}"/>',
        _text(x, top + _BOX[1] / 2 + 4.5, style.label, 12, style.color),
    ]


def _sum(node: int, boxes: float, y: float, lane: float) -> list[str]:
    """The sum of a node's two operations, and the line that rises from there to the node's own."""
    left, right = _middle(2 * node), _middle(2 * node + 1)
    x, rise = (left + right) / 2, _LEFT + (node + 1) * _NODE - _UP / 2
    return [
        _path(f"M{left:g},{boxes:g}V{y:g}H{x - _RADIUS:g}"),
        _path(f"M{right:g},{boxes:g}V{y - _RADIUS - 3:g}H{x:g}V{y - _RADIUS:g}"),
        _path(f"M{x + _RADIUS:g},{y:g}H{rise:g}V{lane:g}"),
        f'<circle cx="{x:g}" cy="{y:g}" r="{_RADIUS:g}" fill="#ffffff" stroke="#222222" stroke-width="1.6"/>',
        _text(x, y + 4.5, str(node + 2), 12),
    ]


def _path(line: str) -> str:
    return f'<path d="{line}" fill="none" stroke="{_LINE}" stroke-width="1.4"/>'


def _text(x: float, y: float, text: str, size: int, color: str = "#222222") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}">{escape(text)}</text>'
