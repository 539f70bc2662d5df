"""NAO: a pool of architectures trains the weights, and gradient ascent on learned encodings renews the pool."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import (
    Array,
    Batch,
    Derived,
    Examples,
    Key,
    Shared,
    StepInfo,
    Supernet,
    WeightSharingSearcher,
    decisions_of,
)
from jnas.searchers._checks import check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._history import seen_before
from jnas.searchers.black_box._nao_ascent import Seeking, seek
from jnas.searchers.black_box._nao_model import NaoSettings, check_nao, flat_nao, init_nao, train_nao
from jnas.searchers.black_box._sequences import Reachable, leaves_of
from jnas.searchers.weight_sharing._candidates import Selection, check_selection, choose, derive_key
from jnas.searchers.weight_sharing._encoding import Encoding, listed_arch, make_encoding, marginals
from jnas.searchers.weight_sharing._shared_weights import (
    Sgd,
    WeightsState,
    as_evaluated,
    begin_weights,
    check_schedule,
    learning_rate,
    loss_of,
    step_info,
    train_arch,
)
from jnas.searchers.weight_sharing._spos import EVALUATED_SELECTION, EVALUATED_SGD
from jnas.training.data._dataset import Dataset
from jnas.training.operations._forms import branches

_TOGETHER = 16  # architectures that run as one batch where the supernet does not branch


class SharedNaoState(NamedTuple):
    """What NAO needs for its next step; the pool has `N` places, of which the first ones are in use."""

    key: Key  # []
    step: Array  # [] int32, steps done
    weights: WeightsState
    model: Array  # [P] float32, the encoder's, the predictor's and the decoder's parameters one after another
    choices: Array  # [N, D] int32, the decisions of each architecture of the pool: those of the last round best first
    archs: Array  # [N, E] int32
    shares: Array  # [N] float32, the probability of each to train the weights next; 0 where there is none


class _Pool(NamedTuple):
    choices: Array  # [N, D] int32
    archs: Array  # [N, E] int32
    shares: Array  # [N] float32


@recorded
def shared_nao(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 200,
    reachable: Reachable = "whole",
    epochs_per_round: int | None = None,
    num_init: int = 600,
    num_kept: int = 100,
    num_new: int = 300,
    num_random: int = 100,
    num_top: int = 100,
    max_step: int = 50,
    model: NaoSettings = NaoSettings(),  # noqa: B008 (immutable)
    sgd: Sgd = EVALUATED_SGD,
    selection: Selection = EVALUATED_SELECTION._replace(num_candidates=100),  # noqa: B008
) -> WeightSharingSearcher:
    """Returns NAO, with the published hyper-parameters of the evaluation of search phases.

    Each step trains the weights with one architecture of a pool, drawn in proportion to the parameters of its own
    network (where the supernet knows them, else uniformly). After every `epochs_per_round` epochs but the last a round
    is made: all of the pool are scored on the step's validation batch (of a text with nothing left out), the scores are
    scaled to 0 to 1, and encoder, predictor and decoder are trained on them from where they were. The encodings of the
    `num_top` best architectures then move along the gradient of the predicted score by 1, 2, ... `max_step` until
    `num_new` new architectures have been found, and the pool becomes the best `num_kept`, these, and `num_random`
    random ones. At the end the first of the pool, 100 unless `selection` says otherwise, are compared.

    Not as released: a score is taken on the same images for all (there each on images of its own), all of the pool is
    learned from (there nine tenths, of which an epoch has eight copies: `model.share=0.9` and `model.copies=8`, for 7
    times the work), and the weights are trained with the encoding that the space lists. The released code has an option
    to keep the 100 best, without which its pool keeps all (`num_kept=1400`). It has a setting for paths that are
    dropped, 0.1 of them, which its network of NAS-Bench-101 never reads: there are none here either.

    Published with batches of 256, and rounds after 51, 101 and 151 epochs.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search.
      reachable: `'whole'`: sequences of the space's decisions. `'released'`, for the cells of NAS-Bench-101: one
        predecessor and one operation for each vertex, which expresses few of the cells
        (`jnas.spaces.reachable_cells`).
      epochs_per_round: Between rounds; None for a quarter of all, rounded up; 50 as published.
      num_init: Random architectures of the first pool.
      num_kept: The best that stay in the pool.
      num_new: Architectures that gradient ascent brings to it.
      num_random: Random ones.
      num_top: Encodings that move.
      max_step: The largest step.
      model: Its sizes, and how it is trained.
      sgd: How the weights are trained.
      selection: How candidates are compared.

    Raises:
      TypeError: A count is not a Python int, or `selection` is no `Selection`.
      ValueError: An argument is out of range, or the space has no released sampler.

    References:
      "Neural Architecture Optimization", Luo et al., 2018, Sections 3 and 4; in "Evaluating the Search Phase of Neural
        Architecture Search", Yu et al., 2020 (its released code).
    """
    schedule = check_schedule(steps_per_epoch, epochs)
    check_sizes(num_init=num_init, num_kept=num_kept, num_new=num_new, num_top=num_top, max_step=max_step)
    check_positive_int("num_random", num_random, 0)
    # Rounded up, so that there are three rounds at most, as published.
    every = -(-epochs // 4) if epochs_per_round is None else epochs_per_round
    check_positive_int("epochs_per_round", every)
    check_nao(model)
    check_selection(selection)
    encoding = make_encoding(supernet, reachable, "nao")
    (length, num_words), size = encoding.sequence.mask.shape, max(num_init, num_kept + num_new + num_random)
    shapes = jax.eval_shape(lambda: init_nao(jax.random.key(0), num_words, length, model))

    def init(key: Key) -> SharedNaoState:
        key, weights_key, model_key, pool_key = jax.random.split(key, 4)
        choices = encoding.uniform(pool_key, num_init)
        pool = _as_pool(supernet, encoding, choices, jnp.ones(num_init, bool), size)
        flat = flat_nao(model_key, num_words, length, model)
        return SharedNaoState(key, jnp.int32(0), begin_weights(weights_key, supernet), flat, *pool)

    def step(state: SharedNaoState, batch: Batch) -> tuple[SharedNaoState, StepInfo]:
        key, arch_key, round_key = jax.random.split(state.key, 3)
        arch = state.archs[_draw_row(arch_key, state.shares)]
        rate = learning_rate(sgd, schedule, state.step)
        trained, measured = train_arch(supernet, state.weights, arch, batch.train, rate, sgd)
        done = state.step + 1
        state = state._replace(key=key, step=done, weights=trained)
        ends = (done % (every * steps_per_epoch) == 0) & (done < epochs * steps_per_epoch)
        state = jax.lax.cond(all_lanes(ends), renew, lambda state, *_: state, state, round_key, batch.validation)
        return state, step_info(batch, measured)

    def renew(state: SharedNaoState, key: Key, examples: Examples) -> SharedNaoState:
        train_key, random_key = jax.random.split(key)
        there = state.shares > 0
        scores = jnp.where(there, _rewards(supernet, state.weights.shared, state.archs, examples), -jnp.inf)
        least, best = jnp.min(jnp.where(there, scores, jnp.inf)), jnp.max(scores)
        targets = jnp.where(there, (scores - least) / jnp.where(best > least, best - least, 1.0), 0.0)
        words = jnp.asarray(encoding.sequence.word_of)[np.arange(length, dtype=np.int32)[None], state.choices]
        flat = train_nao(train_key, state.model, shapes, (words, targets), there, model)
        order = jnp.argsort(-scores, stable=True)
        top = order[:num_top]
        fingerprints, count = jax.vmap(supernet.space.fingerprint)(state.archs), jnp.sum(there, dtype=jnp.int32)
        is_known = lambda found: seen_before(found, fingerprints, count)  # noqa: E731
        wanted = Seeking(num_new, max_step)
        network = leaves_of(shapes)(flat)
        new, num_found = seek(network, words[top], there[top], is_known, supernet.space, encoding.sequence, wanted)
        choices = [state.choices[order[:num_kept]], new, encoding.uniform(random_key, num_random)]
        valid = [there[order[:num_kept]], jnp.arange(num_new) < num_found, jnp.ones(num_random, bool)]
        pool = _as_pool(supernet, encoding, jnp.concatenate(choices), jnp.concatenate(valid), size)
        return SharedNaoState(state.key, state.step, state.weights, flat, *pool)

    def derive(state: SharedNaoState, dataset: Dataset, split: str) -> Derived:
        rows = jnp.arange(selection.num_candidates) % jnp.sum(state.shares > 0)  # again those of a pool of fewer
        key = jax.random.fold_in(derive_key(state.key), 0)
        return choose(key, supernet, state.weights.shared, state.archs[rows], dataset, split, selection)

    def log_probability(state: SharedNaoState, archs: Array) -> Array:
        def share(arch: Array) -> Array:
            same = jnp.all(state.archs == listed_arch(supernet.space, arch)[None], axis=1)
            return jnp.sum(jnp.where(same & supernet.space.is_valid(arch), state.shares, 0))

        return jnp.log(jax.vmap(share)(archs))

    def probabilities(state: SharedNaoState) -> Array:
        return marginals(state.archs, state.shares, decisions_of(supernet).shape[1])

    def shared(state: SharedNaoState) -> Shared:
        return state.weights.shared

    return WeightSharingSearcher(init, step, derive, log_probability, probabilities, shared, "nao")


def _draw_row(key: Key, shares: Array) -> Array:
    """Returns a row int32 `[]` by the probabilities float32 `[N]` of the first rows; of others they are 0."""
    reached = jnp.cumsum(shares)
    row = jnp.searchsorted(reached, jax.random.uniform(key, (), jnp.float32) * reached[-1], side="right")
    return jnp.minimum(row, jnp.sum(shares > 0) - 1).astype(jnp.int32)  # rounding may lead beyond the last


def _as_pool(supernet: Supernet, encoding: Encoding, choices: Array, valid: Array, size: int) -> _Pool:
    """Returns a pool of `size` places of decisions int32 `[M, D]`, those that are valid bool `[M]` first."""
    choices = choices[jnp.argsort(~valid, stable=True)]
    archs = jax.vmap(encoding.to_arch)(choices)
    weights = jnp.ones(len(archs), jnp.float32) if supernet.parameters is None else jax.vmap(supernet.parameters)(archs)
    shares = jnp.where(jnp.arange(len(archs)) < jnp.sum(valid), weights, 0)
    shares = shares / jnp.sum(shares)
    missing = size - len(archs)
    rows = ((0, missing), (0, 0))
    return _Pool(jnp.pad(choices, rows), jnp.pad(archs, rows), jnp.pad(shares, (0, missing)))


def _rewards(supernet: Supernet, shared: Shared, archs: Array, examples: Examples) -> Array:
    """Returns the reward of each architecture `[N]` on a batch; 0 where an output is not finite."""

    def reward(arch: Array) -> Array:
        forward = lambda parameters, inputs: supernet.sampled(parameters, None, arch, inputs)  # noqa: E731
        _, (measured, _) = loss_of(supernet.task, forward, shared.parameters, as_evaluated(examples))
        return jnp.where(jnp.isnan(measured.metric), 0, supernet.task.reward(measured.metric))

    together = None if branches(supernet.form) else min(_TOGETHER, len(archs))
    found: Array = jax.lax.map(reward, archs, batch_size=together)
    return found
