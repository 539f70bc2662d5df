"""What a table's look-ups stand on: the runs that a number is drawn from, and where an architecture's row is."""

from typing import Literal, NamedTuple

import jax
import numpy as np

from jnas.core._vocabulary import Space

Seed = int | Literal["mean", "random"]
"""Which run a number comes from: the one with this seed, the mean over seeds, or one drawn at random from the key."""

Metric = Literal["accuracy", "loss"]
"""Accuracy in percent, or cross-entropy."""


class RunValues(NamedTuple):
    """For each of `N` architectures, the runs that a look-up chooses from, with their costs.

    Runs that exist come first; after them the value is NaN.
    """

    value: np.ndarray  # [N, S] float32
    train_seconds: np.ndarray  # [N, S] float32, of all the epochs done; NaN where unknown
    eval_seconds: np.ndarray  # [N, S] float32, one evaluation; 0 where the table has no evaluation times
    num_runs: np.ndarray  # [N] int32, runs that exist


def choose_runs(
    value: np.ndarray, train_seconds: np.ndarray, eval_seconds: np.ndarray, slot: int | None, seed: Seed
) -> RunValues:
    """Returns the runs that a seed stands for.

    Args:
      value: `[N, S]`, NaN where missing; or `[N, 1]`, a mean that the source gives.
      train_seconds: `[N, S]`, or `[N, 1]` where it is the same for all runs.
      eval_seconds: The same.
      slot: Where `seed` stands among the runs, or None for `'mean'` and `'random'`.
      seed: Which run is wanted.
    """
    columns = (value, train_seconds, eval_seconds)
    if slot is not None:
        chosen = [x[:, min(slot, x.shape[1] - 1), None] for x in columns]
    elif seed == "mean":
        chosen = [mean_over_runs(x)[:, None] for x in columns]
    else:
        order = np.argsort(np.isnan(value), axis=1, kind="stable")
        chosen = [np.take_along_axis(np.broadcast_to(x, value.shape), order, 1) for x in columns]
    num_runs = (~np.isnan(chosen[0])).sum(axis=1).astype(np.int32)
    return RunValues._make([*(np.broadcast_to(x, chosen[0].shape).astype(np.float32) for x in chosen), num_runs])


def mean_over_runs(values: np.ndarray) -> np.ndarray:
    """Returns the mean `[N, ...]` over the runs that exist of `values [N, S, ...]`, NaN where there are none.

    Sums in float64, as the published means do.
    """
    present = ~np.isnan(values)
    total = np.where(present, values, 0).sum(axis=1, dtype=np.float64)
    count = present.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def check_distinct(space: Space, archs: np.ndarray, where: str) -> None:
    """Raises ValueError where two of the architectures `[N, E]` are the same one in different encodings."""
    words = np.asarray(jax.jit(jax.vmap(space.fingerprint))(archs.astype(np.int32))).astype(np.uint64)
    joined = words @ np.array([1 << 32, 1], np.uint64)
    order = np.argsort(joined, kind="stable")
    same = np.flatnonzero(joined[order][1:] == joined[order][:-1])
    if len(same):
        first, second = (int(order[same[0] + i]) for i in (0, 1))
        raise ValueError(
            f"architectures {first} and {second} of {where} are the same one, {space.to_string(archs[first])}: "
            "expected each once"
        )
