"""The laws that every searcher obeys. A new searcher is a new row of the table.

All laws of a row share `init`, `ask` and `tell`, each traced once for a space, and one study of many searches, in which
each law has its lanes.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._loop import run
from jnas.core._search import search
from jnas.core._vocabulary import STOPPED_BY, Array, Evaluation, Objective, Proposal, Searcher, Space
from jnas.searchers import (
    ControllerSettings,
    NaoSettings,
    asha,
    asynchronous_bohb,
    asynchronous_hyperband,
    bananas,
    bohb,
    dehb,
    enas_controller,
    from_ask_tell,
    gp_bayesopt,
    hyperband,
    local_search,
    median_stopping,
    multi_objective_evolution,
    nao,
    nsga2,
    pareto_local_search,
    pasha,
    random_search,
    regularized_evolution,
    reinforce,
    scalarized,
    smac,
    successive_halving,
    tpe,
)
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble
from jnas.spaces import categorical, nasbench201


class Row(NamedTuple):
    """A searcher, the fidelities that it needs, whether it must beat random search, and over how many seeds."""

    make: Callable[[Space], Searcher]
    budgets: tuple[float, ...] = (1,)
    learns: bool = True
    seeds: int = 64
    few: int = 8  # the seeds of laws that are not statistical
    budget: float = 60  # evaluations at the highest fidelity
    certain: int | None = None  # steps whose proposals another rounding cannot change; None for all
    driven: int | None = None  # steps that are also driven from Python; None for all
    every_fidelity: bool = True  # uses all, whatever scores are

    @property
    def capacity(self) -> int:
        """A few more evaluations than the budget pays for."""
        return round(self.budget * (4 / 3 if len(self.budgets) == 1 else 20 / 3))


class Climber:
    """An optimizer as other libraries have them: it changes one decision of the best that it was told."""

    def __init__(self, num_choices: tuple[int, ...], seed: int):
        self.num_choices, self.random, self.best = num_choices, np.random.default_rng(seed), (-np.inf, None)

    def ask(self) -> list[int]:
        if self.best[1] is None:
            return [int(self.random.integers(count)) for count in self.num_choices]
        arch = list(self.best[1])
        place = int(self.random.integers(len(arch)))
        arch[place] = int(self.random.integers(self.num_choices[place]))
        return arch

    def tell(self, arch: list[int], value: float) -> None:
        if value > self.best[0]:
            self.best = (value, arch)


MANY = (1, 3, 9)
TINY = functools.partial(mlp_ensemble, num_members=2, networks=((2, 10),), epochs=20)
ROWS = {
    "random_search": Row(random_search, learns=False),
    "regularized_evolution": Row(lambda space: regularized_evolution(space, population_size=10, sample_size=5)),
    "evolution_without_aging": Row(
        lambda space: regularized_evolution(space, population_size=10, sample_size=3, aging=False, replacement=False)
    ),
    "local_search": Row(local_search),
    "local_search_full": Row(
        lambda space: local_search(space, num_init=4, query_full_neighborhood=True, stop_at_minimum=False)
    ),
    "nsga2": Row(lambda space: nsga2(space, num_objectives=1, population_size=8, batch_size=1), few=4),
    "multi_objective_evolution": Row(
        lambda space: multi_objective_evolution(space, num_objectives=1, population_size=10, sample_size=5), few=4
    ),
    "pareto_local_search": Row(lambda space: pareto_local_search(space, num_objectives=1), few=4),
    "scalarized_local_search": Row(lambda space: scalarized(local_search(space), num_objectives=1), few=4),
    "reinforce": Row(lambda space: reinforce(space, learning_rate=0.2)),
    "enas_controller": Row(
        lambda space: enas_controller(
            space,
            num_samples=1,
            learning_rate=0.02,
            baseline_decay=0.9,
            reward_scale=1.0,
            controller=ControllerSettings(8, temperature=1.0),
        ),
        seeds=16,
        few=2,
    ),
    "successive_halving": Row(lambda space: successive_halving(space, budgets=MANY), MANY),
    "hyperband": Row(lambda space: hyperband(space, budgets=MANY), MANY),
    "bohb": Row(lambda space: bohb(space, budgets=(1,), num_samples=4, random_fraction=0.0)),
    "tpe": Row(tpe),
    "bohb_brackets": Row(lambda space: bohb(space, budgets=MANY), MANY, seeds=16, few=2),
    "asha": Row(lambda space: asha(space, budgets=MANY, eta=3), MANY),
    "asha_stopping": Row(lambda space: asha(space, budgets=MANY, eta=3, form="stopping"), MANY, few=2),
    "asynchronous_hyperband": Row(lambda space: asynchronous_hyperband(space, budgets=MANY), MANY, few=2),
    "asynchronous_bohb": Row(lambda space: asynchronous_bohb(space, budgets=MANY), MANY, seeds=16, few=2),
    "dehb": Row(lambda space: dehb(space, budgets=MANY), MANY, seeds=16, few=2),
    "pasha": Row(lambda space: pasha(space, budgets=MANY), MANY, few=2, every_fidelity=False),
    "median_stopping": Row(lambda space: median_stopping(space, budgets=MANY), MANY, few=2),
    "bananas": Row(
        lambda space: bananas(space, predictor=TINY(), batch_size=1, training_sizes=()), seeds=8, few=2, budget=45
    ),
    "gp_bayesopt": Row(
        lambda space: gp_bayesopt(space, candidates="mutation", training_sizes=(40,)), seeds=8, few=2, budget=30
    ),
    "nao": Row(
        lambda space: nao(
            space,
            num_init=15,
            num_new=6,
            num_random=1,
            num_top=6,
            max_step=10,
            model=NaoSettings(8, 1, 8, dropout=0.0, epochs=20, batch_size=10, learning_rate=0.02),
        ),
        seeds=8,
        few=1,
        certain=15,  # what follows is a trained decoder's words
        driven=24,  # two rounds
    ),
    "smac": Row(
        lambda space: smac(space, num_init=5, refit_every=4, num_trees=6, num_random=40, num_local=3), seeds=6, few=1
    ),
    "from_ask_tell": Row(
        lambda space: from_ask_tell(functools.partial(Climber, space.num_choices), space), seeds=6, few=1
    ),
}
SPACES = {"categorical": categorical((5,) * 6), "mixed": categorical((3, 1, 2, 4)), "nasbench201": nasbench201()}
PLAIN = SPACES["categorical"]

WEIGHTS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
GRID = np.stack(np.unravel_index(np.arange(PLAIN.size), (5,) * 6), axis=1)
SCORES = WEIGHTS[np.arange(6), GRID].sum(axis=1)  # in the order of the space's index


def scores_by_fidelity(num_fidelities: int) -> np.ndarray:
    """The additive score, with an error of its own at each fidelity but the highest: float32 `[F, size]`."""
    errors = np.random.default_rng(1).normal(size=(num_fidelities, PLAIN.size))
    scale = 0.5 * SCORES.std() * (np.arange(num_fidelities)[::-1, None] / max(num_fidelities - 1, 1))
    return (SCORES + scale * errors).astype(np.float32)


def objective(budgets: tuple[float, ...], scores: Array) -> Objective:
    """Looks `scores [F, size]` up; costs are in units of the highest fidelity, and going on costs the difference."""
    costs = np.asarray([0.0, *budgets], np.float32) / budgets[-1]

    def evaluate(keys: Array, proposal: Proposal) -> Evaluation:
        row = jax.vmap(PLAIN.index)(proposal.archs)
        score = scores[proposal.fidelity, row]
        uneven = 0.875 + 0.125 * (row % 3)  # so that lanes end at different steps
        seconds = uneven * (
            jnp.asarray(costs)[proposal.fidelity + 1] - jnp.asarray(costs)[proposal.resumed_fidelity + 1]
        )
        return Evaluation(score, seconds, jnp.ones(score.shape, bool))

    return Objective(evaluate, budgets)


class Compiled(NamedTuple):
    """A row of the table with its programs; those of a searcher that cannot be compiled are as they are."""

    row: Row
    searcher: Searcher
    init: Any  # (key) -> state
    ask: Any  # (state) -> (proposal, state)
    tell: Any  # (state, proposal, evaluation) -> state


@functools.cache
def compiled(name: str, space: str = "categorical") -> Compiled:
    row = ROWS[name]
    searcher = row.make(SPACES[space])
    if searcher.compiled:  # a study too takes from `jit` what was traced
        init = jax.jit(searcher.init, static_argnums=1)
        searcher = searcher._replace(init=init, ask=jax.jit(searcher.ask), tell=jax.jit(searcher.tell))
    return Compiled(row, searcher, lambda key: searcher.init(key, row.capacity), searcher.ask, searcher.tell)


class Found(NamedTuple):
    """What searches of a row found: traces `[seeds, ...]` of those on the additive score, and `[few, ...]` of others.

    They are lanes of one program, so that what a law compares stands at different places, beside other lanes.
    """

    additive: Any
    broken: Any  # the best sixteenth gives NaN
    infinite: Any  # it gives infinity
    nothing: Any  # all scores are NaN
    again: Any  # on the additive score, from the last of the few seeds to the first


@functools.cache
def found(name: str) -> Found:
    row, searcher = compiled(name)[:2]
    scores = scores_by_fidelity(len(row.budgets))
    problems = np.stack([scores, broken_scores(name), infinite_scores(name), np.full_like(scores, np.nan)])
    # Made into keys inside the program: importing a test touches no device.
    few = np.arange(row.few)
    seeds = np.concatenate([np.arange(row.seeds), few, few, few, few[::-1]])
    problem = np.repeat([0, 1, 2, 3, 0], [row.seeds] + 4 * [row.few])
    limits = {"budget_seconds": row.budget, "max_evaluations": row.capacity}

    def single(seed: Any, problem: Any, problems: Array) -> Any:
        look = run if searcher.compiled else search
        return look(searcher, objective(row.budgets, problems[problem]), jax.random.key(seed), **limits)

    if searcher.compiled:
        study = jax.jit(jax.vmap(single, in_axes=(0, 0, None)))
        with jax.debug_key_reuse(True):  # no key is used twice: a law of its own, at no further compilation
            traces = jax.device_get(study(seeds, problem, problems))
    else:
        lanes = [single(*lane, jnp.asarray(problems)) for lane in zip(seeds, problem, strict=True)]
        traces = jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)
    ends = row.seeds + row.few * np.arange(4)
    return Found(*(jax.tree.map(lambda leaf, i=i: np.split(leaf, ends)[i], traces) for i in range(5)))


def broken_scores(name: str) -> np.ndarray:
    """The scores, of which the best sixteenth is NaN."""
    scores = scores_by_fidelity(len(ROWS[name].budgets))
    return np.where(scores > np.quantile(SCORES, 15 / 16), np.nan, scores).astype(np.float32)


def infinite_scores(name: str) -> np.ndarray:
    """As `broken_scores`, with infinity for NaN."""
    broken = broken_scores(name)
    return np.where(np.isnan(broken), np.float32(np.inf), broken)


@functools.cache
def are_valid(space: str) -> Any:
    return jax.jit(jax.vmap(SPACES[space].is_valid))


every_searcher = pytest.mark.parametrize("name", ROWS)


def evaluation_of(score: float, valid: bool = True) -> Evaluation:
    return Evaluation(*map(jnp.asarray, (np.full(1, score, np.float32), np.ones(1, np.float32), np.full(1, valid))))


def knowledge(state: Any) -> Any:
    """A state as NumPy arrays, its keys left out."""
    return jax.tree.map(
        lambda leaf: None if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf), state
    )


def saved_and_restored(state: Any) -> Any:
    """A state that has been plain NumPy arrays in between, as in a file."""

    def through_numpy(leaf: Array) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jnp.asarray(np.array(jax.random.key_data(leaf))))
        return np.array(leaf) if isinstance(leaf, np.ndarray) else jnp.asarray(np.array(leaf))

    return jax.tree.map(through_numpy, state)


def advance(case: Compiled, seed: int, steps: int) -> Any:
    """A state after some steps in which the score is the sum of the encoding."""
    state = case.init(jax.random.key(seed))
    for _ in range(steps):
        proposal, state = case.ask(state)
        state = case.tell(state, proposal, evaluation_of(float(np.asarray(proposal.archs).sum())))
    return state


@every_searcher
@pytest.mark.parametrize("space", SPACES)
def test_state_keeps_structure_shapes_and_dtypes(name, space):
    _, searcher, init, ask, tell = compiled(name, space)
    look = jax.eval_shape if searcher.compiled else lambda function, *arguments: function(*arguments)
    state = look(init, jax.random.key(0))
    proposal, asked = look(ask, state)
    told = look(tell, asked, proposal, look(lambda: evaluation_of(0.0)))

    def form(tree):
        leaves = jax.tree.leaves(tree)
        return jax.tree.structure(tree), [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in leaves]

    assert form(asked) == form(state)
    assert form(told) == form(state)
    row = ((1,), jnp.int32)
    expected = [((1, SPACES[space].num_decisions), jnp.int32), row, row, row, ((1,), jnp.bool_)]
    assert [(field.shape, field.dtype) for field in proposal] == expected
    assert searcher.num_fidelities == len(ROWS[name].budgets)
    assert searcher.name


@every_searcher
def test_what_was_not_evaluated_changes_nothing(name):
    case = compiled(name)
    for steps in (0, 1, 11, 16):
        proposal, state = case.ask(advance(case, 3, steps))
        after = case.tell(state, proposal._replace(valid=jnp.zeros((1,), bool)), evaluation_of(1e6))
        chex.assert_trees_all_equal(knowledge(after), knowledge(state))


@every_searcher
def test_what_was_evaluated_is_remembered(name):
    if name == "random_search":
        pytest.skip("random search remembers nothing")
    case = compiled(name)
    proposal, state = case.ask(advance(case, 3, 2))
    after = case.tell(state, proposal, evaluation_of(1e6))
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(knowledge(after), knowledge(state))


@every_searcher
def test_nan_is_told_as_an_invalid_architecture_is(name):
    case = compiled(name)
    for steps in (0, 1, 11, 16):
        proposal, state = case.ask(advance(case, 3, steps))
        of_nan = case.tell(state, proposal, evaluation_of(float("nan")))
        of_invalid = case.tell(state, proposal, evaluation_of(1e6, valid=False))
        chex.assert_trees_all_equal(knowledge(of_nan), knowledge(of_invalid))
        assert not any(np.isnan(leaf).any() for leaf in jax.tree.leaves(knowledge(of_nan)) if leaf.dtype.kind == "f")


@every_searcher
def test_nan_never_wins(name):
    """The best sixteenth of the architectures gives NaN: the search goes on and does well among the others."""
    broken, traces = broken_scores(name), found(name).broken
    index = (traces.arch * 5 ** np.arange(6)[::-1]).sum(axis=-1)
    told = broken[traces.fidelity, index]
    np.testing.assert_array_equal(traces.valid, traces.mask & ~np.isnan(told))
    assert (traces.mask & ~traces.valid).any()
    usable = np.where(traces.valid, traces.score, -np.inf).max(axis=1)
    assert (usable > np.median(SCORES)).all()


@every_searcher
def test_an_infinite_score_is_as_nan_to_a_search(name):
    """In what the searcher does, as in the trace."""
    chex.assert_trees_all_equal(found(name).infinite, found(name).broken)


@every_searcher
def test_all_nan_does_not_end_the_search(name):
    traces = found(name).nothing
    assert not traces.valid.any()
    assert all(STOPPED_BY[reason] != "exhausted" for reason in traces.stopped_by)
    assert ((traces.arch >= 0) & (traces.arch < 5)).all()
    assert traces.mask.sum(axis=1).min() >= 20


@every_searcher
def test_same_keys_give_the_same_searches_wherever_they_stand(name):
    row, traces = ROWS[name], found(name).additive
    first = jax.tree.map(lambda leaf: leaf[: row.few], traces)
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[::-1], found(name).again), first)
    assert len({archs.tobytes() for archs in traces.arch}) == row.seeds


@every_searcher
def test_steps_driven_from_python_do_what_the_compiled_search_does(name):
    case, traces = compiled(name), found(name).additive
    for lane in (0, 5):
        state = case.init(jax.random.split(jax.random.key(lane))[0])
        for i in range(int(traces.mask[lane].sum()))[: case.row.driven]:
            proposal, state = case.ask(state)
            if case.row.certain is None or i < case.row.certain:
                np.testing.assert_array_equal(proposal.archs[0], traces.arch[lane, i])
            assert proposal.fidelity[0] == traces.fidelity[lane, i]
            state = case.tell(state, proposal, evaluation_of(traces.score[lane, i]))
            if i == 20:
                state = saved_and_restored(state)
    if case.searcher.compiled:
        assert case.ask._cache_size() == 1  # no step after the first compiles
        assert case.tell._cache_size() == 1


@every_searcher
def test_budget_ends_the_search(name):
    traces = found(name).additive
    assert set(traces.stopped_by) == {STOPPED_BY.index("budget")}
    spent = traces.seconds.sum(axis=1)
    assert (spent <= ROWS[name].budget + 1e-3).all()  # the sum of float32 costs rounds
    assert (spent > ROWS[name].budget - 1.2).all()


@every_searcher
def test_proposals_are_well_formed_and_no_key_is_used_twice(name):
    """Architectures are valid; what is resumed was begun, has that architecture and has reached that fidelity."""
    case = compiled(name)
    row, lanes = case.row, []
    for seed in range(min(3, row.few)):
        proposals = []
        with jax.debug_key_reuse(not case.searcher.compiled):  # of one that is compiled, the study checks its keys
            state = case.init(jax.random.key(seed))
            for _ in range(60):
                proposal, state = case.ask(state)
                proposals.append(jax.device_get(proposal))
                score = float(proposals[-1].archs.sum())
                state = case.tell(state, proposal, evaluation_of(np.nan if score % 5 == 0 else score))
        lanes.append(jax.tree.map(lambda *leaves: np.stack(leaves), *proposals))
    proposals = jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)
    assert are_valid("categorical")(proposals.archs.reshape(-1, PLAIN.num_decisions)).all()
    assert proposals.valid.all()
    for lane in range(len(lanes)):
        archs, fidelity, resumes, resumed, _ = (field[lane, :, 0] for field in proposals)
        assert ((fidelity >= 0) & (fidelity < len(row.budgets))).all()
        assert set(fidelity) == set(range(len(row.budgets))) or not row.every_fidelity
        reached: dict[int, int] = {}
        for i in range(len(archs)):
            if resumes[i] < 0:
                assert (resumes[i], resumed[i]) == (-1, -1)
                reached[i] = fidelity[i]
            else:
                begun = resumes[i]
                np.testing.assert_array_equal(archs[i], archs[begun])
                assert resumed[i] == reached[begun] < fidelity[i]
                reached[begun] = fidelity[i]


@pytest.mark.parametrize(
    "name",
    ["regularized_evolution", "evolution_without_aging", "local_search", "bohb", "bananas", "gp_bayesopt", "smac"],
)
def test_proposals_on_nasbench201_are_architectures_of_it(name):
    """Of searchers that take mutations, neighbours or candidates from the space; some scores are NaN."""
    _, searcher, init, *_ = compiled(name, "nasbench201")

    def step(state: Any, _: Any) -> tuple[Any, Array]:
        proposal, state = searcher.ask(state)
        total = jnp.sum(proposal.archs, axis=1).astype(jnp.float32)
        score = jnp.where(total % 5 == 0, jnp.nan, total)
        return searcher.tell(state, proposal, Evaluation(score, jnp.ones(1), jnp.ones(1, bool))), proposal.archs[0]

    def proposed(key: Array) -> tuple[Any, Array]:
        return jax.lax.scan(step, init(key), None, 40)

    if searcher.compiled:
        archs = np.asarray(jax.jit(proposed)(jax.random.key(0))[1])
    else:
        state, proposals = init(jax.random.key(0)), []
        for _ in range(16):
            state, arch = step(state, None)
            proposals.append(np.asarray(arch))
        archs = np.stack(proposals)
    assert np.asarray(are_valid("nasbench201")(archs)).all()
    assert len(np.unique(archs, axis=0)) > 10


@every_searcher
@pytest.mark.statistical
def test_beats_random_search(name):
    """At equal cost, on an additive score. Random search is the best of as many uniform draws as the budget pays."""
    traces = found(name).additive
    top = traces.fidelity == len(ROWS[name].budgets) - 1
    best = np.where(traces.mask & top, traces.score, -np.inf).max(axis=1)
    assert best.max() <= SCORES.max() + 1e-4
    draws = np.random.default_rng(2).choice(SCORES, size=(4000, int(ROWS[name].budget / 0.875)))
    random = draws.max(axis=1)
    error = np.hypot(best.std() / np.sqrt(len(best)), random.std() / np.sqrt(len(random)))
    if ROWS[name].learns:
        assert best.mean() > random.mean() + 3 * error
    else:
        fair = np.random.default_rng(3).choice(SCORES, size=(4000, int(ROWS[name].budget))).max(axis=1)
        assert abs(best.mean() - fair.mean()) < 4 * error


def test_all_factories_have_a_row():
    from jnas.searchers._registry import make, names

    # These are the factories of bananas, gp_bayesopt and evolution with other settings or predictors, which have laws
    # of their own.
    others = {"bananas_adjacency", "bananas_random_ranking", "nasbot", "dngo", "bohamiann", "bonas", "gcn_predictor"}
    others |= {"naszilla_evolution"}
    assert set(names()) <= {row.make(PLAIN).name for row in ROWS.values()} | others
    for name in names(space=PLAIN):
        assert make(name, PLAIN, MANY).name == name
