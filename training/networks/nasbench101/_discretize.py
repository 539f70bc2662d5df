"""The cell that preferences for edges and operations come to."""

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench101._cells import MAX_EDGES, NUM_EDGES, pruned


def likeliest_cell(logits: Array) -> Array:
    """Returns a valid architecture int32 `[26]` of logits `[26, 3]`, minus infinity where there is no such choice.

    Edges are taken in the order of how much rather they would be there than not, the first among equals: those that
    would rather be there, and others until a path leads from the input to the output. An edge that would leave more
    than 9 on such paths is passed over (the one from the input to the output never is while there is no path). Each
    vertex has its likeliest operation.
    """
    absent, present = logits[:NUM_EDGES, 0], logits[:NUM_EDGES, 1]
    # Where both are minus infinity, and of NaN: no preference. An edge that cannot be there comes last, and never in.
    rather = jnp.where(jnp.isnan(present - absent), 0, present - absent)
    can_be = ~jnp.isneginf(present)
    operations = jnp.argmax(logits[NUM_EDGES:], axis=1).astype(jnp.int32)

    def consider(edges: Array, edge: Array) -> tuple[Array, None]:
        with_it = edges.at[edge].set(1)
        _, used = pruned(jnp.concatenate([edges, operations]))
        matrix, _ = pruned(jnp.concatenate([with_it, operations]))
        wanted = ((rather[edge] > 0) | ~used[0]) & can_be[edge]
        fits = jnp.sum(matrix) <= MAX_EDGES
        return jnp.where(wanted & fits, with_it, edges), None

    edges, _ = jax.lax.scan(consider, jnp.zeros(NUM_EDGES, jnp.int32), jnp.argsort(-rather, stable=True))
    return jnp.concatenate([edges, operations])
