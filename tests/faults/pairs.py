"""Starts two processes in one folder: one does the work, the other says who is there or finds it done.

`python -m tests.faults.pairs --times 20 --seed 1`
"""

import random
import re
import time
from pathlib import Path

from tests.faults._works import Whole, begin, finish, prepare, run_script

_TOLD = re.compile(r"jnas: error: another process( \(\d+ on .+\))? is at work in .*; wait until it has ended, or .*\n")


def disturb(work: str, base: Path, expected: Whole, draws: random.Random) -> int:
    """Starts a work twice, one a little later than the other, and checks what both leave; returns 1."""
    prepare(base)
    first = begin(work, base, output="first")
    time.sleep(draws.uniform(0, expected.seconds))
    second = begin(work, base, output="second")
    ended = [running.wait(600) for running in (first, second)]
    statuses = sorted(e.returncode for e in ended)
    assert statuses in ([0, 0], [0, 2]), f"{work} left with {statuses}: {[e.stderr[-2000:] for e in ended]}"
    for each in ended:
        assert each.returncode == 0 or _TOLD.fullmatch(each.stderr), each.stderr
    finish(work, base, expected)
    return 1


if __name__ == "__main__":
    run_script("two processes in a folder", 20, disturb)
