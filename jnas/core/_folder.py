"""Folders of work that goes on where it was stopped: config.json says which work it is, and no other goes on there.

config.json stands under a seal, and every file of a part says whose it is. Folders that were begun before that go on as
they were: no seal in config.json, and files that say what the first ones said.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.io._archive import Archive, read_archive
from jnas.io._atomic import check_writable, remove_unfinished, replacing
from jnas.io._json_checks import read_json
from jnas.io._lock import alone_in
from jnas.io._seal import SEAL, sealed, unseal
from jnas.io._text import short
from jnas.io._tree import check_members

_SILENT = ("table_path", "table_name", "notes", "command")  # they may differ: the results do not depend on them
MADE_WITH = "made_with"
"""By row of a study, the arguments of its factory: those that a folder says must be the same. It may lack all, for the
first folders knew none, and each that came later; so no hash is taken over them, that of a folder stays what it was."""
_FOLLOWING = ("chunk", "judged_by")  # they follow from others, and are worth a word only without them
_TODAY = {
    "seeds": "num_seeds",
    "seed": "root_seed",
    "evaluations": "max_evaluations",
    "reduction": "reward",
    "seeds_per_program": "chunk",
}
"""The names that settings had in the first folders, and have now: those folders go on."""
_HISTORICAL = {name: old for old, name in _TODAY.items()}
_BESIDE = ("format", "version", "versions", SEAL)  # what config.json of training runs has beside its settings


class StudyConfig(dict[str, Any]):
    """The configuration of a study, which answers to the names that settings had in the first folders as well."""

    def __missing__(self, name: str) -> Any:
        if _TODAY.get(name) in self:
            return self[_TODAY[name]]
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Returns a setting by its name or an older one, or the default where there is none."""
        return self[name] if name in self or _TODAY.get(name) in self else default


class FolderKind(NamedTuple):
    """A kind of folder."""

    format: str  # as config.json says it
    version: int  # of the folder's files
    name: str  # for messages: `a jnas study`
    command: str  # that makes such folders
    parts: str  # the folder inside for the parts of the work
    files: str  # for messages, what stands in a file of a part: `the traces of a jnas study`
    remedy: str = "delete it and run the study again"  # for messages, what to do where such a file is damaged
    work: str = "a study"  # for messages, what the folder holds
    elsewhere: str = "another --out"  # for messages, what to give for other work
    flat: bool = False  # whether config.json holds the settings side by side with the rest, not as `config`
    this: str = "this study"  # for messages, whose a file should be

    @property
    def header(self) -> dict[str, Any]:
        """Returns what config.json and each file of a part say of themselves."""
        return {"format": self.format, "version": self.version}


@contextlib.contextmanager
def begun_in(
    out: str | os.PathLike[str],
    description: Mapping[str, Any],
    kind: FolderKind,
    outputs: Sequence[str],
    parts: Sequence[str],
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Gives `open_result_folder`'s folder, in which no other process is, without what a killed one had not finished.

    Args:
      out: The folder.
      description: As in `open_result_folder`.
      kind: What is in the folder.
      outputs: The names of the files that are written beside config.json.
      parts: Those of the parts' files; a part's other files have its name with more behind it.

    Raises:
      ValueError: The folder holds other work, or something else.
      OSError: It cannot be made or written, or another process is in it.
    """
    _refuse_others(Path(out), kind)
    _make(Path(out))
    with alone_in(Path(out)):
        folder, said = open_result_folder(out, description, kind)
        remove_unfinished(folder, "|".join(map(re.escape, ("config.json", *outputs))))
        stems = "|".join(re.escape(name.removesuffix(".npz")) for name in parts)
        remove_unfinished(folder / kind.parts, rf"(?:{stems})(?:\.[a-z0-9-]+)?\.npz")
        yield folder, said


def _refuse_others(folder: Path, kind: FolderKind) -> None:
    """Raises ValueError where a folder holds files, but no such work."""
    if folder.is_dir() and not (folder / "config.json").exists():
        others = sorted(p.name for p in folder.iterdir() if p.name != kind.parts and not p.name.startswith("."))
        if others:
            work = kind.work.removeprefix("a ")
            raise ValueError(f"{folder} holds files but no {work} ({others[0]}); give {kind.elsewhere}")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(error.errno, f"cannot make the folder {folder}: {os.strerror(error.errno or 0)}") from error


def open_result_folder(
    out: str | os.PathLike[str], description: Mapping[str, Any], kind: FolderKind
) -> tuple[Path, dict[str, Any]]:
    """Makes a folder, or finds the one of work that was begun.

    Args:
      out: The folder.
      description: What config.json is to say; one that is there must have the same settings, but for what results do
        not depend on.
      kind: What is in the folder.

    Returns:
      The folder's path, and what its config.json says now: of work that was begun, what it said.

    Raises:
      ValueError: The folder holds other work, or something else.
      OSError: It cannot be made or written.
    """
    folder, said = Path(out), sealed(description)
    file = folder / "config.json"
    if file.exists():
        said = read_description(folder, kind)
        _check_same(folder, said, description, kind)
        check_writable(file)  # it may not be any more
    _refuse_others(folder, kind)
    _make(folder / kind.parts)
    if not file.exists():
        with replacing(file, "w") as opened:
            opened.write(json.dumps(said, indent=1, allow_nan=False) + "\n")
    return folder, said


def begun_setting(folder: Path, setting: str) -> Any:
    """Returns what the config.json of a folder of training runs says, or None: opening it says what is wrong."""
    try:
        return read_json(folder / "config.json").get(setting)
    except (OSError, ValueError, AttributeError):
        return None


def begun_chunk(folder: Path) -> int | None:
    """Returns the size of chunks with which such a folder was begun: whoever goes on must use the same."""
    chunk = begun_setting(folder, "chunk_size")
    return chunk if isinstance(chunk, int) and chunk > 0 else None


def read_description(folder: Path, kind: FolderKind) -> dict[str, Any]:
    """Returns what config.json says, its seal included.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is not one of this kind, or the file is damaged or was changed.
    """
    file = folder / "config.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; `{kind.command}` makes one")
    if not file.is_file():
        raise ValueError(f"{folder} is not the folder of a study: it has no config.json")
    try:
        found = read_json(file)
        if not isinstance(found, dict) or found.get("format") != kind.format:
            raise ValueError(f"it is not of {kind.name}")
        if not all(isinstance(found.get(part), dict) for part in ("versions", *([] if kind.flat else ["config"]))):
            raise ValueError("it has no config or no versions")
    except ValueError as error:
        raise ValueError(f"{file} is damaged or of another origin ({short(str(error))}); give another folder") from None
    if found.get("version") != kind.version:
        raise ValueError(
            f"{folder} was written by another version of jnas; run `{kind.command}` again in another folder"
        )
    try:
        unseal(found)
    except ValueError:
        raise ValueError(
            f"{file} is damaged or was changed: what it says does not fit its entry {SEAL!r}; put it back as it was, "
            "or give another folder"
        ) from None
    return found if kind.flat else found | {"config": names_of_today(found["config"])}


def read_part(
    path: Path,
    identity: Mapping[str, Any],
    kind: FolderKind,
    expected: Mapping[str, str],
    sizes: Mapping[str, int] | None = None,
    numbers: Sequence[str] = (),
    optional: Sequence[Mapping[str, str]] = (),
    fits: Callable[[Mapping[str, np.ndarray]], Any] = lambda arrays: None,
) -> Archive:
    """Returns what a part's file holds, after checking that it is this part's.

    Args:
      path: The file.
      identity: What its header must say.
      kind: Of the folder.
      expected: Its arrays, as in `check_members`.
      sizes: As there.
      numbers: What else its header must hold.
      optional: Groups of arrays, each all there or all missing.
      fits: Called with all arrays before they are read, as `read_archive` gives them; raises ValueError.

    Raises:
      ValueError: The file is damaged, of another origin, of other work, or made by another program.
    """

    def check(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        wrong = [name for name, value in identity.items() if header.get(name) != value]
        if wrong == ["program"]:
            raise ValueError(
                f"{path} was made by another program: the searcher or the objective has changed since; give "
                f"{kind.elsewhere}, or delete that file"
            )
        if wrong:
            raise ValueError(f"{path} is not of {kind.this}; {kind.remedy}, or give {kind.elsewhere}")
        try:
            there = [group for group in optional if not arrays.keys().isdisjoint(group)]
            check_members(arrays, {**expected, **{n: k for group in there for n, k in group.items()}}, sizes)
            lacking = [name for name in numbers if not isinstance(header.get(name), float)]
            if lacking:
                raise ValueError(f"its header has no {lacking[0]}")
            fits(arrays)
        except ValueError as error:
            raise ValueError(f"{path} is not {kind.files}, or it is damaged ({error}); {kind.remedy}") from None

    return read_archive(path, kind=kind.files, remedy=kind.remedy, check=check)


def _check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any], kind: FolderKind) -> None:
    """Raises ValueError that lists how the work in a folder differs from the one that is wanted."""
    before, now = _settings(found, kind), _settings(json.loads(json.dumps(wanted)), kind)
    unlike = list(_unlike(before.pop(MADE_WITH, {}), now.pop(MADE_WITH, {})))
    differing = [n for n in dict.fromkeys([*now, *before]) if n not in _SILENT and before.get(n) != now.get(n)]
    if differing or unlike:
        names = [n for n in differing if n not in _FOLLOWING] or ([] if unlike else differing)
        names = [n for n in names if not n.endswith("_digest") or n.removesuffix("_digest") not in names]
        differences = [_told("table_path" if n == "table_sha256" else n, before, now) for n in names]
        told = "; ".join(differences or unlike)  # from the former the latter may follow
        other = " (another table)" if "table_sha256" in names else ""
        raise ValueError(f"{folder} holds {kind.work} with another configuration: {told}{other}. Give {kind.elsewhere}")


def _unlike(there: Mapping[str, Any], here: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Gives a sentence for each argument that both know, at any depth, and that is another here."""
    for name in (name for name in there if name in here):
        before, now = there[name], here[name]
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _unlike(before, now, f"{place}{name}.")
        elif before != now:
            yield _differs(f"{place}{name}", before, now)


def _settings(description: Mapping[str, Any], kind: FolderKind) -> dict[str, Any]:
    if kind.flat:
        return {name: value for name, value in description.items() if name not in _BESIDE}
    return names_of_today(description["config"])


def _told(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name.endswith("_digest"):
        return f"{name.removesuffix('_digest')} is another"
    there, here = before.get(name), now.get(name)
    if isinstance(there, dict) and isinstance(here, dict):
        keys = [key for key in dict.fromkeys([*here, *there]) if there.get(key) != here.get(key)]
        return "; ".join(_differs(f"{name}.{key}", there.get(key), here.get(key)) for key in keys)
    return _differs(name, there, here)


def _differs(name: str, there: Any, here: Any) -> str:
    return f"{name} is {_as_given(there)} there and {_as_given(here)} here"


def _as_given(value: Any) -> str:
    return "not given" if value is None else short(json.dumps(value))


def names_of_today(config: Mapping[str, Any]) -> StudyConfig:
    """Returns the configuration of a folder by the names that settings have now."""
    return StudyConfig({_TODAY.get(name, name): value for name, value in config.items()})


def historical_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration by the names of the first folders, over which its hash is taken: it stays what it was."""
    return {_HISTORICAL.get(name, name): value for name, value in config.items()}


def settings_digest(description: Mapping[str, Any], kind: FolderKind) -> str:
    """Returns a hash of all that the results in a folder depend on, from what its config.json says."""
    return config_digest(_settings(description, kind))


def config_digest(config: Mapping[str, Any]) -> str:
    """Returns a hash of all that the results of a study depend on."""
    relevant = {name: value for name, value in historical_names(config).items() if name not in (*_SILENT, MADE_WITH)}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
