"""Workers that evaluate side by side: what each is at, which ends first, and how a batch is shared among them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Evaluation, Proposal
from jnas.core.stepping._clock import Moment, earliest, first_true, later


class StartedEvaluation(NamedTuple):
    """An evaluation that has been started, as rows of one or of several."""

    proposal: Proposal  # [N, ...]
    evaluation: Evaluation  # [N, ...], what will be answered
    begun: Array  # [N] int32, the number of the evaluation that began the training


class Workers(NamedTuple):
    """`W` workers, and what each of `N` steps has started.

    What is started stands where its step stands, the same for all lanes of a batch; workers only point to it.
    """

    started: StartedEvaluation  # [N, ...]
    steps: Array  # [W] int32, the step at which each worker's evaluation was started; -1 of those that are idle
    finish: Moment  # [W], when it ends
    num_steps: Array  # [] int32
    num_started: Array  # [] int32


def idle_workers(num_workers: int, num_steps: int, num_decisions: int, num_objectives: int | None) -> Workers:
    """Returns workers of which none has begun, with place for what so many steps start."""
    whole, number = jnp.zeros((num_steps,), jnp.int32), jnp.zeros((num_steps,), jnp.float32)
    nothing = jnp.zeros((num_steps,), bool)
    further = None if num_objectives is None else jnp.zeros((num_steps, num_objectives), jnp.float32)
    archs = jnp.zeros((num_steps, num_decisions), jnp.int32)
    proposal = Proposal(archs, whole, whole, whole, nothing)
    started = StartedEvaluation(proposal, Evaluation(number, number, nothing, further), whole)
    never = jnp.zeros((num_workers,), jnp.float32)
    nobody = jnp.full((num_workers,), -1, jnp.int32)
    return Workers(started, nobody, Moment(never, never), jnp.int32(0), jnp.int32(0))


def pending_work(workers: Workers) -> Proposal:
    """Returns what workers are at, as `Searcher.ask_beside` is told it: a row of each, valid where it is busy."""
    rows: Proposal = jax.tree.map(lambda column: column[jnp.maximum(workers.steps, 0)], workers.started.proposal)
    return rows._replace(valid=workers.steps >= 0)


def start(workers: Workers, proposal: Proposal, evaluation: Evaluation, begun: Array, at: Moment) -> Workers:
    """Returns the workers after the first idle one has begun with a proposal of one row, where that is valid.

    Args:
      workers: Of whom one is idle.
      proposal: `[1, ...]`.
      evaluation: `[1, ...]`, what will be answered, and after how many seconds.
      begun: int32 `[1]`, the number of the evaluation that began the training.
      at: The moment `[]`.
    """
    starts, number = proposal.valid[0], jnp.arange(workers.steps.shape[0])
    here = (number == first_true(workers.steps < 0)) & starts

    def put(column: Array, row: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(column, row.astype(column.dtype), workers.num_steps, 0)

    finish = later(at, jnp.asarray(evaluation.seconds, jnp.float32)[0])
    return Workers(
        started=jax.tree.map(put, workers.started, StartedEvaluation(proposal, evaluation, begun)),
        steps=jnp.where(here, workers.num_steps, workers.steps),
        finish=jax.tree.map(lambda new, old: jnp.where(here, new, old), finish, workers.finish),
        num_steps=workers.num_steps + 1,
        num_started=workers.num_started + starts,
    )


def answer(workers: Workers, step: Array, evaluation: Evaluation) -> Workers:
    """Returns the workers after what was started at a step without an answer, at no seconds, has got one.

    Args:
      workers: Of whom one is at it.
      step: int32 `[]`, `Workers.num_steps` as it was started.
      evaluation: `[1, ...]`: it ends so many seconds after it began.
    """
    here = workers.steps == step

    def put(column: Array, row: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(column, row.astype(column.dtype), step, 0)

    ends = later(workers.finish, jnp.asarray(evaluation.seconds, jnp.float32)[0])
    known = jax.tree.map(put, workers.started.evaluation, evaluation)
    return workers._replace(
        started=workers.started._replace(evaluation=known),
        finish=jax.tree.map(lambda new, old: jnp.where(here, new, old), ends, workers.finish),
    )


def end_first(workers: Workers, ends: Array) -> tuple[Workers, StartedEvaluation, Moment, Array]:
    """Returns the workers without the evaluation that ends first, and that; of equal ones, the one started first.

    Args:
      workers: Of whom some may be busy.
      ends: bool `[]`; where it is False, or nobody is busy, nothing ends: the row is not valid.

    Returns:
      `(workers, what ends [1, ...], when [1], whose int32 [1])`.
    """
    busy = workers.steps >= 0
    place = earliest(workers.finish, busy, workers.steps)
    row = jnp.maximum(workers.steps[place], 0)
    ended: StartedEvaluation = jax.tree.map(lambda column: column[row][None], workers.started)
    ended = ended._replace(proposal=ended.proposal._replace(valid=(busy[place] & ends)[None]))
    finish = jax.tree.map(lambda part: part[place][None], workers.finish)
    leaves = (jnp.arange(busy.shape[0]) == place) & ends
    return workers._replace(steps=jnp.where(leaves, -1, workers.steps)), ended, finish, place[None]


def share_batch(valid: Array, seconds: Array, at: Moment, num_workers: int) -> tuple[Moment, Array, Array]:
    """Returns when the rows of a batch end, each begun in turn by the worker who is free first, all being so at first.

    Args:
      valid: bool `[B]`, the rows that are evaluated.
      seconds: float32 `[B]`.
      at: When the batch begins, `[]`.
      num_workers: Python int.

    Returns:
      `(finish [B], worker int32 [B], order int32 [B])`; the order is that in which rows end, valid ones first.
    """
    number = jnp.arange(num_workers, dtype=jnp.int32)

    def begin(free: Moment, row: tuple[Array, Array]) -> tuple[Moment, tuple[Moment, Array]]:
        counts, cost = row
        worker = earliest(free, number >= 0, number)
        ends = later(Moment(free.high[worker], free.low[worker]), cost)
        here = (number == worker) & counts
        return jax.tree.map(lambda new, old: jnp.where(here, new, old), ends, free), (ends, worker)

    everyone = jax.tree.map(lambda part: jnp.broadcast_to(part, (num_workers,)), at)
    _, (finish, worker) = jax.lax.scan(begin, everyone, (valid, seconds))
    rows = jnp.arange(valid.shape[0], dtype=jnp.int32)
    return finish, worker, jnp.lexsort((rows, finish.low, finish.high, ~valid)).astype(jnp.int32)
