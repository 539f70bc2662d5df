"""The space of DARTS: a normal cell and a reduction cell of four nodes with two inputs each."""

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import not_one_of
from jnas.spaces._categorical import checked_arch, one_change_away
from jnas.spaces.darts._cells import (
    ALL_OPERATIONS,
    NODES,
    SHAPE,
    arch_of,
    check_operations,
    genotype_of,
    num_choices,
)
from jnas.spaces.darts._drawing import draw_genotype
from jnas.spaces.darts._features import FEATURE_NAMES, darts_features
from jnas.spaces.darts._fingerprint import darts_fingerprint
from jnas.spaces.darts._genotype import format_genotype, parse_genotype
from jnas.spaces.darts._subspaces import EdgeChoices, choices_by_edge, hashable_operations

Mutation = Literal["one_decision", "regularized_evolution", "naszilla"]
"""How a mutation chooses the decision that it changes, and its new value."""

_NODE = np.arange(NODES, dtype=np.int32)[None, :, None]
# In whose proportion an input's state, and its operation, is changed, by node. Both inputs of the first node are taken.
_WEIGHTS = {
    "one_decision": ((0, 1, 1, 1), (1, 1, 1, 1)),
    "regularized_evolution": ((0, 1, 1, 1), (2, 1, 1, 1)),
    "naszilla": ((1, 1, 1, 1), (1, 1, 1, 1)),
}

EdgeOperations = str | Sequence[str] | Sequence[Sequence[Sequence[str]]] | None


def darts(mutation: Mutation = "one_decision", *, none: bool = False, operations: EdgeOperations = None) -> Space:
    """Returns the space of DARTS: a normal cell and a reduction cell of four nodes with two inputs each.

    An architecture is int32 `[32]`, which is `[2, 4, 2, 2]` flattened: cell (normal, reduction), node, which of the
    node's two inputs, and of that input the state that it reads (0 and 1 are the outputs of the two cells before,
    `2 + i` is node `i`; only earlier ones) and the operation (0 max_pool_3x3, 1 avg_pool_3x3, 2 skip_connect,
    3 sep_conv_3x3, 4 sep_conv_5x5, 5 dil_conv_3x3, 6 dil_conv_5x5). Valid are those in which the two inputs of a node
    read different states: 1.0e18 with 7 operations. All nodes are concatenated to a cell's output.

    Strings are genotypes as the field prints them, `Genotype(normal=[('sep_conv_3x3', 1), ...], ...)`. Fingerprints are
    equal exactly for architectures that another order of nodes, or of their inputs, makes equal. Features are described
    at `jnas.spaces.darts._features.darts_features`; for `K` operations `one_hot [56 + 16 K]`, `ordinal [32]`,
    `adjacency [28 K]`, `path` (11,204 with 7 operations, 18,724 with 8), `truncated_path` (228, 292) and `graph`.

    Samples draw two different states for each node, and each operation, uniformly. There is no index.

    Equal arguments give the same object, so functions compiled for it are found again.

    Args:
      mutation: What changes.
        `'one_decision'`: one of the 28 states and operations that have another valid choice gets one of those.
        `'regularized_evolution'`: one of the 16 inputs gets another state or another operation, with the same
        probability; another operation if no other state is left (Real et al. have an identity mutation besides).
        `'naszilla'`: for one of the 16 inputs a state or an operation is drawn from all; if it is the one that it has,
        or the state of the node's other input, the architecture stays as it is.
      none: Whether `none` is an eighth operation, 7.
      operations: The operations of a sub-space: one list of names for all edges; for each cell a list of names for
        each of the 14 edges in the order of DARTS's parameters, at least two each; or `'s1'`, `'s2'`, `'s3'` or `'s4'`
        of RobustDARTS. With `none` among them there are 8 operations, with `noise` 9, of which an architecture is valid
        if each edge has one of its own. Where a change of state leads to an edge of other operations, the operation
        keeps its place among those of its edge. `noise`, of S4, is an operation here like others, number 8, and costs
        nothing; RobustDARTS has it give Gaussian noise of the input's shape, whatever that is.

    Raises:
      ValueError: An argument is not one of those named.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.1.
      "Regularized Evolution for Image Classifier Architecture Search", Real et al., 2019 (mutation).
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021.
      "Understanding and Robustifying Differentiable Architecture Search", Zela et al., 2020 (S1 to S4).

    Example:
      >>> space = jnas.spaces.darts()
      >>> space.from_string(space.to_string(space.sample(jax.random.key(0)))).shape
      (32,)
    """
    if mutation not in get_args(Mutation):
        raise ValueError(not_one_of("mutation", mutation, get_args(Mutation)))
    if not isinstance(none, bool):
        raise TypeError(f"none is {none!r}, expected True or False")
    return _darts(mutation, none, hashable_operations(operations))


@functools.cache
def _darts(mutation: Mutation, none: bool, operations: Any) -> Space:
    edges = choices_by_edge(none, operations)
    counts = num_choices(edges.num_operations)
    names = ALL_OPERATIONS[: edges.num_operations]
    states = (tuple(map(str, range(count))) for count in counts[::2])
    mutate, mutate_from = _mutation(mutation, edges)
    config = {"kind": "darts", "mutation": mutation, "none": none, "operations": operations}

    def to_string(arch: Any) -> str:
        return format_genotype(genotype_of(checked_arch(arch, counts)))

    def from_string(text: str) -> np.ndarray:
        arch = arch_of(parse_genotype(text), names)
        check_operations(arch, edges.allowed)
        return arch

    return Space(
        name="darts",
        num_choices=counts,
        choices=tuple(choices for state in states for choices in (state, names)),
        size=None,
        config=json.dumps(config),
        feature_names=FEATURE_NAMES,
        sample=functools.partial(_sample, edges),
        mutate=mutate,
        neighbors=functools.partial(_neighbors, edges, one_change_away(counts)),
        is_valid=functools.partial(_is_valid, edges),
        fingerprint=darts_fingerprint,
        index=None,
        from_index=None,
        features=functools.partial(_features, edges.num_operations),
        to_string=to_string,
        from_string=from_string,
        draw=lambda arch: draw_genotype(genotype_of(checked_arch(arch, counts))),
        mutate_from=mutate_from,
    )


def _features(operations: int, arch: Array, name: str) -> Any:
    return darts_features(arch, name, operations)


def _fields(arch: Array) -> tuple[Array, Array]:
    """Returns states and operations, int32 `[2, 4, 2]` each."""
    cells = arch.reshape(SHAPE).astype(jnp.int32)
    return cells[..., 0], cells[..., 1]


def _arch(state: Array, operation: Array) -> Array:
    return jnp.stack([state, operation], axis=-1).reshape(-1).astype(jnp.int32)


def _is_valid(edges: EdgeChoices, arch: Array) -> Array:
    state, operation = _fields(arch)
    in_range = (state >= 0) & (state < _NODE + 2) & (operation >= 0) & (operation < edges.num_operations)
    differ = state[..., 0] != state[..., 1]
    return jnp.all(in_range & edges.allows(state, operation)) & jnp.all(differ)


def _sample(edges: EdgeChoices, key: Key) -> Array:
    words = bits(key, (2, *SHAPE[:3]))
    first = below(words[0, ..., 0], jnp.asarray(_NODE[..., 0] + 2))
    second = below(words[0, ..., 1], jnp.asarray(_NODE[..., 0] + 1))
    state = jnp.stack([first, second + (second >= first)], axis=-1)
    return _arch(state, edges.operation(state, below(words[1], edges.how_many(state))))


def _mutation(
    mutation: Mutation, edges: EdgeChoices
) -> tuple[Callable[[Key, Array], Array], Callable[[Array, Array], Array]]:
    """Returns `(mutate, mutate_from)`."""
    by_node = np.asarray(_WEIGHTS[mutation]).T[None, :, None, :]
    weights = np.broadcast_to(by_node, SHAPE).reshape(-1)
    above = np.cumsum(weights).astype(np.int32)
    of_all = mutation == "naszilla"

    def mutate_from(words: Array, arch: Array) -> Array:
        ticket = below(words[0], int(above[-1]))
        chosen = ((ticket >= above - weights) & (ticket < above)).reshape(SHAPE)
        state, operation = _fields(arch)
        count, rank = edges.how_many(state), edges.rank(state, operation)
        sibling = state[..., ::-1]
        if of_all:
            drawn = below(words[1], jnp.asarray(np.broadcast_to(_NODE + 2, SHAPE[:3])))
            new_state, new_rank = jnp.where(drawn == sibling, state, drawn), below(words[1], count)
        else:  # skips what it has, and the state of the node's other input
            drawn = below(words[1], jnp.asarray(np.broadcast_to(np.maximum(_NODE, 1), SHAPE[:3])))
            drawn += drawn >= jnp.minimum(state, sibling)
            new_state = drawn + (drawn >= jnp.maximum(state, sibling))
            new_rank = rank + 1 + below(words[1], count - 1)
            new_rank -= jnp.where(new_rank >= count, count, 0)
        new_state = jnp.where(chosen[..., 0], new_state, state)
        return _arch(new_state, edges.operation(new_state, jnp.where(chosen[..., 1], new_rank, rank)))

    def mutate(key: Key, arch: Array) -> Array:
        return mutate_from(bits(key, (2,)), arch)

    return mutate, mutate_from


def _neighbors(edges: EdgeChoices, changes: Callable[[Array], tuple[Array, Array]], arch: Array) -> tuple[Array, Array]:
    """Returns each change of one state or operation; the operation follows a state to an edge of other operations."""
    archs, _ = changes(arch)
    if not edges.alike:
        state, operation = _fields(arch)
        rank = edges.rank(state, operation)

        def follow(other: Array) -> Array:
            new_state, new_operation = _fields(other)
            followed = edges.operation(jnp.minimum(new_state, NODES), rank)
            return _arch(new_state, jnp.where(new_state != state, followed, new_operation))

        archs = jax.vmap(follow)(archs)
    return archs, jax.vmap(functools.partial(_is_valid, edges))(archs) & _is_valid(edges, arch)
