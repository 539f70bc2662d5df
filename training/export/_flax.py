"""The network of a found architecture as a Flax module, for a user's own code, and back."""

from collections.abc import Callable
from typing import Any

from jnas.core._vocabulary import Weights
from jnas.io._text import listed
from jnas.spaces._categorical import checked_arch
from jnas.training.export._weights import TrainedNetwork
from jnas.training.networks._families import FAMILIES, family_of, space_of


def to_flax(
    arch: Any,
    weights: Weights | TrainedNetwork | None = None,
    *,
    batch_norm_epsilon: float | None = None,
    batch_norm_momentum: float | None = None,
) -> Any:
    """Returns the network of a NAS-Bench-201 cell, a DARTS genotype or a recurrent cell as a Flax NNX module.

    The module has the operations of this architecture alone, an `nnx.Conv` and an `nnx.BatchNorm` for each convolution.
    It takes normalized images float `[B, H, W, C]` (`(pixels - dataset.mean) / dataset.std`), of any height and width
    that are multiples of 4, and returns logits `[B, classes]`. It starts in evaluation mode, where batch-norm uses the
    running estimates; `module.train()` switches to each batch's own statistics, which then also enter the estimates.
    These follow Flax's rule, in which the variance is the biased one; `train` follows PyTorch's unbiased one. Of DARTS,
    `module.with_auxiliary` gives the auxiliary head's logits too, where the recipe has one; no paths are dropped.

    A language model takes the numbers of tokens int `[B, T]`, and the state before them (by default that of a
    beginning), and returns logits `[B, T, V]` and the state after them, with which the next window begins. Its cell
    puts out the mean of all nodes. What training leaves out of it is not left out in a module.

    Args:
      arch: int `[6]`, of DARTS `[32]`, of recurrent cells `[2 n]`, or an architecture string; or, alone, what
        `load_weights` returns.
      weights: What `train` returns for it; `Weights(*network.init(key, arch))` for a network that has learned nothing;
        or what `load_weights` returns. The sizes of the network are those of the weights.
      batch_norm_epsilon: By default that of the recipe that `load_weights` found, and 1e-5 of other weights.
      batch_norm_momentum: What running estimates keep of themselves at a step of further training; by default the
        recipe's likewise, and 0.9 of other weights.

    Returns:
      An `nnx.Module`.

    Raises:
      ModuleNotFoundError: Flax is not installed.
      TypeError: `weights` is something else, is missing, or has not the arrays of one run.
      ValueError: `arch` is no cell of the space, or the weights are those of another architecture or of a network of
        NAS-Bench-101, for which there is no module.

    Example:
      Going on with the training::

        import jax, optax
        from flax import nnx

        curves, weights = training.train(key, arch, dataset, recipe, network)
        module = training.to_flax(arch, weights)
        logits = nnx.jit(lambda module, images: module(images))(module, images)

        optimizer = nnx.Optimizer(module, optax.sgd(0.01, momentum=0.9), wrt=nnx.Param)

        @nnx.jit
        def step(module, optimizer, images, labels):
            def loss_of(module):
                losses = optax.softmax_cross_entropy_with_integer_labels(module(images), labels)
                return losses.mean()

            loss, gradients = nnx.value_and_grad(loss_of)(module)
            optimizer.update(module, gradients)
            return loss

        module.train()
        loss = step(module, optimizer, images, labels)
        module.eval()
    """
    arch, found, epsilon, momentum = _of_a_file(arch, weights)
    family = family_of(getattr(found, "parameters", None))
    if family.flax is None:
        known = listed([row.name for row in FAMILIES.rows.values() if row.flax])
        raise ValueError(
            f"the weights are those of a {family.name} network, and to_flax makes modules of {known} networks alone; "
            f"apply them with jnas.training.make_network(dataset, recipe, 'static', arch, space={family.name!r}).apply"
        )
    flax_networks = _import(family.flax)
    space = space_of(family.name, family.nodes_of(found.parameters) if family.nodes_of else None)
    cell = space.from_string(arch) if isinstance(arch, str) else checked_arch(arch, space.num_choices)
    module = flax_networks.make(
        cell,
        found,
        epsilon if batch_norm_epsilon is None else batch_norm_epsilon,
        momentum if batch_norm_momentum is None else batch_norm_momentum,
    )
    module.eval()
    return module


def _of_a_file(arch: Any, weights: Any) -> tuple[Any, Any, float, float]:
    """Returns architecture, weights, and batch-norm's epsilon and momentum: the recipe's where a file says it."""
    if isinstance(arch, TrainedNetwork):
        if weights is not None:
            raise TypeError(
                "to_flax takes what load_weights returned alone, or an architecture and its weights, not both"
            )
        arch, weights = arch.arch, arch
    if weights is None:
        raise TypeError(
            "weights is missing: give to_flax(arch, weights), or to_flax(found) with what load_weights(path) returned"
        )
    if isinstance(weights, TrainedNetwork):
        return arch, weights.weights, weights.recipe.batch_norm_epsilon, weights.recipe.batch_norm_momentum
    return arch, weights, 1e-5, 0.9


def from_flax(module: Any) -> Weights:
    """Returns the weights that a module from `to_flax` holds, in the form in which `train` returns them.

    Batch-norms that the architecture does not have are as they are in a network that has learned nothing.

    Raises:
      ModuleNotFoundError: Flax is not installed.
      TypeError: It is another module.
    """
    for family in FAMILIES.rows.values():
        flax_networks = None if family.flax is None else _import(family.flax)
        if flax_networks is not None and isinstance(module, flax_networks.module):
            weights: Weights = flax_networks.weights_of(module)
            return weights
    raise TypeError(f"module is {type(module).__name__}, expected one that jnas.training.to_flax returned")


def _import(flax_networks: Callable[[], Any]) -> Any:
    try:
        return flax_networks()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "flax":
            raise
        raise ModuleNotFoundError(
            "flax is not installed; it comes with: pip install 'jnas[flax]'", name="flax"
        ) from error
