"""What the Flax modules of all spaces' networks are made of. Importing this module needs flax."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jnas.core._vocabulary import Array


class ConvolutionNorm(nnx.Module):
    """A convolution without bias and its batch-norm."""

    def __init__(self, kernel: Any, size: int, parameters: Any, statistics: Any, norm: Any, stride: int = 1):
        """Takes a kernel `[C', size size C]`, scale and shift `[C']`, and statistics `[2, C']`."""
        self.convolution = convolution_of(kernel, size, stride)
        self.norm = batch_norm_of(parameters.scale, parameters.shift, statistics, norm)

    def __call__(self, images: Array) -> Array:
        """Returns normalized images `[B, H / stride, W / stride, C']` of `[B, H, W, C]`."""
        normalized: Array = self.norm(self.convolution(images))
        return normalized


class ReluConvolutionNorm(ConvolutionNorm):
    """The operations `nor_conv_1x1` and `nor_conv_3x3`: a ReLU before them."""

    def __call__(self, images: Array) -> Array:
        """Returns normalized images `[B, H / stride, W / stride, C']` of `[B, H, W, C]`."""
        return super().__call__(nnx.relu(images))


def convolution_of(rows: Any, size: int, stride: int = 1) -> nnx.Conv:
    """Returns a convolution of a kernel `[C', size size C]`: taps row by row, within a tap the input channels."""
    outputs, inputs = rows.shape[0], rows.shape[1] // size**2
    convolution = nnx.Conv(
        inputs,
        outputs,
        (size, size),
        strides=stride,
        padding=size // 2,
        use_bias=False,
        kernel_init=nnx.initializers.zeros,
        rngs=nnx.Rngs(0),
    )
    set_value(convolution.kernel, rows.reshape(outputs, size, size, inputs).transpose(1, 2, 3, 0))
    return convolution


def rows_of(convolution: nnx.Conv) -> Any:
    """Returns the kernel of a convolution as `[C', taps C]`."""
    kernel = array_of(convolution.kernel)
    return kernel.transpose(3, 0, 1, 2).reshape(kernel.shape[-1], -1)


def set_value(variable: Any, value: Any) -> None:
    """Gives a variable a value."""
    variable.set_value(jnp.asarray(value))


def array_of(variable: Any) -> Any:
    """Returns a NumPy array: reshaping hundreds of arrays on the device would compile a program for each shape."""
    return np.asarray(variable[...])


def batch_norm_of(scale: Any, shift: Any, statistics: Any, norm: Any) -> nnx.BatchNorm:
    """Returns a batch-norm that `norm` makes, of scale and shift `[C]` and statistics `[2, C]`."""
    batch_norm: nnx.BatchNorm = norm(len(scale), rngs=nnx.Rngs(0))
    variables = (batch_norm.scale, batch_norm.bias, batch_norm.mean, batch_norm.var)
    for variable, value in zip(variables, (scale, shift, *statistics), strict=True):
        set_value(variable, value)
    return batch_norm


def affine_of(norm: nnx.BatchNorm) -> tuple[Any, Any]:
    """Returns scale and shift."""
    return array_of(norm.scale), array_of(norm.bias)


def statistics_of(norm: nnx.BatchNorm) -> Any:
    """Returns running mean and variance, `[2, C]`."""
    return np.stack([array_of(norm.mean), array_of(norm.var)])


def normalized_of(module: ConvolutionNorm) -> tuple[tuple[Any, Any, Any], Any]:
    """Returns kernel, scale and shift, and the statistics `[2, C']`."""
    return (rows_of(module.convolution), *affine_of(module.norm)), statistics_of(module.norm)
