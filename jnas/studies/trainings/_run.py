"""How the searches of a searcher are carried out: all seeds side by side, what they ask for trained together."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._folder import config_digest
from jnas.core._program_memory import program_memory_words
from jnas.core._search import compile_steps, write_rows
from jnas.core._trace_statistics import incumbent_rows
from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, State, Trace
from jnas.core.stepping._admission import RunProgress, empty_trace, start_progress
from jnas.io._run_log import run_log
from jnas.io._text import counted
from jnas.studies._engine import Work
from jnas.studies._keys import seed_keys
from jnas.studies.search._results import Chunk
from jnas.studies.trainings._files import BEFORE, FOLDER, searches_path
from jnas.studies.trainings._pace import Pace
from jnas.studies.trainings._store import Store, as_trained
from jnas.training.operations._forms import branches


class _Own(NamedTuple):
    """What the searches of a study share."""

    store: Store
    pace: Pace


class _Run(NamedTuple):
    """One search between two proposals."""

    objective_key: Key
    state: State
    progress: RunProgress
    trace: Trace  # of NumPy arrays, written in place


class _Asked(NamedTuple):
    """What a search asks for."""

    proposal: Proposal
    state: State
    rows: np.ndarray  # of the proposal: those that will be taken
    archs: np.ndarray  # int32 [rows, E]: what is trained for them


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
    return _Own(store, Pace(work))


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
    plan, store = work.plan, work.own.store
    searcher, capacity = plan.searchers[name], plan.config["max_evaluations"]
    steps = compile_steps(searcher, capacity, None, "discard")
    started, canonical = time.perf_counter(), as_trained(plan.network.space)
    runs = [_begin(plan, name, key) for key in seed_keys(plan.config["root_seed"], name, plan.config["num_seeds"])]
    keeps = searcher.compiled and work.share.process == 0  # other processes begin anew, with all that has been trained
    if keeps:
        runs = store.load_searches(name, runs)
        work.own.pace.skip(sum(int(run.progress.num_done) for run in runs))
    chunk_size = plan.chunk_size or _chunk_size(plan, len(runs), searcher, steps, runs[0])
    told = work.own.pace.words(sum(capacity - int(run.progress.num_done) for run in runs))
    if told:
        work.bar.aside(work.say, f"{name}: {told}")
    while going := [i for i, run in enumerate(runs) if not bool(run.progress.stopped)]:
        fewest = min(int(runs[i].progress.num_done) for i in going)
        work.bar.say(f"{name}: {fewest:,} of {counted(capacity, 'evaluation')}")
        asked = {i: _ask(steps, runs[i], capacity, canonical) for i in going}
        wanted = np.concatenate([each.archs for each in asked.values()])
        _train(work, name, wanted, chunk_size)
        for i, each in asked.items():
            runs[i] = _tell(steps, runs[i], each, store.scores(each.archs), float(plan.recipe.epochs))
        if keeps:
            store.save_searches(name, runs)
    traces = jax.tree.map(lambda *leaves: np.stack(leaves), *(run.trace for run in runs))
    return _judged(work, traces, canonical, time.perf_counter() - started)


def _chunk_size(plan: Any, seeds: int, searcher: Searcher, steps: Any, run: _Run) -> int:
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


def _begin(plan: Any, name: str, key: Key) -> _Run:
    searcher, capacity = plan.searchers[name], plan.config["max_evaluations"]
    search_key, objective_key = jax.random.split(key)
    init = jax.jit(searcher.init, static_argnums=1) if searcher.compiled else searcher.init
    trace = jax.tree.map(np.array, empty_trace(capacity, plan.network.space.num_decisions, None))
    return _Run(objective_key, init(search_key, capacity), start_progress(), trace)


def _ask(steps: Any, run: _Run, capacity: int, canonical: Any) -> _Asked:
    proposal, state, _ = steps.ask(run.state, run.progress, run.objective_key)
    rows = np.flatnonzero(np.asarray(proposal.valid))[: capacity - int(run.progress.num_done)]
    archs = np.asarray(proposal.archs, np.int32)
    # All of a proposal have one shape, so that what is not asked for costs no program of its own.
    return _Asked(proposal, state, rows, canonical(archs)[rows])


def _tell(steps: Any, run: _Run, asked: _Asked, scores: np.ndarray, seconds: float) -> _Run:
    """Tells a search what its proposal is worth; a training counts as a second for each epoch, whatever it took."""
    shape = asked.proposal.valid.shape
    score, valid, spent = np.full(shape, np.nan, np.float32), np.zeros(shape, bool), np.zeros(shape, np.float32)
    score[asked.rows], valid[asked.rows], spent[asked.rows] = scores, np.isfinite(scores), seconds
    evaluation = jax.tree.map(jnp.asarray, Evaluation(score, spent, valid))  # type: ignore[arg-type]
    state, progress, rows = steps.tell(asked.state, run.progress, asked.proposal, evaluation)
    write_rows(run.trace, rows, progress)
    return run._replace(state=state, progress=progress)


def _train(work: Work, name: str, archs: np.ndarray, chunk_size: int) -> None:
    """Trains what has not been, with the bar advanced by what was estimated for as many evaluations."""
    per, (store, pace) = (work.estimate.prepared or 0.0) / work.share.processes, work.own
    shown, doing = 0.0, len({arch.tobytes() for arch in archs if not store.has(arch)})

    def show(progress: Any) -> None:
        nonlocal shown
        work.bar.advance((progress.share - max(shown, progress.begun_at)) * per * doing)
        shown = max(shown, progress.share)

    def told(need: float) -> None:
        words = program_memory_words(need)
        if words:
            work.bar.aside(work.say, f"{name}: {words}")

    with pace.training(doing, len(archs)):
        store.train(name, archs, chunk_size, show, told, pace.compiling)
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
