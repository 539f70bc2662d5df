"""A pass through a network of NAS-Bench-201 on which a tap looks."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jnas.core._vocabulary import Array, Tap
from jnas.training.networks._taps import watch, watched_places
from jnas.training.networks.nasbench201._blocks import halve, through_cell
from jnas.training.networks.nasbench201._edge import make_tapped_edge
from jnas.training.operations._convolutions import batch_norm
from jnas.training.operations._forms import Form
from jnas.training.operations._layouts import Layout


def tapped_pass(
    parameters: Any,
    arch: Array,
    images: Array,
    tap: Tap,
    given: Any,
    *,
    form: Form,
    epsilon: float,
    layout: Layout,
) -> tuple[Array, dict[str, Any]]:
    """Returns logits and what the tap keeps; see `Network.tapped`.

    Args:
      parameters: `NasBench201Parameters`.
      arch: int32 `[6]`.
      images: `[B, H, W, C]`.
      tap: What looks on.
      given: Of the structure of the records, or None.
      form: How an edge's operation is chosen.
      epsilon: Of batch-norm.
      layout: The order of the images' axes, and the convolutions.
    """
    edge = make_tapped_edge(form, epsilon, layout, tap)
    normalize = functools.partial(batch_norm, epsilon=epsilon, axis=layout.axis)
    given = given or {}
    at, records = watched_places(tap, given, layout.axis)

    def through(images: Array, cell: Any) -> tuple[Array, dict[str, Any]]:
        own, own_given = cell
        told = own_given or {}
        images, edges = through_cell(edge, arch, images, own, told.get("edges"))
        see, whole = watch(tap, told.get("whole"), layout.axis)
        return see("cell", images), {"edges": edges, "whole": whole}

    stem, head = parameters.stem, parameters.head
    see = at("0 stem")
    images = see("convolution", layout.convolve_first(layout.enter(images), stem.kernel), stem.kernel.shape[1])
    images, used = normalize(images, stem.scale, stem.shift, None)
    see("moments", used, images.size // images.shape[layout.axis])
    images = see("normalized", images, copies=3)
    for stage, cells in enumerate(parameters.cells):
        if stage:
            name = f"{stage + 1} between"
            sees = tuple(at(f"{name} {part}") for part in ("first", "second", "shortcut"))
            images, _ = halve(images, parameters.reductions[stage - 1], None, normalize, layout, sees)
            images = at(name)("cell", images)
        place = f"{stage + 1} cells"
        images, records[place] = lax.scan(through, images, (cells, given.get(place)), unroll=True)
        images = at(f"{stage + 1} stage")("stage", images)
    see = at(f"{len(parameters.cells) + 1} head")
    images, used = normalize(images, head.scale, head.shift, None)
    see("moments", used, images.size // images.shape[layout.axis])
    images = see("activation", jax.nn.relu(see("rectifier", see("normalized", images))), copies=2)
    images = see("features", images)
    logits = layout.classify(jnp.mean(images, (1, 2)), head.kernel, head.bias)
    return see("convolution", logits, head.kernel.shape[1]), records
