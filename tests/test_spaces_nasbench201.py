"""NAS-Bench-201: published order and strings, isomorphism classes, parameters, mutation."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces

BEST_ON_CIFAR10 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
SPACE = spaces.nasbench201()
LEVELS = {"none": 15625, "skip": 12751, "skip_and_zero": 6466, "function": 5390}
NONE, SKIP, CONV1, CONV3, POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
PUBLISHED_STRINGS_CRC32 = 0xBE66ADF1  # of the 15,625 published strings, a line each


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """All cells `[15625, 6]` by index."""
    return np.asarray(jax.jit(jax.vmap(SPACE.from_index))(jnp.arange(SPACE.size)))


@pytest.fixture(scope="module")
def published(shared_data):
    return np.load(shared_data / "nasbench201" / "nasbench201.npz")


# Order and strings


@pytest.mark.parametrize(
    ("index", "text"),
    [  # as in the archives of NATS-Bench
        (0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"),
        (11, "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"),
        (284, "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"),
    ],
)
def test_known_cells(index, text):
    arch = SPACE.from_index(jnp.int32(index))
    assert SPACE.to_string(arch) == text
    np.testing.assert_array_equal(SPACE.from_string(text), arch)
    assert SPACE.index(jnp.asarray(SPACE.from_string(text))) == index


def test_all_strings_round_trip_in_the_published_order(cells):
    texts = [SPACE.to_string(cell) for cell in cells]
    assert zlib.crc32("\n".join(texts).encode()) == PUBLISHED_STRINGS_CRC32
    np.testing.assert_array_equal([SPACE.from_string(text) for text in texts], cells)


def test_order_and_strings_are_those_of_the_published_table(published, cells):
    np.testing.assert_array_equal(cells, published["ops"])
    assert [SPACE.to_string(cell) for cell in cells] == [text.decode() for text in published["arch_str"]]


@pytest.mark.parametrize(
    "text",
    [
        BEST_ON_CIFAR10.replace("+", " + "),
        BEST_ON_CIFAR10.replace("+", "\n+\n"),
        BEST_ON_CIFAR10.replace("|", " | "),
        f"Structure(4 nodes with {BEST_ON_CIFAR10})\n",
    ],
)
def test_strings_are_read_as_the_published_code_prints_them(text):
    np.testing.assert_array_equal(SPACE.from_string(text), SPACE.from_string(BEST_ON_CIFAR10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the architecture string is empty, expected one like"),
        ("|none~0|+|nor_conv3x3~0|none~1|+|none~0|none~1|none~2|", "at node 2; did you mean 'nor_conv_3x3'."),
        ("|none~0|", "has 1 nodes separated by '\\+', expected 3"),
        ("|none~0|+|none~0|none~1|", "has 2 nodes"),
        (BEST_ON_CIFAR10 + "+", "has 4 nodes"),
        (BEST_ON_CIFAR10.replace("+", ""), "has 1 nodes"),
        ("none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 is 'none~0\\|', expected it to begin"),
        ("|none~0|+|none~0|none~1+|none~0|none~1|none~2|", "node 2 is .* expected it to begin and end"),
        ("|none~0|+|+|none~0|none~1|none~2|", r"node 2 is '\|', expected it to begin and end"),
        ("||+|none~0|none~1|+|none~0|none~1|none~2|", "edge '' of node 1 is not of the form 'operation~node'"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "node 2 has 1 incoming edges, expected 2"),
        ("|none~0|+|none~0|none~1|none~1|+|none~0|none~1|none~2|", "node 2 has 3 incoming edges, expected 2"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1||", "edge '' of node 3 is not of the form"),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", "edge 'none' of node 1 is not of the form"),
        ("|none~0~0|+|none~0|none~1|+|none~0|none~1|none~2|", "edge 'none~0~0' of node 1 is not of the form"),
        ("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'conv' at node 1, expected one of none"),
        ("|None~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'None'"),
        ("|~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation ''"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", r"comes from node '1', expected an earlier one \(0\)"),
        ("|none~0|+|none~0|none~2|+|none~0|none~1|none~2|", r"comes from node '2', expected an earlier one \(0, 1\)"),
        ("|none~x|+|none~0|none~1|+|none~0|none~1|none~2|", "comes from node 'x', expected an earlier one"),
        ("|none~|+|none~0|none~1|+|none~0|none~1|none~2|", "comes from node '', expected an earlier one"),
        ("|none~-1|+|none~0|none~1|+|none~0|none~1|none~2|", "comes from node '-1', expected an earlier one"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "stands where the edge from node 0 belongs"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "stands where the edge from node 1 belongs"),
    ],
)
def test_malformed_strings_are_explained(text, message):
    with pytest.raises(ValueError, match=message):
        SPACE.from_string(text)


# Isomorphism


@pytest.mark.parametrize(("level", "count"), list(LEVELS.items()))
def test_number_of_distinct_fingerprints_inside_jit(level, count):
    space = spaces.nasbench201(isomorphism=level)

    @jax.jit
    def distinct():
        words = jax.jit(jax.vmap(lambda index: space.fingerprint(space.from_index(index))))(jnp.arange(space.size))
        first, second = words[jnp.lexsort((words[:, 0], words[:, 1]))].T
        return 1 + jnp.sum((first[1:] != first[:-1]) | (second[1:] != second[:-1]))

    assert distinct() == count


@pytest.mark.parametrize(("level", "count"), list(LEVELS.items()))
def test_classes_are_represented_by_their_first_cell(level, count, cells):
    classes = spaces.nasbench201_classes(level)
    assert classes.dtype == np.int32
    assert classes.shape == (15625,)
    assert not classes.flags.writeable
    assert len(np.unique(classes)) == count
    np.testing.assert_array_equal(classes[classes], classes)
    assert np.all(classes <= np.arange(15625))
    words = np.asarray(jax.jit(jax.vmap(spaces.nasbench201(isomorphism=level).fingerprint))(cells))
    np.testing.assert_array_equal(words, words[classes])


@pytest.mark.parametrize(
    ("finer", "coarser", "parted"),
    [("none", "skip", 0), ("skip", "function", 0), ("skip_and_zero", "function", 0), ("skip", "skip_and_zero", 109)],
)
def test_levels_join_classes_of_finer_ones(finer, coarser, parted):
    finer, coarser = spaces.nasbench201_classes(finer), spaces.nasbench201_classes(coarser)
    assert np.sum(coarser[finer] != coarser) == parted


@pytest.mark.parametrize(
    ("one", "other", "same_from"),
    [
        # node 1 is the input again: the edges 2<-0 and 2<-1 may be exchanged
        ([SKIP, CONV1, CONV3, NONE, NONE, POOL], [SKIP, CONV3, CONV1, NONE, NONE, POOL], "skip"),
        # node 1 carries nothing: what its edges do is all the same
        ([NONE, CONV1, CONV3, NONE, POOL, POOL], [NONE, CONV1, SKIP, NONE, CONV1, POOL], "skip_and_zero"),
        # node 2 is the sum of two zeros, which the published strings do not see
        ([NONE, NONE, NONE, CONV3, NONE, CONV1], [NONE, NONE, NONE, CONV3, NONE, POOL], "function"),
        # a zero is added to a sum, by an edge of its own or not
        ([CONV3, NONE, CONV1, NONE, NONE, SKIP], [CONV3, NONE, SKIP, NONE, NONE, CONV1], "function"),
        ([CONV3, NONE, CONV1, NONE, NONE, SKIP], [NONE, CONV3, NONE, NONE, NONE, CONV1], "function"),
        # pooling is linear: equal functions that stay apart, as documented
        ([SKIP, SKIP, SKIP, NONE, NONE, POOL], [SKIP, NONE, NONE, POOL, POOL, NONE], None),
        # different functions
        ([SKIP, CONV1, CONV3, NONE, NONE, POOL], [SKIP, CONV1, CONV1, NONE, NONE, POOL], None),
        ([NONE, NONE, NONE, CONV3, NONE, NONE], [NONE, NONE, NONE, CONV1, NONE, NONE], None),
    ],
)
def test_cells_that_are_the_same(one, other, same_from):
    levels = list(LEVELS)
    expected = [False] * 4 if same_from is None else [i >= levels.index(same_from) for i in range(4)]
    for level, same in zip(levels, expected, strict=True):
        fingerprint = spaces.nasbench201(isomorphism=level).fingerprint
        equal = np.array_equal(fingerprint(jnp.asarray(one)), fingerprint(jnp.asarray(other)))
        assert equal == same, level


def outputs(cells: np.ndarray, linear_pooling: bool) -> np.ndarray:
    """Returns the output node's value `[cells, 4]` when each operation is some function on vectors."""
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(3, 4, 4)) / 2
    operations = [np.zeros_like, lambda x: x]
    operations += [lambda x, m=m: np.tanh(x @ m) + 0.1 * (x @ m) ** 2 for m in matrices]
    if linear_pooling:
        operations[POOL] = lambda x: x @ matrices[2]
    nodes = [np.tile(rng.normal(size=4), (len(cells), 1)), 0.0, 0.0, 0.0]
    for edge, (source, target) in enumerate(EDGES):
        answers = np.stack([operation(nodes[source]) for operation in operations])
        nodes[target] = nodes[target] + answers[cells[:, edge], np.arange(len(cells))]
    return nodes[3]


@pytest.mark.parametrize("level", list(LEVELS))
def test_cells_of_a_class_compute_the_same(level, cells):
    values = outputs(cells, linear_pooling=False)
    np.testing.assert_allclose(values[spaces.nasbench201_classes(level)], values, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("linear_pooling", "count"), [(False, 4930), (True, 4660)])
def test_numbers_of_distinct_functions_in_the_documentation(linear_pooling, count, cells):
    values = outputs(cells, linear_pooling)
    assert len(np.unique(values.round(9), axis=0)) == count


def test_number_of_classes_that_join_different_networks_in_the_documentation(cells):
    classes = spaces.nasbench201_classes("skip")
    parameters = np.asarray(jax.jit(jax.vmap(spaces.nasbench201_parameters))(cells))
    assert len(np.unique(classes[parameters != parameters[classes]])) == 230


def test_unknown_levels_are_refused():
    with pytest.raises(ValueError, match="level is 'all', expected one of 'none', 'skip', 'skip_and_zero', 'function'"):
        spaces.nasbench201_classes("all")
    with pytest.raises(ValueError, match="isomorphism is 'all', expected one of 'none', 'skip'"):
        spaces.nasbench201(isomorphism="all")


# Mutation


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("mutation", "probabilities"),
    [
        ("edge", [1 / 6] * 6),
        ("node_then_edge", [1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9]),
        ("each_edge", [1 / 4] * 6),
    ],
)
def test_mutated_edges_have_the_published_frequencies(mutation, probabilities):
    draws = 40_000
    keys = jax.random.split(jax.random.key(0), draws)
    arch = jnp.asarray([NONE, SKIP, CONV1, CONV3, POOL, CONV3])
    mutants = jax.jit(jax.vmap(spaces.nasbench201(mutation).mutate, (0, None)))(keys, arch)
    frequencies = np.mean(np.asarray(mutants) != np.asarray(arch), axis=0)
    expected = np.asarray(probabilities)
    assert np.all(np.abs(frequencies - expected) < 4 * np.sqrt(expected * (1 - expected) / draws))
    for edge in range(6):  # all others are as likely
        counts = np.bincount(np.asarray(mutants)[:, edge], minlength=5)
        others = counts[np.arange(5) != arch[edge]]
        assert np.all(np.abs(others - others.mean()) < 4 * np.sqrt(others.mean()))
    pairs = np.mean(np.all(np.asarray(mutants)[:, :2] != np.asarray(arch)[:2], axis=1))
    assert pairs == 0 if mutation != "each_edge" else abs(pairs - 1 / 16) < 4 * np.sqrt(1 / 16 / draws)


def test_unknown_mutations_are_refused():
    told = r"mutation is 'node'; did you mean 'node_then_edge'\? expected one of 'edge', 'node_then_edge', 'each_edge'"
    with pytest.raises(ValueError, match=told):
        spaces.nasbench201("node")


# Parameters and multiply-adds


def test_costs_are_the_published_columns(published):
    cells = jnp.asarray(published["ops"], jnp.int32)
    parameters = jax.jit(jax.vmap(spaces.nasbench201_parameters))(cells)
    flops = jax.jit(jax.vmap(spaces.nasbench201_flops))(cells)
    np.testing.assert_array_equal(parameters, published["params_millions"])
    np.testing.assert_array_equal(flops, published["flops_millions"])


def test_costs_are_linear_in_the_convolutions(cells):
    ones, threes = np.sum(cells == CONV1, axis=1), np.sum(cells == CONV3, axis=1)
    parameters = jax.vmap(spaces.nasbench201_parameters)(cells)
    flops = jax.vmap(spaces.nasbench201_flops)(cells)
    np.testing.assert_array_equal(parameters, np.float32(0.073306 + 0.028 * ones + 0.24304 * threes))
    np.testing.assert_array_equal(flops, np.float32(7.78305 + 3.93216 * ones + 35.38944 * threes))


@pytest.mark.parametrize(
    ("index", "cifar10", "cifar100", "imagenet16"),
    [(0, 15.64737, 15.65322, 3.91948), (11, 113.95137, 113.95722, 28.49548), (284, 11.71521, 11.72106, 2.93644)],
)
def test_published_multiply_adds_of_all_data_sets(index, cifar10, cifar100, imagenet16):
    arch = SPACE.from_index(index)
    assert spaces.nasbench201_flops(arch) == np.float32(cifar10)
    assert spaces.nasbench201_flops(arch, classes=100) == np.float32(cifar100)
    assert spaces.nasbench201_flops(arch, classes=120, image_size=16) == np.float32(imagenet16)


def test_costs_of_a_network_counted_by_hand():
    # Widths 1, 2, 4 on images of 4, 2, 1 pixels a side, one cell a stage, two classes; one 3x3, one 1x1 convolution.
    arch = jnp.asarray([CONV3, NONE, NONE, NONE, CONV1, SKIP])
    stem = 27 + 2
    cells = (9 + 2) + (1 + 2) + (36 + 4) + (4 + 4) + (144 + 8) + (16 + 8)
    reductions = (18 + 4 + 36 + 4 + 2) + (72 + 8 + 144 + 8 + 8)
    head = 8 + 4 * 2 + 2
    parameters = spaces.nasbench201_parameters(arch, channels=1, cells=1, classes=2)
    assert parameters == np.float32((stem + cells + reductions + head) / 1e6)
    cell_flops = (9 + 1) * 16 + (36 + 4) * 4 + (144 + 16)
    flops = spaces.nasbench201_flops(arch, channels=1, cells=1, classes=2, image_size=4)
    assert flops == np.float32((27 * 16 + cell_flops + (18 + 36 + 2) * 4 + (72 + 144 + 8) + 4 * 2 + 2) / 1e6)


def test_impossible_sizes_are_refused():
    arch = jnp.zeros(6, jnp.int32)
    with pytest.raises(ValueError, match="channels is 0, expected at least 1"):
        spaces.nasbench201_parameters(arch, channels=0)
    with pytest.raises(TypeError, match=r"cells is 5\.0, expected a Python int"):
        spaces.nasbench201_parameters(arch, cells=5.0)
    with pytest.raises(ValueError, match="image_size is 30, expected a multiple of 4"):
        spaces.nasbench201_flops(arch, image_size=30)


# Features


def test_one_hot_and_ordinal(cells):
    some = cells[::401]
    one_hot = jax.jit(jax.vmap(lambda arch: SPACE.features(arch, "one_hot")))(some)
    np.testing.assert_array_equal(one_hot, np.eye(5)[some].reshape(len(some), 30))
    np.testing.assert_array_equal(jax.jit(jax.vmap(lambda arch: SPACE.features(arch, "ordinal")))(some), some)


def paths_by_search(arch: np.ndarray) -> np.ndarray:
    """Returns the path encoding from all walks through the cell: a digit for each operation, shorter paths first."""
    operations = dict(zip(EDGES, arch.tolist(), strict=True))
    found = np.zeros(155)

    def walk(node, path):
        if node == 3:
            offset = sum(5**length for length in range(1, len(path)))
            found[offset + sum(operation * 5**digit for digit, operation in enumerate(path))] = 1
        for source, target in EDGES:
            if source == node:
                walk(target, [*path, operations[source, target]])

    walk(0, [])
    return found


def test_paths_are_those_found_by_walking(cells):
    some = cells[::37]
    expected = np.stack([paths_by_search(arch) for arch in some])
    np.testing.assert_array_equal(jax.jit(jax.vmap(lambda arch: SPACE.features(arch, "path")))(some), expected)
    truncated = jax.jit(jax.vmap(lambda arch: SPACE.features(arch, "truncated_path")))(some)
    np.testing.assert_array_equal(truncated, expected[:, :30])


def test_paths_by_hand():
    # in->3 by conv 3x3 (3); in->1->3 (2 + 5 * 4); in->2->3 (4 + 5 * 1); in->1->2->3 (2 + 5 * 0 + 25 * 1)
    arch = jnp.asarray([CONV1, POOL, NONE, CONV3, POOL, SKIP])
    assert np.flatnonzero(SPACE.features(arch, "path")).tolist() == [3, 5 + 4 + 5 * 1, 5 + 2 + 5 * 4, 30 + 2 + 25]
    # the two paths of two operations are the same one
    assert np.flatnonzero(SPACE.features(jnp.zeros(6, jnp.int32), "path")).tolist() == [0, 5, 30]


def test_graph_has_edges_as_vertices():
    arch = jnp.asarray([CONV1, POOL, NONE, CONV3, CONV3, SKIP])
    nodes, adjacency = SPACE.features(arch, "graph")
    kinds = [1, 2 + CONV1, 2 + POOL, 2 + NONE, 2 + CONV3, 2 + CONV3, 2 + SKIP, 0]
    np.testing.assert_array_equal(nodes, np.eye(7)[kinds])
    arcs = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
    assert set(map(tuple, np.argwhere(adjacency).tolist())) == arcs
    assert set(np.unique(adjacency)) == {0.0, 1.0}


def test_continuous_adjacency_counts_the_edges_that_are_there():
    arch = jnp.asarray([CONV1, NONE, NONE, CONV3, POOL, SKIP])
    assert SPACE.features(arch, "continuous_adjacency").tolist() == [*arch.tolist(), 4]


def test_nasbot_by_hand():
    # Vertices: in, 1<-0 conv1, 3<-0 conv3, 3<-1 pool, 3<-2 skip, out; in -> 1<-0, 3<-0; 1<-0 -> 3<-1; three into out.
    # Without 2<-0 and 2<-1 nothing leads to 3<-2.
    arch = jnp.asarray([CONV1, NONE, NONE, CONV3, POOL, SKIP])
    out_of, into = [0, 0, 0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1, 1, 3]
    counts = [2, 1, 1, 1, 1]
    assert SPACE.features(arch, "nasbot").tolist() == [*out_of, *into, *counts]
    everything = SPACE.features(jnp.full(6, CONV1), "nasbot").tolist()
    assert everything == [0, 1, 1, 1, 1, 1, 2, 3] * 2 + [0, 0, 6, 0, 0]
