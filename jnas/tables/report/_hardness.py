"""How hard a table is to search: its optima, its repeated networks, what the best of some draws is worth."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.spaces._rows import row_locator
from jnas.statistics._power import runs_needed
from jnas.statistics._random_draws import BestOfDraws, best_of_draws, expected_best
from jnas.tables._table import Table
from jnas.tables.report._summary import AccuracyColumn, Floats

MOST_ARCHS = 70_000  # whose neighbours are looked up for a page
DRAWS = (10, 100, 300, 1000)
"""Of random searches that are looked at."""
_CHUNK = 4_096


class Landscape(NamedTuple):
    """The optima of one column under one change of an architecture."""

    optima: int  # architectures of which no neighbour is better
    strict: int  # of which all neighbours are worse
    share: float  # of the architectures from which the steepest climb ends at the best one
    ends_below: float  # by how much climbs end worse than the best, on average over architectures, in points
    evaluations: float  # that a steepest climb makes, neighbours looked at anew not counted twice in one step


class Repeats(NamedTuple):
    """How many architectures of a table are the same network."""

    networks: int  # different ones
    draws: int  # of random architectures
    met: float  # different networks that so many draws meet, on average
    as_many: int  # random architectures that meet `draws` different networks; 0: there are not so many


class Neighbors(NamedTuple):
    """The architectures one change away from each of `N`."""

    rows: NDArray[np.int32]  # [N, M], in the table; -1 for none
    same: NDArray[np.bool_]  # [N, M], those that are the architecture itself in another encoding


def neighbors_of(table: Table) -> Neighbors | None:
    """Returns the neighbours of all architectures, None where there are too many for a page."""
    if table.num_archs > MOST_ARCHS:
        return None
    archs = np.asarray(table.archs, np.int32)
    locate = row_locator(table.space, archs)

    def look(arch: jax.Array) -> jax.Array:
        near, valid = table.space.neighbors(arch)
        return jnp.where(valid, jax.vmap(locate)(near), -1)

    program = jax.jit(jax.vmap(look))
    padded = np.concatenate([archs, np.repeat(archs[-1:], -len(archs) % _CHUNK, axis=0)])
    found = [np.asarray(program(padded[i : i + _CHUNK])) for i in range(0, len(padded), _CHUNK)]
    rows = np.concatenate(found)[: len(archs)].astype(np.int32)
    return Neighbors(rows, rows == np.arange(len(rows))[:, None])


def landscape(scores: Floats, near: Neighbors) -> Landscape:
    """Returns the optima of scores `[N]`, higher is better, and where steepest climbs end.

    Of the best neighbours that are equal the first is taken. NaN is worse than all else.
    """
    score = np.where(np.isnan(scores), -np.inf, scores)
    known = near.rows >= 0
    others = np.where(known & ~near.same, score[near.rows], -np.inf)  # [N, M]
    best = others.argmax(axis=1)
    top = others[np.arange(len(score)), best]
    there = np.isfinite(score)
    climbs = top > score
    step = np.where(climbs, near.rows[np.arange(len(score)), best], np.arange(len(score)))
    ends, length = step.copy(), climbs.astype(np.int64)
    for _ in range(math.ceil(math.log2(len(score))) + 1):  # twice as far each time
        length = length + length[ends]
        ends = ends[ends]
    goal = score.max()
    reached = score[ends[there]] == goal
    return Landscape(
        optima=int((there & ~climbs).sum()),
        strict=int((there & (top < score)).sum()),
        share=float(reached.mean()),
        ends_below=float(goal - score[ends[there]].mean()),
        evaluations=float((1 + known.sum(axis=1).mean() * (length[there] + 1)).mean()),
    )


def repeats(fingerprints: NDArray[np.uint32], draws: int = 1000) -> Repeats:
    """Returns how often random architectures are networks that were drawn before.

    Args:
      fingerprints: `[N, ...]`, equal where networks are the same.
      draws: How many are drawn, with replacement.
    """
    rows = fingerprints.reshape(len(fingerprints), -1)
    _, sizes = np.unique(rows, axis=0, return_counts=True)
    share = sizes / sizes.sum()

    def met(count: float) -> float:
        return float(-np.expm1(count * np.log1p(-np.minimum(share, 1 - 1e-12))).sum())

    as_many = 0
    if len(sizes) > draws:
        low, high = draws, 2 * draws
        while met(high) < draws:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if met(middle) < draws else (low, middle)
        as_many = high
    return Repeats(len(sizes), draws, met(draws), as_many)


def fingerprints_of(table: Table) -> NDArray[np.uint32]:
    """Returns the fingerprint of each architecture `[N, ...]`."""
    archs, program = np.asarray(table.archs, np.int32), jax.jit(jax.vmap(table.space.fingerprint))
    return np.concatenate([np.asarray(program(part)) for part in np.array_split(archs, -(-len(archs) // 65_536))])


def best_of_k(searched: Floats, judged: Floats, draws: Sequence[int] = DRAWS) -> list[tuple[float, float]]:
    """Returns for each number of draws what the best by `searched [N]` has there, and by `judged [N]`, on average."""
    there = np.isfinite(searched) & np.isfinite(judged)
    seen, worth = searched[there], judged[there]
    return [
        (expected_best(best_of_draws(seen, k)), expected_best(best_of_draws(seen, k, judged_by=worth))) for k in draws
    ]


def runs_to_tell(searched: Floats, judged: Floats, first: int, second: int) -> tuple[float, float]:
    """Returns the chance that the pick of `second` draws is worth more than that of `first`, and the runs to see it.

    Picks are the best by `searched [N]` and worth what `judged [N]` says. By `searched` itself the chance is that of
    any table, `second / (first + second)` but for equal ones.
    """
    there = np.isfinite(searched) & np.isfinite(judged)
    seen, worth = searched[there], judged[there]
    picks = [best_of_draws(seen, draws, judged_by=worth) for draws in (second, first)]
    share = float(np.clip(superiority(*picks), 0.0, 1.0))
    return share, runs_needed(share)


def superiority(a: BestOfDraws, b: BestOfDraws) -> float:
    """Returns the probability that a value of one distribution is above one of another, equal ones counted half."""
    below = np.concatenate([[0.0], np.cumsum(b.probability)])
    under, upto = (below[np.searchsorted(b.value, a.value, side=side)] for side in ("left", "right"))
    return float(np.sum(a.probability * (under + upto) / 2))


class Transfer(NamedTuple):
    """What the best architecture by one column loses by another."""

    chosen: tuple[str, ...]  # columns by which the best is taken
    judged: tuple[str, ...]
    lost: Floats  # [chosen, judged], in points


def transfer(chosen: Sequence[AccuracyColumn], judged: Sequence[AccuracyColumn], sign: float) -> Transfer:
    """Returns by how much the best by each of some columns is worse than the best by each of others, in these.

    Equal best ones count with their mean.
    """
    lost = np.full((len(chosen), len(judged)), np.nan)
    for i, one in enumerate(chosen):
        scores = sign * one.values
        best = np.flatnonzero(scores == np.nanmax(scores))
        for j, other in enumerate(judged):
            worth = sign * other.values
            found = worth[best]
            if np.isfinite(found).any():
                lost[i, j] = np.nanmax(worth) - np.nanmean(found)
    return Transfer(tuple(c.label for c in chosen), tuple(c.label for c in judged), lost)
