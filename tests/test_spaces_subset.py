"""Spaces restricted to listed architectures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jnas
from jnas import searchers, spaces
from jnas.core._draws import below

WHOLE = spaces.nasbench201()
LISTED = np.asarray(jax.jit(jax.vmap(WHOLE.from_index))(jnp.arange(0, 15_625, 61)))
SPACE = spaces.subset(WHOLE, LISTED)
GRAPHS = spaces.nasbench101()


def agreeing(arch: np.ndarray) -> np.ndarray:
    return (arch == LISTED).sum(axis=1)


def is_listed(archs: np.ndarray) -> np.ndarray:
    return (np.asarray(archs)[:, None] == LISTED[None]).all(axis=-1).any(axis=-1)


@pytest.mark.statistical
def test_samples_are_uniform_over_the_list():
    archs = jax.jit(jax.vmap(SPACE.sample))(jax.random.split(jax.random.key(0), 20_000))
    rows = np.asarray(jax.jit(jax.vmap(SPACE.index))(archs))
    assert stats.chisquare(np.bincount(rows, minlength=len(LISTED))).pvalue > 5e-4


def test_valid_is_what_is_listed():
    everything = jax.jit(jax.vmap(WHOLE.from_index))(jnp.arange(15_625))
    np.testing.assert_array_equal(jax.jit(jax.vmap(SPACE.is_valid))(everything), np.arange(15_625) % 61 == 0)
    np.testing.assert_array_equal(jax.jit(jax.vmap(SPACE.index))(LISTED), np.arange(len(LISTED)))


def test_mutants_are_the_nearest_but_never_the_parent():
    keys = jax.random.split(jax.random.key(1), 400)
    parent = LISTED[7]
    mutants = np.asarray(jax.jit(jax.vmap(SPACE.mutate, (0, None)))(keys, parent))
    assert np.all(is_listed(mutants))
    assert not np.any((mutants == parent).all(axis=1))
    # Each mutant agrees with some one-change mutant of the parent as well as any listed cell but the parent does.
    around = np.asarray(WHOLE.neighbors(jnp.asarray(parent))[0])
    others = ~(parent == LISTED).all(axis=1)
    best = {tuple(n): max(agreeing(n)[others]) for n in around}
    allowed = {tuple(a) for n in around for a in LISTED[others & (agreeing(n) == best[tuple(n)])]}
    found = {tuple(m) for m in mutants}
    assert found <= allowed
    assert len(found) > 10  # ties are broken at random


def test_neighbors_are_the_nearest():
    arch = LISTED[100]
    around, valid = SPACE.neighbors(jnp.asarray(arch))
    assert np.all(valid)
    assert len(np.unique(around, axis=0)) == len(around) == 24
    assert np.all(is_listed(around))
    scores = np.sort(agreeing(arch)[~(arch == LISTED).all(axis=1)])[::-1]
    np.testing.assert_array_equal(np.sort((np.asarray(around) == arch).sum(axis=1))[::-1], scores[:24])


def test_another_encoding_of_a_listed_cell_is_listed():
    cells = spaces.nasbench101_cells()[5_000:9_000:7]
    space = spaces.subset(GRAPHS, cells)
    keys = jax.random.split(jax.random.key(0), 300)
    mutants = jax.jit(jax.vmap(space.mutate))(keys, jnp.asarray(cells[:300], jnp.int32))
    rows = np.asarray(jax.jit(jax.vmap(space.index))(mutants))
    assert np.all(rows >= 0)
    assert np.all(rows != np.arange(300))
    noisy = GRAPHS.from_string("|conv3x3~0|maxpool3x3|conv1x1~2|conv3x3|conv3x3|output~1|")
    plain = GRAPHS.from_string("|conv3x3~0|output~1|")
    two = spaces.subset(GRAPHS, np.stack([plain, cells[0]]))
    assert int(two.index(jnp.asarray(noisy))) == 0


def test_searchers_stay_among_the_listed():
    def score(key, arch):
        return -jnp.sum(jnp.abs(arch - 3)) + below(jax.random.bits(key), 2) * 0.01

    objective = jnas.function_objective(score)
    for make in (searchers.random_search, searchers.regularized_evolution, searchers.local_search, searchers.reinforce):
        trace = jax.jit(lambda key, make=make: jnas.run(make(SPACE), objective, key, max_evaluations=60))(
            jax.random.key(0)
        )
        archs = np.asarray(trace.arch)[np.asarray(trace.mask)]
        assert len(archs) > 20
        assert np.all(is_listed(archs)), make


@pytest.mark.parametrize(
    ("archs", "message"),
    [
        (np.zeros((3, 5), int), r"expected \[N, 6\]"),
        (LISTED[:1], "at least 2"),
        (np.full((2, 6), 9), "architecture 0 of archs is not valid"),
        (np.stack([LISTED[0], LISTED[0]]), "twice"),
    ],
)
def test_wrong_lists_are_refused(archs, message):
    with pytest.raises(ValueError, match=message):
        spaces.subset(WHOLE, archs)
