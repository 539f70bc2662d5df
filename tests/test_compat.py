"""The published Python interfaces over tables: what the original packages say of the original archives comes out.

The numbers of NATS-Bench were written down from `nats_bench` 1.8 on the archives of cells 0, 11 and 284; where that
package is installed, all of them are compared.
"""

import base64
import json
import math
import random

import numpy as np
import pytest

import jnas
from jnas.compat.nas_201_api import NASBench201API
from jnas.compat.nasbench import api
from jnas.compat.nats_bench import create, search_space_info, version
from jnas.io._tfrecord import read_records
from jnas.tables._load import table_from_arrays
from jnas.tables.readers._model_metrics import parse_metrics
from jnas.tables.readers._nats import nats_table

FOLDERS = {
    "tss": ("nasbench201", "NATS-tss-v1_0-3ffb9-simple", ("12", "200")),
    "sss": ("nats_sss", "NATS-sss-v1_0-50262-simple", ("01", "12", "90")),
}
DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")


@pytest.fixture(scope="module")
def apis(shared_data):
    made = {}
    for space, (folder, name, _) in FOLDERS.items():
        table = table_from_arrays(*nats_table(shared_data / folder / name))
        made[space] = create(table, space, fast_mode=True, verbose=False)
    return made


def test_published_numbers_of_the_archives(apis):
    tss, sss = apis["tss"], apis["sss"]
    assert tss.arch(11) == "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    info = tss.get_more_info(11, "cifar10-valid", hp="12", is_random=False)
    assert info["valid-accuracy"] == pytest.approx(63.27799998413086, abs=1e-5)
    assert info["train-all-time"] == pytest.approx(149.54468154907227, rel=1e-6)
    assert info["test-per-time"] == pytest.approx(1.6605006853739421, rel=1e-6)
    info = tss.get_more_info(284, "cifar100", hp="200", is_random=777)
    assert (info["test-accuracy"], info["valtest-accuracy"]) == pytest.approx((63.0, 62.53), abs=1e-5)
    assert info["valid-loss"] == pytest.approx(1.3557588439941406, rel=1e-6)
    costs = tss.get_cost_info(11, "cifar10")
    assert (costs["flops"], costs["params"]) == pytest.approx((113.95137, 0.802426), rel=1e-6)
    assert costs["latency"] == pytest.approx(0.016163252947623268, rel=1e-6)
    assert costs["T-train@total"] == pytest.approx(299.08936309814453, rel=1e-6)
    info = sss.get_more_info(284, "cifar10", hp="90", is_random=False)
    assert (info["test-accuracy"], info["train-accuracy"]) == pytest.approx((89.51, 96.846), abs=1e-5)
    assert "valid-accuracy" not in info
    assert tss.find_best("cifar100", "valid", hp="12") == (284, pytest.approx(40.48, abs=1e-5))
    assert tss.find_best("cifar100", "valid", flop_max=-1.0, hp="12") == (-1, None)  # none is within the limit
    assert tss.statistics("cifar10-valid", "12") == {2: 3}
    assert tss.get_net_config(11, "cifar100")["num_classes"] == 100
    assert (len(tss), len(sss), tss.evaluated_indexes) == (15_625, 32_768, [0, 11, 284])


def test_runs_at_random_and_accounted_time(apis):
    api_ = apis["tss"]
    api_.reset_time()
    runs = [api_.simulate_train_eval(284, "cifar10", hp="12") for _ in range(20)]
    seeds = api_.query_meta_info_by_index(284, "12").get_dataset_seeds("cifar10-valid")
    known = {api_.get_more_info(284, "cifar10-valid", hp="12", is_random=s)["valid-accuracy"] for s in seeds}
    assert {run[0] for run in runs} == known
    assert len(known) > 1
    assert runs[-1][3] == pytest.approx(sum(run[2] for run in runs))
    assert api_.used_time == runs[-1][3]
    api_.simulate_train_eval(284, "cifar100", hp="12", account_time=False)
    assert api_.used_time == runs[-1][3]


def test_what_a_table_lacks_is_an_error(apis):
    tss = apis["tss"]
    for call, message in (
        (lambda: tss.get_more_info(5, "cifar10"), "has no trainings of 12 epochs"),
        (lambda: tss.get_more_info(11, "mnist"), "invalid dataset-name : mnist"),
        (lambda: tss.get_more_info(11, "cifar10", hp="90"), "hp is '90', expected one of .*12, 200"),
        (lambda: tss.get_more_info(11, "cifar10", is_random=999), "can not find random seed .999."),
        (lambda: tss.get_more_info(11, "cifar10", iepoch=12), "invalid iepoch=12"),
        (lambda: tss.arch(15_625), "Invalid architecture index"),
        (lambda: tss.simulate_train_eval("|none|", "cifar10"), "is no architecture of the topology space"),
        (lambda: tss.simulate_train_eval(11, "cifar10-valid"), "Invalid dataset name"),
        (lambda: tss.get_net_param(11, "cifar10", None), "holds no trained weights"),
        (lambda: tss.reload(index=11), "read as a whole"),
        (lambda: create(tss.table, "sss"), "is of the space 'nasbench201', expected 'nats_size'"),
        (lambda: create(tss.table, "size space"), "invalid search space"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert tss.query_index_by_arch("|none|") == -1


def test_means_alone_give_no_single_runs():
    """The package's own table has runs; of one with means alone none is made up."""
    table = jnas.load_table()
    own = NASBench201API(table)
    assert own.query_by_index(3, "digits", hp="8").keys() <= {0, 1, 2}
    assert own.find_best("digits", "test", hp="8")[0] == int(np.nanargmax(_mean(table)))
    arrays = {name: table.read(name) for name in ("archs",)}
    arrays["accuracy_mean/digits/8/test"] = _mean(table).astype(np.float32)
    (training,) = table.header.trainings
    header = table.header._replace(trainings=(training._replace(seeds=()),), pairs={})
    means = NASBench201API(table_from_arrays(header, arrays))
    assert means.find_best("digits", "test", hp="8")[0] == own.find_best("digits", "test", hp="8")[0]
    with pytest.raises(ValueError, match=r"means over the seeds of digits alone.*is_random=False"):
        means.get_more_info(3, "digits", hp="8")


def _mean(table):
    return table.runs("accuracy", "digits", "test", 8, "mean").value[:, 0]


def test_all_that_the_original_package_says(shared_data, apis):
    original = pytest.importorskip("nats_bench", reason="the package nats-bench is not installed")
    for space, (folder, name, epochs) in FOLDERS.items():
        theirs, ours = original.create(str(shared_data / folder / name), space, True, False), apis[space]
        for index in (0, 11, 284):
            for hp in epochs:
                for dataset in theirs.query_meta_info_by_index(index, hp).get_dataset_names():
                    for seed in (False, *theirs.query_meta_info_by_index(index, hp).get_dataset_seeds(dataset)):
                        given = {"hp": hp, "is_random": seed}
                        agree(
                            theirs.get_more_info(index, dataset, **given), ours.get_more_info(index, dataset, **given)
                        )
                        first = [a.get_more_info(index, dataset, iepoch=0, **given) for a in (theirs, ours)]
                        agree(*first, accuracy=2.5e-3, loss=1e-3)
                    agree(theirs.get_cost_info(index, dataset, hp), ours.get_cost_info(index, dataset, hp))
        random.seed(0)
        expected = [theirs.simulate_train_eval(284, "cifar100", hp="12") for _ in range(5)]
        theirs.reset_time()
        random.seed(0)
        ours.reset_time()
        np.testing.assert_allclose([ours.simulate_train_eval(284, "cifar100", hp="12") for _ in range(5)], expected)


def agree(theirs, ours, accuracy=1e-5, loss=1e-6):
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        if name == "comment" or value is None:
            assert (value is None) == (ours[name] is None)
        else:
            near = {"abs": accuracy} if "accuracy" in name else {"rel": loss if "loss" in name else 1e-6, "abs": loss}
            assert ours[name] == pytest.approx(float(value), **near), name


@pytest.fixture(scope="module")
def energy(shared_data):
    return shared_data / "nasbench101" / "energy_4V9E.tfrecord"


@pytest.fixture(scope="module")
def bench(energy):
    return api.NASBench(energy, seed=1)


class TestNasbench:
    def test_all_records_come_out(self, energy, bench):
        """Each of EC-NAS's 1,092 records is one of the runs of its cell."""
        known = {}
        rows = [json.loads(row) for batch in read_records(energy) for row in batch.records]
        metrics = parse_metrics([base64.b64decode(row[4]) for row in rows])
        assert len(rows) == 91 * 4 * 3
        for number, (hash_, epochs, *_) in enumerate(rows):
            known.setdefault((hash_, epochs), []).append(np.ravel(np.asarray(metrics.evaluations)[number, 1:3, 2:6]))
        assert set(bench.hash_iterator()) == {row[0] for row in rows}
        for hash_ in list(bench.hash_iterator())[::9]:
            fixed, computed = bench.get_metrics_from_hash(hash_)
            assert fixed.keys() == {"module_adjacency", "module_operations", "trainable_parameters"}
            assert computed.keys() == bench.valid_epochs == {4, 12, 36, 108}
            for epochs, runs in computed.items():
                assert list(runs[0])[:2] == ["halfway_training_time", "halfway_train_accuracy"]
                found = np.asarray([list(run.values()) for run in runs])
                np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(known[hash_, epochs], axis=0))

    def test_queries_count_what_they_cost(self, bench):
        """The README's way: a cell whose unused vertex is left out, of which each query gives one run."""
        cell = api.ModelSpec(
            [[0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
            ["input", "conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu", "output"],
        )
        assert (len(cell.ops), len(cell.original_ops)) == (4, 5)
        bench.reset_budget_counters()
        data = [bench.query(cell, epochs=36) for _ in range(12)]
        assert {run["test_accuracy"] for run in data} == {
            run["final_test_accuracy"] for run in bench.get_metrics_from_spec(cell)[1][36]
        }
        assert 0.87 < data[0]["test_accuracy"] < 0.88
        assert data[0]["trainable_parameters"] == 11_051_402
        half = bench.query(cell, epochs=108, stop_halfway=True)
        spent = math.fsum(run["training_time"] for run in (*data, half))
        assert bench.get_budget_counters() == (pytest.approx(spent), 12 * 36 + 54)
        again = [api.NASBench(bench.table, seed=3).query(cell, epochs=4)["training_time"] for _ in range(2)]
        assert again[0] == again[1]

    def test_what_is_not_in_it_is_an_error(self, bench):
        loose = api.ModelSpec([[0, 0], [0, 0]], ["input", "output"])
        assert not bench.is_valid(loose)
        wide = api.ModelSpec(np.triu(np.ones((7, 7)), 1), ["input", *["maxpool3x3"] * 5, "output"])
        assert not bench.is_valid(wide)
        fine = api.ModelSpec([[0, 1], [0, 0]], ["input", "output"])
        assert bench.is_valid(fine)
        for call in (lambda: bench.query(loose), lambda: bench.query(wide), lambda: bench.query(fine, epochs=5)):
            with pytest.raises(api.OutOfDomainError):
                call()
        with pytest.raises(ValueError, match="jnas train"):
            bench.evaluate(fine, "folder")
        with pytest.raises(ValueError, match="upper triangular"):
            api.ModelSpec([[0, 1], [1, 0]], ["input", "output"])
        with pytest.raises(ValueError, match="expected 'nasbench101'"):
            api.NASBench(jnas.load_table())


def test_archives_where_torch_home_says(monkeypatch, shared_data, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for make in (lambda: create(None, "tss", fast_mode=True), lambda: NASBench201API(None)):
        with pytest.raises(FileNotFoundError, match=r"there is no archive at .*TORCH_HOME"):
            make()
    monkeypatch.setenv("TORCH_HOME", str(shared_data / "nats_sss"))
    assert create(None, "sss", fast_mode=True).query_index_by_arch("8:8:8:8:8") == 0
    assert search_space_info("nats-bench", "tss")["num_nodes"] == 4
    assert version() == "v1.8"
