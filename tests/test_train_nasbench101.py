"""NAS-Bench-101 on the command line: `jnas train`, `jnas table build`, and weights as files."""

import contextlib
import csv
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import load_table, training
from jnas.commands import _build, _train
from jnas.commands._cli import main
from jnas.io._archive import read_archive, write_archive
from jnas.spaces import nasbench101, nasbench101_cells
from jnas.spaces.nasbench101._cells import nasbench101_from_string, nasbench101_to_string
from jnas.tables._named_cells import find_cells, read_cells
from jnas.training import Weights, evaluate, load_weights, make_network, save_weights
from jnas.training.networks.nasbench101 import _network, _weights
from jnas.training.runs import _jobs

CELLS = ("|conv3x3~0|maxpool3x3~0~1|output~1~2|", "|conv1x1~0|output~1|")
# Both kinds of convolution, pooling, vertices before the output that share 5 channels unevenly, one that is pruned, and
# edges from the input to vertices and to the output.
VARIED = nasbench101_from_string("|conv3x3~0|conv1x1~0~1|conv3x3~0|maxpool3x3~0~1|output~0~2~4|")
SMALL = (
    "--dataset",
    "tiny.npz",
    "--recipe",
    "small101-12",
    "--epochs=1",
    "--channels=4",
    "--batch-size=16",
    "--seeds=2",
)
RECIPE = training.get_recipe("small101-12", epochs=1, channels=4, batch_size=16)


def write_dataset(path):
    rng = np.random.default_rng(0)
    labels = np.arange(32) % 2
    pixels = (rng.integers(0, 120, (32, 4, 4, 1)) + 100 * labels[:, None, None, None]).astype(np.uint8)
    splits = {"train": slice(16), "validation": slice(16, 24), "test": slice(24, 32)}
    arrays = {f"{split}_images": pixels[rows] for split, rows in splits.items()}
    np.savez(path, **arrays, **{f"{split}_labels": labels[rows] for split, rows in splits.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("nasbench101")
    write_dataset(path / "tiny.npz")
    (path / "cells.txt").write_text("\n".join(CELLS))
    return path


PROGRAMS = {}
"""Those of training runs, by their recipe: both commands train alike."""


def run(folder, *words):
    """Runs a command. Its network has one program for all cells with concatenated vertices, of which it compiles four.

    The four of them are those of a plain network in the tests of networks. What is timed is a linear layer: that a
    network's epochs are timed is seen where cells of NAS-Bench-201 are.
    """

    def compiled(recipe, network, *told, make=_jobs.JobPrograms):
        return PROGRAMS.setdefault(recipe, make(recipe, network, *told))

    def measured(plan, dataset, recipe, network, measure=_build.measure_seconds):
        def linear(parameters, _, arch, images):
            logits = images.mean((1, 2, 3))[:, None] * parameters.head.kernel.mean(1)[None]
            return logits, network.init(jax.random.key(0), arch)[1]

        return measure(plan, dataset, recipe, network._replace(apply=linear, specialize=None))

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.chdir(folder)
        patch.setattr(_network, "_MOST_PROGRAMS", 2)
        patch.setattr(_jobs, "JobPrograms", compiled)
        patch.setattr(_build, "measure_seconds", measured)
        for command in (_build, _train):
            patch.setattr(command, "prepare_devices", lambda options, most=None: None)
        assert main([*map(str, words)]) == 0
    return said.getvalue()


@pytest.fixture(scope="class")
def one_stack():
    """Networks of one stack, a third to compile; files of weights below are of three."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (_network, _weights):
            patch.setattr(module, "NUM_STACKS", 1)
        yield


@pytest.fixture(scope="class")
def trained(folder, one_stack):
    """A cell by its string and one by its index."""
    return run(folder, "train", CELLS[0], "2", "--space", "nasbench101", *SMALL, "--out", "runs")


@pytest.mark.slow
class TestTrain:
    def test_it_says_what_it_does(self, trained):
        lines = trained.splitlines()
        assert lines[0] == (
            "2 architectures x 2 seeds on tiny (train 16, validation 8, test 8); recipe small101-12: 1 epoch, "
            "4 channels, 1 cell in each stage, batches of 16"
        )
        rows = [line.split() for line in lines if line.startswith("|")]
        assert [row[:2] for row in rows] == [
            [
                nasbench101_to_string(nasbench101_from_string(CELLS[0])),
                f"#{int(nasbench101().index(nasbench101_from_string(CELLS[0])))}",
            ],
            [nasbench101_to_string(nasbench101_cells()[2]), "#2"],
        ]

    def test_every_curve_is_that_of_the_weights_beside_it(self, folder, trained):
        """The other form of the network gives the accuracy that the command measured."""
        rows = list(csv.DictReader((folder / "runs/curves.csv").read_text().splitlines()))
        assert len(rows) == 2 * 2 * 3  # cells, seeds, splits
        assert [row["seed"] for row in rows[::3]] == ["0", "1"] * 2
        assert len({row["loss"] for row in rows}) == len(rows)
        dataset = training.load_dataset(str(folder / "tiny.npz"))
        for name in sorted({row["arch"] for row in rows}):
            network = make_network(dataset, RECIPE, "static", nasbench101_from_string(name), space="nasbench101")
            measure = jax.jit(
                lambda weights, arch, network=network: evaluate(weights, arch, dataset, "validation", RECIPE, network)
            )
            for row in (row for row in rows if (row["arch"], row["split"]) == (name, "validation")):
                found = load_weights(folder / f"runs/weights/{int(row['index']):05d}-seed-{row['seed']}.npz")
                assert (nasbench101_to_string(found.arch), found.space, found.recipe) == (name, "nasbench101", RECIPE)
                expected = [float(row["accuracy_percent"]), float(row["loss"])]
                np.testing.assert_allclose(measure(found.weights, found.arch), expected, rtol=1e-4)

    def test_a_table_of_listed_cells_is_built(self, folder, trained):
        words = f"table build -o t.npz --space nasbench101 --archs cells.txt --chunk 4 {' '.join(SMALL)}".split()
        assert "4 runs of 2 cells on tiny, 1 epoch each" in run(folder, *words)
        table = load_table(folder / "t.npz")
        assert (table.space.name, table.num_archs) == ("nasbench101", 2)
        rows = list(csv.DictReader((folder / "runs/curves.csv").read_text().splitlines()))
        trained_before = {(r["split"], r["seed"]): float(r["accuracy_percent"]) for r in rows[:6]}
        for (split, seed), accuracy in trained_before.items():
            asked = {"dataset": "tiny", "split": split, "epochs": 1, "seed": int(seed)}
            found = table.accuracy(jnp.asarray(nasbench101_from_string(CELLS[0]))[None], **asked)
            np.testing.assert_allclose(found, [accuracy], rtol=1e-6)


# Which cells are meant.


def test_indices_are_rows_of_the_cells_and_isomorphic_cells_are_trained_once():
    space, cells = nasbench101(), nasbench101_cells()
    first, second = "|conv3x3~0|conv1x1~0|output~1~2|", "|conv1x1~0|conv3x3~0|output~1~2|"
    found = find_cells(read_cells(["#5000", first, "423623", second, "5000"], space), space)
    assert list(found) == [5000, int(space.index(nasbench101_from_string(second))), 423623]
    for (number, arch), text in zip(found.items(), (None, first, None), strict=True):
        np.testing.assert_array_equal(arch, cells[number] if text is None else nasbench101_from_string(text))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("423624", "the index 423624 is not of nasbench101, whose indices are 0 to 423,623"),
        ("|conv5x5~0|output~1|", "unknown operation 'conv5x5' at vertex 1"),
        ("nonsense", "'nonsense' is no architecture of nasbench101 that has a name, expected one of ResNet, "),
        ("|conv3x3~0|output|", "has no path from the input to the output, expected a valid cell"),
        (
            "|conv3x3~0|conv3x3~0~1|conv3x3~0~1~2|conv3x3~0~1~2~3|output~4|",
            "has 11 edges on paths from the input to the output, expected at most 9",
        ),
    ],
)
def test_what_is_no_cell_is_told_in_a_sentence(word, told, capsys, tmp_path):
    assert main(["train", "1", word, "--space", "nasbench101", "--out", str(tmp_path / "runs")]) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert (out, err.count("\n")) == ("", 1)
    assert not (tmp_path / "runs").exists()


def test_a_table_needs_both_splits_before_any_work(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_build, "prepare_devices", lambda options: None)
    with np.load(folder / "tiny.npz") as file:
        np.savez(tmp_path / "small.npz", **{name: file[name] for name in file.files if "test" not in name})
    assert main(["table", "build", "-o", str(tmp_path / "t.npz"), "--dataset", str(tmp_path / "small.npz")]) == 2
    assert "'small' lacks a validation or a test split, and a table needs both" in capsys.readouterr().err


# Weights.


@pytest.fixture(scope="module")
def varied(folder):
    """A network with every number its own, in two modules a stack."""
    dataset = training.load_dataset(str(folder / "tiny.npz"))
    recipe = RECIPE._replace(channels=5, cells=2)
    network = make_network(dataset, recipe, "static", VARIED, space="nasbench101")
    rng = np.random.default_rng(0)
    parameters, statistics = jax.eval_shape(network.init, jax.random.key(0), VARIED)
    draw = lambda x, has: np.where(has, rng.normal(size=x.shape), 0).astype(np.float32)  # noqa: E731
    statistics = jax.tree.map(lambda x: np.abs(rng.normal(size=x.shape)).astype(np.float32), statistics)
    return dataset, recipe, network, Weights(jax.tree.map(draw, parameters, network.has(VARIED)), statistics)


def test_weights_come_back(varied, tmp_path):
    """Everything that the cell has, and no more: as many numbers as it has parameters."""
    dataset, recipe, network, weights = varied
    save_weights(tmp_path / "w.npz", nasbench101_to_string(VARIED), weights, dataset, recipe)
    found = load_weights(tmp_path / "w.npz")
    assert jax.tree.structure(found.weights) == jax.tree.structure(weights)
    jax.tree.map(np.testing.assert_array_equal, found.weights.parameters, weights.parameters)
    np.testing.assert_array_equal(found.arch, VARIED)
    assert (found.space, found.recipe, found.image_shape, found.num_classes) == ("nasbench101", recipe, (4, 4, 1), 2)
    measure = jax.jit(lambda weights: evaluate(weights, VARIED, dataset, "test", recipe, network))
    np.testing.assert_array_equal(measure(found.weights), measure(weights))
    with np.load(tmp_path / "w.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    assert (header["space"], header["arch"]) == ("nasbench101", nasbench101_to_string(VARIED))
    numbers = [name for name in arrays if not name.endswith(("mean", "variance"))]
    assert sum(arrays[name].size for name in numbers) == round(1e6 * float(network.parameters(jnp.asarray(VARIED))))


def test_file_of_weights_has_the_usual_axes(varied, tmp_path):
    dataset, recipe, _, weights = varied
    save_weights(tmp_path / "w.npz", VARIED, weights, dataset, recipe)
    module = weights.parameters.modules[3]  # the second of the second stack: 10 channels, 5 for each of two vertices
    with np.load(tmp_path / "w.npz") as file:
        kernel = file["stacks/1/modules/1/vertex 1/kernel"]
        assert kernel.shape == (3, 3, 5, 5)
        np.testing.assert_array_equal(kernel[2, 1, 3, 4], module.vertices.kernel[0, 4, 7, 3])
        kernel = file["stacks/1/modules/1/vertex 2/kernel"]
        assert kernel.shape == (1, 1, 5, 5)
        np.testing.assert_array_equal(kernel[0, 0, 3, 4], module.vertices.kernel[1, 4, 4, 3])
        np.testing.assert_array_equal(
            file["stacks/1/modules/1/input to vertex 4/kernel"][0, 0], module.inputs.kernel[3, :5].T
        )
        np.testing.assert_array_equal(file["stacks/1/modules/1/input to output/kernel"][0, 0], module.output.kernel.T)
        statistics = weights.statistics.modules[3]
        np.testing.assert_array_equal(
            file["stacks/1/modules/1/input to vertex 4/variance"], statistics.inputs[3, 1, :5]
        )
        assert "stacks/1/modules/1/vertex 4/kernel" not in file  # a pooling
        assert not [name for name in file if "vertex 3" in name]  # pruned


def test_what_does_not_fit_is_refused(varied, tmp_path):
    dataset, recipe, _, weights = varied
    path = tmp_path / "w.npz"
    with pytest.raises(ValueError, match="not those of a network of nasbench101 with 3 cells in each stage"):
        save_weights(path, VARIED, weights, dataset, recipe._replace(cells=3))
    with pytest.raises(ValueError, match="no path from the input to the output"):
        save_weights(path, np.zeros(26, int), weights, dataset, recipe)
    with pytest.raises(ValueError, match=r"expected one architecture of shape \(26,\)"):
        save_weights(path, np.zeros(6, int), weights, dataset, recipe)
    save_weights(path, VARIED, weights, dataset, recipe)
    header, arrays = read_archive(path, kind="", remedy="")
    for change in ({"space": "nats_size"}, {"space": "nasbench201"}, {"space": []}, {"arch": CELLS[0]}):
        write_archive(path, header | change, arrays)
        with pytest.raises(ValueError, match=r"w\.npz is not a file of weights"):
            load_weights(path)


def test_there_is_no_module_of_it(varied):
    with pytest.raises(ValueError, match="those of a nasbench101 network, and to_flax makes modules of nasbench201"):
        training.to_flax(VARIED, varied[-1])
