"""What a study of weight-sharing searches leaves, as values, and how these stand in files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.io._archive import read_archive, write_archive
from jnas.searchers.weight_sharing._loop import SearchRun
from jnas.tables._targets import Reference, Target

__all__ = [
    "MethodResult",
    "OneShot",
    "Record",
    "SupernetStudy",
    "diverged",
    "load_method",
    "load_search",
    "save_method",
    "save_search",
]

FORMAT = "jnas-supernet"
VERSION = 1
INFOS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
"""What `Record.info` holds."""

REMEDY = "delete it, and the same command makes it again"


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


class SupernetStudy(NamedTuple):
    """A whole study of weight-sharing searches."""

    config: Mapping[str, Any]  # as config.json holds it
    versions: Mapping[str, str]
    space: str  # `Space.config`
    targets: tuple[Target, ...]  # the columns of the table; empty without one
    references: tuple[Reference, ...]  # the optimum, cells known by name, random cells
    methods: tuple[MethodResult, ...]  # those that have finished


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
    arrays = {f"state/{i}": _as_numpy(leaf) for i, leaf in enumerate(jax.tree.leaves(run))}
    write_archive(path, {"format": FORMAT, "version": VERSION, **identity}, {**arrays, **record._asdict()})


def load_search(path: Path, identity: Mapping[str, Any], template: SearchRun) -> tuple[SearchRun, Record]:
    """Returns what `save_search` wrote.

    Args:
      path: The file.
      identity: What it must say of itself.
      template: A run as this study would begin it, or its shapes; the leaves come where its own are.

    Raises:
      ValueError: The file is damaged, or of another study.
    """
    arrays = _read(path, identity)
    old, structure = jax.tree.flatten(template)
    found = [arrays.get(f"state/{i}") for i in range(len(old))]
    for leaf, like in zip(found, old, strict=True):
        expected = _as_numpy(like)
        if leaf is None or leaf.shape != expected.shape or leaf.dtype != expected.dtype:
            raise ValueError(f"{path} does not hold the searches of this study; {REMEDY}")
    run: SearchRun = jax.tree.unflatten(structure, [_restored(a, b) for a, b in zip(found, old, strict=True)])
    return run, _as_record(path, arrays)


def _as_numpy(leaf: Any) -> NDArray[Any]:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _restored(array: Any, like: Any) -> Any:
    if _is_key(like):
        array = jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like))
    return jax.device_put(array, like.sharding)


# Searches that have ended.


def save_method(path: Path, result: MethodResult, identity: Mapping[str, Any]) -> None:
    """Writes what a method's searches came to."""
    arrays: dict[str, Any] = {**result.record._asdict(), "values": result.values, "ranks": result.ranks}
    if result.one_shot is not None:
        arrays |= {f"one_shot/{name}": array for name, array in result.one_shot._asdict().items()}
    write_archive(path, {"format": FORMAT, "version": VERSION, **identity}, arrays, compress=True)


def load_method(path: Path, name: str, identity: Mapping[str, Any]) -> MethodResult:
    """Returns what `save_method` wrote.

    Raises:
      ValueError: The file is damaged, or of another study.
    """
    arrays = _read(path, identity)
    one_shot = None
    try:
        if "one_shot/truth" in arrays:
            one_shot = OneShot._make(arrays[f"one_shot/{field}"] for field in OneShot._fields)
        result = MethodResult(name, _as_record(path, arrays), arrays["values"], arrays["ranks"], one_shot)
    except KeyError as error:
        raise ValueError(f"{path} is damaged (it has no {error}); {REMEDY}") from None
    if not _fits(result):
        raise ValueError(f"{path} is damaged (its arrays do not fit one another); {REMEDY}")
    return result


def _fits(result: MethodResult) -> bool:
    searches = result.record.archs.shape[:2]
    if result.values.shape[1:] != searches or result.ranks.shape != searches:
        return False
    if result.one_shot is None:
        return True
    archs, truth, accuracies, log_probability, seconds = result.one_shot
    known = (searches[0], len(truth)) if truth.ndim == 1 else None
    return (
        accuracies.shape[1:] == known
        and log_probability.shape == known
        and archs.shape == (len(truth), *result.record.archs.shape[2:])
        and seconds.shape == accuracies.shape[:1]
    )


def _read(path: Path, identity: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    header, arrays = read_archive(path, kind="a file of `jnas supernet`", remedy=REMEDY)
    expected = {"format": FORMAT, "version": VERSION, **identity}
    if any(header.get(name) != value for name, value in expected.items()):
        raise ValueError(f"{path} is not of this study; {REMEDY}, or give another --out")
    return arrays


def _as_record(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Record:
    try:
        record = Record._make(arrays[field] for field in Record._fields)
        seeds, epochs, _ = record.info.shape
        looks = len(record.looked)
        leading = {"archs": 3, "candidates": 4, "scores": 3, "weights": 4, "eigenvalues": 2}
        wrong = [n for n, d in leading.items() if (a := getattr(record, n)).ndim != d or a.shape[:2] != (seeds, looks)]
        if wrong or record.train_seconds.shape != (epochs,) or record.look_seconds.shape != (looks,):
            raise ValueError(f"sizes of {', '.join(wrong) or 'the seconds'} do not fit")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); {REMEDY}") from None
    return record
