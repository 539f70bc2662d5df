"""NAO with shared weights: what its pool trains with, and what a round makes of the pool."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas.core._vocabulary import Shared
from jnas.searchers import NaoSettings, Selection, make_weight_sharing
from jnas.searchers.weight_sharing._nao import _draw_row, _rewards, shared_nao
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from tests._toy_cells import DATA, STEPS, Search, cells_supernet, from_its_file


def size_of(arch):
    return 1.0 + (arch[21] == 0) + 2.0 * (arch[22] == 1)


NET = cells_supernet(5)._replace(parameters=size_of)
INIT, KEPT, NEW, RANDOM = 20, 6, 4, 3
SMALL = {
    "reachable": "released",
    "num_init": INIT,
    "num_kept": KEPT,
    "num_new": NEW,
    "num_random": RANDOM,
    "num_top": 5,
    "model": NaoSettings(8, predictor_layers=1, predictor_hidden=4, epochs=100, batch_size=10, learning_rate=1e-2),
    "selection": Selection("same_batches", num_candidates=5, batch_size=64),
}


@functools.cache
def search():
    return Search(make_weight_sharing("nao", NET, steps_per_epoch=STEPS, epochs=3, epochs_per_round=1, **SMALL), NET)


@functools.cache
def searched():
    """The state of a search before its first epoch, which a round ends, and after; what it told, and prefers then."""
    before = search().begin(jax.random.key(0))
    run, infos = search().epoch(before)
    look, logs = search().look(run, jnp.asarray(nasbench101_cells(5), jnp.int32))
    return *jax.device_get((before.state, run.state, infos, look, logs)), run


def test_the_pool_trains_the_weights_in_proportion_to_parameters():
    before, _, infos, _, _, _ = searched()
    sizes = size_of(before.archs.T)
    np.testing.assert_allclose(before.shares, sizes / sizes.sum(), rtol=1e-5)
    assert np.isfinite(infos.train_loss)
    assert np.isnan(infos.validation_loss)
    drawn = jax.jit(jax.vmap(lambda key: _draw_row(key, before.shares)))(jax.random.split(jax.random.key(1), 4000))
    assert stats.chisquare(np.bincount(drawn, minlength=INIT), 4000 * sizes / sizes.sum()).pvalue > 1e-3


def test_a_round_keeps_the_best_and_brings_new_ones():
    before, after, _, look, _, _ = searched()
    assert (after.shares > 0).sum() in range(KEPT + RANDOM, KEPT + NEW + RANDOM + 1)
    assert not np.array_equal(after.model, before.model)
    old, new = ([arch.tobytes() for arch in state.archs[state.shares > 0]] for state in (before, after))
    assert set(new[:KEPT]) <= set(old)
    found = new[KEPT:-RANDOM]
    assert len(found) > 0
    assert len(set(found)) == len(found)
    assert not set(found) & set(old)
    listed = {cell.tobytes() for cell in nasbench101_cells(5).astype(np.int32)}
    assert set(old) | set(new) <= listed
    np.testing.assert_array_equal(look.derived.candidates, after.archs[:5])


def test_what_it_prefers_is_its_pool():
    _, after, _, look, logs, _ = searched()
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-5)
    exact = np.einsum("n,nek->ek", np.exp(logs), nasbench101_cells(5)[:, :, None] == np.arange(3))
    np.testing.assert_allclose(look.weights, exact, atol=1e-5)
    assert np.isfinite(logs).sum() == len({arch.tobytes() for arch in after.archs[after.shares > 0]})


def test_a_search_goes_on_from_its_file_to_the_same_bits(tmp_path):
    run = searched()[-1]
    expected, _ = search().epoch(run)
    again, _ = search().epoch(from_its_file(run, tmp_path))
    assert bool(jnp.any(again.state.model != run.state.model))
    for found, known in zip(jax.tree.leaves(again), jax.tree.leaves(expected), strict=True):
        assert bool(jnp.all(found == known))


def test_architectures_are_scored_on_the_same_images():
    """And a vertex that sees what the label is made of is worth more than one that sees nothing."""
    parameters = {"head": jnp.array([[-1.0, 1], [-1, 1], [0, 0], [0, 0]]), "bias": jnp.zeros(2)}
    rows = np.zeros((3, 26), np.int32)
    rows[:, 21:23] = [[0, 0], [0, 2], [2, 2]]
    examples = DATA.examples(DATA.rows("validation"))
    found = jax.jit(lambda archs: _rewards(NET, Shared(parameters, {}), archs, examples))(rows)
    assert found[0] > 0.95
    assert found[0] > found[1] > found[2]


def test_settings_are_those_of_the_space_and_are_checked():
    searcher = make_weight_sharing("nao", NET, steps_per_epoch=10)
    state = jax.eval_shape(searcher.init, jax.random.key(0))
    assert state.choices.shape == (600, 6)  # as released, three vertices
    assert state.archs.shape == (600, 26)
    for arguments, message in (
        ({"num_kept": 0}, "num_kept is 0, expected at least 1"),
        ({"epochs_per_round": 0}, "epochs_per_round is 0, expected at least 1"),
        ({"model": NaoSettings(7)}, "model.hidden is 7, expected an even number"),
    ):
        with pytest.raises(ValueError, match=message):
            shared_nao(NET, steps_per_epoch=3, **arguments)
