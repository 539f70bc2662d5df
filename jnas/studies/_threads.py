"""Threads that work while a bar's clock goes on."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Gives a pool of threads that is left at once on an error or Ctrl-C."""
    pool = ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, count)))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
