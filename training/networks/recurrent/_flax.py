"""Language models of recurrent cells as Flax NNX modules, for a user's own code. Importing this module needs flax."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from jnas.core._vocabulary import Array, Weights
from jnas.spaces.recurrent._cells import recurrent_cell
from jnas.training.networks._family import FlaxNetworks
from jnas.training.networks._flax_layers import array_of, set_value
from jnas.training.networks.recurrent._cell import RecurrentCellParameters
from jnas.training.networks.recurrent._language_model import LanguageModelParameters

_ACTIVATIONS = (jnp.tanh, nnx.relu, nnx.sigmoid, lambda x: x)  # as `jnas.spaces.recurrent._cells.OPERATIONS`


class RecurrentModule(nnx.Module):
    """A language model of one recurrent cell, whose output is the mean of all nodes; nothing is left out of it."""

    def __init__(self, arch: np.ndarray, weights: Weights):
        """Takes an architecture `[2 n]` and the weights of `V` words and `D` units."""
        parameters: LanguageModelParameters = weights.parameters
        cell = recurrent_cell(arch)
        self.cell = tuple(zip(cell.inputs.tolist(), cell.operations.tolist(), strict=True))
        self.words = nnx.Embed(*parameters.words.shape, embedding_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
        set_value(self.words.embedding, parameters.words)
        self.bias = nnx.Param(jnp.asarray(parameters.bias))
        self.initial = _product(parameters.cell.initial)
        self.nodes = nnx.List([_product(kernel) for kernel in parameters.cell.nodes])

    def initial_state(self, batch_size: int) -> Array:
        """Returns the hidden state `[B, D]` at the beginning of a text."""
        return jnp.zeros((batch_size, self.words.features))

    def step(self, inputs: Array, hidden: Array) -> Array:
        """Returns the hidden state `[B, D]`, which is the output too, after the embedding `[B, D]` of a word."""
        states = [_gated(hidden, self.initial(jnp.concatenate([inputs, hidden], 1)), jnp.tanh)]
        for (read, operation), product in zip(self.cell, self.nodes, strict=True):
            states.append(_gated(states[read], product(states[read]), _ACTIVATIONS[operation]))
        return sum(states[2:], states[1]) / len(self.nodes)

    def __call__(self, tokens: Array, hidden: Array | None = None) -> tuple[Array, Array]:
        """Returns logits `[B, T, V]` of the word after each of the tokens int `[B, T]`, and the state after the last.

        Args:
          tokens: The numbers of words in the vocabulary.
          hidden: float `[B, D]`, the state before them; by default that of a beginning.
        """
        before = self.initial_state(len(tokens)) if hidden is None else hidden

        def step(hidden: Array, inputs: Array) -> tuple[Array, Array]:
            following = self.step(inputs, hidden)
            return following, following

        after, outputs = lax.scan(step, before, self.words(tokens).transpose(1, 0, 2))
        return self.words.attend(outputs).transpose(1, 0, 2) + self.bias[...][None, None, :], after


def _make_module(
    arch: Sequence[int] | np.ndarray, weights: Weights, epsilon: float, momentum: float
) -> RecurrentModule:
    """Returns the module of an architecture; there is no batch-norm, of which the two numbers would be.

    Raises:
      TypeError: The weights are not those of one run.
    """
    parameters = weights.parameters
    if np.ndim(parameters.words) != 2:
        raise TypeError(
            f"weights has words of the shape {np.shape(parameters.words)}, expected two axes, those of one run; choose "
            "one of many by jax.tree.map(lambda x: x[number], weights)"
        )
    return RecurrentModule(np.asarray(arch), weights)


def _weights_of(module: RecurrentModule) -> Weights:
    """Returns what a module holds, in the form in which `train` returns it."""
    nodes: Any = np.stack([array_of(product.kernel) for product in module.nodes])
    cell = RecurrentCellParameters(array_of(module.initial.kernel), nodes)
    parameters = LanguageModelParameters(array_of(module.words.embedding), array_of(module.bias), cell)
    weights: Weights = jax.tree.map(jnp.asarray, Weights(parameters, ()))
    return weights


def _product(kernel: Any) -> nnx.Linear:
    linear = nnx.Linear(*kernel.shape, use_bias=False, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    set_value(linear.kernel, kernel)
    return linear


def _gated(state: Array, product: Array, activation: Any) -> Array:
    """Returns `s + sigmoid(c) (f(g) - s)`, of a state `[B, D]` and the product `[c, g]`, `[B, 2 D]`."""
    gate, candidate = jnp.split(product, 2, 1)
    gated: Array = state + nnx.sigmoid(gate) * (activation(candidate) - state)
    return gated


NETWORKS = FlaxNetworks(RecurrentModule, _make_module, _weights_of)
