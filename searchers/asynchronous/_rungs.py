"""Rungs that do not wait: who has reached which fidelity, with which score, and who may go on.

An architecture has the number of the row of the trace at which its training began. A rung is a fidelity within a
bracket, which is named by the fidelity at which it begins; whoever has been evaluated there, or has gone on from there,
is a member. Failures are members that never go on.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Proposal


class Rungs(NamedTuple):
    """All trainings of a run of `T` evaluations; rows at which none began are empty."""

    archs: Array  # [T, E] int32
    first: Array  # [T] int32, the fidelity at which its bracket begins
    reached: Array  # [T] int32, the last fidelity told, or -1 for an empty row
    ready: Array  # [T] bool, goes on as soon as a worker is free, or is going on (where trainings are stopped)
    scores: Array  # [F, T] float32, at each fidelity; minus infinity for what must not win and where there is none
    num_told: Array  # [] int32, rows of the trace


def no_rungs(capacity: int, num_decisions: int, num_fidelities: int) -> Rungs:
    """Returns rungs without members."""
    return Rungs(
        archs=jnp.zeros((capacity, num_decisions), jnp.int32),
        first=jnp.zeros((capacity,), jnp.int32),
        reached=jnp.full((capacity,), -1, jnp.int32),
        ready=jnp.zeros((capacity,), bool),
        scores=jnp.full((num_fidelities, capacity), -jnp.inf, jnp.float32),
        num_told=jnp.int32(0),
    )


def with_evaluation(rungs: Rungs, proposal: Proposal, score: Array) -> tuple[Rungs, Array]:
    """Returns the rungs after an evaluation, and the number of the training: `(rungs, number [])`.

    Args:
      rungs: That proposed it.
      proposal: Of one row; where that is not valid, nothing changes.
      score: float32 `[]`, minus infinity for what must not win.
    """
    told, fresh, fidelity = proposal.valid[0], proposal.resumes[0] < 0, proposal.fidelity[0]
    number = jnp.where(fresh, rungs.num_told, proposal.resumes[0])
    capacity = rungs.reached.shape[0]
    row = jnp.where(told, number, capacity)  # one behind the last is dropped
    begins = jnp.where(fresh, row, capacity)
    return rungs._replace(
        archs=rungs.archs.at[begins].set(proposal.archs[0], mode="drop"),
        first=rungs.first.at[begins].set(fidelity, mode="drop"),
        reached=rungs.reached.at[row].set(fidelity, mode="drop"),
        scores=rungs.scores.at[fidelity, row].set(score, mode="drop"),
        num_told=rungs.num_told + told,
    ), number


def sizes_to_go_on(capacity: int, eta: float) -> np.ndarray:
    """Returns how many of a rung's `n` members go on, int32 `[capacity + 1]`: one in `eta`, rounded down."""
    return np.floor(np.arange(capacity + 1) / eta + 1e-9).astype(np.int32)


def at_work(rungs: Rungs, pending: Proposal) -> Array:
    """Returns which trainings workers are going on with, bool `[T]`."""
    capacity = rungs.reached.shape[0]
    rows = jnp.where(pending.valid & (pending.resumes >= 0), pending.resumes, capacity)
    return jnp.zeros((capacity,), bool).at[rows].set(True, mode="drop")


def promotion(
    rungs: Rungs, pending: Proposal, first: Array | int, highest: Array | int, eta: float
) -> tuple[Array, Array]:
    """Returns who is promoted next in a bracket: `(number int32 [], exists bool [])`.

    From the highest rung down, whoever is among the best `1 / eta` of a rung's members, and has not gone on; of several
    the best, of equal ones the one begun first.

    Args:
      rungs: Any.
      pending: What workers are at; who is going on is not promoted again.
      first: The bracket, int32 `[]`.
      highest: The fidelity from which nobody is promoted, int32 `[]`.
      eta: One in `eta` goes on.
    """
    num_fidelities, capacity = rungs.scores.shape
    if num_fidelities == 1:
        return jnp.int32(0), jnp.bool_(False)
    number, below = jnp.arange(capacity), np.arange(num_fidelities - 1, dtype=np.int32)[:, None]
    scores = rungs.scores[:-1]
    members = (rungs.reached[None] >= below) & (rungs.first == first)[None]
    waits = members & (rungs.reached[None] == below) & ~at_work(rungs, pending)[None] & (scores > -jnp.inf)
    best = jnp.argmax(jnp.where(waits, scores, -jnp.inf), axis=1)
    top = jnp.max(jnp.where(waits, scores, -jnp.inf), axis=1)
    ahead = members & ((scores > top[:, None]) | ((scores == top[:, None]) & (number[None] < best[:, None])))
    share = jnp.asarray(sizes_to_go_on(capacity, eta))[jnp.sum(members, axis=1)]
    may = (top > -jnp.inf) & (jnp.sum(ahead, axis=1) < share) & (below[:, 0] < highest)
    rung = num_fidelities - 2 - jnp.argmax(may[::-1])
    return best[rung].astype(jnp.int32), jnp.any(may)


def next_evaluation(rungs: Rungs, number: Array, goes_on: Array, arch: Array, first: Array | int) -> Proposal:
    """Returns what is asked for: that a training goes on to its next fidelity, or a new one.

    Args:
      rungs: Any.
      number: Of the training that goes on, int32 `[]`.
      goes_on: bool `[]`; otherwise `arch` is begun.
      arch: int32 `[E]`.
      first: At which fidelity it is begun, int32 `[]`.
    """
    reached = rungs.reached[number]
    return Proposal(
        archs=jnp.where(goes_on, rungs.archs[number], arch)[None],
        fidelity=jnp.where(goes_on, reached + 1, first)[None].astype(jnp.int32),
        resumes=jnp.where(goes_on, number, -1)[None].astype(jnp.int32),
        resumed_fidelity=jnp.where(goes_on, reached, -1)[None].astype(jnp.int32),
        valid=jnp.ones((1,), bool),
    )


def stays_in_best(rungs: Rungs, number: Array, fidelity: Array, eta: float) -> Array:
    """Returns whether a training that has just reached a rung is among its best `1 / eta`, or the rung has fewer than
    `eta` members; a failure never does."""
    capacity = rungs.reached.shape[0]
    own, scores = rungs.scores[fidelity, number], rungs.scores[fidelity]
    members = (rungs.reached >= fidelity) & (rungs.first == rungs.first[number])
    ahead = members & ((scores > own) | ((scores == own) & (jnp.arange(capacity) < number)))
    count = jnp.sum(members)
    best = jnp.sum(ahead) < jnp.asarray(sizes_to_go_on(capacity, eta))[count]
    return (own > -jnp.inf) & (best | (count < eta))


def with_ready(rungs: Rungs, proposal: Proposal, number: Array, stays: Array) -> Rungs:
    """Returns the rungs with a training that has been told marked to go on, if it stays and a fidelity is left."""
    goes_on = stays & (proposal.fidelity[0] < rungs.scores.shape[0] - 1)
    here = (jnp.arange(rungs.ready.shape[0]) == number) & proposal.valid[0]
    return rungs._replace(ready=jnp.where(here, goes_on, rungs.ready))
