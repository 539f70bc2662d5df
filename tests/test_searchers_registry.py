"""The searchers that studies know by name."""

import pytest

from jnas import searchers
from jnas.spaces import categorical, nasbench201

SPACE = nasbench201()


def test_names_and_which_are_quick():
    assert set(searchers.names(quick=True)) == {
        "random_search",
        "regularized_evolution",
        "reinforce",
        "local_search",
        "bohb",
    }
    assert set(searchers.names(quick=False)) == {"successive_halving", "hyperband"}
    assert set(searchers.names()) == {*searchers.names(quick=True), *searchers.names(quick=False)}


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
