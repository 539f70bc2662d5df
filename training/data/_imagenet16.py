"""ImageNet16-120: the first 120 classes of ImageNet at 16 x 16 pixels, from the pickles of the downsampled ImageNet."""

import os
from pathlib import Path

import numpy as np

from jnas.io._progress import counting_bar
from jnas.io._stream import Stream
from jnas.training.data._parts import Parts, in_folder
from jnas.training.data._pickled_images import channels_last, read_pickled_images

SOURCE = "https://image-net.org/download-images (Downsampled ImageNet, 16 x 16)"

TRAIN_FILES = tuple(f"train_data_batch_{i}" for i in range(1, 11))
TEST_FILE = "val_data"
NUM_CLASSES = 120

DIGESTS = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}
"""MD5 of the published files, as NAS-Bench-201's code compares them; they have no checksum of their own."""


def find_imagenet16(data_dir: Path) -> Path | None:
    """Returns the folder with the pickles: `data_dir` itself or `ImageNet16` in it; None where neither has them."""
    files = (*TRAIN_FILES, TEST_FILE)
    return next((folder for folder in (data_dir / "ImageNet16", data_dir) if in_folder(folder, files)), None)


def read_imagenet16(folder: str | os.PathLike[str]) -> Parts:
    """Returns `'train'` and `'test'` (the published validation images) of the first 120 classes.

    Args:
      folder: Where the eleven pickles are.

    Raises:
      ValueError: A file is cut off, foreign or hostile; the message says which. Nothing was run.
      OSError: A file is missing or cannot be read.

    References:
      "A Downsampled Variant of ImageNet as an Alternative to the CIFAR datasets", Chrabaszcz et al., 2017.
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong & Yang, 2020, section 2.2.
    """
    folder = Path(folder)
    with counting_bar("reading ImageNet16") as progress:
        batches = []
        for done, file in enumerate((*TRAIN_FILES, TEST_FILE), start=1):
            batches.append(_read_file(folder / file))
            progress(done, len(TRAIN_FILES) + 1)
    test = batches.pop()
    train = tuple(np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return {"train": (train[0], train[1]), "test": test}


def _read_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file:
        stream = Stream(file.read, str(path), f"get it again from {SOURCE}")
        images, labels = read_pickled_images(stream, "labels", 16)
    if labels.size and labels.min() < 1:
        raise stream.error("has a label 0, but the classes of ImageNet16 are counted from 1")
    keep = labels <= NUM_CLASSES
    return channels_last(images[keep]), (labels[keep] - 1).astype(np.int32)
