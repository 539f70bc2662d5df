"""Search by a predictor: its phases, what it fits to, what it proposes, and the searches that are built on it."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import searchers
from jnas.core._loop import run
from jnas.core._search import search
from jnas.core._vocabulary import STOPPED_BY, Evaluation, Objective, Prediction, Predictor, function_objective
from jnas.searchers.black_box._history import no_history
from jnas.searchers.black_box._predictor_search import _sizes, predictor_search, training_scores
from jnas.searchers.predictors._in_blocks import in_parts
from jnas.spaces import categorical, nasbench201

SPACE = categorical((5,) * 6)
WEIGHTS = np.random.default_rng(0).normal(size=30).astype(np.float32)
TARGET = np.random.default_rng(1).permutation(5**6).astype(np.float32)  # a score without any order


def additive(key, arch):
    del key
    return SPACE.features(arch, "one_hot") @ WEIGHTS


ADDITIVE = function_objective(additive)
SHUFFLED = function_objective(lambda key, arch: jnp.asarray(TARGET)[SPACE.index(arch)])
BEST = WEIGHTS.reshape(6, 5).max(axis=1).sum()


def ridge(spy=None, xp=jnp) -> Predictor:
    """Ridge regression in JAX, or in NumPy, which cannot be compiled."""

    def fit(key, features, scores, mask):
        if spy is not None:
            jax.debug.callback(lambda count: spy.append((features.shape[0], int(count))), mask.sum())
        center = xp.sum(xp.where(mask, scores, 0)) / xp.maximum(mask.sum(), 1)
        x = features * mask[:, None]
        gram = x.T @ x + np.float32(0.1) * xp.eye(x.shape[1], dtype=np.float32)
        return xp.linalg.solve(gram, x.T @ xp.where(mask, scores - center, 0)), center

    def predict(model, features):
        mean = (features @ model[0] + model[1]).astype(np.float32)
        return Prediction(mean, xp.zeros_like(mean))

    return Predictor(fit, predict, lambda key, *x: predict(*x).mean, "ridge", compiled=xp is jnp)


def oracle(scores) -> Predictor:
    """A predictor that knows the score of the number of an architecture, whatever it was fitted to."""

    def predict(model, features):
        return Prediction(jnp.asarray(scores)[features], jnp.zeros(len(features)))

    return Predictor(lambda *data: (), predict, lambda key, *x: predict(*x).mean, "oracle")


def by_ridge(**settings):
    settings = {"encoding": "one_hot", "acquisition": "mean", "num_init": 8, "batch_size": 3, **settings}
    return predictor_search(SPACE, settings.pop("predictor", ridge()), **settings)


def proposals(searcher, capacity, steps, score=lambda archs: archs.sum(axis=1)):
    """What a searcher proposes step by step: the valid architectures of each."""
    state, asked = searcher.init(jax.random.key(3), capacity), []
    ask, tell = (jax.jit(searcher.ask), jax.jit(searcher.tell)) if searcher.compiled else searcher[1:3]
    for _ in range(steps):
        proposal, state = ask(state)
        asked.append(np.asarray(proposal.archs)[np.asarray(proposal.valid)])
        scores = jnp.asarray(score(proposal.archs), jnp.float32)
        state = tell(state, proposal, Evaluation(scores, jnp.ones_like(scores), jnp.ones(scores.shape, bool)))
    return asked


def test_random_batches_then_batches_by_the_model():
    """Eight random ones in batches of three leave two for the last; the search has nothing twice."""
    up = proposals(by_ridge(), 30, 8)
    down = proposals(by_ridge(), 30, 8, lambda archs: -archs.sum(axis=1))
    assert [len(archs) for archs in up] == [3, 3, 2, 3, 3, 3, 3, 3]
    np.testing.assert_array_equal(np.concatenate(up[:3]), np.concatenate(down[:3]))
    assert len(np.unique(np.concatenate(up), axis=0)) == 23
    assert np.mean([archs.sum(axis=1).mean() for archs in up[4:]]) > 16  # of 0 to 24; random ones have 12
    assert np.mean([archs.sum(axis=1).mean() for archs in down[4:]]) < 8


def test_nothing_is_fitted_before_the_first_lane_needs_it_and_sizes_step():
    """Each fit is compiled for the smallest size that suffices, and sees all evaluations."""
    spy = []
    searcher = by_ridge(predictor=ridge(spy), training_sizes=(4, 12, 20))
    traces = jax.vmap(lambda key: run(searcher, ADDITIVE, key, max_evaluations=29))(
        jax.random.split(jax.random.key(0), 2)
    )
    jax.block_until_ready(traces)
    jax.effects_barrier()
    expected = {(12, 8): 2, (12, 11): 2, (20, 14): 2, (20, 17): 2, (20, 20): 2, (29, 23): 2, (29, 26): 2}
    assert collections.Counter(spy) == expected


def test_sizes():
    assert _sizes(150, 10, None) == (32, 64, 96, 128, 150)
    assert _sizes(150, 40, None) == (64, 96, 128, 150)
    assert _sizes(500, 10, None) == (128, 256, 384, 500)
    assert _sizes(20, 10, None) == (20,)
    assert _sizes(100, 10, (50, 100, 400)) == (50, 100)


def test_stepping_sizes_lanes_and_python_give_the_same_search():
    keys = jax.random.split(jax.random.key(1), 3)
    whole, stepping, python = (
        by_ridge(training_sizes=(64,)),
        by_ridge(training_sizes=(12, 24)),
        by_ridge(predictor=ridge(xp=np)),
    )
    expected = jax.jit(jax.vmap(lambda key: run(whole, ADDITIVE, key, max_evaluations=40)))(keys)
    others = jax.jit(jax.vmap(lambda key: run(stepping, ADDITIVE, key, max_evaluations=40)))(keys)
    np.testing.assert_array_equal(others.arch, expected.arch)
    for lane in (0, 2):
        trace = search(python, ADDITIVE, keys[lane], max_evaluations=40)
        np.testing.assert_array_equal(trace.arch, expected.arch[lane])
    assert expected.score.max(axis=1) == pytest.approx(BEST)
    with pytest.raises(ValueError, match="predictor_search cannot be compiled"):
        run(python, ADDITIVE, keys[0], max_evaluations=40)


@pytest.mark.parametrize("candidates", ["all", "mutation", "random"])
def test_who_knows_the_truth_finds_the_best_candidates(candidates):
    """Among all architectures at once, among random ones the best of those; on mutants step by step."""
    searcher = predictor_search(
        SPACE,
        oracle(TARGET),
        encoding=SPACE.index,
        acquisition="mean",
        candidates=candidates,
        num_candidates=200,
        batch_size=5,
    )
    trace = run(searcher, SHUFFLED, jax.random.key(0), max_evaluations=30)
    steps = np.asarray(trace.score)[10:].reshape(4, 5)
    assert (np.diff(steps, axis=1) < 0).all()  # the best candidate comes first
    if candidates == "all":
        np.testing.assert_array_equal(steps.ravel(), 5**6 - 1 - np.arange(20))
    else:
        assert steps.min() > 5**6 * 0.8  # the fifth of some dozens, and of 200


def test_random_ranking_takes_any_candidate_but_keeps_to_the_candidates():
    space = nasbench201()
    searcher = searchers.bananas_random_ranking(space, num_init=20, candidates=searchers.mutations(space))
    asked = proposals(searcher, 40, 4)
    told = np.concatenate(asked[:2])
    best = told[np.argsort(-told.sum(axis=1), kind="stable")[:5]]
    away = (asked[2][:, None] != best).sum(axis=2)
    assert (away.min(axis=1) == 1).all()
    assert len({tuple(row) for row in (away == 1)}) > 1  # of several parents, in no order of theirs


def test_what_cannot_be_used_counts_as_the_worst():
    history = no_history(8, 6)._replace(
        scores=jnp.array([3.0, -jnp.inf, 2.0, jnp.inf, 5.0, -jnp.inf, -jnp.inf, -jnp.inf]), num_told=jnp.int32(5)
    )
    scores, mask, best = training_scores(history, 7)
    np.testing.assert_array_equal(mask, [1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(scores[:5], [3, 2, 2, 5, 5])
    assert best == 5
    scores, mask, best = training_scores(history._replace(scores=jnp.full(8, -jnp.inf)), 7)
    assert not mask.any()
    assert np.isfinite(scores).all()
    assert best == 0


def test_small_spaces_are_searched_to_the_end():
    tiny = categorical((3, 2, 2))
    searcher = predictor_search(tiny, ridge(), encoding="one_hot", acquisition="mean", num_init=2, batch_size=5)
    objective = function_objective(lambda key, arch: jnp.where(arch[0] == 1, jnp.nan, jnp.sum(arch) * 1.0))
    trace = run(searcher, objective, jax.random.key(0), max_evaluations=40)
    assert STOPPED_BY[trace.stopped_by] == "exhausted"
    assert trace.mask.sum() == 12
    assert len(np.unique(np.asarray(trace.arch)[:12], axis=0)) == 12


def test_many_candidates_are_predicted_in_parts():
    features = {"a": np.arange(5000.0), "b": np.ones((5000, 2))}
    predict = lambda part: Prediction(part["a"] * 2 + part["b"].sum(axis=1), -part["a"])  # noqa: E731
    whole, parts = predict(features), in_parts(predict, 2048)(features)
    np.testing.assert_array_equal(parts.mean, whole.mean)
    np.testing.assert_array_equal(parts.std, whole.std)


def test_batches_are_evaluated_at_once_and_a_search_goes_on_where_it_was(tmp_path):
    """Ten real evaluations are one call of the objective, as `train_many` makes them."""
    calls = []

    def evaluate(keys, proposal):
        def work(archs, valid):
            calls.append(int(valid.sum()))
            return archs.sum(axis=1).astype(np.float32)

        shape = jax.ShapeDtypeStruct(proposal.valid.shape, jnp.float32)
        score = jax.pure_callback(work, shape, proposal.archs, proposal.valid)
        return Evaluation(score, jnp.ones_like(score), proposal.valid)

    searcher, objective, key = by_ridge(num_init=12, batch_size=10), Objective(evaluate), jax.random.key(2)
    whole = search(searcher, objective, key, max_evaluations=42)
    assert calls == [10, 2, 10, 10, 10]

    def stop(candidate, score, seconds):
        if candidate.row == 25:
            raise KeyboardInterrupt

    file, calls[:] = tmp_path / "search.npz", []
    with pytest.raises(KeyboardInterrupt):
        search(searcher, objective, key, max_evaluations=42, checkpoint=file, on_evaluation=stop)
    resumed = search(searcher, objective, key, max_evaluations=42, checkpoint=file)
    assert calls == [10, 2, 10, 10, 10, 10]  # the batch at which it was stopped is made again
    for one, other in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_neural_predictor_spends_its_last_queries_on_the_best():
    predictor = oracle(TARGET)
    searcher = searchers.gcn_predictor(SPACE, predictor=predictor, encoding=SPACE.index)
    trace = run(searcher, SHUFFLED, jax.random.key(0), max_evaluations=40)
    assert jax.eval_shape(searcher.ask, searcher.init(jax.random.key(0), 40))[0].valid.shape == (4,)
    assert jax.eval_shape(searcher.ask, searcher.init(jax.random.key(0), 150))[0].valid.shape == (17,)
    scores = np.asarray(trace.score)
    assert trace.mask.all()
    assert (scores[36:] > 0.99 * 5**6).all()  # of 2,000
    assert np.median(scores[:36]) < 0.8 * 5**6
    named = searchers.gcn_predictor(SPACE, predictor=predictor, encoding=SPACE.index, num_queries=40)
    assert jax.eval_shape(named.ask, named.init(jax.random.key(0), 150))[0].valid.shape == (4,)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="predictor is None and acquisition 'its', expected 'random'"):
        predictor_search(SPACE, None)
    with pytest.raises(
        ValueError, match="encoding is 'path', expected a function of an architecture or, of categorical, 'one_"
    ):
        predictor_search(SPACE, ridge())
    with pytest.raises(ValueError, match=r"percentile.* ridge has no members"):
        by_ridge(acquisition="percentile")
    with pytest.raises(TypeError, match=r"batch_size is 2\.0"):
        by_ridge(batch_size=2.0)
    with pytest.raises(TypeError, match="training_sizes is 50"):
        by_ridge(training_sizes=50)
    with pytest.raises(ValueError, match="training_sizes is 0"):
        by_ridge(training_sizes=(0, 10))
    with pytest.raises(ValueError, match="categorical has none of the features 'graph'"):
        searchers.bonas(SPACE)
    assert searchers.bonas(SPACE, predictor=ridge(), encoding="one_hot").name == "bonas"
    assert searchers.dngo(SPACE._replace(feature_names=()), encoding=SPACE.index).name == "dngo"
    with pytest.raises(ValueError, match="needs the encoding 'nasbot'"):
        searchers.nasbot(SPACE)
