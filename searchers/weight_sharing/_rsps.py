"""RSPS: random search with parameter sharing. Uniform architectures train the weights, then some are compared."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._draws import below
from jnas.core._vocabulary import (
    Array,
    Batch,
    Derived,
    Key,
    Shared,
    Space,
    StepInfo,
    Supernet,
    WeightSharingSearcher,
    decisions_of,
)
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._candidates import Selection, check_selection, choose, derive_key
from jnas.searchers.weight_sharing._shared_weights import (
    Sgd,
    WeightsState,
    begin_weights,
    check_schedule,
    learning_rate,
    step_info,
    train_arch,
)
from jnas.searchers.weight_sharing._split import (
    Split,
    check_few_shot,
    part_of,
    several,
    shared_by_parts,
    split_step,
    split_supernet,
    spread_weights,
    with_part,
)
from jnas.training.data._dataset import Dataset


class RspsState(NamedTuple):
    """What RSPS needs for its next step."""

    key: Key  # []
    step: Array  # [] int32, steps done
    weights: WeightsState


@recorded
def rsps(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 250,
    sgd: Sgd = Sgd(),  # noqa: B008 (immutable)
    selection: Selection = Selection(),  # noqa: B008
    split: Split = Split(),  # noqa: B008
) -> WeightSharingSearcher:
    """Returns random search with parameter sharing, with the published hyper-parameters of NAS-Bench-201's comparison.

    Each step draws a uniform architecture, the same in all cells, and makes a step of the weights with it on the
    training batch. At the end uniform architectures, 100 unless `selection` says otherwise, are compared under the
    shared weights. Where choices depend on one another each architecture that the space lists is as likely, so that its
    log-probability is minus the logarithm of their number.

    Published with batches of 64.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search.
      sgd: How the weights are trained.
      selection: How candidates are compared.
      split: Whether the supernet becomes one for each choice of a decision, and when (few-shot search). A step then
        trains the one that its architecture is of, so that all together take as many steps as one would (as published
        each is trained by itself), and candidates of all are compared, each under its own.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int, `selection` is no `Selection`, `split` no `Split`.
      ValueError: An argument is out of range.

    References:
      "Few-shot Neural Architecture Search", Zhao et al., 2021, Section 3.
      "Random Search and Reproducibility for Neural Architecture Search", Li and Talwalkar, 2019, Section 3; in
        "NAS-Bench-201", Dong and Yang, 2020, Section 4.
    """
    schedule = check_schedule(steps_per_epoch, epochs)
    decisions = decisions_of(supernet)
    check_selection(selection)
    edge, begins = check_few_shot(split, supernet).edge, split_step(split, schedule)
    trained_net = None if edge is None else split_supernet(supernet, edge)

    def init(key: Key) -> RspsState:
        key, weights_key = jax.random.split(key)
        weights = begin_weights(weights_key, supernet)
        return RspsState(key, jnp.int32(0), weights if edge is None else several(weights, decisions.shape[1]))

    def step(state: RspsState, batch: Batch) -> tuple[RspsState, StepInfo]:
        key, arch_key = jax.random.split(state.key)
        arch = uniform_archs(arch_key, supernet, 1)[0]
        rate = learning_rate(sgd, schedule, state.step)
        if edge is None:
            trained, measured = train_arch(supernet, state.weights, arch, batch.train, rate, sgd)
        else:
            weights = spread_weights(state.weights, state.step, begins)
            part = jnp.where(state.step < begins, 0, arch[edge])
            own, measured = train_arch(supernet, part_of(weights, part), arch, batch.train, rate, sgd)
            trained = with_part(weights, part, own)
        return RspsState(key, state.step + 1, trained), step_info(batch, measured)

    def derive(state: RspsState, dataset: Dataset, images: str) -> Derived:
        arch_key, choose_key = jax.random.split(derive_key(state.key))
        archs = uniform_archs(arch_key, supernet, selection.num_candidates)
        return choose(choose_key, trained_net or supernet, shared(state), archs, dataset, images, selection)

    def log_probability(state: RspsState, archs: Array) -> Array:
        del state
        if decisions.independent:
            return jnp.full(archs.shape[:1], np.float32(-np.sum(np.log(decisions.counts))))
        one = -math.log(_size(supernet.space) if decisions.uniform is None else decisions.uniform[0])
        return jnp.where(jax.vmap(supernet.space.is_valid)(archs), jnp.float32(one), -jnp.inf)

    def probabilities(state: RspsState) -> Array:
        del state
        if decisions.independent:
            return jnp.asarray(decisions.mask / decisions.counts[:, None], jnp.float32)
        if decisions.uniform is not None:
            return jnp.asarray(decisions.uniform[1])
        return jnp.asarray(_shares(supernet.space, decisions.shape[1]))

    def shared(state: RspsState) -> Shared:
        return state.weights.shared if edge is None else shared_by_parts(state.weights.shared, state.step, begins)

    functions = init, step, derive, log_probability, probabilities, shared
    return WeightSharingSearcher(*functions, "rsps", supernet=trained_net)


def _size(space: Space) -> int:
    """Returns how many architectures a space has, of which each is as likely."""
    assert space.size is not None, "a space of choices that depend on one another is listed by its index"
    return space.size


@functools.lru_cache(maxsize=8)
def _shares(space: Space, num_choices: int) -> NDArray[np.float32]:
    """Returns how often each decision has each choice among all architectures that a space lists, `[E, K]`."""
    assert space.from_index is not None
    with jax.ensure_compile_time_eval():
        archs = np.asarray(jax.vmap(space.from_index)(jnp.arange(_size(space))))
    return np.stack([(archs == choice).mean(axis=0) for choice in range(num_choices)], axis=1).astype(np.float32)


def uniform_archs(key: Key, supernet: Supernet, count: int) -> Array:
    """Returns `count` architectures int32 `[count, E]`, each choice of a decision as likely as another.

    Where choices are not independent they are architectures as the space draws them.

    Args:
      key: What they are drawn from.
      supernet: Says what there is to choose from.
      count: A Python int.
    """
    decisions = decisions_of(supernet)
    if not decisions.independent:
        return jax.vmap(supernet.space.sample)(jax.random.split(key, count))
    num_decisions, most = decisions.shape
    words = jax.random.bits(key, (count, num_decisions), jnp.uint32)
    if not decisions.ragged:
        return below(words, most)
    places = below(words, jnp.asarray(decisions.counts)[None])
    choices = np.argsort(~decisions.mask, axis=1, kind="stable")  # those that a decision has come first
    return jnp.asarray(choices, jnp.int32)[np.arange(num_decisions)[None], places]
