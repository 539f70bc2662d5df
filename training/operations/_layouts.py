"""In which order a network keeps its images, and the convolutions of each order.

Height and width are axes 1 and 2 in either, so that pooling does not ask.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax

from jnas.core._vocabulary import Array, FormName
from jnas.training.operations import _channels_last, _many_kernels
from jnas.training.operations._convolutions import (
    Convolution,
    convolve_1x1,
    convolve_3x3,
    convolve_3x3_halving,
    fits_cache,
    patches,
)
from jnas.training.operations._forms import branches


class Layout(NamedTuple):
    """An order of axes; kernels are rows for each output channel in either."""

    axis: int  # of channels: 0 in [C, H, W, B], 3 in [B, H, W, C]
    convolve_first: Callable[[Array, Array], Array]  # 3x3, of images that nobody asks a gradient of
    convolve_3x3: Callable[[Array, Array], Array]
    convolve_3x3_halving: Callable[[Array, Array], Array]
    convolve_1x1: Callable[[Array, Array], Array]
    # The same as passes of their own, in plain JAX, for gradients that are written out:
    forward_3x3: Callable[[Array, Array], Array]
    to_images_3x3: Callable[[Array, Array], Array]  # of the kernel and of the result's gradient
    to_kernel_3x3: Callable[[Array, Array], Array]  # of the images and of the result's gradient
    backward_1x1: Callable[[Array, Array, Array], tuple[Array, Array]]

    def enter(self, images: Array) -> Array:
        """Returns images `[B, H, W, C]` in this order."""
        return images if self.axis == 3 else images.transpose(3, 1, 2, 0)

    def classify(self, features: Array, kernel: Array, bias: Array) -> Array:
        """Returns logits `[B, classes]` of features without height and width, by a kernel `[classes, C]`."""
        return (features @ kernel.T if self.axis == 3 else (kernel @ features).T) + bias[None, :]


def _first_by_patches(images: Array, kernel: Array) -> Array:
    return (kernel @ patches(images)).reshape(-1, *images.shape[1:])


CHANNELS_LAST = Layout(
    axis=3,
    convolve_first=_channels_last.convolve_3x3_nhwc,
    convolve_3x3=_channels_last.convolve_3x3_nhwc,
    convolve_3x3_halving=functools.partial(_channels_last.convolve_3x3_nhwc, stride=2),
    convolve_1x1=_channels_last.convolve_1x1_nhwc,
    forward_3x3=_channels_last.convolve,
    to_images_3x3=_channels_last.convolve_to_images,
    to_kernel_3x3=_channels_last.convolve_to_kernel,
    backward_1x1=_channels_last.convolve_1x1_nhwc_backward,
)
"""`[B, H, W, C]`."""

MANY_KERNELS = Layout(
    axis=0,
    convolve_first=_many_kernels.convolution_3x3,
    convolve_3x3=_many_kernels.convolution_3x3,
    convolve_3x3_halving=functools.partial(_many_kernels.convolution_3x3, stride=2),
    convolve_1x1=convolve_1x1,
    forward_3x3=_many_kernels.convolve_3x3_many,
    to_images_3x3=_many_kernels.convolve_3x3_to_images,
    to_kernel_3x3=_many_kernels.convolve_3x3_to_kernel,
    backward_1x1=_many_kernels.convolve_1x1_backward,
)
"""`[C, H, W, B]`, as a supernet has it."""


def twice_differentiable() -> Layout:
    """Returns the order `[C, H, W, B]` with convolutions in plain JAX: gradients of gradients can be taken."""
    return batch_last_layout("patches")._replace(convolve_3x3=_first_by_patches)


def batch_last_layout(convolution: Convolution) -> Layout:
    """Returns the order `[C, H, W, B]`, as one candidate's network has it, with 3x3 convolutions said in some way."""
    return MANY_KERNELS._replace(
        convolve_first=_first_by_patches,
        convolve_3x3=functools.partial(convolve_3x3, convolution=convolution),
        convolve_3x3_halving=convolve_3x3_halving,
    )


def fastest_layout(images: Array, channels: int, form: FormName, otherwise: Layout) -> Layout:
    """Returns channels last where native convolutions are the fastest, else another layout.

    That is on CPUs, for one network at a time (`vmap` would make grouped convolutions of them), and for large images.

    Args:
      images: `[B, H, W, C]`.
      channels: Of the first stage.
      form: Of the network's choices.
      otherwise: What to return elsewhere.
    """
    if jax.default_backend() == "cpu" and branches(form) and are_large(images, channels):
        return CHANNELS_LAST
    return otherwise


def layout_for(images: Array, channels: int, form: FormName, convolution: Convolution) -> Layout:
    """Returns the layout of one candidate's network: `fastest_layout`, unless 3x3 convolutions are said in some way."""
    layout = batch_last_layout(convolution)
    return fastest_layout(images, channels, form, layout) if convolution == "auto" else layout


def are_large(images: Array, channels: int) -> bool:
    """Returns whether images fill a CPU's registers with channels, and its cache with nine shifted copies."""
    return channels >= 8 and not fits_cache(channels, images.size // images.shape[3], images.dtype.itemsize)
