"""Architectures as a search network has them: an operation or none on each of the 14 edges of both cells.

Which operations there are on which edge is an array `operations [28, n]` of their numbers in `ALL_OPERATIONS`. Choices
are places in its rows; `n`, the last, is none. Of the whole space (`EVERY`) places are the operations' numbers.
"""

import functools
import itertools
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import not_one_of
from jnas.spaces._categorical import checked_arch
from jnas.spaces.darts._cells import ALL_OPERATIONS, EDGES, NODES, OPERATIONS, SHAPE
from jnas.spaces.darts._space import darts
from jnas.spaces.darts._subspaces import SUBSPACES

Operations = NDArray[np.int32]

NUM_CELLS = SHAPE[0]
NONE = ALL_OPERATIONS.index("none")
INTO_NODE = tuple(
    slice(first, first + 2 + node) for node, first in enumerate(EDGES.index((0, node)) for node in range(NODES))
)
"""The edges into each node, in the order of `EDGES`."""

EVERY: Operations = np.tile(np.arange(len(OPERATIONS), dtype=np.int32), (NUM_CELLS * len(EDGES), 1))
"""All operations on all edges."""

_FIRST = np.asarray([into.start for into in INTO_NODE])


def edge_operations(name: str | None) -> Operations:
    """Returns the operations of the edges of a sub-space of RobustDARTS, without `none`; of the whole space for None.

    Raises:
      ValueError: There is no such sub-space.
    """
    if name is None:
        return EVERY
    if name not in SUBSPACES:
        raise ValueError(not_one_of("operations", name, tuple(SUBSPACES)))
    rows = [edge for cell in SUBSPACES[name] for edge in cell]
    return np.asarray([[ALL_OPERATIONS.index(word) for word in row if word != "none"] for row in rows], np.int32)


def edge_choices(arch: Array, operations: Operations = EVERY) -> Array:
    """Returns the choices on all edges int32 `[28]` of an architecture `[32]`; `n` where there is no edge."""
    states, numbers = jnp.moveaxis(jnp.asarray(arch).reshape(NUM_CELLS, NODES, 2, 2), -1, 0)
    place_of = np.zeros((len(operations), len(ALL_OPERATIONS)), np.int32)
    np.put_along_axis(place_of, operations, np.arange(operations.shape[1], dtype=np.int32)[None], axis=1)
    return _on_edges(states, jnp.asarray(place_of)[_edge_of(states), numbers], operations.shape[1])


def _edge_of(states: Array) -> Array:
    """Returns the edges of both cells `[2, 4, 2]` by which nodes read states `[2, 4, 2]`."""
    first = len(EDGES) * np.arange(NUM_CELLS)[:, None, None] + _FIRST[None, :, None]
    edges: Array = states + first
    return edges


def _on_edges(states: Array, choices: Array, none: int) -> Array:
    edges = jnp.full(NUM_CELLS * len(EDGES), none, jnp.int32)
    found: Array = edges.at[_edge_of(states)].set(choices)
    return found


def architecture_of(choices: Array, operations: Operations = EVERY) -> Array:
    """Returns the architecture int32 `[32]` of the choices on all edges `[28]`, two of which lead into each node."""
    states, places = _inputs(choices, operations.shape[1])
    numbers = jnp.asarray(operations)[_edge_of(states), places]
    return jnp.stack([states, numbers], -1).reshape(-1).astype(jnp.int32)


def _inputs(choices: Array, none: int) -> tuple[Array, Array]:
    """Returns the states that nodes read `[2, 4, 2]`, the earlier one first, and the choices on these edges."""
    states, places = [], []
    for cell in jnp.asarray(choices).reshape(NUM_CELLS, len(EDGES)):
        for into in INTO_NODE:
            states.append(jnp.argsort(cell[into] == none, stable=True)[:2])
            places.append(cell[into][states[-1]])
    shape = NUM_CELLS, NODES, 2
    return jnp.stack(states).reshape(shape), jnp.stack(places).reshape(shape)


_PAIRS = [list(itertools.combinations(range(2 + node), 2)) for node in range(NODES)]
_STATES = np.asarray([[*pairs, *[(0, 0)] * (len(_PAIRS[-1]) - len(pairs))] for pairs in _PAIRS], np.int32)  # [4, 10, 2]


def node_choices(operations: Operations = EVERY) -> tuple[tuple[str, ...], ...]:
    """Returns the names of what is chosen for each node of both cells: its two inputs, and the operation of each."""
    alike = bool((operations == operations[0]).all())
    names = tuple(ALL_OPERATIONS[o] if alike else f"operation {place}" for place, o in enumerate(operations[0]))
    pairs = [tuple(f"inputs {first} and {second}" for first, second in own) for own in _PAIRS]
    return tuple(choices for _ in range(NUM_CELLS) for own in pairs for choices in (own, names, names))


def of_node_choices(choices: Array, none: int = NONE) -> Array:
    """Returns the choices on all edges int32 `[28]` of what is chosen for each node int32 `[24]`."""
    inputs, places = jnp.split(jnp.asarray(choices).reshape(NUM_CELLS, NODES, 3), [1], 2)
    return _on_edges(jnp.asarray(_STATES)[np.arange(NODES)[None], inputs[..., 0]], places, none)


def to_node_choices(choices: Array, none: int = NONE) -> Array:
    """Returns what is chosen for each node int32 `[24]`, of the choices on all edges `[28]`, two into each node."""
    states, places = _inputs(choices, none)
    inputs = jnp.argmax(jnp.all(states[:, :, None] == _STATES[None], -1), -1)
    return jnp.concatenate([inputs[..., None], places], -1).reshape(-1).astype(jnp.int32)


def likeliest_cells(logits: Array, edge_weights: Array | None = None) -> Array:
    """Returns choices int32 `[28]` of logits `[28, K]`: two edges into each node, never the last, as DARTS derives.

    Of each node, the two edges stay on which an operation other than `none`, the last one, has the largest share of a
    softmax over all operations, the first among equals; each has its likeliest operation. Equals are counted from an
    edge that the operations say (the sum of their numbers), or draws of one choice for each edge would all have the
    first two.

    Args:
      logits: Of the operations.
      edge_weights: `[28]`, by which the shares of each edge are multiplied, as PC-DARTS derives.
    """
    none = logits.shape[1] - 1
    shares = jax.nn.softmax(jnp.where(jnp.isnan(logits), 0, logits), axis=1)[:, :none]
    best = jnp.max(jnp.nan_to_num(shares), 1)
    best = (best if edge_weights is None else best * jnp.nan_to_num(edge_weights)).reshape(NUM_CELLS, len(EDGES))
    likeliest = jnp.argmax(logits[:, :none], 1).astype(jnp.int32).reshape(NUM_CELLS, len(EDGES))
    cells = []
    for own, operations in zip(best, likeliest, strict=True):
        for into in INTO_NODE:
            here, count = own[into], into.stop - into.start
            first = jnp.where(jnp.all((here == 0) | (here == 1)), jnp.sum(operations[into]) % count, 0)
            places = (jnp.arange(count) + first) % count
            order = (
                jnp.zeros(count, jnp.int32).at[places[jnp.argsort(-here[places], stable=True)]].set(np.arange(count))
            )
            cells.append(jnp.where(order < 2, operations[into], none))
    return jnp.concatenate(cells)


def choice_frequencies(none: int = NONE) -> tuple[int, NDArray[np.float32]]:
    """Returns how many architectures draws are one of, and how often they have each choice `[28, none + 1]`."""
    size, shares = 1, np.zeros((NUM_CELLS, len(EDGES), none + 1), np.float32)
    for into in INTO_NODE:
        states = into.stop - into.start
        size *= (states * (states - 1) // 2 * none**2) ** NUM_CELLS
        shares[:, into, :none] = 2 / states / none
        shares[:, into, none] = 1 - 2 / states
    return size, shares.reshape(-1, none + 1)


def edge_space(operations: str | None = None) -> Space:
    """Returns DARTS's space with architectures `[28]`, as a search network reads them; strings are genotypes.

    Args:
      operations: `'s1'`, `'s2'`, `'s3'` or `'s4'`, sub-spaces of RobustDARTS; None for the whole space. `none` is no
        operation here: what a search derives never has it.
    """
    return _edge_space(operations)


@functools.cache
def _edge_space(operations: str | None) -> Space:
    table = edge_operations(operations)
    # As S2's are the cells of S3, which a search derives without `none`.
    space = darts(operations=None if operations is None else "s2" if operations == "s3" else operations)
    none = table.shape[1]
    names = tuple((*(ALL_OPERATIONS[number] for number in row), "none") for row in table)

    def of(arch: Array) -> Array:
        return edge_choices(arch, table)

    def arch_of(choices: Array) -> Array:
        return architecture_of(choices, table)

    def is_valid(choices: Array) -> Array:
        cells = jnp.asarray(choices).reshape(NUM_CELLS, len(EDGES)) != none
        return jnp.all(jnp.stack([jnp.sum(cells[:, into], 1) == 2 for into in INTO_NODE]))

    def mutate(key: Key, choices: Array) -> Array:
        return of(space.mutate(key, arch_of(choices)))

    def neighbors(choices: Array) -> tuple[Array, Array]:
        archs, valid = space.neighbors(arch_of(choices))
        return jax.vmap(of)(archs), valid

    def known(choices: Array) -> np.ndarray:
        return np.asarray(arch_of(jnp.asarray(checked_arch(choices, (none + 1,) * len(table)))))

    draw: Callable[[np.ndarray], str] | None = space.draw
    assert draw is not None
    return space._replace(
        num_choices=(none + 1,) * len(table),
        choices=names,
        config=json.dumps({"kind": "darts_edges"} | ({} if operations is None else {"operations": operations})),
        sample=lambda key: of(space.sample(key)),
        mutate=mutate,
        mutate_from=None,
        neighbors=neighbors,
        is_valid=is_valid,
        fingerprint=lambda choices: space.fingerprint(arch_of(choices)),
        features=lambda choices, name: space.features(arch_of(choices), name),
        to_string=lambda choices: space.to_string(known(choices)),
        from_string=lambda text: np.asarray(of(jnp.asarray(space.from_string(text)))),
        draw=lambda choices: draw(known(choices)),
    )
