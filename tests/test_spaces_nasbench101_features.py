"""NAS-Bench-101: what its cells look like to predictors, and to people."""

import itertools
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Graph
from jnas.spaces.nasbench101._cells import EDGES, host_pruned, nasbench101_from_string, nasbench101_to_string
from jnas.spaces.nasbench101._drawing import draw_nasbench101
from jnas.spaces.nasbench101._features import FEATURE_NAMES, NUM_PATHS, PATH_LENGTHS, nasbench101_features

CONV3, CONV1, POOL = range(3)
WIDTHS = {
    "one_hot": 36,
    "ordinal": 26,
    "adjacency": 26,
    "categorical_adjacency": 26,
    "continuous_adjacency": 27,
    "path": 364,
    "truncated_path": 40,
    "categorical_path": 20,
    "truncated_categorical_path": 20,
    "nasbot": 17,
}
RNG = np.random.default_rng(0)


def random_archs(count: int) -> np.ndarray:
    """Encodings, sparse and dense ones, valid or not, `[count, 26]`."""
    density = RNG.uniform(0.1, 0.9, (count, 1))
    edges = RNG.uniform(size=(count, 21)) < density
    return np.concatenate([edges, RNG.integers(0, 3, (count, 5))], axis=1).astype(np.int32)


# in -> 3x3 (1) -> pool (2) -> out, in -> pool, in -> out; vertex 3 is 1x1 and hangs at the pool
MIXED = nasbench101_from_string("|conv3x3~0|maxpool3x3~0~1|conv1x1~2|conv3x3|conv3x3|output~0~2|")
CHAIN = nasbench101_from_string("|maxpool3x3~0|maxpool3x3~1|maxpool3x3~2|maxpool3x3~3|maxpool3x3~4|output~5|")
TWINS = nasbench101_from_string("|conv1x1~0|conv1x1~0|output~1~2|")
ARCHS = np.concatenate([random_archs(1500), [MIXED, CHAIN, TWINS, np.zeros(26, np.int32)]])


@pytest.fixture(scope="module")
def encoded() -> dict:
    """Each encoding of all `ARCHS`, made in one program."""
    return jax.jit(jax.vmap(lambda arch: {name: nasbench101_features(arch, name) for name in FEATURE_NAMES}))(ARCHS)


def plain_paths(arch) -> list[int]:
    """The indices of all paths from the input to the output, by walking along the edges."""
    there = {edge for edge, bit in zip(EDGES, arch, strict=False) if bit}
    found, ways = [], [(0,)]
    while ways:
        way = ways.pop()
        if way[-1] == 6:
            found.append(sum(3**i * (arch[21 + v - 1] + 1) for i, v in enumerate(way[1:-1])))
        ways += [(*way, v) for v in range(7) if (way[-1], v) in there]
    return sorted(int(i) for i in found)


def padded(values, length) -> list:
    return [*values, *[0] * length][:length]


def test_names_shapes_and_types(encoded):
    assert {*WIDTHS, "graph"} == set(FEATURE_NAMES)
    for name, width in WIDTHS.items():
        assert (encoded[name].shape, encoded[name].dtype) == ((len(ARCHS), width), jnp.float32)
    graph = encoded["graph"]
    assert isinstance(graph, Graph)
    assert (graph.nodes.shape, graph.nodes.dtype) == ((len(ARCHS), 7, 5), jnp.float32)
    assert (graph.adjacency.shape, graph.adjacency.dtype) == ((len(ARCHS), 7, 7), jnp.float32)


def test_one_architecture_is_encoded_as_a_batch_is(encoded):
    encode = jax.jit(lambda arch: {name: nasbench101_features(arch, name) for name in FEATURE_NAMES})
    for i in (0, 700):
        alone = encode(jnp.asarray(ARCHS[i]))
        jax.tree.map(lambda one, many, i=i: np.testing.assert_array_equal(one, many[i]), alone, encoded)


@pytest.mark.parametrize("name", ["path", "graph"])
def test_batches_of_batches(name, encoded):
    nested = jax.jit(jax.vmap(jax.vmap(lambda arch: nasbench101_features(arch, name))))(ARCHS[:6].reshape(2, 3, 26))
    flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(6, *leaf.shape[2:]), nested)
    jax.tree.map(lambda one, many: np.testing.assert_array_equal(one, many[:6]), flat, encoded[name])


def test_a_cell_worked_out_by_hand(encoded):
    bits = [1, 1, 0, 0, 0, 1] + [1, 0, 0, 0, 0] + [1, 0, 0, 1] + [0] * 6
    scalars = [0.5, 1, 0, 0.5, 0.5]
    places = [0, 3, 1 + 3 * 3]  # the direct edge; the pool alone: 2 + 1; then (3x3, pool): (0 + 1) + 3 (2 + 1)
    expected = {
        "one_hot": bits + [1, 0, 0] + [0, 0, 1] + [0, 1, 0] + [1, 0, 0] * 2,
        "ordinal": [*bits, CONV3, POOL, CONV1, CONV3, CONV3],
        "adjacency": bits + scalars,
        "categorical_adjacency": padded([0, 1, 5, 6, 11, 14], 21) + scalars,
        "continuous_adjacency": [*bits, *scalars, 6],
        "path": [float(i in places) for i in range(364)],
        "truncated_path": [float(i in places) for i in range(40)],
        "categorical_path": padded(places, 20),
        "truncated_categorical_path": padded(places, 20),
        "nasbot": [0, 0, 0, 0, 1, 1, 3, 0, 0, 0, 0, 1, 2, 2, 1, 0, 1],  # the 1x1 is pruned
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(encoded[name][-4], np.float32(values), name)
    nodes, adjacency = encoded["graph"].nodes[-4], encoded["graph"].adjacency[-4]
    kinds = [1, 2, 4, None, None, None, 0]  # of output, input, 3x3, 1x1, pool
    np.testing.assert_array_equal(nodes, [[float(kind == k) for k in range(5)] for kind in kinds])
    assert sorted(map(tuple, np.argwhere(adjacency).tolist())) == [(0, 1), (0, 2), (0, 6), (1, 2), (2, 6)]


def test_paths_of_a_chain_of_parallel_operations_and_of_nothing(encoded):
    chain, twins, nothing = (jax.tree.map(lambda leaf, i=i: leaf[i], encoded) for i in (-3, -2, -1))
    assert np.flatnonzero(chain["path"]).tolist() == [363]
    assert not np.any(chain["truncated_path"])
    assert chain["categorical_path"].tolist() == padded([363], 20)
    assert not np.any(chain["truncated_categorical_path"])
    assert np.flatnonzero(twins["path"]).tolist() == [2]
    assert twins["categorical_path"].tolist() == padded([2, 2], 20)  # one for each way
    assert not np.any(nothing["path"])
    assert not np.any(nothing["graph"].nodes)


def test_number_of_paths():
    assert NUM_PATHS == 364
    assert [PATH_LENGTHS.count(length) for length in range(6)] == [1, 3, 9, 27, 81, 243]


def test_path_encodings_are_those_of_a_plain_walk(encoded):
    for i, arch in enumerate(ARCHS):
        paths = plain_paths(arch)
        assert np.flatnonzero(encoded["path"][i]).tolist() == sorted(set(paths))
        assert np.flatnonzero(encoded["truncated_path"][i]).tolist() == [p for p in sorted(set(paths)) if p < 40]
        assert encoded["categorical_path"][i].tolist() == padded(paths, 20)
        assert encoded["truncated_categorical_path"][i].tolist() == padded([p for p in paths if p < 40], 20)


def test_adjacency_encodings_are_those_of_plain_loops(encoded):
    for i, arch in enumerate(ARCHS[:400]):
        scalars = [{CONV3: 0.5, CONV1: 0.0, POOL: 1.0}[int(o)] for o in arch[21:]]
        bits = arch[:21].tolist()
        assert encoded["adjacency"][i].tolist() == bits + scalars
        listed = padded([j for j, bit in enumerate(bits) if bit], 21)
        assert encoded["categorical_adjacency"][i].tolist() == listed + scalars
        assert encoded["continuous_adjacency"][i].tolist() == [*bits, *scalars, sum(bits)]
        assert encoded["one_hot"][i].tolist() == bits + [float(o == k) for o in arch[21:] for k in range(3)]


def test_graphs_are_the_pruned_cells(encoded):
    for i, arch in enumerate(ARCHS[:400]):
        matrix, used = host_pruned(arch)
        nodes, adjacency = encoded["graph"].nodes[i], encoded["graph"].adjacency[i]
        np.testing.assert_array_equal(adjacency, matrix)
        kinds = [1, *(int(o) + 2 for o in arch[21:]), 0]
        np.testing.assert_array_equal(nodes, np.eye(5)[kinds] * used[:, None])


def test_nasbot_counts_the_degrees_and_operations_of_the_pruned_cell(encoded):
    for i, arch in enumerate(ARCHS[:400]):
        matrix, used = host_pruned(arch)
        operations = [sum(arch[20 + v] == k and used[v] for v in range(1, 6)) for k in range(3)]
        expected = [*np.sort(np.sum(matrix, axis=1)), *np.sort(np.sum(matrix, axis=0)), *operations]
        np.testing.assert_array_equal(encoded["nasbot"][i], expected)


def test_path_encodings_do_not_depend_on_the_order_of_vertices(encoded):
    rows, others = [], []
    for i, arch in enumerate(ARCHS):
        order = (0, *(int(v) for v in RNG.permutation(range(1, 6))), 6)
        ends = [(order[a], order[b]) for (a, b), bit in zip(EDGES, arch, strict=False) if bit]
        if any(a > b for a, b in ends):
            continue  # not an order in which edges go from earlier to later vertices
        other = np.zeros(26, np.int32)
        other[[EDGES.index(edge) for edge in ends]] = 1
        other[[20 + order[v] for v in range(1, 6)]] = arch[21:]
        if not np.array_equal(arch, other):
            rows.append(i)
            others.append(other)
    assert len(rows) >= 50
    for name in ("path", "categorical_path"):
        again = jax.jit(jax.vmap(lambda arch, name=name: nasbench101_features(arch, name)))(np.array(others))
        np.testing.assert_array_equal(encoded[name][np.array(rows)], again)


def test_adjacency_encodings_tell_all_architectures_apart(encoded):
    distinct = len(np.unique(ARCHS, axis=0))
    for name in ("one_hot", "ordinal", "adjacency", "continuous_adjacency"):
        assert len(np.unique(np.asarray(encoded[name]), axis=0)) == distinct


def test_unknown_features_are_refused():
    with pytest.raises(ValueError, match="'colour', expected one of 'one_hot'"):
        nasbench101_features(jnp.asarray(ARCHS[0]), "colour")


# Drawings


CELLS = [
    nasbench101_from_string(text)
    for text in (
        "|output~0|",
        "|conv3x3~0|output~0~1|",
        "|conv1x1~0|conv3x3~0|maxpool3x3~0|conv1x1~0|output~0~1~2~3~4|",
        "|conv1x1~0|conv3x3~1|maxpool3x3~2|conv1x1~3|conv3x3~4|output~0~1~2~5|",
    )
]
CELLS += [arch for arch in random_archs(200) if 5 <= host_pruned(arch)[0].sum() <= 9][:20]
LABELS = ("3×3 conv", "1×1 conv", "3×3 max pool")


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


def boxes(svg: str) -> np.ndarray:
    """(left, top, right, bottom) of the input, the output and the vertices between, in their order `[V, 4]`."""
    found = []
    for circle in elements(svg, "circle"):
        x, y, r = (float(circle.get(name)) for name in ("cx", "cy", "r"))
        found.append((x - r, y - r, x + r, y + r))
    for rect in elements(svg, "rect"):
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return np.array([found[0], *found[2:], found[1]])


def lines(svg: str) -> list[np.ndarray]:
    """Points along each edge `[n, 2]`."""
    found = []
    for path in elements(svg, "path"):
        if path.get("fill") != "none":
            continue
        start, *rest = path.get("d")[1:].replace("C", ";C").replace("L", ";L").split(";")
        here, points = np.array(start.split(","), float), []
        for piece in rest:
            ends = [here, *(np.array(point.split(","), float) for point in piece[1:].split())]
            t = np.linspace(0, 1, 60)[:, None]
            while len(ends) > 1:  # de Casteljau
                ends = [(1 - t) * a + t * b for a, b in itertools.pairwise(ends)]
            points.append(ends[0])
            here = ends[0][-1]
        found.append(np.concatenate(points))
    return found


@pytest.mark.parametrize("cell", CELLS, ids=nasbench101_to_string)
def test_drawings_show_the_pruned_cell(cell):
    svg = draw_nasbench101(cell)
    matrix, used = host_pruned(cell)
    texts = [text.text for text in elements(svg, "text")]
    interior = [v for v in range(1, 6) if used[v]]
    expected = ["in", "out", *(LABELS[cell[20 + v]] for v in interior), *map(str, interior)]
    assert sorted(texts) == sorted(expected)
    assert ElementTree.fromstring(svg).find("{*}title").text == nasbench101_to_string(cell)
    places = boxes(svg)
    names = [v for v in range(7) if used[v]]
    drawn = []
    for line in lines(svg):
        start, end = line[0], line[-1]
        distances = [np.hypot(*(np.maximum(np.maximum(b[:2] - p, p - b[2:]), 0))) for p in (start, end) for b in places]
        drawn.append((names[int(np.argmin(distances[: len(names)]))], names[int(np.argmin(distances[len(names) :]))]))
    assert sorted(drawn) == sorted(map(tuple, np.argwhere(matrix).tolist()))


@pytest.mark.parametrize("cell", CELLS, ids=nasbench101_to_string)
def test_edges_do_not_run_through_vertices(cell):
    svg = draw_nasbench101(cell)
    places = boxes(svg)
    _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    for left, top, right, bottom in places:
        assert 4 <= left < right <= width - 4
        assert 4 <= top < bottom <= height - 4
    for one, other in itertools.combinations(places, 2):
        assert max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3]) > 8
    for line in lines(svg):
        middle = line[3:-3]  # the ends touch what they join
        for left, top, right, bottom in places[1:-1]:
            inside = (left - 2 < middle[:, 0]) & (middle[:, 0] < right + 2)
            assert not np.any(inside & (top - 2 < middle[:, 1]) & (middle[:, 1] < bottom + 2))
        assert line[:, 1].min() > 4
        assert line[:, 1].max() < height - 4


@pytest.mark.parametrize("cell", CELLS, ids=nasbench101_to_string)
def test_edges_do_not_cross_beside_the_vertex_that_they_share(cell):
    drawn = lines(draw_nasbench101(cell))
    starts = [(line[0], line[59]) for line in drawn]  # a line's first and last curve have 60 points
    ends = [(line[-1], line[-60]) for line in drawn]
    for pairs in (starts, ends):
        for (one, one_on), (other, other_on) in itertools.combinations(pairs, 2):
            if abs(one[0] - other[0]) < 30 and abs(one[1] - other[1]) < 50 and abs(one_on[0] - other_on[0]) < 30:
                assert (one[1] - other[1]) * (one_on[1] - other_on[1]) >= 0


def test_arrows_at_one_vertex_keep_apart():
    svg = draw_nasbench101(CELLS[2])
    tips = sorted(line[-1][1] for line in lines(svg))
    assert len(tips) == 9
    arriving = sorted(line[-1][1] for line in lines(svg) if line[-1][0] > boxes(svg)[1][2])
    assert min(np.diff(arriving)) > 7.5


def test_a_cell_without_a_path_is_its_two_ends():
    svg = draw_nasbench101(np.zeros(26, int))
    assert [text.text for text in elements(svg, "text")] == ["in", "out"]
    assert not lines(svg)


def test_the_fullest_architecture_can_be_drawn():
    assert len(lines(draw_nasbench101(np.repeat([1, 0], [21, 5])))) == 21


def test_operations_differ_in_colour_and_in_black_and_white():
    looks = [
        {
            name: elements(draw_nasbench101(nasbench101_from_string(f"|{name_}~0|output~1|")), "rect")[0].get(name)
            for name in ("stroke", "stroke-width", "stroke-dasharray")
        }
        for name_ in ("conv3x3", "conv1x1", "maxpool3x3")
    ]
    assert len({look["stroke"] for look in looks}) == 3
    assert len({(look["stroke-width"], look["stroke-dasharray"]) for look in looks}) == 3


def test_drawings_are_self_contained():
    svg = draw_nasbench101(CELLS[-1])
    for outside in ("href", "url(", "<style", "<script", " id=", "<image"):  # ids would clash within one page
        assert outside not in svg


def test_only_architectures_are_drawn():
    with pytest.raises(TypeError, match="expected integers"):
        draw_nasbench101(np.zeros(26))
    with pytest.raises(ValueError, match="expected one architecture of shape"):
        draw_nasbench101(np.zeros(27, int))
