"""The options of the commands that train: `jnas train` and `jnas table build`."""

from typing import Any

from jnas.commands._words import add_command, add_output
from jnas.core._registry import DEFAULT_SPACE
from jnas.studies._settings import (
    DATASET,
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
    PROCESSES,
    REMATERIALIZE,
    SEED,
    TEXT,
    VERTICES,
    Setting,
    ValueKind,
    add_settings,
    integer,
    one_of,
)

IMAGE_SETTINGS = (
    Setting("data_dir", TEXT, "DIR", "where its files lie (default: that of tensorflow-datasets)"),
    Setting("split_seed", SEED, "K", "of random splits (default 0)", 0),
    Setting("image_size", POSITIVE, "PIXELS", "make images smaller, by averaging"),
    Setting("train_images", POSITIVE, "N", "train on so many, with equal classes"),
    Setting("eval_images", POSITIVE, "N", "keep so many of each other split"),
)
_DATA_SETTINGS = (
    DATASET.of(
        "digits (default, needs no files), mnist, cifar10-valid, cifar10, cifar100, ImageNet16-120, tfds:NAME, or the "
        "path of an .npz of your own; for recurrent python-docs (default, needs no files), ptb, ptb:N (its N most "
        "frequent words), a .txt or a folder with train.txt and valid.txt, and chars: before one of them",
    ),
    IMAGE_SETTINGS[0].of("where its files lie (default: that of tensorflow-datasets; of ptb $JNAS_TEXT_DIR or ~/ptb)"),
    *IMAGE_SETTINGS[1:3],
    IMAGE_SETTINGS[3].of("train on so many images, with equal classes, or on so many tokens of a text, the first"),
    IMAGE_SETTINGS[4].of("evaluate on so many of each split"),
)
SIZE_SETTINGS = (
    Setting(
        "channels",
        integer(1, most=65_536),
        "N",
        "channels of the network's first stage, units of a language model (default: the recipe's)",
    ),
    Setting(
        "stage_cells",
        integer(1, most=1_000),
        "N",
        "cells in each of the network's stages, of darts all of them (default: the recipe's)",
    ),
)
_RECIPE_SETTINGS = (
    Setting(
        "recipe",
        TEXT,
        "NAME",
        "how to train; `help` lists them (default: digits-8 for the digits, nasbench201-12 for others; for nasbench101 "
        "small101-12 and nasbench101-108; for darts darts-digits-8 and darts-small-12; for recurrent text-quick-4 "
        "and text-small-8)",
    ),
    Setting("epochs", NUM_EPOCHS, "N", "epochs (default: the recipe's)"),
    Setting("batch_size", POSITIVE, "N", "images, or streams of a text, in a batch (default: the recipe's)"),
    Setting(
        "learning_rate",
        ValueKind("a number from 0", float, lambda value: 0 <= float(value) < float("inf")),
        "X",
        "the learning rate of the first epoch, of a language model that of all (default: the recipe's)",
    ),
    *SIZE_SETTINGS,
)
_DEVICE_SETTINGS = (
    Setting("form", one_of("switch", "dispatch", "mixture"), help="how a batch of candidates is computed"),
    Setting("chunk_size", POSITIVE, "N", "candidates in one program", older=("chunk",)),
    *PROCESSES,
    PRECISION,
    REMATERIALIZE,
    OTHER_DEVICE,
)
_LIGHTER = "--chunk-size or --batch-size, or give --rematerialize, with another --out"
_TRAIN = """\
Trains cells of NAS-Bench-201, NAS-Bench-101 or DARTS (genotypes) on images, or recurrent cells as language models on
a text. DIR gets curves.csv, curves.png and a file of weights for each run, which jnas.training.load_weights reads. Of
isomorphic cells (but NAS-Bench-201's, and recurrent ones of few nodes, which have numbers) the first that is given is
trained. Stopped at any moment, the same command goes on, to the same results.
"""
_TRAIN_SETTINGS = (
    Setting("space", TEXT, "{nasbench201,nasbench101,darts,recurrent}", f"default {DEFAULT_SPACE}", DEFAULT_SPACE),
    NODES,
    NUM_SEEDS.of("runs of each, with seeds 0 to N-1 (default 1)", 1),
    OUT.of("the folder of the runs (default jnas-train)", "jnas-train"),
    LOG,
)
_BUILD = """\
Trains the cells of a search space on a data set and writes their learning curves as a table, on which studies run:
a tabular benchmark of your own data. One cell of each class of isomorphic cells is trained, of recurrent cells every
one, as published; the others get its numbers, and the table says so. The runs stand in a folder: stopped at any moment,
the same command goes on.
"""
_BUILD_SETTINGS = (
    OUT.of("the folder of the runs (default: T, beside the table)"),
    Setting("space", TEXT, "NAME", "nasbench201 (default), nasbench101, or recurrent with --nodes", DEFAULT_SPACE),
    NODES,
    Setting("archs", TEXT, "FILE", "train the cells of this file, an architecture string on each line"),
    VERTICES.of("nasbench101: train the cells of up to so many vertices, input and output among them"),
    NUM_SEEDS.of("runs of each cell, with seeds 0 to N-1 (default 3)", 3),
    Setting("num_cells", POSITIVE, "N", "train so many cells, drawn from all (default: all)", older=("cells",)),
    Setting(
        "num_repeated",
        NATURAL,
        "N",
        "train so many cells with all seeds, the others with seed 0",
        older=("repeated",),
    ),
    Setting("no_copies", FLAG, help="train all 15,625 cells, not one of each of the 6,466 classes", default=False),
    Setting("partial", FLAG, help="train nothing; write the table of the runs that the folder holds", default=False),
    Setting("name", TEXT, "TEXT", "what to call the table"),
    Setting("compress", FLAG, help="a small file, which opens more slowly", default=False),
    LOG,
)


def add_train(commands: Any) -> None:
    """Adds `jnas train`."""
    words = "train architectures on a data set, over several seeds"
    parser = add_command(commands, "train", words, "_train:run_train", _TRAIN, goes_on=True, lighter=_LIGHTER)
    parser.add_argument(
        "archs",
        metavar="ARCH",
        nargs="*",
        help="architecture strings (in quotes), published names such as ResNet or DARTS_V2, or indices in the space",
    )
    add_settings(parser, _TRAIN_SETTINGS)
    add_training_options(parser)


def add_build(commands: Any) -> None:
    """Adds `jnas table build`."""
    words = "make a table by training the cells of a space on a data set"
    parser = add_command(commands, "build", words, "_build:run_build", _BUILD, goes_on=True, lighter=_LIGHTER)
    add_output(parser)
    add_settings(parser, _BUILD_SETTINGS)
    add_training_options(parser)


def add_training_options(parser: Any) -> None:
    """Adds the options of the commands that train."""
    add_settings(parser.add_argument_group("data"), _DATA_SETTINGS)
    add_settings(parser.add_argument_group("recipe"), _RECIPE_SETTINGS)
    add_settings(parser.add_argument_group("devices and hosts"), _DEVICE_SETTINGS)
