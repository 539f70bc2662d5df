"""Preferences for the edges into a node beside those for their operations, as PC-DARTS learns them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jnas.core._vocabulary import Array, Decisions, Preferences, log_probability_of


def weighted_edges(
    decisions: Decisions,
    into: Sequence[Sequence[int]],
    mixture: Callable[[Any, Any, Array, Any], tuple[Any, Any]],
    discretize: Callable[[Array, Array], Array],
) -> Preferences:
    """Returns preferences of `E` rows for the operations of edges, and one for each node, for the edges into it.

    The operations of an edge are mixed by the softmax of its row, times the edge's share in the softmax of its node's
    row. A supernet's mixture needs to know nothing of edges: the weights of one sum to the edge's. Rows have as many
    columns as there are operations, or as a node has edges where these are more.

    Args:
      decisions: Of the supernet, `[E, K]`.
      into: The edges into each node.
      mixture: `Supernet.mixture`, by weights `[E, K]` that need not sum to 1.
      discretize: `discretize(logits [E, K], edge_weights [E]) -> arch`.

    References:
      "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", Xu et al., 2020, Section 3.3.
    """
    edges, most = decisions.shape
    columns = max(most, *map(len, into))
    node, place = np.zeros(edges, np.int32), np.zeros(edges, np.int32)
    for number, own in enumerate(into):
        node[list(own)], place[list(own)] = number, np.arange(len(own))
    of_nodes = np.arange(columns)[None] < np.asarray([len(own) for own in into])[:, None]
    of_operations = np.pad(decisions.mask, ((0, 0), (0, columns - most)))
    named = (*decisions.names, *(tuple(f"edge {edge}" for edge in own) for own in into))
    names = tuple((*row, *[""] * (columns - len(row))) for row in named)

    def of_edges(weights: Array) -> Array:
        return weights[edges + node, place]

    def operations(logits: Array) -> Array:
        return logits[:edges, :most]

    def mix(parameters: Any, statistics: Any, weights: Array, inputs: Any) -> tuple[Any, Any]:
        return mixture(parameters, statistics, operations(weights) * of_edges(weights)[:, None], inputs)

    def log_probability(logits: Array, archs: Array) -> Array:
        return log_probability_of(jax.nn.log_softmax(operations(logits), axis=1), archs)

    return Preferences(
        decisions=Decisions(np.concatenate([of_operations, of_nodes]), names, independent=False),
        mixture=mix,
        discretize=lambda logits: discretize(operations(logits), of_edges(jax.nn.softmax(logits, axis=1))),
        probabilities=lambda logits: jax.nn.softmax(operations(logits), axis=1),
        log_probability=log_probability,
    )
