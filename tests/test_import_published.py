"""Importers of NAS-Bench-Graph, NAS-Bench-Macro, TransNAS-Bench-101, AnalogNAS-Bench, HW-NAS-Bench and CSV files.

Small files in the published structure are made on the spot; damaged and hostile ones are refused. Where a package with
the real files is installed, its published figures come out.
"""

import importlib.util
import json
import pickle
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from jnas import spaces
from jnas.commands._cli import main
from jnas.statistics import best_of_draws, expected_best
from jnas.tables._file import save_arrays
from jnas.tables._load import load_table, table_from_arrays
from jnas.tables._synthetic import synthetic_table
from jnas.tables.readers._analog import analog_table
from jnas.tables.readers._hardware import METRICS, with_hardware
from jnas.tables.readers._nasbench_graph import nasbench_graph_table
from jnas.tables.readers._nasbench_macro import nasbench_macro_table
from jnas.tables.readers._transnas import TASKS, transnas_table


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("hacked"),)


def packed(data) -> bytes:
    return pickle.dumps(data, protocol=4)


def graph_files(folder):
    """Two data sets of three cells, in a wheel."""
    entry = {"valid_perf": 0.5, "perf": np.float64(0.75), "latency": 0.01, "para": np.float64(1.5)}
    cells = {0: entry, 61237: {**entry, "perf": 0.25}, 81110: entry}
    path = folder / "nas_bench_graph-1.4.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nas_bench_graph/light/cora.bench", packed(cells))
        archive.writestr("nas_bench_graph/light/proteins.bench", packed({61237: entry}))
    return path


def macro_file(folder, **changed):
    entry = {"test_acc": [90.0, 91.0, 92.0], "mean_acc": 91.0, "std": 0.8, "params": 890666, "flops": 47327744}
    path = folder / "nas-bench-macro_cifar10.json"
    path.write_text(json.dumps({"22212220": {**entry, **changed}, "00000000": entry}))
    return path


def transnas_file(folder, results=None):
    """A zip archive as `torch.save` writes it, of two cells and a backbone."""

    def result(task, value):
        splits = {f"{s}_{TASKS[task].key}": [value - 1, value - 0.5, value] for s in ("train", "valid", "test")}
        info = {"inference_time": 0.01, "encoder_params": 10, "model_params": 2e6, "model_FLOPs": 3e9}
        elapsed = ["00:10:00", "00:20:00", "01:00:30"]
        return {"model_info": info, "metrics": {**splits, "time_elapsed": elapsed}, "total_epochs": 3}

    def cell(value):
        return {task: result(task, -value if task == "room_layout" else value) for task in TASKS}

    data = {
        "macro": {"64-2311-basic": cell(3.0)},
        "micro": {"64-41414-1_02_333": cell(7), "64-41414-0_00_000": cell(5)},
    }
    root = {"metrics_dict": {}, "info_names": [], "task_list": list(TASKS), "data": results or data}
    path = folder / "transnas-bench_v10141024.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(root, protocol=2))
        archive.writestr("archive/version", "3\n")
    return path


def analog_file(folder, cells=((0, 1, 2, 3, 4, 2), (0, 0, 0, 0, 0, 0))):
    module = types.ModuleType("analognasbench.data")
    for name in ("Architecture", "DriftMeasurement"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    made = {}
    for number, key in enumerate(cells):
        cell = module.Architecture()
        cell.architecture = key
        for column, kind in enumerate(("baseline", "ptq", "qat", "noisy", "analog")):
            setattr(cell, f"{kind}_accuracy", 50.0 + 10 * number + column)
        for kind in ("baseline", "analog"):
            for seconds in (60, 3600, 86400, 2592000):
                drift = module.DriftMeasurement()
                drift.value, drift.uncertainty = 40.0 + number, 0.5
                setattr(cell, f"{kind}_drift_{seconds}", drift)
        made[key] = cell
    path = folder / "data.anb"
    before = dict(sys.modules)
    sys.modules |= {"analognasbench": types.ModuleType("analognasbench"), "analognasbench.data": module}
    try:
        path.write_bytes(packed(made))
    finally:
        sys.modules.clear()
        sys.modules.update(before)
    return path


def hardware_file(folder):
    column = np.arange(15_625, dtype=np.float64)
    metrics = {name: column + i for i, name in enumerate(METRICS)}
    metrics["edgetpu_latency"] = np.where(column % 2, column, -1.0)
    of_all = {dataset: {**metrics, "config": []} for dataset in ("cifar10", "cifar100", "ImageNet16-120")}
    of_all["cifar100"]["fpga_energy"] = [0.5] * 15_625
    path = folder / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(packed({"nasbench201": of_all, "fbnet": {"pixel3_latency": {"op": 1.0}}}))
    return path


class TestGraph:
    def test_numbers_stand_with_their_cells(self, tmp_path):
        header, arrays = nasbench_graph_table(graph_files(tmp_path))
        table = table_from_arrays(header, arrays)
        row = int(table.row_of("Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])"))
        assert arrays["accuracy_mean/cora/1/test"][row] == 25.0
        assert np.isfinite(arrays["accuracy_mean/cora/1/valid"]).sum() == 3
        assert np.isfinite(arrays["accuracy_mean/proteins/1/test"]).sum() == 1
        assert arrays["parameters/cora"][row] == 1.5
        assert "cora: 3 of 26,206 architectures have numbers, the others are missing" in header.notes
        assert header.pairs["cora"] == {"validation": ("cora", "valid"), "test": ("cora", "test")}

    @pytest.mark.parametrize("key", [8, "0", 88888, 10])  # 10: the order of equal parts is another
    def test_keys_of_no_cell_are_refused(self, tmp_path, key):
        (tmp_path / "cora.bench").write_bytes(
            packed({key: {"valid_perf": 0.5, "perf": 0.5, "latency": 0.1, "para": 1.0}})
        )
        with pytest.raises(ValueError, match="which no cell of NAS-Bench-Graph has"):
            nasbench_graph_table(tmp_path)

    def test_published_figures(self):
        """Counts, best and mean test accuracies, and the exact expectation of the best of k by validation."""
        found = importlib.util.find_spec("nas_bench_graph")
        if found is None:
            pytest.skip("the package nas-bench-graph is not installed")
        _, arrays = nasbench_graph_table(found.submodule_search_locations[0])
        published = {  # data_facts: tau of all, test of the best valid of 1, 10, 100, 1,000 and all; best test
            "arxiv": (0.873, 69.55, 71.53, 71.88, 72.04, 71.95, 72.39),
            "physics": (0.698, 87.12, 90.92, 91.40, 91.68, 91.35, 93.00),
            "pubmed": (0.382, 73.07, 75.11, 75.96, 76.28, 75.60, 78.60),
            "proteins": (0.353, 76.63, 77.41, 77.50, 76.72, 76.11, 79.26),
        }
        for dataset, (tau, *expected) in published.items():
            valid, test = (arrays[f"accuracy_mean/{dataset}/1/{split}"].astype(float) for split in ("valid", "test"))
            known = np.isfinite(valid)
            assert known.sum() == (2_021 if dataset == "proteins" else 26_206)
            valid, test = valid[known], test[known]
            assert stats.kendalltau(valid, test).statistic == pytest.approx(tau, abs=1e-3)
            each = [drawn(valid, test, k) for k in (1, 10, 100, 1000, len(valid))]
            np.testing.assert_allclose([*each, test.max()], expected, atol=0.006)


def drawn(valid, test, k):
    """What the best by validation of k random cells has on test, on average over all draws."""
    return expected_best(best_of_draws(valid, k, judged_by=test, replacement=False))


class TestMacro:
    def test_runs_parameters_and_operations(self, tmp_path):
        header, arrays = nasbench_macro_table(macro_file(tmp_path))
        row = int("22212220", 3)
        np.testing.assert_array_equal(arrays["accuracy/cifar10/50/test"][row], [90, 91, 92])
        assert (arrays["parameter_count/cifar10"][row], arrays["flops/cifar10"][row]) == (890666, np.float32(47.327744))
        assert np.isfinite(arrays["flops/cifar10"]).sum() == 2
        assert "2 of 6,561 architectures have numbers, the others are missing" in header.notes

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"mean_acc": 92.0}, "mean_acc that is not the mean"),
            ({"test_acc": [90.0, 91.0]}, "expected the accuracies of 3 trainings"),
            ({"test_acc": [900.0, 910.0, 920.0], "mean_acc": 910.0}, "expected percent"),
            ({"params": -3}, "has -3 parameters"),
            ({"flops": None}, "has flops = None, expected a number"),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, tmp_path, changed, message):
        with pytest.raises(ValueError, match=message):
            nasbench_macro_table(macro_file(tmp_path, **changed))

    def test_other_files_are_refused(self, tmp_path):
        path = macro_file(tmp_path)
        path.write_text(path.read_text()[:-20])
        with pytest.raises(ValueError, match="is not JSON"):
            nasbench_macro_table(path)
        path.write_text(json.dumps({"2221222": {}}))
        with pytest.raises(ValueError, match="expected eight digits"):
            nasbench_macro_table(path)
        with pytest.raises(FileNotFoundError):
            nasbench_macro_table(tmp_path / "none.json")


class TestTransnas:
    @pytest.mark.parametrize("task", TASKS)
    def test_metrics_have_their_directions(self, tmp_path, task):
        header, arrays = transnas_table(transnas_file(tmp_path), task=task)
        space = spaces.transnas_micro()
        best, other = (int(space.index(space.from_string(f"64-41414-{c}"))) for c in ("1_02_333", "0_00_000"))
        values = arrays[f"accuracy/{task}/3/valid"][[best, other], 0]
        assert header.metric.higher_is_better == (task != "room_layout")
        np.testing.assert_array_equal(values, [7, 5])
        assert header.trainings == ((task, 3, (0,)),)
        assert np.isfinite(arrays[f"accuracy/{task}/3/test"]).sum() == 2
        assert arrays[f"train_seconds/{task}/3"][best, 0] == 3630 / 3
        assert (arrays[f"parameters/{task}"][best], arrays[f"flops/{task}"][best]) == (2.0, 3000.0)
        table = table_from_arrays(header, arrays)
        curve = table.curve(best, dataset=task, split="valid", epochs=3, seed=0)
        np.testing.assert_allclose(np.ravel(curve), [8, 7.5, 7] if task == "room_layout" else [6, 6.5, 7], atol=1e-3)

    def test_backbones_and_what_is_not_there(self, tmp_path):
        path = transnas_file(tmp_path)
        header, arrays = transnas_table(path, task="jigsaw", space="macro")
        assert header.space == spaces.transnas_macro().config
        assert np.nansum(arrays["accuracy/jigsaw/3/test"]) == 3.0
        with pytest.raises(ValueError, match="task is 'jigsav'; did you mean 'jigsaw'"):
            transnas_table(path, task="jigsav")
        with pytest.raises(ValueError, match="space is 'cell'"):
            transnas_table(path, task="jigsaw", space="cell")
        for wrong, message in (
            ({"micro": {"64-41414-9_00_000": {"jigsaw": {}}}}, "which transnas_micro does not have"),
            ({"micro": {"64-41414-1_02_333": {}}}, "has nothing of jigsaw"),
            ({"micro": {"64-41414-1_02_333": {"jigsaw": {"metrics": {}, "total_epochs": 3}}}}, "has no train_top1"),
            ({"micro": {"64-41414-1_02_333": {"jigsaw": {"metrics": {}}}}}, "expected a number of epochs"),
            ({"macro": {}}, "holds no architectures of the space 'micro'"),
        ):
            with pytest.raises(ValueError, match=message):
                transnas_table(transnas_file(tmp_path, wrong), task="jigsaw")


class TestAnalog:
    def test_codes_and_edges_are_those_of_nasbench201(self, tmp_path):
        header, arrays = analog_table(analog_file(tmp_path))
        space = spaces.nasbench201()
        text = (  # their edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3 have skip, none, 3x3, 1x1, pooling, 3x3
            "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|"
        )
        row = int(space.index(space.from_string(text)))
        assert [float(arrays[f"accuracy_mean/cifar10/1/{s}"][row]) for s in ("baseline", "analog")] == [50.0, 54.0]
        assert arrays["accuracy_mean/cifar10/1/analog-drift-30d"][row] == 40.0
        assert arrays["hardware/baseline-drift-60s_sd"][row] == 0.5
        assert np.isfinite(arrays["accuracy_mean/cifar10/1/qat"]).sum() == 2
        assert not header.pairs

    @pytest.mark.parametrize("key", [(0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), "text"])
    def test_other_keys_are_refused(self, tmp_path, key):
        with pytest.raises(ValueError, match="expected six numbers of operations"):
            analog_table(analog_file(tmp_path, [key]))

    def test_published_figures(self, shared_data):
        """The agreement with NAS-Bench-201 by which the order of operations and edges was found."""
        found = importlib.util.find_spec("analognasbench")
        if found is None:
            pytest.skip("the package analog-nasbench is not installed")
        _, arrays = analog_table(Path(found.origin).parent)
        baseline = arrays["accuracy_mean/cifar10/1/baseline"]
        test = np.load(shared_data / "nasbench201" / "nasbench201.npz")["test_accuracy_200"][:, 0]
        assert stats.spearmanr(baseline, test).statistic == pytest.approx(0.9914, abs=1e-4)
        assert (baseline == 10).sum() == 341
        assert baseline.max() == pytest.approx(94.07, abs=5e-3)


class TestHardware:
    def test_columns_come_into_a_table(self, tmp_path):
        header, arrays = synthetic_table("nasbench201", seed=0, curves=False)
        part = {name: values[[3, 7, 12]] for name, values in arrays.items()}
        table = table_from_arrays(header, part)
        found, columns = with_hardware(table, hardware_file(tmp_path))
        np.testing.assert_array_equal(columns["hardware/edgegpu_energy"], [4, 8, 13])
        np.testing.assert_array_equal(columns["hardware/edgetpu_latency"], [3, 7, np.nan])
        np.testing.assert_array_equal(columns["hardware/fpga_energy_cifar100"], [0.5] * 3)
        assert set(part) <= set(columns)
        assert len(found.notes) == len(header.notes) + 1
        again, _ = with_hardware(table_from_arrays(found, columns), hardware_file(tmp_path))
        assert again.notes == found.notes
        other = table_from_arrays(*nasbench_macro_table(macro_file(tmp_path)))
        with pytest.raises(ValueError, match="the table is of the space 'nasbench_macro'"):
            with_hardware(other, hardware_file(tmp_path))

    @pytest.mark.parametrize("wrong", [[1.0] * 3, [-2.0] * 15_625, None, ["a"] * 15_625])
    def test_columns_of_another_form_are_refused(self, tmp_path, wrong):
        path = hardware_file(tmp_path)
        data = pickle.loads(path.read_bytes())
        data["nasbench201"]["cifar10"]["pixel3_latency"] = wrong
        path.write_bytes(packed(data))
        with pytest.raises(ValueError, match=r"pixel3_latency of cifar10 in .*get the file again"):
            with_hardware(load_table(), path)


READERS = {
    "graph": (graph_files, nasbench_graph_table),
    "transnas": (transnas_file, lambda path: transnas_table(path, task="jigsaw")),
    "analog": (analog_file, analog_table),
    "hardware": (hardware_file, lambda path: with_hardware(load_table(), path)),
}


@pytest.mark.parametrize("name", READERS)
def test_cut_off_foreign_and_hostile_files_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, read = READERS[name]
    path = make(tmp_path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[: len(whole) - 40], b"", b"<html>", packed([1, 2]), packed({})):
        path.write_bytes(damaged)
        with pytest.raises((ValueError, EOFError)) as found:
            read(path)
        assert isinstance(found.value, ValueError), found.value
    if path.suffix == ".whl":  # its list of members says another version, and a member's bytes are others
        for place, byte in ((whole.index(b"PK\1\2") + 6, 93), (60, whole[60] ^ 1)):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            with pytest.raises(ValueError, match="is damaged"):
                read(path)
    hostile = packed({0: {"perf": Hostile()}, "nasbench201": Hostile(), "data": {"micro": Hostile()}})
    if path.suffix in (".whl", ".pth"):
        inner = "x/cora.bench" if path.suffix == ".whl" else "archive/data.pkl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inner, hostile)
    else:
        path.write_bytes(hostile)
    with pytest.raises(ValueError, match="nothing of it was run"):
        read(path)
    assert not (tmp_path / "hacked").exists()


class TestCsv:
    TEXT = (
        "Cell,accuracy/data/10/validation[0],accuracy/data/10/validation[1],accuracy/data/10/test,parameters/data,Note\n"
        "a|p|x,50,60,55.5,1.5,old\nb|q|y,70,,65.5,nan,\n"
    )

    @pytest.fixture
    def space(self, tmp_path):
        path = tmp_path / "space.json"
        path.write_text(json.dumps({"num_choices": [3, 4, 2], "names": [list("abc"), list("pqrs"), list("xy")]}))
        return str(path)

    def run(self, tmp_path, space, text, *words):
        path = tmp_path / "mine.csv"
        path.write_text(text, "utf-8-sig")
        status = main(["table", "import", "csv", str(path), "--space", space, "-o", str(tmp_path / "t.npz"), *words])
        return status, tmp_path / "t.npz"

    @pytest.mark.parametrize("part", [",", "\t", ";"])
    def test_columns_are_members_by_their_names(self, tmp_path, space, part):
        text = self.TEXT.replace(",accuracy/data/10/test", ",accuracy/data/4/test").replace(",", part)
        status, path = self.run(tmp_path, space, text, "--column", "arch=Cell")
        assert status == 0
        table = load_table(path)
        assert table.header.trainings == (("data", 4, (0,)), ("data", 10, (0, 1)))
        np.testing.assert_array_equal(table.read("accuracy/data/10/validation"), [[50, 60], [70, np.nan]])
        np.testing.assert_array_equal(table.read("parameters/data"), [1.5, np.nan])
        assert table.row_of("b|q|y") == 1

    def test_strings_of_digits_are_strings(self, tmp_path):
        for texts in (("00120121", "22000100"), ("12012012", "22222222")):
            text = "".join(f"{text},{50 + row}\n" for row, text in enumerate(texts))
            status, path = self.run(tmp_path, "nasbench_macro", f"arch,accuracy/d/1/test\n{text}")
            assert status == 0
            table = load_table(path)
            assert [table.text(row) for row in range(2)] == list(texts)
            np.testing.assert_array_equal(table.read("accuracy/d/1/test"), [[50], [51]])

    def test_a_mapping_gives_scales(self, tmp_path, space):
        mapping = {
            "architectures": {"array": "arch"},
            "trainings": [{"dataset": "data", "epochs": 1, "seeds": [0]}],
            "members": {"accuracy/data/1/test": {"array": "acc", "scale": 100, "missing": -1}},
        }
        (tmp_path / "map.json").write_text(json.dumps(mapping))
        text = "arch[0],arch[1],arch[2],acc\n0,1,0,0.5\n2,3,1,-1\n"
        status, path = self.run(tmp_path, space, text, "--mapping", str(tmp_path / "map.json"))
        assert status == 0
        np.testing.assert_array_equal(load_table(path).read("accuracy/data/1/test"), [[50], [np.nan]])

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            (("lat", "Note"), "2 columns not read, .*: lat, Note .*--column latency/DATASET=lat"),
            (("Note", "parms"), "Note, parms .*--column parameters/DATASET=parms"),
            (("accuracy/d/x/test",), "1 column not read.*--column accuracy/DATASET/EPOCHS/SPLIT=accuracy/d/x/test"),
            (("Note",), "--column latency/DATASET=Note"),
            (("latency/phone", "flops/d"), None),
        ],
    )
    def test_columns_that_are_left_out_are_said(self, tmp_path, space, capsys, more, told):
        rows = ("a|p|x,50", "b|q|y,70")
        text = "\n".join(
            [",".join(("arch", "accuracy/d/1/test", *more)), *(",".join((row, *["1"] * len(more))) for row in rows)]
        )
        status, path = self.run(tmp_path, space, text)
        assert status == 0
        assert path.exists()
        out = capsys.readouterr().out
        assert "not read" not in out if told is None else re.search(f"note: .*{told}", out)

    @pytest.mark.parametrize(
        ("text", "words", "message"),
        [
            ("arch,accuracy/d/1/test\n", (), "has no rows"),
            ("arch,arch\na|p|x,1\n", (), "names the column 'arch' 2 times"),
            ("arch,accuracy/d/1/test\na|p|x\n", (), "row 2 of .* has 1 cells, expected 2"),
            ("cell,accuracy/d/1/test\na|p|x,1\n", (), "say which with --column arch=NAME"),
            ("arch,acc\na|p|x,1\n", (), "no column of accuracies"),
            ("arch,acc\na|p|x,1\n", ("--column", "accuracy/d/1/test=Acc"), "did you mean 'acc'"),
            ("arch,acc\na|p|x,1\n", ("--column", "acc"), "expected MEMBER=NAME"),
            ("arch,accuracy/d/1/test\na|p|z,50\n", (), "unknown choice 'z'"),
            ("arch,accuracy/d/1/test\na|p|x,500\n", (), "expected percent"),
            ("arch,accuracy/d/1/test\na|p|x,high\n", (), "expected numbers"),
            ("arch,accuracy/d/1/test[0],accuracy/d/1/test[2]\na|p|x,1,2\n", (), "without gaps"),
        ],
    )
    def test_wrong_files_are_refused_in_a_sentence(self, tmp_path, space, capsys, text, words, message):
        status, path = self.run(tmp_path, space, text, *words)
        assert status == 2
        assert not path.exists()
        assert re.search(message, capsys.readouterr().err)


def test_commands_write_tables(tmp_path, capsys):
    """As a user types them; a table of the space of cells gets the columns of another file."""
    header, arrays = synthetic_table("nasbench201", seed=0, curves=False)
    save_arrays(tmp_path / "t.npz", header, {name: values[:9] for name, values in arrays.items()})
    given = {
        "nas-bench-graph": (graph_files, ()),
        "nas-bench-macro": (macro_file, ()),
        "transnas-bench-101": (transnas_file, ("--task", "room_layout", "--space", "macro")),
        "analog-nas-bench": (analog_file, ()),
        "hw-nas-bench": (hardware_file, ("--table", str(tmp_path / "t.npz"))),
    }
    for name, (make, words) in given.items():
        out = tmp_path / f"{name}.npz"
        assert main(["table", "import", name, str(make(tmp_path)), *words, "-o", str(out)]) == 0
        assert load_table(out).num_archs > 8
    assert load_table(tmp_path / "transnas-bench-101.npz").metric.name == "loss"
    capsys.readouterr()
    for word, text in (("22212220", "22212220"), ("00000000", "00000000"), ("4", "00000011"), ("#4", "00000011")):
        assert main(["table", "query", str(tmp_path / "nas-bench-macro.npz"), word]) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith(text)
    assert main(["table", "import", "transnas-bench-101", "x.pth", "--task", "jigsaw", "-o", str(out)]) == 2
