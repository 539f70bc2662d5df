"""What ENAS draws architectures from: a controller of a space's decisions, or the released one of predecessors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key, Supernet, decisions_of
from jnas.searchers._checks import check_positive_int
from jnas.searchers.black_box._sequences import Reachable
from jnas.searchers.weight_sharing._controller import (
    Controller,
    ControllerSettings,
    init_controller,
    log_probabilities,
    log_probability_and_entropy,
    sample_choices,
)
from jnas.searchers.weight_sharing._encoding import Encoding, make_encoding, marginals
from jnas.searchers.weight_sharing._predecessor_controller import (
    PredecessorController,
    PredecessorSettings,
    init_predecessor_controller,
    predecessors_log_probability,
    sample_predecessors,
)
from jnas.searchers.weight_sharing._rsps import uniform_archs
from jnas.searchers.weight_sharing._shared_weights import as_architecture

_SAMPLES = 512  # in the estimate of marginal probabilities
_AT_ONCE = 1024  # sequences of which probabilities are computed together


class Sampler(NamedTuple):
    """A distribution over sequences of `D` choices, as functions of its parameters."""

    init: Callable[[Key], Any]
    draw: Callable[[Any, Key], Array]  # (parameters, key) -> choices int32 [D]
    draws: Callable[[Any, Key, int], Array]  # (parameters, key, count) -> [count, D]
    uniform: Callable[[Key, int], Array]  # (key, count) -> architectures [count, E] that owe nothing to the parameters
    score: Callable[[Any, Array], tuple[Array, Array]]  # (parameters, choices) -> log-probability, entropy; in nats
    to_arch: Callable[[Array], Array]  # choices -> architecture int32 [E]
    log_probability: Callable[[Any, Array], Array]  # (parameters, architectures [N, E]) -> [N]
    probabilities: Callable[[Any, Key], Array]  # (parameters, key) -> marginal ones [E, K], estimated


def make_sampler(
    supernet: Supernet, reachable: Reachable, controller: ControllerSettings, predecessors: PredecessorSettings
) -> Sampler:
    """Returns what ENAS draws from.

    Args:
      supernet: Of whose space.
      reachable: `'whole'` or `'released'`.
      controller: Of `'whole'`.
      predecessors: Of `'released'`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range, `reachable` is neither, or the space has no released sampler.
    """
    check_positive_int("the controller's hidden", controller.hidden)
    check_positive_int("the predecessors' hidden", predecessors.hidden)
    encoding = make_encoding(supernet, reachable, "enas")
    if reachable == "released":
        return _predecessors(supernet, encoding, predecessors)
    return _decisions(supernet, encoding, controller)


def _decisions(supernet: Supernet, encoding: Encoding, settings: ControllerSettings) -> Sampler:
    """Returns a sampler of one decision after another: sequential ones, or the supernet's, where draws are mended."""
    decisions, own, sequence = decisions_of(supernet), supernet.sequential, encoding.sequence
    every = decisions.mask if own is None else sequence.mask  # of sequential ones, equal names are one word
    shape, mask, rows = every.shape, None if every.all() else jnp.asarray(every), np.arange(len(every))

    def to_arch(choices: Array) -> Array:
        if own is None:
            return as_architecture(supernet, choices)
        return own.to_arch(jnp.asarray(sequence.choice_of)[rows, choices])

    def draw(parameters: Controller, key: Key) -> Array:
        return sample_choices(parameters, jax.random.gumbel(key, shape, jnp.float32), settings, mask)

    def draws(parameters: Controller, key: Key, count: int) -> Array:
        noise = jax.random.gumbel(key, (count, *shape), jnp.float32)
        return jax.vmap(lambda noise: sample_choices(parameters, noise, settings, mask))(noise)

    def score(parameters: Controller, choices: Array) -> tuple[Array, Array]:
        return log_probability_and_entropy(parameters, choices, settings, mask)

    def log_probability(parameters: Controller, arch: Array) -> Array:
        if own is None:
            return score(parameters, arch)[0]
        words = jnp.asarray(sequence.word_of)[rows, own.of_arch(arch)]
        return jnp.where(supernet.space.is_valid(arch), score(parameters, words)[0], -jnp.inf)

    def probabilities(parameters: Controller, key: Key) -> Array:
        choices = draws(parameters, key, _SAMPLES)
        if own is not None:
            return marginals(jax.vmap(to_arch)(choices), jnp.full(_SAMPLES, 1 / _SAMPLES), decisions.shape[1])
        # Each draw brings the exact conditional ones.
        return jnp.mean(jnp.exp(jax.vmap(lambda c: log_probabilities(parameters, c, settings, mask))(choices)), axis=0)

    return Sampler(
        init=lambda key: init_controller(key, shape[1], settings.hidden),
        draw=draw,
        draws=draws,
        uniform=lambda key, count: uniform_archs(key, supernet, count),
        score=score,
        to_arch=to_arch,
        log_probability=lambda parameters, archs: jax.vmap(lambda arch: log_probability(parameters, arch))(archs),
        probabilities=probabilities,
    )


def _predecessors(supernet: Supernet, encoding: Encoding, settings: PredecessorSettings) -> Sampler:
    """Returns the released sampler, which is drawn from until a sequence is valid."""
    space, num_operations, listed = supernet.space, encoding.sequence.num_choices[1], encoding.cells
    assert listed is not None
    assert space.index is not None
    index = space.index

    def draw(parameters: PredecessorController, key: Key) -> Array:
        return encoding.draw(key, lambda noise: sample_predecessors(parameters, noise, settings))

    def draws(parameters: PredecessorController, key: Key, count: int) -> Array:
        return jax.vmap(lambda key: draw(parameters, key))(jax.random.split(key, count))

    def log_probability(parameters: PredecessorController, archs: Array) -> Array:
        cells = listed()
        score = lambda each: predecessors_log_probability(parameters, each, settings)[0]  # noqa: E731
        each = jnp.exp(jax.lax.map(score, jnp.asarray(cells.choices), batch_size=min(_AT_ONCE, len(cells.choices))))
        of_cells = jnp.zeros(len(cells.rows), jnp.float32).at[cells.places].add(each, mode="drop")
        wanted, rows = jax.vmap(index)(archs), jnp.asarray(cells.rows)
        place = jnp.minimum(jnp.searchsorted(rows, wanted), len(cells.rows) - 1)
        return jnp.where(rows[place] == wanted, jnp.log(of_cells[place] / jnp.sum(of_cells)), -jnp.inf)

    def probabilities(parameters: PredecessorController, key: Key) -> Array:
        archs = jax.vmap(encoding.to_arch)(draws(parameters, key, _SAMPLES))
        return marginals(archs, jnp.full(_SAMPLES, 1 / _SAMPLES, jnp.float32), decisions_of(supernet).shape[1])

    return Sampler(
        init=lambda key: init_predecessor_controller(key, num_operations, settings),
        draw=draw,
        draws=draws,
        uniform=lambda key, count: jax.vmap(encoding.to_arch)(encoding.uniform(key, count)),
        score=lambda parameters, choices: predecessors_log_probability(parameters, choices, settings),
        to_arch=encoding.to_arch,
        log_probability=log_probability,
        probabilities=probabilities,
    )
