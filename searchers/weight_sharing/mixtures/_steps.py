"""A step of a search by a mixture, put together from its parts: what trains the weights, and what alpha learns."""

import itertools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Batch, CarriedInfo, Examples, Key, StepInfo, Supernet, decisions_of
from jnas.io._text import not_one_of
from jnas.searchers.weight_sharing._architecture_hessian import hessian_on
from jnas.searchers.weight_sharing._architecture_parameters import Adam, AlphaState, by_weights, update_alpha
from jnas.searchers.weight_sharing._shared_weights import (
    Measured,
    Schedule,
    Sgd,
    learning_rate,
    loss_of,
    paced,
    step_info,
    train_weights,
    unmeasured,
)
from jnas.searchers.weight_sharing.mixtures._adaptive import Adaptation, adapt
from jnas.searchers.weight_sharing.mixtures._early_stopping import EarlyStopping, kept_where, watch_eigenvalue
from jnas.searchers.weight_sharing.mixtures._perturbation import Perturbation, moved_weights, radius_of
from jnas.searchers.weight_sharing.mixtures._unrolled import Loss, SecondOrder, unrolled_gradient
from jnas.searchers.weight_sharing.mixtures._weights import FAR, Mixing

Order = Literal["first", "second"]

Step = Callable[[AlphaState, Batch], tuple[AlphaState, StepInfo]]


class Rules(NamedTuple):
    """What a search by a mixture obeys, checked."""

    supernet: Supernet  # with the decisions and the mixture that alpha is of
    schedule: Schedule
    mixing: Mixing
    sgd: Sgd
    adam: Adam
    order: Order = "first"
    second: SecondOrder = "exact"
    unroll_rate: Any = None
    unroll_clip: Any = None
    waits: int = 0  # epochs of each stage in which alpha stays
    kept: tuple[int, ...] = ()  # operations that edges keep in each stage after the first
    skips: NDArray[np.bool_] | None = None  # [D, C], beside which the auxiliary skip goes
    auxiliary_skip: Any = None  # its weight in the first epoch
    perturbation: Perturbation = Perturbation()
    stopping: EarlyStopping = EarlyStopping()
    adapting: Adaptation = Adaptation()


class _Keys(NamedTuple):
    train: Any  # of the weights of the mixture that a step of the shared weights sees
    validation: Any  # of those that alpha is learned at
    moves: Any


def mixture_weights(rules: Rules, step: Array, weights: Array) -> Array:
    """Returns the weights that a mixture is run with: with the auxiliary skip's, which falls epoch by epoch to 0."""
    if rules.skips is None:
        return weights
    left = 1 - rules.schedule.epoch(step) / np.float32(rules.schedule.epochs)
    mixed: Array = weights + rules.auxiliary_skip * left.astype(weights.dtype) * rules.skips
    return mixed


def make_step(rules: Rules) -> Step:
    """Returns the step of a search by a mixture."""
    train, learn = _make_train(rules), _when_warm(rules, _make_learn(rules))

    def step(state: AlphaState, batch: Batch) -> tuple[AlphaState, StepInfo]:
        before = state
        state, keys = _draw_keys(rules, state)
        state = _with_stage(rules, state)
        if rules.order == "first":
            state, on_train = train(state, batch, keys)
            state, on_validation = learn(state, batch, keys)
        else:
            state, on_validation = learn(state, batch, keys)
            state, on_train = train(state, batch, keys)
        info = step_info(batch, on_train, on_validation)
        if rules.stopping.every and rules.adapting.factor:
            state = _adapted(rules, state, batch.validation)
        elif rules.stopping.every:
            state, info = _watched(rules, before, state, info, batch.validation)
        return state._replace(step=state.step + 1), info

    return step


def _draw_keys(rules: Rules, state: AlphaState) -> tuple[AlphaState, _Keys]:
    moves = rules.perturbation.kind != "none"
    if not (moves or rules.mixing.draws):
        return state, _Keys(None, None, None)
    key, *own = jax.random.split(state.key, 1 + 2 * rules.mixing.draws + moves)
    drawn = (*own[:2], *own[2:]) if rules.mixing.draws else (None, None, *own)
    return state._replace(key=key), _Keys(*drawn, *([] if moves else [None]))


def _loss_on(rules: Rules, examples: Examples, key: Any, step: Array) -> Loss:
    """Returns the mean loss of the mixture on a batch, as a function of the shared weights and alpha."""

    def loss(parameters: Any, alpha: Array) -> tuple[Array, Measured]:
        weights = mixture_weights(rules, step, rules.mixing.weights(key, alpha))
        found, (measured, _) = loss_of(rules.supernet.task, by_weights(rules.supernet, weights), parameters, examples)
        return found, measured

    return loss


def _penalized(rules: Rules, loss: Loss) -> Loss:
    """Returns the loss that alpha follows; what is measured stays that of the examples."""
    penalty = rules.mixing.penalty
    if penalty is None:
        return loss

    def more(parameters: Any, alpha: Array) -> tuple[Array, Measured]:
        found, measured = loss(parameters, alpha)
        return found + penalty(alpha), measured

    return more


def _make_train(rules: Rules) -> Callable[[AlphaState, Batch, _Keys], tuple[AlphaState, Measured]]:
    supernet = rules.supernet

    def train(state: AlphaState, batch: Batch, keys: _Keys) -> tuple[AlphaState, Measured]:
        sgd = _sgd_of(rules, state)
        rate = learning_rate(sgd, rules.schedule, state.step)
        weights = rules.mixing.weights(keys.train, state.alpha)
        if rules.perturbation.kind != "none":
            weights = _moved(rules, state, batch.train, weights, keys.moves)
        forward = by_weights(supernet, mixture_weights(rules, state.step, weights))
        trained, measured = train_weights(supernet, state.weights, forward, batch.train, rate, sgd)
        return state._replace(weights=trained), measured

    return train


def _sgd_of(rules: Rules, state: AlphaState) -> Sgd:
    """Returns how the shared weights are trained now: of a search that adapts, with the decay that it has come to."""
    return rules.sgd._replace(weight_decay=state.stop.decay) if rules.adapting.factor else rules.sgd


def _moved(rules: Rules, state: AlphaState, examples: Examples, weights: Array, key: Key) -> Array:
    schedule, supernet = rules.schedule, rules.supernet
    radius = radius_of(rules.perturbation, schedule.epoch(state.step), schedule.epochs)

    def loss(weights: Array) -> Array:
        forward = by_weights(supernet, mixture_weights(rules, state.step, weights))
        return loss_of(supernet.task, forward, state.weights.shared.parameters, examples)[0]

    there = jnp.asarray(decisions_of(supernet).mask) & (state.alpha > -FAR / 2)
    return moved_weights(key, rules.perturbation, weights, there, radius, loss)


def _make_learn(rules: Rules) -> Callable[[AlphaState, Batch, _Keys], tuple[AlphaState, Measured]]:
    def learn(state: AlphaState, batch: Batch, keys: _Keys) -> tuple[AlphaState, Measured]:
        on_validation = _penalized(rules, _loss_on(rules, batch.validation, keys.validation, state.step))
        if rules.order == "first":
            parameters = state.weights.shared.parameters
            gradient, measured = jax.grad(lambda alpha: on_validation(parameters, alpha), has_aux=True)(state.alpha)
        else:
            scheduled = rules.unroll_rate is None
            rate = learning_rate(rules.sgd, rules.schedule, state.step) if scheduled else rules.unroll_rate
            rate = paced(rules.supernet.task, rate, batch.train)
            on_train = _loss_on(rules, batch.train, keys.validation, state.step)  # the same draw in both
            gradient, measured = unrolled_gradient(
                on_train,
                on_validation,
                state.weights,
                state.alpha,
                rate,
                _sgd_of(rules, state),
                rules.second,
                rules.unroll_clip,
            )
        alpha, optimizer = update_alpha(rules.adam, gradient, state.optimizer, state.alpha)
        return state._replace(alpha=alpha, optimizer=optimizer), measured

    return learn


def _when_warm(rules: Rules, learn: Callable[..., Any]) -> Callable[..., tuple[AlphaState, Measured]]:
    """Returns what leaves alpha as it is in the first epochs, or in the first of each stage."""
    if not rules.waits:
        return learn

    def wait(state: AlphaState, batch: Batch, keys: _Keys) -> tuple[AlphaState, Measured]:
        return state, unmeasured(batch.validation)

    def learn_when_warm(state: AlphaState, batch: Batch, keys: _Keys) -> tuple[AlphaState, Measured]:
        epoch = rules.schedule.epoch(state.step)
        cold = epoch < rules.waits
        for begins in stage_epochs(rules.schedule.epochs, len(rules.kept) + 1)[1:]:
            cold = cold | ((epoch >= begins) & (epoch < begins + rules.waits))
        # Searches side by side have made as many steps, so that the branch stays a branch under `vmap`.
        found: tuple[AlphaState, Measured] = jax.lax.cond(all_lanes(cold), wait, learn, state, batch, keys)
        return found

    return learn_when_warm


def stage_epochs(epochs: int, stages: int) -> list[int]:
    """Returns the epochs with which stages begin, as long as one another."""
    return [math.floor(epochs * stage / stages) for stage in range(stages)]


def _with_stage(rules: Rules, state: AlphaState) -> AlphaState:
    """Returns the state with fewer operations on each edge, where a stage begins that keeps fewer."""
    if not rules.kept:
        return state
    mask, alpha = jnp.asarray(decisions_of(rules.supernet).mask), state.alpha
    # A choice's place among those of its row, the largest alpha first.
    own = jnp.where(mask, alpha, -jnp.inf)
    place = jnp.argsort(jnp.argsort(-own, axis=1, stable=True), axis=1, stable=True)
    begins = stage_epochs(rules.schedule.epochs, len(rules.kept) + 1)[1:]
    for epoch, count in zip(begins, rules.kept, strict=True):
        now = state.step == epoch * rules.schedule.steps_per_epoch
        alpha = jnp.where(now & (place >= count), -FAR, alpha)
    return state._replace(alpha=alpha)


def _watched(
    rules: Rules, before: AlphaState, state: AlphaState, info: StepInfo, examples: Examples
) -> tuple[AlphaState, StepInfo]:
    """Returns a step's end: what stopped stays, and where it is time the eigenvalue is measured, which may stop it."""
    schedule, settings = rules.schedule, rules.stopping
    stopped = before.stop.stopped >= 0
    held = kept_where(
        stopped, (before.weights, before.alpha, before.optimizer), (state.weights, state.alpha, state.optimizer)
    )
    state = state._replace(weights=held[0], alpha=held[1], optimizer=held[2])
    told = info.info if isinstance(info, CarriedInfo) else info  # the states that a text carries go on
    told = StepInfo(*(jnp.where(stopped, jnp.nan, each) for each in told))
    info = info._replace(info=told) if isinstance(info, CarriedInfo) else told

    def measure(state: AlphaState) -> AlphaState:
        largest, done = _largest_eigenvalue(rules, state, examples), schedule.epoch(state.step) + 1
        seen = watch_eigenvalue(state.stop, state.alpha, largest, done, settings)
        seen = kept_where(state.stop.stopped >= 0, state.stop, seen)
        back = seen.alphas[jnp.maximum(seen.stopped, 0)]
        return state._replace(stop=seen, alpha=jnp.where(seen.stopped >= 0, back, state.alpha))

    return _where_measured(rules, state, measure), info


def _adapted(rules: Rules, state: AlphaState, examples: Examples) -> AlphaState:
    """Returns a step's end: where it is time the eigenvalue is measured, and a search may go back, decayed more.

    The counter of steps is not taken back with it: searches side by side make as many, and the rate ends where it does.
    """

    def measure(state: AlphaState) -> AlphaState:
        largest, done = _largest_eigenvalue(rules, state, examples), rules.schedule.epoch(state.step) + 1
        held = state.weights, state.alpha, state.optimizer
        seen, (weights, alpha, optimizer) = adapt(state.stop, held, largest, done, rules.stopping, rules.adapting)
        return state._replace(weights=weights, alpha=alpha, optimizer=optimizer, stop=seen)

    return _where_measured(rules, state, measure)


def _largest_eigenvalue(rules: Rules, state: AlphaState, examples: Examples) -> Array:
    """Returns that of the Hessian in alpha of the loss on a batch, with the decay of alpha; float32 `[]`."""

    def loss(alpha: Array) -> Array:
        weights = mixture_weights(rules, state.step, rules.mixing.mean(alpha))
        forward, parameters = by_weights(rules.supernet, weights), state.weights.shared.parameters
        return loss_of(rules.supernet.task, forward, parameters, examples)[0]

    curvature = hessian_on(decisions_of(rules.supernet), loss, state.alpha)
    largest: Array = jnp.linalg.eigvalsh(curvature)[-1] + rules.adam.weight_decay
    return largest


def _where_measured(rules: Rules, state: AlphaState, measure: Callable[[AlphaState], AlphaState]) -> AlphaState:
    """Returns what a measurement makes of the state at the end of those epochs after which there is one."""
    schedule = rules.schedule
    done = schedule.epoch(state.step) + 1
    ends = schedule.place(state.step) == schedule.steps_per_epoch - 1
    now = all_lanes(ends & (done % rules.stopping.every == 0))
    found: AlphaState = jax.lax.cond(now, measure, lambda state: state, state)
    return found


def weights_in(rules: Rules) -> Callable[[AlphaState, Array], Array]:
    """Returns the weights of the mixture as a function of a state and of alpha, without chance."""
    return lambda state, alpha: mixture_weights(rules, state.step, rules.mixing.mean(alpha))


def tuned_rules(rules: Rules) -> Rules:
    """Returns the rules after a search has ended: a tenth of the first learning rate, and nothing that stops."""
    tenth = rules.sgd.learning_rate / 10
    return rules._replace(
        sgd=rules.sgd._replace(learning_rate=tenth, final_learning_rate=tenth),
        stopping=EarlyStopping(),
        waits=0,
        kept=(),
    )


def check_words(**given: Any) -> None:
    """Raises ValueError where an argument, given by its name as a value and a `Literal`, is none of its words."""
    for name, (value, known) in given.items():
        if value not in get_args(known):
            raise ValueError(not_one_of(name, value, get_args(known)))


def warm_up_epochs(share: Any, epochs: int, stages: int = 1) -> int:
    """Returns how many epochs a share of all of a stage's is, rounded.

    Raises:
      TypeError: It is no number.
      ValueError: It is not from 0 to below 1.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        raise TypeError(f"warm_up is {share!r}, expected a number: the share of the epochs in which alpha waits")
    if not 0 <= share < 1:
        raise ValueError(f"warm_up is {share}, expected a share of the epochs, from 0 to below 1")
    return min(round(share * epochs / stages), max(epochs // stages - 1, 0))


def check_kept(kept: Any, edge_weights: str) -> tuple[int, ...]:
    """Returns how many operations edges keep, stage by stage; more than an edge has are all of its.

    Raises:
      TypeError: It is no tuple of Python ints.
      ValueError: Numbers do not fall, or edges are weighed too.
    """
    if not isinstance(kept, tuple) or not all(type(count) is int for count in kept):
        raise TypeError(f"kept is {kept!r}, expected a tuple of Python ints: operations in each stage after the first")
    if any(low >= high for high, low in itertools.pairwise(kept)) or min(kept, default=1) < 1:
        raise ValueError(f"kept is {kept}, expected numbers that fall, to 1 at least")
    if kept and edge_weights != "equal":
        raise ValueError("kept is of operations alone, and edge_weights='learned' weighs edges too; give one of both")
    return kept
