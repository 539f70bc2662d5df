"""The exact Gaussian process, and the published distances between architectures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.searchers.predictors._distances import DISTANCES, named_distance, resolve_distance
from jnas.searchers.predictors._gaussian_process import _LENGTH_FACTORS, _NOISE_RATIOS, gaussian_process

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
FLOOR = 1e-4  # least noise variance, over that of the prior


def problem(rows: int, extra: int = 40, width: int = 6):
    """Cells of NAS-Bench-201's kind, scores that follow from them with some noise, and others to predict."""
    archs = RNG.integers(0, 5, (rows + extra, width)).astype(np.float32)
    effect = RNG.normal(size=(width, 5))
    scores = 90 + effect[np.arange(width), archs.astype(int)].sum(1) + 0.3 * RNG.normal(size=rows + extra)
    return archs[:rows], scores[:rows].astype(np.float32), archs[rows:], scores[rows:]


def by_hand(x, y, new, distance, amplitude=1.5, length_scale=3.0, noise=None):
    """Mean, covariance and logarithm of the marginal likelihood of the textbook's formulas, in float64."""
    noise = FLOOR**0.5 * amplitude if noise is None else noise
    center, scale = y.mean(dtype=np.float64), y.std(dtype=np.float64)
    targets = (y - center) / scale

    def covariance(a, b):
        return amplitude**2 * np.exp(-distance(a, b) / length_scale**2)

    noisy = covariance(x, x) + noise**2 * np.eye(len(x))
    shared = covariance(x, new)
    mean = shared.T @ np.linalg.solve(noisy, targets)
    posterior = covariance(new, new) - shared.T @ np.linalg.solve(noisy, shared)
    evidence = -0.5 * targets @ np.linalg.solve(noisy, targets) - 0.5 * np.linalg.slogdet(noisy)[1]
    return mean * scale + center, posterior * scale**2, evidence - len(x) / 2 * np.log(2 * np.pi)


def plain_hamming(a, b):
    return (a[:, None] != b[None]).sum(2).astype(np.float64)


def plain_l1(a, b):
    return np.abs(a[:, None] - b[None]).sum(2)


def fitted(predictor, x, y, mask=None):
    mask = np.ones(len(y), bool) if mask is None else mask
    return jax.jit(predictor.fit)(KEY, jnp.asarray(x), jnp.asarray(y), jnp.asarray(mask))


@pytest.mark.parametrize(
    ("arguments", "plain"),
    [
        ({}, plain_hamming),
        ({"distance": "l1", "length_scale": 5.0, "noise": 0.3}, plain_l1),
        (
            {"distance": lambda a, b: 2 * jnp.sum(jnp.abs(a[:, None] - b[None]), axis=2)},
            lambda a, b: 2 * plain_l1(a, b),
        ),
        ({"distance": "squared_l2", "amplitude": 0.8, "noise": 0.1}, lambda a, b: ((a[:, None] - b[None]) ** 2).sum(2)),
    ],
)
def test_predictions_are_the_textbooks(arguments, plain):
    x, y, new, _ = problem(60)
    predictor = gaussian_process(**arguments)
    found = jax.jit(predictor.predict)(fitted(predictor, x, y), new)
    rates = {name: value for name, value in arguments.items() if name != "distance"}
    mean, covariance, _ = by_hand(x, y, new, plain, **rates)
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=2e-3 * y.std())
    np.testing.assert_allclose(found.std, np.sqrt(np.diag(covariance)), rtol=2e-3, atol=2e-3 * y.std())
    assert found.mean.dtype == found.std.dtype == jnp.float32


def test_masked_rows_do_not_matter():
    x, y, new, _ = problem(30)
    for fit_hyperparameters in (False, True):
        predictor = gaussian_process(fit_hyperparameters=fit_hyperparameters)
        run = jax.jit(lambda *data, predictor=predictor: predictor.predict(predictor.fit(KEY, *data), new))
        alone = run(x, y, np.ones(30, bool))
        places = np.sort(RNG.permutation(47)[:30])
        mask = np.isin(np.arange(47), places)
        features, scores = np.full((47, 6), np.nan, np.float32), np.full(47, np.nan, np.float32)
        features[places], scores[places] = x, y
        padded = run(features, scores, mask)
        np.testing.assert_allclose(padded.mean, alone.mean, rtol=0, atol=1e-3)
        np.testing.assert_allclose(padded.std, alone.std, rtol=0, atol=1e-3)


def test_it_interpolates_and_knows_nothing_far_away():
    x, y, _, _ = problem(40)
    x = np.unique(x, axis=0)
    y = y[: len(x)]
    predictor = gaussian_process()
    model = fitted(predictor, x, y)
    there = predictor.predict(model, jnp.asarray(x))
    np.testing.assert_allclose(there.mean, y, atol=0.02 * y.std())
    assert np.max(there.std) < 0.03 * y.std()
    predictor = gaussian_process(distance="l1")
    far = predictor.predict(fitted(predictor, x, y), jnp.full((1, 6), 1000.0))
    np.testing.assert_allclose(far.mean, [y.mean()], rtol=1e-6)
    np.testing.assert_allclose(far.std, [1.5 * y.std()], rtol=1e-4)


def test_repeated_architectures_give_the_mean_of_their_scores():
    x, y, new, _ = problem(160)
    x[20:60] = x[:20].repeat(2, axis=0)  # with other scores: the noise of 1e-5 would make nonsense of this
    predictor = gaussian_process()
    model = fitted(predictor, x, y)
    found = predictor.predict(model, jnp.asarray(np.concatenate([x[:20], new])))
    mean, _, _ = by_hand(x, y, np.concatenate([x[:20], new]), plain_hamming)
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=0.02 * y.std())
    np.testing.assert_allclose(found.mean[0], y[[0, 20, 21]].mean(), rtol=0, atol=0.05 * y.std())


@pytest.mark.parametrize("fit_hyperparameters", [False, True])
def test_nothing_but_one_architecture(fit_hyperparameters):
    predictor = gaussian_process(fit_hyperparameters=fit_hyperparameters)
    y = (RNG.normal(size=160) + 90).astype(np.float32)
    model = fitted(predictor, np.ones((160, 6), np.float32), y)
    found = jax.jit(predictor.predict)(model, jnp.ones((1, 6)))
    np.testing.assert_allclose(found.mean, [y.mean()], rtol=0, atol=0.3)  # as ill-conditioned as can be
    assert 0 <= found.std[0] < 0.3
    drawn = jax.jit(predictor.sample)(KEY, model, jnp.concatenate([jnp.ones((160, 6)), jnp.zeros((3, 6))]))
    assert np.all(np.isfinite(drawn))
    assert np.ptp(drawn[:160]) < 0.2


def test_no_row_and_equal_scores_give_finite_predictions():
    x, y, new, _ = problem(8)
    for fit_hyperparameters in (False, True):
        predictor = gaussian_process(fit_hyperparameters=fit_hyperparameters)
        run = jax.jit(lambda *data, predictor=predictor: predictor.predict(predictor.fit(KEY, *data), new))
        nothing = run(x, y, np.zeros(8, bool))
        assert np.all(nothing.mean == 0)
        assert np.all(nothing.std > 0)
        equal = run(x, np.full(8, 93.1, np.float32), np.ones(8, bool))
        np.testing.assert_allclose(equal.mean, 93.1, rtol=1e-5)
        assert np.all(np.isfinite(equal.std))


def test_hyperparameters_are_the_most_likely_of_the_grid():
    x, y, new, truth = problem(80)
    predictor = gaussian_process(fit_hyperparameters=True)
    model = fitted(predictor, x, y)
    found = predictor.predict(model, new)
    amplitude, length = float(model.kernel.variance) ** 0.5, float(model.kernel.decay) ** 0.5
    noise = float(model.kernel.noise) ** 0.5
    mean, _, best = by_hand(x, y, new, plain_hamming, amplitude, length, noise)
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=1e-2 * y.std())
    for factor in (0.8, 0.95, 1.05, 1.25):  # the best amplitude has a closed form
        assert by_hand(x, y, new, plain_hamming, factor * amplitude, length, factor * noise)[2] < best
    others = [
        by_hand(x, y, new, plain_hamming, *best_amplitude(x, y, 3 * stretch, max(ratio, FLOOR**0.5)))[2]
        for stretch in _LENGTH_FACTORS
        for ratio in _NOISE_RATIOS
    ]
    np.testing.assert_allclose(max(others), best, atol=2e-2)
    published = gaussian_process()
    plain = published.predict(fitted(published, x, y), new)
    errors = [np.mean((np.asarray(p.mean) - truth) ** 2) for p in (found, plain)]
    assert errors[0] < errors[1]  # the scores are additive and noisy: long length scales and noise are right


def best_amplitude(x, y, length_scale, ratio):
    targets = (y - y.mean(dtype=np.float64)) / y.std(dtype=np.float64)
    correlation = np.exp(-plain_hamming(x, x) / length_scale**2) + ratio**2 * np.eye(len(x))
    amplitude = np.sqrt(targets @ np.linalg.solve(correlation, targets) / len(x))
    return amplitude, length_scale, ratio * amplitude


@pytest.mark.statistical
def test_draws_have_the_posteriors_moments():
    x, y, new, _ = problem(25, extra=12)
    predictor = gaussian_process()
    model = fitted(predictor, x, y)
    mean, covariance, _ = by_hand(x, y, new, plain_hamming)
    draws = np.asarray(jax.jit(jax.vmap(lambda key: predictor.sample(key, model, new)))(jax.random.split(KEY, 8000)))
    errors = draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * errors)
    found = np.cov(draws.T)
    variances = np.diag(covariance)
    tolerance = np.sqrt((np.outer(variances, variances) + covariance**2) / len(draws))  # of a sample covariance
    assert np.all(np.abs(found - covariance) < 4.5 * tolerance + 1e-3 * variances.max())


def test_the_whole_space_is_scored_in_parts():
    space = spaces.nasbench201()
    every = jax.jit(jax.vmap(lambda i: space.features(space.from_index(i), "path")))(jnp.arange(space.size))
    some = RNG.permutation(space.size)[:50]
    y = (90 + RNG.normal(size=50)).astype(np.float32)
    predictor = gaussian_process(distance="squared_l2")
    model = fitted(predictor, every[some], y)
    compiled = jax.jit(predictor.predict).lower(model, every).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 40e6  # of all pairs: 977 MB
    found = compiled(model, every)
    assert found.mean.shape == found.std.shape == (space.size,)
    few = jax.jit(predictor.predict)(model, every[-100:])
    np.testing.assert_allclose(found.mean[-100:], few.mean, rtol=1e-5)
    np.testing.assert_allclose(found.std[-100:], few.std, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="asked for 15625 rows, expected at most 1024"):
        predictor.sample(KEY, model, every)


def test_lanes_and_single_runs_agree():
    x, y, new, _ = problem(40)
    predictor = gaussian_process()
    masks = np.arange(40)[None] < np.array([[10], [25], [40]])

    def run(mask):
        return predictor.predict(predictor.fit(KEY, jnp.asarray(x), jnp.asarray(y), mask), jnp.asarray(new))

    lanes, single = jax.jit(jax.vmap(run))(masks), jax.jit(run)
    for i, mask in enumerate(masks):
        alone = single(mask)
        np.testing.assert_allclose(lanes.mean[i], alone.mean, atol=1e-3)
        np.testing.assert_allclose(lanes.std[i], alone.std, atol=1e-3)


# Distances


def plain_distances(space, a, b):
    """All distances of two architectures, each a dictionary of its encodings, from their descriptions."""
    edit = np.sum(a["ordinal"] != b["ordinal"])
    edges = [np.sum(e["ordinal"][:21] if space.name == "nasbench101" else e["ordinal"] != 0) for e in (a, b)]
    whole = [set(np.flatnonzero(e["path"])) for e in (a, b)]
    short = [{path for path in paths if path < (40 if space.name == "nasbench101" else 30)} for paths in whole]
    return {
        "adjacency": edit,
        "continuous_adjacency": edit + abs(edges[0] - edges[1]),
        "path": len(whole[0] ^ whole[1]),
        "truncated_path": len(short[0] ^ short[1]),
        "continuous_path": len(whole[0] ^ whole[1]) + abs(len(whole[0]) - len(whole[1])),
        "truncated_continuous_path": len(short[0] ^ short[1]) + abs(len(short[0]) - len(short[1])),
        "nasbot": np.abs(a["nasbot"] - b["nasbot"]).sum(),
    }


@pytest.mark.parametrize("space", [spaces.nasbench101(), spaces.nasbench201()], ids=lambda space: space.name)
def test_published_distances(space):
    names = ("ordinal", "continuous_adjacency", "path", "truncated_path", "nasbot")
    get = jax.jit(jax.vmap(lambda arch: {name: space.features(arch, name) for name in names}))
    encoded = jax.tree.map(np.asarray, get(jax.jit(jax.vmap(space.sample))(jax.random.split(KEY, 60))))
    each = [{name: encoded[name][i] for name in names} for i in range(60)]
    assert set(DISTANCES) == set(plain_distances(space, *each[:2]))
    for name in DISTANCES:
        encoding, distance = named_distance(name, space.feature_names)
        found = np.asarray(resolve_distance(distance)(encoded[encoding], encoded[encoding]))
        plain = [[plain_distances(space, a, b)[name] for b in each[:8]] for a in each[:8]]
        np.testing.assert_array_equal(found[:8, :8], plain, name)
        smallest = np.linalg.eigvalsh(np.exp(-found.astype(np.float64) / 9.0))[0]
        assert smallest > -1e-9, name  # positive semidefinite, as claimed


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="amplitude is 0, expected a positive number"):
        gaussian_process(amplitude=0)
    with pytest.raises(ValueError, match="'path' is 'squared_l2' of the features 'path'"):
        gaussian_process(distance="path")
    with pytest.raises(TypeError, match="distance is 3, expected a name or a function"):
        gaussian_process(distance=3)
    with pytest.raises(ValueError, match="the distance 'path' needs the encoding 'path', and the space has one_hot"):
        named_distance("path", ("one_hot", "ordinal"))
    with pytest.raises(ValueError, match="distance is 'edit', expected one of 'adjacency'"):
        named_distance("edit", ("one_hot", "ordinal"))
    space = spaces.nasbench201()
    graphs = jax.vmap(lambda i: space.features(space.from_index(i), "graph"))(jnp.arange(3))
    with pytest.raises(TypeError, match="given features Graph, expected one array"):
        gaussian_process().fit(KEY, graphs, jnp.zeros(3), jnp.ones(3, bool))
