"""Kernel density estimates over categorical decisions, and the model of good and bad architectures made of two."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, uniform
from jnas.core._vocabulary import Array
from jnas.spaces._categorical import one_hot

_TINY = 1e-32  # densities below this count as equal
_BLOCK = 256  # observations at once: a step's cost grows with those that there are, not with the run's capacity


class Observations(NamedTuple):
    """Evaluations, ranked as they come in, so that no step sorts."""

    archs: Array  # [T, E] int32
    fidelity: Array  # [T] int32, -1 where the row is empty
    scores: Array  # [T] float32, minus infinity for what must not win
    rank: Array  # [T] int32, number of better rows of the same fidelity; of equal ones the earlier is better
    num_told: Array  # [] int32, rows in use


class DensityModel(NamedTuple):
    """A density on good architectures and one on bad ones, of one fidelity."""

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
    return _kernel_sum(points, archs, mask, bandwidths, num_choices) / jnp.maximum(jnp.sum(mask), 1)


def _kernel_sum(points: Array, archs: Array, mask: Array, bandwidths: Array, num_choices: tuple[int, ...]) -> Array:
    """Returns the sum over the observed architectures of their kernels at `points`; arguments as `density`."""
    counts = np.asarray(num_choices)
    # The logarithm of a kernel is a constant and something for each decision in which the two agree: a matrix product
    # of one-hot encodings.
    apart = jnp.log(jnp.maximum(bandwidths, _TINY) / np.maximum(counts - 1, 1).astype(np.float32))
    agreeing = jnp.repeat(jnp.log1p(-bandwidths) - apart, counts, total_repeat_length=int(counts.sum()))
    encode = jax.vmap(functools.partial(one_hot, num_choices))
    kernel = jnp.exp(jnp.sum(apart) + _product(encode(points) * agreeing[None, :], encode(archs).T))  # [B, N]
    return _product(kernel, mask)


def _density_of_range(
    points: Array,
    observations: Observations,
    order: Array,
    start: Array | int,
    stop: Array,
    bandwidths: Array,
    num_choices: tuple[int, ...],
) -> Array:
    """Returns the density of the observations `order[start:stop]` at `points [B, E]`, float32 `[B]`."""
    width = min(_BLOCK, order.shape[0])
    padded = jnp.pad(order, (0, -order.shape[0] % width))

    def add(block: Array, total: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(padded, block * width, width)
        place = block * width + jnp.arange(width)
        inside = (place >= start) & (place < stop)
        return total + _kernel_sum(points, observations.archs[rows], inside, bandwidths, num_choices)

    first, last = jnp.asarray(start, jnp.int32) // width, (stop + width - 1) // width
    total: Array = jax.lax.fori_loop(first, last, add, jnp.zeros(points.shape[0], jnp.float32))
    return total / jnp.maximum(stop - start, 1)


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
    order = model.order
    good = _density_of_range(points, observations, order, 0, model.num_good, model.good_bandwidths, num_choices)
    bad = _density_of_range(
        points, observations, order, model.first_bad, model.num_members, model.bad_bandwidths, num_choices
    )
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
