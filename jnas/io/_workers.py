"""Processes that work for another one, and end with it. They load JAX if what they are given does."""

import collections
import itertools
import multiprocessing
import multiprocessing.connection
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from jnas.io._leaving import leave

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_CHUNK = 8  # tasks that a process is given at once


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


def map_in_order(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], processes: int
) -> Generator[_Result, None, None]:
    """Yields what a function returns for each task, in order, from processes of their own if there are to be several.

    No more than a few chunks for each process are under way or wait to be taken, so memory stays bounded.

    Raises:
      ChildProcessError: A process ended by itself or was killed.
    """
    if processes == 1:
        yield from map(function, tasks)
        return
    # Spawned, since a fork of a process in which JAX has started its threads may hang. Not `multiprocessing.Pool`,
    # which waits for ever for what a killed process had been given.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=spawned, initializer=leave_with_parent)
    try:
        chunks = (tasks[i : i + _CHUNK] for i in range(0, len(tasks), _CHUNK))
        waiting = collections.deque(pool.submit(_each, function, c) for c in itertools.islice(chunks, 4 * processes))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(_each, function, c) for c in itertools.islice(chunks, 1))
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"one of {processes} processes that read files ended before its work was done, most often because memory "
            "ran out; use fewer processes or free some memory (in a script, also let its own work stand under "
            '`if __name__ == "__main__":`)'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _each(function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> list[_Result]:
    return [function(task) for task in tasks]
