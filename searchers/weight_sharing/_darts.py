"""DARTS: the operations of each edge mixed by a softmax, and the mixture learned by gradient descent."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Batch, Examples, Key, StepInfo, Supernet, WeightSharingSearcher
from jnas.io._text import not_one_of
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._architecture_parameters import (
    Adam,
    AlphaState,
    EdgeWeights,
    Reachable,
    alpha_functions,
    begin_preferences,
    in_parts,
    mixture_gradient,
    mixture_loss,
    mixture_of,
    preferences_of,
    update_alpha,
    with_preferences,
)
from jnas.searchers.weight_sharing._shared_weights import (
    Measured,
    Sgd,
    WeightsState,
    check_schedule,
    clipped,
    learning_rate,
    norm,
    paced,
    step_info,
    train_weights,
    unmeasured,
)

Order = Literal["first", "second"]
SecondOrder = Literal["exact", "finite_difference"]

Loss = Callable[[Any, Array], tuple[Array, Measured]]
"""`loss(parameters, alpha) -> (loss, measured)`."""


@recorded
def darts(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 50,
    order: Order = "first",
    second: SecondOrder = "exact",
    sgd: Sgd = Sgd(),  # noqa: B008 (immutable)
    adam: Adam = Adam(),  # noqa: B008
    init_scale: Any = 1e-3,
    unroll_rate: Any = None,
    reachable: Reachable = "whole",
    partial: int = 1,
    edge_weights: EdgeWeights = "equal",
    warm_up: float = 0.0,
    unroll_clip: Any = None,
) -> WeightSharingSearcher:
    """Returns DARTS, with the published hyper-parameters of NAS-Bench-201's comparison; or PC-DARTS, by its arguments.

    First order (DARTS-V1): the weights make a step on the training batch, then alpha one on the validation batch.
    Second order (DARTS-V2): alpha first, by the gradient of the validation loss at
    `w' = w - rate * (momentum * m + gradient + weight_decay * w)`, the weights after a step as a function of alpha;
    then the weights.

    Batch-norm uses the statistics of each batch. Running estimates are taken from the weights' steps alone; the
    published scripts also move them in the passes of the architecture's step and of the finite difference.

    PC-DARTS, for DARTS's space, is the first order with `partial=4`, `edge_weights='learned'`, `warm_up=0.3`, weights
    trained by `Sgd(0.1, weight_decay=3e-4, nesterov=False)` and alpha by `Adam(6e-4)`, on batches of 256.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search. Published with 50 and batches of 64.
      order: `'first'` or `'second'`.
      second: How the second-order term is computed: `'exact'`, by one product of the Hessian and a vector, forward over
        reverse; or `'finite_difference'`, by two more gradients, as published. The two agree where the loss is smooth.
        A network of ReLUs is not: over the published distance of 0.01 many of them switch, and in a small network their
        jumps, not the curvature, are what the difference measures.
      sgd: How the weights are trained.
      adam: How alpha is.
      init_scale: Standard deviation of the first alpha.
      unroll_rate: The learning rate of `w'`, by default that of the weights; 0 makes the second order's gradient that
        of the first.
      reachable: `'whole'`: what reaches every architecture; on NAS-Bench-101 a softmax over whether each edge is there,
        and over the operations of each vertex. `'released'`, there: as the evaluation of search phases mixes, one
        predecessor or none for each vertex and all vertices at the output, which expresses few cells
        (`jnas.spaces.reachable_cells`).
      partial: In how many parts the channels of an edge are, of which one goes through the operations and the others
        pass; where the supernet has such edges (`Supernet.partial`).
      edge_weights: `'equal'`, or `'learned'`: the edges into a node are weighed by a softmax, whose logits are rows of
        alpha after those of the operations; two edges into each node are derived by the products of both.
      warm_up: The share of the epochs, the first ones, in which the weights alone are trained; 15 of 50 as published.
      unroll_clip: Largest norm of the gradient in the step to `w'`, or None; on Penn Treebank published with 0.25.

    Returns:
      A searcher that derives what the supernet's `discretize` makes of alpha; on NAS-Bench-201 the operation of the
      largest alpha on each edge, `none` included. With `reachable='released'`, the most frequent of 1,000 draws.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int.
      ValueError: An argument is out of range, or the supernet has no released decisions, partial edges or edges to
        weigh.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 2.3, Equations 5 to 8, and
        Algorithm 1; in "NAS-Bench-201", Dong and Yang, 2020, Section 4.
      "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", Xu et al., 2020, Section 3.
    """
    for name, value, known in (("order", order, get_args(Order)), ("second", second, get_args(SecondOrder))):
        if value not in known:
            raise ValueError(not_one_of(name, value, known))
    schedule, waits = check_schedule(steps_per_epoch, epochs), _warm_up_epochs(warm_up, epochs)
    trained = in_parts(supernet, partial)
    preferences = preferences_of(trained, reachable, edge_weights)
    mixed = with_preferences(trained, preferences)

    def loss_on(examples: Examples) -> Loss:
        return lambda parameters, alpha: mixture_loss(mixed, parameters, alpha, examples)

    def train(state: AlphaState, batch: Batch) -> tuple[AlphaState, Measured]:
        rate = learning_rate(sgd, schedule, state.step)
        forward = mixture_of(mixed, state.alpha)
        weights, measured = train_weights(mixed, state.weights, forward, batch.train, rate, sgd)
        return state._replace(weights=weights), measured

    def learn(state: AlphaState, batch: Batch) -> tuple[AlphaState, Measured]:
        if order == "first":
            parameters = state.weights.shared.parameters
            gradient, measured = mixture_gradient(mixed, parameters, state.alpha, batch.validation)
        else:
            rate = learning_rate(sgd, schedule, state.step) if unroll_rate is None else unroll_rate
            rate = paced(mixed.task, rate, batch.train)
            losses = loss_on(batch.train), loss_on(batch.validation)
            gradient, measured = unrolled_gradient(*losses, state.weights, state.alpha, rate, sgd, second, unroll_clip)
        alpha, optimizer = update_alpha(adam, gradient, state.optimizer, state.alpha)
        return state._replace(alpha=alpha, optimizer=optimizer), measured

    def wait(state: AlphaState, batch: Batch) -> tuple[AlphaState, Measured]:
        return state, unmeasured(batch.validation)

    def learn_when_warm(state: AlphaState, batch: Batch) -> tuple[AlphaState, Measured]:
        if not waits:
            return learn(state, batch)
        # Searches side by side have made as many steps, so that the branch stays a branch under `vmap`.
        cold = all_lanes(schedule.epoch(state.step) < waits)
        found: tuple[AlphaState, Measured] = jax.lax.cond(cold, wait, learn, state, batch)
        return found

    def init(key: Key) -> AlphaState:
        return begin_preferences(key, mixed, preferences, init_scale, adam)

    def step(state: AlphaState, batch: Batch) -> tuple[AlphaState, StepInfo]:
        if order == "first":
            state, on_train = train(state, batch)
            state, on_validation = learn_when_warm(state, batch)
        else:
            state, on_validation = learn_when_warm(state, batch)
            state, on_train = train(state, batch)
        return state._replace(step=state.step + 1), step_info(batch, on_train, on_validation)

    name = "pc-darts" if partial > 1 else "darts-v1" if order == "first" else "darts-v2"
    return WeightSharingSearcher(
        init,
        step,
        *alpha_functions(supernet, preferences),
        name,
        mixed=mixed,
        supernet=None if trained is supernet else trained,
    )


def _warm_up_epochs(share: Any, epochs: int) -> int:
    """Returns how many epochs a share of all of them is, rounded.

    Raises:
      TypeError: It is no number.
      ValueError: It is not from 0 to below 1.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        raise TypeError(f"warm_up is {share!r}, expected a number: the share of the epochs in which alpha waits")
    if not 0 <= share < 1:
        raise ValueError(f"warm_up is {share}, expected a share of the epochs, from 0 to below 1")
    return min(round(share * epochs), epochs - 1)


def unrolled_gradient(
    train: Loss,
    validation: Loss,
    state: WeightsState,
    alpha: Array,
    rate: Any,
    sgd: Sgd,
    second: SecondOrder = "exact",
    clip: Any = None,
) -> tuple[Array, Measured]:
    """Returns the gradient in alpha of the validation loss after a step of the weights, and what validation measured.

    Args:
      train: The loss whose gradient the weights follow.
      validation: The loss that alpha follows.
      state: The weights and their momentum.
      alpha: float32 `[E, K]`.
      rate: The learning rate of the step.
      sgd: Its momentum and weight decay; the step is not Nesterov's, as published.
      second: How the derivative of the step is computed.
      clip: Largest norm of the step's gradient, or None. Its share is differentiated too (where released code clips, it
        takes the share as a number, and clips the derivative of the validation loss).
    """
    parameters = state.shared.parameters

    def gradients_of_train(parameters: Any) -> tuple[Any, Array]:
        found: tuple[Any, Array] = jax.grad(train, argnums=(0, 1), has_aux=True)(parameters, alpha)[0]
        return found

    if second == "exact":  # the derivative goes on from what the gradient has computed
        (gradients, _), derivative = jax.linearize(gradients_of_train, parameters)
    else:
        gradients, _ = gradients_of_train(parameters)
    stepped = jax.tree.map(
        lambda value, mean, gradient: value - rate * (sgd.momentum * mean + gradient + sgd.weight_decay * value),
        parameters,
        state.momentum,
        clipped(gradients, clip),
    )
    (direction, direct), measured = jax.grad(validation, argnums=(0, 1), has_aux=True)(stepped, alpha)
    if clip is not None:
        direction = jax.vjp(lambda gradients: clipped(gradients, clip), gradients)[1](direction)[0]
    if second == "exact":
        _, indirect = derivative(direction)
    else:
        size = 1e-2 / jnp.maximum(norm(direction), 1e-12)

        def on_side(sign: Array) -> Array:
            moved = jax.tree.map(lambda value, along: value + sign * size * along, parameters, direction)
            return gradients_of_train(moved)[1]

        above, below = jax.lax.map(on_side, jnp.asarray([1.0, -1.0], jnp.float32))
        indirect = (above - below) / (2 * size)
    return direct - rate * indirect, measured
