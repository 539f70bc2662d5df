"""Presses Ctrl-C at random moments: commands leave with status 130 and a sentence, and go on to the same bits.

`python -m tests.faults.interrupts --times 40 --seed 1`
"""

import random
import signal
import time
from pathlib import Path

from tests.faults._works import COMMANDS, Whole, begin, finish, litter, prepare, run_script

_AT_ONCE = 0.5  # seconds in which a process that was at its end anyway has left


def disturb(work: str, base: Path, expected: Whole, draws: random.Random) -> int:
    """Interrupts a work up to three times, lets it go on, and checks what it leaves; returns how often it did so."""
    prepare(base)
    interrupted = 0
    for _ in range(draws.randint(1, 3)):
        running = begin(work, base)
        running.wait_until((base / "begun").exists)
        time.sleep(draws.uniform(0, expected.seconds))
        clock = time.monotonic()
        running.stop(signal.SIGINT)
        ended = running.wait(600)
        own = work in COMMANDS  # what Python loses of an exception (in a destructor), a script of a user loses
        if ended.returncode == 0 and (not own or time.monotonic() - clock < _AT_ONCE):
            continue
        assert ended.returncode == 130, f"{work} left with {ended.returncode}: {ended.stderr[-3000:]}"
        if own:
            told = "jnas: stopped; the same command goes on from here, to the same results\n"
            assert ended.stderr in (told, "jnas: stopped; nothing was done\n"), ended.stderr
        hidden = [name for name in litter(base) if Path(name).name.startswith(".")]
        assert not hidden, f"{work} has left {hidden}"
        interrupted += 1
    finish(work, base, expected)
    return interrupted


if __name__ == "__main__":
    run_script("Ctrl-C", 40, disturb)
