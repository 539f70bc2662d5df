"""Incumbents, counts and clocks of traces: worked by hand, and against plain Python loops over arbitrary traces."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnas.core._loop import run
from jnas.core._trace_statistics import (
    Incumbent,
    best_so_far,
    elapsed_seconds,
    evaluation_counts,
    incumbent,
    incumbent_rows,
    num_evaluations,
    stopped_by,
)
from jnas.core._vocabulary import Evaluation, Objective, Searcher, Trace, propose

NAN = math.nan

jitted_best = jax.jit(best_so_far)
jitted_incumbent = jax.jit(incumbent)


def make_trace(score, fidelity=None, valid=None, used=None, seconds=None, stopped_by=1):
    """A trace whose architectures are `[row, 10 * row]`."""
    rows = len(score)
    used = rows if used is None else used
    return Trace(
        arch=jnp.stack([jnp.arange(rows), 10 * jnp.arange(rows)], axis=1).astype(jnp.int32),
        fidelity=jnp.asarray([0] * rows if fidelity is None else fidelity, jnp.int32),
        score=jnp.asarray(score, jnp.float32),
        seconds=jnp.asarray([1.0] * rows if seconds is None else seconds, jnp.float32),
        valid=jnp.asarray([True] * rows if valid is None else valid),
        mask=jnp.arange(rows) < used,
        stopped_by=jnp.int32(stopped_by),
    )


def test_best_so_far_of_one_fidelity_by_hand():
    trace = make_trace([NAN, 3.0, 5.0, 5.0, 9.0, 4.0, 7.0, 100.0], valid=[True] * 4 + [False] + [True] * 3, used=7)
    best = jitted_best(trace)
    np.testing.assert_array_equal(best.row, [-1, 1, 2, 2, 2, 2, 6, 6])  # the first 5, not the second; never the 9
    np.testing.assert_array_equal(best.score, np.float32([NAN, 3, 5, 5, 5, 5, 7, 7]))
    np.testing.assert_array_equal(best.fidelity, [-1, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(best.arch[:3], [[-1, -1], [1, 10], [2, 20]])
    assert (int(jitted_incumbent(trace).row), float(jitted_incumbent(trace).score)) == (6, 7.0)


def test_scores_of_different_fidelities_are_never_compared():
    trace = make_trace([90.0, 95.0, 60.0, 99.0, 70.0, 65.0], fidelity=[0, 0, 1, 0, 1, 1])
    np.testing.assert_array_equal(jitted_best(trace).row, [0, 1, 2, 2, 4, 4])
    np.testing.assert_array_equal(jitted_best(trace).score, [90, 95, 60, 60, 70, 70])
    np.testing.assert_array_equal(jitted_best(trace).fidelity, [0, 0, 1, 1, 1, 1])


def test_an_invalid_evaluation_at_a_higher_fidelity_unseats_nobody():
    trace = make_trace([90.0, 1.0, NAN], fidelity=[0, 2, 1], valid=[True, False, True])
    np.testing.assert_array_equal(jitted_best(trace).row, [0, 0, 0])


def test_a_score_of_minus_infinity_is_still_a_score():
    trace = make_trace([NAN, -math.inf, -math.inf])
    np.testing.assert_array_equal(jitted_best(trace).row, [-1, 1, 1])
    assert int(jitted_incumbent(trace).row) == 1
    assert float(jitted_incumbent(trace).score) == -math.inf


def test_a_trace_in_which_nothing_won_has_a_blank_incumbent():
    blank = jitted_incumbent(make_trace([NAN, 3.0, 4.0], valid=[True, False, True], used=2))
    assert int(blank.row) == -1
    assert int(blank.fidelity) == -1
    assert math.isnan(float(blank.score))
    np.testing.assert_array_equal(blank.arch, [-1, -1])


def best_so_far_loop(score, fidelity, valid, used):
    """The rule as a plain loop: the rows of the incumbents."""
    rows, best = [], -1
    for t in range(len(score)):
        if t < used and valid[t] and not math.isnan(score[t]):
            higher = best >= 0 and fidelity[t] > fidelity[best]
            better = best >= 0 and fidelity[t] == fidelity[best] and score[t] > score[best]
            if best < 0 or higher or better:
                best = t
        rows.append(best)
    return rows


ROWS = 9
SCORES = st.sampled_from([NAN, -math.inf, math.inf, -1.0, 0.0, -0.0, 1.0, 2.0, 2.5])
TRACES = st.tuples(
    st.lists(SCORES, min_size=ROWS, max_size=ROWS),
    st.lists(st.integers(0, 2), min_size=ROWS, max_size=ROWS),
    st.lists(st.sampled_from([True, True, True, False]), min_size=ROWS, max_size=ROWS),
    st.integers(0, ROWS),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TRACES)
def test_best_so_far_equals_a_plain_loop(fields):
    score, fidelity, valid, used = fields
    trace = make_trace(score, fidelity, valid, used)
    best = jitted_best(trace)
    rows = best_so_far_loop(score, fidelity, valid, used)
    np.testing.assert_array_equal(incumbent_rows(jax.tree.map(lambda x: np.asarray(x)[None], trace)), [rows])
    np.testing.assert_array_equal(best.row, rows)
    np.testing.assert_array_equal(best.score, np.float32([score[r] if r >= 0 else NAN for r in rows]))
    np.testing.assert_array_equal(best.fidelity, [fidelity[r] if r >= 0 else -1 for r in rows])
    np.testing.assert_array_equal(best.arch, [[r, 10 * r] if r >= 0 else [-1, -1] for r in rows])
    for last, final in zip(best, jitted_incumbent(trace), strict=True):
        np.testing.assert_array_equal(last[-1], final)


def random_traces(seed, *batch, rows=40):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(*batch, rows)).round(1)
    score[rng.random(score.shape) < 0.2] = NAN
    used = rng.integers(0, rows + 1, (*batch, 1))
    return Trace(
        arch=jnp.asarray(rng.integers(0, 5, (*batch, rows, 6)), jnp.int32),
        fidelity=jnp.asarray(rng.integers(0, 3, (*batch, rows)), jnp.int32),
        score=jnp.asarray(score, jnp.float32),
        seconds=jnp.asarray(rng.uniform(1, 100, (*batch, rows)), jnp.float32),
        valid=jnp.asarray(rng.random((*batch, rows)) < 0.8),
        mask=jnp.asarray(np.arange(rows) < used),
        stopped_by=jnp.asarray(rng.integers(0, 3, batch), jnp.int32),
    )


@pytest.mark.parametrize("function", [best_so_far, incumbent, num_evaluations])
def test_stacked_traces_vmap_and_one_by_one_agree(function):
    traces = random_traces(0, 4, 3)
    compiled = jax.jit(function)
    stacked = jax.tree.leaves(compiled(traces))
    mapped = jax.tree.leaves(jax.jit(jax.vmap(jax.vmap(function)))(traces))
    for i in range(4):
        for j in range(3):
            single = jax.tree.leaves(compiled(jax.tree.map(lambda x, i=i, j=j: x[i, j], traces)))
            for one, all_, each in zip(single, stacked, mapped, strict=True):
                assert one.dtype == all_.dtype == each.dtype
                np.testing.assert_array_equal(one, all_[i, j])
                np.testing.assert_array_equal(one, each[i, j])


def test_shapes_and_dtypes():
    best = jitted_best(random_traces(1, 5, rows=7))
    assert isinstance(best, Incumbent)
    assert [x.shape for x in best] == [(5, 7), (5, 7, 6), (5, 7), (5, 7)]
    assert [x.dtype for x in best] == [jnp.int32, jnp.int32, jnp.float32, jnp.int32]
    assert [x.dtype for x in jitted_incumbent(random_traces(1, 5, rows=7))] == [x.dtype for x in best]


def test_counts_and_seconds_by_hand():
    trace = make_trace([1.0, 2.0, NAN, 4.0], valid=[True, False, True, True], used=3, seconds=[2.5, 0.5, 4.0, 8.0])
    assert int(num_evaluations(trace)) == 3
    np.testing.assert_array_equal(evaluation_counts(trace), [1, 2, 3, 3])
    np.testing.assert_array_equal(elapsed_seconds(trace), [2.5, 3.0, 7.0, 7.0])
    assert elapsed_seconds(trace).dtype == np.float64


def test_elapsed_seconds_keeps_what_float32_would_lose():
    rows = 60_000
    trace = make_trace([0.0] * rows, seconds=[100.1] * rows)
    expected = float(np.float32(100.1)) * rows  # 6e6 s, where float32 counts in steps of half a second
    assert abs(elapsed_seconds(trace)[-1] - expected) < 1e-6
    assert abs(float(jnp.cumsum(trace.seconds)[-1]) - expected) > 0.1


def test_elapsed_seconds_agrees_with_the_clock_of_the_loop():
    """The loop stops on its own sum of two float32 numbers; the host's must stand on the same side of the budget."""

    def ask(key):
        return propose(jnp.zeros((1, 2), jnp.int32)), key

    def evaluate(keys, proposal):
        seconds = 5_000 + 400 * jax.vmap(jax.random.uniform)(keys)
        return Evaluation(jnp.zeros(1), seconds, proposal.valid)

    searcher = Searcher(lambda key, capacity: key, ask, lambda state, *_: state, "fixed")
    search = jax.jit(lambda key: run(searcher, Objective(evaluate), key, budget_seconds=5e6, max_evaluations=1_000))
    trace = search(jax.random.key(0))
    count = int(num_evaluations(trace))
    elapsed = elapsed_seconds(trace)
    assert str(stopped_by(trace)) == "budget"
    assert 900 < count < 1_000
    assert elapsed[-1] <= 5e6 < elapsed[-1] + 5_400


def test_host_functions_refuse_tracers_in_a_sentence():
    with pytest.raises(TypeError, match="taken on the host in float64"):
        jax.jit(lambda trace: elapsed_seconds(trace)[-1])(make_trace([1.0]))


def test_stopped_by_names():
    trace = random_traces(2, 3)._replace(stopped_by=jnp.int32([1, 0, 2]))
    assert stopped_by(trace).tolist() == ["budget", "capacity", "exhausted"]
    assert stopped_by(make_trace([1.0], stopped_by=2)) == "exhausted"
