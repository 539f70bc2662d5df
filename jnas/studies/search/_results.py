"""What a study leaves, as values, and how these stand in its folder.

```
traces/NAME.npz           a searcher's traces and what they were worth
traces/NAME.part-0003.npz a chunk of an unfinished one
summary.csv               one row for each searcher, data set, split and epochs
fronts.csv                with several objectives, one for each searcher and number of evaluations
report.html               the same with pictures
```
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import jax
import numpy as np

from jnas.core._folder import FolderKind, read_part
from jnas.core._trace_statistics import elapsed_seconds
from jnas.core._vocabulary import Trace
from jnas.core.stepping._admission import empty_trace
from jnas.io._archive import write_archive
from jnas.io._fields import describe_fields
from jnas.io._tree import check_members
from jnas.statistics._statistics import check_choice
from jnas.studies.papers._tidy import data_frame, run_curves_csv, runs_csv
from jnas.studies.search._objectives import TableFront
from jnas.tables._targets import Reference, Target

FOLDER = FolderKind("jnas-study", 1, "a jnas study", "jnas study", "traces", "the traces of a jnas study")
_TIMES = ("compile_seconds", "run_seconds")
_MEMBERS = {
    "arch": "i S T E",
    "fidelity": "i S T",
    "score": "f S T",
    "seconds": "f S T",
    "valid": "b S T",
    "mask": "b S T",
    "stopped_by": "i S",
    "incumbent": "i S T",
    "values": "f C S T",
}
_RANKS = {"ranks": "i C S", "num_archs": "i C"}  # files of before have none
_OBJECTIVES = {"objectives": "f S T O"}  # where evaluations have them
_WORKERS = {"finish": "f S T pair", "worker": "i S T"}  # where there are several
_WIDE = {"i": np.int32, "f": np.float32, "b": np.bool_}


@describe_fields
class SearcherResult(NamedTuple):
    """`S` runs of one searcher. The incumbent at row `t` is the best of rows `0 .. t` in the highest fidelity seen.

    Attributes:
      name: What the study calls it.
      traces: NumPy arrays, [S, T, ...].
      elapsed: float64 `[S, T]`, simulated seconds after each evaluation.
      incumbent: int32 `[S, T]`, row of the incumbent after each evaluation; -1 before the first valid one.
      values: float32 `[num_targets, S, T]`, the incumbent's accuracy in percent after each evaluation, or the
        table's metric in its unit.
      final: float32 `[num_targets, S]`, that of the architecture that the run returns.
      final_archs: int32 `[S, E]`.
      compile_seconds: Measured here.
      run_seconds: Measured here.
      ranks: int32 `[num_targets, S]`, of `final` among the table's; -1 unknown; None: not kept.
      num_archs: `[num_targets]`, architectures that have a number.
    """

    name: str
    traces: Trace
    elapsed: np.ndarray
    incumbent: np.ndarray
    values: np.ndarray
    final: np.ndarray
    final_archs: np.ndarray
    compile_seconds: float
    run_seconds: float
    ranks: np.ndarray | None = None
    num_archs: np.ndarray | None = None


class SharedRanking(NamedTuple):
    """How the shared weights of `S` searches ranked a pool when they ended, by a table."""

    pool: str  # in words
    kendall: np.ndarray  # [S]
    percentiles: Mapping[int, np.ndarray]  # [S], of the predicted best so many: the median one's


class TrainedPool(NamedTuple):
    """The `N` trainings that the searches of a study shared, each once."""

    scores: (
        np.ndarray
    )  # [N], what was searched on, higher is better; NaN where the training diverged or violates a bound
    worth: np.ndarray  # [num_targets, N], of the metric (percent)
    sampled: Mapping[str, np.ndarray]  # by searcher that samples the space, bool [N]: what it asked for


@describe_fields
class StudyResults(NamedTuple):
    """A whole study.

    Attributes:
      config: The study's configuration, as config.json holds it.
      versions: Of jnas, jax, numpy, Python; the device; XLA flags.
      space: `Space.config`.
      targets: The columns of the comparison.
      references: Its rows that no search made.
      searchers: One for each searcher, in the order of the configuration.
      searched: By reference, its accuracy by what was searched on, where it is known.
      rankings: Of weight-sharing searches, by their names.
      yardsticks: Each a `Yardstick`: what else ranks the cells that shared weights are asked about.
      reachable: By searcher with a released encoding, the fields of `Reachable`.
      pool: Where evaluations are trainings.
      front: The table's exact front, where there are several objectives.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    space: str
    targets: tuple[Target, ...]
    references: tuple[Reference, ...]
    searchers: tuple[SearcherResult, ...]
    searched: Mapping[str, float | None] = {}
    rankings: Mapping[str, SharedRanking] = {}
    yardsticks: Sequence[Any] = ()
    reachable: Mapping[str, Sequence[float]] = {}
    pool: TrainedPool | None = None
    front: TableFront | None = None

    def to_pandas(self, what: Literal["runs", "curves"] = "runs") -> Any:
        """Returns a tidy pandas data frame; pandas is an extra (`pip install 'jnas[pandas]'`).

        Args:
          what: `'runs'`: a row for each searcher, seed and target with what the run returned (`value`, of the metric:
            percent of accuracy; `score`, what was seen of it; `evaluations`; `seconds`, simulated; `arch`).
            `'curves'`: a row for each improvement of each run, and for its end, with `evaluation` and `seconds`.

        Raises:
          ImportError: pandas is not installed.
          ValueError: `what` is neither.
        """
        check_choice("what", what, ("runs", "curves"))
        return data_frame({"runs": runs_csv, "curves": run_curves_csv}[what](self))


class Chunk(NamedTuple):
    """Some runs of a searcher: `S` of them."""

    traces: Any  # a Trace of NumPy arrays, [S, T, ...]
    incumbent: np.ndarray  # [S, T] int32
    values: np.ndarray  # [num_targets, S, T] float32
    compile_seconds: float
    run_seconds: float
    ranks: np.ndarray | None = None  # as in `SearcherResult`, once all runs are there
    num_archs: np.ndarray | None = None


def traces_file_name(name: str) -> str:
    """Returns the name of the file of a searcher's traces."""
    return f"{quote(name, safe=' ()+,=')}.npz"


def finished_path(folder: Path, name: str) -> Path:
    """Returns where a searcher's traces stand once all are there."""
    return folder / FOLDER.parts / traces_file_name(name)


def traces_chunk_path(folder: Path, name: str, chunk: int) -> Path:
    """Returns where a chunk of a searcher's traces stands until then."""
    whole = finished_path(folder, name)
    return whole.with_name(f"{whole.name.removesuffix('.npz')}.part-{chunk:04d}.npz")


def drop_chunks(path: Path) -> None:
    """Removes the chunks of traces that have been put together in a file."""
    chunk = re.compile(rf"{re.escape(path.name.removesuffix('.npz'))}\.part-\d{{4,}}\.npz")
    for other in path.parent.iterdir():
        if chunk.fullmatch(other.name):
            other.unlink(missing_ok=True)


def save_traces(path: Path, chunk: Chunk, identity: Mapping[str, Any]) -> None:
    """Writes runs of a searcher, in the fewest bits that hold them."""
    held = {**chunk.traces._asdict(), "incumbent": chunk.incumbent, "values": chunk.values}
    arrays = {name: _narrow(held[name]) if text[0] == "i" else held[name] for name, text in _MEMBERS.items()}
    arrays |= {name: held[name] for name in (*_OBJECTIVES, *_WORKERS) if held[name] is not None}
    if chunk.ranks is not None:
        arrays |= {"ranks": chunk.ranks, "num_archs": chunk.num_archs}
    times = {name: getattr(chunk, name) for name in _TIMES}
    write_archive(path, {**identity, **times}, arrays, compress=True)


def _narrow(array: np.ndarray) -> np.ndarray:
    """Returns integers in the smallest type that holds them."""
    for kind in (np.int8, np.int16):
        if array.size == 0 or (array.min() >= np.iinfo(kind).min and array.max() <= np.iinfo(kind).max):
            return array.astype(kind)
    return array


def load_whole(path: Path, name: str, identity: Mapping[str, Any], config: Mapping[str, Any]) -> Chunk:
    """Returns all runs of a searcher, of which the configuration says how many there are; errors as `load_chunk`."""
    sizes = {"S": config.get("fewer_seeds", {}).get(name, config["num_seeds"]), "C": len(config["judged_by"])}
    return load_chunk(path, identity, sizes)


def load_chunk(path: Path, identity: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Chunk:
    """Returns runs of a searcher, of sizes among those that `_MEMBERS` names; errors are those of `read_part`."""

    def fits(arrays: Mapping[str, np.ndarray]) -> None:
        if "ranks" in arrays:
            check_members(arrays, {**_MEMBERS, **_RANKS}, sizes)

    sizes = {**(sizes or {}), "pair": 2}
    groups = (_OBJECTIVES, _WORKERS)
    header, arrays = read_part(path, identity, FOLDER, _MEMBERS, sizes, _TIMES, optional=groups, fits=fits)
    expected = {**_MEMBERS, **_OBJECTIVES, **_WORKERS}
    read: dict[str, Any] = {
        name: array.astype(_WIDE[expected[name][0]]) for name, array in arrays.items() if name in expected
    }
    traces = Trace._make(read.get(name) for name in Trace._fields)
    times, ranks = (header[name] for name in _TIMES), (arrays.get(name) for name in _RANKS)
    return Chunk(traces, read["incumbent"], read["values"], *times, *ranks)


def join_chunks(chunks: Sequence[Chunk], num_seeds: int) -> Chunk:
    """Returns the runs of all chunks, of which the first `num_seeds` count, with rows that no run used cut off."""
    used = np.concatenate([c.traces.mask.sum(axis=1) for c in chunks])[:num_seeds]
    length = max(int(used.max()), 1)
    chunks = [_at_least(chunk, length) for chunk in chunks]

    def joined(*parts: np.ndarray) -> np.ndarray:  # cut before they are copied, so that nothing keeps what is cut off
        return np.concatenate([x[:, :length] if x.ndim > 1 else x for x in parts])[:num_seeds]

    return Chunk(
        traces=jax.tree.map(joined, *(c.traces for c in chunks)),
        incumbent=joined(*(c.incumbent for c in chunks)),
        values=np.concatenate([c.values[:, :, :length] for c in chunks], axis=1)[:, :num_seeds],
        compile_seconds=sum(c.compile_seconds for c in chunks),
        run_seconds=sum(c.run_seconds for c in chunks),
    )


def _at_least(chunk: Chunk, length: int) -> Chunk:
    """Returns runs with at least so many rows: those of a study that was extended were cut before longer ones came."""
    num_runs, more, num_decisions = len(chunk.incumbent), length - chunk.incumbent.shape[1], chunk.traces.arch.shape[2]
    if more <= 0:
        return chunk
    further = None if chunk.traces.objectives is None else chunk.traces.objectives.shape[2]
    unused = empty_trace(more, num_decisions, further, chunk.traces.worker is not None)

    def longer(rows: np.ndarray, row: Any) -> np.ndarray:
        if rows.ndim == 1:  # of the whole run
            return rows
        return np.concatenate([rows, np.broadcast_to(np.asarray(row), (num_runs, *row.shape))], axis=1)

    return chunk._replace(
        traces=jax.tree.map(longer, chunk.traces, unused),
        incumbent=np.pad(chunk.incumbent, ((0, 0), (0, more)), "edge"),
        values=np.pad(chunk.values, ((0, 0), (0, 0), (0, more)), "edge"),
    )


def as_result(name: str, chunk: Chunk) -> SearcherResult:
    """Returns a searcher's runs as the report takes them."""
    last = chunk.incumbent[:, -1]
    archs = np.take_along_axis(chunk.traces.arch, np.maximum(last, 0)[:, None, None], axis=1)[:, 0]
    return SearcherResult(
        **chunk._asdict(),
        name=name,
        elapsed=elapsed_seconds(chunk.traces),
        final=chunk.values[:, :, -1],
        final_archs=np.where(last[:, None] >= 0, archs, -1).astype(np.int32),
    )
