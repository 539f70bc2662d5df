"""The settings of a study of predictors, in the order of the help."""

from typing import Any

from jnas.studies._settings import (
    CHUNK,
    DATASET,
    NAMES,
    NUM_PYTHON_SEEDS,
    NUM_SEEDS,
    OTHER_DEVICE,
    OUT,
    POSITIVE,
    ROOT_SEED,
    SPLIT,
    TABLE,
    TRUE_RUN,
    Setting,
    ValueKind,
    integer,
)


def _read_sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(part) for part in text.split(",")}))


def _are_sizes(sizes: Any) -> bool:
    return bool(sizes) and all(map(POSITIVE.accepts, sizes)) and list(sizes) == sorted(set(sizes))


PREDICTOR_SETTINGS = (
    TABLE.of("the table (default: digits, which comes with jnas)", "digits"),
    Setting(
        "predictors",
        NAMES,
        "NAME,NAME",
        "which predictors, or `all`; `help` says what they are. By default those whose fits take well under a second. "
        "`NAME:SETTING=VALUE` changes a setting of a predictor",
        of_study=False,
    ),
    Setting(
        "encodings",
        NAMES,
        "NAME,NAME",
        "what predictors read, each a row of its own: path, adjacency, one_hot, ... (default: each predictor's own, "
        "path and adjacency); those of graphs read graphs",
        of_study=False,
    ),
    Setting(
        "train_sizes",
        ValueKind("sizes that ascend, such as 20,100,500", _read_sizes, _are_sizes),
        "N,N",
        "to how many cells predictors are fitted (default 20,100,500)",
        (20, 100, 500),
    ),
    Setting("test_cells", integer(2), "N", "for how many others they predict (default 500)", 500),
    NUM_SEEDS.of("draws of cells (default 20)", 20),
    NUM_PYTHON_SEEDS.of(
        "draws for predictors that cannot be compiled, such as random_forest (default 5, at most --num-seeds)", 5
    ),
    ROOT_SEED,
    Setting(
        "precision_at",
        ValueKind(
            "a number of cells, or a share of them below 1",
            float,
            lambda value: 0 < value < 1 or (value >= 1 and float(value).is_integer()),
        ),
        "K",
        "k of the precision at k: a number of cells, or a share of the test cells such as 0.1 (default 10)",
        10,
    ),
    DATASET.of("whose accuracy is predicted (default cifar10, or the table's first)"),
    Setting("epochs", POSITIVE, "E", "the training (default 12, or the table's; 108 of NAS-Bench-101)"),
    SPLIT.of("the split (default validation)", "validation"),
    TRUE_RUN,
    CHUNK.of("most seeds that run at once (default 25; fewer take less memory)", 25),
    OUT.of("the study's folder (default: one in jnas-predictors/ named after the study)"),
    OTHER_DEVICE,
)
