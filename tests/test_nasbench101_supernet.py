"""The supernet of NAS-Bench-101 against networks trained alone, the published procedure, and its own mixture."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import decisions_of
from jnas.searchers import make_weight_sharing
from jnas.spaces.nasbench101._cells import CHOICES, EDGES, NUM_EDGES, OPERATIONS, host_pruned
from jnas.spaces.nasbench101._cost import compute_vertex_channels
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._released import released_decisions
from jnas.spaces.nasbench101._space import nasbench101
from jnas.training.networks.nasbench101 import _network
from jnas.training.networks.nasbench101._discretize import likeliest_cell
from jnas.training.networks.nasbench101._mixture_module import predecessor_weights
from jnas.training.networks.nasbench101._module import ModuleStatistics
from jnas.training.networks.nasbench101._network import nasbench101_network
from jnas.training.networks.nasbench101._shared_module import (
    cut_parameters,
    cut_statistics,
    fresh_statistics,
    ran,
    readings,
    shared_starts,
    spread_statistics,
)
from jnas.training.networks.nasbench101._supernet import nasbench101_supernet
from tests._fewer_stages import stacks

CHANNELS, BATCH, CELLS = 5, 16, 91
SIZES = {"image_shape": (4, 4, 2), "num_classes": 3, "channels": CHANNELS}
WIDTHS = (CHANNELS, CHANNELS, 2 * CHANNELS)


@pytest.fixture(scope="module", autouse=True)
def two_stacks():
    """Two thirds to compile."""
    with stacks(2):
        yield


@functools.cache
def net(max_vertices):
    return nasbench101_supernet(**SIZES, cells=1, max_vertices=max_vertices)


@functools.cache
def shared(max_vertices):
    """Parameters of which no batch-norm is the identity, NumPy's."""
    rng = np.random.default_rng(max_vertices)
    parameters, _ = jax.jit(net(max_vertices).init)(jax.random.key(0))
    return jax.tree.map(
        lambda x: np.asarray(x * rng.uniform(0.5, 1.5, x.shape) + 0.1 * rng.normal(size=x.shape)), parameters
    )


@functools.cache
def images():
    return np.random.default_rng(7).normal(size=(BATCH, 4, 4, 2)).astype(np.float32)


def cells_up_to(max_vertices):
    """All 91 cells of up to 4 vertices, or as many of the larger ones."""
    cells = nasbench101_cells(4) if max_vertices == 4 else larger_cells()
    return np.asarray(cells, np.int32)


def larger_cells():
    """Valid encodings of up to 7 vertices, not all of them pruned."""
    sample = jax.jit(jax.vmap(nasbench101().sample))
    return sample(jax.random.split(jax.random.key(3), CELLS))


@functools.cache
def by_shared_weights(max_vertices):
    """Logits and statistics of all the cells, by one program."""

    @jax.jit
    def score(archs, parameters):
        return jax.lax.map(lambda arch: net(max_vertices).sampled(parameters, None, arch, images()), archs)

    return jax.device_get(score(cells_up_to(max_vertices), shared(max_vertices)))


def copied(arch, weights):
    """The parameters of a network of its own, each copied from where the cell's vertex has its slice."""
    matrix, used = host_pruned(arch)
    vertices = np.flatnonzero(used)
    alone = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), empty())
    for own, module, outputs in zip(alone.modules, weights.modules, WIDTHS[1:], strict=True):
        widths = compute_vertex_channels(0, outputs, matrix[np.ix_(vertices, vertices)])
        for v, c in list(zip(vertices, widths, strict=True))[1:-1]:
            operation, row = OPERATIONS[arch[NUM_EDGES + v - 1]], v - 1
            if operation == "conv3x3-bn-relu":
                own.vertices.kernel[row, :c, :, :c] = module.vertices.three[row, :c, :, :c]
            elif operation == "conv1x1-bn-relu":
                own.vertices.kernel[row, :c, 4, :c] = module.vertices.one[row, :c, :c]
            if operation != "maxpool3x3":
                choice = 0 if operation == "conv3x3-bn-relu" else 1
                own.vertices.scale[row, :c] = module.vertices.scale[row, choice, 0, :c]
                own.vertices.shift[row, :c] = module.vertices.shift[row, choice, 0, :c]
            if matrix[0, v]:
                for mine, theirs in zip(own.inputs, module.inputs, strict=True):
                    mine[row, :c] = theirs[row, :c]
        if matrix[0, -1]:
            for mine, theirs in zip(own.output, module.output, strict=True):
                mine[:] = theirs
    return alone._replace(stem=weights.stem, head=weights.head)


@functools.cache
def empty():
    return jax.eval_shape(alone().init, jax.random.key(0), np.zeros(26, np.int32))[0]


@functools.cache
def alone():
    return nasbench101_network(**SIZES, modules=1)


@functools.cache
def quick_alone():
    def one(each):
        arch, parameters = each
        return alone().apply(parameters, None, arch, images())[0]

    return jax.jit(lambda archs, parameters: jax.lax.map(one, (archs, parameters)))


@pytest.mark.parametrize("max_vertices", [4, 7])
def test_a_cell_is_its_own_network_with_weights_copied_from_its_slices(max_vertices, monkeypatch):
    """All cells of two interior vertices, and as many of up to five: there is none for which it does not hold."""
    archs = cells_up_to(max_vertices)
    own = jax.tree.map(lambda *each: np.stack(each), *[copied(arch, shared(max_vertices)) for arch in archs])
    monkeypatch.setattr(_network, "_MOST_PROGRAMS", 2)  # other programs than the supernet's
    expected = quick_alone()(archs, own)
    monkeypatch.setattr(_network, "_MOST_PROGRAMS", 3)
    logits, _ = by_shared_weights(max_vertices)
    np.testing.assert_allclose(logits, expected, rtol=2e-3, atol=2e-4)
    assert len(np.unique(np.round(logits[:, 0, 0], 4))) > 0.8 * CELLS  # some encodings are one cell


# The published procedure in NumPy: convolutions to all output channels, batch-norm and ReLU of them, then the cut.


def plain_convolution(images, kernel):
    """Images `[B, H, W, C]` by a kernel `[C', 9, C]`."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(padded[:, i : i + height, j : j + width] @ kernel[:, 3 * i + j].T for i in range(3) for j in range(3))


def plain_block(images, scale, shift):
    mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
    return np.maximum((images - mean) / np.sqrt(variance + 1e-5) * scale + shift, 0)


def plain_pool(images):
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    return np.max([padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)


def plain_module(arch, own, images):
    matrix, used = host_pruned(arch)
    outputs = own.output.scale.shape[0]
    vertices = np.flatnonzero(used)
    widths = dict(zip(vertices, compute_vertex_channels(0, outputs, matrix[np.ix_(vertices, vertices)]), strict=True))
    nodes = {}
    for v in vertices[1:-1]:
        c, row = widths[v], v - 1
        total = sum(nodes[u][..., :c] for u in range(1, v) if matrix[u, v])
        if matrix[0, v]:
            kernel, scale, shift = (each[row] for each in own.inputs)
            total = total + plain_block(images @ kernel.T, scale, shift)[..., :c]
        choice = arch[NUM_EDGES + row]
        if OPERATIONS[choice] == "maxpool3x3":
            nodes[v] = plain_pool(total)
            continue
        wide = (
            plain_convolution(total, own.vertices.three[row, :, :, :c])
            if OPERATIONS[choice] == "conv3x3-bn-relu"
            else total @ own.vertices.one[row, :, :c].T
        )
        nodes[v] = plain_block(wide, own.vertices.scale[row, choice, 0], own.vertices.shift[row, choice, 0])[..., :c]
    parts = [nodes[u] for u in vertices[1:-1] if matrix[u, -1]]
    out = np.concatenate(parts, -1) if parts else 0
    if matrix[0, -1]:
        kernel, scale, shift = own.output
        out = out + plain_block(images @ kernel.T, scale, shift)
    return out


def plain(arch, parameters, images):
    stem = parameters.stem
    kernel = stem.kernel.reshape(CHANNELS, 9, -1)
    images = plain_block(plain_convolution(images, kernel), stem.scale, stem.shift)
    for number, own in enumerate(parameters.modules):
        if number and number % (len(parameters.modules) // 2) == 0:
            images = images.reshape(BATCH, images.shape[1] // 2, 2, images.shape[2] // 2, 2, -1).max((2, 4))
        images = plain_module(arch, own, images)
    return images.mean((1, 2)) @ parameters.head.kernel.T + parameters.head.bias


@pytest.mark.parametrize("max_vertices", [4, 7])
def test_it_is_the_published_procedure(max_vertices):
    parameters = jax.tree.map(np.float64, shared(max_vertices))
    logits, _ = by_shared_weights(max_vertices)
    for number in range(0, CELLS, 3):
        arch = cells_up_to(max_vertices)[number]
        expected = plain(arch, parameters, images().astype(np.float64))
        np.testing.assert_allclose(logits[number], expected, rtol=2e-3, atol=2e-4, err_msg=str(arch))


def test_modules_of_one_size_are_a_loop(monkeypatch):
    """With statistics that are given, which in turn are those that the loop told."""
    monkeypatch.setattr(_network, "_MOST_PROGRAMS", 2)
    deep = nasbench101_supernet(**SIZES, cells=2, max_vertices=3)
    parameters, _ = jax.device_get(jax.jit(deep.init)(jax.random.key(1)))
    sampled = jax.jit(lambda given, arch: deep.sampled(parameters, given, arch, images()))
    arch = np.asarray(nasbench101_cells(3)[5], np.int32)
    logits, used = jax.jit(lambda arch: deep.sampled(parameters, None, arch, images()))(arch)
    expected = plain(arch, jax.tree.map(np.float64, parameters), images().astype(np.float64))
    np.testing.assert_allclose(logits, expected, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(sampled(used, arch)[0], logits, rtol=2e-3, atol=2e-4)
    assert len(used.modules) == 4


def test_its_gradient_is_the_slope_of_the_published_procedure(monkeypatch):
    """Along a random direction, of cells with and without every operation; zero where a cell reads nothing."""
    monkeypatch.setattr(_network, "_MOST_PROGRAMS", 2)
    rng = np.random.default_rng(1)
    parameters = jax.tree.map(np.float64, shared(4))
    directions = jax.tree.map(lambda x: rng.normal(size=x.shape), parameters)

    def gradient(sampled, parameters, arch):
        return jax.grad(lambda p: jnp.sum(jnp.sin(sampled(p, None, arch, images())[0])))(parameters)

    found = jax.jit(lambda p, arch: net(4).specialize(arch, gradient)(p, arch))
    for arch in cells_up_to(4)[[0, 3, 40, 66, 90]]:
        gradients = jax.device_get(found(shared(4), arch))
        slope = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradients), jax.tree.leaves(directions), strict=True))
        step = 1e-6
        sides = (
            np.sum(np.sin(plain(arch, jax.tree.map(lambda x, d, s=s: x + s * d, parameters, directions), images())))
            for s in (step, -step)
        )
        expected = np.subtract(*sides) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=5e-3, atol=5e-3)
        assert not np.any(gradients.modules[0].vertices.three[arch[NUM_EDGES : NUM_EDGES + 2] != 0])


def test_a_one_hot_mixture_is_the_cell_whose_vertices_all_go_to_the_output():
    archs, logits = cells_up_to(4), by_shared_weights(4)[0]
    matrices = [host_pruned(arch)[0] for arch in archs]
    whole = np.array([bool(matrix[1, -1] and matrix[2, -1]) for matrix in matrices])
    found = quick_mixture()(shared(4), np.eye(3, dtype=np.float32)[archs])
    assert whole.sum() > 20
    np.testing.assert_allclose(found[whole], logits[whole], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(found[0], logits[0], rtol=2e-3, atol=2e-4)  # no vertex, which weights of 0 say as well
    assert np.max(np.abs(found[~whole] - logits[~whole]), axis=(1, 2))[1:].min() > 1e-3


@functools.cache
def quick_mixture():
    """Of 91 weights."""

    def one(parameters, weights):
        return jax.lax.map(lambda each: net(4).mixture(parameters, None, each, images())[0], weights)

    return jax.jit(one)


def test_one_predecessor_each_is_the_cell_with_these_and_all_vertices_at_the_output():
    """As DARTS and FBNet were released; and a mixture of predecessors is that of their edges."""
    decisions = released_decisions("darts", 4)
    choices = np.array([c for c in itertools.product(*map(range, decisions.num_choices)) if c[0] and c[2]])
    weights = jax.jit(jax.vmap(predecessor_weights))(np.eye(3, dtype=np.float32)[choices])
    cells = np.asarray(jax.vmap(decisions.to_arch)(choices))
    np.testing.assert_array_equal(np.argmax(weights, axis=2)[:, : NUM_EDGES + 2], cells[:, : NUM_EDGES + 2])
    assert len(choices) == 18
    known = {arch.tobytes(): place for place, arch in enumerate(cells_up_to(4))}
    places = [known.get(cell.astype(np.int32).tobytes(), -1) for cell in cells]
    there = np.flatnonzero(np.asarray(places) >= 0)
    assert len(there) > 9  # those that are written as they are listed
    found = quick_mixture()(shared(4), np.resize(weights, (CELLS, 26, 3)))[:18]
    np.testing.assert_allclose(found[there], by_shared_weights(4)[0][np.asarray(places)[there]], rtol=2e-3, atol=2e-4)
    soft = jax.nn.softmax(jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32))
    edges = np.asarray(predecessor_weights(soft))[:NUM_EDGES, 1]
    into = {EDGES[i]: edges[i] for i in np.flatnonzero(edges)}
    expected = {(0, 1): soft[0, 1], (0, 2): soft[2, 1], (1, 2): soft[2, 2], **{(v, 6): 1.0 for v in range(3)}}
    assert into == pytest.approx({edge: float(value) for edge, value in expected.items()})


def test_second_derivatives_of_the_mixture_exist():
    """As second-order DARTS takes them."""
    weights = jnp.full((26, 3), 1 / 3, jnp.float32)
    with stacks(1):
        supernet = nasbench101_supernet(**SIZES, cells=1, max_vertices=5)

    def loss(parameters, weights):
        return jnp.sum(supernet.mixture(parameters, None, weights, images())[0] ** 2)

    parameters = jax.eval_shape(supernet.init, jax.random.key(0))[0]
    # Lowered, since what has no forward mode is found out no earlier.
    jax.jit(lambda p: jax.jvp(lambda p: jax.grad(loss, 1)(p, weights), (p,), (p,))).lower(parameters)


# What a cell reads, module by module.


def module_arrays(norms, outputs=8, vertices=3):
    """Arrays of a module in which every number is another."""
    sizes = jax.tree.map(
        lambda each: each.shape, shared_starts(vertices, 4, outputs, norms), is_leaf=lambda each: hasattr(each, "shape")
    )
    numbers = iter(range(1, 20))
    return jax.tree.map(
        lambda shape: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1e5 * next(numbers),
        sizes,
        is_leaf=lambda each: isinstance(each, tuple) and all(isinstance(size, int) for size in each),
    )


def test_random_slices_are_blocks_that_the_cell_decides():
    arch = nasbench101().from_string("|conv3x3~0|conv1x1~0~1|output~1~2|")
    weights = module_arrays(1)
    starts = set()
    for last in range(3):  # the operation of a vertex that is not used makes another encoding
        arch[-1] = last
        what = readings(jnp.asarray(arch), 3, [8], 1, "random")[8]
        outs, ins, projected = np.asarray(what.starts)
        starts.add((*outs[:2], *ins[:2], *projected[:2]))
        assert ((what.starts >= 0) & (what.starts[:, :2] <= 4).all()).all()
        own = cut_parameters(weights, what)
        for v, kernel in enumerate((weights.vertices.three, weights.vertices.one[:, :, None])):
            rows, columns = slice(outs[v], outs[v] + 4), slice(ins[v], ins[v] + 4)
            taps = slice(None) if v == 0 else slice(4, 5)
            np.testing.assert_array_equal(own.vertices.kernel[v, :4, taps, :4], kernel[v, rows, :, columns])
            np.testing.assert_array_equal(own.vertices.scale[v, :4], weights.vertices.scale[v, v, 0, rows])
            np.testing.assert_array_equal(own.vertices.scale[v, 4:], 0)
            rows = slice(projected[v], projected[v] + 4)
            np.testing.assert_array_equal(own.inputs.kernel[v, :4], weights.inputs.kernel[v, rows])
            np.testing.assert_array_equal(own.inputs.shift[v, :4], weights.inputs.shift[v, rows])
    assert len(starts) == 3
    first = readings(jnp.asarray(arch), 3, [8], 1, "random")[8]
    np.testing.assert_array_equal(first.starts, what.starts)


@pytest.mark.parametrize("slices", ["front", "random"])
@pytest.mark.parametrize("norms", [1, 8])
def test_statistics_go_to_the_batch_norms_that_a_cell_used_and_come_from_there(slices, norms):
    arch = nasbench101().from_string("|conv3x3~0|maxpool3x3~0~1|conv1x1~0~1~2|output~0~1~3|")
    what = readings(jnp.asarray(arch), 3, [8], norms, slices)[8]
    used = ModuleStatistics(
        *(np.random.default_rng(i).normal(size=s) for i, s in enumerate([(3, 2, 8), (3, 2, 8), (2, 8)]))
    )
    used.vertices[1] = 0  # as a pooling vertex tells
    spread = spread_statistics(used, what, norms)
    back = cut_statistics(spread, what)
    own = np.asarray(what.own)[:, None]
    np.testing.assert_allclose(np.where(own, back.vertices, 0), np.where(own, used.vertices, 0))
    np.testing.assert_allclose(np.where(own, back.inputs, 0), np.where(own, used.inputs, 0))
    masks = jax.tree.map(lambda mask, x: np.broadcast_to(mask, x.shape), ran(what, norms), spread)
    for mask, array in zip(jax.tree.leaves(masks), jax.tree.leaves(spread), strict=True):
        np.testing.assert_array_equal(mask, np.asarray(array) != 0)
    if norms == 8:  # the input is 1, vertex 1 is 2, vertex 2 is 4
        np.testing.assert_array_equal(what.norm, [1, 3, 7])
        assert masks.vertices[2, 1, 7].any()
        assert masks.vertices.sum() == 2 * 4 + 2 * 4  # 4 channels each before the output


def test_running_estimates_move_only_where_a_cell_ran():
    supernet = net(4)
    statistics = jax.device_get(jax.jit(lambda: supernet.init(jax.random.key(0))[1])())
    number = 40
    arch, used = cells_up_to(4)[number], jax.tree.map(lambda x: x[number], by_shared_weights(4)[1])

    @jax.jit
    def move(statistics, used, arch):
        def running(used, arch):
            return supernet.running(statistics, used, 0.9, (BATCH, 4, 4, 2), arch)

        return running(used, arch), running(jax.tree.map(jnp.ones_like, used), None)

    after, everything = jax.device_get(move(statistics, used, arch))
    unbiased = np.array([1, BATCH * 4 / (BATCH * 4 - 1)])[:, None]
    moved = 0.9 * statistics.modules[1].vertices + 0.1 * used.modules[1].vertices * unbiased[None, None, None]
    ran_there = used.modules[1].vertices != 0
    assert 0 < ran_there.sum() < ran_there.size
    there = np.where(ran_there, moved, fresh_statistics(2, 2 * CHANNELS, 1).vertices)
    np.testing.assert_allclose(after.modules[1].vertices, there, rtol=1e-5)
    changed = everything.modules[0].vertices != statistics.modules[0].vertices
    np.testing.assert_array_equal(changed.sum((1, 2, 3, 4)), 2 * 2 * np.array([3, 2]))


# Decisions, and what preferences come to.


def test_preferences_come_to_a_valid_cell():
    for max_vertices in (4, 7):
        space = nasbench101("uniform", max_vertices=max_vertices)
        mask = decisions_of(net(max_vertices)).mask
        cells = cells_up_to(max_vertices)
        hot = np.where(np.arange(3) == cells[:, :, None], 0, -np.inf).astype(np.float32)
        come = jax.jit(jax.vmap(likeliest_cell))
        np.testing.assert_array_equal(come(hot), cells)
        logits = np.random.default_rng(0).normal(size=(400, 26, 3)).astype(np.float32)
        logits[300:, :NUM_EDGES, 1] += 3  # far more than nine edges
        logits[:100, :NUM_EDGES, 0] += 9  # none
        found = come(np.where(mask, logits, -np.inf))
        assert np.asarray(jax.vmap(space.is_valid)(found)).all()
        assert np.asarray(jax.vmap(space.is_valid)(come(np.where(mask, np.nan, -np.inf)[None]))).all()
        operations = np.argmax(np.where(mask, logits, -np.inf), axis=2)[:, NUM_EDGES:]
        np.testing.assert_array_equal(found[:, NUM_EDGES:], operations)


def test_decisions_are_those_of_the_sub_space():
    decisions = decisions_of(net(4))
    assert not decisions.independent
    assert decisions.counts.tolist() == [len(names) for names in net(4).space.choices]
    assert decisions.operations.sum() == 5
    assert decisions_of(net(7)).counts.tolist() == [len(names) for names in CHOICES]


def test_sizes_and_names_are_checked():
    with pytest.raises(ValueError, match="slices is 'first'"):
        nasbench101_supernet(**SIZES, slices="first")
    with pytest.raises(ValueError, match="norm is 'none'"):
        nasbench101_supernet(**SIZES, norm="none")
    with pytest.raises(ValueError, match="max_vertices is 8"):
        nasbench101_supernet(**SIZES, max_vertices=8)
    with pytest.raises(ValueError, match="a straight-through pass, which the supernet of nasbench101 lacks"):
        make_weight_sharing("gdas", net(4), steps_per_epoch=2)
