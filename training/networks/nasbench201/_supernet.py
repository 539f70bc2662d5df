"""The supernet of NAS-Bench-201: stem, three stages of cells with residual reductions between them, head."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array, Key, Supernet, decisions_of, likeliest_choices
from jnas.spaces.nasbench201._cells import EDGES, OPERATIONS
from jnas.spaces.nasbench201._space import nasbench201
from jnas.training.networks._edge_weights import weighted_edges
from jnas.training.networks._initial import Uniform, fresh_moments, initial_arrays, moved_moments
from jnas.training.networks.nasbench201._mixture_cell import NONE, ONE, THREE, mixture_cell
from jnas.training.networks.nasbench201._network import NUM_STAGES, check_network_sizes
from jnas.training.networks.nasbench201._sampled_cell import make_sampled_stage
from jnas.training.operations._convolutions import average_pool_2x2
from jnas.training.operations._forms import Form, switch_form
from jnas.training.operations._layouts import MANY_KERNELS, Layout, fastest_layout
from jnas.training.operations._many_kernels import Kernels, normalize_batch
from jnas.training.operations._partial import check_parts, one_hot_but

_NOTHING: Any = (None, (None,) * NUM_STAGES, (None,) * (NUM_STAGES - 1), None)


class SupernetReduction(NamedTuple):
    """A residual block of stride 2."""

    first: Array  # float [C', 9 C]
    second: Array  # float [C', 9 C']
    shortcut: Array  # float [C', C]


class SupernetHead(NamedTuple):
    """The linear layer."""

    kernel: Array  # float [classes, C]
    bias: Array  # float [classes]


class SupernetParameters(NamedTuple):
    """What the supernet learns."""

    stem: Array  # float [C, 9 image channels]
    cells: tuple[Kernels, ...]  # one for each stage, arrays [N, 6, ...]
    reductions: tuple[SupernetReduction, ...]
    head: SupernetHead


class SupernetStatistics(NamedTuple):
    """Means and variances of every batch-norm."""

    stem: Array  # float [2, C]
    cells: tuple[Array, ...]  # one for each stage, float [N, 6, 2, 2, C]: of the 1x1 and of the 3x3 convolution
    reductions: tuple[Array, ...]  # float [2, 2, C']: of the first and of the second convolution
    head: Array  # float [2, C]


def nasbench201_supernet(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 16,
    cells: int = 5,
    form: Form | None = None,
    epsilon: float = 1e-5,
    rematerialize: bool = False,
    partial: int = 1,
) -> Supernet:
    """Returns the supernet of NAS-Bench-201's cells.

    Stem, reductions and head are those of `nasbench201_network`; each edge has the weights of a 1x1 and of a 3x3
    convolution. No batch-norm has scale or shift; the released networks leave them out of the cells and learn those of
    stem, reductions and head.

    Args:
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the first stage.
      cells: In each stage.
      form: How an edge's operation is chosen in `sampled` and `straight_through`; by default a branch (`switch`).
      epsilon: Of batch-norm.
      rematerialize: Whether gradients compute each cell again, of which then the input alone is kept.
      partial: In how many parts the channels of an edge are, of which the first goes through its operations; the others
        pass, and the parts are shuffled. Such a network has no straight-through pass, and its `sampled` computes the
        mixture, by weights of 0 and 1; none of an edge's channels pass where its operation is `none`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, the image's is not a multiple of 4, or channels have no such parts.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020, Section
      2.1 and the appendix on weight-sharing searchers.
    """
    form = form or switch_form()
    height, width, image_channels = image_shape
    check_network_sizes(height, width, image_channels, num_classes, channels, cells)
    check_parts(partial, channels)
    widths = tuple(channels * 2**stage for stage in range(NUM_STAGES))

    def network(stage: Callable[..., tuple[Array, Array]], *arguments: Any) -> tuple[Array, Any]:
        return _network(cell_by_cell(stage) if rematerialize else stage, *arguments)

    def init(key: Key) -> tuple[SupernetParameters, SupernetStatistics]:
        shapes = _shapes(widths, cells, image_channels, num_classes, partial)
        return initial_arrays(key, shapes), _fresh_statistics(widths, cells, partial)

    def mixture(parameters: Any, statistics: Any, weights: Array, images: Array) -> tuple[Array, Any]:
        layout = fastest_layout(images, channels, form.name, MANY_KERNELS)

        def stage(images: Array, kernels: Kernels, given: Array | None) -> tuple[Array, Array]:
            def cell(images: Array, own: tuple[Kernels, Array | None]) -> tuple[Array, Array]:
                return mixture_cell(images, own[0], own[1], weights, epsilon, layout)

            turned = images if layout.axis == MANY_KERNELS.axis else images.swapaxes(0, 3)
            turned, used = lax.scan(cell, turned, (kernels, given))
            return turned if layout.axis == MANY_KERNELS.axis else turned.swapaxes(0, 3), used

        # Between stages as ever: convolutions with channels last have no forward mode where nothing but they depends on
        # what is differentiated along, as the stem does in second-order DARTS.
        return network(stage, parameters, statistics, images, epsilon, MANY_KERNELS)

    def sampled(parameters: Any, statistics: Any, arch: Array, images: Array) -> tuple[Array, Any]:
        if partial > 1:
            return mixture(parameters, statistics, one_hot_but(NONE, arch, len(OPERATIONS)), images)
        layout = fastest_layout(images, channels, form.name, MANY_KERNELS)
        sampled_stage = make_sampled_stage(form, epsilon, layout)

        def stage(images: Array, kernels: Kernels, given: Array | None) -> tuple[Array, Array]:
            return sampled_stage(images, kernels, given, arch, None)

        return network(stage, parameters, statistics, images, epsilon, layout)

    def straight_through(
        parameters: Any, statistics: Any, weights: Array, arch: Array, images: Array
    ) -> tuple[Array, Any]:
        layout = fastest_layout(images, channels, form.name, MANY_KERNELS)
        sampled_stage = make_sampled_stage(form, epsilon, layout)

        def stage(images: Array, kernels: Kernels, given: Array | None) -> tuple[Array, Array]:
            return sampled_stage(images, kernels, given, arch, weights)

        return network(stage, parameters, statistics, images, epsilon, layout)

    def in_parts(parts: int) -> Supernet:
        return nasbench201_supernet(
            image_shape=image_shape,
            num_classes=num_classes,
            channels=channels,
            cells=cells,
            form=form,
            epsilon=epsilon,
            rematerialize=rematerialize,
            partial=parts,
        )

    supernet = Supernet(
        init=init,
        mixture=mixture,
        sampled=sampled,
        straight_through=straight_through if partial == 1 else None,
        running=_running,
        space=nasbench201(),
        form=form.name,
        rematerialize=rematerialize,
    )
    into = [[edge for edge, (_, target) in enumerate(EDGES) if target == node] for node in (1, 2, 3)]
    weighted = weighted_edges(decisions_of(supernet), into, mixture, lambda logits, _: likeliest_choices(logits))
    return supernet._replace(weighted_edges=weighted, partial=in_parts if partial == 1 else None)


def _network(
    run_stage: Callable[..., tuple[Array, Array]],
    parameters: SupernetParameters,
    statistics: SupernetStatistics | None,
    images: Array,
    epsilon: float,
    layout: Layout,
) -> tuple[Array, SupernetStatistics]:
    """Returns logits and the statistics used; `run_stage(images, kernels, statistics)` is what cells do."""
    given: Any = statistics or SupernetStatistics(*_NOTHING)
    images = layout.convolve_first(layout.enter(images), parameters.stem)
    images, stem = normalize_batch(images, given.stem, epsilon, layout.axis)
    cells, reductions = [], []
    for stage in range(NUM_STAGES):
        if stage:
            own, known = parameters.reductions[stage - 1], given.reductions[stage - 1]
            images, used = _reduce(images, own, known, epsilon, layout)
            reductions.append(used)
        images, used = run_stage(images, parameters.cells[stage], given.cells[stage])
        cells.append(used)
    images, head = normalize_batch(images, given.head, epsilon, layout.axis)
    features = jnp.mean(jax.nn.relu(images), (1, 2))
    logits = layout.classify(features, *parameters.head)
    return logits, SupernetStatistics(stem, tuple(cells), tuple(reductions), head)


def cell_by_cell(stage: Callable[..., tuple[Array, Array]]) -> Callable[..., tuple[Array, Array]]:
    """Returns a stage whose gradient computes each cell again, of which the input alone is kept."""

    def run(images: Array, kernels: Kernels, given: Array | None) -> tuple[Array, Array]:
        def cell(images: Array, own: tuple[Kernels, Array | None]) -> tuple[Array, Array]:
            images, used = stage(images, *jax.tree.map(lambda each: each[None], own))
            return images, used[0]

        # Nothing is moved out of a loop, so that nothing must be hindered from it.
        images, used = lax.scan(jax.checkpoint(cell, prevent_cse=False), images, (kernels, given))
        return images, used

    return run


def _reduce(
    images: Array, parameters: SupernetReduction, statistics: Array | None, epsilon: float, layout: Layout
) -> tuple[Array, Array]:
    """Returns a residual block of stride 2 and the statistics of its two batch-norms."""
    given = (None, None) if statistics is None else (statistics[0], statistics[1])
    out = layout.convolve_3x3_halving(jax.nn.relu(images), parameters.first)
    out, used_1 = normalize_batch(out, given[0], epsilon, layout.axis)
    out = layout.convolve_3x3(jax.nn.relu(out), parameters.second)
    out, used_2 = normalize_batch(out, given[1], epsilon, layout.axis)
    return out + layout.convolve_1x1(average_pool_2x2(images), parameters.shortcut), jnp.stack([used_1, used_2])


def _running(
    statistics: SupernetStatistics,
    used: SupernetStatistics,
    keep: float,
    shape: tuple[int, ...],
    arch: Array | None = None,
) -> SupernetStatistics:
    """Returns running estimates after a batch of images of a shape `[B, H, W, C]`; the variance is the unbiased one."""
    counts = [shape[0] * shape[1] * shape[2] // 4**stage for stage in range(NUM_STAGES)]

    def update(old: Array, new: Array, count: int) -> Array:
        return moved_moments(old, new, keep, count)

    cells = list(map(update, statistics.cells, used.cells, counts))
    if arch is not None:
        ran = (jnp.asarray(arch)[:, None] == jnp.asarray([ONE, THREE])[None, :])[None, :, :, None, None]
        cells = [jnp.where(ran, new, old) for new, old in zip(cells, statistics.cells, strict=True)]
    return SupernetStatistics(
        stem=update(statistics.stem, used.stem, counts[0]),
        cells=tuple(cells),
        reductions=tuple(
            update(*each) for each in zip(statistics.reductions, used.reductions, counts[1:], strict=True)
        ),
        head=update(statistics.head, used.head, counts[-1]),
    )


def _shapes(widths: tuple[int, ...], cells: int, image_channels: int, num_classes: int, partial: int) -> Any:
    """Returns the shape and the fan-in of every parameter."""

    def edges(width: int) -> Kernels:
        part = width // partial
        lead = (cells, len(EDGES), part)
        return Kernels(_start(*lead, part), _start(*lead, 9 * part))

    def reduction(narrow: int, wide: int) -> SupernetReduction:
        return SupernetReduction(_start(wide, 9 * narrow), _start(wide, 9 * wide), _start(wide, narrow))

    last = widths[-1]
    return SupernetParameters(
        stem=_start(widths[0], 9 * image_channels),
        cells=tuple(edges(width) for width in widths),
        reductions=tuple(reduction(*pair) for pair in itertools.pairwise(widths)),
        head=SupernetHead(_start(num_classes, last), _start(num_classes, fan_in=last)),
    )


def _start(*shape: int, fan_in: int | None = None) -> Any:
    return Uniform(shape, shape[-1] if fan_in is None else fan_in)


def _fresh_statistics(widths: tuple[int, ...], cells: int, partial: int) -> SupernetStatistics:
    return SupernetStatistics(
        stem=fresh_moments(widths[0]),
        cells=tuple(fresh_moments(cells, len(EDGES), 2, width // partial) for width in widths),
        reductions=tuple(fresh_moments(2, width) for width in widths[1:]),
        head=fresh_moments(widths[-1]),
    )
