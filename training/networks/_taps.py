"""Taps, which look on inside of networks, and the points that networks show them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Point, Tap

See = Callable[..., Array]
"""`see(kind, value, size=0, copies=1) -> value`: shows a tap a point, and gives what the network goes on with."""


def watch(tap: Tap, given: Any, axis: int) -> tuple[See, dict[str, Any]]:
    """Returns a function that shows a tap the points of one place, and the records by kind, which it fills.

    Args:
      tap: What looks on.
      given: By kinds of points what the tap is given, or None.
      axis: That of images' channels: 3, or 0 where examples come last.
    """
    records: dict[str, Any] = {}

    def see(kind: str, value: Array, size: int = 0, copies: int = 1) -> Array:
        batch_axis = 0 if axis == 3 or value.ndim == 2 else 3
        point = Point(kind, axis if value.ndim == 4 else 1, batch_axis, size, copies)
        value, record = tap(point, value, None if given is None else given.get(kind))
        if record is not None:
            records[kind] = record
        return value

    return see, records


def unseen(kind: str, value: Array, size: int = 0, copies: int = 1) -> Array:
    """Returns the value: nobody looks."""
    return value


def watched_places(tap: Tap, given: Any, axis: int) -> tuple[Callable[[str], See], dict[str, Any]]:
    """Returns `at(place) -> see` for a part of a network, and the records by place and kind, which it fills.

    Args:
      tap: What looks on.
      given: By place, and there by kind, what the tap is given, or None.
      axis: That of images' channels.
    """
    records: dict[str, Any] = {}

    def at(place: str) -> See:
        see, records[place] = watch(tap, None if given is None else given.get(place), axis)
        return see

    return at, records


def unseen_place(place: str) -> See:
    """Returns what shows nobody the points of a place."""
    return unseen


def filled_alike(
    branches: Sequence[Callable[..., tuple[Any, dict[str, Any]]]], *arguments: Any
) -> list[Callable[..., tuple[Any, dict[str, Any]]]]:
    """Returns functions of one structure: records that one of them lacks and another has are zeros.

    Args:
      branches: Each gives a result and records by place and kind.
      *arguments: Of the shapes of those that they will be called with.
    """
    whole: dict[str, dict[str, Any]] = {}
    for branch in branches:
        for place, kinds in jax.eval_shape(branch, *arguments)[1].items():
            whole[place] = {**whole.get(place, {}), **kinds}

    def filled(branch: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> tuple[Any, dict[str, Any]]:
            out, records = branch(*arguments)
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), whole)
            return out, {place: {**kinds, **records.get(place, {})} for place, kinds in zeros.items()}

        return run

    return [filled(branch) for branch in branches]
