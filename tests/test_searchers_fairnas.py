"""FairNAS: what its architectures have in common, and that its step is one by the sum of their gradients."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.core._vocabulary import Batch
from jnas.searchers import Sgd, fairnas
from jnas.searchers.weight_sharing._fairnas import fair_archs, train_together
from jnas.searchers.weight_sharing._shared_weights import WeightsState, begin_weights, loss_of
from jnas.spaces._registry import partition_of
from jnas.spaces.nasbench101._cells import EDGES, NUM_EDGES
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._topologies import topologies
from jnas.training.networks.nasbench101._supernet import nasbench101_supernet
from tests._toy_cells import cells_dataset, cells_supernet
from tests._toy_supernet import RULED, TOY, E, K, batch, examples


def test_its_step_is_one_by_the_sum_of_three_gradients():
    """Clipped together, with weight decay and momentum; the running estimates take in each of the three."""
    settings = Sgd(momentum=0.8, weight_decay=0.05, clip=0.4, batch_norm_momentum=0.7, nesterov=False)
    before = begin_weights(jax.random.key(0), TOY)
    before = before._replace(momentum=jax.tree.map(lambda x: 0.1 * jnp.cos(x), before.momentum))
    archs, seen, rate = jnp.array([[0, 2], [2, 1], [1, 0]]), examples(3), 0.3

    def gradient(arch):
        forward = lambda parameters, inputs: TOY.sampled(parameters, None, arch, inputs)  # noqa: E731
        return jax.grad(lambda p: loss_of(TOY.task, forward, p, seen), has_aux=True)(before.shared.parameters)

    each = [jax.jit(gradient)(arch) for arch in archs]
    total = jax.tree.map(lambda *x: sum(map(np.asarray, x)), *[gradients for gradients, _ in each])
    size = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(total)))
    assert size > 0.4
    after, measured = jax.jit(lambda state: train_together(TOY, state, archs, seen, rate, settings))(before)
    for name, value in before.shared.parameters.items():
        momentum = 0.8 * before.momentum[name] + 0.4 * total[name] / size + 0.05 * value
        np.testing.assert_allclose(after.momentum[name], momentum, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(after.shared.parameters[name], value - rate * momentum, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(measured.loss, np.mean([found.loss for _, (found, _) in each]), rtol=1e-5)
    statistics = before.shared.statistics
    for arch, (_, (_, used)) in zip(archs, each, strict=True):
        statistics = TOY.running(statistics, used, 0.7, seen.inputs.shape, arch=arch)
    np.testing.assert_allclose(after.shared.statistics, statistics, rtol=1e-5)
    assert isinstance(after, WeightsState)


def test_its_architectures_have_each_operation_once_and_the_topology_of_one_cell():
    supernet = nasbench101_supernet(image_shape=(4, 4, 1), num_classes=2, channels=4, cells=1, max_vertices=4)
    space = supernet.space

    @jax.jit
    def draw(keys):
        def one(key):
            arch_key, order_key = jax.random.split(key)
            arch = space.sample(arch_key)
            return arch, fair_archs(order_key, supernet, arch)

        return jax.vmap(one)(keys)

    cells, archs = jax.device_get(draw(jax.random.split(jax.random.key(0), 720)))
    np.testing.assert_array_equal(archs[..., :NUM_EDGES], np.repeat(cells[:, None, :NUM_EDGES], 3, axis=1))
    operations = archs[..., NUM_EDGES:]
    np.testing.assert_array_equal(
        np.sort(operations[..., :2], axis=1), np.arange(3)[None, :, None] + np.zeros((720, 1, 2))
    )
    np.testing.assert_array_equal(operations[..., 2:], 0)  # of vertices that the sub-space does not have
    assert np.asarray(jax.vmap(space.is_valid)(archs.reshape(-1, 26))).all()
    orders = list(itertools.permutations(range(3)))
    pairs = [orders.index(tuple(a)) * 6 + orders.index(tuple(b)) for a, b in operations[..., :2].transpose(0, 2, 1)]
    counts = np.bincount(pairs, minlength=36)  # permutations of two vertices are independent: 20 of each pair
    assert np.sum((counts - 20) ** 2 / 20) < 70  # chi-squared of 35 degrees of freedom: 4e-4


def test_where_every_decision_is_an_operation_architectures_differ_everywhere():
    archs = np.asarray(jax.jit(lambda key: fair_archs(key, TOY, jnp.zeros(E, jnp.int32)))(jax.random.key(1)))
    np.testing.assert_array_equal(np.sort(archs, axis=0), np.arange(K)[:, None] + np.zeros((1, E)))


def test_a_rule_is_obeyed():
    archs = jax.jit(lambda key: fair_archs(key, RULED, jnp.array([1, 2])))(jax.random.key(2))
    assert np.asarray(jax.vmap(RULED.space.is_valid)(archs)).all()


def test_a_step_of_the_searcher_trains_all_three_together():
    searcher = fairnas(TOY, steps_per_epoch=3, epochs=2)
    state = searcher.init(jax.random.key(0))
    after, info = jax.jit(searcher.step)(state, batch(0))
    changed = jax.tree.map(lambda new, old: np.any(new != old), after.weights.momentum, state.weights.momentum)
    assert all(jax.tree.leaves(changed))  # none of the operations was left out
    assert int(after.step) == 1
    assert np.isfinite(info.train_loss)


def test_topologies_share_the_vertices():
    """Each graph that fits is as likely: of two interior vertices, or of one and then one on the other."""
    draw = jax.jit(jax.vmap(partition_of(spaces.nasbench101(max_vertices=4))))
    archs, there = jax.device_get(draw(jax.random.split(jax.random.key(0), 3600)))
    edges, sizes = topologies(4)
    assert (len(edges), sizes.tolist()) == (12, [1, 1, *[2] * 10])
    _, targets = np.transpose(EDGES)
    used = np.stack([(archs[..., :NUM_EDGES] * (targets == v)).any(axis=-1) for v in (1, 2)], axis=-1)  # [N, n, 2]
    np.testing.assert_array_equal((used & there[..., None]).sum(axis=1), 1)
    np.testing.assert_array_equal(used.sum(axis=(1, 2)), 2)
    alone = there.sum(axis=1) == 1
    assert abs(alone.sum() - 3600 * 10 / 12) < 4 * np.sqrt(3600 * 20 / 144)
    whole = (archs[alone, 0][:, None, :NUM_EDGES] == edges[None, 2:]).all(axis=2).sum(axis=0)
    assert whole.sum() == alone.sum()
    assert np.sum((whole - 300) ** 2 / 300) < 35  # chi-squared of 9 degrees of freedom: 6e-5
    first = used[~alone, 0, 0].sum()  # which of the two goes first
    assert abs(first - (~alone).sum() / 2) < 4 * np.sqrt((~alone).sum() / 4)
    assert np.asarray(jax.jit(jax.vmap(cells_supernet(4).space.is_valid))(archs[there])).all()
    assert len(topologies(5)[0]) == len(np.unique(nasbench101_cells(5)[:, :NUM_EDGES], axis=0)) - 1


def test_a_batch_makes_a_step_for_each_topology():
    """Without momentum and decay the second step's gradient is taken where the first one led."""
    net, data = cells_supernet(4), Batch(*[cells_dataset().examples(np.arange(32))] * 2)
    settings = Sgd(0.5, momentum=0.0, weight_decay=0.0, nesterov=False, clip=None)
    searcher = fairnas(net, steps_per_epoch=3, epochs=2, sgd=settings, topologies="partition")
    plain = fairnas(net, steps_per_epoch=3, epochs=2, sgd=settings)
    assert (searcher.name, plain.name) == ("topo_fairnas", "fairnas")

    @jax.jit
    def steps(key):
        state = searcher.init(key)
        after, info = searcher.step(state, data)
        _, topology_key, order_key = jax.random.split(state.key, 3)
        archs, there = partition_of(net.space)(topology_key)
        weights, seen = state.weights, []
        for arch, key in zip(archs, jax.random.split(order_key, 2), strict=True):
            weights, measured = train_together(net, weights, fair_archs(key, net, arch), data.train, 0.5, settings)
            seen.append((weights.shared.parameters, measured.loss))
        return after.weights.shared.parameters, info.train_loss, there, seen

    both = set()
    for seed in range(12):
        found, loss, there, seen = jax.device_get(steps(jax.random.key(seed)))
        count = int(there.sum())
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), found, seen[count - 1][0])
        np.testing.assert_allclose(loss, np.mean([each for _, each in seen[:count]]), rtol=1e-5)
        both.add(count)
    assert both == {1, 2}


def test_where_there_are_no_topologies_it_is_fairnas():
    one, other = (fairnas(TOY, steps_per_epoch=3, topologies=which) for which in ("one", "partition"))
    programs = {str(jax.make_jaxpr(each.step)(each.init(jax.random.key(0)), batch(0))) for each in (one, other)}
    assert len(programs) == 1
    with pytest.raises(ValueError, match="topologies is 'all', expected one of 'one', 'partition'"):
        fairnas(TOY, steps_per_epoch=3, topologies="all")
