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
    """`W` workers, and what each is at.

    What is started stands with its worker, in few numbers that lie together: kept by its step instead, each step reads
    and writes places all over an array of the run's length, which compilers copy.
    """

    started: StartedEvaluation  # [W, ...], but architectures [E, W], which are written several at once, and no `valid`
    steps: Array  # [W] int32, the step at which each worker's evaluation was started; -1 of those that are idle
    finish: Moment  # [W], when it ends
    num_steps: Array  # [] int32
    num_started: Array  # [] int32


def idle_workers(num_workers: int, num_decisions: int, num_objectives: int | None) -> Workers:
    """Returns workers of which none has begun."""
    whole, number = jnp.zeros((num_workers,), jnp.int32), jnp.zeros((num_workers,), jnp.float32)
    nothing = jnp.zeros((num_workers,), bool)
    further = None if num_objectives is None else jnp.zeros((num_workers, num_objectives), jnp.float32)
    archs = jnp.zeros((num_decisions, num_workers), jnp.int32)
    proposal = Proposal(archs, whole, whole, whole, None)  # type: ignore[arg-type]
    started = StartedEvaluation(proposal, Evaluation(number, number, nothing, further), whole)
    nobody = jnp.full((num_workers,), -1, jnp.int32)
    return Workers(started, nobody, Moment(number, number), jnp.int32(0), jnp.int32(0))


def pending_work(workers: Workers) -> Proposal:
    """Returns what workers are at, as `Searcher.ask_beside` is told it: a row of each, valid where it is busy."""
    rows = workers.started.proposal
    return rows._replace(archs=rows.archs.T, valid=workers.steps >= 0)


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

    archs = jnp.where(here, proposal.archs.T, workers.started.proposal.archs)
    given = _without_archs((proposal, evaluation, begun))
    started = jax.tree.map(lambda *pair: _put(here, *pair), _without_archs(workers.started), given)
    finish = later(at, jnp.asarray(evaluation.seconds, jnp.float32)[0])
    return Workers(
        started=started._replace(proposal=started.proposal._replace(archs=archs)),
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

    ends = later(workers.finish, jnp.asarray(evaluation.seconds, jnp.float32)[0])
    known = jax.tree.map(lambda *pair: _put(here, *pair), workers.started.evaluation, evaluation)
    return workers._replace(
        started=workers.started._replace(evaluation=known),
        finish=jax.tree.map(lambda new, old: jnp.where(here, new, old), ends, workers.finish),
    )


def _without_archs(started: tuple[Proposal, Evaluation, Array]) -> StartedEvaluation:
    """Returns the same without architectures, and without `valid`: whoever is busy is at something valid."""
    proposal, *others = started
    return StartedEvaluation(proposal._replace(archs=None, valid=None), *others)  # type: ignore[arg-type]


def _put(here: Array, column: Array, row: Array) -> Array:
    """Returns a column `[W, ...]` with a row `[1, ...]` where `here [W]` holds."""
    return jnp.where(here.reshape(-1, *[1] * (column.ndim - 1)), row.astype(column.dtype), column)


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
    ended: StartedEvaluation = jax.tree.map(lambda column: column[place][None], _without_archs(workers.started))
    archs = workers.started.proposal.archs[:, place][None]
    ended = ended._replace(proposal=ended.proposal._replace(archs=archs, valid=(busy[place] & ends)[None]))
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
