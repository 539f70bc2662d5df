"""The folder of a study: what it holds, how it is written, and how a study goes on from it.

```
config.json        the configuration, the columns and references, the versions
traces/NAME.npz    a searcher's traces and what they were worth; NAME.part-0003.npz is a chunk of an unfinished one
summary.csv        one row for each searcher, data set, split and epochs
report.html        the same with pictures
```
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from jnas.core._trace_statistics import elapsed_seconds
from jnas.core._vocabulary import Trace
from jnas.io._archive import read_archive, write_archive
from jnas.io._atomic import remove_unfinished
from jnas.studies._folder import FolderKind, config_digest, open_result_folder, read_description
from jnas.studies.search._results import SearcherResult, StudyResults
from jnas.tables._targets import Reference, Target

FORMAT = "jnas-study"
VERSION = 1
_FOLDER = FolderKind(FORMAT, VERSION, "a jnas study", command="jnas study", parts="traces")
_KIND = "the traces of a jnas study"


class Chunk(NamedTuple):
    """Some runs of a searcher: `S` of them."""

    traces: Any  # a Trace of NumPy arrays, [S, T, ...]
    incumbent: np.ndarray  # [S, T] int32
    values: np.ndarray  # [num_targets, S, T] float32
    compile_seconds: float
    run_seconds: float


def open_folder(out: str | os.PathLike[str], description: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Makes a study's folder, or finds the one of a study that was begun.

    Args:
      out: The folder.
      description: From `describe`; one that is there must agree with it.

    Returns:
      The folder's path, and what its config.json says now: of a study that was begun, what it said.

    Raises:
      ValueError: The folder holds another study, or something else.
      OSError: It cannot be made or written.
    """
    folder, said = open_result_folder(out, description, _FOLDER)
    _tidy(folder, said["config"]["searchers"])
    return folder, said


def _tidy(folder: Path, searchers: Sequence[str]) -> None:
    """Removes the files that a study which was killed had not finished writing."""
    stems = "|".join(re.escape(finished_path(folder, name).name.removesuffix(".npz")) for name in searchers)
    remove_unfinished(folder, r"config\.json|summary\.csv|report\.html")
    remove_unfinished(folder / "traces", rf"(?:{stems})(?:\.part-\d{{4,}})?\.npz")


def describe(
    config: Mapping[str, Any],
    versions: Mapping[str, str],
    space: str,
    targets: Sequence[Target],
    references: Sequence[Reference],
) -> dict[str, Any]:
    """Returns what config.json says."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": dict(config),
        "versions": dict(versions),
        "space": space,
        "targets": [list(t) for t in targets],
        "references": [[r.name, [_null(v) for v in r.values], r.arch] for r in references],
    }


def _null(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


# Traces.


def finished_path(folder: Path, name: str) -> Path:
    """Returns where a searcher's traces stand once all are there."""
    return folder / "traces" / f"{quote(name, safe=' ()+,=')}.npz"


def chunk_path(folder: Path, name: str, chunk: int) -> Path:
    """Returns where a chunk of a searcher's traces stands until then."""
    whole = finished_path(folder, name)
    return whole.with_name(f"{whole.name.removesuffix('.npz')}.part-{chunk:04d}.npz")


def save_chunk(path: Path, chunk: Chunk, identity: Mapping[str, Any]) -> None:
    """Writes runs of a searcher, in the fewest bits that hold them."""
    traces = chunk.traces
    arrays = {
        "arch": _narrow(traces.arch),
        "fidelity": _narrow(traces.fidelity),
        "score": traces.score,
        "seconds": traces.seconds,
        "valid": traces.valid,
        "mask": traces.mask,
        "stopped_by": _narrow(traces.stopped_by),
        "incumbent": _narrow(chunk.incumbent),
        "values": chunk.values,
    }
    times = {"compile_seconds": chunk.compile_seconds, "run_seconds": chunk.run_seconds}
    write_archive(path, {"format": FORMAT, "version": VERSION, **identity, **times}, arrays, compress=True)


def _narrow(array: np.ndarray) -> np.ndarray:
    """Returns integers in the smallest type that holds them."""
    for kind in (np.int8, np.int16):
        if array.size == 0 or (array.min() >= np.iinfo(kind).min and array.max() <= np.iinfo(kind).max):
            return array.astype(kind)
    return array


def load_chunk(path: Path, identity: Mapping[str, Any]) -> Chunk:
    """Returns runs of a searcher.

    Args:
      path: The file.
      identity: What the file must say of itself: the study, the searcher, its program.

    Raises:
      ValueError: The file is damaged, of another origin, or of another study or searcher.
    """
    remedy = "delete it and run the study again"
    header, arrays = read_archive(path, kind=_KIND, remedy=remedy)
    wrong = [n for n, v in identity.items() if header.get(n) != v]
    if header.get("format") != FORMAT or header.get("version") != VERSION or (wrong and wrong != ["program"]):
        raise ValueError(f"{path} is not of this study; {remedy}, or give another --out")
    if wrong:
        raise ValueError(
            f"{path} was made by another program: the searcher or the objective has changed since; give another --out, "
            "or delete that file"
        )
    try:
        chunk = _as_chunk(header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not {_KIND}, or it is damaged ({error}); {remedy}") from None
    return chunk


def _as_chunk(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Chunk:
    shape = arrays["score"].shape
    if len(shape) != 2:
        raise ValueError(f"score has shape {list(shape)}, expected [S, T]")
    expected: dict[str, tuple[tuple[int, ...], str, Any]] = {
        "arch": ((*shape, *arrays["arch"].shape[2:3]), "i", np.int32),
        "fidelity": (shape, "i", np.int32),
        "score": (shape, "f", np.float32),
        "seconds": (shape, "f", np.float32),
        "valid": (shape, "b", np.bool_),
        "mask": (shape, "b", np.bool_),
        "stopped_by": (shape[:1], "i", np.int32),
        "incumbent": (shape, "i", np.int32),
        "values": ((*arrays["values"].shape[:1], *shape), "f", np.float32),
    }
    for name, (size, kind, _) in expected.items():
        if arrays[name].shape != size or arrays[name].dtype.kind != kind:
            raise ValueError(f"{name} is {arrays[name].dtype}{list(arrays[name].shape)}, expected {list(size)}")
    read = {name: arrays[name].astype(dtype) for name, (_, _, dtype) in expected.items()}
    return Chunk(
        traces=Trace._make(read[name] for name in Trace._fields),
        incumbent=read["incumbent"],
        values=read["values"],
        compile_seconds=float(header["compile_seconds"]),
        run_seconds=float(header["run_seconds"]),
    )


def join_chunks(chunks: Sequence[Chunk], num_seeds: int) -> Chunk:
    """Returns the runs of all chunks, of which the first `num_seeds` count, with rows that no run used cut off."""
    joined = Trace._make(np.concatenate(x)[:num_seeds] for x in zip(*(c.traces for c in chunks), strict=True))
    length = max(int(joined.mask.sum(axis=1).max()), 1)
    return Chunk(
        traces=Trace._make([*(x[:, :length] for x in joined[:-1]), joined.stopped_by]),
        incumbent=np.concatenate([c.incumbent for c in chunks])[:num_seeds, :length],
        values=np.concatenate([c.values for c in chunks], axis=1)[:, :num_seeds, :length],
        compile_seconds=sum(c.compile_seconds for c in chunks),
        run_seconds=sum(c.run_seconds for c in chunks),
    )


def as_result(name: str, chunk: Chunk) -> SearcherResult:
    """Returns a searcher's runs as the report takes them."""
    last = chunk.incumbent[:, -1]
    archs = np.take_along_axis(chunk.traces.arch, np.maximum(last, 0)[:, None, None], axis=1)[:, 0]
    return SearcherResult(
        name=name,
        traces=chunk.traces,
        elapsed=elapsed_seconds(chunk.traces),
        incumbent=chunk.incumbent,
        values=chunk.values,
        final=chunk.values[:, :, -1],
        final_archs=np.where(last[:, None] >= 0, archs, -1).astype(np.int32),
        compile_seconds=chunk.compile_seconds,
        run_seconds=chunk.run_seconds,
    )


def load_study(folder: str | os.PathLike[str]) -> StudyResults:
    """Returns the results in a study's folder: of those searchers that have finished.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is not a study's, or a file in it is damaged.
    """
    folder = Path(folder)
    found = read_description(folder, _FOLDER)
    try:
        names = [str(n) for n in found["config"]["searchers"]]
        targets = tuple(Target(str(d), str(s), int(e)) for d, s, e in found["targets"])
        references = tuple(
            Reference(str(name), np.asarray([math.nan if v is None else v for v in values], np.float64), arch)
            for name, values, arch in found["references"]
        )
        config, versions, space = found["config"], dict(found["versions"]), str(found["space"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} is damaged ({error!r}); give another folder") from None
    identity = {"study": config_digest(config)}
    finished = [(n, finished_path(folder, n)) for n in names]
    chunks = [(n, load_chunk(path, identity | {"searcher": n})) for n, path in finished if path.exists()]
    return StudyResults(config, versions, space, targets, references, tuple(as_result(n, c) for n, c in chunks))
