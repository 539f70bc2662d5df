"""Ctrl-C ends a command, whatever its threads are in the middle of; all that this needs is quickly imported."""

import contextlib
import os
import signal
import sys
import threading

from jnas.io._leaving import leave

_told = ["nothing was done"]


def leave_at_interrupt() -> None:
    """Lets Ctrl-C end this process from now on, with a sentence and status 130.

    `KeyboardInterrupt` will not do: it is raised wherever the main thread is, and is lost inside a destructor or a
    callback of the garbage collector; while that thread waits for a compiled program, it is not raised at all. Here a
    thread of its own waits for the signal, and ends the process. No file is ever half written, so that work which was
    kept goes on from there.

    Nothing changes where somebody else handles the signal, or where it is ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):
        os.set_blocking(writer, False)
    threading.Thread(target=_wait, args=(reader,), name="interrupt", daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to at once, in whichever thread the signal comes
    signal.signal(signal.SIGINT, lambda number, frame: None)


def say_when_stopped(text: str) -> None:
    """Sets what is said of the work where it is stopped."""
    _told[0] = text


def stopped_text() -> str:
    """Returns the sentence of a command that was stopped."""
    return f"jnas: stopped; {_told[0]}"


def _wait(reader: int) -> None:
    """Ends the process when the signal comes."""
    while signal.SIGINT not in os.read(reader, 4096):
        pass
    with contextlib.suppress(OSError):
        wipe = "\r\x1b[K" if os.isatty(2) else ""  # of a bar that stands there
        os.write(2, f"{wipe}{stopped_text()}\n".encode(sys.getfilesystemencoding(), "replace"))
    leave(130)
