"""What the folders of studies share: a config.json that says what the study is, and that no other may go on in it."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jnas.io._atomic import replacing
from jnas.io._text import short
from jnas.studies._settings import historical_names, names_of_today

_SILENT = ("table_path", "table_name", "notes", "command")  # they may differ: the results do not depend on them
_FOLLOWING = ("chunk", "judged_by")  # they follow from others, and are worth a word only without them


class FolderKind(NamedTuple):
    """A kind of study, by its folder."""

    format: str  # as config.json says it
    version: int  # of the folder's files
    name: str  # for messages: `a jnas study`
    command: str  # that makes such folders
    parts: str  # the folder inside for the study's parts


def open_result_folder(
    out: str | os.PathLike[str], description: Mapping[str, Any], kind: FolderKind
) -> tuple[Path, dict[str, Any]]:
    """Makes a study's folder, or finds the one of a study that was begun.

    Args:
      out: The folder.
      description: What config.json is to say, `config` and `versions` among it; one that is there must have the same
        `config`, but for what results do not depend on.
      kind: What is in the folder.

    Returns:
      The folder's path, and what its config.json says now: of a study that was begun, what it said.

    Raises:
      ValueError: The folder holds another study, or something else.
      OSError: It cannot be made or written.
    """
    folder = Path(out)
    file, said = folder / "config.json", dict(description)
    if file.exists():
        said = read_description(folder, kind)
        _check_same(folder, said, description)
    elif folder.is_dir() and any(p.name != kind.parts and p.suffix != ".part" for p in folder.iterdir()):
        raise ValueError(f"{folder} holds files but no study; give another --out")
    try:
        (folder / kind.parts).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(error.errno, f"cannot make the folder {folder}: {os.strerror(error.errno or 0)}") from error
    with replacing(file, "w") as opened:  # also where it is there: it may not be writable any more
        opened.write(json.dumps(said, indent=1, allow_nan=False) + "\n")
    return folder, said


def read_description(folder: Path, kind: FolderKind) -> dict[str, Any]:
    """Returns what config.json says.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is not one of this kind, or the file is damaged.
    """
    file = folder / "config.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; `{kind.command}` makes one")
    if not file.is_file():
        raise ValueError(f"{folder} is not the folder of a study: it has no config.json")
    try:
        found = json.loads(file.read_text("utf-8"))
        if not isinstance(found, dict) or found.get("format") != kind.format:
            raise ValueError(f"it is not of {kind.name}")
        if not all(isinstance(found.get(part), dict) for part in ("config", "versions")):
            raise ValueError("it has no config or no versions")
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is damaged or of another origin ({error}); give another folder") from None
    if found.get("version") != kind.version:
        raise ValueError(f"{folder} was written by another version of jnas; run the study again in another folder")
    return found | {"config": names_of_today(found["config"])}


def _check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises ValueError that lists how the study in a folder differs from the one that is wanted."""
    before, now = dict(found.get("config", {})), dict(wanted["config"])
    differing = [n for n in dict.fromkeys([*now, *before]) if n not in _SILENT and before.get(n) != now.get(n)]
    if differing:
        names = [n for n in differing if n not in _FOLLOWING] or differing
        shown = ["table_path" if n == "table_sha256" else n for n in names]
        told = "; ".join(f"{n} is {_told(before, n)} there and {_told(now, n)} here" for n in shown)
        other = " (another table)" if "table_sha256" in names else ""
        raise ValueError(f"{folder} holds a study with another configuration: {told}{other}. Give another --out")


def _told(config: Mapping[str, Any], name: str) -> str:
    return short(json.dumps(config.get(name)))


def config_digest(config: Mapping[str, Any]) -> str:
    """Returns a hash of all that the results of a study depend on."""
    relevant = {name: value for name, value in historical_names(config).items() if name not in _SILENT}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
