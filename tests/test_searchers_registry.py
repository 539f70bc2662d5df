"""The searchers that studies know by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import searchers
from jnas._vocabulary import Evaluation
from jnas.searchers import _registry
from jnas.spaces import categorical, nasbench201

SPACE = nasbench201()


def test_names_and_which_are_compared():
    single = ("random_search", "regularized_evolution", "reinforce", "local_search", "bohb")
    assert _registry.compared(1) == single
    assert _registry.compared(2) == (*single, "successive_halving", "hyperband")
    assert set(searchers.names()) == {*searchers.names(quick=True), *searchers.names(quick=False)}
    assert set(searchers.names(quick=True)) >= set(_registry.compared(2))


@pytest.mark.parametrize("name", [n for n in searchers.names() if n not in _registry.compared(1)])
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
    assert entry.name == name
    assert entry.description
    for budgets in ((12,), (12, 200)):
        searcher = searchers.make(name, space, budgets)
        assert searcher.name == name
        assert searcher.num_fidelities == (len(budgets) if entry.multi_fidelity else 1)


def test_unknown_names_and_budgets_are_refused():
    with pytest.raises(ValueError, match="there is no searcher 'annealing', expected one of random_search, "):
        searchers.make("annealing", SPACE)
    with pytest.raises(ValueError, match=r"budgets is \(200, 12\)"):
        searchers.make("hyperband", SPACE, (200, 12))
