"""The files of training runs: chunks that are finished, and checkpoints of chunks between two epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jnas.core._vocabulary import Network, Weights
from jnas.io._archive import read_archive, write_archive
from jnas.io._atomic import remove_unfinished
from jnas.training.runs._train import Curves, RunState

REMEDY = "delete it, and the same command trains that chunk again"


def chunk_path(folder: Path, chunk: int) -> Path:
    """Returns where the finished runs of a chunk stand."""
    return folder / "runs" / f"chunk-{chunk:05d}.npz"


def part_path(path: Path) -> Path:
    """Returns where a chunk stands between two epochs."""
    return path.with_suffix(".part.npz")


def tidy(folder: Path, paths: Mapping[int, Path]) -> None:
    """Removes what a kill left of this process's own chunks; other processes may be writing theirs."""
    if not paths:
        return
    names = "|".join(path.stem for path in paths.values())
    remove_unfinished(folder / "runs", rf"(?:{names})(?:\.part)?\.npz")
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
    path = chunk_path(folder, chunk)
    _, arrays = read_archive(path, kind="a chunk of training runs", remedy=REMEDY)
    arch = np.zeros(network.space.num_decisions, np.int32)
    like = Weights(*jax.eval_shape(network.init, jax.eval_shape(lambda: jax.random.key(0)), arch))
    old, structure = jax.tree.flatten(like)
    leaves = [arrays.get(f"weights/{i}") for i in range(len(old))]
    for leaf, expected in zip(leaves, old, strict=True):
        if leaf is None or leaf.shape != (num_runs, *expected.shape) or leaf.dtype != expected.dtype:
            raise ValueError(f"{path} has not the weights of {num_runs} runs; {REMEDY}")
    weights: Weights = jax.tree.unflatten(structure, leaves)
    return weights


def save_chunk(path: Path, curves: Curves, failed: np.ndarray, weights: Any, seconds: float) -> None:
    """Writes the finished runs of a chunk."""
    arrays = {f"{kind}/{split}": v for kind, by in curves._asdict().items() for split, v in by.items()}
    arrays["failed"] = failed
    if weights is not None:
        arrays |= {f"weights/{i}": leaf for i, leaf in enumerate(jax.tree.leaves(weights))}
    write_archive(path, {"seconds_per_run": seconds}, arrays)


def save_part(path: Path, state: RunState, curves: Curves, seconds: float) -> None:
    """Writes a chunk between two epochs."""
    leaves = jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))
    arrays = {f"state/{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    arrays |= {f"{kind}/{split}": v for kind, by in curves._asdict().items() for split, v in by.items()}
    write_archive(path, {"seconds": seconds}, arrays)


def load_part(path: Path, template: RunState, splits: Sequence[str], epochs: int) -> tuple[RunState, Curves, float]:
    """Returns a checkpoint in the order of a template, whatever number of devices it was made on.

    Raises:
      ValueError: The file is damaged, or one of other runs.
    """
    header, arrays = read_archive(path, kind="a checkpoint of training runs", remedy=REMEDY)
    plain = template._replace(key=jax.random.key_data(template.key))
    old, structure = jax.tree.flatten(plain)
    try:
        leaves = [arrays[f"state/{i}"] for i in range(len(old))]
        kept: RunState = jax.tree.unflatten(structure, leaves)
        each: Any = ({split: arrays[f"{kind}/{split}"] for split in splits} for kind in Curves._fields)
        curves = Curves(*each)
        seconds = float(header["seconds"])
        length, done = len(kept.key), curves.accuracy["train"].shape[-1]
        if any(a.shape != (length, *b.shape[1:]) or a.dtype != b.dtype for a, b in zip(leaves, old, strict=True)):
            raise ValueError("a shape does not fit")
        if any(leaf.shape != (length, done) for leaf in jax.tree.leaves(curves)) or not 0 < done <= epochs:
            raise ValueError("its curves do not fit")
        places = {run: place for place, run in enumerate(_names_of_runs(kept))}
        rows = np.asarray([places[run] for run in _names_of_runs(plain)])
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
        told = "a part is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is a checkpoint of other runs ({told}); {REMEDY}") from None
    placed = [jax.device_put(leaf[rows], like.sharding) for leaf, like in zip(leaves, old, strict=True)]
    state = jax.tree.unflatten(structure, placed)
    curves = jax.tree.map(lambda array: array[rows], curves)
    return state._replace(key=jax.random.wrap_key_data(state.key)), curves, seconds


def _names_of_runs(state: RunState) -> list[bytes]:
    """Returns what tells runs apart: their keys, as plain numbers, with their architectures."""
    return [
        key.tobytes() + arch.tobytes() for key, arch in zip(np.asarray(state.key), np.asarray(state.arch), strict=True)
    ]
