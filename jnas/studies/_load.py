"""Results of either kind of search, from their folders: `jnas study` on a table, `jnas supernet` by training."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jnas.io._atomic import replacing
from jnas.studies.search._folder import load_study
from jnas.studies.search._report import write_report
from jnas.studies.search._results import StudyResults

if TYPE_CHECKING:
    from jnas.studies.supernets._results import SupernetStudy

__all__ = ["load_results", "write_results_report"]


def load_results(folder: str | os.PathLike[str]) -> "tuple[StudyResults | SupernetStudy, list[str]]":
    """Returns the results in a folder, and the names of what has not finished.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is of another kind, or a file in it is damaged.
    """
    if _format(Path(folder)) == "jnas-supernet":
        from jnas.studies.supernets._study import load_supernet_study

        found = load_supernet_study(folder)
        finished = {result.name for result in found.methods}
        return found, [n for n in found.config["methods"] if n not in finished]
    study = load_study(folder)
    return study, [n for n in study.config["searchers"] if n not in {s.name for s in study.searchers}]


def _format(folder: Path) -> object:
    try:
        return json.loads((folder / "config.json").read_text("utf-8")).get("format")
    except (OSError, ValueError, AttributeError):  # `load_study` will say what is wrong
        return None


def write_results_report(
    results: "Sequence[StudyResults | SupernetStudy]", path: Path, names: Sequence[str] | None
) -> None:
    """Writes the report of one folder, or of several compared.

    A study of weight-sharing searches has a page of its own; compared with others, it is in the form of a study.

    Args:
      results: From `load_results`.
      path: Where.
      names: What to call each of several.

    Raises:
      ValueError: A study of weight-sharing searches that is to be compared was not judged by a table.
      OSError: The file cannot be written.
    """
    if len(results) == 1 and not isinstance(results[0], StudyResults):
        from jnas.studies.supernets._report import supernet_report

        with replacing(path, "w") as file:
            file.write(supernet_report(results[0]))
        return
    write_report([_as_study(one) for one in results], path, names=names)


def _as_study(found: "StudyResults | SupernetStudy") -> StudyResults:
    if isinstance(found, StudyResults):
        return found
    from jnas.studies.supernets._summary import as_study_results

    if not found.targets:
        raise ValueError(
            f"the weight-sharing searches on {found.config['dataset']} were not judged by a table, so that there is "
            "nothing to compare; run `jnas supernet` with --table"
        )
    return as_study_results(found)
