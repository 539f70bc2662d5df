"""How the searches of a method are carried out: epoch by epoch, kept after each, and what they came to is judged."""

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._devices import place_shared
from jnas.core._folder import config_digest
from jnas.core._vocabulary import Array
from jnas.io._progress import ProgressBar
from jnas.io._run_log import NO_LOG, RunLog, run_log
from jnas.searchers.weight_sharing._analysis import one_shot_accuracies
from jnas.searchers.weight_sharing._loop import Look, SearchRun, begin_search, compiled_over_seeds, look_at, train_epoch
from jnas.studies._compared import ranks_among
from jnas.studies._engine import Work
from jnas.studies._keys import seed_keys
from jnas.studies.supernets._against_table import against_table
from jnas.studies.supernets._pieces import (
    check_division,
    count_pieces,
    join_pieces,
    search_path,
    seeds_of_piece,
    seeds_path,
    whose_seeds,
)
from jnas.studies.supernets._plan import SupernetPlan
from jnas.studies.supernets._results import (
    FOLDER,
    INFOS,
    MethodResult,
    OneShot,
    Record,
    SupernetStudy,
    diverged,
    load_search,
    save_method,
    save_search,
)
from jnas.studies.supernets._test_choice import ChosenOnTest, choose_on_test
from jnas.tables._metric import metric_of_task
from jnas.tables._targets import judging_column
from jnas.training._recipe import BatchNormPolicy

_CHUNK = 500  # architectures of a program of the one-shot analysis


_Program = Callable[[Any, Any], Any]
"""Of the data set and of what has a leading axis of seeds."""


def run_method(work: Work, name: str, identity: Mapping[str, Any]) -> MethodResult:
    """Returns what a method's searches came to, going on where a folder holds them.

    Raises:
      ValueError: The file of the searches is damaged, or of another study; or other processes share the seeds.
      OSError: The folder cannot be written.
    """
    count = count_pieces(work.plan, name, work.share.processes)
    if count > 1:
        assert work.folder is not None
        return join_pieces(work.plan, work.folder, name, identity, count)
    every = range(work.plan.num_seeds)
    check_division(work.folder, name, 1)
    path = None if work.folder is None else search_path(work.folder, name)
    result: MethodResult = work.do(_run_method, work, name, identity, every, path)
    return result


def run_seeds(work: Work, name: str, identity: Mapping[str, Any], piece: int) -> None:
    """Makes the searches of a piece of a method's seeds, and keeps what they came to. Errors are those above."""
    count = count_pieces(work.plan, name, work.share.processes)
    check_division(work.folder, name, count)
    assert work.folder is not None
    seeds = seeds_of_piece(work.plan, piece, count)
    whose = whose_seeds(identity, seeds)
    result = work.do(_run_method, work, name, whose, seeds, search_path(work.folder, name, piece, count))
    save_method(seeds_path(work.folder, name, piece, count), result, whose)


def _run_method(work: Work, name: str, identity: Mapping[str, Any], seeds: range, path: Path | None) -> MethodResult:
    """Returns what some seeds' searches of a method came to, which are kept at `path`."""
    whole: SupernetPlan = work.plan
    plan = whole._replace(config={**whole.config, "num_seeds": len(seeds)})
    bar, cost = work.bar, work.estimate.seconds[name] * len(seeds) / whole.num_seeds
    searcher, dataset = plan.methods[name].searcher, place_shared(plan.dataset)
    keys = seed_keys(plan.config["root_seed"], name, whole.num_seeds)[seeds.start : seeds.stop]
    begin = compiled_over_seeds(lambda _, key: begin_search(key, searcher), plan.supernet, plan.num_seeds)
    bar.say(f"{name}: compiling")
    start = time.perf_counter()
    run: SearchRun = begin(dataset, keys)
    record = None
    if path is not None and path.exists():
        run, record = load_search(path, identity, run)
    record = _nothing(plan, name, run) if record is None else record
    epoch, look = _compile(plan, name, dataset, run)
    rank = _pool_program(plan, name, dataset, run)
    work.check_memory(name, epoch, look)
    spent = time.perf_counter() - start
    record = record._replace(compile_seconds=np.asarray(float(record.compile_seconds) + spent))

    with run_log(plan.log, Path() if work.folder is None else work.folder) as log:
        logged = functools.partial(_log, log, plan, name, seeds)
        logged(record)
        run, record = _go_on(plan, name, (epoch, look, rank), dataset, run, record, path, identity, bar, cost, logged)
    result = _judged(plan, name, record, _one_shot(plan, name, dataset, run, bar))
    return result._replace(test_choice=_chosen_on_test(plan, name, dataset, run, record, bar))


def _go_on(
    plan: SupernetPlan,
    name: str,
    programs: tuple[Any, Any, _Program],
    dataset: Any,
    run: SearchRun,
    record: Record,
    path: Path | None,
    identity: Mapping[str, Any],
    bar: ProgressBar,
    cost: float,
    logged: Callable[[Record], None],
) -> tuple[SearchRun, Record]:
    """Returns searches and their record after all epochs, both kept at `path` after each."""
    epoch, look, rank = programs
    epochs, looks = plan.methods[name].epochs, set(plan.looks(name))
    share = cost / (epochs + 1)
    bar.advance(share * (len(record.train_seconds) + 1))
    for done in range(len(record.train_seconds) + 1, epochs + 1):
        bar.say(f"{name}: {done - 1:,} of {epochs:,} epochs")
        (run, info), seconds = _timed(epoch, dataset, run)
        record = _with_epoch(record, np.stack(info, axis=-1), seconds)
        if done in looks:
            seen, seconds = _timed(look, dataset, run)
            ranked, more = _timed(rank, dataset, run)
            record = _with_look(record, done, seen, seconds + more, ranked)
        if path is not None:
            save_search(path, run, record, identity)
        logged(record)
        bar.advance(share)
    return run, record


def _compile(plan: SupernetPlan, name: str, dataset: Any, run: SearchRun) -> tuple[Any, Any]:
    """Returns the programs of an epoch and of a look, compiled before their work is timed."""
    method = plan.methods[name]

    def epoch(dataset: Any, run: SearchRun) -> Any:
        return train_epoch(run, method.searcher, dataset, batch_size=method.batch_size, split=plan.split)

    def look(dataset: Any, run: SearchRun) -> Look:
        return look_at(run, method.searcher, plan.supernet, dataset, split=plan.split, hessian=plan.config["hessian"])

    programs = [compiled_over_seeds(function, plan.supernet, plan.num_seeds) for function in (epoch, look)]
    first, second = (program.lower(dataset, run).compile() for program in programs)
    return first, second


def _pool_program(plan: SupernetPlan, name: str, dataset: Any, run: SearchRun) -> _Program:
    """Returns the compiled accuracies `[S, P]` of the plan's pool under the shared weights; or None."""
    rows = plan.pool
    if plan.table is None or not len(rows):
        return lambda dataset, run: None
    archs, shared_of = _repeated(np.asarray(plan.table.archs[rows], np.int32), plan.num_seeds), _shared_of(plan, name)
    program = _scoring(plan, name, "batch").lower(dataset, (shared_of(run.state), archs)).compile()
    return lambda dataset, run: program(dataset, (shared_of(run.state), archs))


def _timed(program: _Program, dataset: Any, run: SearchRun) -> tuple[Any, float]:
    start = time.perf_counter()
    result = jax.block_until_ready(program(dataset, run))  # type: ignore[no-untyped-call]
    return result, time.perf_counter() - start


def under_shared_weights(
    plan: SupernetPlan, name: str, folder: Path, archs: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns what the weights that a method's searches ended with say of architectures.

    Args:
      plan: Of the study.
      name: Of the method.
      folder: Of the study, where the searches have ended.
      archs: `[A, E]`.

    Returns:
      Their accuracies on the images that the architecture is learned from, percent `[S, A]`, with batch-norm's
      statistics of each batch; and the logarithm of the probability that a search gives to each, `[S, A]`.

    Raises:
      ValueError: The file of the searches is damaged, or of another study.
      OSError: It is not there.
    """
    dataset, run = place_shared(plan.dataset), ended_searches(plan, name, folder)
    accuracies = _accuracies(plan, name, dataset, run, archs, "batch")
    return accuracies, _log_probability(plan, name, dataset, run, archs)


def ended_searches(plan: SupernetPlan, name: str, folder: Path) -> SearchRun:
    """Returns a method's searches as they ended in a study's folder; errors are those of `under_shared_weights`."""
    searcher, dataset = plan.methods[name].searcher, place_shared(plan.dataset)
    keys = seed_keys(plan.config["root_seed"], name, plan.num_seeds)
    begin = compiled_over_seeds(lambda _, key: begin_search(key, searcher), plan.supernet, plan.num_seeds)
    identity = {**FOLDER.header, "study": config_digest(plan.config), "method": name}
    return load_search(search_path(folder, name), identity, begin(dataset, keys))[0]


def _log_probability(
    plan: SupernetPlan, name: str, dataset: Any, run: SearchRun, archs: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Returns the logarithm of the probability that each search gives to architectures, `[S, A]`."""
    searcher = plan.methods[name].searcher
    probable = compiled_over_seeds(lambda _, each: searcher.log_probability(*each), plan.supernet, plan.num_seeds)
    return np.asarray(probable(dataset, (run.state, _repeated(archs, plan.num_seeds))))


# The record.


def _nothing(plan: SupernetPlan, name: str, run: SearchRun) -> Record:
    """Returns the record of searches that have not begun."""
    searcher = plan.methods[name].searcher
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), run)  # type: ignore[no-untyped-call]
    look = jax.eval_shape(lambda run: look_at(run, searcher, plan.supernet, plan.dataset, split=plan.split), one)
    seen: dict[str, Any] = {
        field: np.zeros((plan.num_seeds, 0, *leaf.shape), np.int8 if field in ("archs", "candidates") else np.float32)
        for field, leaf in _seen(look).items()
    }
    return Record(
        info=np.zeros((plan.num_seeds, 0, 4), np.float32),
        looked=np.zeros(0, np.int32),
        **seen,
        train_seconds=np.zeros(0),
        look_seconds=np.zeros(0),
        compile_seconds=np.zeros(()),
        pool=np.zeros((plan.num_seeds, 0, len(plan.pool)), np.float32) if plan.config.get("pool") else None,
    )


def _seen(look: Look) -> dict[str, Any]:
    """Returns what a look adds to the fields of a record."""
    found = {"archs": look.derived.arch, "candidates": look.derived.candidates, "scores": look.derived.scores}
    return found | {"weights": look.weights, "eigenvalues": look.eigenvalue}


def _with_epoch(record: Record, info: NDArray[np.float32], seconds: float) -> Record:
    return record._replace(
        info=np.concatenate([record.info, np.asarray(info)[:, None]], axis=1),
        train_seconds=np.append(record.train_seconds, seconds),
    )


def _with_look(record: Record, done: int, look: Look, seconds: float, ranked: Any) -> Record:
    longer: dict[str, Any] = {
        field: np.concatenate([old, np.asarray(new)[:, None].astype(old.dtype)], axis=1)
        for field, new in _seen(look).items()
        for old in [getattr(record, field)]
    }
    return record._replace(
        **longer,
        looked=np.append(record.looked, np.int32(done)),
        look_seconds=np.append(record.look_seconds, seconds),
        pool=None if record.pool is None else np.concatenate([record.pool, np.asarray(ranked)[:, None]], axis=1),
    )


def _log(log: RunLog, plan: SupernetPlan, name: str, seeds: range, record: Record) -> None:
    """Logs what was seen of each search so far: by epoch what it trained for, by look the cell that it would return."""
    if log is NO_LOG or not len(record.train_seconds):
        return
    metric, last = metric_of_task(plan.supernet.task), len(record.train_seconds) >= plan.methods[name].epochs
    infos = [info.replace("accuracy", metric.name.replace(" ", "_")) for info in INFOS]
    labels = [f"table/{t.dataset}-{t.split}-{t.epochs}" for t in plan.targets]
    values = _values_of(plan, record)
    for place, seed in enumerate(seeds):
        points: dict[int, dict[str, float]] = {}
        for row, seen in enumerate(record.info[place], 1):
            points[row] = dict(zip(infos, map(float, seen), strict=True))
        for look, done in enumerate(record.looked.tolist()):
            found = dict(zip(labels, map(float, values[:, place, look]), strict=True))
            found["one_shot_score"] = float(metric.best(record.scores[place, look]))
            found["hessian_eigenvalue"] = float(record.eigenvalues[place, look])
            points[done] |= found
        known = {step: {n: v for n, v in seen.items() if np.isfinite(v)} for step, seen in points.items()}
        told = {"method": name, "seed": str(seed)}
        log.add(f"{quote(name, safe='')}-seed-{seed}", {s: seen for s, seen in known.items() if seen}, told, last)


def log_searches(plan: SupernetPlan, study: SupernetStudy, folder: Path) -> None:
    """Logs all searches of a study that was carried out in a folder, as far as the log lacks them.

    Args:
      plan: What was done.
      study: What it came to.
      folder: Its folder.

    Raises:
      OSError: A file cannot be written.
    """
    with run_log(plan.log, folder) as log:
        for result in study.methods:
            _log(log, plan, result.name, range(plan.num_seeds), result.record)


# What they came to.


def _values_of(plan: SupernetPlan, record: Record) -> NDArray[np.float32]:
    """Returns what the table's columns say of the architectures that searches would have returned, `[C, S, L]`."""
    shape = record.archs.shape[:2]
    if plan.table is None or not shape[1]:
        return np.full((len(plan.targets), *shape), np.nan, np.float32)
    index = np.asarray(plan.table.index(record.archs.astype(np.int32)))
    index = np.where(diverged(record), -1, index)
    values: NDArray[np.float32] = np.where(index >= 0, plan.columns[:, np.maximum(index, 0)], np.float32(np.nan))
    return values


def _judged(plan: SupernetPlan, name: str, record: Record, one_shot: OneShot | None) -> MethodResult:
    """Returns the searches with what the table says of their architectures; of those that diverged, nothing."""
    shape = record.archs.shape[:2]
    if plan.table is None:
        return MethodResult(name, record, np.zeros((0, *shape), np.float32), np.full(shape, -1, np.int32), one_shot)
    values = _values_of(plan, record)
    column = plan.columns[judging_column(plan.targets, plan.dataset.name)]
    own = values[judging_column(plan.targets, plan.dataset.name)]
    ranks = ranks_among(column, own, plan.table.metric)
    against = against_table(plan, name, record.candidates, values)
    return MethodResult(name, record, values, ranks, one_shot, against)


def _one_shot(plan: SupernetPlan, name: str, dataset: Any, run: SearchRun, bar: ProgressBar) -> OneShot | None:
    """Returns the accuracies of many architectures under the shared weights, for each batch-norm policy."""
    if plan.table is None or not len(plan.cells):
        return None
    archs = np.asarray(plan.table.archs[plan.cells], np.int32)
    found, seconds = [], []
    for policy in plan.config["batch_norms"]:
        bar.say(f"{name}: {len(archs):,} architectures under the shared weights, batch-norm {policy}")
        start = time.perf_counter()
        found.append(_accuracies(plan, name, dataset, run, archs, policy))
        seconds.append(time.perf_counter() - start)
    log_probability = _log_probability(plan, name, dataset, run, archs)
    truth = plan.columns[judging_column(plan.targets, plan.dataset.name)][plan.cells]
    return OneShot(archs.astype(np.int8), truth, np.stack(found), log_probability, np.asarray(seconds))


def _chosen_on_test(
    plan: SupernetPlan, name: str, dataset: Any, run: SearchRun, record: Record, bar: ProgressBar
) -> ChosenOnTest | None:
    """Returns what the test images would have chosen of the last candidates, where it is asked and there are some."""
    candidates = record.candidates[:, -1]
    if not plan.config.get("test_selection") or candidates.shape[1] < 2:
        return None
    bar.say(f"{name}: {candidates.shape[1]:,} candidates on the test images")
    archs = jnp.asarray(candidates, jnp.int32)
    program = _scoring(plan, name, "batch", plan.dataset.test_split)
    scores = np.asarray(program(dataset, (_shared_of(plan, name)(run.state), archs)))
    return choose_on_test(candidates, scores, plan.table, plan.columns, metric_of_task(plan.supernet.task).sign)


def _accuracies(
    plan: SupernetPlan, name: str, dataset: Any, run: SearchRun, archs: Any, policy: BatchNormPolicy
) -> NDArray[np.float32]:
    """Returns accuracies `[S, N]`, chunk by chunk of the architectures, all on the same images."""
    program = _scoring(plan, name, policy)
    width = min(_CHUNK, len(archs))
    padded = np.concatenate([archs, np.repeat(archs[-1:], -len(archs) % width, axis=0)])
    shared = _shared_of(plan, name)(run.state)
    chunks = [
        np.asarray(program(dataset, (shared, _repeated(padded[i : i + width], plan.num_seeds))))
        for i in range(0, len(padded), width)
    ]
    return np.concatenate(chunks, axis=1)[:, : len(archs)]


def _shared_of(plan: SupernetPlan, name: str) -> Callable[[Any], Any]:
    return plan.methods[name].searcher.shared


def _scoring(plan: SupernetPlan, name: str, policy: BatchNormPolicy, split: str | None = None) -> Any:
    """Returns the program of accuracies of architectures under the shared weights, both with an axis of seeds."""

    images, supernet = plan.split if split is None else split, plan.trained_by(name)

    def evaluate(dataset: Any, each: Any) -> Array:
        shared, archs = each
        key = jax.random.key(plan.config["root_seed"])
        return one_shot_accuracies(key, supernet, shared, archs, dataset, images, batch_norm=policy)

    return compiled_over_seeds(evaluate, plan.supernet, plan.num_seeds)


def _repeated(archs: NDArray[np.int32], num_seeds: int) -> Array:
    return jnp.broadcast_to(jnp.asarray(archs)[None], (num_seeds, *archs.shape))
