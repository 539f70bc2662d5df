"""Which recurrent cells are the same function: trees that differ by their nodes' numbers, or by nodes unused.

A node reads one state, so a cell is a tree that grows from the initial state. Each node has weights of its own, drawn
alike, so that numbering the nodes in another order gives the same cell. A mean over all nodes, or over all leaves,
depends on every node; one over chosen nodes not on those that neither are chosen nor lead to a chosen one.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces._batch_last import batch_last
from jnas.spaces._hashing import mix
from jnas.spaces.recurrent._cells import OPERATIONS, Output, RecurrentCell, arch_of_cell, recurrent_cell

_SALTS = np.array([0x9E3779B9, 0x7F4A7C15], np.uint32)


def in_use(cell: RecurrentCell, output: Output = "all") -> Array:
    """Returns which nodes a cell's output depends on, bool `[n, ...]`."""
    return _subtrees(cell, output)[1]


def _subtrees(cell: RecurrentCell, output: Output) -> tuple[Array, Array, Array]:
    """Returns words uint32 `[n, 2, ...]` of what grows from each node, which nodes are used, and words of the cell.

    The words of a node are equal exactly if activations, places in the output, and what grows from it, are. Axes after
    the first are a batch's.
    """
    nodes, batch = cell.inputs.shape[0], cell.inputs.shape[1:]
    chosen = np.isin(np.arange(1, nodes + 1), output if isinstance(output, tuple) else np.arange(1, nodes + 1))
    state, salts = (np.reshape(each, (-1, *(1,) * len(batch))) for each in (np.arange(nodes + 1), _SALTS))

    def grow(carry: tuple[Array, Array], node: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        grown, leads = carry
        number, read, operation, in_mean = node
        label = (operation + len(OPERATIONS) * in_mean).astype(jnp.uint32)
        words = mix(mix(label[None] + salts) + grown[number])
        used = leads[number] | in_mean
        reads = (read[None] == state) & used[None]
        grown += jnp.where(reads[:, None], mix(words + salts[::-1])[None], np.uint32(0))
        return (grown, leads | reads), (words, used)

    # The sum over what reads each state, and whether any node that does is used; those that read a node come after it.
    none = jnp.zeros((nodes + 1, 2, *batch), jnp.uint32), jnp.zeros((nodes + 1, *batch), bool)
    each: Any = (np.arange(1, nodes + 1, dtype=np.int32), *cell, chosen)
    (grown, _), (words, used) = jax.lax.scan(grow, none, each, reverse=True)
    return words, used, mix(grown[0] + salts)


@functools.cache
def cell_fingerprints(output: Output = "all") -> Callable[[Array], Array]:
    """Returns the function from an architecture `[2 n]` to uint32 `[2]`, equal exactly for the same cells.

    But for a probability of about `2**-64` two cells have the same if and only if another order of the nodes makes them
    equal, nodes that the output does not depend on left out.
    """
    return batch_last(lambda arch: _subtrees(recurrent_cell(arch), output)[2])


def canonical_recurrent(arch: Array, output: Output = "all") -> Array:
    """Returns one encoding int32 `[2 n]` for all architectures `[2 n]` that are the same cell.

    From the initial state on, in the order of the states that they read. Of a mean over chosen nodes, whose numbers are
    those that the output names, nodes keep their numbers, and those that are not used read the initial state as `tanh`.
    """
    cell = RecurrentCell(*(jnp.asarray(field, jnp.int32) for field in recurrent_cell(arch)))
    words, used, _ = _subtrees(cell, output)
    if isinstance(output, tuple):
        return arch_of_cell(RecurrentCell(*(jnp.where(used, field, 0) for field in cell)))
    nodes = cell.inputs.shape[0]

    def number(place: Array, new: Array) -> tuple[Array, RecurrentCell]:
        """Gives the next number to the least of the nodes that read a state which has one."""
        parent = place[cell.inputs]
        among = (place[1:] > nodes) & (parent <= nodes)
        for key in (parent.astype(jnp.uint32), words[:, 0], words[:, 1]):
            among &= key == jnp.min(jnp.where(among, key, np.uint32(0xFFFFFFFF)))
        node = jnp.argmax(among)
        return place.at[node + 1].set(new), RecurrentCell(parent[node], cell.operations[node])

    place = jnp.where(np.arange(nodes + 1) == 0, 0, nodes + 1)
    numbers: Any = np.arange(1, nodes + 1)
    return arch_of_cell(jax.lax.scan(number, place, numbers)[1])
