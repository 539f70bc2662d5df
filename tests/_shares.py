"""Work that two processes share, played by one after the other in this one."""

import jax
import pytest

from jnas.core import _shares
from jnas.core._shares import share_lock


def as_process(patch, process, processes=2):
    """Makes JAX say that this process is one of several."""
    patch.setattr(jax, "process_index", lambda: process)
    patch.setattr(jax, "process_count", lambda: processes)


def make_share(patch, work, folder, process, processes=2):
    """Does the share of a process that is not the first, to which it seems that the first has been killed."""
    folder.mkdir(exist_ok=True)
    (folder / share_lock(0)).write_text("7 on another\n")
    patch.setattr(_shares, "PATIENCE", 0)
    as_process(patch, process, processes)
    with pytest.raises(ValueError, match=rf"process 0 of {processes} ended with work left in .*run the same commands"):
        work(folder)


def in_two_processes(patch, work, folder):
    """Returns what the first of two processes gives, and the second."""
    make_share(patch, work, folder, 1)
    as_process(patch, 0)
    first = work(folder)
    as_process(patch, 1)
    return first, work(folder)
