"""What the report of a table owes to the paper of its space: a row for each space that has such parts."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jnas.core._registry import make_registry
from jnas.pages._html import Html
from jnas.spaces._registry import SPACES
from jnas.tables._table import Table
from jnas.tables.report._nasbench101 import graph_section
from jnas.tables.report._summary import AccuracyColumn, Early

PUBLISHED_TABLE_6: Mapping[tuple[int, int], tuple[float, ...]] = {
    (6, 12): (0.7767, 0.7627, 0.8086, 0.8095, 0.8052, 0.7941),
    (12, 12): (0.9110, 0.8983, 0.9361, 0.9368, 0.9062, 0.8952),
    (12, 200): (0.7520, 0.7396, 0.8071, 0.8080, 0.8167, 0.8092),
    (24, 200): (0.7705, 0.7594, 0.8280, 0.8290, 0.8286, 0.8217),
    (100, 200): (0.7938, 0.7900, 0.8529, 0.8540, 0.8262, 0.8211),
    (150, 200): (0.8955, 0.8926, 0.9239, 0.9246, 0.8506, 0.8425),
    (175, 200): (0.9834, 0.9782, 0.9743, 0.9744, 0.8539, 0.8423),
    (200, 200): (0.9993, 0.9937, 0.9672, 0.9671, 0.8259, 0.8124),
}
"""Table 6 of "NAS-Bench-201", Dong and Yang, 2020: by (epochs done, epochs of the training), the correlation of
validation accuracy on CIFAR-10 with the final CIFAR-10, CIFAR-100 and ImageNet16-120 validation and test accuracies."""

PUBLISHED_COLUMNS = tuple(
    (dataset, split) for dataset in ("cifar10", "cifar100", "ImageNet16-120") for split in ("validation", "test")
)


class Paper(NamedTuple):
    """What a paper adds to the report of its space's tables."""

    name: str  # of the space
    own: tuple[str, Callable[[Table, Sequence[AccuracyColumn]], Html | None]] | None = None
    """What a part of the page that only this space has is called while it is made, and what makes it."""
    has_figures: bool = False  # the parts that every space has are after figures of this paper
    early_columns: tuple[tuple[str, str], ...] = ()  # data set and split of the columns of `early_rows`
    early_rows: Mapping[tuple[int, int], tuple[float, ...]] = {}  # by epochs done and of the training, correlations


PAPERS = make_registry(
    "paper",
    (
        Paper("nasbench201", has_figures=True, early_columns=PUBLISHED_COLUMNS, early_rows=PUBLISHED_TABLE_6),
        Paper("nasbench101", own=("the space of cells", graph_section)),
    ),
)


def find_paper(space: str) -> Paper:
    """Returns the row of a space, an empty one where there is none."""
    return PAPERS.rows.get(space, Paper(space))


def after(table: Table, what: str) -> str:
    """Returns which part of the benchmark's paper a part of the page is after."""
    paper = find_paper(table.space.name)
    return f" ({what} of the paper of {SPACES.entry(paper.name).title}.)" if paper.has_figures else ""


def published_row(row: Early, table: Table, columns: Sequence[AccuracyColumn]) -> tuple[float, ...] | None:
    """Returns the paper's values beside a row, where the table is of its space and the columns are its columns."""
    paper = find_paper(table.space.name)
    if tuple((c.dataset, c.split) for c in columns) != paper.early_columns:
        return None
    return paper.early_rows.get((row.done, row.epochs))
