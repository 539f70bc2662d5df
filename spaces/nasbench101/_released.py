"""What the released samplers of weight-sharing searches can express of NAS-Bench-101."""

import functools
import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Space
from jnas.io._text import not_one_of
from jnas.spaces._categorical import lexicographic_index
from jnas.spaces.nasbench101._cells import MAX_VERTICES, fingerprint, is_valid_cell
from jnas.spaces.nasbench101._decisions import DecisionEncoding, one_or_none, one_predecessor

Sampler = Literal["enas", "nao", "darts", "fbnet"]
"""Whose encoding; that of NAO is ENAS's, that of FBNet is DARTS's."""

_ENCODINGS = {"enas": one_predecessor, "nao": one_predecessor, "darts": one_or_none, "fbnet": one_or_none}


class Released(NamedTuple):
    """What a sampler can express of a space."""

    decisions: DecisionEncoding
    cells: Callable[[], np.ndarray]  # those that are valid, each once, int32 `[R, 26]`


def released_sampler(space: Space, sampler: Any) -> Released:
    """Returns what a released sampler can express of the space of NAS-Bench-101, of a sub-space or a part of it."""
    most = json.loads((space.part_of or space).config).get("max_vertices", MAX_VERTICES)
    return Released(released_decisions(sampler, most), lambda: reachable_cells(sampler, most))


@functools.cache
def released_decisions(sampler: Sampler, max_vertices: int = MAX_VERTICES) -> DecisionEncoding:
    """Returns the decisions in which a released sampler of NAS-Bench-101's cells says an architecture.

    ENAS and NAO choose exactly one predecessor and one operation for each interior vertex, and the output reads the
    vertices that no other reads. DARTS and FBNet choose one predecessor or none, and the output reads the input and
    every vertex; with five interior vertices a cell without a `none` has 11 edges, which is not valid. So they cannot
    express most cells: see `reachable_cells`.

    Args:
      sampler: `'enas'` or `'nao'`; `'darts'` or `'fbnet'`.
      max_vertices: 3 to 7, the input and the output among them; every interior vertex has its decisions.

    Returns:
      `DecisionEncoding`: for each interior vertex its predecessor (of DARTS `none` first), then its operation, and the
      pure function `to_arch` from them, int32 `[D]`, to an architecture `[26]` of `nasbench101(max_vertices=...)`,
      which may not be valid.

    Raises:
      ValueError: There is no such sampler, or `max_vertices` is out of range.

    References:
      "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020 (the released code of its policies).

    Example:
      >>> decisions = released_decisions("enas", 5)
      >>> decisions.num_choices
      (1, 3, 2, 3, 3, 3)
    """
    if sampler not in _ENCODINGS:
        raise ValueError(not_one_of("sampler", sampler, get_args(Sampler)))
    if max_vertices not in range(3, MAX_VERTICES + 1):
        raise ValueError(f"max_vertices is {max_vertices!r}, expected an integer from 3 to {MAX_VERTICES}")
    return _ENCODINGS[sampler](max_vertices - 2)


def reachable_cells(sampler: Sampler, max_vertices: int = MAX_VERTICES) -> np.ndarray:
    """Returns the cells that a released sampler can express, each once, int32 `[R, 26]`.

    With 4, 5, 6 and 7 vertices ENAS and NAO have 15, 82, 495 and 3,123 of the 91, 2,532, 64,542 and 423,624 cells,
    DARTS and FBNet 19, 101, 596 and 596. Searches by them choose among these, whatever their weights say, so that the
    gap between them and random search among all cells is partly that of the encoding.

    Args:
      sampler: As for `released_decisions`.
      max_vertices: As there.

    Raises:
      ValueError: As `released_decisions`.

    Example:
      >>> len(reachable_cells("enas", 4)), len(reachable_cells("darts", 4))
      (15, 19)
    """
    return enumerate_released(sampler, max_vertices).cells


class Enumerated(NamedTuple):
    """All that a released sampler can say, the `R` cells of the space in the order in which they come."""

    cells: np.ndarray  # int32 [R, 26]
    fingerprints: np.ndarray  # uint32 [R, 2]
    rows: np.ndarray  # int32, of each combination of choices, in lexicographic order, its cell; -1: not in the space


@functools.cache
def enumerate_released(sampler: Sampler, max_vertices: int = MAX_VERTICES) -> Enumerated:
    """Returns what each combination of a released sampler's choices stands for.

    Args:
      sampler: As for `released_decisions`.
      max_vertices: As there.

    Raises:
      ValueError: As `released_decisions`.
    """
    decisions = released_decisions(sampler, max_vertices)
    _, from_index = lexicographic_index(decisions.num_choices)
    size = int(np.prod(decisions.num_choices))

    def cell(row: Array) -> tuple[Array, Array, Array]:
        arch = decisions.to_arch(from_index(row))
        return arch, fingerprint(arch), is_valid_cell(arch)

    with jax.ensure_compile_time_eval():
        archs, words, valid = map(np.asarray, jax.jit(jax.vmap(cell))(jnp.arange(size)))
    _, first, which = np.unique(words[valid], axis=0, return_index=True, return_inverse=True)
    order, rows = np.sort(first), np.full(size, -1, np.int32)
    rows[valid] = np.searchsorted(order, first)[which.reshape(-1)]
    found = Enumerated(archs[valid][order], words[valid][order], rows)
    for array in found:
        array.flags.writeable = False
    return found
