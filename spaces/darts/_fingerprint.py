"""Which pairs of cells are the same: any order of a node's two inputs, any order of the nodes."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces._batch_last import batch_last
from jnas.spaces._hashing import hash_digits
from jnas.spaces.darts._cells import ALL_OPERATIONS
from jnas.spaces.darts._genotype import CELLS

_NEVER = np.int32(2**31 - 1)


@functools.cache
def _orders(nodes: int) -> np.ndarray:
    """Returns all orders of the nodes, int32 `[P, nodes]`: at each new place the node that takes it."""
    return np.asarray(list(itertools.permutations(range(nodes))), np.int32)


def canonical_cell(cell: Array) -> Array:
    """Returns numbers that two cells share exactly if some order of nodes and of their inputs makes them equal.

    Of all orders in which every node comes after those that it reads, the one whose cell is the least. A cell of four
    nodes has at most 24.

    Args:
      cell: int32 `[nodes, 2, 2, ...]`, at most four nodes, the last named axis as in an architecture.

    Returns:
      int32 `[(nodes + 1) // 2, ...]`, two nodes in each number.
    """
    nodes = cell.shape[0]
    orders = _orders(nodes)
    place = np.argsort(orders, axis=1).astype(np.int32)  # of each node in each order
    batch = cell.shape[3:]
    new_state = np.concatenate(
        [np.broadcast_to(np.arange(2, dtype=np.int32), (len(orders), 2)), place + 2], axis=1
    )  # [P, 2 + nodes]
    state = jnp.take(jnp.asarray(new_state), cell[:, :, 0], axis=1)  # [P, nodes, 2, ...]
    legal = jnp.all(state < (place + 2).reshape(*place.shape, 1, *(1,) * len(batch)), axis=(1, 2))
    code = state * len(ALL_OPERATIONS) + cell[None, :, :, 1]
    base = (2 + nodes) * len(ALL_OPERATIONS)
    node = jnp.minimum(code[:, :, 0], code[:, :, 1]) * base + jnp.maximum(code[:, :, 0], code[:, :, 1])
    node = node[np.arange(len(orders))[:, None], orders]  # by new place
    node = jnp.concatenate([node, jnp.zeros((len(orders), nodes % 2, *batch), jnp.int32)], axis=1)
    pairs = node[:, ::2] * base**2 + node[:, 1::2]
    least, among = [], legal
    for i in range(pairs.shape[1]):
        found = jnp.min(jnp.where(among, pairs[:, i], _NEVER), axis=0)
        among &= pairs[:, i] == found[None]
        least.append(found)
    return jnp.stack(least)


def darts_fingerprint(arch: Array) -> Array:
    """Returns uint32 `[2]`, equal for architectures `[32]` of the same normal cell and the same reduction cell.

    Equal exactly if some order of each cell's nodes, and of each node's inputs, makes them equal, but for a
    probability of about `2**-64`. What an edge does not carry (`none`) counts as it is written.
    """
    return hash_digits(batch_last(_canonical)(arch))


def canonical_arch(arch: Array) -> Array:
    """Returns the one encoding int32 `[32]` that stands for all with the fingerprint of a valid architecture `[32]`."""
    cells = arch.astype(jnp.int32).reshape(len(CELLS), -1, 2, 2)
    kinds, base = len(ALL_OPERATIONS), (2 + cells.shape[1]) * len(ALL_OPERATIONS)
    pairs = jnp.stack([canonical_cell(cell) for cell in cells])  # [2, nodes / 2]
    nodes = jnp.stack(jnp.divmod(pairs, base**2), axis=-1).reshape(len(CELLS), -1)
    codes = jnp.stack(jnp.divmod(nodes, base), axis=-1)
    return jnp.stack(jnp.divmod(codes, kinds), axis=-1).reshape(-1).astype(jnp.int32)


def _canonical(arch: Array) -> Array:
    cells = arch.astype(jnp.int32).reshape(len(CELLS), -1, 2, 2, *arch.shape[1:])
    return jnp.concatenate([canonical_cell(cell) for cell in cells])
