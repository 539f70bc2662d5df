"""The three spaces of NAS-Bench-1Shot1: parts of NAS-Bench-101 in which each vertex reads a fixed number of others."""

import functools
import itertools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._vocabulary import Array, Graph, Key, Space
from jnas.spaces._categorical import change_one, checked_arch, lexicographic_index, one_change_away
from jnas.spaces.nasbench101 import _cells as cells
from jnas.spaces.nasbench101._decisions import DecisionEncoding, parent_sets
from jnas.spaces.nasbench101._drawing import draw_nasbench101
from jnas.spaces.nasbench101._features import FEATURE_NAMES, nasbench101_features

_PARENTS = {1: ((1, 2, 2, 2), 2), 2: ((1, 1, 2, 2), 3), 3: ((1, 1, 1, 2, 2), 2)}
"""How many vertices each interior vertex reads, and the output."""


def nasbench1shot1_1() -> Space:
    """Returns the first space of NAS-Bench-1Shot1: four vertices that read 1, 2, 2, 2 others, an output that reads 2.

    An architecture is int32 `[7]`: of each vertex that has a choice (3, 4 and the output) which set of earlier vertices
    it reads, in lexicographic order, then the four operations. All 14,580 encodings are valid; they are 2,685 cells of
    NAS-Bench-101, whose table `jnas study --space` reads for them. Fingerprints, features, drawings and strings are
    those of `jnas.spaces.nasbench101`; a string names its encoding where no vertex is left out of it, otherwise it is
    read as the first encoding of its cell.

    References:
      "NAS-Bench-1Shot1: Benchmarking and Dissecting One-shot Neural Architecture Search", Zela et al., 2020, Section 3.

    Example:
      >>> space = nasbench1shot1_1()
      >>> space.num_choices, space.size
      ((3, 6, 10, 3, 3, 3, 3), 14580)
    """
    return _nasbench1shot1(1)


def nasbench1shot1_2() -> Space:
    """Returns the second space of NAS-Bench-1Shot1: vertices that read 1, 1, 2, 2 others, an output that reads 3.

    As `nasbench1shot1_1`, with architectures int32 `[8]`, 29,160 encodings and 7,773 cells.
    """
    return _nasbench1shot1(2)


def nasbench1shot1_3() -> Space:
    """Returns the third space of NAS-Bench-1Shot1: vertices that read 1, 1, 1, 2, 2 others, an output that reads 2.

    As `nasbench1shot1_1`, with architectures int32 `[10]`, 1,312,200 encodings and 55,854 cells.
    """
    return _nasbench1shot1(3)


def cell_of(number: int) -> Callable[[Array], Array]:
    """Returns the function from an architecture of a space of NAS-Bench-1Shot1 to that of `nasbench101`, `[26]`."""
    return _decisions(number).to_arch


def parent_rows(number: int) -> list[np.ndarray]:
    """Returns which vertices are in each set that a vertex can read, for the vertices 1 to `n` and then the output.

    Bool `[sets, v]` of vertex `v` (the output is `n + 1`), in the order of the space's choices; vertices with one set
    alone have no decision.
    """
    parents, output_parents = _PARENTS[number]
    rows = []
    for vertex, count in enumerate((*parents, output_parents), 1):
        sets = itertools.combinations(range(vertex), count)
        rows.append(np.array([[source in chosen for source in range(vertex)] for chosen in sets]))
    return rows


@functools.cache
def _decisions(number: int) -> DecisionEncoding:
    return parent_sets(*_PARENTS[number])


@functools.cache
def _nasbench1shot1(number: int) -> Space:
    decisions, name = _decisions(number), f"nasbench1shot1_{number}"
    num_choices, to_arch = decisions.num_choices, decisions.to_arch
    counts = np.asarray(num_choices, np.int32)
    index, from_index = lexicographic_index(num_choices)
    mutate, mutate_from = change_one(num_choices, (1,) * len(counts), "different")

    def sample(key: Key) -> Array:
        return below(bits(key, counts.shape), jnp.asarray(counts))

    def feature(arch: Array, name: str) -> Array | Graph:
        found: Array | Graph = nasbench101_features(to_arch(arch), name)
        return found

    def host_arch(arch: Any) -> np.ndarray:
        return np.asarray(to_arch(jnp.asarray(checked_arch(arch, num_choices))))

    return Space(
        name=name,
        num_choices=num_choices,
        choices=decisions.choices,
        size=int(np.prod(counts)),
        config=json.dumps({"kind": name}),
        feature_names=FEATURE_NAMES,
        sample=sample,
        mutate=mutate,
        neighbors=one_change_away(num_choices),
        is_valid=lambda arch: jnp.all((arch >= 0) & (arch < counts)),
        fingerprint=lambda arch: cells.fingerprint(to_arch(arch)),
        index=index,
        from_index=from_index,
        features=feature,
        to_string=lambda arch: cells.nasbench101_to_string(host_arch(arch)),
        from_string=lambda text: _read(text, number),
        draw=lambda arch: draw_nasbench101(host_arch(arch)),
        mutate_from=mutate_from,
    )


def _read(text: str, number: int) -> np.ndarray:
    """Returns the encoding of a string: the one that it spells, or the first of its cell."""
    cell, (parents, output_parents) = cells.nasbench101_from_string(text), _PARENTS[number]
    reads = [[s for (s, t), bit in zip(cells.EDGES, cell, strict=False) if bit and t == v] for v in range(1, 7)]
    if list(map(len, reads)) == [*parents, *[0] * (5 - len(parents)), output_parents]:
        chosen = []
        for name, choices in zip(_decisions(number).names, _decisions(number).choices, strict=True):
            what, vertex = name.split()
            sources = reads[-1 if vertex == "output" else int(vertex) - 1]
            own = cells.OPERATIONS[cell[cells.NUM_EDGES + int(vertex) - 1]] if what == "operation" else None
            chosen.append(choices.index(own or "+".join(map(str, sources))))
        return np.asarray(chosen, np.int32)
    first = np.flatnonzero((_fingerprints(number) == np.asarray(cells.fingerprint(jnp.asarray(cell)))).all(axis=1))
    if not (len(first) and bool(cells.is_valid_cell(jnp.asarray(cell)))):
        told = f"vertices read {', '.join(map(str, parents))} others and the output {output_parents}"
        raise ValueError(f"{text.strip()!r} is no cell of nasbench1shot1_{number}, expected one in which {told}")
    from_index = _nasbench1shot1(number).from_index
    assert from_index is not None
    return np.asarray(from_index(jnp.int32(first[0])))


@functools.cache
def _fingerprints(number: int) -> np.ndarray:
    """Returns the fingerprints of all encodings, uint32 `[size, 2]`, some of which share one."""
    space = _nasbench1shot1(number)
    assert space.size is not None
    assert space.from_index is not None
    from_index, rows = space.from_index, jnp.arange(space.size)
    find = jax.jit(lambda rows: jax.lax.map(lambda i: space.fingerprint(from_index(i)), rows, batch_size=16_200))
    return np.asarray(find(rows))
