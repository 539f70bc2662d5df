"""With `jax_enable_x64` everything has the width that it has without, and gives the same numbers.

Small things run under both; of the others it is enough to trace them: what computes nothing in float64 and draws no
words of 64 bits gives the same bits.
"""

import ast
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces, training
from jnas.core._loop import run
from jnas.core._vocabulary import Batch, Evaluation, Examples, function_objective
from jnas.searchers.weight_sharing import _loop
from jnas.spaces._subset import subset
from jnas.studies.search._study import study
from jnas.tables._make import make_table
from jnas.training._recipe import make_optimizer
from tests import test_predictor_contract as predictors
from tests import test_searcher_contract as black_box
from tests import test_weight_sharing_contract as weight_sharing
from tests._fewer_stages import stages
from tests._toy_cells import cells_dataset, cells_supernet
from tests._toy_supernet import TOY, toy_dataset
from tests.test_layers import modules

CONVERSIONS = ("convert_element_type", "broadcast_in_dim", "reshape", "jit", "copy")
"""What may become of a Python number, which JAX takes for a float64 until it meets an array."""


def equations(jaxpr):
    """All equations of a traced program, those inside others too."""
    for equation in jaxpr.eqns:
        yield equation
        for parameter in equation.params.values():
            for inner in parameter if isinstance(parameter, tuple | list) else (parameter,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def wide(traced):
    """The operations of a traced program that compute in float64, or draw words of 64 bits."""
    return {
        str(equation.primitive)
        for equation in equations(traced.jaxpr)
        for result in equation.outvars
        if str(getattr(result.aval, "dtype", "")) in ("float64", "uint64")
        and not (result.aval.weak_type and str(equation.primitive) in CONVERSIONS)
    }


def assert_same_widths(function, *arguments):
    """Asserts that a program is of 32 bits under either setting, and returns the shapes of its results."""
    shapes = jax.eval_shape(function, *arguments)
    with jax.enable_x64(True):
        traced = jax.make_jaxpr(lambda *arguments: function(*arguments))(*arguments)  # nothing traced before is used
    assert not wide(traced)
    assert [a.dtype for a in traced.out_avals] == [leaf.dtype for leaf in jax.tree.leaves(shapes)]
    return shapes


def assert_same_results(function):
    expected = jax.device_get(function())
    with jax.enable_x64(True):
        found = jax.device_get(function())
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    chex.assert_trees_all_equal(found, expected)
    return expected


def test_every_draw_states_its_width():
    """JAX's default is another one with `jax_enable_x64`."""
    places = {"bits": 3, "randint": 5, "normal": 3, "uniform": 3, "gumbel": 3, "exponential": 3, "truncated_normal": 5}
    silent, known = [], 0
    for path in set(modules().values()):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("jax.random."):
                number = places.get(ast.unparse(node.func).rsplit(".", 1)[1], 0)
                stated = len(node.args) >= number or any(word.arg == "dtype" for word in node.keywords)
                known += number > 0
                silent += [] if stated else [f"{path}:{node.lineno}"]
    assert silent == []
    assert known > 30


SPACES = {
    "nasbench201": spaces.nasbench201,
    "nasbench101": spaces.nasbench101,
    "nats_size": spaces.nats_size,
    "categorical": lambda: spaces.categorical((3, 1, 2, 4)),
    "without_index": lambda: spaces.categorical((4,) * 20),
    "configurations": lambda: spaces.nasbench101_configurations("B").space,
    "subset": lambda: subset(spaces.categorical((3, 4)), np.array([[0, 0], [1, 3], [2, 2], [0, 3]])),
}


@pytest.mark.parametrize("name", SPACES)
def test_spaces(name):
    space = SPACES[name]()
    dear = name in ("nasbench101", "configurations")  # their index enumerates all cells first

    def everything(key):
        arch = space.sample(key)
        found = [arch, space.mutate(key, arch), space.neighbors(arch), space.is_valid(arch), space.fingerprint(arch)]
        found += [space.features(arch, name) for name in space.feature_names]
        return found if space.index is None or dear else [*found, space.index(arch), space.from_index(found[0][0])]

    assert_same_widths(everything, jax.random.key(0))
    if not dear:
        draws = jax.vmap(lambda key: space.mutate(key, space.sample(key)))
        archs = assert_same_results(lambda: jax.jit(draws)(jax.random.split(jax.random.key(1), 50)))
        assert np.asarray(jax.vmap(space.is_valid)(archs)).all()


def test_words_of_another_width_are_refused():
    with jax.enable_x64(True), pytest.raises(TypeError, match="words are uint64, expected uint32"):
        spaces.nats_size().mutate_from(jax.random.bits(jax.random.key(0), (2,)), jnp.zeros(5, jnp.int32))


@functools.cache
def table():
    accuracy = np.random.default_rng(0).uniform(50, 90, (27, 3)).astype(np.float32)
    return make_table(
        spaces.categorical((3, 3, 3)), accuracy={"validation": accuracy}, train_seconds=2.0, dataset="data", epochs=5
    )


def test_look_ups_draw_the_same_runs():
    choice = {"dataset": "data", "split": "validation", "epochs": 5, "seed": "random"}

    def look():
        accuracy = table().accuracy(table().archs, key=jax.random.key(3), **choice)
        run = jnas.queries.info(table(), 5, dataset="data", epochs=5, seed="random", key=jax.random.key(1))
        return accuracy, {split: np.asarray(found.accuracy) for split, found in run.splits.items()}

    found, _ = assert_same_results(look)
    assert np.isfinite(found).all()


def test_a_study_finds_the_same():
    space = table().space
    compared = {
        "reinforce": searchers.reinforce(space),
        "evolution": searchers.regularized_evolution(space, population_size=4, sample_size=2),
    }

    def go():
        found = study(compared, table(), dataset="data", epochs=5, reward="random", max_evaluations=12, num_seeds=2)
        return [(result.traces, result.values) for result in found.searchers]

    assert all(traces.valid.all() for traces, _ in assert_same_results(go))


def test_a_search_goes_on_under_the_other_setting(tmp_path):
    searcher, made = searchers.reinforce(table().space), []

    def evaluate(candidate):
        made.append(candidate.row)
        if len(made) == 4:
            raise KeyboardInterrupt
        return float(candidate.arch.sum()), 1.0

    def go(evaluate, checkpoint=None):
        return jnas.search(searcher, evaluate, jax.random.key(0), max_evaluations=8, checkpoint=checkpoint)

    with pytest.raises(KeyboardInterrupt):
        go(evaluate, tmp_path / "c.npz")
    with jax.enable_x64(True):
        found = go(evaluate, tmp_path / "c.npz")
    assert made == [0, 1, 2, 3, 3, 4, 5, 6, 7]
    chex.assert_trees_all_equal(found, go(lambda c: (float(c.arch.sum()), 1.0)))


COMPILED = [name for name, row in black_box.ROWS.items() if row.make(black_box.PLAIN).compiled]


@pytest.mark.parametrize("name", COMPILED)
def test_searchers(name):
    searcher = black_box.ROWS[name].make(spaces.categorical((3, 2, 4)))
    objective = function_objective(lambda key, arch, *_: arch.sum(), fidelities=tuple(range(searcher.num_fidelities)))
    assert_same_widths(lambda key: run(searcher, objective, key, max_evaluations=12), jax.random.key(0))
    assert isinstance(objective(jax.random.split(jax.random.key(0), 1), jnas.propose(jnp.zeros((1, 3)))), Evaluation)


@pytest.mark.parametrize("name", [name for name, row in predictors.ROWS.items() if row.make().compiled])
def test_predictors(name):
    row = predictors.ROWS[name]
    predictor, (features, scores, mask) = row.make(), predictors.data(row.encoding).usual.lane(0, slice(0, 20))
    key = jax.random.key(0)
    model = assert_same_widths(predictor.fit, key, features, scores, mask)
    assert_same_widths(predictor.predict, model, features)
    assert_same_widths(predictor.sample, key, model, features)


@pytest.mark.parametrize("name", weight_sharing.ROWS)
def test_supernet_epochs(name):
    dataset = toy_dataset(count=320)
    searcher = searchers.make_weight_sharing(name, TOY, steps_per_epoch=2, epochs=2, **weight_sharing.ROWS[name])

    def epoch(key):
        run = _loop.begin_search(key, searcher)
        state, info = _loop.train_epoch(run, searcher, dataset, batch_size=64, split="validation")
        return state, info, _loop.look_at(state, searcher, TOY, dataset, split="validation")

    assert_same_widths(epoch, jax.random.key(0))


@pytest.mark.parametrize("name", ["enas", "topo_fairnas"])
def test_epochs_on_cells(name):
    """Of what is drawn otherwise where architectures are graphs."""
    net, settings = cells_supernet(4), weight_sharing.ROWS.get(name, {"selection": weight_sharing.SELECTION})
    searcher = searchers.make_weight_sharing(name, net, steps_per_epoch=2, epochs=2, **settings)

    def epoch(key, cells):
        run, info = _loop.train_epoch(
            _loop.begin_search(key, searcher), searcher, cells_dataset(), batch_size=64, split="validation"
        )
        look = _loop.look_at(run, searcher, net, cells_dataset(), split="validation")
        return run, info, look, searcher.log_probability(run.state, cells)

    assert_same_widths(epoch, jax.random.key(0), jnp.zeros((3, 26), jnp.int32))


def test_a_step_of_the_published_supernet():
    with stages(2):
        supernet = training.make_supernet(training.load_dataset("digits"), channels=2, cells=1, form="switch")
    searcher = searchers.make_weight_sharing("rsps", supernet, steps_per_epoch=2, epochs=2)
    examples = Examples(jnp.zeros((4, 8, 8, 1)), jnp.zeros(4, jnp.int32))
    with stages(2):
        assert_same_widths(lambda key: searcher.step(searcher.init(key), Batch(examples, examples)), jax.random.key(0))


@pytest.mark.parametrize("recipe", ["digits-8", "small101-12"])
def test_training_steps_of_a_recipe(recipe):
    """Its rates are computed of the number of the step alone."""
    optimizer = make_optimizer(training.get_recipe(recipe), 5)
    weights = jnp.asarray([0.3, -1.0], jnp.float32)

    def step(state, _):
        updates, state = optimizer.update(weights, state, weights)
        return state, updates

    run = lambda: jax.jit(lambda: jax.lax.scan(step, optimizer.init(weights), length=5))()  # noqa: E731
    assert np.unique(assert_same_results(run)[1][:, 0]).size > 3
