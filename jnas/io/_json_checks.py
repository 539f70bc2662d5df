"""Checks of what JSON gives, shared by the headers of tables, the mappings of imported arrays and files of spaces."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jnas.io._text import did_you_mean


def read_json(file: Path) -> Any:
    """Returns what a JSON file holds; raises OSError, or ValueError where it is none."""
    try:
        return json.loads(file.read_text("utf-8"))
    except RecursionError:
        raise ValueError("its brackets stand too deep within one another") from None


def read_object(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Args:
      path: The file.
      what: What it is, for messages: `'mapping'`.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is not a JSON object.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no {what} at {path}")
    try:
        found = read_json(Path(path))
    except ValueError as error:
        raise ValueError(f"the {what} {path} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"the {what} {path} is a JSON {type(found).__name__}, expected an object")
    return found


def check_keys(raw: Any, known: tuple[str, ...], needed: tuple[str, ...], what: str) -> None:
    """Raises ValueError where `raw` is no object, lacks one of the needed entries or has one that is not known."""
    if not isinstance(raw, Mapping):
        raise ValueError(f"{what} is {type(raw).__name__}, expected an object with {', '.join(needed)}")
    lacking, unknown = [k for k in needed if k not in raw], [k for k in raw if k not in known]
    if lacking or unknown:
        says = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(map(repr, unknown))}, which nothing reads"
        offer = "" if lacking else did_you_mean(unknown[0], known)
        raise ValueError(f"{what} {says}{offer or ';'} its entries are {', '.join(known)}")


def parse_pairs(raw: Any, where: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Returns the documented pairs of splits, `{DATASET: {'validation': (DATASET, SPLIT), 'test': (DATASET, SPLIT)}}`.

    Args:
      raw: The same as JSON gives it.
      where: What holds it, for messages: `'the mapping'`.

    Raises:
      ValueError: It is of another form; the message says where.
    """
    kinds = ("validation", "test")
    if not isinstance(raw, Mapping):
        raise ValueError(f"'pairs' of {where} is {raw!r}, expected an object")
    for dataset, pair in raw.items():
        check_keys(pair, kinds, kinds, f"pair {dataset!r} of {where}")
        for place in pair.values():
            if not (isinstance(place, list | tuple) and len(place) == 2 and all(isinstance(t, str) for t in place)):
                raise ValueError(f"pair {dataset!r} of {where} holds {place!r}, expected [DATASET, SPLIT]")
    return {dataset: {kind: (place[0], place[1]) for kind, place in pair.items()} for dataset, pair in raw.items()}
