"""Channels, parameters and multiply-adds of NAS-Bench-101's networks: laws on small cells, and published numbers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.spaces.nasbench101._cells import (
    MAX_VERTICES,
    NUM_EDGES,
    OPERATIONS,
    from_matrix,
    host_pruned,
    published_hash,
    to_matrix,
)
from jnas.spaces.nasbench101._cost import (
    compute_vertex_channels,
    nasbench101_flops,
    nasbench101_parameter_count,
    nasbench101_parameters,
    wiring,
)
from jnas.spaces.nasbench101._enumeration import labelled_graphs

CONV_3X3, CONV_1X1, MAX_POOL = OPERATIONS


def graphs(vertices):
    """One architecture of every ordered graph of so many vertices, all operations 3x3 convolutions."""
    archs = labelled_graphs(vertices)
    return archs[(archs[:, NUM_EDGES:] == 0).all(axis=1)]


@pytest.fixture(scope="module")
def small_cells():
    return np.concatenate([graphs(vertices) for vertices in range(2, 7)])


class TestChannels:
    def test_by_hand(self):
        """A vertex that does not reach the output is as wide as the widest that it reaches; the first get the rest."""
        matrix = np.zeros((6, 6), int)
        for edge in [(0, 1), (0, 2), (1, 2), (1, 4), (2, 5), (0, 3), (3, 5), (3, 4), (4, 5), (0, 5)]:
            matrix[edge] = 1
        assert compute_vertex_channels(16, 32, matrix) == [16, 11, 11, 11, 10, 32]
        matrix[1, 2] = 0
        assert compute_vertex_channels(16, 32, matrix) == [16, 10, 11, 11, 10, 32]
        assert compute_vertex_channels(16, 32, [[0, 1], [0, 0]]) == [16, 32]

    @pytest.mark.parametrize("outputs", [128, 7])
    def test_laws_on_every_cell_of_up_to_six_vertices(self, small_cells, outputs):
        """What is concatenated adds up to the output, and widths never grow towards the output."""
        graph = jax.tree.map(np.asarray, jax.jit(wiring, static_argnums=1)(small_cells.T, outputs))
        channels, matrix = graph.channels[1:-1], graph.matrix[1:-1, 1:-1]
        feeds = graph.matrix[1:-1, -1]
        degree = feeds.sum(axis=0)
        np.testing.assert_array_equal(graph.in_degree, degree)
        some = degree > 0
        np.testing.assert_array_equal((channels * feeds).sum(axis=0)[some], outputs)
        assert np.all(~matrix | (channels[:, None] >= channels[None]))
        np.testing.assert_array_equal(channels > 0, graph.used[1:-1])
        widest = -(-outputs // np.maximum(degree, 1))
        assert np.all(channels <= widest)
        assert np.all(~feeds | (channels >= outputs // np.maximum(degree, 1)))
        np.testing.assert_array_equal(graph.channels[-1], outputs)
        ends = np.where(feeds, graph.offsets[1:-1] + channels, 0)
        assert np.all(ends <= outputs)
        np.testing.assert_array_equal(ends.max(axis=0)[some], outputs)

    def test_the_host_and_the_device_agree_on_every_cell_of_up_to_six_vertices(self, small_cells):
        found = np.asarray(jax.jit(wiring, static_argnums=1)(small_cells.T, 13).channels).T
        for arch, channels in zip(small_cells, found, strict=True):
            matrix, used = host_pruned(arch)
            expected = compute_vertex_channels(0, 13, matrix[np.ix_(used, used)])
            assert channels[used].tolist() == expected

    def test_wrong_matrices_are_refused(self):
        with pytest.raises(ValueError, match="vertex 1 leads nowhere"):
            compute_vertex_channels(8, 8, [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
        with pytest.raises(ValueError, match="has shape"):
            compute_vertex_channels(8, 8, [[0, 1]])


class TestSizes:
    def test_by_hand(self):
        """One 3x3 convolution between input and output: stem, then three modules, then the linear layer."""
        arch = from_matrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", CONV_3X3, "output"])
        stem, head = 9 * 2 * 4 + 2 * 4, 16 * 5 + 5
        modules = [(4, 4), (4, 8), (8, 16)]
        count = stem + head + sum(i * o + 2 * o + 9 * o * o + 2 * o for i, o in modules)
        sizes = {"channels": 4, "modules": 1, "classes": 5, "image_channels": 2}
        assert nasbench101_parameter_count(arch, **sizes) == count
        assert abs(float(nasbench101_parameters(arch, **sizes)) - count / 1e6) < 1e-9
        area = 8 * 12
        adds = 9 * 2 * 4 * area + head
        adds += sum((i * o + 9 * o * o) * area // 4**s for s, (i, o) in enumerate(modules))
        assert float(nasbench101_flops(arch, **sizes, image_size=(8, 12))) == pytest.approx(adds / 1e6, rel=1e-6)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"channels": 3}, ValueError, "channels is 3, expected at least 4"),
            ({"modules": 0}, ValueError, "modules is 0"),
            ({"classes": 2.0}, TypeError, "classes is 2.0, expected a Python int"),
            ({"channels": 2048}, ValueError, "too many to count"),
        ],
    )
    def test_wrong_sizes_are_refused(self, change, error, message):
        with pytest.raises(error, match=message):
            nasbench101_parameters(np.zeros(26, np.int32), **change)
        with pytest.raises(ValueError, match="multiples of 4"):
            nasbench101_flops(np.zeros(26, np.int32), image_size=30)


@pytest.fixture(scope="module")
def published(shared_data):
    """Architectures of the published cells, and their columns."""
    data = np.load(shared_data / "nasbench101" / "nasbench101.npz")
    columns = {
        name: data[name] for name in ("hash", "num_vertices", "adjacency_bits", "ops", "flops", "trainable_parameters")
    }
    columns["computed"] = data["trainable_parameters_computed"]
    last = columns["num_vertices"].astype(int) - 1
    matrix = np.zeros((len(last), MAX_VERTICES, MAX_VERTICES), np.int32)
    for bit, (target, source) in enumerate((y, x) for y in range(MAX_VERTICES) for x in range(y)):
        there = columns["adjacency_bits"] >> bit & 1
        np.maximum.at(matrix, (np.arange(len(last)), source, np.where(target == last, 6, target)), there)
    upper = np.triu_indices(MAX_VERTICES, 1)
    archs = np.concatenate([matrix[:, *upper], np.maximum(columns["ops"], 0)], axis=1).astype(np.int32)
    return archs, columns


class TestPublishedNumbers:
    def test_parameters_of_all_cells(self, published):
        """98.67 % of the known ones, and all that were computed from the order in which the cells are listed."""
        archs, columns = published
        counts = np.asarray(jax.jit(jax.vmap(nasbench101_parameter_count))(archs))
        np.testing.assert_array_equal(counts, columns["computed"])
        known = columns["trainable_parameters"] > 0
        same = counts[known] == columns["trainable_parameters"][known]
        assert (known.sum(), same.sum()) == (30_001, 29_602)
        millions = np.asarray(jax.jit(jax.vmap(nasbench101_parameters))(archs), np.float64)
        np.testing.assert_allclose(1e6 * millions, counts, rtol=1.2e-7)

    def test_the_others_have_the_known_number_in_another_order_of_their_vertices(self, published):
        archs, columns = published
        counts = np.asarray(jax.jit(jax.vmap(nasbench101_parameter_count))(archs))
        known = columns["trainable_parameters"]
        others = np.flatnonzero((known > 0) & (known != counts))
        assert len(others) == 399
        candidates, owner = [], []
        for row in others:
            each = orders(archs[row])
            candidates += each
            owner += [row] * len(each)
        found = np.asarray(jax.jit(jax.vmap(nasbench101_parameter_count))(np.stack(candidates)))
        matches = found == known[owner]
        assert set(np.asarray(owner)[matches]) == set(others)
        for place in np.flatnonzero(matches)[:5]:
            assert published_hash(candidates[place]).encode() == columns["hash"][owner[place]]

    def test_flops_are_multiply_adds_and_two_for_each_number_that_batch_norm_gives(self, published):
        """Where the order agrees; the column counts batch-norm's product and sum, which we leave out."""
        archs, columns = published
        known = columns["trainable_parameters"]
        rows = np.flatnonzero(known == columns["computed"])[:20_000]
        graphs_of = [wiring(archs[rows].T, 128 * 2**stack) for stack in range(3)]
        normalized = 128 * 1024.0
        for stack, graph in enumerate(jax.tree.map(np.asarray, graphs_of)):
            own, convolved = graph.channels[1:-1], OPERATIONS.index(MAX_POOL) != archs[rows, NUM_EDGES:].T
            each = (own * convolved).sum(axis=0) + (own * graph.matrix[0, 1:-1]).sum(axis=0)
            each = each + graph.matrix[0, -1] * 128 * 2**stack
            normalized = normalized + 3 * each * 1024 / 4**stack
        ours = np.asarray(jax.jit(jax.vmap(nasbench101_flops))(archs[rows]), np.float64)
        np.testing.assert_allclose(ours + 2 * normalized / 1e6, columns["flops"][rows] / 1e6, rtol=1e-6)


def orders(arch):
    """The architectures of one cell: its interior vertices in every order in which edges still go forward."""
    matrix, labels = to_matrix(arch)
    found = []
    for middle in itertools.permutations(range(1, len(labels) - 1)):
        order = [0, *middle, len(labels) - 1]
        moved = matrix[np.ix_(order, order)]
        if not np.tril(moved).any():
            found.append(from_matrix(moved, [labels[v] for v in order]))
    return found


def test_counts_work_under_jit_and_vmap(small_cells):
    archs = jnp.asarray(small_cells[:50])
    batch = jax.jit(jax.vmap(nasbench101_parameter_count))(archs)
    one = [nasbench101_parameter_count(arch) for arch in archs[:3]]
    np.testing.assert_array_equal(batch[:3], one)
