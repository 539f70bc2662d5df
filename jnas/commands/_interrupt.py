"""Ctrl-C and SIGTERM end a command, whatever its threads are in the middle of; all this needs is quickly imported."""

import contextlib
import os
import select
import signal
import sys
import threading
import time

from jnas.io._leaving import keeping, kept_files, leave

GRACE = 20.0
"""Seconds that SIGTERM leaves for what runs to be kept; schedulers (SLURM, Kubernetes) kill 30 seconds after it."""

_told = ["nothing was done"]


def leave_at_interrupt() -> None:
    """Lets Ctrl-C and SIGTERM end this process from now on, with a sentence and status 130 or 143.

    `KeyboardInterrupt` will not do: it is raised wherever the main thread is, and is lost inside a destructor or a
    callback of the garbage collector; while that thread waits for a compiled program, it is not raised at all. Here a
    thread of its own waits for the signals, and ends the process. No file is ever half written, so that work which was
    kept goes on from there.

    Ctrl-C ends it at once. SIGTERM, by which schedulers announce that they take the machine away, first waits for the
    next file that work in a folder keeps (a checkpoint, a chunk), for at most `GRACE` seconds; a second one does not.

    Nothing changes for a signal that somebody else handles, or that is ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = [number for number, handler in usual.items() if signal.getsignal(number) is handler]
    if not ours:
        return
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):
        os.set_blocking(writer, False)
    threading.Thread(target=_wait, args=(reader,), name="interrupt", daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to at once, in whichever thread the signal comes
    for number in ours:
        signal.signal(number, lambda number, frame: None)


def say_when_stopped(text: str) -> None:
    """Sets what is said of the work where it is stopped."""
    _told[0] = text


def stopped_text() -> str:
    """Returns the sentence of a command that was stopped."""
    return f"jnas: stopped; {_told[0]}"


def _wait(reader: int) -> None:
    """Ends the process when a signal comes."""
    came = b""
    while not {signal.SIGINT, signal.SIGTERM} & set(came):
        came = os.read(reader, 4096)
    status = 130
    if signal.SIGINT not in came:
        status, before, end = 143, kept_files(), time.monotonic() + GRACE
        if keeping():
            _say(f"jnas: told to end (SIGTERM): leaving at the next checkpoint, in {GRACE:.0f} s at the latest")
        while keeping() and kept_files() == before and time.monotonic() < end:
            if select.select([reader], [], [], 0.02)[0]:
                break
    _say(stopped_text())
    leave(status)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        wipe = "\r\x1b[K" if os.isatty(2) else ""  # of a bar that stands there
        os.write(2, f"{wipe}{text}\n".encode(sys.getfilesystemencoding(), "replace"))
