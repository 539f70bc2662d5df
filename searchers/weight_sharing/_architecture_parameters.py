"""What the searchers share that learn a preference `alpha [E, K]` for each operation on each edge."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jnas.core._vocabulary import Array, Derived, Examples, Key, Shared, Supernet, decisions_of
from jnas.core._widths import narrow_optimizer
from jnas.searchers.weight_sharing._shared_weights import Forward, Measured, WeightsState, begin_weights, loss_of


class Adam(NamedTuple):
    """How the architecture is learned; the numbers may be traced."""

    learning_rate: Any = 3e-4
    b1: Any = 0.5
    b2: Any = 0.999
    eps: Any = 1e-8
    weight_decay: Any = 1e-3  # added to the gradient


class AlphaState(NamedTuple):
    """What a searcher with architecture parameters needs for its next step."""

    key: Key  # []
    step: Array  # [] int32, steps done
    weights: WeightsState
    alpha: Array  # [E, K] float32
    optimizer: Any  # of alpha


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
    probabilities = jax.nn.softmax(decisions_of(supernet).restrict(alpha), axis=1)
    return lambda parameters, inputs: supernet.mixture(parameters, None, probabilities, inputs)


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


def log_probability_of(log_probabilities: Array, archs: Array) -> Array:
    """Returns the logarithm of the probability of architectures `[N, E]` whose decisions are independent.

    Args:
      log_probabilities: `[E, K]`, of each choice.
      archs: int32 `[N, E]`.
    """
    chosen = jnp.take_along_axis(log_probabilities[None], archs[:, :, None], axis=2)
    return jnp.sum(chosen[:, :, 0], axis=1)


class AlphaFunctions(NamedTuple):
    """What every searcher with architecture parameters says of its state; see `WeightSharingSearcher`."""

    derive: Callable[[AlphaState, Any, str], Derived]  # looks at no examples
    log_probability: Callable[[AlphaState, Array], Array]
    probabilities: Callable[[AlphaState], Array]
    shared: Callable[[AlphaState], Shared]


def alpha_functions(supernet: Supernet) -> AlphaFunctions:
    """Returns what a state says by its alpha: independent decisions, by a softmax over the choices of each."""
    decisions = decisions_of(supernet)

    def derive(state: AlphaState, dataset: Any, split: str) -> Derived:
        del dataset, split
        arch = supernet.discretize(decisions.restrict(state.alpha))
        return Derived(arch, arch[None], jnp.full((1,), jnp.nan, jnp.float32))

    def log_probability(state: AlphaState, archs: Array) -> Array:
        return log_probability_of(jax.nn.log_softmax(decisions.restrict(state.alpha), axis=1), archs)

    def probabilities(state: AlphaState) -> Array:
        return jax.nn.softmax(decisions.restrict(state.alpha), axis=1)

    return AlphaFunctions(derive, log_probability, probabilities, lambda state: state.weights.shared)


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
