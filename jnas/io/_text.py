"""Text for terminals, messages and files of numbers."""

import csv
import difflib
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any


def short(text: str, most: int = 100) -> str:
    """Returns a text, cut where it is longer than `most` characters."""
    return text if len(text) <= most else text[:most] + "..."


def bare(text: str) -> str:
    """Returns a text without the blanks around it, and without quotes around all of it.

    Example:
      >>> bare(" 'a b'\\n")
      'a b'
    """
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1].strip() if quoted else text


def nearest(word: Any, known: Iterable[str]) -> str | None:
    """Returns the one of some names that a word was probably meant to be, or None.

    Upper and lower case are the same, and the beginning of a name stands for it.

    Example:
      >>> nearest("randm", ("bananas", "random_search")), nearest("mine", ("bananas",))
      ('random_search', None)
      >>> nearest("darts", ("darts-v1", "pc-darts"))
      'darts-v1'
    """
    spelled = {name.lower(): name for name in known}
    text = str(word).lower()[:200]  # a comparison takes as long as the product of both lengths
    if not any(map(str.isalnum, text)):
        return None
    near = difflib.get_close_matches(text, spelled)
    near.sort(key=lambda name: not name.startswith(text))  # of names as near, the one that goes on
    if not near and len(text) > 2:
        begins: dict[str, str] = {}
        for name in spelled:
            begins.setdefault(name[: len(text) + 1], name)
        near = [begins[begin] for begin in difflib.get_close_matches(text, begins, n=1, cutoff=0.75)]
    return spelled[near[0]] if near else None


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """Returns `; did you mean 'NAME'?` with the nearest of some names, or nothing where none is near."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def not_one_of(what: str, value: Any, known: Sequence[str]) -> str:
    """Returns the sentence for a value that is none of its choices, with the nearest one.

    Example:
      >>> not_one_of("mutation", "edges", ("edge", "any"))
      "mutation is 'edges'; did you mean 'edge'? expected one of 'edge', 'any'"
    """
    offer = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"{what} is {value!r}{offer or ','} expected one of {', '.join(map(repr, known))}"


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Returns rows as lines with columns under one another.

    Args:
      rows: Cells, as many in each row.
      sides: A letter for each column: `l` to its left side, `r` to its right.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(sides))]
    cells = [[c.rjust(w) if s == "r" else c.ljust(w) for c, w, s in zip(r, widths, sides, strict=True)] for r in rows]
    return ["  ".join(row).rstrip() for row in cells]


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, for example `1 epoch` or `1,000 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """Returns items as a phrase: `a`, `a and b`, `a, b and c`."""
    return " and ".join([separator.join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a file of rows with commas between their cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def number_cell(value: Any, form: str) -> str:
    """Returns a number in a format such as `.6f`, and nothing for NaN."""
    return "" if math.isnan(value) else format(value, form)
