"""The candidates of predictor-based searches: new, different, and where they should come from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Evaluation, propose
from jnas.searchers.black_box._candidate_sources import (
    add_random,
    find_candidate_source,
    mutations,
    nothing_found,
    random_draws,
    whole_space,
)
from jnas.searchers.black_box._history import first_of_each, no_history, remember_evaluations
from jnas.spaces import categorical, nasbench101, nasbench201

PLAIN = categorical((5,) * 6)
CELLS = nasbench201()


def history_of(space, archs, scores, capacity=40):
    """A history in which every fourth row of the proposal was not evaluated."""
    archs = jnp.insert(jnp.asarray(archs, jnp.int32), 2, 0, axis=0)
    scores = np.insert(np.asarray(scores, np.float32), 2, 1e9)
    valid = np.arange(len(archs)) != 2
    evaluation = Evaluation(jnp.asarray(scores), jnp.ones(len(archs)), jnp.ones(len(archs), bool))
    empty = no_history(capacity, space.num_decisions)
    return remember_evaluations(empty, space, propose(archs, valid=jnp.asarray(valid)), evaluation)


def told(candidates):
    """The candidates' encodings, after a check that they are different, and the marked rows the first."""
    mask = np.asarray(candidates.mask)
    archs = np.asarray(candidates.archs)[mask]
    words = np.asarray(candidates.fingerprints)[mask]
    assert len(np.unique(words, axis=0)) == len(words)
    return archs


def distance(a, b):
    return (np.asarray(a) != np.asarray(b)).sum(axis=-1)


ARCHS = np.array([[0, 0, 0, 0, 0, 0], [4, 4, 4, 4, 4, 4], [2, 2, 2, 2, 2, 2], [1, 2, 3, 4, 3, 2]], np.int32)
HISTORY_SCORES = [1.0, 4.0, np.nan, 3.0]


def test_history_keeps_what_was_evaluated_in_order():
    history = history_of(PLAIN, ARCHS, HISTORY_SCORES)
    assert history.num_told == 4
    np.testing.assert_array_equal(history.archs[:4], ARCHS)
    np.testing.assert_array_equal(history.scores[:5], [1, 4, -np.inf, 3, -np.inf])
    np.testing.assert_array_equal(history.fingerprints[:4], jax.vmap(PLAIN.fingerprint)(ARCHS))


@pytest.mark.parametrize("count", [1, 40, 600])
def test_first_of_each_is_that_of_a_loop(count):
    words = np.random.default_rng(0).integers(0, 5, (count, 2)).astype(np.uint32)
    seen, expected = set(), []
    for word in map(tuple, words):
        expected.append(word not in seen)
        seen.add(word)
    np.testing.assert_array_equal(jax.jit(first_of_each)(words), expected)


def test_mutants_come_from_the_best_until_there_are_enough():
    """An incumbent has 24 neighbours: 60 mutants of it give most of them, and the runner-up gives the others."""
    history = history_of(PLAIN, ARCHS, HISTORY_SCORES)
    found = told(jax.jit(mutations(PLAIN, num_candidates=60))(jax.random.key(0), history))
    parents = distance(found[:, None], ARCHS[None])
    of_first, of_second, of_third = ((parents[:, i] == 1).sum() for i in (1, 3, 0))
    assert of_first > 18
    assert of_second > 18
    assert len(found) == of_first + of_second + of_third >= 60  # the third usable one was needed, the unusable never
    order = np.array([1] * of_first + [3] * of_second + [0] * of_third)
    assert (parents[np.arange(len(found)), order] == 1).all()

    few = told(jax.jit(mutations(PLAIN, num_candidates=15))(jax.random.key(0), history))
    assert len(few) <= 29
    assert (distance(few[:15], ARCHS[1]) == 1).sum() < 15  # 15 mutants of one are not all different
    assert set(np.unique(distance(few[:, None], ARCHS[None]).min(axis=1))) == {1}


def test_lanes_do_not_change_one_another():
    """One lane has enough after a parent, the other needs several."""
    source = mutations(PLAIN, num_candidates=20)
    archs = jnp.stack([ARCHS, jnp.repeat(ARCHS[:1], 4, axis=0)])
    histories = jax.vmap(lambda archs: history_of(PLAIN, archs, HISTORY_SCORES))(archs)
    keys = jax.random.split(jax.random.key(3), 2)
    together = jax.jit(jax.vmap(source))(keys, histories)
    for lane in range(2):
        alone = jax.jit(source)(keys[lane], jax.tree.map(lambda leaf, lane=lane: leaf[lane], histories))
        np.testing.assert_array_equal(told(alone), told(jax.tree.map(lambda leaf, lane=lane: leaf[lane], together)))


def test_a_parent_that_is_enough_is_the_only_one():
    wide = categorical((60,) * 6)
    history = history_of(wide, ARCHS * 9, HISTORY_SCORES)
    source = mutations(wide, num_candidates=8, num_parents=2, max_parents=3)  # four mutants each
    found = told(jax.jit(source)(jax.random.key(1), history))
    np.testing.assert_array_equal(distance(found, (ARCHS * 9)[[1] * 4 + [3] * 4]), np.ones(8))
    most = told(jax.jit(mutations(wide, num_candidates=30, max_parents=1))(jax.random.key(1), history))
    assert (distance(most, 9 * ARCHS[1]) == 1).all()
    assert len(most) <= 30


def test_chains_of_mutants_are_candidates_each():
    wide = categorical((60,) * 30)
    archs = np.repeat(ARCHS, 5, axis=1)
    history = history_of(wide, archs, HISTORY_SCORES)
    source = mutations(wide, num_candidates=24, num_parents=2, max_parents=2, max_edits=4)
    found = told(jax.jit(source)(jax.random.key(2), history))
    away = distance(found.reshape(2, 3, 4, 30), archs[[1, 3]][:, None, None])
    assert (away <= np.arange(1, 5)).all()
    assert (away[..., 0] == 1).all()
    assert away[..., 3].max() == 4
    links = distance(found.reshape(6, 4, 30)[:, 1:], found.reshape(6, 4, 30)[:, :-1])
    np.testing.assert_array_equal(links, 1)
    some = told(jax.jit(mutations(wide, num_candidates=24, max_edits=4, num_drawn=10))(jax.random.key(2), history))
    assert 5 <= len(some) <= 10


@pytest.mark.parametrize("space", [PLAIN, CELLS, nasbench101()], ids=["categorical", "nasbench201", "nasbench101"])
def test_candidates_are_valid_new_and_different(space):
    archs = jax.vmap(space.sample)(jax.random.split(jax.random.key(5), 30))
    history = history_of(space, archs, np.arange(30.0))
    known = {tuple(word) for word in np.asarray(history.fingerprints[:30])}
    source = find_candidate_source("mutation_random", space, 20, None)
    candidates = jax.jit(jax.vmap(source, (0, None)))(jax.random.split(jax.random.key(6), 3), history)
    valid = np.asarray(jax.jit(jax.vmap(jax.vmap(space.is_valid)))(candidates.archs))
    assert candidates.mask.shape == (3, 40)
    for lane in range(3):
        one = jax.tree.map(lambda leaf, lane=lane: leaf[lane], candidates)
        assert len(told(one)) >= 30
        assert valid[lane, np.asarray(one.mask)].all()
        assert not known & {tuple(word) for word in np.asarray(one.fingerprints)[np.asarray(one.mask)]}


def test_the_whole_space_has_one_architecture_of_each_class():
    features = lambda archs: archs * 2.0  # noqa: E731
    source = jax.jit(whole_space(CELLS, features))
    everything = source(jax.random.key(0), no_history(5, 6))
    assert everything.mask.all()
    assert len(told(everything)) == 6466
    np.testing.assert_array_equal(everything.features, everything.archs * 2.0)
    archs = everything.archs[jnp.array([7, 4000, 100])]
    rest = source(jax.random.key(0), history_of(CELLS, archs, [1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(np.flatnonzero(~rest.mask), [7, 100, 4000])


def test_random_draws_fill_up_to_what_is_wanted_until_nothing_is_left():
    tiny = categorical((3, 2, 2))
    archs = jax.vmap(tiny.from_index)(jnp.arange(8))
    history = history_of(tiny, archs, np.arange(8.0))

    def fill(key, wanted):
        return add_random(key, tiny, history, nothing_found(5, 3), wanted)

    keys = jax.random.split(jax.random.key(0), 4)
    found = jax.jit(jax.vmap(fill))(keys, jnp.array([0, 2, 4, 5]))
    np.testing.assert_array_equal(found.num_found, [0, 2, 4, 4])
    for lane in range(1, 4):
        index = np.asarray(jax.vmap(tiny.index)(found.archs[lane]))[: int(found.num_found[lane])]
        assert len(set(index)) == len(index)
        assert (index >= 8).all()


@pytest.mark.statistical
def test_random_candidates_are_uniform():
    source = jax.jit(jax.vmap(random_draws(categorical((3, 2)), num_candidates=2), (0, None)))
    candidates = source(jax.random.split(jax.random.key(1), 3000), no_history(4, 2))
    counts = np.bincount(np.asarray(candidates.archs[:, 0] @ np.array([2, 1])), minlength=6)
    assert (np.abs(counts - 500) < 4 * np.sqrt(500)).all()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="candidates is 'everything', expected one of 'mutation', "):
        find_candidate_source("everything", PLAIN, 10, None)
    with pytest.raises(TypeError, match="candidates is 7, expected one of"):
        find_candidate_source(7, PLAIN, 10, None)
    with pytest.raises(ValueError, match="candidates is 'all', but nasbench101 has 423,624 encodings"):
        find_candidate_source("all", nasbench101(), 10, None)
    with pytest.raises(ValueError, match="candidates is 'all', but categorical has no index"):
        whole_space(categorical((10,) * 20))
    with pytest.raises(ValueError, match=r"num_parents is 5, expected at most num_candidates"):
        mutations(PLAIN, num_candidates=4, num_parents=5)
    with pytest.raises(TypeError, match=r"max_edits is 1\.5"):
        mutations(PLAIN, max_edits=1.5)
