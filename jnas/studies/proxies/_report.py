"""The report of a study of proxies: one page that opens without a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas.io._text import counted
from jnas.pages._frame import study_page
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_cell, note_box, seconds_text
from jnas.studies._over_seeds import few_words, mean_text
from jnas.studies.proxies._plan import FLOOR
from jnas.studies.proxies._results import ProxyStudy
from jnas.studies.proxies._summary import MEASURES, ProxyLine, ceiling, proxy_lines, seconds_by_group, voted_share
from jnas.tables._metric import metric_of
from jnas.training.proxies._registry import PROXIES

_TITLES = {"kendall": "Kendall's tau", "spearman": "Spearman's rho", "pearson": "Pearson's r"}
_TOGETHER = {
    "vote": "in which share of pairs a cell wins by a majority of synflow, jacov and snip",
    "az_nas": "sum of the logarithms of the relative ranks of AZ-NAS's four parts",
    "rank_average": "mean rank by all of them but params and flops",
}


def proxy_report(study: ProxyStudy) -> str:
    """Returns the page; the same results give the same page, but for the times that they took."""
    found = proxy_lines(study)
    title = f"Scores without training on {study.config['table_name']}, {study.config['dataset']}"
    notes = note_box([str(note) for note in study.config["notes"]])
    if not found:
        nothing = element("p", "No score has finished yet, so there is nothing to show.", class_="note")
        return study_page(title, _task(study), notes, [nothing], {}, study.config, study.versions)
    sections = {
        ("order", "How they order cells"): _order_section(study, found, 0),
        ("best", "The best tenth"): _order_section(study, found, 1),
        ("noise", "How much is noise"): _noise_section(study, found),
        ("published", "Published"): _published_section(study, found),
        ("scores", "What they are"): _row_section(found),
        ("times", "What it takes"): _time_section(study),
    }
    return study_page(title, _task(study), notes, [_findings(study, found)], sections, study.config, study.versions)


def _task(study: ProxyStudy) -> str:
    config = study.config
    return (
        f"{counted(config['num_cells'], 'cell')} of {config['table_name']} were scored without training, each with "
        f"{counted(config['num_seeds'], 'draw')} of weights and a batch of {config['batch_size']} images of "
        f"{config['images']} to each draw. The truth is the {config['split']} {metric_of(config).name} on "
        f"{config['dataset']} after {counted(config['epochs'], 'epoch')}. Correlations keep their signs: positive "
        "where higher scores are better cells, as is said of every score."
    )


def _findings(study: ProxyStudy, found: Sequence[ProxyLine]) -> Html:
    taus = {line.name: float(line.values.mean[0, 0]) for line in found}
    others = {name: tau for name, tau in taus.items() if name not in (*FLOOR, "az_complexity") and np.isfinite(tau)}
    sentences: list[Any] = []
    if others:
        best = max(others, key=lambda name: others[name])
        sentences += [element("strong", best), f" orders the cells best, Kendall's tau {others[best]:.3f}. "]
        floor = np.nanmax([taus.get(name, np.nan) for name in FLOOR])
        above = sum(tau > floor for tau in others.values())
        if np.isfinite(floor):
            sentences.append(f"The size of the network alone reaches {floor:.3f}: {above} of {len(others)} pass it. ")
    if (top := ceiling(study)) is not None:
        split = study.config["runs_of"]
        sentences.append(f"Another training of the same cells reaches {top.kendall:.3f} ({split} accuracy). ")
    return element("p", sentences or "No score orders the cells.", class_="finding")


def _order_section(study: ProxyStudy, found: Sequence[ProxyLine], part: int) -> Html:
    rows: list[list[Any]] = []
    for line in sorted(found, key=lambda each: -np.nan_to_num(each.values.mean[part, 0], nan=-2)):
        v = line.values
        cells = [mean_cell(v.mean[part, m], v.low[part, m], v.high[part, m]) for m in range(len(MEASURES))]
        over = "–" if np.isnan(line.low) else f"{line.of_mean:.3f} [{line.low:.3f}, {line.high:.3f}]"
        rows.append([line.name, *cells, *([over, line.undefined or ""] if part == 0 else [])])
    top = ceiling(study)
    if part == 0 and top is not None:
        shown = f"{top.kendall:.3f} [{top.low:.3f}, {top.high:.3f}]"
        rows.insert(0, ["another training seed", "", "", "", "", shown, ""])
    head = ["score", *(_TITLES.get(name, "sparse Kendall's tau") for name in MEASURES)]
    head += ["Kendall's tau of the mean score", "cells undefined"] if part == 0 else []
    which = "all cells" if part == 0 else "the truly best tenth of the cells alone"
    caption = (
        f"Correlations over {which}, mean over draws, in small print the 95 % bootstrap interval over draws"
        + ("; of the mean score over draws, its interval over cells" if part == 0 else "")
        + ". Undefined scores, of cells without a path for instance, are left out. Sparse: true differences below 0.1 "
        f"points do not count.{few_words(study.config['num_seeds'], 'draw')}"
    )
    title = "How they order cells" if part == 0 else "The best tenth"
    return section(
        title, html_table(head, rows), element("p", caption, class_="caption"), id="order" if part == 0 else "best"
    )


def _noise_section(study: ProxyStudy, found: Sequence[ProxyLine]) -> Html | None:
    if study.config["num_seeds"] < 2:
        return None
    rows = [
        [line.name, mean_text(line.between, digits=3), mean_text(line.values.std[0, 0], digits=4)] for line in found
    ]
    head = ["score", "Spearman's rho between two draws", "deviation of Kendall's tau"]
    caption = "How well the scores of one draw of weights and images order those of another, mean over pairs of draws."
    return section("How much is noise", html_table(head, rows), element("p", caption, class_="caption"), id="noise")


def _published_section(study: ProxyStudy, found: Sequence[ProxyLine]) -> Html | None:
    known = [line for line in found if np.isfinite(line.published)]
    if not known:
        return None
    rows = [[line.name, f"{line.values.mean[0, 1]:.3f}", f"{line.published:.3f}"] for line in known]
    share = voted_share(study)
    vote = "" if np.isnan(share) else f" Here a vote of three decides {share:.3f} of pairs rightly."
    caption = (
        "Spearman's rho here, and its size as published (signs were left out, but for az_nas): test accuracy of all "
        "cells, networks of the benchmark's own size, one batch of 64 augmented images (of noise for az_nas). The .82 "
        "that is quoted for 'vote' on NAS-Bench-201 and CIFAR-10 is no correlation: it is the share of pairs that are "
        f"decided rightly.{vote}"
    )
    return section(
        "Published",
        html_table(["score", "here", "published"], rows),
        element("p", caption, class_="caption"),
        id="published",
    )


def _row_section(found: Sequence[ProxyLine]) -> Html:
    rows = []
    for line in found:
        row = PROXIES.rows.get(line.name)
        rows.append(
            [line.name, row.words, row.source, row.released] if row else [line.name, _TOGETHER[line.name], "", ""]
        )
    head = ["score", "what it is", "source", "what the released code does beyond the paper, and this score too"]
    return section("What they are", html_table(head, rows), id="scores")


def _time_section(study: ProxyStudy) -> Html:
    rows = [
        [", ".join(study.config["groups"][group]), seconds_text(each), seconds_text(compiling)]
        for group, (each, compiling) in seconds_by_group(study).items()
    ]
    head = ["scores of one kind of pass", "CPU seconds a cell", "to compile"]
    return section(
        "What it takes",
        html_table(head, rows),
        element("p", "Of a cell the median over draws.", class_="caption"),
        id="times",
    )
