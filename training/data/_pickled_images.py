"""Pickles of images as CIFAR and the downsampled ImageNet are published, read without running them."""

from typing import Any

import numpy as np

from jnas.io._pickle_values import Numbers
from jnas.io._restricted_pickle import load
from jnas.io._stream import Stream

_MOST_BYTES = 1 << 28  # of one array; the largest published one, the training images of CIFAR-100, has 154 MB


def read_pickled_images(stream: Stream, label_key: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of one pickle.

    Args:
      stream: The bytes of a dictionary with `'data'`, rows of `3 * size * size` bytes, one colour after another, and
        a list of labels; Python 2 or 3 wrote it.
      label_key: What the labels are called.
      size: Height and width of the images.

    Returns:
      Images uint8 `[n, 3, size, size]` (a view of what was read, read-only), and labels int64 `[n]`.

    Raises:
      ValueError: The pickle is cut off, holds something else, or asks to run something. Nothing was run.
    """
    entry = load(stream, max_containers=1 << 20, max_text=_MOST_BYTES)
    if not isinstance(entry, dict):
        raise stream.error("holds no dictionary of images")
    named: dict[Any, Any] = {key.decode("latin1") if isinstance(key, bytes) else key: v for key, v in entry.items()}
    data, labels = named.get("data"), named.get(label_key)
    pixels = data.value if isinstance(data, Numbers) else None
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3 * size * size:
        raise stream.error(f"has no 'data' of images of {size} x {size} pixels in three colours")
    numbers = labels.value.tolist() if isinstance(labels, Numbers) else labels
    if not (isinstance(numbers, list) and len(numbers) == len(pixels) and set(map(type, numbers)) <= {int}):
        raise stream.error(f"has no list {label_key!r} with a label for each image")
    if numbers and not 0 <= min(numbers) <= max(numbers) < 1 << 20:
        raise stream.error(f"has labels from {min(numbers)} to {max(numbers)}")
    return pixels.reshape(-1, 3, size, size), np.array(numbers, np.int64)


def channels_last(images: np.ndarray) -> np.ndarray:
    """Returns a copy `[n, H, W, C]` of images `[n, C, H, W]`."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
