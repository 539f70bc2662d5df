"""The files of training runs: chunks that are finished, and checkpoints of chunks between two epochs."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jnas.core._folder import FolderKind, read_description, settings_digest
from jnas.core._vocabulary import Network, Weights
from jnas.io._archive import read_archive, write_archive
from jnas.io._atomic import remove_unfinished
from jnas.io._seal import SEAL
from jnas.io._tree import as_members, fill, find_leaves, plain
from jnas.training.runs._run_state import Curves, RunState

FOLDER = FolderKind(
    "jnas-training",
    1,
    "training runs",
    "jnas train",
    "runs",
    "a chunk of training runs",
    remedy="delete it, and the same command trains that chunk again",
    work="training runs",
    elsewhere="another folder, or the same arguments to go on",
    flat=True,
    this="these training runs",
)


def job_chunk_path(folder: Path, chunk: int) -> Path:
    """Returns where the finished runs of a chunk stand."""
    return folder / FOLDER.parts / f"chunk-{chunk:05d}.npz"


def part_path(path: Path) -> Path:
    """Returns where a chunk stands between two epochs."""
    return path.with_suffix(".part.npz")


def identities(folder: Path) -> Callable[[int], dict[str, Any]]:
    """Returns what the files of each chunk say of whose they are: nothing, where a folder was begun before they did.

    Raises:
      ValueError: The folder's config.json is missing or damaged.
    """
    said = read_description(folder, FOLDER)
    if SEAL not in said:
        return lambda chunk: {}
    whose = {**FOLDER.header, "runs": settings_digest(said, FOLDER)}
    return lambda chunk: {**whose, "chunk": chunk}


def tidy(folder: Path, paths: Mapping[int, Path]) -> None:
    """Removes what a kill left of this process's own chunks; other processes may be writing theirs."""
    if not paths:
        return
    names = "|".join(path.stem for path in paths.values())
    remove_unfinished(folder / FOLDER.parts, rf"(?:{names})(?:\.part)?\.npz")
    for path in paths.values():
        if path.exists():
            part_path(path).unlink(missing_ok=True)


def load_chunk_weights(folder: Path, chunk: int, num_runs: int, network: Network) -> Weights:
    """Returns what the runs of a chunk learned, NumPy arrays with a leading axis.

    Args:
      folder: From `open_folder`.
      chunk: Its number.
      num_runs: How many runs it has.
      network: What they trained.

    Raises:
      ValueError: The file is damaged, or was made without `keep_weights`.
    """
    path, identity = job_chunk_path(folder, chunk), identities(folder)(chunk)
    arch = np.zeros(network.space.num_decisions, np.int32)
    init = jax.vmap(network.init, in_axes=(None, None), axis_size=num_runs)
    like = Weights(*jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)), arch))

    def check(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        try:
            _check_whose(header, identity)
            find_leaves(arrays, like, "weights/")
        except ValueError as error:
            raise ValueError(f"{path} has not the weights of {num_runs} runs ({error}); {FOLDER.remedy}") from None

    arrays = read_archive(path, kind=FOLDER.files, remedy=FOLDER.remedy, check=check).arrays
    weights: Weights = jax.tree.unflatten(jax.tree.structure(like), find_leaves(arrays, like, "weights/"))
    return weights


def _check_whose(header: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    if any(header.get(name) != value for name, value in identity.items()):
        raise ValueError(f"it is not of {FOLDER.this}")


def save_job_chunk(
    path: Path, curves: Curves, failed: np.ndarray, weights: Any, seconds: float, identity: Mapping[str, Any]
) -> None:
    """Writes the finished runs of a chunk."""
    arrays = {**_curve_members(curves), "failed": failed}
    if weights is not None:
        arrays |= as_members(weights, "weights/")
    write_archive(path, {**identity, "seconds_per_run": seconds}, arrays)


def save_part(path: Path, state: RunState, curves: Curves, seconds: float, identity: Mapping[str, Any]) -> None:
    """Writes a chunk between two epochs."""
    write_archive(path, {**identity, "seconds": seconds}, {**as_members(state, "state/"), **_curve_members(curves)})


def _curve_members(curves: Curves) -> dict[str, np.ndarray]:
    return {f"{kind}/{split}": v for kind, by in curves._asdict().items() for split, v in by.items()}


def load_part(
    path: Path, template: RunState, splits: Sequence[str], epochs: int, identity: Mapping[str, Any]
) -> tuple[RunState, Curves, float]:
    """Returns a checkpoint in the order of a template, whatever number of devices it was made on.

    Raises:
      ValueError: The file is damaged, or one of other runs.
    """

    def find(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], Curves, float]:
        _check_whose(header, identity)
        each: Any = ({split: arrays[f"{kind}/{split}"] for split in splits} for kind in Curves._fields)
        curves = Curves(*each)
        length, done = curves.accuracy["train"].shape
        if any(leaf.shape != (length, done) for leaf in jax.tree.leaves(curves)) or not 0 < done <= epochs:
            raise ValueError("its curves do not fit")
        return find_leaves(arrays, template, "state/", rows=length), curves, float(header["seconds"])

    @contextlib.contextmanager
    def others_said() -> Iterator[None]:
        try:
            yield
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
            told = "a part is missing" if isinstance(error, KeyError) else error
            raise ValueError(f"{path} is a checkpoint of other runs ({told}); {FOLDER.remedy}") from None

    def check(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        with others_said():
            find(header, arrays)

    found = read_archive(path, kind="a checkpoint of training runs", remedy=FOLDER.remedy, check=check)
    leaves, curves, seconds = find(*found)
    with others_said():
        kept: RunState = jax.tree.unflatten(jax.tree.structure(template), leaves)
        places = {run: place for place, run in enumerate(_names_of_runs(kept))}
        rows = np.asarray([places[run] for run in _names_of_runs(template)])
    state: RunState = fill(template, [leaf[rows] for leaf in leaves], place=True)
    return state, jax.tree.map(lambda array: array[rows], curves), seconds


def _names_of_runs(state: RunState) -> list[bytes]:
    """Returns what tells runs apart: their keys, as plain numbers, with their architectures."""
    return [k.tobytes() + arch.tobytes() for k, arch in zip(plain(state.key), np.asarray(state.arch), strict=True)]
