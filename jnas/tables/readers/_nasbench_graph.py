"""Tables from the files of NAS-Bench-Graph, as its package carries them."""

import os

import numpy as np

from jnas.spaces._nasbench_graph import nasbench_graph
from jnas.tables._file import Header, Training, member
from jnas.tables._numbers import check_numbers
from jnas.tables.readers._sources import (
    Progress,
    archs_by_index,
    entries_of,
    entry_number,
    gap_note,
    members_named,
    read_pickle,
)

_DATASETS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins")
_EPOCHS = 1
_NOTES = (
    "the source names no number of epochs: an epoch of this table is a whole training",
    "means over three seeds, as the package carries them",
    "latency is a wall clock's: cells with more work are now and then faster in it",
)
_PROTEINS = "of proteins the metric is ROC-AUC, and the source has 2,021 cells of gcn, sage, arma, fc and skip alone"


def nasbench_graph_table(
    path: str | os.PathLike[str], *, progress: Progress = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of NAS-Bench-Graph.

    Args:
      path: The wheel of the package `nas-bench-graph`, its folder, or one file `NAME.bench` of it.
      progress: Called after each data set.

    Returns:
      Header and members of a table of 26,206 cells, as `save_arrays` takes them: for each data set found the validation
      and test metric in percent, parameters in millions, latency in seconds.

    Raises:
      FileNotFoundError: There is nothing at that path.
      ValueError: A file is cut off, foreign or hostile, or has keys or numbers that the benchmark has not.

    References:
      "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", Qin et al., 2022.
    """
    space = nasbench_graph()
    archs = archs_by_index(space)
    keys = archs.astype(np.int64) @ 10 ** np.arange(archs.shape[1] - 1, -1, -1)
    rows = {int(key): row for row, key in enumerate(keys)}
    found = {name.removesuffix(".bench"): place for name, place in members_named(path, ".bench").items()}
    if strange := sorted(set(found) - set(_DATASETS)):
        raise ValueError(
            f"{path} has {strange[0]}.bench, expected files of the data sets {', '.join(_DATASETS)}; files per seed "
            "(cora0.bench) are another format"
        )
    arrays, notes = {"archs": archs}, list(_NOTES)
    datasets = [dataset for dataset in _DATASETS if dataset in found]
    for done, dataset in enumerate(datasets, start=1):
        columns, known = _read(path, found[dataset], rows)
        arrays |= {name.replace("DATASET", dataset): values for name, values in columns.items()}
        notes += [f"{dataset}: {each}" for each in gap_note(known, len(rows))]
        if progress is not None:
            progress(done, len(datasets))
    header = Header(
        name="NAS-Bench-Graph",
        space=space.config,
        trainings=tuple(Training(dataset, _EPOCHS, ()) for dataset in datasets),
        pairs={dataset: {"validation": (dataset, "valid"), "test": (dataset, "test")} for dataset in datasets},
        source="nas-bench-graph, light",
        notes=(*notes, _PROTEINS) if "proteins" in datasets else tuple(notes),
    )
    return header, arrays


def _read(path: str | os.PathLike[str], name: str, rows: dict[int, int]) -> tuple[dict[str, np.ndarray], int]:
    """Returns the columns of a data set, and how many cells it has."""
    root, where = read_pickle(path, name)
    entries = entries_of(root, where, "NAS-Bench-Graph")
    kinds = {"valid_perf": 100.0, "perf": 100.0, "latency": 1.0, "para": 1.0}
    columns = {kind: np.full(len(rows), np.nan, np.float32) for kind in kinds}
    for key, entry in entries.items():
        if key not in rows:
            raise ValueError(f"{where} has the key {key!r}, which no cell of NAS-Bench-Graph has; get it again")
        for kind, scale in kinds.items():
            columns[kind][rows[key]] = scale * entry_number(entry, kind, f"cell {key} of {where}")
    members = {
        member("accuracy_mean", "DATASET", _EPOCHS, "valid"): columns["valid_perf"],
        member("accuracy_mean", "DATASET", _EPOCHS, "test"): columns["perf"],
        member("latency", "DATASET"): columns["latency"],
        member("parameters", "DATASET"): columns["para"],
    }
    for each, values in members.items():
        check_numbers(each.split("/")[0], values, f"{each.split('/')[-1]} of {where}")
    return members, len(entries)
