"""A convolution and the batch-norm after it, as networks of several spaces hold them."""

from typing import NamedTuple

from jnas.core._vocabulary import Array


class NormalizedConvolution(NamedTuple):
    """A convolution and its batch-norm."""

    kernel: Array  # float [C', taps C]
    scale: Array  # float [C']
    shift: Array  # float [C']
