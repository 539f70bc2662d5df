"""Which evaluations a run accepts, how far it has come with them, and the trace that takes them up."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._checks import Overshoot
from jnas.core._draws import fold_in
from jnas.core._search_words import is_sound
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Trace
from jnas.core.stepping._clock import Moment, has_come, is_past, later


class RunProgress(NamedTuple):
    """How far a run has come. Seconds are a sum of two floats, since one float32 counts 5e6 s in steps of 0.5 s."""

    num_done: Array  # [] int32, evaluations accepted
    elapsed: Array  # [] float32, seconds spent
    elapsed_low: Array  # [] float32, what `elapsed` lost to rounding
    stopped: Array  # [] bool
    stopped_by: Array  # [] int32, index into `STOPPED_BY`


class Rows(NamedTuple):
    """Evaluations of one step, before they stand in a trace."""

    arch: Array  # [B, E] int32
    fidelity: Array  # [B] int32
    score: Array  # [B] float32
    seconds: Array  # [B] float32
    valid: Array  # [B] bool
    accepted: Array  # [B] bool
    objectives: Array | None  # [B, O] float32
    finish: Array | None = None  # [B, 2] float32, with several workers alone, as `Trace` has them
    worker: Array | None = None  # [B] int32


def start_progress() -> RunProgress:
    """Returns the progress of a run before its first evaluation."""
    return RunProgress(jnp.int32(0), jnp.float32(0), jnp.float32(0), jnp.bool_(False), jnp.int32(0))


def now(progress: RunProgress) -> Moment:
    """Returns the moment at which a run stands."""
    return Moment(progress.elapsed, progress.elapsed_low)


def admit(
    progress: RunProgress,
    proposal: Proposal,
    evaluation: Evaluation,
    budget: Array,
    capacity: int,
    overshoot: Overshoot,
    finish: Moment | None = None,
    exhausted: Array | None = None,
) -> tuple[RunProgress, Rows]:
    """Takes a step's evaluations in order until the budget or the capacity is reached.

    Args:
      progress: How far the run has come.
      proposal: What was asked, `B` rows.
      evaluation: What was answered.
      budget: Seconds; infinity for none.
      capacity: Most evaluations.
      overshoot: Whether the evaluation that exceeds the budget is discarded or kept; either ends the run.
      finish: When each evaluation ends, ascending; by default one begins as the other ends.
      exhausted: Whether nothing is left to try; by default where no row is valid.

    Returns:
      The new progress and the rows, `accepted` telling which count.
    """

    def take(progress: RunProgress, row: tuple[Array, Array, Moment | None]) -> tuple[RunProgress, Array]:
        valid, seconds, ends = row
        moment = later(now(progress), seconds) if ends is None else ends
        over = is_past(moment, budget)
        wanted = valid & ~progress.stopped
        full = progress.num_done >= capacity
        accepted = wanted & ~full & ~over if overshoot == "discard" else wanted & ~full
        spent = over if overshoot == "discard" else has_come(moment, budget)
        out_of_budget = wanted & ~full & spent
        num_done = progress.num_done + accepted
        stops = out_of_budget | (wanted & (num_done >= capacity))
        return RunProgress(
            num_done=num_done,
            elapsed=jnp.where(accepted, moment.high, progress.elapsed),
            elapsed_low=jnp.where(accepted, moment.low, progress.elapsed_low),
            stopped=progress.stopped | stops,
            stopped_by=jnp.where(out_of_budget, 1, progress.stopped_by),
        ), accepted

    nothing = ~progress.stopped & (~jnp.any(proposal.valid) if exhausted is None else exhausted)
    seconds = jnp.asarray(evaluation.seconds, jnp.float32)
    sound = seconds >= 0  # False for NaN too: such a cost would never end the run
    seconds = jnp.where(sound, seconds, 0)
    if proposal.valid.shape[0] == 1:
        progress, accepted = take(progress, jax.tree.map(lambda column: column[0], (proposal.valid, seconds, finish)))
        accepted = accepted[None]
    else:
        progress, accepted = jax.lax.scan(take, progress, (proposal.valid, seconds, finish))
    progress = progress._replace(
        stopped=progress.stopped | nothing, stopped_by=jnp.where(nothing, 2, progress.stopped_by)
    )
    rows = Rows(
        arch=proposal.archs,
        fidelity=proposal.fidelity,
        score=jnp.asarray(evaluation.score, jnp.float32),
        seconds=seconds,
        valid=evaluation.valid & ~jnp.isnan(evaluation.score) & sound,
        accepted=accepted,
        objectives=None if evaluation.objectives is None else jnp.asarray(evaluation.objectives, jnp.float32),
    )
    return progress, rows


def answered(objective: Any, evaluation: Evaluation) -> Evaluation:
    """Returns what an objective answered, as a searcher is told it and a trace keeps it.

    One rule for both: a score or a cost that is not finite in float32, and a cost below 0, make an evaluation invalid.
    Such a score becomes NaN, such a cost 0. An objective that says that it is sound is not looked at.
    """
    if is_sound(objective):
        return evaluation
    score, seconds = (jnp.asarray(x, jnp.float32) for x in evaluation[:2])
    counts, paid = jnp.isfinite(score), jnp.isfinite(seconds) & (seconds >= 0)
    return evaluation._replace(
        score=jnp.where(counts, score, jnp.nan),
        seconds=jnp.where(paid, seconds, 0),
        valid=evaluation.valid & counts & paid,
    )


def row_keys(key: Key, progress: RunProgress, proposal: Proposal) -> Key:
    """Returns a key `[B]` for each row: that of its own row in the trace, or of the row that it continues."""
    own = progress.num_done + places_among(proposal.valid)
    rows = jnp.where(proposal.resumes >= 0, proposal.resumes, own)
    return jax.vmap(fold_in, (None, 0))(key, rows.astype(jnp.uint32))


def places_among(flags: Array) -> Array:
    """Returns of each row `[B]` that counts how many do before it."""
    return jnp.zeros((1,), jnp.int32) if flags.shape == (1,) else jnp.cumsum(flags, dtype=jnp.int32) - 1


def empty_trace(
    capacity: int, num_decisions: int, num_objectives: int | None = None, several_workers: bool = False
) -> Trace:
    """Returns a trace of unused rows; without further objectives, or several workers, it has no place for theirs."""
    return Trace(
        arch=jnp.zeros((capacity, num_decisions), jnp.int32),
        fidelity=jnp.zeros((capacity,), jnp.int32),
        score=jnp.full((capacity,), jnp.nan, jnp.float32),
        seconds=jnp.zeros((capacity,), jnp.float32),
        valid=jnp.zeros((capacity,), bool),
        mask=jnp.zeros((capacity,), bool),
        stopped_by=jnp.int32(0),
        objectives=None if num_objectives is None else jnp.full((capacity, num_objectives), jnp.nan, jnp.float32),
        finish=jnp.zeros((capacity, 2), jnp.float32) if several_workers else None,
        worker=jnp.full((capacity,), -1, jnp.int32) if several_workers else None,
    )


def columns(trace: Trace) -> Rows:
    """Returns what a trace holds of each row, as a step's rows have it: `[T, ...]`."""
    return Rows(*trace[:6], trace.objectives, trace.finish, trace.worker)
