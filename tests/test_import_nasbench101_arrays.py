"""Tables from arrays of NAS-Bench-101, and training times that are modelled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import spaces
from jnas.commands import _cli
from jnas.spaces.nasbench101._cells import from_matrix, nasbench101_from_string, published_hash, to_matrix
from jnas.tables._file import Header
from jnas.tables.readers._array_mapping import default_mapping
from jnas.tables.readers._arrays import arrays_table
from jnas.tables.readers._model_seconds import model_seconds
from jnas.tables.readers._upper_triangles import unpack_cells

A, B, MAX = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
CELLS = ("|output~0|", f"|{A}~0|output~0~1|", f"|{MAX}~0|output~0~1|", f"|{A}~0|{B}~0|output~1~2|")


def packed(cells):
    """Cells as vertices, bits column by column and operations, by a plain loop."""
    vertices, bits, operations = [], [], []
    for arch in cells:
        matrix, labels = to_matrix(arch)
        size = len(labels)
        pairs = [(x, y) for y in range(size) for x in range(y)]
        vertices.append(size)
        bits.append(sum(int(matrix[pair]) << i for i, pair in enumerate(pairs)))
        numbers = [[A, B, MAX].index(name) for name in labels[1:-1]]
        operations.append(numbers + [-1] * (5 - len(numbers)))
    found = {"vertices": vertices, "bits": bits, "operations": operations}
    return {name: np.array(values, np.int64 if name == "bits" else np.int8) for name, values in found.items()}


def some_cells(count):
    """Different cells, as the table would have them."""
    keys = jax.random.split(jax.random.key(0), 3 * count)
    archs = np.asarray(jax.jit(jax.vmap(spaces.nasbench101().sample))(keys))
    cells = {published_hash(arch): from_matrix(*to_matrix(arch)) for arch in archs}
    return [cells[h] for h in sorted(cells)][:count]


def test_packed_cells_unpack():
    cells = [nasbench101_from_string(cell) for cell in CELLS] + some_cells(100)
    np.testing.assert_array_equal(unpack_cells(**packed(cells), where="x"), cells)
    for name, row_, value in (("vertices", 0, 8), ("bits", 0, 4), ("bits", 1, -1), ("operations", 1, 1)):
        wrong = packed(cells)
        wrong[name][row_] = value
        with pytest.raises(ValueError, match=f"x: cell {row_} has"):
            unpack_cells(**wrong, where="x")
    with pytest.raises(ValueError, match="expected integers"):
        unpack_cells(**(packed(cells) | {"bits": np.zeros(3, int)}), where="x")


def some_arrays(count=400, known=300):
    cells = some_cells(count)
    count = len(cells)
    rng = np.random.default_rng(0)
    given = rng.permutation(count) < known
    flops = rng.uniform(1e8, 3e9, count)
    small = packed(cells)

    def partly(values, missing=np.nan):
        return np.where(given, values, missing)

    return given, {
        "hash": np.array([published_hash(arch) for arch in cells], "S32"),
        "num_vertices": small["vertices"],
        "adjacency_bits": small["bits"],
        "ops": small["operations"],
        "test_accuracy_108_run0": rng.uniform(0.8, 0.95, count).astype(np.float32),
        **{f"valid_accuracy_{e}": partly(rng.uniform(0.1, 0.95, count)) for e in (4, 12, 36, 108)},
        "train_seconds_108": partly(100 + 5e-7 * flops),
        "trainable_parameters": partly(rng.integers(10**6, 10**7, count), -1).astype(np.int32),
        "trainable_parameters_computed": rng.integers(10**6, 10**7, count).astype(np.int32),
        "flops": flops,
    }


@pytest.fixture(scope="module")
def arrays_file(tmp_path_factory):
    given, arrays = some_arrays()
    path = tmp_path_factory.mktemp("arrays") / "a.npz"
    np.savez(path, **arrays)
    return path, given, arrays


def test_arrays_become_a_table_that_invents_nothing(arrays_file):
    path, given, source = arrays_file
    header, arrays = arrays_table(path, spaces.nasbench101())
    table = jnas.table_from_arrays(header, arrays)
    choice = {"dataset": "cifar10", "epochs": 108}
    rows = list(range(table.num_archs))
    archs = jnp.asarray(table.archs, jnp.int32)
    assert table.index(archs).tolist() == rows
    np.testing.assert_allclose(
        table.accuracy(archs, split="test", seed=0, **choice), 100 * source["test_accuracy_108_run0"], rtol=1e-6
    )
    for epochs in (4, 12, 36, 108):
        found = table.accuracy(archs, dataset="cifar10", split="validation", epochs=epochs, seed="mean")
        np.testing.assert_allclose(found, 100 * source[f"valid_accuracy_{epochs}"], rtol=1e-6)
    seconds = np.asarray(table.seconds(archs, split="test", seed=0, **choice))
    np.testing.assert_allclose(seconds, source["train_seconds_108"], rtol=1e-6)
    assert np.isnan(seconds).sum() == (~given).sum() > 0
    assert np.isnan(table.seconds(archs, dataset="cifar10", split="validation", epochs=4, seed="mean")).all()
    counts = np.where(given, source["trainable_parameters"], -1)
    np.testing.assert_array_equal(table.parameter_count(archs, dataset="cifar10"), counts)
    millions = np.where(given, source["trainable_parameters"], source["trainable_parameters_computed"]) / 1e6
    np.testing.assert_allclose(table.parameters(archs, dataset="cifar10"), millions, rtol=1e-6)
    np.testing.assert_allclose(table.flops(archs, dataset="cifar10"), source["flops"] / 1e6, rtol=1e-6)
    assert [h.tobytes().hex().encode() for h in arrays["published_hash"]] == source["hash"].tolist()
    with pytest.raises(ValueError, match="pass seed='mean'"):
        table.accuracy(0, split="validation", seed=0, **choice)
    assert any("whose number is not known" in note for note in header.notes)
    with pytest.raises(ValueError, match="missing_seconds"):
        table.objective(split="test", seed=0, **choice)


def test_modelled_times_fill_the_gaps_and_say_so(arrays_file):
    path, given, source = arrays_file
    header, arrays = model_seconds(*arrays_table(path, spaces.nasbench101()))
    table = jnas.table_from_arrays(header, arrays)
    archs = jnp.asarray(table.archs, jnp.int32)
    flops = source["flops"]
    whole = 100 + 5e-7 * flops  # what the model can say exactly
    seconds = table.seconds(archs, dataset="cifar10", split="test", epochs=108, seed=0)
    np.testing.assert_allclose(seconds, np.maximum(whole, whole[given].min()), rtol=1e-3)
    np.testing.assert_allclose(np.asarray(seconds)[given], source["train_seconds_108"][given], rtol=1e-6)
    for epochs in (4, 12, 36):
        short = table.seconds(archs, dataset="cifar10", split="validation", epochs=epochs, seed="mean")
        # Of a cell without an accuracy there is no evaluation, and so no cost of one.
        np.testing.assert_allclose(short, np.where(given, seconds * epochs / 108, np.nan), rtol=1e-5)
        assert np.isfinite(arrays[f"train_seconds/cifar10/{epochs}"]).all()
        assert not arrays[f"measured/cifar10/{epochs}"].any()
    np.testing.assert_array_equal(arrays["measured/cifar10/108"], given)
    assert any("300 cells; those of the other 100 are modelled" in note for note in header.notes)
    assert not any("are not known" in note and "training times" in note for note in header.notes)
    table.objective(dataset="cifar10", split="test", epochs=108, seed=0)


def test_the_error_that_notes_tell_is_that_of_unseen_cells(arrays_file):
    path, given, _ = arrays_file
    header, arrays = arrays_table(path, spaces.nasbench101())
    rng = np.random.default_rng(1)
    noisy = arrays["train_seconds/cifar10/108"] * rng.normal(1, 0.1, (len(given), 1))
    noisy[np.flatnonzero(given)[130:]] = np.nan
    header, _ = model_seconds(header, arrays | {"train_seconds/cifar10/108": noisy.astype(np.float32)})
    (note,) = [note for note in header.notes if "cross-validation" in note]
    error = float(note.split("mean error is ")[1].split(" %")[0])
    # Of 8 % that nothing can predict, 46 weights from 117 cells make 8 / sqrt(1 - 46 / 117), about 10 on unseen cells,
    # and 6 or less on those that they were fitted to. Small times are off by more in percent.
    assert error > 9.5


def test_times_are_not_modelled_from_nothing(arrays_file):
    path, _, _ = arrays_file
    header, arrays = arrays_table(path, spaces.nasbench101())
    without = {name: array for name, array in arrays.items() if not name.startswith("flops")}
    with pytest.raises(ValueError, match="from flops"):
        model_seconds(header, without)
    with pytest.raises(ValueError, match="100 known times"):
        model_seconds(header, arrays | {"train_seconds/cifar10/108": np.full((400, 1), np.nan, np.float32)})
    other = Header("x", spaces.nats_size().config, (), {}, "")
    with pytest.raises(ValueError, match="nasbench101"):
        model_seconds(other, {})


def test_the_commands_for_arrays(arrays_file, tmp_path, capsys):
    path, _, _ = arrays_file
    command = ["table", "import", "arrays", str(path), "--space", "nasbench101", "-o", str(tmp_path / "t.npz")]
    assert _cli.main(command) == 0
    assert "measured/cifar10/108" not in jnas.load_table(tmp_path / "t.npz").names
    assert _cli.main([*command, "--model-seconds"]) == 0
    assert "measured/cifar10/108" in jnas.load_table(tmp_path / "t.npz").names
    capsys.readouterr()


def test_mappings_of_packed_cells_are_checked(arrays_file, tmp_path):
    path, _, source = arrays_file
    mapping = default_mapping("nasbench101")
    with pytest.raises(ValueError, match="cells of nasbench101"):
        arrays_table(path, spaces.nasbench201(), mapping)
    with pytest.raises(ValueError, match="lacks operations"):
        arrays_table(
            path,
            spaces.nasbench101(),
            mapping | {"architectures": {"upper_triangles": {"vertices": "num_vertices", "bits": "adjacency_bits"}}},
        )
    np.savez(tmp_path / "b.npz", **(source | {"hash": np.array(["xyz"] * len(source["flops"]))}))
    with pytest.raises(ValueError, match="takes 'xyz', expected hashes"):
        arrays_table(tmp_path / "b.npz", spaces.nasbench101())
    twice = {name: np.concatenate([array[:5], array[:1]]) for name, array in source.items()}
    np.savez(tmp_path / "c.npz", **twice)
    with pytest.raises(ValueError, match=r"twice|the same one"):
        arrays_table(tmp_path / "c.npz", spaces.nasbench101())
    short = mapping["members"] | {"parameters/cifar10": {"array": "trainable_parameters", "otherwise": "ops"}}
    with pytest.raises(ValueError, match="'otherwise'"):
        arrays_table(path, spaces.nasbench101(), mapping | {"members": short})


@pytest.mark.slow
def test_the_published_arrays(shared_data):
    path = shared_data / "nasbench101" / "nasbench101.npz"
    header, arrays = model_seconds(*arrays_table(path, spaces.nasbench101()))
    table = jnas.table_from_arrays(header, arrays)
    assert table.num_archs == 423_624
    rows = np.random.default_rng(0).integers(0, table.num_archs, 300)
    hashes = [h.tobytes().hex() for h in arrays["published_hash"][rows]]
    assert hashes == [published_hash(arch) for arch in table.archs[rows]]
    test = arrays["accuracy/cifar10/108/test"]
    assert test[0, 0] == pytest.approx(92.11738705635071, rel=1e-6)
    assert np.nanmax(test) == pytest.approx(94.66145634651184, rel=1e-6)
    known = arrays["measured/cifar10/108"].astype(bool)
    assert known.sum() == (arrays["parameter_count/cifar10"] > 0).sum() == 30_001
    assert np.isfinite(arrays["train_seconds/cifar10/108"]).all()
    (note,) = [note for note in header.notes if "cross-validation" in note]
    assert 2 < float(note.split("mean error is ")[1].split(" %")[0]) < 5
    assert table.index(jnp.asarray(table.archs[rows], jnp.int32)).tolist() == rows.tolist()
