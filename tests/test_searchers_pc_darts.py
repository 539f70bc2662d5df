"""PC-DARTS: edges on a part of the channels against NumPy, weights of edges, and what is derived of both."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import decisions_of, likeliest_choices
from jnas.searchers import Sgd, darts, make_weight_sharing, weight_sharing_entry
from jnas.spaces.darts._cells import EDGES
from jnas.spaces.nasbench201._cells import EDGES as EDGES_201
from jnas.training.networks._edge_weights import weighted_edges
from jnas.training.networks.darts._search_cell import Control, SearchEdges, search_edges
from jnas.training.networks.darts._supernet import darts_supernet
from jnas.training.networks.nasbench201._mixture_cell import mixture_cell
from jnas.training.networks.nasbench201._supernet import nasbench201_supernet
from jnas.training.operations._layouts import MANY_KERNELS
from jnas.training.operations._many_kernels import Kernels
from tests._toy_supernet import TOY, batch, numpy_softmax

WIDTH, PART = 4, 2


def normalized(images):
    mean, variance = images.mean((1, 2, 3), keepdims=True), images.var((1, 2, 3), keepdims=True)
    return (images - mean) / np.sqrt(variance + 1e-5)


def windows(images, stride, size, outside):
    """`[9 or 4, C, H / stride, W / stride, B]`: what a pooling sees around each pixel."""
    border = size // 3
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)), constant_values=outside)
    height, width = images.shape[1:3]
    shifts = [(i, j) for i in range(size) for j in range(size)]
    return np.stack([padded[:, i : i + height : stride, j : j + width : stride] for i, j in shifts])


def shuffled(computed, others, parts):
    together = np.concatenate([computed, others])
    first = len(together) // parts
    return np.stack([together[part * first + channel] for channel in range(first) for part in range(parts)])


def plain_nodes(inputs, weights, skips):
    """The nodes of a reduction cell without convolutions, whose edges compute the first two of four channels."""
    states = list(inputs)
    for node in range(4):
        total = 0
        for number, (source, target) in enumerate(EDGES):
            if target != node:
                continue
            part, others, stride = states[source][:PART], states[source][PART:], 2 if source < 2 else 1
            known = np.isfinite(windows(part, stride, 3, np.nan))
            largest = windows(part, stride, 3, -np.inf).max(0)
            mean = windows(part, stride, 3, 0).sum(0) / known.sum(0)
            skip = part
            if stride == 2:
                active, kernel = np.maximum(part, 0), skips[number_of_skip(number)]
                halves = (active[:, ::2, ::2], kernel[:1]), (active[:, 1::2, 1::2], kernel[1:])
                skip = normalized(np.concatenate([np.einsum("oc,chwb->ohwb", k, x) for x, k in halves]))
                others = windows(others, 2, 2, 0).max(0)
            operations = normalized(largest), normalized(mean), skip
            computed = sum(weight * each for weight, each in zip(weights[number], operations, strict=False))
            total = total + shuffled(computed, weights[number].sum() * others, WIDTH // PART)
        states.append(total)
    return np.stack(states[2:])


def number_of_skip(edge):
    return [number for number, (source, _) in enumerate(EDGES) if source < 2].index(edge)


def test_partial_edges_are_those_of_numpy():
    """In float64: the nodes without convolutions, and along a direction the gradients of all."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        inputs = tuple(rng.normal(size=(2, WIDTH, 4, 4, 2)))
        shapes = (14, 3, PART, 3, 3), (14, 3, PART, 5, 5), (14, 6, PART, PART), (8, PART, PART)
        parameters = SearchEdges(*(rng.normal(size=shape) for shape in shapes))

        def loss(weights, inputs, parameters):
            nodes, _ = search_edges("mixture", 2, 1e-5, Control(weights, None), inputs, parameters, None)
            return jnp.sum(jnp.sin(nodes)), nodes

        measured = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
        weights = rng.uniform(0.1, 0.5, (14, 8))
        without = np.where(np.isin(np.arange(8), (0, 1, 2, 7)), weights, 0)
        (_, nodes), _ = measured(without, inputs, parameters)
        np.testing.assert_allclose(nodes, plain_nodes(inputs, without, parameters.skips), rtol=1e-9, atol=1e-9)

        arguments = weights, inputs, parameters
        along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), arguments)
        _, gradients = measured(*arguments)
        moved = [jax.tree.map(lambda a, b, h=h: a + h * b, arguments, along) for h in (1e-6, -1e-6)]
        up, down = (measured(*each)[0][0] for each in moved)
        slope = sum(float(jnp.sum(a * b)) for a, b in zip(*map(jax.tree.leaves, (gradients, along)), strict=True))
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-6)


def test_partial_edges_of_nasbench201():
    """A cell without convolutions, whose edges compute one of two channels."""
    rng = np.random.default_rng(1)
    images, weights = rng.normal(size=(2, 4, 4, 3)), rng.uniform(0.1, 0.5, (6, 5)) * [1, 1, 0, 0, 1]
    kernels = Kernels(jnp.ones((6, 1, 1)), jnp.ones((6, 1, 9)))
    run = jax.jit(functools.partial(mixture_cell, statistics=None, epsilon=1e-5, layout=MANY_KERNELS))
    with jax.enable_x64(True):
        found, used = run(images, jax.tree.map(lambda x: np.asarray(x, float), kernels), weights=weights)
    assert used.shape == (6, 2, 2, 1)
    states = [images, 0, 0, 0]
    for (source, target), own in zip(EDGES_201, weights, strict=True):
        part = states[source][:1]
        known = np.isfinite(windows(part, 1, 3, np.nan)).sum(0)
        computed = own[1] * part + own[4] * windows(part, 1, 3, 0).sum(0) / known
        states[target] = states[target] + shuffled(computed, own.sum() * states[source][1:], 2)
    np.testing.assert_allclose(found, states[3], rtol=1e-9)


def test_published_sizes():
    """Counted by hand from the published sizes; alpha has a row more for each node, for the edges into it."""
    net = darts_supernet(image_shape=(32, 32, 3), num_classes=10)
    searcher = make_weight_sharing("pc-darts", net, steps_per_epoch=98)
    state = jax.eval_shape(searcher.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.weights.shared.parameters)) == 299_578
    assert state.alpha.shape == (28 + 8, 8)
    assert decisions_of(searcher.mixed).mask[28:].sum() == 28  # the weights of all edges
    assert searcher.supernet.partial is None
    assert searcher.supernet.straight_through is None


def test_edges_of_equal_weight_are_darts():
    """And what has one edge into each node is not weighed."""
    weighted, parameters = TOY.weighted_edges, TOY.init(jax.random.key(0))[0]
    operations = numpy_softmax(np.random.default_rng(0).normal(size=(2, 3))).astype(np.float32)
    images = batch(0).train.inputs
    for edges in ([0.5, 0.5, 0], [0.25, 0.75, 0]):
        found, _ = weighted.mixture(parameters, None, jnp.asarray([*operations, edges]), images)
        expected, _ = TOY.mixture(parameters, None, operations * np.asarray(edges[:2], np.float32)[:, None], images)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(weighted.decisions.mask, [[True] * 3, [True] * 3, [True, True, False]])
    into = nasbench201_supernet(image_shape=(8, 8, 1), num_classes=2, channels=4).weighted_edges.decisions
    np.testing.assert_array_equal(into.mask[6:].sum(1), [1, 2, 3])


def test_derives_by_products_of_operations_and_edges():
    """As published: of each node the two edges with the largest product, each with its likeliest operation."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(36, 8)).astype(np.float32)
    net = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=4, cells=1)
    weighted = net.weighted_edges
    restricted = np.where(weighted.decisions.mask, logits, -np.inf)
    found = np.asarray(weighted.discretize(jnp.asarray(restricted))).reshape(2, 14)
    products, by_operations = [], numpy_softmax(logits[:28]).reshape(2, 14, 8)
    for cell in range(2):
        for node in range(4):
            into = [number for number, (_, target) in enumerate(EDGES) if target == node]
            shares = numpy_softmax(logits[28 + 4 * cell + node, : len(into)])
            own = by_operations[cell, into, :7]
            products.append((own * shares[:, None]).max(1))
            kept = np.argsort(-products[-1])[:2]
            expected = [own[place].argmax() if place in kept else 7 for place in range(len(into))]
            assert found[cell, into].tolist() == expected
    alone = np.asarray(net.discretize(jnp.asarray(logits[:28]))).reshape(2, 14)
    assert (alone != found).any()  # the edges' weights decide somewhere


def test_nodes_may_have_more_edges_than_edges_have_operations():
    """As in RobustDARTS's sub-spaces, of two operations and `none`: each of five edges has a weight of its own."""
    net = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=4, cells=1, operations="s2")
    decisions = net.weighted_edges.decisions
    assert decisions.mask.shape == (36, 5)
    np.testing.assert_array_equal(decisions.mask[28:].sum(1), [2, 3, 4, 5] * 2)
    assert not decisions.mask[:28, 2:].any()
    assert [len(names) for names in decisions.names] == [5] * 36

    logits = np.where(decisions.mask, np.random.default_rng(0).normal(size=(36, 5)), -np.inf).astype(np.float32)
    logits[31, :5] = [0, 0, 9, 0, 9]  # of the normal cell's last node
    found = np.asarray(net.weighted_edges.discretize(jnp.asarray(logits)))
    assert (found[9:14] < 2).tolist() == [False, False, True, False, True]

    into = [range(9, 14)]
    own = weighted_edges(decisions_of(net), into, lambda p, s, weights, images: (weights, images), likeliest_choices)
    shares = np.random.default_rng(1).uniform(size=(29, 5)).astype(np.float32)
    mixed, _ = own.mixture(None, None, jnp.asarray(shares), None)
    np.testing.assert_allclose(mixed[9:14], shares[9:14, :3] * shares[28, :, None], rtol=1e-6)


def test_alpha_waits_while_the_weights_warm_up():
    """Weights move as without a warm-up for as long; alpha, and what the step tells of validation, come after."""
    settings = {"steps_per_epoch": 2, "epochs": 4, "sgd": Sgd(0.5)}
    waiting, eager = darts(TOY, **settings, warm_up=0.25), darts(TOY, **settings)
    step, other = jax.jit(waiting.step), jax.jit(eager.step)
    start = jax.jit(waiting.init)(jax.random.key(0))
    state, told = start, []
    for number in range(3):
        before = state.alpha
        state, info = step(state, batch(number, 16))
        told.append((bool((state.alpha == before).all()), bool(np.isnan(info.validation_loss))))
        if number == 0:
            jax.tree.map(np.testing.assert_array_equal, state.weights, other(start, batch(0, 16))[0].weights)
    assert told == [(True, True), (True, True), (False, False)]


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"channels is 6, which is not in 4 equal parts .* such as 8"):
        darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=6, partial=4)
    for partial in (2.0, 1.0, True):
        with pytest.raises(TypeError, match=f"partial is {partial}, expected a Python int"):
            darts(TOY, steps_per_epoch=1, partial=partial)
    bare = TOY._replace(partial=None, weighted_edges=None)
    with pytest.raises(ValueError, match="has no edges on a part of its channels; use partial=1"):
        darts(bare, steps_per_epoch=1, partial=2)
    with pytest.raises(ValueError, match="has no edges to weigh; use edge_weights='equal'"):
        darts(bare, steps_per_epoch=1, edge_weights="learned")
    with pytest.raises(ValueError, match="edge_weights is 'even'"):
        darts(TOY, steps_per_epoch=1, edge_weights="even")
    with pytest.raises(ValueError, match="warm_up is 15, expected a share of the epochs"):
        darts(TOY, steps_per_epoch=1, warm_up=15)
    with pytest.raises(TypeError, match="warm_up is '1', expected a number"):
        darts(TOY, steps_per_epoch=1, warm_up="1")


def test_darts_has_its_own_settings_on_its_space():
    """Other than NAS-Bench-201's comparison gave it, and the order that its name says."""
    for name, order in (("darts-v1", "first"), ("darts-v2", "second")):
        usual, there = weight_sharing_entry(name), weight_sharing_entry(name, "darts")
        assert usual.settings == {"order": order}
        assert there._replace(settings=usual.settings) == usual
        assert there.settings["order"] == order
        assert there.settings["sgd"] == Sgd(0.025, 0.001, 0.9, 3e-4, 5.0, nesterov=False)
