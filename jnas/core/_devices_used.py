"""Work that goes on on another kind of device: allowed where a command says so, and every part says where it ran."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from jnas.io._atomic import replacing
from jnas.io._json_checks import read_json

OF_DEVICES = ("platform", "device", "xla_flags", "compiler_options")
"""The versions that may differ then."""

_FILE = "devices"
_allowed: ContextVar[bool] = ContextVar("other devices are allowed", default=False)


@contextlib.contextmanager
def other_devices(allowed: bool) -> Iterator[None]:
    """Allows, or does not, that work goes on on another kind of device than that on which it was begun."""
    token = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


def other_devices_allowed() -> bool:
    """Returns whether it may."""
    return _allowed.get()


def is_elsewhere(begun_with: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Returns whether work is now on other devices than those it was begun on, or compiled otherwise for them."""
    return any(begun_with.get(name) != now[name] for name in OF_DEVICES)


def note_device(
    folder: Path, part: str, begun_with: Mapping[str, str], now: Mapping[str, str], process: int = 0
) -> None:
    """Writes in a folder on what a part is made, where that is not what the work was begun on.

    Args:
      folder: Of the work.
      part: The name of the part's file.
      begun_with: Versions, from config.json.
      now: Versions.
      process: The number of this process, of those that share the folder; each has a file of its own.

    Raises:
      OSError, ValueError: The file cannot be written, or one that is there is damaged.
    """
    if not is_elsewhere(begun_with, now):
        return
    path = folder / (f"{_FILE}.json" if process == 0 else f"{_FILE}-{process}.json")
    noted = _read(path) if path.exists() else {}
    noted[part] = {name: now[name] for name in ("jax", *OF_DEVICES)}
    with replacing(path, "w") as file:
        file.write(json.dumps(noted, indent=1) + "\n")


def noted_devices(folder: Path) -> dict[str, str]:
    """Returns the kind of device of each part that was made on another than the work was begun on."""
    files = sorted(folder.glob(f"{_FILE}.json")) + sorted(folder.glob(f"{_FILE}-*.json"))
    return {part: f"{on['device']} ({on['platform']})" for path in files for part, on in _read(path).items()}


def versions_with_devices(begun_with: Mapping[str, str], folder: Path | None) -> dict[str, str]:
    """Returns the versions of work, `device` telling which parts were made on others."""
    said = dict(begun_with)
    noted = {} if folder is None else noted_devices(folder)
    if noted:
        words = _words(said.get("device", "unknown"), sorted(noted.items()))
        said["device"] = words
    return said


def _words(first: str, noted: Sequence[tuple[str, str]]) -> str:
    kinds = dict.fromkeys(device for _, device in noted)
    told = (f"{', '.join(part.removesuffix('.npz') for part, on in noted if on == kind)} on {kind}" for kind in kinds)
    return "; ".join([first, *told])


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        noted = read_json(path)
        whole = isinstance(noted, dict) and all(
            isinstance(on, dict) and {"device", "platform"} <= on.keys() for on in noted.values()
        )
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"{path} is damaged; delete it: it only says on which devices parts of the work were made")
    found: dict[str, dict[str, str]] = noted
    return found
