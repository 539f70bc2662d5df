"""The bytes of a file in order, read ahead, with errors that say what is wrong with it."""

import zipfile
from collections.abc import Callable

_BLOCK = 1 << 20  # bytes read at once


class Stream:
    """The bytes of a file in order, with a window of those to come; several pickles may follow one another."""

    def __init__(self, read: Callable[[int], bytes], where: str, advice: str = "get it again from its source"):
        """Starts at the first byte that `read` gives.

        Args:
          read: `read(n)` gives at most `n` bytes, and none at the end of the file.
          where: What error messages call the file.
          advice: What error messages tell the user to do.
        """
        self._read = read
        self.where = where
        self.advice = advice
        self.window = b""
        self.position = 0  # within the window
        self.ended = False

    def ensure(self, count: int) -> None:
        """Brings `count` bytes into the window, or all that are left."""
        have = len(self.window) - self.position
        if have >= count or self.ended:
            return
        parts = [self.window[self.position :]]
        while have < count and not self.ended:
            try:
                part = self._read(max(_BLOCK, count - have))
            except (OSError, EOFError, zipfile.BadZipFile) as error:
                raise self.error(f"is damaged or cut off ({error})") from error
            self.ended = not part
            parts.append(part)
            have += len(part)
        self.window, self.position = b"".join(parts), 0

    def take(self, count: int) -> bytes:
        """Returns the next `count` bytes; ValueError where the file ends before."""
        self.ensure(count)
        part = self.window[self.position : self.position + count]
        if len(part) < count:
            raise self.cut_off()
        self.position += count
        return part

    def skip(self, count: int) -> None:
        """Passes over `count` bytes; ValueError where the file ends before."""
        while count > 0:
            count -= len(self.take(min(count, _BLOCK)))

    def error(self, what: str) -> ValueError:
        """Returns the error that says what is wrong with the file and what to do."""
        return ValueError(f"{self.where} {what}; {self.advice}")

    def cut_off(self) -> ValueError:
        """Returns the error of a file that ends too early."""
        return self.error("is cut off: it ends in the middle of its data")
