"""Processes that work for another one, and end with it."""

import multiprocessing
import multiprocessing.connection
import signal
import threading

from jnas.io._leaving import leave


def leave_with_parent() -> None:
    """Lets a process of `multiprocessing` end when the one that started it does, however that ends.

    Else it would wait for ever for work. It does not hear Ctrl-C, which is for the one that started it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent.sentinel,), name="parent", daemon=True).start()


def _leave_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    leave(1)
