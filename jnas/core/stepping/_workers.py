"""Workers that evaluate side by side: what each is at, which ends first, and how a batch is shared among them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Evaluation, Proposal
from jnas.core.stepping._clock import Moment, earliest, later


class StartedEvaluations(NamedTuple):
    """Evaluations that have been started, of `N` architectures."""

    proposal: Proposal  # [N, ...]
    evaluation: Evaluation  # [N, ...], what will be answered
    finish: Moment  # [N], when
    number: Array  # [N] int32, evaluations that had been started before
    begun: Array  # [N] int32, the number of that which began the training


class Workers(NamedTuple):
    """`W` workers and what they are at, one architecture each."""

    jobs: StartedEvaluations  # [W, ...]; `proposal.valid` says who is busy, other rows mean nothing
    num_started: Array  # [] int32


def idle_workers(num_workers: int, num_decisions: int, num_objectives: int | None) -> Workers:
    """Returns workers of which none has begun."""
    whole, number = jnp.zeros((num_workers,), jnp.int32), jnp.zeros((num_workers,), jnp.float32)
    nobody = jnp.zeros((num_workers,), bool)
    further = None if num_objectives is None else jnp.zeros((num_workers, num_objectives), jnp.float32)
    archs = jnp.zeros((num_workers, num_decisions), jnp.int32)
    jobs = StartedEvaluations(
        proposal=Proposal(archs, whole, whole, whole, nobody),
        evaluation=Evaluation(number, number, nobody, further),
        finish=Moment(number, number),
        number=whole,
        begun=whole,
    )
    return Workers(jobs, jnp.int32(0))


def start(workers: Workers, proposal: Proposal, evaluation: Evaluation, begun: Array, at: Moment) -> Workers:
    """Returns the workers after the first idle one has begun with a proposal of one row, where that is valid.

    Args:
      workers: Of whom one is idle.
      proposal: `[1, ...]`.
      evaluation: `[1, ...]`, what will be answered, and after how many seconds.
      begun: int32 `[1]`, the number of the evaluation that began the training.
      at: The moment `[]`.
    """
    busy, starts = workers.jobs.proposal.valid, proposal.valid[0]
    here = (jnp.arange(busy.shape[0]) == jnp.argmin(busy)) & starts

    def put(column: Array, row: Array) -> Array:
        return jnp.where(here.reshape(-1, *[1] * (column.ndim - 1)), row.astype(column.dtype), column)

    finish = later(Moment(at.high[None], at.low[None]), jnp.asarray(evaluation.seconds, jnp.float32))
    job = StartedEvaluations(proposal, evaluation, finish, workers.num_started[None], begun)
    return Workers(jax.tree.map(put, workers.jobs, job), workers.num_started + starts)


def end_first(workers: Workers, ends: Array) -> tuple[Workers, StartedEvaluations, Array]:
    """Returns the workers without the evaluation that ends first, and that; of equal ones, the one started first.

    Args:
      workers: Of whom some may be busy.
      ends: bool `[]`; where it is False, or nobody is busy, nothing ends: the row is not valid.

    Returns:
      `(workers, jobs of one row, worker int32 [1])`.
    """
    jobs = workers.jobs
    busy = jobs.proposal.valid
    place = earliest(jobs.finish, busy, jobs.number)
    ended: StartedEvaluations = jax.tree.map(lambda column: column[place][None], jobs)
    ended = ended._replace(proposal=ended.proposal._replace(valid=ended.proposal.valid & ends))
    left = busy & ~((jnp.arange(busy.shape[0]) == place) & ends)
    jobs = jobs._replace(proposal=jobs.proposal._replace(valid=left))
    return workers._replace(jobs=jobs), ended, place[None]


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
