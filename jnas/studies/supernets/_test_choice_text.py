"""What searches would have returned by the test images, as a file of numbers and as a part of the page."""

from typing import Any

import numpy as np

from jnas import spaces
from jnas.io._text import csv_text, number_cell
from jnas.pages._html import Html, details, element
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_words, named
from jnas.pages._plots import mark
from jnas.studies.supernets._results import MethodResult, SupernetStudy, of_text
from jnas.studies.supernets._summary import finite_moments, judged_column
from jnas.tables._metric import metric_of


def chosen_on_test_csv(study: SupernetStudy) -> str | None:
    """Returns a row for each method and seed: the cell of the last look, and the one that the test images choose.

    `score_test` is the latter's accuracy on the test images under the shared weights; then what the table says of both.
    None where nobody asked for it.
    """
    space, rows = spaces.from_config(study.space), []
    for result in study.methods:
        if (choice := result.test_choice) is None:
            continue
        for seed, (own, other) in enumerate(zip(result.record.archs[:, -1], choice.archs, strict=True)):
            texts = [space.to_string(arch.astype(np.int32)) for arch in (own, other)]
            values = [v for pair in zip(result.values[:, seed, -1], choice.values[:, seed], strict=True) for v in pair]
            best = metric_of(study.config).best(choice.scores[seed])
            rows.append([result.name, seed, *texts, *(number_cell(value, ".6g") for value in (best, *values))])
    names = [f"{t.dataset} {t.split} {t.epochs}" for t in study.targets]
    columns = [f"{name}{of}" for name in names for of in ("", ", chosen on test")]
    return csv_text(("method", "seed", "arch", "arch_chosen_on_test", "score_test", *columns), rows) if rows else None


def chosen_on_test(study: SupernetStudy) -> Html | None:
    """Returns what the released selection would have chosen beside the honest one; None where nobody asked for it."""
    main = judged_column(study)
    rows = [
        _row(k, result, main) for k, result in enumerate(study.methods) if main >= 0 and result.test_choice is not None
    ]
    if not rows:
        return None
    text = (
        f"The released code of the evaluation of search phases ranks its last pool by accuracies on the test images "
        "under the shared weights, and returns the first: a choice by the images that are to judge it. Here each "
        f"search's last candidates are ranked so for this table alone, on all test {of_text(study.config)} with "
        "batch-norm's statistics of each batch; the searches saw none of them. Both choices are judged by "
        f"{study.targets[main].label} of the table: means over searches with deviations."
    )
    kind = of_text(study.config)
    head = ["method", "its own choice", f"chosen on test {kind}", "difference", "the same cell"]
    table = html_table(head, rows, class_="numbers")
    return details(f"What a selection on the test {kind} would have chosen", element("p", text), table)


def _row(k: int, result: MethodResult, main: int) -> list[Any]:
    choice = result.test_choice
    assert choice is not None
    own, other = (np.asarray(values, np.float64) for values in (result.values[main, :, -1], choice.values[main]))
    alike = int((result.record.archs[:, -1] == choice.archs).all(axis=-1).sum())
    means = [mean_words(*finite_moments(values)) for values in (own, other)]
    difference = finite_moments(other - own)[0]
    told = "–" if np.isnan(difference) else f"{difference:+.2f}"
    return [named(mark(k), result.name), *means, told, f"in {alike} of {len(own)}"]
