"""Works that are kept in folders, made small: how each is done in a process of its own, and what it must leave."""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # else small programs are compiled each time

import jnas
import tests.conftest  # noqa: F401 - its processes compile quickly, and each program once
from jnas.commands._cli import main as command_line
from jnas.io import _atomic
from jnas.spaces._registry import SPACES, SpaceEntry
from jnas.training.networks._families import FAMILIES
from tests._processes import Running, start
from tests.test_toy_space import FAMILY, toy

SPACE = jnas.spaces.categorical((3, 3, 3))
_SMALL = "--space toy --dataset data.npz --epochs 3 --batch-size 10"
_CELLS = _SMALL.replace("toy", "nasbench101 --vertices 3 --channels 4 --cells 1 --num-candidates 2 --one-shot 0")
_TEXT = "--space recurrent --nodes 2 --channels 2 --dataset words.txt --epochs 3 --batch-size 2 --num-candidates 2"
_NAO = "nao:epochs_per_round=1:num_init=5:num_kept=3:num_new=2:num_random=1:num_top=3:max_step=3:model.epochs=2"

COMMANDS = {
    "study": "study --table table.npz --searchers random_search,local_search --num-seeds 1001 --max-evaluations 5",
    "train": f"train square|none 4 --num-seeds 2 --chunk-size 2 {_SMALL}",
    "table build": f"table build -o made.npz --num-seeds 1 --chunk-size 2 {_SMALL}",
    "training search": f"search --searchers random_search,local_search --num-seeds 2 --max-evaluations 4 {_SMALL}",
    "supernet": f"supernet rsps --num-seeds 1 --num-candidates 2 --one-shot 0 {_SMALL}",
    # What a method has of its own beside the weights goes on too.
    "supernet nao": f"supernet {_NAO} --num-seeds 1 {_CELLS}",
    "supernet enas": f"supernet enas --controller-steps 2 --num-seeds 1 {_CELLS}",
    # A text's states begin anew with each epoch.
    "supernet text": f"supernet rsps --num-seeds 1 {_TEXT}",
}
EVALUATIONS = 40  # of the search
WORKS = (*COMMANDS, "search")


def prepare(base: Path) -> Path:
    """Makes a folder for a work, with the files that it reads."""
    base.mkdir(parents=True)
    table = jnas.make_table(SPACE, accuracy={"validation": np.linspace(50, 90, 27)})
    jnas.save_table(table, base / "table.npz")
    draws = np.random.default_rng(0)
    images, labels = draws.integers(0, 255, (50, 4, 4, 1), np.uint8), np.arange(50) % 2
    np.savez(base / "data.npz", images=images, labels=labels)
    (base / "words.txt").write_text("\n".join(" ".join(map(str, line)) for line in draws.integers(0, 5, (60, 9))))
    return base


def begin(work: str, base: Path, last_write: int | None = None, output: str = "told") -> Running:
    """Starts a work in its folder, or lets it go on.

    Args:
      work: One of `WORKS`.
      base: From `prepare`.
      last_write: The number of the file at whose renaming the process kills itself, from 0.
      output: The name of the files, beside the folder, that the process writes its output to.
    """
    (base / "begun").unlink(missing_ok=True)
    return start(_do, work, last_write, output=base.with_name(f"{base.name}-{output}"), folder=base)


def _do(work: str, last_write: int | None) -> int:
    if last_write is not None:
        _die_at(last_write)
    SPACES.rows["toy"] = SpaceEntry("toy", "Toy", toy)
    FAMILIES.rows["toy"] = FAMILY
    Path("begun").touch()
    if work != "search":
        return _command(COMMANDS[work])
    try:
        return _search()
    except KeyboardInterrupt:
        return 130


def _command(words: str) -> int:
    sys.argv = ["jnas", *words.split(), "--out", "out"]
    return command_line()


def _search() -> int:
    def evaluate(candidate: Any) -> tuple[float, float]:
        with open("evaluated", "a") as file:
            print(candidate.row, file=file)
        time.sleep(0.002)
        return float(candidate.arch.sum() + jax.random.uniform(candidate.key)), 1.0

    searcher = jnas.searchers.regularized_evolution(SPACE, population_size=4, sample_size=2)
    Path("out").mkdir(exist_ok=True)
    try:
        trace = jnas.search(
            searcher, evaluate, jax.random.key(1), max_evaluations=EVALUATIONS, checkpoint="out/search.npz"
        )
    except BlockingIOError as error:
        print(f"jnas: error: {error.strerror}", file=sys.stderr)
        return 2
    np.savez("out/trace.npz", **{name: array for name, array in trace._asdict().items() if array is not None})
    return 0


def _die_at(last_write: int) -> None:
    """Lets this process kill itself before a file gets its name, or right after, by turns."""
    rename, written = os.replace, iter(range(last_write + 1))

    def replace(*names: Any) -> None:
        last = next(written) == last_write
        if last and last_write % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*names)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    _atomic.os.replace = replace


def results(base: Path) -> dict[str, bytes]:
    """Returns all that a work has left but for the times that it took, by file and part of the file."""
    found = {}
    for path in sorted(p for p in (base / "out", base / "made.npz") if p.exists()):
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            name = str(file.relative_to(base))
            if file.suffix == ".npz":
                with np.load(file) as arrays:
                    found |= {f"{name}/{n}": arrays[n].tobytes() for n in arrays if not _timed(n)}
            elif file.suffix == ".csv":
                head, *rows = (line.split(",") for line in file.read_text().splitlines())
                kept = [i for i, column in enumerate(head) if "seconds" not in column]
                found[name] = "\n".join(",".join(row[i] for i in kept) for row in (head, *rows)).encode()
            else:
                found[name] = b"" if file.suffix == ".html" else file.read_bytes()
    return found


def _timed(member: str) -> bool:
    return member == "header" or "seconds" in member


def litter(base: Path) -> list[str]:
    """Returns the names of unfinished files and locks that a work has left."""
    return [str(p.relative_to(base)) for p in base.rglob("*") if p.name.startswith(".") or ".part" in p.name]


class Whole(NamedTuple):
    """A work that nothing has disturbed."""

    results: dict[str, bytes]
    seconds: float
    writes: int  # files that were written, about


def whole(work: str, base: Path, times: int = 2) -> Whole:
    """Does a work undisturbed: what it leaves, and how long it takes, the last time with programs that are compiled."""
    found = []
    for number in range(times):
        clock = time.monotonic()
        ended = begin(work, prepare(base / f"{number}")).wait(600)
        seconds = time.monotonic() - clock
        assert ended.returncode == 0, ended.stderr
        found.append(results(base / f"{number}"))
        assert not litter(base / f"{number}"), litter(base / f"{number}")
    assert found[0] == found[-1], f"{work} is not the same twice: {differing(found[0], found[-1])}"
    files = [p for p in (base / f"{times - 1}").rglob("*") if p.is_file()]
    return Whole(found[-1], seconds, EVALUATIONS if work == "search" else 2 * len(files))


def differing(a: dict[str, bytes], b: dict[str, bytes]) -> list[str]:
    """Returns the names of what is not the same, or is only in one."""
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def finish(work: str, base: Path, expected: Whole) -> None:
    """Lets a work go on to its end, and checks what it has left."""
    ended = begin(work, base).wait(600)
    assert ended.returncode == 0, f"{work} did not go on: {ended.stderr[-3000:]}"
    assert results(base) == expected.results, f"{work} has other results: {differing(results(base), expected.results)}"
    assert not litter(base), f"{work} has left {litter(base)}"


def evaluated(base: Path) -> list[int]:
    """Returns the rows that the search has evaluated in all its processes."""
    return [int(line) for line in (base / "evaluated").read_text().splitlines()]


def run_script(description: str, most: int, disturb: Callable[[str, Path, Whole, random.Random], int]) -> None:
    """Runs a script: disturbs each of some works until a number of times is reached.

    Args:
      description: What is done so many times.
      most: How many times, unless the command says otherwise.
      disturb: `disturb(work, base, whole, draws)` does a work in a new folder and checks what is left; it returns
        how many times it has disturbed it.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--times", type=int, default=most)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--works", default=",".join(WORKS))
    options = parser.parse_args()
    print(f"{description}: {options.times} times, seed {options.seed}", flush=True)
    draws, works = random.Random(options.seed), options.works.split(",")
    with tempfile.TemporaryDirectory(prefix="jnas-faults-") as folder:
        for number, work in enumerate(works):
            expected = whole(work, Path(folder) / f"whole-{number}")
            left = share = options.times * (number + 1) // len(works) - options.times * number // len(works)
            while left > 0:
                base = Path(folder) / "work"
                left -= disturb(work, base, expected, draws)
                shutil.rmtree(base)
            print(f"{work}: {share} times, the same results", flush=True)
