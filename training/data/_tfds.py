"""Data sets that tensorflow-datasets has prepared on this machine, read without TensorFlow."""

import functools
import importlib
import io
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jnas.io._progress import counting_bar
from jnas.training.data._parts import Parts

_SPLITS = ("train", "validation", "test")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_CHUNK = 1000


def find_prepared(name: str, data_dir: Path) -> Path | None:
    """Returns the folder of a prepared data set, of its latest version, or None.

    Args:
      name: As tensorflow-datasets calls it: `'cifar10'`, `'emnist/letters'`.
      data_dir: The folder that holds `NAME/VERSION`, or the prepared folder itself.

    Raises:
      ValueError: The name is not one, or stands for several configurations, or `data_dir` is that of another one.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", name) or ".." in name:
        raise ValueError(f"{name!r} is no name of a data set, expected one such as 'cifar10' or 'emnist/letters'")
    if (data_dir / "dataset_info.json").is_file():
        stated = _stated(data_dir).get("name")
        if stated != name.partition("/")[0]:
            raise ValueError(f"{data_dir} is the prepared folder of {stated!r}, not of {name!r}")
        return data_dir
    folder = data_dir / name
    if (folder / "dataset_info.json").is_file():
        return folder
    versions = [info.parent for info in folder.glob("[0-9]*.*/dataset_info.json")]
    if versions:
        return max(versions, key=lambda version: [int(n) for n in re.findall(r"\d+", version.name)])
    configurations = sorted({info.parent.parent.name for info in folder.glob("*/[0-9]*.*/dataset_info.json")})
    if len(configurations) > 1:
        raise ValueError(
            f"{folder} has the configurations {', '.join(configurations)}; name one, as in {name}/{configurations[0]}"
        )
    return find_prepared(f"{name}/{configurations[0]}", data_dir) if configurations else None


def read_prepared(folder: str | os.PathLike[str]) -> tuple[Parts, int]:
    """Returns the splits `'train'`, `'validation'` and `'test'`, as far as they exist, and the number of classes.

    Args:
      folder: A prepared folder (`dataset_info.json` stands in it) in array_record format, with features `image` and
        `label`.

    Raises:
      ImportError: tensorflow-datasets is not installed.
      ValueError: The folder is in another format, holds no labelled images, or is damaged.
    """
    folder = Path(folder)
    _check_format(folder)
    datasets = _import_datasets()
    try:
        builder = datasets.builder_from_directory(str(folder))
        features = builder.info.features
        sizes = {split: builder.info.splits[split].num_examples for split in _SPLITS if split in builder.info.splits}
    except Exception as error:  # of whatever kind the library gives
        raise ValueError(f"{folder} is no folder of a prepared data set: {error}") from error
    if not (isinstance(features, datasets.features.FeaturesDict) and {"image", "label"} <= set(features)):
        raise ValueError(f"{folder} has the features {', '.join(features)}; expected 'image' and 'label' among them")
    image, label = features["image"], features["label"]
    if np.dtype(image.np_dtype) != np.uint8 or len(image.shape or ()) != 3 or image.shape[-1] not in _MODES:
        raise ValueError(f"{folder} has images {image.np_dtype} {image.shape}, expected uint8 of 1, 3 or 4 channels")
    if not isinstance(label, datasets.features.ClassLabel):
        raise ValueError(f"{folder} has labels that are no classes but {type(label).__name__}")
    if not sizes.get("train"):
        raise ValueError(f"{folder} has no split 'train' with images; it has {', '.join(builder.info.splits)}")
    parts: Parts = {}
    with counting_bar(f"reading {builder.info.name}") as progress:
        before = 0
        for split, size in sizes.items():
            source = builder.as_data_source(split=split).data_source  # parsing and decoding here takes a third as long
            report = functools.partial(_report, progress, before, sum(sizes.values()))
            parts[split] = _read_split(source, size, image.shape[-1], f"{split} in {folder}", report)
            before += size
    return parts, int(label.num_classes)


def _report(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _read_split(
    source: Any, size: int, channels: int, where: str, progress: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes one split, a thousand records at a time; `progress(done)` counts them."""
    decoder = importlib.import_module("PIL.Image")
    parser = importlib.import_module("tensorflow_datasets.proto").tf_example_pb2.Example
    labels = np.empty(size, np.int64)
    images = np.empty((0, 0, 0, channels), np.uint8)
    for start in range(0, size, _CHUNK):
        numbers = list(range(start, min(start + _CHUNK, size)))
        try:
            records = [_image_and_label(parser, record) for record in source.__getitems__(numbers)]
        except Exception as error:  # of whatever kind the library gives
            raise ValueError(f"{where} cannot be read, it may be cut off: {error}; prepare it again") from error
        for number, (image, label) in zip(numbers, records, strict=True):
            try:
                with decoder.open(io.BytesIO(image)) as opened:
                    pixels = np.asarray(opened.convert(_MODES[channels]))
            except (OSError, ValueError) as error:
                raise ValueError(f"{where}: image {number} cannot be decoded ({error}); prepare it again") from None
            pixels = pixels.reshape(*pixels.shape[:2], channels)
            if number == 0:
                images = np.empty((size, *pixels.shape), np.uint8)
            if pixels.shape != images.shape[1:]:
                raise ValueError(
                    f"{where}: image {number} is {pixels.shape[0]} x {pixels.shape[1]} and the first one "
                    f"{images.shape[1]} x {images.shape[2]}, expected images of one size; resize them and pass them "
                    "to jnas.training.dataset_from_arrays"
                )
            images[number], labels[number] = pixels, label
        progress(numbers[-1] + 1)
    return images, labels


def _image_and_label(parser: Any, record: bytes) -> tuple[bytes, int]:
    """Returns the two features of a record, a `tf.train.Example`, as they are written."""
    features = parser.FromString(record).features.feature
    return features["image"].bytes_list.value[0], features["label"].int64_list.value[0]


def _stated(folder: Path) -> dict[str, Any]:
    """Returns what `dataset_info.json` says."""
    path = folder / "dataset_info.json"
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); prepare the data set again") from None
    if not isinstance(stated, dict):
        raise ValueError(f"{path} is damaged (it holds no JSON object); prepare the data set again")
    return stated


def _check_format(folder: Path) -> None:
    stated = _stated(folder).get("fileFormat", "tfrecord")
    if stated != "array_record":
        raise ValueError(
            f"{folder} was prepared in the format {stated!r}, which cannot be read without TensorFlow; prepare it "
            "again with file_format='array_record' (tfds.builder(name, file_format='array_record')"
            ".download_and_prepare(), where TensorFlow is installed)"
        )


def _import_datasets() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own imports
        try:
            for needed in ("array_record.python.array_record_data_source", "PIL.Image"):
                importlib.import_module(needed)
            return importlib.import_module("tensorflow_datasets")
        except ImportError as error:
            raise ImportError(
                f"this data set needs tensorflow-datasets, array_record and Pillow; one is missing ({error}): "
                "pip install 'jnas[data]' (TensorFlow itself is not needed)"
            ) from error
