"""Parameters and multiply-adds of the networks of NAS-Bench-201, from their structure."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench201._cells import EDGES, OPERATIONS

_CONVOLUTIONS = (OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3"))


def nasbench201_parameters(
    arch: Array, *, channels: int = 16, cells: int = 5, classes: int = 10, image_channels: int = 3
) -> Array:
    """Returns the number of trainable parameters of a cell's network, float32 `[]`, in millions.

    The network: a 3x3 convolution with batch-norm; three stages of `cells` cells with `channels`, twice and four times
    as many channels; between stages a residual block of stride 2 (two 3x3 convolutions with batch-norm, and a 1x1
    convolution without on the shortcut); batch-norm; a linear layer with bias. Convolutions have no bias, batch-norm
    has a scale and a shift. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[6]`.
      channels: Channels of the first stage.
      cells: Cells in each stage.
      classes: Outputs of the linear layer.
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020, Figure 1.

    Example:
      >>> archs = jnp.array([[1, 1, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3]])  # skip connections, 3x3 convolutions
      >>> [round(float(jnas.spaces.nasbench201_parameters(arch)), 3) for arch in archs]
      [0.073, 1.532]
    """
    _check_sizes(channels=channels, cells=cells, classes=classes, image_channels=image_channels)
    return _by_convolutions(arch, _parameters(channels, cells, classes, image_channels))


def nasbench201_flops(
    arch: Array,
    *,
    channels: int = 16,
    cells: int = 5,
    classes: int = 10,
    image_size: int | tuple[int, int] = 32,
    image_channels: int = 3,
) -> Array:
    """Returns the cost of one image in a cell's network, float32 `[]`, in millions of multiply-adds.

    Counted as the benchmark does: convolutions and the linear layer with its bias; batch-norm, pooling and sums are
    free. The network is that of `nasbench201_parameters`. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[6]`.
      channels: Channels of the first stage.
      cells: Cells in each stage.
      classes: Outputs of the linear layer.
      image_size: Height and width of the image, or the two of them; multiples of 4 (CIFAR 32, ImageNet16-120 16).
      image_channels: Channels of the image.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, or the image's is not a multiple of 4.

    Example:
      >>> archs = jnp.array([[1, 1, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3]])  # skip connections, 3x3 convolutions
      >>> [round(float(jnas.spaces.nasbench201_flops(arch)), 1) for arch in archs]
      [7.8, 220.1]
    """
    _check_sizes(channels=channels, cells=cells, classes=classes, image_channels=image_channels)
    height, width = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    for size in (height, width):
        _check_sizes(image_size=size)
        if size % 4:
            raise ValueError(f"image_size is {size}, expected a multiple of 4: two blocks halve the image")
    return _by_convolutions(arch, _flops(channels, cells, classes, height * width, image_channels))


def _by_convolutions(arch: Array, table: np.ndarray) -> Array:
    """Looks a cell's cost up by its number of convolutions: exact, where a sum in float32 would round."""
    ones, threes = (jnp.sum(arch == operation, dtype=jnp.int32) for operation in _CONVOLUTIONS)
    return jnp.asarray(table)[ones, threes]


@functools.cache
def _parameters(channels: int, cells: int, classes: int, image_channels: int) -> np.ndarray:
    """Returns float32 `[7, 7]` by the numbers of 1x1 and of 3x3 convolutions."""
    widths = [channels, 2 * channels, 4 * channels]
    fixed = 9 * image_channels * channels + 2 * channels
    for narrow, wide in itertools.pairwise(widths):
        fixed += 9 * narrow * wide + 2 * wide + 9 * wide * wide + 2 * wide + narrow * wide
    fixed += 2 * widths[-1] + widths[-1] * classes + classes
    per_1x1 = cells * sum(width * width + 2 * width for width in widths)
    per_3x3 = cells * sum(9 * width * width + 2 * width for width in widths)
    return _table(fixed, per_1x1, per_3x3)


@functools.cache
def _flops(channels: int, cells: int, classes: int, area: int, image_channels: int) -> np.ndarray:
    """Returns float32 `[7, 7]` by the numbers of 1x1 and of 3x3 convolutions."""
    widths = [channels, 2 * channels, 4 * channels]
    areas = [area, area // 4, area // 16]
    fixed = 9 * image_channels * channels * area
    for narrow, wide, pixels in zip(widths[:-1], widths[1:], areas[1:], strict=True):
        fixed += (9 * narrow * wide + 9 * wide * wide + narrow * wide) * pixels
    fixed += widths[-1] * classes + classes
    per_1x1 = cells * sum(width * width * pixels for width, pixels in zip(widths, areas, strict=True))
    return _table(fixed, per_1x1, 9 * per_1x1)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} is {size!r}, expected a Python int")
        if size < 1:
            raise ValueError(f"{name} is {size}, expected at least 1")


def _table(fixed: int, per_1x1: int, per_3x3: int) -> np.ndarray:
    counts = np.arange(len(EDGES) + 1)
    units = fixed + per_1x1 * counts[:, None] + per_3x3 * counts[None, :]
    return (units / 1e6).astype(np.float32)
