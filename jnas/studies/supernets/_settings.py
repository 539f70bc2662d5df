"""The settings of a study of weight-sharing searches, in the order of the help."""

from typing import Any

from jnas.core._registry import DEFAULT_SPACE
from jnas.studies._settings import (
    FLAG,
    LOG,
    NATURAL,
    NODES,
    NUM_EPOCHS,
    NUM_SEEDS,
    OTHER_DEVICE,
    OUT,
    POSITIVE,
    PRECISION,
    REMATERIALIZE,
    ROOT_SEED,
    TABLE,
    TEXT,
    VERTICES,
    Setting,
    ValueKind,
    integer,
    one_of,
)


def _read_count(text: str) -> Any:
    return text if text == "all" else int(text)


def _is_count(value: Any) -> bool:
    return NATURAL.accepts(value) or (isinstance(value, str) and value == "all")


SHARE = ValueKind("a number between 0 and 1", float, lambda value: 0 < value < 1)

SUPERNET_SETTINGS = (
    NUM_SEEDS.of("searches of each method (default 3)", 3),
    ROOT_SEED,
    Setting(
        "epochs",
        NUM_EPOCHS,
        "N",
        "epochs of all methods (default: 50 on the digits, 10 on python-docs, else as published: 50 of DARTS and "
        "PC-DARTS; 200 of spos, fairnas, topo_fairnas, fbnet, nao, and enas on nasbench101; 50 to 100 of "
        "what came after DARTS; 250 of the others; on "
        "texts 150 of enas and 100 of the others but DARTS)",
        of_study=False,
    ),
    OUT.of("the study's folder (default: a folder in jnas-supernet/ named after the study)"),
    LOG,
    PRECISION,
    REMATERIALIZE,
    OTHER_DEVICE,
)

NET_SETTINGS = tuple(
    setting._replace(of_study=False)
    for setting in (
        Setting("space", TEXT, "NAME", f"whose supernet (default {DEFAULT_SPACE})", DEFAULT_SPACE),
        VERTICES.of(
            "nasbench101: of the cells of up to so many vertices, input and output among them (default: as many as "
            "those of the table, else 7)"
        ),
        NODES.of("recurrent: nodes of a cell (default: as many as those of the table, else 8)"),
        Setting("operations", TEXT, "NAME", "darts: of a sub-space of RobustDARTS, s1, s2, s3 or s4 (default: all)"),
        Setting(
            "channels",
            integer(1, most=65_536),
            "N",
            "of the first stage (default 16; digits 4, nasbench101 8); of texts units (default 300; python-docs 32)",
        ),
        Setting(
            "cells",
            integer(1, most=1_000),
            "N",
            "in each stage (default 5, nasbench101 3; digits 3 and 1); all of darts (default 8; digits 3)",
        ),
        Setting(
            "batch_size",
            POSITIVE,
            "N",
            "images, or streams of a text, in a batch (default: as published; python-docs 32)",
        ),
        Setting(
            "train_share",
            SHARE,
            "SHARE",
            "divide the images of training and validation anew, of each class that share for the weights and the rest "
            "for the architecture (default: as the data set does; fbnet was published with 0.8, darts with 0.5)",
        ),
        Setting(
            "controller_steps",
            POSITIVE,
            "N",
            "of enas in an epoch, 20 architectures each (default 50, as published; nasbench101 30, of 10 each; on "
            "texts 2000 of one, python-docs 50)",
        ),
        Setting(
            "comparison",
            one_of("published", "same_batches"),
            help="what setn, enas, rsps, spos, fairnas, topo_fairnas and nao compare their candidates on: each on the "
            "next batch of its own (published, the default of the first three but on nasbench101), or all on the same "
            "images",
            older=("selection",),
        ),
        Setting(
            "num_candidates",
            POSITIVE,
            "N",
            "how many these compare (default 100; spos, fairnas, topo_fairnas, and enas on nasbench101, 200; rsps on "
            "texts 1000)",
            older=("candidates",),
        ),
        Setting(
            "batch_norm",
            one_of("batch", "running", "reestimated"),
            help="what batch-norm uses where these compare: each batch's statistics (default), running estimates of "
            "the search, or estimates made anew for each candidate",
        ),
    )
)

LOOK_SETTINGS = (
    TABLE.of("what judges the cells that are found (default: for the digits the table that comes with jnas)"),
    Setting("look_every", POSITIVE, "N", "derive a cell after every N epochs (default 1)", 1),
    Setting(
        "one_shot",
        ValueKind("an integer of at least 0, or 'all'", _read_count, _is_count),
        "N",
        "evaluate so many cells of the table, or `all`, under the shared weights (default 1000 with a table)",
    ),
    Setting(
        "pool",
        NATURAL,
        "N",
        "rank so many cells of the table by the shared weights at each look, and not at the end alone (default 0; all "
        "of a table of at most 100 recurrent cells)",
        0,
    ),
    Setting(
        "test_selection",
        FLAG,
        help="report what the last candidates' accuracies on the test images would have chosen, as released code does; "
        "no search sees it",
        default=False,
    ),
    Setting(
        "hessian",
        FLAG,
        help="the largest eigenvalue of the validation loss's Hessian in the architecture parameters, at each look",
        default=False,
    ),
)

SCRATCH_SETTINGS = tuple(
    setting._replace(of_study=False)
    for setting in (
        Setting(
            "from_scratch",
            TEXT,
            "RECIPE",
            "train the cells that all searches end with, and random ones, from scratch by this recipe, when the "
            "searches have ended; RECIPE:epochs=N:channels=N:cells=N:batch_size=N:learning_rate=X changes it, `help` "
            "lists recipes",
        ),
        Setting("random", POSITIVE, "N", "so many random cells (default 20)"),
        Setting("trainings", POSITIVE, "N", "of each cell, with seeds 0 to N-1 (default 1)"),
        Setting(
            "select",
            TEXT,
            "HOW",
            "perturbation: once the searches have ended, also in a folder that was finished before, select the cells "
            "of methods with architecture parameters anew, by what their supernets lose without an operation "
            "(DARTS-PT; not of texts); perturbation:tune_epochs=N:batch_size=N changes how a supernet is tuned between "
            "two decisions (5 epochs, 64 images)",
        ),
    )
)
