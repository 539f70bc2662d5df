"""Files written whole or not at all."""

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO]:  # type: ignore[type-arg]
    """Gives a file beside `path` to write to, and renames it to `path` when the block ends without an error.

    A reader never sees a half-written file, and a killed or failed writer leaves the old one as it was.

    Args:
      path: Where the finished file is to stand; its folder must exist.
      mode: `'wb'` or `'w'` (UTF-8).

    Raises:
      OSError: The folder is missing or cannot be written, or the disk is full; the message says which file.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise type(error)(error.errno, f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC, f"the disk is full: {path} was not written; free space and run again"
            ) from error
        raise


def check_writable(path: Path) -> None:
    """Raises before any work where a file cannot be written.

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


def remove_unfinished(folder: Path, names: str) -> None:
    """Removes what a killed `replacing` left in a folder: the files that it names, and no others.

    Args:
      folder: Where.
      names: A regular expression for the names of the files that were to stand there.
    """
    unfinished = re.compile(rf"\.(?:{names})\.[a-z0-9_]{{8}}\.part")  # eight of these, from `tempfile.mkstemp`
    for path in folder.iterdir():
        if unfinished.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
