"""How a study is divided among processes that share its folder: into pieces of its parts, dealt in turn."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jnas.core._shares import Share


class Pieces(NamedTuple):
    """How parts are divided further.

    A part of one piece is made as ever. The pieces of another are put together once all are there, by `Kind.run`.
    """

    how_many: Callable[[Any, Any, int], int]  # of a plan, a part and a number of processes
    path: Callable[[Path, Any, int, int], Path]  # where a piece stands, of a folder, a part, its number of how many
    run: Callable[[Any, Any, Mapping[str, Any], int], Any]  # makes and keeps a piece of `Work`'s part with an identity


def num_pieces(kind: Any, plan: Any, part: Any, share: Share) -> int:
    """Returns of how many pieces a part is."""
    pieces: Pieces | None = kind.pieces
    return 1 if pieces is None or share.processes == 1 else pieces.how_many(plan, part, share.processes)


def own_pieces(kind: Any, plan: Any, parts: Sequence[Any], folder: Path, share: Share) -> dict[Any, list[int]]:
    """Returns the pieces that a folder lacks and this process is to make, by part."""
    found: dict[Any, list[int]] = {}
    for part, piece, owner in _missing(kind, plan, parts, folder, share):
        if owner == share.process:
            found.setdefault(part, []).append(piece)
    return found


def owners_left(kind: Any, plan: Any, parts: Sequence[Any], folder: Path, share: Share) -> list[int]:
    """Returns the process that makes it, for each piece that is missing.

    Pieces of a part that are all there are for the first process to put together, and for the others to wait for.
    """
    owners = [owner for _, _, owner in _missing(kind, plan, parts, folder, share)]
    apart = any(not kind.path(folder, part).exists() for part in parts)
    return [0] if not owners and apart and share.process > 0 else owners


def _missing(kind: Any, plan: Any, parts: Sequence[Any], folder: Path, share: Share) -> list[tuple[Any, int, int]]:
    """Returns part, number and owner of each piece that a folder lacks."""
    missing, number = [], 0
    for part in parts:
        count, whole = num_pieces(kind, plan, part, share), kind.path(folder, part)
        for piece in range(count):
            there = count > 1 and kind.pieces.path(folder, part, piece, count).exists()
            if not there and not whole.exists():
                missing.append((part, piece, share.owner(number)))
            number += 1
    return missing
