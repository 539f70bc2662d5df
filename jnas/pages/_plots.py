"""What all pictures share: colours and marks, axes, and figures as SVG inside a page that is light or dark."""

import contextlib
import html
import io
import math
import re
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from jnas.pages._html import Html

# Colours as the page's style sheet names them; it holds a light and a dark value of each. The light ones are after
# Okabe and Ito's palette for colour-blind readers, darkened to a contrast of 3 : 1 on white.
SERIES = ("#0072b2", "#d55e00", "#008a66", "#b0578d", "#ad7f00", "#3a94d4", "#5c5c66")
INK, MUTED, GRID, PAPER, HIGHLIGHT = "#1b1f24", "#59636e", "#dfe3e8", "#fefefe", "#e07b00"
_VARIABLES = {color: f"--s{i}" for i, color in enumerate(SERIES)} | {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    HIGHLIGHT: "--highlight",
}
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.4, 1.4), (7, 1.6, 1.4, 1.6))
_MARKERS = "os^Dv<>"

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "jnas",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8,
    "ytick.color": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 8,
}


class Mark(NamedTuple):
    """How one of several series looks: never by colour alone."""

    color: str
    dashes: tuple[float, ...]
    marker: str


def mark(index: int) -> Mark:
    """Returns the look of the series `index`; the first 28 all differ."""
    row, column = divmod(index, len(SERIES))
    return Mark(SERIES[column], _DASHES[row % len(_DASHES)], _MARKERS[(column + row) % len(_MARKERS)])


class Size(NamedTuple):
    """How large pictures are drawn, in inches, where they are not for a page that scales them."""

    name: str
    width: float
    height: float
    font: float  # points


SIZES = (Size("column", 3.25, 2.3, 7.0), Size("page", 6.75, 3.2, 8.0))
"""Of a column and of the text width of a two-column page (US letter: ICML's, NeurIPS's and the IEEE's fit both)."""


class Taken(NamedTuple):
    """A picture that was drawn under `taking`."""

    title: str
    figure: Figure


_TAKEN: ContextVar[tuple[Size, list[Taken]] | None] = ContextVar("taken", default=None)


@contextlib.contextmanager
def taking(size: Size) -> Iterator[list[Taken]]:
    """Gives a list into which go the pictures that are drawn in the block, at a size of their own.

    No page gets them. They carry their legend, and have the light colours.
    """
    taken: list[Taken] = []
    token = _TAKEN.set((size, taken))
    try:
        yield taken
    finally:
        _TAKEN.reset(token)


_DRAWN: ContextVar[dict[str, str] | None] = ContextVar("drawn", default=None)


@contextlib.contextmanager
def taking_drawings() -> Iterator[dict[str, str]]:
    """Gives a dict into which go the drawings that a page shows in the block: SVG documents by what they draw."""
    drawn: dict[str, str] = {}
    token = _DRAWN.set(drawn)
    try:
        yield drawn
    finally:
        _DRAWN.reset(token)


def take_drawing(name: str, svg: str) -> None:
    """Hands a drawing to `taking_drawings`, where there is one around."""
    drawn = _DRAWN.get()
    if drawn is not None:
        drawn.setdefault(name, svg)


def paper_size() -> Size | None:
    """Returns the size at which pictures are taken, or None where they are for a page."""
    found = _TAKEN.get()
    return None if found is None else found[0]


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Gives matplotlib the settings of these pictures for a while."""
    size = paper_size()
    with matplotlib.rc_context(_STYLE if size is None else _STYLE | _fonts(size.font)):
        yield


def _fonts(points: float) -> dict[Any, Any]:
    names = ("axes.labelsize", "font.size", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    return dict.fromkeys(names, points)


def plot_frame(
    width: float = 3.9,
    height: float = 2.75,
    *,
    left: float = 0.55,
    right: float = 0.12,
    bottom: float = 0.48,
    top: float = 0.1,
) -> tuple[Figure, Axes]:
    """Returns a figure with one pair of axes; all lengths in inches, so that panels beside each other align."""
    size = paper_size()
    if size is not None:
        width, height = size.width, size.height
    figure = Figure((width, height))
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure, figure.add_axes(box)


def to_svg(figure: Figure, title: str, *, dpi: float = 144) -> Html:
    """Returns a figure as an SVG element for a page.

    Its colours follow the page's (light or dark), its text is text in the page's font, and its ids are its own.

    Args:
      figure: Made under `styled()`.
      title: What the picture shows, for those who do not see it.
      dpi: Resolution of what is drawn in pixels.
    """
    taken = _TAKEN.get()
    if taken is not None:
        taken[1].append(Taken(title, figure))
        return Html("")
    text = io.StringIO()
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(text, metadata={"Date": None})
    svg = text.getvalue()
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = _own_ids(body, title)
    body = re.sub(r'font: ([\d.]+)px [^;"]*', r"font-size: \1px", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    for color, name in _VARIABLES.items():
        body = body.replace(f": {color}", f": var({name}, {color})")
    body = re.sub(r">\s+<", "><", body)
    width, height = (f"{72 * inches:g}" for inches in figure.get_size_inches())
    opening = (
        f'<svg class="plot" role="img" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink"><title>{html.escape(title)}</title>'
    )
    return Html(opening + body[body.index(">") + 1 :].strip())


def _own_ids(svg: str, title: str) -> str:
    """Returns SVG without the ids that nothing refers to, the others made unlike those of other figures."""
    used = set(re.findall(r'(?:url\(#|xlink:href="#)([\w.-]+)', svg))
    prefix = f"f{zlib.crc32((title + svg).encode()):x}"

    def rename(match: re.Match[str]) -> str:
        return f' id="{prefix}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', rename, svg)
    return re.sub(r'(url\(#|xlink:href="#)([\w.-]+)', rf"\g<1>{prefix}-\g<2>", svg)


def swatch(look: Mark) -> Html:
    """Returns the small sample of a series that stands before its name."""
    color = f"var({_VARIABLES[look.color]}, {look.color})"
    dash = f' stroke-dasharray="{" ".join(str(1.6 * d) for d in look.dashes)}"' if look.dashes else ""
    return Html(
        '<svg class="swatch" viewBox="0 0 28 12" aria-hidden="true">'
        f'<line x1="1" y1="6" x2="27" y2="6" style="stroke: {color}; stroke-width: 2.4"{dash}/>'
        f'<path d="{_SHAPES[look.marker]}" style="fill: {color}"/></svg>'
    )


_SHAPES = {
    "o": "M10 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "s": "M10.4 2.4h7.2v7.2h-7.2z",
    "^": "M14 1.6l4.4 7.6h-8.8z",
    "D": "M14 1l5 5l-5 5l-5-5z",
    "v": "M14 10.4l-4.4-7.6h8.8z",
    "<": "M9.4 6l7.6-4.4v8.8z",
    ">": "M18.6 6l-7.6-4.4v8.8z",
}


# Series.


class Series(NamedTuple):
    """The data of what a picture shows of one thing."""

    label: str
    look: Mark | None  # None: it has no entry in a legend
    columns: dict[str, Any]  # by name, each [N]; further names than `x` and `y` are their own heads


def series_of(figure: Figure) -> list[Series]:
    """Returns the data of a figure's series, in the order in which they were drawn."""
    return list(vars(figure).get("jnas_series", ()))


def keep_series(axes: Axes, label: str, look: Mark | None = None, **columns: Any) -> None:
    """Keeps the data of a series with its figure, for files of numbers and for legends."""
    figure: Any = axes.figure
    kept = {name: np.ravel(values) for name, values in columns.items()}
    figure.jnas_series = [*series_of(figure), Series(label, look, kept)]


def line(axes: Axes, x: Any, y: Any, look: Mark, *, name: str = "", more: Any = (), **style: Any) -> None:
    """Draws a line of a series, in its colour and with its dashes.

    Args:
      axes: Where.
      x: `[N]`.
      y: `[N]`.
      look: Of the line.
      name: Of the series; nothing for a line that is part of another one's picture.
      more: Further columns `[N]` of its data, by name: the ends of its band.
      **style: As `Axes.plot` takes it.
    """
    drawn = axes.plot(x, y, color=look.color, **style)[0]
    if look.dashes:
        drawn.set_dashes(look.dashes)
    if name:
        keep_series(axes, name, look, x=x, y=y, **dict(more))


def level(axes: Axes, value: float, color: str = INK, *, name: str = "") -> None:
    """Draws dashes from side to side, for a value that lines are compared with."""
    if name:
        keep_series(axes, name, y=[value])
    axes.axhline(value, color=color, linewidth=1.0, dashes=(5, 3), zorder=1.5)


def dots(axes: Axes, x: Any, y: Any, look: Mark, *, size: float, alpha: float, many: bool, name: str = "all") -> None:
    """Draws a cloud of dots, as pixels where there would be too `many` of them in the page."""
    keep_series(axes, name, x=x, y=y)
    style: dict[str, Any] = {"markersize": size, "markeredgewidth": 0, "alpha": alpha, "rasterized": many}
    axes.plot(x, y, marker="o", color=look.color, linestyle="", zorder=2, **style)


# Axes.


def widened(low: float, high: float, below: float, above: float) -> tuple[float, float]:
    """Returns limits with some room, as shares of what lies between them; of 1 where that is nothing."""
    room = high - low if high - low > 1e-3 else 1.0  # so that ticks of one value differ in their digits
    return low - below * room, high + above * room


def log_axis(axes: Axes, which: str, low: float, high: float, label: str) -> None:
    """Makes an axis logarithmic with ticks at 1, 2 and 5 (or powers of ten where these are many), in plain numbers."""
    ticks = decades(low, high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([number(tick) for tick in ticks]))
    axis.set_minor_locator(NullLocator())
    axis.set_label_text(label)


def plain_axis(
    axes: Axes, which: str, low: float, high: float, label: str, *, most: int = 6, whole: bool = False
) -> None:
    """Makes an axis linear with few ticks in plain numbers; `whole` ones where it counts."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if not high > low:
        low, high = low - 0.5, high + 0.5
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    ticks = [
        t for t in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high) if low <= t <= high
    ]
    axis.set_major_locator(FixedLocator(ticks))
    digits = _digits(ticks)
    axis.set_major_formatter(FixedFormatter([f"{tick:,.{digits}f}" for tick in ticks]))
    axis.set_label_text(label)


def _digits(ticks: list[float]) -> int:
    """Returns how many digits behind the point tell ticks apart, none of them needless."""
    for digits in range(12):
        if all(abs(round(tick, digits) - tick) <= 1e-6 * np.ptp(ticks) for tick in ticks):
            return digits
    return 12


def regret_axis(axes: Axes, drawn: Any, label: str) -> float:
    """Makes the vertical axis logarithmic for regrets; returns where 0 stands, which has no logarithm.

    It stands below all others at a tick of its own, under a dotted line at which the axis is broken.

    Args:
      axes: Of which the vertical one it is.
      drawn: `[...]` all that is to be seen, 0 or more; NaN is left out.
      label: With its unit.
    """
    values = np.asarray(drawn, np.float64)
    values = values[np.isfinite(values)]
    above = values[values > 0]
    least, most = (float(above.min()), float(above.max())) if above.size else (0.1, 1.0)
    low, high = least / 1.25, max(most, least * 1.5) * 1.15
    if not (values <= 0).any():
        log_axis(axes, "y", low, high, label)
        return low
    zero = float(low / (high / low) ** 0.12)
    bottom = zero / (high / low) ** 0.06
    ticks = decades(low, high)
    log_axis(axes, "y", low, high, label)
    axes.set_ylim(bottom, high)
    axes.yaxis.set_major_locator(FixedLocator([zero, *ticks]))
    axes.yaxis.set_major_formatter(FixedFormatter(["0", *map(number, ticks)]))
    axes.axhline(math.sqrt(low * zero), color=MUTED, linewidth=0.8, dashes=(1, 2), zorder=1.5)
    return zero


def decades(low: float, high: float) -> list[float]:
    """Returns ticks of a logarithmic axis from `low` to `high`, both positive: at least two where there is room."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) >= 4:
            return ticks
    return ticks or [low]


def number(value: float) -> str:
    """Returns a number without needless digits: `12,000`, `0.05`, `93.5`."""
    if not np.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return "0" if float(text) == 0 else text


def shorten(text: str, most: int = 40) -> str:
    """Returns a text cut to a length, with an ellipsis where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
