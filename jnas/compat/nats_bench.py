"""The interface of the package `nats_bench` 1.8 over a jnas table: `from jnas.compat.nats_bench import create`.

Method names, arguments and return shapes are the published ones. What is otherwise: nothing is printed while it works;
`create` also takes a `jnas.Table` and its file, and reads an archive as a whole, whatever `fast_mode`; accuracies
in the middle of trainings are exact to 0.002 percent and losses to 16 bits, as tables keep them; there are no
trained weights; and what a table lacks is an error, never another number in its place.

References:
  "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", Dong et al., 2021.

Example:
  >>> search_space_info("nats-bench", "sss")["num_layers"]
  5
"""

import os
from typing import Any

from jnas.compat._meta import MetaAPI, open_benchmark
from jnas.compat._results import ArchResults, ResultsCount

__all__ = ["ArchResults", "NATSsize", "NATStopology", "ResultsCount", "create", "search_space_info", "version"]

_SIZE, _TOPOLOGY = ("sss", "size"), ("tss", "topology")


def version() -> str:
    """Returns the version of the package whose interface this is."""
    return "v1.8"


class NATStopology(MetaAPI):
    """The topology space: 15,625 cells."""

    def __init__(self, file_path_or_dict: Any = None, fast_mode: bool = False, verbose: bool = True):
        """Takes a `jnas.Table`, its file, or an archive; by default that in `$TORCH_HOME`."""
        table, name = open_benchmark(file_path_or_dict, "nasbench201", _default("NATS-tss-v1_0-3ffb9", fast_mode))
        super().__init__(table, name, "topology", 200, verbose)
        self.fast_mode = fast_mode

    is_topology = True
    is_size = False
    full_epochs_in_paper = 200

    def get_unique_str(self, arch: Any) -> str:
        """Raises ValueError: isomorphic cells are told by `jnas.spaces.nasbench201_classes`."""
        raise ValueError("not in jnas: which cells are isomorphic is told by jnas.spaces.nasbench201_classes()")

    @staticmethod
    def str2lists(arch_str: str) -> list[tuple[tuple[str, int], ...]]:
        """Returns the operations and inputs of each node of a cell's string.

        Example:
          >>> NATStopology.str2lists("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")[0]
          (('nor_conv_1x1', 0),)
        """
        nodes = [[edge.split("~") for edge in node.split("|") if edge] for node in arch_str.split("+")]
        if any(len(edge) != 2 for node in nodes for edge in node):
            raise ValueError(f"{arch_str!r} is no string of a cell, expected operations as in |none~0|")
        return [tuple((name, int(number)) for name, number in node) for node in nodes]


class NATSsize(MetaAPI):
    """The size space: 32,768 networks."""

    def __init__(self, file_path_or_dict: Any = None, fast_mode: bool = False, verbose: bool = True):
        """Takes a `jnas.Table`, its file, or an archive; by default that in `$TORCH_HOME`."""
        table, name = open_benchmark(file_path_or_dict, "nats_size", _default("NATS-sss-v1_0-50262", fast_mode))
        super().__init__(table, name, "size", 90, verbose)
        self.fast_mode = fast_mode

    is_topology = False
    is_size = True
    full_epochs_in_paper = 90


def create(file_path_or_dict: Any, search_space: str, fast_mode: bool = False, verbose: bool = True) -> MetaAPI:
    """Returns the interface of a space of NATS-Bench.

    Args:
      file_path_or_dict: A `jnas.Table`; the file of one; an original archive (its folder or its `.pickle.pbz2`), which
        is read as a whole now, minutes for the whole benchmark (`jnas table import nats-bench` does it once); or None
        for the archive in `$TORCH_HOME`.
      search_space: `'tss'` or `'topology'`, `'sss'` or `'size'`.
      fast_mode: Which of the two archives None means: the folder or the file. Otherwise without meaning.
      verbose: Kept for callers; nothing is printed.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The space is unknown, or the table is of another one or damaged.

    Example:
      >>> api = create(jnas.load_table(), "tss")  # the package's own table, of the same cells
      >>> api.arch(12)
      '|none~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|'
    """
    if search_space in _TOPOLOGY:
        return NATStopology(file_path_or_dict, fast_mode, verbose)
    if search_space in _SIZE:
        return NATSsize(file_path_or_dict, fast_mode, verbose)
    raise ValueError(f"invalid search space : {search_space}, expected one of {', '.join((*_TOPOLOGY, *_SIZE))}")


def search_space_info(main_tag: str, aux_tag: str | None) -> dict[str, Any]:
    """Returns what a space is made of, as the published function of that name."""
    operations = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    topology = {"op_names": operations, "num_nodes": 4}
    if main_tag == "nas-bench-201" and aux_tag is None:
        return topology
    if main_tag == "nats-bench" and aux_tag in (*_TOPOLOGY, *_SIZE):
        return topology if aux_tag in _TOPOLOGY else {"candidates": [8, 16, 24, 32, 40, 48, 56, 64], "num_layers": 5}
    raise ValueError(f"Unknown tags: {main_tag}, {aux_tag}")


def _default(name: str, fast_mode: bool) -> str:
    home = os.environ.get("TORCH_HOME", os.path.join(os.path.expanduser("~"), ".torch"))
    return os.path.join(home, f"{name}-simple" if fast_mode else f"{name}.pickle.pbz2")
