"""A study's summary as a table for a paper: LaTeX with booktabs, and Markdown."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jnas.io._text import counted

_ROW = ("searcher", "method", "predictor", "encoding", "proxy", "recipe", "network")  # what names a row of a summary
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "−": "$-$",
    "·": r"$\cdot$",
    "\u00a0": "~",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
}


class PaperTable(NamedTuple):
    """A table whose columns stand under groups."""

    corner: str  # the head of the first column
    groups: tuple[tuple[str, int], ...]  # the upper head: names, and of how many columns
    heads: tuple[str, ...]  # the lower head, without the corner
    rows: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]  # names; means and deviations, NaN where not known
    best: tuple[int, ...]  # by column, the row of the best mean; -1 for none
    digits: int = 2
    shared: str = ""  # what all columns have in common: the epochs


def summary_table(summary: str, higher: Mapping[str, bool] | bool = True, keep: Sequence[str] = ()) -> PaperTable:
    """Returns means and deviations over seeds of a `summary.csv`: a row for each thing compared.

    Args:
      summary: The file's text; what stands before its column `seeds` says of what a line is.
      higher: Whether the higher mean of a column is the better one, or that by the measure.
      keep: The measures to show, where the file has several; all by default.
    """
    lines = list(csv.DictReader(io.StringIO(summary)))
    head = next(csv.reader(io.StringIO(summary)))
    keys = head[: head.index("seeds")] if "seeds" in head else head[:1]
    named, column = [k for k in keys if k in _ROW], [k for k in keys if k not in _ROW]
    lines = [line for line in lines if not keep or line.get("measure") in keep]
    cells = {(_words(line, named), _key(line, column)): _moments(line) for line in lines}
    rows, columns = list(dict.fromkeys(row for row, _ in cells)), list(dict.fromkeys(key for _, key in cells))
    unknown = (math.nan, math.nan)
    body = [(row, tuple(cells.get((row, key), unknown) for key in columns)) for row in rows]
    groups: list[tuple[str, int]] = []
    for name, _ in columns:
        groups[-1:] = [(name, groups[-1][1] + 1)] if groups and groups[-1][0] == name else [*groups[-1:], (name, 1)]
    compared = [i for i, row in enumerate(rows) if not _is_reference(lines, named, row)]
    best = [_best([body[i][1][c][0] for i in compared], compared, _up(higher, key)) for c, key in enumerate(columns)]
    ends = {lower.partition(", ")[2] for _, lower in columns}
    shared = ends.pop() if len(ends) == 1 else ""
    heads = tuple(lower.removesuffix(f", {shared}") if shared else lower for _, lower in columns)
    digits = 3 if "measure" in column else 2
    return PaperTable(", ".join(named), tuple(groups), heads, tuple(body), tuple(best), digits, shared)


def _words(line: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(line[name] for name in names if line[name])


def _key(line: Mapping[str, str], names: Sequence[str]) -> tuple[str, str]:
    """Returns the upper and the lower head of a line's column."""
    if "dataset" in names:
        return line["dataset"], f"{line['split']}, {counted(int(line['epochs']), 'epoch')}"
    if "train_size" in names:
        return line["measure"], counted(int(line["train_size"]), "cell")
    return (line.get("cells", ""), line["measure"]) if "measure" in names else ("", "mean")


def _moments(line: Mapping[str, str]) -> tuple[float, float]:
    mean, std = (float(line[name]) if line.get(name) else math.nan for name in ("mean", "std"))
    return mean, std


def _is_reference(lines: Sequence[Mapping[str, str]], named: Sequence[str], row: str) -> bool:
    """Returns whether a row was not run: it has no number of seeds."""
    return all(not line.get("seeds") for line in lines if _words(line, named) == row)


def _up(higher: Mapping[str, bool] | bool, column: tuple[str, str]) -> bool:
    return higher if isinstance(higher, bool) else next((higher[w] for w in column if w in higher), True)


def _best(means: Sequence[float], rows: Sequence[int], up: bool) -> int:
    known = [(mean if up else -mean, -row) for mean, row in zip(means, rows, strict=True) if math.isfinite(mean)]
    return -max(known)[1] if len(known) > 1 else -1


def cell_text(mean: float, std: float, digits: int) -> str:
    """Returns a mean with its deviation, as far as they are known."""
    if math.isnan(mean):
        return "–"
    mean += math.copysign(1e-7, mean)  # half of a last digit goes up, as in numbers that were not cut before
    return f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")


def markdown(table: PaperTable, caption: str) -> str:
    """Returns a table as Markdown with its caption below it, best means in bold."""
    upper = [name for name, count in table.groups for _ in range(count)]
    heads = [" ".join(filter(None, pair)) for pair in zip(upper, table.heads, strict=True)]
    lines = [_bar([table.corner, *heads]), _bar(["---", *["---:"] * len(heads)])]
    for i, (name, cells) in enumerate(table.rows):
        texts = [cell_text(*cell, table.digits) for cell in cells]
        shown = [f"**{text}**" if table.best[c] == i else text for c, text in enumerate(texts)]
        lines.append(_bar([name, *shown]))
    return "\n".join([*lines, "", caption, ""])


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


_COLUMN = 44  # letters of a small table that fit into a column of two, with the gaps between its columns


def _letters(table: PaperTable) -> float:
    """Returns about how many letters a table is wide."""
    numbers = [
        max(len(head), *(len(cell_text(*cells[c], table.digits)) for _, cells in table.rows))
        for c, head in enumerate(table.heads)
    ]
    return max(len(name) for name in (table.corner, *(name for name, _ in table.rows))) + sum(n + 1.7 for n in numbers)


def latex(table: PaperTable, caption: str, label: str) -> str:
    r"""Returns a table as LaTeX for the package booktabs, best means in bold.

    It spans both columns of a two-column page (`table*`) where it does not fit into one, and is printed small.
    """
    kind = "table*" if _letters(table) > _COLUMN else "table"
    head = []
    if any(name for name, _ in table.groups):
        cells, rules, first = [""], [], 2
        for name, count in table.groups:
            cells.append(rf"\multicolumn{{{count}}}{{c}}{{{latex_text(name)}}}")
            rules.append(rf"\cmidrule(lr){{{first}-{first + count - 1}}}")
            first += count
        head = [" & ".join(cells) + r" \\", " ".join(rules)]
    lower = [latex_text(text) for text in (table.corner, *table.heads)]
    body = []
    for i, (name, numbers) in enumerate(table.rows):
        texts = [latex_text(cell_text(*cell, table.digits)) for cell in numbers]
        shown = [_bold(text) if table.best[c] == i else text for c, text in enumerate(texts)]
        body.append(" & ".join([latex_text(name), *shown]) + r" \\")
    lines = [
        "% \\usepackage{booktabs}",
        rf"\begin{{{kind}}}[t]",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\label{{{label}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(table.heads)}@{{}}}}",
        r"\toprule",
        *head,
        " & ".join(lower) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\end{{{kind}}}",
        "",
    ]
    return "\n".join(lines)


def _bold(text: str) -> str:
    return rf"\textbf{{{text}}}" if "$" not in text else rf"\textbf{{\boldmath {text}}}"


def latex_text(text: Any) -> str:
    """Returns text as LaTeX, in which names may break after an underscore."""
    escaped = "".join(_LATEX.get(letter, letter) for letter in str(text))
    return escaped.replace(r"\_", r"\_\allowbreak{}")
