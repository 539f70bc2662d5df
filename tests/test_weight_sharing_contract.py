"""The laws that every weight-sharing searcher obeys. A new searcher is a new row of the table."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import WeightSharingSearcher, decisions_of
from jnas.searchers import (
    Adam,
    NaoSettings,
    PolicyGradient,
    Selection,
    Sgd,
    make_weight_sharing,
    weight_sharing_entry,
    weight_sharing_names,
)
from jnas.searchers.weight_sharing._shared_weights import as_architecture
from jnas.spaces import categorical
from tests._toy_supernet import ARCHS, BEST, MASK, RULED, TOY, E, K, batch, batches, ruled_discretize, toy_dataset

STEPS, EPOCHS, SEEDS = 30, 10, 8
ADAM = Adam(learning_rate=3e-2)
SELECTION = Selection("same_batches", num_candidates=24, batch_size=160)
ROWS: dict[str, dict[str, Any]] = {
    "darts-v1": {"adam": ADAM},
    "darts-v2": {"adam": ADAM},
    "pc-darts": {"adam": ADAM},
    "gdas": {"adam": ADAM},
    "setn": {"adam": ADAM, "selection": SELECTION._replace(num_candidates=4)},
    "enas": {
        "controller_steps": 3,
        "controller_samples": 4,
        "policy": PolicyGradient(learning_rate=1e-2),
        "sgd": Sgd(0.05, 0.0005, weight_decay=2.5e-4),
        "selection": SELECTION,
    },
    "rsps": {"selection": SELECTION},
    "spos": {"selection": SELECTION},
    "fairnas": {"selection": SELECTION},
    "fbnet": {"adam": ADAM, "sgd": Sgd(0.05), "decay": 0.3},
    "nao": {
        "num_init": 9,
        "num_kept": 4,
        "num_new": 3,
        "num_random": 2,
        "num_top": 3,
        "max_step": 5,
        "model": NaoSettings(4, predictor_layers=1, predictor_hidden=4, epochs=2, batch_size=4),
        "selection": SELECTION._replace(num_candidates=9),
    },
}
ELSEWHERE = {"topo_fairnas"}  # what is like another row where architectures are no graphs
# Options of DARTS: their laws stand in `test_searchers_mixtures.py`, and what they share in the rows above.
ELSEWHERE |= {"drnas", "sdarts-rs", "sdarts-adv", "darts-minus", "darts-es", "darts-ada", "fair-darts", "p-darts"}
ELSEWHERE |= {"darts-pt"}
every_searcher = pytest.mark.parametrize("name", ROWS)


class Compiled(NamedTuple):
    """A row of the table with its programs."""

    searcher: WeightSharingSearcher
    init: Callable[..., Any]  # (key) -> state
    step: Callable[..., Any]  # (state, batch) -> (state, info)
    many: Callable[..., Any]  # (keys, batches) -> states and infos of many seeds
    look: Callable[..., Any]  # (states, dataset) -> derived, weights, log-probabilities


@functools.cache
def compiled(name):
    searcher = make_weight_sharing(
        name, TOY, steps_per_epoch=STEPS - 12 * (name == "enas"), epochs=EPOCHS, **ROWS[name]
    )

    def search(key, batches):
        return jax.lax.scan(searcher.step, searcher.init(key), batches)

    def look(state, dataset):
        derived = searcher.derive(state, dataset, "validation")
        return derived, searcher.probabilities(state), searcher.log_probability(state, jnp.asarray(ARCHS))

    return Compiled(
        searcher,
        jax.jit(searcher.init),
        jax.jit(searcher.step),
        jax.jit(jax.vmap(search, (0, None))),
        jax.jit(jax.vmap(look, (0, None))),
    )


@functools.cache
def stacked():
    return batches(STEPS * EPOCHS)


@functools.cache
def searched(name):
    """The states of many seeds after a whole search, what each step told, and what was derived."""
    case = compiled(name)
    with jax.debug_key_reuse(True):
        states, infos = case.many(jax.random.split(jax.random.key(0), SEEDS), stacked())
        return states, jax.device_get(infos), jax.device_get(case.look(states, toy_dataset()))


def plain(tree):
    """A pytree with keys as their data, in NumPy."""

    def leaf(x):
        return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)

    return jax.tree.map(leaf, tree)


def lane(tree, number):
    return jax.tree.map(lambda x: x[number], tree)


def or_nan(kept, leaf):
    return jnp.where(kept, leaf, jnp.nan) if leaf.dtype == jnp.float32 else leaf


@every_searcher
def test_state_keeps_structure_shapes_and_dtypes(name):
    searcher = compiled(name).searcher
    assert searcher.name == name
    state = jax.eval_shape(searcher.init, jax.random.key(0))
    after, info = jax.eval_shape(searcher.step, state, batch(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert all((x.shape, x.dtype) == ((), jnp.float32) for x in info)
    derived = jax.eval_shape(lambda state: searcher.derive(state, toy_dataset(), "test"), state)
    count = derived.candidates.shape[0]
    assert [(x.shape, x.dtype) for x in derived] == [
        ((E,), jnp.int32),
        ((count, E), jnp.int32),
        ((count,), jnp.float32),
    ]
    assert jax.tree.structure(searcher.shared(state).parameters) == jax.tree.structure(TOY.init(jax.random.key(0))[0])


@every_searcher
def test_many_seeds_at_once_are_the_seeds_one_by_one(name):
    """And no step after the first compiles."""
    case = compiled(name)
    _, infos, _ = searched(name)
    state = case.init(jax.random.split(jax.random.key(0), SEEDS)[1])
    on_host = jax.device_get(stacked())  # where a slice is a view and no program
    for number in range(STEPS + 3):
        state, info = case.step(state, lane(on_host, number))
        chex.assert_trees_all_close(info, lane(lane(infos, 1), number), rtol=2e-3, atol=2e-3)
    assert case.step._cache_size() == 1


@every_searcher
def test_no_key_is_used_twice(name):
    """All of `searched` is checked for it; and a derivation leaves the state as it is, to be made again."""
    states, _, seen = searched(name)
    with jax.debug_key_reuse(True):
        again = compiled(name).look(states, toy_dataset())
    chex.assert_trees_all_equal(jax.device_get(again), seen)


@every_searcher
def test_the_same_key_gives_the_same_search_wherever_it_stands(name):
    states, infos, _ = searched(name)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    with jax.debug_key_reuse(True):  # as before, so that nothing compiles again
        moved, moved_infos = compiled(name).many(jax.random.clone(keys[::-1]), stacked())
    chex.assert_trees_all_close(plain(jax.tree.map(lambda x: x[::-1], moved)), plain(states), rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[::-1], moved_infos), infos, rtol=1e-4, atol=1e-4)
    assert len({x.tobytes() for x in np.asarray(infos.train_loss)}) == SEEDS


@every_searcher
def test_probabilities_are_probabilities(name):
    _, _, (derived, weights, log_probabilities) = searched(name)
    np.testing.assert_allclose(weights.sum(axis=2), np.ones((SEEDS, E)), rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), np.ones(SEEDS), rtol=1e-4)
    hot = ARCHS[:, :, None] == np.arange(K)
    marginal = np.einsum("sa,aek->sek", np.exp(log_probabilities), hot)
    np.testing.assert_allclose(weights, marginal, atol=0.02)  # estimated by ENAS
    assert ((derived.arch >= 0) & (derived.arch < K)).all()
    for seed in range(SEEDS):
        assert (derived.candidates[seed] == derived.arch[seed]).all(axis=1).any()


@every_searcher
def test_what_steps_tell(name):
    """Accuracies are percentages that grow; what a searcher does not look at is NaN."""
    _, infos, _ = searched(name)
    looks = (True, name not in ("rsps", "spos", "fairnas", "nao"))
    for loss, accuracy, looked in zip(infos[::2], infos[1::2], looks, strict=True):
        known = np.isfinite(loss)
        np.testing.assert_array_equal(known, np.isfinite(accuracy))
        assert known.any() == looked
        if name == "enas":
            assert not known.all()
        elif name == "pc-darts" and loss is infos.validation_loss:  # its first epochs are for the weights alone
            np.testing.assert_array_equal(known, np.broadcast_to(np.arange(STEPS * EPOCHS) >= 3 * STEPS, known.shape))
        elif looked:
            assert known.all()
        if looked:
            assert ((accuracy[known] >= 0) & (accuracy[known] <= 100)).all()
            assert known[:, :30].any() or name == "pc-darts"
            first = np.nanmean(accuracy[:, :30]) if known[:, :30].any() else 50
            assert np.nanmean(accuracy[:, -30:]) > first + 5


@every_searcher
@pytest.mark.statistical
def test_it_finds_the_architecture_that_is_clearly_best(name):
    """A uniform architecture is the best one time in nine: six of eight seeds are far beyond that."""
    _, _, (derived, _, _) = searched(name)
    assert (derived.arch == np.asarray(BEST)).all(axis=1).sum() >= 6


@every_searcher
def test_a_search_that_diverged_still_answers(name):
    case = compiled(name)
    broken = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan) if x.dtype == jnp.float32 else x, stacked())
    with jax.debug_key_reuse(True):  # as before, so that nothing compiles again
        states, infos = case.many(jax.random.split(jax.random.key(0), SEEDS), broken)
        derived, _, _ = jax.device_get(case.look(states, toy_dataset()))
    assert not np.isfinite(infos.train_loss[:, STEPS:]).any()  # it may begin with operations that a NaN does not reach
    assert ((derived.arch >= 0) & (derived.arch < K)).all()
    assert np.isnan(derived.scores).sum() >= derived.scores.size // 4  # those that a NaN reaches: not "none" alone


@every_searcher
def test_a_ragged_space_and_the_rule_of_its_supernet_are_obeyed(name):
    """No step runs what there is not (the supernet would answer NaN), and what is derived is valid, NaN or not."""
    settings = ROWS[name] | ({"controller_steps": 2} if name == "enas" else {})
    searcher = make_weight_sharing(name, RULED, steps_per_epoch=5, epochs=6, **settings)  # schedules of 30 steps
    data, allowed = toy_dataset(count=200), ARCHS[MASK[np.arange(E), ARCHS].all(axis=1)]

    @jax.jit
    def search(key, batches, data):
        state, infos = jax.lax.scan(searcher.step, searcher.init(key), batches)
        sound = jnp.array([True, False])  # looked at as it is, and with NaN in place of all that it learned
        look = lambda kept: searcher.derive(jax.tree.map(lambda x: or_nan(kept, x), state), data, "validation")  # noqa: E731
        says = searcher.probabilities(state), searcher.log_probability(state, jnp.asarray(allowed))
        return state, infos, jax.lax.map(look, sound), says

    few = jax.tree.map(lambda x: x[:26], stacked())
    state, infos, looks, (probabilities, logs) = jax.device_get(search(jax.random.key(2), few, data))
    derived, of_broken = lane(looks, 0), lane(looks, 1)
    learned = {k: v for k, v in state._asdict().items() if k not in ("key", "step", "baseline", "earlier")}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learned))
    assert not np.isinf(np.asarray(infos)).any()
    if name != "enas":
        assert np.isfinite(infos.train_loss).all()
    for found in (derived, of_broken):
        assert np.asarray(jax.vmap(RULED.space.is_valid)(found.candidates)).all()
        assert (found.candidates == found.arch).all(axis=1).any()
    np.testing.assert_array_equal(probabilities[~MASK], 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(E), rtol=1e-5)
    np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-5)
    marginal = np.einsum("a,aek->ek", np.exp(logs), allowed[:, :, None] == np.arange(K))
    np.testing.assert_allclose(probabilities, marginal, atol=0.02)  # estimated by ENAS
    if name in ("darts-v1", "darts-v2", "pc-darts", "gdas", "fbnet"):
        alpha = jnp.where(MASK, state.alpha[:E], -jnp.inf)
        np.testing.assert_array_equal(derived.arch, ruled_discretize(alpha))


def test_a_rule_leaves_a_valid_architecture_as_it_is_and_mends_others():
    is_valid = jax.jit(jax.vmap(RULED.space.is_valid))
    mended = np.asarray(jax.jit(jax.vmap(lambda arch: as_architecture(RULED, arch)))(ARCHS))
    valid = np.asarray(is_valid(ARCHS))
    assert 0 < valid.sum() < len(ARCHS)
    np.testing.assert_array_equal(mended[valid], ARCHS[valid])
    assert np.asarray(is_valid(mended)).all()
    assert as_architecture(TOY, ARCHS) is ARCHS


def test_decisions_are_those_of_the_space_unless_a_supernet_says_otherwise():
    ragged = decisions_of(TOY._replace(space=categorical((2, 3))))
    np.testing.assert_array_equal(ragged.mask, [[True, True, False], [True, True, True]])
    assert (ragged.shape, ragged.ragged, ragged.counts.tolist()) == ((2, 3), True, [2, 3])
    full = decisions_of(TOY)
    logits = jnp.zeros((E, K))
    assert not full.ragged
    assert full.restrict(logits) is logits
    assert full.names == TOY.space.choices
    assert decisions_of(RULED) is RULED.decisions


def test_every_name_has_a_row_and_its_published_settings():
    assert set(weight_sharing_names()) == set(ROWS) | ELSEWHERE
    for name in weight_sharing_names():
        searcher = make_weight_sharing(name, TOY, steps_per_epoch=10)
        assert searcher.name == name
        assert searcher.extra_steps == (1000 if name == "enas" else 0)
        found = weight_sharing_entry(name)
        assert (found.epochs, found.batch_size) == {
            "darts-v1": (50, 64),
            "darts-v2": (50, 64),
            "pc-darts": (50, 256),
            "enas": (250, 128),
            "spos": (200, 256),
            "fairnas": (200, 256),
            "topo_fairnas": (200, 256),
            "fbnet": (200, 64),
            "nao": (200, 256),
            **dict.fromkeys(("drnas", "sdarts-rs", "sdarts-adv", "darts-pt"), (100, 64)),
            "darts-minus": (50, 64),
            "darts-es": (50, 64),
            "darts-ada": (50, 64),
            "fair-darts": (50, 128),
            "p-darts": (75, 96),
        }.get(name, (250, 64))
    with pytest.raises(ValueError, match="no weight-sharing searcher 'pc_darts'; did you mean 'pc-darts'"):
        weight_sharing_entry("pc_darts")
