"""Tables from the files of NATS-Bench and NAS-Bench-201, real ones and ones made here in their form."""

import bz2
import copy
import functools
import hashlib
import itertools
import os
import pickle
import time
from collections import OrderedDict

import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.io._workers import map_in_order
from jnas.tables._file import TableFile, Training, check_archs, decode_curve, save_arrays
from jnas.tables._published import PAIRS
from jnas.tables.readers import _nats
from jnas.tables.readers._nats import nasbench201_table, nats_table
from tests._nats_files import all_strings, make_folder, make_pth, record, state, write

CELLS = (0, 11, 284)  # what the folders of originals hold


@pytest.fixture(scope="module")
def cells():
    return all_strings(spaces.nasbench201())


@pytest.fixture(scope="module")
def sizes():
    return all_strings(spaces.nats_size())


@pytest.fixture(scope="module", autouse=True)
def lists_unpacked_once():
    """Unpacks a long list of architectures once, which takes a quarter of a second, and not for each folder."""
    unpacked: dict[bytes, bytes] = {}

    def unpack(path, unpack_=_nats.unpack):
        packed = path.read_bytes() if path.is_file() and path.stat().st_size > 20_000 else b""
        if packed not in unpacked or not packed:
            unpacked[packed] = unpack_(path)
        return unpacked[packed]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_nats, "unpack", unpack)
        yield


@pytest.fixture
def two_cells(cells):
    """Two architectures: the first with two seeds of a training, the second with one of them."""
    return {
        3: OrderedDict(
            {
                "12": state(
                    3, cells[3], [record("cifar10-valid", 777, 3), record("cifar10-valid", 111, 3, start=20.0)]
                ),
                "200": state(3, cells[3], [record("cifar10", 888, 5, splits=("ori-test",))]),
            }
        ),
        7: OrderedDict(
            {
                "12": state(7, cells[7], [record("cifar10-valid", 777, 3, start=30.0)]),
                "200": state(7, cells[7], [record("cifar10", 888, 5, start=40.0, splits=("ori-test",))]),
            }
        ),
    }


@pytest.fixture(scope="module")
def original():
    """Reads a folder of originals once, and lets go of its table after this file."""
    read = functools.cache(nats_table)
    yield read
    read.cache_clear()


class TestOriginals:
    """Every number of the originals, read a second time with `pickle` itself, which these files can be trusted with."""

    @pytest.mark.parametrize(
        ("folder", "rows", "name"),
        [
            ("nasbench201/NATS-tss-v1_0-3ffb9-simple", 15_625, "NATS-Bench topology"),
            ("nats_sss/NATS-sss-v1_0-50262-simple", 32_768, "NATS-Bench size"),
        ],
    )
    def test_read_exactly(self, original, shared_data, folder, rows, name):
        folder = shared_data / folder
        header, arrays = original(folder)
        assert header.name == name
        assert dict(header.pairs) == PAIRS
        assert any(note.startswith(f"3 of {rows:,} architectures have numbers") for note in header.notes)
        assert len(arrays["archs"]) == rows
        expected, compared = set(), 0
        for index in CELLS:
            states = pickle.loads(bz2.decompress((folder / f"{index:06d}.pickle.pbz2").read_bytes()))
            space = spaces.from_config(header.space)
            assert states[next(iter(states))]["arch_str"] == space.to_string(arrays["archs"][index])
            assert int(space.index(jnp.asarray(arrays["archs"][index], jnp.int32))) == index
            for held in states.values():
                for (dataset, seed), trial in held["all_results"].items():
                    compared += self.compare(header, arrays, index, dataset, seed, trial)
                    expected.add((dataset, trial["epochs"], seed))
        assert {(t.dataset, t.epochs, s) for t in header.trainings for s in t.seeds} == expected
        assert compared > 5_000
        others = np.setdiff1d(np.arange(rows), CELLS)
        for member, array in arrays.items():
            if member.split("/")[0] == "accuracy_curve":
                assert (array[others] == 65535).all(), member
            elif member != "archs":
                assert np.isnan(array[others]).all(), member

    def compare(self, header, arrays, index, dataset, seed, trial):
        """Compares one trial; returns how many numbers were compared."""
        epochs = trial["epochs"]
        training = next(t for t in header.trainings if (t.dataset, t.epochs) == (dataset, epochs))
        slot = training.seeds.index(seed)
        place = f"{dataset}/{epochs}"
        curves = {("accuracy", "train"): trial["train_acc1es"], ("loss", "train"): trial["train_losses"]}
        for kind, held in (("accuracy", trial["eval_acc1es"]), ("loss", trial["eval_losses"])):
            for key, value in held.items():
                split, epoch = key.split("@")
                curves.setdefault((kind, split), {})[int(epoch)] = value
        count = 0
        for (kind, split), curve in curves.items():
            assert arrays[f"{kind}/{place}/{split}"][index, slot] == np.float32(curve[epochs - 1])
            if len(curve) > 1:
                exact = np.array([curve[i] for i in range(epochs)])
                stored = arrays[f"{kind}_curve/{place}/{split}"][index, slot]
                if kind == "accuracy":
                    assert np.abs(decode_curve(stored) - exact).max() <= 0.001 + 1e-5
                else:
                    np.testing.assert_array_equal(stored, exact.astype(np.float16))
            else:
                assert f"{kind}_curve/{place}/{split}" not in arrays
            count += len(curve)
        seconds = set(trial["train_times"].values())
        assert len(seconds) == 1
        assert arrays[f"train_seconds/{place}"][index, 0] == np.float32(seconds.pop())
        for split in trial["eval_names"]:
            value = arrays[f"eval_seconds/{place}/{split}"][index, 0]
            assert value == np.float32(trial["eval_times"][f"{split}@{epochs - 1}"])
        assert arrays[f"parameters/{dataset}"][index] == np.float32(trial["params"])
        assert arrays[f"flops/{dataset}"][index] == np.float32(trial["flop"])
        assert arrays[f"latency/{dataset}"][index] == np.float32(trial["latency"][0])
        return count

    def test_means_are_those_of_the_published_table(self, original, shared_data):
        _, arrays = original(shared_data / "nasbench201" / "NATS-tss-v1_0-3ffb9-simple")
        published = np.load(shared_data / "nasbench201" / "nasbench201.npz")
        columns = {
            "valid_accuracy_200": ("cifar10-valid/200/x-valid", "cifar100/200/x-valid", "ImageNet16-120/200/x-valid"),
            "test_accuracy_200": ("cifar10/200/ori-test", "cifar100/200/x-test", "ImageNet16-120/200/x-test"),
            "valid_accuracy_12": ("cifar10-valid/12/x-valid", "cifar100/12/x-valid", "ImageNet16-120/12/x-valid"),
            "test_accuracy_12": ("cifar10/12/ori-test", "cifar100/12/x-test", "ImageNet16-120/12/x-test"),
        }
        for (name, places), row in itertools.product(columns.items(), CELLS):
            for dataset, place in enumerate(places):
                mean = np.nanmean(arrays[f"accuracy/{place}"][row].astype(np.float64))
                assert mean == pytest.approx(published[name][row, dataset], abs=2e-5), (name, place, row)

    def test_curves_that_were_not_evaluated_are_not_filled_in(self, original, shared_data):
        _, arrays = original(shared_data / "nasbench201" / "NATS-tss-v1_0-3ffb9-simple")
        # In the 200-epoch trainings x-valid and x-test were evaluated once, ori-test (both together) after each epoch.
        assert "accuracy_curve/cifar100/200/ori-test" in arrays
        assert "accuracy_curve/cifar100/200/x-valid" not in arrays
        assert not np.isnan(arrays["accuracy/cifar100/200/x-valid"][0]).any()
        assert "accuracy/cifar10/200/x-valid" not in arrays

    def test_files_survive_the_way_through_a_table(self, original, shared_data, tmp_path):
        header, arrays = original(shared_data / "nats_sss" / "NATS-sss-v1_0-50262-simple")
        save_arrays(tmp_path / "table.npz", header, arrays)
        table = TableFile(tmp_path / "table.npz")
        assert table.header == header
        for name in ("accuracy/cifar10/90/ori-test", "loss_curve/cifar10/90/train", "train_seconds/cifar100/12"):
            np.testing.assert_array_equal(table.read(name), arrays[name])


class TestFolders:
    def test_seeds_are_the_union_over_architectures(self, tmp_path, cells, two_cells):
        header, arrays = nats_table(make_folder(tmp_path / "nats", cells, two_cells))
        assert header.trainings == (Training("cifar10-valid", 3, (111, 777)), Training("cifar10", 5, (888,)))
        assert set(header.pairs) == {"cifar10-valid", "cifar10"}
        assert header.source == "NATS-Bench, nats"
        final = arrays["accuracy/cifar10-valid/3/x-valid"]
        assert final[3].tolist() == [12.0, 7.0]
        assert np.isnan(final[7, 0])
        assert final[7, 1] == 17.0
        curve = decode_curve(arrays["accuracy_curve/cifar10-valid/3/train"])
        np.testing.assert_allclose(curve[3], [[20, 21, 22], [10, 11, 12]], atol=1e-3)
        assert np.isnan(curve[7, 0]).all()
        check_archs(spaces.nasbench201(), arrays["archs"], "the table")

    def test_equal_times_have_one_column_and_others_one_for_each_seed(self, tmp_path, cells, two_cells):
        _, arrays = nats_table(make_folder(tmp_path / "equal", cells, two_cells))
        assert arrays["train_seconds/cifar10-valid/3"].shape == (15_625, 1)
        assert arrays["train_seconds/cifar10-valid/3"][[3, 7], 0].tolist() == [7.25, 7.25]
        assert arrays["eval_seconds/cifar10-valid/3/x-valid"][3].tolist() == [1.5]
        two_cells[3]["12"]["all_results"]["cifar10-valid", 777]["train_times"] = {0: 1.0, 1: 2.0, 2: 6.0}
        _, arrays = nats_table(make_folder(tmp_path / "different", cells, two_cells))
        seconds = arrays["train_seconds/cifar10-valid/3"]
        assert seconds[3].tolist() == [7.25, 3.0]  # the mean over epochs, so that all epochs cost their sum
        assert np.isnan(seconds[7, 0])
        assert seconds[7, 1] == 7.25

    def test_miscounted_costs_are_those_of_seed_888(self, tmp_path, cells):
        trials = [
            record("cifar10", seed, 5, splits=("ori-test",), params=params, flop=flop, latency=latency)
            for seed, params, flop, latency in (
                (777, 0.1, 20.0, [0.01]),
                (888, 0.8, 113.5, [0.02, 0.04]),
                (999, 0.1, 20.0, [-1.0]),
            )
        ]
        fine = [record("cifar10", 777, 5, splits=("ori-test",), params=0.5, latency=None)]
        held = {1: {"200": state(1, cells[1], trials)}, 2: {"200": state(2, cells[2], fine)}}
        header, arrays = nats_table(make_folder(tmp_path / "nats", cells, held))
        assert arrays["parameters/cifar10"][[1, 2]] == pytest.approx([0.8, 0.5])
        assert arrays["flops/cifar10"][1] == pytest.approx(113.5)
        assert arrays["latency/cifar10"][1] == pytest.approx(0.02)  # the mean of those that were measured
        assert np.isnan(arrays["latency/cifar10"][2])
        assert "parameters of cifar10: trials of 1 architectures differ, seed 888 is kept" in header.notes

    def test_latency_is_that_of_the_longest_training_that_has_one(self, tmp_path, cells):
        held = {
            i: {
                "12": state(i, cells[i], [record("cifar10", 111, 2, splits=(), latency=[0.5])]),
                "200": state(i, cells[i], [record("cifar10", 777, 4, splits=(), latency=latency)]),
            }
            for i, latency in ((0, [0.25]), (1, None))
        }
        _, arrays = nats_table(make_folder(tmp_path / "nats", cells, held))
        assert arrays["latency/cifar10"][[0, 1]].tolist() == [0.25, 0.5]

    @pytest.mark.parametrize("processes", [1, 2])
    def test_many_files_stay_in_their_rows(self, tmp_path, cells, processes):
        held = {
            i: {"12": state(i, cells[i], [record("cifar10", 777, 2, start=1.0 * i, splits=())])}
            for i in range(5, 45, 3)
        }
        _, arrays = nats_table(make_folder(tmp_path / "nats", cells, held), processes=processes)
        final = arrays["accuracy/cifar10/2/train"][:, 0]
        assert {int(i): float(final[i]) for i in np.flatnonzero(~np.isnan(final))} == {i: i + 1.0 for i in held}

    def test_a_killed_process_is_told_and_not_waited_for(self):
        with pytest.raises(ChildProcessError, match=r"one of 2 processes .* ended before .* use fewer processes"):
            list(map_in_order(os._exit, [9] * 20, 2))

    def test_no_more_is_read_ahead_than_a_few_chunks(self, tmp_path):
        """A reader that is slow to take results does not find all of them in memory."""
        folders = [str(tmp_path / f"{i:03}") for i in range(200)]
        results = map_in_order(os.mkdir, folders, 2)
        assert next(results) is None
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) <= 64 + 8
        assert len(list(results)) == 199
        assert len(list(tmp_path.iterdir())) == 200

    def test_missing_numbers_are_missing_and_noted(self, tmp_path, cells):
        # As trials of NAS-Bench-201 v1.0, which were not timed; x-valid is known at one epoch.
        old = record("cifar100", 777, 4, train_times=None, eval_times={}, latency=None)
        old["eval_acc1es"] = {"x-valid@3": 40.0, "ori-test@3": None}
        old["eval_losses"] = None
        held = {5: {"200": state(5, cells[5], [old])}}
        header, arrays = nats_table(make_folder(tmp_path / "nats", cells, held))
        assert arrays["accuracy/cifar100/4/x-valid"][5].tolist() == [40.0]
        absent = ("accuracy/cifar100/4/ori-test", "loss/cifar100/4/x-valid", "train_seconds/cifar100/4")
        assert not set(absent) & set(arrays)
        assert "accuracy_curve/cifar100/4/x-valid" not in arrays
        assert "latency/cifar100" not in arrays
        assert "no training time for 1 of 1 trials on cifar100 with 4 epochs" in header.notes

    def test_a_diverged_training_is_kept_as_far_as_it_goes(self, tmp_path, cells):
        trial = record("cifar10", 777, 3, splits=("ori-test",), train_losses={0: 3.0, 1: 1e9, 2: float("nan")})
        _, arrays = nats_table(make_folder(tmp_path / "n", cells, {0: {"12": state(0, cells[0], [trial])}}))
        assert arrays["loss_curve/cifar10/3/train"][0, 0, :2].tolist() == [3.0, 65504.0]
        assert "loss/cifar10/3/train" not in arrays

    def test_progress_counts_architectures(self, tmp_path, cells, two_cells):
        calls = []
        nats_table(make_folder(tmp_path / "nats", cells, two_cells), progress=lambda *c: calls.append(c))
        assert calls == [(1, 2), (2, 2)]

    def test_names_without_leading_zeros_and_other_files_beside_are_fine(self, tmp_path, cells, two_cells):
        folder = make_folder(tmp_path / "nats", cells, {3: two_cells[3]})
        (folder / "000003.pickle.pbz2").rename(folder / "3.pickle.pbz2")
        (folder / "README.txt").write_text("hello")
        assert nats_table(folder)[1]["accuracy/cifar10/5/ori-test"][3, 0] == 9.0

    def test_the_size_space_is_recognised(self, tmp_path, sizes):
        held = {9: {"01": state(9, sizes[9], [record("cifar10", 777, 1, splits=("ori-test",))])}}
        header, arrays = nats_table(make_folder(tmp_path / "nats", sizes, held))
        assert spaces.from_config(header.space).name == "nats_size"
        assert header.trainings == (Training("cifar10", 1, (777,)),)
        assert arrays["accuracy/cifar10/1/ori-test"].shape == (32_768, 1)
        assert "accuracy_curve/cifar10/1/ori-test" not in arrays  # it would be the final accuracy again


class TestSingleFiles:
    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_pth_gives_what_the_folder_gives(self, tmp_path, cells, two_cells, zipped):
        folder = nats_table(make_folder(tmp_path / "nats", cells, two_cells))
        calls = []
        path = make_pth(tmp_path / "nb201.pth", cells, two_cells, zipped=zipped)
        header, arrays = nasbench201_table(path, progress=lambda *c: calls.append(c))
        assert header.name == "NAS-Bench-201"
        assert header.source == "NAS-Bench-201, nb201.pth"
        assert header.trainings == folder[0].trainings
        assert calls == [(1, 15_625), (2, 15_625)]
        assert arrays.keys() == folder[1].keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, folder[1][name], err_msg=name)

    def test_the_single_file_of_nats_bench_gives_what_the_folder_gives(self, tmp_path, cells, two_cells):
        folder = nats_table(make_folder(tmp_path / "nats", cells, two_cells))
        root = {"meta_archs": cells, "total_archs": len(cells), "arch2infos": two_cells, "evaluated_indexes": {3, 7}}
        path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
        write(path, root)
        with pytest.raises(ValueError, match=r"3ffb9\.pickle\.pbz2 is not the file that was published.*another name"):
            nats_table(path)
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        header, arrays = nats_table(path.rename(tmp_path / f"NATS-tss-v1_0-{digest[-5:]}.pickle.pbz2"))
        assert header.name == "NATS-Bench topology"
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, folder[1][name], err_msg=name)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_release_has_the_digest_that_its_name_ends_in(self, tmp_path, cells, two_cells, zipped):
        plain = make_pth(tmp_path / "nb201.pth", cells, two_cells, zipped=zipped)
        (without,) = [n for n in nasbench201_table(plain)[0].notes if "vouches for the bytes" in n] or [""]
        assert bool(without) is not zipped  # the older format has no checksum
        assert "nb201.pth" in without or zipped
        data = plain.read_bytes()
        digits = hashlib.md5(data, usedforsecurity=False).hexdigest()[-6:]
        release = plain.rename(tmp_path / f"NAS-Bench-201-v1_1-{digits}.pth")
        assert not any("vouches" in note for note in nasbench201_table(release)[0].notes)
        release.write_bytes(data[:-3000] + bytes([data[-3000] ^ 4]) + data[-2999:])
        with pytest.raises(ValueError, match=f"not the file that was published.*should end in {digits}; get it"):
            nasbench201_table(release)

    def test_a_pth_given_as_nats_bench_is_told_apart(self, tmp_path, cells, two_cells):
        with pytest.raises(ValueError, match="use `jnas table import nas-bench-201`"):
            nats_table(make_pth(tmp_path / "nb201.pth", cells, two_cells))
        write(tmp_path / "nats.pickle.pbz2", {})
        with pytest.raises(ValueError, match="is compressed with bzip2"):
            nasbench201_table(tmp_path / "nats.pickle.pbz2")

    def test_a_pth_of_something_else_is_refused(self, tmp_path, cells, two_cells):
        with pytest.raises(ValueError, match="lists no architectures"):
            nasbench201_table(make_pth(tmp_path / "a.pth", None, two_cells))
        with pytest.raises(ValueError, match="holds no trials"):
            nasbench201_table(make_pth(tmp_path / "b.pth", cells, {}))
        with pytest.raises(ValueError, match="or in another order"):
            nasbench201_table(make_pth(tmp_path / "c.pth", cells[::-1], two_cells))
        with pytest.raises(ValueError, match="lists 2 architectures, expected 15,625"):
            nasbench201_table(make_pth(tmp_path / "d.pth", cells[:2], two_cells))
        with pytest.raises(FileNotFoundError, match="there is no file"):
            nasbench201_table(tmp_path / "none.pth")

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_pth_cut_off_is_refused(self, tmp_path, cells, two_cells, zipped):
        whole = make_pth(tmp_path / "whole.pth", cells, two_cells, zipped=zipped).read_bytes()
        path = tmp_path / "cut.pth"
        for length in (*range(20, len(whole), len(whole) // 9), len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"cut\.pth is (cut off|damaged)"):
                nasbench201_table(path)


class TestWrongFolders:
    def test_what_is_no_folder_is_said_to_be(self, tmp_path, cells, two_cells):
        with pytest.raises(FileNotFoundError, match="there is no folder or file"):
            nats_table(tmp_path / "none")
        with pytest.raises(ValueError, match=r"has no meta\.pickle\.pbz2"):
            nats_table(tmp_path)
        with pytest.raises(ValueError, match="has no files of architectures"):
            nats_table(make_folder(tmp_path / "empty", cells, {}))
        with pytest.raises(ValueError, match=r"015625\.pickle\.pbz2 is of an architecture that .* does not list"):
            nats_table(make_folder(tmp_path / "more", cells, {15_625: two_cells[3]}))
        with pytest.raises(ValueError, match="processes is 0"):
            nats_table(tmp_path, processes=0)

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            (None, "lists no architectures"),
            ("reversed", "another order"),
            (["a", "b"], "lists 2 architectures, expected 15,625"),
        ],
    )
    def test_another_list_of_architectures_is_refused(self, tmp_path, cells, two_cells, texts, message):
        texts = cells[::-1] if texts == "reversed" else texts
        with pytest.raises(ValueError, match=message):
            nats_table(make_folder(tmp_path / "nats", texts or [], two_cells) if texts else self.without_list(tmp_path))

    def without_list(self, tmp_path):
        folder = tmp_path / "nats"
        folder.mkdir()
        write(folder / "meta.pickle.pbz2", ["no", "dictionary"])
        return folder

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: s.update(arch_index=4), "does not hold architecture 3"),
            (lambda s: s.update(arch_str="|none~0|"), "does not hold architecture 3"),
            (lambda s: s.update(all_results=None), "has no dictionary 'all_results' of trials of architecture 3"),
            (lambda s: s["all_results"].update({("mnist", 777): {}}), "not of one of the data sets cifar10-valid"),
            (lambda s: s["all_results"].update({("cifar10", "777"): {}}), "not of one of the data sets"),
            (lambda s: s["all_results"].update({("cifar10", -1): record("cifar10", 1, 3)}), "sensible seed"),
            (lambda s: s["all_results"].update({("cifar10", 777): None}), "sensible seed and number of epochs"),
            (
                lambda s: s["all_results"].update({("cifar10", 7): record("cifar10", 7, 3) | {"epochs": 10**9}}),
                "sensible",
            ),
            (
                lambda s: s["all_results"].update({("cifar10", i): record("cifar10", i, 3) for i in range(99)}),
                "trainings",
            ),
        ],
    )
    def test_a_file_that_contradicts_itself_is_refused(self, tmp_path, cells, two_cells, change, message):
        change(two_cells[3]["12"])
        with pytest.raises(ValueError, match=rf"000003\.pickle\.pbz2 .*{message}.*; get it again from its source"):
            nats_table(make_folder(tmp_path / "nats", cells, two_cells))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"train_acc1es": {0: 1.0, 2: 100.5}}, "an accuracy outside of 0 to 100 percent on train"),
            ({"eval_acc1es": {"x-valid@2": -0.5}}, "an accuracy outside of 0 to 100 percent on x-valid"),
            ({"train_times": {0: -1.0}}, "a negative or infinite time"),
            ({"eval_times": {"x-valid@2": np.inf}}, "a negative or infinite time"),
            ({"flop": np.inf}, "an infinite number as flops"),
            ({"train_acc1es": {0: "a"}}, "something other than a number"),
            ({"train_acc1es": {2: [1.0]}}, "something other than a number"),
            ({"train_losses": {2: {0: 1.0}}}, "something other than a number"),
            ({"train_losses": [1.0, 2.0]}, "something other than a number"),
            ({"train_losses": {1: 10**400}}, "something other than a number"),
            ({"eval_losses": "text"}, "something other than a number"),
            ({"params": "many"}, "something other than a number"),
            ({"latency": 0.5}, "something other than a number"),
            ({"latency": ["fast"]}, "something other than a number"),
        ],
    )
    def test_a_trial_with_senseless_numbers_is_refused(self, tmp_path, cells, two_cells, changes, message):
        two_cells[7]["12"]["all_results"]["cifar10-valid", 777].update(changes)
        with pytest.raises(ValueError, match=rf"000007\.pickle\.pbz2 has {message}.*seed 777 of architecture 7"):
            nats_table(make_folder(tmp_path / "nats", cells, two_cells))

    def test_a_foreign_pickle_is_refused(self, tmp_path, cells):
        for i, held in enumerate(([1, 2], {}, {"12": 3}, 1.5)):
            with pytest.raises(ValueError, match="000003"):
                nats_table(make_folder(tmp_path / f"nats{i}", cells, {3: held}))


class TestHostileAndDamagedFolders:
    @pytest.mark.parametrize("place", ["meta", "trial"])
    def test_nothing_is_run(self, tmp_path, cells, two_cells, place):
        mark = tmp_path / "run"

        class Call:
            def __reduce__(self):
                return (eval, (f"open({str(mark)!r}, 'w')",))

        folder = make_folder(tmp_path / "nats", cells, two_cells)
        if place == "meta":
            write(folder / "meta.pickle.pbz2", {"meta_archs": Call()})
        else:
            two_cells[3]["12"]["all_results"]["cifar10-valid", 777]["net_state_dict"] = Call()
            write(folder / "000003.pickle.pbz2", two_cells[3])
        with pytest.raises(ValueError, match=r"asks for builtins\.eval.*nothing of it was run"):
            nats_table(folder)
        assert not mark.exists()

    def test_a_file_cut_off_anywhere_is_refused(self, tmp_path, cells, two_cells):
        folder = make_folder(tmp_path / "nats", cells, {3: two_cells[3]})
        path = folder / "000003.pickle.pbz2"
        whole = path.read_bytes()
        for length in range(0, len(whole), len(whole) // 12):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"000003\.pickle\.pbz2 is cut off"):
                nats_table(folder)
        inner = bz2.decompress(whole)
        for length in range(0, len(inner), len(inner) // 12):
            write(path, inner[:length])
            with pytest.raises(ValueError, match=r"000003\.pickle\.pbz2 is cut off"):
                nats_table(folder)

    def test_the_message_comes_through_from_another_process(self, tmp_path, cells, two_cells):
        folder = make_folder(tmp_path / "nats", cells, two_cells)
        (folder / "000007.pickle.pbz2").write_bytes(b"text")
        with pytest.raises(ValueError, match=r"000007\.pickle\.pbz2 is cut off or not compressed with bzip2"):
            nats_table(folder, processes=2)

    def test_a_file_that_is_not_compressed_is_refused(self, tmp_path, cells, two_cells):
        folder = make_folder(tmp_path / "nats", cells, two_cells)
        (folder / "000007.pickle.pbz2").write_bytes(pickle.dumps(two_cells[7]))
        with pytest.raises(ValueError, match=r"000007\.pickle\.pbz2 is cut off or not compressed with bzip2"):
            nats_table(folder)

    def test_a_bomb_is_not_unpacked(self, tmp_path, cells):
        folder = make_folder(tmp_path / "nats", cells, {})
        write(folder / "000003.pickle.pbz2", b"\x80\x04" + b"N" * (1 << 25))
        with pytest.raises(ValueError, match="unpacks to more than 32 MB"):
            nats_table(folder)

    def test_many_seeds_do_not_fill_memory(self, tmp_path, cells):
        held = {
            i: {"12": state(i, cells[i], [record("cifar10", 100 * i + j, 2, splits=()) for j in range(20)])}
            for i in range(3)
        }
        with pytest.raises(ValueError, match="far more different trainings than the benchmark"):
            nats_table(make_folder(tmp_path / "nats", cells, held))

    def test_deep_nesting_does_not_reach_a_message(self, tmp_path, cells, two_cells):
        deep = b"]" * 100_000 + b"a" * 99_999
        for key in ("arch_index", "arch_str", "all_results"):
            held = copy.deepcopy(two_cells)
            held[3]["12"][key] = "DEEP"  # `pickle` cannot write such a thing, so it is put in afterwards
            data = pickle.dumps(held[3], 4).replace(b"\x8c\x04DEEP", deep)
            with pytest.raises(ValueError, match="000003"):
                nats_table(make_folder(tmp_path / key, cells, {3: data}))
            root = pickle.dumps({"meta_archs": cells[:2], "arch2infos": held}, 4).replace(b"\x8c\x04DEEP", deep)
            write(tmp_path / "whole.pickle.pbz2", root)
            with pytest.raises(ValueError, match=r"whole\.pickle\.pbz2 (has|does)"):
                nats_table(tmp_path / "whole.pickle.pbz2")

    def test_one_list_referred_to_often_is_not_multiplied(self, tmp_path, cells):
        wide = [1.0] * 1000
        for _ in range(4):
            wide = [wide] * 1000
        trial = record("cifar10", 777, 3, splits=("ori-test",), train_acc1es={0: wide, 1: wide, 2: wide})
        with pytest.raises(ValueError, match="something other than a number"):
            nats_table(make_folder(tmp_path / "nats", cells, {0: {"12": state(0, cells[0], [trial])}}))


def test_reading_does_not_change_with_the_order_of_files(tmp_path, cells, two_cells):
    swapped = {7: copy.deepcopy(two_cells[7]), 3: copy.deepcopy(two_cells[3])}
    first = nats_table(make_folder(tmp_path / "a", cells, two_cells))
    second = nats_table(make_folder(tmp_path / "b", cells, swapped))
    assert [*first[1]] == [*second[1]]
    for name, array in first[1].items():
        np.testing.assert_array_equal(array, second[1][name])
