"""Text for terminals, messages and files of numbers."""

import csv
import difflib
import io
import math
import os
import shutil
import sys
import textwrap
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


def aligned(rows: Sequence[Sequence[str]], sides: str, heads: int = 0, width: int | None = None) -> list[str]:
    """Returns rows as lines with columns under one another, within the terminal's width where there is a terminal.

    Too wide, a last column to the left side goes on under itself, word by word; of numbers, those columns that do not
    fit stand below the others, behind the first column again.

    Args:
      rows: Cells, as many in each row.
      sides: A letter for each column: `l` to its left side, `r` to its right.
      heads: How many of the first rows are the table's head. Columns of the same word in the first of two or more stay
        side by side where they fit.
      width: Of the lines at most; by default the terminal's (`terminal_width`).
    """
    width = terminal_width() if width is None else width
    widths = [max(len(row[i]) for row in rows) for i in range(len(sides))]
    whole = sum(widths) + 2 * (len(widths) - 1)
    if width is None or whole <= width:
        return _lines(rows, sides, widths)
    if sides.endswith("l"):
        return _hanging(rows, sides, widths, width)
    lines: list[str] = []
    for columns in _stacked(rows, widths, heads, width):
        kept = [0, *columns]
        shown = [[row[i] for i in kept] for row in rows]
        lines += ["", *_lines(shown, "".join(sides[i] for i in kept), [widths[i] for i in kept])]
    return lines[1:]


def _lines(rows: Sequence[Sequence[str]], sides: str, widths: Sequence[int]) -> list[str]:
    cells = [[c.rjust(w) if s == "r" else c.ljust(w) for c, w, s in zip(r, widths, sides, strict=True)] for r in rows]
    return ["  ".join(row).rstrip() for row in cells]


def _hanging(rows: Sequence[Sequence[str]], sides: str, widths: Sequence[int], width: int) -> list[str]:
    """Returns lines of which the last column is broken between words, and goes on under itself."""
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    begin, room = (before, width - before) if width - before >= 24 else (4, width - 4)
    lines = []
    for row in rows:
        head = _lines([row[:-1]], sides[:-1], widths[:-1])[0] if len(row) > 1 else ""
        told = textwrap.wrap(row[-1], max(room, 24), break_long_words=False, break_on_hyphens=False) or [""]
        if begin < before:  # the names take all the room
            lines += [head, *(f"{'':{begin}}{line}" for line in told if line)]
        else:
            lines.append(f"{head:{begin}}{told[0]}".rstrip())
            lines += [f"{'':{begin}}{line}" for line in told[1:]]
    return lines


def _stacked(rows: Sequence[Sequence[str]], widths: Sequence[int], heads: int, width: int) -> list[list[int]]:
    """Returns the columns behind the first in groups that fit, those of one head together where they do."""
    runs: list[list[int]] = []
    for i in range(1, len(widths)):
        alike = heads > 1 and runs and rows[0][i] == rows[0][runs[-1][-1]]
        runs[-1:] = [[*runs[-1], i]] if alike else [*runs[-1:], [i]]

    def fits(columns: Sequence[int]) -> bool:
        return widths[0] + sum(widths[i] + 2 for i in columns) <= width

    groups: list[list[int]] = []
    for run in runs:
        for part in [run] if fits(run) else [[i] for i in run]:
            together = bool(groups) and fits([*groups[-1], *part])
            groups[-1:] = [[*groups[-1], *part]] if together else [*groups[-1:], part]
    return groups


def terminal_width() -> int | None:
    """Returns how many letters a line of the terminal holds, None where the output is no terminal.

    `COLUMNS` in the environment says it in any case.
    """
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def filled(text: str, hanging: str = "  ", most: int = 120) -> str:
    """Returns a line broken between words where it is longer than `most` or the terminal's, the rest indented."""
    width = min(most, terminal_width() or most)
    return textwrap.fill(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


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
