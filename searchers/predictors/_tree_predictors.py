"""Predictors of regression trees, which are scikit-learn's: random forests and gradient boosting."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Features, Key, Prediction, Predictor
from jnas.searchers._checks import check_fraction, check_positive, check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.predictors._predictor import check_fit, check_vectors


class Regressors(NamedTuple):
    """Fitted regressors and the units that they work in."""

    fitted: tuple[Any, ...]  # M trees of scikit-learn's, or M boosted sequences of trees
    center: float  # of the scores
    scale: float


@recorded
def random_forest(
    *, num_trees: int = 100, max_features: float = 1 / 3, min_samples_split: int = 2, min_samples_leaf: int = 1
) -> Predictor:
    """Returns a random forest: regression trees, each fitted to a bootstrap sample.

    It cannot be compiled: the trees are scikit-learn's. Functions take and give NumPy arrays. The members are the
    trees, and the deviation between them is `Prediction.std`.

    Args:
      num_trees: Trees in the forest.
      max_features: The share of the features among which a tree seeks each split.
      min_samples_split: Rows that a node must have to be divided.
      min_samples_leaf: Rows that a leaf must have.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Random Forests", Breiman, 2001.

    Example:
      >>> features, scores = np.arange(20.0)[:, None], np.repeat([70.0, 74.0], 10)
      >>> predictor = jnas.searchers.predictors.random_forest(num_trees=5)
      >>> model = predictor.fit(jax.random.key(0), features, scores, np.ones(20, bool))
      >>> predictor.predict(model, np.array([[0.0], [19.0]])).mean.round(1).tolist()
      [70.0, 74.0]
    """
    check_positive_int("num_trees", num_trees)
    check_positive_int("min_samples_split", min_samples_split, least=2)
    check_positive_int("min_samples_leaf", min_samples_leaf)
    check_positive("max_features", max_features)
    check_fraction("max_features", max_features)

    def grow(features: np.ndarray, targets: np.ndarray, seed: int) -> tuple[Any, ...]:
        return grow_trees(
            features,
            targets,
            seed,
            num_trees,
            max_features=max_features,
            min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf,
        )

    return _predictor("random_forest", num_trees, grow, lambda trees, features: tree_means(trees, features)[0])


@recorded
def gradient_boosting(
    *,
    num_members: int = 10,
    num_trees: int = 100,
    learning_rate: float = 0.1,
    max_depth: int = 3,
    subsample: float = 0.7,
) -> Predictor:
    """Returns an ensemble of gradient-boosted trees, each member fitted to a bootstrap sample.

    It cannot be compiled: the trees are scikit-learn's. Functions take and give NumPy arrays. Boosting has no
    uncertainty of its own; that of the ensemble is the deviation between what members learn from their samples.

    Args:
      num_members: Boosted models, `M`.
      num_trees: Trees of a member.
      learning_rate: The share of a tree that counts.
      max_depth: Splits from a tree's root to a leaf, at most.
      subsample: The share of a member's sample that each of its trees sees.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Stochastic Gradient Boosting", Friedman, 2002.
    """
    check_sizes(num_members=num_members, num_trees=num_trees, max_depth=max_depth)
    for name, rate in (("learning_rate", learning_rate), ("subsample", subsample)):
        check_positive(name, rate)
        check_fraction(name, rate)

    def boost(features: np.ndarray, targets: np.ndarray, seed: int) -> tuple[Any, ...]:
        from sklearn import config_context  # type: ignore[import-untyped]  # it takes long to import
        from sklearn.ensemble import GradientBoostingRegressor  # type: ignore[import-untyped]

        rng = np.random.default_rng(seed)
        members = []
        with config_context(skip_parameter_validation=True, assume_finite=True):
            for _ in range(num_members):
                rows = rng.integers(0, len(targets), len(targets))
                member = GradientBoostingRegressor(
                    n_estimators=num_trees,
                    learning_rate=learning_rate,
                    max_depth=max_depth,
                    subsample=max(subsample, 1 / len(targets)),
                    random_state=int(rng.integers(2**31)),
                )
                members.append(member.fit(features[rows], targets[rows]))
        return tuple(members)

    def predict(fitted: Sequence[Any], features: np.ndarray) -> np.ndarray:
        return np.stack([member.predict(features) for member in fitted])

    return _predictor("gradient_boosting", num_members, boost, predict)


def _predictor(
    name: str,
    num_members: int,
    fit_members: Callable[[np.ndarray, np.ndarray, int], tuple[Any, ...]],
    predict_members: Callable[[Sequence[Any], np.ndarray], np.ndarray],
) -> Predictor:
    """Returns the predictor of an ensemble that works in NumPy.

    Args:
      name: Of the predictor.
      num_members: `M`.
      fit_members: `fit_members(features [N, F], standardised scores [N], seed)`, the members.
      predict_members: `predict_members(members, features [B, F]) -> [M, B]`.
    """

    def fit(key: Key, features: Features, scores: Array, mask: Array) -> Regressors:
        check_fit(features, scores, mask)
        rows = np.asarray(mask, bool)
        inputs = np.asarray(check_vectors(name, features))[rows]
        targets = np.asarray(scores, np.float64)[rows]
        if not rows.any():  # scikit-learn wants a row
            inputs, targets = np.zeros((1, inputs.shape[1]), np.float32), np.zeros(1)
        center, scale = float(targets.mean()), float(targets.std()) or 1.0
        seed = int(jax.random.bits(key, dtype=jnp.uint32))
        return Regressors(fit_members(inputs, (targets - center) / scale, seed), center, scale)

    def members(model: Regressors, features: Features) -> np.ndarray:
        values = predict_members(model.fitted, np.asarray(check_vectors(name, features)))
        return np.asarray(model.center + model.scale * values, np.float32)

    def predict(model: Regressors, features: Features) -> Prediction:
        values = members(model, features)
        return Prediction(values.mean(axis=0), values.std(axis=0))

    def sample(key: Key, model: Regressors, features: Features) -> np.ndarray:
        chosen = int(jax.random.randint(key, (), 0, num_members, jnp.int32))
        value: np.ndarray = members(model._replace(fitted=model.fitted[chosen : chosen + 1]), features)[0]
        return value

    return Predictor(fit, predict, sample, name, members, compiled=False)  # type: ignore[arg-type]


def grow_trees(
    features: np.ndarray,
    targets: np.ndarray,
    seed: int,
    num_trees: int,
    *,
    max_features: float = 5 / 6,
    min_samples_split: int = 3,
    min_samples_leaf: int = 3,
) -> tuple[Any, ...]:
    """Returns trees of scikit-learn's, each fitted to a bootstrap sample of `features [N, F]` and `targets [N]`.

    The defaults are those of SMAC.
    """
    from sklearn import config_context
    from sklearn.tree import DecisionTreeRegressor  # type: ignore[import-untyped]

    rng = np.random.default_rng(seed)
    trees = []
    # A RandomForestRegressor is the same but for the order of its random numbers, and takes up to three times as long.
    with config_context(skip_parameter_validation=True, assume_finite=True):
        for _ in range(num_trees):
            drawn = rng.integers(0, len(targets), len(targets))
            weights = np.bincount(drawn, minlength=len(targets)).astype(np.float64)
            tree = DecisionTreeRegressor(
                max_features=max_features,
                min_samples_split=min_samples_split,
                min_samples_leaf=min_samples_leaf,
                random_state=int(rng.integers(2**31)),
            )
            trees.append(tree.fit(features, targets, sample_weight=weights, check_input=False).tree_)
    return tuple(trees)


def tree_means(trees: Sequence[Any], features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means and the variances of the leaves that `features [N, F]` fall in, both `[M, N]`."""
    leaves = [tree.apply(features) for tree in trees]
    means = np.stack([tree.value[leaf, 0, 0] for tree, leaf in zip(trees, leaves, strict=True)])
    variances = np.stack([tree.impurity[leaf] for tree, leaf in zip(trees, leaves, strict=True)])
    return means, variances
