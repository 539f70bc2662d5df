"""Kernel density estimates over categorical decisions, and the model of good and bad architectures made of two."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, uniform
from jnas.core._lanes import lanes_last
from jnas.core._vocabulary import Array

_TINY = 1e-32  # densities below this count as equal
_UNROLLED = 24  # decisions of observations that are compared without a loop


class Observations(NamedTuple):
    """Evaluations, ranked as they come in, so that no step sorts."""

    archs: Array  # [T, E] int32
    fidelity: Array  # [T] int32, -1 where the row is empty
    scores: Array  # [T] float32, minus infinity for what must not win
    rank: Array  # [T] int32, number of better rows of the same fidelity; of equal ones the earlier is better
    num_told: Array  # [] int32, rows in use


class DensityModel(NamedTuple):
    """A density on good architectures and one on bad ones, of one fidelity."""

    level: Array  # [] int32, the fidelity
    order: Array  # [T] int32, the rows of its observations from the best to the worst; then zeros
    num_good: Array  # [] int32, so many of them are good
    first_bad: Array  # [] int32, from here on they are bad
    num_members: Array  # [] int32, observations of the fidelity
    good_bandwidths: Array  # [E] float32
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
    agreeing, apart = (x[None] for x in _kernel_parts(bandwidths, num_choices))
    weights = mask.astype(jnp.float32)[None]
    sums = _kernel_sums(points, archs, weights, agreeing, apart, jnp.int32(archs.shape[0]))
    return sums[0] / jnp.maximum(jnp.sum(mask), 1)


def _kernel_parts(bandwidths: Array, num_choices: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns each decision's factor of a kernel `[E]` where choices agree, and where they do not."""
    others = np.maximum(np.asarray(num_choices) - 1, 1).astype(np.float32)
    return 1 - bandwidths, jnp.maximum(bandwidths, _TINY) / others


@lanes_last
def _kernel_sums(points: Array, archs: Array, weights: Array, agreeing: Array, apart: Array, num_rows: Array) -> Array:
    """Returns the sums over observed architectures of their kernels at some points, in several models at once.

    Lanes come last, side by side in memory, so that processors compute several at once: one row after another is added,
    no array of all kernels is made, and no sum runs along a row.

    Args:
      points: int32 `[B, E, *lanes]`.
      archs: int32 `[T, E, *lanes]`, observed.
      weights: float32 `[M, T, *lanes]`, in each model 1 for the rows that count and 0 for others.
      agreeing: float32 `[M, E, *lanes]`, a decision's factor where choices agree.
      apart: float32 `[M, E, *lanes]`, and where they do not.
      num_rows: int32 `[*lanes]`, rows in use.

    Returns:
      float32 `[M, B, *lanes]`.
    """
    num_decisions, capacity = archs.shape[1], archs.shape[0]
    width = min(max(_UNROLLED // num_decisions, 1), capacity)
    padding = -capacity % width
    archs = jnp.pad(archs, ((0, padding), *[(0, 0)] * (archs.ndim - 1)))
    weights = jnp.pad(weights, ((0, 0), (0, padding), *[(0, 0)] * (weights.ndim - 2)))

    def add(block: Array, total: tuple[Array, ...]) -> tuple[Array, ...]:
        rows = jax.lax.dynamic_slice_in_dim(archs, block * width, width)
        counts = jax.lax.dynamic_slice_in_dim(weights, block * width, width, 1)
        for i in range(width):
            same = [points[:, e] == rows[None, i, e] for e in range(num_decisions)]
            for m, sums in enumerate(total):
                kernel = counts[None, m, i]
                for e in range(num_decisions):
                    kernel = kernel * jnp.where(same[e], agreeing[None, m, e], apart[None, m, e])
                total = (*total[:m], sums + kernel, *total[m + 1 :])
        return total

    lanes = jnp.broadcast_shapes(points.shape[2:], archs.shape[2:], weights.shape[2:], agreeing.shape[2:])
    start = (jnp.zeros((points.shape[0], *lanes), jnp.float32),) * weights.shape[0]
    return jnp.stack(jax.lax.fori_loop(0, (jnp.max(num_rows) + width - 1) // width, add, start))


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
    count = jnp.sum(member, dtype=jnp.int32)

    sizes = np.maximum(np.floor(np.arange(capacity + 1) * top_fraction + 1e-9), min_points).astype(np.int32)
    wanted = jnp.asarray(sizes)[count]
    first_bad = jnp.minimum(wanted, count - min_points)
    is_good = member & usable & (observations.rank < wanted)
    is_bad = member & (observations.rank >= first_bad)
    place = jnp.where(member, observations.rank, capacity)
    order = jnp.zeros((capacity,), jnp.int32).at[place].set(np.arange(capacity, dtype=np.int32), mode="drop")
    return DensityModel(
        level=level,
        order=order,
        num_good=jnp.sum(is_good, dtype=jnp.int32),  # what is not usable ranks last
        first_bad=jnp.maximum(first_bad, 0),
        num_members=count,
        good_bandwidths=normal_reference_bandwidths(observations.archs, is_good, num_choices, min_bandwidth),
        bad_bandwidths=normal_reference_bandwidths(observations.archs, is_bad, num_choices, min_bandwidth),
        exists=jnp.any(enough),
    )


def density_ratio(
    model: DensityModel, observations: Observations, points: Array, num_choices: tuple[int, ...]
) -> Array:
    """Returns the density of good architectures over that of bad ones at `points [B, E]`, float32 `[B]`."""
    rank, member = observations.rank, observations.fidelity == model.level
    weights = jnp.stack([member & (rank < model.num_good), member & (rank >= model.first_bad)]).astype(jnp.float32)
    parts = [_kernel_parts(b, num_choices) for b in (model.good_bandwidths, model.bad_bandwidths)]
    agreeing, apart = (jnp.stack(x) for x in zip(*parts, strict=True))
    sums = _kernel_sums(points, observations.archs, weights, agreeing, apart, observations.num_told)
    good, bad = sums[0] / jnp.maximum(model.num_good, 1), sums[1] / jnp.maximum(model.num_members - model.first_bad, 1)
    return jnp.maximum(good, _TINY) / jnp.maximum(bad, _TINY)


def sample_model(model: DensityModel, observations: Observations, words: Array, num_choices: tuple[int, ...]) -> Array:
    """Returns architectures near uniformly chosen good ones.

    Args:
      model: Has at least one good architecture.
      observations: What it was fitted to.
      words: uint32 `[B, 1 + 2 * E]`, random.
      num_choices: Number of choices of each decision.

    Returns:
      int32 `[B, E]`.
    """
    chosen = model.order[below(words[:, 0], jnp.maximum(model.num_good, 1))]
    return sample_nearby(words[:, 1:], observations.archs[chosen], model.good_bandwidths, num_choices)
