"""By which columns a table judges what searches found, and the rows of a comparison that no search made."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jnas.io._fields import describe_fields
from jnas.spaces._registry import named_cells
from jnas.tables._file import member
from jnas.tables._numbers import table_name
from jnas.tables._table import Table


@describe_fields
class Target(NamedTuple):
    """A column of the comparison: how a found architecture is judged.

    Attributes:
      dataset: The name of a data set of the table.
      split: 'validation' or 'test', or a published split.
      epochs: Of the training.
    """

    dataset: str
    split: str
    epochs: int

    @property
    def label(self) -> str:
        """Returns the column's title, for example `cifar10 test, 200 epochs`."""
        return f"{self.dataset} {self.split}, {self.epochs} epoch{'' if self.epochs == 1 else 's'}"


class Reference(NamedTuple):
    """A row of the comparison that no search made: the optimum of each column, or a cell known by name."""

    name: str
    values: np.ndarray  # [num_targets] float, of the table's metric (percent); NaN where unknown
    arch: str | None  # its string; None where each column has an architecture of its own


def default_targets(table: Table) -> tuple[Target, ...]:
    """Returns the columns by which a table judges what searches found, each at the most epochs that it has.

    A table with documented pairs of splits gives validation and test of each of its data sets, as in Table 5 of
    NAS-Bench-201, leaving out what only serves another's validation (`cifar10-valid`). Any other gives each of its
    data sets on each split but `train`.

    Example:
      >>> [target.label for target in jnas.default_targets(jnas.load_table())]
      ['digits validation, 8 epochs', 'digits test, 8 epochs']
    """
    pairs = table.header.pairs
    serving = {pair[0] for name, kinds in pairs.items() for pair in kinds.values() if pair[0] != name}
    wanted = [(name, kind) for name in pairs if name not in serving for kind in ("validation", "test")]
    if not pairs:
        known = {
            (n.split("/")[1], n.split("/")[3]) for n in table.names if n.startswith(("accuracy/", "accuracy_mean/"))
        }
        order = list(dict.fromkeys(t.dataset for t in table.header.trainings))
        splits = ("validation", "test")
        wanted = sorted(known, key=lambda k: (order.index(k[0]), *((s != k[1]) for s in splits), k[1]))
        wanted = [k for k in wanted if k[1] != "train"] or wanted
    found = [(name, kind, _last_epochs(table, *table.resolve(name, kind))) for name, kind in wanted]
    return tuple(Target(name, kind, epochs) for name, kind, epochs in found if epochs is not None)


def judging_targets(table: Table) -> tuple[Target, ...]:
    """Returns the default targets without those that the table knows of less than half as many architectures.

    Most of what searches find could not be judged by such a column.
    """
    targets = default_targets(table)
    known = [int((table.runs("accuracy", t.dataset, t.split, t.epochs, "mean").num_runs > 0).sum()) for t in targets]
    return tuple(t for t, count in zip(targets, known, strict=True) if 2 * count >= max(known))


def judging_column(targets: Sequence[Target], dataset: str) -> int:
    """Returns the column by which ranks and correlations are taken: the data set's own test accuracy, if there is one.

    -1 where there are no columns. (`cifar10-valid`, and what is made smaller, is judged by `cifar10`.)
    """

    def preference(i: int) -> tuple[bool, bool, int, int]:
        target = targets[i]
        own = f"{table_name(dataset)}-".startswith(f"{target.dataset}-")
        return own, "test" in target.split, target.epochs, -i

    return max(range(len(targets)), key=preference, default=-1)


def _last_epochs(table: Table, dataset: str, split: str) -> int | None:
    """Returns the most epochs for which a table has accuracies of a data set on a split, or None."""
    trainings = [t.epochs for t in table.header.trainings if t.dataset == dataset]
    kinds = ("accuracy", "accuracy_mean")
    there = [e for e in trainings if any(member(kind, dataset, e, split) in table.names for kind in kinds)]
    return max(there, default=None)


def target_columns(table: Table, targets: Sequence[Target]) -> np.ndarray:
    """Returns what the table says of each of its architectures by each target, float32 `[num_targets, N]`.

    In the unit of the table's metric: percent, mostly.

    Raises:
      ValueError: There is no target, or the table lacks one; the message lists what it has.
    """
    if not targets:
        raise ValueError(
            "targets is empty, and the table has no accuracies by which to judge; pass at least one Target"
        )
    return np.stack([table.runs("accuracy", t.dataset, t.split, t.epochs, "mean").value[:, 0] for t in targets])


def find_references(table: Table, columns: np.ndarray) -> tuple[Reference, ...]:
    """Returns the rows that no search made: cells known by name, and the optimum of each column."""
    named = []
    for name, text in named_cells(table.space).items():
        index = table.row_of(text)
        if index >= 0:
            named.append(Reference(name, columns[:, index].astype(np.float64), text))
    best = [float(table.metric.best(c)) for c in columns]
    return (*named, Reference("optimum", np.asarray(best), None))
