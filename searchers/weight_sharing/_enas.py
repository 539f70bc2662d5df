"""ENAS: a controller draws architectures, which train the shared weights and whose accuracy rewards it."""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import (
    Array,
    Batch,
    Derived,
    Key,
    Shared,
    StepInfo,
    Supernet,
    WeightSharingSearcher,
    decisions_of,
)
from jnas.core._widths import narrow_optimizer
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_positive_int, check_sizes
from jnas.searchers.weight_sharing._candidates import Selection, check_selection, choose, derive_key
from jnas.searchers.weight_sharing._controller import (
    Controller,
    ControllerSettings,
    init_controller,
    log_probabilities,
    log_probability_and_entropy,
    sample_choices,
)
from jnas.searchers.weight_sharing._shared_weights import (
    Sgd,
    WeightsState,
    as_architecture,
    begin_weights,
    check_schedule,
    clipped,
    learning_rate,
    loss_of,
    train_arch,
)
from jnas.training.data._dataset import Dataset

Baseline = Literal["moving", "released"]


class PolicyGradient(NamedTuple):
    """How the controller is trained; the numbers may be traced."""

    learning_rate: Any = 1e-3  # Adam's
    b1: Any = 0.0
    b2: Any = 0.999
    eps: Any = 1e-3
    entropy_weight: Any = (
        1e-4  # in the reward, which is the task's (accuracy as a fraction) plus the entropy by this weight
    )
    baseline_decay: Any = 0.99
    baseline: Baseline = "moving"
    clip: Any = 5.0  # largest norm of a step's gradient, or None


class EnasState(NamedTuple):
    """What ENAS needs for its next step."""

    key: Key  # []
    step: Array  # [] int32, steps done
    weights: WeightsState
    controller: Controller
    optimizer: Any  # of the controller
    gradients: Controller  # the sum over the samples since the controller's last step
    baseline: Array  # [] float32, minus infinity before the first reward
    earlier: Array  # [] float32, the baseline at the end of the epoch before; minus infinity in the first


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
    Their gradient may also flow through the entropy in the reward; here the reward is a number. Their last comparison
    looks at augmented images, here as everywhere at images as they are.

    Published with batches of 128, training and validation alike.

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

    Raises:
      TypeError: A count is not a Python int, or `selection` is no `Selection`.
      ValueError: An argument is out of range.

    References:
      "Efficient Neural Architecture Search via Parameter Sharing", Pham et al., 2018, Sections 2.2 and 2.3; in
        "NAS-Bench-201", Dong and Yang, 2020, Section 4.
    """
    check_sizes(controller_steps=controller_steps, controller_samples=controller_samples)
    check_positive_int("the controller's hidden", controller.hidden)
    if policy.baseline not in get_args(Baseline):
        raise ValueError(not_one_of("the policy's baseline", policy.baseline, get_args(Baseline)))
    schedule = check_schedule(steps_per_epoch, epochs, controller_steps * controller_samples)
    decisions, task = decisions_of(supernet), supernet.task
    shape, mask = decisions.shape, jnp.asarray(decisions.mask) if decisions.ragged else None
    check_selection(selection)
    adam = narrow_optimizer(optax.adam(policy.learning_rate, b1=policy.b1, b2=policy.b2, eps=policy.eps))

    def init(key: Key) -> EnasState:
        key, weights_key, controller_key = jax.random.split(key, 3)
        fresh = init_controller(controller_key, shape[1], controller.hidden)
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
        )

    def step(state: EnasState, batch: Batch) -> tuple[EnasState, StepInfo]:
        key, noise_key = jax.random.split(state.key)
        choices = sample_choices(state.controller, jax.random.gumbel(noise_key, shape, jnp.float32), controller, mask)
        on_weights = all_lanes(schedule.place(state.step) < steps_per_epoch)
        state, info = jax.lax.cond(on_weights, train, learn, state, batch, choices)
        return state._replace(key=key, step=state.step + 1), info

    def train(state: EnasState, batch: Batch, choices: Array) -> tuple[EnasState, StepInfo]:
        arch = as_architecture(supernet, choices)
        rate = learning_rate(sgd, schedule, state.step)
        trained, measured = train_arch(supernet, state.weights, arch, batch.train, rate, sgd)
        nothing = jnp.float32(jnp.nan)
        return state._replace(weights=trained), StepInfo(*measured, nothing, nothing)

    def learn(state: EnasState, batch: Batch, choices: Array) -> tuple[EnasState, StepInfo]:
        arch, shared = as_architecture(supernet, choices), state.weights.shared
        statistics = shared.statistics if selection.batch_norm == "running" else None
        _, (measured, _) = loss_of(
            task,
            lambda parameters, inputs: supernet.sampled(parameters, statistics, arch, inputs),
            shared.parameters,
            batch.validation,
        )
        fraction = jnp.where(jnp.isnan(measured.metric), 0, task.reward(measured.metric))
        state = policy_step(state, choices, fraction)
        nothing = jnp.float32(jnp.nan)
        return state, StepInfo(nothing, nothing, *measured)

    def policy_step(state: EnasState, choices: Array, fraction: Array) -> EnasState:
        _, entropy = log_probability_and_entropy(state.controller, choices, controller, mask)
        reward = fraction + policy.entropy_weight * entropy
        place = schedule.place(state.step) - steps_per_epoch  # among the controller's samples of this epoch
        if policy.baseline == "moving":
            start = jnp.where(jnp.isneginf(state.baseline), fraction, state.baseline)
            baseline = start - (1 - policy.baseline_decay) * (start - reward)
            earlier = state.earlier
        else:
            earlier = jnp.where(place == 0, state.baseline, state.earlier)
            start = jnp.where(jnp.isneginf(earlier), 0, earlier)
            baseline = start - (1 - policy.baseline_decay) * (start - reward)
            baseline = jnp.where(jnp.isneginf(earlier), fraction, baseline)
        gradient = policy_gradient(state.controller, choices, reward - baseline, controller, mask)
        gradients = jax.tree.map(lambda total, new: total + new / controller_samples, state.gradients, gradient)
        ends = (place + 1) % controller_samples == 0
        updates, optimizer = adam.update(clipped(gradients, policy.clip), state.optimizer, state.controller)
        stepped = (
            optax.apply_updates(state.controller, updates),
            optimizer,
            jax.tree.map(jnp.zeros_like, gradients),
        )
        kept = (state.controller, state.optimizer, gradients)
        after = jax.tree.map(lambda new, old: jnp.where(ends, new, old), stepped, kept)
        state = state._replace(baseline=baseline, earlier=earlier)
        return state._replace(controller=after[0], optimizer=after[1], gradients=after[2])

    def draw(state: EnasState, key: Key, count: int) -> Array:
        noise = jax.random.gumbel(key, (count, *shape), jnp.float32)
        return jax.vmap(lambda noise: sample_choices(state.controller, noise, controller, mask))(noise)

    def derive(state: EnasState, dataset: Dataset, split: str) -> Derived:
        arch_key, choose_key = jax.random.split(derive_key(state.key))
        choices = draw(state, arch_key, selection.num_candidates)
        archs = jax.vmap(lambda each: as_architecture(supernet, each))(choices)
        return choose(choose_key, supernet, state.weights.shared, archs, dataset, split, selection)

    def log_probability(state: EnasState, archs: Array) -> Array:
        return jax.vmap(lambda arch: log_probability_and_entropy(state.controller, arch, controller, mask)[0])(archs)

    def probabilities(state: EnasState) -> Array:
        choices = draw(state, jax.random.fold_in(derive_key(state.key), 3), _SAMPLES)  # a split has 0 and 1
        each = jax.vmap(lambda drawn: log_probabilities(state.controller, drawn, controller, mask))(choices)
        return jnp.mean(jnp.exp(each), axis=0)

    def shared(state: EnasState) -> Shared:
        return state.weights.shared

    return WeightSharingSearcher(
        init, step, derive, log_probability, probabilities, shared, "enas", schedule.extra_steps
    )


_SAMPLES = 512  # in the estimate of marginal probabilities: each brings the exact conditional ones


def policy_gradient(
    controller: Controller, choices: Array, advantage: Array, settings: ControllerSettings, mask: Array | None = None
) -> Controller:
    """Returns the gradient of `-log(probability of the choices) * advantage` in the controller's parameters."""

    def loss(controller: Controller) -> Array:
        return -advantage * log_probability_and_entropy(controller, choices, settings, mask)[0]

    gradient: Controller = jax.grad(loss)(controller)
    return gradient
