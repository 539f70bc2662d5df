"""The results of a check: lines of JSON, and tables that people read; each file is written beside and renamed."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerator_parts.plan import PARTS, Part
from jnas.io._atomic import replacing

_BESIDE = ("kind", "part", "name", "status", "note")


LEGEND = (
    "Units stand at the end of each column's name. `call` is the program that is timed, after a first call; `program "
    "gb` are its arguments, results and temporaries by the compiler, `peak gb` the most that the process has had."
)


class Results:
    """The rows so far, and the folder that holds them. (The one object here that changes: it is a log.)"""

    def __init__(self, folder: Path, said: dict[str, Any]):
        """Makes the folder; `said` is what the results begin with."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.said = said
        self.rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row and writes all of them."""
        self.rows.append(row)
        lines = [json.dumps({"kind": "check", **self.said}), *map(json.dumps, self.rows)]
        with replacing(self.folder / "results.jsonl", "w") as file:
            file.write("\n".join(lines) + "\n")

    def add_part(self, part: Part, status: str, note: str = "", names: Sequence[str] = ()) -> None:
        """Adds a row for each name of a part, or for all of it, that came to nothing."""
        for name in names or ["all of it"]:
            self.add({"kind": "row", "part": part.name, "name": name, "status": status, "note": note})

    def write_tables(self) -> str:
        """Writes the tables and returns them."""
        text = as_markdown(self.said, self.rows)
        with replacing(self.folder / "results.md", "w") as file:
            file.write(text)
        return text


def as_markdown(said: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Returns the results as Markdown: what they depend on, and a table of each part that has rows."""
    parts = [f"# {said.get('device', 'No device yet')}", "; ".join(f"{name}: {value}" for name, value in said.items())]
    parts.append(LEGEND)
    for part in PARTS:
        mine = [row for row in rows if row["part"] == part.name]
        if mine:
            counts = Counter(row["status"] for row in mine)
            told = ", ".join(f"{count} {status}" for status, count in counts.items())
            parts += [f"## {part.title}", f"`{part.name}`: {told}.", _table(mine)]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row if name not in _BESIDE))
    lines = ["| " + " | ".join(["", *(name.replace("_", " ") for name in columns), "status"]) + " |"]
    lines.append("| --- " * (len(columns) + 2) + "|")
    for row in rows:
        status = row["status"] + (f" ({row['note']})" if row.get("note") else "")
        cells = [row["name"], *(number(row.get(name)) for name in columns), status]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


def number(value: Any) -> str:
    """Returns a cell: three digits, or all of those before the point."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def line(row: dict[str, Any]) -> str:
    """Returns a row as progress shows it: its name, its status and its first figures."""
    shown = [name for name in row if name not in _BESIDE][:4]
    note = f" ({row['note']})" if row.get("note") else ""
    figures = "".join(f", {name.replace('_', ' ')} {number(row[name])}" for name in shown)
    return f"{row['part']}: {row['name']}: {row['status']}{note}{figures}"
