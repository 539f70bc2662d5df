"""The networks of NAS-Bench-101: stem, three stacks of modules with max pooling between them, head."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array, Network
from jnas.spaces._categorical import checked_arch
from jnas.spaces.nasbench101._cells import NUM_CHOICES, NUM_EDGES
from jnas.spaces.nasbench101._cost import (
    NUM_STACKS,
    check_image_size,
    check_image_sizes,
    nasbench101_flops,
    nasbench101_parameters,
    wiring,
)
from jnas.spaces.nasbench101._space import nasbench101
from jnas.training.networks._initial import fresh_moments
from jnas.training.networks.nasbench101._masked import masked_module
from jnas.training.networks.nasbench101._module import (
    CONV_1X1,
    CONV_3X3,
    MIDDLE,
    NUM_INTERIOR,
    TAPS,
    ConvBatchNorm,
    ModuleParameters,
    ModuleSettings,
    ModuleStatistics,
    normalize_and_rectify,
    static_module,
)
from jnas.training.operations._convolutions import Convolution, check_convolution, max_pool_2x2
from jnas.training.operations._layouts import layout_for

_TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a normal distribution that is cut at two of its own."""


_MOST_PROGRAMS = 4
"""By the number of concatenated vertices: none, 1, 2, and 3 or more. Of the space's cells 2.5 % have 4, none has 5."""


class Nasbench101Head(NamedTuple):
    """The linear layer."""

    kernel: Array  # float [classes, C]
    bias: Array  # float [classes]


class NasBench101Parameters(NamedTuple):
    """What a network of the space can learn."""

    stem: ConvBatchNorm
    modules: tuple[ModuleParameters, ...]  # of all stacks, one after another
    head: Nasbench101Head


class NasBench101Statistics(NamedTuple):
    """Means and variances of every batch-norm."""

    stem: Array  # float [2, C]
    modules: tuple[Any, ...]  # `ModuleStatistics`; of the supernet, `SharedStatistics`


_Module = Callable[..., tuple[Array, ModuleStatistics]]


def nasbench101_network(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 128,
    modules: int = 3,
    arch: Any = None,
    epsilon: float = 1e-5,
    convolution: Convolution = "auto",
    rematerialize: bool = False,
) -> Network:
    """Returns the networks of NAS-Bench-101's cells.

    A 3x3 convolution; three stacks of `modules` modules with `channels`, twice and four times as many channels; a 2x2
    max pooling before the second and the third stack; the mean over the image; a linear layer. All convolutions are
    without bias and followed by batch-norm and ReLU. In a module, an edge from the input is a 1x1 convolution to the
    channels of the vertex that it goes to; what comes from a wider vertex is cut to these channels; a vertex adds up
    what comes in; those before the output are concatenated, to which an edge from the input is added.

    Kernels start as a normal distribution cut at two standard deviations, of variance one over their actual fan-in;
    the linear layer starts uniform, as Glorot and Bengio have it, its bias at 0.

    The parameters have room for every cell, so that architectures are data; what a cell does not use is zero.

    Args:
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the stem and the first stack, at least 4.
      modules: In each stack.
      arch: int `[26]`: a program of this cell alone, the form `'static'`. By default one program for all cells, the
        form `'switch'`, which branches by the number of concatenated vertices and by the operation of each vertex.
      epsilon: Of batch-norm.
      convolution: How 3x3 convolutions are said; see `jnas.training.operations._convolutions`.
      rematerialize: Whether gradients compute each module again, of which then the input alone is kept.

    Raises:
      TypeError: A size is not a Python int, or the architecture is not made of integers.
      ValueError: A size is too small, the image's is not a multiple of 4, or the architecture is no cell.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Section 2.2 and 2.3.
    """
    height, width, image_channels = image_shape
    check_image_sizes(channels=channels, modules=modules, classes=num_classes, image_channels=image_channels)
    check_image_size(height, width)
    check_convolution(convolution)
    stages = tuple(stack for stack in range(NUM_STACKS) for _ in range(modules))
    widths = [channels, *(channels * 2**stack for stack in stages)]

    def init(key: Array, arch: Array) -> tuple[NasBench101Parameters, NasBench101Statistics]:
        return _initial(key, jnp.asarray(arch), widths, image_channels, num_classes), _fresh_statistics(widths)

    def apply_by(
        module: _Module, parameters: Any, statistics: Any, arch: Array, images: Array
    ) -> tuple[Array, NasBench101Statistics]:
        settings = ModuleSettings(epsilon, layout_for(images, channels, "switch", convolution))
        own: Callable[..., Any] = functools.partial(module, settings)
        own = jax.checkpoint(own) if rematerialize else own
        return apply_by_modules(own, settings, modules, parameters, statistics, jnp.asarray(arch), images)

    def has(arch: Array) -> NasBench101Parameters:
        arch = jnp.asarray(arch)
        return NasBench101Parameters(
            ConvBatchNorm(*(jnp.ones(s, bool) for s in ((channels, TAPS * image_channels), (channels,), (channels,)))),
            tuple(_module_has(arch, *pair) for pair in itertools.pairwise(widths)),
            Nasbench101Head(jnp.ones((num_classes, widths[-1]), bool), jnp.ones(num_classes, bool)),
        )

    def counts(shape: tuple[int, ...]) -> NasBench101Statistics:
        pixels: Any = shape[0] * height * width
        each = tuple(ModuleStatistics(*(pixels // 4**stack,) * 3) for stack in stages)
        return NasBench101Statistics(pixels, each)

    def specialize(arch: Array, function: Callable[..., Any]) -> Callable[..., Any]:
        def program(in_degree: int) -> Callable[..., Any]:
            apply = functools.partial(apply_by, functools.partial(masked_module, in_degree))
            return functools.partial(function, apply)

        return by_in_degree(arch, channels, program)

    def apply_any(parameters: Any, statistics: Any, arch: Array, images: Array) -> tuple[Array, NasBench101Statistics]:
        def applied(apply: Callable[..., Any], *arguments: Any) -> Any:
            return apply(*arguments)

        result: tuple[Array, NasBench101Statistics] = specialize(arch, applied)(parameters, statistics, arch, images)
        return result

    sizes: dict[str, Any] = {
        "channels": channels,
        "modules": modules,
        "classes": num_classes,
        "image_channels": image_channels,
    }
    shared: dict[str, Any] = {
        "init": init,
        "has": has,
        "counts": counts,
        "parameters": functools.partial(nasbench101_parameters, **sizes),
        "flops": functools.partial(nasbench101_flops, **sizes, image_size=(height, width)),
        "space": nasbench101(),
        "rematerialize": rematerialize,
        "layers": _layers,
    }
    if arch is None:
        return Network(apply=apply_any, form="switch", specialize=specialize, **shared)
    own = _checked(arch)

    def module(settings: ModuleSettings, arch: Array, *arguments: Any) -> tuple[Array, ModuleStatistics]:
        return static_module(own, settings, *arguments)

    return Network(apply=functools.partial(apply_by, module), form="static", **shared)


def _layers(parameters: NasBench101Parameters) -> tuple[Array, ...]:
    """Returns the weights of every kind of layer, `[L, C', K]`."""
    found = [parameters.stem.kernel[None], parameters.head.kernel[None]]
    for module in parameters.modules:
        vertices = module.vertices.kernel
        found.append(vertices.reshape(*vertices.shape[:2], vertices.shape[2] * vertices.shape[3]))
        found += [module.inputs.kernel, module.output.kernel[None]]
    return tuple(found)


def _checked(arch: Any) -> np.ndarray:
    own = checked_arch(np.asarray(arch), NUM_CHOICES)
    if not bool(nasbench101().is_valid(jnp.asarray(own))):
        raise ValueError(
            f"arch is {nasbench101().to_string(own)}, expected a valid cell: a path from the input to the output, and "
            "at most 9 edges on such paths"
        )
    return own


def by_in_degree(
    arch: Array, channels: int, program: Callable[[int], Callable[..., Any]], vertices: int = NUM_INTERIOR
) -> Callable[..., Any]:
    """Returns `program(d)` for the number `d` of vertices that an architecture concatenates, by a branch for each.

    Args:
      arch: int32 `[26]`.
      channels: Of the first stack.
      program: Returns a function for cells of at least so many; the last one serves those beyond.
      vertices: How many vertices there are at most between input and output.
    """
    programs = [program(in_degree) for in_degree in range(min(_MOST_PROGRAMS, vertices + 1))]
    # `switch` takes the last program for what lies beyond.
    return functools.partial(lax.switch, wiring(jnp.asarray(arch), channels).in_degree, programs)


def apply_by_modules(
    module: Callable[..., tuple[Array, Any]],
    settings: ModuleSettings,
    modules_in_stack: int,
    parameters: Any,
    statistics: NasBench101Statistics | None,
    arch: Any,
    images: Array,
    looped: bool = False,
) -> tuple[Array, NasBench101Statistics]:
    """Returns logits `[B, classes]` and the statistics used, with `module(arch, images, own, given)` for each module.

    Of `parameters`, `modules` is what these are given; `arch` is whatever they want to know. Where it is `looped`,
    modules of a stack that are of one size are a loop, which is compiled once.
    """
    stem, layout = parameters.stem, settings.layout
    images, used_by_stem = normalize_and_rectify(
        layout.convolve_first(layout.enter(images), stem.kernel),
        stem.scale,
        stem.shift,
        None if statistics is None else statistics.stem,
        settings.epsilon,
        layout.axis,
    )
    used: list[Any] = []
    while len(used) < len(parameters.modules):
        number = len(used)
        if number and number % modules_in_stack == 0:
            images = max_pool_2x2(images)
        alike = slice(number, number + (_alike(parameters.modules, number, modules_in_stack) if looped else 1))
        own = parameters.modules[alike]
        given = [None] * len(own) if statistics is None else statistics.modules[alike]
        if len(own) == 1:
            images, each = module(arch, images, own[0], given[0])
            used.append(each)
            continue

        def step(images: Array, each: Any) -> tuple[Array, Any]:
            return module(arch, images, *each)

        stacked: Any = tuple(jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) for each in (own, given))
        images, together = lax.scan(step, images, stacked)
        used += [jax.tree.map(lambda leaf, place=place: leaf[place], together) for place in range(len(own))]
    features = jnp.mean(images, (1, 2))
    logits = layout.classify(features, *parameters.head)
    return logits, NasBench101Statistics(used_by_stem, tuple(used))


def _alike(modules: Sequence[Any], first: int, modules_in_stack: int) -> int:
    """Returns how many modules of a stack, from one on, have arrays of the same shapes."""
    shapes = [
        jax.tree.map(jnp.shape, each) for each in modules[first : first - first % modules_in_stack + modules_in_stack]
    ]
    return next((place for place, each in enumerate(shapes) if each != shapes[0]), len(shapes))


def _initial(
    key: Array, arch: Array, widths: list[int], image_channels: int, num_classes: int
) -> NasBench101Parameters:
    """Returns the first parameters; one draw serves all kernels."""
    first, last = widths[0], widths[-1]
    shapes = [
        (first, TAPS * image_channels),
        *(
            shape
            for inputs, outputs in itertools.pairwise(widths)
            for shape in (
                (NUM_INTERIOR, outputs, TAPS, outputs),
                (NUM_INTERIOR, outputs, inputs),
                (outputs, inputs),
            )
        ),
        (num_classes, last),
    ]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    draws = jax.random.uniform(key, (int(ends[-1]),), jnp.float32, -1.0, 1.0)
    kernels = [part.reshape(shape) for part, shape in zip(jnp.split(draws, ends[:-1]), shapes, strict=True)]
    modules = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        vertices, projections, output = kernels[1 + 3 * number : 4 + 3 * number]
        own = wiring(arch, outputs).channels[1:-1]
        fan_in = jnp.maximum(own * jnp.where(arch[NUM_EDGES:] == CONV_3X3, TAPS, 1), 1)
        everything = ModuleParameters(
            _normalized(_variance_scaled(vertices, fan_in[:, None, None, None])),
            _normalized(_variance_scaled(projections, inputs)),
            _normalized(_variance_scaled(output, inputs)),
        )
        mask = _module_has(arch, inputs, outputs)
        modules.append(jax.tree.map(lambda array, own: jnp.where(own, array, 0), everything, mask))
    limit = np.float32((6 / (last + num_classes)) ** 0.5)
    return NasBench101Parameters(
        _normalized(_variance_scaled(kernels[0], TAPS * image_channels)),
        tuple(modules),
        Nasbench101Head(kernels[-1] * limit, jnp.zeros(num_classes, jnp.float32)),
    )


def _variance_scaled(uniform: Array, fan_in: Array | int) -> Array:
    """Returns normal numbers cut at two standard deviations, of variance `1 / fan_in`, from uniform ones in [-1, 1)."""
    most = np.float32(0.9544997361036416)  # erf(sqrt(2))
    normal = np.float32(2**0.5) * lax.erf_inv(uniform * most)
    return normal / np.float32(_TRUNCATED_DEVIATION) * lax.rsqrt(jnp.asarray(fan_in, jnp.float32))


def _normalized(kernel: Array) -> ConvBatchNorm:
    """Returns a convolution whose batch-norm has not learned anything."""
    shape = kernel.shape[:2] if kernel.ndim > 2 else kernel.shape[:1]
    return ConvBatchNorm(kernel, jnp.ones(shape, jnp.float32), jnp.zeros(shape, jnp.float32))


def _module_has(arch: Array, inputs: int, outputs: int) -> ModuleParameters:
    """Returns which numbers of a module the architecture has, bool arrays of their shapes."""
    graph = wiring(arch, outputs)
    own = np.arange(outputs)[None, :] < graph.channels[1:-1, None]  # [5, C']
    operation = arch[NUM_EDGES:, None]
    taps = (operation == CONV_3X3) | ((operation == CONV_1X1) & (np.arange(TAPS) == MIDDLE)[None, :])  # [5, 9]
    kernels = own[:, :, None, None] & taps[:, None, :, None] & own[:, None, None, :]
    convolution: Any = own & ((operation == CONV_3X3) | (operation == CONV_1X1))
    projection: Any = own & graph.matrix[0, 1:-1, None]
    output = jnp.broadcast_to(graph.matrix[0, -1], (outputs,))

    def each(kernel: Array, channels: Array) -> ConvBatchNorm:
        return ConvBatchNorm(kernel, channels, channels)

    return ModuleParameters(
        each(kernels, convolution),
        each(jnp.broadcast_to(projection[:, :, None], (NUM_INTERIOR, outputs, inputs)), projection),
        each(jnp.broadcast_to(output[:, None], (outputs, inputs)), output),
    )


def _fresh_statistics(widths: list[int]) -> NasBench101Statistics:
    """Returns means of 0 and variances of 1."""
    shapes = [((NUM_INTERIOR, width), (NUM_INTERIOR, width), (width,)) for width in widths[1:]]
    modules = (ModuleStatistics(*(fresh_moments(*shape) for shape in each)) for each in shapes)
    return NasBench101Statistics(fresh_moments(widths[0]), tuple(modules))
