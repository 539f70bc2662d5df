"""The graph convolutional predictor: its layer by hand, its training as a plain loop, what must not matter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnas
from jnas.core._vocabulary import Graph
from jnas.searchers.predictors import _gcn, _graph_network
from jnas.searchers.predictors._gcn import gcn
from jnas.spaces import nasbench101, nasbench201
from jnas.spaces._hashing import mix
from jnas.spaces.nasbench101._cells import EDGES, MAX_VERTICES, NUM_EDGES
from jnas.statistics import kendall_tau

_orders = jax.jit(_gcn._orders, static_argnums=2)
apply_network = jax.jit(_graph_network.apply_network)
draw_kept = jax.jit(_graph_network.draw_kept, static_argnums=(1, 2, 3, 4))
initial_graph_weights = jax.jit(_graph_network.initial_graph_weights, static_argnums=(1, 2, 3, 4))
prepare = jax.jit(_graph_network.prepare)

SMALL = {
    "num_members": 2,
    "num_layers": 2,
    "width": 8,
    "hidden": 6,
    "epochs": 4,
    "batch_size": 3,
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "dropout": 0.3,
}


@functools.cache
def cells(number, seed=0):
    """Random cells of NAS-Bench-101: int32 [number, 26] and their graphs."""
    space = nasbench101()
    archs = jax.jit(jax.vmap(space.sample))(jax.random.split(jax.random.key(seed), number))
    return np.asarray(archs), graphs(archs)


@jax.jit
def graphs(archs):
    return jax.vmap(lambda arch: nasbench101().features(arch, "graph"))(archs)


@functools.cache
def weights(seed=0):
    return initial_graph_weights(jax.random.key(seed), 5, 3, 10, 7)


def one_by_one(weights, nodes, adjacency):
    """The network's output for one cell whose vertices are all used, in float64, vertex by vertex."""
    vertices = len(nodes)
    spread = adjacency + np.eye(vertices)
    spread = spread / spread.sum(axis=1, keepdims=True)
    x = nodes.astype(np.float64)
    for layer in weights.layers:
        along, against = np.split(np.asarray(layer, np.float64), 2, axis=1)
        rows = []
        for v in range(vertices):
            forward = sum(spread[v, u] * x[u] @ along for u in range(vertices))
            backward = sum(spread[u, v] * x[u] @ against for u in range(vertices))
            rows.append((np.maximum(forward, 0) + np.maximum(backward, 0)) / 2)
        x = np.stack(rows)
    return x.sum(axis=0) / vertices @ np.asarray(weights.hidden, np.float64) @ np.asarray(weights.last, np.float64)


def used_part(nodes, adjacency):
    """The cell without its unused vertices."""
    used = np.asarray(nodes).any(axis=1)
    return np.asarray(nodes)[used], np.asarray(adjacency)[np.ix_(used, used)]


def test_network_is_the_published_formula():
    _, features = cells(20)
    found = apply_network(weights(), prepare(features))
    expected = [one_by_one(weights(), *used_part(*(leaf[i] for leaf in features))) for i in range(20)]
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    sizes = {len(used_part(*(leaf[i] for leaf in features))[0]) for i in range(20)}
    assert len(sizes) > 1  # cells with unused vertices are among them


def test_gradients_are_those_of_the_formula():
    """The products have gradients of their own making."""
    _, features = cells(6)
    prepared = prepare(features)

    def plain(weights):
        x = prepared.nodes
        for layer in weights.layers:
            along, against = jnp.split(layer, 2, axis=1)
            forward = jnp.einsum("bvu,buk,kw->bvw", prepared.spread, x, along)
            x = (jax.nn.relu(forward) + jax.nn.relu(jnp.einsum("buv,buk,kw->bvw", prepared.spread, x, against))) / 2
        return jnp.sum(jnp.sin((x.sum(1) * prepared.share[:, None]) @ weights.hidden @ weights.last))

    expected = jax.jit(jax.grad(plain))(weights())
    found = jax.jit(jax.grad(lambda weights: jnp.sum(jnp.sin(apply_network(weights, prepared)))))(weights())
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max())


def relabelled(arch, rng):
    """The same cell with its inner vertices in another order that keeps every arc pointing onward."""
    matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), int)
    for bit, (source, target) in zip(arch[:NUM_EDGES], EDGES, strict=True):
        matrix[source, target] = bit
    left, order = set(range(MAX_VERTICES)), []
    while left:
        ready = sorted(
            v for v in left if not any(matrix[u, v] for u in left) and (v != MAX_VERTICES - 1 or left == {v})
        )
        ready = [0] if 0 in left else ready
        order.append(int(rng.choice(ready)))
        left.remove(order[-1])
    moved = matrix[np.ix_(order, order)]
    operations = [arch[NUM_EDGES + v - 1] for v in order[1:-1]]
    return np.array([moved[edge] for edge in EDGES] + operations, np.int32)


def test_isomorphic_cells_are_predicted_alike():
    archs, features = cells(40)
    rng = np.random.default_rng(0)
    moved = np.stack([relabelled(arch, rng) for arch in archs])
    assert (moved != archs).any(axis=1).sum() > 10
    fingerprints = jax.jit(jax.vmap(nasbench101().fingerprint))
    np.testing.assert_array_equal(fingerprints(moved), fingerprints(archs))
    before, after = (apply_network(weights(), prepare(graph)) for graph in (features, graphs(moved)))
    assert np.std(before) > 1e-3
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-6)


def test_unused_vertices_do_not_matter():
    """Neither where they stand nor the arcs that a caller left at them."""
    _, features = cells(20)
    wide = Graph(
        jnp.pad(features.nodes, ((0, 0), (1, 2), (0, 0))), jnp.pad(features.adjacency, ((0, 0), (1, 2), (1, 2)))
    )
    unused = ~jnp.any(wide.nodes != 0, axis=2)
    joined = unused[:, :, None] | unused[:, None, :]
    wide = wide._replace(adjacency=jnp.where(joined, 1.0, wide.adjacency))
    found = apply_network(weights(), prepare(wide))
    np.testing.assert_allclose(found, apply_network(weights(), prepare(features)), rtol=1e-5, atol=1e-6)


def test_dropout_drops_its_share_anew_each_time():
    shape = (7, 8, 40)
    draws = [jax.device_get(draw_kept(mix(jnp.uint32(seed)), 0.25, shape, 3, 9)) for seed in range(4)]
    for vertices, hidden in draws:
        assert vertices.shape == (3, *shape)
        assert hidden.shape == (7, 9)
        assert set(np.unique(np.concatenate([vertices.ravel(), hidden.ravel()]))) <= {0.0, np.float32(1 / 0.75)}
    dropped = np.stack([np.concatenate([part.ravel() for part in draw]) == 0 for draw in draws])
    tolerance = 4 * np.sqrt(0.25 * 0.75 / dropped.shape[1])
    assert (np.abs(dropped.mean(axis=1) - 0.25) < tolerance).all()
    correlations = np.corrcoef(dropped) - np.eye(4)
    assert np.abs(correlations).max() < 4 / np.sqrt(dropped.shape[1])
    by_layer = dropped[0, : 3 * np.prod(shape)].reshape(3, -1)
    assert np.abs(np.corrcoef(by_layer) - np.eye(3)).max() < 4 / np.sqrt(by_layer.shape[1])


def test_epochs_pass_over_the_valid_rows_in_orders_of_their_own():
    mask = jnp.arange(12) % 3 != 0
    orders = np.asarray(_orders(jax.random.key(0), mask, 400))
    assert (np.sort(orders[:, :8], axis=1) == np.flatnonzero(mask)).all()
    assert len({tuple(order) for order in orders[:, :8]}) > 390  # of 8! orders; two pairs of 400 are equal by chance
    first = np.bincount(orders[:, 0], minlength=12)[np.asarray(mask)]
    assert np.abs(first - 50).max() < 4.5 * np.sqrt(400 * 1 / 8 * 7 / 8)
    alone = np.asarray(_orders(jax.random.key(0), jnp.ones(8, bool), 400))
    np.testing.assert_array_equal(np.flatnonzero(mask)[alone], orders[:, :8])  # padding leaves the orders as they are


def problem(number, seed=0):
    archs, features = cells(number, seed)
    scores = (3 * archs[:, :NUM_EDGES].sum(axis=1) + (archs[:, NUM_EDGES:] == 0).sum(axis=1)).astype(np.float32)
    return features, jnp.asarray(scores)


N = 10
PREDICTOR = gcn(**SMALL)
fit, members = jax.jit(PREDICTOR.fit), jax.jit(PREDICTOR.members)


@functools.cache
def fitted(number=N, seed=1):
    """The small predictor, fitted to the first rows of ten."""
    features, scores = problem(N)
    return fit(jax.random.key(seed), features, scores, jnp.arange(N) < number)


def assert_close(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("number", "batches"), [(8, 2), (2, 1)])
def test_training_is_a_plain_loop_with_optax(number, batches):
    """Batches and dropout are taken as they come; Adam, its decay and schedule are optax's."""
    features, scores = jax.tree.map(lambda leaf: leaf[:number], problem(N))
    layers, width, hidden, size = (SMALL[name] for name in ("num_layers", "width", "hidden", "batch_size"))
    total = SMALL["epochs"] * batches
    init_key, order_key, dropout_key = jax.random.split(jax.random.split(jax.random.key(1), SMALL["num_members"])[0], 3)
    start = initial_graph_weights(init_key, 5, layers, width, hidden)
    orders = np.asarray(_orders(order_key, jnp.ones(number, bool), SMALL["epochs"]))
    words = jax.random.key_data(dropout_key)
    targets = (scores - scores.mean()) / scores.std()
    optimizer = optax.chain(
        optax.add_decayed_weights(SMALL["weight_decay"]),
        optax.scale_by_adam(),
        optax.scale_by_learning_rate(optax.cosine_decay_schedule(SMALL["learning_rate"], total)),
    )

    @jax.jit
    def advance(t, rows, weights, state):
        seed = mix(mix(words[0] + t) ^ words[1])
        kept = draw_kept(seed, SMALL["dropout"], (size, MAX_VERTICES, width), layers, hidden)
        kept = (kept[0][:, : len(rows)], kept[1][: len(rows)])
        here = prepare(jax.tree.map(lambda leaf: leaf[rows], features))
        loss = lambda weights: jnp.mean((apply_network(weights, here, kept) - targets[rows]) ** 2)  # noqa: E731
        updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
        return optax.apply_updates(weights, updates), state

    weights, state = start, jax.jit(optimizer.init)(start)
    for t in range(total):
        epoch, place = divmod(t, batches)
        weights, state = advance(jnp.uint32(t), orders[epoch, size * place : size * (place + 1)], weights, state)

    model = fitted(number)
    np.testing.assert_allclose(model.units, [scores.mean(), scores.std()], rtol=1e-5)
    for a, b, c in zip(*(jax.tree.leaves(tree) for tree in (model.weights, weights, start)), strict=True):
        moved = np.abs(b - c).max()
        assert moved > 3e-3
        np.testing.assert_allclose(a[0], b, atol=2e-3 * moved)


def test_masked_rows_change_nothing():
    """Wherever they stand, whatever they hold."""
    features, scores = problem(N)
    places = np.array([0, 1, 4, 5, 6, 9, 10, 11, 12, 14])

    def among(leaf):
        return jnp.full((17, *leaf.shape[1:]), jnp.nan).at[places].set(leaf)

    mask = jnp.zeros(17, bool).at[places].set(True)
    padded = fit(jax.random.key(1), jax.tree.map(among, features), among(scores), mask)
    assert_close(padded, fitted())


def test_fewer_rows_than_a_batch_are_one():
    features, scores = jax.tree.map(lambda leaf: leaf[:2], problem(N))
    assert_close(fit(jax.random.key(1), features, scores, jnp.ones(2, bool)), fitted(2))


@pytest.mark.parametrize("together", [False, True])
def test_lanes_are_as_fits_alone(together, monkeypatch):
    """In turn, as on a CPU, or in one batch, as on accelerators: those with fewer steps then wait for the others."""
    if together:
        monkeypatch.setattr("jnas.searchers.predictors._gcn._in_turn", lambda function: function)
    features, scores = problem(N)
    numbers = [10, 0, 2, 8]
    masks = jnp.arange(N)[None] < jnp.asarray(numbers)[:, None]
    keys = jax.random.wrap_key_data(jnp.tile(jax.random.key_data(jax.random.key(1)), (len(numbers), 1)))
    lanes = jax.jit(jax.vmap(gcn(**SMALL).fit, (0, None, None, 0)))(keys, features, scores, masks)
    for i, number in enumerate(numbers):
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], lanes), fitted(number))


def test_members_are_an_ensemble():
    features, _ = problem(N)
    found = members(fitted(), features)
    mean, std = jax.jit(PREDICTOR.predict)(fitted(), features)
    assert found.shape == (SMALL["num_members"], N)
    assert np.abs(np.diff(found, axis=0)).max() > 1e-2
    np.testing.assert_allclose(mean, found.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(std, found.std(axis=0), rtol=1e-3, atol=1e-5)


def test_many_rows_are_predicted_in_blocks():
    features = jax.tree.map(lambda leaf: jnp.tile(leaf, (210, 1, 1)), problem(N)[0])
    found = members(fitted(), features)
    np.testing.assert_allclose(found, np.tile(members(fitted(), problem(N)[0]), (1, 210)), rtol=1e-5)


@pytest.mark.statistical
def test_it_ranks_cells_that_it_has_not_seen():
    """The embedded table of NAS-Bench-201, at a width and a number of epochs that take few seconds."""
    table = jnas.load_table("digits")
    trained = table.header.trainings[0]
    rows = np.random.default_rng(0).choice(len(table.archs), 400, replace=False)
    archs = jnp.asarray(table.archs[rows])
    scores = table.accuracy(archs, dataset=trained.dataset, split="validation", epochs=trained.epochs, seed="mean")
    features = jax.jit(jax.vmap(lambda arch: nasbench201().features(arch, "graph")))(archs)
    predictor = gcn(width=48, hidden=32, epochs=80, learning_rate=1e-3)

    @jax.jit
    def means(mask):
        return predictor.predict(predictor.fit(jax.random.key(0), features, scores, mask), features).mean

    few, many = (kendall_tau(scores[100:], means(jnp.arange(400) < size)[100:]) for size in (7, 100))
    assert many > max(few, 0.4)  # of 300 cells; chance has a deviation of 0.04


def test_what_is_wrong_is_said():
    with pytest.raises(TypeError, match=r"width is 8\.0, expected a Python int"):
        gcn(width=8.0)
    with pytest.raises(ValueError, match="num_members is 0, expected at least 1"):
        gcn(num_members=0)
    with pytest.raises(ValueError, match="dropout is 1, expected a fraction of at least 0 and below 1"):
        gcn(dropout=1)
    with pytest.raises(TypeError, match="expected a Graph of nodes"):
        gcn().fit(jax.random.key(0), jnp.zeros((3, 4)), jnp.zeros(3), jnp.ones(3, bool))
    features, scores = problem(10)
    with pytest.raises(ValueError, match="with one N"):
        gcn().fit(jax.random.key(0), features, scores[:9], jnp.ones(9, bool))
