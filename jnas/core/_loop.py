"""The search loop: one compiled program over a pure objective, or driven from Python when evaluations are real."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._carried import apart
from jnas.core._checks import (
    Overshoot,
    check_capacity,
    check_fidelities,
    check_proposal,
    check_state,
    check_step,
    resolve_capacity,
)
from jnas.core._draws import fold_in, split
from jnas.core._lanes import all_lanes
from jnas.core._once import once
from jnas.core._search_words import is_sound
from jnas.core._sharding import with_automatic_axes
from jnas.core._vocabulary import Array, Evaluation, Key, Objective, Proposal, Searcher, State, Trace


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


def start_progress() -> RunProgress:
    """Returns the progress of a run before its first evaluation."""
    return RunProgress(jnp.int32(0), jnp.float32(0), jnp.float32(0), jnp.bool_(False), jnp.int32(0))


def _add_seconds(progress: RunProgress, seconds: Array) -> tuple[Array, Array]:
    """Adds in about 48 bits (Knuth's two-sum); returns the new `(elapsed, elapsed_low)`."""
    high = progress.elapsed + seconds
    part = high - progress.elapsed
    # What rounding took from `high`, exactly; XLA keeps the order of additions, so it is not simplified to 0. (float64
    # would do, but JAX has it for a whole program or not at all.)
    low = progress.elapsed_low + ((progress.elapsed - (high - part)) + (seconds - part))
    total = high + low
    # Again, so that `low` is less than a step of `total`: then comparing `total` with the budget first is right.
    return total, low - (total - high)


def admit(
    progress: RunProgress,
    proposal: Proposal,
    evaluation: Evaluation,
    budget: Array,
    capacity: int,
    overshoot: Overshoot,
) -> tuple[RunProgress, Rows]:
    """Takes a step's evaluations in order until the budget or the capacity is reached.

    Args:
      progress: How far the run has come.
      proposal: What was asked, `B` rows.
      evaluation: What was answered.
      budget: Seconds; infinity for none.
      capacity: Most evaluations.
      overshoot: Whether the evaluation that exceeds the budget is discarded or kept; either ends the run.

    Returns:
      The new progress and the rows, `accepted` telling which count.
    """

    def take(progress: RunProgress, row: tuple[Array, Array]) -> tuple[RunProgress, Array]:
        valid, seconds = row
        elapsed, low = _add_seconds(progress, seconds)
        # One comparison in two parts, so that the budget is judged to more than float32's precision.
        over = (elapsed > budget) | ((elapsed == budget) & (low > 0))
        wanted = valid & ~progress.stopped
        full = progress.num_done >= capacity
        accepted = wanted & ~full & ~over if overshoot == "discard" else wanted & ~full
        spent = over if overshoot == "discard" else over | ((elapsed == budget) & (low >= 0))
        out_of_budget = wanted & ~full & spent
        num_done = progress.num_done + accepted
        stops = out_of_budget | (wanted & (num_done >= capacity))
        return RunProgress(
            num_done=num_done,
            elapsed=jnp.where(accepted, elapsed, progress.elapsed),
            elapsed_low=jnp.where(accepted, low, progress.elapsed_low),
            stopped=progress.stopped | stops,
            stopped_by=jnp.where(out_of_budget, 1, progress.stopped_by),
        ), accepted

    nothing = ~progress.stopped & ~jnp.any(proposal.valid)
    seconds = jnp.asarray(evaluation.seconds, jnp.float32)
    sound = seconds >= 0  # False for NaN too: such a cost would never end the run
    seconds = jnp.where(sound, seconds, 0)
    if proposal.valid.shape[0] == 1:
        progress, accepted = take(progress, (proposal.valid[0], seconds[0]))
        accepted = accepted[None]
    else:
        progress, accepted = jax.lax.scan(take, progress, (proposal.valid, seconds))
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
    own = progress.num_done + _places(proposal.valid)
    rows = jnp.where(proposal.resumes >= 0, proposal.resumes, own)
    return jax.vmap(fold_in, (None, 0))(key, rows.astype(jnp.uint32))


def _places(flags: Array) -> Array:
    """Returns of each row `[B]` that counts how many do before it."""
    return jnp.zeros((1,), jnp.int32) if flags.shape == (1,) else jnp.cumsum(flags, dtype=jnp.int32) - 1


def empty_trace(capacity: int, num_decisions: int, num_objectives: int | None = None) -> Trace:
    """Returns a trace of unused rows; without a number of further objectives it has no place for any."""
    return Trace(
        arch=jnp.zeros((capacity, num_decisions), jnp.int32),
        fidelity=jnp.zeros((capacity,), jnp.int32),
        score=jnp.full((capacity,), jnp.nan, jnp.float32),
        seconds=jnp.zeros((capacity,), jnp.float32),
        valid=jnp.zeros((capacity,), bool),
        mask=jnp.zeros((capacity,), bool),
        stopped_by=jnp.int32(0),
        objectives=None if num_objectives is None else jnp.full((capacity, num_objectives), jnp.nan, jnp.float32),
    )


def columns(trace: Trace) -> Rows:
    """Returns what a trace holds of each row, as a step's rows have it: `[T, ...]`."""
    return Rows(*trace[:6], trace.objectives)


def run(
    searcher: Searcher,
    objective: Objective | Callable[[Key, Proposal], Evaluation],
    key: Key,
    *,
    budget_seconds: Any = None,
    max_evaluations: int | None = None,
    overshoot: Overshoot = "discard",
) -> Trace:
    """Returns the trace of one search; works under `jit` and `vmap`.

    Args:
      searcher: From `jnas.searchers`, or your own.
      objective: From `Table.objective` or `jnas.function_objective`, or any pure `(keys, proposal) -> Evaluation`. An
        answer that is not finite in float32, or a cost below 0, is an invalid evaluation, as `jnas.Evaluation` says.
      key: A typed PRNG key `[]`.
      budget_seconds: Simulated seconds after which the run ends; may be traced if `max_evaluations` is given.
      max_evaluations: Python int, the trace's capacity. By default the budget over the cheapest evaluation's cost.
      overshoot: `'discard'` drops the evaluation that would exceed the budget (as the scripts of NAS-Bench-201 do),
        `'keep'` takes it as the last one (as those of NATS-Bench do).

    Returns:
      A trace with `T = max_evaluations` rows. `stopped_by` says whether capacity, budget or the searcher ended it.

    Raises:
      ValueError: An argument is out of range, the searcher needs fidelities that the objective does not have, or it
        cannot be compiled.
      TypeError: The objective's answer does not have the shape of the proposal.

    Example:
      >>> searcher = jnas.searchers.random_search(jnas.spaces.categorical((4, 4, 4)))
      >>> objective = jnas.function_objective(lambda key, arch: arch.sum(), seconds=60.0)
      >>> run = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=20, budget_seconds=630.0))
      >>> trace = run(jax.random.key(0))
      >>> trace.arch.shape, int(jnas.statistics.num_evaluations(trace)), str(jnas.statistics.stopped_by(trace))
      ((20, 3), 10, 'budget')
    """
    if not searcher.compiled:
        raise ValueError(
            f"{searcher.name} cannot be compiled (its steps are Python), so that jnas.run cannot run it; pass it to "
            "jnas.search, which drives a search from Python"
        )
    capacity = check_capacity(resolve_capacity(objective, budget_seconds, max_evaluations, overshoot))
    check_fidelities(searcher, objective)
    budget = jnp.asarray(jnp.inf if budget_seconds is None else budget_seconds, jnp.float32)

    def whole(key: Key, budget: Array) -> Trace:
        return _run(searcher, objective, key, budget, capacity, overshoot)

    trace: Trace = with_automatic_axes(whole, key, budget)
    return trace


def _run(searcher: Searcher, objective: Any, key: Key, budget: Array, capacity: int, overshoot: Overshoot) -> Trace:
    """Returns the trace of a search whose arguments have been checked."""
    search_key, objective_key = split(key)
    state = jax.tree.map(jnp.asarray, searcher.init(search_key, capacity))  # a Python number is a weak type

    def step(carry: tuple[State, RunProgress]) -> tuple[tuple[State, RunProgress], Rows]:
        before, progress = carry
        proposal, state = searcher.ask(before)
        check_proposal(searcher, proposal)
        proposal = proposal._replace(archs=once(proposal.archs))
        evaluation = objective(row_keys(objective_key, progress, proposal), proposal)
        check_step(searcher, proposal, evaluation)
        evaluation = once(answered(objective, evaluation))
        progress, rows = once(admit(progress, proposal, evaluation, budget, capacity, overshoot))
        state = searcher.tell(state, proposal._replace(valid=rows.accepted), evaluation)
        check_state(searcher, before, state)
        return (state, progress), rows

    step = jax.jit(step, inline=True)  # traced once for its shapes and the loop
    _, rows = jax.eval_shape(step, (state, start_progress()))
    batch, num_decisions = rows.arch.shape

    def keep_going(loop: tuple[Array, tuple[State, RunProgress], Trace]) -> Array:
        i, (_, progress), _ = loop
        go_on: Array = (i < capacity) & ~all_lanes(progress.stopped)  # every step but the last accepts a row
        return go_on

    def advance(loop: tuple[Array, tuple[State, RunProgress], Trace]) -> tuple[Array, tuple[State, RunProgress], Trace]:
        i, (state, progress), trace = loop
        first = progress.num_done
        (state, progress), rows = step((state, progress))
        if batch == 1:  # a row stands where its step stands: one plain slice, the same for every lane
            write = lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, i, 0)  # noqa: E731
        else:
            place = jnp.where(rows.accepted, first + _places(rows.accepted), capacity)
            write = lambda old, new: old.at[place].set(new, mode="drop")  # noqa: E731
        *written, objectives = jax.tree.map(write, columns(trace), rows)
        return i + 1, (state, progress), Trace._make([*written, progress.stopped_by, objectives])

    num_objectives = None if rows.objectives is None else rows.objectives.shape[1]
    trace = empty_trace(capacity, num_decisions, num_objectives)
    start = apart(lambda loop: (advance(loop), None), (jnp.int32(0), (state, start_progress()), trace), key)
    return _blank_unused(jax.lax.while_loop(keep_going, advance, start)[2])


def _blank_unused(trace: Trace) -> Trace:
    """Returns the trace with unused rows as `empty_trace` has them, so that equal runs have equal traces."""
    mask = trace.mask
    return Trace(
        arch=jnp.where(mask[:, None], trace.arch, 0),
        fidelity=jnp.where(mask, trace.fidelity, 0),
        score=jnp.where(mask, trace.score, jnp.nan),
        seconds=jnp.where(mask, trace.seconds, 0),
        valid=trace.valid & mask,
        mask=mask,
        stopped_by=trace.stopped_by,
        objectives=None if trace.objectives is None else jnp.where(mask[:, None], trace.objectives, jnp.nan),
    )
