"""SETN: uniform architectures train the weights, a softmax mixture trains the preferences, the best are compared."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Batch, Derived, Key, StepInfo, Supernet, WeightSharingSearcher, decisions_of
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._architecture_parameters import (
    Adam,
    AlphaState,
    alpha_functions,
    begin_alpha,
    mixture_gradient,
    most_probable,
    update_alpha,
)
from jnas.searchers.weight_sharing._candidates import Selection, check_selection, choose, derive_key
from jnas.searchers.weight_sharing._rsps import uniform_archs
from jnas.searchers.weight_sharing._shared_weights import (
    Sgd,
    as_architecture,
    check_schedule,
    learning_rate,
    step_info,
    train_arch,
)
from jnas.training.data._dataset import Dataset


@recorded
def setn(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 250,
    sgd: Sgd = Sgd(clip=None),  # noqa: B008 (immutable)
    adam: Adam = Adam(),  # noqa: B008
    init_scale: Any = 1e-3,
    selection: Selection = Selection(),  # noqa: B008
) -> WeightSharingSearcher:
    """Returns SETN, with the published hyper-parameters of NAS-Bench-201's comparison.

    Each step draws a uniform architecture, the same in all cells, and makes a step of the weights with it on the
    training batch; then makes a step of alpha on the validation batch, with all operations mixed by the softmax of
    alpha. Running estimates of batch-norm are taken from the uniform architectures alone; the published script also
    moves them in the mixture's passes. Where not every edge is there, as on DARTS's space, what is compared is
    what alpha derives and draws around it, by Gumbel noise.

    Published with batches of 64.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search.
      sgd: How the weights are trained; published without clipping.
      adam: How alpha is.
      init_scale: Standard deviation of the first alpha.
      selection: How the architectures of highest probability, 100 unless it says otherwise, are compared at the end.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int, or `selection` is no `Selection`.
      ValueError: An argument is out of range.

    References:
      "One-Shot Neural Architecture Search via Self-Evaluated Template Network", Dong and Yang, 2019, Section 3; in
        "NAS-Bench-201", Dong and Yang, 2020, Section 4.
    """
    schedule = check_schedule(steps_per_epoch, epochs)
    decisions, alpha_says = decisions_of(supernet), alpha_functions(supernet)
    check_selection(selection)

    def init(key: Key) -> AlphaState:
        return begin_alpha(key, supernet, init_scale, adam)

    def step(state: AlphaState, batch: Batch) -> tuple[AlphaState, StepInfo]:
        key, arch_key = jax.random.split(state.key)
        arch = uniform_archs(arch_key, supernet, 1)[0]
        rate = learning_rate(sgd, schedule, state.step)
        trained, on_train = train_arch(supernet, state.weights, arch, batch.train, rate, sgd)

        parameters = trained.shared.parameters
        gradient, on_validation = mixture_gradient(supernet, parameters, state.alpha, batch.validation)
        alpha, optimizer = update_alpha(adam, gradient, state.optimizer, state.alpha)
        return AlphaState(key, state.step + 1, trained, alpha, optimizer), step_info(batch, on_train, on_validation)

    def candidates(key: Key, logits: Array) -> Array:
        if decisions.absent is not None:
            noise = jax.random.gumbel(key, (selection.num_candidates, *decisions.shape), jnp.float32)
            return jax.vmap(supernet.discretize)(logits[None] + noise.at[0].set(0))
        count = min(selection.num_candidates, math.prod(decisions.counts.tolist()))
        choices = most_probable(jax.nn.log_softmax(logits, axis=1), count)
        return jax.vmap(lambda each: as_architecture(supernet, each))(choices)

    def derive(state: AlphaState, dataset: Dataset, split: str) -> Derived:
        key = derive_key(state.key)
        draw_key, key = (key, key) if decisions.absent is None else jax.random.split(key)
        archs = candidates(draw_key, decisions.restrict(state.alpha))
        return choose(key, supernet, state.weights.shared, archs, dataset, split, selection)

    return WeightSharingSearcher(init, step, derive, *alpha_says[1:], "setn")
