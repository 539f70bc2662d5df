"""How the searches of a searcher are carried out: all seeds side by side, what they ask for trained together."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._folder import config_digest
from jnas.core._loop import RunProgress, empty_trace, start_progress
from jnas.core._program_memory import program_memory_words
from jnas.core._search import compile_steps, write_rows
from jnas.core._trace_statistics import incumbent_rows
from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, State, Trace
from jnas.io._progress import duration
from jnas.io._text import counted
from jnas.studies._engine import REPORT_SECONDS, Estimate, Work
from jnas.studies._keys import seed_keys
from jnas.studies.search._results import Chunk
from jnas.studies.trainings._store import BEFORE, FOLDER, Store, as_trained, searches_path

_MACS_PER_SECOND = {"cpu": 5e9}  # of a device: a first guess
_SAMPLED = 32  # architectures, for the estimate


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
def begin(work: Work) -> Iterator[Store]:
    """Gives the trainings that the folder holds; those of searchers that have finished are taken up."""
    assert work.folder is not None
    identity = {**FOLDER.header, "study": config_digest(work.plan.config)}
    store = Store(work.plan, work.folder, identity)
    if work.left and work.plan.start_from is not None:
        work.say(f"starting from {counted(store.start_from(work.plan.start_from), 'training')}")
    elif work.left:
        store.take_up(BEFORE)
    for name in work.plan.searchers:
        if work.left:
            store.take_up(name)
        if name not in work.left:  # where a kill came between its results and this
            searches_path(work.folder, name).unlink(missing_ok=True)
    yield store


def run_searcher(work: Work, name: str, identity: Mapping[str, Any]) -> Chunk:
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
    plan, store = work.plan, work.own
    searcher, capacity = plan.searchers[name], plan.config["max_evaluations"]
    steps = compile_steps(searcher, capacity, None, "discard")
    started, canonical = time.perf_counter(), as_trained(plan.network.space)
    runs = [_begin(plan, name, key) for key in seed_keys(plan.config["root_seed"], name, plan.config["num_seeds"])]
    if searcher.compiled:
        runs = store.load_searches(name, runs)
    # As many candidates in a program as all seeds propose at once.
    chunk_size = plan.chunk_size or max(1, len(runs) * _proposed(searcher, steps, runs[0]))
    while going := [i for i, run in enumerate(runs) if not bool(run.progress.stopped)]:
        told = min(int(runs[i].progress.num_done) for i in going)
        work.bar.say(f"{name}: {told:,} of {counted(capacity, 'evaluation')}")
        asked = {i: _ask(steps, runs[i], capacity, canonical) for i in going}
        wanted = np.concatenate([each.archs for each in asked.values()])
        _train(work, name, wanted, chunk_size)
        for i, each in asked.items():
            runs[i] = _tell(steps, runs[i], each, store.scores(each.archs), float(plan.recipe.epochs))
        if searcher.compiled:
            store.save_searches(name, runs)
    traces = jax.tree.map(lambda *leaves: np.stack(leaves), *(run.trace for run in runs))
    return _judged(work, traces, canonical, time.perf_counter() - started)


def _proposed(searcher: Searcher, steps: Any, run: _Run) -> int:
    """Returns how many rows a proposal has."""
    ask = (run.state, run.progress, run.objective_key)
    proposal = (jax.eval_shape(steps.ask, *ask) if searcher.compiled else steps.ask(*ask))[0]
    return int(proposal.valid.shape[0])


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
    per = work.estimate.prepared or 0.0
    shown, doing = 0.0, len({arch.tobytes() for arch in archs if not work.own.has(arch)})

    def show(progress: Any) -> None:
        nonlocal shown
        work.bar.advance((progress.share - max(shown, progress.begun_at)) * per * doing)
        shown = max(shown, progress.share)

    def told(need: float) -> None:
        words = program_memory_words(need)
        if words:
            work.bar.aside(work.say, f"{name}: {words}")

    work.own.train(name, archs, chunk_size, show, told)
    work.bar.advance(per * (len(archs) - doing))


def _judged(work: Work, traces: Trace, canonical: Any, seconds: float) -> Chunk:
    """Returns traces with what their incumbents are worth by each target."""
    plan, store = work.plan, work.own
    seeds, length, decisions = np.asarray(traces.arch).shape
    archs = canonical(np.asarray(traces.arch, np.int32).reshape(-1, decisions))
    incumbent = incumbent_rows(traces)
    values = []
    for target in plan.targets:
        each = store.finals(archs, target.split).reshape(seeds, length)
        found = np.take_along_axis(each, np.maximum(incumbent, 0), axis=1)
        values.append(np.where(incumbent >= 0, found, np.float32(np.nan)))
    return Chunk(traces, incumbent, np.stack(values), 0.0, seconds)


def estimate(work: Work) -> Estimate:
    """Returns roughly how long the trainings that are left will take, if no two searches ask for the same."""
    plan = work.plan
    if not work.left:
        return Estimate({}, 0.0, "")
    network, images = plan.network, plan.config["images"]
    keys = jax.random.split(jax.random.key(0), _SAMPLED)
    flops = float(np.mean(jax.jit(jax.vmap(lambda key: network.flops(network.space.sample(key))))(keys)))
    passes = sum(count * (3 if split == "train" else 1) for split, count in images.items())
    speed = _MACS_PER_SECOND.get(jax.default_backend(), 2e12) * jax.device_count()
    per = 1e6 * flops * passes * plan.recipe.epochs / speed
    number = len(work.left) * plan.config["num_seeds"] * plan.config["max_evaluations"]
    total = per * number + 10.0 + REPORT_SECONDS
    told = f"at most {number:,} trainings: about {duration(total)}, by a rough guess"
    return Estimate(dict.fromkeys(work.left, per * number / len(work.left)), total, told, per)
