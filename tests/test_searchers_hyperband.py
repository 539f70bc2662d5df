"""Successive halving and Hyperband: published tables of rungs, and promotions against a plain Hyperband."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._loop import run
from jnas.core._vocabulary import Evaluation, Objective, function_objective
from jnas.searchers import geometric_budgets, hyperband, random_search, successive_halving
from jnas.searchers.black_box._brackets import hyperband_brackets
from jnas.spaces import categorical

SPACE = categorical((5,) * 4)
STEPS = 160


def test_rungs_of_the_first_papers_table():
    """Table 1 of Li et al., 2017: R = 81, eta = 3."""
    brackets = hyperband_brackets(5, 3, "floor")
    assert brackets == ((81, 27, 9, 3, 1), (27, 9, 3, 1), (9, 3, 1), (6, 2), (5,))


def test_rungs_of_the_journals_formula():
    """ceil(5 / (s + 1) * 3**s): 81, 33.75, 15, 7.5, 5."""
    brackets = hyperband_brackets(5, 3, "ceil")
    assert brackets == ((81, 27, 9, 3, 1), (34, 11, 3, 1), (15, 5, 1), (8, 2), (5,))


def test_rungs_of_nas_bench_101():
    """Budgets 4, 12, 36, 108 as in BOHB's comparison there."""
    assert geometric_budgets(4, 108) == (4, 12, 36, 108)
    assert hyperband_brackets(4, 3, "floor") == ((27, 9, 3, 1), (9, 3, 1), (6, 2), (4,))


def test_rungs_with_eta_that_is_no_integer():
    assert hyperband_brackets(3, 2.5, "floor") == ((6, 2, 1), (2, 1), (3,))


def test_geometric_budgets_do_not_go_below_the_smallest():
    np.testing.assert_allclose(geometric_budgets(12, 200), (200 / 9, 200 / 3, 200))
    np.testing.assert_allclose(geometric_budgets(1, 81), (1, 3, 9, 27, 81))
    assert geometric_budgets(5, 5) == (5,)
    with pytest.raises(ValueError, match="min_budget is 9"):
        geometric_budgets(9, 3)


def plain(brackets, num_fidelities, fresh, scores):
    """Hyperband as a loop over brackets, rungs and configurations; yields (arch, fidelity, resumes, resumed)."""
    row = 0
    while True:
        for sizes in brackets:
            rung = []
            for i, size in enumerate(sizes):
                fidelity = num_fidelities - len(sizes) + i
                if i == 0:
                    members = [(None, None, None)] * size
                else:
                    rung = [member for member in rung if not np.isnan(member[0])]
                    members = sorted(rung, key=lambda member: -member[0])[:size]
                rung = []
                for _, arch, begun in members:
                    new = begun is None
                    arch, begun = (next(fresh), row) if new else (arch, begun)
                    yield (arch, fidelity, -1 if new else begun, -1 if new else fidelity - 1)
                    rung.append((scores[fidelity, arch], arch, begun))
                    row += 1


CASES = {
    "hyperband": (lambda: hyperband(SPACE, budgets=(1, 3, 9, 27)), hyperband_brackets(4, 3, "floor"), 4),
    "hyperband_ceil": (
        lambda: hyperband(SPACE, budgets=(1, 3, 9), rounding="ceil"),
        ((9, 3, 1), (5, 1), (3,)),
        3,
    ),
    "hyperband_eta_2": (lambda: hyperband(SPACE, budgets=(1, 2, 4), eta=2), ((4, 2, 1), (2, 1), (3,)), 3),
    "halving": (lambda: successive_halving(SPACE, budgets=(1, 3, 9)), ((9, 3, 1),), 3),
    "halving_of_20": (lambda: successive_halving(SPACE, budgets=(4, 12), num_configs=20), ((20, 6),), 2),
}


@functools.cache
def compiled_steps(case):
    """`(key, scores, accepted) -> proposals` of `STEPS` steps, of which the accepted ones are evaluated."""
    searcher = CASES[case][0]()

    def step(carry, ok):
        state, scores = carry
        proposal, state = searcher.ask(state)
        score = scores[proposal.fidelity, jax.vmap(SPACE.index)(proposal.archs)]
        evaluation = Evaluation(score, jnp.ones((1,)), jnp.ones((1,), bool))
        return (searcher.tell(state, proposal._replace(valid=ok[None]), evaluation), scores), proposal

    return jax.jit(lambda key, scores, accepted: jax.lax.scan(step, (searcher.init(key, STEPS), scores), accepted)[1])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("broken", [0.0, 0.4, 0.97])
def test_promotions_are_those_of_a_plain_hyperband(case, broken):
    _, brackets, num_fidelities = CASES[case]
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(num_fidelities, SPACE.size)).astype(np.float32)
    scores[rng.random(scores.shape) < broken] = np.nan
    accepted = rng.random(STEPS) < 0.9  # the others are asked for again
    found = compiled_steps(case)(jax.random.key(2), jnp.asarray(scores), jnp.asarray(accepted))
    archs, fidelity, resumes, resumed, valid = (np.asarray(field)[accepted, 0] for field in found)
    index = (archs * 5 ** np.arange(4)[::-1]).sum(axis=1)
    fresh = iter(index[resumes < 0].tolist())
    assert valid.all()
    for i, expected in zip(range(len(index)), plain(brackets, num_fidelities, fresh, scores), strict=False):
        assert (index[i], fidelity[i], resumes[i], resumed[i]) == expected
    assert broken > 0.5 or (fidelity == num_fidelities - 1).sum() > 5


def test_what_is_resumed_costs_the_difference():
    """One bracket of (1, 3, 9): 9 at 1, then 3 from 1 to 3, then 1 from 3 to 9."""
    budgets = (1.0, 3.0, 9.0)

    def evaluate(keys, proposal):
        paid = jnp.asarray([0.0, *budgets])
        seconds = paid[proposal.fidelity + 1] - paid[proposal.resumed_fidelity + 1]
        return Evaluation(jax.vmap(jax.random.uniform)(keys), seconds, jnp.ones(seconds.shape, bool))

    problem = Objective(evaluate, budgets, 1.0)
    trace = run(successive_halving(SPACE, budgets=budgets), problem, jax.random.key(0), max_evaluations=13)
    assert trace.seconds.tolist() == [1.0] * 9 + [2.0] * 3 + [6.0]
    assert trace.fidelity.tolist() == [0] * 9 + [1] * 3 + [2]
    # The objective's score is drawn from the key of the training, which stays the same as it goes on.
    best = np.sort(trace.score[:9])[::-1]
    np.testing.assert_array_equal(trace.score[9:], [*best[:3], best[0]])


def test_with_one_budget_it_is_random_search():
    problem = function_objective(lambda key, arch: jnp.sum(arch).astype(jnp.float32))
    expected = run(random_search(SPACE), problem, jax.random.key(4), max_evaluations=30)
    for searcher in (hyperband(SPACE, budgets=(200,)), successive_halving(SPACE, budgets=(200,))):
        chex.assert_trees_all_equal(run(searcher, problem, jax.random.key(4), max_evaluations=30), expected)


def test_a_bracket_larger_than_the_run_is_cut():
    problem = function_objective(
        lambda key, arch, epochs: jnp.sum(arch) * epochs, fidelities=geometric_budgets(1, 3**8)
    )
    searcher = hyperband(SPACE, budgets=problem.fidelities)
    assert searcher.init(jax.random.key(0), 5).brackets.scores.shape == (5,)
    trace = run(searcher, problem, jax.random.key(0), max_evaluations=5)
    assert trace.mask.all()
    assert not trace.fidelity.any()


@pytest.mark.parametrize(("eta", "rungs"), [(3, 4), (2, 6)])
def test_default_number_of_configurations_leaves_one(eta, rungs):
    searcher = successive_halving(SPACE, budgets=geometric_budgets(1, eta ** (rungs - 1), eta), eta=eta)
    state = jax.eval_shape(lambda: searcher.init(jax.random.key(0), 10_000))
    assert state.brackets.scores.shape == (eta ** (rungs - 1),)


def test_arguments_are_checked():
    for make in (hyperband, successive_halving):
        with pytest.raises(ValueError, match=r"budgets is \(12, 4\), expected positive fidelities in ascending order"):
            make(SPACE, budgets=(12, 4))
        with pytest.raises(ValueError, match=r"budgets is \(\)"):
            make(SPACE, budgets=())
        with pytest.raises(TypeError, match="budgets is 12"):
            make(SPACE, budgets=12)
        with pytest.raises(ValueError, match="eta is 1"):
            make(SPACE, budgets=(1, 3), eta=1)
    with pytest.raises(ValueError, match="num_configs is 0"):
        successive_halving(SPACE, budgets=(1, 3), num_configs=0)
    with pytest.raises(ValueError, match="rounding is 'up'"):
        hyperband(SPACE, budgets=(1, 3), rounding="up")
