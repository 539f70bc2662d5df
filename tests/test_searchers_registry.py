"""The searchers that studies know by name."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import searchers
from jnas.core._vocabulary import Evaluation
from jnas.searchers import _registry
from jnas.spaces import categorical, nasbench101, nasbench201
from jnas.spaces._subset import subset, with_mutation

SPACE = nasbench201()


def test_names_and_which_are_compared():
    single = ("random_search", "regularized_evolution", "reinforce", "local_search", "bohb")
    for space in ("", "nasbench201"):
        assert _registry.compared(1, space) == single
        assert _registry.compared(2, space) == (*single, "successive_halving", "hyperband")
    assert set(searchers.names()) == {*searchers.names(quick=True), *searchers.names(quick=False)}
    assert set(searchers.names(quick=True)) >= set(_registry.compared(2))
    figure = ("random_search", "regularized_evolution", "reinforce", "hyperband", "bohb", "tpe", "smac")
    assert _registry.compared(4, "nasbench101") == figure
    assert _registry.compared(1, "nasbench101") == (*figure[:3], *figure[5:])


def test_nasbench101_has_settings_of_its_own():
    """As in the scripts of its comparison: population 100, a mutation of one decision, plain gradient ascent."""
    cells = nasbench101()
    evolution = searchers.make("regularized_evolution", cells)
    state = evolution.init(jax.random.key(0), 200)
    assert state.archs.shape == (100, 26)
    assert searchers.make("regularized_evolution", SPACE).init(jax.random.key(0), 200).archs.shape == (10, 6)
    state = state._replace(num_told=jnp.int32(100), scores=jnp.where(jnp.arange(100) == 3, 1.0, 0.0))
    keys = jax.random.split(jax.random.key(1), 300)
    asked = jax.jit(jax.vmap(lambda key: evolution.ask(state._replace(key=key))[0].archs[0]))(keys)
    changes = (asked[:, None] != state.archs[None]).sum(axis=-1).min(axis=1)
    assert changes.max() == 1
    logits = searchers.make("reinforce", cells).init(jax.random.key(0), 10).logits
    np.testing.assert_array_equal(logits, np.zeros_like(logits))


def test_in_a_part_of_a_space_evolution_stays_there():
    part = subset(SPACE, np.stack([SPACE.from_index(i) for i in range(0, 15_000, 1_500)]))
    evolution = searchers.make("regularized_evolution", part)
    state = evolution.init(jax.random.key(0), 50)
    ask, tell = jax.jit(evolution.ask), jax.jit(evolution.tell)
    for _ in range(30):
        proposal, state = ask(state)
        assert part.is_valid(proposal.archs[0])
        state = tell(state, proposal, Evaluation(jnp.ones((1,)), jnp.ones((1,)), jnp.ones((1,), bool)))


@pytest.mark.parametrize("name", ["regularized_evolution", "naszilla_evolution", "bananas_random_ranking"])
def test_a_space_stays_what_it_is_but_for_its_mutation(name):
    """What a table's own space draws, and which cells it regards as the same, holds for every searcher."""
    called = set()
    plain = nasbench201(isomorphism="none")

    def sample(key):
        called.add("sample")
        return plain.sample(key)

    def fingerprint(arch):
        called.add("fingerprint")
        return plain.fingerprint(arch)

    own = plain._replace(sample=sample, fingerprint=fingerprint)
    searcher = searchers.make(name, own)
    jax.eval_shape(lambda key: searcher.ask(searcher.init(key, 30)), jax.random.key(0))
    assert called == {"sample", "fingerprint"} - ({"fingerprint"} if "evolution" in name else set())


def test_in_a_part_of_a_space_a_mutation_is_that_of_the_whole():
    """Where it ends at a listed cell; else at the nearest. A part of a part goes by the same rule."""
    listed = np.asarray(jax.jit(jax.vmap(SPACE.from_index))(jnp.arange(0, 15_625, 2)))
    part, published = subset(SPACE, listed), nasbench201("each_edge")
    changed = with_mutation(part, "each_edge")
    parent, keys = listed[1_000], jax.random.split(jax.random.key(0), 100)

    @jax.jit
    @jax.vmap
    def mutants(key):
        wanted = published.mutate(jax.random.split(key)[0], parent)
        return wanted, part.index(wanted), changed.mutate(key, parent)

    wanted, rows, found = map(np.asarray, mutants(keys))
    direct = (rows >= 0) & np.any(wanted != parent, axis=1)
    assert 20 < direct.sum() < 80
    np.testing.assert_array_equal(found[direct], wanted[direct])
    assert {tuple(arch) for arch in found.tolist()} <= {tuple(arch) for arch in listed.tolist()}
    assert changed.config == json.dumps({"kind": "subset", "of": json.loads(published.config), "size": len(listed)})
    assert (changed.neighbors, changed.sample) == (part.neighbors, part.sample)
    inner = with_mutation(subset(part, listed[:9]), "each_edge")
    assert inner.part_of.part_of.config == published.config


def test_only_the_mutation_of_a_space_is_another():
    cells = nasbench101("uniform", "per_vertex", 2.0)
    assert with_mutation(cells, "one_decision").config == nasbench101("uniform", "one_decision", 2.0).config
    assert with_mutation(cells, None) is cells
    for own in (categorical((2, 3), name="nasbench201"), SPACE._replace(config="of my own")):
        assert with_mutation(own, "edge") is own


def test_entries_say_what_can_be_compiled():
    assert [n for n in searchers.names() if not searchers.entry(n).compiled] == ["smac"]
    for name in searchers.names():
        assert searchers.make(name, SPACE).compiled == searchers.entry(name).compiled


def test_what_a_space_cannot_be_searched_by_is_known():
    plain = categorical((2, 3))
    assert _registry.names(space=SPACE) == searchers.names()
    missing = {"nasbot", "bonas", "gcn_predictor"}
    assert set(_registry.names(space=plain)) == {*searchers.names()} - missing
    for name in missing:
        with pytest.raises(ValueError, match=r"categorical|nasbot"):
            searchers.make(name, plain)


def test_searches_by_predictors_have_their_published_mutation():
    """On NAS-Bench-201 a mutation changes 1.5 edges on average, and what stays as it is is no candidate."""
    searcher = searchers.make("bananas_random_ranking", SPACE)
    state = searcher.init(jax.random.key(0), 30)
    ask, tell = jax.jit(searcher.ask), jax.jit(searcher.tell)
    for step in range(2):
        proposal, state = ask(state)
        score = jnp.where(jnp.arange(10) == 0, 1.0, -jnp.inf) - step
        state = tell(state, proposal, Evaluation(score, jnp.ones(10), jnp.ones(10, bool)))
    changed = (np.asarray(state.history.archs[10:20]) != np.asarray(state.history.archs[0])).sum(axis=1)
    assert (changed > 1).any()


@pytest.mark.parametrize("name", [n for n in _registry.compared(2) if n not in _registry.compared(1)])
def test_what_is_left_out_on_one_fidelity_is_random_search_there(name):
    """Each step proposes an architecture drawn without regard to any score."""
    searcher = searchers.make(name, SPACE)
    score_of_step = {sign: [sign * t for t in range(12)] for sign in (1.0, -1.0)}
    proposed = {}
    for sign, scores in score_of_step.items():
        state, archs = searcher.init(jax.random.key(0), 12), []
        for score in scores:
            proposal, state = searcher.ask(state)
            archs.append(np.asarray(proposal.archs)[np.asarray(proposal.valid)])
            told = jnp.full(proposal.valid.shape, score)
            state = searcher.tell(state, proposal, Evaluation(told, jnp.ones_like(told), proposal.valid))
        proposed[sign] = np.concatenate(archs)
    np.testing.assert_array_equal(proposed[1.0], proposed[-1.0])
    assert len({arch.tobytes() for arch in proposed[1.0]}) > 8


@pytest.mark.parametrize("name", searchers.names())
@pytest.mark.parametrize("space", [SPACE, categorical((2, 3))], ids=["nasbench201", "categorical"])
def test_every_name_makes_its_searcher(name, space):
    entry = searchers.entry(name)
    if entry.needs not in (None, *space.feature_names):
        pytest.skip(f"the space has no features {entry.needs}")
    assert entry.name == name
    assert entry.description
    for budgets in ((12,), (12, 200)):
        searcher = searchers.make(name, space, budgets)
        assert searcher.name == name
        assert searcher.num_fidelities == (len(budgets) if entry.multi_fidelity else 1)


def test_unknown_names_and_budgets_are_refused():
    with pytest.raises(ValueError, match="there is no searcher 'annealing', expected one of random_search, "):
        searchers.make("annealing", SPACE)
    with pytest.raises(ValueError, match=r"no searcher 'bannanas'; did you mean 'bananas'\? expected one of random_se"):
        searchers.make("bannanas", SPACE)
    with pytest.raises(ValueError, match=r"budgets is \(200, 12\)"):
        searchers.make("hyperband", SPACE, (200, 12))
