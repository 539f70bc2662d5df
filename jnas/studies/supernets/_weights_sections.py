"""The sections of the report of weight-sharing searches on what shared weights know, and on what all of it took."""

from typing import Any

import numpy as np

from jnas.pages._html import Html, details, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_words, named, panels, seconds_text
from jnas.pages._plots import mark
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers.weight_sharing._analysis import COEFFICIENTS
from jnas.studies.supernets._plots import agreement_panel
from jnas.studies.supernets._results import SupernetStudy, of_text
from jnas.studies.supernets._summary import agreement, finite_moments, judged_column
from jnas.tables._metric import TableMetric, metric_of

_NAMES = {
    "probability": "probability",
    "batch": "accuracy, statistics of each batch",
    "running": "accuracy, running estimates",
    "reestimated": "accuracy, estimated anew",
}
_TITLES = {"pearson": "Pearson", "spearman": "Spearman", "kendall": "Kendall", "sparse_kendall": "sparse Kendall"}
_TITLES |= {"sparse_kendall_floor": "sparse Kendall, published bins"}
_PARTS = {"all": "All evaluated cells", "best": "The truly best tenth of them"}


def weights_section(study: SupernetStudy) -> Html | None:
    """Returns how shared weights agree with the table: like Table 7 of the paper of NAS-Bench-201."""
    main, config = judged_column(study), study.config
    if main < 0 or not config["one_shot"]:
        return None
    label, metric = study.targets[main].label, metric_of(config)
    found = [agreement(result, tuple(config["batch_norms"]), metric) for result in study.methods]
    tables = []
    for part, title in _PARTS.items():
        rows: list[list[Any]] = [
            [
                element("div", named(mark(k), result.name), element("small", _named(a.predictor, metric))),
                *(mean_words(*finite_moments(a.coefficients[name]), ".3f") for name in COEFFICIENTS),
            ]
            for k, result in enumerate(study.methods)
            for a in found[k]
            if a.part == part
        ]
        count = next(a.cells for a in found[0] if a.part == part)
        if count < 2:
            continue  # nothing to order
        head = ["method and prediction", *_TITLES.values()]
        tables.append(details(f"{title}: {count:,}", html_table(head, rows, class_="numbers"), open=part == "all"))
    text = (
        f"How the order that a search ends with agrees with the table's {metric.name} on {label}: that of the "
        f"probabilities that it gives to cells, and that of the cells' {metric.plural} under its shared weights on all "
        f"{of_text(config)} of the "
        f"{config['split']} split, with each policy of batch-norm. Correlations are means over seeds, with standard "
        "deviations; a search that prefers nothing has none for its probability. Sparse Kendall's tau does not count "
        f"true differences below 0.1 points: true {metric.plural} are rounded to tenths, or, as the published code "
        f"does, cut "
        "to them in floating point. The cells are drawn from all that the table knows."
    )
    return section(
        "What the shared weights know", element("p", text), tables, _published(study), _pictures(study), id="weights"
    )


def _named(predictor: str, metric: TableMetric) -> str:
    return _NAMES[predictor].replace("accuracy", metric.name)


def _published(study: SupernetStudy) -> Html | None:
    published = find_benchmark(study.config["space"]).agreement
    names = [result.name for result in study.methods if result.name in published]
    if not names:
        return None
    head = ["method", "probability", _NAMES["batch"], _NAMES["running"]]
    rows = [[name, *(f"{value:.4f}" for value in published[name])] for name in names]
    text = (
        "Of accuracies on one batch of 2,048 validation images with the ground truth on CIFAR-10's validation images; "
        f"here all images of the split are compared with {study.targets[judged_column(study)].label}."
    )
    title = "Table 7 of the paper (CIFAR-10, published sizes)"
    return details(title, element("p", text), html_table(head, rows, class_="numbers"))


def _pictures(study: SupernetStudy) -> Html | None:
    """Returns accuracies under the shared weights of the first seed against the table."""
    if "batch" not in study.config["batch_norms"]:
        return None
    place, label = study.config["batch_norms"].index("batch"), study.targets[judged_column(study)].label
    metric = metric_of(study.config)
    boxes = [
        (
            named(mark(k), result.name),
            agreement_panel(
                np.asarray(result.one_shot.truth, np.float64),
                np.asarray(result.one_shot.accuracies[place, 0], np.float64),
                mark(k),
                metric=metric,
                title=f"{result.name}: {metric.plural} under the shared weights of seed 0 against {label}",
            ),
        )
        for k, result in enumerate(study.methods)
        if result.one_shot is not None
    ]
    caption = (
        f"Each dot is a cell: its {metric.name} on {label} by the table, and on the {study.config['split']} split "
        "under the shared weights of seed 0 with statistics of each batch. Axes leave out the "
        f"{'lowest' if metric.higher_is_better else 'highest'} two in a hundred of either."
    )
    return panels(boxes, caption)


def training_time_section(study: SupernetStudy) -> Html:
    """Returns what methods took here."""
    config, rows = study.config, []
    for k, result in enumerate(study.methods):
        record = result.record
        one_shot = "–" if result.one_shot is None else seconds_text(float(result.one_shot.seconds.sum()))
        rows.append(
            [
                element("div", named(mark(k), result.name)),
                seconds_text(float(record.compile_seconds)),
                seconds_text(float(np.median(record.train_seconds)) / config["num_seeds"]),
                seconds_text(float(np.median(record.look_seconds)) / config["num_seeds"]),
                seconds_text(float(record.train_seconds.sum()) / config["num_seeds"]),
                one_shot,
            ]
        )
    head = ["method", "compiling", "an epoch, a seed", "a look, a seed", "training, a seed", "one-shot analysis"]
    text = (
        f"Wall time measured here, on {study.versions.get('device', 'this machine')}; no simulated seconds. All seeds "
        "of a method run in one program, whose time is divided by their number. A look derives the cell (and compares "
        "its candidates). Epochs and looks are medians. The one-shot analysis is that of all seeds, with its compiling."
    )
    return section("What it took", element("p", text), html_table(head, rows, class_="numbers"), id="times")
