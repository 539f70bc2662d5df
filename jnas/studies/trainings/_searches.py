"""One search between two proposals: what it asks for, and what it is told of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._search import with_workers, write_rows
from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, State, Trace
from jnas.core.stepping._admission import RunProgress, empty_trace, start_progress

Canonical = Callable[[np.ndarray], np.ndarray]
"""From valid architectures `[N, E]` to those that are trained for them."""


class Run(NamedTuple):
    """One search between two proposals."""

    objective_key: Key
    state: State
    progress: RunProgress
    trace: Trace  # of NumPy arrays, written in place


class Asked(NamedTuple):
    """What a search asks for."""

    proposal: Proposal
    state: State
    rows: np.ndarray  # of the proposal: those that will be taken
    archs: np.ndarray  # int32 [rows, E]: what is trained for them


class Answers(NamedTuple):
    """What the evaluations of `N` architectures came to."""

    score: np.ndarray  # float32 [N], NaN where the training diverged
    seconds: np.ndarray  # float32 [N]
    objectives: np.ndarray | None = None  # float32 [N, O], as `Evaluation.objectives`
    keeps: np.ndarray | None = None  # bool [N], the constraints; None where there are none


def first_run(
    searcher: Searcher,
    steps: Any,
    key: Key,
    capacity: int,
    num_decisions: int,
    num_objectives: int | None = None,
    workers: int = 1,
) -> Run:
    """Returns a search before its first proposal.

    Args:
      searcher: Which searches.
      steps: From `compile_steps`.
      key: Of the search.
      capacity: Evaluations.
      num_decisions: Of its space.
      num_objectives: Columns of `Evaluation.objectives`; None for none.
      workers: Of each search.
    """
    search_key, objective_key = jax.random.split(key)
    init = jax.jit(searcher.init, static_argnums=1) if searcher.compiled else searcher.init
    trace = jax.tree.map(np.array, empty_trace(capacity, num_decisions, num_objectives, workers > 1))
    state = with_workers(searcher, steps, init(search_key, capacity), num_objectives)
    return Run(objective_key, state, start_progress(), trace)


def ask(steps: Any, run: Run, capacity: int, canonical: Canonical) -> Asked:
    """Returns what a search asks for next."""
    proposal, state, _ = steps.ask(run.state, run.progress, run.objective_key)
    rows = np.flatnonzero(np.asarray(proposal.valid))[: capacity - int(run.progress.num_done)]
    archs = np.asarray(proposal.archs, np.int32)
    # All of a proposal have one shape, so that what is not asked for costs no program of its own.
    return Asked(proposal, state, rows, canonical(archs)[rows])


def as_evaluation(proposal: Proposal, rows: np.ndarray, answers: Answers) -> Evaluation:
    """Returns answers for some rows of a proposal as an evaluation of all of it; of the others there is none."""
    count = len(proposal.valid)

    def spread(values: np.ndarray, blank: Any) -> np.ndarray:
        whole = np.full((count, *values.shape[1:]), blank, values.dtype)
        whole[rows] = values
        return whole

    keeps = True if answers.keeps is None else answers.keeps
    found = Evaluation(
        score=spread(answers.score, np.nan),  # type: ignore[arg-type]
        seconds=spread(answers.seconds, 0),  # type: ignore[arg-type]
        valid=spread(np.isfinite(answers.score) & keeps, False),  # type: ignore[arg-type]
        objectives=None if answers.objectives is None else spread(answers.objectives, np.nan),  # type: ignore[arg-type]
    )
    return jax.tree.map(jnp.asarray, found)  # type: ignore[no-any-return]


def tell(steps: Any, run: Run, asked: Asked, answers: Answers) -> Run:
    """Tells a search what its proposal is worth, a row of the answers for each that will be taken."""
    evaluation = as_evaluation(asked.proposal, asked.rows, answers)
    return written(run, steps.tell(asked.state, run.progress, asked.proposal, evaluation))


def written(run: Run, told: tuple[State, RunProgress, Any]) -> Run:
    """Returns a search after a step has told it something, with what was told in its trace."""
    state, progress, rows = told
    write_rows(run.trace, rows, progress)
    return run._replace(state=state, progress=progress)
