"""What several sections of the reports share: legends, rows of pictures, drawings, words for numbers."""

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.pages._html import Html, breakable, element
from jnas.pages._plots import Mark, mark, swatch, take_drawing


def named(look: int | Mark, label: str) -> Html:
    """Returns a name behind a sample of its line, which is that of an entry where `look` is a number."""
    sample = swatch(look if isinstance(look, Mark) else mark(look))
    return element("span", sample, element("span", breakable(label)), class_="named")


def note_box(notes: Sequence[str], title: str = "About the numbers") -> Html | None:
    """Returns what a reader must know of the numbers, or None where that is nothing."""
    if not notes:
        return None
    items = element("ul", [element("li", note) for note in notes])
    return element("div", element("strong", title), items, class_="note")


def panels(items: Sequence[tuple[Any, Html]], caption: Any, key: Html | None = None, class_: str = "panels") -> Html:
    """Returns pictures beside each other, each under its title, with one caption."""
    boxes = [element("div", element("h4", title), picture, class_="panel") for title, picture in items]
    return element("figure", key, element("div", boxes, class_=class_), element("figcaption", caption))


def arch_text(space: Space | None, arch: Any) -> str:
    """Returns an architecture's string, or its numbers where the space is not known."""
    if space is None:
        return " ".join(str(int(choice)) for choice in np.ravel(arch))
    return space.to_string(np.asarray(arch))


def drawing(space: Space | None, arch: Any) -> Html | None:
    """Returns a space's picture of an architecture as an image, or None where there is none."""
    if space is None or space.draw is None:
        return None
    svg, name = space.draw(np.asarray(arch)), space.to_string(np.asarray(arch))
    take_drawing(name, svg)
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return element("img", src=source, alt=f"Drawing of {name}", class_="drawing")


def card(
    space: Space | None, arch: Any, finders: Sequence[tuple[int | Mark, str, str]], rows: Sequence[tuple[str, str]]
) -> Html:
    """Returns an architecture's drawing with its string, who found it, and what it is worth.

    Args:
      space: Of the architecture, or None where it is not known.
      arch: `[E]`.
      finders: Number (or look), name and a few words of each entry that found it.
      rows: Names and values.
    """
    items = [element("li", named(number, label), element("small", words)) for number, label, words in finders]
    return element(
        "article",
        drawing(space, arch),
        element("ul", items, class_="finders"),
        element("p", element("code", breakable(arch_text(space, arch)))),
        element("dl", [element("div", element("dt", t), element("dd", v)) for t, v in rows], class_="values"),
        class_="card",
    )


def mean_words(mean: Any, std: Any = math.nan, form: str = ".2f") -> str:
    """Returns a mean with its deviation, or a dash where it is not known."""
    if math.isnan(mean):
        return "–"
    return f"{mean:{form}}" + ("" if math.isnan(std) else f" ± {std:{form}}")


def mean_cell(
    mean: Any,
    low: Any,
    high: Any,
    *below: Any,
    std: Any = math.nan,
    forms: tuple[str, str] = (".3f", ".3f"),
    strong: bool = False,
    name: str = "div",
) -> Html:
    """Returns a mean with its deviation, and in small print its interval, as far as they are known.

    Args:
      mean: NaN for a dash.
      low: Of the interval, NaN where there is none.
      high: Of the interval.
      *below: What else stands in the cell.
      std: NaN to leave it out.
      forms: How mean and deviation are written, and how the ends of the interval.
      strong: Whether the mean is bold.
      name: Of the element.
    """
    if math.isnan(mean):
        return Html("–") if name == "div" else element(name, "–")
    form, ends = forms
    text = mean_words(mean, std, form)
    interval = None if math.isnan(low) else element("small", f"[{low:{ends}}, {high:{ends}}]")
    return element(name, element("strong", text) if strong else text, interval, *below)


def percent_text(value: float) -> str:
    """Returns percent with its sign, or a dash where it is not known."""
    return "–" if math.isnan(value) else f"{value:.2f} %"


def p_text(p: float) -> str:
    """Returns a p-value with its relation, for example `= 0.031`."""
    if p < 0.001:
        return "<\u00a00.001"
    return f"=\u00a0{p:.3f}" if p < 0.9995 else "=\u00a01"


def seconds_text(seconds: float) -> str:
    """Returns seconds with a unit and no needless digits."""
    if not math.isfinite(seconds):
        return "–"
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 or seconds == 0 else f"{seconds:.2g} s"
