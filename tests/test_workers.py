"""Several workers: the compiled loop against a queue of events in plain Python, and against the loop of one worker."""

import functools
import heapq
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas.core._loop import run, run_with_workers
from jnas.core._search import search
from jnas.core._vocabulary import Evaluation, Objective, propose
from jnas.core.stepping._steps import worker_steps
from jnas.searchers import asha, asynchronous_hyperband, dehb, hyperband, random_search, regularized_evolution
from jnas.spaces import categorical
from jnas.statistics import elapsed_seconds, stopped_by

SPACE = categorical((4,) * 5)
BUDGETS = (1, 3, 9)
T = 40
GRID = np.random.default_rng(0).normal(size=(3, SPACE.size)).astype(np.float32)
GRID[0, ::7] = np.nan
COSTS = np.random.default_rng(1).uniform(0.5, 2.0, size=SPACE.size).astype(np.float32)
COSTS[::5] = 1.0  # ends at the same moment happen


def look_up(keys, proposal):
    """Scores of three fidelities with noise by the key, and costs that going on pays the difference of."""
    row = jax.vmap(SPACE.index)(proposal.archs)
    levels = jnp.asarray((0.0, *BUDGETS), jnp.float32)
    noise = jax.vmap(lambda key: jax.random.uniform(key))(keys)
    share = levels[proposal.fidelity + 1] - levels[proposal.resumed_fidelity + 1]
    score = jnp.asarray(GRID)[proposal.fidelity, row] + 0.1 * noise
    return Evaluation(score, jnp.asarray(COSTS)[row] * share, jnp.ones(row.shape, bool))


OBJECTIVE = Objective(look_up, BUDGETS, 0.5)
SEARCHERS = {
    "random_search": random_search(SPACE),
    "regularized_evolution": regularized_evolution(SPACE, population_size=6, sample_size=3),
    "hyperband": hyperband(SPACE, budgets=BUDGETS),
    "asha": asha(SPACE, budgets=BUDGETS, eta=3),
    "asha_stopping": asha(SPACE, budgets=BUDGETS, eta=3, form="stopping"),
    "dehb": dehb(SPACE, budgets=BUDGETS),
    "asynchronous_hyperband": asynchronous_hyperband(SPACE, budgets=BUDGETS),
}


@functools.cache
def programs(name):
    """The searcher's steps and the objective, each compiled once for all simulations."""
    searcher = SEARCHERS[name]
    init = jax.jit(searcher.init, static_argnums=1)
    return searcher._replace(init=init, ask_beside=jax.jit(searcher.ask_beside), tell=jax.jit(searcher.tell))


look_up_jit = jax.jit(look_up)


def pending(queue, workers):
    """What is being evaluated, in an order that says nothing, as a proposal of as many rows as there are workers."""
    at_work = [jax.device_get(entry[4]) for entry in queue]
    blank = jax.device_get(propose(jnp.zeros((1, 5), jnp.int32), valid=False))
    rows = at_work + [blank] * (workers - len(at_work))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)


def simulated(searcher, key, workers, most, budget=np.inf, keep=False):
    """Rows of the trace by a queue of events: whoever is free asks, whoever ends first is told."""
    search_key, objective_key = jax.random.split(key)
    state = searcher.init(search_key, most)
    now, started, queue, free, rows, begun = 0.0, 0, [], list(range(workers)), [], []
    while len(rows) < most:
        waits = False
        while free and started < most and not waits:
            proposal, state = searcher.ask_beside(state, pending(queue, workers))
            waits = not bool(proposal.valid[0])
            if not waits:
                resumed = int(proposal.resumes[0])
                name = started if resumed < 0 else begun[resumed]
                answer = look_up_jit(jax.random.fold_in(objective_key, name)[None], proposal)
                ends = now + float(answer.seconds[0])
                heapq.heappush(queue, (ends, started, free.pop(free.index(min(free))), name, proposal, answer))
                started += 1
        if not queue:
            return rows, "exhausted"
        ends, _, worker, name, proposal, answer = heapq.heappop(queue)
        if ends > budget and not keep:
            return rows, "budget"
        now = ends
        free.append(worker)
        begun.append(name)
        score = float(answer.score[0])
        told = answer._replace(valid=jnp.asarray(np.isfinite(answer.score)))
        state = searcher.tell(state, proposal, told)
        rows.append((tuple(proposal.archs[0].tolist()), int(proposal.fidelity[0]), score, ends, worker))
        if ends >= budget and keep:
            return rows, "budget"
    return rows, "capacity"


def rows_of(trace):
    used = int(np.sum(trace.mask))
    ends = elapsed_seconds(trace)
    columns = (trace.arch, trace.fidelity, trace.score, ends, trace.worker)
    arch, fidelity, score, ends, worker = (np.asarray(column)[:used] for column in columns)
    return [
        (tuple(a.tolist()), int(f), float(s), float(e), int(w))
        for a, f, s, e, w in zip(arch, fidelity, score, ends, worker, strict=True)
    ]


@functools.cache
def traces(name, workers):
    def one(key, budget):
        return run(SEARCHERS[name], OBJECTIVE, key, max_evaluations=T, budget_seconds=budget, workers=workers)

    keys = jax.random.split(jax.random.key(3), 3)
    return jax.device_get(jax.jit(jax.vmap(one))(keys, jnp.asarray([jnp.inf, jnp.inf, 9.0]))), keys


def same_rows(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one[:2] == other[:2]
        np.testing.assert_equal(one[2], other[2])
        assert one[3] == pytest.approx(other[3], rel=1e-9)
        assert one[4] == other[4]


@pytest.mark.parametrize("name", SEARCHERS)
def test_it_is_a_queue_of_events(name):
    """In every lane, on one that a budget ends too; architectures, order, scores by their keys, moments, workers."""
    found, keys = traces(name, 5)
    for lane, budget in ((0, np.inf), (2, 9.0)):
        expected, reason = simulated(programs(name), keys[lane], 5, T, budget)
        same_rows(rows_of(jax.tree.map(lambda leaf, lane=lane: leaf[lane], found)), expected)
        assert stopped_by(found)[lane] == reason


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_one_worker_is_the_loop_without_workers(name):
    """Bit for bit: by the argument, and by the steps of several workers with one."""
    key = jax.random.key(5)
    limits = {"max_evaluations": T, "budget_seconds": 30.0}
    plain = jax.jit(lambda key: run(SEARCHERS[name], OBJECTIVE, key, **limits))(key)
    same = jax.jit(lambda key: run(SEARCHERS[name], OBJECTIVE, key, **limits, workers=1))(key)

    def alone(key):
        steps = worker_steps(SEARCHERS[name], jnp.float32(30.0), T, "discard", 1, T)
        return run_with_workers(SEARCHERS[name], OBJECTIVE, key, T, steps)

    by_steps = jax.jit(alone)(key)
    assert plain.finish is None
    for field in plain._fields[:7]:
        np.testing.assert_array_equal(getattr(same, field), getattr(plain, field))
        np.testing.assert_array_equal(getattr(by_steps, field), getattr(plain, field))
    np.testing.assert_allclose(elapsed_seconds(by_steps), elapsed_seconds(plain), rtol=1e-12)


def test_rows_of_a_proposal_are_shared_where_a_searcher_waits_for_all_of_it():
    """Two workers, costs 3, 1, 1, 1: the first takes the 3, the second the others; rows stand as they end."""
    costs = jnp.asarray([3.0, 1.0, 1.0, 1.0])

    def ask(state):
        return propose(jnp.arange(4, dtype=jnp.int32)[:, None]), state

    searcher = random_search(SPACE)._replace(
        init=lambda key, capacity: key, ask=ask, tell=lambda state, *_: state, ask_beside=None
    )
    objective = lambda keys, p: Evaluation(p.archs[:, 0] * 1.0, costs[p.archs[:, 0]], p.valid)  # noqa: E731
    trace = jax.jit(lambda key: run(searcher, objective, key, max_evaluations=8, workers=2))(jax.random.key(0))
    assert trace.arch[:, 0].tolist() == [1, 2, 0, 3, 1, 2, 0, 3]
    assert elapsed_seconds(trace).tolist() == [1, 2, 3, 3, 4, 5, 6, 6]
    assert trace.worker.tolist() == [1, 1, 0, 1, 1, 1, 0, 1]


def test_a_search_from_python_is_the_compiled_one_and_goes_on_after_a_crash(tmp_path):
    """With an objective, and with a function that fails at one call, after which the checkpoint goes on."""
    name, key = "asha", jax.random.key(11)
    limits = {"max_evaluations": 14, "workers": 4}
    expected = jax.jit(lambda key: run(SEARCHERS[name], OBJECTIVE, key, **limits))(key)
    searcher = SEARCHERS[name]
    jax.tree.map(np.testing.assert_array_equal, search(searcher, OBJECTIVE, key, **limits), expected)
    begun = {}

    def evaluate(candidate, fails_at=None):
        if candidate.row == fails_at:
            raise RuntimeError("gone")
        if candidate.resumes >= 0:  # the names are those under which trainings began
            np.testing.assert_array_equal(begun[candidate.resumes], candidate.arch)
        else:
            begun[candidate.row] = candidate.arch
        fidelity, resumed = (jnp.asarray([i]) for i in (candidate.fidelity, candidate.resumed_fidelity))
        proposal = propose(jnp.asarray(candidate.arch)[None])._replace(fidelity=fidelity, resumed_fidelity=resumed)
        answer = look_up_jit(candidate.key[None], proposal)
        return float(answer.score[0]), float(answer.seconds[0])

    how = {**limits, "fidelities": BUDGETS, "checkpoint": tmp_path / "search.npz"}
    with pytest.raises(RuntimeError, match="gone"):
        search(searcher, functools.partial(evaluate, fails_at=9), key, **how)
    jax.tree.map(np.testing.assert_array_equal, search(searcher, evaluate, key, **how), expected)
    with pytest.raises(ValueError, match="workers is 4 there and 2 here"):
        search(searcher, evaluate, key, **{**how, "workers": 2})


@pytest.mark.parametrize("workers", [0, True, 2.0, 10**6])
def test_a_number_of_workers_is_checked(workers):
    with pytest.raises(ValueError, match=r"workers is .*, expected a Python int from 1 to 10,000"):
        run(SEARCHERS["asha"], OBJECTIVE, jax.random.key(0), max_evaluations=5, workers=workers)


@pytest.mark.parametrize("name", ["random_search", "regularized_evolution", "hyperband"])  # older than workers
def test_one_worker_computes_nothing_of_others(name):
    """So that the program is the one that searches without workers had, and folders begun by it go on."""
    asked = str(jax.make_jaxpr(SEARCHERS[name].ask)(SEARCHERS[name].init(jax.random.key(0), 8)))
    assert not re.search(r"\w+\[0[],]", asked)


def test_a_population_too_small_for_a_mutation_is_random_search():
    """At one budget there is one individual: whatever it is, the next is a random architecture."""
    summed = jnas.function_objective(lambda key, arch: jnp.sum(arch).astype(jnp.float32))
    trace = jnas.run(dehb(SPACE, budgets=BUDGETS[:1]), summed, jax.random.key(0), max_evaluations=400)
    counts = np.stack([np.bincount(column, minlength=4) for column in np.asarray(trace.arch).T])
    assert np.abs(counts - 100).max() < 44  # five deviations
    assert (np.asarray(trace.arch[1:]) != np.asarray(trace.arch[:-1])).mean() > 0.65
