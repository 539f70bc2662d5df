"""Random search with parameter sharing: what it draws, and what it looks at."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.searchers import Selection, rsps
from jnas.searchers.weight_sharing._rsps import uniform_archs
from jnas.spaces import categorical
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from tests._toy_cells import cells_supernet
from tests._toy_supernet import ARCHS, TOY, K, batch, flat, numpy_loss, toy_dataset


@pytest.mark.statistical
@pytest.mark.parametrize("choices", [(5, 5, 5), (2, 5, 3)])
def test_architectures_are_uniform(choices):
    supernet, size = TOY._replace(space=categorical(choices)), math.prod(choices)
    archs = np.asarray(jax.jit(lambda key: uniform_archs(key, supernet, 25_000))(jax.random.key(0)))
    counts = np.bincount(np.ravel_multi_index(archs.T, choices), minlength=size)
    expected = 25_000 / size
    chi = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi - (size - 1)) < 4 * np.sqrt(2 * (size - 1))


def test_each_step_trains_one_uniform_architecture_by_its_key():
    searcher = rsps(TOY, steps_per_epoch=10)
    state, step = jax.jit(searcher.init)(jax.random.key(0)), jax.jit(searcher.step)
    seen = []
    for number in range(12):
        data = batch(number, 32)
        start, key = flat(state.weights.shared.parameters), state.key
        state, info = step(state, data)
        of_all = [numpy_loss(start, np.eye(K)[arch], data.train) for arch in ARCHS]
        arch = uniform_archs(jax.random.split(key)[1], TOY, 1)[0]
        np.testing.assert_allclose(info.train_loss, of_all[int(arch @ np.array([3, 1]))], rtol=1e-4)
        assert np.isnan(info.validation_loss)
        assert np.isnan(info.validation_accuracy)
        seen.append(tuple(np.asarray(arch)))
    assert len(set(seen)) > 4
    assert state.step == 12


def test_it_compares_uniform_candidates():
    searcher = rsps(TOY, steps_per_epoch=10, selection=Selection("same_batches", num_candidates=60, num_images=50))
    states = jax.jit(jax.vmap(searcher.init))(jax.random.split(jax.random.key(0), 3))
    data = toy_dataset()
    derived = jax.jit(jax.vmap(lambda state: searcher.derive(state, data, "test")))(states)
    assert derived.candidates.shape == (3, 60, 2)
    assert len(np.unique(np.asarray(derived.candidates[0]), axis=0)) > 7
    assert not np.array_equal(derived.candidates[0], derived.candidates[1])
    for lane in range(3):
        np.testing.assert_array_equal(derived.arch[lane], derived.candidates[lane][np.argmax(derived.scores[lane])])
    one = jax.tree.map(lambda x: x[0], states)
    np.testing.assert_allclose(searcher.log_probability(one, jnp.asarray(ARCHS)), np.full(9, np.log(1 / 9)), rtol=1e-6)
    np.testing.assert_allclose(searcher.probabilities(one), np.full((2, 3), 1 / 3), rtol=1e-6)


def test_where_choices_depend_on_one_another_each_listed_architecture_is_as_likely():
    supernet = cells_supernet(4)
    searcher = rsps(supernet, steps_per_epoch=10)
    cells = nasbench101_cells(4).astype(np.int32)
    without_a_path = np.zeros((1, 26), np.int32)
    logs = jax.jit(lambda archs: searcher.log_probability(None, archs))(np.concatenate([cells, without_a_path]))
    np.testing.assert_allclose(logs, [*np.full(91, -np.log(91)), -np.inf], rtol=1e-6)
    marginal = jax.jit(lambda: searcher.probabilities(None))()
    np.testing.assert_allclose(marginal, (cells[:, :, None] == np.arange(3)).mean(axis=0), rtol=1e-6)
