"""How long training takes before any of it was measured: a rough guess from numbers of multiply-adds."""

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Network
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import FAMILIES

_ACCELERATED = 2e12  # multiply-adds a second, of a device that is no CPU


def guess_seconds(archs: np.ndarray, dataset: Dataset | TextDataset, recipe: Recipe, network: Network) -> float:
    """Returns roughly how many seconds the runs of architectures `[J, E]` take on all devices, compiling left out."""
    family = FAMILIES.entry(network.space.name)
    speed = family.macs_per_second if jax.default_backend() == "cpu" else _ACCELERATED
    passes = sum(len(rows) * (3 if split == "train" else 1) for split, rows in dataset.splits.items())
    flops = np.asarray(jax.jit(jax.vmap(network.flops))(jnp.asarray(archs, jnp.int32)), np.float64)
    return float(1e6 * flops.sum() * passes * recipe.epochs / (speed * jax.device_count()))


def guess_compile_seconds(network: Network) -> float:
    """Returns roughly how many seconds a program of runs takes to compile, once."""
    return FAMILIES.entry(network.space.name).compile_seconds
