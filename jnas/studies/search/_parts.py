"""What the sections of a study's page share."""

from collections.abc import Collection

from jnas.pages import _frame as frame
from jnas.pages._html import Html, element, join
from jnas.pages._plots import SERIES, Mark, mark
from jnas.studies.search._summary import Comparison, optimum


def searcher_legend(comparison: Comparison, entries: Collection[int] | None = None) -> Html:
    """Returns which line is whose, of all entries or of some."""
    shown = (k for k in range(len(comparison.entries)) if entries is None or k in entries)
    looks = entry_looks(comparison)
    return frame.legend((looks[k], comparison.entries[k].label) for k in shown)


def entry_looks(comparison: Comparison) -> list[Mark]:
    """Returns how each entry looks: of several studies, colour and mark say the searcher, dashes the study."""
    names = list(dict.fromkeys(entry.result.name for entry in comparison.entries))
    if len(comparison.studies) < 2 or len(names) > len(SERIES):
        return [mark(k) for k in range(len(comparison.entries))]
    looks = []
    for entry in comparison.entries:
        whose = mark(names.index(entry.result.name))
        looks.append(whose._replace(dashes=mark(len(SERIES) * entry.study).dashes))
    return looks


def panel_title(comparison: Comparison, target: int) -> Html:
    """Returns a target's name with its optimum below it."""
    best = optimum(comparison, target)
    searched = ", searched on" if comparison.searched and target == 0 else ""
    return join(
        [
            f"{comparison.targets[target].label}{searched}",
            None if best is None else element("small", f"optimum {comparison.metric.text(best)}"),
        ]
    )


def clock_name(comparison: Comparison, study: int = 0) -> str:
    """Returns what kind of seconds a study's clock counts."""
    return str(comparison.studies[study].config.get("clock", "simulated"))


def counted_name(comparison: Comparison, study: int = 0) -> str:
    """Returns what the rows of a study's traces are: evaluations, or epochs."""
    return str(comparison.studies[study].config.get("counts", "evaluations"))
