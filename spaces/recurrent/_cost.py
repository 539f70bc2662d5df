"""Parameters and multiply-adds of language models of recurrent cells, from their structure."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.spaces.recurrent._cells import Output, check_output, recurrent_cell
from jnas.spaces.recurrent._fingerprint import in_use
from jnas.spaces.recurrent._genotype import RecurrentGenotype, used_nodes


class RecurrentCost(NamedTuple):
    """What a language model has to learn, and what a word costs."""

    embedding: int  # parameters; the decoder's matrix is the same
    cell: int  # parameters
    decoder: int  # parameters: its bias
    multiply_adds: int  # of one word, of the cell and the decoder

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.embedding + self.cell + self.decoder


def recurrent_cost(genotype: RecurrentGenotype, *, units: int = 850, words: int = 10_000) -> RecurrentCost:
    """Returns the trainable parameters of a cell's language model, and the multiply-adds of one word, exactly.

    The model is DARTS's for Penn Treebank: an embedding of `words` rows of `units` numbers, which is the decoder's
    matrix too; a product of input and hidden state, and one of each node, both without bias, that make a gate and a
    candidate; the decoder's bias. Nodes that the output does not depend on count nothing.

    Args:
      genotype: Of any number of nodes.
      units: Of the embedding and of all states.
      words: In the vocabulary.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.2.

    Example:
      >>> jnas.spaces.recurrent_cost(jnas.spaces.PUBLISHED_RECURRENT["DARTS_V2"]).parameters
      22960000
    """
    _check(units=units, words=words)
    cell = 4 * units**2 + len(used_nodes(genotype)) * 2 * units**2
    return RecurrentCost(words * units, cell, words, cell + words * units)


def recurrent_parameters(arch: Array, *, units: int = 850, words: int = 10_000, output: Output = "all") -> Array:
    """Returns the number of trainable parameters of an architecture's language model, float32 `[]`, in millions.

    The model is that of `recurrent_cost`, which counts exactly. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[2 n]`.
      units: Of the embedding and of all states.
      words: In the vocabulary.
      output: Whose mean the cell puts out, as `jnas.spaces.recurrent` takes it.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, or the output is none that the space takes.

    Example:
      >>> round(float(jnas.spaces.recurrent_parameters(jnas.spaces.recurrent().sample(jax.random.key(0)))), 3)
      22.96
    """
    _check(units=units, words=words)
    output = check_output(output, arch.shape[-1] // 2)
    summed: Array = _summed(arch, words * units + words + 4 * units**2, 2 * units**2, output)
    return summed


def recurrent_flops(arch: Array, *, units: int = 850, words: int = 10_000, output: Output = "all") -> Array:
    """Returns the multiply-adds of one word in an architecture's language model, float32 `[]`, in millions.

    The model and the arguments are those of `recurrent_parameters`; the decoder counts. Works under `jit` and `vmap`.

    Args:
      arch: int32 `[2 n]`.
      units: Of the embedding and of all states.
      words: In the vocabulary.
      output: Whose mean the cell puts out.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: A size is not positive, or the output is none that the space takes.

    Example:
      >>> round(float(jnas.spaces.recurrent_flops(jnas.spaces.recurrent().sample(jax.random.key(0)))), 3)
      22.95
    """
    _check(units=units, words=words)
    output = check_output(output, arch.shape[-1] // 2)
    summed: Array = _summed(arch, words * units + 4 * units**2, 2 * units**2, output)
    return summed


# One program outside of `jit`; inside it as if it were written there.
@functools.partial(jax.jit, static_argnums=(1, 2, 3), inline=True)
def _summed(arch: Array, fixed: int, of_node: int, output: Output) -> Array:
    """Returns `fixed` and so much for each node that is used, in millions; each sum is exact before it is rounded."""
    used = jnp.sum(in_use(recurrent_cell(arch), output), dtype=jnp.int32)
    sums = np.asarray([(fixed + count * of_node) / 1e6 for count in range(arch.shape[0] // 2 + 1)], np.float32)
    return jnp.asarray(sums)[used]


def _check(**sizes: int) -> None:
    """Raises for sizes that no model has."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} is {size!r}, expected a Python int")
        if size < 1:
            raise ValueError(f"{name} is {size}, expected at least 1")
