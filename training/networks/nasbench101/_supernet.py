"""The supernet of NAS-Bench-101: the benchmark's networks, with weights that all of its cells share."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key, Supernet, decisions_of
from jnas.io._text import not_one_of
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES
from jnas.spaces.nasbench101._cost import NUM_STACKS, check_image_size, check_image_sizes, nasbench101_parameters
from jnas.spaces.nasbench101._space import nasbench101
from jnas.training.networks._initial import Constant, Uniform, fresh_moments, initial_arrays, moved_moments
from jnas.training.networks.nasbench101._discretize import likeliest_cell
from jnas.training.networks.nasbench101._masked import masked_module
from jnas.training.networks.nasbench101._mixture_module import edge_weights, mixture_channels, mixture_module
from jnas.training.networks.nasbench101._module import TAPS, ConvBatchNorm, ModuleSettings
from jnas.training.networks.nasbench101._network import (
    Nasbench101Head,
    NasBench101Statistics,
    apply_by_modules,
    by_in_degree,
)
from jnas.training.networks.nasbench101._preferences import released_preferences
from jnas.training.networks.nasbench101._shared_module import (
    ModuleReading,
    NormName,
    SharedModule,
    SharedStatistics,
    SliceName,
    cut_parameters,
    cut_statistics,
    fresh_convolution,
    fresh_statistics,
    num_norms,
    ran,
    readings,
    shared_starts,
    spread_statistics,
)
from jnas.training.operations._convolutions import Convolution, check_convolution
from jnas.training.operations._layouts import batch_last_layout, layout_for


class NasBench101Shared(NamedTuple):
    """What the supernet learns."""

    stem: ConvBatchNorm
    modules: tuple[SharedModule, ...]  # of all stacks, one after another
    head: Nasbench101Head


class _Sizes(NamedTuple):
    """What the parameters' shapes follow from."""

    vertices: int  # between input and output
    norms: int  # batch-norms of a vertex's convolution
    widths: tuple[int, ...]  # of the stem, and of each module's output
    stacks: tuple[int, ...]  # of each module
    modules: int  # in a stack
    rematerialize: bool


def nasbench101_supernet(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 16,
    cells: int = 3,
    max_vertices: int = MAX_VERTICES,
    slices: SliceName = "front",
    norm: NormName = "shared",
    epsilon: float = 1e-5,
    convolution: Convolution = "auto",
    rematerialize: bool = False,
) -> Supernet:
    """Returns the supernet of NAS-Bench-101's cells of up to `max_vertices` vertices.

    Stem, stacks, pooling and head are those of `nasbench101_network`. In a module each vertex has a 1x1 and a 3x3
    convolution at the full width of the module's output and a projection of the module's input; a max pooling needs
    no weights; an edge from the input to the output has a projection of its own. A cell's vertex `i` reads vertex `i`'s
    weights: the kernel's slice for as many input and output channels as the vertex has in the cell, with batch-norm
    (scale and shift learned) and ReLU. What comes from a wider vertex is cut to its first channels.

    With weights cut out in this way, a cell computes what `nasbench101_network` computes for the same encoding: every
    cell, and its gradients, where batch-norms take each batch's statistics or are estimated anew for the cell. Running
    estimates are those of all cells that used a batch-norm, and hold for none of them. Isomorphic encodings of a cell
    read different weights: spaces draw the one that is listed.

    The architecture is data: one program trains any cell and computes nothing of another. It branches by the number of
    vertices before the output, which says how wide vertices are at most, and at each vertex by its operation. Under
    `vmap` a branch would do the work of all, so seeds and cells are looped over (`Supernet.form` is `'switch'`).

    Not as released: stacks have `channels`, twice and four times as many channels, as in the benchmark (the released
    network doubles them before the first stack too), and pooling has no border.

    Args:
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the stem and the first stack, at least 4. Published searches have 16, and 128.
      cells: Modules in each stack.
      max_vertices: The most vertices of a cell, 3 to 7, input and output among them.
      slices: `'front'`: a vertex of `c` channels reads the first `c`, as published. `'random'`: a block of `c` of
        them, another one for each cell, vertex and side of the kernel; the same whenever the cell comes.
      norm: `'shared'`: one batch-norm for each convolution. `'by_predecessors'`: one for each set of predecessors that
        a vertex can have, of which the cell uses its own (a published variant): what is learned and estimated for one
        set is not used with another.
      epsilon: Of batch-norm.
      convolution: How 3x3 convolutions are said; see `jnas.training.operations._convolutions`.
      rematerialize: Whether gradients compute each module again, of which then the input alone is kept.

    Returns:
      A supernet whose architectures are int32 `[26]`. Its mixture has a weight for each edge, of which the second
      column counts, and for each operation; see `mixture_module` (and `released_preferences` for DARTS and FBNet as
      released). At one-hot weights it is the sampled cell where all
      `max_vertices - 2` vertices go to the output; of other cells, vertices are wider in the cell than in the mixture,
      and a vertex without predecessors gives a constant. There is no straight-through pass, since
      how wide a vertex is depends on edges. Preferences become a cell by `likeliest_cell`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range, the image's is not a multiple of 4, or a name is unknown.

    References:
      "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020, Section 4 and the appendix on
        weight sharing in NAS-Bench-101.
    """
    height, width, image_channels = image_shape
    check_image_sizes(channels=channels, cells=cells, classes=num_classes, image_channels=image_channels)
    check_image_size(height, width)
    check_convolution(convolution)
    for argument, value, known in (("slices", slices, get_args(SliceName)), ("norm", norm, get_args(NormName))):
        if value not in known:
            raise ValueError(not_one_of(argument, value, known))
    space = nasbench101(sampling="uniform", max_vertices=max_vertices)
    stacks = tuple(stack for stack in range(NUM_STACKS) for _ in range(cells))
    sizes = _Sizes(
        vertices=max_vertices - 2,
        norms=num_norms(max_vertices - 2, norm),
        widths=(channels, *(channels * 2**stack for stack in stacks)),
        stacks=stacks,
        modules=cells,
        rematerialize=rematerialize,
    )

    def init(key: Key) -> tuple[NasBench101Shared, NasBench101Statistics]:
        return initial_arrays(key, _starts(sizes, image_channels, num_classes)), _fresh(sizes)

    def how(images: Array) -> ModuleSettings:
        return ModuleSettings(epsilon, layout_for(images, channels, "switch", convolution))

    def specialize(arch: Array, function: Callable[..., Any]) -> Callable[..., Any]:
        read = _readings(sizes, slices, arch)  # before the branches, each of which would have it compiled

        def program(in_degree: int) -> Callable[..., Any]:
            return functools.partial(function, functools.partial(_sampled, sizes, how, in_degree, read))

        return by_in_degree(arch, channels, program, sizes.vertices)

    def sampled(parameters: Any, statistics: Any, arch: Array, images: Array) -> tuple[Array, Any]:
        def applied(apply: Callable[..., Any], *arguments: Any) -> Any:
            return apply(*arguments)

        result: tuple[Array, Any] = specialize(arch, applied)(parameters, statistics, arch, images)
        return result

    def mixture(parameters: Any, statistics: Any, weights: Array, images: Array) -> tuple[Array, Any]:
        mixed = edge_weights(weights, sizes.vertices)
        settings = ModuleSettings(epsilon, batch_last_layout(convolution))
        module = functools.partial(mixture_module, settings)
        return _apply(module, sizes, settings, parameters, statistics, mixed, images)

    supernet = Supernet(
        init=init,
        mixture=mixture,
        sampled=sampled,
        straight_through=None,
        running=functools.partial(_running, sizes, slices, height * width),
        space=space,
        form="switch",
        discretize=likeliest_cell,
        specialize=specialize,
        rematerialize=rematerialize,
        released=released_preferences(mixture, max_vertices),
        parameters=functools.partial(
            nasbench101_parameters,
            channels=channels,
            modules=cells,
            classes=num_classes,
            image_channels=image_channels,
        ),
    )
    are_operations = np.arange(space.num_decisions) >= NUM_EDGES
    decisions = decisions_of(supernet)._replace(independent=False, operations=are_operations)
    return supernet._replace(decisions=decisions)


def _sampled(
    sizes: _Sizes,
    how: Callable[[Array], ModuleSettings],
    in_degree: int,
    read: dict[int, ModuleReading],
    parameters: NasBench101Shared,
    statistics: Any,
    arch: Array,
    images: Array,
) -> tuple[Array, NasBench101Statistics]:
    """Returns logits and the statistics used, for cells with at least so many vertices before the output."""

    settings = how(images)

    def module(arch: Array, images: Array, shared: SharedModule, given: Any) -> tuple[Array, SharedStatistics]:
        what = read[shared.output.scale.shape[0]]
        known = None if given is None else cut_statistics(given, what)
        own = cut_parameters(shared, what)
        out, used = masked_module(in_degree, settings, arch, images, own, known, what.graph)
        return out, spread_statistics(used, what, sizes.norms)

    return _apply(module, sizes, settings, parameters, statistics, jnp.asarray(arch), images)


def _apply(
    module: Callable[..., Any],
    sizes: _Sizes,
    settings: ModuleSettings,
    parameters: NasBench101Shared,
    statistics: Any,
    what: Any,
    images: Array,
) -> tuple[Array, NasBench101Statistics]:
    """Returns logits and the statistics used, by what a module does with an architecture or with weights."""
    if sizes.rematerialize:
        module = jax.checkpoint(module)
    return apply_by_modules(module, settings, sizes.modules, parameters, statistics, what, images, True)


def _readings(sizes: _Sizes, slices: SliceName, arch: Array) -> dict[int, ModuleReading]:
    """Returns what an architecture reads of modules, by their width."""
    return readings(jnp.asarray(arch), sizes.vertices, sizes.widths, sizes.norms, slices)


def _running(
    sizes: _Sizes,
    slices: SliceName,
    pixels: int,
    statistics: NasBench101Statistics,
    used: NasBench101Statistics,
    keep: float,
    shape: tuple[int, ...],
    arch: Array | None = None,
) -> NasBench101Statistics:
    """Returns running estimates after a batch of images of a shape `[B, H, W, C]`; the variance is the unbiased one."""
    count = shape[0] * pixels

    def update(old: Array, new: Array, stack: int) -> Array:
        return moved_moments(old, new, keep, count // 4**stack)

    if arch is None:
        masks = {width: _ran_in_mixture(sizes, width) for width in dict.fromkeys(sizes.widths)}
    else:
        read = _readings(sizes, slices, arch)
        masks = {width: ran(what, sizes.norms) for width, what in read.items()}

    def module(old: SharedStatistics, new: SharedStatistics, width: int, stack: int) -> SharedStatistics:
        moved = jax.tree.map(lambda old, new: update(old, new, stack), old, new)
        kept: SharedStatistics = jax.tree.map(jnp.where, masks[width], moved, old)
        return kept

    return NasBench101Statistics(
        update(statistics.stem, used.stem, 0),
        tuple(map(module, statistics.modules, used.modules, sizes.widths[1:], sizes.stacks)),
    )


def _ran_in_mixture(sizes: _Sizes, width: int) -> SharedStatistics:
    """Returns which statistics a mixture uses, as `ran` does."""
    widths = np.asarray(mixture_channels(sizes.vertices, width))
    own = np.arange(width)[None] < widths[:, None]
    norm = np.minimum(2 ** np.arange(1, sizes.vertices + 1), sizes.norms) - 1
    place = (norm[:, None] == np.arange(sizes.norms)[None])[:, None, :, None, None]
    return SharedStatistics(jnp.asarray(place & own[:, None, None, None]), jnp.asarray(own[:, None]), jnp.bool_(True))


def _starts(sizes: _Sizes, image_channels: int, num_classes: int) -> NasBench101Shared:
    """Returns how the parameters start, as `initial_arrays` takes it."""
    first, last = sizes.widths[0], sizes.widths[-1]
    head: tuple[Any, ...] = (Uniform((num_classes, last), last), Constant((num_classes,), 0.0))
    modules = (
        shared_starts(sizes.vertices, inputs, outputs, sizes.norms)
        for inputs, outputs in itertools.pairwise(sizes.widths)
    )
    return NasBench101Shared(
        fresh_convolution(first, TAPS * image_channels),
        tuple(modules),
        Nasbench101Head(*head),
    )


def _fresh(sizes: _Sizes) -> NasBench101Statistics:
    modules = (fresh_statistics(sizes.vertices, width, sizes.norms) for width in sizes.widths[1:])
    return NasBench101Statistics(fresh_moments(sizes.widths[0]), tuple(modules))
