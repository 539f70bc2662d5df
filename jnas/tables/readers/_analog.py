"""The table of AnalogNAS-Bench: the cells of NAS-Bench-201 trained again, and read on simulated analog hardware."""

import os
from typing import Any

import numpy as np

from jnas.io._pickle_values import BUILDERS, HeldValues
from jnas.spaces.nasbench201._cells import NUM_CHOICES, published_index
from jnas.spaces.nasbench201._space import nasbench201
from jnas.tables._file import Header, Training, member
from jnas.tables._numbers import check_numbers
from jnas.tables.readers._sources import Progress, archs_by_index, entry_number, gap_note, members_named, read_pickle

_CLASSES = ("analognasbench.data.Architecture", "analognasbench.data.DriftMeasurement")
_ACCURACIES = ("baseline", "ptq", "qat", "noisy", "analog")
_TIMES = {60: "60s", 3600: "1h", 86400: "1d", 2592000: "30d"}
# Their codes are skip, none, 3x3, 1x1, pooling, on the edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3; ours go by the later node.
_OPERATIONS = np.array([1, 0, 3, 2, 4])
_EDGES = np.array([0, 1, 3, 2, 4, 5])
_EPOCHS = 1
_NOTES = (
    "splits are columns of the benchmark: baseline (32-bit), ptq, qat, noisy, analog, and the last two after a drift",
    "the source names neither the split nor the number of epochs: an epoch of this table is a whole training",
    "one training a cell; ..._sd are over repeated readings of that training, 2 to 4 times below a retraining's",
    "a correction of the order in which the source has operations and edges was found by fitting NAS-Bench-201",
    "341 cells have no path from input to output, and chance accuracy; leave them out of correlations",
)


def analog_table(path: str | os.PathLike[str], *, progress: Progress = None) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of AnalogNAS-Bench in the space of NAS-Bench-201.

    Args:
      path: The wheel of the package `analog-nasbench`, its folder, or its file `data.anb`.
      progress: Not called: the file is read at once.

    Returns:
      Header and members of a table of 15,625 cells; accuracies in percent.

    Raises:
      FileNotFoundError: There is nothing at that path.
      ValueError: The file is cut off, foreign or hostile.
    """
    places = members_named(path, ".anb")
    builders = {**BUILDERS, **dict.fromkeys(_CLASSES, HeldValues)}
    root, where = read_pickle(path, next(iter(places.values())), builders)
    if not isinstance(root, dict) or not root or not all(type(each) is HeldValues for each in root.values()):
        raise ValueError(f"{where} is no file of AnalogNAS-Bench: it holds no cells")
    space = nasbench201()
    archs = archs_by_index(space)
    columns = {split: np.full(len(archs), np.nan, np.float32) for split in _splits()}
    spread = {split: np.full(len(archs), np.nan, np.float32) for split in _splits()[len(_ACCURACIES) :]}
    for key, cell in root.items():
        row = _row(key, where)
        what = f"cell {key} of {where}"
        for name in _ACCURACIES:
            columns[name][row] = entry_number(cell.fields, f"{name}_accuracy", what)
        for kind in ("baseline", "analog"):
            for seconds, word in _TIMES.items():
                drift = cell.fields.get(f"{kind}_drift_{seconds}")
                if type(drift) is not HeldValues:
                    raise ValueError(f"{what} has no {kind}_drift_{seconds}; get the file again")
                columns[f"{kind}-drift-{word}"][row] = entry_number(drift.fields, "value", what)
                spread[f"{kind}-drift-{word}"][row] = entry_number(drift.fields, "uncertainty", what)
    arrays = {"archs": archs}
    arrays |= {member("accuracy_mean", "cifar10", _EPOCHS, split): values for split, values in columns.items()}
    arrays |= {member("hardware", f"{split}_sd"): values for split, values in spread.items()}
    for name, values in arrays.items():
        if name != "archs":
            check_numbers(name.split("/")[0], values, f"{name} of {where}")
    header = Header(
        name="AnalogNAS-Bench",
        space=space.config,
        trainings=(Training("cifar10", _EPOCHS, ()),),
        pairs={},
        source="analog-nasbench",
        notes=(*_NOTES, *gap_note(len(root), len(archs))),
    )
    return header, arrays


def _splits() -> tuple[str, ...]:
    return (*_ACCURACIES, *(f"{kind}-drift-{word}" for kind in ("baseline", "analog") for word in _TIMES.values()))


def _row(key: Any, where: str) -> int:
    """Returns the published number of a cell of NAS-Bench-201 by their key."""
    if type(key) is not tuple or len(key) != 6 or not all(type(code) is int and 0 <= code < 5 for code in key):
        raise ValueError(f"{where} has the key {key!r}, expected six numbers of operations from 0 to 4")
    arch = np.zeros(6, np.int64)
    arch[_EDGES] = _OPERATIONS[list(key)]
    return int(published_index()[int(arch @ 5 ** np.arange(len(NUM_CHOICES) - 1, -1, -1))])
