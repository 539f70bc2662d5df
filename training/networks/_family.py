"""What the commands and files know of the networks of a space: the form of a row, and what rows share."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import FormName, Network, Space, Supernet, Weights
from jnas.training.operations._forms import fastest_form

Named = Iterator[tuple[str, np.ndarray]]
"""The name of each array in a file of weights, and a view of it in the file's order of axes."""


def count_flops(archs: np.ndarray, network: Network) -> np.ndarray:
    """Returns multiply-adds over their mean, float64 `[N, 1]`: what time goes with where nothing better is known."""
    flops = np.asarray(jax.vmap(network.flops)(jnp.asarray(archs, jnp.int32)), float)
    shares: np.ndarray = flops[:, None] / flops.mean()
    return shares


def name_leaves(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    """Yields all arrays as they are, by their place in the two pytrees."""
    for kind, tree in (("parameters", parameters), ("statistics", statistics)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            yield kind + jax.tree_util.keystr(path), leaf


class FlaxNetworks(NamedTuple):
    """How the networks of a family become Flax modules.

    Attributes:
      module: The class of the modules.
      make: `make(arch, weights, epsilon, momentum) -> module`, of one run.
      weights_of: `weights_of(module)`: the weights that it holds, in the form in which trainings return them.
    """

    module: type
    make: Callable[[np.ndarray, Weights, float, float], Any]
    weights_of: Callable[[Any], Weights]


class Family(NamedTuple):
    """The networks of a space: how they are made, trained, timed and kept.

    Attributes:
      name: Of the space, as `jnas.spaces.get` knows it.
      network: `network(form, archs, image_shape=, num_classes=, channels=, cells=, epsilon=) -> Network`; `archs` as
        `make_network` is given them. Where it is asked for, with `rematerialize=True`; so is `supernet`. None for
        a space of decisions about cells of another, which are trained as that one's.
      forms: The names that `network` takes.
      recipes: The names of the default recipes, for the digits and for other data.
      parameters: The type of what `Network.init` returns first, by which weights are known again.
      default_form: Returns the fastest form on the default backend.
      text: Whether they learn texts; `network` is then given `num_words=` and `channels=` alone, and with `nodes=`
        where `by_nodes`.
      by_nodes: Whether the number of a cell's nodes can be chosen; it is an argument of the space too, `num_nodes=`.
      nodes_of: `nodes_of(parameters)`, how many nodes the cells of such parameters have, where `by_nodes`.
      alone: The form in which commands train one architecture by itself; None for that of many.
      supernet: `supernet(form, image_shape=, num_classes=, channels=, cells=) -> Supernet`; None where there is none.
        With `max_vertices=` too, where `by_vertices`.
        Of texts `supernet(form, num_words=, channels=, settings=)`, with `nodes=` where `by_nodes`.
      supernet_forms: The names that `supernet` takes.
      searched: The channels and the cells in each stage of published searches.
      search_recipes: Of texts: the recipes by which searches read Python's documentation, and other texts.
      named_arrays: `named_arrays(arch, parameters, statistics)`, NumPy's, yields what the architecture has, as a file
        of weights names it.
      time_features: `time_features(archs [N, E], network) -> float [N, F]`, to which seconds of an epoch are fitted.
      cells: `cells(vertices) -> archs [N, E]`, what a table is made of: all up to so many vertices, where
        `by_vertices`; None for all that the space's index counts.
      sub_spaces: Names of parts of the space that `supernet` takes as `operations=`.
      by_vertices: Whether cells can be chosen by their number of vertices.
      representatives: Returns, for each architecture of the space by its index, the one whose runs it can have, int32
        `[N]`; None where each is trained.
      padding: `padding(batches [..., K, E])`, how many times the work of its candidates a sorted batch does.
      auxiliary: Whether networks can have an auxiliary head; `network` is then given `auxiliary=True` where a recipe
        has one.
      compile_seconds: What the program of some epochs takes to compile on a CPU core, roughly.
      macs_per_second: Multiply-adds of a CPU core in training, roughly.
      bfloat16: Whether networks can compute their images in bfloat16; `network` is then given `dtype='bfloat16'` where
        that is asked for.
      cells_counted: Where a recipe counts cells.
      flax: Imports what makes Flax modules of them; None where there is nothing.
    """

    name: str
    network: Callable[..., Network] | None
    forms: tuple[FormName, ...]
    recipes: tuple[str, str]
    parameters: type
    default_form: Callable[[], FormName] = fastest_form
    supernet: Callable[..., Supernet] | None = None
    supernet_forms: tuple[FormName, ...] = ()
    searched: tuple[int, int] = (16, 5)
    named_arrays: Callable[[np.ndarray, Any, Any], Named] = name_leaves
    time_features: Callable[[np.ndarray, Network], np.ndarray] = count_flops
    cells: Callable[[int | None], np.ndarray] | None = None
    sub_spaces: tuple[str, ...] = ()
    by_vertices: bool = False
    representatives: Callable[[], np.ndarray] | None = None
    padding: Callable[[np.ndarray], float] | None = None
    flax: Callable[[], FlaxNetworks] | None = None
    auxiliary: bool = False
    bfloat16: bool = False
    cells_counted: str = "in each stage"
    alone: FormName | None = None
    compile_seconds: float = 10.0
    macs_per_second: float = 5e9
    text: bool = False
    by_nodes: bool = False
    nodes_of: Callable[[Any], int] | None = None
    search_recipes: tuple[str, str] | None = None


def all_archs(space: Space) -> np.ndarray:
    """Returns every architecture of a space by its index, int32 `[N, E]`."""
    assert space.from_index is not None
    assert space.size is not None
    return np.asarray(jax.vmap(space.from_index)(jnp.arange(space.size)), np.int32)


# What the names of kernels and batch-norms have in common.


def name_convolution(name: str, kernel: np.ndarray, size: int) -> Named:
    """Yields `[size, size, C, C']` of a kernel `[C', 9 C]`, or of the middle tap of one."""
    outputs = kernel.shape[0]
    taps = kernel.reshape(outputs, 3, 3, -1)
    if size == 1:
        taps = taps[:, 1:2, 1:2]
    yield f"{name}/kernel", taps.transpose(1, 2, 3, 0)


def name_norm(name: str, parameters: Any, statistics: np.ndarray, *place: int, channels: slice = slice(None)) -> Named:
    """Yields what a batch-norm has; `place` says which of several it is."""
    yield f"{name}/scale", parameters.scale[place][channels]
    yield f"{name}/shift", parameters.shift[place][channels]
    yield f"{name}/mean", statistics[place][0, channels]
    yield f"{name}/variance", statistics[place][1, channels]
