"""Files that are there only while a process works, so that one which leaves at once takes them with it."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import NoReturn

making = threading.Lock()
"""Held by a thread from before it makes such a file until the file is marked; a process does not leave in between."""

_marked: set[str] = set()
_folders: list[object] = []  # one for each folder that this process works in
_kept = [0]
_PATIENCE = 1.0  # seconds to wait for another thread that makes a file


def mark_passing(path: str | os.PathLike[str]) -> None:
    """Marks a file as one to remove where the process is left by `leave`."""
    _marked.add(os.path.abspath(path))  # the process may change its folder


def unmark_passing(path: str | os.PathLike[str]) -> None:
    """Takes the mark away: the file has gone, or has become one that stays."""
    _marked.discard(os.path.abspath(path))


@contextlib.contextmanager
def in_a_folder() -> Iterator[None]:
    """Marks work whose parts are kept in files, from which it goes on after the process has been left."""
    token = object()
    _folders.append(token)
    try:
        yield
    finally:
        _folders.remove(token)


def keeping() -> bool:
    """Returns whether there is such work."""
    return bool(_folders)


def count_kept() -> None:
    """Counts a file that now stands under its name."""
    _kept[0] += 1


def kept_files() -> int:
    """Returns how many there are so far."""
    return _kept[0]


def leave(status: int) -> NoReturn:
    """Ends the process at once, from whichever thread: unfinished files and locks go, nothing else is run."""
    making.acquire(timeout=_PATIENCE)
    for name in tuple(_marked):
        with contextlib.suppress(OSError):
            os.unlink(name)
    os._exit(status)
