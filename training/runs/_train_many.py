"""Many training runs as one program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Key, Network, Weights
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import make_network
from jnas.training.operations._forms import over_members
from jnas.training.runs._run_state import Curves
from jnas.training.runs._train import train


def over_candidates(function: Callable[..., Any], network: Network) -> Callable[..., Any]:
    """Returns `function` of arguments with a leading axis of candidates: a loop where the network branches."""
    return over_members(function, network.form)


def train_many(
    keys: Key, archs: Array, dataset: Dataset | TextDataset, recipe: Recipe, network: Network | None = None
) -> tuple[Curves, Weights]:
    """Returns what the training runs of a batch of candidates measured and learned; works inside `jit`.

    Each member is what `train` gives for its key and architecture. Members do not influence one another: one that
    diverges has NaN in its curves from there on, and the others go on.

    Args:
      keys: Typed keys `[K]`, one for each run.
      archs: int32 `[K, E]`.
      dataset: What they learn from.
      recipe: How.
      network: From `make_network`, which says in which form a batch is computed: `'switch'` goes from one candidate to
        the next, `'dispatch'` sorts the batch by operation. By default the backend's fastest; for `'dispatch'` inside
        `jit`, where architectures are not known, give one that has room for the batch and no more.

    Returns:
      Curves, float32 `[K, epochs]` of each split, and weights with a leading axis `K`.
    """
    if network is None:
        known = None if isinstance(archs, jax.core.Tracer) else np.asarray(archs)
        network = make_network(dataset, recipe, archs=known)

    def run(key: Key, arch: Array) -> tuple[Curves, Weights]:
        return train(key, arch, dataset, recipe, network)

    result: tuple[Curves, Weights] = over_candidates(run, network)(keys, jnp.asarray(archs, jnp.int32))
    return result
