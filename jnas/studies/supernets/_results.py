"""What a study of weight-sharing searches leaves, as values, and how these stand in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.core._folder import FolderKind, read_part
from jnas.io._archive import write_archive
from jnas.io._fields import describe_fields
from jnas.io._text import counted
from jnas.io._tree import as_members, check_members, fill, find_leaves
from jnas.searchers.weight_sharing._loop import SearchRun
from jnas.studies.supernets import _test_choice
from jnas.studies.supernets._against_table import (
    MEMBERS,
    PREFIX,
    AgainstTable,
    against_members,
    find_against,
    join_against,
)
from jnas.studies.supernets._test_choice import ChosenOnTest, choice_members, find_choice, join_choices
from jnas.studies.supernets._yardsticks import Yardstick
from jnas.tables._targets import Reference, Target

FOLDER = FolderKind(
    "jnas-supernet",
    1,
    "a study of weight-sharing searches",
    "jnas supernet",
    "methods",
    "a file of `jnas supernet`",
    remedy="delete it, and the same command makes it again",
)
INFOS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
"""What `Record.info` holds."""

_RECORD = {
    "info": "f S T 4",
    "looked": "i L",
    "archs": "i S L E",
    "candidates": "i S L M E",
    "scores": "f S L M",
    "weights": "f S L E K",
    "eigenvalues": "f S L",
    "train_seconds": "f T",
    "look_seconds": "f L",
    "compile_seconds": "f",
}
_POOL = {"pool": "f S L P"}
_JUDGED = {"values": "f C S L", "ranks": "i S L"}
_ONE_SHOT = {
    "one_shot/archs": "i N E",
    "one_shot/truth": "f N",
    "one_shot/accuracies": "f P S N",
    "one_shot/log_probability": "f S N",
    "one_shot/seconds": "f P",
}


class Record(NamedTuple):
    """What was seen of the `S` searches of a method, after `T` epochs and `L` looks; NumPy arrays.

    Seconds are measured here, of all seeds together.
    """

    info: NDArray[np.float32]  # [S, T, 4], means over the steps of an epoch; NaN for what no step saw
    looked: NDArray[np.int32]  # [L], after how many epochs
    archs: NDArray[np.int8]  # [S, L, E], what the search would have returned
    candidates: NDArray[np.int8]  # [S, L, M, E], those that it was chosen from
    scores: NDArray[np.float32]  # [S, L, M], their accuracies under the shared weights in percent; NaN: not compared
    weights: NDArray[np.float32]  # [S, L, E, K], probabilities of the operations on each edge; NaN: it has diverged
    eigenvalues: NDArray[np.float32]  # [S, L], of the Hessian in the architecture parameters; NaN: not asked for
    train_seconds: NDArray[np.float64]  # [T]
    look_seconds: NDArray[np.float64]  # [L]
    compile_seconds: NDArray[np.float64]  # [], of all programs
    pool: NDArray[np.float32] | None = None  # [S, L, P], accuracies of the plan's pool in percent; None: not asked for


class OneShot(NamedTuple):
    """What the shared weights of `S` searches say of `N` architectures, and what a table says of them."""

    archs: NDArray[np.int8]  # [N, E]
    truth: NDArray[np.float32]  # [N], percent; NaN where the table does not know
    accuracies: NDArray[np.float32]  # [P, S, N], percent, for each batch-norm policy of the study
    log_probability: NDArray[np.float32]  # [S, N]
    seconds: NDArray[np.float64]  # [P], of all seeds together, with compiling; measured here


class MethodResult(NamedTuple):
    """`S` searches of a method, judged by `C` columns of a table (none without a table)."""

    name: str
    record: Record
    values: NDArray[np.float32]  # [C, S, L] percent, of the architectures in `record.archs`
    ranks: NDArray[np.int32]  # [S, L] of the table's cells by the main column, 1 is the best; -1 where unknown
    one_shot: OneShot | None
    against: AgainstTable | None = None  # None without a table, and in folders made before it
    test_choice: ChosenOnTest | None = None  # None where nobody asked for it


class FromScratch(NamedTuple):
    """What training from scratch says of `A` cells with `R` seeds, by `C` splits, and what `K` methods say of them."""

    recipe: Mapping[str, Any]
    splits: tuple[str, ...]
    judged: int  # the split by which cells are judged: that of the test, if there is one
    methods: tuple[str, ...]
    archs: NDArray[np.int8]  # [A, E]
    found: NDArray[np.int32]  # [K, S], which of them each search of each method ended with; -1 where it diverged
    random: NDArray[np.int32]  # [N], which of them were drawn; the same one may have been drawn again
    accuracies: NDArray[np.float32]  # [C, A, R], percent after the last epoch; NaN where a training diverged
    shared: NDArray[np.float32]  # [K, S, A], percent under the weights that each search ended with
    log_probability: NDArray[np.float32]  # [K, S, A], that each search gives to them
    costs: NDArray[np.float32]  # [2, A], millions of parameters and of multiply-adds
    divided: bool = False  # whether the recipe's share of the images of training and validation was learned from


class Selected(NamedTuple):
    """What `S` searches of each of `K` methods come to by a selection by perturbation, judged by `C` columns."""

    settings: Mapping[str, Any]
    methods: tuple[str, ...]
    archs: NDArray[np.int8]  # [K, S, E]
    values: NDArray[np.float32]  # [K, C, S] percent; NaN where the table does not know, and of searches that diverged


@describe_fields
class SupernetStudy(NamedTuple):
    """A whole study of weight-sharing searches.

    Attributes:
      config: As config.json holds it.
      versions: Of jnas, jax, numpy, Python; the device; XLA flags.
      space: `Space.config`.
      targets: The columns of the table; empty without one.
      references: The optimum, cells known by name, random cells.
      methods: Those that have finished.
      yardsticks: Of the cells that the shared weights are asked about.
      scratch: None where nothing was trained from scratch.
      selected: None where nothing was selected anew.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    space: str
    targets: tuple[Target, ...]
    references: tuple[Reference, ...]
    methods: tuple[MethodResult, ...]
    yardsticks: tuple[Yardstick, ...] = ()
    scratch: FromScratch | None = None
    selected: Selected | None = None


def of_text(config: Mapping[str, Any]) -> str:
    """Returns what a study's examples are: `'images'`, or the `'words'` or `'characters'` of a text."""
    return str(config["text"]["unit"]) if "text" in config else "images"


def sizes_words(config: Mapping[str, Any]) -> list[str]:
    """Returns the sizes of a study's supernets, such as `['4 channels', '1 cell']`."""
    names = {"channels": "unit" if "text" in config else "channel", "cells": "cell", "nodes": "node"}
    return [counted(config[key], name) for key, name in names.items() if key in config]


def diverged(record: Record) -> NDArray[np.bool_]:
    """Returns whether a search had numbers that are not finite at each look, `[S, L]`."""
    return np.asarray(np.isnan(record.weights).any(axis=(-2, -1)))


# Searches between two epochs.


def save_search(path: Path, run: SearchRun, record: Record, identity: Mapping[str, Any]) -> None:
    """Writes the searches of a method as they stand, beside the file and renamed.

    Args:
      path: Where.
      run: With a leading axis of seeds.
      record: What was seen of them so far.
      identity: What the file is to say of itself.
    """
    write_archive(path, identity, {**as_members(run, "state/"), **_record_members(record)})


def load_search(path: Path, identity: Mapping[str, Any], template: SearchRun) -> tuple[SearchRun, Record]:
    """Returns what `save_search` wrote.

    Args:
      path: The file.
      identity: What it must say of itself.
      template: A run as this study would begin it, or its shapes; the leaves come where its own are.

    Raises:
      ValueError: The file is damaged, or of another study.
    """
    arrays = read_part(
        path, identity, FOLDER, _RECORD, optional=(_POOL,), fits=lambda arrays: find_leaves(arrays, template, "state/")
    ).arrays
    run: SearchRun = fill(template, find_leaves(arrays, template, "state/"), place=True)
    return run, _find_record(arrays)


def _record_members(record: Record) -> dict[str, Any]:
    return {field: array for field, array in record._asdict().items() if array is not None}


def _find_record(arrays: Mapping[str, Any]) -> Record:
    return Record._make(arrays.get(field) for field in Record._fields)


def join_searches(
    paths: Sequence[Path], whose: Sequence[Mapping[str, Any]], path: Path, identity: Mapping[str, Any]
) -> None:
    """Writes the searches of a method that several processes made, as one of them would have.

    Args:
      paths: Of `save_search`, seeds in order.
      whose: What each file must say of itself.
      path: Where to.
      identity: What the file is to say of itself.

    Raises:
      ValueError: A file is damaged, or of another study.
    """
    parts = [
        read_part(at, said, FOLDER, _RECORD, optional=(_POOL,)).arrays for at, said in zip(paths, whose, strict=True)
    ]
    state = [name for name in parts[0] if name.startswith("state/")]
    joined = {name: np.concatenate([arrays[name] for arrays in parts]) for name in state}
    records = [_find_record(arrays) for arrays in parts]
    write_archive(path, identity, {**joined, **_record_members(join_records(records))})


def join_records(records: Sequence[Record]) -> Record:
    """Returns what was seen of the seeds of all, which took what they took together."""
    joined: dict[str, Any] = {"looked": records[0].looked}
    for field in ("info", "archs", "candidates", "scores", "weights", "eigenvalues"):
        joined[field] = np.concatenate([getattr(record, field) for record in records])
    pools = [record.pool for record in records if record.pool is not None]
    joined["pool"] = np.concatenate(pools) if len(pools) == len(records) else None
    for field in ("train_seconds", "look_seconds", "compile_seconds"):
        joined[field] = np.sum([getattr(record, field) for record in records], axis=0)
    return Record(**joined)


# Searches that have ended.


def join_methods(parts: Sequence[MethodResult]) -> MethodResult:
    """Returns what the seeds of all parts came to, in their order."""
    one_shot = None
    shots = [part.one_shot for part in parts if part.one_shot is not None]
    if shots:
        one_shot = shots[0]._replace(
            accuracies=np.concatenate([shot.accuracies for shot in shots], axis=1),
            log_probability=np.concatenate([shot.log_probability for shot in shots]),
            seconds=np.sum([shot.seconds for shot in shots], axis=0),
        )
    return MethodResult(
        name=parts[0].name,
        record=join_records([part.record for part in parts]),
        values=np.concatenate([part.values for part in parts], axis=1),
        ranks=np.concatenate([part.ranks for part in parts]),
        one_shot=one_shot,
        against=join_against([part.against for part in parts]),
        test_choice=join_choices([part.test_choice for part in parts]),
    )


def save_method(path: Path, result: MethodResult, identity: Mapping[str, Any]) -> None:
    """Writes what a method's searches came to."""
    arrays: dict[str, Any] = {**_record_members(result.record), "values": result.values, "ranks": result.ranks}
    if result.one_shot is not None:
        arrays |= {f"one_shot/{name}": array for name, array in result.one_shot._asdict().items()}
    arrays |= {} if result.against is None else against_members(result.against)
    arrays |= {} if result.test_choice is None else choice_members(result.test_choice)
    write_archive(path, identity, arrays, compress=True)


def load_method(path: Path, name: str, identity: Mapping[str, Any], config: Mapping[str, Any]) -> MethodResult:
    """Returns what `save_method` wrote; errors are those of `read_part`."""
    sizes = {"S": config["num_seeds"], "T": config["epochs"][name], "C": len(config["judged_by"])}
    own = {**sizes, "P": config.get("pool", 0)}
    chosen = dict(sizes)
    sizes |= {"N": config["one_shot"], "P": len(config["batch_norms"])}

    def fits(arrays: Mapping[str, np.ndarray]) -> None:
        if any(name.startswith(PREFIX) for name in arrays):
            check_members(arrays, {**_RECORD, **MEMBERS, **(_POOL if "pool" in arrays else {})}, own)
        if any(name.startswith(_test_choice.PREFIX) for name in arrays):
            check_members(arrays, {**_RECORD, **_test_choice.MEMBERS}, chosen)

    arrays = read_part(path, identity, FOLDER, {**_RECORD, **_JUDGED}, sizes, optional=(_ONE_SHOT,), fits=fits).arrays
    one_shot = None
    if "one_shot/truth" in arrays:
        one_shot = OneShot._make(arrays[f"one_shot/{field}"] for field in OneShot._fields)
    record = _find_record(arrays)
    found = (find_against(arrays), find_choice(arrays))
    return MethodResult(name, record, arrays["values"], arrays["ranks"], one_shot, *found)
