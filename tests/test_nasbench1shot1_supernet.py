"""The supernets of NAS-Bench-1Shot1 against their choice blocks in NumPy, and what gradients learn of them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Batch, Examples, decisions_of
from jnas.searchers import Selection, make_weight_sharing
from jnas.spaces import nasbench101, nasbench101_cells, nasbench201
from jnas.spaces.nasbench101._cells import EDGES, NUM_EDGES
from jnas.spaces.nasbench101._one_shot import cell_of
from jnas.studies.supernets._plan import _fitting
from jnas.tables._make import make_table
from jnas.training import make_network, make_supernet
from jnas.training.networks.nasbench101 import _one_shot_supernet
from jnas.training.networks.nasbench101._one_shot_supernet import nasbench1shot1_supernet
from tests.test_nasbench101_supernet import plain_convolution, plain_pool

SIZES = {"image_shape": (4, 4, 2), "num_classes": 3, "channels": 4}
READS = ((1, 2, 2, 2), 2)  # of the first space: how many its four blocks and the output read


@functools.cache
def net():
    """Of two stacks, which compile sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_one_shot_supernet, "NUM_STACKS", 2)
        return nasbench1shot1_supernet(1, **SIZES, cells=1)


@functools.cache
def shared():
    """Parameters of which no batch-norm is the identity, NumPy's."""
    rng = np.random.default_rng(1)
    parameters, _ = jax.jit(net().init)(jax.random.key(0))
    return jax.tree.map(
        lambda x: np.asarray(x * rng.uniform(0.5, 1.5, x.shape) + 0.1 * rng.normal(size=x.shape)), parameters
    )


@functools.cache
def images():
    return np.random.default_rng(7).normal(size=(8, 4, 4, 2)).astype(np.float32)


@functools.cache
def cells():
    rng = np.random.default_rng(2)
    return rng.integers(0, net().space.num_choices, size=(9, 7)).astype(np.int32)


@functools.cache
def programs():
    """One cell, the mixture at its one-hot weights, straight through at others, published weights, given statistics."""
    own = net()

    def all_of(parameters, arch, weights, by_parents):
        hot = jax.nn.one_hot(arch, 10)
        logits, used = own.sampled(parameters, None, arch, images())
        mixed, _ = own.mixture(parameters, None, hot, images())
        through, _ = own.straight_through(parameters, None, weights, arch, images())
        soft, _ = own.preferences.mixture(parameters, None, by_parents, images())
        again, _ = own.sampled(parameters, used, arch, images())
        fresh = own.init(jax.random.key(0))[1]
        return logits, mixed, through, soft, again, own.running(fresh, used, 0.9, images().shape, arch=arch)

    return jax.jit(all_of)


@functools.cache
def results():
    rng = np.random.default_rng(3)
    weights = rng.uniform(size=(9, 7, 10)).astype(np.float32)
    by_parents = rng.uniform(size=(9, 7, 5)).astype(np.float32)
    found = [programs()(shared(), *each) for each in zip(cells(), weights, by_parents, strict=True)]
    return weights, by_parents, jax.device_get(found)


# The choice blocks in NumPy.


def norm(x):
    return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)


def relu(x):
    return np.maximum(x, 0)


def plain(into, block, parameters):
    """Logits by weights `[v]` of each block's and the output's predecessors, and `block(number, results)`."""
    stem = parameters.stem
    x = relu(norm(plain_convolution(images(), stem.kernel.reshape(4, 9, -1))) * stem.scale + stem.shift)
    for number, own in enumerate(parameters.modules):
        if number:
            x = x.reshape(8, x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max((2, 4))
        states = []
        for n in range(4):
            each = relu(norm(x @ own.inputs.kernel[n].T) * own.inputs.scale[n] + own.inputs.shift[n])
            total = sum(w * s for w, s in zip(into[n], [each, *states], strict=True))
            width = own.blocks.one.shape[1]
            three = plain_convolution(total, own.blocks.three[n].reshape(width, 9, width))
            results = [relu(norm(three)), relu(norm(total @ own.blocks.one[n].T)), plain_pool(total)]
            states.append(block(n, results))
        out = relu(norm(x @ own.output.kernel.T) * own.output.scale + own.output.shift)
        x = into[4][0] * out + np.concatenate([w * s for w, s in zip(into[4][1:], states, strict=True)], axis=-1)
    x = norm(relu(x) @ parameters.modules[-1].last.T)
    return x.mean((1, 2)) @ parameters.head.kernel.T + parameters.head.bias


def sets(vertex):
    return list(itertools.combinations(range(vertex), (*READS[0], READS[1])[vertex - 1]))


def weights_into(of_set):
    """Sums `of_set(decision, choice)` over the sets that an edge is in; 1 where there is one set alone."""
    into, decision = [], 0
    for vertex in range(1, 6):
        own = sets(vertex)
        row = np.zeros(vertex)
        for choice, chosen in enumerate(own):
            row[list(chosen)] += of_set(decision, choice) if len(own) > 1 else 1
        decision += len(own) > 1
        into.append(row)
    return into


def test_a_cell_is_its_choice_blocks_and_the_mixture_at_its_one_hot():
    """With statistics that are given too, those that it told."""
    parameters = jax.tree.map(np.float64, shared())
    for arch, (logits, mixed, _, _, again, _) in zip(cells(), results()[2], strict=True):
        into = weights_into(lambda decision, choice, arch=arch: float(arch[decision] == choice))
        matrix = dict(zip(EDGES, np.asarray(cell_of(1)(arch))[:NUM_EDGES].tolist(), strict=False))
        for v, row in enumerate(into, 1):
            assert [matrix[u, v if v < 5 else 6] for u in range(v)] == row.tolist()  # the table's cell has these edges
        expected = plain(into, lambda n, found, arch=arch: found[arch[3 + n]], parameters)
        np.testing.assert_allclose(logits, expected, rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(mixed, logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-5)


def test_soft_weights_are_those_of_sets_or_the_published_ones_of_predecessors():
    parameters = jax.tree.map(np.float64, shared())
    weights, by_parents, found = results()
    for arch, w, p, (_, _, through, soft, *_) in zip(cells()[:3], weights, by_parents, found, strict=False):
        into = weights_into(lambda decision, choice, w=w: w[decision, choice])

        def chosen(n, results, w=w, arch=arch):
            own = w[3 + n, :3]
            return own[arch[3 + n]] * results[arch[3 + n]] + own.sum() - own[arch[3 + n]]

        np.testing.assert_allclose(through, plain(into, chosen, parameters), rtol=2e-3, atol=5e-4)
        own = [[1.0], [1.0, 1.0], p[0, :3], p[1, :4], p[2]]
        expected = plain(own, lambda n, r, p=p: sum(w * x for w, x in zip(p[3 + n, :3], r, strict=True)), parameters)
        np.testing.assert_allclose(soft, expected, rtol=2e-3, atol=2e-4)


def test_running_estimates_move_where_a_block_ran():
    for arch, (*_, moved) in zip(cells(), results()[2], strict=True):
        touched = (moved.modules[1].blocks != np.array([[0.0], [1.0]])).any(axis=(2, 3))
        leads = _leading(arch)
        for n, (three, one) in enumerate(touched, 1):
            assert (three, one) == (n in leads and arch[2 + n] == 0, n in leads and arch[2 + n] == 1)


def _leading(arch):
    """The blocks from which a path leads to the output."""
    reads = {v: sets(v)[arch[v - 3] if v > 2 else 0] for v in range(1, 6)}
    found, new = set(), {5}
    while new:
        new = {u for v in new for u in reads[v] if u} - found
        found |= new
    return found


def test_preferences_come_to_the_likeliest_predecessors_of_as_many_as_are_read():
    own = net().preferences
    counts = [3, 4, 5, 3, 3, 3, 3]
    assert own.decisions.mask.sum(axis=1).tolist() == counts
    rng = np.random.default_rng(4)
    logits = np.where(own.decisions.mask, rng.normal(size=(7, 5)), -np.inf).astype(np.float32)
    arch, probabilities, logs = own.discretize(logits), own.probabilities(logits), own.log_probability(logits, cells())
    for row, vertex in enumerate((3, 4, 5)):
        best = tuple(sorted(np.argsort(-logits[row])[:2].tolist()))
        assert sets(vertex)[arch[row]] == best
        each = np.exp([logits[row, list(chosen)].sum() for chosen in sets(vertex)])
        np.testing.assert_allclose(probabilities[row, : len(each)], each / each.sum(), rtol=1e-4)
    np.testing.assert_array_equal(arch[3:], np.argmax(logits[3:], axis=1))
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1, rtol=1e-5)
    expected = np.log(np.asarray(probabilities)[np.arange(7)[None], cells()]).sum(axis=1)
    np.testing.assert_allclose(logs, expected, rtol=1e-4)


def test_second_derivatives_of_the_mixture_exist(monkeypatch):
    """As second-order DARTS takes them; lowered, since what has no forward mode is found out no earlier."""
    monkeypatch.setattr(_one_shot_supernet, "NUM_STACKS", 1)
    own = nasbench1shot1_supernet(1, **SIZES, cells=1, rematerialize=True)

    def loss(parameters, weights):
        return jnp.sum(own.preferences.mixture(parameters, None, weights, images())[0] ** 2)

    parameters = jax.eval_shape(own.init, jax.random.key(0))[0]
    weights = jnp.full(own.preferences.decisions.shape, 0.2, jnp.float32)
    jax.jit(lambda p: jax.jvp(lambda p: jax.grad(loss, 1)(p, weights), (p,), (p,))).lower(parameters)


def test_sizes_are_the_published_ones():
    own = nasbench1shot1_supernet(3, **SIZES, cells=2)
    parameters = jax.eval_shape(own.init, jax.random.key(0))[0]
    assert decisions_of(own).operations.tolist() == [False] * 5 + [True] * 5
    assert [each.last is None for each in parameters.modules] == [True] * 5 + [False]
    assert parameters.modules[2].inputs.kernel.shape == (5, 8, 5 * 4)  # all blocks of the narrower stack come in
    assert parameters.modules[5].last.shape == (16, 5 * 16)


@pytest.mark.parametrize("name", ["fbnet", "gdas", "enas"])
def test_methods_run_on_it(name, monkeypatch):
    """Traced: a cell of the space comes out, and what is mixed is learned of single predecessors."""
    monkeypatch.setattr(_one_shot_supernet, "NUM_STACKS", 1)
    own = nasbench1shot1_supernet(2, **SIZES, cells=1)
    few = {"controller_steps": 1, "controller_samples": 1, "selection": Selection(num_candidates=2, batch_size=4)}
    searcher = make_weight_sharing(name, own, steps_per_epoch=2, epochs=2, **(few if name == "enas" else {}))
    examples = Examples(images(), np.zeros(8, np.int32))
    state = jax.eval_shape(searcher.init, jax.random.key(0))
    after, _ = jax.eval_shape(searcher.step, state, Batch(examples, examples))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert jax.eval_shape(searcher.probabilities, state).shape == (8, 10)
    if name == "fbnet":
        assert state.alpha.shape == (8, 5)
        assert jax.eval_shape(lambda state: searcher.derive(state, None, "validation").arch, state).shape == (8,)


def test_a_table_of_nasbench101_judges_its_cells():
    few = nasbench101_cells(4)
    table = make_table(nasbench101(), archs=few, accuracy={"test": np.arange(91.0)})
    found = _fitting(table, net())
    assert found.space.name == "nasbench1shot1_1"
    values = found.accuracy(found.archs, dataset="data", split="test", epochs=1, seed="mean")
    words = np.asarray(jax.jit(jax.vmap(lambda arch: nasbench101().fingerprint(cell_of(1)(arch))))(found.archs))
    rows = {tuple(each): row for row, each in enumerate(np.asarray(jax.vmap(nasbench101().fingerprint)(few)).tolist())}
    assert [rows[tuple(each)] for each in words.tolist()] == np.asarray(values).tolist()
    other = make_table(nasbench201(), archs=np.eye(6, dtype=np.int32)[:2], accuracy={"test": np.array([60.0, 70.0])})
    with pytest.raises(ValueError, match="'nasbench201', whose architectures are not those of nasbench1shot1_1"):
        _fitting(other, net())


def test_bad_input():
    class Images:
        name, image_shape, num_classes = "few", (4, 4, 2), 3

    with pytest.raises(ValueError, match="space is 'nasbench1shot1_2', whose cells have no networks of their own"):
        make_network(Images, None, space="nasbench1shot1_2")
    with pytest.raises(ValueError, match=r"channels is 3, expected at least 4"):
        make_supernet(Images, channels=3, cells=1, space="nasbench1shot1_2")
