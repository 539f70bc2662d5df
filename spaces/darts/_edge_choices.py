"""Architectures as a search network has them: an operation or none on each of the 14 edges of both cells."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key, Space
from jnas.spaces._categorical import checked_arch
from jnas.spaces.darts._cells import ALL_OPERATIONS, EDGES, NODES, OPERATIONS, SHAPE
from jnas.spaces.darts._space import darts

NUM_CELLS = SHAPE[0]
NONE = ALL_OPERATIONS.index("none")
NUM_CHOICES = NONE + 1
INTO_NODE = tuple(
    slice(first, first + 2 + node) for node, first in enumerate(EDGES.index((0, node)) for node in range(NODES))
)
"""The edges into each node, in the order of `EDGES`."""


def edge_choices(arch: Array) -> Array:
    """Returns the operations of all edges int32 `[28]` of an architecture `[32]`; `none` (7) where there is no edge."""
    cells = jnp.asarray(arch).reshape(NUM_CELLS, NODES, 2, 2)
    first = np.asarray([into.start for into in INTO_NODE])
    edges = jnp.full((NUM_CELLS, len(EDGES)), NONE, jnp.int32)
    places = cells[..., 0] + first[None, :, None]
    return edges.at[np.arange(NUM_CELLS)[:, None, None], places].set(cells[..., 1]).reshape(-1)


def architecture_of(choices: Array) -> Array:
    """Returns the architecture int32 `[32]` of the operations of all edges `[28]`, two of which lead into each node."""
    cells = []
    for cell in jnp.asarray(choices).reshape(NUM_CELLS, len(EDGES)):
        for into in INTO_NODE:
            states = jnp.argsort(cell[into] == NONE, stable=True)[:2]
            cells.append(jnp.stack([states, cell[into][states]], 1))
    return jnp.stack(cells).reshape(-1).astype(jnp.int32)


_PAIRS = [list(itertools.combinations(range(2 + node), 2)) for node in range(NODES)]
_STATES = np.asarray([[*pairs, *[(0, 0)] * (len(_PAIRS[-1]) - len(pairs))] for pairs in _PAIRS], np.int32)  # [4, 10, 2]


def node_choices() -> tuple[tuple[str, ...], ...]:
    """Returns the names of what is chosen for each node of both cells: its two inputs, and the operation of each."""
    names = [tuple(f"inputs {first} and {second}" for first, second in pairs) for pairs in _PAIRS]
    return tuple(choices for _ in range(NUM_CELLS) for own in names for choices in (own, OPERATIONS, OPERATIONS))


def of_node_choices(choices: Array) -> Array:
    """Returns the operations of all edges int32 `[28]` of what is chosen for each node int32 `[24]`."""
    inputs, operations = jnp.split(jnp.asarray(choices).reshape(NUM_CELLS, NODES, 3), [1], 2)
    states = jnp.asarray(_STATES)[np.arange(NODES)[None], inputs[..., 0]]
    return edge_choices(jnp.stack([states, operations], -1).reshape(-1))


def to_node_choices(choices: Array) -> Array:
    """Returns what is chosen for each node int32 `[24]`, of the operations of all edges `[28]`, two into each node."""
    states, operations = jnp.moveaxis(architecture_of(choices).reshape(NUM_CELLS, NODES, 2, 2), -1, 0)
    inputs = jnp.argmax(jnp.all(states[:, :, None] == _STATES[None], -1), -1)
    return jnp.concatenate([inputs[..., None], operations], -1).reshape(-1).astype(jnp.int32)


def likeliest_cells(logits: Array, edge_weights: Array | None = None) -> Array:
    """Returns operations int32 `[28]` of logits `[28, 8]`: two edges into each node, never `none`, as DARTS derives.

    Of each node, the two edges stay on which an operation other than `none` has the largest share of a softmax over all
    operations, the first among equals; each has its likeliest operation. Equals are counted from an edge that the
    operations say (the sum of their numbers), or draws of one choice for each edge would all have the first two.

    Args:
      logits: Of the operations.
      edge_weights: `[28]`, by which the shares of each edge are multiplied, as PC-DARTS derives.
    """
    shares = jax.nn.softmax(jnp.where(jnp.isnan(logits), 0, logits), axis=1)[:, :NONE]
    best = jnp.max(jnp.nan_to_num(shares), 1)
    best = (best if edge_weights is None else best * jnp.nan_to_num(edge_weights)).reshape(NUM_CELLS, len(EDGES))
    likeliest = jnp.argmax(logits[:, :NONE], 1).astype(jnp.int32).reshape(NUM_CELLS, len(EDGES))
    cells = []
    for own, operations in zip(best, likeliest, strict=True):
        for into in INTO_NODE:
            here, count = own[into], into.stop - into.start
            first = jnp.where(jnp.all((here == 0) | (here == 1)), jnp.sum(operations[into]) % count, 0)
            places = (jnp.arange(count) + first) % count
            order = (
                jnp.zeros(count, jnp.int32).at[places[jnp.argsort(-here[places], stable=True)]].set(np.arange(count))
            )
            cells.append(jnp.where(order < 2, operations[into], NONE))
    return jnp.concatenate(cells)


def uniform_choices() -> tuple[int, np.ndarray]:
    """Returns how many architectures draws of the space are one of, and how often they have each choice `[28, 8]`."""
    size, shares = 1, np.zeros((NUM_CELLS, len(EDGES), NUM_CHOICES), np.float32)
    for into in INTO_NODE:
        states = into.stop - into.start
        size *= (states * (states - 1) // 2 * NONE**2) ** NUM_CELLS
        shares[:, into, :NONE] = 2 / states / NONE
        shares[:, into, NONE] = 1 - 2 / states
    return size, shares.reshape(-1, NUM_CHOICES)


@functools.cache
def edge_space() -> Space:
    """Returns DARTS's space with architectures `[28]`, as a search network reads them; strings are genotypes."""
    space = darts()
    names = ALL_OPERATIONS[:NUM_CHOICES]

    def is_valid(choices: Array) -> Array:
        cells = jnp.asarray(choices).reshape(NUM_CELLS, len(EDGES)) != NONE
        return jnp.all(jnp.stack([jnp.sum(cells[:, into], 1) == 2 for into in INTO_NODE]))

    def sample(key: Key) -> Array:
        return edge_choices(space.sample(key))

    def mutate(key: Key, choices: Array) -> Array:
        return edge_choices(space.mutate(key, architecture_of(choices)))

    def neighbors(choices: Array) -> tuple[Array, Array]:
        archs, valid = space.neighbors(architecture_of(choices))
        return jax.vmap(edge_choices)(archs), valid

    def known(choices: Array) -> np.ndarray:
        return np.asarray(architecture_of(jnp.asarray(checked_arch(choices, (NUM_CHOICES,) * 28))))

    assert space.draw is not None
    draw = space.draw
    return space._replace(
        num_choices=(NUM_CHOICES,) * (NUM_CELLS * len(EDGES)),
        choices=(names,) * (NUM_CELLS * len(EDGES)),
        config=json.dumps({"kind": "darts_edges"}),
        sample=sample,
        mutate=mutate,
        mutate_from=None,
        neighbors=neighbors,
        is_valid=is_valid,
        fingerprint=lambda choices: space.fingerprint(architecture_of(choices)),
        features=lambda choices, name: space.features(architecture_of(choices), name),
        to_string=lambda choices: space.to_string(known(choices)),
        from_string=lambda text: np.asarray(edge_choices(jnp.asarray(space.from_string(text)))),
        draw=lambda choices: draw(known(choices)),
    )
