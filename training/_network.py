"""What the training loop needs of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jnas.core._vocabulary import Array, Space
from jnas.training.operations._forms import FormName


class Network(NamedTuple):
    """The networks of all architectures of a space, as pure functions of parameters that fit every one of them."""

    init: Callable[[Array, Array], tuple[Any, Any]]
    """`init(key, arch) -> (parameters, statistics)`, pytrees whose shapes do not depend on the architecture; what an
    architecture does not have is zero and stays zero."""

    apply: Callable[[Any, Any, Array, Array], tuple[Array, Any]]
    """`apply(parameters, statistics, arch, images) -> (logits, used)`.

    Images are float `[B, H, W, C]`, logits `[B, classes]`. With `statistics=None` each batch-norm uses the batch's own
    mean and variance and returns them in `used`, of the structure of `statistics`."""

    has: Callable[[Any], Any]
    """`has(arch)`: a pytree like the parameters, bool arrays that say which of them the architecture has."""

    counts: Callable[[tuple[int, ...]], Any]
    """`counts(shape of images)`: a pytree like the statistics, how many numbers each of them is taken over."""

    parameters: Callable[[Array], Array]
    """`parameters(arch)`: the number of parameters, float32 `[]`, in millions."""

    flops: Callable[[Array], Array]
    """`flops(arch)`: multiply-adds of one image, float32 `[]`, in millions."""

    space: Space
    form: FormName

    specialize: Callable[[Array, Callable[..., Any]], Callable[..., Any]] | None = None
    """`specialize(arch, function)(*arguments)`: what `function(apply, *arguments)` returns, by the smallest of several
    programs that the architecture fits. There is a branch for each program; a gradient that is taken in `function` lies
    inside of it, so that no program keeps room for the others. `None` where one program does for all."""


class Weights(NamedTuple):
    """What a run learned."""

    parameters: Any  # pytree of float32
    statistics: Any  # running means and variances of every batch-norm
