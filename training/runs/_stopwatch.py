"""Seconds of trainings, as they are kept with them, and how many these will be at least while they still run."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """How long something has run, in parts; another thread may read it.

    What was read is never more than what stands there in the end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 0.0
        self._since: float | None = None  # when it began to run, while it does

    def set(self, seconds: float) -> None:
        """Takes up what has run for so long before."""
        with self._lock:
            self._seconds = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time of the block."""
        with self._lock:
            self._since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:  # within it, or who has just read would have read more
                self._seconds += time.monotonic() - self._since
                self._since = None

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        with self._lock:
            return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)
