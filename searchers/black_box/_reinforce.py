"""REINFORCE on independent categorical choices."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnas.core._draws import draw_words, split, uniform
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose, usable_score
from jnas.core._widths import narrow_optimizer
from jnas.searchers._checks import check_fraction, check_positive_int
from jnas.searchers._recorded import recorded


class ReinforceState(NamedTuple):
    """What REINFORCE needs for its next step. Decisions with fewer than `K` choices leave the last columns unused."""

    key: Key  # []
    logits: Array  # [E, K] float32
    optimizer: Any  # the optax state of the logits
    baseline: Array  # [] float32, moving average of the rewards
    weight: Array  # [] float32, sum of the weights in it, 0 before the first reward


@recorded
def reinforce(
    space: Space,
    *,
    learning_rate: Any = 0.1,
    baseline_decay: Any = 0.9,
    init_scale: float = 1e-3,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
    max_draws: int = 1000,
) -> Searcher:
    """Returns REINFORCE: a softmax over the choices of each decision, moved after every evaluation.

    The reward is the score as the objective gives it. Adam does not care for its unit, but plain gradient ascent does:
    the learning rate 0.1 that NAS-Bench-101's comparison uses with accuracies as fractions is 0.001 in percent
    (`reinforce(space, learning_rate=0.001, init_scale=0.0, optimizer=optax.sgd)`).

    Args:
      space: The search space.
      learning_rate: Step size; may be traced, so `jax.vmap` can sweep it. A sweep over .01, .02, .05, .1, .2, .5 in the
        setting of NAS-Bench-201 (500 runs each) finds the best cells at .1, closely followed by .05; NATS-Bench's
        scripts have .01, those of NAS-Bench-201 name .5, which learns too fast and is worse than random search.
      baseline_decay: Decay of the rewards' moving average, which is corrected for its start at zero and takes in the
        reward before the advantage is formed; 0 to 1, 1 excluded.
      init_scale: Standard deviation of the initial logits.
      optimizer: `optimizer(learning_rate)` gives the transformation of the gradients, `optax.adam` or `optax.sgd`.
      max_draws: How often an encoding is drawn until it is a valid architecture; the run ends if none was. Spaces in
        which all encodings are valid draw once.

    Returns:
      A searcher that proposes one architecture at a time. Scores that are NaN, infinite or invalid teach it nothing.

    Raises:
      TypeError: `max_draws` is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", Williams, 1992; in
        "NAS-Bench-201", Dong and Yang, 2020, Section 4 and Figure 10; in "NAS-Bench-101", Ying et al., 2019, Section 4.
    """
    check_positive_int("max_draws", max_draws)
    check_fraction("baseline_decay", baseline_decay)
    if not isinstance(baseline_decay, jax.core.Tracer) and baseline_decay == 1:
        raise ValueError("baseline_decay is 1: the baseline would never move; pass less, for example 0.9")
    counts = np.asarray(space.num_choices, np.int32)
    exists = np.arange(counts.max())[None, :] < counts[:, None]  # [E, K]
    transform = narrow_optimizer(optimizer(learning_rate))

    def probabilities(logits: Array) -> Array:
        return jax.nn.softmax(jnp.where(exists, logits, -jnp.inf), axis=1)

    def init(key: Key, capacity: int) -> ReinforceState:
        del capacity
        key, logits_key = split(key)
        logits = init_scale * jax.random.normal(logits_key, exists.shape, jnp.float32)
        return ReinforceState(key, logits, transform.init(logits), jnp.float32(0), jnp.float32(0))

    def ask(state: ReinforceState) -> tuple[Proposal, ReinforceState]:
        below = jnp.cumsum(probabilities(state.logits), axis=1)

        def draw_arch(carry: tuple[Key, Array, Array]) -> tuple[Key, Array, Array]:
            key, tries, _ = carry
            key, words = draw_words(key, len(counts))
            fraction = uniform(words)
            arch = jnp.sum(fraction[:, None] >= below, axis=1, dtype=jnp.int32)
            return key, tries + 1, jnp.minimum(arch, counts - 1)  # the sum of probabilities may round to less than 1

        def is_missing(carry: tuple[Key, Array, Array]) -> Array:
            _, tries, arch = carry
            return (tries == 0) | ((tries < max_draws) & ~space.is_valid(arch))

        start = (state.key, jnp.int32(0), jnp.zeros(counts.shape, jnp.int32))
        key, _, arch = jax.lax.while_loop(is_missing, draw_arch, start)
        return propose(arch[None], valid=space.is_valid(arch)), state._replace(key=key)

    def tell(state: ReinforceState, proposal: Proposal, evaluation: Evaluation) -> ReinforceState:
        score = usable_score(evaluation)[0]
        learns = proposal.valid[0] & jnp.isfinite(score)
        reward = jnp.where(learns, score, 0)
        kept = baseline_decay * state.weight
        weight = kept + (1 - baseline_decay)
        # The reward minus the average that has taken it in: exactly 0 for the first, where a difference of rounded
        # numbers would be tiny and Adam would make a full step of it.
        advantage = (reward - state.baseline) * (kept / weight)
        baseline = state.baseline + (reward - state.baseline) * ((1 - baseline_decay) / weight)
        chosen = proposal.archs[0][:, None] == np.arange(exists.shape[1])[None, :]
        # The gradient of the sum over decisions of -log(probability of the choice), times the advantage.
        gradient = (probabilities(state.logits) - chosen) * advantage
        updates, optimizer_state = transform.update(gradient, state.optimizer, state.logits)
        logits = jnp.asarray(optax.apply_updates(state.logits, updates))
        learned = (logits, optimizer_state, baseline, weight)
        known = (state.logits, state.optimizer, state.baseline, state.weight)
        return ReinforceState(state.key, *jax.tree.map(lambda new, old: jnp.where(learns, new, old), learned, known))

    return Searcher(init, ask, tell, "reinforce", ask_beside=lambda state, pending: ask(state))
