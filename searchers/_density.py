"""Kernel density estimates over categorical decisions, and the model of good and bad architectures made of two."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas._draws import below, uniform
from jnas._vocabulary import Array

_TINY = 1e-32  # densities below this count as equal


class Observations(NamedTuple):
    """Evaluations, ranked as they come in, so that no step sorts."""

    archs: Array  # [T, E] int32
    fidelity: Array  # [T] int32, -1 where the row is empty
    scores: Array  # [T] float32, minus infinity for what must not win
    rank: Array  # [T] int32, number of better rows of the same fidelity; of equal ones the earlier is better
    num_told: Array  # [] int32, rows in use


class DensityModel(NamedTuple):
    """A density on good architectures and one on bad ones; `G` bounds the number of good ones."""

    good: Array  # [G, E] int32, the best first
    is_good: Array  # [G] bool, rows of `good` in use
    good_bandwidths: Array  # [E] float32
    is_bad: Array  # [T] bool, rows of the observations
    bad_bandwidths: Array  # [E] float32
    exists: Array  # [] bool, some fidelity has enough observations


def no_observations(capacity: int, num_decisions: int) -> Observations:
    """Returns empty storage for `capacity` evaluations."""
    return Observations(
        archs=jnp.zeros((capacity, num_decisions), jnp.int32),
        fidelity=jnp.full((capacity,), -1, jnp.int32),
        scores=jnp.full((capacity,), -jnp.inf, jnp.float32),
        rank=jnp.zeros((capacity,), jnp.int32),
        num_told=jnp.int32(0),
    )


def observe(observations: Observations, arch: Array, fidelity: Array, score: Array, accepted: Array) -> Observations:
    """Returns the observations with one more row, or unchanged where `accepted` is False.

    Args:
      observations: What is known.
      arch: int32 `[E]`.
      fidelity: int32 `[]`.
      score: float32 `[]`, minus infinity for what must not win.
      accepted: bool `[]`.
    """
    row = jnp.where(accepted, observations.num_told, observations.scores.shape[0])
    same = observations.fidelity == fidelity
    not_worse = same & (observations.scores >= score)
    rank = observations.rank + (accepted & same & ~not_worse)
    return Observations(
        archs=observations.archs.at[row].set(arch, mode="drop"),
        fidelity=observations.fidelity.at[row].set(fidelity, mode="drop"),
        scores=observations.scores.at[row].set(score, mode="drop"),
        rank=rank.at[row].set(jnp.sum(not_worse, dtype=jnp.int32), mode="drop"),
        num_told=observations.num_told + accepted,
    )


def normal_reference_bandwidths(
    archs: Array, mask: Array, num_choices: tuple[int, ...], min_bandwidth: Array | float
) -> Array:
    """Returns the bandwidth of each decision by the normal reference rule on the numbers of the choices.

    That is `1.06 * deviation * n**(-1 / (4 + E))`, at least `min_bandwidth` and at most `(K - 1) / K`, at which the
    kernel is uniform over the decision's `K` choices: wider, it would prefer whatever was not observed.

    Args:
      archs: int32 `[N, E]`.
      mask: bool `[N]`, rows that count; at least one.
      num_choices: Number of choices of each decision.
      min_bandwidth: Lower bound.

    Returns:
      float32 `[E]`.
    """
    num_decisions = archs.shape[1]
    count = jnp.maximum(jnp.sum(mask), 1).astype(jnp.float32)
    values = archs.astype(jnp.float32)
    mean = _product(mask, values) / count
    variance = _product(mask, jnp.square(values - mean[None, :])) / count
    bandwidth = 1.06 * jnp.sqrt(variance) * count ** (-1 / (4 + num_decisions))
    counts = np.asarray(num_choices, np.float32)
    return jnp.minimum(jnp.maximum(bandwidth, min_bandwidth), (counts - 1) / counts)


def density(points: Array, archs: Array, mask: Array, bandwidths: Array, num_choices: tuple[int, ...]) -> Array:
    """Returns the kernel density estimate at some points.

    The kernel of a decision is Aitchison and Aitken's: `1 - h` for the observed choice and `h / (K - 1)` for each
    other, and that of an architecture is their product, so densities sum to one over the space.

    Args:
      points: int32 `[B, E]`.
      archs: int32 `[N, E]`, observed.
      mask: bool `[N]`, which of them count; at least one.
      bandwidths: float32 `[E]`, `h` of each decision.
      num_choices: `K` of each decision.

    Returns:
      float32 `[B]`.

    References:
      "Multivariate Binary Discrimination by the Kernel Method", Aitchison and Aitken, 1976.
    """
    others = np.maximum(np.asarray(num_choices, np.float32) - 1, 1)
    kernel = jnp.ones((1, 1), jnp.float32)  # then [B, N]
    for i in range(points.shape[1]):
        same = points[:, i, None] == archs[None, :, i]
        kernel = kernel * jnp.where(same, 1 - bandwidths[i], bandwidths[i] / others[i])
    return _product(kernel, mask) / jnp.maximum(jnp.sum(mask), 1)


def _product(left: Array, right: Array) -> Array:
    """Returns the sum of what a mask selects, as a matrix product: on a CPU several times as fast as a masked sum."""
    return jnp.matmul(left.astype(jnp.float32), right.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)


def sample_nearby(words: Array, archs: Array, bandwidths: Array, num_choices: tuple[int, ...]) -> Array:
    """Returns samples near architectures: a decision keeps its choice with probability `1 - h`, else it is uniform.

    Args:
      words: uint32 `[B, 2 * E]`, random.
      archs: int32 `[B, E]`.
      bandwidths: float32 `[E]`, `h` of each decision.
      num_choices: Number of choices of each decision.

    Returns:
      int32 `[B, E]`.
    """
    keeps, choices = jnp.split(words, 2, axis=1)
    drawn = below(choices, jnp.asarray(num_choices, jnp.uint32)[None, :])
    return jnp.where(uniform(keeps) < (1 - bandwidths)[None, :], archs, drawn)


def fit_model(
    observations: Observations,
    num_choices: tuple[int, ...],
    *,
    num_fidelities: int,
    top_fraction: float,
    min_points: int,
    min_bandwidth: Array | float,
) -> DensityModel:
    """Returns the model of the highest fidelity that has at least `min_points + 2` usable observations.

    Of its `n` observations, the best `max(min_points, floor(top_fraction * n))` are good and the worst
    `max(min_points, n - num_good)` bad. What is not usable is never good.

    References:
      "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", Falkner, Klein and Hutter, 2018, Equation 3.
    """
    capacity = observations.scores.shape[0]
    usable = observations.scores > -jnp.inf
    at_level = observations.fidelity[None, :] == np.arange(num_fidelities)[:, None]  # [F, T]
    enough = jnp.sum(at_level & usable[None, :], axis=1) >= min_points + 2
    level = num_fidelities - 1 - jnp.argmax(enough[::-1])
    member = observations.fidelity == level
    count = jnp.sum(member)

    sizes = np.maximum(np.floor(np.arange(capacity + 1) * top_fraction + 1e-9), min_points).astype(np.int32)
    most_good = int(sizes.max())
    num_good = jnp.asarray(sizes)[count]
    good = member & usable & (observations.rank < num_good)
    is_bad = member & (observations.rank >= jnp.minimum(num_good, count - min_points))
    rows = jnp.zeros((most_good,), jnp.int32)
    place = jnp.where(good, observations.rank, most_good)
    good_archs = observations.archs[rows.at[place].set(np.arange(capacity, dtype=np.int32), mode="drop")]
    is_good = jnp.arange(most_good) < jnp.sum(good)
    return DensityModel(
        good=good_archs,
        is_good=is_good,
        good_bandwidths=normal_reference_bandwidths(good_archs, is_good, num_choices, min_bandwidth),
        is_bad=is_bad,
        bad_bandwidths=normal_reference_bandwidths(observations.archs, is_bad, num_choices, min_bandwidth),
        exists=jnp.any(enough),
    )


def density_ratio(
    model: DensityModel, observations: Observations, points: Array, num_choices: tuple[int, ...]
) -> Array:
    """Returns the density of good architectures over that of bad ones at `points [B, E]`, float32 `[B]`."""
    good = density(points, model.good, model.is_good, model.good_bandwidths, num_choices)
    bad = density(points, observations.archs, model.is_bad, model.bad_bandwidths, num_choices)
    return jnp.maximum(good, _TINY) / jnp.maximum(bad, _TINY)


def sample_model(model: DensityModel, words: Array, num_choices: tuple[int, ...]) -> Array:
    """Returns architectures near uniformly chosen good ones.

    Args:
      model: Has at least one good architecture.
      words: uint32 `[B, 1 + 2 * E]`, random.
      num_choices: Number of choices of each decision.

    Returns:
      int32 `[B, E]`.
    """
    chosen = below(words[:, 0], jnp.maximum(jnp.sum(model.is_good), 1))
    return sample_nearby(words[:, 1:], model.good[chosen], model.good_bandwidths, num_choices)
