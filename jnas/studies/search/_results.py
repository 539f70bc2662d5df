"""What a study leaves, as values: what the report draws, and what the results folder holds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jnas.core._vocabulary import Trace
from jnas.tables._targets import Reference, Target


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
