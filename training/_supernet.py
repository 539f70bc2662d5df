"""What weight-sharing searchers need of a supernet."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jnas.core._vocabulary import Array, Key, Space
from jnas.training.operations._forms import FormName, over_members


class Supernet(NamedTuple):
    """One network that holds the weights of all architectures of a space, as pure functions.

    `E` decisions of `K` operations each; every operation of every edge has weights of its own, and batch-norms are
    without scale and shift. Images are float `[B, H, W, C]`, logits `[B, classes]`. With `statistics=None` each
    batch-norm uses the batch's own mean and variance, and `used` tells them, in the structure of `statistics`; where
    an operation was not run, `used` holds zeros.
    """

    init: Callable[[Key], tuple[Any, Any]]
    """`init(key) -> (parameters, statistics)`, the statistics being running estimates before the first batch."""

    mixture: Callable[[Any, Any, Array, Array], tuple[Array, Any]]
    """`mixture(parameters, statistics, weights [E, K], images) -> (logits, used)`: on each edge the sum of all
    operations by these weights (DARTS)."""

    sampled: Callable[[Any, Any, Array, Array], tuple[Array, Any]]
    """`sampled(parameters, statistics, arch [E], images) -> (logits, used)`: one operation on each edge, and the work
    of no other."""

    straight_through: Callable[[Any, Any, Array, Array, Array], tuple[Array, Any]]
    """`straight_through(parameters, statistics, weights [E, K], arch [E], images) -> (logits, used)`: on each edge
    `weights[arch] * operation(images)` plus the sum of the other weights, which are numbers added to every pixel: with
    one-hot weights the value of `sampled`, and the gradient in the weights that GDAS was published with."""

    running: Callable[..., Any]
    """`running(statistics, used, keep, shape of images, arch=None) -> statistics`: running estimates after a batch;
    with `arch [E]` only those of the operations that it ran (and of what every architecture has)."""

    space: Space
    form: FormName
    """How one operation on an edge becomes a program; see `over_seeds`."""


def over_seeds(function: Callable[..., Any], supernet: Supernet) -> Callable[..., Any]:
    """Returns `function` of arguments with a leading axis of seeds: a loop where the supernet branches, else `vmap`.

    On CPUs a loop is faster for `mixture` too: what one seed works on stays in the cache.
    """
    return over_members(function, supernet.form)
