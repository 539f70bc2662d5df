"""Images as a network sees them: normalization, and the random changes of a training step."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below
from jnas.core._vocabulary import Array, Key
from jnas.io._fields import describe_fields


@describe_fields
class Augmentation(NamedTuple):
    """How training images are changed at random; static Python values.

    The order is that of the published recipes: mirror, pad and crop, normalize, cut out.

    Attributes:
      flip: Mirror left and right with probability 1/2, each image by itself.
      pad: Pad with zeros (black) by so many pixels on each side and crop back at a random place.
      cutout: Side of a square set to zero (the mean) after normalization, its centre uniform over the image.
    """

    flip: bool = False
    pad: int = 0
    cutout: int = 0


def check_augmentation(augmentation: Augmentation) -> Augmentation:
    """Returns an augmentation whose values are plain ones, after checking them.

    Raises:
      TypeError: It is not an `Augmentation`, or a value is not a Python bool or int.
      ValueError: A value is negative.
    """
    if not isinstance(augmentation, Augmentation):
        raise TypeError(
            f"augmentation is {type(augmentation).__name__}, expected a jnas.training.Augmentation, "
            "for example Augmentation(flip=True, pad=4)"
        )
    if not isinstance(augmentation.flip, bool | np.bool_):
        raise TypeError(f"flip is {augmentation.flip!r}, expected True or False")
    for name in ("pad", "cutout"):
        value = getattr(augmentation, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name} is {value!r}, expected a whole number of pixels, 0 for none")
        if value < 0:
            raise ValueError(f"{name} is {value}, expected a number of pixels of at least 0")
    return Augmentation(bool(augmentation.flip), int(augmentation.pad), int(augmentation.cutout))


def normalize(images: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Returns `(images - mean) / std` per channel.

    Args:
      images: uint8 `[..., H, W, C]`.
      mean: `C` means, in units of the uint8 values.
      std: `C` standard deviations, in the same units; positive.

    Returns:
      float32 `[..., H, W, C]`.

    Raises:
      ValueError: There is not one mean and one standard deviation for each channel.

    Example:
      >>> images = jnp.array([0, 128, 160], jnp.uint8).reshape(1, 1, 3, 1)
      >>> jnas.training.normalize(images, mean=[128.0], std=[64.0]).ravel().tolist()
      [-2.0, 0.0, 0.5]
    """
    channels = images.shape[-1]
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise ValueError(
                f"{name} has {len(values)} values for images of {channels} channels, expected one for each"
            )
    shape = (1,) * (images.ndim - 1) + (channels,)
    offset, scale = (np.asarray(values, np.float32).reshape(shape) for values in (mean, std))
    return (images.astype(jnp.float32) - offset) / scale


def augment(key: Key, images: Array, augmentation: Augmentation, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Returns normalized images, each changed at random by itself.

    Pure; works under `jit` and `vmap` (over keys, images, or both) with `augmentation`, `mean` and `std` static. All
    random words come from one call of the generator.

    Args:
      key: What the changes are drawn from; not used where `augmentation` asks for none.
      images: uint8 `[B, H, W, C]`.
      augmentation: What changes to make.
      mean: `C` means, in units of the uint8 values.
      std: `C` standard deviations, in the same units.

    Returns:
      float32 `[B, H, W, C]`; what the padding brought in is black, `-mean / std`, and what was cut out is 0.

    References:
      "Improved Regularization of Convolutional Neural Networks with Cutout", DeVries & Taylor, 2017, section 3.
    """
    flip, pad, cutout = augmentation
    if not (flip or pad or cutout):
        return normalize(images, mean, std)
    batch, height, width = images.shape[:3]
    words = jax.random.bits(key, (5, batch), jnp.uint32)
    if flip or pad:
        images = _flip_and_crop(words[:3], images, flip, pad)
    result = normalize(images, mean, std)
    if cutout:
        rows = _within(below(words[3], height), cutout, height)
        columns = _within(below(words[4], width), cutout, width)
        result = jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0.0, result)
    return result


def _flip_and_crop(words: Array, images: Array, flip: bool, pad: int) -> Array:
    """Mirrors, pads and crops by one gather, the fastest form inside a scan on a CPU."""
    batch, height, width = images.shape[:3]
    rows = jnp.arange(height)[None, :]
    columns = jnp.arange(width)[None, :]
    if pad:
        rows = rows + below(words[0], 2 * pad + 1)[:, None] - pad
        columns = columns + below(words[1], 2 * pad + 1)[:, None] - pad
    if flip:  # the columns of the mirrored image, which is what is cropped
        columns = jnp.where((words[2] >> 31 == 1)[:, None], width - 1 - columns, columns)
    numbers = jnp.arange(batch)[:, None, None]
    return images.at[numbers, rows[:, :, None], columns[:, None, :]].get(
        mode="fill", fill_value=0, wrap_negative_indices=False
    )


def _within(centre: Array, side: int, size: int) -> Array:
    """Marks the `side` places around each centre `[B]`, as bool `[B, size]`; for an even side, one more before it."""
    places = jnp.arange(size)[None, :] - (centre[:, None] - side // 2)
    return (places >= 0) & (places < side)
