"""The search loop: one compiled program over a pure objective, or driven from Python when evaluations are real."""

from collections.abc import Callable
from typing import Any

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
from jnas.core._draws import split
from jnas.core._lanes import all_lanes
from jnas.core._once import once
from jnas.core._sharding import with_automatic_axes
from jnas.core._vocabulary import Array, Evaluation, Key, Objective, Proposal, Searcher, State, Trace
from jnas.core.stepping._admission import (
    Rows,
    RunProgress,
    admit,
    answered,
    columns,
    empty_trace,
    places_among,
    row_keys,
    start_progress,
)
from jnas.core.stepping._steps import WorkerState, WorkerSteps, num_further, worker_steps


def run(
    searcher: Searcher,
    objective: Objective | Callable[[Key, Proposal], Evaluation],
    key: Key,
    *,
    budget_seconds: Any = None,
    max_evaluations: int | None = None,
    overshoot: Overshoot = "discard",
    workers: int = 1,
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
      workers: How many evaluations are made side by side, a Python int. Each worker takes its evaluation's seconds;
        results are told as they come (`Searcher.ask_beside`), and rows stand in the order in which evaluations ended,
        of equal moments in that in which they began. At most `max_evaluations` are begun.

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
    capacity = check_capacity(resolve_capacity(objective, budget_seconds, max_evaluations, overshoot, workers))
    check_fidelities(searcher, objective)
    started = capacity + (workers if max_evaluations is None else 0)
    budget = jnp.asarray(jnp.inf if budget_seconds is None else budget_seconds, jnp.float32)

    def whole(key: Key, budget: Array) -> Trace:
        if workers > 1:
            steps = worker_steps(searcher, budget, capacity, overshoot, workers, started)
            return run_with_workers(searcher, objective, key, capacity, steps)
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
            place = jnp.where(rows.accepted, first + places_among(rows.accepted), capacity)
            write = lambda old, new: old.at[place].set(new, mode="drop")  # noqa: E731
        trace = _written(trace, rows, progress, write)
        return i + 1, (state, progress), trace

    num_objectives = None if rows.objectives is None else rows.objectives.shape[1]
    trace = empty_trace(capacity, num_decisions, num_objectives)
    start = apart(lambda loop: (advance(loop), None), (jnp.int32(0), (state, start_progress()), trace), key)
    return _blank_unused(jax.lax.while_loop(keep_going, advance, start)[2])


def _written(trace: Trace, rows: Rows, progress: RunProgress, write: Callable[[Array, Array], Array]) -> Trace:
    """Returns a trace with the rows of a step, each column written by a function of the old one and the new rows."""
    *written, objectives, finish, worker = jax.tree.map(write, columns(trace), rows)
    return Trace._make([*written, progress.stopped_by, objectives, finish, worker])


def run_with_workers(searcher: Searcher, objective: Any, key: Key, capacity: int, steps: WorkerSteps) -> Trace:
    """Returns the trace of a search whose steps are those of several workers; arguments have been checked.

    A step begins one evaluation (or the rows of a proposal) and ends one, or does one of the two: until all workers are
    busy nothing ends, and where a searcher waits nothing begins.
    """
    search_key, objective_key = split(key)
    inner = jax.tree.map(jnp.asarray, searcher.init(search_key, capacity))  # a Python number is a weak type

    def evaluated(state: WorkerState, progress: RunProgress) -> tuple[Proposal, WorkerState, Evaluation]:
        proposal, asked, keys = steps.ask(state, progress, objective_key)
        proposal = proposal._replace(archs=once(proposal.archs))
        evaluation = objective(keys, proposal)
        check_step(searcher, proposal, evaluation)
        return proposal, asked, once(answered(objective, evaluation))

    shape = jax.eval_shape(searcher.ask, inner)[0]
    check_proposal(searcher, shape)
    num_decisions = shape.archs.shape[1]
    blank = steps.init(inner, num_decisions, None)
    further = num_further(jax.eval_shape(lambda: evaluated(blank, start_progress())[2]))

    def step(carry: tuple[WorkerState, RunProgress]) -> tuple[tuple[WorkerState, RunProgress], Rows]:
        before, progress = carry
        proposal, asked, evaluation = evaluated(before, progress)
        after, progress, rows = steps.tell(asked, progress, proposal, evaluation)
        check_state(searcher, before.searcher, after.searcher)
        return (after, once(progress)), once(rows)

    step = jax.jit(step, inline=True)  # traced once for its shapes and the loop

    def keep_going(loop: tuple[Array, tuple[WorkerState, RunProgress], Trace]) -> Array:
        i, (_, progress), _ = loop
        go_on: Array = (i < steps.most_steps) & ~all_lanes(progress.stopped)
        return go_on

    def advance(
        loop: tuple[Array, tuple[WorkerState, RunProgress], Trace],
    ) -> tuple[Array, tuple[WorkerState, RunProgress], Trace]:
        i, (state, progress), trace = loop
        first = progress.num_done
        (state, progress), rows = step((state, progress))
        if in_place:
            write = lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, i, 0)  # noqa: E731
        else:
            place = jnp.where(rows.accepted, first + places_among(rows.accepted), capacity)
            write = lambda old, new: old.at[place].set(new, mode="drop")  # noqa: E731
        return i + 1, (state, progress), _written(trace, rows, progress, write)

    # Of one row a step, each stands where its step stands, one plain slice for all lanes, and moves up in the end.
    in_place = shape.valid.shape == (1,)
    trace = empty_trace(steps.most_steps if in_place else capacity, num_decisions, further, several_workers=True)
    begin = (steps.init(inner, num_decisions, further), start_progress())
    start = apart(lambda loop: (advance(loop), None), (jnp.int32(0), begin, trace), key)
    found = jax.lax.while_loop(keep_going, advance, start)[2]
    if in_place:
        found = _moved_up(found, capacity)
    return _blank_unused(found)


def _moved_up(trace: Trace, capacity: int) -> Trace:
    """Returns the trace `[capacity]` of the rows that count, in the order that they have in one with gaps `[N]`.

    Counted, not sorted: of many lanes the sort took longer than the searches.
    """
    number = jnp.cumsum(trace.mask, dtype=jnp.int32)
    steps = jnp.arange(trace.mask.shape[0], dtype=jnp.int32)
    order = jnp.zeros((capacity,), jnp.int32).at[jnp.where(trace.mask, number - 1, capacity)].set(steps, mode="drop")
    by_row = trace._replace(stopped_by=jnp.zeros_like(steps))
    moved: Trace = jax.tree.map(lambda column: column[order], by_row)
    return moved._replace(mask=jnp.arange(capacity) < number[-1], stopped_by=trace.stopped_by)


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
        finish=None if trace.finish is None else jnp.where(mask[:, None], trace.finish, 0),
        worker=None if trace.worker is None else jnp.where(mask, trace.worker, -1),
    )
