"""What a study of proxies leaves, as values, and how these stand in its folder.

```
cells.npz        the cells, as rows of the table, and what they are worth
scores/NAME.npz  the scores of all cells by the proxies of one kind of pass, with the weights and the batch of a seed
scores.csv       one row for each cell and seed, a column for each proxy
summary.csv      rank correlations: means over seeds, with intervals
report.html      the same as a page
```
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.core._folder import FolderKind, config_digest, read_part
from jnas.io._archive import write_archive
from jnas.io._fields import describe_fields
from jnas.studies.proxies._plan import ScoredCells

FOLDER = FolderKind(
    "jnas-proxies", 1, "a study of proxies", "jnas proxies", "scores", "the scores of a study of proxies"
)
_NUMBERS = ("cpu_seconds", "compile_seconds")


class Scored(NamedTuple):
    """What came of the proxies of one kind of pass, for one seed."""

    scores: NDArray[np.float32]  # [K, N], NaN where undefined
    cpu_seconds: float  # of one cell
    compile_seconds: float  # to trace and compile the program; 0 where another seed's served


Part = tuple[str, int]
"""A kind of pass, and a seed."""


@describe_fields
class ProxyStudy(NamedTuple):
    """A whole study of proxies.

    Attributes:
      config: As config.json holds it.
      versions: Of jnas, jax, numpy, Python; the device; XLA flags.
      cells: Which cells were scored, and what the table says of them.
      scored: Those that have finished.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    cells: ScoredCells
    scored: Mapping[Part, Scored]

    @property
    def scores(self) -> dict[str, NDArray[np.float32]]:
        """Returns the scores of each proxy that has finished, `[S, N]`."""
        found: dict[str, NDArray[np.float32]] = {}
        seeds = range(self.config["num_seeds"])
        for group, names in self.config["groups"].items():
            if all((group, seed) in self.scored for seed in seeds):
                each = np.stack([self.scored[group, seed].scores for seed in seeds])
                found |= {name: each[:, place] for place, name in enumerate(names)}
        return found


def save_scored_cells(folder: Path, cells: ScoredCells, config: Mapping[str, Any]) -> None:
    """Writes which cells are scored."""
    header = {**FOLDER.header, "study": config_digest(config)}
    write_archive(folder / "cells.npz", header, cells._asdict(), compress=True)


def load_scored_cells(folder: Path, config: Mapping[str, Any]) -> ScoredCells:
    """Returns what `save_scored_cells` wrote; errors are those of `read_part`."""
    identity = {**FOLDER.header, "study": config_digest(config)}
    members = {"rows": "i N", "truth": "f N", "runs": "f N R"}
    arrays = read_part(folder / "cells.npz", identity, FOLDER, members, {"N": config["num_cells"]}).arrays
    return ScoredCells(*(arrays[name] for name in members))


def save_scored(path: Path, found: Scored, identity: Mapping[str, Any]) -> None:
    """Writes the scores of a part."""
    header = {**identity, **{name: float(getattr(found, name)) for name in _NUMBERS}}
    write_archive(path, header, {"scores": found.scores}, compress=True)


def load_scored(path: Path, part: Part, identity: Mapping[str, Any], config: Mapping[str, Any]) -> Scored:
    """Returns what `save_scored` wrote; errors are those of `read_part`."""
    sizes = {"K": len(config["groups"][part[0]]), "N": config["num_cells"]}
    found = read_part(path, identity, FOLDER, {"scores": "f K N"}, sizes, _NUMBERS)
    return Scored(found.arrays["scores"], *(found.header[name] for name in _NUMBERS))
