"""The supernets of NAS-Bench-1Shot1's three spaces."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Decisions, Key, Preferences, Space, Supernet, decisions_of
from jnas.spaces._registry import get
from jnas.spaces.nasbench101._cells import OPERATIONS, pruned
from jnas.spaces.nasbench101._cost import NUM_STACKS, check_image_size, check_image_sizes
from jnas.spaces.nasbench101._one_shot import cell_of, parent_rows
from jnas.training.networks._initial import Constant, Uniform, fresh_moments, initial_arrays, moved_moments
from jnas.training.networks.nasbench101._module import CONV_1X1, CONV_3X3, TAPS, ConvBatchNorm, ModuleSettings
from jnas.training.networks.nasbench101._network import Nasbench101Head, NasBench101Statistics, apply_by_modules
from jnas.training.networks.nasbench101._one_shot_module import (
    OneShotModule,
    OneShotStatistics,
    Weighed,
    one_shot_fresh,
    one_shot_module,
    one_shot_starts,
)
from jnas.training.networks.nasbench101._shared_module import fresh_convolution
from jnas.training.operations._convolutions import Convolution, check_convolution
from jnas.training.operations._layouts import batch_last_layout


class OneShotShared(NamedTuple):
    """What a supernet learns."""

    stem: ConvBatchNorm
    modules: tuple[OneShotModule, ...]  # of all stacks, one after another
    head: Nasbench101Head


class _Reads(NamedTuple):
    """Which vertices the blocks 1 to `n` and the output, `n + 1`, can read."""

    rows: list[np.ndarray]  # bool [sets, v] of vertex v, in the order of the space's choices

    @property
    def blocks(self) -> int:
        return len(self.rows) - 1

    @property
    def open(self) -> list[np.ndarray]:
        """Returns those of vertices that have a choice."""
        return [own for own in self.rows if len(own) > 1]


def nasbench1shot1_supernet(
    number: int,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channels: int = 16,
    cells: int = 3,
    epsilon: float = 1e-5,
    convolution: Convolution = "auto",
    rematerialize: bool = False,
) -> Supernet:
    """Returns the supernet of a space of NAS-Bench-1Shot1, of choice blocks as the paper has them.

    A convolution, three stacks of modules with pooling between them, a 1x1 convolution, global pooling and a linear
    layer. All blocks of a module have as many channels as its stack: unlike cells of NAS-Bench-101, whose vertices
    share the channels of the output, so that a cell's accuracy here is not that of its network in the table.
    Batch-norms of operations learn no scale and shift, those of projections do; pooling has none.

    Not as released: pooling between stacks has no border (theirs makes 17 and 9 pixels of 32). GDAS, and whatever else
    draws whole cells, decides among sets of predecessors; the released GDAS draws operations alone, and weighs
    predecessors softly.

    Args:
      number: 1 to 3.
      image_shape: Height, width, channels; height and width are multiples of 4.
      num_classes: Outputs.
      channels: Of the stem and of a block in the first stack, at least 4; published with 16.
      cells: Modules in each stack; published with 3.
      epsilon: Of batch-norm.
      convolution: How the stem's 3x3 convolution is said.
      rematerialize: Whether gradients compute each module again, of which then the input alone is kept.

    Returns:
      A supernet over the space's own decisions, independent ones: sets of predecessors, and operations. An edge has the
      sum of the weights of the sets that it is in, so that the mixture at one-hot weights is the sampled cell.
      `Supernet.preferences`, which DARTS and FBNet learn, are the published ones: of each block that has a choice, and
      of the output, a softmax over single predecessors weighs them, and the likeliest of as many as are read are
      taken; as a distribution, a set is as likely as the exponential of the sum of its members' preferences.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is out of range, or the image's is not a multiple of 4.

    References:
      "NAS-Bench-1Shot1: Benchmarking and Dissecting One-shot Neural Architecture Search", Zela et al., 2020, Section 3.
    """
    height, width, image_channels = image_shape
    check_image_sizes(channels=channels, cells=cells, classes=num_classes, image_channels=image_channels)
    check_image_size(height, width)
    check_convolution(convolution)
    space, reads = get(f"nasbench1shot1_{number}"), _Reads(parent_rows(number))
    stacks = tuple(stack for stack in range(NUM_STACKS) for _ in range(cells))
    widths = tuple(channels * 2**stack for stack in stacks)
    settings = ModuleSettings(epsilon, batch_last_layout(convolution))

    def init(key: Key) -> tuple[OneShotShared, NasBench101Statistics]:
        starts = _starts(reads.blocks, widths, channels, image_channels, num_classes)
        return initial_arrays(key, starts), _fresh(reads.blocks, widths, channels)

    def apply(what: Weighed, parameters: Any, statistics: Any, images: Array) -> tuple[Array, Any]:
        module: Callable[..., Any] = functools.partial(one_shot_module, settings)
        module = jax.checkpoint(module) if rematerialize else module
        return apply_by_modules(module, settings, cells, parameters, statistics, what, images, True)

    def mixture(parameters: Any, statistics: Any, weights: Array, images: Array) -> tuple[Array, Any]:
        return apply(_by_sets(reads, weights), parameters, statistics, images)

    def sampled(parameters: Any, statistics: Any, arch: Array, images: Array) -> tuple[Array, Any]:
        weights = jax.nn.one_hot(arch, max(space.num_choices), dtype=images.dtype)
        what = _by_sets(reads, weights)._replace(operations=None, chosen=_operations_of(number, reads, arch))
        return apply(what, parameters, statistics, images)

    def straight_through(
        parameters: Any, statistics: Any, weights: Array, choices: Array, images: Array
    ) -> tuple[Array, Any]:
        what = _by_sets(reads, weights)._replace(chosen=choices[-reads.blocks :])
        return apply(what, parameters, statistics, images)

    def by_parents(parameters: Any, statistics: Any, weights: Array, images: Array) -> tuple[Array, Any]:
        return apply(_by_parents(reads, weights), parameters, statistics, images)

    supernet = Supernet(
        init=init,
        mixture=mixture,
        sampled=sampled,
        straight_through=straight_through,
        running=functools.partial(_running, number, reads, stacks, height * width),
        space=space,
        form="switch",
        rematerialize=rematerialize,
        preferences=_preferences(space, reads, by_parents),
    )
    are_operations = np.arange(space.num_decisions) >= len(reads.open)
    return supernet._replace(decisions=decisions_of(supernet)._replace(operations=are_operations))


def _by_sets(reads: _Reads, weights: Array) -> Weighed:
    """Returns what weights `[E, K]` of the space's decisions mix."""
    rows = iter(weights)
    into = tuple(
        (next(rows)[: len(own)] if len(own) > 1 else jnp.ones(1, weights.dtype)) @ own.astype(np.float32)
        for own in reads.rows
    )
    return Weighed(into, weights[-reads.blocks :, : len(OPERATIONS)])


def _by_parents(reads: _Reads, weights: Array) -> Weighed:
    """Returns what weights `[E, C]` of single predecessors, and of operations, mix; 1 where there is no choice."""
    rows = iter(weights)
    into = tuple(
        next(rows)[: own.shape[1]] if len(own) > 1 else jnp.ones(own.shape[1], weights.dtype) for own in reads.rows
    )
    return Weighed(into, weights[-reads.blocks :, : len(OPERATIONS)])


def _operations_of(number: int, reads: _Reads, arch: Array) -> Array:
    """Returns the operations of a cell's blocks, int32 `[n]`, 3 where none leads to the output."""
    _, used = pruned(cell_of(number)(arch))
    return jnp.where(used[1 : reads.blocks + 1], arch[-reads.blocks :], len(OPERATIONS))


def _preferences(space: Space, reads: _Reads, mixture: Callable[..., tuple[Any, Any]]) -> Preferences:
    """Returns the published preferences, for single predecessors and for operations."""
    counts = [own.shape[1] for own in reads.open] + [len(OPERATIONS)] * reads.blocks
    most = max(counts)
    mask = np.arange(most)[None] < np.asarray(counts)[:, None]
    told = [tuple(map(str, range(own.shape[1]))) for own in reads.open] + [OPERATIONS] * reads.blocks
    names = tuple((*row, *[""] * (most - len(row))) for row in told)

    def of_choices(logits: Array) -> Array:
        """Returns the logits `[E, K]` of the space's choices, that of a set the sum of its members'."""
        kept = max(space.num_choices)
        rows = [
            jnp.sum(jnp.where(own, row[None, : own.shape[1]], 0), axis=1)
            for own, row in zip(reads.open, logits, strict=False)
        ]
        rows += list(logits[len(rows) :, : len(OPERATIONS)])
        return jnp.stack([jnp.pad(row, (0, kept - len(row)), constant_values=-jnp.inf) for row in rows])

    def log_probability(logits: Array, archs: Array) -> Array:
        logs = jax.nn.log_softmax(of_choices(logits), axis=1)
        chosen = jnp.take_along_axis(logs[None], archs[:, :, None], axis=2)
        return jnp.sum(chosen[:, :, 0], axis=1)

    return Preferences(
        decisions=Decisions(mask, names),
        mixture=mixture,
        discretize=lambda logits: jnp.argmax(of_choices(logits), axis=1).astype(jnp.int32),
        probabilities=lambda logits: jax.nn.softmax(of_choices(logits), axis=1),
        log_probability=log_probability,
    )


def _running(
    number: int,
    reads: _Reads,
    stacks: tuple[int, ...],
    pixels: int,
    statistics: NasBench101Statistics,
    used: NasBench101Statistics,
    keep: float,
    shape: tuple[int, ...],
    arch: Array | None = None,
) -> NasBench101Statistics:
    """Returns running estimates after a batch of images of a shape `[B, H, W, C]`."""
    count = shape[0] * pixels
    ran = None
    if arch is not None:
        operations = _operations_of(number, reads, arch)
        ran = (operations[:, None] == np.asarray([CONV_3X3, CONV_1X1])[None])[:, :, None, None]

    def module(old: OneShotStatistics, new: OneShotStatistics, stack: int) -> OneShotStatistics:
        moved: OneShotStatistics = jax.tree.map(lambda o, n: moved_moments(o, n, keep, count // 4**stack), old, new)
        return moved if ran is None else moved._replace(blocks=jnp.where(ran, moved.blocks, old.blocks))

    return NasBench101Statistics(
        moved_moments(statistics.stem, used.stem, keep, count),
        tuple(map(module, statistics.modules, used.modules, stacks)),
    )


def _starts(blocks: int, widths: tuple[int, ...], stem: int, image_channels: int, num_classes: int) -> OneShotShared:
    """Returns how the parameters start, as `initial_arrays` takes it."""
    inputs = (stem, *(blocks * width for width in widths[:-1]))
    head: tuple[Any, ...] = (Uniform((num_classes, widths[-1]), widths[-1]), Constant((num_classes,), 0.0))
    modules = (
        one_shot_starts(blocks, before, width, place == len(widths) - 1)
        for place, (before, width) in enumerate(zip(inputs, widths, strict=True))
    )
    return OneShotShared(fresh_convolution(stem, TAPS * image_channels), tuple(modules), Nasbench101Head(*head))


def _fresh(blocks: int, widths: tuple[int, ...], stem: int) -> NasBench101Statistics:
    modules = (one_shot_fresh(blocks, width, place == len(widths) - 1) for place, width in enumerate(widths))
    return NasBench101Statistics(fresh_moments(stem), tuple(modules))
