"""BOHB: densities against brute force, the division into good and bad, and when the model is used."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._loop import run
from jnas.core._vocabulary import Evaluation, Objective
from jnas.searchers import bohb, hyperband
from jnas.searchers.black_box import _density
from jnas.searchers.black_box._density import no_observations, observe
from jnas.spaces import categorical

density = jax.jit(_density.density, static_argnums=4)
density_ratio = jax.jit(_density.density_ratio, static_argnums=3)
normal_reference_bandwidths = jax.jit(_density.normal_reference_bandwidths, static_argnums=2)
sample_model = jax.jit(_density.sample_model, static_argnums=3)
sample_nearby = jax.jit(_density.sample_nearby, static_argnums=3)
fit_model = jax.jit(
    _density.fit_model,
    static_argnums=1,
    static_argnames=("num_fidelities", "top_fraction", "min_points", "min_bandwidth"),
)

COUNTS = (3, 1, 2, 4)
SPACE = categorical(COUNTS)
EVERY = np.array(list(np.ndindex(*COUNTS)), np.int32)


def plain_bandwidths(archs, least):
    widths = 1.06 * archs.std(axis=0) * len(archs) ** (-1 / (4 + archs.shape[1]))
    return np.minimum(np.maximum(widths, least), [(count - 1) / count for count in COUNTS])


def plain_density(point, archs, widths):
    total, widths = 0.0, np.asarray(widths, float).tolist()
    for arch in archs.tolist():
        kernel = 1.0
        for chosen, observed, width, count in zip(point.tolist(), arch, widths, COUNTS, strict=True):
            kernel *= 1 - width if chosen == observed else width / (count - 1)
        total += kernel
    return total / len(archs)


def some_archs(size, seed):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, count, size) for count in COUNTS], axis=1).astype(np.int32)


@pytest.mark.parametrize("least", [0.01, 0.3, 0.9])
def test_density_is_that_of_a_double_loop_and_sums_to_one(least):
    archs = some_archs(12, 0)
    mask = np.arange(12) % 3 != 0
    widths = normal_reference_bandwidths(jnp.asarray(archs), jnp.asarray(mask), COUNTS, least)
    np.testing.assert_allclose(widths, plain_bandwidths(archs[mask], least), rtol=1e-5)
    found = density(jnp.asarray(EVERY), jnp.asarray(archs), jnp.asarray(mask), widths, COUNTS)
    np.testing.assert_allclose(found, [plain_density(point, archs[mask], widths) for point in EVERY], rtol=1e-5)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)


def test_bandwidths_by_hand():
    """The choices 0, 0, 1, 1 deviate by 1/2; with one decision the exponent is -1/5."""
    archs = jnp.asarray([[0], [0], [1], [1]], jnp.int32)
    everything = jnp.ones(4, bool)
    found = normal_reference_bandwidths(archs, everything, (5,), 0.01)
    np.testing.assert_allclose(found, [1.06 * 0.5 * 4 ** (-0.2)], rtol=1e-6)
    np.testing.assert_allclose(normal_reference_bandwidths(archs, everything, (5,), 0.6), [0.6])
    np.testing.assert_allclose(normal_reference_bandwidths(archs, everything, (2,), 0.6), [0.5])  # uniform


@pytest.mark.filterwarnings("ignore::FutureWarning")  # statsmodels warns of its own calls
def test_equals_statsmodels():
    """Its kernel counts the levels that it sees, so every choice has to be among the data."""
    kernel_density = pytest.importorskip("statsmodels.nonparametric.kernel_density")
    archs = np.concatenate([some_archs(30, 1)[:, [0, 2, 3]], [[0, 0, 0], [1, 1, 1], [2, 1, 2], [0, 0, 3]]])
    counts = (3, 2, 4)
    theirs = kernel_density.KDEMultivariate(archs, "uuu", bw="normal_reference")
    widths = normal_reference_bandwidths(jnp.asarray(archs), jnp.ones(34, bool), counts, 1e-3)
    points = np.array(list(np.ndindex(*counts)), np.int32)
    inside = theirs.bw <= [(count - 1) / count for count in counts]
    np.testing.assert_allclose(np.asarray(widths)[inside], theirs.bw[inside], rtol=1e-5)
    theirs.bw = np.asarray(widths, np.float64)
    ours = density(jnp.asarray(points), jnp.asarray(archs), jnp.ones(34, bool), widths, counts)
    np.testing.assert_allclose(ours, theirs.pdf(points), rtol=1e-4)


@pytest.mark.statistical
def test_samples_keep_a_choice_or_take_a_uniform_one():
    words = jax.random.bits(jax.random.key(0), (20_000, 8))
    arch = np.array([2, 0, 1, 3], np.int32)
    widths = np.array([0.3, 0.0, 0.5, 0.75], np.float32)
    found = np.asarray(sample_nearby(words, jnp.tile(arch, (20_000, 1)), jnp.asarray(widths), COUNTS))
    for i, count in enumerate(COUNTS):
        expected = np.full(count, widths[i] / count)
        expected[arch[i]] += 1 - widths[i]
        drawn = np.bincount(found[:, i], minlength=count) / 20_000
        assert (np.abs(drawn - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / 20_000) + 1e-7).all()


def observed(archs, fidelity, scores, capacity, skip=()):
    observations = no_observations(capacity, len(COUNTS))
    add = jax.jit(observe)
    for i, (arch, level, score) in enumerate(zip(archs, fidelity, scores, strict=True)):
        told = arch, np.int32(level), np.float32(score)
        if i in skip:
            observations = add(observations, told[0], told[1], np.float32(1e6), np.bool_(False))
        observations = add(observations, *told, np.bool_(True))
    return observations


def test_ranks_are_those_of_a_stable_sort_within_each_fidelity():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 40).astype(np.float32)  # with many ties
    scores[rng.permutation(40)[:8]] = -np.inf
    fidelity = rng.integers(0, 3, 40)
    found = observed(some_archs(40, 2), fidelity, scores, 50, skip=(0, 7, 39))
    assert found.num_told == 40
    for level in range(3):
        rows = np.flatnonzero(fidelity == level)
        order = rows[np.argsort(-scores[rows], kind="stable")]
        np.testing.assert_array_equal(np.asarray(found.rank)[order], np.arange(len(rows)))
    np.testing.assert_array_equal(found.fidelity[40:], -1)


def fitted(observations, num_fidelities=1, top_fraction=0.25, min_points=3):
    return fit_model(
        observations,
        COUNTS,
        num_fidelities=num_fidelities,
        top_fraction=top_fraction,
        min_points=min_points,
        min_bandwidth=0.2,
    )


def good_rows(model):
    return np.asarray(model.order)[: int(model.num_good)]


def bad_rows(model):
    return np.asarray(model.order)[int(model.first_bad) : int(model.num_members)]


@pytest.mark.parametrize(
    ("size", "num_good", "num_bad"), [(5, 3, 3), (6, 3, 3), (11, 3, 8), (16, 4, 12), (23, 5, 18), (700, 175, 525)]
)
def test_good_and_bad_by_hand(size, num_good, num_bad):
    """At least 3 each, so that some are both when there are few; else a quarter and the rest."""
    archs, scores = some_archs(size, 3), np.random.default_rng(1).permutation(size).astype(np.float32)
    observations = observed(archs, np.zeros(size, int), scores, max(40, size + 17))  # of few capacities: few programs
    model = fitted(observations)
    best_first = archs[np.argsort(-scores)]
    assert model.exists
    np.testing.assert_array_equal(archs[good_rows(model)], best_first[:num_good])
    np.testing.assert_array_equal(np.sort(scores[bad_rows(model)]), np.arange(num_bad))
    np.testing.assert_allclose(model.good_bandwidths, plain_bandwidths(best_first[:num_good], 0.2), rtol=1e-5)
    np.testing.assert_allclose(model.bad_bandwidths, plain_bandwidths(best_first[-num_bad:], 0.2), rtol=1e-5)
    ratio = [
        plain_density(point, best_first[:num_good], model.good_bandwidths)
        / plain_density(point, best_first[-num_bad:], model.bad_bandwidths)
        for point in EVERY
    ]
    np.testing.assert_allclose(density_ratio(model, observations, jnp.asarray(EVERY), COUNTS), ratio, rtol=1e-4)


def test_the_model_is_of_the_highest_fidelity_with_enough_that_is_usable():
    rng = np.random.default_rng(2)
    fidelity = np.repeat([0, 1, 2], [12, 7, 6])
    archs, scores = some_archs(25, 4), rng.normal(size=25).astype(np.float32)

    def level(scores):
        model = fitted(observed(archs, fidelity, scores, 30), num_fidelities=3)
        return set(fidelity[bad_rows(model)]), bool(model.exists)

    assert level(scores) == ({2}, True)
    scores[-2:] = -np.inf  # four usable at the highest: fewer than min_points + 2
    assert level(scores) == ({1}, True)
    scores[12:15] = -np.inf
    assert level(scores) == ({0}, True)
    scores[:8] = -np.inf
    assert not level(scores)[1]


def test_what_is_not_usable_is_bad_and_never_good():
    scores = np.array([1, -np.inf, 3, 2, -np.inf, 5, 4], np.float32)
    archs = some_archs(7, 5)
    model = fitted(observed(archs, np.zeros(7, int), scores, 10), top_fraction=0.9)
    assert model.exists
    np.testing.assert_array_equal(good_rows(model), [5, 6, 2, 3, 0])
    assert sorted(bad_rows(model).tolist()) == [0, 1, 4]


def test_samples_start_from_good_ones_alone():
    archs = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 1, 3], [2, 0, 1, 2], [2, 0, 1, 1]], np.int32)
    observations = observed(archs, np.zeros(5, int), -np.arange(5, dtype=np.float32), 10)
    model = fitted(observations, min_points=2)
    model = model._replace(good_bandwidths=jnp.zeros(4))
    found = sample_model(model, observations, jax.random.bits(jax.random.key(0), (200, 9)), COUNTS)
    assert {tuple(arch) for arch in found.tolist()} == {(0, 0, 0, 0), (1, 0, 0, 0)}


@functools.cache
def compiled(**options):
    space = categorical((5,) * 6)
    budgets = options.pop("budgets", (1,))
    searcher = bohb(space, budgets=budgets, **options)

    def search(seed, scores):
        def evaluate(keys, proposal):
            score = scores[proposal.fidelity, jax.vmap(space.index)(proposal.archs)]
            return Evaluation(score, jnp.ones(score.shape), jnp.ones(score.shape, bool))

        return run(searcher, Objective(evaluate, budgets), jax.random.key(seed), max_evaluations=50)

    return jax.jit(jax.vmap(search, (0, None)))


def two_tables(num_fidelities=1):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(num_fidelities, 5**6)).astype(np.float32) for _ in range(2)]


def test_scores_matter_from_min_points_and_two_on():
    """Six decisions: seven points under a density, so the tenth proposal is the first that looks at scores."""
    study = compiled(num_samples=8, random_fraction=0.0)
    one, other = (np.asarray(study(np.arange(20), scores).arch) for scores in two_tables())
    np.testing.assert_array_equal(one[:, :9], other[:, :9])
    assert (one[:, 9] != other[:, 9]).any(axis=1).mean() > 0.5


def test_a_random_fraction_of_one_never_looks_at_scores():
    study = compiled(num_samples=8, random_fraction=1.0)
    one, other = (study(np.arange(4), scores).arch for scores in two_tables())
    np.testing.assert_array_equal(one, other)


@pytest.mark.statistical
def test_a_random_fraction_is_the_share_of_uniform_proposals():
    """Where the proposal is that of a search that never uses its model: the uniform draws are the same."""
    scores = two_tables()[0]
    found, random = (
        np.asarray(compiled(num_samples=8, random_fraction=fraction)(np.arange(200), scores).arch)[:, 9:]
        for fraction in (0.4, 1.0)
    )
    same = (found == random).all(axis=2).mean(axis=1)
    assert abs(same.mean() - 0.4) < 4 * same.std() / np.sqrt(200)


def test_brackets_are_those_of_hyperband():
    """Without the model BOHB is Hyperband: the same fidelities, though with other random architectures."""
    scores = np.zeros((3, 5**6), np.float32)
    budgets = (1, 3, 9)
    found = compiled(budgets=budgets)(np.arange(2), scores)
    problem = Objective(
        lambda keys, proposal: Evaluation(jnp.zeros((1,)), jnp.ones((1,)), jnp.ones((1,), bool)), budgets
    )
    plain = hyperband(categorical((5,) * 6), budgets=budgets)
    expected = jax.jit(lambda key: run(plain, problem, key, max_evaluations=50))(jax.random.key(0))
    for lane in range(2):
        np.testing.assert_array_equal(found.fidelity[lane], expected.fidelity)


def test_invalid_candidates_are_passed_over():
    space = SPACE._replace(
        is_valid=lambda arch: arch[0] + arch[3] != 4,
        sample=lambda key: SPACE.sample(key).at[0].set(0),
    )
    problem = Objective(
        lambda keys, proposal: Evaluation(
            jnp.sum(proposal.archs, axis=1).astype(jnp.float32), jnp.ones((1,)), jnp.ones((1,), bool)
        )
    )
    keys = jax.random.split(jax.random.key(0), 20)
    searcher = bohb(space, budgets=(1,), num_samples=3, random_fraction=0.0)
    trace = jax.jit(jax.vmap(lambda key: run(searcher, problem, key, max_evaluations=60)))(keys)
    archs = np.asarray(trace.arch)
    assert trace.mask.all()
    assert (archs[..., 0] + archs[..., 3] != 4).all()
    assert (archs[..., 0] > 0).any()


def test_arguments_are_checked():
    for wrong, message in (
        ({"budgets": (3, 1)}, r"budgets is \(3, 1\)"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"random_fraction": 1.5}, r"random_fraction is 1\.5"),
        ({"top_fraction": -1}, "top_fraction is -1"),
        ({"min_bandwidth": 0}, "min_bandwidth is 0"),
        ({"min_points": 0}, "min_points is 0"),
        ({"eta": 1}, "eta is 1"),
        ({"rounding": "no"}, "rounding is 'no'"),
    ):
        with pytest.raises(ValueError, match=message):
            bohb(SPACE, **{"budgets": (1, 3), **wrong})
