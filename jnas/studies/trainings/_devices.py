"""Trainings one by one on the devices of this machine, each on whichever is free."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.core._devices import only_on
from jnas.studies.trainings._plan import TrainingSearchPlan
from jnas.studies.trainings._store import Store
from jnas.training.runs._jobs import JobPrograms, JobsProgress, Runs
from jnas.training.runs._stopwatch import Stopwatch


class _Closed(Exception):
    """Nobody waits for this training any more."""


class _Job(NamedTuple):
    """A training that has been asked for and is not kept yet."""

    arch: np.ndarray  # int32 [E]
    watch: Stopwatch
    future: "Future[Runs]"


class Devices:
    """The local devices, each of which trains one architecture at a time, and who waits for one.

    A device runs its programs one after another, so that two trainings at once on one would each take twice as long.
    """

    def __init__(
        self,
        plan: TrainingSearchPlan,
        store: Store,
        compiled: Callable[[float], None],
        compiling: Callable[[], contextlib.AbstractContextManager[Any]],
    ):
        """Use `open_devices`."""
        self._plan, self._store, self._compiled, self._compiling = plan, store, compiled, compiling
        self._free: SimpleQueue[jax.Device] = SimpleQueue()
        for device in jax.local_devices():
            self._free.put(device)
        self._programs: dict[jax.Device, JobPrograms] = {}
        self._one_compiles = threading.Lock()
        self._threads = ThreadPoolExecutor(jax.local_device_count(), thread_name_prefix="device")
        self._jobs: dict[bytes, _Job] = {}
        self._closed = False

    def train(self, arch: np.ndarray) -> None:
        """Trains an architecture `[E]` as soon as a device is free, if it is not waiting or being trained already."""
        if arch.tobytes() not in self._jobs:
            watch = Stopwatch()
            future = self._threads.submit(self._train, arch, watch)
            self._jobs[arch.tobytes()] = _Job(arch, watch, future)

    def seconds(self, arch: np.ndarray) -> float:
        """Returns how long an architecture `[E]` that has been asked for will take at least."""
        return self._jobs[arch.tobytes()].watch.seconds

    def ended(self, patience: float) -> list[tuple[np.ndarray, Runs]]:
        """Returns what has been trained since, after waiting for it for at most so many seconds.

        Raises:
          Exception: What a training raised.
        """
        wait([job.future for job in self._jobs.values()], patience, FIRST_COMPLETED)
        found = [job for job in self._jobs.values() if job.future.done()]
        for job in found:
            del self._jobs[job.arch.tobytes()]
        return [(job.arch, job.future.result()) for job in found]

    def close(self) -> None:
        """Lets trainings end at their next checkpoint, from which they go on another time."""
        self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _train(self, arch: np.ndarray, watch: Stopwatch) -> Runs:
        def go_on(progress: JobsProgress) -> None:
            if self._closed and progress.chunks_done < progress.num_chunks:
                raise _Closed

        device = self._free.get()
        try:
            with only_on(device):
                if device not in self._programs:
                    own = JobPrograms(self._plan.recipe, self._plan.network, self._compiled, self._alone_compiling)
                    self._programs[device] = own
                return self._store.train_alone(arch, self._programs[device], watch, go_on)
        finally:
            self._free.put(device)

    @contextlib.contextmanager
    def _alone_compiling(self) -> Iterator[None]:
        """One device after another compiles: the second finds in the cache on disk what the first has put there."""
        with self._one_compiles, self._compiling():
            yield


@contextlib.contextmanager
def open_devices(
    plan: TrainingSearchPlan,
    store: Store,
    compiled: Callable[[float], None],
    compiling: Callable[[], contextlib.AbstractContextManager[Any]],
) -> Iterator[Devices]:
    """Gives the devices of this machine for trainings in the block.

    Args:
      plan: What is trained.
      store: Where trainings run, and are kept.
      compiled: As in `run_jobs`.
      compiling: As there.
    """
    devices = Devices(plan, store, compiled, compiling)
    try:
        yield devices
    finally:
        devices.close()
