"""ENAS on NAS-Bench-101's cells: the released controller, what it can express, its baseline, and its pool."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.searchers import Selection, make_weight_sharing
from jnas.searchers.weight_sharing._enas import EVALUATED_POLICY, EnasState, _baselines, enas
from jnas.searchers.weight_sharing._loop import begin_search, look_at, train_epoch
from jnas.searchers.weight_sharing._pool import empty_pool, with_all, with_drawn
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.training.data._batches import batches_per_epoch
from tests._toy_cells import cells_dataset, cells_supernet

NET, DATA, BATCH = cells_supernet(4), cells_dataset(), 25
STEPS, SAMPLES = batches_per_epoch(DATA, BATCH), 6
SELECTION = Selection("same_batches", num_candidates=6, batch_size=64)


@functools.cache
def searched():
    """A search of three epochs; what it would give with a controller away from its start; rows that can be expressed.

    The look comes with the log-probabilities of all 91 cells.
    """
    small = {"controller_steps": 2, "controller_samples": SAMPLES // 2, "num_new": 2, "num_random": 1}
    searcher = make_weight_sharing("enas", NET, steps_per_epoch=STEPS, epochs=3, selection=SELECTION, **small)

    @jax.jit
    def search(key, cells, reachable):
        epoch = lambda run, _: train_epoch(run, searcher, DATA, batch_size=BATCH, split="validation")  # noqa: E731
        run, infos = jax.lax.scan(epoch, begin_search(key, searcher), None, 3)
        far = jax.tree.map(lambda leaf: leaf + 0.3 * jnp.cos(40 * leaf), run.state.controller)
        run = run._replace(state=run.state._replace(controller=far))
        look = look_at(run, searcher, NET, DATA, split="validation")
        return run, infos, look, searcher.log_probability(run.state, cells), jax.vmap(NET.space.index)(reachable)

    cells = jnp.asarray(nasbench101_cells(4), jnp.int32)
    with jax.debug_key_reuse(True):
        return jax.device_get(search(jax.random.key(0), cells, spaces.reachable_cells("enas", 4)))


def test_a_search_stays_among_what_can_be_expressed():
    run, infos, look, logs, rows = searched()
    assert sorted(rows) == np.flatnonzero(np.isfinite(logs)).tolist()
    known = {arch.tobytes() for arch in nasbench101_cells(4)[rows].astype(np.int32)}  # as they are listed
    assert len(known) == 15
    assert all(arch.tobytes() in known for arch in look.derived.candidates)
    assert np.isfinite(np.asarray(infos)).all()
    assert np.isfinite(look.derived.scores).all()
    assert run.state.step == 3 * (STEPS + SAMPLES)


def test_probabilities_are_those_of_the_cells_that_can_be_expressed():
    _, _, look, logs, _ = searched()
    probabilities = np.exp(logs)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert probabilities.max() > 2 * probabilities[np.isfinite(logs)].min()
    exact = np.einsum("n,nek->ek", probabilities, nasbench101_cells(4)[:, :, None] == np.arange(3))
    np.testing.assert_allclose(look.weights, exact, atol=4 * 0.5 / np.sqrt(512))


def test_the_pool_has_what_trained_the_weights_last_each_once():
    run, _, look, _, _ = searched()
    archs, drawn = run.state.pool
    assert (drawn >= 0).sum() > 2
    assert len({arch.tobytes() for arch in archs[drawn >= 0]}) == (drawn >= 0).sum()
    assert (
        (drawn[drawn >= 0] % (STEPS + SAMPLES)) < STEPS
    ).all()  # drawn in steps of the weights, not of the controller
    kept = [arch.tobytes() in {each.tobytes() for each in look.derived.candidates} for arch in archs[drawn >= 0]]
    assert sum(kept) >= (drawn >= 0).sum() - 3  # two new ones and a random one may have taken places


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
