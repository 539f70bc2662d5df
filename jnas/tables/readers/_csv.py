"""Columns of a CSV file as named arrays, and the mapping that its header is where it names a table's members."""

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jnas.io._text import counted, did_you_mean, listed, nearest, short
from jnas.tables._file import OBJECTIVE_KINDS

ENDINGS = (".csv", ".tsv", ".txt")
"""How names of files end that are read as text."""

_NUMBERED = re.compile(r"(.+)\[(\d+)\]")
_ARCH_COLUMNS = ("arch", "archs", "architecture", "architectures")
_OF_TRAININGS = {"accuracy": 3, "accuracy_mean": 3, "loss": 3, "train_seconds": 2, "eval_seconds": 3}
_UNKNOWN = ("", "nan", "na", "n/a", "none", "null", "-")


def is_csv(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is read as columns of text."""
    return Path(path).name.lower().endswith(ENDINGS)


def csv_columns(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the columns of a CSV file by the names in its first line.

    Cells are parted by commas, or by tabs or semicolons where the first line has no comma. Columns of whole numbers
    come as integers, of numbers as floats (empty cells, `nan` and `none` as NaN), all others as texts. Columns
    `NAME[0]`, `NAME[1]`, ... come as one array `NAME [N, ...]`.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is no such text, has no rows, names a column twice, or a row has more or fewer cells than the first
        line.
    """
    return as_columns(written_cells(path), path)


def written_cells(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Returns the cells of a CSV file as they are written, by the names in its first line; errors as above."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    try:
        text = path.read_text("utf-8-sig")
        first = text.partition("\n")[0]
        part = "," if "," in first else "\t" if "\t" in first else ";"
        rows = [row for row in csv.reader(text.splitlines(), delimiter=part, strict=True) if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file of text in UTF-8 ({error})") from error
    if len(rows) < 2:
        raise ValueError(f"{path} has no rows below a first line that names its columns")
    names = [name.strip() for name in rows[0]]
    if len(set(names)) != len(names) or "" in names:
        twice = next((name for name in names if names.count(name) > 1), "")
        raise ValueError(f"{path} names the column {twice!r} {names.count(twice)} times, expected different names")
    for place, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise ValueError(f"row {place} of {path} has {len(row)} cells, expected {len(names)} as in the first")
    return {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(names)}


def as_columns(cells: Mapping[str, list[str]], path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns cells as `csv_columns` does; ValueError where numbered columns are not numbers from 0 on."""
    return _side_by_side({name: _column(each) for name, each in cells.items()}, Path(path))


def _column(cells: list[str]) -> np.ndarray:
    for kind in (int, float):
        try:
            read: list[Any] = [
                float("nan") if kind is float and cell.lower() in _UNKNOWN else kind(cell) for cell in cells
            ]
            return np.asarray(read, np.int64 if kind is int else np.float64)
        except (ValueError, OverflowError):
            continue
    return np.asarray(cells)


def _side_by_side(columns: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Returns columns in which those of one numbered name have become one array."""
    found: dict[str, np.ndarray] = {}
    numbered: dict[str, dict[int, np.ndarray]] = {}
    for name, values in columns.items():
        match = _NUMBERED.fullmatch(name)
        if match is None:
            found[name] = values
        else:
            numbered.setdefault(match[1], {})[int(match[2])] = values
    for name, parts in numbered.items():
        if name in found or sorted(parts) != list(range(len(parts))):
            raise ValueError(
                f"{path} has the columns {listed([f'{name}[{i}]' for i in sorted(parts)])}"
                f"{' and ' + name if name in found else ''}, expected numbers from 0 without gaps"
            )
        if any(values.dtype.kind == "U" for values in parts.values()):
            raise ValueError(f"{path} has texts in a column {name}[...], expected numbers")
        found[name] = np.stack([parts[i] for i in range(len(parts))], axis=1)
    return found


def header_mapping(columns: Mapping[str, np.ndarray], renamed: Mapping[str, str], where: str) -> dict[str, Any]:
    """Returns the mapping of columns that are called as the members of a table are, or are said to be these.

    Args:
      columns: As `csv_columns` gives them.
      renamed: By member (`accuracy/cifar10/200/test`, or `arch`), the column that it is.
      where: What messages call the file.

    Raises:
      ValueError: A column that is named is not there, there is no column of architectures, or none of accuracies.
    """
    for member, name in renamed.items():
        if name not in columns:
            offer = did_you_mean(name, columns) or ";"
            raise ValueError(f"{member} is to be {name!r}, which {where} does not have{offer} it has {_told(columns)}")
    taken = set(renamed.values())
    members = {**renamed, **{name: name for name in columns if name not in taken and name not in renamed}}
    archs = [members[name] for name in members if name.lower() in _ARCH_COLUMNS]
    if not archs:
        raise ValueError(
            f"{where} has no column {_ARCH_COLUMNS[0]!r} of architectures (strings of the space, or arch[0], arch[1], "
            f"... of its choices); it has {_told(columns)}: say which with --column arch=NAME"
        )
    known = {n: column for n, column in members.items() if _is_member(n)}
    trainings: dict[tuple[str, int], int] = {}
    for name, column in known.items():
        kind, *parts = name.split("/")
        if kind in _OF_TRAININGS:
            key = (parts[0], int(parts[1]))
            runs = 0 if kind == "accuracy_mean" else 1 if columns[column].ndim == 1 else columns[column].shape[1]
            trainings[key] = max(trainings.get(key, 0), runs if kind in ("accuracy", "loss") else 0)
    if not trainings:
        raise ValueError(
            f"{where} has no column of accuracies, which are called accuracy/DATASET/EPOCHS/SPLIT; it has "
            f"{_told(columns)}: say which with --column accuracy/cifar10/200/test=NAME, or give a --mapping"
        )
    return {
        "name": Path(where).stem,
        "architectures": {"array": archs[0]},
        "trainings": [
            {"dataset": dataset, "epochs": epochs, "seeds": list(range(runs))}
            for (dataset, epochs), runs in sorted(trainings.items())
        ],
        "members": {name: {"array": column} for name, column in known.items()},
    }


def unread_text(columns: Iterable[str], mapping: Mapping[str, Any]) -> str | None:
    """Returns a sentence with the columns that a mapping from a header leaves out, and how one would be read.

    None where it leaves out none.
    """
    read = {mapping["architectures"]["array"], *(source["array"] for source in mapping["members"].values())}
    unread = [name for name in columns if name not in read]
    if not unread:
        return None
    kinds = (*_OF_TRAININGS, *OBJECTIVE_KINDS)
    offers = ((name, _kind_meant(name, kinds)) for name in unread)
    name, kind = next(((name, kind) for name, kind in offers if kind is not None), (unread[0], "latency"))
    parts = ("DATASET", "EPOCHS", "SPLIT")[: _OF_TRAININGS.get(kind, 1)]
    return (
        f"{counted(len(unread), 'column')} not read, no member of a table being called so: {_told(unread)} "
        f"(to read one say what it is, as in --column {'/'.join((kind, *parts))}={name})"
    )


def _kind_meant(name: str, kinds: Sequence[str]) -> str | None:
    """Returns the kind of members that a column's name begins like (`lat`), or is nearly (`latncy`), if it is so."""
    word = re.split(r"[^a-z]", name.lower(), maxsplit=1)[0]
    begun = [kind for kind in kinds if len(word) > 1 and kind.startswith(word)]
    return begun[0] if begun else nearest(word, kinds)


def _is_member(name: str) -> bool:
    """Returns whether a name is that of a member which a CSV file can hold."""
    kind, *parts = name.split("/")
    if kind in OBJECTIVE_KINDS:
        return len(parts) == 1
    return len(parts) == _OF_TRAININGS.get(kind, -1) and parts[1].isdecimal()


def _told(columns: Iterable[str]) -> str:
    return short(", ".join(columns), 400)
