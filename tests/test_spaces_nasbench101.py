"""The cell space of NAS-Bench-101: its enumeration, its classes against the published hash, sampling and mutation."""

import functools
import itertools

import jax
import numpy as np
import pytest
from scipy import stats

from jnas import spaces
from jnas.spaces.nasbench101._cells import (
    EDGES,
    MAX_EDGES,
    NUM_EDGES,
    OPERATIONS,
    from_matrix,
    host_pruned,
    pruned,
    published_hash,
    to_matrix,
)
from jnas.spaces.nasbench101._enumeration import fingerprints, labelled_graphs
from tests._compilation import LONG_RUNS

SPACE = spaces.nasbench101()
COUNTS = {2: (1, 1), 3: (6, 6), 4: (90, 84), 5: (3267, 2441), 6: (125145, 62010), 7: (1164699, 359082)}


@functools.cache
def many(function, *, of_all=False):
    """A function of an architecture or a key, compiled for a batch; `of_all`: of all cells."""
    return jax.jit(jax.vmap(function), compiler_options=LONG_RUNS if of_all else None)


def fingerprints_of(archs: np.ndarray) -> np.ndarray:
    """The fingerprints of up to 10,429 architectures; one shape, one compilation."""
    filled = np.resize(archs, (COUNTS[6][0] // 12 + 1, archs.shape[1]))
    return np.asarray(many(SPACE.fingerprint)(filled))[: len(archs)]


def used_vertices(arch):
    return pruned(arch)[1]


def random_encodings(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    edges = generator.integers(0, 2, (count, NUM_EDGES))
    return np.concatenate([edges, generator.integers(0, 3, (count, 5))], axis=1).astype(np.int32)


def is_valid_on_host(arch: np.ndarray) -> bool:
    matrix, used = host_pruned(arch)
    return bool(used[0]) and matrix.sum() <= MAX_EDGES


def paths(arch: np.ndarray) -> list[tuple[int, ...]]:
    """The vertices of every path from the input to the output, by trying all."""
    there = {edge for edge, bit in zip(EDGES, arch, strict=False) if bit}
    found = []
    for length in range(6):
        for between in itertools.combinations(range(1, 6), length):
            path = (0, *between, 6)
            if all(edge in there for edge in itertools.pairwise(path)):
                found.append(path)
    return found


def permuted(arch: np.ndarray, order: tuple[int, ...]) -> np.ndarray | None:
    """The cell with its interior vertices at other places, or None where an edge would go backwards."""
    place = dict(zip(range(7), (0, *order, 6), strict=True))
    new = np.zeros_like(arch)
    for (source, target), bit in zip(EDGES, arch, strict=False):
        if bit and place[source] > place[target]:
            return None
        if bit:
            new[EDGES.index((place[source], place[target]))] = 1
    for v in range(1, 6):
        new[NUM_EDGES + place[v] - 1] = arch[NUM_EDGES + v - 1]
    return new


def test_enumeration_finds_the_published_counts():
    cells = spaces.nasbench101_cells()
    vertices = np.asarray(many(used_vertices, of_all=True)(cells)).sum(axis=1)
    assert dict(zip(*np.unique(vertices, return_counts=True), strict=True)) == {v: n for v, (_, n) in COUNTS.items()}
    assert len(cells) == SPACE.size == 423_624
    assert np.all(np.diff(vertices) >= 0)
    words = fingerprints().astype(np.uint64)
    assert len(np.unique(words[:, 0] << 32 | words[:, 1])) == len(cells)  # no collision
    assert np.all(many(SPACE.is_valid, of_all=True)(cells))


@pytest.mark.parametrize("vertices", COUNTS)
def test_labelled_graphs_are_as_many_as_known(vertices):
    graphs = labelled_graphs(vertices)
    assert len(graphs) == COUNTS[vertices][0]
    for arch in graphs[:: max(1, len(graphs) // 40)]:
        matrix, used = host_pruned(arch)
        assert (used.sum(), matrix.sum()) == (vertices, arch[:NUM_EDGES].sum())


@pytest.mark.slow
@pytest.mark.parametrize("vertices", [2, 3, 4, 5, 6])
def test_fingerprints_make_the_classes_of_the_published_hash(vertices):
    """Of all labelled graphs, and of a 36th of the 125,145 of six vertices."""
    graphs = labelled_graphs(vertices)[:: 36 if vertices == 6 else 1]
    words = fingerprints_of(graphs)
    pairs = set(zip(map(tuple, words.tolist()), map(published_hash, graphs), strict=True))
    assert len(pairs) == COUNTS[vertices][1] or vertices == 6  # a class of one is a class of the other
    assert len({word for word, _ in pairs}) == len({text for _, text in pairs}) == len(pairs)
    if vertices < 6:  # a cell stands for its class as the first of it
        first = np.sort(np.unique(words, axis=0, return_index=True)[1])
        enumerated = spaces.nasbench101_cells(vertices)[-COUNTS[vertices][1] :]
        np.testing.assert_array_equal(enumerated, graphs[first])


def test_cells_of_four_vertices_are_the_same_exactly_when_a_permutation_says_so():
    graphs = [arch for v in (2, 3, 4) for arch in labelled_graphs(v)]
    words = [tuple(w) for w in fingerprints_of(np.stack(graphs)).tolist()]

    def canonical(arch: np.ndarray) -> tuple:
        matrix, names = to_matrix(arch)
        inside = range(1, len(names) - 1)
        orders = [(0, *order, len(names) - 1) for order in itertools.permutations(inside)]
        return min((*matrix[np.ix_(o, o)].ravel().tolist(), *(names[v] for v in o)) for o in orders)

    classes = {}
    for arch, word in zip(graphs, words, strict=True):
        classes.setdefault(canonical(arch), set()).add(word)
    assert len(classes) == 91
    assert all(len(found) == 1 for found in classes.values())
    assert len(set(words)) == 91


def test_isomorphic_cells_share_their_fingerprint_and_others_do_not():
    archs = [a for a in random_encodings(300) if is_valid_on_host(a)]
    orders = list(itertools.permutations(range(1, 6)))
    generator = np.random.default_rng(1)
    originals, copies = [], []
    for arch in archs:
        for i in generator.permutation(len(orders))[:30]:
            copy = permuted(arch, orders[i])
            if copy is not None:
                originals.append(arch)
                copies.append(copy)
    assert len(copies) > 500
    assert np.any(np.stack(copies) != np.stack(originals), axis=1).sum() > 300
    np.testing.assert_array_equal(fingerprints_of(np.stack(originals)), fingerprints_of(np.stack(copies)))
    find = many(SPACE.index)
    np.testing.assert_array_equal(find(np.stack(originals)), find(np.stack(copies)))


def test_unused_vertices_do_not_count():
    plain = SPACE.from_string("|conv3x3~0|output~1|")
    noisy = SPACE.from_string("|conv3x3~0|maxpool3x3|conv1x1~1~2|maxpool3x3~2|maxpool3x3|output~1|")
    assert len(np.unique(fingerprints_of(np.stack([plain, noisy])), axis=0)) == 1
    assert published_hash(plain) == published_hash(noisy)
    matrix, names = to_matrix(noisy)
    np.testing.assert_array_equal(matrix, [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert names == ("input", "conv3x3-bn-relu", "output")


def test_validity_is_a_path_and_nine_edges():
    archs = random_encodings(3000)
    expected = []
    for arch in archs:
        found = paths(arch)
        edges = {edge for path in found for edge in itertools.pairwise(path)}
        expected.append(bool(found) and len(edges) <= MAX_EDGES)
    np.testing.assert_array_equal(many(SPACE.is_valid)(archs), expected)
    assert 0.7 < np.mean(expected) < 0.77


def test_used_vertices_are_those_on_paths():
    archs = random_encodings(500)
    used = np.asarray(many(used_vertices)(archs))
    for arch, found in zip(archs, used, strict=True):
        on_paths = {v for path in paths(arch) for v in path}
        assert set(np.flatnonzero(found)) == on_paths
        np.testing.assert_array_equal(host_pruned(arch)[1], found)


def test_index_finds_every_cell_again():
    cells = spaces.nasbench101_cells()
    np.testing.assert_array_equal(many(SPACE.index, of_all=True)(cells), np.arange(len(cells)))
    archs = random_encodings(2000)
    rows = np.asarray(many(SPACE.index)(archs))
    valid = np.array([is_valid_on_host(a) for a in archs])
    np.testing.assert_array_equal(rows >= 0, valid)
    for arch, row in list(zip(archs[valid], rows[valid], strict=True))[:50]:
        assert published_hash(arch) == published_hash(cells[row])


@pytest.mark.statistical
def test_rejection_sampling_is_that_of_a_plain_loop():
    archs = np.asarray(many(SPACE.sample)(jax.random.split(jax.random.key(0), 20_000)))
    plain = random_encodings(40_000, seed=5)
    plain = plain[np.asarray(many(SPACE.is_valid)(plain))]
    for decision in range(26):
        counts = [np.bincount(x[:, decision], minlength=3) for x in (archs, plain)]
        kept = np.sum(counts, axis=0) > 0
        assert stats.chi2_contingency(np.array(counts)[:, kept]).pvalue > 1e-4
    edges = [np.bincount(x[:, :NUM_EDGES].sum(axis=1), minlength=22) for x in (archs, plain)]
    common = np.sum(edges, axis=0) > 20
    assert stats.chi2_contingency(np.array(edges)[:, common]).pvalue > 1e-4


@pytest.mark.statistical
def test_uniform_sampling_is_uniform_over_cells():
    uniform = spaces.nasbench101(sampling="uniform")
    archs = many(uniform.sample)(jax.random.split(jax.random.key(0), 40_000))
    rows = np.asarray(many(SPACE.index)(archs))
    bins = np.histogram(rows, np.linspace(0, SPACE.size, 101))[0]
    assert stats.chisquare(bins).pvalue > 5e-4
    assert stats.chisquare(np.bincount(rows % 8, minlength=8)).pvalue > 5e-4


@pytest.mark.statistical
@pytest.mark.parametrize(("mutation", "edge_rate", "rate"), [("per_vertex", 1 / 7, 1.0), ("per_edge", 2 / 21, 2.0)])
def test_mutation_is_that_of_a_plain_loop(mutation, edge_rate, rate):
    space = spaces.nasbench101(mutation=mutation, rate=rate)
    arch = SPACE.from_string("|conv3x3~0|conv1x1~0~1|maxpool3x3~2|conv3x3~3|conv1x1~1|output~4~5|")
    mutants = np.asarray(jax.jit(jax.vmap(space.mutate, (0, None)))(jax.random.split(jax.random.key(2), 8000), arch))
    generator = np.random.default_rng(3)
    flips = generator.random((30_000, NUM_EDGES)) < edge_rate
    turns = (generator.random((30_000, 5)) < rate / 5) * generator.integers(1, 3, (30_000, 5))
    changed = (arch + np.concatenate([flips, turns], axis=1)) % np.asarray(SPACE.num_choices)
    plain = changed[np.asarray(many(SPACE.is_valid)(changed.astype(np.int32)))]
    for decision in range(26):
        counts = np.array([np.bincount(x[:, decision], minlength=3) for x in (mutants, plain)])
        kept = np.sum(counts, axis=0) > 0
        assert kept.sum() == 1 or stats.chi2_contingency(counts[:, kept]).pvalue > 1e-4
    sizes = np.array([np.bincount((x != arch).sum(axis=1), minlength=27) for x in (mutants, plain)])
    assert stats.chi2_contingency(sizes[:, sizes.sum(axis=0) > 40]).pvalue > 1e-4


def test_neighbors_are_those_of_naszilla():
    archs = np.stack([a for a in random_encodings(60, seed=7) if is_valid_on_host(a)])
    for arch, found, valid in zip(archs, *map(np.asarray, many(SPACE.neighbors)(archs)), strict=True):
        matrix, used = host_pruned(arch)
        expected = set()
        for i, (source, target) in enumerate(EDGES):
            new = arch.copy()
            new[i] ^= 1
            graph, _ = host_pruned(new)
            if matrix[source, target] or graph[source, target]:
                expected.add(tuple(new))
        for v, choice in itertools.product(range(1, 6), range(3)):
            new = arch.copy()
            new[NUM_EDGES + v - 1] = choice
            if used[v] and choice != arch[NUM_EDGES + v - 1]:
                expected.add(tuple(new))
        expected = {new for new in expected if is_valid_on_host(np.array(new))}
        assert {tuple(new) for new in found[valid].tolist()} == expected


def test_the_cell_without_vertices_has_no_neighbors():
    _, valid = jax.jit(SPACE.neighbors)(SPACE.from_string("|output~0|"))
    assert not valid.any()


def test_specifications_round_trip():
    for arch in spaces.nasbench101_cells()[::20_000]:
        matrix, names = to_matrix(arch)
        again = from_matrix(matrix, names)
        np.testing.assert_array_equal(again, arch)  # cells of the enumeration are pruned and packed


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (np.eye(2, dtype=int), ["input", "output"], "not strictly upper triangular"),
        (np.zeros((3, 3), int), ["input", "output"], r"expected integers \[2, 2\]"),
        (np.zeros((8, 8), int), ["input", *["maxpool3x3"] * 6, "output"], "8 vertices, expected 2 to 7"),
        (np.array([[0, 2], [0, 0]]), ["input", "output"], "entries 0 and 1"),
        (np.array([[0, 1], [0, 0]]), ["output", "input"], "expected 'input' and 'output'"),
        (np.triu(np.ones((3, 3), int), 1), ["input", "conv5x5", "output"], "unknown operation 'conv5x5' at vertex 1"),
    ],
)
def test_wrong_specifications_are_refused(matrix, names, message):
    with pytest.raises(ValueError, match=message):
        from_matrix(matrix, names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("|conv3x3~0|", "then the output"),
        ("|conv3x3~2|output~1|", "edge from '2', expected an earlier vertex"),
        ("|conv3x3~0~0|output~1|", "two edges from 0"),
        ("|conv9x9~0|output~1|", "unknown operation 'conv9x9' at vertex 1"),
        ("|a|b|c|d|e|f|output|", "up to 5 vertices"),
    ],
)
def test_malformed_strings_say_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        SPACE.from_string(text)


def test_invalid_cells_have_no_published_hash():
    with pytest.raises(ValueError, match="no path from the input to the output"):
        published_hash(np.zeros(26, int))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sampling": "all"}, ValueError, "sampling is 'all', expected one of 'rejection', 'uniform'"),
        ({"mutation": "none"}, ValueError, "mutation is 'none', expected one of"),
        ({"rate": 0}, ValueError, "rate is 0, expected a number above 0"),
        ({"rate": "1"}, TypeError, "rate is '1', expected a number"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        spaces.nasbench101(**arguments)


def published_cells(shared_data) -> tuple[np.ndarray, np.ndarray]:
    """The cells int32 `[423624, 26]` and their hashes, in the order of the published table."""
    with np.load(shared_data / "nasbench101" / "nasbench101.npz") as file:
        hashes, vertices, bits, operations = (file[n] for n in ("hash", "num_vertices", "adjacency_bits", "ops"))
    matrix = np.zeros((len(bits), 7, 7), np.int32)
    place = np.where(np.arange(7)[None] == vertices[:, None] - 1, 6, np.arange(7)[None])
    rows = np.arange(len(bits))
    for number, (x, y) in enumerate((a, b) for b in range(7) for a in range(b)):
        there = (bits >> number) & 1 == 1
        matrix[rows[there], place[there, x], place[there, y]] = 1
    return np.concatenate([matrix[:, *np.triu_indices(7, 1)], np.maximum(operations, 0)], axis=1), hashes


def test_enumeration_is_the_published_table(shared_data):
    archs, hashes = published_cells(shared_data)
    assert np.all(many(SPACE.is_valid, of_all=True)(archs.astype(np.int8)))
    rows = np.asarray(many(SPACE.index, of_all=True)(archs.astype(np.int8)))
    np.testing.assert_array_equal(np.sort(rows), np.arange(SPACE.size))
    chosen = np.random.default_rng(0).choice(len(archs), 1000, replace=False)
    cells = spaces.nasbench101_cells()
    for i in chosen:
        assert published_hash(cells[rows[i]]) == hashes[i].decode()
    assert published_hash(archs[0]) == "00005c142e6f48ac74fdcf73e3439874"
    assert set(OPERATIONS) == {"conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"}
