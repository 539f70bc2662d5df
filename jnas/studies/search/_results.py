"""What a study leaves, as values: what the report draws, and what the results folder holds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jnas.core._vocabulary import Trace


class Target(NamedTuple):
    """A column of the comparison: how a found architecture is judged."""

    dataset: str
    split: str  # 'validation' or 'test', or a published split
    epochs: int

    @property
    def label(self) -> str:
        """Returns the column's title, for example `cifar10 test, 200 epochs`."""
        return f"{self.dataset} {self.split}, {self.epochs} epoch{'' if self.epochs == 1 else 's'}"


class Reference(NamedTuple):
    """A row of the comparison that no search made: the optimum of each column, or a cell known by name."""

    name: str
    values: np.ndarray  # [num_targets] float, percent; NaN where unknown
    arch: str | None  # its string; None where each column has an architecture of its own


class SearcherResult(NamedTuple):
    """`S` runs of one searcher. The incumbent at row `t` is the best of rows `0 .. t` in the highest fidelity seen."""

    name: str
    traces: Trace  # NumPy arrays, [S, T, ...]
    elapsed: np.ndarray  # [S, T] float64, simulated seconds after each evaluation
    incumbent: np.ndarray  # [S, T] int32, row of the incumbent after each evaluation; -1 before the first valid one
    values: np.ndarray  # [num_targets, S, T] float32, the incumbent's accuracy in percent after each evaluation
    final: np.ndarray  # [num_targets, S] float32, accuracy of the architecture that the run returns
    final_archs: np.ndarray  # [S, E] int32
    compile_seconds: float  # measured here
    run_seconds: float  # measured here


class StudyResults(NamedTuple):
    """A whole study."""

    config: Mapping[str, Any]  # the study's configuration, as config.json holds it
    versions: Mapping[str, str]  # of jnas, jax, numpy, Python; the device; XLA flags
    space: str  # `Space.config`
    targets: tuple[Target, ...]
    references: tuple[Reference, ...]
    searchers: tuple[SearcherResult, ...]
