"""What the report of a table shows of NAS-Bench-101: counts, locality, named cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import spaces
from jnas.spaces._registry import named_cells
from jnas.spaces.nasbench101._cells import pruned
from jnas.tables.report._nasbench101 import autocorrelation, graph_counts
from jnas.tables.report._report import table_report
from jnas.tables.report._summary import final_columns

SPACE = spaces.nasbench101()


@pytest.fixture(scope="module")
def small():
    """All cells of up to 5 vertices, better with more edges; every seventh without a number."""
    cells = spaces.nasbench101_cells()
    _, used = jax.jit(jax.vmap(pruned))(cells)
    cells = cells[np.asarray(used.sum(axis=1)) <= 5]
    accuracy = 80.0 + cells[:, :21].sum(axis=1) + 0.5 * (cells[:, 21:] == 0).sum(axis=1)
    accuracy = np.where(np.arange(len(cells)) % 7 == 3, np.nan, accuracy)
    return jnas.make_table(SPACE, archs=cells, accuracy={"test": accuracy}, dataset="cifar10", name="small")


def test_counts_by_vertices_and_edges(small):
    (column,) = final_columns(small)
    found = graph_counts(small, column)
    assert [(r.number, r.cells) for r in found["vertices"]] == [(2, 1), (3, 6), (4, 84), (5, 2441)]
    assert sum(r.known for r in found["vertices"]) == np.isfinite(column.values).sum()
    edges = small.archs[:, :21].sum(axis=1)
    for row in found["edges"]:
        here = column.values[edges == row.number]
        assert row.cells == len(here)
        assert row.mean == pytest.approx(np.nanmean(here))
        assert row.best == np.nanmax(here)


def test_autocorrelation_is_high_for_smooth_accuracies_and_none_for_noise(small):
    edges = small.archs[:, :21].sum(axis=1).astype(float)
    smooth = autocorrelation(small, edges, walks=300, steps=30)
    assert smooth.values[0] == pytest.approx(1)
    assert smooth.values[1] > 0.6
    assert smooth.values[1] > smooth.values[4] > smooth.values[10] - 0.1
    noise = autocorrelation(small, np.random.default_rng(0).normal(size=small.num_archs), walks=300, steps=30)
    assert noise.values[0] == pytest.approx(1)
    assert abs(noise.values[1]) < 0.15  # a cell may come again under another encoding
    assert noise.pairs[1] < noise.pairs[0]


def test_walks_go_to_neighbors(small):
    from jnas.tables.report._nasbench101 import _walk

    arch = jnp.asarray(SPACE.from_string("|conv3x3~0|conv1x1~0~1|output~2|"))
    archs = np.asarray(_walk(SPACE, jax.random.key(1), arch, 30))
    np.testing.assert_array_equal(archs[0], arch)
    are_valid, around, there = jax.device_get(
        jax.jit(jax.vmap(lambda arch: (SPACE.is_valid(arch), *SPACE.neighbors(arch))))(archs)
    )
    assert np.all(are_valid)
    for number, after in enumerate(archs[1:]):
        assert np.any(np.all(around[number][there[number]] == after, axis=1))


def test_report_has_the_section_for_this_space_alone(small):
    text = table_report(small)
    assert "The space of cells" in text
    assert "2,441" in text
    assert "Cells known by name" in text
    other = jnas.make_table(spaces.categorical((3, 3)), accuracy={"test": np.arange(9.0)})
    assert "The space of cells" not in table_report(other)


def test_named_cells_are_the_published_ones(shared_data):
    with np.load(shared_data / "nasbench101" / "nasbench101.npz") as file:
        hashes, parameters, accuracy = (
            file["hash"],
            file["trainable_parameters_computed"],
            file["test_accuracy_108_run0"],
        )
    from jnas.spaces.nasbench101._cells import published_hash

    named = named_cells(SPACE)
    rows = {
        n: int(np.flatnonzero(hashes == published_hash(SPACE.from_string(t)).encode())[0]) for n, t in named.items()
    }
    assert parameters[rows["Inception"]] == 2_694_282
    assert 92.5 < 100 * accuracy[rows["Inception"]] < 93.5
    assert 92.5 < 100 * accuracy[rows["ResNet"]] < 93.7
