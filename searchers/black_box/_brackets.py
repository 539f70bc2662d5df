"""Successive halving in rungs that wait for one another: the queue that the synchronous searchers share.

A bracket evaluates its configurations at a low fidelity, the best of them at the next, and so on; each such round is
a rung. Configurations of a bracket stand in slots. Promotions are served best first, so a rung is no list of its own:
whoever reached the rung below and has the best score is next. Several workers evaluate one rung side by side; the next
begins when all of it has been told.
"""

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Proposal, num_asked

Brackets = tuple[tuple[int, ...], ...]
"""The sizes of the rungs of each bracket, in the order in which brackets are run."""


Rounding = Literal["floor", "ceil"]
"""How Hyperband's numbers of configurations become integers."""


class BracketState(NamedTuple):
    """How far a cycle of brackets has come; `P` slots."""

    bracket: Array  # [] int32, index into the brackets
    rung: Array  # [] int32
    served: Array  # [] int32, evaluations made in this rung
    num_told: Array  # [] int32, evaluations made in the run: the next one's row in the trace
    archs: Array  # [P, E] int32
    scores: Array  # [P] float32, at the last rung reached; minus infinity for what must not win
    reached: Array  # [P] int32, last rung reached, or -1 for an empty slot
    rows: Array  # [P] int32, row of the trace at which the configuration's training began


def successive_halving_brackets(num_fidelities: int, eta: float, num_configs: int) -> Brackets:
    """Returns the one bracket that starts `num_configs` configurations at the lowest fidelity."""
    return (_rung_sizes(num_configs, num_fidelities, eta),)


def hyperband_brackets(num_fidelities: int, eta: float, rounding: Rounding) -> Brackets:
    """Returns Hyperband's brackets, from the one that starts at the lowest fidelity to that of the highest alone.

    With `S = num_fidelities`, the bracket of `s + 1` rungs starts `floor(S / (s + 1)) * eta**s` configurations by
    `'floor'` and `ceil(S / (s + 1) * eta**s)` by `'ceil'`.
    """
    brackets = []
    for s in reversed(range(num_fidelities)):
        if rounding == "floor":
            num_configs = int(num_fidelities // (s + 1) * eta**s)
        else:
            num_configs = math.ceil(num_fidelities * eta**s / (s + 1) - 1e-9)
        brackets.append(_rung_sizes(num_configs, s + 1, eta))
    return tuple(brackets)


def _rung_sizes(num_configs: int, num_rungs: int, eta: float) -> tuple[int, ...]:
    return tuple(max(math.floor(num_configs / eta**i + 1e-9), 1) for i in range(num_rungs))


def start_brackets(brackets: Brackets, capacity: int, num_decisions: int) -> BracketState:
    """Returns the state before the first evaluation; slots that a run of `capacity` evaluations cannot use are left
    out."""
    num_slots = min(max(sizes[0] for sizes in brackets), capacity)
    return BracketState(
        bracket=jnp.int32(0),
        rung=jnp.int32(0),
        served=jnp.int32(0),
        num_told=jnp.int32(0),
        archs=jnp.zeros((num_slots, num_decisions), jnp.int32),
        scores=jnp.full((num_slots,), -jnp.inf, jnp.float32),
        reached=jnp.full((num_slots,), -1, jnp.int32),
        rows=jnp.full((num_slots,), -1, jnp.int32),
    )


def _sizes(brackets: Brackets) -> np.ndarray:
    """Returns the sizes of rungs, int32 `[brackets, rungs]`, those of rungs that a bracket lacks being 0."""
    most_rungs = max(len(sizes) for sizes in brackets)
    return np.asarray([(*sizes, *([0] * (most_rungs - len(sizes)))) for sizes in brackets], np.int32)


def next_proposal(
    brackets: Brackets, num_fidelities: int, state: BracketState, pending: Proposal, new_arch: Array
) -> Proposal:
    """Returns what the bracket evaluates next: `new_arch [E]` if a configuration begins, else the next promotion.

    Beside others that are pending it is not valid where the rung has no more to evaluate, and waits for them.
    """
    num_rungs = jnp.asarray([len(sizes) for sizes in brackets], jnp.int32)[state.bracket]
    fidelity = num_fidelities - num_rungs + state.rung
    begins, valid = state.rung == 0, jnp.bool_(True)
    candidates = jnp.where(state.reached == state.rung - 1, state.scores, -jnp.inf)
    if several := pending.valid.shape[0] > 0:
        goes_on = jnp.where(pending.valid, pending.resumes, -2)  # -1 stands for none in `rows` too
        going = jnp.any(state.rows[:, None] == goes_on[None], axis=1)
        candidates = jnp.where(going, -jnp.inf, candidates)
    slot = jnp.argmax(candidates).astype(jnp.int32)
    if several:
        room = num_asked(state.served, pending) < jnp.asarray(_sizes(brackets))[state.bracket, state.rung]
        valid = room & (begins | (candidates[slot] > -jnp.inf))
    return Proposal(
        archs=jnp.where(begins, new_arch, state.archs[slot])[None],
        fidelity=fidelity[None],
        resumes=jnp.where(begins, -1, state.rows[slot])[None],
        resumed_fidelity=jnp.where(begins, -1, fidelity - 1)[None],
        valid=valid[None],
    )


def record(brackets: Brackets, state: BracketState, proposal: Proposal, score: Array) -> BracketState:
    """Returns the state after an evaluation that `next_proposal` asked for.

    A configuration whose score is minus infinity is not promoted. A rung is over when it is full or nothing is left
    to promote; the bracket is over after its last rung, or where nothing is left to promote to the next.

    Args:
      brackets: The sizes of the rungs.
      state: Of the same rung.
      proposal: Of one row; where that is not valid, nothing changes.
      score: float32 `[]`, minus infinity for what must not win.
    """
    num_slots, accepted = state.scores.shape[0], proposal.valid[0]
    sizes = _sizes(brackets)
    begins = state.rung == 0
    slot = jnp.where(begins, state.served, jnp.argmax(state.rows == proposal.resumes[0]).astype(jnp.int32))
    slot = jnp.where(accepted, slot, num_slots)
    archs = state.archs.at[slot].set(proposal.archs[0], mode="drop")
    rows = state.rows.at[jnp.where(begins, slot, num_slots)].set(state.num_told, mode="drop")
    scores = state.scores.at[slot].set(score, mode="drop")
    reached = state.reached.at[slot].set(state.rung, mode="drop")
    served = state.served + accepted

    usable = scores > -jnp.inf
    full = served >= jnp.asarray(sizes)[state.bracket, state.rung]
    spent = ~begins & ~jnp.any(usable & (reached == state.rung - 1))
    rung_over = accepted & (full | spent)
    next_size = jnp.pad(jnp.asarray(sizes), ((0, 0), (0, 1)))[state.bracket, state.rung + 1]
    bracket_over = rung_over & ((next_size == 0) | ~jnp.any(usable & (reached == state.rung)))
    return BracketState(
        bracket=(state.bracket + bracket_over) % len(brackets),
        rung=jnp.where(bracket_over, 0, state.rung + rung_over),
        served=jnp.where(rung_over, 0, served),
        num_told=state.num_told + accepted,
        archs=archs,
        scores=scores,
        reached=jnp.where(bracket_over, -1, reached),
        rows=rows,
    )
