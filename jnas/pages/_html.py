"""HTML as text that is escaped by construction, and the frame of a page that needs nothing but itself."""

import html
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

_VOID = frozenset({"img", "meta", "wbr"})

# No scripts, and nothing from elsewhere: what this policy refuses, the page does not have.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Html(str):
    """Text that is HTML already; any other string is escaped where it enters an element."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Returns an element.

    Args:
      name: Of the element, for example `p`.
      *children: `Html` is kept, None is left out, an iterable is flattened, everything else is escaped as text.
      **attributes: By name, with `class_` for `class` and `aria_label` for `aria-label`; None and False are left out,
        True stands alone.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Any], separator: str = "") -> Html:
    """Returns children one after another, escaped where they are not `Html`."""
    return Html(separator.join(_child(child) for child in children if child is not None))


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, caption: Any = None, class_: str = "plain") -> Html:
    """Returns a table whose first column names its rows.

    On a narrow screen each row stands by itself, and each cell under its row's name behind that of its column.
    """
    header = element("tr", [element("th", cell, scope="col") for cell in head])
    labels = [plain_text(cell) for cell in head]
    body = [
        element(
            "tr",
            element("th", first, scope="row"),
            [
                element("td", cell, data_label=labels[i + 1] if i + 1 < len(labels) else None)
                for i, cell in enumerate(rest)
            ],
        )
        for first, *rest in rows
    ]
    return scrolling(
        element(
            "table",
            None if caption is None else element("caption", caption),
            element("thead", header),
            element("tbody", body),
            class_=class_,
        )
    )


def plain_text(content: Any) -> str:
    """Returns content without its elements, as text."""
    if not isinstance(content, Html):
        return str(content)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", content.replace("<wbr>", ""))).split())


def scrolling(content: Html) -> Html:
    """Returns content in a box that scrolls sideways, reachable by keyboard."""
    return element("div", content, class_="scroll", tabindex="0")


def section(title: Any, *children: Any, id: str) -> Html:
    """Returns a section under a heading that a link can lead to."""
    return element("section", element("h2", title), children, id=id)


def breakable(name: str) -> Html:
    """Returns a name that may break onto a new line after each underscore, slash, bar, colon, hyphen or equals sign."""
    return Html(re.sub(r"([_/|+:=-])(?=\w|&)", r"\1<wbr>", html.escape(name)))


def details(summary: Any, *children: Any, open: bool = False) -> Html:
    """Returns content that is folded away until it is asked for."""
    return element("details", element("summary", summary), children, open=open)


def page(title: str, *children: Any) -> str:
    """Returns a whole page: style inlined, no scripts, nothing fetched from anywhere."""
    style = (resources.files("jnas") / "assets" / "report.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        Html(f"<style>\n{style}</style>"),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', children)), lang='en')}\n"


def _child(child: Any) -> str:
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(child)
    if isinstance(child, Iterable):
        return join(child)
    return html.escape(str(child))


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
