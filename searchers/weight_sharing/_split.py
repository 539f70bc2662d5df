"""Few-shot search: a supernet becomes several, one for each choice of one decision, that begin with its weights.

The weights of all of them have a leading axis `K`, the choices of that decision; an architecture's own choice there
says which are its. Until the split the first holds the weights of the whole supernet.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Key, Shared, Supernet, decisions_of
from jnas.io._fields import describe_fields
from jnas.searchers.weight_sharing._shared_weights import Schedule, WeightsState


@describe_fields
class Split(NamedTuple):
    """Which edge a supernet is split by, and when.

    Attributes:
      edge: The decision, from 0; its choices have a supernet each. None for one supernet.
      after: The share of the epochs in which there is still one.
    """

    edge: int | None = None
    after: float = 0.5


def check_few_shot(settings: Any, supernet: Supernet) -> Split:
    """Returns the settings, or raises a `ValueError` or `TypeError` that names what makes no sense."""
    if not isinstance(settings, Split):
        raise TypeError(f"split is {settings!r}, expected a jnas.searchers.Split")
    if settings.edge is None:
        return settings
    if isinstance(settings.edge, bool) or not isinstance(settings.edge, int):
        raise TypeError(f"the split's edge is {settings.edge!r}, expected a Python int: the number of a decision")
    if supernet.task.carried is not None:
        raise ValueError(f"split is given, and few-shot search is not made for {supernet.task.name}; leave it out")
    most = decisions_of(supernet).shape[0]
    if not 0 <= settings.edge < most:
        raise ValueError(
            f"the split's edge is {settings.edge}, and the supernet of {supernet.space.name} has {most} decisions: "
            f"expected 0 to {most - 1}"
        )
    if isinstance(settings.after, bool) or not isinstance(settings.after, (int, float)):
        raise TypeError(f"the split's after is {settings.after!r}, expected a number: a share of the epochs")
    if not 0 <= settings.after < 1:
        raise ValueError(f"the split's after is {settings.after}, expected a share of the epochs, from 0 to below 1")
    return settings


def split_step(settings: Split, schedule: Schedule) -> int:
    """Returns how many steps there are before a supernet is split, whole epochs."""
    epochs = min(round(settings.after * schedule.epochs), schedule.epochs - 1)
    return epochs * (schedule.steps_per_epoch + schedule.extra_steps)


def part_of(tree: Any, choice: Array) -> Any:
    """Returns the leaves of one part, of those with a leading axis of parts."""
    return jax.tree.map(lambda leaf: leaf[choice], tree)


def with_part(tree: Any, choice: Array, own: Any) -> Any:
    """Returns the leaves of all parts, one of them renewed."""
    return jax.tree.map(lambda leaf, new: leaf.at[choice].set(new), tree, own)


def first_of_all(tree: Any) -> Any:
    """Returns the first part in the place of each."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), tree)


def several(tree: Any, count: int) -> Any:
    """Returns leaves with a leading axis of so many parts, all alike."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[None], (count, *leaf.shape)), tree)


def spread_weights(weights: WeightsState, step: Array, begins: int) -> WeightsState:
    """Returns the weights before a step: where the split is, each part has those of the first, and no momentum."""

    def spread(weights: WeightsState) -> WeightsState:
        return WeightsState(first_of_all(weights.shared), jax.tree.map(jnp.zeros_like, weights.momentum))

    found: WeightsState = jax.lax.cond(all_lanes(step == begins), spread, lambda weights: weights, weights)
    return found


def shared_by_parts(shared: Shared, step: Array, begins: int) -> Shared:
    """Returns the weights of each part after so many steps; until the split those of the whole supernet."""
    found: Shared = jax.tree.map(lambda leaf: jnp.where(step <= begins, leaf[:1], leaf), shared)
    return found


def split_supernet(supernet: Supernet, edge: int) -> Supernet:
    """Returns the supernet that is one for each choice of a decision; its weights have a leading axis of them.

    It samples architectures, and mixes where a single choice of that decision has a weight.

    Args:
      supernet: What is split.
      edge: The decision.

    References:
      "Few-shot Neural Architecture Search", Zhao et al., 2021, Section 3.
    """
    count = decisions_of(supernet).shape[1]

    def init(key: Key) -> tuple[Any, Any]:
        return several(supernet.init(key), count)  # type: ignore[no-any-return]

    def own(parameters: Any, statistics: Any, part: Array) -> tuple[Any, Any]:
        return part_of(parameters, part), None if statistics is None else part_of(statistics, part)

    def placed(result: tuple[Any, Any], part: Array) -> tuple[Any, Any]:
        outputs, used = result
        return outputs, jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype).at[part].set(leaf), used)

    def sampled(parameters: Any, statistics: Any, arch: Array, inputs: Any) -> tuple[Any, Any]:
        part = arch[edge]
        return placed(supernet.sampled(*own(parameters, statistics, part), arch, inputs), part)

    def mixture(parameters: Any, statistics: Any, weights: Array, inputs: Any) -> tuple[Any, Any]:
        part = jnp.argmax(weights[edge])
        return placed(supernet.mixture(*own(parameters, statistics, part), weights, inputs), part)

    def running(statistics: Any, used: Any, keep: Any, shape: Any, arch: Array | None = None) -> Any:
        if arch is None:
            return jax.vmap(lambda one, seen: supernet.running(one, seen, keep, shape))(statistics, used)
        part = arch[edge]
        new = supernet.running(part_of(statistics, part), part_of(used, part), keep, shape, arch=arch)
        return with_part(statistics, part, new)

    return supernet._replace(
        init=init,
        sampled=sampled,
        mixture=mixture,
        running=running,
        straight_through=None,
        specialize=None,
        preferences=None,
        released=None,
        weighted_edges=None,
        partial=None,
    )
