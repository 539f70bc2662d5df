"""The reader of PyTorch's files, on files that PyTorch 2.13 wrote (`tests/data`) and on some that it did not."""

import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

from jnas.io._torch_file import Storage, Tensor, read_torch

DATA = Path(__file__).parent / "data"
FORMATS = ("torch_zip.pth", "torch_legacy.pth")


def rezip(source, target, **changes):
    """Copies a zip archive with other contents for some members, or without them (None)."""
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w", changes.pop("compression", zipfile.ZIP_STORED)) as new,
    ):
        for name in old.namelist():
            content = changes.get(name.rsplit("/", 1)[-1].replace(".", "_"), old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def legacy(path, data, *, magic=0x1950A86A20F9469CFC6C, version=1001, system=None, keys=(), tail=b""):
    """Writes the format from before PyTorch 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}} if system is None else system
    parts = [pickle.dumps(x, 2) for x in (magic, version, system)] + [data, pickle.dumps(list(keys), 2), tail]
    path.write_bytes(b"".join(parts))
    return path


class TestGenuineFiles:
    @pytest.mark.parametrize("name", FORMATS)
    def test_are_read(self, name):
        data = read_torch(DATA / name)
        assert data["meta_archs"] == ["a", "b"]
        assert data["evaluated_indexes"] == {0, 1}
        assert data["arch2infos"][1] == {
            "full": {"arch_index": 1, "acc": {0: 1.0, 1: 11.0, 2: 21.0}, "params": 0.129306, "flop": 1.5, "count": 7},
            "less": {0: 1.5, 1: None},
        }
        assert data["flags"] == (True, False, None, -3, 70000, 2**40, "text", b"bytes")
        assert data["numbers"].value.tolist() == [[0, 1, 2], [3, 4, 5]]

    @pytest.mark.parametrize("name", FORMATS)
    def test_tensors_are_told_without_their_values(self, name):
        data = read_torch(DATA / name)
        weight, bias = data["net"]["weight"], data["net"]["bias"]
        assert (weight.shape, weight.storage.kind, weight.storage.size) == ((2, 3), "torch.FloatStorage", 6)
        assert (bias.shape, bias.storage.kind) == ((3,), "torch.DoubleStorage")
        part, strided, parameter = data["views"]
        assert part.storage == strided.storage  # two views of one
        assert (part.shape, strided.shape, parameter.shape) == ((3,), (5,), (2,))
        assert parameter.storage.kind == "torch.HalfStorage"

    def test_keys_of_a_zip_name_its_members(self):
        assert read_torch(DATA / "torch_zip.pth")["net"]["weight"] == Tensor(
            Storage("torch.FloatStorage", "0", 6), (2, 3)
        )

    @pytest.mark.parametrize("name", FORMATS)
    def test_dictionaries_can_be_handed_over(self, name):
        seen = []

        def on_dict(items):
            if "arch_index" in items:
                seen.append(dict(items))
                return True
            return False

        data = read_torch(DATA / name, on_dict=on_dict)
        assert [s["arch_index"] for s in seen] == [0, 1]
        assert data["arch2infos"][0]["full"] == {}


class TestDamagedFiles:
    @pytest.mark.parametrize("name", FORMATS)
    def test_a_file_cut_off_anywhere_is_refused(self, name, tmp_path):
        whole = (DATA / name).read_bytes()
        path = tmp_path / "cut.pth"
        for length in (*range(0, len(whole), 7), *range(len(whole) - 40, len(whole))):
            path.write_bytes(whole[:length])
            with pytest.raises(
                ValueError, match=r"cut\.pth is (cut off|damaged|empty|of an unknown kind).*get it again"
            ):
                read_torch(path)

    @pytest.mark.parametrize("name", FORMATS)
    def test_changed_bytes_give_data_or_one_error(self, name, tmp_path):
        whole = (DATA / name).read_bytes()
        path = tmp_path / "changed.pth"
        refused = 0
        for place in range(0, len(whole), 5):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            try:
                read_torch(path)
            except ValueError as error:
                refused += str(path) in str(error)
        assert refused > 50

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"BZh91AY&SY", "is compressed with bzip2"),
            (b"\n<!DOCTYPE html><html>", "is a web page"),
            (b"some text", "is of an unknown kind"),
            (pickle.dumps({"meta_archs": []}, 2), "is damaged|holds far more|not one that torch.save wrote"),
            (pickle.dumps(1.5, 2), "is a pickle but not one that torch.save wrote"),
        ],
    )
    def test_foreign_files_are_said_to_be(self, content, message, tmp_path):
        path = tmp_path / "foreign.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_torch(path)

    def test_a_missing_file_is_said_to_be(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            read_torch(tmp_path / "none.pth")

    def test_other_zip_archives_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"it has no data\.pkl"):
            read_torch(rezip(DATA / "torch_zip.pth", tmp_path / "none.pth", data_pkl=None))
        with pytest.raises(ValueError, match="is compressed; get the original"):
            read_torch(rezip(DATA / "torch_zip.pth", tmp_path / "bomb.pth", compression=zipfile.ZIP_DEFLATED))
        path = shutil.copy(DATA / "torch_zip.pth", tmp_path / "two.pth")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("other/data.pkl", b"")
        with pytest.raises(ValueError, match=r"it has no data\.pkl"):
            read_torch(path)

    def test_legacy_files_are_checked_part_by_part(self, tmp_path):
        data, path = pickle.dumps({"a": 1}, 2), tmp_path / "legacy.pth"
        assert read_torch(legacy(path, data)) == {"a": 1}
        with pytest.raises(ValueError, match=r"not one that torch\.save wrote"):
            read_torch(legacy(path, data, magic=1))
        with pytest.raises(ValueError, match=r"of a version of torch\.save that is not known"):
            read_torch(legacy(path, data, version=1002))
        with pytest.raises(ValueError, match="big-endian"):
            read_torch(legacy(path, data, system={"little_endian": False}))
        with pytest.raises(ValueError, match="a storage that no tensor uses"):
            read_torch(legacy(path, data, keys=["1"]))
        with pytest.raises(ValueError, match="list of its storages"):
            read_torch(legacy(path, data, keys=[1]))

    def test_legacy_storages_have_the_size_that_their_tensors_say(self, tmp_path):
        storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x02NtQ"
        tensor = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x02\x85K\x01\x85\x89NtR."
        path = tmp_path / "legacy.pth"
        numbers = (2).to_bytes(8, "little") + b"\x00" * 8
        assert read_torch(legacy(path, tensor, keys=["7"], tail=numbers)).shape == (2,)
        with pytest.raises(ValueError, match="storage 7 has 3 numbers, not 2"):
            read_torch(legacy(path, tensor, keys=["7"], tail=(3).to_bytes(8, "little") + b"\x00" * 12))
        with pytest.raises(ValueError, match="is cut off"):
            read_torch(legacy(path, tensor, keys=["7"], tail=numbers[:-1]))


class TestHostileFiles:
    @pytest.mark.parametrize("where", ["zip", "legacy", "legacy system"])
    def test_nothing_is_run(self, where, tmp_path):
        mark = tmp_path / "run"

        class Call:
            def __reduce__(self):
                return (open, (str(mark), "w"))

        data = pickle.dumps({"meta_archs": Call()}, 2)
        path = tmp_path / "hostile.pth"
        if where == "zip":
            rezip(DATA / "torch_zip.pth", path, data_pkl=data)
        elif where == "legacy":
            legacy(path, data)
        else:
            legacy(path, pickle.dumps({}, 2), system={"little_endian": Call()})
        with pytest.raises(ValueError, match=r"hostile\.pth asks for io\.open.*nothing of it was run"):
            read_torch(path)
        assert not mark.exists()

    @pytest.mark.parametrize(
        "body",
        [
            b"K\x01Q",  # an id that is no tuple
            b"(X\x06\x00\x00\x00moduletQ",
            b"(X\x07\x00\x00\x00storageX\x01\x00\x00\x00aX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ",
            b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nK\x00X\x03\x00\x00\x00cpuK\x02tQ",
            b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ\xff\xff\xff\xfftQ",
            b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00K\x02\x85K\x01\x85\x89NtR",
            b"ctorch._utils\n_rebuild_tensor_v2\n)R",
            b"ctorch._utils\n_rebuild_parameter\nK\x01\x85R",
            b"ctorch\nFloatStorage\nK\x01\x85R",
            b"ctorch.storage\n_load_from_bytes\nB\x01\x00\x00\x00x\x85R",
            b"ctorch.nn.modules.linear\nLinear\n)R",
        ],
    )
    def test_tensors_of_a_strange_form_are_refused(self, body, tmp_path):
        path = rezip(DATA / "torch_zip.pth", tmp_path / "strange.pth", data_pkl=b"\x80\x02" + body + b".")
        with pytest.raises(ValueError, match=r"strange\.pth (holds|calls|asks for) "):
            read_torch(path)

    def test_an_archive_that_lies_about_sizes_is_refused(self, tmp_path):
        data = bytearray((DATA / "torch_zip.pth").read_bytes())
        place = bytes(data).rindex(b"PK\x01\x02", 0, bytes(data).index(b"data.pkl", bytes(data).index(b"PK\x01\x02")))
        data[place + 20 : place + 28] = b"\xff\xff\xff\x7f" * 2  # both sizes of data.pkl in the directory
        path = tmp_path / "lies.pth"
        path.write_bytes(bytes(data))
        with pytest.raises(ValueError, match=r"lies\.pth is (damaged|cut off)"):
            read_torch(path)


def test_a_name_in_the_archive_that_is_no_text_is_refused(tmp_path):
    whole = bytearray((DATA / "torch_zip.pth").read_bytes())
    entry = whole.rindex(b"PK\x01\x02")  # of the directory
    whole[entry + 9] |= 0x08  # names are UTF-8
    whole[entry + 46] = 0xFF
    path = tmp_path / "name.pth"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"name\.pth is cut off, or no zip archive at all .*; get it again"):
        read_torch(path)
