"""The laws that every predictor obeys. A new predictor is a new row of the table.

All laws of a row share few compiled programs: training sets have `N` rows, of which a mask chooses, and those of all
laws are lanes of one study.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.searchers import predictors
from jnas.searchers.predictors import (
    Predictor,
    bayesian_linear_regression,
    bohamiann,
    dngo,
    gaussian_process,
    gcn,
    gradient_boosting,
    mlp_ensemble,
    random_forest,
)
from jnas.spaces import nasbench201
from jnas.statistics import kendall_tau


class Row(NamedTuple):
    """A predictor at a reduced size, what it reads, and which laws it obeys to the letter."""

    make: Callable[[], Predictor]
    encoding: str = "one_hot"  # of NAS-Bench-201
    fixed_units: bool = False  # it does not standardise scores: equivariance is not claimed
    rounded: bool = False  # it may be rounded otherwise alone than among many, and training magnifies that
    noisy: bool = False  # its `std` has a noise that its samples, functions without noise, do not have
    exact: bool = False  # the result follows from the data alone, in any order, without a random number
    precision: float = 1e-4  # of one prediction, in units of the scores' spread
    tau: float = 0.5  # mean rank correlation on held-out cells that 96 training cells must give at least


ROWS: dict[str, Row] = {
    "mlp_ensemble": Row(lambda: mlp_ensemble(num_members=3, networks=((3, 20),), epochs=60)),
    "mlp_ensemble_gaussian": Row(
        lambda: mlp_ensemble(num_members=3, networks=((2, 20),), epochs=60, loss="gaussian"),
        rounded=True,
        noisy=True,
    ),
    "gcn": Row(
        lambda: gcn(num_members=2, num_layers=3, width=24, hidden=24, epochs=40, learning_rate=3e-3),
        encoding="graph",
    ),
    "gaussian_process": Row(lambda: gaussian_process(), encoding="ordinal", exact=True),
    "gaussian_process_fitted": Row(
        lambda: gaussian_process(fit_hyperparameters=True), encoding="ordinal", exact=True, precision=1e-3
    ),
    "bayesian_linear_regression": Row(lambda: bayesian_linear_regression(), exact=True, tau=0.8),
    "dngo": Row(lambda: dngo(num_epochs=60)),
    "random_forest": Row(lambda: random_forest(num_trees=20)),
    "gradient_boosting": Row(lambda: gradient_boosting(num_members=4, num_trees=40)),
    "bohamiann": Row(lambda: bohamiann(width=20, num_steps=1000, num_burn_in=400, keep_every=15)),
}
every_predictor = pytest.mark.parametrize("name", ROWS)

S, N, T = 4, 96, 64  # seeds, training rows, held-out cells
FEW, ONE = 12, 5  # how many rows are little to learn from, and which is alone
EVERY_OTHER = np.arange(N) % 2 == 0
SPACE = nasbench201()


class Sets(NamedTuple):
    """Training sets, most often a lane for each of the seeds; NumPy arrays."""

    seeds: np.ndarray  # [L]
    features: Any  # [L, N, ...]
    scores: np.ndarray  # [L, N] float32
    mask: np.ndarray  # [L, N] bool

    def lane(self, i: int, rows: Any = slice(None)) -> tuple[Any, np.ndarray, np.ndarray]:
        """The training set of one seed, or some rows of it."""
        features = jax.tree.map(lambda leaf: leaf[i][rows], self.features)
        return features, self.scores[i][rows], self.mask[i][rows]


class Data(NamedTuple):
    """Problems of one function; NumPy arrays."""

    usual: Sets
    points: Any  # [T, ...]
    truth: np.ndarray  # [T] float32


@functools.cache
def data(encoding: str) -> Data:
    """Random cells; a score in percent that is additive over edges, most of it the same on every edge."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=5) + 0.3 * rng.normal(size=(6, 5))
    archs = rng.integers(0, 5, (S * N + T, 6)).astype(np.int32)
    scores = (70 + 3 * weights[np.arange(6), archs].sum(axis=1)).astype(np.float32)
    features = jax.device_get(jax.jit(jax.vmap(lambda arch: SPACE.features(arch, encoding)))(archs))
    return Data(
        usual=Sets(
            seeds=np.arange(S),
            features=jax.tree.map(lambda leaf: leaf[: S * N].reshape(S, N, *leaf.shape[1:]), features),
            scores=scores[: S * N].reshape(S, N),
            mask=np.ones((S, N), bool),
        ),
        points=jax.tree.map(lambda leaf: leaf[S * N :], features),
        truth=scores[S * N :],
    )


@functools.cache
def sets(encoding: str) -> dict[str, Sets]:
    """The training sets that the laws are about."""
    usual = data(encoding).usual
    half = usual._replace(mask=np.tile(EVERY_OTHER, (S, 1)))
    both = np.concatenate([usual.scores[:2] / 4, usual.scores[2:] / 100 - 3])
    return {
        "usual": usual,
        "half": half,
        "one set": jax.tree.map(lambda leaf: np.stack([leaf[0]] * 2), usual)._replace(seeds=usual.seeds[:2]),
        "junk": with_junk(half),
        "another order": reordered(half),
        "little": with_little(usual),
        "few": usual._replace(mask=np.tile(np.arange(N) < FEW, (S, 1))),
        "other units": usual._replace(scores=both),
    }


def with_junk(half: Sets) -> Sets:
    """NaN, infinities or something very large in masked rows, a seed each."""
    features, scores = jax.tree.map(np.copy, (half.features, half.scores))
    for i, junk in enumerate((np.nan, np.inf, -np.inf, 1e30)):
        for leaf in jax.tree.leaves((features, scores)):
            leaf[i, ~EVERY_OTHER] = junk
    return half._replace(features=features, scores=scores)


def reordered(half: Sets) -> Sets:
    """The rows of each seed in an order of its own."""
    order = [np.random.default_rng(i).permutation(N) for i in range(S)]
    moved = jax.tree.map(lambda leaf: np.stack([leaf[i][order[i]] for i in range(S)]), half._replace(seeds=None))
    return moved._replace(seeds=half.seeds)


def with_little(usual: Sets) -> Sets:
    """No row; one row; constant scores; one cell twice with different scores."""
    features, scores, mask = jax.tree.map(np.copy, usual[1:])
    mask[0] = False
    mask[1], mask[1, ONE] = False, True
    scores[2] = 80
    mask[3], mask[3, :2] = False, True
    for leaf in jax.tree.leaves(features):
        leaf[3, 1] = leaf[3, 0]
    return Sets(usual.seeds, features, scores, mask)


class Said(NamedTuple):
    """What a fitted predictor says of the held-out cells; NumPy arrays, with a leading axis [S] from a study."""

    mean: np.ndarray  # [T]
    std: np.ndarray  # [T]
    samples: np.ndarray  # [D, T], of D keys
    members: np.ndarray | None  # [M, T]


class Compiled(NamedTuple):
    """A row of the table with its programs; those of a predictor that cannot be compiled are as they are."""

    row: Row
    predictor: Predictor
    data: Data
    fit: Any  # (seed, features, scores, mask) -> model
    predict: Any  # (model, features) -> Prediction
    study: Any  # (seeds [L], features [L, N, ...], scores [L, N], mask [L, N], points) -> Said, over lanes


@functools.cache
def compiled(name: str) -> Compiled:
    row = ROWS[name]
    predictor = row.make()

    def fit(seed: Any, features: Any, scores: Any, mask: Any) -> Any:
        return predictor.fit(jax.random.key(seed), features, scores, mask)

    def say(seed: Any, features: Any, scores: Any, mask: Any, points: Any) -> Said:
        model = fit(seed, features, scores, mask)
        mean, std = predictor.predict(model, points)
        keys = jax.random.split(jax.random.key(seed + 1000), 256 if predictor.compiled else 64)
        if predictor.compiled:
            samples = jax.vmap(predictor.sample, (0, None, None))(keys, model, points)
        else:
            samples = np.stack([predictor.sample(key, model, points) for key in keys])
        return Said(mean, std, samples, predictor.members(model, points) if predictor.members else None)

    def one_by_one(seeds: Any, features: Any, scores: Any, mask: Any, points: Any) -> Said:
        lanes = [
            say(seed, jax.tree.map(lambda leaf, i=i: leaf[i], features), scores[i], mask[i], points)
            for i, seed in enumerate(seeds)
        ]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)

    if not predictor.compiled:
        return Compiled(row, predictor, data(row.encoding), fit, predictor.predict, one_by_one)
    study = jax.jit(jax.vmap(say, (0, 0, 0, 0, None)))

    def checked(*arguments: Any) -> Said:
        with jax.debug_key_reuse(True):  # no key is used twice: a law of its own, at no further compilation
            return jax.device_get(study(*arguments))

    return Compiled(row, predictor, data(row.encoding), jax.jit(fit), jax.jit(predictor.predict), checked)


@functools.cache
def said(name: str) -> dict[str, Said]:
    """What the predictor says after fits to all training sets."""
    case = compiled(name)
    parts = sets(case.row.encoding)
    together = case.study(*jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts.values()), case.data.points)
    starts = np.cumsum([len(part.seeds) for part in parts.values()])[:-1]
    return {about: jax.tree.map(lambda leaf, i=i: np.split(leaf, starts)[i], together) for i, about in enumerate(parts)}


def tau(truth: np.ndarray, means: np.ndarray) -> float:
    """The rank correlation, mean over seeds."""
    return float(np.mean([kendall_tau(truth, mean) for mean in means]))


def assert_same(one: Said, other: Said, scale: float, tolerance: float = 2e-3) -> None:
    """Up to rounding, in units of the scores' spread; training amplifies rounding, hence the tolerance."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * scale, rtol=1e-5)


@every_predictor
def test_what_is_said_has_its_form(name):
    case, found = compiled(name), said(name)["usual"]
    assert case.predictor.name
    assert found.mean.shape == found.std.shape == (S, T)
    assert found.samples.shape[::2] == (S, T)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert (found.std >= 0).all()
    if found.members is not None:
        assert found.members.shape[::2] == (S, T)


@every_predictor
def test_same_key_same_result(name):
    """In whatever lane, and whatever the others are about."""
    found, again = said(name)["usual"], said(name)["one set"]
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a[0], b[0])


@every_predictor
def test_one_fit_alone_is_that_of_many(name):
    """A lane of the study is what `fit` and `predict` give alone, under `jit`, and as the rows alone give it."""
    case = compiled(name)
    for about, rows in (("usual", slice(None)), ("half", slice(0, N, 2))):
        found, given = said(name)[about], sets(case.row.encoding)[about]
        features, scores, mask = given.lane(1, rows)
        alone = case.predict(case.fit(given.seeds[1], features, scores, mask), case.data.points)
        if case.row.rounded:
            assert kendall_tau(alone.mean, found.mean[1]) > 0.8
        else:
            assert_same(alone, (found.mean[1], found.std[1]), scores.std())


@every_predictor
def test_other_keys_matter_unless_none_is_used(name):
    case, found = compiled(name), said(name)["one set"]
    if case.row.exact:
        np.testing.assert_allclose(found.mean, found.mean[:1].repeat(2, 0), rtol=1e-5)
    else:
        assert len({mean.tobytes() for mean in found.mean}) == 2


@every_predictor
def test_what_masked_rows_hold_does_not_matter(name):
    """NaN, infinities or something very large, a seed each."""
    for a, b in zip(jax.tree.leaves(said(name)["junk"]), jax.tree.leaves(said(name)["half"]), strict=True):
        np.testing.assert_array_equal(a, b)


@every_predictor
def test_order_of_the_rows_does_not_matter(name):
    """To the letter, or in that the predictions rank the cells as well as before, and about as before."""
    case, found, moved = compiled(name), said(name)["half"], said(name)["another order"]
    if case.row.exact:
        assert_same((moved.mean, moved.std), (found.mean, found.std), case.data.usual.scores.std())
    else:
        between = np.mean([kendall_tau(a, b) for a, b in zip(found.mean, moved.mean, strict=True)])
        assert between > case.row.tau
        assert abs(tau(case.data.truth, moved.mean) - tau(case.data.truth, found.mean)) < 0.12


@every_predictor
def test_with_little_or_nothing_to_learn_from_predictions_stay_finite(name):
    """No row; one row; constant scores; one cell twice with different scores."""
    case, found = compiled(name), said(name)["little"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert (found.std >= 0).all()
    if not case.row.fixed_units:
        np.testing.assert_allclose(found.mean[1], case.data.usual.scores[1, ONE], atol=3)
        np.testing.assert_allclose(found.mean[2], 80, atol=3)


@every_predictor
@pytest.mark.statistical
def test_it_learns_and_more_data_helps(name):
    case, found, few = compiled(name), said(name)["usual"], said(name)["few"]
    truth = case.data.truth
    assert tau(truth, found.mean) > max(case.row.tau, tau(truth, few.mean))
    errors = [np.sqrt(np.mean((means - truth) ** 2)) for means in (found.mean, few.mean)]
    assert errors[0] < min(errors[1], 0.8 * truth.std())


@every_predictor
def test_scores_have_no_units(name):
    """What is fitted to `a * scores + b` predicts `a` times as much, plus `b`: two kinds of units, two seeds each."""
    case, found, both = compiled(name), said(name)["usual"], said(name)["other units"]
    if case.row.fixed_units:
        pytest.skip("it wants scores in certain units")
    spread = case.data.usual.scores.std()
    # A quarter is a power of two: no rounding. Percent as fractions are rounded, and training amplifies it.
    quarter, moved = (jax.tree.map(lambda leaf, part=part: leaf[part], both) for part in (slice(2), slice(2, S)))
    same, found = (jax.tree.map(lambda leaf, part=part: leaf[part], found) for part in (slice(2), slice(2, S)))
    assert_same(jax.tree.map(lambda leaf: 4 * leaf, quarter), same, spread)
    back = 100 * (moved.mean + 3)
    if case.row.rounded:
        assert np.mean([kendall_tau(a, b) for a, b in zip(back, found.mean, strict=True)]) > 0.8
        return
    assert np.sqrt(np.mean((back - found.mean) ** 2)) < 0.15 * spread
    np.testing.assert_allclose(100 * moved.std.mean(), found.std.mean(), rtol=0.1, atol=1e-3 * spread)


@every_predictor
def test_architectures_are_predicted_independently(name):
    case = compiled(name)
    model = case.fit(case.data.usual.seeds[0], *case.data.usual.lane(0))
    together, spread = case.predict(model, case.data.points), case.data.usual.scores.std()
    backwards = case.predict(model, jax.tree.map(lambda leaf: leaf[::-1].copy(), case.data.points))
    assert_same(jax.tree.map(lambda leaf: leaf[::-1], backwards), together, spread, case.row.precision)
    for i in (0, T - 1):
        alone = case.predict(model, jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], case.data.points))
        assert_same(alone, jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], together), spread, case.row.precision)
    if case.predictor.compiled:  # once for all rows, once for half of them, and not again for another key or other rows
        assert case.fit._cache_size() <= 2


@every_predictor
@pytest.mark.statistical
def test_samples_are_drawn_from_what_is_believed(name):
    """Their mean and deviation are those predicted; where there are members, each sample is one of them."""
    found, spread = said(name)["half"], compiled(name).data.usual.scores.std()
    mean, std, count = found.samples.mean(axis=1), found.samples.std(axis=1), found.samples.shape[1]
    assert (np.abs(mean - found.mean) < 5 * found.std / np.sqrt(count) + 0.01 * spread).all()
    if compiled(name).row.noisy:
        assert (std <= found.std * (1 + 8 / np.sqrt(2 * count))).all()
        return
    # The standard error of a deviation is `std / sqrt(2 * count)` if all is normal, more if tails are heavy.
    assert (np.abs(std - found.std) < 8 * found.std / np.sqrt(2 * count) + 0.01 * spread).all()
    assert np.abs(std - found.std).mean() < 2 * found.std.mean() / np.sqrt(2 * count) + 0.01 * spread
    for i in range(S):
        distinct = {sample.tobytes() for sample in found.samples[i]}
        assert len(distinct) > 1 or not found.std[i].any()
        if found.members is not None:
            nearest = np.abs(found.samples[i][:, None] - found.members[i][None]).max(axis=2).min(axis=1)
            assert (nearest < 1e-3 * spread).all()


@every_predictor
def test_lengths_that_differ_are_refused(name):
    case = compiled(name)
    features, scores, mask = case.data.usual.lane(0)
    with pytest.raises(ValueError, match="with one N"):
        case.predictor.fit(jax.random.key(0), features, jnp.asarray(scores[:-1]), jnp.asarray(mask))


def test_all_factories_have_a_row():
    made = {row.make().name for row in ROWS.values()}
    for name in predictors.names():
        predictor, encoding = predictors.make(name, SPACE)
        assert predictor.name in made
        assert predictor.compiled == predictors.entry(name).compiled
        assert encoding in SPACE.feature_names
    with pytest.raises(ValueError, match="there is no predictor 'oracle'"):
        predictors.entry("oracle")
