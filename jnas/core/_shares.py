"""Work in one folder that processes share: whose a piece is, and what is said where one ends before its own is made.

They talk to one another only to learn how many they are; then each sees in the folder what the others have made.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import jax

from jnas.io._lock import alone_in, is_abandoned, remove_if_free
from jnas.io._progress import counting_bar

PATIENCE = 60.0
"""Seconds for a process that ended too early to be there again."""


class Share(NamedTuple):
    """Which of several processes this one is."""

    process: int = 0
    processes: int = 1

    def owner(self, number: int) -> int:
        """Returns the process that makes a piece: they are dealt in turn, so that all know it of all."""
        return number % self.processes


def own_share() -> Share:
    """Returns which process of how many this one is, as JAX knows it."""
    return Share(int(jax.process_index()), int(jax.process_count()))


def share_lock(process: int) -> str:
    """Returns the name of the file that a process locks while it makes its share."""
    return f".lock-{process}"


@contextlib.contextmanager
def making_own_share(folder: Path) -> Iterator[None]:
    """Lets this process be alone in its share of a folder while the block runs.

    Of several, one that ends by an error or is stopped leaves its file there as one that is killed does: others see it.

    Raises:
      BlockingIOError: Another process makes this share.
    """
    process, processes = own_share()
    with alone_in(folder, share_lock(process), stays=processes > 1):
        yield


def remove_left_locks(folder: Path) -> None:
    """Removes the files of processes that ended early, when all is done."""
    for path in folder.glob(".lock-*"):
        if path.name.removeprefix(".lock-").isdigit():
            remove_if_free(path)


def ended_early(folder: Path, owners: Collection[int]) -> list[int]:
    """Returns which of the processes that still have pieces to make ended before they had."""
    return [process for process in sorted(set(owners)) if is_abandoned(folder / share_lock(process))]


def _nothing_shown() -> contextlib.AbstractContextManager[Callable[[int, int], None]]:
    return contextlib.nullcontext(lambda done, total: None)


def wait_for_shares(
    folder: Path,
    owners_left: Callable[[], Collection[int]],
    total: int,
    pieces: str,
    *,
    show: bool = True,
    pause: float = 0.5,
) -> None:
    """Waits until every process has made its share.

    Args:
      folder: Of the work.
      owners_left: Returns the process that makes it, for each piece that is missing.
      total: How many pieces there are.
      pieces: What they are called, for messages.
      show: Whether a bar counts them.
      pause: Seconds between two looks.

    Raises:
      ValueError: One ended before it had, and did not come again.
    """
    there = time.monotonic()
    with counting_bar(f"{pieces} of all processes") if show else _nothing_shown() as tell:
        while owners := owners_left():
            early = ended_early(folder, owners)
            if not early:
                there = time.monotonic()
            elif time.monotonic() - there > PATIENCE:
                told = f"process {early[0]}" if len(early) == 1 else f"processes {', '.join(map(str, early))}"
                raise ValueError(
                    f"{told} of {own_share().processes} ended with work left in {folder} ({len(owners)} of {total} "
                    f"{pieces} are missing); run the same commands again: all of them go on"
                )
            tell(total - len(owners), total)
            time.sleep(pause)
