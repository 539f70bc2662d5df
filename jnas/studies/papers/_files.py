"""The files that a paper takes from a study, in one folder: pictures, their data, tables, sentences, tidy numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jnas.io._atomic import replacing
from jnas.pages._figures import write_figures
from jnas.studies.papers._sentence import paper_sentence
from jnas.studies.papers._tables import PaperTable, latex, latex_text, markdown, summary_table
from jnas.studies.papers._tidy import run_curves_csv, runs_csv
from jnas.studies.search._results import StudyResults
from jnas.tables._metric import metric_of

_SHOWN = ("mae", "kendall")  # measures of predictors that a table has room for
_LOWER = {"mae": False, "rmse": False}


def write_paper_files(
    draw: Callable[[], Any], results: Any, summary: str | None, search: StudyResults | None, folder: Path
) -> list[str]:
    """Writes a folder of everything that a paper takes from one study, and returns the names of its pictures.

    Args:
      draw: Makes the study's page, as in `write_figures`.
      results: Of the study.
      summary: Its `summary.csv`, or None.
      search: The same as a study of searchers, where it is one: its runs one by one and its sentence.
      folder: Where; it is made if it is not there.

    Raises:
      OSError: A file cannot be written.
    """
    names = write_figures(draw, folder)
    files: dict[str, str] = {}
    sentence = "" if search is None else paper_sentence(search)
    if summary is not None:
        metric = metric_of(results.config)
        several = ",measure," in summary.partition("\n")[0]
        table = summary_table(summary, _LOWER if several else metric.higher_is_better, _shown(summary))
        caption = _caption(table, "what is measured" if several else metric.words)
        files["table.tex"], files["table.md"] = latex(table, caption, "tab:jnas"), markdown(table, caption)
    if search is not None:
        files["runs.csv"], files["curves.csv"] = runs_csv(search), run_curves_csv(search)
    if sentence:
        files["sentence.txt"], files["sentence.tex"] = f"{sentence}\n", f"{latex_text(sentence)}\n"
    files["figures.tex"] = _includes(names)
    for name, text in files.items():
        with replacing(folder / name, "w") as file:
            file.write(text)
    return names


def _shown(summary: str) -> Sequence[str]:
    return _SHOWN if ",train_size," in summary.partition("\n")[0] else ()


def _caption(table: PaperTable, words: str) -> str:
    bold = ", the best mean of each column in bold" if any(row >= 0 for row in table.best) else ""
    first = words[:1].upper() + words[1:]
    after = f" after {table.shared}" if table.shared else ""
    return f"{first}{after}: mean ± standard deviation over seeds{bold}."


def _includes(names: Sequence[str]) -> str:
    """Returns LaTeX that includes each picture at a column's width, to be taken from."""
    parts = [
        "\n".join(
            [
                r"\begin{figure}[t]",
                r"\centering",
                rf"\includegraphics[width=\columnwidth]{{{name}-column.pdf}}",
                rf"\caption{{{name[3:].replace('-', ' ').capitalize()}.}}",
                r"\end{figure}",
            ]
        )
        for name in names
    ]
    return "\n\n".join(
        ["% \\usepackage{graphicx}; widths are those of \\columnwidth, -page.pdf is for figure*", *parts, ""]
    )
