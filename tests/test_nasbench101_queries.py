"""The published interface of NAS-Bench-101, over tables made here and over EC-NAS's."""

import base64
import json
import math

import jax
import numpy as np
import pytest

import jnas
from jnas import nasbench101 as nb
from jnas import spaces
from jnas.io._tfrecord import frame_record, read_records
from jnas.spaces.nasbench101._cells import from_matrix
from jnas.tables.readers._model_metrics import parse_metrics
from jnas.tables.readers._nasbench101 import nasbench101_table
from tests._model_metrics import encode_metrics

A, B, MAX = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
DIAMOND = ([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], ["input", A, B, "output"])
TWIN = (DIAMOND[0], ["input", B, A, "output"])
CHAIN = ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", MAX, "output"])
ABSENT = ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", A, "output"])


def accuracy(cell, epochs, run, point, split):
    """A quotient of 9,984 as float32, different for all arguments."""
    return float(np.float32((1000 + 2000 * cell + 11 * epochs + 7 * run + 3 * point + split) / 9984))


def seconds(epochs, run, point):
    """Of training up to the start, middle or end; the first half takes longer."""
    return epochs * point * (10.0 + run) + 5.25 * (point == 1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two cells for 4 and 108 epochs, three runs each but for two of the second one's."""
    rows = []
    for c, (matrix, operations) in enumerate((DIAMOND, CHAIN)):
        for epochs in (4, 108):
            for run in range(3 if (c, epochs) != (1, 108) else 1):
                evaluations = [
                    {1: epochs * p / 2, 2: seconds(epochs, run, p)}
                    | {split: accuracy(c, epochs, run, p, split) for split in (3, 4, 5)}
                    for p in range(3)
                ]
                message = base64.b64encode(encode_metrics(evaluations, 1000 + c, 1.0)).decode()
                digits = "".join(map(str, np.ravel(matrix)))
                rows.append([nb.hash_spec((matrix, operations)), epochs, digits, ",".join(operations), message])
    path = tmp_path_factory.mktemp("table") / "a.tfrecord"
    path.write_bytes(frame_record([json.dumps(row).encode() for row in rows]))
    return jnas.table_from_arrays(*nasbench101_table(path))


def test_a_query_returns_the_published_numbers_exactly(table):
    for epochs in (4, 108):
        for run in range(3):
            for half, point in ((False, 2), (True, 1)):
                found, budget = nb.query(table, DIAMOND, run=run, epochs=epochs, stop_halfway=half)
                assert found.module_adjacency.tolist() == DIAMOND[0]
                assert list(found.module_operations) == DIAMOND[1]
                assert found.trainable_parameters == 1000
                assert found.training_time == seconds(epochs, run, point)
                expected = tuple(accuracy(0, epochs, run, point, split) for split in (3, 4, 5))
                assert found[4:] == expected
                assert budget == (found.training_time, epochs // 2 if half else epochs)


def test_the_budget_goes_from_query_to_query(table):
    budget = nb.Budget()
    _, budget = nb.query(table, DIAMOND, run=0, epochs=108, budget=budget)
    _, budget = nb.query(table, CHAIN, run=1, epochs=4, stop_halfway=True, budget=budget)
    _, budget = nb.query(table, CHAIN, run="mean", epochs=4, budget=budget)
    assert budget == (108 * 20 + 4 * 11 + 5.25 + 4 * 2 * 11, 108 + 2 + 4)
    assert nb.Budget() == (0.0, 0)


def test_random_runs_are_drawn_evenly_from_those_that_a_cell_has(table):
    times = [nb.query(table, DIAMOND, run="random", key=jax.random.key(i))[0].training_time for i in range(300)]
    values, counts = np.unique(times, return_counts=True)
    assert values.tolist() == [108 * 2 * (10 + run) for run in range(3)]
    assert (np.abs(counts - 100) < 5 * math.sqrt(300 * 1 / 3 * 2 / 3)).all()
    lone = {nb.query(table, CHAIN, run="random", key=jax.random.key(i))[0].training_time for i in range(20)}
    assert lone == {108 * 20.0}
    again = [nb.query(table, DIAMOND, run="random", key=jax.random.key(5)) for _ in range(2)]
    assert again[0][0][3:] == again[1][0][3:]


def test_means_are_over_the_runs_that_a_cell_has(table):
    found, _ = nb.query(table, DIAMOND, run="mean", epochs=4)
    expected = [np.mean([accuracy(0, 4, run, 2, split) for run in range(3)]) for split in (3, 4, 5)]
    np.testing.assert_allclose(found[4:], expected, rtol=1e-6)
    assert found.training_time == pytest.approx(4 * 2 * 11)
    lone, _ = nb.query(table, CHAIN, run="mean")
    np.testing.assert_allclose(lone[4:], [accuracy(1, 108, 0, 2, split) for split in (3, 4, 5)], rtol=1e-6)
    missing, _ = nb.query(table, CHAIN, run=2)
    assert all(map(math.isnan, missing[3:]))


def test_a_cell_is_found_in_every_form(table):
    arch = from_matrix(*DIAMOND)
    forms = [DIAMOND, TWIN, arch, spaces.nasbench101().to_string(arch), (np.array(DIAMOND[0]), tuple(DIAMOND[1]))]
    bigger = np.insert(np.insert(np.array(DIAMOND[0]), 3, 0, axis=0), 3, 0, axis=1)
    forms.append((bigger, ["input", A, B, MAX, "output"]))  # the fourth vertex has no edges
    answers = [nb.query(table, form, run=1)[0][2:] for form in forms]
    assert len(set(answers)) == 1
    assert {nb.hash_spec(form) for form in forms} == {nb.hash_spec(DIAMOND)}


def test_all_metrics_of_a_cell(table):
    fixed, computed = nb.get_metrics_from_spec(table, CHAIN)
    assert fixed.trainable_parameters == 1001
    assert fixed.module_operations == ("input", MAX, "output")
    assert sorted(computed) == [4, 108]
    assert [len(computed[e]) for e in (4, 108)] == [3, 1]
    for run, found in enumerate(computed[4]):
        half, final = ([accuracy(1, 4, run, point, split) for split in (3, 4, 5)] for point in (1, 2))
        assert list(found) == [seconds(4, run, 1), *half, seconds(4, run, 2), *final]
    assert found.halfway_validation_accuracy == half[1]
    assert found.final_test_accuracy == final[2]
    same = nb.get_metrics_from_hash(table, nb.hash_spec(CHAIN))
    assert same[1] == computed
    with pytest.raises(ValueError, match="no cell with the hash"):
        nb.get_metrics_from_hash(table, nb.hash_spec(ABSENT))
    with pytest.raises(ValueError, match="expected 32 hexadecimal digits"):
        nb.get_metrics_from_hash(table, "abc")


def test_hashes_of_all_cells(table):
    assert list(nb.hash_iterator(table)) == sorted([nb.hash_spec(DIAMOND), nb.hash_spec(CHAIN)])
    without = {name: table.read(name) for name in table.names if name != "published_hash"}
    computed = jnas.table_from_arrays(table.header, without)
    assert list(nb.hash_iterator(computed)) == list(nb.hash_iterator(table))


def chain(vertices, operation=A):
    return np.eye(vertices, k=1, dtype=int), ["input", *[operation] * (vertices - 2), "output"]


OUTSIDE = [
    ((np.triu(np.ones((5, 5), int), 1), ["input", A, A, A, "output"]), "10 edges"),
    (chain(8), "8 vertices"),
    ((CHAIN[0], ["input", "conv5x5", "output"]), "unknown operation 'conv5x5'"),
    ((CHAIN[0], ["output", A, "input"]), "begin with 'output'"),
    ((np.array(CHAIN[0]).T, CHAIN[1]), "not strictly upper triangular"),
    (([[0, 0], [0, 0]], ["input", "output"]), "no path"),
    ((CHAIN[0], ["input", "output"]), "shape"),
    ("|output|", "no path"),
    (np.full(26, 5), "."),
]


@pytest.mark.parametrize(("cell", "says"), OUTSIDE, ids=range(len(OUTSIDE)))
def test_cells_outside_the_benchmark_raise(table, cell, says):
    assert not nb.is_valid(cell)
    for ask in (nb.hash_spec, lambda c: nb.query(table, c, run=0), lambda c: nb.get_metrics_from_spec(table, c)):
        with pytest.raises(nb.OutOfDomainError, match=says):
            ask(cell)
    assert issubclass(nb.OutOfDomainError, ValueError)


def test_pruning_comes_before_the_limits():
    assert nb.is_valid(DIAMOND)
    matrix, operations = chain(7)
    assert nb.is_valid((matrix, operations))
    larger = np.zeros((9, 9), int)
    larger[np.ix_([0, 1, 2, 3, 4, 5, 8], [0, 1, 2, 3, 4, 5, 8])] = matrix
    larger[2, 6] = larger[6, 7] = 1  # leads nowhere
    assert nb.is_valid((larger, [*operations[:-1], A, A, "output"]))
    assert nb.hash_spec((larger, [*operations[:-1], A, A, "output"])) == nb.hash_spec((matrix, operations))


def test_what_a_table_lacks_is_said(table):
    with pytest.raises(nb.OutOfDomainError, match="epochs is 12, expected one of 4, 108"):
        nb.query(table, DIAMOND, run=0, epochs=12)
    with pytest.raises(ValueError, match="this table does not hold it") as caught:
        nb.query(table, ABSENT, run=0)
    assert not isinstance(caught.value, nb.OutOfDomainError)
    with pytest.raises(ValueError, match="no key"):
        nb.query(table, DIAMOND, run="random")
    with pytest.raises(ValueError, match="seeds 0, 1, 2"):
        nb.query(table, DIAMOND, run=3)
    with pytest.raises(TypeError, match="a cell is a pair"):
        nb.query(table, 7, run=0)


def test_a_table_of_means_answers_with_what_it_has():
    space = spaces.nasbench101()
    arch = from_matrix(*DIAMOND)
    accuracies = {"test": np.array([[91.0, 92.0]]), "validation": np.array([[93.0, np.nan]])}
    table = jnas.make_table(
        space, accuracy=accuracies, archs=arch[None], dataset="cifar10", epochs=108, train_seconds=2.0
    )
    found, budget = nb.query(table, TWIN, run=1)
    assert math.isnan(found.train_accuracy)
    assert math.isnan(found.validation_accuracy)
    assert found.test_accuracy == pytest.approx(0.92, abs=1e-6)
    assert found.trainable_parameters == -1
    assert budget.training_time_spent == 216
    with pytest.raises(ValueError, match="no numbers from the middle"):
        nb.query(table, TWIN, run=1, stop_halfway=True)
    _, computed = nb.get_metrics_from_spec(table, TWIN)
    assert [math.isnan(c.halfway_training_time) for c in computed[108]] == [True, True]


def test_every_number_of_ec_nas_comes_back_as_published(shared_data):
    path = shared_data / "nasbench101" / "energy_4V9E.tfrecord"
    table = jnas.table_from_arrays(*nasbench101_table(path))
    (batch,) = read_records(path)
    rows = [json.loads(record) for record in batch.records]
    metrics = parse_metrics([base64.b64decode(row[4]) for row in rows])
    seen = {}
    for i, (digest, epochs, *_) in enumerate(rows):
        run = seen[digest, epochs] = seen.get((digest, epochs), -1) + 1
        if i % 3:  # a third of them, all runs and trainings among them
            continue
        found = nb.get_metrics_from_hash(table, digest)[1][epochs][run]
        assert list(found) == metrics.evaluations[i, 1:3, 2:6].ravel().tolist()
    assert len(list(nb.hash_iterator(table))) == len({digest for digest, _ in seen}) == 91
