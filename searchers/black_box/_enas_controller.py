"""ENAS's controller without shared weights: the policy gradient on what an objective says of each architecture."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnas.core._draws import split
from jnas.core._lanes import lane_maximum
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose, usable_score
from jnas.core._widths import narrow_optimizer
from jnas.searchers._checks import check_fraction, check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._sequences import Reachable, draw_several, flat_leaves, leaves_of, sequence_of
from jnas.searchers.weight_sharing._controller import (
    Controller,
    ControllerSettings,
    init_controller,
    log_probability_and_entropy,
    sample_choices,
)
from jnas.searchers.weight_sharing._predecessor_controller import (
    PredecessorSettings,
    init_predecessor_controller,
    predecessors_log_probability,
    sample_predecessors,
)


class EnasControllerState(NamedTuple):
    """What ENAS's controller needs for its next step; `n` samples make one."""

    key: Key  # []
    controller: Array  # [P] float32, its parameters one after another: many small arrays would take long to compile
    optimizer: Any  # of the controller
    baseline: Array  # [] float32, of this epoch, as the controller's last step left it
    num_told: Array  # [] int32, rewards so far
    queue: Array  # [n, D] int32, decisions that the controller has drawn
    num_queued: Array  # [] int32, how many there are; none once it has made a step
    num_taken: Array  # [] int32, how many of them have been asked
    asked: Array  # [D] int32, the decisions of the architecture that was last proposed
    samples: Array  # [n, D] int32, those with a reward since the controller's last step
    scores: Array  # [n] float32, theirs


class _Policy(NamedTuple):
    """A distribution over decisions, as functions of its parameters."""

    init: Callable[[Key], Any]
    noise: tuple[int, int]  # the shape of the noise that a draw takes
    sample: Callable[[Any, Array], Array]  # (parameters, noise) -> decisions [D]
    score: Callable[[Any, Array], tuple[Array, Array]]  # (parameters, decisions) -> log-probability, entropy
    to_arch: Callable[[Array], Array]


@recorded
def enas_controller(
    space: Space,
    *,
    reachable: Reachable = "whole",
    num_samples: int = 10,
    steps_per_epoch: int = 30,
    learning_rate: Any = 0.0035,
    b1: Any = 0.1,
    b2: Any = 0.999,
    eps: Any = 1e-3,
    entropy_weight: Any = 1e-4,
    baseline_decay: Any = 0.99,
    reward_scale: Any = 0.01,
    controller: ControllerSettings = ControllerSettings(hidden=64),  # noqa: B008 (immutable)
    predecessors: PredecessorSettings = PredecessorSettings(),  # noqa: B008
    max_draws: int = 1000,
) -> Searcher:
    """Returns ENAS's controller as a searcher by itself: a recurrent network that decides, trained by its rewards.

    It draws one architecture after another, and after every `num_samples` rewards makes a step of Adam by the policy
    gradient. The reward is the score times `reward_scale`, an accuracy as a fraction where scores are percent, plus the
    entropy of the decisions by its weight; the baseline is a moving average that takes a reward in before the advantage
    is formed. As in the released code the baseline begins anew with the first reward of each epoch of
    `num_samples * steps_per_epoch` of them, the first reward of an epoch therefore teaches nothing, and gradients are
    not clipped.

    Args:
      space: The search space.
      reachable: `'whole'`: one decision of the space after another, by the controller of NAS-Bench-201's comparison
        (two layers), each with logits of its own. `'released'`, for the cells of NAS-Bench-101: the
        released controller, one predecessor by attention and one operation for each vertex, which expresses few of the
        cells (`jnas.spaces.reachable_cells`).
      num_samples: Rewards in a step of the controller.
      steps_per_epoch: Steps after which the baseline begins anew.
      learning_rate: Adam's; this and the other numbers may be traced.
      b1: Adam's.
      b2: Adam's.
      eps: Adam's.
      entropy_weight: In the reward.
      baseline_decay: 0 to 1.
      reward_scale: What scores are multiplied by.
      controller: Size and logits of the controller for `'whole'`.
      predecessors: Size and logits of that for `'released'`.
      max_draws: How often decisions are drawn until they are a valid architecture; the run ends if none were.

    Returns:
      A searcher that proposes one architecture at a time. Scores that are NaN, infinite or invalid teach it nothing.

    Raises:
      TypeError: A count is not a Python int.
      ValueError: An argument is out of range, or the space has no released sampler.

    References:
      "Efficient Neural Architecture Search via Parameter Sharing", Pham et al., 2018, Section 2.2; in "Evaluating the
        Search Phase of Neural Architecture Search", Yu et al., 2020 (its released code, without weight sharing).

    Example:
      >>> searcher = jnas.searchers.enas_controller(jnas.spaces.nasbench101(max_vertices=5), reachable="released")
      >>> proposal, state = searcher.ask(searcher.init(jax.random.key(0), 10))
      >>> proposal.archs.shape
      (1, 26)
    """
    check_sizes(num_samples=num_samples, steps_per_epoch=steps_per_epoch, max_draws=max_draws)
    check_positive_int("the controller's hidden", controller.hidden)
    check_positive_int("the predecessors' hidden", predecessors.hidden)
    check_fraction("baseline_decay", baseline_decay)
    policy = _policy(space, reachable, controller, predecessors)
    as_parameters = leaves_of(jax.eval_shape(policy.init, jax.eval_shape(lambda: jax.random.key(0))))
    adam = narrow_optimizer(optax.adam(learning_rate, b1=b1, b2=b2, eps=eps))

    def init(key: Key, capacity: int) -> EnasControllerState:
        del capacity
        key, controller_key = split(key)
        fresh = flat_leaves(policy.init(controller_key))
        nothing, none = jnp.zeros((num_samples, policy.noise[0]), jnp.int32), jnp.int32(0)
        return EnasControllerState(
            key=key,
            controller=fresh,
            optimizer=adam.init(fresh),
            baseline=jnp.float32(-jnp.inf),
            num_told=none,
            queue=nothing,
            num_queued=none,
            num_taken=none,
            asked=nothing[0],
            samples=nothing,
            scores=jnp.zeros(num_samples, jnp.float32),
        )

    def ask(state: EnasControllerState) -> tuple[Proposal, EnasControllerState]:
        is_empty = state.num_taken >= state.num_queued
        # Where any lane has none left the branch is taken, and the lanes that have some keep them.
        drawn = jax.lax.cond(lane_maximum(is_empty.astype(jnp.int32)) > 0, refill, _queued, state)
        drawn = jax.tree.map(lambda new, old: jnp.where(is_empty, new, old), drawn, _queued(state))
        state = state._replace(**drawn)
        asked, valid = state.queue[state.num_taken], state.num_taken < state.num_queued
        proposal = propose(policy.to_arch(asked)[None], valid=valid)
        return proposal, state._replace(asked=asked, num_taken=state.num_taken + 1)

    def refill(state: EnasControllerState) -> dict[str, Any]:
        parameters = as_parameters(state.controller)
        key, queue, num_queued = draw_several(
            jax.random.clone(state.key),  # type: ignore[no-untyped-call]
            policy.noise,
            lambda noise: policy.sample(parameters, noise),
            lambda choices: space.is_valid(policy.to_arch(choices)),
            num_samples,
            max_draws,
        )
        return {"key": key, "queue": queue, "num_queued": num_queued, "num_taken": jnp.int32(0)}

    def tell(state: EnasControllerState, proposal: Proposal, evaluation: Evaluation) -> EnasControllerState:
        score = usable_score(evaluation)[0]
        learns = proposal.valid[0] & jnp.isfinite(score)
        place = jnp.where(learns, state.num_told % num_samples, num_samples)
        state = state._replace(
            num_told=state.num_told + learns,
            samples=state.samples.at[place].set(state.asked, mode="drop"),
            scores=state.scores.at[place].set(score, mode="drop"),
        )
        ends = place == num_samples - 1
        known = (state.controller, state.optimizer, state.baseline)
        learned = jax.lax.cond(lane_maximum(ends.astype(jnp.int32)) > 0, learn, lambda _: known, state)
        learned = jax.tree.map(lambda new, old: jnp.where(ends, new, old), learned, known)
        num_queued = jnp.where(ends, 0, state.num_queued)  # what an earlier controller has drawn is not asked
        return state._replace(controller=learned[0], optimizer=learned[1], baseline=learned[2], num_queued=num_queued)

    def learn(state: EnasControllerState) -> tuple[Array, Any, Array]:
        begins = (state.num_told - num_samples) % (num_samples * steps_per_epoch) == 0
        before = jnp.where(begins, -jnp.inf, state.baseline)
        rates = (reward_scale, entropy_weight, baseline_decay)
        score = lambda flat, choices: policy.score(as_parameters(flat), choices)  # noqa: E731
        gradient, baseline = _policy_gradient(score, state.controller, state.samples, state.scores, before, rates)
        updates, optimizer = adam.update(gradient, state.optimizer, state.controller)
        return jnp.asarray(optax.apply_updates(state.controller, updates)), optimizer, baseline

    return Searcher(init, ask, tell, "enas_controller")


def _queued(state: EnasControllerState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("key", "queue", "num_queued", "num_taken")}


def _policy_gradient(
    score: Callable[[Array, Array], tuple[Array, Array]],
    flat: Array,
    samples: Array,
    scores: Array,
    baseline: Array,
    rates: tuple[Any, Any, Any],
) -> tuple[Array, Array]:
    """Returns the gradient `[P]` of the loss of some samples, and the baseline after them.

    Args:
      score: `(parameters [P], decisions [D]) -> log-probability, entropy`.
      flat: The parameters `[P]`.
      samples: int32 `[n, D]`.
      scores: float32 `[n]`.
      baseline: float32 `[]`, before them; minus infinity where it begins with the first.
      rates: The scale of rewards, the entropy's weight, the baseline's decay.
    """
    scale, weight, decay = rates
    (_, entropies), pull = jax.vjp(lambda flat: jax.vmap(lambda each: score(flat, each))(samples), flat)
    rewards = scale * scores + weight * entropies

    def follow(baseline: Array, reward: Array) -> tuple[Array, Array]:
        after = baseline - (1 - decay) * (baseline - reward)
        return after, reward - after

    start = jnp.where(jnp.isfinite(baseline), baseline, rewards[0])
    after, advantages = jax.lax.scan(follow, start, rewards)
    (gradient,) = pull((-advantages / len(scores), jnp.zeros_like(entropies)))
    return gradient, after


def _policy(
    space: Space, reachable: Reachable, controller: ControllerSettings, predecessors: PredecessorSettings
) -> _Policy:
    sequence = sequence_of(space, reachable, "enas")
    length, num_words = sequence.mask.shape
    if reachable == "released":
        widest, num_operations = max(sequence.num_choices), sequence.num_choices[1]
        return _Policy(
            init=lambda key: init_predecessor_controller(key, num_operations, predecessors),
            noise=(length, widest),
            sample=lambda parameters, noise: sample_predecessors(parameters, noise, predecessors),
            score=lambda parameters, choices: predecessors_log_probability(parameters, choices, predecessors),
            to_arch=sequence.to_arch,
        )
    rows = np.arange(length, dtype=np.int32)
    choice_of, word_of = (np.asarray(each, np.int32) for each in (sequence.choice_of, sequence.word_of))

    def sample(parameters: Controller, noise: Array) -> Array:
        words = sample_choices(parameters, noise, controller, jnp.asarray(sequence.mask))
        return jnp.asarray(choice_of)[rows, words]

    def score(parameters: Controller, choices: Array) -> tuple[Array, Array]:
        words = jnp.asarray(word_of)[rows, choices]
        return log_probability_and_entropy(parameters, words, controller, jnp.asarray(sequence.mask))

    return _Policy(
        init=lambda key: init_controller(key, num_words, controller.hidden),
        noise=(length, num_words),
        sample=sample,
        score=score,
        to_arch=sequence.to_arch,
    )
