"""Processes of their own for commands that are killed or that start JAX anew: forked from one that has imported jnas.

The imports of a command take more time than its work in a test. The first process makes them once and starts no device:
it has the environment that the tests have when the first of its children is asked for.
"""

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

_IMPORTED = [
    "jnas.commands._cli",
    "jnas.commands._study",
    "jnas.commands._train",
    "jnas.pages._plots",
    "jnas.studies.search._report",
    "tests._contexts",
    "tests._fewer_stages",
]


class Ended(NamedTuple):
    """What `subprocess.run` tells of a process."""

    returncode: int | None
    stdout: str
    stderr: str


class Running(NamedTuple):
    """A process, and the files that it writes its output to."""

    process: ForkServerProcess
    output: Path

    @property
    def ended(self) -> bool:
        return self.process.exitcode is not None

    def said(self, stream: str = "stdout") -> str:
        path = self.output.with_name(f"{self.output.name}.{stream}")
        return path.read_text() if path.exists() else ""

    def stop(self, number: int = signal.SIGKILL) -> None:
        if not self.ended:
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 240) -> Ended:
        self.process.join(seconds)
        if not self.ended:
            self.stop()
            raise TimeoutError(f"the process did not end within {seconds} s; it said: {self.said('stderr')}")
        return Ended(self.process.exitcode, self.said(), self.said("stderr"))

    def wait_until(self, happened: Callable[[], Any], seconds: float = 120) -> None:
        """Looks every 2 ms whether something has happened, or the process has ended."""
        deadline = time.monotonic() + seconds
        while not happened() and not self.ended and time.monotonic() < deadline:
            time.sleep(0.002)


def start(function: Callable[..., Any], *arguments: Any, output: Path, folder: Path | None = None) -> Running:
    """Calls a function of a test module in a process of its own, in `folder` (by default the current one)."""
    for stream in ("stdout", "stderr"):
        output.with_name(f"{output.name}.{stream}").unlink(missing_ok=True)
    process = _forking().Process(target=_call, args=(function, arguments, output, folder or Path.cwd()))
    process.start()
    return Running(process, output)


def start_jnas(*words: Any, output: Path, folder: Path | None = None, cache: Path | None = None) -> Running:
    """`jnas` as a user types it; given a cache folder, without the compiled programs of the tests."""
    return start(_jnas, [str(w) for w in words], cache, output=output, folder=folder)


@functools.cache
def _forking() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], output: Path, folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    os.chdir(folder)
    for number, stream in ((1, "stdout"), (2, "stderr")):
        opened = os.open(f"{output}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.exit(function(*arguments))


def _jnas(words: list[str], cache: Path | None) -> int:
    from jnas.commands._cli import main

    if cache is not None:
        for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
            os.environ.pop(name, None)
        os.environ["XDG_CACHE_HOME"] = str(cache)
    sys.argv = ["jnas", *words]
    return main()
