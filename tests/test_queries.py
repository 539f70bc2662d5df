"""What a person asks a table: by hand on a small one, and against the real one."""

import jax
import numpy as np
import pytest

from jnas import spaces
from jnas.queries import best, costs, info, learning_curves, results, seeds_of, statistics
from jnas.spaces._categorical import categorical
from jnas.tables._file import Header, Training, encode_curve
from jnas.tables._load import table_from_arrays
from jnas.tables._make import make_table
from jnas.tables.readers._arrays import arrays_table
from jnas.tables.report._text import describe_arch, table_text

SPACE = categorical((2, 2), names=(("a", "b"), ("a", "b")))
NAN = np.nan


@pytest.fixture(scope="module")
def table():
    """Four architectures, two trainings on one data set: 2 epochs with seeds 5 and 6 and curves, 8 epochs as means."""
    curve = np.array([[[10, 20], [12, 22]], [[30, 40], [NAN, NAN]], [[50, 60], [52, 62]], [[70, 55], [72, 57]]])
    arrays = {
        "archs": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int8),
        "accuracy/d/2/x": curve[:, :, -1].astype(np.float32),
        "accuracy_curve/d/2/x": encode_curve(curve),
        "loss/d/2/x": (curve[:, :, -1] / 100).astype(np.float32),
        "accuracy/d/2/y": (curve[:, :, -1] + 1).astype(np.float32),
        "accuracy_mean/d/8/x": np.array([25, 45, 90, 70], np.float32),
        "train_seconds/d/2": np.array([[3, 4], [5, NAN], [7, 8], [9, 9]], np.float32),
        "eval_seconds/d/2/x": np.array([[1], [1], [2], [2]], np.float32),
        "train_seconds/d/8": np.array([[1], [2], [3], [4]], np.float32),
        "parameters/d": np.array([1, 2, 3, 4], np.float32),
        "flops/d": np.array([40, 30, 20, 10], np.float32),
    }
    header = Header("four", SPACE.config, (Training("d", 2, (5, 6)), Training("d", 8, ())), {}, "by hand", ("a note",))
    return table_from_arrays(header, arrays)


def test_info_of_a_run_and_of_the_mean(table):
    found = info(table, 2, dataset="d", epochs=2, seed=6)
    assert (found.arch_index, found.arch, found.seed, found.at) == (2, table.text(2), 6, 2)
    assert set(found.splits) == {"x", "y"}
    assert found.splits["x"].accuracy == 62
    assert found.splits["x"].loss == pytest.approx(0.62)
    assert found.splits["x"].seconds == 2
    assert found.splits["y"].accuracy == 63
    assert np.isnan([found.splits["y"].loss, found.splits["y"].seconds]).all()
    assert (found.epoch_seconds, found.train_seconds) == (8, 16)
    mean = info(table, table.text(1), dataset="d", epochs=2, seed="mean")
    assert (mean.splits["x"].accuracy, mean.epoch_seconds) == (40, 5)  # of the one run that there is
    assert np.isnan(info(table, 1, dataset="d", epochs=2, seed=6).splits["x"].accuracy)
    assert info(table, np.array([1, 0]), dataset="d", epochs=8, seed="mean").splits["x"].accuracy == 90


def test_info_in_the_middle_of_a_training_has_the_splits_with_curves(table):
    found = info(table, 3, dataset="d", epochs=2, seed="mean", at=1)
    assert set(found.splits) == {"x"}
    assert found.splits["x"].accuracy == pytest.approx(71)
    assert np.isnan(found.splits["x"].loss)
    assert found.train_seconds == 9
    assert info(table, 3, dataset="d", epochs=2, seed="mean", at=2).splits["y"].accuracy == 57


def test_info_draws_one_run_for_all_splits(table):
    drawn = [info(table, 0, dataset="d", epochs=2, seed="random", key=jax.random.key(i)) for i in range(20)]
    assert {f.seed for f in drawn} == {5, 6}
    for found in drawn:
        assert found == info(table, 0, dataset="d", epochs=2, seed=found.seed)
    alone = [info(table, 1, dataset="d", epochs=2, seed="random", key=jax.random.key(i)) for i in range(5)]
    assert {f.seed for f in alone} == {5}


def test_what_a_table_lacks_is_said(table):
    with pytest.raises(ValueError, match="no training on dataset='e'"):
        info(table, 0, dataset="e", epochs=2, seed="mean")
    with pytest.raises(ValueError, match="seed is 7; for d with 2 epochs this table has seeds 5, 6"):
        info(table, 0, dataset="d", epochs=2, seed=7)
    with pytest.raises(ValueError, match="means over seeds only"):
        info(table, 0, dataset="d", epochs=8, seed=5)
    with pytest.raises(ValueError, match="no accuracy curves"):
        info(table, 0, dataset="d", epochs=8, seed="mean", at=3)
    with pytest.raises(ValueError, match="no key was given"):
        info(table, 0, dataset="d", epochs=2, seed="random")
    with pytest.raises(ValueError, match="no single runs"):
        info(table, 0, dataset="d", epochs=8, seed="random", key=jax.random.key(0))
    with pytest.raises(ValueError, match="expected one"):
        info(table, table.archs, dataset="d", epochs=2, seed="mean")
    with pytest.raises(ValueError, match="index 4 is not of this table"):
        info(table, 4, dataset="d", epochs=2, seed="mean")
    part = make_table(SPACE, archs=table.archs[:2], accuracy={"x": [1.0, 2.0]}, dataset="d", epochs=2)
    with pytest.raises(ValueError, match="does not hold that architecture"):
        info(part, np.array([1, 1]), dataset="d", epochs=2, seed="mean")


def test_results_by_seed(table):
    assert seeds_of(table, 1, dataset="d", epochs=2) == (5,)
    assert seeds_of(table, 0, dataset="d", epochs=8) == ()
    found = results(table, 0, dataset="d", epochs=2)
    assert {seed: r.splits["x"].accuracy for seed, r in found.items()} == {5: 20, 6: 22}


def test_costs(table):
    assert costs(table, 2, dataset="d")[:2] == (3, 20)
    assert np.isnan(costs(table, 2, dataset="d").latency)


def test_best_under_limits(table):
    where = {"dataset": "d", "split": "x", "epochs": 2}
    assert best(table, **where) == (2, table.text(2), 61)
    assert best(table, **where, seed=5).value == 60
    assert best(table, **where, max_parameters=2.5).arch_index == 1
    assert best(table, **where, max_flops=15).arch_index == 3
    assert best(table, **where, max_parameters=3.5, max_flops=25) == (2, table.text(2), 61)
    assert best(table, **where, metric="loss").arch_index == 0
    assert best(table, **where, at=1).arch_index == 3
    assert best(table, dataset="d", split="x", epochs=8).arch_index == 2
    assert best(table, **where, seed=6, max_parameters=2).arch_index == 0  # the other has no such run
    with pytest.raises(ValueError, match=r"no architecture with a number is within max_parameters=0\.5"):
        best(table, **where, max_parameters=0.5)
    with pytest.raises(ValueError, match="seed is 'random'"):
        best(table, **where, seed="random")
    with pytest.raises(ValueError, match="no parameters of 'e'"):
        best(table, **where, max_parameters=2, cost_dataset="e")


def test_statistics(table):
    found = statistics(table, dataset="d", epochs=2)
    assert found.num_runs == {1: 1, 2: 3}
    values = np.array([21, 40, 61, 56])
    assert found.splits["x"] == (4, values.mean(), pytest.approx(values.std()), 21, 48, 61, 2)
    assert statistics(table, dataset="d", epochs=8).num_runs == {0: 4}


def test_learning_curves(table):
    found = learning_curves(table, 3, dataset="d", epochs=2)
    np.testing.assert_allclose(found["x"], [[70, 55], [72, 57]], atol=0.001)
    assert set(found) == {"x"}


def test_description_says_what_there_is(table):
    text = table_text(table)
    for words in (
        "four",
        "source    by hand",
        "4 of 4 architectures",
        "d, 2 epochs  x          4  7 (seeds 5, 6)  every epoch  training and evaluation  44.50  61.00",
        "d, 8 epochs  x          4  means alone     the end      training",
        "parameters, millions: d",
        "runs of an architecture (d 2): 1 with 1, 3 with 2",
        "note: a note",
    ):
        assert words in text, text
    bare = make_table(SPACE, accuracy={"x": [1.0, 2.0, 3.0, NAN]}, dataset="d", epochs=2)
    assert "there are no times: a budget in seconds has no meaning on this table" in table_text(bare)
    timed = make_table(SPACE, accuracy={"x": [1.0, 2.0, 3.0, NAN]}, train_seconds=5.0, dataset="d", epochs=2)
    assert "there are no evaluation times: the cost of an evaluation is its training alone" in table_text(timed)
    assert "d, 2 epochs  x          3  3 (seed 0)" in table_text(bare)


def test_description_of_an_architecture(table):
    lines = describe_arch(table, 2).splitlines()
    assert lines[0] == f"architecture 2: {table.text(2)}"
    assert "3 M parameters, 20 M multiply-adds" in lines[1]
    assert [line.split() for line in lines[4:]] == [
        ["d,", "2", "epochs", "5", "x", "60.00", "0.6000", "14.0", "2.00"],
        ["d,", "2", "epochs", "5", "y", "61.00", "-", "14.0", "-"],
        ["d,", "2", "epochs", "6", "x", "62.00", "0.6200", "16.0", "2.00"],
        ["d,", "2", "epochs", "6", "y", "63.00", "-", "16.0", "-"],
        ["d,", "2", "epochs", "mean", "x", "61.00", "0.6100", "15.0", "2.00"],
        ["d,", "2", "epochs", "mean", "y", "62.00", "-", "15.0", "-"],
        ["d,", "8", "epochs", "mean", "x", "90.00", "-", "24.0", "-"],
    ]
    assert "d, 1 of 2 epochs" in describe_arch(table, 2, epochs=2, at=1)


def test_large_numbers_of_parameters_are_written_out():
    large = make_table(SPACE, accuracy={"x": [1.0, 2.0, 3.0, NAN]}, parameters=[129_306.5, 3.25, 1e5 + 0.5, NAN])
    assert "  data: 129,306 M parameters" in describe_arch(large, 0)
    assert "  data: 3.25 M parameters" in describe_arch(large, 1)


def test_a_query_for_what_is_not_there_says_what_is(table):
    for asked, said in (
        ({"dataset": "e"}, "no training on dataset='e'; it has d for 2 epochs, d for 8 epochs"),
        ({"epochs": 13}, "no training for epochs=13; it has d for 2 epochs"),
        ({"dataset": "d", "epochs": 13}, "no training on dataset='d' for epochs=13; it has d for 2 epochs"),
        ({"at": 5}, "at is 5, but none of the trainings asked for .*: d for 2 epochs, d for 8 epochs"),
        ({"epochs": 8, "at": 1}, "at is 1, but none of the trainings asked for .*: d for 8 epochs$"),
        ({"at": 0}, "at is 0"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            describe_arch(table, 2, **asked)
        assert "None" not in str(error.value)
    with pytest.raises(ValueError, match="index -1 is not of this table"):
        describe_arch(table, "-1")


def test_a_query_in_the_middle_leaves_out_trainings_that_do_not_get_there(table):
    text = describe_arch(table, 2, at=1)
    assert "d, 1 of 2 epochs" in text
    assert "8 epochs" not in text
    text = describe_arch(table, 2, at=8)
    assert "d, 8 epochs" in text
    assert "2 epochs" not in text


def test_a_query_for_an_architecture_without_numbers_is_one_sentence():
    values = [1.0, 2.0, 3.0, NAN]
    bare = make_table(SPACE, accuracy={"x": values, "y": values}, train_seconds=values, dataset="d", epochs=1)
    lines = describe_arch(bare, 3).splitlines()
    assert lines[1:] == ["", "This table holds no accuracy, loss or time of it in these trainings."]
    assert "d, 1 epoch " in describe_arch(bare, 2)
    assert "d, 1 epoch " in table_text(bare)


def test_a_query_tells_what_devices_read():
    arrays = {
        "archs": np.array([[0, 0], [0, 1]], np.int8),
        "accuracy_mean/d/8/x": np.array([25, 45], np.float32),
        "hardware/watch_energy": np.array([7.25, 8], np.float32),
    }
    for i in range(20):
        arrays[f"device_latency/phone_{i:02d}"] = np.array([i + 0.5, NAN if i == 3 else 100 + i], np.float32)
    header = Header("two", SPACE.config, (Training("d", 8, ()),), {}, "by hand", ())
    text = describe_arch(table_from_arrays(header, arrays), 1)
    assert "  latency, ms, on: phone_00 100, phone_01 101, phone_02 102, phone_04 104, " in text
    assert "  hardware: watch_energy 8" in text.splitlines()
    assert all(len(line) <= 110 for line in text.splitlines())
    for i in range(20):
        assert (f"phone_{i:02d} {100 + i}" in text) == (i != 3)


@pytest.fixture(scope="module")
def real(shared_data):
    path = shared_data / "nasbench201" / "nasbench201.npz"
    return table_from_arrays(*arrays_table(path, spaces.get("nasbench201")))


def test_optima_of_the_real_table(real):
    """The optimal row of Table 5 of NAS-Bench-201."""
    optimum = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    found = best(real, dataset="cifar10", split="test", epochs=200)
    assert (found.arch, round(found.value, 2)) == (optimum, 94.37)
    values = [round(best(real, dataset=d, split="test", epochs=200).value, 2) for d in ("cifar100", "ImageNet16-120")]
    assert values == [73.51, 47.31]
    small = best(real, dataset="cifar10", split="test", epochs=200, max_parameters=0.4)
    assert costs(real, small.arch, dataset="cifar10").parameters <= 0.4
    assert small.value < found.value


def test_real_table_says_that_it_has_no_validation_time(real):
    assert "no validation time" in table_text(real)
    assert statistics(real, dataset="cifar10-valid", epochs=200).num_runs == {2: 7456, 3: 8169}
