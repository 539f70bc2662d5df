"""What a search is told of the architectures that it asks for, and which of them need no training for that."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jnas.core._vocabulary import Searcher, Trace
from jnas.searchers._recorded import arguments_of
from jnas.studies.trainings._objectives import counts_of, goals_of, told_of
from jnas.studies.trainings._plan import TrainingSearchPlan
from jnas.studies.trainings._searches import Answers
from jnas.studies.trainings._store import Store
from jnas.training.data._text import TextDataset
from jnas.training.runs._jobs import Runs


class Answering:
    """What one searcher is told.

    A network that is known to be above a bound before it is trained, by its parameters or multiply-adds, never wins,
    and how far above it is depends on no training. So it is spared one, unless the searcher knows nothing of bounds
    and learns from all scores (`constraint='filter'`).
    """

    def __init__(self, plan: TrainingSearchPlan, store: Store, counts: Any, searcher: Searcher):
        """Use `answering`."""
        self._plan, self._store, self._counts = plan, store, counts
        self._goals = goals_of(plan.config)
        self._spares = bool(self._goals.at_most) and arguments_of(searcher).get("constraint") != "filter"
        # What the score of a spared network is said to be: no searcher looks at it before it looks at the bounds.
        self._lowest = -float(plan.dataset.num_tokens) if isinstance(plan.dataset, TextDataset) else 0.0
        self._spared: dict[bytes, bool] = {}
        self._several = int(plan.config.get("workers", 1)) > 1

    def spared(self, archs: np.ndarray) -> np.ndarray:
        """Returns which of `archs [N, E]`, as they are trained, are told of without training, bool `[N]`."""
        if not self._spares:
            return np.zeros(len(archs), bool)
        new = [arch for arch in archs if arch.tobytes() not in self._spared]
        if new:
            known = {**self._counts(np.stack(new)), "train_seconds": np.zeros(len(new), np.float32)}
            over = self._goals.violations(known) > 0
            self._spared |= {arch.tobytes(): bool(above) for arch, above in zip(new, over, strict=True)}
        return np.asarray([self._spared[arch.tobytes()] for arch in archs], bool)

    def has(self, arch: np.ndarray) -> bool:
        """Returns whether an architecture `[E]` has been trained, or need not be."""
        return bool(self.spared(arch[None])[0]) or self._store.has(arch)

    def keep_alone(self, name: str, arch: np.ndarray, runs: Runs) -> None:
        """Keeps what came of an architecture `[E]`, as the next round of a searcher that has been taken up."""
        self._store.keep_alone(name, arch, runs)

    def __call__(self, archs: np.ndarray) -> Answers:
        """Returns what `archs [N, E]` came to, which have been trained or are spared it."""
        spared = self.spared(archs)
        took = np.zeros(len(archs), np.float32)
        took[~spared] = self._store.seconds(archs[~spared])
        # Without workers a training counts as a second for each epoch, whatever it took.
        seconds = took if self._several else np.where(spared, 0, self._plan.recipe.epochs).astype(np.float32)
        scores = np.where(spared, np.float32(self._lowest), self._store.scores(archs))
        if self._goals.num_columns is None:
            return Answers(scores, seconds)
        known = {**self._counts(archs), "train_seconds": took / np.float32(self._plan.recipe.epochs)}
        return Answers(scores, seconds, *told_of(self._goals, known))

    def without_spared(self, traces: Trace, canonical: Callable[[np.ndarray], np.ndarray]) -> Trace:
        """Returns traces of NumPy arrays in which what was not trained has neither score nor time."""
        if not self._spares:
            return traces
        archs = np.asarray(traces.arch, np.int32)
        spared = self.spared(canonical(archs.reshape(-1, archs.shape[-1]))).reshape(archs.shape[:-1])
        spared &= np.asarray(traces.mask)
        further = np.array(traces.objectives)
        timed = [place for place, word in enumerate(self._goals.others) if word.partition("=")[0] == "train_seconds"]
        further[..., timed] = np.where(spared[..., None], np.float32(np.nan), further[..., timed])
        return traces._replace(
            score=np.where(spared, np.float32(np.nan), np.asarray(traces.score)),  # type: ignore[arg-type]
            objectives=further,  # type: ignore[arg-type]
        )


def answering(plan: TrainingSearchPlan, store: Store) -> Callable[[Searcher], Answering]:
    """Returns what makes the answers to a searcher, all of which count parameters and multiply-adds together."""
    counts = counts_of(plan.network)
    return lambda searcher: Answering(plan, store, counts, searcher)
