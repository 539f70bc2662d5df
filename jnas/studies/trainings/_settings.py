"""The settings of a search by real trainings, in the order of the help."""

from jnas.core._registry import DEFAULT_SPACE
from jnas.studies._settings import (
    AT_MOST,
    LOG,
    MAX_EVALUATIONS,
    NAMES,
    NODES,
    NUM_SEEDS,
    OBJECTIVES,
    OTHER_DEVICE,
    OUT,
    POSITIVE,
    ROOT_SEED,
    SEED,
    TEXT,
    WORKERS,
    Setting,
    integer,
)

SEARCHED_SETTINGS = tuple(
    setting._replace(of_study=False)
    for setting in (
        Setting("space", TEXT, "NAME", f"any space with networks (default {DEFAULT_SPACE})", DEFAULT_SPACE),
        NODES,
        Setting(
            "searchers",
            NAMES,
            "NAME,NAME",
            "which searchers, each by itself (default bananas; `help` says what they are); `NAME:SETTING=VALUE` "
            "changes a setting of one",
            ("bananas",),
            older=("searcher",),
        ),
        Setting(
            "batch",
            integer(1, most=10_000),
            "N",
            "architectures that searchers propose at once, those that can (default: each one's own; bananas 10)",
        ),
    )
)

TRAINING_SEARCH_SETTINGS = (
    MAX_EVALUATIONS.of("trainings of each search (default 100)", 100),
    NUM_SEEDS.of("searches of each searcher (default 3)", 3),
    ROOT_SEED,
    Setting(
        "training_seed",
        SEED,
        "K",
        "of every training: its first weights, the order of images and their augmentation (default 0)",
        0,
    ),
    Setting(
        "last_epochs",
        POSITIVE,
        "N",
        "the score is the mean of the validation accuracies (of texts minus perplexities) after the last N epochs "
        "(default: the recipe's, mostly 1)",
    ),
    OBJECTIVES.of(
        "search for several objectives: accuracy (of texts perplexity), then `parameters` and `flops` (multiply-adds), "
        "both in millions, or `train_seconds` of an epoch, as measured; lower is better, or higher with `=max` behind "
        "it. nsga2, multi_objective_evolution, pareto_local_search, random_search and samplers of Optuna take them so, "
        "all others scalarized under random weights",
    ),
    AT_MOST.of(
        "constraints: the same names but accuracy, with bounds; what is above one never wins, and above one of "
        "parameters or flops it is not trained, and counts as an evaluation. `NAME:constraint=filter` is a searcher "
        "that does not know of them, for which it is, `death` one that is not told by how much",
    ),
    WORKERS.of(
        "trainings that each search has under way at once (default 1): it is told of each as it ends, and goes on; "
        "each runs on one device of this machine, the next on whichever is free",
        1,
    ),
    Setting("start_from", TEXT, "DIR", "the folder of another such study, whose trainings need not be made again"),
    OUT.of("the study's folder (default: a folder in jnas-search/ named after the study)"),
    LOG,
    OTHER_DEVICE,
)
