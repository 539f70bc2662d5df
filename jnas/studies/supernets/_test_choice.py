"""What searches would have returned had they compared their last candidates on the test images, as released code does.

It is a report alone: no search sees it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PREFIX = "test_choice/"
MEMBERS = {"test_choice/archs": "i S E", "test_choice/values": "f C S", "test_choice/scores": "f S M"}
"""Of a method's file, where it was asked for."""


class ChosenOnTest(NamedTuple):
    """The choice of `S` searches among `M` candidates of the last look, by their accuracies on the test images."""

    archs: NDArray[np.int8]  # [S, E]
    values: NDArray[np.float32]  # [C, S] percent, of them by a table; NaN where it does not know
    scores: NDArray[np.float32]  # [S, M] percent, of the candidates on the test images under the shared weights


def choose_on_test(
    candidates: NDArray[np.int8], scores: NDArray[np.float32], table: Any, columns: Any, sign: float = 1.0
) -> ChosenOnTest:
    """Returns the best of the candidates `[S, M, E]` by scores `[S, M]`, with what a table says of them.

    With `sign=-1` the lowest is the best.
    """
    best = np.argmax(np.where(np.isfinite(scores), sign * scores, -np.inf), axis=1)
    archs = np.take_along_axis(candidates, best[:, None, None], axis=1)[:, 0]
    if table is None:
        return ChosenOnTest(archs, np.zeros((0, len(archs)), np.float32), scores)
    index = np.asarray(table.index(archs.astype(np.int32)))
    known = (index >= 0) & np.isfinite(scores).any(axis=1)
    return ChosenOnTest(archs, np.where(known, columns[:, np.maximum(index, 0)], np.float32(np.nan)), scores)


def join_choices(parts: Sequence[ChosenOnTest | None]) -> ChosenOnTest | None:
    """Returns the choices of the seeds of all, in their order."""
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        return None
    archs, values, scores = zip(*there, strict=True)
    return ChosenOnTest(np.concatenate(archs), np.concatenate(values, axis=1), np.concatenate(scores))


def choice_members(choice: ChosenOnTest) -> dict[str, Any]:
    """Returns what a file holds of choices."""
    return {f"{PREFIX}{name}": array for name, array in choice._asdict().items()}


def find_choice(arrays: Mapping[str, Any]) -> ChosenOnTest | None:
    """Returns what `choice_members` gave, None where a file has none."""
    if f"{PREFIX}scores" not in arrays:
        return None
    return ChosenOnTest(*(arrays[f"{PREFIX}{name}"] for name in ChosenOnTest._fields))
