"""The table of NAS-Bench-Macro, from its JSON."""

import os
from pathlib import Path

import numpy as np

from jnas.io._json_checks import read_object
from jnas.spaces._nasbench_macro import nasbench_macro
from jnas.tables._file import Header, Training, member
from jnas.tables._numbers import check_numbers
from jnas.tables.readers._sources import Progress, archs_by_index, entries_of, entry_number, gap_note

_EPOCHS, _SEEDS = 50, 3
_NOTES = (
    "test accuracies alone: a search on this table (--split test) chooses by what it is judged by",
    "6,561 strings, 3,969 networks: within a stage the place of a later identity does not matter",
)


def nasbench_macro_table(
    path: str | os.PathLike[str], *, progress: Progress = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of NAS-Bench-Macro.

    Args:
      path: `nas-bench-macro_cifar10.json`.
      progress: Not called: the file is read at once.

    Returns:
      Header and members of a table of 6,561 architectures: test accuracies of three trainings of 50 epochs on CIFAR-10,
      parameters and multiply-adds.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is cut off or foreign, or its numbers contradict one another.

    References:
      "Prioritized Architecture Sampling with Monto-Carlo Tree Search", Su et al., 2021, Section 4.
    """
    space, where = nasbench_macro(), str(path)
    entries = entries_of(read_object(path, "benchmark"), where, "NAS-Bench-Macro")
    archs = archs_by_index(space)
    tested = np.full((len(archs), _SEEDS), np.nan)
    parameters, flops = np.zeros(len(archs), np.uint32), np.full(len(archs), np.nan, np.float32)
    for text, entry in entries.items():
        what = f"architecture {text!r} of {where}"
        try:
            row = int("".join(map(str, space.from_string(text))), 3)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        runs = entry.get("test_acc")
        if not isinstance(runs, list) or len(runs) != _SEEDS:
            raise ValueError(f"{what} has test_acc = {runs!r}, expected the accuracies of {_SEEDS} trainings")
        tested[row] = [entry_number({"test_acc": run}, "test_acc", what) for run in runs]
        if abs(tested[row].mean() - entry_number(entry, "mean_acc", what)) > 1e-3:
            raise ValueError(f"{what} has a mean_acc that is not the mean of its test_acc; get the file again")
        count = entry_number(entry, "params", what)
        if not 0 < count < 2**31:
            raise ValueError(f"{what} has {count:g} parameters; get the file again")
        parameters[row], flops[row] = int(count), entry_number(entry, "flops", what) / 1e6
    arrays = {
        "archs": archs,
        member("accuracy", "cifar10", _EPOCHS, "test"): tested.astype(np.float32),
        member("parameter_count", "cifar10"): parameters,
        member("parameters", "cifar10"): np.where(parameters > 0, parameters / 1e6, np.nan).astype(np.float32),
        member("flops", "cifar10"): flops,
    }
    for name, values in arrays.items():
        if name != "archs":
            check_numbers(name.split("/")[0], values.astype(np.float64), f"{name} of {where}")
    header = Header(
        name="NAS-Bench-Macro",
        space=space.config,
        trainings=(Training("cifar10", _EPOCHS, tuple(range(_SEEDS))),),
        pairs={},
        source=f"NAS-Bench-Macro, {Path(path).name}",
        notes=(*_NOTES, *gap_note(len(entries), len(archs))),
    )
    return header, arrays
