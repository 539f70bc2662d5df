"""ENAS on NAS-Bench-101's cells: the released controller, what it can express, its baseline, and its pool."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.searchers import Selection, make_weight_sharing
from jnas.searchers.weight_sharing._enas import EVALUATED_POLICY, EnasState, _baselines, enas
from jnas.searchers.weight_sharing._pool import empty_pool, with_all, with_drawn
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.studies.supernets._plan import supernet_methods
from tests._toy_cells import DATA, STEPS, Search, cells_supernet, from_its_file

NET, SAMPLES = cells_supernet(4), 6
SELECTION = Selection("same_batches", num_candidates=6, batch_size=64)


@functools.cache
def search():
    small = {"controller_steps": 2, "controller_samples": SAMPLES // 2, "num_new": 2, "num_random": 1}
    return Search(make_weight_sharing("enas", NET, steps_per_epoch=STEPS, epochs=3, selection=SELECTION, **small), NET)


@functools.cache
def searched():
    """Runs after each epoch and what they told; what is seen with a controller away from its start, and probabilities.

    These are logarithms, of all 91 cells.
    """
    runs, infos = [search().begin(jax.random.key(0))], []
    for _ in range(3):
        run, info = search().epoch(runs[-1])
        runs, infos = [*runs, run], [*infos, info]
    far = jax.tree.map(lambda leaf: leaf + 0.3 * np.cos(40 * leaf), jax.device_get(run.state.controller))
    run = run._replace(state=run.state._replace(controller=far))
    return runs, infos, *jax.device_get(search().look(run, jnp.asarray(nasbench101_cells(4), jnp.int32)))


def test_a_search_stays_among_what_can_be_expressed():
    runs, infos, look, logs = searched()
    rows = jax.jit(jax.vmap(NET.space.index))(spaces.reachable_cells("enas", 4)).tolist()
    assert sorted(rows) == np.flatnonzero(np.isfinite(logs)).tolist()
    known = {arch.tobytes() for arch in nasbench101_cells(4)[rows].astype(np.int32)}  # as they are listed
    assert len(known) == 15
    assert all(arch.tobytes() in known for arch in look.derived.candidates)
    assert np.isfinite(np.asarray(infos)).all()
    assert np.isfinite(look.derived.scores).all()
    assert runs[-1].state.step == 3 * (STEPS + SAMPLES)


def test_probabilities_are_those_of_the_cells_that_can_be_expressed():
    _, _, look, logs = searched()
    probabilities = np.exp(logs)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert probabilities.max() > 2 * probabilities[np.isfinite(logs)].min()
    exact = np.einsum("n,nek->ek", probabilities, nasbench101_cells(4)[:, :, None] == np.arange(3))
    np.testing.assert_allclose(look.weights, exact, atol=4 * 0.5 / np.sqrt(512))


def test_the_pool_has_what_trained_the_weights_last_each_once():
    runs, _, look, _ = searched()
    archs, drawn = map(np.asarray, runs[-1].state.pool)
    assert (drawn >= 0).sum() > 2
    assert len({arch.tobytes() for arch in archs[drawn >= 0]}) == (drawn >= 0).sum()
    assert (
        (drawn[drawn >= 0] % (STEPS + SAMPLES)) < STEPS
    ).all()  # drawn in steps of the weights, not of the controller
    kept = [arch.tobytes() in {each.tobytes() for each in look.derived.candidates} for arch in archs[drawn >= 0]]
    assert sum(kept) >= (drawn >= 0).sum() - 3  # two new ones and a random one may have taken places


def test_a_search_goes_on_from_its_file_to_the_same_bits(tmp_path):
    runs, _, _, _ = searched()
    again, _ = search().epoch(from_its_file(runs[2], tmp_path))
    for found, expected in zip(jax.tree.leaves(again), jax.tree.leaves(runs[3]), strict=True):
        assert bool(jnp.all(found == expected))


def test_a_pool_forgets_the_oldest():
    one, two, three = jnp.eye(3, dtype=jnp.int32)
    pool = with_drawn(with_drawn(empty_pool(2, 3), one, jnp.int32(5)), two, jnp.int32(7))
    again = with_drawn(pool, one, jnp.int32(9))
    assert again.drawn.tolist() == [9, 7]
    assert with_all(again, three[None]).archs.tolist() == [one.tolist(), three.tolist()]
    assert with_all(pool, jnp.stack([three, three])).archs.tolist() == [three.tolist(), two.tolist()]
    assert empty_pool(2, 3).drawn.tolist() == [-1, -1]


def test_the_baseline_begins_anew_with_each_epoch():
    state, baseline = EnasState(*[None] * 6, jnp.float32(-jnp.inf), jnp.float32(-jnp.inf)), 0.0
    for number, reward in enumerate([50.0, 70.0, 60.0, 90.0, 80.0]):
        found, earlier = _baselines(EVALUATED_POLICY, state, jnp.int32(number % 3), jnp.float32(0), jnp.float32(reward))
        baseline = reward if number % 3 == 0 else baseline - 0.01 * (baseline - reward)
        assert float(found) == pytest.approx(baseline, rel=1e-6)
        state = state._replace(baseline=found, earlier=earlier)


def test_settings_are_those_of_the_space():
    searcher = make_weight_sharing("enas", NET, steps_per_epoch=10)
    assert searcher.extra_steps == 300
    assert jax.eval_shape(searcher.init, jax.random.key(0)).pool.archs.shape == (200, 26)
    whole = make_weight_sharing("enas", NET, steps_per_epoch=10, reachable="whole", compared="drawn")
    state = jax.eval_shape(whole.init, jax.random.key(0))
    assert state.pool is None
    assert state.controller.embedding.shape == (3, 32)
    spec = "enas:policy.learning_rate=0.01"
    method = supernet_methods([spec], NET, DATA, selection={"num_candidates": 7})[spec]
    assert (method.epochs, method.batch_size) == (200, 160)
    assert method.settings == {"num_candidates": 7, "policy.learning_rate": 0.01}
    assert jax.eval_shape(method.searcher.init, jax.random.key(0)).pool.archs.shape == (7, 26)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reachable": "all"}, "reachable is 'all', expected one of 'whole', 'released'"),
        ({"compared": "all"}, "compared is 'all', expected one of 'drawn', 'pool'"),
        ({"num_new": -1}, "num_new is -1, expected at least 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        enas(NET, steps_per_epoch=3, **arguments)
