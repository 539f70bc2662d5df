"""The cell space of NAS-Bench-201, which is also the topology space of NATS-Bench."""

import functools
import json
from collections.abc import Callable
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import bits
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import not_one_of
from jnas.spaces._categorical import categorical, change_one, lexicographic_index
from jnas.spaces._hashing import hash_number
from jnas.spaces.nasbench201._cells import (
    NUM_CHOICES,
    OPERATIONS,
    Isomorphism,
    nasbench201_classes,
    nasbench201_from_string,
    nasbench201_to_string,
    published_index,
    published_order,
)
from jnas.spaces.nasbench201._drawing import draw_nasbench201
from jnas.spaces.nasbench201._features import FEATURE_NAMES, nasbench201_features

EdgeChoice = Literal["edge", "node_then_edge", "each_edge"]
"""How a mutation chooses the edges that it changes."""

_EDGE_WEIGHTS = {"edge": (1, 1, 1, 1, 1, 1), "node_then_edge": (6, 3, 3, 2, 2, 2)}  # the second in eighteenths


def nasbench201(mutation: EdgeChoice = "edge", isomorphism: Isomorphism = "skip_and_zero") -> Space:
    """Returns the cell space of NAS-Bench-201: five operations on each of the six edges between four nodes.

    An architecture is int32 `[6]`: the operations (0 none, 1 skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3,
    4 avg_pool_3x3) on the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2, as in the architecture strings. All 5**6 = 15,625
    are valid. The index is the benchmark's own, and strings are its `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

    Features are those of BANANAS and its successors, but for the order of the operations, which is the benchmark's
    own here (naszilla sorts them by name):

    - `one_hot`: float32 `[30]`, five places for each edge.
    - `ordinal`: float32 `[6]`, the numbers of the operations.
    - `continuous_adjacency`: float32 `[7]`, these and the number of edges that are not `none`.
    - `path`: float32 `[155]`, which sequences of operations lead from the input to the output: 5 of one operation, 25
      of two, 125 of three, numbered in base 5 with the first operation as the lowest digit. Every cell has its four
      paths, those through `none` included; the two paths of two operations share their 25 places.
    - `truncated_path`: float32 `[30]`, the first of these: paths of one or two operations.
    - `graph`: a `Graph` of 8 vertices (input, the six edges, output) of 7 kinds (output, input, five operations); its
      adjacency is the same for all cells.
    - `nasbot`: float32 `[21]`, what NASBOT's distance compares: of that graph without the vertices that are `none`, the
      numbers of arcs out of each vertex, ascending, and into each, ascending (8 and 8); how many edges have each of the
      five operations.

    Equal arguments give the same object, so functions compiled for it are found again.

    Args:
      mutation: The edge that gets another operation is uniform over the six (`'edge'`), or a node is drawn first and
        then one of its incoming edges (`'node_then_edge'`: probabilities 1/3 | 1/6, 1/6 | 1/9, 1/9, 1/9), as the
        benchmark's own regularized evolution does. `'each_edge'` gives every edge another operation with probability
        1/4, as naszilla does: 1.5 edges on average, and none in 18 percent of the mutations.
      isomorphism: Which cells have the same fingerprint; see `jnas.spaces.nasbench201_classes`. The default are the
        published 6,466 classes.

    Raises:
      ValueError: An argument is not one of those named.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020, Section 2.
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al.,
      2021 (path encoding).

    Example:
      >>> space = nasbench201()
      >>> space.from_string("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
      array([0, 0, 0, 3, 0, 0], dtype=int32)
    """
    if mutation not in get_args(EdgeChoice):
        raise ValueError(not_one_of("mutation", mutation, get_args(EdgeChoice)))
    if isomorphism not in get_args(Isomorphism):
        raise ValueError(not_one_of("isomorphism", isomorphism, get_args(Isomorphism)))
    return _nasbench201(mutation, isomorphism)


@functools.cache
def _nasbench201(mutation: EdgeChoice, isomorphism: Isomorphism) -> Space:
    number, from_number = lexicographic_index(NUM_CHOICES)
    weights = _EDGE_WEIGHTS.get(mutation)
    mutate, mutate_from = change_one(NUM_CHOICES, weights, "different") if weights else _change_each()

    def fingerprint(arch: Array) -> Array:
        return hash_number(jnp.asarray(nasbench201_classes(isomorphism)[published_index()])[number(arch)])

    def index(arch: Array) -> Array:
        return jnp.asarray(published_index())[number(arch)]

    def from_index(index: Array) -> Array:
        return from_number(jnp.asarray(published_order())[index])

    return categorical(NUM_CHOICES, OPERATIONS)._replace(
        name="nasbench201",
        config=json.dumps({"kind": "nasbench201", "mutation": mutation, "isomorphism": isomorphism}),
        feature_names=FEATURE_NAMES,
        mutate=mutate,
        fingerprint=fingerprint,
        index=index,
        from_index=from_index,
        features=nasbench201_features,
        to_string=nasbench201_to_string,
        from_string=nasbench201_from_string,
        draw=draw_nasbench201,
        mutate_from=mutate_from,
    )


def _change_each() -> tuple[Callable[[Key, Array], Array], Callable[[Array, Array], Array]]:
    """Returns `(mutate, mutate_from)`, which give each edge another operation with probability 1/4."""

    def mutate_from(words: Array, arch: Array) -> Array:
        bits = words[0] >> (4 * np.arange(len(NUM_CHOICES), dtype=np.uint32))
        chosen = bits & 3 == 0  # two bits say whether, two say which of the others
        changed = (arch + 1 + ((bits >> 2) & 3).astype(jnp.int32)) % len(OPERATIONS)
        return jnp.where(chosen, changed, arch).astype(jnp.int32)

    def mutate(key: Key, arch: Array) -> Array:
        return mutate_from(bits(key, (2,)), arch)

    return mutate, mutate_from
