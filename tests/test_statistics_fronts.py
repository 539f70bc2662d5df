"""Dominance, fronts, hypervolume, epsilon and attainment against plain definitions."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.statistics import additive_epsilon, attainment_surface, dominates, exact_front, hypervolume, on_front

SETS = 40


def drawn(num_objectives: int, size: int = 7) -> np.ndarray:
    """Sets of points [SETS, size, O] with ties, some beyond the reference 4, some infinite."""
    rng = np.random.default_rng(num_objectives)
    points = rng.integers(0, 6, (SETS, size, num_objectives)).astype(np.float32)
    points[rng.random((SETS, size)) < 0.1, 0] = np.inf
    return points


def by_inclusion_and_exclusion(points: np.ndarray, bound: float) -> float:
    """The volume of the union of the boxes between points and the reference."""
    total = 0.0
    for count in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, count):
            total -= (-1) ** count * np.prod(np.maximum(bound - np.max(chosen, axis=0), 0))
    return float(total)


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
def test_hypervolume_is_the_volume_of_the_union(num_objectives):
    points = drawn(num_objectives)
    volume = jax.jit(jax.vmap(lambda costs, mask: hypervolume(costs, [4.0] * num_objectives, mask)))
    mask = np.random.default_rng(9).random(points.shape[:2]) < 0.8
    expected = [by_inclusion_and_exclusion(p[m], 4.0) for p, m in zip(points, mask, strict=True)]
    np.testing.assert_allclose(volume(points, mask), expected, atol=1e-4)
    assert len(set(expected)) > 2


def test_whole_numbers_have_the_volume_of_the_same_numbers_with_a_point():
    """A reference between them is not cut to a whole number."""
    points = np.asarray([[1, 3], [2, 1]])
    assert float(hypervolume(jnp.asarray(points), [4.5, 4.5])) == by_inclusion_and_exclusion(points, 4.5)


@pytest.mark.parametrize("num_objectives", [2, 3])
def test_fronts_are_what_nothing_dominates(num_objectives):
    points = drawn(num_objectives)
    found = np.asarray(jax.jit(jax.vmap(on_front))(points))
    for costs, front in zip(points, found, strict=True):
        whole = [i for i, p in enumerate(costs) if np.isfinite(p).all()]
        beats = lambda a, b: all(a <= b) and any(a < b)  # noqa: E731
        expected = [i for i in whole if not any(beats(costs[j], costs[i]) for j in whole)]
        assert np.flatnonzero(front).tolist() == expected
        rows = exact_front(costs)
        assert sorted(rows.tolist()) == expected
        assert (np.diff(costs[rows, 0]) >= 0).all()
    pair = points[0, :2]
    assert not bool(dominates(jnp.asarray(pair), jnp.asarray(pair)).any())


def test_long_tables_have_the_front_of_their_parts():
    costs = np.random.default_rng(3).normal(size=(9000, 3))
    rows = exact_front(costs)
    parts = np.concatenate([exact_front(costs[half]) + half.start for half in (slice(0, 4500), slice(4500, 9000))])
    assert sorted(parts[exact_front(costs[parts])].tolist()) == sorted(rows.tolist())
    assert 10 < len(rows) < 500


def test_epsilon_is_the_least_shift_that_covers_the_front():
    rng = np.random.default_rng(5)
    front = np.stack([np.arange(5.0), np.arange(5.0)[::-1]], axis=1)
    for _ in range(20):
        costs = rng.integers(0, 8, (4, 2)).astype(float)
        epsilon = additive_epsilon(costs, front)
        covered = lambda shift, costs=costs: all(  # noqa: E731
            any((p - shift <= f + 1e-9).all() for p in costs) for f in front
        )
        assert covered(epsilon)
        assert not covered(epsilon - 0.01)
    assert additive_epsilon(front, front) == 0
    assert additive_epsilon(np.full((2, 2), np.nan), front) == np.inf
    with pytest.raises(ValueError, match="the same"):
        additive_epsilon(np.ones((2, 3)), front)


def test_attainment_is_the_quantile_of_what_runs_attain():
    points = drawn(2, size=9)
    grid = np.arange(-1.0, 7.0)
    attained = np.asarray(
        [
            [min((y for x, y in run if x <= level and np.isfinite(x)), default=np.inf) for level in grid]
            for run in points
        ]
    )
    for share in (0.25, 0.5, 1.0):
        surface = attainment_surface(points, grid, share=share)
        enough = (attained <= surface.value).mean(axis=0) >= share
        fewer = (attained < surface.value).mean(axis=0) < share
        assert (enough & (fewer | np.isinf(surface.value))).all()
        assert (surface.low <= surface.value).all()
        assert (surface.value <= surface.high).all()


def test_intervals_of_the_median_surface_cover_it():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):  # the true median of the one point's second cost is 0
        runs = np.stack([np.zeros((30, 1)), rng.normal(size=(30, 1))], axis=2)
        surface = attainment_surface(runs, [0.0])
        covered.append(bool(surface.low[0] <= 0 <= surface.high[0]))
    assert 0.92 < np.mean(covered) <= 1


def test_places_of_quantiles_and_of_their_ends_by_whole_numbers():
    for runs in (1, 2, 5, 6, 25, 100, 500):
        counted = [math.comb(runs, k) for k in range(runs + 1)]
        values = np.stack([np.zeros((runs, 1)), np.arange(runs)[:, None]], axis=2)  # a run's cost is its place
        for percent in (7, 25, 28, 50, 100):
            surface = attainment_surface(values, [0.0], share=percent / 100)
            assert surface.value[0] == -(-runs * percent // 100) - 1
            # of 100**runs equally likely ways, those in which so few, or so many, runs lie below the quantile
            below = [n * percent**k * (100 - percent) ** (runs - k) for k, n in enumerate(counted)]
            first, last, whole = surface.low[0], surface.high[0], 100**runs
            outside = 0 if first == -np.inf else sum(below[: int(first) + 1])
            assert 40 * outside <= whole
            assert 40 * (0 if last == np.inf else sum(below[int(last) + 1 :])) <= whole
            if first > -np.inf and first < surface.value[0]:  # the narrowest such
                assert 40 * sum(below[: int(first) + 2]) > whole


def test_what_is_no_set_of_points_is_refused():
    with pytest.raises(ValueError, match="O from 1 to 3"):
        hypervolume(jnp.ones((2, 4)), [2.0] * 4)
    with pytest.raises(ValueError, match="at least one objective"):
        exact_front(np.ones(3))
    with pytest.raises(ValueError, match="share is 0"):
        attainment_surface(np.ones((1, 1, 2)), [1.0], share=0.0)
