"""The settings of a study of searchers, in the order of the help."""

from jnas.studies._settings import (
    AT_MOST,
    DATASET,
    EPOCHS,
    MAX_EVALUATIONS,
    NAMES,
    NUM_PYTHON_SEEDS,
    NUM_SEEDS,
    OBJECTIVES,
    OTHER_DEVICE,
    OUT,
    REWARD,
    ROOT_SEED,
    SECONDS,
    SPLIT,
    TABLE,
    TARGETS,
    TEXT,
    VERTICES,
    WORKERS,
    Setting,
    ValueKind,
    one_of,
)

SEARCH_SETTINGS = (
    TABLE.of(
        "the table, from `jnas table import` or `build` (default: digits, which comes with jnas)",
        "digits",
    ),
    Setting(
        "searchers",
        NAMES,
        "NAME,NAME",
        "which searchers, or `all`; `help` says what they are. By default those whose 500 seeds take seconds, "
        "without those that are random search on one training. With several --epochs, `NAME@12` uses 12 alone. "
        "`NAME:SETTING=VALUE:SETTING=VALUE` changes settings of a searcher, beside the same with others",
        of_study=False,
    ),
    NUM_SEEDS.of("searches of each searcher (default 500)", 500),
    NUM_PYTHON_SEEDS.of(
        "searches of each searcher that cannot be compiled, such as smac (default 20, at most --num-seeds)", 20
    ),
    ROOT_SEED,
    Setting(
        "budget_seconds",
        SECONDS,
        "S",
        "simulated seconds of a search (default 12,000 on the data sets of NAS-Bench-201, 1,000,000 on NAS-Bench-101)",
    ),
    MAX_EVALUATIONS.of(
        "most evaluations of a search, with or without a budget (default 100 where there is none; on NAS-Bench-101 "
        "with several --epochs, twice what the budget pays for at the middle of their mean costs)"
    ),
    DATASET.of("what to search on (default cifar10, or the table's first)"),
    Setting(
        "epochs",
        EPOCHS,
        "E,E",
        "the training to search on (default 12, or the table's shortest; all of NAS-Bench-101); several for searchers "
        "that use several; the others use the fewest (in NAS-Bench-101 the most)",
    ),
    Setting(
        "at",
        EPOCHS,
        "E,E",
        "points of the training's curve, in epochs done, for searchers that use several (tables with curves)",
    ),
    SPLIT.of("the split to search on (default validation)", "validation"),
    Setting(
        "among",
        one_of("all", "known"),
        help="search among all architectures of the space, or those of which the table knows all that is searched on "
        "(default: all, or known where that is less than half of them)",
        of_study=False,
    ),
    Setting(
        "space",
        TEXT,
        "NAME",
        "search in a space whose architectures are cells of the table: nasbench1shot1_1, nasbench1shot1_2 or "
        "nasbench1shot1_3 on a table of nasbench101 (default: the table's own)",
        of_study=False,
    ),
    VERTICES.of(
        "nasbench101: search among the cells of up to so many vertices, input and output among them, drawn uniformly "
        "(default: all that the table has)"
    ),
    Setting(
        "targets",
        TARGETS,
        "D:S:E,D:S:E",
        "by which accuracies to judge what was found: data set, split and epochs of each, such as "
        "cifar10:test:200,cifar10:validation:12 (default: validation and test of each data set at its most epochs); "
        "what is searched on stands before them in any case",
        of_study=False,
    ),
    REWARD.of(
        "which run's accuracy a search sees: `mean` over the training seeds (default), a `random` one each time, or "
        "the name of a training seed",
        "mean",
    ),
    Setting(
        "overshoot",
        one_of("discard", "keep"),
        help="what becomes of the evaluation that exceeds the budget (default discard)",
        default="discard",
    ),
    Setting(
        "objective",
        ValueKind(
            "proxy:NAME, a score without training that `jnas proxies --out-table` made a column of the table",
            accepts=lambda word: isinstance(word, str) and word.startswith("proxy:") and len(word) > 6,
        ),
        "proxy:NAME",
        "search on a score without training, a column of the table; what was found is judged by accuracies",
    ),
    OBJECTIVES.of(
        "search for several objectives: accuracy (the table's metric), then columns of the table: `parameters`, "
        "`flops`, `latency:pixel3`, `energy:eyeriss`, or any member of the file; lower is better, or higher with "
        "`=max` behind it. nsga2, multi_objective_evolution, pareto_local_search and random_search take them so, "
        "all others scalarized under random weights",
    ),
    AT_MOST.of(
        "constraints: columns as in --objectives with bounds in their units; what is above one never wins, and "
        "`NAME:constraint=filter` is a searcher that does not know of them, `death` one that is not told by how much",
    ),
    WORKERS.of(
        "evaluations made side by side in each search (default 1): each worker takes its evaluation's simulated "
        "seconds, and results are told as they come",
        1,
    ),
    OUT.of("the study's folder (default: a folder in jnas-study/ named after the study)"),
    OTHER_DEVICE,
)
