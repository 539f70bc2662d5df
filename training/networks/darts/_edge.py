"""The operations on an edge of a DARTS cell, with the parameters that any of them needs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.darts._cells import ALL_OPERATIONS, OPERATIONS
from jnas.training.networks._taps import See, unseen, unseen_place
from jnas.training.operations._convolutions import max_pool_3x3
from jnas.training.operations._depthwise import rectified_depthwise
from jnas.training.operations._normalized import learned_norm, pointwise
from jnas.training.operations._pooling import average_pool

MAX_POOL, AVG_POOL, SKIP, SEP_3, SEP_5, DIL_3, DIL_5 = range(len(OPERATIONS))
NONE = ALL_OPERATIONS.index("none")
NOISE = ALL_OPERATIONS.index("noise")

KERNEL_SIZES = {SEP_3: 3, SEP_5: 5, DIL_3: 3, DIL_5: 5}
TAPS = 5  # the side of the kernels that all of them fit
ROUNDS = 2  # of depthwise convolution, 1x1 convolution and batch-norm: two in a separable convolution


class DartsEdgeParameters(NamedTuple):
    """What an edge can learn, whichever operation it has."""

    depthwise: Array  # float [2, C, 5, 5]; a 3x3 kernel has its numbers in the middle
    pointwise: (
        Array  # float [2, C, C], a row for each output channel; the first is that of a skip that halves, too: the
    )
    # first half of its rows reads pixels of even row and column, the second the others
    scale: Array  # float [2, C]
    shift: Array  # float [2, C]


Operation = Callable[[Array, DartsEdgeParameters, Array | None], tuple[Array, Array]]
"""`operation(images, parameters, statistics) -> (images, statistics used [2, 2, C])`; zeros for a batch-norm that it
has not. Statistics are given for each of the two batch-norms, or `None` for the batch's own."""


def operations_of_edge(stride: int, epsilon: float, at: Callable[[str], See] = unseen_place) -> list[Operation]:
    """Returns the operations in the order of the space, `none` last; images are `[C, H, W, B]`.

    Args:
      stride: 1; or 2, for images of half the size.
      epsilon: Of batch-norm.
      at: Shows the points of a place; by default nobody looks.
    """

    def normalized(
        number: int,
        images: Array,
        parameters: DartsEdgeParameters,
        statistics: Array | None,
        copies: int,
    ) -> tuple[Array, Array]:
        given, see = None if statistics is None else statistics[number], at(f"{number} norm")
        out, used = learned_norm(images, parameters.scale[number], parameters.shift[number], given, epsilon)
        see("moments", used, images.size // len(images))
        return see("normalized", out, copies=copies), used

    def without_parameters(function: Callable[[Array], Array]) -> Operation:
        def operation(images: Array, parameters: DartsEdgeParameters, statistics: Array | None) -> tuple[Array, Array]:
            return at("2 operation")("operation", function(images)), _nothing(parameters)

        return operation

    def convolution(choice: int) -> Operation:
        size, rounds = KERNEL_SIZES[choice], 2 if choice in (SEP_3, SEP_5) else 1
        dilation, border = 3 - rounds, (TAPS - size) // 2
        taps = slice(border, border + size)

        def operation(images: Array, parameters: DartsEdgeParameters, statistics: Array | None) -> tuple[Array, Array]:
            used = [*_nothing(parameters)]
            for number in range(rounds):
                kernel = parameters.depthwise[number, :, taps, taps]
                images = seen_rectified(at(f"{number} input"), images)
                images = rectified_depthwise(images, kernel, dilation, 1 if number else stride)
                images = at(f"{number} depthwise")("convolution", images, size**2)
                images = pointwise(images, parameters.pointwise[number])
                images = at(f"{number} pointwise")("convolution", images, images.shape[0])
                images, used[number] = normalized(
                    number, images, parameters, statistics, 3 if number == rounds - 1 else 1
                )
            return images, jnp.stack(used)

        return operation

    def halved(images: Array, parameters: DartsEdgeParameters, statistics: Array | None) -> tuple[Array, Array]:
        rectified = jax.nn.relu(seen_rectified(at("0 input"), images))
        images = factorized_reduction(rectified, parameters.pointwise[0], *seen_halves(at, "0"))
        images, used = normalized(0, images, parameters, statistics, 2)
        return images, jnp.stack([used, jnp.zeros_like(used)])

    def nothing(images: Array, parameters: DartsEdgeParameters, statistics: Array | None) -> tuple[Array, Array]:
        return jnp.zeros_like(images[:, ::stride, ::stride]), _nothing(parameters)

    return [
        without_parameters(lambda images: max_pool_3x3(images, stride)),
        without_parameters(lambda images: average_pool(images, stride)),
        without_parameters(lambda images: images) if stride == 1 else halved,
        *map(convolution, KERNEL_SIZES),
        nothing,
    ]


def seen_rectified(see: See, images: Array) -> Array:
    """Returns images before a ReLU, which a tap has seen together with what comes out; then they are that."""
    return images if see is unseen else see("activation", jax.nn.relu(see("rectifier", images)))


def seen_halves(at: Callable[[str], See], name: str) -> tuple[Callable[[Array, Array], Array], ...]:
    """Returns the two 1x1 convolutions of a factorized reduction, which a tap sees at two places."""

    def product(part: str) -> Callable[[Array, Array], Array]:
        return lambda images, kernel: at(f"{name} {part}")("convolution", pointwise(images, kernel), kernel.shape[1])

    return product("even"), product("odd")


def factorized_reduction(
    images: Array,
    kernel: Array,
    product: Callable[[Array, Array], Array] = pointwise,
    second: Callable[[Array, Array], Array] | None = None,
) -> Array:
    """Returns `[C', H / 2, W / 2, B]`: half of the channels from every other pixel, half from those one further down.

    Args:
      images: `[C, H, W, B]`, of even height and width.
      kernel: `[C', C]`; the first half of the rows, rounded down, is that of the pixels in even rows and columns.
      product: The 1x1 convolution.
      second: That of the other half of the pixels; by default the same.
    """
    half = kernel.shape[0] // 2
    even, odd = images[:, ::2, ::2], images[:, 1::2, 1::2]
    return jnp.concatenate([product(even, kernel[:half]), (second or product)(odd, kernel[half:])])


def has_parameters(choice: Array, stride: Any, channels: int) -> DartsEdgeParameters:
    """Returns which numbers of an edge its operation has, bool arrays of their shapes.

    Args:
      choice: int32 `[]`.
      stride: 1 or 2; may be traced.
      channels: Of the edge.
    """
    choice = jnp.asarray(choice)
    separable = (choice == SEP_3) | (choice == SEP_5)
    dilated = (choice == DIL_3) | (choice == DIL_5)
    rounds = jnp.stack([separable | dilated, separable])  # [2]
    inner = np.pad(np.ones((3, 3), bool), 1)
    taps = inner | (choice == SEP_5) | (choice == DIL_5)
    halved = (choice == SKIP) & (jnp.asarray(stride) == 2)
    norms = jnp.broadcast_to((rounds | (halved & jnp.asarray([True, False])))[:, None], (ROUNDS, channels))
    return DartsEdgeParameters(
        depthwise=jnp.broadcast_to((rounds[:, None, None] & taps[None])[:, None], (ROUNDS, channels, TAPS, TAPS)),
        pointwise=jnp.broadcast_to(norms[:, :, None], (ROUNDS, channels, channels)),
        scale=norms,
        shift=norms,
    )


def _nothing(parameters: DartsEdgeParameters) -> Array:
    return jnp.zeros((ROUNDS, 2, parameters.scale.shape[-1]), parameters.scale.dtype)
