"""A searcher of one fidelity at another than the lowest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces

SPACE = spaces.categorical((4,) * 5)


def objective(fidelities):
    return jnas.function_objective(lambda key, arch, level: jnp.sum(arch) * level, fidelities=fidelities, seconds=1.0)


@pytest.mark.parametrize("make", [searchers.random_search, searchers.regularized_evolution, searchers.tpe])
def test_the_search_is_the_same_at_the_other_fidelity(make):
    single = jnas.function_objective(lambda key, arch: jnp.sum(arch) * 9.0)
    many = objective((1, 3, 9))
    plain = jnas.run(make(SPACE), single, jax.random.key(0), max_evaluations=40)
    high = jnas.run(searchers.at_fidelity(make(SPACE), 2), many, jax.random.key(0), max_evaluations=40)
    np.testing.assert_array_equal(plain.arch, high.arch)
    np.testing.assert_array_equal(plain.score, high.score)
    assert set(np.asarray(high.fidelity).tolist()) == {2}


def test_the_lowest_is_the_searcher_itself():
    searcher = searchers.random_search(SPACE)
    assert searchers.at_fidelity(searcher, 0) is searcher


def test_searchers_of_several_fidelities_are_refused():
    with pytest.raises(ValueError, match="uses 2 fidelities"):
        searchers.at_fidelity(searchers.hyperband(SPACE, budgets=(1, 3)), 1)
    with pytest.raises(ValueError, match="fidelity is -1"):
        searchers.at_fidelity(searchers.random_search(SPACE), -1)
    with pytest.raises(ValueError, match="fidelities"):
        jnas.run(
            searchers.at_fidelity(searchers.random_search(SPACE), 3),
            objective((1, 2)),
            jax.random.key(0),
            max_evaluations=3,
        )
