"""What the networks of NAS-Bench-201 are made of: cells, and the blocks between stages that halve images."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array
from jnas.spaces.nasbench201._cells import EDGES
from jnas.training.networks._normalized_convolution import NormalizedConvolution
from jnas.training.networks._taps import See, unseen
from jnas.training.networks.nasbench201._edge import EdgeParameters
from jnas.training.operations._convolutions import average_pool_2x2
from jnas.training.operations._layouts import Layout


class Reduction(NamedTuple):
    """A residual block of stride 2."""

    first: NormalizedConvolution
    second: NormalizedConvolution
    shortcut: Array  # float [C', C]


def through_cell(
    edge: Callable[..., tuple[Array, Any]], arch: Array, images: Array, parameters: EdgeParameters, given: Any
) -> tuple[Array, Any]:
    """Returns a cell's last node, and what each of its six edges tells, with a leading axis of edges.

    Args:
      edge: `edge(decision, choice, images, parameters, given) -> (images, told)`.
      arch: int32 `[6]`.
      images: In the layout's order.
      parameters: Of the edges, arrays `[6, ...]`.
      given: What edges are given, a pytree of arrays `[6, ...]`: statistics, or None.
    """
    nodes, told = [images], []
    for target in (1, 2, 3):
        incoming = []
        for number, (source, end) in enumerate(EDGES):
            if end == target:
                own, own_given = jax.tree.map(lambda array, number=number: array[number], (parameters, given))
                out, each = edge(number, arch[number], nodes[source], own, own_given)
                incoming.append(out)
                told.append(each)
        nodes.append(functools.reduce(operator.add, incoming))
    return nodes[-1], jax.tree.map(lambda *each: jnp.stack(each), *told)


def halve(
    images: Array,
    parameters: Reduction,
    statistics: Array | None,
    normalize: Callable[..., tuple[Array, Array]],
    layout: Layout,
    sees: Sequence[See] = (unseen,) * 3,
) -> tuple[Array, Array]:
    """Returns a residual block of stride 2 and the statistics of its two batch-norms.

    Args:
      images: In the layout's order.
      parameters: Of the block.
      statistics: To normalize with, `[2, 2, C']`, or None for the batch's own.
      normalize: Batch-norm.
      layout: The order of the images' axes, and the convolutions.
      sees: What looks at the points of the first convolution, of the second, and of the shortcut.
    """
    (first, second, shortcut), (see, see_second, see_shortcut) = parameters, sees
    given = (None, None) if statistics is None else (statistics[0], statistics[1])

    def normalized(see: See, out: Array, own: NormalizedConvolution, given: Array | None) -> tuple[Array, Array]:
        out, used = normalize(see("convolution", out, own.kernel.shape[1]), own.scale, own.shift, given)
        return see("normalized", out, copies=3), see("moments", used, out.size // out.shape[layout.axis])

    def rectified(see: See, images: Array) -> Array:
        return see("activation", jax.nn.relu(see("rectifier", images)))

    out = layout.convolve_3x3_halving(rectified(see, images), first.kernel)
    out, used_1 = normalized(see, out, first, given[0])
    out = layout.convolve_3x3(rectified(see_second, out), second.kernel)
    out, used_2 = normalized(see_second, out, second, given[1])
    pooled = see_shortcut("operation", average_pool_2x2(images))
    passed = see_shortcut("convolution", layout.convolve_1x1(pooled, shortcut), shortcut.shape[1], 2)
    return out + passed, jnp.stack([used_1, used_2])
