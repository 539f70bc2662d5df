"""Random forests and gradient boosting: against scikit-learn's own, and what their members are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.searchers import predictors
from jnas.searchers.predictors import _tree_predictors

RNG = np.random.default_rng(0)
FEATURES = RNG.integers(0, 2, (200, 12)).astype(np.float32)
WEIGHTS = RNG.normal(size=12)
SCORES = (70 + 5 * FEATURES @ WEIGHTS + RNG.normal(size=200)).astype(np.float32)
POINTS = RNG.integers(0, 2, (300, 12)).astype(np.float32)
ALL = np.ones(200, bool)


def fitted(predictor, seed=0, features=FEATURES, scores=SCORES, mask=ALL):
    return predictor.fit(jax.random.key(seed), features, scores, mask)


@pytest.mark.statistical
@pytest.mark.parametrize("min_samples_leaf", [1, 5])
def test_forest_predicts_as_one_of_scikit_learn(min_samples_leaf):
    """Mean and deviation between trees, as near as another seed of its own."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    settings = {"max_features": 0.5, "min_samples_split": 4, "min_samples_leaf": min_samples_leaf}

    def theirs(seed):
        forest = ensemble.RandomForestRegressor(150, random_state=seed, **settings).fit(FEATURES, SCORES)
        values = np.stack([tree.predict(POINTS) for tree in forest.estimators_])
        return np.stack([values.mean(axis=0), values.std(axis=0)])

    predictor = predictors.random_forest(num_trees=150, **settings)
    ours = np.stack(predictor.predict(fitted(predictor), POINTS))
    again, away = (np.sqrt(np.mean((a - theirs(0)) ** 2, axis=1)) for a in (theirs(1), ours))
    assert (away < 1.3 * again).all()
    assert (again < 0.1 * SCORES.std()).all()


@pytest.mark.statistical
def test_boosting_predicts_as_that_of_scikit_learn():
    """A member is a boosted model of a bootstrap sample: many agree with many of another seed, made by hand."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    settings = {"learning_rate": 0.2, "max_depth": 2, "subsample": 0.8}

    def theirs(seed):
        rng = np.random.default_rng(seed)
        values = []
        for i in range(20):
            rows = rng.integers(0, 200, 200)
            model = ensemble.GradientBoostingRegressor(n_estimators=40, random_state=1000 * seed + i, **settings)
            values.append(model.fit(FEATURES[rows], SCORES[rows]).predict(POINTS))
        return np.stack([np.mean(values, axis=0), np.std(values, axis=0)])

    predictor = predictors.gradient_boosting(num_members=20, num_trees=40, **settings)
    ours = np.stack(predictor.predict(fitted(predictor), POINTS))
    again, away = (np.sqrt(np.mean((a - theirs(1)) ** 2, axis=1)) for a in (theirs(2), ours))
    assert (away < 1.3 * again).all()
    assert (again < 0.1 * SCORES.std()).all()


def test_a_tree_that_sees_all_rows_repeats_them_and_leaves_say_their_variance():
    """Of the rows 1, 1, 3 in one leaf: mean 5/3 and variance 8/9, in each tree whose sample has them so."""
    features = np.array([[0.0], [0.0], [0.0], [1.0]], np.float32)
    trees = _tree_predictors.grow_trees(features, np.array([1.0, 1.0, 3.0, 9.0]), 0, 300, min_samples_leaf=1)
    means, variances = _tree_predictors.tree_means(trees, np.array([[0.0], [1.0]], np.float32))
    assert means.shape == variances.shape == (300, 2)
    drawn = np.random.default_rng(5).integers(0, 4, (20_000, 4))  # by hand: what a sample's rows at 0 have as mean
    usual = [np.array([1, 1, 3])[row[row < 3]].mean() for row in drawn if 0 < (row < 3).sum() < 4]
    found = means[(means[:, 0] < 9) & (means[:, 1] == 9), 0]
    assert abs(found.mean() - np.mean(usual)) < 4 * np.std(usual) / np.sqrt(len(found))
    third = np.isclose(means[:, 0], 5 / 3)
    assert third.any()
    np.testing.assert_allclose(variances[third, 0], 8 / 9, rtol=1e-6)


@pytest.mark.parametrize("make", [predictors.random_forest, predictors.gradient_boosting])
def test_uncertainty_is_that_between_members(make):
    predictor = make()
    model = fitted(predictor)
    members = predictor.members(model, POINTS)
    mean, std = predictor.predict(model, POINTS)
    np.testing.assert_allclose(mean, members.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, members.std(axis=0), rtol=1e-4, atol=1e-5)
    assert all(isinstance(values, np.ndarray) for values in (members, mean, std))
    assert np.sqrt(np.mean((mean - 70 - 5 * POINTS @ WEIGHTS) ** 2)) < 0.4 * SCORES.std()


@pytest.mark.statistical
@pytest.mark.parametrize("make", [predictors.random_forest, predictors.gradient_boosting])
def test_members_agree_more_the_more_they_have_seen(make):
    predictor = make()
    stds = [predictor.predict(fitted(predictor, mask=np.arange(200) < n), POINTS).std.mean() for n in (15, 200)]
    assert stds[0] > 1.15 * stds[1]


@pytest.mark.parametrize("make", [predictors.random_forest, predictors.gradient_boosting])
def test_arguments_are_checked(make):
    with pytest.raises(TypeError, match="num_trees is"):
        make(num_trees=2.5)
    predictor = make()
    assert not predictor.compiled
    with pytest.raises(TypeError, match=r"expected one array \[N, F\]"):
        predictor.fit(jax.random.key(0), {"nodes": jnp.zeros((3, 4, 5))}, jnp.zeros((3,)), jnp.ones((3,), bool))
    with pytest.raises(ValueError, match="with one N"):
        predictor.fit(jax.random.key(0), FEATURES, SCORES[:-1], ALL)


def test_shares_out_of_range_are_refused():
    with pytest.raises(ValueError, match="max_features is"):
        predictors.random_forest(max_features=1.5)
    with pytest.raises(ValueError, match="max_features is"):
        predictors.random_forest(max_features=0.0)
    with pytest.raises(ValueError, match="min_samples_split is 1"):
        predictors.random_forest(min_samples_split=1)
    with pytest.raises(ValueError, match="subsample is"):
        predictors.gradient_boosting(subsample=0.0)
