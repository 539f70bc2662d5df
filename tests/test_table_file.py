"""Table files that are damaged or hostile: always one ValueError that names the file, never anything else."""

import io
import json
import warnings
import zipfile

import numpy as np
import pytest

from jnas.spaces._categorical import categorical
from jnas.tables._file import Header, Training, arch_dtype, decode_curve, encode_curve, save_arrays
from jnas.tables._load import load_table, save_table
from jnas.tables._make import make_table

SPACE = categorical((3, 4))
NUM = SPACE.size
GOOD = {"d": {"validation": ["d", "v"], "test": ["d", "t"]}}


@pytest.fixture
def path(tmp_path):
    numbers = np.arange(NUM) + 0.5
    table = make_table(SPACE, accuracy={"v": numbers, "t": numbers + 1}, dataset="d", train_seconds=3.0)
    save_table(table, tmp_path / "t.npz")
    return tmp_path / "t.npz"


def _change(path, compression=zipfile.ZIP_STORED, **members):
    """Writes the file again with other bytes for some members."""
    with zipfile.ZipFile(path) as old:
        contents = {name: old.read(name) for name in old.namelist()} | {
            f"{name.replace('__', '/')}.npy": content for name, content in members.items()
        }
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, content in contents.items():
            new.writestr(name, content)


def _npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _change_header(path, **entries):
    with np.load(path) as held:
        header = json.loads(held["header"].tobytes())
    _change(path, header=_npy(np.frombuffer(json.dumps(header | entries).encode(), np.uint8)))


def _read_all(path):
    table = load_table(path)
    return {name: table.read(name) for name in table.names}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"pairs": []}, r"'pairs' of the header is \[\], expected an object"),
        ({"pairs": {"d": {"test": ["d", "t"]}}}, "pair 'd' of the header lacks validation"),
        ({"pairs": {"d": {**GOOD["d"], "train": ["d", "t"]}}}, "'train', which nothing reads"),
        ({"pairs": {"d": {**GOOD["d"], "test": ["d"]}}}, r"holds \['d'\], expected \[DATASET, SPLIT\]"),
        ({"pairs": {"d": {**GOOD["d"], "test": "dt"}}}, "holds 'dt'"),
        ({"trainings": 3}, "is damaged"),
        ({"trainings": [["d", float("inf"), [0]]]}, "is damaged"),
    ],
)
def test_a_header_of_the_wrong_form_is_refused(path, entries, message):
    _change_header(path, pairs=GOOD)
    assert load_table(path).resolve("d", "validation") == ("d", "v")
    _change_header(path, **entries)
    with pytest.raises(ValueError, match=message) as caught:
        load_table(path)
    assert str(path) in str(caught.value)


def test_pairs_that_could_not_be_read_again_are_not_written(path):
    header = Header("t", SPACE.config, (Training("d", 1, (0,)),), {"d": {"test": ("d", "t")}}, "")
    with pytest.raises(ValueError, match="pair 'd' of the table lacks validation"):
        save_arrays(path.with_name("new.npz"), header, {"archs": np.zeros((1, 2), np.int8)})


@pytest.mark.parametrize("name", ["archs", "header", "accuracy/d/1/v"])
def test_an_array_that_announces_more_than_is_there_is_refused(path, name):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (10**12,)})
    _change(path, **{name.replace("/", "__"): file.getvalue() + b"{}"})
    with pytest.raises(ValueError, match=r"has not the size of an array of shape \[1000000000000\]") as caught:
        _read_all(path)
    assert str(path) in str(caught.value)


def test_a_damaged_compressed_member_is_refused(path):
    _change(path, zipfile.ZIP_DEFLATED)
    _read_all(path)  # compressed files are read as well
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("accuracy/d/1/v.npy")
    whole = bytearray(path.read_bytes())
    begin = info.header_offset + 30 + len(info.filename)
    for i in range(begin, begin + info.compress_size):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        with pytest.raises(ValueError, match=r"member 'accuracy/d/1/v' of .*t\.npz is damaged"):
            _read_all(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bytes_and_cuts_give_the_numbers_or_a_value_error(path, compression):
    _change(path, compression)
    want, whole, rng = _read_all(path), path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for i in range(400):
        damaged = bytearray(whole)
        if i % 4 == 0:
            del damaged[rng.integers(len(whole)) :]
        else:  # a byte or two, half of them in the directory at the end, which says where and what all members are
            begin = 0 if i % 2 else len(whole) - 600
            for place in rng.integers(begin, len(whole), rng.integers(1, 3)):
                damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = _read_all(path)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert i % 4
            assert found.keys() == want.keys()
            for name, array in found.items():
                np.testing.assert_array_equal(array, want[name])
    assert refused > 200


def test_a_header_that_numpy_has_to_guess_at_does_not_warn(path):
    whole = _npy(np.zeros((NUM, 1), np.float32))
    _change(path, accuracy__d__1__v=whole.replace(f"({NUM}, 1), ".encode(), f"({NUM}L, 1),".encode()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_table(path)


@pytest.mark.parametrize(
    ("choices", "dtype"),
    [(2, np.int8), (127, np.int8), (128, np.int16), (32_767, np.int16), (32_768, np.int32), (40_000, np.int32)],
)
def test_architectures_take_the_smallest_type_that_their_choices_fit(choices, dtype):
    assert arch_dtype(categorical((2, choices))) is dtype


def test_a_decision_of_many_choices_survives(tmp_path):
    space = categorical((40_000, 2))
    archs = [[39_999, 1], [32_768, 0], [0, 1]]
    table = make_table(space, archs=archs, accuracy={"v": [1.0, 2.0, 3.0]})
    save_table(table, tmp_path / "t.npz")
    again = load_table(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.archs, archs)
    np.testing.assert_array_equal(
        again.accuracy(np.asarray(archs), dataset="data", split="v", epochs=1, seed=0), [1, 2, 3]
    )


def test_numbers_that_a_smaller_type_would_wrap_are_refused():
    with pytest.raises(ValueError, match=r"architecture 0 of the table, \[256, 0\], is not of the space"):
        make_table(SPACE, archs=[[256, 0]], accuracy={"v": [1.0]})


def test_curves_of_more_images_are_within_a_thousandth_of_a_percent():
    percent = np.arange(0, 151_701, 11) / 151_700 * 100
    np.testing.assert_allclose(decode_curve(encode_curve(percent)), percent, rtol=0, atol=0.00101)
