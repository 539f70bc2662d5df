"""A bar that says what is being done and how long it will take, on terminals alone."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

Result = TypeVar("Result")


class ProgressBar:
    """Work measured in estimated seconds; the time left follows how fast the estimate has turned out to be."""

    def __init__(self, bar: Any, total: float):
        """Use `progress_bar`."""
        self._bar = bar
        self._total = total
        self._done = 0.0
        self._begin = self._latest = time.monotonic()
        self._text = ""
        self._apart: tuple[float, float] | None = None  # when other work began, and its seconds

    def say(self, text: str) -> None:
        """Shows what is being done now."""
        self._text = text
        self._show()

    def aside(self, tell: Callable[[str], None], text: str) -> None:
        """Calls a function that writes a line, past the bar where there is one."""
        with contextlib.ExitStack() as cleared:
            if self._bar is not None:
                cleared.enter_context(self._bar.external_write_mode())
            tell(text)

    @contextlib.contextmanager
    def apart(self, text: str, seconds: float) -> Iterator[None]:
        """Says what is being done in the block, which is no part of the work: how fast that is, it does not change.

        Args:
          text: What is done.
          seconds: Estimated.
        """
        before, begin = self._text, time.monotonic()
        self._apart = begin, seconds
        self.say(text)
        try:
            yield
        finally:
            took = time.monotonic() - begin
            self._begin, self._latest, self._apart = self._begin + took, self._latest + took, None
            self.say(before)

    def advance(self, seconds: float) -> None:
        """Counts work of so many estimated seconds as done."""
        self._done = min(self._done + seconds, self._total)
        self._latest = time.monotonic()
        self._show()

    def counts(self, seconds: float) -> Callable[["Future[Any]"], None]:
        """Returns a function for `Future.add_done_callback`, which counts that work when it is done."""

        def done(future: "Future[Any]") -> None:
            if not future.cancelled():
                self.advance(seconds)

        return done

    def wait(self, future: "Future[Result]") -> Result:
        """Returns a future's result; the bar's clock goes on, and Ctrl-C is heard."""
        while True:
            with contextlib.suppress(NotYet):
                return future.result(timeout=0.2)
            if future.done():
                return future.result()
            self._show()

    def _over(self) -> float:
        """Returns for how many seconds the work has taken longer than the estimate says of it."""
        pace, now = (self._latest - self._begin + 3.0) / (self._done + 3.0), time.monotonic()
        if self._apart is not None:
            return now - self._apart[0] - self._apart[1]
        return now - self._latest - (self._total - self._done) * pace

    def seconds_left(self) -> float:
        """Returns the estimate of the time left."""
        # Three seconds of faith in the estimate, so that the first step does not throw it about.
        pace, now = (self._latest - self._begin + 3.0) / (self._done + 3.0), time.monotonic()
        begin, apart = self._apart or (now, 0.0)
        work = (self._total - self._done) * pace - (begin - self._latest)
        return max(work, 0.0) + max(apart - (now - begin), 0.0)

    def _show(self) -> None:
        if self._bar is None:
            return
        self._bar.n = round(1000 * self._done / self._total)
        self._bar.set_postfix_str(f"{self.time_text()}, {self._text}", refresh=True)

    def time_text(self) -> str:
        """Returns the time left in words; where the estimate has run out, that it has, and for how long."""
        left = self.seconds_left()
        if left > 0 or self._done >= self._total:
            return f"{duration(left)} left"
        over = self._over()
        return f"{duration(over)} longer than estimated" if over >= 1 else "1 s left"


@contextlib.contextmanager
def progress_bar(total: float, *, title: str = "") -> Iterator[ProgressBar]:
    """Gives a bar of `total` estimated seconds; it draws nothing where standard error is not a terminal."""
    if not _is_terminal():
        yield ProgressBar(None, max(total, 1e-9))
        return
    from tqdm import tqdm  # importing jnas.searchers reaches this file; only a terminal needs it

    layout = "{desc}{percentage:3.0f} %|{bar:24}| {elapsed}{postfix}"
    with tqdm(total=1000, desc=title, bar_format=layout, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:
        yield ProgressBar(bar, max(total, 1e-9))


@contextlib.contextmanager
def counting_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function `(done, total)` that shows a bar with the time left, on terminals alone."""
    if not _is_terminal():
        yield lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(desc=title, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextlib.contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Gives a function that shows a few words in place of those before, on terminals alone."""
    if not _is_terminal():
        yield lambda words: None
        return
    try:
        yield lambda words: print(f"\r\x1b[K{words} ...", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Returns a time in words, rounded as an estimate should be: `8 s`, `1 min 20 s`, `3 h 10 min`.

    Example:
      >>> [duration(s) for s in (0.2, 8.4, 83, 11_391)]
      ['1 s', '9 s', '1 min 25 s', '3 h 10 min']
    """
    if seconds <= 60:
        return f"{max(math.ceil(seconds), 1)} s"
    if seconds < 3600:
        minutes, rest = divmod(math.ceil(seconds / 5) * 5, 60)
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{round(seconds / 60)} min"
    hours, minutes = divmod(math.ceil(seconds / 600) * 10, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
