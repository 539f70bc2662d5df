"""ENAS's controller without shared weights: the policy gradient on what an objective says of each architecture."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnas.core._draws import split
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose, usable_score
from jnas.core._widths import narrow_optimizer
from jnas.searchers._checks import check_fraction, check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._sequences import Reachable, draw_valid, flat_leaves, leaves_of, sequence_of
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
    """What ENAS's controller needs for its next step."""

    key: Key  # []
    controller: Array  # [P] float32, its parameters one after another: many small arrays would take long to compile
    optimizer: Any  # of the controller
    gradients: Array  # [P] float32, the sum over the samples since the controller's last step
    baseline: Array  # [] float32, of this epoch; minus infinity before its first reward
    num_told: Array  # [] int32, rewards so far
    asked: Array  # [D] int32, the decisions of the architecture that was last proposed


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
        return EnasControllerState(
            key=key,
            controller=fresh,
            optimizer=adam.init(fresh),
            gradients=jnp.zeros_like(fresh),
            baseline=jnp.float32(-jnp.inf),
            num_told=jnp.int32(0),
            asked=jnp.zeros(policy.noise[0], jnp.int32),
        )

    def ask(state: EnasControllerState) -> tuple[Proposal, EnasControllerState]:
        key, asked, valid = draw_valid(
            state.key,
            policy.noise,
            lambda noise: policy.sample(as_parameters(state.controller), noise),
            lambda choices: space.is_valid(policy.to_arch(choices)),
            max_draws,
        )
        return propose(policy.to_arch(asked)[None], valid=valid), state._replace(key=key, asked=asked)

    def tell(state: EnasControllerState, proposal: Proposal, evaluation: Evaluation) -> EnasControllerState:
        score = usable_score(evaluation)[0]
        learns = proposal.valid[0] & jnp.isfinite(score)
        (_, entropy), pull = jax.vjp(lambda flat: policy.score(as_parameters(flat), state.asked), state.controller)
        reward = reward_scale * jnp.where(learns, score, 0) + entropy_weight * entropy
        begins = state.num_told % (num_samples * steps_per_epoch) == 0
        start = jnp.where(begins, reward, state.baseline)
        baseline = start - (1 - baseline_decay) * (start - reward)
        (gradient,) = pull((-(reward - baseline) / num_samples, jnp.zeros_like(entropy)))
        gradients = state.gradients + gradient
        ends = (state.num_told + 1) % num_samples == 0
        updates, optimizer = adam.update(gradients, state.optimizer, state.controller)
        stepped = (optax.apply_updates(state.controller, updates), optimizer, jnp.zeros_like(gradients))
        kept = (state.controller, state.optimizer, gradients)
        after = jax.tree.map(lambda new, old: jnp.where(ends, new, old), stepped, kept)
        told = (*after, baseline, state.num_told + 1, state.asked)
        return EnasControllerState(
            state.key, *jax.tree.map(lambda new, old: jnp.where(learns, new, old), told, state[1:])
        )

    return Searcher(init, ask, tell, "enas_controller")


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
