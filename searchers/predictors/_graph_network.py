"""The graph convolutional network of Wen et al.: cells as it takes them, its weights, its dropout, its output."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._draws import draw_words, uniform
from jnas.core._vocabulary import Array, Graph, Key
from jnas.spaces._hashing import mix


class GCNWeights(NamedTuple):
    """The network's weights: `L` layers of `W` units on vertices of `K` kinds, then `H` hidden units; no biases."""

    layers: tuple[Array, ...]  # L of [K or W, 2 W]: along the arcs, then against them
    hidden: Array  # [W, H]
    last: Array  # [H]


class PaddedGraphs(NamedTuple):
    """Graphs as the network takes them, `V` vertices of `K` kinds."""

    nodes: Array  # [N, V, K]
    spread: Array  # [N, V, V], the adjacency matrix with each vertex's own, rows summing to 1
    back: Array  # [N, V, V], its transpose
    share: Array  # [N], one over the number of vertices that are used


def prepare(features: Graph, mask: Array | None = None) -> PaddedGraphs:
    """Returns graphs as the network takes them.

    Args:
      features: Nodes `[N, V, K]` and adjacency `[N, V, V]`; vertices without a kind are unused, and so are their arcs.
      mask: `[N]`, rows outside it are taken as graphs without vertices, whatever they hold; None for all.
    """
    nodes, adjacency = (jnp.asarray(leaf, jnp.float32) for leaf in features)
    if mask is not None:
        nodes = jnp.where(mask[:, None, None], nodes, 0)
        adjacency = jnp.where(mask[:, None, None], adjacency, 0)
    used = jnp.any(nodes != 0, axis=2)
    arcs = adjacency * used[:, :, None] * used[:, None, :] + jnp.eye(nodes.shape[1], dtype=jnp.float32)[None]
    share = 1 / jnp.maximum(jnp.sum(used, axis=1), 1).astype(jnp.float32)
    spread = arcs / jnp.sum(arcs, axis=2, keepdims=True)
    return PaddedGraphs(nodes, spread, _transposed(spread), share)


def initial_graph_weights(key: Key, kinds: int, num_layers: int, width: int, hidden: int) -> GCNWeights:
    """Draws one member's weights: graph layers uniform as Glorot's, linear layers uniform as PyTorch's default.

    The two halves of a graph layer are matrices of their own, so that Glorot's bound is that of `[K or W, W]`.
    """
    shapes = [(kinds if i == 0 else width, 2 * width) for i in range(num_layers)]
    bounds = [math.sqrt(6 / (rows + width)) for rows, _ in shapes] + [1 / math.sqrt(width), 1 / math.sqrt(hidden)]
    shapes += [(width, hidden), (hidden, 1)]
    _, words = draw_words(key, sum(rows * columns for rows, columns in shapes))
    leaves, start = [], 0
    for (rows, columns), bound in zip(shapes, bounds, strict=True):
        part = words[start : start + rows * columns].reshape(rows, columns)
        leaves.append((2 * uniform(part) - 1) * bound)
        start += rows * columns
    return GCNWeights(tuple(leaves[:-2]), leaves[-2], leaves[-1][:, 0])


def draw_kept(
    seed: Array, dropout: Any, vertex_shape: tuple[int, ...], layers: int, hidden: int
) -> tuple[Array, Array]:
    """Draws what dropout multiplies with: 0, or one over the fraction kept.

    The decisions are hashes of the seed and of their place, 16 bits each: JAX's generator would take a good part of a
    training step.

    Args:
      seed: uint32 `[]`, another one at every step.
      dropout: The fraction dropped.
      vertex_shape: `(B, V, W)`.
      layers: `L`.
      hidden: `H`.

    Returns:
      `[L, B, V, W]` for the graph layers, `[B, H]` for the hidden units.
    """
    after_layers, after_hidden = layers * math.prod(vertex_shape), vertex_shape[0] * hidden
    places = jnp.arange(-(-(after_layers + after_hidden) // 2), dtype=jnp.uint32)
    words = mix(seed + places * jnp.uint32(0x9E3779B9))
    numbers = jnp.concatenate([words >> 16, words & 0xFFFF])
    bound = jnp.asarray(jnp.asarray(dropout, jnp.float32) * 65536, jnp.uint32)
    factors = jnp.where(numbers >= bound, 1 / (1 - jnp.asarray(dropout, jnp.float32)), 0)
    vertices = factors[:after_layers].reshape(layers, *vertex_shape)
    return vertices, factors[after_layers : after_layers + after_hidden].reshape(-1, hidden)


def _transposed(matrix: Array) -> Array:
    """Returns the transpose of the last two axes, computed: a product that is left to transpose by itself is slower."""
    transposed: Array = jax.lax.optimization_barrier(jnp.swapaxes(matrix, -1, -2))  # type: ignore[no-untyped-call]
    return transposed


@jax.custom_vjp
def _product(x: Array, weight: Array) -> Array:
    """Returns `x [R, K] @ weight [K, W]`."""
    return x @ weight


_product.defvjp(
    lambda x, weight: (x @ weight, (x, weight)),
    lambda kept, gradient: (
        jax.lax.dot_general(gradient, kept[1], (((1,), (1,)), ((), ()))),
        _transposed(kept[0]) @ gradient,
    ),
)


@jax.custom_vjp
def _spread(matrix: Array, back: Array, x: Array) -> Array:
    """Returns `matrix [B, V, V] @ x [B, V, W]`, given the matrix's transpose `back` for the gradient of `x`."""
    del back
    return matrix @ x


_spread.defvjp(
    lambda matrix, back, x: (matrix @ x, (matrix, back)),
    lambda kept, gradient: (jnp.zeros_like(kept[0]), jnp.zeros_like(kept[1]), kept[1] @ gradient),
)


def apply_network(weights: GCNWeights, cells: PaddedGraphs, kept: tuple[Array, Array] | None = None) -> Array:
    """Returns the network's outputs `[B]` in standard units, with dropout's factors when it is trained.

    A vertex of no kind is zero in every layer, since nothing has a bias and no arc joins it to another vertex.
    """
    batch, vertices, _ = cells.nodes.shape
    x = cells.nodes
    for i, weight in enumerate(weights.layers):
        width = weight.shape[1] // 2
        # One product for both directions and all vertices: `spread @ (x @ w)` is `(spread @ x) @ w`.
        y = _product(x.reshape(batch * vertices, -1), weight).reshape(batch, vertices, 2 * width)
        along = _spread(cells.spread, cells.back, y[..., :width])
        against = _spread(cells.back, cells.spread, y[..., width:])
        x = 0.5 * (jax.nn.relu(along) + jax.nn.relu(against))
        if kept is not None:
            x = x * kept[0][i]
    hidden = (jnp.sum(x, axis=1) * cells.share[:, None]) @ weights.hidden
    if kept is not None:
        hidden = hidden * kept[1]
    return hidden @ weights.last
