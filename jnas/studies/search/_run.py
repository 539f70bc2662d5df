"""How a study's programs are compiled and run, chunk by chunk, and go on from the chunks that are there."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jnas.core._trace_statistics import best_so_far
from jnas.core._vocabulary import Array, Key, Trace
from jnas.io._progress import ProgressBar
from jnas.io._text import counted
from jnas.studies._folder import config_digest
from jnas.studies._threads import threads
from jnas.studies._versions import check_versions, versions
from jnas.studies.search._cost import Estimate, estimate_study
from jnas.studies.search._folder import (
    Chunk,
    chunk_path,
    finished_path,
    join_chunks,
    load_chunk,
    save_chunk,
)
from jnas.studies.search._plan import Plan
from jnas.studies.search._program import Program, Runs, compile_program, make_program
from jnas.tables._table import Table

_WRITING = ("jnas", "jax", "platform", "device")  # what one and the same searcher's program is written differently by


class Prepared(NamedTuple):
    """A study whose work has not begun, but of which it is known what is left and how long it will take."""

    left: Mapping[str, int]  # chunks to run, by searcher; 0 where all that remains is to read
    comparable: bool  # whether the programs here can be told from those with which the study was begun
    programs: Mapping[str, Program]  # of the first searcher alone: the others are traced while it compiles
    estimate: Estimate


def prepare(plan: Plan, folder: Path | None, begun_with: Mapping[str, str]) -> Prepared:
    """Returns what is left of a study, and an estimate.

    Args:
      plan: What to do.
      folder: The study's folder, or None to keep nothing.
      begun_with: The versions with which the folder's study was begun.

    Raises:
      ValueError: There is work left, and the study was begun with other versions.
    """
    left = {name: _chunks_left(plan, folder, name) for name in plan.searchers}
    unfinished, now = any(left.values()), versions()
    if unfinished:
        check_versions(begun_with, now)
    comparable = unfinished or all(begun_with.get(n) == now[n] for n in _WRITING)
    programs = {name: make_program(plan, name) for name in list(plan.searchers)[:1] if comparable}
    traced = {name: program.seconds for name, program in programs.items() if plan.searchers[name].compiled}
    evaluations = {name: plan.mean_evaluations * plan.widths[name] for name in plan.searchers}
    estimate = estimate_study({n: c for n, c in left.items() if c}, evaluations, traced, folder is not None)
    return Prepared(left, comparable, programs, estimate)


def run_searchers(
    plan: Plan, table: Table, folder: Path | None, prepared: Prepared, bar: ProgressBar
) -> dict[str, Chunk]:
    """Returns the runs of all searchers: those that a folder holds, and those that it lacks.

    Raises:
      ValueError: The folder's chunks are of another program, or damaged.
      OSError: The folder cannot be written.
    """
    programs, judge, done = dict(prepared.programs), _make_judge(plan, table), {}
    with threads(len(plan.searchers)) as compilers, threads(1) as runner:
        compiling = {}
        for name in plan.searchers:
            bar.say(f"{name}: preparing")
            if prepared.comparable:
                programs[name] = programs.get(name) or make_program(plan, name)
            if prepared.left[name]:
                compiling[name] = compilers.submit(compile_program, programs[name])
                compiling[name].add_done_callback(bar.counts(prepared.estimate.compile[name]))
        for name in plan.searchers:
            identity = {"study": config_digest(plan.config), "searcher": name}
            if prepared.comparable:
                identity["program"] = programs[name].digest
            if not prepared.left[name] and folder is not None:
                done[name] = load_chunk(finished_path(folder, name), identity)
                _drop_chunks(plan, folder, name)  # a study that was killed may not have come to it
                continue
            work = _Work(name, programs[name], compiling[name], judge, runner, identity)
            done[name] = _run_searcher(plan, work, folder, prepared.estimate, bar)
    return done


class _Work(NamedTuple):
    """One searcher's share of the work."""

    name: str
    program: Program
    compiling: "Future[tuple[Runs, float]]"
    judge: Callable[[Trace], tuple[np.ndarray, np.ndarray]]
    runner: ThreadPoolExecutor
    identity: Mapping[str, str]


def headline(plan: Plan) -> str:
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
    fewer = ", ".join(f"{name} {count:,}" for name, count in config.get("fewer_seeds", {}).items())
    seeds = counted(config["num_seeds"], "seed") + (f" ({fewer})" if fewer else "")
    of_epochs = f" of {config['of_epochs']}" if config["of_epochs"] else ""
    return (
        f"{counted(len(plan.searchers), 'searcher')} x {seeds} on {config['table_name']}: "
        f"{config['dataset']} {config['split']} accuracy after {epochs}{of_epochs} ({kind}), "
        f"{' or '.join(limits)} a search"
    )


def _chunks_left(plan: Plan, folder: Path | None, name: str) -> int:
    """Returns how many of a searcher's chunks a folder lacks; at least 1 where they have not been put together."""
    if folder is None:
        return plan.num_chunks(name)
    if finished_path(folder, name).exists():
        return 0
    return max(1, sum(not chunk_path(folder, name, c).exists() for c in range(plan.num_chunks(name))))


def _drop_chunks(plan: Plan, folder: Path, name: str) -> None:
    """Removes a searcher's chunks, which have been put together."""
    for number in range(plan.num_chunks(name)):
        chunk_path(folder, name, number).unlink(missing_ok=True)


def _make_judge(plan: Plan, table: Table) -> Callable[[Trace], tuple[np.ndarray, np.ndarray]]:
    """Returns a function from traces `[S, T]` to their incumbents `[S, T]` and what these are worth."""

    @jax.jit
    def find(traces: Trace) -> tuple[Array, Array]:
        return best_so_far(traces).row, table.index(traces.arch)

    def judge(traces: Trace) -> tuple[np.ndarray, np.ndarray]:
        incumbent, index = (np.asarray(x) for x in find(traces))
        index = np.where(incumbent >= 0, np.take_along_axis(index, np.maximum(incumbent, 0), axis=1), -1)
        return incumbent, np.where(index >= 0, plan.columns[:, np.maximum(index, 0)], np.float32(np.nan))

    return judge


def _run_searcher(plan: Plan, work: _Work, folder: Path | None, estimate: Estimate, bar: ProgressBar) -> Chunk:
    """Returns all runs of a searcher, keeping each chunk as it is done."""
    bar.say(f"{work.name}: compiling")
    compiled, compile_seconds = bar.wait(work.compiling)
    num_chunks, num_seeds = plan.num_chunks(work.name), plan.seeds[work.name]
    chunks = []
    for number in range(num_chunks):
        path = None if folder is None or num_chunks == 1 else chunk_path(folder, work.name, number)
        if path is not None and path.exists():
            chunks.append(load_chunk(path, work.identity))
            continue
        done = f"{number * plan.widths[work.name]:,} of {num_seeds:,} seeds" if num_chunks > 1 else "searching"
        bar.say(f"{work.name}: {done}")
        chunk = bar.wait(work.runner.submit(_run_chunk, compiled, work.program.keys[number], work.judge))
        chunks.append(chunk._replace(compile_seconds=compile_seconds))
        compile_seconds = 0.0
        if path is not None:
            save_chunk(path, chunks[-1], work.identity)
        bar.advance(estimate.run[work.name])
    whole = join_chunks(chunks, num_seeds)
    if folder is not None:
        save_chunk(finished_path(folder, work.name), whole, work.identity)
        _drop_chunks(plan, folder, work.name)
    return whole


def _run_chunk(runs: Runs, keys: Key, judge: Callable[[Trace], tuple[np.ndarray, np.ndarray]]) -> Chunk:
    begin = time.perf_counter()
    traces = jax.block_until_ready(runs(keys))  # type: ignore[no-untyped-call]
    seconds = time.perf_counter() - begin
    incumbent, values = judge(traces)
    return Chunk(Trace._make(map(np.asarray, traces)), incumbent, values, 0.0, seconds)
