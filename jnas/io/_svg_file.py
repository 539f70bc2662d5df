"""Drawings that are SVG documents as files: as they are, or as PDF for a paper.

A PDF is drawn of what the drawings of this project use: paths of straight lines and cubic curves, rectangles, circles,
text, and groups that are moved.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jnas.io._atomic import replacing

_POINTS_PER_PIXEL = 0.75
_NUMBERS = {"M": 2, "L": 2, "C": 6, "H": 1, "V": 1, "Z": 0}
_INHERITED = ("font-size", "font-weight", "fill", "text-anchor", "stroke", "stroke-width")


def write_drawing(svg: str, path: str | os.PathLike[str]) -> None:
    """Writes a drawing as SVG or, where the file's name ends with `.pdf`, as PDF with embedded fonts.

    Args:
      svg: The document.
      path: The file; its ending says what it becomes.

    Raises:
      ValueError: The ending is another, or a PDF cannot be made of the document.
      OSError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".pdf"):
        raise ValueError(f"path is {path}, expected a name that ends with .svg or .pdf")
    data = svg.encode() if path.suffix.lower() == ".svg" else _pdf(svg)
    with replacing(path) as file:
        file.write(data)


def _pdf(svg: str) -> bytes:
    import matplotlib  # which takes longer than a drawing as SVG
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    root = ElementTree.fromstring(svg)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    with matplotlib.rc_context({"pdf.fonttype": 42, "font.family": "DejaVu Sans", "text.parse_math": False}):
        figure = Figure((width * _POINTS_PER_PIXEL / 72, height * _POINTS_PER_PIXEL / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(left, left + width)
        axes.set_ylim(top + height, top)
        for order, (tag, said, x, y, text) in enumerate(_elements(root, {}, 0.0, 0.0)):
            _draw(axes, tag, said, x, y, text, order)
        file = io.BytesIO()
        canvas: Any = FigureCanvasPdf(figure)
        title = root.findtext("{http://www.w3.org/2000/svg}title", "")
        canvas.print_pdf(file, metadata={"CreationDate": None, "Title": title})
    return file.getvalue()


def _elements(
    element: Any, inherited: Mapping[str, str], x: float, y: float
) -> Iterator[tuple[str, Mapping[str, str], float, float, str]]:
    """Yields what is drawn: its tag, its attributes with those that it inherits, where groups move it, its text."""
    for child in element:
        tag, said = child.tag.rpartition("}")[2], {**inherited, **_of_parent(element), **child.attrib}
        if tag == "title":
            continue
        if tag != "g":
            yield tag, said, x, y, child.text or ""
            continue
        moved = re.fullmatch(r"translate\(([-\d.e]+)[ ,]([-\d.e]+)\)", child.get("transform", "translate(0 0)"))
        if moved is None:
            raise ValueError(f"a group is transformed by {child.get('transform')!r}, expected translate(x y)")
        yield from _elements(child, {**inherited, **_of_parent(element)}, x + float(moved[1]), y + float(moved[2]))


def _of_parent(element: Any) -> dict[str, str]:
    return {name: element.attrib[name] for name in _INHERITED if name in element.attrib}


def _draw(axes: Any, tag: str, said: Mapping[str, str], x: float, y: float, text: str, order: int) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch, PathPatch

    def number(name: str) -> float:
        return float(said.get(name, 0))

    x, y = x + number("cx") + number("x"), y + number("cy") + number("y")
    if tag == "text":
        axes.text(
            x,
            y,
            text,
            color=said.get("fill", "black"),
            fontsize=float(said.get("font-size", 16)) * _POINTS_PER_PIXEL * 0.93,  # DejaVu's letters are wider
            fontweight=said.get("font-weight", "normal"),
            ha={"middle": "center", "end": "right"}.get(said.get("text-anchor", ""), "left"),
            va="baseline",
            zorder=order,
        )
        return
    if tag == "circle":
        patch: Any = Circle((x, y), number("r"))
    elif tag == "rect":
        round_ = min(number("rx"), number("width") / 2, number("height") / 2)
        style = f"round,pad=0,rounding_size={round_}" if round_ else "square,pad=0"
        patch = FancyBboxPatch((x, y), number("width"), number("height"), boxstyle=style)
    elif tag == "path":
        patch = PathPatch(_path(said["d"], x, y))
    else:
        raise ValueError(f"the drawing has the element {tag!r}, expected path, rect, circle, text or g")
    width = float(said.get("stroke-width", 1)) * _POINTS_PER_PIXEL
    dashes = [] if said.get("stroke-dasharray", "none") == "none" else said["stroke-dasharray"].split()
    patch.set(
        facecolor=said.get("fill", "black"),
        edgecolor=said.get("stroke", "none"),
        linewidth=width,
        capstyle=said.get("stroke-linecap", "butt"),
        zorder=order,
    )
    if dashes:
        patch.set_linestyle((0, [float(length) * _POINTS_PER_PIXEL / width for length in dashes]))
    axes.add_patch(patch)


def _path(words: str, x: float, y: float) -> Any:
    from matplotlib.path import Path as Outline

    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for command, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", words):
        numbers, count = [float(n) for n in re.findall(r"-?[\d.]+", rest)], _NUMBERS.get(command)
        if count is None or (count == 0) != (not numbers) or (count and len(numbers) % count):
            raise ValueError(f"a path has {command}{rest}, expected M, L, C, H, V or Z with all their numbers")
        if command == "Z":
            new, code = [points[0]], Outline.CLOSEPOLY
        elif command in "HV":
            last = points[-1]
            new = [(x + n, last[1]) if command == "H" else (last[0], y + n) for n in numbers]
            code = Outline.LINETO
        else:
            new = [(x + a, y + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
            code = {"M": Outline.MOVETO, "L": Outline.LINETO, "C": Outline.CURVE4}[command]
        points += new
        codes += [code] * len(new)
    return Outline(points, codes)
