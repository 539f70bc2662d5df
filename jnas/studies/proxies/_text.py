"""The results of a study of proxies as text: the files of numbers, and the table that a terminal shows."""

import numpy as np

from jnas.io._text import aligned, csv_text, number_cell
from jnas.studies._over_seeds import OVER_SEEDS, csv_cells, mean_text
from jnas.studies.proxies._results import ProxyStudy
from jnas.studies.proxies._summary import MEASURES, PARTS, ceiling, proxy_lines, voted_share


def scores_csv(study: ProxyStudy) -> str:
    """Returns a row for each cell and seed: its row of the table, its worth, its scores, which may be empty."""
    scores = study.scores
    rows = (
        [row, seed, number_cell(value, ".6g"), *(number_cell(each[seed, n], ".9g") for each in scores.values())]
        for seed in range(study.config["num_seeds"])
        for n, (row, value) in enumerate(zip(study.cells.rows, study.cells.truth, strict=True))
    )
    return csv_text(("cell", "seed", "truth", *scores), rows)


def proxy_summary_csv(study: ProxyStudy) -> str:
    """Returns a row for each score, part of the cells and measure (as in `csv_cells`)."""
    rows = (
        [line.name, part, measure, *csv_cells(line.values, (p, m), ".6f")]
        for line in proxy_lines(study)
        for p, part in enumerate(PARTS)
        for m, measure in enumerate(MEASURES)
    )
    return csv_text(("proxy", "cells", "measure", *OVER_SEEDS), rows)


def proxy_results_text(study: ProxyStudy) -> str:
    """Returns how every score orders the cells, as lines; signs are kept."""
    head = ["", "Kendall", "over cells", "Spearman", "published", "best tenth", "between seeds", "undefined"]
    rows = [head]
    for line in proxy_lines(study):
        mean = line.values.mean
        interval = "-" if np.isnan(line.low) else f"{line.low:.2f} to {line.high:.2f}"
        told = (mean_text(mean[0, 1], digits=3), f"({mean_text(line.published, digits=3)})")
        rows.append(
            [
                line.name,
                mean_text(mean[0, 0], digits=3),
                interval,
                *told,
                mean_text(mean[1, 0], digits=3),
                mean_text(line.between, digits=3),
                str(line.undefined),
            ]
        )
    lines = aligned(rows, "l" + "r" * (len(head) - 1))
    if (top := ceiling(study)) is not None:
        sentence = f"between two training seeds, {study.config['runs_of']}: Kendall {top.kendall:.3f}"
        lines.append(f"{sentence}, which no score can be expected to pass")
    if not np.isnan(share := voted_share(study)):
        lines.append(f"vote of synflow, jacov and snip: {share:.3f} of pairs decided rightly (no correlation)")
    return "\n".join(lines)
