"""A module of NAS-Bench-1Shot1: choice blocks of full width, whose inputs and output have weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array
from jnas.training.networks._initial import Uniform, fresh_moments
from jnas.training.networks.nasbench101._mixture_module import rectified
from jnas.training.networks.nasbench101._module import CONV_1X1, CONV_3X3, TAPS, ConvBatchNorm, ModuleSettings
from jnas.training.networks.nasbench101._shared_module import NUM_CONVOLUTIONS, fresh_convolution
from jnas.training.operations._convolutions import convolve_1x1, max_pool_3x3
from jnas.training.operations._many_kernels import Kernels, convolution_3x3, normalize_batch


class OneShotModule(NamedTuple):
    """What a module of `n` blocks can learn; `C` channels come in, a block has `C'`, and `n C'` go out."""

    blocks: Kernels  # [n, C', C'] and [n, C', 9 C']; their batch-norms learn nothing
    inputs: ConvBatchNorm  # kernel [n, C', C]: the projection of the module's input at each block
    output: ConvBatchNorm  # kernel [n C', C]: that of the edge from the input to the output
    last: Array | None  # [C', n C'], of the last module alone: what follows it, with a batch-norm that learns nothing


class OneShotStatistics(NamedTuple):
    """Means and variances of a module's batch-norms."""

    blocks: Array  # float [n, 2, 2, C']: of the 3x3 and of the 1x1 convolution
    inputs: Array  # float [n, 2, C']
    output: Array  # float [2, n C']
    last: Array | None  # float [2, C']


class Weighed(NamedTuple):
    """What a module of `n` blocks computes; vertex 0 is its input."""

    into: tuple[Array, ...]  # of each block, the output last: float [v] of its `v` predecessors
    operations: Array | None  # float [n, 3]; None: 1 for what is chosen
    chosen: Array | None = None  # int32 [n], an operation of each block, or 3 for none; None: all are mixed


def one_shot_module(
    settings: ModuleSettings,
    what: Weighed,
    images: Array,
    own: OneShotModule,
    given: OneShotStatistics | None,
) -> tuple[Array, OneShotStatistics]:
    """Returns a module's output `[n C', H, W, B]` (of the last one `[C', H, W, B]`), and the statistics used.

    A block's input is the sum of its predecessors by their weights, the module's input projected for it among them.
    Blocks are concatenated, each times its weight at the output, and the module's input is added, projected, by its
    own. Where operations are chosen, a block computes that one alone, times its weight, plus the weights of the others:
    numbers, as GDAS was published with.

    Args:
      settings: Of the network.
      what: Weights and choices.
      images: `[C, H, W, B]`.
      own: Of all cells.
      given: To normalize with, or `None` for the batch's own.
    """
    known = OneShotStatistics(*(None,) * 4) if given is None else given  # type: ignore[arg-type]
    count, width = own.inputs.scale.shape
    kernel, scale, shift = (each.reshape(count * width, *each.shape[2:]) for each in own.inputs)
    flat = None if given is None else known.inputs.transpose(1, 0, 2).reshape(2, -1)
    entered, of_inputs = rectified(settings, convolve_1x1(images, kernel), scale, shift, flat)
    projected = entered.reshape(count, width, *images.shape[1:])
    nodes: list[Array] = []
    used: list[Array] = []
    for block in range(count):
        weights = what.into[block]
        total = weights[0] * projected[block]
        for weight, node in zip(weights[1:], nodes, strict=True):
            total = total + weight * node
        kernels = Kernels(own.blocks.one[block], own.blocks.three[block])
        node, moments = _block(settings, what, block, total, kernels, None if given is None else known.blocks[block])
        nodes.append(node)
        used.append(moments)
    raw = convolve_1x1(images, own.output.kernel)
    added, of_output = rectified(settings, raw, own.output.scale, own.output.shift, known.output)
    weights = what.into[-1]
    out = jnp.concatenate([weight * node for weight, node in zip(weights[1:], nodes, strict=True)]) + weights[0] * added
    of_last = None
    if own.last is not None:
        out, of_last = normalize_batch(convolve_1x1(jax.nn.relu(out), own.last), known.last, settings.epsilon)
    of_inputs = of_inputs.reshape(2, count, width).transpose(1, 0, 2)
    return out, OneShotStatistics(jnp.stack(used), of_inputs, of_output, of_last)


def _block(
    settings: ModuleSettings, what: Weighed, block: int, images: Array, own: Kernels, given: Array | None
) -> tuple[Array, Array]:
    """Returns a block's output, and the statistics used `[2, 2, C']`, zeros where there was no convolution."""
    nothing = jnp.zeros((2, images.shape[0]), images.dtype)

    def convolved(row: int, raw: Array) -> tuple[Array, Array]:
        out, used = normalize_batch(raw, None if given is None else given[row], settings.epsilon)
        return jax.nn.relu(out), used

    def three(images: Array) -> tuple[Array, Array]:
        out, used = convolved(CONV_3X3, convolution_3x3(images, own.three))
        return out, jnp.stack([used, nothing])

    def one(images: Array) -> tuple[Array, Array]:
        out, used = convolved(CONV_1X1, convolve_1x1(images, own.one))
        return out, jnp.stack([nothing, used])

    def pooled(images: Array) -> tuple[Array, Array]:
        return max_pool_3x3(images), jnp.stack([nothing, nothing])

    def none(images: Array) -> tuple[Array, Array]:
        return jnp.zeros_like(images), jnp.stack([nothing, nothing])

    operations = [three, one, pooled]  # in the order of the space
    if what.chosen is None:
        assert what.operations is not None
        each = [operation(images) for operation in operations]
        result = sum(weight * out for weight, (out, _) in zip(what.operations[block], each, strict=True))
        return jnp.asarray(result), each[0][1] + each[1][1]
    chosen = what.chosen[block]
    out, used = lax.switch(chosen, [*operations, none], images)
    if what.operations is None:
        return out, used
    weights = what.operations[block]
    own_weight = weights[chosen]
    others = jnp.sum(jnp.where(np.arange(len(operations)) == chosen, 0, weights))
    return own_weight * out + others, used


def one_shot_starts(blocks: int, inputs: int, width: int, last: bool) -> Any:
    """Returns how the parameters of a module start, as `initial_arrays` takes it."""
    kernels: tuple[Any, ...] = (
        Uniform((blocks, width, width), width),
        Uniform((blocks, width, TAPS * width), TAPS * width),
    )
    after: Any = Uniform((width, blocks * width), blocks * width) if last else None
    projections = fresh_convolution(blocks, width, inputs), fresh_convolution(blocks * width, inputs)
    return OneShotModule(Kernels(*kernels), *projections, after)


def one_shot_fresh(blocks: int, width: int, last: bool) -> OneShotStatistics:
    """Returns means of 0 and variances of 1."""
    return OneShotStatistics(
        fresh_moments(blocks, NUM_CONVOLUTIONS, width),
        fresh_moments(blocks, width),
        fresh_moments(blocks * width),
        fresh_moments(width) if last else None,
    )
