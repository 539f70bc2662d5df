"""The configuration spaces of NAS-Bench-101's comparison: cells in terms of independent hyper-parameters."""

import functools
import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._search_words import declare_sound, is_sound
from jnas.core._vocabulary import Array, Graph, Key, Objective, Space
from jnas.io._fields import describe_fields
from jnas.spaces._categorical import change_one, checked_arch, one_change_away
from jnas.spaces.nasbench101 import _cells as cells
from jnas.spaces.nasbench101._cells import EDGES, MAX_EDGES, NUM_EDGES, OPERATIONS
from jnas.spaces.nasbench101._drawing import draw_nasbench101
from jnas.spaces.nasbench101._features import FEATURE_NAMES, nasbench101_features
from jnas.spaces.nasbench101._mutations import first_accepted

Encoding = Literal["A", "B", "C"]
"""What the hyper-parameters are."""

LEVELS = 1000
"""Values of the continuous hyper-parameters of encoding C."""

_NUM_VERTICES = len(cells.NUM_CHOICES) - NUM_EDGES  # that have operations
_EDGE_NAMES = tuple(f"{source}-{target}" for source, target in EDGES)


@describe_fields
class Configurations(NamedTuple):
    """A space of configurations, and what they stand for.

    Attributes:
      space: Of configurations `[E]`, each decision independent of the others.
      to_arch: From a configuration [E] to an architecture int32 [26] of `nasbench101`.
    """

    space: Space
    to_arch: Callable[[Array], Array]


def nasbench101_configurations(encoding: Encoding = "A", *, only_valid: bool = True) -> Configurations:
    """Returns the cells of NAS-Bench-101 as configurations of independent hyper-parameters.

    These are the encodings on which the benchmark's paper compares its optimisers, for searchers that treat decisions
    one by one. Fingerprints, validity, strings, features and drawings are those of the cell that a configuration stands
    for. Many configurations are one cell, so there is no index.

    Args:
      encoding: `'A'`: 21 edges, absent or present, and 5 operations: the architecture of `nasbench101` itself.
        `'B'`: 9 times one of the 21 edges (two may be the same), and 5 operations.
        `'C'`: the number of edges, 0 to 9, a number in `[0, 1)` for each of the 21 edges, of which the largest are
        there, and 5 operations. The published numbers are continuous; here they have steps of 0.001, and of equal
        ones the earlier edge counts as larger.
      only_valid: Whether `sample` and `mutate` draw again until the cell is valid. Published searches do not: what is
        invalid costs nothing and has an error of 1, so that random search comes to the same, but evolution keeps such
        members. With False, give a run room for more evaluations, since the invalid ones count against its capacity.

    Returns:
      `(space, to_arch)`. `sample` draws each hyper-parameter uniformly. `mutate` gives one, uniformly chosen, another
      value, as the published evolution does (a parent from which that never leads to a valid cell stays as it is).
      Neighbours are one hyper-parameter away, in encoding C those at the ends of the numbers' range; those that stand
      for the same architecture or for no valid one are not `valid`.
      `from_string` gives one of the configurations of a cell; its edges are pruned if there are more than 9.

    Raises:
      ValueError: The encoding is unknown.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 4 and S2.

    Example:
      >>> space, to_arch = nasbench101_configurations("B")
      >>> config = space.from_string("|conv3x3-bn-relu~0|output~0~1|")
      >>> [space.choices[i][choice] for i, choice in enumerate(config)][:9]
      ['0-1', '0-6', '1-6', '1-6', '1-6', '1-6', '1-6', '1-6', '1-6']
    """
    if encoding not in get_args(Encoding):
        raise ValueError(f"encoding is {encoding!r}, expected 'A', 'B' or 'C'")
    return _configurations(encoding, bool(only_valid))


def nasbench101_configuration_space(encoding: Encoding, only_valid: bool) -> Space:
    """Returns the space alone, for `jnas.spaces.from_config`."""
    return nasbench101_configurations(encoding, only_valid=only_valid).space


def decoded(objective: Objective, to_arch: Callable[[Array], Array]) -> Objective:
    """Returns an objective over configurations, given one over the architectures that they stand for.

    A run's trace then has configurations: `trace._replace(arch=jax.vmap(to_arch)(trace.arch))` has architectures.

    Args:
      objective: Over architectures, for example of a table.
      to_arch: From one configuration to its architecture, pure.

    Example:
      >>> import jax.numpy as jnp
      >>> from jnas import function_objective
      >>> space, to_arch = nasbench101_configurations("B")
      >>> num_edges = decoded(function_objective(lambda key, arch: jnp.sum(arch[:21])), to_arch)
    """

    def evaluate(keys: Key, proposal: Any) -> Any:
        return objective.evaluate(keys, proposal._replace(archs=jax.vmap(to_arch)(proposal.archs)))

    if is_sound(objective):
        declare_sound(evaluate)
    return objective._replace(evaluate=evaluate)


class _Encoding(NamedTuple):
    choices: tuple[tuple[str, ...], ...]  # of the hyper-parameters before the operations
    to_edges: Callable[[Array], Array]  # from these [E - 5] to bits bool [21]
    from_edges: (
        Callable[[np.ndarray], list[int]] | None
    )  # from the numbers of at most 9 edges; None: these are the bits


def _listed_edges(edges: np.ndarray) -> list[int]:
    if not len(edges):
        raise ValueError("a cell without edges has no configuration in encoding B, expected one edge at least")
    return [*edges, *[edges[-1]] * (MAX_EDGES - len(edges))]


def _largest(head: Array) -> Array:
    """Whether each of the values `head[1:]` is among the `head[0]` largest; of equal ones the first is larger."""
    values, places = head[1:], np.arange(NUM_EDGES)
    before = (values[:, None] > values[None]) | ((values[:, None] == values[None]) & (places[:, None] < places[None]))
    return jnp.sum(before, axis=0) < head[0]


_ENCODINGS = {
    "A": _Encoding(cells.CHOICES[:NUM_EDGES], lambda head: head > 0, None),
    "B": _Encoding(
        (_EDGE_NAMES,) * MAX_EDGES,
        lambda head: jnp.any(head[:, None] == np.arange(NUM_EDGES, dtype=np.int32)[None], axis=0),
        _listed_edges,
    ),
    "C": _Encoding(
        (
            tuple(map(str, range(MAX_EDGES + 1))),
            *(tuple(f"{level / LEVELS:.3f}" for level in range(LEVELS)),) * NUM_EDGES,
        ),
        _largest,
        lambda edges: [len(edges), *np.where(np.isin(np.arange(NUM_EDGES), edges), 3 * LEVELS // 4, LEVELS // 4)],
    ),
}


@functools.cache
def _configurations(encoding: Encoding, only_valid: bool) -> Configurations:
    of_edges, to_edges, from_edges = _ENCODINGS[encoding]
    choices = (*of_edges, *(OPERATIONS,) * _NUM_VERTICES)
    num_choices = tuple(map(len, choices))
    counts = np.asarray(num_choices, np.int32)
    name = f"nasbench101_{encoding.lower()}"

    def to_arch(config: Array) -> Array:
        config = jnp.asarray(config, jnp.int32)
        return jnp.concatenate([to_edges(config[:-_NUM_VERTICES]).astype(jnp.int32), config[-_NUM_VERTICES:]])

    def is_valid(config: Array) -> Array:
        return jnp.all((config >= 0) & (config < counts)) & cells.is_valid_cell(to_arch(config))

    def sample(key: Key) -> Array:
        if not only_valid:
            return below(bits(key, counts.shape), jnp.asarray(counts))

        def attempt(words: Array) -> tuple[Array, Array]:
            config = below(words, jnp.asarray(counts))
            return config, is_valid(config)

        return first_accepted(key, len(counts), attempt, jnp.zeros(len(counts), jnp.int32))

    change, change_from = change_one(num_choices, (1,) * len(counts), "different")

    def mutate(key: Key, config: Array) -> Array:
        def attempt(words: Array) -> tuple[Array, Array]:
            mutant = change_from(words, config)
            return mutant, is_valid(mutant)

        return first_accepted(key, 2, attempt, jnp.asarray(config, jnp.int32))

    def neighbors(config: Array) -> tuple[Array, Array]:
        configs = _to_the_ends(config) if encoding == "C" else one_change_away(num_choices)(config)[0]
        changed = jnp.any(jax.vmap(to_arch)(configs) != to_arch(config)[None], axis=1)
        return configs, changed & jax.vmap(is_valid)(configs)

    def host_arch(config: Any) -> np.ndarray:
        return np.asarray(to_arch(jnp.asarray(checked_arch(config, num_choices))))

    def from_string(text: str) -> np.ndarray:
        arch = cells.nasbench101_from_string(text)
        if from_edges is None:
            return arch
        edges = np.flatnonzero(arch[:NUM_EDGES])
        if len(edges) > MAX_EDGES:
            matrix, _ = cells.host_pruned(arch)
            edges = np.flatnonzero([matrix[edge] for edge in EDGES])
        if len(edges) > MAX_EDGES:
            raise ValueError(f"the cell has {len(edges)} edges, expected at most {MAX_EDGES} in encoding {encoding}")
        return np.asarray([*from_edges(edges), *arch[NUM_EDGES:]], np.int32)

    def feature(config: Array, name: str) -> Array | Graph:
        features: Array | Graph = nasbench101_features(to_arch(config), name)
        return features

    space = Space(
        name=name,
        num_choices=num_choices,
        choices=choices,
        size=None,
        config=json.dumps({"kind": "nasbench101_configurations", "encoding": encoding, "only_valid": only_valid}),
        feature_names=FEATURE_NAMES,
        sample=sample,
        mutate=mutate if only_valid else change,
        neighbors=neighbors,
        is_valid=is_valid,
        fingerprint=lambda config: cells.fingerprint(to_arch(config)),
        index=None,
        from_index=None,
        features=feature,
        to_string=lambda config: cells.nasbench101_to_string(host_arch(config)),
        from_string=from_string,
        draw=lambda config: draw_nasbench101(host_arch(config)),
        mutate_from=None if only_valid else change_from,
    )
    return Configurations(space, to_arch)


def _to_the_ends(config: Array) -> Array:
    """Returns `[61, 27]`: the other numbers of edges, each value at its least and its greatest, other operations."""
    length = 1 + NUM_EDGES + _NUM_VERTICES
    shape = (MAX_EDGES + 1, *(3,) * NUM_EDGES, *(len(OPERATIONS),) * _NUM_VERTICES)
    # As if each value had three choices: the one it has, the least, the greatest.
    marked = jnp.concatenate([config[:1], jnp.zeros(NUM_EDGES, jnp.int32), config[-_NUM_VERTICES:]])
    around, _ = one_change_away(shape)(marked)
    is_value = (np.arange(length) > 0) & (np.arange(length) <= NUM_EDGES)
    values = jnp.where(around == 0, config[None], (around - 1) * (LEVELS - 1))
    return jnp.where(is_value[None], values, around).astype(jnp.int32)
