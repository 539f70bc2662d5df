"""Files that are there only while a process works, so that one which leaves at once takes them with it."""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

_passing: set[str] = set()


@contextlib.contextmanager
def passing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Marks a file, while the block runs, as one to remove where the process is left by `leave`."""
    name = os.path.abspath(path)  # the process may change its folder
    _passing.add(name)
    try:
        yield
    finally:
        _passing.discard(name)


def leave(status: int) -> NoReturn:
    """Ends the process at once, from whichever thread: unfinished files and locks go, nothing else is run."""
    for name in tuple(_passing):
        with contextlib.suppress(OSError):
            os.unlink(name)
    os._exit(status)
