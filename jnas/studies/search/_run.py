"""How a study's programs are compiled and run, chunk by chunk, and go on from the chunks that are there."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.core._trace_statistics import incumbent_rows
from jnas.core._vocabulary import Key, Trace
from jnas.io._text import counted
from jnas.spaces._rows import encoding_finder, many_are_one
from jnas.studies import _engine
from jnas.studies._compared import ranks_among, seeds_text
from jnas.studies.search._cost import estimate_study
from jnas.studies.search._objectives import bounds_told
from jnas.studies.search._plan import SearchPlan
from jnas.studies.search._program import Program, SearchRuns, compile_program, make_program
from jnas.studies.search._results import (
    Chunk,
    drop_chunks,
    finished_path,
    join_chunks,
    load_chunk,
    save_traces,
    traces_chunk_path,
)
from jnas.tables._metric import metric_of

_WRITING = ("jnas", "jax", "platform", "device")  # what one and the same searcher's program is written differently by

Judge = Callable[[Trace], tuple[np.ndarray, np.ndarray]]
"""Of traces `[S, T]` to their incumbents `[S, T]`, and what these are worth."""


class Prepared(NamedTuple):
    """A study whose work has not begun, but of which it is known how long it will take."""

    comparable: bool  # whether the programs here can be told from those with which the study was begun
    programs: Mapping[str, Program]  # of the first searcher alone: the others are traced while it compiles
    compile_seconds: Mapping[str, float]  # estimated, by searcher


class SearchPrograms(NamedTuple):
    """The programs of a study, and what judges what they find."""

    programs: Mapping[str, Program]  # empty where they cannot be compared with those that began the study
    compiling: "Mapping[str, Future[tuple[SearchRuns, float]]]"  # of the searchers of which this process runs something
    judge: Judge
    ready: dict[str, SearchRuns]  # those that have been compiled


def estimate_search_study(work: _engine.Work) -> _engine.Estimate:
    """Returns how long what is left will take; how fast this machine is, the tracing of one program tells."""
    plan = work.plan
    chunks = {name: _chunks_left(plan, work.folder, name) for name in work.left}
    comparable = bool(chunks) or all(work.begun_with.get(n) == work.now[n] for n in _WRITING)
    programs = {name: make_program(plan, name) for name in list(plan.searchers)[:1] if comparable}
    traced = {name: program.seconds for name, program in programs.items() if plan.searchers[name].compiled}
    evaluations = {name: plan.mean_evaluations * plan.widths[name] for name in plan.searchers}
    cost = estimate_study(chunks, evaluations, traced, work.folder is not None)
    return cost._replace(prepared=Prepared(comparable, programs, cost.prepared))


@contextlib.contextmanager
def begin(work: _engine.Work) -> Iterator[SearchPrograms]:
    """Gives the programs of all searchers, those that are needed being compiled side by side."""
    plan, prepared, bar = work.plan, work.estimate.prepared, work.bar
    programs, compiling = dict(prepared.programs), {}
    with _engine.threads(len(plan.searchers)) as compilers:
        for name in plan.searchers:
            bar.say(f"{name}: preparing")
            if prepared.comparable:
                programs[name] = programs.get(name) or make_program(plan, name)
            if name in work.making:
                compiling[name] = compilers.submit(compile_program, programs[name])
                compiling[name].add_done_callback(bar.counts(prepared.compile_seconds[name]))
            elif work.folder is not None and name not in work.left:  # a study that was killed may not have come to it
                drop_chunks(finished_path(work.folder, name))
        yield SearchPrograms(programs, compiling, _make_judge(plan), {})


def identity(work: _engine.Work | None, name: str) -> dict[str, str]:
    """Returns what the file of a searcher's traces says: whose it is, and by which program."""
    programs = {} if work is None else work.own.programs
    return {"searcher": name, **({"program": programs[name].digest} if name in programs else {})}


def save_whole(path: Path, whole: Chunk, identity: Mapping[str, Any]) -> None:
    """Writes all runs of a searcher in place of its chunks."""
    save_traces(path, whole, identity)
    drop_chunks(path)


def search_headline(plan: SearchPlan) -> str:
    """Returns what a study does, in a line."""
    config = plan.config
    limits = []
    if config["budget_seconds"] is not None:
        limits.append(f"{config['budget_seconds']:,.0f} simulated seconds")
    if config["max_evaluations"] is not None:
        limits.append(counted(config["max_evaluations"], "evaluation"))
    kinds = {"mean": "mean over training seeds", "random": "a training seed at random each time"}
    kind = kinds.get(config["reward"], f"training seed {config['reward']}")
    *earlier, last = config["epochs"]
    epochs = " and ".join([*map(str, earlier), counted(last, "epoch")])
    of_epochs = f" of {config['of_epochs']}" if config["of_epochs"] else ""
    by = f"the score {config['objective'].removeprefix('proxy:')}, beside " if "objective" in config else ""
    by_workers = f" by {counted(config['workers'], 'worker')}" if "workers" in config else ""
    kind += "".join(f", {name}" for name in config.get("objectives", ())[1:])
    kind += "".join(f", {bound}" for bound in bounds_told(config))
    return (
        f"{counted(len(plan.searchers), 'searcher')} x {seeds_text(config)} on {config['table_name']}: "
        f"{by}{config['dataset']} {config['split']} {metric_of(config).name} after {epochs}{of_epochs} ({kind}), "
        f"{' or '.join(limits)} a search{by_workers}{_paid_words(plan)}"
    )


def _paid_words(plan: SearchPlan) -> str:
    """Returns how many evaluations a budget pays for where that is what ends a search, and what changes it."""
    config = plan.config
    if config["budget_seconds"] is None or plan.mean_evaluations >= 0.95 * plan.capacity:
        return ""
    about = counted(max(round(plan.mean_evaluations), 1), "evaluation")
    few = "; --budget-seconds or --max-evaluations give more" if plan.mean_evaluations < 20 else ""
    return f" (about {about}{few})"


def _chunks_left(plan: SearchPlan, folder: Path | None, name: str) -> int:
    """Returns how many of a searcher's chunks a folder lacks; at least 1, as they have not been put together."""
    if folder is None:
        return plan.num_chunks(name)
    return max(1, sum(not traces_chunk_path(folder, name, c).exists() for c in range(plan.num_chunks(name))))


def _make_judge(plan: SearchPlan) -> Judge:
    """By NumPy: compiling what judges takes as long as judging a million evaluations."""
    table = plan.table
    encoding_rows = encoding_finder(table.archs)

    def rows(archs: np.ndarray) -> np.ndarray:
        found = encoding_rows(archs)
        if many_are_one(table.space) and (found < 0).any():  # in other encodings than the table's
            filled = np.resize(archs, (1 << (len(archs) - 1).bit_length(), archs.shape[1]))  # one program for many
            found = np.asarray(table.index(filled))[: len(archs)]
        return found

    def judge(traces: Trace) -> tuple[np.ndarray, np.ndarray]:
        incumbent = incumbent_rows(traces)
        first = np.diff(incumbent, axis=1, prepend=-1) != 0  # where it is another than before
        run, place = np.nonzero(first)
        index = np.append(rows(np.asarray(traces.arch)[run, incumbent[run, place]]), np.int32(-1))
        index = np.where(incumbent >= 0, index[np.cumsum(first).reshape(first.shape) - 1], -1)
        return incumbent, np.where(index >= 0, plan.columns[:, np.maximum(index, 0)], np.float32(np.nan))

    return judge


def run_searcher(work: _engine.Work, name: str, identity: Mapping[str, Any]) -> Chunk:
    """Returns all runs of a searcher, keeping each chunk as it is done.

    Raises:
      ValueError: A chunk in the folder is of another program, or damaged; or the searcher is made for another space.
      OSError: The folder cannot be written.
    """
    chunks = [run_chunk(work, name, identity, number) for number in range(work.plan.num_chunks(name))]
    whole, columns = join_chunks(chunks, work.plan.seeds[name]), work.plan.columns
    metric, pairs = metric_of(work.plan.config), zip(columns, whole.values, strict=True)
    ranks = [ranks_among(column, own[:, -1], metric) for column, own in pairs]
    return whole._replace(ranks=np.stack(ranks), num_archs=np.isfinite(columns).sum(axis=1))


def run_chunk(work: _engine.Work, name: str, identity: Mapping[str, Any], number: int) -> Chunk:
    """Returns a chunk of a searcher's runs, which is kept; one that the folder holds is read. Errors as above."""
    plan, bar, num_chunks = work.plan, work.bar, work.plan.num_chunks(name)
    path = None if work.folder is None or num_chunks == 1 else traces_chunk_path(work.folder, name, number)
    whose = {**identity, "chunk": number} if work.identified else identity
    if path is not None and path.exists():
        there = work.as_read(finished_path(Path(), name).name, whose)
        return load_chunk(path, there, {"S": plan.widths[name], "C": len(plan.targets)})
    runs, compile_seconds = _ready(work, name)
    done = f"{number * plan.widths[name]:,} of {plan.seeds[name]:,} seeds" if num_chunks > 1 else "searching"
    bar.say(f"{name}: {done}")
    chunk: Chunk = work.do(_run_chunk, runs, work.own.programs[name].keys[number], work.own.judge)
    _check_archs(plan, name, chunk.traces)
    chunk = chunk._replace(compile_seconds=compile_seconds)
    if path is not None:
        save_traces(path, chunk, whose)
    bar.advance(work.estimate.seconds[name])
    return chunk


def _ready(work: _engine.Work, name: str) -> tuple[SearchRuns, float]:
    """Returns what runs a searcher's chunks, and the seconds that compiling took: 0 after the first time."""
    ready: dict[str, SearchRuns] = work.own.ready
    if name in ready:
        return ready[name], 0.0
    work.bar.say(f"{name}: compiling")
    ready[name], seconds = work.bar.wait(work.own.compiling[name])
    if ready[name].compiled is not None:
        work.check_memory(name, ready[name].compiled)
    return ready[name], seconds


def _check_archs(plan: SearchPlan, name: str, traces: Trace) -> None:
    """Raises ValueError where a searcher proposed choices that the table's space does not have."""
    space, archs = plan.table.space, np.asarray(traces.arch)
    outside = np.any((archs < 0) | (archs >= np.asarray(space.num_choices)), axis=-1) & np.asarray(traces.mask)
    if outside.any():
        raise ValueError(
            f"searchers[{name!r}] proposed {archs[outside][0].tolist()}, which is no architecture of the table's space "
            f"{space.name!r}; make the searcher for table.space"
        )


def _run_chunk(runs: SearchRuns, keys: Key, judge: Judge) -> Chunk:
    begin = time.perf_counter()
    traces = jax.block_until_ready(runs.call(keys))  # type: ignore[no-untyped-call]
    seconds = time.perf_counter() - begin
    traces = jax.tree.map(np.asarray, traces)
    incumbent, values = judge(traces)
    return Chunk(traces, incumbent, values, 0.0, seconds)
