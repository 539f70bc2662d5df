"""The network of a found architecture as a Flax module, for a user's own code, and back."""

from typing import Any

import numpy as np

from jnas.spaces._categorical import checked_arch
from jnas.spaces.nasbench201._cells import EDGES, NUM_CHOICES, OPERATIONS, from_string
from jnas.training.networks.nasbench101._network import NasBench101Parameters
from jnas.training.networks.nasbench201._network import NasBench201Parameters
from jnas.training.runs._train import Weights


def to_flax(arch: Any, weights: Weights, *, batch_norm_epsilon: float = 1e-5, batch_norm_momentum: float = 0.9) -> Any:
    """Returns the network of a NAS-Bench-201 cell as a Flax NNX module with the given weights.

    The module has the operations of this architecture alone, an `nnx.Conv` and an `nnx.BatchNorm` for each
    convolution. It takes normalized images float `[B, H, W, C]` (`(pixels - dataset.mean) / dataset.std`), of any
    height and width that are multiples of 4, and returns logits `[B, classes]`. It starts in evaluation mode, where
    batch-norm uses the running estimates; `module.train()` switches to each batch's own statistics, which then also
    enter the estimates. These follow Flax's rule, in which the variance is the biased one; `train` follows PyTorch's
    unbiased one.

    Args:
      arch: int `[6]`, or an architecture string.
      weights: What `train` returns for it; `Weights(*network.init(key, arch))` for a network that has learned nothing.
        The sizes of the network are those of the weights.
      batch_norm_epsilon: As in the recipe that made the weights.
      batch_norm_momentum: What running estimates keep of themselves at a step of further training.

    Returns:
      An `nnx.Module`.

    Raises:
      ModuleNotFoundError: Flax is not installed.
      TypeError: `weights` is something else, or has not the arrays of one run.
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
    if isinstance(getattr(weights, "parameters", None), NasBench101Parameters):
        raise ValueError(
            "the weights are those of a nasbench101 network, and to_flax makes modules of nasbench201 networks alone; "
            "apply them with jnas.training.make_network(dataset, recipe, 'static', arch, space='nasbench101').apply"
        )
    flax_networks = _flax_networks()
    cell = from_string(arch) if isinstance(arch, str) else checked_arch(arch, NUM_CHOICES)
    _check_weights(cell, weights)
    module = flax_networks.NasBench201Module(cell, weights, batch_norm_epsilon, batch_norm_momentum)
    module.eval()
    return module


def from_flax(module: Any) -> Weights:
    """Returns the weights that a module from `to_flax` holds, in the form in which `train` returns them.

    Batch-norms that the architecture does not have are as they are in a network that has learned nothing.

    Raises:
      ModuleNotFoundError: Flax is not installed.
      TypeError: It is another module.
    """
    flax_networks = _flax_networks()
    if not isinstance(module, flax_networks.NasBench201Module):
        raise TypeError(f"module is {type(module).__name__}, expected one that jnas.training.to_flax returned")
    weights: Weights = flax_networks.weights_of(module)
    return weights


def _flax_networks() -> Any:
    try:
        from jnas.training.networks.nasbench201 import _flax
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "flax":
            raise
        raise ModuleNotFoundError(
            "flax is not installed; it comes with: pip install 'jnas[flax]'", name="flax"
        ) from error
    return _flax


def _check_weights(arch: np.ndarray, weights: Any) -> None:
    """Raises where weights are not those of one run, or hold kernels that the architecture does not have."""
    if not (isinstance(weights, Weights) and isinstance(weights.parameters, NasBench201Parameters)):
        raise TypeError(f"weights is {type(weights).__name__}, expected the Weights that jnas.training.train returns")
    if weights.parameters.stem.kernel.ndim != 2:
        shape = list(weights.parameters.stem.kernel.shape)
        raise TypeError(
            f"the stem's kernel in weights has the shape {shape}, expected that of one run, [C', 9 C]; choose one of "
            "many by jax.tree.map(lambda x: x[number], weights)"
        )
    for stage, edges in enumerate(weights.parameters.cells):
        kernels = np.asarray(edges.kernel)
        width = kernels.shape[-2]
        taps = np.any(kernels.reshape(len(kernels), len(EDGES), width, 9, width) != 0, (0, 2, 4))
        for number, choice in enumerate(arch):
            expected = np.zeros(9, bool)
            if OPERATIONS[choice] == "nor_conv_3x3":
                expected[:] = True
            elif OPERATIONS[choice] == "nor_conv_1x1":
                expected[4] = True
            if not np.array_equal(taps[number], expected):
                source, target = EDGES[number]
                raise ValueError(
                    f"the weights are those of another architecture: on the edge from node {source} to node {target} "
                    f"of stage {stage} this one has {OPERATIONS[choice]}, and the weights have "
                    f"{int(taps[number].sum())} of 9 taps of a kernel"
                )
