"""What DARTS learns of a recurrent cell: a softmax over five operations on each edge, `none` among them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Decisions, Preferences
from jnas.spaces.recurrent._cells import OPERATIONS, SEARCH_OPERATIONS, edges, recurrent_cell
from jnas.spaces.recurrent._search_cell import strongest_cell

_NONE = SEARCH_OPERATIONS.index("none")


def edge_preferences(mixture: Callable[..., tuple[Any, Any]], nodes: int) -> Preferences:
    """Returns the preferences `[n (n + 1) / 2, 5]` of DARTS's search cell.

    `none` takes its share of an edge's softmax and adds nothing; it is never derived. As a distribution over cells,
    each node reads one state through one operation with a probability in proportion to that operation's share of that
    edge, so that the likeliest cell is the one that is derived.

    Args:
      mixture: `mixture(parameters, statistics, weights [n (n + 1) / 2, 4], inputs)`, by the weights of the operations
        but `none`.
      nodes: Of a cell, `n`.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.1.2, and its released code.
    """
    count, most = len(edges(nodes)), max(nodes, len(OPERATIONS))

    def of_nodes(logits: Array) -> list[Array]:
        """Returns the logarithms of what each node reads, `[k, 4]` of node `k`."""
        shares = jax.nn.log_softmax(logits, axis=1)[:, _NONE + 1 :]
        rows = [shares[node * (node + 1) // 2 :][: node + 1] for node in range(nodes)]
        return [row - jax.nn.logsumexp(row) for row in rows]

    def probabilities(logits: Array) -> Array:
        rows = []
        for logs in of_nodes(logits):
            shares = jnp.exp(logs)
            rows += [jnp.pad(own, (0, most - len(own))) for own in (jnp.sum(shares, 1), jnp.sum(shares, 0))]
        return jnp.stack(rows)

    def log_probability(logits: Array, archs: Array) -> Array:
        logs = of_nodes(logits)

        def one(arch: Array) -> Array:
            cell = recurrent_cell(arch)
            each = [own[cell.inputs[node], cell.operations[node]] for node, own in enumerate(logs)]
            return jnp.sum(jnp.stack(each))

        return jax.vmap(one)(archs)

    def mix(parameters: Any, statistics: Any, weights: Array, inputs: Any) -> tuple[Any, Any]:
        return mixture(parameters, statistics, weights[:, _NONE + 1 :], inputs)

    return Preferences(
        decisions=Decisions(np.ones((count, len(SEARCH_OPERATIONS)), bool), (SEARCH_OPERATIONS,) * count, False),
        mixture=mix,
        discretize=strongest_cell,
        probabilities=probabilities,
        log_probability=log_probability,
    )
