"""The objective that looks evaluations up in a table."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._search_words import declare_sound
from jnas.core._vocabulary import Array, Evaluation, Key, Objective, Proposal
from jnas.core._widths import is_cost
from jnas.tables._look_ups import RunValues


def fidelity_levels(epochs: int | Sequence[int], at: int | Sequence[int] | None) -> list[tuple[int, int | None]]:
    """Returns `(epochs, at)` for each fidelity: several trainings, or several points of one training's curve.

    Raises:
      ValueError: Both are given, or they do not ascend.
    """
    trainings = (epochs,) if isinstance(epochs, int | np.integer) else tuple(epochs)
    if at is not None and len(trainings) != 1:
        raise ValueError(
            f"epochs is {epochs} and at is {at}: fidelities are several trainings or several points of one training's "
            "curve; give several of one of them"
        )
    points = () if at is None else (at,) if isinstance(at, int | np.integer) else tuple(at)
    known = points if at is not None else trainings
    if not known or any(a >= b for a, b in itertools.pairwise(known)):
        raise ValueError(f"fidelities are {known}, expected epochs that ascend, for example (12, 200)")
    return [(int(trainings[0]), int(a)) for a in points] if at is not None else [(int(e), None) for e in trainings]


def check_times(runs: Sequence[RunValues], missing_seconds: float | None) -> None:
    """Raises ValueError where some runs with a value have a time and others do not: these would cost nothing.

    Runs without any time are searched by a number of evaluations, and that is well.
    """
    if missing_seconds is not None:
        if not is_cost(missing_seconds):
            raise ValueError(f"missing_seconds is {missing_seconds}, expected a finite number that is not negative")
        return
    for r in runs:
        there = ~np.isnan(r.value)
        timed = ~np.isnan(r.train_seconds) & there
        if timed.any() and (there & ~timed).any():
            count = int((there & ~timed).any(axis=1).sum())
            raise ValueError(
                f"{count:,} architectures have an accuracy but no time, so that evaluating them would cost nothing; "
                "pass missing_seconds, what each of them is to cost"
            )


def runs_objective(
    fidelities: tuple[float, ...],
    runs: Sequence[RunValues],
    locate: Callable[[Array], Array],
    *,
    sign: float,
    draws: bool,
    pays_difference: bool,
    missing_seconds: float,
    lists_all: bool,
    further: Mapping[str, np.ndarray],
    bounded: bool,
) -> Objective:
    """Returns the objective over a table's runs.

    Args:
      fidelities: Epochs of each of `F` fidelities.
      runs: The runs of each.
      locate: From one architecture `[E]` to its row, or -1.
      sign: 1, or -1 where the value is to be minimised.
      draws: Whether one of the runs is drawn for each evaluation; otherwise each has one.
      pays_difference: Whether going on with a training costs its further epochs and an evaluation, or all of it.
      missing_seconds: What an architecture costs that the table lacks.
      lists_all: Whether every encoding of the space has a row.
      further: Further objectives by name, each `[N]`: one number for each architecture.
      bounded: Whether the last of them is by how much constraints are violated: what does so is invalid.
    """
    width = max(r.value.shape[1] for r in runs)
    value, train, evaluation = (
        np.stack([np.pad(r[i], ((0, 0), (0, width - r[i].shape[1])), mode="edge") for r in runs]) for i in range(3)
    )
    whole = train + evaluation
    counts = np.stack([r.num_runs for r in runs])
    single = len(runs) == 1
    beside = np.stack(list(further.values()), axis=1).astype(np.float32) if further else None

    def look_up(key: Key, arch: Array, fidelity: Array, resumed: Array) -> Evaluation:
        values, costs, trained, count = map(jnp.asarray, (value, whole, train, counts))
        others = None if beside is None else jnp.asarray(beside)
        row = locate(arch)
        fidelity = jnp.int32(0) if single else fidelity
        runs_here = jnp.where(row >= 0, count[fidelity, row], 0)
        slot = below(bits(key), jnp.maximum(runs_here, 1)) if draws else jnp.int32(0)
        seconds = costs[fidelity, row, slot]
        if pays_difference and not single:
            seconds = jnp.where(resumed >= 0, seconds - trained[resumed, row, slot], seconds)
        found = runs_here > 0
        valid = found if others is None or not bounded else found & (others[row, -1] <= 0)  # False for NaN too
        return Evaluation(
            score=jnp.where(found, sign * values[fidelity, row, slot], jnp.nan),
            seconds=jnp.where(found & ~jnp.isnan(seconds), seconds, missing_seconds),
            valid=valid,
            objectives=None if others is None else jnp.where(row >= 0, others[row], jnp.nan),
        )

    look_up_all = jax.jit(jax.vmap(look_up), inline=True)  # outside of `jit` one program, not many

    def evaluate(keys: Key, proposal: Proposal) -> Evaluation:
        evaluation: Evaluation = look_up_all(keys, proposal.archs, proposal.fidelity, proposal.resumed_fidelity)
        return evaluation

    if _is_sound(whole, train, value, missing_seconds, pays_difference):
        declare_sound(evaluate)
    bounds = [whole]
    if pays_difference:
        bounds += [whole[f] - train[f - 1] for f in range(1, len(runs))]
    costs_seen = [float(b[b > 0].min()) for b in bounds if np.any(b > 0)]
    lacks = not lists_all or any(np.any(r.num_runs == 0) for r in runs) or bool(np.isnan(whole).any())
    if lacks and missing_seconds > 0:
        costs_seen.append(missing_seconds)
    cheapest = min(costs_seen, default=None)
    return Objective(evaluate, fidelities, cheapest, tuple(further))


def _is_sound(
    whole: np.ndarray, train: np.ndarray, value: np.ndarray, missing_seconds: float, pays_difference: bool
) -> bool:
    """Returns whether no evaluation can have an infinite score, or a cost that is infinite or negative."""
    costs = [whole]
    if pays_difference:
        costs += [whole[f] - train[r] for f in range(len(whole)) for r in range(f)]
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite in it
        scores, *costs = (np.asarray(numbers, np.float32) for numbers in (value, *costs, missing_seconds))
    return not np.isinf(scores).any() and all((np.isnan(c) | (np.isfinite(c) & (c >= 0))).all() for c in costs)
