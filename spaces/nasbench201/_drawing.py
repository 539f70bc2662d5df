"""Pictures of cells of NAS-Bench-201."""

import math
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from jnas.spaces._categorical import checked_arch
from jnas.spaces.nasbench201._cells import EDGES, NUM_CHOICES, OPERATIONS, nasbench201_to_string


class _Style(NamedTuple):
    label: str
    color: str  # after the palette of Okabe and Ito, which colour-blind readers can tell apart
    width: float
    dashes: str = "none"  # with the width, what tells the operations apart in a black-and-white print


_STYLES = {
    "none": _Style("", "#c4c4c4", 1.3, "0.1 5"),
    "skip_connect": _Style("skip", "#4d4d4d", 1.5),
    "nor_conv_1x1": _Style("1×1 conv", "#c25200", 2.2),
    "nor_conv_3x3": _Style("3×3 conv", "#0072b2", 3.6),
    "avg_pool_3x3": _Style("3×3 avg pool", "#007a5a", 2.2, "6 3.5"),
}

_NODES = ("in", "1", "2", "out")
_SPACING, _RADIUS = 190.0, 22.0
_ARCS = {(0, 2): (95.0, 114.0), (1, 3): (95.0, -114.0), (0, 3): (80.0, 226.0)}  # control points: inwards, upwards
_LEFT, _AXIS = 34.0, 196.0  # centre of the first node
_WIDTH, _HEIGHT = 2 * _LEFT + 3 * _SPACING, 312.0
_GAP = 2.5  # between the tip of an arrow and its node

_Point = tuple[float, float]


def draw_nasbench201(arch: Any) -> str:
    """Returns a picture of one cell, a self-contained SVG document.

    Arrows are coloured and labelled by their operation; the edges without one (`none`) are faint dotted lines.

    Args:
      arch: Integers `[6]`.

    Raises:
      TypeError: The architecture is not made of integers.
      ValueError: It does not have six of them, each from 0 to 4.
    """
    choices = checked_arch(arch, NUM_CHOICES)
    edges = [(edge, OPERATIONS[choice]) for edge, choice in zip(EDGES, choices, strict=True)]
    edges.sort(key=lambda item: item[1] != "none")  # faint lines first, so that they lie under the others
    parts = [_arrow(*edge, _STYLES[operation]) for edge, operation in edges]
    parts += [_label(*edge, _STYLES[operation]) for edge, operation in edges if operation != "none"]
    parts += [_node(node) for node in range(len(_NODES))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" width="{_WIDTH:g}" '
            f'height="{_HEIGHT:g}" role="img" font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
            f"<title>{escape(nasbench201_to_string(choices))}</title>",
            *parts,
            "</svg>",
        ]
    )


def _center(node: int) -> _Point:
    return _LEFT + node * _SPACING, _AXIS


def _towards(start: _Point, end: _Point, distance: float) -> _Point:
    """Returns the point at a distance from `start` in the direction of `end`."""
    length = math.dist(start, end)
    return tuple(a + (b - a) * distance / length for a, b in zip(start, end, strict=True))  # type: ignore[return-value]


def _controls(source: int, target: int) -> tuple[_Point, _Point]:
    """Returns the inner control points of the edge's Bézier curve, in whose directions it leaves and reaches nodes."""
    (left, axis), (right, _) = _center(source), _center(target)
    inwards, upwards = _ARCS.get((source, target), (_SPACING / 3, 0.0))
    return (left + inwards, axis - upwards), (right - inwards, axis - upwards)


def _arrow(source: int, target: int, style: _Style) -> str:
    first, second = _controls(source, target)
    start = _towards(_center(source), first, _RADIUS)
    head = 0.0 if not style.label else 8.0 + 1.6 * style.width
    tip = _towards(_center(target), second, _RADIUS + (_GAP if head else 0.0))
    base = _towards(tip, second, head)
    line = (
        f'<path d="M{_xy(start)}C{_xy(first)} {_xy(second)} {_xy(base)}" fill="none" stroke="{style.color}" '
        f'stroke-width="{style.width}" stroke-dasharray="{style.dashes}" '
        f'stroke-linecap="{"butt" if head else "round"}"/>'
    )
    if not head:
        return line
    back = _towards(tip, base, head + 0.8)  # overlaps the line, so that no seam shows
    x, y = back[0] - tip[0], back[1] - tip[1]
    wings = (back[0] - 0.42 * y, back[1] + 0.42 * x), (back[0] + 0.42 * y, back[1] - 0.42 * x)
    return line + f'<path d="M{_xy(tip)}L{_xy(wings[0])} {_xy(wings[1])}Z" fill="{style.color}"/>'


def _label(source: int, target: int, style: _Style) -> str:
    first, second = _controls(source, target)
    x = (first[0] + second[0]) / 2
    start = _towards(_center(source), first, _RADIUS)
    y = 0.25 * start[1] + 0.75 * first[1]  # the curve's middle
    width = 7.0 * len(style.label) + 16
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - 11:.1f}" width="{width:.1f}" height="22" rx="11" fill="#ffffff" '
        f'stroke="{style.color}" stroke-width="1.1"/>'
        f'<text x="{x:.1f}" y="{y + 4.5:.1f}" font-size="13" font-weight="bold" fill="{style.color}">'
        f"{escape(style.label)}</text>"
    )


def _node(node: int) -> str:
    x, y = _center(node)
    fill = "#ececec" if node in (0, len(_NODES) - 1) else "#ffffff"
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="{_RADIUS:g}" fill="{fill}" stroke="#222222" stroke-width="1.6"/>'
        f'<text x="{x:g}" y="{y + 5:g}" font-size="15" fill="#222222">{escape(_NODES[node])}</text>'
    )


def _xy(point: _Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
