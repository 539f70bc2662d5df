"""Tables from arrays in an .npz: the default mapping on the published numbers, and mappings of a user's own."""

import copy
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from jnas import spaces
from jnas.spaces import categorical, nasbench201
from jnas.tables._file import Training, decode_curve, save_arrays
from jnas.tables._load import table_from_arrays
from jnas.tables._published import PAIRS
from jnas.tables.readers._array_mapping import check_mapping, default_mapping, read_mapping
from jnas.tables.readers._arrays import arrays_table

CIFAR10_BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
CIFAR100_BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
IMAGENET_BEST = "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.fixture(scope="module")
def published(shared_data):
    path = shared_data / "nasbench201" / "nasbench201.npz"
    header, arrays = arrays_table(path, nasbench201())
    return header, arrays, np.load(path)


class TestPublishedNumbers:
    def test_trainings_and_pairs_are_the_published_ones(self, published):
        header, _, _ = published
        assert header.trainings == tuple(
            Training(dataset, epochs, (0, 1, 2) if epochs == 200 and dataset != "cifar10" else ())
            for dataset in ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
            for epochs in (12, 200)
        )
        assert header.pairs == PAIRS
        assert "no validation time: an evaluation costs its training alone" in header.notes

    @pytest.mark.parametrize(
        ("place", "best", "accuracy", "mean"),
        [
            ("cifar10/200/ori-test", CIFAR10_BEST, 94.373, 87.063),
            ("cifar100/200/x-test", CIFAR100_BEST, 73.513, 61.406),
            ("ImageNet16-120/200/x-test", IMAGENET_BEST, 47.311, 33.586),
        ],
    )
    def test_optima_and_means_are_the_published_ones(self, published, place, best, accuracy, mean):
        header, arrays, _ = published
        column = arrays[f"accuracy_mean/{place}"]
        assert spaces.from_config(header.space).to_string(arrays["archs"][column.argmax()]) == best
        assert column.max() == pytest.approx(accuracy, abs=5e-4)
        assert column.mean() == pytest.approx(mean, abs=5e-4)

    def test_rows_are_in_the_order_of_the_index(self, published):
        header, arrays, source = published
        space = spaces.from_config(header.space)
        for row in (0, 1, 284, 15_624):
            assert space.to_string(arrays["archs"][row]) == source["arch_str"][row].decode()

    def test_columns_stand_where_they_belong(self, published):
        _, arrays, source = published
        for epochs in (12, 200):
            valid, test = source[f"valid_accuracy_{epochs}"], source[f"test_accuracy_{epochs}"]
            for place, column in (
                (f"cifar10-valid/{epochs}/x-valid", valid[:, 0]),
                (f"cifar100/{epochs}/x-valid", valid[:, 1]),
                (f"ImageNet16-120/{epochs}/x-valid", valid[:, 2]),
                (f"cifar10/{epochs}/ori-test", test[:, 0]),
                (f"cifar100/{epochs}/x-test", test[:, 1]),
                (f"ImageNet16-120/{epochs}/x-test", test[:, 2]),
            ):
                np.testing.assert_array_equal(arrays[f"accuracy_mean/{place}"], column)
        np.testing.assert_array_equal(
            arrays["accuracy_mean/cifar10-valid/200/ori-test"], source["cifar10valid_oritest_accuracy_200"]
        )
        for dataset, name in enumerate(("cifar10-valid", "cifar100", "ImageNet16-120")):
            seeds = source["valid_accuracy_200_seeds"][:, dataset]
            np.testing.assert_array_equal(arrays[f"accuracy/{name}/200/x-valid"], seeds)

    def test_nothing_is_said_of_what_the_file_does_not_say(self, published):
        _, arrays, _ = published
        kinds = {name.split("/")[0] for name in arrays}
        assert not kinds & {"eval_seconds", "loss", "accuracy_curve", "loss_curve", "latency"}
        assert {n for n in arrays if n.startswith("parameters/")} == {"parameters/cifar10", "parameters/cifar10-valid"}
        assert not any(name.startswith("accuracy_mean/cifar10/") and name.endswith("x-valid") for name in arrays)

    def test_times_are_scaled_to_the_data_set(self, published):
        _, arrays, source = published
        seconds = source["train_seconds_per_epoch_cifar10"].astype(np.float64)
        for dataset, scale in (("cifar10-valid", 0.5), ("cifar10", 1), ("cifar100", 1), ("ImageNet16-120", 3.034)):
            for epochs in (12, 200):
                found = arrays[f"train_seconds/{dataset}/{epochs}"]
                assert found.shape == (15_625, 1)
                np.testing.assert_allclose(found[:, 0], seconds * scale, rtol=1e-7)

    def test_hardware_readings_have_their_names(self, published):
        _, arrays, source = published
        devices = [d.decode() for d in source["latency_devices"]]
        assert {n.removeprefix("device_latency/") for n in arrays if n.startswith("device_latency/")} == set(devices)
        np.testing.assert_array_equal(arrays["device_latency/raspi4"], source["latency_ms"][:, devices.index("raspi4")])
        assert sum(name.startswith("hardware/") for name in arrays) == 10
        assert np.isnan(arrays["hardware/edgetpu_latency"]).sum() == 4_699
        assert not np.isnan(arrays["hardware/fpga_energy"]).any()
        assert (arrays["hardware/pixel3_latency"] > 0).all()


# A small file of a user's own: three stages of two choices, two runs.

SPACE = categorical((2, 2, 2), ("a", "b"), name="own")
ARCHS = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
RUNS = np.linspace(0.5, 0.9, 16).reshape(8, 2)


@pytest.fixture
def arrays_file(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(
        path,
        choices=ARCHS,
        names=np.array([SPACE.to_string(a) for a in ARCHS]),
        score=np.stack([RUNS, RUNS / 2], axis=1),
        curve=np.linspace(0, 50, 8 * 2 * 3).reshape(8, 2, 3),
        minutes=np.arange(8) + 1.0,
        power=np.array([[1.0, -1.0]] * 8),
        meters=np.array(["board", "chip"]),
    )
    return path


@pytest.fixture
def mapping():
    return {
        "name": "own table",
        "architectures": {"array": "choices"},
        "trainings": [{"dataset": "d", "epochs": 3, "seeds": [5, 6]}],
        "members": {
            "accuracy/d/3/validation": {"array": "score", "at": [None, 0, None], "scale": 100},
            "accuracy/d/3/test": {"array": "score", "at": [None, 1, None], "scale": 100},
            "accuracy_curve/d/3/validation": {"array": "curve"},
            "loss_curve/d/3/validation": {"array": "curve", "scale": 0.1},
            "train_seconds/d/3": {"array": "minutes", "scale": 60, "missing": 8},
            "hardware/*": {"array": "power", "names": "meters", "missing": {"chip": [-1, -2]}},
        },
    }


class TestOwnMappings:
    def test_say_what_every_array_is(self, arrays_file, mapping, tmp_path):
        calls = []
        header, arrays = arrays_table(arrays_file, SPACE, mapping, progress=lambda *c: calls.append(c))
        assert (header.name, header.source, header.pairs) == ("own table", "own.npz", {})
        np.testing.assert_array_equal(arrays["archs"], ARCHS)
        np.testing.assert_allclose(arrays["accuracy/d/3/validation"], RUNS * 100, rtol=1e-6)
        np.testing.assert_allclose(arrays["accuracy/d/3/test"], RUNS * 50, rtol=1e-6)
        assert arrays["accuracy_curve/d/3/validation"].dtype == np.uint16
        curve = np.linspace(0, 50, 48).reshape(8, 2, 3)
        np.testing.assert_allclose(decode_curve(arrays["accuracy_curve/d/3/validation"]), curve, atol=0.0011)
        assert arrays["loss_curve/d/3/validation"].dtype == np.float16
        assert arrays["train_seconds/d/3"][:2].tolist() == [[60.0], [120.0]]
        assert np.isnan(arrays["train_seconds/d/3"][7, 0])
        assert arrays["hardware/board"].tolist() == [1.0] * 8
        assert np.isnan(arrays["hardware/chip"]).all()
        assert calls[-1] == (6, 6)
        save_arrays(tmp_path / "table.npz", header, arrays)

    def test_architectures_may_be_strings(self, arrays_file, mapping):
        for kind in ("strings", "array"):
            mapping["architectures"] = {kind: "names"}
            np.testing.assert_array_equal(arrays_table(arrays_file, SPACE, mapping)[1]["archs"], ARCHS)

    def test_costs_are_members_too(self, arrays_file, mapping):
        mapping["members"] = {
            name: {"array": "minutes"} for name in ("parameters/d", "flops/d", "latency/d", "parameter_count/d")
        } | {"device_latency/phone": {"array": "minutes", "scale": 1000}}
        table = table_from_arrays(*arrays_table(arrays_file, SPACE, mapping), space=SPACE)
        costs = (table.parameters, table.flops, table.latency, table.parameter_count)
        assert [float(cost("b|b|b", dataset="d")) for cost in costs] == [8.0] * 4
        assert float(table.device_latency("b|b|b", device="phone")) == 8000

    def test_names_may_be_listed(self, arrays_file, mapping):
        mapping["members"]["device_latency/*"] = {"array": "power", "names": ["x", "y"], "missing": -1}
        arrays = arrays_table(arrays_file, SPACE, mapping)[1]
        assert arrays["device_latency/x"].tolist() == [1.0] * 8
        assert np.isnan(arrays["device_latency/y"]).all()

    def test_another_space_needs_a_mapping(self, arrays_file):
        with pytest.raises(ValueError, match="the space 'own' has no default mapping"):
            arrays_table(arrays_file, SPACE)

    def test_a_file_of_other_arrays_is_told_what_it_has(self, arrays_file):
        with pytest.raises(ValueError, match=r"takes 'ops', which .*own\.npz does not have; it has choices, curve, "):
            arrays_table(arrays_file, nasbench201())

    def test_the_default_is_a_copy_to_start_from(self, tmp_path):
        path = tmp_path / "mapping.json"
        path.write_text(json.dumps(default_mapping()))
        assert read_mapping(path) == default_mapping()
        assert check_mapping(default_mapping()).pairs == PAIRS
        default_mapping()["members"].clear()
        assert default_mapping()["members"]


def changed(mapping, path, value):
    """Returns a copy with an entry set, or removed where the value is Ellipsis."""
    mapping = copy.deepcopy(mapping)
    place = mapping
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return mapping


VALIDATION = ("members", "accuracy/d/3/validation")


class TestWrongMappings:
    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            (("architectures",), ..., "the mapping lacks architectures"),
            (("trainings",), ..., "the mapping lacks trainings"),
            (("member",), {}, "'member', which nothing reads; did you mean 'members'. its entries are architectures"),
            (("architectures",), {"array": 3}, r"'architectures' of the mapping is \{'array': 3\}"),
            (("architectures",), "choices", "'architectures' of the mapping is 'choices', expected"),
            (("architectures",), {"array": "score"}, r"are float64\[8, 2, 2\], expected integers \[N, E\]"),
            (("architectures",), {"array": "meters"}, "'board' has 1 decisions"),
            (("architectures",), {"strings": "choices"}, r"which is int64\[8, 3\], expected texts"),
            (("architectures",), {"strings": "meters"}, "board"),
            (("architectures",), {"array": "nothing"}, "takes 'nothing', which .* does not have; it has choices"),
            (("name",), 3, "'name', 'source' and 'notes'"),
            (("notes",), "text", "'name', 'source' and 'notes'"),
            (("notes",), [3], "'name', 'source' and 'notes'"),
            (("pairs",), [], "'pairs' of the mapping"),
            (("pairs",), {"d": {"validation": ["d", "v"]}}, "pair 'd' of the mapping lacks test"),
            (("pairs",), {"d": {"validation": "d/v", "test": ["d", "t"]}}, r"expected \[DATASET, SPLIT\]"),
            (("trainings",), [], "'trainings' of the mapping"),
            (("trainings",), {"d": 3}, "'trainings' of the mapping"),
            (("trainings", 0, "epochs"), 0, "a number of epochs from 1"),
            (("trainings", 0, "epochs"), "3", "a number of epochs from 1"),
            (("trainings", 0, "seeds"), [5, 5], "different seeds"),
            (("trainings", 0, "dataset"), "a/b", "without '/'"),
            (("trainings", 0, "seed"), 3, "training 0 of the mapping has 'seed'"),
            (("trainings",), [{"dataset": "d", "epochs": 3, "seeds": []}] * 2, "twice"),
            (("trainings", 0, "dataset"), "e", "belongs to a training that the header does not list"),
            (("trainings", 0, "seeds"), [1, 2, 3], r"has shape \[8, 2\], expected \[8, 3\]"),
            (("members",), [], "'members' of the mapping is list"),
            (VALIDATION, "score", "member 'accuracy/d/3/validation' of the mapping is str, expected an object"),
            ((*VALIDATION, "array"), ..., "lacks array"),
            ((*VALIDATION, "array"), 3, "expected the name of an array"),
            ((*VALIDATION, "array"), "scores", "takes 'scores', which .* does not have"),
            ((*VALIDATION, "array"), "names", "which is <U5, expected numbers"),
            ((*VALIDATION, "array"), "meters", "which is <U5, expected numbers"),
            ((*VALIDATION, "at"), [None, 0], r"at \[None, 0\], which does not fit its shape \[8, 2, 2\]"),
            ((*VALIDATION, "at"), [None, 2, None], "does not fit its shape"),
            ((*VALIDATION, "at"), [0, None, None], "does not fit its shape"),
            ((*VALIDATION, "at"), [None, -1, None], "does not fit its shape"),
            ((*VALIDATION, "at"), "0", "expected a list of indices and nulls"),
            ((*VALIDATION, "at"), [None, True, None], "expected a list of indices and nulls"),
            ((*VALIDATION, "scale"), "100", "'scale' of .* expected a number"),
            ((*VALIDATION, "scale"), float("nan"), "'scale' of .* expected a number"),
            ((*VALIDATION, "scale"), 1000, "expected percent; multiply fractions by 100"),
            ((*VALIDATION, "missing"), "none", "expected a number or a list of numbers"),
            ((*VALIDATION, "missing"), {"chip": 1}, "is expected to have 'names' if it ends in"),
            ((*VALIDATION, "names"), "meters", "is expected to have 'names' if it ends in"),
            (("members", "hardware/*", "names"), ..., "is expected to have 'names' if it ends in"),
            (("members", "hardware/*", "names"), 3, "expected the name of an array of texts"),
            (("members", "hardware/*", "names"), ["a"], "expected a column for each of its 1 different names"),
            (("members", "hardware/*", "names"), ["a", "a"], "expected a column for each"),
            (("members", "hardware/*", "missing"), {"chips": -1}, r"says what is missing in \['chips'\]"),
            (("members", "hardware/*", "array"), "minutes", "expected a column for each"),
            (("members", "accuracies/d/3/x"), {"array": "score"}, "of a kind that this version does not know"),
            (("members", "accuracy/d/3"), {"array": "curve"}, "has a name of the wrong form"),
        ],
    )
    def test_are_refused_with_what_is_wrong(self, arrays_file, mapping, path, value, message):
        with pytest.raises(ValueError, match=message):
            arrays_table(arrays_file, SPACE, changed(mapping, path, value))

    def test_a_number_for_some_architectures_only_is_refused(self, tmp_path, mapping):
        np.savez(tmp_path / "short.npz", choices=ARCHS, score=RUNS[:5])
        mapping["members"] = {"accuracy/d/3/test": {"array": "score"}}
        with pytest.raises(ValueError, match="has 5 entries, not one for each of the 8 architectures"):
            arrays_table(tmp_path / "short.npz", SPACE, mapping)

    def test_infinite_numbers_are_refused(self, tmp_path, mapping):
        np.savez(tmp_path / "inf.npz", choices=ARCHS, score=np.full((8, 2), np.inf))
        mapping["members"] = {"loss/d/3/test": {"array": "score"}}
        with pytest.raises(ValueError, match="has infinite numbers"):
            arrays_table(tmp_path / "inf.npz", SPACE, mapping)

    @pytest.mark.parametrize(
        ("member", "value", "message"),
        [
            ("accuracy_mean/d/3/v", 0.7, "has no number above 0.7, so they look like fractions; expected percent"),
            ("accuracy_curve/d/3/v", 0.7, "look like fractions"),
            ("accuracy_mean/d/3/v", 1e300, "has numbers beyond"),
            ("train_seconds/d/3", -2.0, "'train_seconds/d/3' of the mapping has negative numbers, the lowest -2"),
            ("eval_seconds/d/3/v", -2.0, "has negative numbers"),
            ("seconds_at/d/3/1", -2.0, "has negative numbers"),
            ("parameters/d", 129_306, "whole numbers up to 129,306, which look like counts; expected millions"),
            ("flops/d", 15_647_370, "which look like counts; expected millions, so give a scale of 1e-6"),
            ("latency/d", -1, "has negative numbers, .* mark what is missing with NaN"),
            ("device_latency/x", -1, "has negative numbers"),
            ("parameter_count/d", -1, "has negative numbers"),
            ("parameter_count/d", 2**40, "expected whole ones up to 2,147,483,647"),
            ("parameter_count/d", 0.5, "expected whole ones"),
            ("measured/d/3", 2, "expected whole ones up to 1"),
            ("trained_as/d/3", 8, "has 8, expected rows of the table"),
            ("hardware/x", np.inf, "has infinite numbers"),
        ],
    )
    def test_numbers_in_another_unit_are_refused(self, tmp_path, mapping, member, value, message):
        shape = (8, 2, 3) if "curve" in member else (8,)
        np.savez(tmp_path / "own.npz", choices=ARCHS, values=np.full(shape, value))
        mapping["members"] = {member: {"array": "values"}}
        with pytest.raises(ValueError, match=message):
            arrays_table(tmp_path / "own.npz", SPACE, mapping)

    def test_a_scale_of_one_says_that_numbers_are_right(self, tmp_path, mapping):
        np.savez(tmp_path / "own.npz", choices=ARCHS, low=np.full(8, 0.5), large=np.full(8, 2e5))
        mapping["members"] = {
            "accuracy_mean/d/3/v": {"array": "low", "scale": 1},
            "parameters/d": {"array": "large", "scale": 1},
            "loss_curve/d/3/v": {"array": "large"},  # of the wrong shape, which is seen after its numbers are
        }
        with pytest.raises(ValueError, match=r"'loss_curve/d/3/v' .* has shape \[8\]"):
            arrays_table(tmp_path / "own.npz", SPACE, mapping)
        del mapping["members"]["loss_curve/d/3/v"]
        arrays = arrays_table(tmp_path / "own.npz", SPACE, mapping)[1]
        assert (arrays["accuracy_mean/d/3/v"][0], arrays["parameters/d"][0]) == (0.5, 2e5)

    def test_architectures_of_another_space_are_refused(self, tmp_path, mapping):
        mapping["members"] = {}
        for archs, message in (
            (ARCHS + 1, "is not of the space"),
            (ARCHS[[0, 0]], "twice"),
            (ARCHS[:, :2], "have shape"),
        ):
            np.savez(tmp_path / "archs.npz", choices=archs)
            with pytest.raises(ValueError, match=message):
                arrays_table(tmp_path / "archs.npz", SPACE, mapping)

    @pytest.mark.parametrize("text", ["{", "[1]", "3", "[" * 100_000])
    def test_a_file_that_is_no_json_object_is_refused(self, tmp_path, text):
        path = tmp_path / "mapping.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"the mapping .*mapping\.json is "):
            read_mapping(path)
        with pytest.raises(FileNotFoundError, match="there is no mapping"):
            read_mapping(tmp_path / "none.json")


class TestWrongFiles:
    def test_a_missing_file_is_said_to_be(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            arrays_table(tmp_path / "none.npz", nasbench201())

    @pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
    def test_a_foreign_file_is_refused(self, tmp_path, content):
        path = tmp_path / "foreign.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"foreign\.npz is no \.npz of arrays, or it is cut off"):
            arrays_table(path, nasbench201())

    def test_a_single_array_is_refused(self, tmp_path):
        np.save(tmp_path / "one.npy", RUNS)
        with pytest.raises(ValueError, match=r"is a single array, expected an \.npz with named ones"):
            arrays_table(tmp_path / "one.npy", nasbench201())

    def test_a_file_cut_off_anywhere_is_refused(self, tmp_path, arrays_file, mapping):
        whole = arrays_file.read_bytes()
        path = tmp_path / "cut.npz"
        for length in range(0, len(whole), 97):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match="cut"):
                arrays_table(path, SPACE, mapping)

    def test_damage_within_an_array_is_said_to_be(self, tmp_path, arrays_file, mapping):
        whole = bytearray(arrays_file.read_bytes())
        whole[whole.index(b"score.npy") + 200] ^= 0xFF
        path = tmp_path / "damaged.npz"
        path.write_bytes(bytes(whole))
        with pytest.raises(ValueError, match=r"the array 'score' of .*damaged\.npz cannot be read"):
            arrays_table(path, SPACE, mapping)

    @pytest.mark.parametrize("damage", ["size", "compression", "encryption"])
    def test_an_array_that_cannot_be_unpacked_is_refused(self, arrays_file, mapping, damage):
        if damage == "size":  # far more numbers than memory holds
            content = io.BytesIO()
            np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})
            with zipfile.ZipFile(arrays_file) as old:
                held = {name: old.read(name) for name in old.namelist()} | {"score.npy": content.getvalue()}
            with zipfile.ZipFile(arrays_file, "w") as new:
                for name, data in held.items():
                    new.writestr(name, data)
        else:
            whole = bytearray(arrays_file.read_bytes())
            entry = whole.rindex(b"score.npy") - 46  # in the directory
            whole[entry + (10 if damage == "compression" else 8)] ^= 1
            arrays_file.write_bytes(whole)
        with pytest.raises(ValueError, match=r"the array 'score' of .*own\.npz cannot be read"):
            arrays_table(arrays_file, SPACE, mapping)

    def test_many_choices_take_a_wider_type(self, tmp_path):
        np.savez(tmp_path / "own.npz", choices=np.array([[39_999, 1], [0, 1]]), score=np.array([1.0, 2.0]))
        mapping = {
            "architectures": {"array": "choices"},
            "trainings": [{"dataset": "d", "epochs": 1, "seeds": []}],
            "members": {"accuracy_mean/d/1/v": {"array": "score"}},
        }
        archs = arrays_table(tmp_path / "own.npz", categorical((40_000, 2)), mapping)[1]["archs"]
        assert archs.dtype == np.int32
        assert archs.tolist() == [[39_999, 1], [0, 1]]

    def test_pickled_objects_are_not_loaded(self, tmp_path, mapping):
        mark = tmp_path / "run"

        class Call:
            def __reduce__(self):
                return (open, (str(mark), "w"))

        np.savez(tmp_path / "objects.npz", choices=ARCHS, score=np.array([Call()] * 8, object))
        assert not mark.exists()
        with pytest.raises(ValueError, match=r"the array 'score' of .* cannot be read"):
            arrays_table(tmp_path / "objects.npz", SPACE, mapping)
        (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Call()))
        with pytest.raises(ValueError, match=r"is no \.npz"):
            arrays_table(tmp_path / "pickle.npz", SPACE, mapping)
        assert not mark.exists()
