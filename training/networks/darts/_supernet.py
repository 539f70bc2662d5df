"""The search network of the DARTS space: all operations on all edges of its cells, mixed or one at a time."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key, Sequential, Supernet, decisions_of
from jnas.spaces.darts._cells import EDGES, NODES
from jnas.spaces.darts._edge_choices import (
    INTO_NODE,
    NONE,
    NUM_CELLS,
    choice_frequencies,
    edge_operations,
    edge_space,
    likeliest_cells,
    node_choices,
    of_node_choices,
    to_node_choices,
)
from jnas.training.networks._edge_weights import weighted_edges
from jnas.training.networks._initial import Constant, Uniform, fresh_moments, initial_arrays
from jnas.training.networks._normalized_convolution import NormalizedConvolution
from jnas.training.networks.darts._edge import NOISE, factorized_reduction
from jnas.training.networks.darts._network import (
    STEM_MULTIPLIER,
    CellSize,
    CellStatistics,
    LinearLayer,
    cell_sizes,
)
from jnas.training.networks.darts._search_cell import (
    NORMS_OF,
    NUM_NORMS,
    Control,
    Kind,
    SearchEdges,
    search_edges,
)
from jnas.training.networks.nasbench201._network import check_network_sizes
from jnas.training.operations._convolutions import patches
from jnas.training.operations._many_kernels import normalize_batch
from jnas.training.operations._noise import noise_seeds
from jnas.training.operations._normalized import learned_norm, pointwise
from jnas.training.operations._partial import check_parts, one_hot_but

_SHAPE = (NUM_CELLS, len(EDGES))


class SearchCell(NamedTuple):
    """What a cell learns."""

    first: Array  # float [C, C'], a 1x1 convolution, or the two of a factorized reduction
    second: Array  # float [C, C']
    edges: SearchEdges


class DartsShared(NamedTuple):
    """What the search network learns."""

    stem: NormalizedConvolution
    cells: tuple[SearchCell, ...]
    head: LinearLayer


class SharedMoments(NamedTuple):
    """Means and variances of every batch-norm."""

    stem: Array  # float [2, 3 C]
    cells: tuple[CellStatistics, ...]  # of edges float [14, 9, 2, C]


def darts_supernet(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 16,
    cells: int = 8,
    epsilon: float = 1e-5,
    rematerialize: bool = False,
    partial: int = 1,
    operations: str | None = None,
) -> Supernet:
    """Returns the search network of the DARTS space.

    Stem, cells and head are those of `darts_network`; each of a cell's 14 edges has the weights of all operations, none
    of its batch-norms has scale or shift, and pools have one too, as published. An architecture is one of 8 operations
    on each edge of both cells, int32 `[28]`: `none`, the last one, on all edges but two into each node. `sampled`
    computes any choice. Preferences become the two cells that DARTS derives. (GDAS trains all edges, as published.)

    Gradients compute each edge again, so that a search takes the memory of the nodes and of one edge's operations.

    Args:
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the first cells' nodes.
      cells: All of them.
      epsilon: Of batch-norm.
      rematerialize: Whether gradients compute each cell again too, of which then the inputs alone are kept.
      partial: In how many parts the channels of an edge are, of which the first goes through its operations; the others
        pass, pooled where the edge halves the image, and the parts are shuffled. Such a network has no straight-through
        pass, and its `sampled` computes the mixture, by weights of 0 and 1.
      operations: `'s1'`, `'s2'`, `'s3'` or `'s4'`, sub-spaces of RobustDARTS: two operations on each edge, and in S3
        `none` among what is mixed. Operations that no edge has are not computed; their weights are there, and idle. The
        noise of S4 follows from the batch and the place: another one for each batch, edge and cell.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, the image's is not a multiple of 4, channels have no such parts, or there is
        no such sub-space.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 2 and A.1.
      "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", Xu et al., 2020, Section 3.
      "Understanding and Robustifying Differentiable Architecture Search", Zela et al., 2020, Section 3.1.
    """
    height, width, image_channels = image_shape
    check_network_sizes(height, width, image_channels, num_classes, channels, cells)
    check_parts(partial, channels)
    sizes = cell_sizes(channels, cells)
    table = edge_operations(operations)
    noisy = NOISE in table
    absent, computed = table.shape[1], tuple(np.unique(table).tolist())
    numbers = np.concatenate([table, np.full((len(table), 1), NONE, np.int32)], 1)  # [28, K], of each choice

    def numbered(arch: Array) -> Array:
        return jnp.asarray(arch) if operations is None else jnp.asarray(numbers)[np.arange(len(table)), arch]

    def by_number(weights: Array) -> Array:
        if operations is not None:
            weights = (
                jnp.zeros((len(table), NONE + 1 + noisy), weights.dtype)
                .at[np.arange(len(table))[:, None], numbers]
                .set(weights)
            )
        return weights.reshape(*_SHAPE, -1)

    def init(key: Key) -> tuple[DartsShared, SharedMoments]:
        return initial_arrays(key, _starts(sizes, channels, image_channels, num_classes, partial)), _fresh(
            sizes, channels, partial
        )

    def run(
        kind: Kind, parameters: DartsShared, statistics: SharedMoments | None, control: Control, images: Array
    ) -> tuple[Array, SharedMoments]:
        stem, turned = parameters.stem, images.transpose(3, 1, 2, 0)
        convolved = (stem.kernel @ patches(turned)).reshape(-1, *turned.shape[1:])
        given = None if statistics is None else statistics.stem
        last, used_stem = learned_norm(convolved, stem.scale, stem.shift, given, epsilon)
        seeds = noise_seeds(images, (cells, len(EDGES))) if noisy else [None] * cells
        before, used = last, []
        for number, size in enumerate(sizes):
            own = Control(*(None if leaf is None else leaf[int(size.reduction)] for leaf in control))
            own = own._replace(seed=seeds[number])
            through: Callable[..., Any] = functools.partial(_cell, kind, epsilon, computed, size)
            through = jax.checkpoint(through) if rematerialize else through
            out, each = through(
                own, before, last, parameters.cells[number], None if statistics is None else statistics.cells[number]
            )
            before, last = last, out
            used.append(each)
        logits = (parameters.head.kernel @ jnp.mean(last, (1, 2))).T + parameters.head.bias[None]
        return logits, SharedMoments(used_stem, tuple(used))

    def mixture(parameters: Any, statistics: Any, weights: Array, images: Array) -> tuple[Array, Any]:
        return run("mixture", parameters, statistics, Control(by_number(weights), None), images)

    def sampled(parameters: Any, statistics: Any, arch: Array, images: Array) -> tuple[Array, Any]:
        if partial > 1:
            return mixture(parameters, statistics, one_hot_but(absent, arch, absent + 1), images)
        return run("sampled", parameters, statistics, Control(None, numbered(arch).reshape(_SHAPE)), images)

    def straight_through(
        parameters: Any, statistics: Any, weights: Array, arch: Array, images: Array
    ) -> tuple[Array, Any]:
        control = Control(by_number(weights), numbered(arch).reshape(_SHAPE))
        return run("straight_through", parameters, statistics, control, images)

    def in_parts(parts: int) -> Supernet:
        return darts_supernet(
            image_shape=image_shape,
            num_classes=num_classes,
            channels=channels,
            cells=cells,
            epsilon=epsilon,
            rematerialize=rematerialize,
            partial=parts,
            operations=operations,
        )

    def running(
        statistics: SharedMoments, used: SharedMoments, keep: float, shape: tuple[int, ...], arch: Array | None = None
    ) -> SharedMoments:
        ran = None if arch is None else numbered(arch)
        return _running(sizes, height * width, statistics, used, keep, shape, ran)

    supernet = Supernet(
        init=init,
        mixture=mixture,
        sampled=sampled,
        straight_through=straight_through if partial == 1 else None,
        running=running,
        space=edge_space(operations),
        form="switch",
        discretize=likeliest_cells,
        rematerialize=rematerialize,
        partial=in_parts if partial == 1 else None,
    )
    own = decisions_of(supernet)._replace(independent=False, absent=absent, uniform=choice_frequencies(absent))
    if operations not in (None, "s3"):  # `none` is not among what a search mixes
        own = own._replace(mask=np.tile(np.arange(absent + 1) < absent, (len(table), 1)))
    into = tuple(range(cell + node.start, cell + node.stop) for cell in (0, len(EDGES)) for node in INTO_NODE)
    return supernet._replace(
        decisions=own,
        weighted_edges=weighted_edges(own, into, mixture, likeliest_cells),
        into_nodes=tuple(tuple(map(tuple, into[cell : cell + NODES])) for cell in (0, NODES)),
        sequential=Sequential(
            node_choices(table),
            functools.partial(of_node_choices, none=absent),
            functools.partial(to_node_choices, none=absent),
        ),
    )


def _cell(
    kind: Kind,
    epsilon: float,
    computed: tuple[int, ...],
    size: CellSize,
    control: Control,
    before: Array,
    last: Array,
    parameters: SearchCell,
    statistics: CellStatistics | None,
) -> tuple[Array, CellStatistics]:
    """Returns a cell's concatenated nodes `[4 C, H, W, B]` and the statistics used."""
    first, second, of_edges = statistics or (None, None, None)
    reduce = factorized_reduction if size.after_reduction else pointwise
    before, used_1 = normalize_batch(reduce(jax.nn.relu(before), parameters.first), first, epsilon)
    last, used_2 = normalize_batch(pointwise(jax.nn.relu(last), parameters.second), second, epsilon)
    stride = 2 if size.reduction else 1
    nodes, used = search_edges(kind, stride, epsilon, control, (before, last), parameters.edges, of_edges, computed)
    return nodes.reshape(-1, *nodes.shape[2:]), CellStatistics(used_1, used_2, used)


def _running(
    sizes: tuple[CellSize, ...],
    pixels: int,
    statistics: SharedMoments,
    used: SharedMoments,
    keep: float,
    shape: tuple[int, ...],
    arch: Array | None = None,
) -> SharedMoments:
    """Returns running estimates after a batch of images of a shape `[B, H, W, C]`; the variance is the unbiased one."""

    def update(old: Array, new: Array, count: int) -> Array:
        unbiased = jnp.asarray([1.0, count / max(count - 1, 1)], new.dtype)
        return keep * old + (1 - keep) * new * unbiased.reshape((1,) * (new.ndim - 2) + (2, 1))

    def cell(old: CellStatistics, new: CellStatistics, size: CellSize) -> CellStatistics:
        count = shape[0] * pixels // 4**size.halvings
        before = count * 4 if size.reduction else count
        moved = update(old.edges, new.edges, count)
        ran = _ran(size, None if arch is None else jnp.asarray(arch).reshape(_SHAPE)[int(size.reduction)])
        edges = jnp.where(ran[:, :, None, None], moved, old.edges)
        return CellStatistics(update(old.first, new.first, before), update(old.second, new.second, before), edges)

    stem = update(statistics.stem, used.stem, shape[0] * pixels)
    return SharedMoments(stem, tuple(map(cell, statistics.cells, used.cells, sizes)))


def _ran(size: CellSize, choices: Array | None) -> Array:
    """Returns which batch-norms of a cell ran, bool `[14, 9]`: of all operations, or of those chosen `[14]`."""
    of_choice = np.zeros((NOISE + 1, NUM_NORMS), bool)
    for choice, norms in NORMS_OF.items():
        of_choice[choice, list(norms)] = True
    halved = np.asarray([size.reduction and state < 2 for state, _ in EDGES])
    there = np.where(np.arange(NUM_NORMS)[None] == 2, halved[:, None], True)  # a skip that keeps the size has none
    if choices is None:
        return jnp.asarray(there)
    return jnp.asarray(of_choice)[choices] & there


def _starts(
    sizes: tuple[CellSize, ...], channels: int, image_channels: int, num_classes: int, partial: int
) -> DartsShared:
    """Returns how every array starts, as `initial_arrays` takes it."""

    def uniform(*shape: int, fan_in: int | None = None) -> Any:
        return Uniform(shape, shape[-1] if fan_in is None else fan_in)

    def cell(size: CellSize) -> SearchCell:
        width, part, edges = size.channels, size.channels // partial, len(EDGES)
        weights = SearchEdges(
            uniform(edges, 3, part, 3, 3, fan_in=9),
            uniform(edges, 3, part, 5, 5, fan_in=25),
            uniform(edges, 6, part, part),
            uniform(2 * NODES, part, part) if size.reduction else None,
        )
        return SearchCell(uniform(width, size.inputs[0]), uniform(width, size.inputs[1]), weights)

    stem, last = STEM_MULTIPLIER * channels, NODES * sizes[-1].channels
    norm: Any = Constant((stem,), 1.0), Constant((stem,), 0.0)
    return DartsShared(
        NormalizedConvolution(uniform(stem, 9 * image_channels), *norm),
        tuple(map(cell, sizes)),
        LinearLayer(uniform(num_classes, last), uniform(num_classes, fan_in=last)),
    )


def _fresh(sizes: tuple[CellSize, ...], channels: int, partial: int) -> SharedMoments:
    def cell(size: CellSize) -> CellStatistics:
        width, of_edges = size.channels, fresh_moments(len(EDGES), NUM_NORMS, size.channels // partial)
        return CellStatistics(fresh_moments(width), fresh_moments(width), of_edges)

    return SharedMoments(fresh_moments(STEM_MULTIPLIER * channels), tuple(map(cell, sizes)))
