"""What a trace says: its incumbents (inside `jit` and `vmap`), and its clock and ending (on the host)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import STOPPED_BY, Array, Trace
from jnas.io._fields import describe_fields


@describe_fields
class Incumbent(NamedTuple):
    """The best evaluation that a search has made; `...` are the trace's batch axes, then `T` for `best_so_far`.

    Attributes:
      row: int32 `[...]`, row of the trace, or -1 while there is none.
      arch: int32 `[..., E]`, or all -1.
      score: float32 `[...]`, or NaN.
      fidelity: int32 `[...]`, or -1.
    """

    row: Array
    arch: Array
    score: Array
    fidelity: Array


class _Best(NamedTuple):
    """What `best_so_far` carries from row to row."""

    row: Array  # [...] int32
    fidelity: Array  # [...] int32
    score: Array  # [...] float32


def best_so_far(trace: Trace) -> Incumbent:
    """Returns the incumbent after every row of a trace; works under `jit`, `vmap`, and on stacked traces as they are.

    The incumbent at row `t` is, among the rows up to `t` that may win (used, valid, score not NaN), the one of the
    highest score within the highest fidelity that such rows have reached; of equal scores, the earliest. Scores of
    different fidelities are never compared, so the score may fall when a search first reaches a higher fidelity. An
    invalid evaluation at a higher fidelity unseats nobody.

    Args:
      trace: Of one run (`score [T]`) or of many (`score [..., T]`).

    Returns:
      An `Incumbent` with a `T` axis. Unused rows repeat the last incumbent.

    Example:
      >>> rows = {"arch": jnp.zeros((3, 1), int), "fidelity": jnp.array([0, 0, 1]), "score": jnp.array([7.0, 6.0, 5.0])}
      >>> made = {"seconds": jnp.ones(3), "valid": jnp.ones(3, bool), "mask": jnp.ones(3, bool)}
      >>> found = jnas.statistics.best_so_far(jnas.Trace(**rows, **made, stopped_by=jnp.int32(0)))
      >>> found.row.tolist(), found.score.tolist()  # the third row has the first score of a higher fidelity
      ([0, 0, 2], [7.0, 7.0, 5.0])
    """
    found: Incumbent = _incumbents(trace)
    return found


@functools.partial(jax.jit, inline=True)  # one program outside of `jit`; inside it as if it were written there
def _incumbents(trace: Trace) -> Incumbent:
    usable = _may_win(trace)
    fidelity = jnp.where(usable, trace.fidelity, -1)  # below every fidelity, so that even a score of -inf wins over it
    score = jnp.where(usable, trace.score, -jnp.inf)
    rows = jnp.arange(usable.shape[-1], dtype=jnp.int32)

    def keep_better(best: _Best, row: _Best) -> tuple[_Best, _Best]:
        better = (row.fidelity > best.fidelity) | ((row.fidelity == best.fidelity) & (row.score > best.score))
        best = _Best(*(jnp.where(better, new, old) for new, old in zip(row, best, strict=True)))
        return best, best

    # A scan over rows, each step for all runs. On a CPU (500 runs of 368 rows) it takes 4 ms and half the compile time
    # of an associative scan (24 ms); sorting by (fidelity, score) and a running maximum of places takes 460 ms.
    lead = usable.shape[:-1]
    nothing = _Best(jnp.full(lead, -1, jnp.int32), jnp.full(lead, -1, jnp.int32), jnp.full(lead, -jnp.inf, jnp.float32))
    _, best = jax.lax.scan(keep_better, nothing, _Best(rows, jnp.moveaxis(fidelity, -1, 0), jnp.moveaxis(score, -1, 0)))
    row, fidelity, score = (jnp.moveaxis(x, 0, -1) for x in best)
    return _incumbent(trace, row, score, fidelity)


def incumbent_rows(trace: Trace) -> NDArray[np.int32]:
    """Returns the rows that `best_so_far` gives, int32 `[..., T]`, of traces of NumPy's and without a program."""
    usable = trace.mask & trace.valid & ~np.isnan(trace.score)
    fidelity = np.moveaxis(np.where(usable, trace.fidelity, -1), -1, 0)
    score = np.moveaxis(np.where(usable, trace.score, -np.inf), -1, 0)
    rows = np.full(usable.shape, -1, np.int32)
    best, highest, row = np.full(usable.shape[:-1], -np.inf), np.full(usable.shape[:-1], -1), rows[..., 0].copy()
    for t in range(usable.shape[-1]):
        better = (fidelity[t] > highest) | ((fidelity[t] == highest) & (score[t] > best))
        best, highest = np.where(better, score[t], best), np.where(better, fidelity[t], highest)
        rows[..., t] = row = np.where(better, np.int32(t), row)
    return rows


def incumbent(trace: Trace) -> Incumbent:
    """Returns the final incumbent of a trace: the last one of `best_so_far`, found without the others.

    Args:
      trace: Of one run (`score [T]`) or of many (`score [..., T]`).

    Returns:
      An `Incumbent` without a `T` axis.

    Example:
      >>> searcher = jnas.searchers.random_search(jnas.spaces.categorical((3, 4)))
      >>> objective = jnas.function_objective(lambda key, arch: arch.sum())
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=200))(jax.random.key(0))
      >>> jnas.statistics.incumbent(trace).arch.tolist()
      [2, 3]
    """
    found: Incumbent = _last_incumbent(trace)
    return found


@functools.partial(jax.jit, inline=True)
def _last_incumbent(trace: Trace) -> Incumbent:
    usable = _may_win(trace)
    fidelity = jnp.max(jnp.where(usable, trace.fidelity, -1), axis=-1)
    rivals = usable & (trace.fidelity == fidelity[..., None])
    score = jnp.max(jnp.where(rivals, trace.score, -jnp.inf), axis=-1)
    winners = rivals & (trace.score == score[..., None])
    row = jnp.where(jnp.any(usable, axis=-1), jnp.argmax(winners, axis=-1), -1).astype(jnp.int32)
    found = _incumbent(trace, row[..., None], score[..., None], fidelity[..., None])
    return Incumbent(found.row[..., 0], found.arch[..., 0, :], found.score[..., 0], found.fidelity[..., 0])


def num_evaluations(trace: Trace) -> Array:
    """Returns how many evaluations a run made, int32 `[...]`; invalid ones count, they took capacity."""
    return jnp.sum(trace.mask, axis=-1, dtype=jnp.int32)


def evaluation_counts(trace: Trace) -> NDArray[np.float64]:
    """Returns how many evaluations had been made after each row, float64 `[..., T]`, on the host.

    It stands where `elapsed_seconds` stands, for curves against evaluations instead of time.
    """
    return np.cumsum(_on_host(trace.mask), axis=-1, dtype=np.float64)


def elapsed_seconds(trace: Trace) -> NDArray[np.float64]:
    """Returns the simulated or measured seconds spent after each row, float64 `[..., T]`, on the host.

    The sum is taken by NumPy in float64 and so cannot stand inside `jit`: a float32 counts 5e6 s in steps of half a
    second. `jnas.run` meets the same limit with a sum of two float32 numbers (about 48 bits), and the two agree far
    below a millisecond. Unused rows repeat the total. With several workers it is the moment at which the row's
    evaluation ended, as the trace says it.

    Raises:
      TypeError: The trace is traced by `jit` or `vmap`.
    """
    if trace.finish is not None:
        ends = np.sum(_on_host(trace.finish), axis=-1, dtype=np.float64)
        return np.maximum.accumulate(np.where(_on_host(trace.mask), ends, 0.0), axis=-1)
    return np.cumsum(np.where(_on_host(trace.mask), _on_host(trace.seconds), 0.0), axis=-1, dtype=np.float64)


def stopped_by(trace: Trace) -> NDArray[np.str_]:
    """Returns what ended each run, strings `[...]` of 'capacity', 'budget' and 'exhausted', on the host."""
    return np.asarray(np.asarray(STOPPED_BY)[_on_host(trace.stopped_by)])


def _may_win(trace: Trace) -> Array:
    """Returns which rows may become the incumbent, bool `[..., T]`."""
    return trace.mask & trace.valid & ~jnp.isnan(trace.score)


def _incumbent(trace: Trace, row: Array, score: Array, fidelity: Array) -> Incumbent:
    """Returns the incumbents at rows `[..., N]`, with blanks where the row is -1."""
    there = row >= 0
    arch = jnp.take_along_axis(trace.arch, jnp.maximum(row, 0)[..., None], axis=-2)
    return Incumbent(
        row=row,
        arch=jnp.where(there[..., None], arch, -1),
        score=jnp.where(there, score, jnp.nan),
        fidelity=fidelity,
    )


def _on_host(array: Any) -> NDArray[Any]:
    """Returns an array as NumPy's, with a sentence where that is impossible."""
    if isinstance(array, jax.core.Tracer):
        raise TypeError(
            "the trace is traced (inside jit or vmap), but this statistic is taken on the host in float64: "
            "return the trace from the compiled function and pass it here"
        )
    return np.asarray(array)
