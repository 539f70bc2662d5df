"""The interface of the package `nas-bench-201` 2.1 over a jnas table.

`from jnas.compat.nas_201_api import NASBench201API` in place of `from nas_201_api import NASBench201API`.
Method names, arguments and return shapes are the published ones; `jnas.compat.nats_bench` says what is otherwise.

References:
  "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020.
"""

import os
from typing import Any

import numpy as np

from jnas.compat._meta import MetaAPI, open_benchmark
from jnas.compat._results import ArchResults, ResultsCount
from jnas.compat.nats_bench import NATStopology

__all__ = ["ArchResults", "NASBench201API", "ResultsCount"]

_FILE = "NAS-Bench-201-v1_1-096897.pth"
_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


class NASBench201API(MetaAPI):
    """NAS-Bench-201."""

    def __init__(self, file_path_or_dict: Any = None, verbose: bool = True):
        """Takes a `jnas.Table`, its file, or the `.pth`; by default that in `$TORCH_HOME`."""
        home = os.environ.get("TORCH_HOME")
        table, name = open_benchmark(file_path_or_dict, "nasbench201", None if home is None else f"{home}/{_FILE}")
        super().__init__(table, name, "topology", 200, verbose)

    def find_best(  # type: ignore[override]  # the published names of its arguments
        self,
        dataset: str,
        metric_on_set: str,
        FLOP_max: float | None = None,
        Param_max: float | None = None,
        hp: str | int = "12",
    ) -> tuple[int, float | None]:
        """Returns the number and accuracy of the best architecture by the mean over runs, within limits in millions."""
        return super().find_best(dataset, metric_on_set, FLOP_max, Param_max, hp)

    str2lists = staticmethod(NATStopology.str2lists)

    @staticmethod
    def str2matrix(arch_str: str, search_space: Any = _OPERATIONS) -> np.ndarray:
        """Returns the numbers of operations as a matrix `[4, 4]`, a row for each node and a column for each input.

        Example:
          >>> NASBench201API.str2matrix("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|").tolist()
          [[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
        """
        nodes = NATStopology.str2lists(arch_str)
        matrix = np.zeros((len(nodes) + 1, len(nodes) + 1))
        for node, edges in enumerate(nodes, start=1):
            for name, source in edges:
                matrix[node, source] = list(search_space).index(name)
        return matrix
