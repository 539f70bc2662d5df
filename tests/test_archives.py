"""Archives of arrays, of every kind: what they announce is compared before it is read; seals; long names."""

import io
import json
import zipfile

import jax
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.core._checkpoint import Pending, load_checkpoint, save_checkpoint
from jnas.core._folder import FolderKind, read_part
from jnas.io._archive import read_archive, write_archive
from jnas.io._seal import SEAL
from jnas.tables._load import load_table, save_table
from jnas.tables._make import make_table
from jnas.tables.readers._arrays import arrays_table
from jnas.training.data._npz import read_npz
from jnas.training.export._weights import load_weights

SPACE = spaces.categorical((3, 4))
HUGE = 375_000_000
KIND = FolderKind("toy", 1, "a toy", "toy", "parts", "numbers of a toy")
IDENTITY = {"format": "jnas-search", "version": 1, "jax": "", "platform": "", "searcher": "random_search"}
MAPPING = {
    "architectures": {"array": "archs"},
    "trainings": [{"dataset": "d", "epochs": 1, "seeds": [0]}],
    "members": {"accuracy/d/1/v": {"array": "accuracy"}},
}


def write_table(path):
    save_table(make_table(SPACE, accuracy={"v": np.linspace(50, 90, 12)}, dataset="d"), path)


def write_images(path):
    np.savez(path, images=np.zeros((6, 4, 4), np.uint8), labels=np.arange(6))


def write_arrays(path):
    table = make_table(SPACE, accuracy={"v": np.zeros(12)}, dataset="d")
    np.savez(path, archs=table.archs, accuracy=np.linspace(50, 90, 12))


READERS = {
    "table": (write_table, "accuracy/d/1/v", lambda path: load_table(path).read("accuracy/d/1/v")),
    "architectures of a table": (write_table, "archs", lambda path: load_table(path).archs),
    "arrays": (write_arrays, "accuracy", lambda path: arrays_table(path, SPACE, MAPPING)[1]["accuracy/d/1/v"]),
    "architectures of arrays": (write_arrays, "archs", lambda path: arrays_table(path, SPACE, MAPPING)[1]["archs"]),
    "labels": (write_images, "labels", lambda path: read_npz(path)["all"][1]),
    "images": (write_images, "images", lambda path: read_npz(path)["all"][0]),
    "part": (
        lambda path: write_archive(path, KIND.header, {"score": np.zeros((2, 3))}),
        "score",
        lambda path: read_part(path, KIND.header, KIND, {"score": "f S T"}, {"S": 2, "T": 3}).arrays["score"],
    ),
    "checkpoint": (
        lambda path: save_checkpoint(path, IDENTITY, np.zeros(3), Pending([], [], [])),
        "leaf_0",
        lambda path: load_checkpoint(path, IDENTITY, np.zeros(3))[0],
    ),
}


def rewritten(path, change):
    """Writes an archive again; `change` gives a member's new name and bytes, and the size that it announces."""
    with zipfile.ZipFile(path) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in contents.items():
            name, content, size = change(name, content)
            new.writestr(name, content)
            new.filelist[-1].file_size = size


@pytest.mark.parametrize("kind", READERS)
def test_what_a_file_announces_is_compared_before_it_is_read(tmp_path, kind):
    """A member of a few bytes that announces gigabytes, in its own header and in that of the archive."""
    write, member, read = READERS[kind]
    write(tmp_path / "a.npz")
    assert np.size(read(tmp_path / "a.npz"))

    def announce(name, content):
        if name != f"{member}.npy":
            return name, content, len(content)
        array, header = np.load(io.BytesIO(content)), io.BytesIO()
        shape = (HUGE, *array.shape[1:])
        described = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        size = len(header.getvalue()) + int(np.prod(shape, dtype=object)) * array.itemsize
        return name, header.getvalue() + bytes(64), size

    rewritten(tmp_path / "a.npz", announce)
    with pytest.raises(ValueError, match=r"375,?000,?000") as caught:  # the shape, not that data are missing
        read(tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_a_name_of_any_length_gives_a_message_that_is_not_long(tmp_path, kind):
    write, member, read = READERS[kind]
    write(tmp_path / "a.npz")

    def lengthen(name, content):
        return (name.replace(member, member + "x" * 60_000) if name == f"{member}.npy" else name), content, len(content)

    rewritten(tmp_path / "a.npz", lengthen)
    with pytest.raises(ValueError, match="60,0") as caught:
        read(tmp_path / "a.npz")
    assert len(str(caught.value)) < 1000
    assert str(tmp_path / "a.npz") in str(caught.value)


def change(path, **members):
    """Writes members of an archive anew, and leaves the others as they are."""
    with np.load(path) as held:
        np.savez(path, **{**held, **members})


def test_numbers_that_were_changed_do_not_fit_the_seal(tmp_path):
    path = tmp_path / "a.npz"
    write_archive(path, {"whose": "mine"}, {"score": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 2), np.int8)})
    found = read_archive(path, kind="numbers", remedy="give another")
    assert found.header == {"whose": "mine"}
    with np.load(path) as held:
        header, score = json.loads(held["header"].tobytes()), held["score"]
    for changed in ({"score": score + 1}, {"score": score.reshape(3, 2)}, {"more": score}):
        write_archive(path, {"whose": "mine"}, {"score": score, "none": np.zeros((0, 2), np.int8)})
        change(path, **changed)
        with pytest.raises(ValueError, match=r"a\.npz is not numbers.*does not fit its sha256.*give another"):
            read_archive(path, kind="numbers", remedy="give another")
    for said in ({**header, "whose": "yours"}, {SEAL: header[SEAL]}):
        change(path, header=np.frombuffer(json.dumps(said).encode(), np.uint8))
        with pytest.raises(ValueError, match="does not fit its sha256"):
            read_archive(path, kind="numbers", remedy="")


def test_an_archive_of_before_has_no_seal_and_is_read(tmp_path):
    header = np.frombuffer(json.dumps({"whose": "mine"}).encode(), np.uint8)
    np.savez(tmp_path / "a.npz", header=header, score=np.arange(3.0))
    found = read_archive(tmp_path / "a.npz", kind="", remedy="")
    assert found.header == {"whose": "mine"}
    assert found.arrays["score"].tolist() == [0, 1, 2]


def test_weights_are_compared_with_what_the_header_says_before_they_are_read(tmp_path):
    path = tmp_path / "w.npz"
    recipe = jnas.training.get_recipe("digits-8", channels=2, cells=1)
    header = {"format": "jnas-weights", "version": 1, "space": "nasbench201", "arch": "|none~0|+|none~0|none~1|+"}
    header["arch"] += "|none~0|none~1|none~2|"
    header |= {"recipe": recipe._asdict(), "dataset": "d", "image_shape": [8, 8, 1], "num_classes": 3}
    write_archive(path, {**header, "mean": [0.0], "std": [1.0]}, {"classifier/bias": np.zeros(7, np.float32)})
    with pytest.raises(ValueError, match=r"w\.npz is not a file of weights \(.* is missing, expected float32"):
        load_weights(path)


def test_a_search_goes_on_with_its_objective_alone(tmp_path):
    """The file of a search says what it searched on; those of before did not, and are taken."""
    table = make_table(SPACE, accuracy={"v": np.linspace(50, 90, 12), "w": np.linspace(90, 50, 12)}, dataset="d")
    first, other = (table.objective(dataset="d", split=split, epochs=1, seed=0) for split in "vw")
    path, searcher = tmp_path / "search.npz", searchers.random_search(SPACE)

    def go(objective, key=0):
        return jnas.search(searcher, objective, jax.random.key(key), max_evaluations=4, checkpoint=path)

    whole = go(first)
    with pytest.raises(ValueError, match=r"search\.npz belongs to a search of another objective; give another file"):
        go(other)
    with pytest.raises(ValueError, match=r"belongs to another search: key is .* there"):
        go(other, key=1)
    header, arrays = read_archive(path, kind="", remedy="")
    assert header.pop("objective")
    write_archive(path, header, arrays)
    np.testing.assert_array_equal(go(first).score, whole.score)


def test_a_search_that_python_drives_goes_on_in_its_space_alone(tmp_path):
    """Such a searcher's own program is not lowered: how it begins tells it from another."""
    path = tmp_path / "search.npz"

    def go(space):
        searcher = searchers.random_search(space)._replace(compiled=False)
        how = {"max_evaluations": 2, "checkpoint": path}
        return jnas.search(searcher, lambda candidate: (float(candidate.arch[0]), 1.0), jax.random.key(0), **how)

    go(spaces.categorical((90, 90)))
    with pytest.raises(ValueError, match=r"belongs to random_search with other settings or on another space"):
        go(spaces.categorical((80, 80)))
