"""The loop: budgets, capacities, batches, resumed keys, and equality with a plain Python loop."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._carried import apart
from jnas.core._draws import bits, split
from jnas.core._lanes import all_lanes
from jnas.core._loop import run
from jnas.core._once import once
from jnas.core._vocabulary import STOPPED_BY, Evaluation, Objective, Searcher, function_objective, propose
from jnas.searchers.black_box._random_search import random_search
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.spaces._categorical import categorical

SPACE = categorical((5,) * 6)
COSTS = np.random.default_rng(0).uniform(1.0, 3.0, SPACE.size).astype(np.float32)
SCORES = np.random.default_rng(1).normal(size=SPACE.size).astype(np.float32)


@functools.cache
def _all_archs():
    """Every architecture, by index `[size, E]`."""
    return np.asarray(jax.jit(jax.vmap(SPACE.from_index))(np.arange(SPACE.size)))


def _objective(scores=SCORES, costs=COSTS):
    def evaluate(keys, proposal):
        rows = jax.vmap(SPACE.index)(proposal.archs)
        return Evaluation(jnp.asarray(scores)[rows], jnp.asarray(costs)[rows], jnp.ones(rows.shape, bool))

    return Objective(evaluate, (0,), float(costs.min()))


def _counter(batch=1, valid=None, limit=None):
    """A searcher that proposes architectures 0, 1, 2, ... and keeps the sum of what it was told."""

    def init(key, capacity):
        return key, jnp.int32(0), jnp.float32(0)

    def ask(state):
        key, asked, told = state
        number = asked + jnp.arange(batch)
        ok = jnp.ones(batch, bool) if valid is None else jnp.asarray(valid)
        ok = ok if limit is None else ok & (number < limit)
        return propose(jax.vmap(SPACE.from_index)(number), valid=ok), (key, asked + batch, told)

    def tell(state, proposal, evaluation):
        key, asked, told = state
        return key, asked, told + jnp.where(proposal.valid, evaluation.score, 0).sum()

    return Searcher(init, ask, tell, "counter")


def _plain(costs, budget, capacity, overshoot):
    """The same rules in plain Python, in float64."""
    elapsed, taken = 0.0, []
    for i in range(len(costs)):
        if len(taken) >= capacity:
            return taken, "capacity"
        if elapsed + costs[i] > budget:
            return ([*taken, i] if overshoot == "keep" else taken), "budget"
        taken.append(i)
        elapsed += costs[i]
        if overshoot == "keep" and elapsed >= budget:
            return taken, "budget"
    raise AssertionError


@pytest.mark.parametrize("overshoot", ["discard", "keep"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("budget", "capacity"), [(100.0, 200), (100.0, 20), (150.5, 300), (3.1, 10)])
def test_budget_and_capacity_as_a_plain_loop(overshoot, batch, budget, capacity):
    limits = {"budget_seconds": budget, "max_evaluations": capacity, "overshoot": overshoot}
    trace = jax.jit(lambda key: run(_counter(batch), _objective(), key, **limits))(jax.random.key(0))
    trace = jax.device_get(trace)
    taken, why = _plain(COSTS.astype(float), budget, capacity, overshoot)
    assert STOPPED_BY[int(trace.stopped_by)] == why
    np.testing.assert_array_equal(np.asarray(trace.mask), np.arange(capacity) < len(taken))
    np.testing.assert_array_equal(trace.arch[: len(taken)], _all_archs()[taken])
    np.testing.assert_array_equal(trace.score[: len(taken)], SCORES[taken])
    np.testing.assert_array_equal(trace.seconds[: len(taken)], COSTS[taken])


def test_a_budget_met_exactly_is_kept_whole():
    objective = _objective(costs=np.full(SPACE.size, 2.0, np.float32))
    trace = run(_counter(), objective, jax.random.key(0), budget_seconds=10.0)
    assert int(trace.mask.sum()) == 5
    keep = run(_counter(), objective, jax.random.key(0), budget_seconds=10.0, overshoot="keep")
    assert int(keep.mask.sum()) == 5


def test_rows_that_ask_for_nothing_take_no_room_and_keep_the_order():
    trace = run(_counter(4, valid=[True, False, False, True]), _objective(), jax.random.key(0), max_evaluations=9)
    np.testing.assert_array_equal(trace.arch, _all_archs()[[0, 3, 4, 7, 8, 11, 12, 15, 16]])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("budget", [None, 1000.0])
def test_a_searcher_with_nothing_left_ends_the_run(batch, budget):
    limits = {"budget_seconds": budget, "max_evaluations": 60}
    trace = jax.jit(lambda key: run(_counter(batch, limit=10), _objective(), key, **limits))(jax.random.key(0))
    assert int(trace.mask.sum()) == 10
    assert STOPPED_BY[int(trace.stopped_by)] == "exhausted"


def test_seconds_are_counted_to_more_than_float32():
    """A million costs of 0.3 s: a float32 sum is off by hundreds of seconds, the loop by less than one evaluation."""
    objective = _objective(costs=np.full(SPACE.size, 0.3, np.float32))
    count = 1_000_000
    budget = float(np.float32(0.3)) * 999_000.5

    def many(key):
        trace = run(random_search(SPACE), objective, key, budget_seconds=budget, max_evaluations=count)
        return trace.mask.sum()

    assert int(jax.jit(many)(jax.random.key(0))) == 999_000
    naive = np.add.accumulate(np.full(count, 0.3, np.float32), dtype=np.float32)
    assert abs(int((naive <= budget).sum()) - 999_000) > 100


@pytest.mark.parametrize(
    "arguments", [{"max_evaluations": 40}, {"budget_seconds": 60.0}, {"budget_seconds": 60.0, "max_evaluations": 25}]
)
def test_vmapped_runs_equal_single_ones(arguments):
    searcher = regularized_evolution(SPACE, population_size=5, sample_size=3)
    one = jax.jit(lambda key: run(searcher, _objective(), key, **arguments))
    keys = jax.random.split(jax.random.key(0), 6)
    single = jax.tree.map(lambda *x: jnp.stack(x), *[one(key) for key in keys])
    chex.assert_trees_all_equal(jax.jit(jax.vmap(one))(keys), single)
    nested = jax.vmap(jax.vmap(one))(keys.reshape(2, 3))
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x.reshape(6, *x.shape[2:]), nested), single)


def test_budgets_may_be_swept_under_vmap():
    budgets = jnp.asarray([10.0, 20.0, 40.0])
    sweep = jax.vmap(lambda b: run(_counter(), _objective(), jax.random.key(0), budget_seconds=b, max_evaluations=50))
    counts = jax.jit(sweep)(budgets).mask.sum(axis=1)
    np.testing.assert_array_equal(counts, [len(_plain(COSTS.astype(float), b, 50, "discard")[0]) for b in (10, 20, 40)])


def test_discarded_evaluations_are_not_told():
    """What the searcher knows at the end is the sum over the rows of the trace, not one more."""
    told = []

    def spying(searcher):
        def tell(state, proposal, evaluation):
            state = searcher.tell(state, proposal, evaluation)
            jax.debug.callback(lambda total: told.append(float(total)), state[2], ordered=True)
            return state

        return searcher._replace(tell=tell)

    trace = run(spying(_counter(4)), _objective(), jax.random.key(0), budget_seconds=50.0)
    jax.effects_barrier()
    assert told[-1] == pytest.approx(float(np.nansum(np.where(trace.mask, trace.score, 0))), rel=1e-5)


def test_each_row_has_its_own_key_and_a_resumed_row_that_of_its_training():
    def resuming():
        base = _counter()

        def ask(state):
            proposal, state = base.ask(state)
            again = state[1] % 2 == 0  # rows 1, 3, 5, ... go on with the one before
            resumes = jnp.where(again, state[1] - 2, -1)[None]
            return proposal._replace(resumes=resumes), state

        return base._replace(ask=ask)

    objective = Objective(
        lambda keys, p: Evaluation(jax.vmap(jax.random.normal)(keys), jnp.ones(1), jnp.ones(1, bool)), (0,), 1.0
    )
    scores = np.asarray(run(resuming(), objective, jax.random.key(0), max_evaluations=8).score)
    np.testing.assert_array_equal(scores[0::2], scores[1::2])
    assert len(np.unique(scores)) == 4


def test_nan_scores_and_impossible_costs_are_not_valid():
    def evaluate(keys, proposal):
        row = SPACE.index(proposal.archs[0])
        score = jnp.where(row == 1, jnp.nan, 1.0)
        return Evaluation(score[None], jnp.where(row == 2, jnp.nan, 1.0)[None], jnp.ones(1, bool))

    trace = run(_counter(), Objective(evaluate, (0,), 1.0), jax.random.key(0), budget_seconds=4.0, max_evaluations=20)
    np.testing.assert_array_equal(trace.valid[:5], [True, False, False, True, True])
    assert int(trace.mask.sum()) == 5  # the row without a cost costs nothing, and the run still ends


IMPOSSIBLE = {  # scores and seconds of the better half of all architectures
    "score +inf": (np.inf, 1.0),
    "score -inf": (-np.inf, 1.0),
    "score nan": (np.nan, 1.0),
    "seconds nan": (9.0, np.nan),
    "seconds negative": (9.0, -3.0),
    "seconds inf": (9.0, np.inf),
}


def _evolving():
    """A compiled search of evolution, from all scores, costs and flags of validity to its trace."""

    def go(scores, costs, valid):
        def evaluate(keys, proposal):
            rows = jax.vmap(SPACE.index)(proposal.archs)
            return Evaluation(scores[rows], costs[rows], valid[rows])

        searcher = regularized_evolution(SPACE, population_size=5, sample_size=3)
        return run(searcher, Objective(evaluate), jax.random.key(0), budget_seconds=60.0, max_evaluations=40)

    return jax.jit(go)


def test_what_is_invalid_in_the_trace_is_invalid_for_the_searcher():
    """The searcher goes the way that it goes when the objective says itself that these are invalid."""
    go, half = _evolving(), np.median(SCORES) < SCORES
    told = go(np.where(half, np.nan, SCORES), np.where(half, 0, COSTS), ~half)
    assert (told.mask & ~told.valid).any()
    for score, seconds in IMPOSSIBLE.values():
        scores, costs = np.where(half, score, SCORES), np.where(half, seconds, COSTS)
        cost = np.float32(seconds if seconds == 1 else 0)
        expected = go(np.where(half, np.nan, SCORES), np.where(half, cost, COSTS), ~half)
        found = go(scores.astype(np.float32), costs.astype(np.float32), np.ones_like(half))
        finite = np.isfinite(found.score)  # of an impossible cost the score is kept, for who reads the trace
        chex.assert_trees_all_equal(found._replace(score=0), expected._replace(score=0))
        assert not (found.valid & ~finite).any()
        np.testing.assert_array_equal(found.score[found.valid], expected.score[found.valid])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no end"),
        ({"max_evaluations": 2**31}, "2,147,483,648 evaluations .* at most 2,147,483,647 rows"),
        ({"budget_seconds": 1e30}, "about 10.* give max_evaluations"),
        ({"max_evaluations": 0}, "positive Python int"),
        ({"max_evaluations": 2.5}, "positive Python int"),
        ({"budget_seconds": -1.0}, "positive number of seconds"),
        ({"budget_seconds": float("nan")}, "positive number of seconds"),
        ({"budget_seconds": 0.5}, "less than the cheapest evaluation"),
        ({"budget_seconds": -1.0, "max_evaluations": 3}, "positive number of seconds"),
        ({"max_evaluations": 3, "overshoot": "drop"}, "'discard' or 'keep'"),
    ],
)
def test_impossible_budgets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        run(_counter(), _objective(), jax.random.key(0), **arguments)


def test_a_traced_budget_needs_a_capacity():
    with pytest.raises(ValueError, match="max_evaluations is needed"):
        jax.jit(lambda b: run(_counter(), _objective(), jax.random.key(0), budget_seconds=b))(10.0)


def test_what_a_user_returns_is_checked_at_once():
    with pytest.raises(TypeError, match=r"jnas\.Evaluation"):
        run(_counter(), lambda keys, p: jnp.zeros(1), jax.random.key(0), max_evaluations=3)
    with pytest.raises(TypeError, match=r"score has shape \(\), expected \(1,\)"):
        run(
            _counter(),
            lambda keys, p: Evaluation(jnp.float32(0), jnp.ones(1), jnp.ones(1, bool)),
            jax.random.key(0),
            max_evaluations=3,
        )
    with pytest.raises(ValueError, match="2 fidelities but the objective has 1"):
        run(_counter()._replace(num_fidelities=2), _objective(), jax.random.key(0), max_evaluations=3)


def test_function_objective_evaluates_a_plain_function():
    objective = function_objective(lambda key, arch: arch.sum(), seconds=2.0)
    trace = run(random_search(SPACE), objective, jax.random.key(0), budget_seconds=10.0)
    np.testing.assert_array_equal(trace.score, trace.arch.sum(axis=1))
    assert trace.score.shape == (5,)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("score", [1e300, -(10**400), float("nan"), 2**40])
def test_function_objective_takes_python_numbers_and_no_impossible_cost(score):
    objective = function_objective(lambda key, arch: score)
    trace = run(random_search(SPACE), objective, jax.random.key(0), max_evaluations=1)
    assert bool(trace.valid[0]) == (score == 2**40)
    for seconds in (-1.0, float("nan"), 1e300):
        with pytest.raises(ValueError, match=r"seconds is .*, expected a number that is not negative and finite"):
            function_objective(lambda key, arch: 1.0, seconds=seconds)


def test_bugs_of_ones_own_searcher_are_named():
    base = _counter()

    def asks(change):
        def ask(state):
            proposal, state = base.ask(state)
            return change(proposal), state

        return base._replace(ask=ask)

    def tells(change):
        return base._replace(tell=lambda state, proposal, evaluation: change(base.tell(state, proposal, evaluation)))

    cases = [
        (asks(lambda p: p.archs), "ask returned .* in the place of a Proposal"),
        (asks(lambda p: p._replace(archs=p.archs[0])), r"archs of shape \(6,\)"),
        (asks(lambda p: p._replace(archs=p.archs * 1.0)), "type float32, expected integers"),
        (asks(lambda p: p._replace(valid=jnp.bool_(True))), r"valid has shape \(\), expected \(1,\)"),
        (tells(lambda s: s[:2]), "its structure must stay"),
        (tells(lambda s: (s[0], s[1][None], s[2])), r"state\[1\] from int32\[\] into int32\[1\]"),
        (tells(lambda s: (s[0], s[1], s[2].astype(jnp.int32))), r"state\[2\] from float32\[\] into int32\[\]"),
    ]
    for searcher, message in cases:
        with pytest.raises(TypeError, match=f"counter: .*{message}"):
            run(searcher, _objective(), jax.random.key(0), max_evaluations=3)


def test_what_will_differ_between_lanes_does_so_from_the_start():
    def step(carry):
        key, count, total, _ = carry
        key, drawn = split(key)
        total = once((total + bits(drawn), count))[0]
        return (key, count + 1, total, all_lanes(total > 9)), total

    def carried(key):
        return apart(step, (key, jnp.int32(0), jnp.uint32(0), jnp.bool_(False)), key)

    keys = jax.random.split(jax.random.key(0), 3)
    started = jax.vmap(carried, out_axes=(0, None, 0, None))(keys)  # an error where those of None differ
    assert [x.shape for x in started] == [(3,), (), (3,), ()]
    with pytest.raises(ValueError, match="out_axes"):
        jax.vmap(carried, out_axes=(0, None, None, None))(keys)
    assert [x.shape for x in carried(keys[0])] == [()] * 4
