"""How the searches of a searcher are carried out: all seeds side by side, what they ask for trained together."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.core._folder import config_digest
from jnas.core._program_memory import program_memory_words
from jnas.core._search import compile_steps
from jnas.core._trace_statistics import incumbent_rows
from jnas.core._vocabulary import Searcher, Trace
from jnas.io._run_log import run_log
from jnas.io._text import counted
from jnas.studies._engine import Work
from jnas.studies._keys import seed_keys
from jnas.studies.search._results import Chunk
from jnas.studies.trainings._answers import Answering, answering
from jnas.studies.trainings._beside import Search, run_beside
from jnas.studies.trainings._devices import open_devices
from jnas.studies.trainings._files import BEFORE, FOLDER, searches_path
from jnas.studies.trainings._objectives import goals_of
from jnas.studies.trainings._pace import Pace
from jnas.studies.trainings._plan import TrainingSearchPlan
from jnas.studies.trainings._searches import Run, ask, first_run, tell
from jnas.studies.trainings._store import Store, as_trained
from jnas.training.operations._forms import branches


class _Own(NamedTuple):
    """What the searches of a study share."""

    store: Store
    pace: Pace
    answering: Callable[[Searcher], Answering]  # what a searcher is told


@contextlib.contextmanager
def begin_trainings(work: Work) -> Iterator[_Own]:
    """Gives the trainings that the folder holds; those of searchers that have finished are taken up."""
    assert work.folder is not None
    identity = {**FOLDER.header, "study": config_digest(work.plan.config)}
    with run_log(work.plan.log, work.folder) as log:
        yield _begun(work, Store(work.plan, work.folder, identity, work.share, log))


def _begun(work: Work, store: Store) -> _Own:
    """Returns what the searches share, with the trainings that the folder holds."""
    assert work.folder is not None
    if work.left and work.plan.start_from is not None:
        work.say(f"starting from {counted(store.start_from(work.plan.start_from), 'training')}")
    elif work.left:
        store.take_up(BEFORE)
    for name in work.plan.searchers:
        if work.left:
            store.take_up(name)
        if name not in work.left and work.share.process == 0:  # where a kill came between its results and this
            searches_path(work.folder, name).unlink(missing_ok=True)
    if work.left and work.share.process == 0:
        store.drop_alone(left=True)
    return _Own(store, Pace(work), answering(work.plan, store))


def train_proposals(work: Work, name: str, identity: Mapping[str, Any]) -> Chunk:
    """Returns the searches of a searcher over all seeds, going on from where the folder has them.

    Where a kill came between a training and the searchers' next step, they are asked again for what has been trained:
    with the same keys and scores they propose the same. So are those that only Python can drive, from the beginning.

    Raises:
      ValueError: A file of the folder is damaged, or of another study.
      OSError: A file cannot be written.
    """
    chunk: Chunk = work.do(_run_searcher, work, name)
    return chunk


def _run_searcher(work: Work, name: str) -> Chunk:
    started = time.perf_counter()
    run = _run_with_workers if _workers(work.plan) > 1 else _run_in_rounds
    answer, canonical = work.own.answering(work.plan.searchers[name]), as_trained(work.plan.network.space)
    runs = run(work, name, answer)
    traces = jax.tree.map(lambda *leaves: np.stack(leaves), *(each.trace for each in runs))
    return _judged(work, answer.without_spared(traces, canonical), canonical, time.perf_counter() - started)


def _workers(plan: TrainingSearchPlan) -> int:
    return int(plan.config.get("workers", 1))


def _begin_all(work: Work, name: str) -> tuple[Searcher, Any, list[Run]]:
    """Returns a searcher, its steps, and its searches before their first proposals."""
    plan, workers = work.plan, _workers(work.plan)
    searcher, capacity = plan.searchers[name], plan.config["max_evaluations"]
    steps = compile_steps(searcher, capacity, None, "discard", workers, capacity)
    size = capacity, plan.network.space.num_decisions, goals_of(plan.config).num_columns, workers
    keys = seed_keys(plan.config["root_seed"], name, plan.config["num_seeds"])
    return searcher, steps, [first_run(searcher, steps, key, *size) for key in keys]


def _run_in_rounds(work: Work, name: str, answer: Answering) -> list[Run]:
    """Returns the searches after what they ask for side by side has been trained together, round by round."""
    plan, store, capacity = work.plan, work.own.store, work.plan.config["max_evaluations"]
    canonical = as_trained(plan.network.space)
    searcher, steps, runs = _begin_all(work, name)
    keeps = searcher.compiled and work.share.process == 0  # other processes begin anew, with all that has been trained
    if keeps:
        runs = store.load_searches(name, runs)
        work.own.pace.skip(sum(int(run.progress.num_done) for run in runs))
    alone = 1 if goals_of(plan.config).timed else None  # each training has a time of its own
    chunk_size = plan.chunk_size or alone or _chunk_size(plan, len(runs), searcher, steps, runs[0])
    told = work.own.pace.words(sum(capacity - int(run.progress.num_done) for run in runs))
    if told:
        work.bar.aside(work.say, f"{name}: {told}")
    while going := [i for i, run in enumerate(runs) if not bool(run.progress.stopped)]:
        fewest = min(int(runs[i].progress.num_done) for i in going)
        work.bar.say(f"{name}: {fewest:,} of {counted(capacity, 'evaluation')}")
        asked = {i: ask(steps, runs[i], capacity, canonical) for i in going}
        wanted = np.concatenate([each.archs for each in asked.values()])
        _train(work, name, wanted, answer.spared(wanted), chunk_size)
        for i, each in asked.items():
            runs[i] = tell(steps, runs[i], each, answer(each.archs))
        if keeps:
            store.save_searches(name, runs)
    return runs


def _run_with_workers(work: Work, name: str, answer: Answering) -> list[Run]:
    """Returns the searches after each has gone on as its trainings ended, on whichever device was free."""
    plan, store, capacity = work.plan, work.own.store, work.plan.config["max_evaluations"]
    searcher, steps, runs = _begin_all(work, name)
    canonical = as_trained(plan.network.space)
    searches = {i: Search(searcher, steps, run, canonical) for i, run in enumerate(runs)}
    per, told_so_far, pace = work.estimate.prepared or 0.0, 0, work.own.pace

    def told(evaluations: int, trainings: int) -> None:
        nonlocal told_so_far
        told_so_far += evaluations
        pace.made(trainings, evaluations)
        work.bar.say(f"{name}: {told_so_far:,} of {counted(len(runs) * capacity, 'evaluation')}")
        work.bar.advance(per * evaluations)

    words = pace.words(len(runs) * capacity)
    if words:
        work.bar.aside(work.say, f"{name}: {words}")
    with open_devices(plan, store, functools.partial(_say_memory, work, name), pace.compiling) as devices:
        run_beside(name, searches, answer, devices, answer, told)
    store.drop_alone(left=False)
    return [search.run for search in searches.values()]


def _say_memory(work: Work, name: str, need: float) -> None:
    words = program_memory_words(need)
    if words:
        work.bar.aside(work.say, f"{name}: {words}")


def _chunk_size(plan: Any, seeds: int, searcher: Searcher, steps: Any, run: Run) -> int:
    """Returns how many candidates one program trains, where nobody has said it.

    Where networks branch, a device trains one after another in any case: with one for each, all searchers have the same
    program, compiled once, and nothing fills up a chunk that is not full. Otherwise as many as all
    seeds propose at once.
    """
    if branches(plan.network.form):
        return jax.local_device_count()
    ask = (run.state, run.progress, run.objective_key)
    proposal = (jax.eval_shape(steps.ask, *ask) if searcher.compiled else steps.ask(*ask))[0]
    asked = seeds * int(proposal.valid.shape[0])
    return max(1, -(-asked // int(jax.process_count())))


def _train(work: Work, name: str, archs: np.ndarray, spared: np.ndarray, chunk_size: int) -> None:
    """Trains what has not been and is not spared it, with the bar advanced by what was estimated for all of them."""
    per, store, pace = (work.estimate.prepared or 0.0) / work.share.processes, work.own.store, work.own.pace
    left = archs[~spared]
    shown, doing = 0.0, len({arch.tobytes() for arch in left if not store.has(arch)})

    def show(progress: Any) -> None:
        nonlocal shown
        work.bar.advance((progress.share - max(shown, progress.begun_at)) * per * doing)
        shown = max(shown, progress.share)

    with pace.training(doing, len(archs)):
        store.train(name, left, chunk_size, show, functools.partial(_say_memory, work, name), pace.compiling)
    work.bar.advance(per * (len(archs) - doing))


def _judged(work: Work, traces: Trace, canonical: Any, seconds: float) -> Chunk:
    """Returns traces with what their incumbents are worth by each target."""
    plan, store = work.plan, work.own.store
    seeds, length, decisions = np.asarray(traces.arch).shape
    archs = canonical(np.asarray(traces.arch, np.int32).reshape(-1, decisions))
    incumbent = incumbent_rows(traces)
    values = []
    for target in plan.targets:
        each = store.finals(archs, target.split).reshape(seeds, length)
        found = np.take_along_axis(each, np.maximum(incumbent, 0), axis=1)
        values.append(np.where(incumbent >= 0, found, np.float32(np.nan)))
    return Chunk(traces, incumbent, np.stack(values), 0.0, seconds)
