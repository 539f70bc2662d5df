"""What a score without training is, and what all of them are made from: a network that has just been drawn."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network, Tap
from jnas.io._fields import describe_fields

Scores = Mapping[str, Array]
"""Scores by the names of proxies, float32 `[]` each."""

Measure = Callable[[Key, Array, Network, Examples], Scores]
"""`measure(key, arch, network, batch) -> scores`, those that come of the same passes; not finite where undefined."""


@describe_fields
class Proxy(NamedTuple):
    """A score of an architecture without training: a row.

    Attributes:
      name: In files and on the command line.
      measure: What computes it, and others with it.
      source: Paper, and the place in it.
      words: What it is, in a line.
      released: What the released code does beyond the paper; empty where that is nothing.
      better: Which scores are said to be the better ones.
      reads: What it needs: `'weights'` (`Network.layers`), `'points'` (`Network.tapped`), or `'nothing'` of these.
      plain: The name of the proxy that is as the paper has it, where this one is as the code was released.
    """

    name: str
    measure: Measure
    source: str
    words: str
    released: str = ""
    better: Literal["high", "low"] = "high"
    reads: Literal["weights", "points", "nothing"] = "nothing"
    plain: str | None = None

    def score(self, key: Key, arch: Array, network: Network, batch: Examples) -> Array:
        """Returns the score of an architecture, float32 `[]`, NaN where it is undefined.

        Args:
          key: Draws the weights, by which proxies with the same key agree, and what else is drawn.
          arch: int32 `[E]`.
          network: Of the architecture's space.
          batch: What it sees, as in training.
        """
        return finite(self.measure(key, arch, network, batch)[self.name])


def finite(score: Array) -> Array:
    """Returns a score, NaN in place of infinities: the logarithm of 0 says that nothing was there to be measured."""
    return jnp.where(jnp.isfinite(score), score, jnp.nan).astype(jnp.float32)


class Draw(NamedTuple):
    """A network at its start, and keys for what else is drawn."""

    parameters: Any
    key: Key


def draw(key: Key, arch: Array, network: Network) -> Draw:
    """Returns the network's own start, in JAX's own precision; the same for all proxies of a key."""
    of_weights, rest = jax.random.split(key)
    parameters, precision = network.init(of_weights, arch)[0], jnp.zeros(()).dtype
    return Draw(jax.tree.map(lambda leaf: leaf.astype(precision), parameters), rest)


def apply_within(network: Network, arch: Array, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `function(apply, *arguments)` as a function of arguments; its gradients are to lie inside of it."""
    if network.specialize is not None:
        return network.specialize(arch, function)
    return lambda *arguments: function(network.apply, *arguments)


def mean_loss(network: Network, apply: Callable[..., Any], parameters: Any, arch: Array, batch: Examples) -> Array:
    """Returns the mean loss of a batch, whose own statistics batch-norm uses."""
    return jnp.mean(network.task.loss(apply(parameters, None, arch, batch.inputs)[0], batch.targets))


def layers(network: Network, parameters: Any) -> tuple[Array, ...]:
    """Returns the weights of convolutions and linear layers, `[L, C', K]` for each kind.

    Raises:
      ValueError: Nobody has said which they are.
    """
    if network.layers is None:
        raise ValueError(f"networks of {network.space.name} do not say which arrays are weights of layers")
    return network.layers(parameters)


def with_layers(network: Network, parameters: Any, weights: tuple[Array, ...]) -> Any:
    """Returns parameters with other weights of convolutions and linear layers; the inverse of `layers`."""
    own, transpose = jax.vjp(lambda given: layers(network, given), parameters)
    (less,), (more,) = transpose(own), transpose(weights)
    return jax.tree.map(lambda array, old, new: array - old + new, parameters, less, more)


def drawn_layers(key: Key, arch: Array, network: Network, parameters: Any, deviation: Callable[[Array], Array]) -> Any:
    """Returns parameters whose layers are drawn from a normal distribution.

    Args:
      key: A PRNG key.
      arch: int32 `[E]`, which says what weights there are.
      network: Of the architecture's space.
      parameters: For the rest, scales and shifts.
      deviation: Of how many weights an output has, float32 `[L, C', 1]`, at least 1, the standard deviation.
    """
    has = [each.astype(jnp.float32) for each in layers(network, _as_numbers(network.has(arch)))]
    keys, dtype = jax.random.split(key, len(has)), jax.tree.leaves(parameters)[0].dtype
    weights = tuple(
        jax.random.normal(k, mask.shape, dtype) * mask * deviation(jnp.maximum(jnp.sum(mask, -1, keepdims=True), 1))
        for k, mask in zip(keys, has, strict=True)
    )
    return with_layers(network, parameters, weights)


def _as_numbers(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def masked(network: Network, arch: Array, gradient: Any) -> Any:
    """Returns a gradient in the parameters, 0 where an architecture has none."""
    return jax.tree.map(lambda has, leaf: jnp.where(has, leaf, 0), network.has(arch), gradient)


def pass_with(
    network: Network, parameters: Any, arch: Array, images: Array, tap: Tap, given: Any = None, twice: bool = False
) -> tuple[Array, Any]:
    """Returns logits and records of a pass on which a tap looks; see `Network.tapped`.

    Raises:
      ValueError: The network has no such passes.
    """
    if network.tapped is None:
        raise ValueError(f"networks of {network.space.name} do not show what goes on inside of them")
    result: tuple[Array, Any] = network.tapped(parameters, arch, images, tap, given, twice)
    return result
