"""Results of every kind of study, from their folders, and their pages made again."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jnas.io._atomic import replacing
from jnas.io._json_checks import read_json
from jnas.pages._figures import write_figures
from jnas.studies._engine import Kind, load_folder
from jnas.studies.papers._files import write_paper_files
from jnas.studies.predictors import _study as predictors
from jnas.studies.proxies import _study as proxies
from jnas.studies.search import _study as search
from jnas.studies.search._report import search_report
from jnas.studies.supernets import _study as supernets
from jnas.studies.trainings import _study as trainings
from jnas.training.runs._job_files import FOLDER as TRAINING

_ROWS = (search.KIND, predictors.KIND, proxies.KIND, supernets.KIND, trainings.KIND)
KINDS: dict[str, Kind] = {kind.folder.format: kind for kind in _ROWS}
"""Every kind of study, by the format that config.json says."""


def load_results(folder: str | os.PathLike[str]) -> tuple[Any, list[str]]:
    """Returns the results in a folder, and the names of what has not finished.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is of another kind, or a file in it is damaged.
    """
    said = _format(Path(folder))
    if said == TRAINING.format:
        raise ValueError(
            f"{folder} holds training runs, which have no page: the command that made the folder (`jnas train`, "
            "`jnas table build`), given again, writes what it makes of finished runs anew, and trains none again"
        )
    found, left = load_folder(KINDS.get(str(said), search.KIND), folder)  # which says what is wrong
    return found, [part if isinstance(part, str) else " ".join(map(str, part)) for part in left]


def _format(folder: Path) -> object:
    try:
        return read_json(folder / "config.json").get("format")
    except (OSError, ValueError, AttributeError):  # `load_folder` will say what is wrong
        return None


def write_results_report(results: Sequence[Any], path: Path, names: Sequence[str] | None) -> None:
    """Writes the report of one folder, or of several compared.

    Each kind has a page of its own; to be compared with others, results take the form of a study of searchers.

    Args:
      results: From `load_results`.
      path: Where.
      names: What to call each of several.

    Raises:
      ValueError: Several are to be compared, and one cannot be.
      OSError: The file cannot be written.
    """
    text = _page(results, names)
    with replacing(path, "w") as file:
        file.write(text)


def write_results_figures(results: Sequence[Any], folder: Path, names: Sequence[str] | None) -> list[str]:
    """Writes what a paper takes from one folder, or the pictures of several compared; returns the pictures' names.

    Arguments and errors are those of `write_results_report`, `folder` is where the files go. Numbers, tables and the
    sentence are of one study: of several compared, each has its own.
    """
    if len(results) > 1 or names is not None:
        return write_figures(lambda: _page(results, names), folder)
    kind, one = _kind(results[0]), results[0]
    summary = kind.outputs["summary.csv"](one) if "summary.csv" in kind.outputs else None
    search = None if kind.as_search is None else kind.as_search(one)
    return write_paper_files(lambda: _page(results, names), one, summary, search, folder)


def _kind(results: Any) -> Kind:
    return next(kind for kind in KINDS.values() if isinstance(results, kind.results))


def _page(results: Sequence[Any], names: Sequence[str] | None) -> str:
    kinds = [_kind(one) for one in results]
    if len(results) == 1 and names is None:
        return kinds[0].outputs["report.html"](results[0]) or ""
    for kind in kinds:
        if kind.as_search is None:
            raise ValueError(f"{kind.folder.name} cannot be compared with other studies; report it by itself")
    found = [kind.as_search(one) for kind, one in zip(kinds, results, strict=True) if kind.as_search is not None]
    return search_report(found, names=names)
