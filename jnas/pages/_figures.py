"""The pictures of a page as files for a paper: SVG and PDF at two sizes, and their data."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jnas.io._atomic import replacing
from jnas.io._svg_file import write_drawing
from jnas.io._text import csv_text
from jnas.pages._plots import SIZES, Series, Size, Taken, series_of, taking, taking_drawings

# Letters as paths in SVG and as TrueType in PDF: both look alike everywhere, and publishers refuse Type 3.
_FILES: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "jnas", "pdf.fonttype": 42, "text.parse_math": False}
_GAP = 0.06  # inches


def write_figures(draw: Callable[[], Any], folder: Path) -> list[str]:
    """Writes the pictures that a function draws for a page, each as SVG and PDF for a column and for a page's width.

    `NAME-column.svg`, `NAME-column.pdf`, `NAME-page.svg`, `NAME-page.pdf`, and `NAME.csv` with the data. The cells that
    the page draws are `cell-01.svg`, `cell-01.pdf` and so on, and `cells.csv` says which they are.

    Args:
      draw: Makes the page; called once for each size.
      folder: Where; it is made if it is not there.

    Returns:
      The names, in the order of the page.

    Raises:
      OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for size in SIZES:
        with taking(size) as taken, taking_drawings() as drawn:
            draw()
        names = figure_names(taken)
        for name, one in zip(names, taken, strict=True):
            _add_legend(one.figure, size)
            _write(one.figure, folder / f"{name}-{size.name}", one.title)
            if size == SIZES[0]:
                with replacing(folder / f"{name}.csv", "w") as file:
                    file.write(data_csv(one.figure))
    _write_drawings(drawn, folder)
    return names


def _write_drawings(drawn: Mapping[str, str], folder: Path) -> None:
    """Writes drawings of cells as SVG and PDF, and which they are; nothing where there are none."""
    files = {f"cell-{number:02d}": name for number, name in enumerate(drawn, 1)}
    for file_name, name in files.items():
        for ending in (".svg", ".pdf"):
            write_drawing(drawn[name], folder / f"{file_name}{ending}")
    if files:
        with replacing(folder / "cells.csv", "w") as file:
            file.write(csv_text(["file", "arch"], map(list, files.items())))


def figure_names(taken: Sequence[Taken]) -> list[str]:
    """Returns names for files: the number on the page and the words of the title's first sentence."""
    words = [one.title.partition(". ")[0].lower() for one in taken]
    stems = [re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:80].strip("-") for text in words]
    return [f"{i + 1:02d}-{stem}" for i, stem in enumerate(stems)]


def data_csv(figure: Figure) -> str:
    """Returns the data of a picture, a row for each point: the series, and its numbers under the axes' labels."""
    found = series_of(figure)
    axes = figure.axes[0]
    heads = {"x": axes.get_xlabel() or "x", "y": axes.get_ylabel() or "y"}
    columns = list(dict.fromkeys(itertools.chain.from_iterable(one.columns for one in found)))
    rows = (row for one in found for row in _rows(one, columns))
    return csv_text(["series", *(heads.get(name, name) for name in columns)], rows)


def _rows(one: Series, columns: Sequence[str]) -> list[list[Any]]:
    count = max(len(values) for values in one.columns.values())
    cells = [[_cell(one.columns[name][i]) if name in one.columns else "" for name in columns] for i in range(count)]
    return [[one.label, *row] for row in cells]


def _cell(value: Any) -> Any:
    if isinstance(value, str | np.str_):
        return str(value)
    return "" if np.isnan(value) else format(float(value), ".9g")


def _add_legend(figure: Figure, size: Size) -> None:
    """Puts a legend above the axes of a picture with several series, and makes the picture as much higher."""
    shown = {one.label: one.look for one in series_of(figure) if one.look is not None}
    if len(shown) < 2:
        return
    handles = []
    for label, look in shown.items():
        handle = Line2D([], [], color=look.color, linewidth=1.4, marker=look.marker, markersize=3.6, label=label)
        if look.dashes:
            handle.set_dashes(look.dashes)
        handles.append(handle)
    longest = max(map(len, shown))
    columns = int(np.clip(size.width * 72 / (size.font * (0.56 * longest + 3.4)), 1, len(shown)))
    rows = -(-len(shown) // columns)
    room = rows * 1.35 * size.font / 72 + 2 * _GAP
    width, height = figure.get_size_inches()
    for axes in figure.axes:
        box = axes.get_position()
        low, tall = box.y0 * height, box.height * height
        axes.set_position((box.x0, low / (height + room), box.width, tall / (height + room)))
    figure.set_size_inches(width, height + room)
    with matplotlib.rc_context({"font.size": size.font, "font.family": "DejaVu Sans"}):
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - _GAP / 2 / (height + room)),
            ncols=columns,
            fontsize=size.font,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.25,
            columnspacing=1.2,
            handletextpad=0.5,
        )


def _write(figure: Figure, path: Path, title: str) -> None:
    figure.set_dpi(300)
    svg: Any = FigureCanvasSVG(figure)
    pdf: Any = FigureCanvasPdf(figure)
    with matplotlib.rc_context(_FILES):
        with replacing(path.with_suffix(".svg"), "w") as file:
            svg.print_svg(file, metadata={"Date": None, "Title": title})
        with replacing(path.with_suffix(".pdf"), "wb") as file:
            pdf.print_pdf(file, metadata={"CreationDate": None, "Title": title})
