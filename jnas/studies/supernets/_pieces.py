"""Where the searches of a method stand, and how processes that share a folder divide its seeds.

```
methods/NAME.npz               what all searches of a method came to
methods/NAME.state.npz         the searches, with their weights
methods/NAME.part-0-of-2.npz   the same of some seeds, until those of all are there
methods/NAME.state-0-of-2.npz
```
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jnas.studies.supernets._plan import SupernetPlan
from jnas.studies.supernets._results import (
    FOLDER,
    MethodResult,
    join_methods,
    join_searches,
    load_method,
    save_method,
)


def method_file_name(name: str) -> str:
    """Returns the name of the file of a method's results."""
    return f"{quote(name, safe='')}.npz"


def search_path(folder: Path, name: str, piece: int = 0, of: int = 1) -> Path:
    """Returns where a method's searches stand, with their weights: between two epochs, and as they ended.

    Args:
      folder: Of the study.
      name: Of the method.
      piece: Of the seeds, where processes share them.
      of: So many pieces.
    """
    more = "state" if of == 1 else f"state-{piece}-of-{of}"
    return folder / FOLDER.parts / f"{quote(name, safe='')}.{more}.npz"


def seeds_path(folder: Path, name: str, piece: int, of: int) -> Path:
    """Returns where the searches of a piece of a method's seeds stand when they have ended."""
    return folder / FOLDER.parts / f"{quote(name, safe='')}.part-{piece}-of-{of}.npz"


def count_pieces(plan: SupernetPlan, name: str, processes: int) -> int:
    """Returns into how many pieces processes divide a method's seeds."""
    return min(processes, plan.num_seeds)


def join_pieces(plan: SupernetPlan, folder: Path, name: str, identity: Mapping[str, Any], count: int) -> MethodResult:
    """Returns what all searches of a method came to, whose pieces are there; their state is put together too.

    Raises:
      ValueError: A file is damaged, or of another study.
      OSError: The folder cannot be written.
    """
    seeds = [seeds_of_piece(plan, piece, count) for piece in range(count)]
    whose = [whose_seeds(identity, rows) for rows in seeds]
    sizes = [{**plan.config, "num_seeds": len(rows)} for rows in seeds]
    parts = [load_method(seeds_path(folder, name, i, count), name, whose[i], sizes[i]) for i in range(count)]
    states = [search_path(folder, name, piece, count) for piece in range(count)]
    join_searches(states, whose, search_path(folder, name), identity)
    return join_methods(parts)


def save_whole_method(path: Path, result: MethodResult, identity: Mapping[str, Any]) -> None:
    """Writes what all searches of a method came to, in place of the pieces of several processes."""
    save_method(path, result, identity)
    for other, _ in _pieces_there(path):
        other.unlink(missing_ok=True)


def seeds_of_piece(plan: SupernetPlan, piece: int, of: int) -> range:
    """Returns the numbers of a piece's seeds."""
    return range(plan.num_seeds * piece // of, plan.num_seeds * (piece + 1) // of)


def whose_seeds(identity: Mapping[str, Any], seeds: range) -> dict[str, Any]:
    """Returns what the files of some seeds of a method say of themselves."""
    return {**identity, "seeds": [seeds.start, seeds.stop]}


def _pieces_there(path: Path) -> list[tuple[Path, int]]:
    """Returns the files of pieces of a method whose results are to stand at `path`, and of how many pieces each is."""
    stem = re.escape(path.name.removesuffix(".npz"))
    name = re.compile(rf"{stem}\.(?:state|part)-\d+-of-(\d+)\.npz")
    matches = [(other, name.fullmatch(other.name)) for other in path.parent.iterdir()]
    return [(other, int(match[1])) for other, match in matches if match]


def check_division(folder: Path | None, name: str, count: int) -> None:
    """Raises ValueError where other numbers of processes have begun a method: each piece of seeds has its own file."""
    if folder is None:
        return
    whole = folder / FOLDER.parts / method_file_name(name)
    divisions = {of for _, of in _pieces_there(whole)} | ({1} if search_path(folder, name).exists() else set())
    if divisions and count not in divisions:
        begun = max(divisions)
        by = "one process" if begun == 1 else f"{begun} processes that share its seeds"
        raise ValueError(
            f"{name} was begun in {folder} by {by}, and goes on with as many; take as many, or delete the files "
            f"{whole.name.removesuffix('.npz')}.* in {whole.parent}"
        )
