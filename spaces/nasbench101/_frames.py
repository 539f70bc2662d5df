"""Where cells of few vertices stand in an architecture of NAS-Bench-101's seven."""

import functools
from typing import NamedTuple

import numpy as np

from jnas.spaces.nasbench101._cells import (
    CHOICES,
    EDGES,
    MAX_VERTICES,
    from_matrix,
    host_pruned,
    nasbench101_from_string,
    to_matrix,
)


class Frame(NamedTuple):
    """The decisions of cells whose interior vertices are 1 to `max_vertices - 2`; the others have one choice, 0."""

    max_vertices: int
    has_choice: np.ndarray  # bool [26]
    num_choices: tuple[int, ...]
    choices: tuple[tuple[str, ...], ...]


@functools.cache
def framed(max_vertices: int) -> Frame:
    """Returns the frame of cells of at most so many vertices, input and output among them."""
    there = {*range(max_vertices - 1), MAX_VERTICES - 1}
    edges = [source in there and target in there for source, target in EDGES]
    has_choice = np.array([*edges, *(v in there for v in range(1, MAX_VERTICES - 1))])
    choices = tuple(names if free else names[:1] for names, free in zip(CHOICES, has_choice, strict=True))
    return Frame(max_vertices, has_choice, tuple(map(len, choices)), choices)


def read_in_frame(text: str, frame: Frame) -> np.ndarray:
    """Returns the architecture of a string, int32 `[26]`: moved into the frame where it stands outside.

    Raises:
      TypeError: What was given is not a string.
      ValueError: It is malformed, or its cell has more vertices than the frame.
    """
    arch = nasbench101_from_string(text)
    if np.all(arch < np.asarray(frame.num_choices)):
        return arch
    vertices = int(host_pruned(arch)[1].sum())
    if vertices > frame.max_vertices:
        raise ValueError(
            f"{text.strip()!r} has {vertices} vertices, input and output among them, expected at most "
            f"{frame.max_vertices} in this sub-space"
        )
    return from_matrix(*to_matrix(arch))
