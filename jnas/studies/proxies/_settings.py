"""The settings of a study of proxies, in the order of the help."""

from jnas.studies._settings import (
    DATASET,
    NAMES,
    NUM_SEEDS,
    OTHER_DEVICE,
    OUT,
    POSITIVE,
    PRECISION,
    ROOT_SEED,
    SPLIT,
    TABLE,
    TEXT,
    TRUE_RUN,
    Setting,
    integer,
)

PROXY_SETTINGS = (
    TABLE.of("the table (default: digits, which comes with jnas)", "digits"),
    Setting(
        "proxies",
        NAMES,
        "NAME,NAME",
        "which scores, or `all` (default); `help` says what they are. `params` and `flops` always stand beside them",
        of_study=False,
    ),
    DATASET.of("whose accuracy is the truth, and whose images are seen (default cifar10, or the table's first)"),
    Setting("epochs", POSITIVE, "E", "the training (default: the table's longest)"),
    SPLIT.of("the split of the accuracy (default test)", "test"),
    TRUE_RUN,
    Setting(
        "num_cells",
        integer(5),
        "N",
        "how many cells, drawn from all that the table knows (default 1000)",
        1000,
        ("cells",),
    ),
    NUM_SEEDS.of("draws of weights, each with a batch of its own (default 5)", 5),
    ROOT_SEED,
    Setting("batch_size", integer(4), "N", "images in a batch (default 64)", 64),
    OUT.of("the study's folder (default: one in jnas-proxies/ named after the study)"),
    Setting(
        "out_table",
        TEXT,
        "T.npz",
        "write the table anew, with the scores' means over seeds as columns `proxy/NAME`",
        of_study=False,
    ),
    PRECISION,
    OTHER_DEVICE,
)
