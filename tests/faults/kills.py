"""Kills processes at random moments, by the clock and at the renaming of a file: all goes on to the same bits.

`python -m tests.faults.kills --times 60 --seed 1`
"""

import random
import signal
import time
from pathlib import Path

from tests.faults._works import EVALUATIONS, Whole, begin, evaluated, finish, prepare, run_script


def disturb(work: str, base: Path, expected: Whole, draws: random.Random) -> int:
    """Kills a work up to three times, lets it go on, and checks what it leaves; returns how often it was killed."""
    prepare(base)
    killed = 0
    for _ in range(draws.randint(1, 3)):
        by_clock = draws.random() < 0.5
        seconds, write = draws.uniform(0, expected.seconds), draws.randrange(expected.writes)
        running = begin(work, base, None if by_clock else write)
        if by_clock:
            running.wait_until((base / "begun").exists)
            time.sleep(seconds)
            running.stop()
        killed += running.wait(600).returncode == -signal.SIGKILL
    finish(work, base, expected)
    if work == "search":  # each kill costs at most the evaluation that it hit
        rows = evaluated(base)
        assert set(rows) == set(range(EVALUATIONS))
        assert len(rows) <= EVALUATIONS + killed
    return killed


if __name__ == "__main__":
    run_script("kill -9", 60, disturb)
