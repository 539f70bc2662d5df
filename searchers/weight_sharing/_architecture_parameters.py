"""What the searchers share that learn a preference `alpha [E, K]` for each operation on each edge."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from jnas.core._vocabulary import (
    Array,
    Derived,
    Examples,
    Key,
    Preferences,
    Shared,
    Supernet,
    decisions_of,
    log_probability_of,
)
from jnas.core._widths import narrow_optimizer
from jnas.io._fields import describe_fields
from jnas.io._text import not_one_of
from jnas.searchers.weight_sharing._candidates import derive_key
from jnas.searchers.weight_sharing._shared_weights import Forward, Measured, WeightsState, begin_weights, loss_of

Reachable = Literal["whole", "released"]
"""Whether alpha can express the whole space, or what the released search in it can; see `Supernet.released`."""

EdgeWeights = Literal["equal", "learned"]
"""Whether edges into a node weigh the same, or by a softmax that alpha has too; see `Supernet.weighted_edges`."""


@describe_fields
class Adam(NamedTuple):
    """How the architecture is learned; the numbers may be traced.

    Attributes:
      learning_rate: Of each step.
      b1: What the mean of the gradients keeps of itself at a step.
      b2: What the mean of their squares keeps.
      eps: Added to the root of that mean.
      weight_decay: Added to the gradient.
    """

    learning_rate: Any = 3e-4
    b1: Any = 0.5
    b2: Any = 0.999
    eps: Any = 1e-8
    weight_decay: Any = 1e-3


class AlphaState(NamedTuple):
    """What a searcher with architecture parameters needs for its next step."""

    key: Key  # []
    step: Array  # [] int32, steps done
    weights: WeightsState
    alpha: Array  # [E, K] float32
    optimizer: Any  # of alpha
    stop: Any = None  # what has been measured, of a search that may stop early; None of others


def begin_alpha(key: Key, supernet: Supernet, scale: Any, settings: Adam) -> AlphaState:
    """Returns a search before its first step; alpha is normal with standard deviation `scale`.

    It has a number at each of `[E, K]`; those of choices that a decision lacks are never looked at.
    """
    key, weights_key, alpha_key = jax.random.split(key, 3)
    alpha = scale * jax.random.normal(alpha_key, decisions_of(supernet).shape, jnp.float32)
    return AlphaState(key, jnp.int32(0), begin_weights(weights_key, supernet), alpha, make_adam(settings).init(alpha))


def make_adam(settings: Adam) -> optax.GradientTransformation:
    """Returns Adam with weight decay as a part of the gradient, as PyTorch's has it."""
    adam = optax.adam(settings.learning_rate, b1=settings.b1, b2=settings.b2, eps=settings.eps)
    return narrow_optimizer(optax.chain(optax.add_decayed_weights(settings.weight_decay), adam))


def update_alpha(settings: Adam, gradient: Array, optimizer: Any, alpha: Array) -> tuple[Array, Any]:
    """Returns alpha and its optimizer's state after a step of Adam."""
    updates, optimizer = make_adam(settings).update(gradient, optimizer, alpha)
    return jnp.asarray(optax.apply_updates(alpha, updates)), optimizer


def mixture_of(supernet: Supernet, alpha: Array) -> Forward:
    """Returns the forward pass of all operations, mixed on each edge by the softmax of alpha."""
    return by_weights(supernet, jax.nn.softmax(decisions_of(supernet).restrict(alpha), axis=1))


def by_weights(supernet: Supernet, weights: Array) -> Forward:
    """Returns the forward pass of all operations, mixed on each edge by weights `[E, K]`."""
    return lambda parameters, inputs: supernet.mixture(parameters, None, weights, inputs)


def mixture_loss(supernet: Supernet, parameters: Any, alpha: Array, examples: Examples) -> tuple[Array, Measured]:
    """Returns the mean loss of the mixture on a batch, and what was measured."""
    loss, (measured, _) = loss_of(supernet.task, mixture_of(supernet, alpha), parameters, examples)
    return loss, measured


def mixture_gradient(supernet: Supernet, parameters: Any, alpha: Array, examples: Examples) -> tuple[Array, Measured]:
    """Returns the gradient in alpha of the mixture's loss on a batch, and what was measured."""
    gradient: tuple[Array, Measured] = jax.grad(
        lambda alpha: mixture_loss(supernet, parameters, alpha, examples), has_aux=True
    )(alpha)
    return gradient


class AlphaFunctions(NamedTuple):
    """What every searcher with architecture parameters says of its state; see `WeightSharingSearcher`."""

    derive: Callable[[AlphaState, Any, str], Derived]  # looks at no examples
    log_probability: Callable[[AlphaState, Array], Array]
    probabilities: Callable[[AlphaState], Array]
    shared: Callable[[AlphaState], Shared]


def alpha_functions(
    supernet: Supernet,
    preferences: Preferences | None = None,
    logits_of: Callable[[Array], Array] | None = None,
    derived_of: Callable[[Array], Array] | None = None,
) -> AlphaFunctions:
    """Returns what a state says by its alpha: independent rows, by a softmax over the choices of each.

    Args:
      supernet: Whose decisions alpha is of.
      preferences: What it is of, where it is of others.
      logits_of: The logits of each choice's probability as a function of alpha; by default alpha itself.
      derived_of: Those that become an architecture.
    """
    own = _own_preferences(supernet) if preferences is None else preferences
    read, derived = logits_of or own.decisions.restrict, derived_of or own.decisions.restrict

    def derive(state: AlphaState, dataset: Any, split: str) -> Derived:
        del dataset, split
        logits = derived(state.alpha)
        arch = own.discretize(logits) if own.draw is None else own.draw(derive_key(state.key), logits)
        return Derived(arch, arch[None], jnp.full((1,), jnp.nan, jnp.float32))

    def log_probability(state: AlphaState, archs: Array) -> Array:
        return own.log_probability(read(state.alpha), archs)

    def probabilities(state: AlphaState) -> Array:
        return own.probabilities(read(state.alpha))

    return AlphaFunctions(derive, log_probability, probabilities, lambda state: state.weights.shared)


def preferences_of(supernet: Supernet, reachable: Reachable, edge_weights: EdgeWeights = "equal") -> Preferences:
    """Returns what a search by a mixture learns of a supernet.

    Raises:
      ValueError: There is no such reach, or the supernet has no released one, or no edges that could be weighed.
    """
    if reachable not in get_args(Reachable):
        raise ValueError(not_one_of("reachable", reachable, get_args(Reachable)))
    if edge_weights not in get_args(EdgeWeights):
        raise ValueError(not_one_of("edge_weights", edge_weights, get_args(EdgeWeights)))
    if edge_weights == "learned":
        if supernet.weighted_edges is None:
            raise ValueError(
                f"edge_weights is 'learned', and the supernet of {supernet.space.name} has no edges to weigh; use "
                "edge_weights='equal'"
            )
        return supernet.weighted_edges
    if reachable == "whole":
        return supernet.preferences or _own_preferences(supernet)
    if supernet.released is None:
        raise ValueError(
            f"reachable is 'released', and the supernet of {supernet.space.name} has no released decisions of its own; "
            "use reachable='whole'"
        )
    return supernet.released


def partial_channels(supernet: Supernet, partial: Any) -> Supernet:
    """Returns a supernet whose edges compute their operations on one of so many parts of the channels; itself for 1.

    Raises:
      TypeError: `partial` is not a Python int.
      ValueError: It is not positive, does not divide the channels, or the supernet has no such parts.
    """
    if type(partial) is int and partial == 1:
        return supernet
    if supernet.partial is None:
        raise ValueError(
            f"partial is {partial!r}, and the supernet of {supernet.space.name} has no edges on a part of its "
            "channels; use partial=1"
        )
    return supernet.partial(partial)


def with_preferences(supernet: Supernet, preferences: Preferences) -> Supernet:
    """Returns a supernet whose decisions and mixture are those of preferences; nothing else of it knows of them."""
    return supernet._replace(
        decisions=preferences.decisions,
        mixture=preferences.mixture,
        discretize=preferences.discretize,
        straight_through=None,
    )


def begin_preferences(key: Key, mixed: Supernet, preferences: Preferences, scale: Any, settings: Adam) -> AlphaState:
    """Returns a search before its first step, as `begin_alpha`, alpha around where preferences start."""
    state = begin_alpha(key, mixed, scale, settings)
    return state if preferences.start is None else state._replace(alpha=state.alpha + preferences.start)


def _own_preferences(supernet: Supernet) -> Preferences:
    """Returns a preference for each choice of each decision."""

    def log_probability(logits: Array, archs: Array) -> Array:
        return log_probability_of(jax.nn.log_softmax(logits, axis=1), archs)

    return Preferences(
        decisions=decisions_of(supernet),
        mixture=supernet.mixture,
        discretize=supernet.discretize,
        probabilities=lambda logits: jax.nn.softmax(logits, axis=1),
        log_probability=log_probability,
    )


def most_probable(log_probabilities: Array, count: int) -> Array:
    """Returns the `count` architectures of highest joint probability, the highest first, int32 `[count, E]`.

    Exact, in a space of any size: the first decisions of one of the best are among the best of their own. There must
    be as many architectures of a probability that is not 0.

    Args:
      log_probabilities: `[E, K]`, of each choice of independent decisions.
      count: A Python int.
    """
    best, chosen = jnp.zeros((1,), log_probabilities.dtype), jnp.zeros((1, 0), jnp.int32)
    choices = log_probabilities.shape[1]
    for row in log_probabilities:
        sums = (best[:, None] + row[None, :]).reshape(-1)
        best, places = jax.lax.top_k(sums, min(count, sums.shape[0]))
        last = (places % choices).astype(jnp.int32)
        chosen = jnp.concatenate([chosen[places // choices], last[:, None]], axis=1)
    return chosen
