"""The edges of a cell of the search network: 14 of eight operations each, mixed, chosen, or straight through.

Edges are gone through in a loop that is compiled once for all of one stride. Its gradient goes through them from the
last to the first and computes each again: what stays is the nodes, and not what eight operations of 14 edges would
keep. A gradient can be differentiated again in forward mode, `jvp(grad(...))`, which second-order DARTS needs: what is
run forward is plain JAX, and what has gradients of its own, without a forward mode, stands where it is differentiated.

Edges of a mixture that have weights for a part of the channels compute that part, and pass the others on.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array
from jnas.spaces.darts._cells import EDGES, NODES
from jnas.training.networks.darts._cell import buffers, row_added, row_of
from jnas.training.networks.darts._edge import (
    AVG_POOL,
    DIL_3,
    DIL_5,
    MAX_POOL,
    NOISE,
    NONE,
    SEP_3,
    SEP_5,
    SKIP,
    factorized_reduction,
)
from jnas.training.operations._convolutions import convolve_1x1, max_pool_3x3
from jnas.training.operations._depthwise import rectified_depthwise, rectified_depthwise_plain
from jnas.training.operations._many_kernels import normalize_batch
from jnas.training.operations._noise import noise
from jnas.training.operations._normalized import pointwise
from jnas.training.operations._partial import beside_operations, first_part
from jnas.training.operations._pooling import average_pool, average_pool_plain

Kind = Literal["mixture", "sampled", "straight_through"]

EVERY = tuple(range(NONE))
"""The operations but for `none`."""

NUM_NORMS = 9
NORMS_OF: dict[int, tuple[int, ...]] = {
    MAX_POOL: (0,),
    AVG_POOL: (1,),
    SKIP: (2,),
    SEP_3: (3, 4),
    SEP_5: (5, 6),
    DIL_3: (7,),
    DIL_5: (8,),
}
"""The batch-norms of each operation on an edge; a skip has one where it halves the image."""

_FROM_INPUTS = tuple(number for number, (state, _) in enumerate(EDGES) if state < 2)
_FROM_NODES = tuple(number for number, (state, _) in enumerate(EDGES) if state >= 2)


class SearchEdges(NamedTuple):
    """The weights of 14 edges, of all their channels or of the first part of them."""

    three: Array  # float [14, 3, C, 3, 3]: depthwise kernels of both rounds of sep_conv_3x3, and of dil_conv_3x3
    five: Array  # float [14, 3, C, 5, 5]: the same of 5x5
    pointwise: Array  # float [14, 6, C, C], of the rounds of sep_conv_3x3, sep_conv_5x5, dil_conv_3x3, dil_conv_5x5
    skips: Array | None  # float [8, C, C], of the edges from the inputs of a reduction cell; None in a normal one


class _Edge(NamedTuple):
    three: Array
    five: Array
    pointwise: Array
    skip: Any


class Control(NamedTuple):
    """What decides on an edge, or on each of 14."""

    weights: Any  # float [8] of a mixture, and straight through; channels that an edge passes on have their sum
    choice: Any  # int32 [] of one operation
    seed: Any = None  # uint32 [] of noise, where that is one of the operations: they are 9 then


class _Functions(NamedTuple):
    depthwise: Callable[..., Array]
    product: Callable[[Array, Array], Array]
    average_pool: Callable[..., Array]


_PLAIN = _Functions(rectified_depthwise_plain, convolve_1x1, average_pool_plain)
_WITH_GRADIENTS = _Functions(rectified_depthwise, pointwise, average_pool)


def search_operations(
    stride: int, epsilon: float, functions: _Functions, computed: tuple[int, ...] = EVERY
) -> list[Callable[..., tuple[Array, Array]]]:
    """Returns `operation(images, own, given, seed) -> (images, statistics used [9, 2, C])` of each choice.

    In the place of those that are not computed stands `none`; noise is there, as the last one, where it is computed.
    """

    def placed(images: Array, used: dict[int, Array]) -> Array:
        nothing = jnp.zeros((2, images.shape[0]), images.dtype)
        return jnp.stack([used.get(number, nothing) for number in range(NUM_NORMS)])

    def normalized(number: int, images: Array, given: Array | None) -> tuple[Array, Array]:
        return normalize_batch(images, None if given is None else given[number], epsilon)

    def pool(number: int, function: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
        def operation(images: Array, own: _Edge, given: Array | None, seed: Any) -> tuple[Array, Array]:
            out, used = normalized(number, function(images, stride), given)
            return out, placed(images, {number: used})

        return operation

    def skip(images: Array, own: _Edge, given: Array | None, seed: Any) -> tuple[Array, Array]:
        if stride == 1:
            return images, placed(images, {})
        number = NORMS_OF[SKIP][0]
        out, used = normalized(number, factorized_reduction(jax.nn.relu(images), own.skip, functions.product), given)
        return out, placed(images, {number: used})

    def convolution(choice: int) -> Callable[..., tuple[Array, Array]]:
        norms = NORMS_OF[choice]
        dilation, name = 3 - len(norms), "three" if choice in (SEP_3, DIL_3) else "five"

        def operation(images: Array, own: _Edge, given: Array | None, seed: Any) -> tuple[Array, Array]:
            used = {}
            for place, number in enumerate(norms):
                kernel = getattr(own, name)[place if dilation == 1 else 2]
                images = functions.depthwise(images, kernel, dilation, 1 if place else stride)
                images, used[number] = normalized(number, functions.product(images, own.pointwise[number - 3]), given)
            return images, placed(images, used)

        return operation

    def nothing(images: Array, own: _Edge, given: Array | None, seed: Any) -> tuple[Array, Array]:
        return jnp.zeros_like(images[:, ::stride, ::stride]), placed(images, {})

    def only_noise(images: Array, own: _Edge, given: Array | None, seed: Any) -> tuple[Array, Array]:
        return noise(seed, images, stride), placed(images, {})

    convolutions = [convolution(choice) for choice in (SEP_3, SEP_5, DIL_3, DIL_5)]
    every = [pool(0, max_pool_3x3), pool(1, functions.average_pool), skip, *convolutions]
    known = [operation if number in computed else nothing for number, operation in enumerate(every)]
    return [*known, nothing, *([only_noise] if NOISE in computed else [])]


def search_edges(
    kind: Kind,
    stride: int,
    epsilon: float,
    control: Control,
    inputs: tuple[Array, Array],
    parameters: SearchEdges,
    statistics: Array | None,
    computed: tuple[int, ...] = EVERY,
) -> tuple[Array, Array]:
    """Returns the nodes `[4, C, H, W, B]` and the statistics used `[14, 9, 2, C]`, zeros for what did not run.

    Args:
      kind: What `control` is: weights of a mixture; choices; or both, of which the value is the chosen operation's
        times its weight, plus the other weights as numbers that are added to every pixel.
      stride: Of edges from the inputs.
      epsilon: Of batch-norm.
      control: Arrays `[14, ...]`.
      inputs: Images `[C, H, W, B]`.
      parameters: Of the cell.
      statistics: What batch-norms use, `[14, 9, 2, C]`, or `None` for the batch's own.
      computed: Operations that some edge has; others are in no program.
    """
    if statistics is None:
        result: tuple[Array, Array] = _learning(kind, computed, stride, epsilon, control, inputs, parameters)
        return result
    return _through(kind, computed, stride, epsilon, control, inputs, parameters, statistics)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _learning(
    kind: Kind,
    computed: tuple[int, ...],
    stride: int,
    epsilon: float,
    control: Control,
    inputs: tuple[Array, Array],
    parameters: SearchEdges,
) -> tuple[Array, Array]:
    return _through(kind, computed, stride, epsilon, control, inputs, parameters, None)


def _forward(
    kind: Kind,
    computed: tuple[int, ...],
    stride: int,
    epsilon: float,
    control: Control,
    inputs: tuple[Array, Array],
    parameters: SearchEdges,
) -> tuple[tuple[Array, Array], tuple[Any, ...]]:
    nodes, used = _through(kind, computed, stride, epsilon, control, inputs, parameters, None)
    return (nodes, used), (control, inputs, parameters, nodes)


def _backward(
    kind: Kind,
    computed: tuple[int, ...],
    stride: int,
    epsilon: float,
    saved: tuple[Any, ...],
    gradients: tuple[Array, Array],
) -> tuple[Any, ...]:
    # The statistics used have no gradient: they enter running estimates, which no loss of this step depends on.
    control, inputs, parameters, nodes = saved
    images = buffers(stride, inputs, nodes)
    to_images = buffers(stride, (jnp.zeros_like(inputs[0]),) * 2, gradients[0])
    to_control: list[Any] = [None] * len(EDGES)
    to_edges: list[Any] = [None] * len(EDGES)
    for numbers, buffer, step in reversed(_groups(stride)):
        pull = _pulls(kind, computed, search_operations(step, epsilon, _WITH_GRADIENTS, computed))

        def body(carry: Any, each: Any, buffer: int = buffer, pull: Any = pull) -> tuple[Any, Any]:
            (row, node), own, decides = each
            to_image, to_own, to_weights = pull(row_of(images[buffer], row), own, decides, row_of(carry[-1], node))
            moved = list(carry)
            moved[buffer] = row_added(moved[buffer], row, to_image)
            return tuple(moved), (to_own, to_weights)

        xs = (_wiring(numbers, buffer, stride), _edges(parameters, numbers, stride), _taken(control, numbers))
        to_images, (to_own, to_weights) = lax.scan(body, to_images, xs, reverse=True)
        for place, number in enumerate(numbers):
            to_edges[number] = jax.tree.map(lambda leaf, place=place: leaf[place], to_own)
            to_control[number] = None if to_weights is None else to_weights[place]
    three, five, products = (
        jnp.stack([getattr(edge, name) for edge in to_edges]) for name in ("three", "five", "pointwise")
    )
    skips = None if parameters.skips is None else jnp.stack([to_edges[number].skip for number in _FROM_INPUTS])
    weights = None if control.weights is None else jnp.stack(to_control)
    return Control(weights, None, None), (to_images[0][0], to_images[0][1]), SearchEdges(three, five, products, skips)


_learning.defvjp(_forward, _backward)


def _through(
    kind: Kind,
    computed: tuple[int, ...],
    stride: int,
    epsilon: float,
    control: Control,
    inputs: tuple[Array, Array],
    parameters: SearchEdges,
    statistics: Array | None,
) -> tuple[Array, Array]:
    channels, height, width, batch = inputs[0].shape
    nodes = jnp.zeros((NODES, channels, height // stride, width // stride, batch), inputs[0].dtype)
    images, used = buffers(stride, inputs, nodes), [jnp.zeros(0)] * len(EDGES)
    for numbers, buffer, step in _groups(stride):
        run = _runs(kind, computed, search_operations(step, epsilon, _PLAIN, computed))

        def body(images: Any, each: Any, buffer: int = buffer, run: Any = run) -> tuple[Any, Array]:
            (row, node), own, decides, given = each
            out, statistic = run(row_of(images[buffer], row), own, decides, given)
            return (*images[:-1], row_added(images[-1], node, out)), statistic

        given = None if statistics is None else statistics[np.asarray(numbers)]
        xs = (_wiring(numbers, buffer, stride), _edges(parameters, numbers, stride), _taken(control, numbers), given)
        images, statistic = lax.scan(body, images, xs)
        for place, number in enumerate(numbers):
            used[number] = statistic[place]
    return images[-1][-NODES:], jnp.stack(used)


def _runs(
    kind: Kind, computed: tuple[int, ...], operations: list[Callable[..., tuple[Array, Array]]]
) -> Callable[..., tuple[Array, Array]]:
    """Returns `run(image, own, control, given) -> (image, statistics used)` of one edge."""

    def run(image: Array, own: _Edge, decides: Control, given: Array | None) -> tuple[Array, Array]:
        if kind == "mixture":
            part = first_part(image, own.pointwise.shape[-1])
            results = [operations[number](part, own, given, decides.seed) for number in computed]
            out = sum(decides.weights[number] * each for number, (each, _) in zip(computed, results, strict=True))
            out = beside_operations(out, image, jnp.sum(decides.weights))
            return out, functools.reduce(jnp.add, [used for _, used in results])
        out, used = lax.switch(decides.choice, operations, image, own, given, decides.seed)
        if kind == "straight_through":
            weight = decides.weights[decides.choice]
            out = weight * out + (jnp.sum(decides.weights) - weight)
        return out, used

    return run


def _pulls(
    kind: Kind, computed: tuple[int, ...], operations: list[Callable[..., tuple[Array, Array]]]
) -> Callable[..., tuple[Array, _Edge, Any]]:
    """Returns the gradients in `image`, `own` and the weights of `_runs`."""
    run = _runs(kind, computed, operations)

    def of_mixture(image: Array, own: _Edge, decides: Control, gradient: Array) -> tuple[Array, _Edge, Any]:
        def value(image: Array, own: _Edge, weights: Array) -> Array:
            return run(image, own, decides._replace(weights=weights), None)[0]

        found: tuple[Array, _Edge, Any] = jax.vjp(value, image, own, decides.weights)[1](gradient)
        return found

    def of_one(
        operation: Callable[..., tuple[Array, Array]], image: Array, own: _Edge, gradient: Array, weight: Any, seed: Any
    ) -> tuple[Any, Array]:
        out, pull = jax.vjp(lambda image, own: operation(image, own, None, seed)[0], image, own)
        along = jnp.zeros((), image.dtype) if weight is None else jnp.sum(gradient * out)
        return pull(gradient if weight is None else weight * gradient), along

    def of_choice(image: Array, own: _Edge, decides: Control, gradient: Array) -> tuple[Array, _Edge, Any]:
        weight = None if decides.weights is None else decides.weights[decides.choice]
        branches = [functools.partial(of_one, operation) for operation in operations]
        (to_image, to_own), along = lax.switch(decides.choice, branches, image, own, gradient, weight, decides.seed)
        if weight is None:
            return to_image, to_own, None
        is_chosen = jnp.arange(len(operations)) == decides.choice
        return to_image, to_own, jnp.where(is_chosen, along, jnp.sum(gradient))

    return of_mixture if kind == "mixture" else of_choice


def _groups(stride: int) -> list[tuple[tuple[int, ...], int, int]]:
    """Returns edges that are one loop: their numbers, the buffer that they read, their stride."""
    return [(tuple(range(len(EDGES))), 0, 1)] if stride == 1 else [(_FROM_INPUTS, 0, stride), (_FROM_NODES, 1, 1)]


def _wiring(numbers: tuple[int, ...], buffer: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row that each edge reads in its buffer, and that of its node in the last one."""
    states, nodes = np.asarray([EDGES[number] for number in numbers], np.int32).T
    return states - 2 * buffer, nodes + (2 if stride == 1 else 0)


def _edges(parameters: SearchEdges, numbers: tuple[int, ...], stride: int) -> _Edge:
    """Returns the weights of some edges."""
    rows = np.asarray(numbers)
    skips = parameters.skips if stride != 1 and numbers == _FROM_INPUTS else None
    return _Edge(parameters.three[rows], parameters.five[rows], parameters.pointwise[rows], skips)


def _taken(control: Control, numbers: tuple[int, ...]) -> Control:
    rows = np.asarray(numbers)
    return Control(*(None if leaf is None else leaf[rows] for leaf in control))
