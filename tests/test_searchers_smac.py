"""SMAC-like search: its parts by hand and against scikit-learn, its proposals, and who may drive it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas.core._loop import run
from jnas.core._search import search
from jnas.core._vocabulary import Evaluation, function_objective
from jnas.searchers import smac
from jnas.searchers.black_box import _smac
from jnas.spaces import categorical, nasbench101

SPACE = categorical((4,) * 6)
WEIGHTS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
QUICK = {"num_init": 4, "num_random": 40, "num_local": 3}


def additive(key, arch):
    return jnp.sum(jnp.asarray(WEIGHTS)[jnp.arange(6), arch])


def told(searcher, archs, scores, valid=None):
    """The state after some evaluations, whatever the searcher would have proposed."""
    state = searcher.init(jax.random.key(0), len(archs) + 1)
    for i, (arch, score) in enumerate(zip(archs, scores, strict=True)):
        proposal, state = searcher.ask(state)
        ok = jnp.full((1,), True if valid is None else bool(valid[i]))
        answer = Evaluation(jnp.full((1,), score, jnp.float32), jnp.ones((1,)), ok)
        state = searcher.tell(state, proposal._replace(archs=jnp.asarray(arch, jnp.int32)[None]), answer)
    return state


def proposals(searcher, state, seeds):
    """What is proposed with each of some keys."""
    keys = [jax.random.key(seed) for seed in range(seeds)]
    return np.stack([np.asarray(searcher.ask(state._replace(key=key))[0].archs[0]) for key in keys])


def test_features_by_hand():
    found = _smac.one_hot_rows(np.array([[0, 2, 1], [1, 0, 0]], np.int32), (2, 3, 2))
    np.testing.assert_array_equal(found, [[0, 0, 0, 1, 1], [1, 1, 0, 0, 0]])


def test_forest_predicts_as_one_of_scikit_learn():
    """The mean is that of a forest of scikit-learn's, as near as another seed of its own."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    rng = np.random.default_rng(1)
    features = rng.integers(0, 2, (300, 12)).astype(np.float32)
    scores = (70 + 5 * features @ rng.normal(size=12)).astype(np.float32)
    points = rng.integers(0, 2, (500, 12)).astype(np.float32)

    def theirs(seed):
        settings = {"max_features": 5 / 6, "min_samples_split": 3, "min_samples_leaf": 3}
        return ensemble.RandomForestRegressor(200, random_state=seed, **settings).fit(features, scores).predict(points)

    forest = _smac._fit(features, scores, 7, 200)
    means = np.mean([tree.value[tree.apply(points), 0, 0] for tree in forest.trees], axis=0)
    ours = forest.center + forest.scale * means
    again = np.sqrt(np.mean((theirs(0) - theirs(1)) ** 2))
    assert np.sqrt(np.mean((ours - theirs(2)) ** 2)) < 1.3 * again
    assert again < 0.1 * scores.std()


def test_expected_improvement_against_drawing_from_the_normal():
    """Two trees of one leaf each, by hand: mean 1.5, variance (1 + 3) / 2 within and 0.25 between."""

    class Tree:
        def __init__(self, value, variance):
            self.value, self.impurity = np.full((1, 1, 1), value), np.full(1, variance)

        def apply(self, features):
            return np.zeros(len(features), int)

    forest = _smac._Forest((Tree(1.0, 1.0), Tree(2.0, 3.0)), center=70.0, scale=2.0)
    (found,) = _smac._expected_improvement(forest, np.zeros((1, 3), np.float32), best=74.0)
    z = (1.5 - 2.0) / 1.5
    assert found == pytest.approx(1.5 * (z * stats.norm.cdf(z) + stats.norm.pdf(z)), rel=1e-6)
    draws = np.random.default_rng(0).normal(1.5, 1.5, 200_000)
    gains = np.maximum(draws - 2.0, 0)
    assert abs(found - gains.mean()) < 4 * gains.std() / np.sqrt(len(gains))


def test_what_is_not_usable_counts_like_the_worst():
    scores = np.array([3.0, -np.inf, 1.0], np.float32)
    np.testing.assert_array_equal(_smac._imputed(scores), [3.0, 1.0, 1.0])
    np.testing.assert_array_equal(_smac._imputed(scores[1:2]), [0.0])


def test_proposes_what_the_forest_thinks_well_of_and_nothing_twice():
    """All scores but those of one first choice are low: proposals have that choice; a third of them are random."""
    archs = np.random.default_rng(2).integers(0, 4, (80, 6)).astype(np.int32)
    scores = 50 + 40.0 * (archs[:, 0] == 3) + 5.0 * (archs[:, 1] == 2)
    searcher = smac(SPACE, **QUICK, random_fraction=0.0)
    found = proposals(searcher, told(searcher, archs, scores), 40)
    assert (found[:, 0] == 3).all()
    assert (found[:, 1] == 2).mean() > 0.8
    assert not (found[:, None] == archs[None]).all(axis=-1).any()
    assert len({arch.tobytes() for arch in found}) > 5  # of equal candidates any may win


@pytest.mark.statistical
def test_a_third_of_the_proposals_is_random():
    archs = np.random.default_rng(2).integers(0, 4, (80, 6)).astype(np.int32)
    searcher = smac(SPACE, **QUICK, refit_every=1000)
    state = told(searcher, archs, 40.0 * (archs[:, 0] == 3))
    found = proposals(searcher, state._replace(fitted_to=np.asarray(80, np.int32)), 300)
    expected = 1 / 3 * 3 / 4  # a random one has another first choice three times in four
    assert abs((found[:, 0] != 3).mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 300)


def test_begins_with_random_architectures_and_goes_on_where_nothing_is_usable():
    searcher = smac(SPACE, **QUICK)
    archs = np.zeros((9, 6), np.int32)
    state = told(searcher, archs, np.full(9, np.nan))
    assert len({arch.tobytes() for arch in state.initial}) > 1
    assert len({arch.tobytes() for arch in proposals(searcher, state, 5)}) == 5


def test_exhausted_spaces_are_searched_on():
    """With nothing new left, something known is proposed again."""
    space = categorical((2, 2))
    trace = search(
        smac(space, **QUICK), function_objective(lambda key, arch: arch[0] + 0.0), jax.random.key(0), max_evaluations=12
    )
    assert trace.mask.all()
    assert len({arch.tobytes() for arch in np.asarray(trace.arch)}) == 4


def test_refits_less_often_as_evaluations_grow():
    searcher = smac(SPACE, **QUICK, refit_growth=0.5, random_fraction=0.0)
    state, seen = searcher.init(jax.random.key(0), 40), []
    for _ in range(30):
        proposal, state = searcher.ask(state)
        seen.append(int(state.fitted_to))
        state = searcher.tell(state, proposal, Evaluation(jnp.ones((1,)), jnp.ones((1,)), jnp.ones((1,), bool)))
    assert sorted(set(seen)) == [0, 4, 6, 9, 14, 21]  # half as many again each time


def test_refits_as_often_as_told():
    searcher = smac(SPACE, **QUICK, refit_every=3, random_fraction=0.0)
    archs = np.random.default_rng(3).integers(0, 4, (12, 6)).astype(np.int32)
    fitted = []
    for steps in range(4, 12):
        _, state = searcher.ask(told(searcher, archs[:steps], np.arange(steps, dtype=float)))
        fitted.append(int(state.fitted_to))
    assert fitted == [4, 4, 4, 7, 7, 7, 10, 10]


def test_a_search_that_was_stopped_goes_on_to_the_same_trace(tmp_path):
    """A checkpoint holds all that the next step needs, though the forest is not in it."""
    searcher = smac(SPACE, **QUICK, refit_every=4)
    objective = function_objective(additive)
    options = {"max_evaluations": 16, "checkpoint": tmp_path / "search.npz"}
    whole = search(searcher, objective, jax.random.key(5), max_evaluations=16)

    class Stopped(Exception):
        pass

    def stop(candidate, score, seconds):
        if candidate.row == 9:
            raise Stopped

    with pytest.raises(Stopped):
        search(searcher, objective, jax.random.key(5), on_evaluation=stop, **options)
    other = smac(SPACE, **QUICK, refit_every=4)  # nothing is remembered but in the file
    again = search(other, objective, jax.random.key(5), **options)
    jax.tree.map(np.testing.assert_array_equal, again, whole)


@pytest.mark.statistical
def test_finds_better_cells_of_nasbench101_than_random_search():
    """On a score that prefers few edges and 3x3 convolutions, with the same number of evaluations."""
    space = nasbench101()

    def score(key, arch):
        return jnp.sum(arch[21:] == 0) - 0.3 * jnp.sum(arch[:21])

    searcher = smac(space, num_random=50, num_local=5, refit_every=2)
    objective = function_objective(score)
    traces = [search(searcher, objective, jax.random.key(seed), max_evaluations=50) for seed in range(6)]
    archs = np.concatenate([np.asarray(trace.arch) for trace in traces])
    assert jax.jit(jax.vmap(space.is_valid))(archs).all()
    draws = jax.jit(jax.vmap(lambda key: score(key, space.sample(key))))(jax.random.split(jax.random.key(9), 5_000))
    random = np.asarray(draws).reshape(100, 50).max(axis=1)
    best = np.asarray([trace.score.max() for trace in traces])
    assert best.mean() > random.mean() + 3 * random.std() / np.sqrt(len(best))


def test_the_compiled_loop_refuses_it():
    with pytest.raises(ValueError, match=r"smac cannot be compiled .* pass it to jnas\.search"):
        run(smac(SPACE), function_objective(additive), jax.random.key(0), max_evaluations=3)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="num_trees is '10', expected a Python int"):
        smac(SPACE, num_trees="10")
    with pytest.raises(ValueError, match="random_fraction is 2, expected a fraction"):
        smac(SPACE, random_fraction=2)
