"""Files written whole or not at all."""

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jnas.io._leaving import count_kept, making, mark_passing, unmark_passing
from jnas.io._lock import hold, remove_if_free

_NO_ROOM: dict[int, tuple[str | None, str]] = {
    errno.ENOSPC: ("the disk is full", "free space and run again"),
    errno.EDQUOT: ("the disk quota is used up", "free space and run again"),
    errno.EFBIG: ("larger than files may be here", "raise the limit (`ulimit -f`) and run again"),
}
"""Why a file cannot grow, and what to do."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO]:  # type: ignore[type-arg]
    """Gives a file beside `path` to write to, and renames it to `path` when the block ends without an error.

    A reader never sees a half-written file, and a killed or failed writer leaves the old one as it was. What earlier
    writers of `path` that were killed have left is removed first; the unfinished files of living ones stay.

    Args:
      path: Where the finished file is to stand; its folder must exist.
      mode: `'wb'` or `'w'` (UTF-8).

    Raises:
      OSError: The folder is missing or cannot be written, or there is no room; the message says which file.
    """
    path = Path(path)
    # The name of a file, which a text may tell, may be any bytes.
    encoding, errors = (None, None) if "b" in mode else ("utf-8", "backslashreplace")
    remove_unfinished(path.parent, re.escape(path.name))
    handle, name = _open_beside(path)
    with contextlib.ExitStack() as held:
        held.callback(unmark_passing, name)
        if os.name == "posix":  # elsewhere, files that are open cannot be renamed
            held.callback(os.close, os.dup(handle))  # keeps the lock until the file has its name
        try:
            with os.fdopen(handle, mode, encoding=encoding, errors=errors) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, path)
            count_kept()
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(name)
            if isinstance(error, OSError) and _says_no_file(error):
                why, remedy = _NO_ROOM.get(error.errno or 0, (error.strerror, "run again where it can be written"))
                raise OSError(error.errno, f"{why}: {path} was not written; {remedy}") from error
            raise


def _says_no_file(error: OSError) -> bool:
    return not error.filename and error.errno is not None and error.strerror == os.strerror(error.errno)


def _open_beside(path: Path) -> tuple[int, str]:
    """Returns the descriptor and the name of a new file beside a path, which is locked where there are locks."""
    while True:
        with making:
            try:
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
            except OSError as error:
                raise type(error)(error.errno, f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
            mark_passing(name)
        hold(handle)
        if os.path.exists(name):
            return handle, name
        unmark_passing(name)
        os.close(handle)  # another process took it for a dead one's, before it was locked


def check_writable(path: Path) -> None:
    """Raises before any work where a file cannot be written; what a killed writer of it has left is removed.

    Raises:
      ValueError: There is a folder of this name.
      OSError: The folder is missing or cannot be written.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file to write")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot write {path}: {error.strerror}") from error
    remove_unfinished(path.parent, re.escape(path.name))


def remove_unfinished(folder: Path, names: str) -> None:
    """Removes what a killed `replacing` left in a folder: the files that it names, and no others.

    Args:
      folder: Where; it may be missing.
      names: A regular expression for the names of the files that were to stand there.
    """
    unfinished = re.compile(rf"\.(?:{names})\.[a-z0-9_]{{8}}\.part")  # eight of these, from `tempfile.mkstemp`
    try:
        found = [name for name in os.listdir(folder) if unfinished.fullmatch(name)]
    except OSError:  # whoever writes to the folder next will say what is wrong
        return
    for name in found:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            remove_if_free(path)
