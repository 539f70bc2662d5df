"""Tables from the files of NAS-Bench-101 and EC-NAS."""

import base64
import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas.commands import _cli
from jnas.io._tfrecord import frame_record, read_records
from jnas.spaces.nasbench101._cells import from_matrix, published_hash, to_matrix
from jnas.tables._file import Training
from jnas.tables.readers._model_metrics import READINGS, TOTALS, MalformedMessage, parse_metrics
from jnas.tables.readers._nasbench101 import nasbench101_table
from tests._model_metrics import encode_metrics, encoded, evaluations, row, write

A, B, MAX = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
CELLS = [
    ("01" "00", "input,output"),
    ("011" "001" "000", f"input,{A},output"),
    ("011" "001" "000", f"input,{MAX},output"),
    ("0110" "0001" "0001" "0000", f"input,{A},{B},output"),
]  # fmt: skip


@pytest.fixture
def some_rows():
    """Three runs of four cells for 4 and 108 epochs, but for a few that are missing, in a mixed order."""
    rows = [
        row(cell, epochs, base=0.1 * c + 0.03 * run, seconds=epochs * (10 + run), parameters=10**6 + c)
        for run in range(3)
        for epochs in (4, 108)
        for c, cell in enumerate(CELLS)
        if (run, epochs, c) not in {(2, 4, 1), (1, 108, 2), (2, 108, 2)}
    ]
    return rows


def table_of(path):
    header, arrays = nasbench101_table(path)
    return jnas.table_from_arrays(header, arrays)


def test_every_number_stands_where_it_belongs(tmp_path, some_rows):
    table = table_of(write(tmp_path / "a", some_rows))
    assert table.header.trainings == (Training("cifar10", 4, (0, 1, 2)), Training("cifar10", 108, (0, 1, 2)))
    assert table.num_archs == 4
    for c, cell in enumerate(CELLS):
        arch = encoded(*cell)
        for epochs in (4, 108):
            for run in range(3):
                there = (run, epochs, c) not in {(2, 4, 1), (2, 108, 2), (1, 108, 2)}
                base = 0.1 * c + 0.03 * run
                choice = {"dataset": "cifar10", "epochs": epochs, "seed": run}
                for split, more in (("train", 0.2), ("validation", 0.21), ("test", 0.22)):
                    end = table.accuracy(arch, split=split, **choice)
                    half = table.accuracy(arch, split=split, at=epochs // 2, **choice)
                    seconds = table.seconds(arch, split=split, **choice)
                    early = table.seconds(arch, split=split, at=epochs // 2, **choice)
                    expected = [100 * (base + more), 100 * (base + more - 0.1)]
                    expected += [epochs * (10 + run), epochs * (10 + run) / 2]
                    found = np.array([end, half, seconds, early])
                    np.testing.assert_allclose(found, expected if there else np.full(4, np.nan), rtol=1e-6)
        assert int(table.parameter_count(arch, dataset="cifar10")) == 10**6 + c
        np.testing.assert_allclose(table.parameters(arch, dataset="cifar10"), (10**6 + c) / 1e6, rtol=1e-6)


def test_rows_are_in_the_order_of_the_published_hashes(tmp_path, some_rows):
    header, arrays = nasbench101_table(write(tmp_path / "a", some_rows))
    hashes = [h.tobytes().hex() for h in arrays["published_hash"]]
    assert hashes == sorted(published_hash(encoded(*cell)) for cell in CELLS)
    assert hashes == [published_hash(arch) for arch in arrays["archs"]]
    assert arrays["archs"].dtype == np.int8
    assert any("4 of the 423,624 cells" in note for note in header.notes)
    assert header.name == "NAS-Bench-101"
    assert header.pairs["cifar10"]["test"] == ("cifar10", "test")


def test_runs_are_numbered_in_the_order_of_the_file_and_missing_ones_are_not_invented(tmp_path, some_rows):
    kept = nasbench101_table(write(tmp_path / "a", some_rows))[1]
    turned = nasbench101_table(write(tmp_path / "b", some_rows[::-1]))[1]
    # The third cell's only run at 108 epochs is run 0 either way; the others are turned.
    missing = np.isnan(kept["accuracy/cifar10/108/test"])
    assert missing.sum() == 2
    np.testing.assert_array_equal(missing, np.isnan(turned["accuracy/cifar10/108/test"]))
    full = ~missing.any(axis=1)
    for name in ("accuracy/cifar10/108/test", "seconds_at/cifar10/108/54", "train_seconds/cifar10/108"):
        np.testing.assert_array_equal(kept[name][full], turned[name][full][:, ::-1])


def test_a_file_with_one_training_has_no_other(tmp_path):
    table = table_of(write(tmp_path / "a", [row(cell) for cell in CELLS]))
    assert table.header.trainings == (Training("cifar10", 108, (0,)),)
    with pytest.raises(ValueError, match="no training"):
        table.accuracy(0, dataset="cifar10", split="test", epochs=4, seed=0)
    with pytest.raises(ValueError, match=r"only the end of the training and what is known after 54 epochs"):
        table.accuracy(0, dataset="cifar10", split="test", epochs=108, seed=0, at=50)
    with pytest.raises(ValueError, match="no loss"):
        table.loss(0, dataset="cifar10", split="test", epochs=108, seed=0, at=54)
    other = encoded("0111" "0011" "0001" "0000", f"input,{A},{A},output")  # fmt: skip
    assert int(table.index(other)) == -1
    assert np.isnan(table.accuracy(other, dataset="cifar10", split="test", epochs=108, seed=0))
    assert int(table.parameter_count(other, dataset="cifar10")) == -1


def test_isomorphic_cells_are_one_row_however_they_are_asked_for(tmp_path, some_rows):
    table = table_of(write(tmp_path / "a", some_rows))
    cell = from_matrix([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], ["input", A, B, "output"])
    twin = from_matrix([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], ["input", B, A, "output"])
    unused = cell.copy()
    unused[25] = 2  # an operation of a vertex that is not there
    wanted = int(table.index(cell))
    assert (table.archs[wanted] == cell).all()
    assert int(table.index(twin)) == int(table.index(unused)) == wanted
    space = table.space
    assert int(table.index(space.to_string(twin))) == wanted
    assert table.index([space.to_string(cell), space.to_string(twin)]).tolist() == [wanted, wanted]
    assert int(table.index("|output~0|")) != wanted
    assert int(table.index("|output|")) == -1
    assert jax.jit(jax.vmap(lambda a: table.index(a)))(jnp.stack([twin, unused])).tolist() == [wanted, wanted]


def test_an_isomorphic_graph_with_the_same_hash_is_another_run_of_the_cell(tmp_path):
    cell, twin = CELLS[3], (CELLS[3][0], f"input,{B},{A},output")
    header, arrays = nasbench101_table(write(tmp_path / "a", [row(cell, base=0.1), row(twin, base=0.2, parameters=7)]))
    assert header.trainings[0].seeds == (0, 1)
    assert arrays["parameter_count/cifar10"].tolist() == [1_000_000]
    assert any("1 records give another number of parameters" in note for note in header.notes)
    np.testing.assert_array_equal(arrays["archs"][0], encoded(*cell))


def test_the_objective_charges_the_difference_along_a_training(tmp_path, some_rows):
    table = table_of(write(tmp_path / "a", some_rows))
    objective = table.objective(dataset="cifar10", split="validation", epochs=108, at=(54, 108), seed=1)
    assert objective.fidelities == (54.0, 108.0)
    arch = jnp.asarray(encoded(*CELLS[3]), jnp.int32)[None]
    first = jnas.propose(arch, 0)
    then = jnas.propose(arch, 1)._replace(resumed_fidelity=jnp.array([0]), resumes=jnp.array([0]))
    keys = jax.random.split(jax.random.key(0), 1)
    np.testing.assert_allclose(objective(keys, first).seconds, [54 * 11], rtol=1e-6)
    np.testing.assert_allclose(objective(keys, then).seconds, [54 * 11], rtol=1e-6)
    np.testing.assert_allclose(objective(keys, then).score, [100 * (0.3 + 0.03 + 0.21)], rtol=1e-6)
    apart = table.objective(dataset="cifar10", split="validation", epochs=(4, 108), seed="random")
    np.testing.assert_allclose(apart(keys, then).seconds % 108, [0], atol=1e-3)


BAD_ROWS = [
    (b"{", "is no row"),
    (b"\xff\xfe", "is no row"),
    (b"[" * 5000, "is no row"),
    (["a", 108], "is no row"),
    ({"a": 1}, "is no row"),
    (row(CELLS[0], digest="xyz"), "has the hash 'xyz', expected 32 hexadecimal digits"),
    ([["a"], *row(CELLS[0])[1:]], "unhashable|has the hash"),
    ([row(CELLS[0])[0], "108", *row(CELLS[0])[2:]], "has '108' epochs"),
    ([*row(CELLS[0])[:2], 11, *row(CELLS[0])[3:]], "no texts"),
    ([*row(("0100", "input,output"))[:2], "0100", f"input,{A},output", ""], "expected 9 digits"),
    ([*row(CELLS[0])[:2], "0200", "input,output", ""], "expected 4 digits"),
    ([*row(CELLS[0])[:2], "0" * 64, ",".join(["input", *([A] * 6), "output"]), ""], "a cell of 8 vertices"),
    ([*row(CELLS[1])[:3], "input,conv5x5,output", ""], "has the operations"),
    ([*row(CELLS[1])[:3], f"{A},input,output", ""], "has the operations"),
    ([*row(CELLS[0])[:4], "AAA"], "is no row|ModelMetrics"),
    ([*row(CELLS[0])[:4], base64.b64encode(b"\n\x7f").decode()], r"no ModelMetrics \(it ends within a field\)"),
    (row(CELLS[0], fields=evaluations(108)[:2]), "has 2 evaluations"),
    (row(CELLS[0], fields=evaluations(36)), "of a training of 108 epochs has evaluations after 18 and 36"),
    (row(CELLS[0], half=108), "has evaluations after 108 and 108"),
    (row(CELLS[0], base=0.9), "accuracy 1.1"),
    (row(CELLS[0], base=-0.3), "train accuracy -0.2"),
    (row(CELLS[0], base=float("nan")), "accuracy nan"),
    (row(CELLS[0], seconds=float("inf")), "training time of inf s"),
    (row(CELLS[0], seconds=-1.0), "training time of -0.5 s"),
    (row(CELLS[0], parameters=0), "0 trainable parameters"),
    (row(CELLS[0], parameters=1 << 31), "2147483648 trainable parameters"),
]


@pytest.mark.parametrize(("bad", "says"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_bad_record_is_refused_with_its_place(tmp_path, bad, says):
    good = [row(cell) for cell in CELLS[1:]]
    bad = json.dumps(bad).encode() if isinstance(bad, dict) else bad
    position = f"{len(frame_record([json.dumps(r).encode() for r in good])):,}"
    path = write(tmp_path / "a", [*good, bad, row(CELLS[0])])
    with pytest.raises(ValueError, match=f"record 3 at byte {position} .*({says})"):
        nasbench101_table(path)


WRONG_GRAPHS = [
    ("01" "10", "input,output", "not strictly upper triangular"),
    ("11" "00", "input,output", "not strictly upper triangular"),
    ("00" "00", "input,output", "not in the benchmark"),
    ("0111100" "0011110" "0001110" "0000000" "0000001" "0000001" "0000000", f"input,{','.join([A] * 5)},output",
     "not in the benchmark"),
]  # fmt: skip


@pytest.mark.parametrize(("adjacency", "operations", "says"), WRONG_GRAPHS)
def test_graphs_outside_the_benchmark_are_refused_with_their_place(tmp_path, adjacency, operations, says):
    wrong = row((adjacency, operations), digest="0" * 32)
    with pytest.raises(ValueError, match=f"record 1 at byte [0-9]+ .*{says}"):
        nasbench101_table(write(tmp_path / "a", [row(CELLS[1]), wrong]))


def test_hashes_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=f"record 1 .*has the hash {'0' * 32}, but its graph is the cell"):
        nasbench101_table(write(tmp_path / "a", [row(CELLS[0]), row(CELLS[1], digest="0" * 32)]))
    with pytest.raises(ValueError, match=r"record 1 .*which an earlier record has for another cell"):
        nasbench101_table(
            write(tmp_path / "b", [row(CELLS[0]), row(CELLS[1], digest=published_hash(encoded(*CELLS[0])))])
        )


def test_two_hashes_of_one_cell_are_found_even_where_they_are_not_in_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("jnas.tables.readers._nasbench101_records._CHECKED", 1)
    with pytest.raises(ValueError, match=r"record 2 .*has the hash f{32}, but its graph is the cell"):
        nasbench101_table(write(tmp_path / "a", [row(CELLS[0]), row(CELLS[3]), row(CELLS[3], digest="f" * 32)]))


def test_a_fourth_run_and_another_middle_are_refused(tmp_path):
    rows = [row(CELLS[0]), row(CELLS[1]), *[row(CELLS[0])] * 3]
    with pytest.raises(ValueError, match=r"record 4 at byte [0-9,]+ is the fourth training of cell"):
        nasbench101_table(write(tmp_path / "a", rows))
    rows = [row(CELLS[0]), row(CELLS[1], half=50)]
    with pytest.raises(ValueError, match=r"record 1 .*second evaluation after 50 of them.* has it after 54"):
        nasbench101_table(write(tmp_path / "b", rows))


def test_accuracies_that_rounding_put_above_one_are_100_percent(tmp_path):
    fields = evaluations(108)
    fields[2][3] = 1 + 1e-7
    _, arrays = nasbench101_table(write(tmp_path / "a", [row(CELLS[0], fields=fields)]))
    assert arrays["accuracy/cifar10/108/train"].tolist() == [[100.0]]


def test_messages_of_many_layouts_are_read_as_one_by_one():
    rng = np.random.default_rng(0)
    messages, expected = [], []
    for i in range(300):
        fields = [
            {f: float(rng.random()) for f in rng.permutation([1, 2, 3, 4, 5, *READINGS])[: rng.integers(1, 12)]}
            for _ in range(rng.integers(0, 5))
        ]
        if i % 3 == 0 and fields:
            fields[0][6] = "checkpoint" * (i % 2 + 1)  # a text where EC-NAS has a number
        count = int(rng.choice([1, 127, 128, 5_000_000, 2**31 - 1]))
        message = encode_metrics(fields, count, float(i))
        message += b"\x50\x05" * (i % 2) + b"\x5d\0\0\0\0" * (i % 4 == 0)  # unknown fields: an integer and a float
        messages.append(message)
        expected.append((fields, count, i))
    found = parse_metrics(messages)
    for i, (fields, count, total) in enumerate(expected):
        assert found.num_evaluations[i] == len(fields)
        assert found.parameters[i] == count
        assert found.totals[i, list(TOTALS).index((3,))] == total
        values = np.full((4, 15), np.nan)
        for j, evaluation in enumerate(fields):
            for f, value in evaluation.items():
                values[j, f] = np.nan if isinstance(value, str) else value
        np.testing.assert_array_equal(found.evaluations[i], values)


def test_messages_that_differ_in_the_length_of_a_number_alone_are_told_apart():
    long = bytes.fromhex("10800151" + "00" * 8)  # 128 parameters, then a double that nothing reads
    short = bytes.fromhex("10055051" + "5001" * 4)  # 5 parameters, then integers that nothing reads
    assert len(long) == len(short)
    assert parse_metrics([long, short]).parameters.tolist() == [128, 5]


def test_malformed_messages_are_told_by_number():
    good = encode_metrics(evaluations(4), 5, 1.0)
    for bad in (good[:-1], b"\xff" * 12, b"\x0b", b"\x00\x01", encode_metrics(evaluations(4) * 2, 5, 1.0)):
        with pytest.raises(MalformedMessage) as caught:
            parse_metrics([good, bad, good, bad])
        assert caught.value.index == 1


def test_the_command_writes_all_or_nothing(tmp_path, some_rows, capsys):
    source, table = write(tmp_path / "a.tfrecord", some_rows), tmp_path / "t.npz"
    command = ["table", "import", "nasbench101", str(source), "-o", str(table)]
    assert _cli.main(command) == 0
    assert "4 architectures" in capsys.readouterr().out
    loaded = jnas.load_table(table)
    assert float(loaded.accuracy(0, dataset="cifar10", split="test", epochs=4, seed=0)) > 0
    assert _cli.main(["table", "show", str(table)]) == 0
    assert "54, the end" in capsys.readouterr().out
    assert _cli.main(["table", "query", str(table), "|output~0|", "--at", "54"]) == 0
    assert "54 of 108 epochs" in capsys.readouterr().out
    table.unlink()
    source.write_bytes(source.read_bytes()[:-1])
    assert _cli.main(command) == 2
    assert "is cut off: it ends within record" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.tfrecord"]


def test_progress_grows_to_the_size_of_the_file(tmp_path, some_rows):
    told = []
    nasbench101_table(write(tmp_path / "a", some_rows), progress=lambda done, total: told.append((done, total)))
    assert told
    assert told[-1][0] == told[-1][1]


# The real files.


def plain_rows(path):
    """Every record of a file, read byte by byte, by hash and number of epochs."""
    found = {}
    for batch in read_records(path):
        for record in batch.records:
            digest, epochs, adjacency, operations, metrics = json.loads(record)
            message = plain_message(base64.b64decode(metrics))
            found.setdefault((digest, epochs), []).append((adjacency, operations, message))
    return found


def plain_message(data):
    """A message as lists of values by field, those of nested messages too."""
    found, i = {}, 0

    def number(i):
        value, shift = 0, 0
        while True:
            value, shift, i = value | (data[i] & 127) << shift, shift + 7, i + 1
            if data[i - 1] < 128:
                return value, i

    while i < len(data):
        tag, i = number(i)
        if tag & 7 == 0:
            value, i = number(i)
        elif tag & 7 == 1:
            value, i = struct.unpack("<d", data[i : i + 8])[0], i + 8
        else:
            size, i = number(i)
            value, i = data[i : i + size], i + size
        found.setdefault(tag >> 3, []).append(value)
    return found


@pytest.mark.parametrize(("name", "cells", "records"), [("4V9E", 91, 1092), ("5V9E", 2532, 2532)])
def test_the_files_of_ec_nas_read_exactly(shared_data, name, cells, records):
    path = shared_data / "nasbench101" / f"energy_{name}.tfrecord"
    header, arrays = nasbench101_table(path)
    table = jnas.table_from_arrays(header, arrays)
    assert (header.name, table.num_archs) == ("EC-NAS", cells)
    rows = {h.tobytes().hex(): i for i, h in enumerate(arrays["published_hash"])}
    count = 0
    for (digest, epochs), runs in plain_rows(path).items():
        i, here = rows[digest], f"cifar10/{epochs}"
        matrix, operations = to_matrix(arrays["archs"][i])
        for run, (adjacency, labels, message) in enumerate(runs):
            count += 1
            assert ("".join(map(str, matrix.ravel())), ",".join(operations)) == (adjacency, labels)
            assert arrays["parameter_count/cifar10"][i] == message[2][0]
            points = [plain_message(evaluation) for evaluation in message[1]]
            for point, values in enumerate(points):
                done = round(values[1][0])
                for field, split in ((3, "train"), (4, "validation"), (5, "test")):
                    member = f"accuracy/{here}/{split}" if point == 2 else f"accuracy_at/{here}/{split}/{done}"
                    if point:
                        assert arrays[member][i, run] == np.float32(100 * values[field][0])
                if point:
                    assert arrays[f"seconds_at/{here}/{done}"][i, run] == np.float32(values[2][0])
                for field, reading in READINGS.items():
                    if field in values:
                        found = arrays[f"reading_at/{here}/{reading}/{done}"][i, run]
                        assert found == np.float32(values[field][0])
            devices = [plain_message(device[0]) for device in plain_message(message[9][0]).values()]
            powers = [plain_message(part[0])[1][0] for device in devices for part in (device[1], device[2])]
            totals = [*(message[field][0] for field in (3, 4, 5, 8)), *powers]
            for reading, value in zip(TOTALS.values(), totals, strict=True):
                assert arrays[f"reading/{here}/{reading}"][i, run] == np.float32(value)
    assert count == records
    known = sum((~np.isnan(a)).sum() for n, a in arrays.items() if n.startswith("accuracy/"))
    assert known == 3 * records


def test_readings_are_looked_up_by_run(shared_data):
    header, arrays = nasbench101_table(shared_data / "nasbench101" / "energy_4V9E.tfrecord")
    table = jnas.table_from_arrays(header, arrays)
    choice = {"dataset": "cifar10", "epochs": 36, "name": "energy_kwh"}
    each = [float(table.reading(7, seed=run, **choice)) for run in range(3)]
    assert each == arrays["reading_at/cifar10/36/energy_kwh/36"][7].tolist()
    assert float(table.reading(7, seed="mean", **choice)) == pytest.approx(np.mean(each), rel=1e-6)
    drawn = {float(table.reading(7, seed="random", key=jax.random.key(i), **choice)) for i in range(30)}
    assert drawn == set(each)
    assert float(table.reading(7, seed=0, at=1, **choice)) == arrays["reading_at/cifar10/36/energy_kwh/1"][7, 0]
    batch = table.reading(jnp.asarray(table.archs[:5], jnp.int32), seed=2, **choice)
    np.testing.assert_array_equal(batch, arrays["reading_at/cifar10/36/energy_kwh/36"][:5, 2])
    total = table.reading(7, dataset="cifar10", epochs=36, name="total_seconds", seed=0)
    assert float(total) == arrays["reading/cifar10/36/total_seconds"][7, 0]
    with pytest.raises(ValueError, match=r"no reading 'energy'.*energy_kwh"):
        table.reading(7, dataset="cifar10", epochs=36, name="energy", seed=0)
    with pytest.raises(ValueError, match="no key was given"):
        table.reading(7, seed="random", **choice)
