"""One process at a time in a folder: a lock that the system gives back when its process ends, however it ends."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there, nothing is locked
    fcntl = None  # type: ignore[assignment]

_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextlib.contextmanager
def alone_in(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Holds the lock of a folder while the block runs.

    A process that was killed leaves its file behind, which hinders nobody: the lock itself went with the process.

    Args:
      folder: Which exists.
      name: Of the file that is locked; processes that share a folder in peace have one each.

    Raises:
      BlockingIOError: Another process is in the folder.
    """
    held = None if fcntl is None else _take(folder / name)
    try:
        yield
    finally:
        if held is not None:
            with contextlib.suppress(OSError):
                os.unlink(folder / name)  # while it is held, so that nobody else's file is removed
            os.close(held)


def _take(path: Path) -> int | None:
    """Returns a descriptor that holds the lock; None where a file system has none, or nothing can be written."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # whoever writes to the folder next will say why it cannot be written
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except FileNotFoundError:  # who held it before has just removed it: take a new one
            pass
        except OSError as error:
            os.close(handle)
            if error.errno in _TAKEN:
                raise BlockingIOError(
                    error.errno,
                    f"another process is at work in {path.parent}; wait until it has ended, or give another folder",
                ) from None
            return None
        os.close(handle)
