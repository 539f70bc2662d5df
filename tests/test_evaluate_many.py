"""Several evaluations at once from Python, and batches by constant lies. 8 CPU-seconds."""

import jax
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces

SPACE = spaces.categorical((4, 4, 4))
KEY = jax.random.key(0)
ONE = searchers.random_search(SPACE)


def batches(size, num_init=4):
    how = {"num_init": num_init, "batch_size": size, "encoding": "one_hot", "acquisition": "random"}
    return searchers.predictor_search(SPACE, None, **how)


def score(candidate):
    return float(np.asarray(candidate.arch) @ [1, 2, 3]), 60.0


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_trace_is_that_of_one_by_one_whatever_stands_in_a_call():
    expected = jnas.search(batches(4), score, KEY, max_evaluations=10)
    for at_once, sizes in ((None, [4, 4, 2]), (3, [3, 1, 3, 1, 2]), (1, [1] * 10)):
        seen = []

        def many(candidates, seen=seen):
            seen.append(len(candidates))
            return [score(one) for one in candidates]

        found = jnas.search(batches(4), key=KEY, evaluate_many=many, at_once=at_once, max_evaluations=10)
        same(found, expected)
        assert seen == sizes  # as many evaluations as were asked for, no more


def test_a_search_goes_on_after_the_last_call_that_ended(tmp_path):
    expected = jnas.search(batches(4), score, KEY, max_evaluations=12)
    calls = []

    def many(candidates):
        if len(calls) == 3:
            calls.append("fell")
            raise OSError("the cluster is gone")
        calls.append([one.row for one in candidates])
        return [score(one) for one in candidates]

    told = {"evaluate_many": many, "at_once": 2, "max_evaluations": 12, "checkpoint": tmp_path / "search.npz"}
    with pytest.raises(OSError, match="the cluster is gone"):
        jnas.search(batches(4), key=KEY, **told)
    same(jnas.search(batches(4), key=KEY, **told), expected)
    assert [rows for rows in calls if rows != "fell"] == [[i, i + 1] for i in range(0, 12, 2)]
    # the file says nothing of how evaluations were made
    same(
        jnas.search(
            batches(4),
            lambda candidate: pytest.fail("it is done"),
            KEY,
            **{**told, "evaluate_many": None, "at_once": None},
        ),
        expected,
    )


def test_the_budget_counts_what_a_call_took():
    def timed(candidates):
        return [score(one)[0] for one in candidates]

    trace = jnas.search(batches(4), key=KEY, evaluate_many=timed, max_evaluations=4)
    assert np.ptp(np.asarray(trace.seconds)) == 0  # each its share
    kept = jnas.search(batches(4), score, KEY, max_evaluations=12, budget_seconds=150.0)
    found = jnas.search(
        batches(4),
        key=KEY,
        evaluate_many=lambda them: [score(one) for one in them],
        max_evaluations=12,
        budget_seconds=150.0,
    )
    same(found, kept)
    assert int(found.mask.sum()) == 2


def test_who_proposes_one_at_a_time_says_so():
    with pytest.warns(UserWarning, match=r"random_search proposes one .*constant_liar"):
        found = jnas.search(ONE, key=KEY, evaluate_many=lambda them: [score(them[0])], max_evaluations=3)
    same(found, jnas.search(ONE, score, KEY, max_evaluations=3))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"evaluate": score, "evaluate_many": score}, TypeError, "both given"),
        ({"evaluate": score, "at_once": 2}, ValueError, "without evaluate_many"),
        ({"evaluate_many": score, "at_once": 0}, ValueError, "at_once is 0"),
        ({"evaluate_many": 3}, TypeError, "evaluate_many is int"),
        ({}, TypeError, "evaluate is NoneType"),
        ({"evaluate_many": lambda them: [1.0]}, ValueError, "returned 1 answers, expected 4"),
        ({"evaluate_many": lambda them: 1.0}, TypeError, "returned float, expected 4 answers"),
    ],
)
def test_wrong_arguments_are_named(given, error, message):
    with pytest.raises(error, match=message):
        jnas.search(batches(4), key=KEY, max_evaluations=4, **given)
    with pytest.raises(TypeError, match="key is missing"):
        jnas.search(batches(4), score, max_evaluations=4)


def test_a_batch_is_asked_for_with_lies_and_told_the_truth():
    predictor = searchers.predictors.bayesian_linear_regression()
    one = searchers.predictor_search(SPACE, predictor, num_init=3, batch_size=1, encoding="one_hot")
    liar = searchers.constant_liar(one, 3, lie="max")
    trace = jnas.search(liar, key=KEY, evaluate_many=lambda them: [score(each) for each in them], max_evaluations=9)
    by_hand, state = [], one.init(jax.random.split(KEY)[0], 12)
    for _ in range(3):
        lied, batch = state, []
        highest = max((s for _, s in by_hand), default=0.0)
        for _ in range(3):
            proposal, lied = jax.jit(one.ask)(lied)
            batch.append(np.asarray(proposal.archs[0]))
            lied = one.tell(lied, proposal, _answer(proposal, highest))
        for arch in batch:  # the truth, in the same order
            proposal = proposal._replace(archs=arch[None])
            state = one.tell(state, proposal, _answer(proposal, float(arch @ [1, 2, 3])))
            by_hand.append((arch, float(arch @ [1, 2, 3])))
        state = state._replace(key=lied.key)
    np.testing.assert_array_equal(trace.arch, [arch for arch, _ in by_hand])
    assert len(np.unique(np.asarray(trace.arch), axis=0)) == 9


def _answer(proposal, value):
    return jnas.Evaluation(np.full(1, value, np.float32), np.zeros(1, np.float32), proposal.valid)


def test_lies_are_for_searchers_that_know_nothing_but_scores():
    with pytest.raises(TypeError, match="regularized_evolution keeps more than evaluations"):
        jnas.search(searchers.constant_liar(searchers.regularized_evolution(SPACE), 2), score, KEY, max_evaluations=4)
    with pytest.raises(ValueError, match="lie is 'median'"):
        searchers.constant_liar(batches(1), 2, lie="median")
