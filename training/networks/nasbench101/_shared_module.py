"""A module of NAS-Bench-101 whose weights all cells share, and what one cell reads of them.

Every vertex has both convolutions at the full width of the module's output. A cell's vertex of `c` channels reads `c`
input and `c` output channels of a kernel, so that its module is that of a network trained alone. The published form
computes all output channels, takes batch-norm and ReLU of them and cuts then: the same numbers, as each channel has a
batch-norm of its own, for several times the work.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces._hashing import hash_digits, mix
from jnas.spaces.nasbench101._cells import NUM_EDGES
from jnas.spaces.nasbench101._cost import Wiring, wiring
from jnas.training.networks._initial import Constant, Uniform, fresh_moments
from jnas.training.networks.nasbench101._module import (
    CONV_3X3,
    MAX_POOL,
    MIDDLE,
    TAPS,
    ConvBatchNorm,
    ModuleParameters,
    ModuleStatistics,
)

SliceName = Literal["front", "random"]
"""Which channels a narrow vertex reads; see `nasbench101_supernet`."""

NormName = Literal["shared", "by_predecessors"]
"""Which cells share a vertex's batch-norm; see `nasbench101_supernet`."""

NUM_CONVOLUTIONS = 2  # in the order of the space's operations: 3x3, 1x1


class SharedVertices(NamedTuple):
    """What `n` vertices can learn; `P` batch-norms each, of which a cell uses one."""

    one: Array  # float [n, C', C'], a row for each output channel
    three: Array  # float [n, C', 9, C']
    scale: Array  # float [n, 2, P, C']: of the 3x3 and of the 1x1 convolution
    shift: Array  # the same


class SharedModule(NamedTuple):
    """What a module can learn; `C` channels come in and `C'` go out."""

    vertices: SharedVertices
    inputs: ConvBatchNorm  # kernel [n, C', C]: the projection of the module's input at each vertex
    output: ConvBatchNorm  # kernel [C', C]: that of the edge from the input to the output


class SharedStatistics(NamedTuple):
    """Means and variances of a module's batch-norms."""

    vertices: Array  # float [n, 2, P, 2, C']
    inputs: Array  # float [n, 2, C']
    output: Array  # float [2, C']


class ModuleReading(NamedTuple):
    """What an architecture reads of a module of `n` vertices."""

    graph: Wiring
    convolution: Array  # int32 [n]: row of its batch-norms; that of the 1x1 convolution where it pools
    norm: Array  # int32 [n]: which of the `P` batch-norms
    own: Array  # bool [n, C']: the channels that it has, counted from the front
    convolves: Array  # bool [n]: a used vertex with a convolution
    projects: Array  # bool [n]
    adds_input: Array  # bool []
    starts: Array | None  # int32 [3, n], where outputs, inputs and the projection's outputs begin; None: at 0


def num_norms(vertices: int, norm: NormName) -> int:
    """Returns `P`: one batch-norm, or one for each set of predecessors that one of so many vertices can have."""
    return 2**vertices if norm == "by_predecessors" else 1


def readings(
    arch: Array, vertices: int, widths: Sequence[int], norms: int, slices: SliceName
) -> dict[int, ModuleReading]:
    """Returns what an architecture int32 `[26]` reads of modules with `vertices` vertices, by their channels."""
    own = tuple(dict.fromkeys(widths))
    # All at once: graphs take many small operations, which take long to compile.
    graphs = wiring(jnp.broadcast_to(arch[:, None], (arch.shape[0], len(own))), np.asarray(own, np.int32))
    each = (jax.tree.map(lambda x, i=i: x[..., i], graphs) for i in range(len(own)))
    return {
        width: _reading(arch, graph, vertices, width, norms, slices) for width, graph in zip(own, each, strict=True)
    }


def _reading(arch: Array, graph: Wiring, vertices: int, outputs: int, norms: int, slices: SliceName) -> ModuleReading:
    rows = slice(1, 1 + vertices)
    operation, used, channels = arch[NUM_EDGES : NUM_EDGES + vertices], graph.used[rows], graph.channels[rows]
    # The input is the lowest bit, vertex u the bit u: vertex v has predecessors below itself alone.
    sets = jnp.sum(graph.matrix[:vertices, rows] * 2 ** np.arange(vertices)[:, None], axis=0, dtype=jnp.int32)
    return ModuleReading(
        graph=graph,
        convolution=jnp.minimum(operation, NUM_CONVOLUTIONS - 1),
        norm=sets if norms > 1 else jnp.zeros_like(sets),
        own=jnp.asarray(np.arange(outputs)[None, :] < channels[:, None]),
        convolves=used & (operation != MAX_POOL),
        projects=graph.matrix[0, rows],
        adds_input=graph.matrix[0, -1],
        starts=_starts(arch, channels, outputs) if slices == "random" else None,
    )


def _starts(arch: Array, channels: Array, outputs: int) -> Array:
    """Returns where blocks of channels begin, int32 `[3, n]`: of all places where they fit, one that the cell decides.

    The same whenever the cell comes, so that what was trained is what is judged; the published form draws anew in every
    forward pass, when it judges too.
    """
    numbers = np.arange(3 * channels.shape[0], dtype=np.uint32).reshape(3, -1)
    words = mix(hash_digits(arch)[0] + numbers * np.uint32(0x9E3779B9))
    return (words % (outputs - channels + 1).astype(jnp.uint32)[None]).astype(jnp.int32)


def cut_parameters(shared: SharedModule, what: ModuleReading) -> ModuleParameters:
    """Returns the parameters of the cell's own module, its channels at the front, scales and shifts zero beyond."""
    vertices, rows = shared.vertices, np.arange(len(what.norm))
    # As a module of any cell has it: a 1x1 convolution is the middle tap of a 3x3 one.
    middle = (np.arange(TAPS) == MIDDLE)[None, None, :, None]
    kernel = jnp.where(
        (what.convolution == CONV_3X3)[:, None, None, None],
        vertices.three,
        jnp.where(middle, vertices.one[:, :, None], 0),
    )
    scale, shift = (each[rows, what.convolution, what.norm] for each in (vertices.scale, vertices.shift))
    inputs = shared.inputs
    if what.starts is not None:
        outs, ins, projected = (_turned(start, kernel.shape[1]) for start in what.starts)
        kernel = kernel[rows[:, None, None], outs[:, :, None], :, ins[:, None, :]].transpose(0, 1, 3, 2)
        scale, shift = (jnp.take_along_axis(each, outs, 1) for each in (scale, shift))
        inputs = ConvBatchNorm(
            jnp.take_along_axis(inputs.kernel, projected[:, :, None], 1),
            *(jnp.take_along_axis(each, projected, 1) for each in inputs[1:]),
        )
    return ModuleParameters(
        ConvBatchNorm(kernel, jnp.where(what.own, scale, 0), jnp.where(what.own, shift, 0)),
        ConvBatchNorm(inputs.kernel, *(jnp.where(what.own, each, 0) for each in inputs[1:])),
        shared.output,
    )


def _turned(starts: Array, size: int) -> Array:
    """Returns for each vertex all channels, int32 `[n, C']`, the one at its start first."""
    return (jnp.arange(size)[None, :] + starts[:, None]) % size


def cut_statistics(shared: SharedStatistics, what: ModuleReading) -> ModuleStatistics:
    """Returns the statistics of the cell's own module, its channels at the front."""
    vertices = shared.vertices[np.arange(len(what.norm)), what.convolution, what.norm]
    inputs = shared.inputs
    if what.starts is not None:
        outs, _, projected = (_turned(start, inputs.shape[-1]) for start in what.starts)
        vertices = jnp.take_along_axis(vertices, outs[:, None], 2)
        inputs = jnp.take_along_axis(inputs, projected[:, None], 2)
    return ModuleStatistics(vertices, inputs, shared.output)


def spread_statistics(used: ModuleStatistics, what: ModuleReading, norms: int) -> SharedStatistics:
    """Returns statistics of a cell's own module at their places among all, and zeros elsewhere."""
    own = what.own[:, None]
    # In float numbers and not by a mask: what a pooling or missing vertex tells is zero already.
    vertices, inputs = jnp.where(own, used.vertices, 0), jnp.where(own, used.inputs, 0)
    if what.starts is not None:
        outs, _, projected = (_turned(-start, inputs.shape[-1]) for start in what.starts)
        vertices = jnp.take_along_axis(vertices, outs[:, None], 2)
        inputs = jnp.take_along_axis(inputs, projected[:, None], 2)
    place = _place(what, norms)[..., None, None]
    return SharedStatistics(jnp.where(place, vertices[:, None, None], 0), inputs, used.output)


def ran(what: ModuleReading, norms: int) -> SharedStatistics:
    """Returns which statistics an architecture uses, bool arrays that broadcast to theirs."""
    outs = projected = what.own
    if what.starts is not None:
        turned = [_turned(-start, what.own.shape[1]) for start in what.starts]
        outs, projected = (jnp.take_along_axis(what.own, turned[role], 1) for role in (0, 2))
    vertices = (_place(what, norms) & what.convolves[:, None, None])[..., None, None] & outs[:, None, None, None]
    return SharedStatistics(vertices, (projected & what.projects[:, None])[:, None], what.adds_input)


def _place(what: ModuleReading, norms: int) -> Array:
    """Returns bool `[n, 2, P]`, the row of a vertex's convolution and of its batch-norm."""
    convolution = what.convolution[:, None] == np.arange(NUM_CONVOLUTIONS)[None]
    norm = what.norm[:, None] == np.arange(norms)[None]
    place: Array = convolution[:, :, None] & norm[:, None]
    return place


def shared_starts(vertices: int, inputs: int, outputs: int, norms: int) -> Any:
    """Returns how the parameters of a module start, as `initial_arrays` takes it."""
    norm = (vertices, NUM_CONVOLUTIONS, norms, outputs)
    kernels = (
        Uniform((vertices, outputs, outputs), outputs),
        Uniform((vertices, outputs, TAPS, outputs), TAPS * outputs),
    )
    starts: tuple[Any, ...] = (*kernels, Constant(norm, 1.0), Constant(norm, 0.0))
    return SharedModule(
        SharedVertices(*starts),
        fresh_convolution(vertices, outputs, inputs),
        fresh_convolution(outputs, inputs),
    )


def fresh_convolution(*shape: int) -> Any:
    """Returns how a kernel `[..., C', C]` and its batch-norm start."""
    starts: tuple[Any, ...] = (Uniform(shape, shape[-1]), Constant(shape[:-1], 1.0), Constant(shape[:-1], 0.0))
    return ConvBatchNorm(*starts)


def fresh_statistics(vertices: int, outputs: int, norms: int) -> SharedStatistics:
    """Returns means of 0 and variances of 1."""
    return SharedStatistics(
        fresh_moments(vertices, NUM_CONVOLUTIONS, norms, outputs),
        fresh_moments(vertices, outputs),
        fresh_moments(outputs),
    )
