"""Parts of NAS-Bench-101: cells of few vertices, NAS-Bench-1Shot1, what released samplers can express."""

import argparse
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import spaces
from jnas.commands._build import _table_space
from jnas.commands._cli import main
from jnas.spaces._registry import named_cells, released, to_cell, up_to_vertices
from jnas.spaces.nasbench101._cells import EDGES, NUM_EDGES, fingerprint, host_pruned

FIVE = spaces.nasbench101("uniform", max_vertices=5)
CELLS = spaces.nasbench101_cells(5)
RANDOM = np.random.default_rng(0)
ACCURACY = {"validation": RANDOM.uniform(50, 90, len(CELLS)), "test": RANDOM.uniform(50, 90, len(CELLS))}


@functools.cache
def table() -> jnas.Table:
    """Of the whole space, with numbers of its 2,532 smallest cells."""
    return jnas.make_table(spaces.nasbench101(), archs=CELLS, accuracy=ACCURACY, train_seconds=10.0)


def test_sub_spaces_have_the_published_numbers_of_cells():
    sizes = [spaces.nasbench101(max_vertices=v).size for v in range(3, 8)]
    assert sizes == [7, 91, 2_532, 64_542, 423_624]
    assert [len(spaces.nasbench101_cells(v)) for v in (2, 3, 4)] == [1, 7, 91]
    np.testing.assert_array_equal(CELLS[:91], spaces.nasbench101_cells(4))
    assert max(host_pruned(cell)[1].sum() for cell in CELLS[::25]) == 5


def test_the_whole_space_is_the_sub_space_of_seven():
    assert spaces.nasbench101(max_vertices=7) is spaces.nasbench101()
    assert "max_vertices" not in spaces.nasbench101().config
    assert spaces.from_config(FIVE.config) is FIVE


def test_an_index_is_that_of_the_whole_space_for_any_encoding():
    arch = FIVE.from_string("|conv3x3|conv3x3~0|maxpool3x3|conv1x1~2|conv3x3~0|output~4~5|")  # of vertices 2, 4 and 5
    spelled = FIVE.from_string("|conv3x3~0|conv1x1~1|conv3x3~0|output~2~3|")
    np.testing.assert_array_equal(arch, spelled)
    row = int(FIVE.index(arch))
    assert (np.asarray(FIVE.from_index(row))[:NUM_EDGES] > 0).sum() == 5
    np.testing.assert_array_equal(fingerprint(jnp.asarray(CELLS[row], jnp.int32)), fingerprint(jnp.asarray(arch)))


def test_cells_outside_are_refused():
    with pytest.raises(ValueError, match="6 vertices, input and output among them, expected at most 5"):
        FIVE.from_string("|conv3x3~0|conv1x1~1|conv3x3~2|conv3x3~3|conv3x3|output~4|")
    assert set(named_cells(FIVE)) == {"ResNet"}
    assert set(named_cells(spaces.nasbench101())) == {"ResNet", "Inception"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_vertices": 2}, ValueError, "max_vertices is 2, expected 3 to 7"),
        ({"max_vertices": 5.0}, TypeError, "max_vertices is 5.0, expected a Python int"),
        ({"sampling": "path", "max_vertices": 5}, ValueError, "sampling is 'path', .* for cells of up to 5 vertices"),
        ({"mutation": "path", "max_vertices": 5}, ValueError, "mutation is 'path', .* for cells of up to 5 vertices"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        spaces.nasbench101(**arguments)


@pytest.mark.statistical
def test_small_cells_are_drawn_uniformly():
    four = spaces.nasbench101("uniform", max_vertices=4)
    draw = jax.jit(jax.vmap(lambda key: four.index(four.sample(key))))
    counts = np.bincount(np.asarray(draw(jax.random.split(jax.random.key(0), 9_100))), minlength=91)
    assert counts.shape == (91,)
    assert np.sum((counts - 100) ** 2 / 100) < 90 + 4 * np.sqrt(180)  # a chi-square of 90 degrees of freedom


@pytest.mark.parametrize(
    ("sampler", "numbers"),
    [("enas", (15, 82, 495, 3_123)), ("nao", (15,)), ("darts", (19, 101, 596, 596)), ("fbnet", (19,))],
)
def test_released_samplers_reach_few_cells(sampler, numbers):
    found = [spaces.reachable_cells(sampler, 4 + i) for i in range(len(numbers))]
    assert [len(cells) for cells in found] == list(numbers)
    assert np.asarray(jax.vmap(FIVE.is_valid)(found[0])).all()


def test_released_decisions_make_the_cells_of_the_released_code():
    """ENAS's loose ends go to the output; DARTS wires every vertex to it."""
    cases = {
        "enas": ([0, 2, 0, 1, 2, 0], {(0, 1), (0, 2), (2, 3), (1, 6), (3, 6)}),
        "darts": ([1, 2, 0, 1, 3, 0], {(0, 1), (2, 3), (0, 6), (1, 6), (2, 6), (3, 6)}),
    }
    for sampler, (decisions, edges) in cases.items():
        arch = np.asarray(jax.jit(spaces.released_decisions(sampler, 5).to_arch)(jnp.asarray(decisions)))
        assert {edge for edge, bit in zip(EDGES, arch, strict=False) if bit} == edges
        assert arch[NUM_EDGES:].tolist() == [2, 1, 0, 0, 0]


def test_what_is_reachable_of_a_table():
    small = jnas.reachable_part(jnas.table_in_space(table(), FIVE), "enas", dataset="data", split="test", epochs=1)
    assert small.num_reachable == 82
    with pytest.raises(ValueError, match="no accuracy of what enas can express"):  # of seven vertices: it uses all
        jnas.reachable_part(table(), "enas", dataset="data", split="test", epochs=1)
    rows = np.asarray(jax.vmap(FIVE.index)(spaces.reachable_cells("enas", 5)))
    own = ACCURACY["test"][rows]
    assert small.best == pytest.approx(own.max())
    assert small.mean == pytest.approx(own.mean())
    assert small.rank == 1 + (ACCURACY["test"] > own.max()).sum()
    assert small.num_archs == 2_532
    with pytest.raises(ValueError, match="'nasbench201' has no released sampler, expected nasbench101"):
        released(spaces.nasbench201(), "enas")
    with pytest.raises(ValueError, match="sampler is 'spos', expected one of 'enas'"):
        spaces.released_decisions("spos")


@pytest.mark.parametrize(("number", "raw", "distinct"), [(1, 14_580, 2_685), (2, 29_160, 7_773), (3, 1_312_200, None)])
def test_spaces_of_one_shot(number, raw, distinct):
    space = getattr(spaces, f"nasbench1shot1_{number}")()
    assert space.size == raw
    cell = to_cell(space)
    rows = np.linspace(0, raw - 1, 200).astype(np.int32)
    cells = np.asarray(jax.jit(jax.vmap(lambda row: cell(space.from_index(row))))(rows))
    parents, output = {1: ((1, 2, 2, 2), 2), 2: ((1, 1, 2, 2), 3), 3: ((1, 1, 1, 2, 2), 2)}[number]
    for arch in cells:
        reads = np.bincount([t for (_, t), bit in zip(EDGES, arch, strict=False) if bit], minlength=7)
        assert reads.tolist() == [0, *parents, *[0] * (5 - len(parents)), output]
    if distinct is not None:
        words = jax.jit(jax.vmap(lambda row: space.fingerprint(space.from_index(row))))(jnp.arange(raw))
        assert len(np.unique(np.asarray(words), axis=0)) == distinct


def test_one_shot_reads_pruned_cells():
    space = spaces.nasbench1shot1_1()
    arch = space.from_string("|conv3x3~0|output~0~1|")
    expected = spaces.nasbench101().fingerprint(spaces.nasbench101().from_string("|conv3x3~0|output~0~1|"))
    np.testing.assert_array_equal(space.fingerprint(jnp.asarray(arch)), expected)
    with pytest.raises(ValueError, match="is no cell of nasbench1shot1_1, expected one in which vertices read 1, 2"):
        space.from_string("|conv3x3~0|output~1|")


def test_a_table_is_read_for_its_parts():
    four = jnas.table_in_space(table(), up_to_vertices("nasbench101", 4))
    assert four.num_archs == 91
    for split in ("validation", "test"):
        found = four.accuracy(four.archs, dataset="data", split=split, epochs=1, seed="mean")
        np.testing.assert_allclose(found, ACCURACY[split][:91], rtol=1e-6)
    assert "read for nasbench101 with up to 4 vertices: 91 architectures" in four.header.notes[-1]
    assert int(four.index(CELLS[200].astype(np.int32))) == -1


def test_one_shot_spaces_are_read_from_a_table_of_cells():
    space = spaces.nasbench1shot1_1()
    part = jnas.table_in_space(table(), space, partly=True)  # the cells of up to five vertices
    assert 1_000 < part.num_archs < 14_580
    words = np.asarray(jax.jit(jax.vmap(space.fingerprint))(part.archs.astype(np.int32)))
    cells = np.asarray(jax.jit(jax.vmap(fingerprint))(CELLS.astype(np.int32)))
    row_of = {tuple(word): row for row, word in enumerate(cells)}
    found = part.accuracy(part.archs, dataset="data", split="test", epochs=1, seed="mean")
    np.testing.assert_allclose(found, ACCURACY["test"][[row_of[tuple(word)] for word in words]], rtol=1e-6)


def test_tables_that_lack_cells_are_refused():
    with pytest.raises(ValueError, match="has 2,532 of the 64,542 architectures of nasbench101 with up to 6 vertices"):
        jnas.table_in_space(table(), up_to_vertices("nasbench101", 6))
    with pytest.raises(ValueError, match="is of the space 'nasbench201', whose architectures are not those of"):
        jnas.table_in_space(jnas.load_table(), FIVE)
    with pytest.raises(ValueError, match="chooses among the cells of nasbench101, not of nasbench201"):
        up_to_vertices("nasbench201", 5)


def test_tables_of_few_vertices_are_of_their_sub_space():
    chosen = {v: _table_space(argparse.Namespace(space="nasbench101", vertices=v)) for v in (None, 5, 7)}
    assert chosen == {None: None, 5: FIVE, 7: None}


def test_studies_search_among_cells_of_few_vertices(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jnas.save_table(table(), "t.npz")
    words = ["study", "--table", "t.npz", "--searchers", "random_search", "--num-seeds", "3", "--max-evaluations", "5"]
    assert main([*words, "--vertices", "4", "--out", "four"]) == 0
    assert "91 architectures" in (tmp_path / "four" / "report.html").read_text()
    capsys.readouterr()
    assert main([*words, "--space", "nasbench1shot1_1", "--among", "known", "--out", "shot"]) == 0
    assert "read for nasbench1shot1_1" in (tmp_path / "shot" / "report.html").read_text()
    capsys.readouterr()
    assert main([*words, "--vertices", "6"]) == 2
    assert "of the 64,542 architectures" in capsys.readouterr().err
