"""Presses Ctrl-C, or sends SIGTERM, at random moments: commands leave with a sentence, and go on to the same bits.

`python -m tests.faults.interrupts --times 40 --seed 1`
"""

import random
import signal
import time
from pathlib import Path

from tests.faults._works import COMMANDS, Whole, begin, finish, litter, prepare, run_script

_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
_AT_ONCE = 0.5  # seconds in which a process that was at its end anyway has left


def disturb(work: str, base: Path, expected: Whole, draws: random.Random) -> int:
    """Interrupts a work up to three times, lets it go on, and checks what it leaves; returns how often it did so."""
    prepare(base)
    interrupted = 0
    for _ in range(draws.randint(1, 3)):
        running = begin(work, base)
        running.wait_until((base / "begun").exists)
        time.sleep(draws.uniform(0, expected.seconds))
        clock, own = time.monotonic(), work in COMMANDS
        sent = draws.choice(list(_STATUS)) if own else signal.SIGINT  # a script of a user has its own ways with SIGTERM
        running.stop(sent)
        ended = running.wait(600)
        # What Python loses of an exception (in a destructor), a script of a user loses; a checkpoint may be the last.
        if ended.returncode == 0 and (sent == signal.SIGTERM or not own or time.monotonic() - clock < _AT_ONCE):
            continue
        assert ended.returncode == _STATUS[sent], f"{work} left with {ended.returncode}: {ended.stderr[-3000:]}"
        if own:
            told = "jnas: stopped; the same command goes on from here, to the same results\n"
            said = "".join(line for line in ended.stderr.splitlines(True) if "(SIGTERM)" not in line)
            assert said in (told, "jnas: stopped; nothing was done\n"), ended.stderr
        hidden = [name for name in litter(base) if Path(name).name.startswith(".")]
        assert not hidden, f"{work} has left {hidden}"
        interrupted += 1
    finish(work, base, expected)
    return interrupted


if __name__ == "__main__":
    run_script("Ctrl-C or SIGTERM", 40, disturb)
