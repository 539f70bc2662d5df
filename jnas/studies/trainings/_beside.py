"""Searches with several workers: each goes on as soon as one of its trainings has ended, in the order of their seconds.

The clock of a search is that of the seconds which its trainings took, and which the folder keeps, as in a simulation on
a table: each worker counts as one device, whatever devices there are. So who is told when, and what is asked for next,
follows from the key and the folder alone: a search that was killed goes on as it would have, from the trainings that
are there, and a table of them repeats it. While trainings run, the one that ends first by that clock is known as soon
as all others have run for longer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Evaluation, Proposal, Searcher
from jnas.core.stepping._workers import Workers
from jnas.studies.trainings._devices import Devices
from jnas.studies.trainings._searches import Answers, Asked, Canonical, Run, as_evaluation, ask, tell, written
from jnas.training.runs._jobs import Runs

_PATIENCE = 0.05  # seconds between two looks at trainings that still run

Answer = Callable[[np.ndarray], Answers]
"""From architectures of which there is nothing to train, int32 `[N, E]`, to what their evaluations came to."""


class Known(Protocol):
    """Of which architectures there is nothing to train, and where trainings are kept."""

    def has(self, arch: np.ndarray) -> bool:
        """Returns whether an architecture `[E]` has been trained, or need not be."""

    def keep_alone(self, name: str, arch: np.ndarray, runs: Runs) -> None:
        """Keeps what came of an architecture `[E]`."""


class Search:
    """One search with several workers, which goes on as far as what has been trained lets it."""

    def __init__(self, searcher: Searcher, steps: Any, run: Run, canonical: Canonical):
        """Takes a search before its first proposal, with the steps of its searcher (`compile_steps`)."""
        self.run, self._steps, self._canonical = run, steps, canonical
        self._one_by_one = steps.apart is not None
        self._open: dict[int, np.ndarray] = {}  # by the step at which it began, what has not been answered yet [E]
        self._full = False  # nothing more is begun before something has ended
        self._batch: Asked | None = None  # a proposal whose rows are shared, all of which are told together
        self._capacity = len(run.trace.mask)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be asked for."""
        return bool(self.run.progress.stopped)

    @property
    def num_told(self) -> int:
        """How many evaluations it was told."""
        return int(self.run.progress.num_done)

    def advance(self, store: Known, answer: Answer, least: Callable[[np.ndarray], float]) -> list[np.ndarray]:
        """Goes on until it waits for a training, and returns the architectures `[E]` that it asked for on the way.

        Args:
          store: What has been trained, or need not be.
          answer: What that is worth.
          least: How long an architecture that has not been trained will take at least, of those asked for before.
        """
        wanted: list[np.ndarray] = []
        advance = self._advance_one if self._one_by_one else self._advance_batch
        while not self.ended and advance(store, answer, least, wanted):
            pass
        return wanted

    def _advance_batch(self, store: Known, answer: Answer, _: Any, wanted: list[np.ndarray]) -> bool:
        """Asks for a proposal, or tells of it where all of it has been trained; returns whether it did either."""
        if self._batch is None:
            self._batch = ask(self._steps, self.run, self._capacity, self._canonical)
            wanted.extend(self._batch.archs)
            return True
        if not all(map(store.has, self._batch.archs)):
            return False
        self.run = tell(self._steps, self.run, self._batch, answer(self._batch.archs))
        self._batch = None
        return True

    def _advance_one(self, store: Known, answer: Answer, least: Any, wanted: list[np.ndarray]) -> bool:
        """Begins an evaluation where a worker is free, or ends the first where all that is needed for it is known."""
        if not self._full:
            self._begin(wanted)
            return True
        for step, arch in [pair for pair in self._open.items() if store.has(pair[1])]:
            evaluation = as_evaluation(_ONE_ROW, np.asarray([0]), answer(arch[None]))
            state = self._steps.apart.answer(self.run.state, jnp.int32(step), evaluation)
            self.run = self.run._replace(state=state)
            del self._open[step]
        if not self._is_first_known(least, wanted):
            return False
        unknown = jnp.asarray(np.isin(self.run.state.workers.steps, list(self._open)))
        self.run = written(self.run, self._steps.apart.end(self.run.state, self.run.progress, unknown))
        self._full = False
        return True

    def _begin(self, wanted: list[np.ndarray]) -> None:
        asked = ask(self._steps, self.run, self._capacity, self._canonical)
        state = asked.state
        if len(asked.rows):
            self._open[int(state.workers.num_steps)] = asked.archs[0]
            wanted.append(asked.archs[0])
            unknown = _unknown(self.run, asked.proposal)
            state = self._steps.apart.begin(state, self.run.progress, asked.proposal, unknown)
        self.run = self.run._replace(state=state)
        self._full = not len(asked.rows) or bool(np.all(np.asarray(state.workers.steps) >= 0))

    def _is_first_known(self, least: Callable[[np.ndarray], float], wanted: list[np.ndarray]) -> bool:
        """Returns whether an evaluation has been answered that ends before all that have not, whatever they take."""
        workers: Workers = self.run.state.workers
        steps = np.asarray(workers.steps)
        moments = np.asarray(workers.finish.high, np.float64) + np.asarray(workers.finish.low, np.float64)
        is_open = np.isin(steps, list(self._open))
        if not is_open.any():
            return True
        known = moments[(steps >= 0) & ~is_open]
        new = {arch.tobytes() for arch in wanted}  # nobody has begun with them yet
        return bool(len(known)) and all(
            began + np.float32(0 if arch.tobytes() in new else least(arch)) > known.min()
            for began, arch in ((moments[list(steps).index(step)], arch) for step, arch in self._open.items())
        )


_NUMBER: Any = np.zeros((1,), np.int32)
_ONE_ROW = Proposal(_NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER == 0)


def _unknown(run: Run, proposal: Proposal) -> Evaluation:
    """Returns an answer in place of one that is not there yet."""
    nothing, further = jnp.zeros(proposal.valid.shape, jnp.float32), run.trace.objectives
    columns = None if further is None else jnp.zeros((*nothing.shape, further.shape[1]), jnp.float32)
    return Evaluation(nothing, nothing, jnp.zeros(nothing.shape, bool), columns)


def run_beside(
    name: str,
    searches: Mapping[int, Search],
    store: Known,
    devices: Devices,
    answer: Answer,
    told: Callable[[int, int], None],
) -> None:
    """Carries searches to their ends, what all of them ask for trained on whichever device is free.

    Args:
      name: The searcher's, for the files of its trainings.
      searches: By their number.
      store: Where trainings are kept as they end.
      devices: Which train.
      answer: What trainings are worth.
      told: Called with the evaluations that were told and the trainings that were made since the last time.

    Raises:
      Exception: What a training raised.
    """
    made = 0
    while True:
        before = sum(search.num_told for search in searches.values())
        for search in searches.values():
            for arch in search.advance(store, answer, devices.seconds):
                if not store.has(arch):
                    devices.train(arch)
        after = sum(search.num_told for search in searches.values())
        if after > before or made:
            told(after - before, made)
        if all(search.ended for search in searches.values()):
            return
        ended = devices.ended(_PATIENCE)
        for arch, runs in ended:
            store.keep_alone(name, arch, runs)
        made = len(ended)
