"""One process at a time in a folder: a lock that the system gives back when its process ends, however it ends."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from jnas.io._leaving import in_a_folder, making, mark_passing, unmark_passing

try:
    import fcntl
except ImportError:  # not on Windows: there, nothing is locked
    fcntl = None  # type: ignore[assignment]

_LOCKS: bool = fcntl is not None
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_LONG = 3600.0  # seconds without a write after which a file is nobody's any more, where there are no locks


@contextlib.contextmanager
def alone_in(folder: Path, name: str = ".lock", *, at: Path | None = None, stays: bool = False) -> Iterator[None]:
    """Holds the lock of a folder while the block runs; its file says which process on which host holds it.

    A process that was killed leaves its file behind, which hinders nobody: the lock itself went with the process.

    Args:
      folder: Which exists.
      name: Of the file that is locked; processes that share a folder in peace have one each.
      at: What is worked on, for messages, where it is a file in the folder and not all of it.
      stays: Whether the file stays, for `is_abandoned`, where the block ends by an error or the process is left.

    Raises:
      BlockingIOError: Another process is in the folder; the message says which.
    """
    path = folder / name
    held = _take(path, at) if _LOCKS else None
    if stays:
        unmark_passing(path)
    done = False
    try:
        with in_a_folder():
            yield
        done = True
    finally:
        if held is not None:
            if done or not stays:
                with contextlib.suppress(OSError):
                    os.unlink(path)  # while it is held, so that nobody else's file is removed
            unmark_passing(path)
            os.close(held)


def _take(path: Path, at: Path | None) -> int | None:
    """Returns a descriptor that holds the lock; None where a file system has none, or nothing can be written."""
    while True:
        with making:
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # whoever writes to the folder next will say why it cannot be written
                return None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    mark_passing(path)
                    _sign(handle)
                    return handle
            except FileNotFoundError:  # who held it before has just removed it: take a new one
                pass
            except OSError as error:
                owner = _owner(handle)
                os.close(handle)
                if error.errno not in _TAKEN:
                    return None
                raise _taken(error.errno, path, at, owner) from None
            os.close(handle)


def _taken(number: int, path: Path, at: Path | None, owner: str) -> BlockingIOError:
    where, kind = (path.parent, "folder") if at is None else (at, "file")
    return BlockingIOError(
        number, f"another process{owner} is at work in {where}; wait until it has ended, or give another {kind}"
    )


def _sign(handle: int) -> None:
    """Writes the owner's name into the file of a lock that is held."""
    with contextlib.suppress(OSError):  # a full disk: then the lock has no name
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _owner(handle: int) -> str:
    """Returns what the owner of a lock has written, for a sentence; nothing where it has not come to it."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        words = os.pread(handle, 300, 0).decode().partition("\n")[0]
        if words and words.isprintable():
            return f" ({words})"
    return ""


def is_abandoned(path: Path) -> bool:
    """Returns whether a lock's file was left by a process that was killed; False where there are no locks to tell."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return hold(handle) and path.exists()
    finally:
        os.close(handle)


def hold(handle: int) -> bool:
    """Locks an open file for as long as it, or a copy of its descriptor, is open.

    Returns:
      Whether it is held; False where somebody else holds it, or where there are no locks.
    """
    if not _LOCKS:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_if_free(path: Path) -> None:
    """Removes a file unless a living process holds its lock.

    Where the file system has no locks, what nobody has written to for an hour is removed.
    """
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:  # it has gone, or is somebody else's
        return
    try:
        if _LOCKS:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = _LOCKS or time.time() - os.fstat(handle).st_mtime > _LONG
    except OSError as error:
        free = error.errno not in _TAKEN and time.time() - os.fstat(handle).st_mtime > _LONG
    try:
        if free:
            with contextlib.suppress(OSError):
                os.unlink(path)  # while it is held, so that no writer takes it for its own in between
    finally:
        os.close(handle)
