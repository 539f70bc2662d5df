"""Data sets: of arrays, of the user's files, of published files; their splits, and hostile files."""

import gzip
import io
import pickle
import pickletools
import sys
import tarfile
import warnings
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.training.data import _cifar, _imagenet16, _sources
from jnas.training.data._augmentation import Augmentation, augment
from jnas.training.data._dataset import Dataset, dataset_from_arrays, pixel_statistics
from jnas.training.data._npz import read_npz
from jnas.training.data._parts import joined
from jnas.training.data._reduce import resized, subset
from jnas.training.data._sources import dataset_names, load_dataset
from jnas.training.data._splits import random_words, stratified


def random_images(number, size=8, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, size, size, channels), np.uint8)


def random_labels(number, num_classes=10, seed=0):
    return np.random.default_rng(seed).integers(0, num_classes, number)


def small(**arguments):
    return dataset_from_arrays(random_images(100), random_labels(100), **arguments)


def class_counts(dataset, split):
    return np.bincount(np.asarray(dataset.labels)[np.asarray(dataset.rows(split))], minlength=dataset.num_classes)


def assert_covers(dataset, splits):
    rows = np.concatenate([np.asarray(dataset.rows(split)) for split in splits])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(dataset.labels)))


class TestSplits:
    def test_of_a_seed_never_change(self):
        """The raw words of PCG64 are the same in every version of NumPy; a table is only as good as its split."""
        words = random_words(3, 0)
        assert [int(word) for word in words] == [11749869230777074271, 4976686463289251617, 755828109848996024]
        assert stratified(np.arange(20) % 3, (4, 5), 1)[0].tolist() == [2, 9, 14, 16]

    @pytest.mark.parametrize("seed", range(5))
    def test_have_the_sizes_and_each_class_in_its_share(self, seed):
        labels = np.repeat([0, 1, 2, 5], [100, 37, 300, 4])
        np.random.default_rng(seed).shuffle(labels)
        sizes = (200, 101, 75)
        sets = stratified(labels, sizes, seed)
        assert [len(rows) for rows in sets] == list(sizes)
        assert len(np.unique(np.concatenate(sets))) == sum(sizes)
        for rows, size in zip(sets, sizes, strict=True):
            assert rows.dtype == np.int32
            assert (np.diff(rows) > 0).all()
            share = size / len(labels) * np.bincount(labels)
            assert np.abs(np.bincount(labels[rows], minlength=6) - share).max() < 2

    @pytest.mark.statistical
    @pytest.mark.parametrize("counts", [[12, 4], [11, 4, 1, 1, 1], [4] * 20, [1] * 10 + [90]])
    def test_give_each_image_the_same_chance_in_rare_classes_too(self, counts):
        labels = np.repeat(np.arange(len(counts)), counts)
        half, size, seeds = len(labels) // 2, len(labels) // 4, 2000
        drawn = sum(np.bincount(stratified(labels, (half, size), s)[1], minlength=len(labels)) for s in range(seeds))
        share = size / len(labels)
        assert np.abs(drawn / seeds - share).max() < 4.5 * np.sqrt(share * (1 - share) / seeds)

    @pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (0.5, TypeError), (None, TypeError)])
    def test_need_a_seed_of_at_least_zero(self, seed, error):
        with pytest.raises(error, match="seed is"):
            random_words(5, seed)


class TestArrays:
    def test_are_split_into_three_by_default(self):
        dataset = small()
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 60, "validation": 20, "test": 20}
        assert_covers(dataset, ("train", "validation", "test"))
        assert (dataset.validation_split, dataset.test_split) == ("validation", "test")
        assert dataset.images.dtype == jnp.uint8
        assert dataset.labels.dtype == jnp.int32
        assert all(rows.dtype == jnp.int32 for rows in dataset.splits.values())

    def test_are_split_the_same_for_the_same_seed_alone(self):
        first, same, other = small(seed=1), small(seed=1), small(seed=2)
        for split in first.splits:
            np.testing.assert_array_equal(first.rows(split), same.rows(split))
        assert not np.array_equal(first.rows("train"), other.rows("train"))

    def test_keep_given_splits_that_may_overlap(self):
        dataset = small(splits={"train": range(50), "a": [3, 60], "b": np.array([60, 99], np.uint8)}, test_split="b")
        assert dataset.rows("b").tolist() == [60, 99]
        assert (dataset.validation_split, dataset.test_split) == (None, "b")

    def test_have_the_statistics_of_the_training_images(self):
        images, splits = random_images(3000, 4), {"train": range(1000, 2500), "test": range(1000)}
        images[:1000] //= 2
        images[1000:2500, ..., 1] //= 3
        dataset = dataset_from_arrays(images, random_labels(3000), splits=splits)
        train = images[1000:2500].astype(np.float64)
        np.testing.assert_allclose(dataset.mean, train.mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(dataset.std, train.std(axis=(0, 1, 2)), rtol=1e-12)
        rows = dataset.rows("train")
        values = np.asarray(augment(jax.random.key(0), dataset.images[rows], Augmentation(), dataset.mean, dataset.std))
        np.testing.assert_allclose(values.mean(axis=(0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(values.std(axis=(0, 1, 2)), 1, atol=1e-4)

    def test_of_many_images_have_the_same_statistics_in_chunks(self):
        images = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), (40_000, 16, 16, 1))
        mean, std = pixel_statistics(images, np.arange(40_000))
        assert mean == (127.5,)
        assert std == pytest.approx((np.arange(256).std(),), rel=1e-12)

    def test_of_one_value_are_not_divided_by_zero(self):
        dataset = dataset_from_arrays(np.full((10, 2, 2), 7, np.uint8), np.arange(10) % 2)
        assert (dataset.mean, dataset.std) == ((7.0,), (1.0,))

    def test_take_images_without_channels_and_labels_in_a_column(self):
        dataset = dataset_from_arrays(random_images(20)[..., 0], np.arange(20)[:, None] % 4, num_classes=7)
        assert dataset.image_shape == (8, 8, 1)
        assert dataset.labels.shape == (20,)
        assert dataset.num_classes == 7

    def test_are_a_pytree_whose_static_part_is_hashable(self):
        dataset = small(augmentation=Augmentation(flip=True), mean=[1, 2, 3], std=np.ones(3))
        assert len(jax.tree.leaves(dataset)) == 5
        assert isinstance(hash(jax.tree.structure(dataset)), int)
        count = 0

        @jax.jit
        def first(data):
            nonlocal count
            count += 1
            assert isinstance(data, Dataset)
            assert data.augmentation.flip is True
            return data.images[data.rows("validation")[0]], data

        image, again = first(dataset)
        np.testing.assert_array_equal(image, dataset.images[dataset.rows("validation")[0]])
        first(again)
        assert count == 1
        assert again.mean == (1.0, 2.0, 3.0)

    def test_say_which_splits_there_are(self):
        with pytest.raises(ValueError, match=r"no split 'valid'; did you mean 'validation'. it has train, valid"):
            small().rows("valid")

    @pytest.mark.parametrize(
        ("wrong", "error", "match"),
        [
            ({"images": np.zeros((10, 4, 4), np.float32)}, TypeError, "images are float32, expected uint8"),
            ({"images": np.full((10, 4, 4), np.nan)}, TypeError, "not finite"),
            ({"images": np.zeros((10, 4, 4), np.int16)}, TypeError, "images are int16"),
            ({"images": np.zeros((10, 4), np.uint8)}, ValueError, r"shape \[10, 4\]"),
            ({"images": np.zeros((0, 4, 4), np.uint8)}, ValueError, r"shape \[0, 4, 4, 1\]"),
            ({"images": np.zeros((10, 3, 99, 99), np.uint8)}, ValueError, "channels last"),
            (
                {"images": np.zeros((10, 3, 32, 32), np.uint8)},
                ValueError,
                "channels last, as .*transpose",
            ),
            ({"images": np.zeros((10, 3, 24, 32), np.uint8)}, ValueError, "channels last"),
            ({"images": np.zeros((10, 1, 28, 28), np.uint8)}, ValueError, "channels last"),
            ({"images": np.zeros((9, 4, 4), np.uint8)}, ValueError, "9 images and 10 labels"),
            ({"labels": np.full(10, np.nan)}, TypeError, "NaN"),
            ({"labels": np.zeros(10)}, TypeError, "labels are float64"),
            ({"labels": np.zeros((10, 2), int)}, ValueError, r"shape \[10, 2\]"),
            ({"labels": np.arange(10) - 1}, ValueError, "run from -1 to 8"),
            (
                {"labels": np.arange(10) % 4 * 1000},
                ValueError,
                "labels take 4 values from 0 to 3,000, which would make 3,001 classes",
            ),
            ({"num_classes": 3}, ValueError, "label 9, expected 0 to num_classes - 1 = 2"),
            ({"num_classes": 10.0}, TypeError, "num_classes is 10.0"),
            ({"splits": {"test": 1.0}}, ValueError, "share of split 'test' is 1.0"),
            ({"splits": {"test": float("nan")}}, ValueError, "share of split 'test' is nan"),
            ({"splits": {"validation": 0.5, "test": 0.5}}, ValueError, "leave nothing"),
            ({"splits": {"train": 0.5}}, ValueError, "'train' a share"),
            ({"splits": {"test": 0.01}}, ValueError, "'test' would get none of 10"),
            ({"splits": {"test": [1, 2]}}, ValueError, "'train' among them"),
            ({"splits": {"train": [], "test": [1]}}, ValueError, "'train' is empty"),
            ({"splits": {"train": [0, 10]}}, ValueError, "run from 0 to 10, expected 0 to 9"),
            ({"splits": {"train": [-1, 3]}}, ValueError, "run from -1"),
            ({"splits": {"train": [1, 1]}}, ValueError, "twice"),
            ({"splits": {"train": [0.5, 1.5]}}, TypeError, "are float64"),
            ({"splits": {"train": [[1]]}}, ValueError, r"shape \[1, 1\]"),
            ({"splits": {"train": [1], "test": 0.2}}, TypeError, "both shares and row numbers"),
            ({"splits": [0.2]}, TypeError, "no mapping"),
            ({"mean": (1.0, 2.0)}, ValueError, "mean has 2 values for images of 1 channels"),
            ({"mean": (float("nan"),)}, ValueError, "mean is .nan"),
            ({"std": (0.0,)}, ValueError, "std is .0.0.*positive"),
            ({"std": 3.0}, TypeError, "std is 3.0"),
            (
                {"images": np.full((10, 4, 4), 9, np.uint8), "mean": (0.49,), "std": (0.2,)},
                ValueError,
                "multiply both by 255",
            ),
            ({"validation_split": "x"}, ValueError, "validation_split is 'x'"),
            ({"augmentation": "flip"}, TypeError, "augmentation is str"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, wrong, error, match):
        arguments = {"images": np.zeros((10, 4, 4), np.uint8), "labels": np.arange(10), **wrong}
        with pytest.raises(error, match=match):
            dataset_from_arrays(arguments.pop("images"), arguments.pop("labels"), **arguments)

    @pytest.mark.parametrize("shape", [(4, 4, 8), (1, 9, 5), (3, 3, 3), (3, 5, 4), (32, 32, 6)])
    def test_of_unusual_shapes_are_taken(self, shape):
        dataset = dataset_from_arrays(np.zeros((10, *shape), np.uint8), np.arange(10) % 2)
        assert dataset.image_shape == shape

    def test_with_few_of_many_classes_are_taken_where_their_number_is_given(self):
        assert dataset_from_arrays(np.zeros((10, 2, 2), np.uint8), np.full(10, 99), num_classes=100).num_classes == 100


class TestReduced:
    def test_images_are_means_of_squares(self):
        images = random_images(5000, 8)
        dataset = dataset_from_arrays(images, random_labels(5000), augmentation=Augmentation(True, 3, 5), name="a")
        found = resized(dataset, 4)
        expected = np.floor(images.reshape(5000, 4, 2, 4, 2, 3).mean(axis=(2, 4)) + 0.5)
        np.testing.assert_array_equal(found.images, expected.astype(np.uint8))
        assert found.images.dtype == jnp.uint8
        assert found.augmentation == Augmentation(True, 2, 3)
        assert found.name == "a-4px"
        train = expected[np.asarray(dataset.rows("train"))]
        np.testing.assert_allclose(found.std, train.std(axis=(0, 1, 2)), rtol=1e-9)
        np.testing.assert_array_equal(found.rows("test"), dataset.rows("test"))

    def test_images_keep_their_width_in_proportion(self):
        dataset = dataset_from_arrays(np.zeros((10, 8, 12), np.uint8), np.arange(10) % 2)
        assert resized(dataset, 2, name="tiny").image_shape == (2, 3, 1)
        np.testing.assert_array_equal(resized(dataset, 8).images, dataset.images)

    @pytest.mark.parametrize(
        ("size", "error"), [(3, ValueError), (16, ValueError), (0, ValueError), (4.0, TypeError), (True, TypeError)]
    )
    def test_sizes_must_divide(self, size, error):
        with pytest.raises(error, match="size is"):
            resized(small(), size)

    def test_subset_has_the_same_images_of_one_split(self):
        dataset = dataset_from_arrays(random_images(400), random_labels(400, 4), name="a")
        found = subset(dataset, "train", 40, seed=3)
        assert {s: len(r) for s, r in found.splits.items()} == {"train": 40, "validation": 80, "test": 80}
        assert found.name == "a-train40"
        assert len(found.labels) == 200
        assert (found.mean, found.std) == (dataset.mean, dataset.std)
        share = class_counts(dataset, "train") / 6
        assert np.abs(class_counts(found, "train") - share).max() < 2
        for split in ("validation", "test"):
            np.testing.assert_array_equal(found.images[found.rows(split)], dataset.images[dataset.rows(split)])
            np.testing.assert_array_equal(found.labels[found.rows(split)], dataset.labels[dataset.rows(split)])
        known = {image.tobytes(): int(label) for image, label in self.pairs(dataset)}
        assert all(known[image.tobytes()] == int(label) for image, label in self.pairs(found))
        np.testing.assert_array_equal(subset(dataset, "train", 40, seed=3).images, found.images)
        assert not np.array_equal(subset(dataset, "train", 40, seed=4).images, found.images)

    @staticmethod
    def pairs(dataset):
        rows = np.asarray(dataset.rows("train"))
        return zip(np.asarray(dataset.images)[rows], np.asarray(dataset.labels)[rows], strict=True)

    def test_subset_leaves_overlapping_splits_alone(self):
        dataset = small(splits={"train": range(60), "x-valid": range(60, 80), "ori-test": range(60, 100)})
        found = subset(dataset, "x-valid", 5, name="b")
        assert {s: len(r) for s, r in found.splits.items()} == {"train": 60, "x-valid": 5, "ori-test": 40}
        np.testing.assert_array_equal(found.images, dataset.images)

    @pytest.mark.parametrize(("size", "error"), [(0, ValueError), (61, ValueError), (2.0, TypeError)])
    def test_subset_wants_a_number_of_images_that_are_there(self, size, error):
        with pytest.raises(error, match="size is"):
            subset(small(), "train", size)


class TestDigits:
    def test_are_those_of_scikit_learn(self):
        datasets = pytest.importorskip("sklearn.datasets")
        dataset = load_dataset("digits")
        assert dataset.image_shape == (8, 8, 1)
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 1077, "validation": 360, "test": 360}
        assert_covers(dataset, ("train", "validation", "test"))
        bunch = datasets.load_digits()
        np.testing.assert_array_equal(np.asarray(dataset.images)[..., 0], bunch.images)
        np.testing.assert_array_equal(dataset.labels, bunch.target)
        assert (dataset.num_classes, dataset.augmentation) == (10, Augmentation(pad=1))
        for split in dataset.splits:
            share = np.bincount(bunch.target) * len(dataset.rows(split)) / 1797
            assert np.abs(class_counts(dataset, split) - share).max() < 2

    def test_are_split_by_the_seed(self):
        pytest.importorskip("sklearn")
        first, other = load_dataset("digits"), load_dataset("DIGITS", seed=1, augmentation=Augmentation())
        assert first.rows("test")[:5].tolist() == [5, 9, 12, 16, 26]
        assert not np.array_equal(first.rows("test"), other.rows("test"))
        assert other.augmentation == Augmentation()


class TestNames:
    def test_that_are_unknown_are_refused(self):
        with pytest.raises(ValueError, match=r"no data set 'cifar'; did you mean 'cifar10.*'. expected .* an .npz"):
            load_dataset("cifar")
        assert "digits" in dataset_names()

    @pytest.mark.parametrize(
        ("name", "match"),
        [
            ("mnist", "pass as data_dir"),
            ("cifar10", "put cifar-10-binary.tar.gz or cifar-10-python.tar.gz from https"),
            ("cifar100", "put cifar-100-binary.tar.gz or cifar-100-python.tar.gz from https"),
            ("imagenet16-120", "put train_data_batch_1 to train_data_batch_10 and val_data"),
            ("tfds:emnist/letters", "emnist/letters/VERSION in array_record format"),
        ],
    )
    def test_without_files_say_what_to_put_where(self, tmp_path, monkeypatch, name, match):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        for data_dir in (tmp_path, None):
            with pytest.raises(FileNotFoundError, match=match) as caught:
                load_dataset(name, data_dir=data_dir)
            assert str(tmp_path) in str(caught.value)

    def test_in_a_folder_that_is_not_there_are_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"data_dir is .*missing, which does not exist"):
            load_dataset("cifar10", data_dir=tmp_path / "missing")


class TestNpz:
    def save(self, path, **arrays):
        np.savez(path, **arrays)
        return path

    def test_of_images_and_labels_is_split(self, tmp_path):
        path = self.save(tmp_path / "mine.npz", images=random_images(50), labels=random_labels(50))
        dataset = load_dataset(path, augmentation=Augmentation(flip=True))
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 30, "validation": 10, "test": 10}
        np.testing.assert_array_equal(dataset.images, random_images(50))
        assert (dataset.name, dataset.augmentation) == ("mine", Augmentation(flip=True))

    def test_of_three_splits_keeps_them(self, tmp_path):
        """As MedMNIST publishes its data sets."""
        sizes = {"train": 30, "val": 10, "test": 12}
        arrays = {f"{s}_images": random_images(n, seed=n) for s, n in sizes.items()}
        arrays |= {f"{s}_labels": random_labels(n, 3, n)[:, None] for s, n in sizes.items()}
        dataset = load_dataset(str(self.save(tmp_path / "med.npz", **arrays)))
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 30, "validation": 10, "test": 12}
        np.testing.assert_array_equal(dataset.images[dataset.rows("validation")], arrays["val_images"])
        np.testing.assert_array_equal(dataset.labels[dataset.rows("test")], arrays["test_labels"][:, 0])
        assert (dataset.validation_split, dataset.test_split) == ("validation", "test")

    def test_without_a_validation_split_gets_a_fifth_of_the_training_images(self, tmp_path):
        arrays = {"train_images": random_images(50), "train_labels": random_labels(50)}
        arrays |= {"test_images": random_images(10, seed=1), "test_labels": random_labels(10)}
        dataset = load_dataset(self.save(tmp_path / "two.npz", **arrays), seed=4)
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 40, "validation": 10, "test": 10}
        assert_covers(dataset, ("train", "validation", "test"))
        np.testing.assert_array_equal(dataset.images[dataset.rows("test")], arrays["test_images"])

    @pytest.mark.parametrize(
        ("arrays", "error", "match"),
        [
            ({"x": np.zeros(3)}, ValueError, "has the arrays x; expected 'images' and 'labels'"),
            ({"test_images": random_images(3), "test_labels": np.zeros(3, int)}, ValueError, "has the arrays"),
            ({"images": random_images(3) / 255, "labels": np.zeros(3, int)}, TypeError, "all: images are float64"),
            ({"images": random_images(3), "labels": np.zeros(4, int)}, ValueError, "3 all images and 4 labels"),
            (
                {
                    "train_images": random_images(3),
                    "train_labels": np.zeros(3, int),
                    "test_images": random_images(3, 4),
                    "test_labels": np.zeros(3, int),
                },
                ValueError,
                r"test images of shape \[4, 4, 3\], but others of \[8, 8, 3\]",
            ),
            ({"images": np.array([None, {}]), "labels": np.zeros(2, int)}, ValueError, "Python objects"),
        ],
    )
    def test_of_something_else_is_refused(self, tmp_path, arrays, error, match):
        with pytest.raises(error, match=match) as caught:
            load_dataset(self.save(tmp_path / "bad.npz", **arrays))
        assert "bad.npz" in str(caught.value)

    def test_that_is_damaged_or_missing_is_refused(self, tmp_path):
        path = self.save(tmp_path / "a.npz", images=random_images(50), labels=random_labels(50))
        whole = path.read_bytes()
        for data in (b"", b"PK", whole[:-40], whole[:5000], whole[:3000] + b"\1\2\3" + whole[3003:]):
            path.write_bytes(data)
            with pytest.raises(ValueError, match=r"a.npz is no .npz of images, or it is cut off or damaged"):
                read_npz(path)
        with pytest.raises(FileNotFoundError):
            read_npz(tmp_path / "missing.npz")

    def test_that_announces_more_than_it_has_is_refused(self, tmp_path):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 8, 8)})
        with zipfile.ZipFile(tmp_path / "big.npz", "w") as archive:
            archive.writestr("images.npy", header.getvalue())
            archive.writestr("labels.npy", header.getvalue())
        with pytest.raises(ValueError, match="has not the size"):
            read_npz(tmp_path / "big.npz")


# CIFAR, as its author publishes it: images of one colour after another.


def python2_pickle(entry):
    """Pickles a dictionary of bytes, lists of small integers and matrices as Python 2 with NumPy 1 did."""

    def text(value):
        size = len(value)
        return (b"U" + bytes([size]) if size < 256 else b"T" + size.to_bytes(4, "little")) + value

    def value_of(value):
        if isinstance(value, bytes):
            return text(value)
        if isinstance(value, list):
            return b"](" + b"".join(b"K" + bytes([n]) for n in value) + b"e"
        rows, columns = (b"J" + n.to_bytes(4, "little") for n in value.shape)
        new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
        dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\1\x87R(K\3" + text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
        return new + b"(K\1" + rows + columns + b"\x86" + dtype + b"K\0tb\x89" + text(value.tobytes()) + b"tb"

    items = b"".join(text(key.encode()) + value_of(value) for key, value in entry.items())
    return b"\x80\2}q\1(" + items + b"u."


class MiniCifar:
    """CIFAR-10 or -100 with a few images, in each form."""

    def __init__(self, num_classes):
        self.num_classes = num_classes
        batches = [4, 3, 5, 2, 6] if num_classes == 10 else [20]
        self.images = random_images(sum(batches) + 7, 32, seed=num_classes)
        self.labels = random_labels(len(self.images), num_classes, seed=1)
        self.labels[0] = num_classes - 1
        self.cuts = np.cumsum([0, *batches, 7])

    def files(self, layout):
        """Returns the files of a published version by name."""
        found = {}
        for i, name in enumerate(layout.files):
            part = slice(self.cuts[i], self.cuts[i + 1])
            rows = self.images[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
            found[name] = self.content(layout, rows, self.labels[part])
        return found

    def content(self, layout, rows, labels):
        if layout.label_bytes == 1:
            return b"".join(bytes([n]) + row.tobytes() for n, row in zip(labels, rows, strict=True))
        if layout.label_bytes == 2:  # the coarse label, then the fine one
            return b"".join(bytes([n // 5, n]) + row.tobytes() for n, row in zip(labels, rows, strict=True))
        entry = {"batch_label": b"training batch", layout.label_key: labels.tolist(), "data": rows}
        if self.num_classes == 100:
            entry["coarse_labels"] = (labels // 5).tolist()
        return python2_pickle(entry)

    def check(self, parts):
        images, labels, rows = joined(dict(parts))
        np.testing.assert_array_equal(images, self.images)
        np.testing.assert_array_equal(labels, self.labels)
        assert len(rows["test"]) == 7


def write_archive(path, folder, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        directory = tarfile.TarInfo(folder)
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for name, content in {"readme.html": b"about", **files}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


LAYOUTS = [(classes, layout) for classes, layouts in _cifar.LAYOUTS.items() for layout in layouts]


class TestCifar:
    @pytest.mark.parametrize(("num_classes", "layout"), LAYOUTS)
    def test_archives_and_folders_are_read(self, tmp_path, num_classes, layout):
        mini = MiniCifar(num_classes)
        files = mini.files(layout)
        write_archive(tmp_path / layout.archive, layout.folder, files)
        assert _cifar.find_cifar(tmp_path, num_classes) == tmp_path / layout.archive
        mini.check(_cifar.read_cifar(tmp_path / layout.archive, num_classes))
        shuffled = dict(sorted(files.items(), reverse=True))
        write_archive(tmp_path / "mine.tar", ".", shuffled, "w")
        mini.check(_cifar.read_cifar(tmp_path / "mine.tar", num_classes))
        assert _cifar.find_cifar(tmp_path / "mine.tar", num_classes) == tmp_path / "mine.tar"
        (tmp_path / layout.folder).mkdir()
        for name, content in files.items():
            (tmp_path / layout.folder / name).write_bytes(content)
        assert _cifar.find_cifar(tmp_path, num_classes) == tmp_path / layout.folder
        assert _cifar.find_cifar(tmp_path / layout.folder, num_classes) == tmp_path / layout.folder
        mini.check(_cifar.read_cifar(tmp_path / layout.folder, num_classes))

    def test_python2_pickles_of_these_tests_are_what_python_reads(self):
        rows = random_images(2, 32).reshape(2, 3072)
        data = python2_pickle({"labels": [3, 250], "data": rows, "name": b"a"})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy has moved what the pickle names
            found = pickle.loads(data, encoding="bytes")
        assert (found[b"labels"], found[b"name"]) == ([3, 250], b"a")
        np.testing.assert_array_equal(found[b"data"], rows)

    @pytest.mark.parametrize("protocol", [2, 3, 4])
    def test_pickles_of_later_pythons_are_read(self, tmp_path, protocol):
        layout = _cifar.LAYOUTS[100][1]
        mini = MiniCifar(100)
        for name, part in (("train", slice(0, 20)), ("test", slice(20, 27))):
            rows = mini.images[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
            entry = {"fine_labels": mini.labels[part].tolist(), "data": rows, "filenames": ["a"] * 20}
            (tmp_path / name).write_bytes(pickle.dumps(entry, protocol))
        assert in_order(layout.files, tmp_path)
        mini.check(_cifar.read_cifar(tmp_path, 100))

    def test_what_is_missing_is_said(self, tmp_path):
        layout = _cifar.LAYOUTS[10][0]
        files = MiniCifar(10).files(layout)
        del files["data_batch_3.bin"]
        write_archive(tmp_path / layout.archive, layout.folder, files)
        with pytest.raises(ValueError, match=r"is not CIFAR-10: it has no data_batch_3.bin; get it again from https"):
            _cifar.read_cifar(tmp_path / layout.archive, 10)

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
    @pytest.mark.parametrize(("num_classes", "layout"), LAYOUTS)
    def test_archives_that_are_cut_off_are_refused(self, tmp_path, num_classes, layout, share):
        path = tmp_path / layout.archive
        write_archive(path, layout.folder, MiniCifar(num_classes).files(layout))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"cut off|damaged|has no"):
            load_dataset(f"cifar{num_classes}", data_dir=path)

    def test_archives_with_changed_bytes_are_refused(self, tmp_path):
        layout = _cifar.LAYOUTS[10][0]
        path = tmp_path / layout.archive
        write_archive(path, layout.folder, MiniCifar(10).files(layout))
        whole = bytearray(path.read_bytes())
        for place in (len(whole) // 2, len(whole) - 8, len(whole) - 4):  # within, and in checksum and length
            damaged = whole.copy()
            damaged[place] ^= 0xFF
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"cut off or damaged|has a label"):
                _cifar.read_cifar(path, 10)

    def test_files_that_are_no_archives_are_refused(self, tmp_path):
        for data in (b"not an archive", b"\x1f\x8b", b"\x1f\x8bnot an archive", gzip.compress(b"x" * 5000)):
            (tmp_path / "a.tar.gz").write_bytes(data)
            with pytest.raises(ValueError, match=r"a.tar.gz is no archive"):
                _cifar.read_cifar(tmp_path / "a.tar.gz", 10)

    @pytest.mark.parametrize(("num_classes", "layout"), LAYOUTS)
    def test_files_of_another_size_or_class_are_refused(self, tmp_path, num_classes, layout):
        files = MiniCifar(num_classes).files(layout)
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        last = tmp_path / layout.test[0]
        last.write_bytes(last.read_bytes()[:-1])
        with pytest.raises(ValueError, match="cut off"):
            _cifar.read_cifar(tmp_path, num_classes)
        mini = MiniCifar(num_classes)
        mini.labels[-1] = num_classes
        last.write_bytes(mini.files(layout)[layout.test[0]])
        with pytest.raises(ValueError, match=rf"has a label {num_classes}, but CIFAR-{num_classes} has"):
            _cifar.read_cifar(tmp_path, num_classes)

    def test_hostile_pickles_are_refused_and_not_run(self, tmp_path):
        layout = _cifar.LAYOUTS[10][1]
        files = MiniCifar(10).files(layout)
        witness = tmp_path / "run"
        for i, hostile in enumerate(
            (
                b"\x80\2cos\nsystem\nU" + bytes([len(f"touch {witness}")]) + f"touch {witness}".encode() + b"\x85R.",
                pickletools.optimize(pickle.dumps(Runs(f"open({str(witness)!r}, 'w')"))),
            )
        ):
            write_archive(tmp_path / f"{i}.tar.gz", layout.folder, {**files, "data_batch_2": hostile})
            with pytest.raises(ValueError, match=r"data_batch_2 in .* nothing of it was run"):
                _cifar.read_cifar(tmp_path / f"{i}.tar.gz", 10)
        assert not witness.exists()

    @pytest.mark.parametrize(
        ("entry", "match"),
        [
            ({"labels": [1, 2]}, "no 'data' of images of 32 x 32"),
            ({"labels": [1, 2], "data": np.zeros((2, 3071), np.uint8)}, "no 'data' of images of 32 x 32"),
            ({"labels": [1, 2], "data": np.zeros((2, 3072))}, "no 'data' of images of 32 x 32"),
            ({"labels": [1], "data": np.zeros((2, 3072), np.uint8)}, "no list 'labels'"),
            ({"labels": ["1", "2"], "data": np.zeros((2, 3072), np.uint8)}, "no list 'labels'"),
            ({"labels": [1, -2], "data": np.zeros((2, 3072), np.uint8)}, "labels from -2 to 1"),
            ({"data": np.zeros((2, 3072), np.uint8)}, "no list 'labels'"),
            ([1, 2], "no dictionary"),
        ],
    )
    def test_pickles_of_something_else_are_refused(self, tmp_path, entry, match):
        (tmp_path / "data_batch_1").write_bytes(pickle.dumps(entry, 4))
        with pytest.raises(ValueError, match=match):
            _cifar.read_cifar(tmp_path, 10)

    def test_archives_that_unpack_to_far_more_are_refused(self, tmp_path):
        """A megabyte of gzip that unpacks to a gigabyte, as a file, and as a name of that length."""
        layout = _cifar.LAYOUTS[10][0]
        zeros = gzip.compress(bytes(1 << 20), 1)
        for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            member = tarfile.TarInfo("data_batch_1.bin")
            member.size, member.type = 1 << 30, kind
            path = tmp_path / layout.archive
            path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT)) + 400 * zeros)
            with pytest.raises(ValueError, match="far larger"):
                _cifar.read_cifar(path, 10)

    def test_links_and_devices_in_archives_are_passed_over(self, tmp_path):
        layout = _cifar.LAYOUTS[10][0]
        path = tmp_path / "a.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, kind in zip(layout.files, "1234656", strict=False):
                member = tarfile.TarInfo(f"x/{name}")
                member.type, member.linkname = kind.encode(), "/etc/passwd"
                archive.addfile(member)
        with pytest.raises(ValueError, match="is not CIFAR-10: it has no data_batch_1"):
            _cifar.read_cifar(path, 10)

    def test_other_numbers_of_images_than_published_are_refused(self, tmp_path):
        layout = _cifar.LAYOUTS[10][0]
        write_archive(tmp_path / layout.archive, layout.folder, MiniCifar(10).files(layout))
        with pytest.raises(ValueError, match="has 20 train images, but CIFAR-10 has 50,000"):
            load_dataset("cifar10", data_dir=tmp_path)


def in_order(names, folder):
    return all((folder / name).is_file() for name in names)


class Runs:
    """Pickles itself as a call of `eval`."""

    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return eval, (self.code,)


class TestPublishedSplits:
    """The published sizes, with readers that give as many black images."""

    def parts(self, num_classes, train, test, size):
        return {
            "train": (np.zeros((train, size, size, 3), np.uint8), np.arange(train, dtype=np.int32) % num_classes),
            "test": (np.zeros((test, size, size, 3), np.uint8), np.arange(test, dtype=np.int32) % num_classes),
        }

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        def read_cifar(path, num_classes):
            return self.parts(num_classes, 50_000, 10_000, 32)

        monkeypatch.setattr(_cifar, "find_cifar", lambda *_: tmp_path)
        monkeypatch.setattr(_cifar, "read_cifar", read_cifar)
        monkeypatch.setattr(_imagenet16, "find_imagenet16", lambda *_: tmp_path)
        monkeypatch.setattr(_imagenet16, "read_imagenet16", lambda _: self.parts(120, 151_700, 6_000, 16))
        return tmp_path

    def test_of_cifar10(self, folder):
        dataset = load_dataset("cifar10", data_dir=folder)
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 50_000, "ori-test": 10_000}
        assert_covers(dataset, ("train", "ori-test"))
        assert (dataset.validation_split, dataset.test_split) == (None, "ori-test")
        assert (dataset.mean, dataset.std) == ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
        assert dataset.augmentation == Augmentation(flip=True, pad=4)

    def test_of_cifar10_valid(self, folder):
        dataset = load_dataset("cifar10-valid", data_dir=folder)
        assert {s: len(r) for s, r in dataset.splits.items()} == {
            "train": 25_000,
            "x-valid": 25_000,
            "ori-test": 10_000,
        }
        assert_covers(dataset, ("train", "x-valid", "ori-test"))
        assert (class_counts(dataset, "train") == 2_500).all()
        assert (dataset.validation_split, dataset.test_split) == ("x-valid", "ori-test")

    @pytest.mark.parametrize(
        ("name", "train", "half"), [("cifar100", 50_000, 5_000), ("imagenet16-120", 151_700, 3_000)]
    )
    def test_with_halves_of_the_test_images(self, folder, name, train, half):
        dataset = load_dataset(name, data_dir=folder)
        sizes = {"train": train, "x-valid": half, "x-test": half, "ori-test": 2 * half}
        assert {s: len(r) for s, r in dataset.splits.items()} == sizes
        assert_covers(dataset, ("train", "x-valid", "x-test"))
        assert_covers(dataset, ("train", "ori-test"))
        assert (dataset.validation_split, dataset.test_split) == ("x-valid", "x-test")
        assert np.ptp(class_counts(dataset, "x-valid")) <= 1
        assert dataset.num_classes == {"cifar100": 100, "imagenet16-120": 120}[name]
        assert dataset.augmentation == Augmentation(flip=True, pad=4 if name == "cifar100" else 2)

    @pytest.mark.parametrize(
        ("name", "files"),
        [
            ("cifar10", _cifar.LAYOUTS[10][1].files),
            ("cifar100", _cifar.LAYOUTS[100][1].files),
            ("imagenet16-120", ("val_data",)),
        ],
    )
    def test_unpacked_pickles_are_those_that_were_published(self, folder, name, files):
        """Nothing else vouches for them."""
        for file in files:
            (folder / file).write_bytes(b"almost as it was published")
        with pytest.raises(ValueError, match=rf"{files[0]} is damaged or not the file that was published: its MD5 is "):
            load_dataset(name, data_dir=folder)
        for file in files:  # none where the archive is read, or nothing of the kind
            (folder / file).unlink()
        assert load_dataset(name, data_dir=folder).num_classes


class TestImageNet16:
    def write(self, folder, protocol=4, first=1):
        """Eleven pickles of ten images, labels from `first` on."""
        rng, kept = np.random.default_rng(0), {"train": [], "test": []}
        for file in (*_imagenet16.TRAIN_FILES, _imagenet16.TEST_FILE):
            rows, labels = rng.integers(0, 256, (10, 768), np.uint8), rng.integers(first, 1001, 10)
            labels[:3] = [120, 121, first]
            entry = {"data": rows, "labels": labels.tolist(), "mean": rows.mean(axis=0)}
            (folder / file).write_bytes(pickle.dumps(entry, protocol))
            split = "test" if file == _imagenet16.TEST_FILE else "train"
            images = rows.reshape(10, 3, 16, 16).transpose(0, 2, 3, 1)
            kept[split] += [(image, label - 1) for image, label in zip(images, labels, strict=True) if label <= 120]
        return kept

    @pytest.mark.parametrize("protocol", [2, 3, 4])
    def test_keeps_the_first_120_classes(self, tmp_path, protocol):
        folder = tmp_path / "ImageNet16"
        folder.mkdir()
        kept = self.write(folder, protocol)
        assert _imagenet16.find_imagenet16(tmp_path) == folder
        assert _imagenet16.find_imagenet16(folder) == folder
        parts = _imagenet16.read_imagenet16(folder)
        for split, pairs in kept.items():
            np.testing.assert_array_equal(parts[split][0], [image for image, _ in pairs])
            np.testing.assert_array_equal(parts[split][1], [label for _, label in pairs])
        assert parts["train"][1].max() == 119
        with pytest.raises(ValueError, match="but ImageNet16-120 has 151,700"):
            load_dataset("ImageNet16-120", data_dir=tmp_path)

    def test_refuses_damaged_and_hostile_files(self, tmp_path):
        self.write(tmp_path)
        file = tmp_path / "train_data_batch_4"
        whole, witness = file.read_bytes(), tmp_path / "run"
        for data in (whole[:-100], whole[:100], b"", pickle.dumps(Runs(f"open({str(witness)!r}, 'w')"))):
            file.write_bytes(data)
            with pytest.raises(ValueError, match=r"train_data_batch_4 .*(cut off|nothing of it was run)"):
                load_dataset("imagenet16-120", data_dir=tmp_path)
        assert not witness.exists()

    def test_refuses_labels_from_zero(self, tmp_path):
        self.write(tmp_path, first=0)
        with pytest.raises(ValueError, match="counted from 1"):
            _imagenet16.read_imagenet16(tmp_path)


@pytest.fixture(scope="module")
def prepare(tmp_path_factory):
    pytest.importorskip("array_record", reason="tensorflow-datasets or array_record is not installed")
    datasets = pytest.importorskip("tensorflow_datasets")
    image = pytest.importorskip("PIL.Image")
    root = tmp_path_factory.mktemp("prepared")

    def encoded(pixels):
        file = io.BytesIO()
        image.fromarray(pixels if pixels.shape[-1] > 1 else pixels[..., 0]).save(file, "PNG")
        return file.getvalue()

    def make(name, parts, features=None, file_format="array_record"):
        """Prepares images and labels under a name; returns the folder that holds them all."""
        channels = next(iter(parts.values()))[0][0].shape[-1]
        described = features or {
            "image": datasets.features.Image(shape=(None, None, channels)),
            "label": datasets.features.ClassLabel(num_classes=4),
            "id": datasets.features.Text(),
        }

        def info(self):
            return self.dataset_info_from_configs(features=datasets.features.FeaturesDict(described))

        def generate(self, split):
            for i, (pixels, label) in enumerate(zip(*parts[split], strict=True)):
                record = {"image": encoded(pixels), "label": int(label), "id": str(i)}
                yield i, {key: record[key] for key in described}

        members = {
            "VERSION": datasets.core.Version("1.0.0"),
            "__module__": __name__,
            "_info": info,
            "_split_generators": lambda self, _: {split: generate(self, split) for split in parts},
            "_generate_examples": generate,
        }
        kind = type(name.title().replace("_", ""), (datasets.core.GeneratorBasedBuilder,), members)
        kind(data_dir=str(root), file_format=file_format).download_and_prepare()
        return root

    return make


class TestPrepared:
    """Folders of tensorflow-datasets."""

    def test_are_read(self, prepare):
        images = {"train": random_images(30, 6), "validation": random_images(10, 6), "test": random_images(10, 6)}
        folder = prepare("whole_set", {s: (x, random_labels(len(x), 4)) for s, x in images.items()})
        dataset = load_dataset("tfds:whole_set", data_dir=folder)
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 30, "validation": 10, "test": 10}
        found = np.asarray(dataset.images)[np.asarray(dataset.rows("train"))]
        assert sorted(i.tobytes() for i in found) == sorted(i.tobytes() for i in images["train"])
        assert (dataset.name, dataset.num_classes) == ("whole_set", 4)
        again = load_dataset("tfds:whole_set:1.0.0", data_dir=folder)
        assert again.name == load_dataset("tfds:whole_set/1.0.0", data_dir=folder).name == "whole_set/1.0.0"
        again = load_dataset("tfds:whole_set", data_dir=folder / "whole_set" / "1.0.0")
        np.testing.assert_array_equal(again.images, dataset.images)

    def test_grey_images_without_other_splits_are_split(self, prepare):
        images = random_images(40, 5, 1)
        folder = prepare("grey_set", {"train": (images, random_labels(40, 4))})
        dataset = load_dataset("tfds:grey_set", data_dir=folder, seed=1)
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 24, "validation": 8, "test": 8}
        assert dataset.image_shape == (5, 5, 1)
        of = {image.tobytes(): label for image, label in zip(images, random_labels(40, 4), strict=True)}
        assert all(
            of[i.tobytes()] == n for i, n in zip(np.asarray(dataset.images), dataset.labels.tolist(), strict=True)
        )

    def test_of_several_sizes_are_refused(self, prepare):
        images = [*random_images(3, 5), *random_images(3, 6)]
        folder = prepare("sizes_set", {"train": (images, [0] * 6)})
        with pytest.raises(ValueError, match="expected images of one size"):
            load_dataset("tfds:sizes_set", data_dir=folder)

    def test_without_labels_are_refused(self, prepare):
        datasets = pytest.importorskip("tensorflow_datasets")
        only = {"image": datasets.features.Image(shape=(None, None, 3))}
        folder = prepare("plain_set", {"train": (random_images(5), [0] * 5)}, only)
        with pytest.raises(ValueError, match="has the features image; expected 'image' and 'label'"):
            load_dataset("tfds:plain_set", data_dir=folder)

    def test_that_are_damaged_are_refused(self, prepare):
        folder = prepare("torn_set", {"train": (random_images(300, 16), random_labels(300, 4))})
        file = next((folder / "torn_set" / "1.0.0").glob("*.array_record*"))
        whole = file.read_bytes()
        for data in (whole[: len(whole) // 2], b"", b"no records" * 100):
            file.write_bytes(data)
            with pytest.raises(ValueError, match="torn_set"):
                load_dataset("tfds:torn_set", data_dir=folder)
        (folder / "torn_set" / "1.0.0" / "features.json").write_text("{")
        with pytest.raises(ValueError, match="torn_set"):
            load_dataset("tfds:torn_set", data_dir=folder)

    def test_of_another_format_say_so(self, tmp_path):
        folder = tmp_path / "old_set" / "1.0.0"
        folder.mkdir(parents=True)
        for text, match in (
            ('{"fileFormat": "tfrecord"}', "cannot be read without TensorFlow; prepare it again with file_format"),
            ("{}", "format 'tfrecord'"),
            ("[", "dataset_info.json is damaged"),
            ("[]", "dataset_info.json is damaged"),
        ):
            (folder / "dataset_info.json").write_text(text)
            with pytest.raises(ValueError, match=match):
                load_dataset("tfds:old_set", data_dir=tmp_path)

    def test_latest_version_is_found_and_configurations_are_asked_for(self, tmp_path):
        for place in ("a_set/2.0.0", "a_set/10.0.0", "b_set/x/1.0.0", "c_set/x/1.0.0", "c_set/y/1.0.0"):
            (tmp_path / place).mkdir(parents=True)
            (tmp_path / place / "dataset_info.json").write_text("{}")
        find = _sources._tfds.find_prepared
        assert find("a_set", tmp_path) == tmp_path / "a_set" / "10.0.0"
        assert find("a_set/2.0.0", tmp_path) == tmp_path / "a_set" / "2.0.0"
        assert find("b_set", tmp_path) == tmp_path / "b_set" / "x" / "1.0.0"
        assert find("c_set/y", tmp_path) == tmp_path / "c_set" / "y" / "1.0.0"
        assert find("d_set", tmp_path) is None
        for version in ("3.0.1", "10.0.1"):  # the library's own form names a version after a colon
            told = rf"no prepared data set 'a_set/{version}' in .*, which has 10.0.0, 2.0.0 of it; pass as data_dir"
            with pytest.raises(FileNotFoundError, match=told):
                load_dataset(f"tfds:a_set:{version}", data_dir=tmp_path)
        with pytest.raises(FileNotFoundError, match=r"'a_seet' in .*; did you mean 'a_set'"):
            load_dataset("tfds:a_seet", data_dir=tmp_path)
        with pytest.raises(ValueError, match="the configurations x, y; name one, as in c_set/x"):
            find("c_set", tmp_path)
        (tmp_path / "a_set" / "10.0.0" / "dataset_info.json").write_text('{"name": "a_set"}')
        assert find("a_set", tmp_path / "a_set" / "10.0.0") == tmp_path / "a_set" / "10.0.0"
        with pytest.raises(ValueError, match="is the prepared folder of 'a_set', not of 'mnist'"):
            load_dataset("mnist", data_dir=tmp_path / "a_set" / "10.0.0")
        for name in ("", "../etc", "/etc", "a b", "a//b"):
            with pytest.raises(ValueError, match="no name of a data set"):
                find(name, tmp_path)

    def test_without_the_library_say_how_to_install_it(self, tmp_path, monkeypatch):
        folder = tmp_path / "mnist" / "3.0.1"
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text('{"fileFormat": "array_record"}')
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
        with pytest.raises(ImportError, match=r"pip install 'jnas\[data\]'"):
            load_dataset("mnist", data_dir=tmp_path)


@pytest.mark.slow
class TestReal:
    def test_cifar10(self, shared_data):
        pytest.importorskip("tensorflow_datasets")
        dataset = load_dataset("cifar10-valid", data_dir=shared_data / "tfds")
        assert dataset.image_shape == (32, 32, 3)
        assert (class_counts(dataset, "train") == 2_500).all()
        assert (class_counts(dataset, "x-valid") == 2_500).all()
        assert (class_counts(dataset, "ori-test") == 1_000).all()
        mean, std = pixel_statistics(np.asarray(dataset.images), np.arange(50_000))
        np.testing.assert_allclose(mean, dataset.mean, atol=0.2)
        np.testing.assert_allclose(std, dataset.std, atol=0.6)  # this copy went through JPEG, which takes contrast
        tiny = resized(subset(dataset, "train", 500), 8)
        assert (class_counts(tiny, "train") == 50).all()

    def test_mnist(self, shared_data):
        pytest.importorskip("tensorflow_datasets")
        dataset = load_dataset("mnist", data_dir=shared_data / "tfds")
        assert {s: len(r) for s, r in dataset.splits.items()} == {"train": 50_000, "validation": 10_000, "test": 10_000}
        assert dataset.image_shape == (28, 28, 1)
        published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # training images of each digit
        assert (class_counts(dataset, "train") + class_counts(dataset, "validation")).tolist() == published
        np.testing.assert_allclose(dataset.mean[0] / 255, 0.1307, atol=5e-4)
        np.testing.assert_allclose(dataset.std[0] / 255, 0.3081, atol=5e-4)
        assert dataset.augmentation == Augmentation(pad=2)
