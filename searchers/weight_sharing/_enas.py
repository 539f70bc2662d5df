"""ENAS: a controller draws architectures, which train the shared weights and whose accuracy rewards it."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import Array, Batch, Derived, Key, Shared, StepInfo, Supernet, WeightSharingSearcher
from jnas.core._widths import narrow_optimizer
from jnas.io._fields import describe_fields
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._sequences import Reachable
from jnas.searchers.weight_sharing._candidates import Selection, check_selection, choose, derive_key
from jnas.searchers.weight_sharing._controller import ControllerSettings
from jnas.searchers.weight_sharing._pool import CandidatePool, empty_pool, with_all, with_drawn
from jnas.searchers.weight_sharing._predecessor_controller import PredecessorSettings
from jnas.searchers.weight_sharing._samplers import Sampler, make_sampler
from jnas.searchers.weight_sharing._shared_weights import (
    Schedule,
    Sgd,
    WeightsState,
    as_evaluated,
    begin_weights,
    check_schedule,
    clipped,
    learning_rate,
    loss_of,
    step_info,
    train_arch,
)
from jnas.training.data._dataset import Dataset

Baseline = Literal["moving", "released", "each_epoch"]
Compared = Literal["drawn", "pool"]


@describe_fields
class PolicyGradient(NamedTuple):
    """How the controller is trained; the numbers may be traced.

    Attributes:
      learning_rate: Adam's.
      b1: Adam's.
      b2: Adam's.
      eps: Adam's.
      entropy_weight: Of the entropy in the reward, which is the task's (accuracy as a fraction) plus the entropy by
        this weight.
      baseline_decay: What the baseline keeps of itself at a step.
      baseline: `'moving'`, a moving mean of rewards that lasts, or one for each epoch.
      clip: Largest norm of a step's gradient, or None.
      reward_scale: What the task's reward is multiplied by: `PERCENT` of an accuracy as a fraction.
    """

    learning_rate: Any = 1e-3
    b1: Any = 0.0
    b2: Any = 0.999
    eps: Any = 1e-3
    entropy_weight: Any = 0.0001
    baseline_decay: Any = 0.99
    baseline: Baseline = "moving"
    clip: Any = 5.0
    reward_scale: Any = 1.0


PERCENT = 100.0
"""The scale of rewards where they are accuracies in percent, as released for the evaluation of search phases."""

EVALUATED_POLICY = PolicyGradient(0.0035, b1=0.1, baseline="each_epoch", clip=None, reward_scale=PERCENT)
"""How the controller is trained in the evaluation of search phases."""


class EnasState(NamedTuple):
    """What ENAS needs for its next step."""

    key: Key  # []
    step: Array  # [] int32, steps done
    weights: WeightsState
    controller: Any  # its parameters, a pytree
    optimizer: Any  # of the controller
    gradients: Any  # like the controller: the sum over the samples since the controller's last step
    baseline: Array  # [] float32, minus infinity before the first reward
    earlier: Array  # [] float32, the baseline at the end of the epoch before; minus infinity in the first
    pool: CandidatePool | None = None  # what trained the weights last; None where nothing but new draws is compared


@recorded
def enas(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 250,
    controller_steps: int = 50,
    controller_samples: int = 20,
    controller: ControllerSettings = ControllerSettings(),  # noqa: B008 (immutable)
    policy: PolicyGradient = PolicyGradient(),  # noqa: B008
    sgd: Sgd = Sgd(0.05, 0.0005, weight_decay=2.5e-4, period=10),  # noqa: B008
    selection: Selection = Selection(batch_size=128),  # noqa: B008
    reachable: Reachable = "whole",
    predecessors: PredecessorSettings = PredecessorSettings(),  # noqa: B008
    compared: Compared = "drawn",
    num_new: int = 10,
    num_random: int = 10,
) -> WeightSharingSearcher:
    """Returns ENAS, with the published hyper-parameters of NAS-Bench-201's comparison.

    An epoch goes through the training images once, each step with an architecture that the controller draws; then, in
    `controller_steps * controller_samples` more steps (`extra_steps`), the controller draws an architecture for each
    validation batch, and after every `controller_samples` of them makes a step by the policy gradient. Which of the two
    a step does follows from the counter in the state. Under `vmap` the branch stays a branch, so all lanes must have
    made as many steps.

    The baseline is a moving average of the rewards that starts at the first accuracy and takes in a reward before the
    advantage is formed. The released scripts form it anew for each reward from that of the epoch before, and in the
    first epoch take the reward's own accuracy, so that nothing but the entropy is learned there: `'released'`.
    Those of the evaluation of search phases begin anew with the first reward of each epoch: `'each_epoch'`.
    Their gradient may also flow through the entropy in the reward; here the reward is a number. Their last comparison
    looks at augmented images, here as everywhere at images as they are. Of a text nothing is left out where rewards are
    taken, as in the code that was released for it.

    Published with batches of 128, training and validation alike; for NAS-Bench-101, whose studies have the settings of
    that comparison, with 160, and rewards by 64 images.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search.
      controller_steps: Steps of the controller in an epoch.
      controller_samples: Architectures in each of them.
      controller: The controller's size, and the shape of its logits.
      policy: How it is trained.
      sgd: How the weights are trained.
      selection: How architectures that the controller draws, 100 unless it says otherwise, are compared at the end;
        with its `batch_norm='running'` the rewards too are taken with running estimates, otherwise with batch
        statistics.
      reachable: `'whole'`: the controller decides one of the space's decisions after another, and what is no
        architecture is mended by the supernet's rule; on DARTS's space for each node its two inputs, then an operation
        for each (the published one points at inputs one by one, by attention, and twice at the same).
        `'released'`, for the cells of NAS-Bench-101: the controller that was released for them, one predecessor by
        attention and one operation for each vertex, which expresses few of the cells (`jnas.spaces.reachable_cells`).
        What is not valid is drawn again (the released code trains it), and isomorphic draws are one cell, as the space
        lists it (there each trains weights of its own).
      predecessors: Size and logits of the controller for `'released'`.
      compared: `'drawn'`: at the end new draws are compared. `'pool'`, as released for NAS-Bench-101: the last
        distinct architectures that trained the weights, as many as the selection's `num_candidates`; the oldest make
        room for new draws and for random architectures, and new draws stand where it was not full.
      num_new: New draws that enter the pool before it is compared.
      num_random: Random architectures that do.

    Raises:
      TypeError: A count is not a Python int, or `selection` is no `Selection`.
      ValueError: An argument is out of range.

    References:
      "Efficient Neural Architecture Search via Parameter Sharing", Pham et al., 2018, Sections 2.2 and 2.3; in
        "NAS-Bench-201", Dong and Yang, 2020, Section 4; for NAS-Bench-101 in "Evaluating the Search Phase of Neural
        Architecture Search", Yu et al., 2020 (its released code).
    """
    check_sizes(controller_steps=controller_steps, controller_samples=controller_samples)
    check_positive_int("num_new", num_new, 0)
    check_positive_int("num_random", num_random, 0)
    if compared not in get_args(Compared):
        raise ValueError(not_one_of("compared", compared, get_args(Compared)))
    if policy.baseline not in get_args(Baseline):
        raise ValueError(not_one_of("the policy's baseline", policy.baseline, get_args(Baseline)))
    schedule = check_schedule(steps_per_epoch, epochs, controller_steps * controller_samples)
    sampler, task = make_sampler(supernet, reachable, controller, predecessors), supernet.task
    check_selection(selection)
    adam = narrow_optimizer(optax.adam(policy.learning_rate, b1=policy.b1, b2=policy.b2, eps=policy.eps))

    def init(key: Key) -> EnasState:
        key, weights_key, controller_key = jax.random.split(key, 3)
        fresh = sampler.init(controller_key)
        nothing = jnp.float32(-jnp.inf)
        return EnasState(
            key=key,
            step=jnp.int32(0),
            weights=begin_weights(weights_key, supernet),
            controller=fresh,
            optimizer=adam.init(fresh),
            gradients=jax.tree.map(jnp.zeros_like, fresh),
            baseline=nothing,
            earlier=nothing,
            pool=empty_pool(selection.num_candidates, supernet.space.num_decisions) if compared == "pool" else None,
        )

    def step(state: EnasState, batch: Batch) -> tuple[EnasState, StepInfo]:
        key, noise_key = jax.random.split(state.key)
        choices = sampler.draw(state.controller, noise_key)
        on_weights = all_lanes(schedule.place(state.step) < steps_per_epoch)
        state, info = jax.lax.cond(on_weights, train, learn, state, batch, choices)
        return state._replace(key=key, step=state.step + 1), info

    def train(state: EnasState, batch: Batch, choices: Array) -> tuple[EnasState, StepInfo]:
        arch = sampler.to_arch(choices)
        rate = learning_rate(sgd, schedule, state.step)
        trained, measured = train_arch(supernet, state.weights, arch, batch.train, rate, sgd)
        pool = None if state.pool is None else with_drawn(state.pool, arch, state.step)
        return state._replace(weights=trained, pool=pool), step_info(batch, measured)

    def learn(state: EnasState, batch: Batch, choices: Array) -> tuple[EnasState, StepInfo]:
        arch, shared = sampler.to_arch(choices), state.weights.shared
        statistics = shared.statistics if selection.batch_norm == "running" else None
        _, (measured, _) = loss_of(
            task,
            lambda parameters, inputs: supernet.sampled(parameters, statistics, arch, inputs),
            shared.parameters,
            as_evaluated(batch.validation),
        )
        fraction = jnp.where(jnp.isnan(measured.metric), 0, task.reward(measured.metric))
        state = _policy_step(state, choices, fraction, schedule, sampler, policy, adam, controller_samples)
        return state, step_info(batch, validation=measured)

    def derive(state: EnasState, dataset: Dataset, split: str) -> Derived:
        arch_key, choose_key = jax.random.split(derive_key(state.key))
        count = selection.num_candidates + (0 if state.pool is None else num_new)
        archs = jax.vmap(sampler.to_arch)(sampler.draws(state.controller, arch_key, count))
        if state.pool is not None:
            archs = of_pool(state, state.pool, archs)
        return choose(choose_key, supernet, state.weights.shared, archs, dataset, split, selection)

    def of_pool(state: EnasState, pool: CandidatePool, drawn: Array) -> Array:
        key = jax.random.fold_in(derive_key(state.key), 4)  # 0 to 3 have their uses
        size = selection.num_candidates
        filled = with_all(pool, jnp.concatenate([drawn[size:], sampler.uniform(key, num_random)]))
        return jnp.where((filled.drawn >= 0)[:, None], filled.archs, drawn[:size])

    def log_probability(state: EnasState, archs: Array) -> Array:
        return sampler.log_probability(state.controller, archs)

    def probabilities(state: EnasState) -> Array:
        return sampler.probabilities(state.controller, jax.random.fold_in(derive_key(state.key), 3))  # a split has 0, 1

    def shared(state: EnasState) -> Shared:
        return state.weights.shared

    return WeightSharingSearcher(
        init, step, derive, log_probability, probabilities, shared, "enas", schedule.extra_steps
    )


def _policy_step(
    state: EnasState,
    choices: Array,
    fraction: Array,
    schedule: Schedule,
    sampler: Sampler,
    policy: PolicyGradient,
    adam: optax.GradientTransformation,
    controller_samples: int,
) -> EnasState:
    """Returns the state after a reward, with a step of the controller after the last of its samples.

    Args:
      state: Before.
      choices: int32 `[D]`, what the controller drew.
      fraction: float32 `[]`, what the task rewards that with.
      schedule: Of the search.
      sampler: The controller.
      policy: How it is trained.
      adam: Its optimizer.
      controller_samples: Rewards in a step.
    """
    _, entropy = sampler.score(state.controller, choices)
    first = policy.reward_scale * fraction
    reward = first + policy.entropy_weight * entropy
    place = schedule.place(state.step) - schedule.steps_per_epoch  # among the controller's samples of this epoch
    baseline, earlier = _baselines(policy, state, place, first, reward)
    gradient = policy_gradient(sampler.score, state.controller, choices, reward - baseline)
    gradients = jax.tree.map(lambda total, new: total + new / controller_samples, state.gradients, gradient)
    ends = (place + 1) % controller_samples == 0
    updates, optimizer = adam.update(clipped(gradients, policy.clip), state.optimizer, state.controller)
    stepped = (optax.apply_updates(state.controller, updates), optimizer, jax.tree.map(jnp.zeros_like, gradients))
    kept = (state.controller, state.optimizer, gradients)
    after = jax.tree.map(lambda new, old: jnp.where(ends, new, old), stepped, kept)
    state = state._replace(baseline=baseline, earlier=earlier)
    return state._replace(controller=after[0], optimizer=after[1], gradients=after[2])


def _baselines(
    policy: PolicyGradient, state: EnasState, place: Array, first: Array, reward: Array
) -> tuple[Array, Array]:
    """Returns the baseline, and that of the epoch before.

    Args:
      policy: How it is formed.
      state: Before this reward.
      place: int32 `[]`, of this reward among those of its epoch.
      first: float32 `[]`, the reward without the entropy.
      reward: float32 `[]`.
    """
    takes = 1 - policy.baseline_decay
    if policy.baseline == "released":
        earlier = jnp.where(place == 0, state.baseline, state.earlier)
        start = jnp.where(jnp.isneginf(earlier), 0, earlier)
        return jnp.where(jnp.isneginf(earlier), first, start - takes * (start - reward)), earlier
    if policy.baseline == "moving":
        start = jnp.where(jnp.isneginf(state.baseline), first, state.baseline)
    else:
        start = jnp.where(place == 0, reward, state.baseline)
    return start - takes * (start - reward), state.earlier


def policy_gradient(
    score: Callable[[Any, Array], tuple[Array, Array]], parameters: Any, choices: Array, advantage: Array
) -> Any:
    """Returns the gradient of `-log(probability of the choices) * advantage` in a controller's parameters.

    Args:
      score: `score(parameters, choices)`, the log-probability of choices and their entropy.
      parameters: A pytree.
      choices: int32 `[D]`.
      advantage: float32 `[]`.
    """
    return jax.grad(lambda parameters: -advantage * score(parameters, choices)[0])(parameters)
