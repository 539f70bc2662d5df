"""The space of recurrent cells of DARTS and ENAS, and that of eval-nas's 32 cells."""

import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._vocabulary import Array, Key, Space
from jnas.spaces._categorical import LARGEST_INDEX, change_one, lexicographic_index, one_change_away
from jnas.spaces.recurrent._cells import MOST_NODES, OPERATIONS, Output, OutputName, check_output, choices_of_decisions
from jnas.spaces.recurrent._drawing import draw_recurrent
from jnas.spaces.recurrent._features import FEATURE_NAMES, recurrent_features
from jnas.spaces.recurrent._fingerprint import canonical_recurrent, cell_fingerprints
from jnas.spaces.recurrent._genotype import format_recurrent, parse_recurrent, recurrent_arch, recurrent_genotype


def recurrent(num_nodes: int = 8, *, output: OutputName | Sequence[int] = "all") -> Space:
    """Returns the space of recurrent cells: each node reads one earlier state through one of four activations.

    An architecture is int32 `[2 n]`, which is `[n, 2]` flattened: of each of the `n` nodes the state that it reads (0
    is the initial state, made of the input and the hidden state; `k` is node `k`, counted from 1; node `k` reads one of
    0 to `k - 1`) and the activation (0 tanh, 1 relu, 2 sigmoid, 3 identity). All products of choices are valid:
    `4^n n!` cells, 2.6e9 of the default eight nodes. `jnas.spaces.recurrent._cells.RecurrentCell` says what a cell
    computes.

    Strings are genotypes as the field prints them: `Genotype(recurrent=[('sigmoid', 0), ...], concat=range(1, 9))`.
    Cells of up to seven nodes have an index, in lexicographic order; of two nodes it is `8 op1 + 4 input2 + op2`, the
    numbers of the 32 cells of eval-nas. Fingerprints are equal exactly for cells that another order of nodes makes
    equal, nodes left out that the output does not depend on: of these 32 cells 26 differ, since two nodes that both
    read the initial state may change places. Features are described at
    `jnas.spaces.recurrent._features.recurrent_features`.

    Samples draw each decision uniformly, as random search with weight sharing does. A mutation gives one of the
    decisions that have another choice (all but the first) one that it does not have; none was published.

    Equal arguments give the same object, so functions compiled for it are found again.

    Args:
      num_nodes: `n`, 1 to 32.
      output: Whose mean is the output and the next hidden state: `'all'` nodes' as in DARTS; `'leaves'`, of the nodes
        that no other reads, as in ENAS; or that of these nodes, by number.

    Raises:
      TypeError: The number of nodes is not a Python int.
      ValueError: It is out of range, or the output is none of those named.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.2.
      "Efficient Neural Architecture Search via Parameter Sharing", Pham et al., 2018, Section 2.1 (leaves).
      "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020, Section 4.2 (32 cells).
      "Random Search and Reproducibility for Neural Architecture Search", Li and Talwalkar, 2019 (samples).

    Example:
      >>> space = jnas.spaces.recurrent(num_nodes=2)
      >>> space.size, space.to_string(space.from_index(2))
      (32, "Genotype(recurrent=[('tanh', 0), ('sigmoid', 0)], concat=range(1, 3))")
    """
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int):
        raise TypeError(f"num_nodes is {num_nodes!r}, expected a Python int")
    if not 1 <= num_nodes <= MOST_NODES:
        raise ValueError(f"num_nodes is {num_nodes}, expected 1 to {MOST_NODES}")
    return _recurrent(num_nodes, check_output(output, num_nodes))


@functools.cache
def _recurrent(num_nodes: int, output: Output) -> Space:
    counts = choices_of_decisions(num_nodes)
    size = math.prod(counts)
    index, from_index = lexicographic_index(counts) if size <= LARGEST_INDEX else (None, None)
    mutate, mutate_from = change_one(counts, tuple(int(count > 1) for count in counts), "different")
    states = (tuple(map(str, range(count))) for count in counts[::2])

    def sample(key: Key) -> Array:
        return below(bits(key, (len(counts),)), jnp.asarray(counts))

    def is_valid(arch: Array) -> Array:
        return jnp.all((arch >= 0) & (arch < np.asarray(counts)))

    def features(arch: Array, name: str) -> Any:
        return recurrent_features(arch, name, output)

    def to_string(arch: Any) -> str:
        return format_recurrent(recurrent_genotype(arch, num_nodes, output))

    def from_string(text: str) -> np.ndarray:
        return recurrent_arch(parse_recurrent(text), num_nodes, output)

    return Space(
        name="recurrent",
        num_choices=counts,
        choices=tuple(names for each in states for names in (each, OPERATIONS)),
        size=None if index is None else size,
        config=json.dumps({"kind": "recurrent", "num_nodes": num_nodes, "output": output}),
        feature_names=FEATURE_NAMES,
        sample=sample,
        mutate=mutate,
        neighbors=one_change_away(counts),
        is_valid=is_valid,
        fingerprint=cell_fingerprints(output),
        index=index,
        from_index=from_index,
        features=features,
        to_string=to_string,
        from_string=from_string,
        draw=lambda arch: draw_recurrent(recurrent_genotype(arch, num_nodes, output)),
        mutate_from=mutate_from,
    )


def canonical_cells(space: Space) -> Callable[[Array], Array]:
    """Returns the function from an encoding `[2 n]` of a space of recurrent cells to that which stands for its cell."""
    output = json.loads((space.part_of or space).config)["output"]
    return functools.partial(canonical_recurrent, output=check_output(output, space.num_decisions // 2))
