"""The steps of a search with several workers, for the compiled loop and for that from Python.

A searcher with `ask_beside` is asked as each worker becomes free, and told each evaluation as it ends. Any other is
asked for a proposal, whose rows the workers share, and told all of it before it is asked again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._checks import Overshoot, check_proposal
from jnas.core._draws import fold_in
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, State
from jnas.core.stepping._admission import Rows, RunProgress, admit, now, places_among
from jnas.core.stepping._clock import Moment
from jnas.core.stepping._workers import Workers, answer, end_first, idle_workers, pending_work, share_batch, start


class WorkerState(NamedTuple):
    """What a search with several workers carries beside its progress."""

    searcher: State
    workers: Workers | None  # None where the rows of a proposal are shared: between proposals nobody is busy
    begun: Array  # [T] int32, of each row the number of the evaluation that began its training


class WorkerSteps(NamedTuple):
    """A step in two parts, between which the proposal is evaluated; evaluations are numbered as they are started."""

    init: Callable[[State, int, int | None], WorkerState]  # of a searcher's state, decisions, further objectives
    ask: Callable[[WorkerState, RunProgress, Key], tuple[Proposal, WorkerState, Key]]
    tell: Callable[[WorkerState, RunProgress, Proposal, Evaluation], tuple[WorkerState, RunProgress, Rows]]
    numbers: Callable[[WorkerState, RunProgress, Proposal], tuple[Array, Array]]  # of the rows, and begun by: [B]
    most_steps: int
    apart: "ApartSteps | None" = None  # of a searcher with `ask_beside`


class ApartSteps(NamedTuple):
    """What `WorkerSteps.tell` does, in parts: for evaluations whose answers come only when others have been begun.

    `tell` begins with a valid proposal of one row, and ends an evaluation where all workers are busy or the proposal is
    not valid; whoever does the same by these has to know the answers of all that could be the first to end.
    """

    begin: Callable[[WorkerState, RunProgress, Proposal, Evaluation], WorkerState]
    answer: Callable[[WorkerState, Array, Evaluation], WorkerState]  # what was begun at no seconds at a step
    end: Callable[[WorkerState, RunProgress, Array], tuple[WorkerState, RunProgress, Rows]]
    """Whoever is the first of those that have been answered; bool `[W]` says who has not been."""


def worker_steps(
    searcher: Searcher, budget: Array, capacity: int, overshoot: Overshoot, num_workers: int, most_started: int
) -> WorkerSteps:
    """Returns the steps of a searcher with several workers.

    Args:
      searcher: Any.
      budget: Seconds `[]`; infinity for none.
      capacity: Rows of the trace.
      overshoot: As in `admit`.
      num_workers: Python int.
      most_started: Most evaluations that are begun: the capacity, unless that only follows from a budget.
    """
    make = _in_turn if searcher.ask_beside is None else _ahead
    return make(searcher, budget, capacity, overshoot, num_workers, most_started)


def _ahead(
    searcher: Searcher, budget: Array, capacity: int, overshoot: Overshoot, num_workers: int, most_started: int
) -> WorkerSteps:
    most_steps = capacity + most_started

    def init(state: State, num_decisions: int, num_objectives: int | None) -> WorkerState:
        workers = idle_workers(num_workers, num_decisions, num_objectives)
        return WorkerState(state, workers, jnp.zeros((capacity,), jnp.int32))

    def ask(state: WorkerState, progress: RunProgress, key: Key) -> tuple[Proposal, WorkerState, Key]:
        assert state.workers is not None
        assert searcher.ask_beside is not None
        proposal, inner = searcher.ask_beside(state.searcher, pending_work(state.workers))
        check_proposal(searcher, proposal)
        if proposal.valid.shape != (1,):
            raise TypeError(
                f"{searcher.name}: ask_beside proposed {proposal.valid.shape[0]} architectures, expected one; leave it "
                "out, so that workers share the rows of what ask proposes"
            )
        room = (state.workers.num_started < most_started) & ~progress.stopped
        proposal = proposal._replace(valid=proposal.valid & room)
        asked = state._replace(searcher=inner)
        return proposal, asked, _keys(key, numbers(asked, progress, proposal)[1])

    def begin(state: WorkerState, progress: RunProgress, proposal: Proposal, evaluation: Evaluation) -> WorkerState:
        _, begun = numbers(state, progress, proposal)
        assert state.workers is not None
        return state._replace(workers=start(state.workers, proposal, evaluation, begun, now(progress)))

    def end(
        state: WorkerState, progress: RunProgress, busy: Array, ends: Array
    ) -> tuple[WorkerState, RunProgress, Rows]:
        assert state.workers is not None
        workers, ended, finish, worker = end_first(state.workers, ends)
        first, nothing = progress.num_done, ~jnp.any(busy)
        told, known = ended.proposal, ended.evaluation
        progress, rows = admit(progress, told, known, budget, capacity, overshoot, finish, nothing)
        inner = searcher.tell(state.searcher, told._replace(valid=rows.accepted), known)
        own = jnp.where(rows.accepted, first, capacity)
        # With one fidelity nothing is resumed.
        begun = state.begun.at[own].set(ended.begun, mode="drop") if searcher.num_fidelities > 1 else state.begun
        return WorkerState(inner, workers, begun), progress, _with_ends(rows, finish, worker)

    def tell(
        state: WorkerState, progress: RunProgress, proposal: Proposal, evaluation: Evaluation
    ) -> tuple[WorkerState, RunProgress, Rows]:
        state = begin(state, progress, proposal, evaluation)
        assert state.workers is not None
        busy = state.workers.steps >= 0
        # Nobody is free to begin with another, or nothing is asked for until more is known.
        return end(state, progress, busy, jnp.all(busy) | ~proposal.valid[0])

    def end_answered(
        state: WorkerState, progress: RunProgress, unknown: Array
    ) -> tuple[WorkerState, RunProgress, Rows]:
        assert state.workers is not None
        began = state.workers.finish
        never = began._replace(high=jnp.where(unknown, jnp.inf, began.high))
        busy = state.workers.steps >= 0
        timed = state._replace(workers=state.workers._replace(finish=never))
        after, progress, rows = end(timed, progress, busy, jnp.bool_(True))
        assert after.workers is not None
        return after._replace(workers=after.workers._replace(finish=began)), progress, rows

    def answer_one(state: WorkerState, step: Array, evaluation: Evaluation) -> WorkerState:
        assert state.workers is not None
        return state._replace(workers=answer(state.workers, step, evaluation))

    def numbers(state: WorkerState, progress: RunProgress, proposal: Proposal) -> tuple[Array, Array]:
        del progress
        assert state.workers is not None
        own = state.workers.num_started[None]
        return own, _begun(state, proposal, own)

    return WorkerSteps(init, ask, tell, numbers, most_steps, ApartSteps(begin, answer_one, end_answered))


def _in_turn(
    searcher: Searcher, budget: Array, capacity: int, overshoot: Overshoot, num_workers: int, most_started: int
) -> WorkerSteps:
    def init(state: State, num_decisions: int, num_objectives: int | None) -> WorkerState:
        del num_decisions, num_objectives
        return WorkerState(state, None, jnp.zeros((capacity,), jnp.int32))

    def ask(state: WorkerState, progress: RunProgress, key: Key) -> tuple[Proposal, WorkerState, Key]:
        proposal, inner = searcher.ask(state.searcher)
        check_proposal(searcher, proposal)
        asked = state._replace(searcher=inner)
        numbered = numbers(asked, progress, proposal)
        proposal = proposal._replace(valid=proposal.valid & (numbered[0] < most_started))
        return proposal, asked, _keys(key, numbered[1])

    def tell(
        state: WorkerState, progress: RunProgress, proposal: Proposal, evaluation: Evaluation
    ) -> tuple[WorkerState, RunProgress, Rows]:
        _, begun = numbers(state, progress, proposal)
        seconds = jnp.asarray(evaluation.seconds, jnp.float32)
        finish, worker, order = share_batch(proposal.valid, seconds, now(progress), num_workers)
        batch = (proposal, evaluation, finish, worker, begun)
        proposal, evaluation, finish, worker, begun = jax.tree.map(lambda column: column[order], batch)
        first = progress.num_done
        progress, rows = admit(progress, proposal, evaluation, budget, capacity, overshoot, finish)
        inner = searcher.tell(state.searcher, proposal._replace(valid=rows.accepted), evaluation)
        place = jnp.where(rows.accepted, first + places_among(rows.accepted), capacity)
        known = state.begun.at[place].set(begun, mode="drop") if searcher.num_fidelities > 1 else state.begun
        return WorkerState(inner, None, known), progress, _with_ends(rows, finish, worker)

    def numbers(state: WorkerState, progress: RunProgress, proposal: Proposal) -> tuple[Array, Array]:
        own = progress.num_done + places_among(proposal.valid)  # all that have been started have ended
        return own, _begun(state, proposal, own)

    return WorkerSteps(init, ask, tell, numbers, most_steps=capacity)


def _begun(state: WorkerState, proposal: Proposal, own: Array) -> Array:
    """Returns the numbers `[B]` of the evaluations that began the trainings of a proposal's rows."""
    resumes = proposal.resumes
    return jnp.where(resumes >= 0, jnp.asarray(state.begun)[jnp.maximum(resumes, 0)], own)


def _keys(key: Key, numbers: Array) -> Key:
    """Returns a key `[B]` of each training: with one worker, those of the loop without workers."""
    return jax.vmap(fold_in, (None, 0))(key, numbers.astype(jnp.uint32))


def _with_ends(rows: Rows, finish: Moment, worker: Array) -> Rows:
    return rows._replace(finish=jnp.stack(finish, axis=-1), worker=worker)


def num_further(evaluation: Any) -> int | None:
    """Returns how many further objectives an evaluation, or its shapes, have; None for none."""
    found = getattr(evaluation, "objectives", None)  # what is no Evaluation is refused when it is made
    return None if found is None or len(found.shape) != 2 else int(found.shape[1])
