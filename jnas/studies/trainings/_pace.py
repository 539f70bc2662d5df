"""How long the trainings of a study will take: a guess before the first, and then what was measured."""

import contextlib
import time
from collections.abc import Iterator

import jax
import numpy as np

from jnas.core._folder import config_digest
from jnas.io._progress import duration
from jnas.io._text import counted
from jnas.studies._engine import REPORT_SECONDS, Estimate, Work
from jnas.studies.trainings._files import FOLDER, all_trainings
from jnas.training.runs._guess import guess_compile_seconds, guess_seconds

_SAMPLED = 32  # architectures, for the guess
_START = 10.0  # seconds, of programs of searchers


def estimate(work: Work) -> Estimate:
    """Returns roughly how long the trainings that are left will take, if no two searches ask for the same.

    A training takes what those in the folder took, or, where there is none yet, what its multiply-adds let one guess.
    What is prepared is the seconds of one; compiling is in the text alone.
    """
    plan, config = work.plan, work.plan.config
    if not work.left:
        return Estimate({}, 0.0, "")
    assert work.folder is not None
    identity = {**FOLDER.header, "study": config_digest(config)}
    made = all_trainings(work.folder, work.left, identity, config, before=False)
    number = len(work.left) * config["num_seeds"] * config["max_evaluations"]
    number -= 0 if made is None else len(made.archs)
    there = all_trainings(work.folder, config["searchers"], identity, config)
    if there is None or not len(there.archs):
        keys = jax.random.split(jax.random.key(0), _SAMPLED)
        archs = np.asarray(jax.jit(jax.vmap(plan.network.space.sample))(keys))
        each, how = guess_seconds(archs, plan.dataset, plan.recipe, plan.network) / _SAMPLED, "by a rough guess"
        each *= work.share.processes  # of one of them
    else:
        each, how = float(np.mean(there.runs.seconds)), f"as long as the {len(there.archs):,} in the folder"
        if config.get("workers", 1) > 1:  # each has a device for itself
            each /= min(jax.local_device_count(), config["workers"] * config["num_seeds"])
    total = each * number + _START + REPORT_SECONDS
    compiling = duration(guess_compile_seconds(plan.network))
    told = (
        f"at most {counted(number, 'training')}: about {duration(total)}, {how}, and before some {compiling} to "
        "compile their program (seconds where it has been compiled before)"
    )
    return Estimate(dict.fromkeys(work.left, each * number / len(work.left)), total, told, each)


class Pace:
    """What compiling and trainings have taken in this process, which it says once, after the first."""

    def __init__(self, work: Work):
        self._work = work
        self._left = len(work.left) * work.plan.config["num_seeds"] * work.plan.config["max_evaluations"]
        self._compiling = self._training = 0.0
        self._trainings = 0
        self._latest, self._compiled_before = time.perf_counter(), 0.0  # as `made` was called last

    def skip(self, evaluations: int) -> None:
        """Leaves out evaluations that were made before."""
        self._left -= evaluations

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Says that something is compiled while the block runs, and measures it."""
        work, begin = self._work, time.perf_counter()
        with work.bar.apart("compiling the trainings' program", guess_compile_seconds(work.plan.network)):
            yield
        self._compiling += time.perf_counter() - begin

    @contextlib.contextmanager
    def training(self, trainings: int, evaluations: int) -> Iterator[None]:
        """Measures as many trainings, which are made in the block, compiling apart.

        Args:
          trainings: How many.
          evaluations: Of which these are those that nobody had asked for before.
        """
        begin, compiled = time.perf_counter(), self._compiling
        yield
        self._count(trainings, evaluations, time.perf_counter() - begin - (self._compiling - compiled))

    def made(self, trainings: int, evaluations: int) -> None:
        """Counts what has been made since the last time, on several devices; arguments are as above."""
        now, compiled = time.perf_counter(), self._compiling
        took = now - self._latest - (compiled - self._compiled_before)
        self._latest, self._compiled_before = now, compiled
        self._count(trainings, evaluations, max(took, 0.0))

    def _count(self, trainings: int, evaluations: int, took: float) -> None:
        first = not self._trainings
        self._left -= evaluations
        self._trainings, self._training = self._trainings + trainings, self._training + took
        if first and trainings:
            self._work.bar.aside(
                self._work.say,
                f"compiled in {duration(self._compiling)}; {counted(trainings, 'training')} took {duration(took)}, "
                f"so that at most {self._left:,} more take about {duration(self._left * took / trainings)}",
            )

    def words(self, number: int) -> str:
        """Returns how long as many trainings take at most, by those made so far; nothing before the first."""
        if not self._trainings:
            return ""
        each = self._training / self._trainings
        return f"at most {counted(number, 'training')}, about {duration(number * each)} by those made so far"
