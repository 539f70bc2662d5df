"""Recurrent cells as arrays: a tree of nodes, each of which reads one earlier state through one activation."""

from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.io._fields import describe_fields

OPERATIONS = ("tanh", "relu", "sigmoid", "identity")
"""The activations of a node, in DARTS's own order but for `none`; `RecurrentCell.operations` indexes them."""

SEARCH_OPERATIONS = ("none", *OPERATIONS)
"""What an edge of DARTS's search cell mixes: `none` adds nothing, takes its share of the softmax, and is never
derived."""

MOST_NODES = 32

OutputName = Literal["all", "leaves"]
Output = OutputName | tuple[int, ...]
"""Whose mean a cell puts out: that of all its nodes (DARTS), of those that no other node reads (ENAS), or of these."""


@describe_fields
class RecurrentCell(NamedTuple):
    """A cell of `n` nodes, numbered from 1; state 0 is the initial state, made of the input and the hidden state.

    With `x` the input, `h` the hidden state, and products that have no bias,

    - state 0: `[c, g] = [x, h] W_0`, `s_0 = h + sigmoid(c) (tanh(g) - h)`;
    - node `k`, which reads `s = s_inputs[k - 1]` through `f = OPERATIONS[operations[k - 1]]`:
      `[c, g] = s W_k`, `s_k = s + sigmoid(c) (f(g) - s)`;
    - output and next hidden state: the mean of all nodes, or of some; never state 0.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.2 and Appendix A.

    Attributes:
      inputs: int32 `[n]`, the state that each node reads: 0 the initial state, k node k; node k reads 0 to k - 1.
      operations: int32 `[n]`, the activation of each node, an index into `OPERATIONS`.
    """

    inputs: Array
    operations: Array


def recurrent_cell(arch: Any) -> RecurrentCell:
    """Returns the cell of an architecture int32 `[2 n]`, which is `[n, 2]` flattened: input and operation of each node.

    Example:
      >>> recurrent_cell(np.array([0, 0, 0, 2]))  # cell 2 of the 32: tanh and sigmoid, both of the initial state
      RecurrentCell(inputs=array([0, 0]), operations=array([0, 2]))
    """
    return RecurrentCell(arch[0::2], arch[1::2])


def arch_of_cell(cell: RecurrentCell) -> Array:
    """Returns the architecture int32 `[2 n]` of a cell; inverse of `recurrent_cell`."""
    return jnp.stack(cell, axis=-1).reshape(-1).astype(jnp.int32)


def choices_of_decisions(nodes: int) -> tuple[int, ...]:
    """Returns the numbers of choices of the `2 n` decisions.

    Example:
      >>> choices_of_decisions(3)
      (1, 4, 2, 4, 3, 4)
    """
    return tuple(count for node in range(nodes) for count in (1 + node, len(OPERATIONS)))


def edges(nodes: int) -> tuple[tuple[int, int], ...]:
    """Returns the edges that a search has open, as (state, node), in the order of DARTS's parameters.

    Example:
      >>> edges(3), len(edges(8))
      (((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), 36)
    """
    return tuple((state, node) for node in range(1, nodes + 1) for state in range(node))


def in_output(cell: RecurrentCell, output: Output = "all") -> Any:
    """Returns which nodes' mean a cell puts out, bool `[n]`, of NumPy where that or the cell's arrays say enough.

    Args:
      cell: A valid one.
      output: `'all'`, `'leaves'` (the nodes that no other node reads), or the numbers of the nodes, from 1.

    Example:
      >>> in_output(RecurrentCell(np.array([0, 1, 1]), np.array([0, 0, 0])), "leaves").tolist()
      [False, True, True]
    """
    node = np.arange(1, cell.inputs.shape[0] + 1)
    if output == "leaves":
        return ~(cell.inputs[None, :] == node[:, None]).any(axis=1)
    return np.isin(node, node if output == "all" else output)


def check_output(output: Any, nodes: int) -> Output:
    """Returns an argument `output` in the form that `in_output` takes; ValueError says what is wrong with it."""
    if isinstance(output, str) and output in get_args(OutputName):
        return output  # type: ignore[return-value]
    numbers = tuple(output) if isinstance(output, list | tuple | range) else ()
    if not numbers or not all(type(n) is int and 1 <= n <= nodes for n in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"output is {output!r}, expected 'all', 'leaves', or a list of different nodes from 1 to {nodes}"
        )
    return tuple(sorted(numbers))
