"""Few-shot search by mixtures: one search becomes several, in each of which one edge has one operation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import (
    Array,
    Batch,
    Decisions,
    Derived,
    Key,
    Shared,
    StepInfo,
    Supernet,
    WeightSharingSearcher,
    decisions_of,
)
from jnas.searchers.weight_sharing._architecture_parameters import AlphaState
from jnas.searchers.weight_sharing._shared_weights import Schedule
from jnas.searchers.weight_sharing._split import (
    Split,
    first_of_all,
    part_of,
    several,
    shared_by_parts,
    split_step,
    split_supernet,
    spread_weights,
    with_part,
)
from jnas.searchers.weight_sharing.mixtures._projection import Projection, make_accuracy, softmax_of
from jnas.searchers.weight_sharing.mixtures._weights import decided
from jnas.training.data._dataset import Dataset


class PartsState(NamedTuple):
    """What a search that is split needs for its next step."""

    key: Key  # [], of derivations
    step: Array  # [] int32, steps done by all
    parts: AlphaState  # of each choice of the edge, [K, ...]; until the split the first is the whole search


def split_search(
    searcher: WeightSharingSearcher, supernet: Supernet, split: Split, schedule: Schedule
) -> WeightSharingSearcher:
    """Returns a search that is split by the operations of an edge, which then take turns, a step each.

    Args:
      searcher: The search before, whose state has an `alpha` of the supernet's own decisions.
      supernet: What it was made for; its decisions are independent.
      split: By which edge, and when.
      schedule: Of the search.

    Raises:
      ValueError: What alpha is of are no independent choices of operations.

    References:
      "Few-shot Neural Architecture Search", Zhao et al., 2021, Section 3.
    """
    trained = searcher.supernet or supernet
    mixed, decisions, edge = searcher.mixed or trained, decisions_of(trained), split.edge
    assert edge is not None
    _check_independent(mixed, decisions, supernet)
    begins, count = split_step(split, schedule), decisions.shape[1]
    choices = jnp.asarray(np.flatnonzero(decisions.mask[edge]), jnp.int32)  # [V]
    weights_of = searcher.mixture_weights or softmax_of(decisions_of(mixed))

    def apart(parts: AlphaState) -> AlphaState:
        """The first search in each place, its alpha decided at the edge; keys are each's own."""
        alpha = jax.vmap(lambda own, choice: decided(own, edge, choice))(first_of_all(parts.alpha), jnp.arange(count))
        return parts._replace(alpha=alpha, optimizer=first_of_all(parts.optimizer))

    def init(key: Key) -> PartsState:
        key, own_key, parts_key = jax.random.split(key, 3)
        own = searcher.init(own_key)
        keys = jax.random.split(parts_key, count)
        parts = several(_keyless(own), count)._replace(key=keys)
        return PartsState(key, jnp.int32(0), parts)

    def step(state: PartsState, batch: Batch) -> tuple[PartsState, StepInfo]:
        turn = state.step - begins
        part = jnp.where(turn < 0, 0, choices[turn % len(choices)])
        parts = state.parts._replace(weights=spread_weights(state.parts.weights, state.step, begins))
        # The keys stay out of the branch, where nothing is drawn.
        whole = _keyless(parts)
        whole = jax.lax.cond(all_lanes(turn == 0), apart, lambda parts: parts, whole)
        own = part_of(whole._replace(key=parts.key), part)._replace(step=state.step)
        own, info = searcher.step(own, batch)
        own = own._replace(alpha=jnp.where(turn < 0, own.alpha, decided(own.alpha, edge, part)))
        keys = parts.key.at[part].set(own.key)
        parts = with_part(whole, part, _keyless(own))._replace(key=keys)
        return PartsState(state.key, state.step + 1, parts), info

    def now(state: PartsState) -> AlphaState:
        """Each part as it is, of those that there are [V, ...]; until the split the whole search in each place."""
        parts = jax.tree.map(lambda leaf: jnp.where(state.step <= begins, leaf[:1], leaf), _keyless(state.parts))
        found: AlphaState = part_of(parts._replace(key=state.parts.key), choices)
        return found

    def derive(state: PartsState, dataset: Dataset, images: str) -> Derived:
        accuracy = make_accuracy(searcher, mixed, weights_of, dataset, images, Projection())
        parts, total = now(state), len(dataset.rows(images))
        archs = jax.vmap(lambda own: searcher.derive(own, dataset, images).arch)(parts)
        goods = jax.lax.map(lambda own: accuracy(own, lambda weights: weights), parts)
        better = 1 if mixed.task.higher_is_better else -1
        scores = jax.vmap(lambda good: mixed.task.metric(better * good, jnp.float32(total)))(goods)
        best = jnp.argmax(jnp.where(jnp.isnan(goods), -jnp.inf, goods))
        return Derived(archs[best], archs, scores)

    def log_probability(state: PartsState, archs: Array) -> Array:
        each = jax.vmap(lambda own: searcher.log_probability(own, archs))(now(state))
        found: Array = jax.nn.logsumexp(each, axis=0) - np.float32(np.log(len(choices)))
        return found

    def probabilities(state: PartsState) -> Array:
        return jnp.mean(jax.vmap(searcher.probabilities)(now(state)), axis=0)

    def shared(state: PartsState) -> Shared:
        return shared_by_parts(state.parts.weights.shared, state.step, begins)

    return WeightSharingSearcher(
        init,
        step,
        derive,
        log_probability,
        probabilities,
        shared,
        searcher.name,
        supernet=split_supernet(trained, edge),
    )


def _keyless(parts: Any) -> Any:
    """Returns searches without their keys, which are no numbers."""
    return parts._replace(key=None)


def _check_independent(mixed: Supernet, decisions: Decisions, supernet: Supernet) -> None:
    own = decisions_of(mixed)
    alike = own.shape == decisions.shape and bool((own.mask == decisions.mask).all())
    if not (alike and decisions.independent and supernet.reading is None):
        raise ValueError(
            f"split is given, and what this search learns in {supernet.space.name} is no independent choice of an "
            "operation on each edge; leave it out, or split rsps or spos"
        )
