"""The row of NAS-Bench-201's networks."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import FormName, Network, Supernet
from jnas.spaces.nasbench201._cells import NUM_CELLS, NUM_CHOICES, OPERATIONS, nasbench201_classes
from jnas.spaces.nasbench201._cost import nasbench201_flops
from jnas.spaces.nasbench201._space import nasbench201
from jnas.training.networks._family import Family, FlaxNetworks, all_archs
from jnas.training.networks.nasbench201._network import NasBench201Parameters, nasbench201_network
from jnas.training.networks.nasbench201._supernet import nasbench201_supernet
from jnas.training.networks.nasbench201._weights import nasbench201_named_arrays
from jnas.training.operations._forms import (
    Capacities,
    Form,
    capacities_of,
    dispatch_form,
    mixture_form,
    static_form,
    switch_form,
)

_CONVOLUTIONS = (OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3"))


def _network(form: FormName, archs: np.ndarray | None, **sizes: Any) -> Network:
    forms: dict[str, Callable[[], Form]] = {
        "switch": switch_form,
        "mixture": mixture_form,
        "dispatch": lambda: dispatch_form(None if archs is None else _room(np.asarray(archs))),
        "static": lambda: static_form(np.asarray(archs).tolist()),
    }
    convolution: Any = "patches" if form in ("dispatch", "mixture") else "auto"
    return nasbench201_network(form=forms[form](), convolution=convolution, **sizes)


def _supernet(form: FormName, **sizes: Any) -> Supernet:
    forms = {"switch": switch_form, "mixture": mixture_form, "dispatch": dispatch_form}
    return nasbench201_supernet(form=forms[form](), **sizes)


def padding(batches: np.ndarray) -> float:
    """Returns how many times the convolutions of its candidates a sorted batch computes: 1 where there is no padding.

    Args:
      batches: int `[..., K, E]`, as `make_network` is given them.
    """
    room = np.asarray(_room(batches))  # [E, choices]
    computed = room[:, list(_CONVOLUTIONS)].sum() * np.prod(batches.shape[:-2])
    return float(computed / np.isin(batches, _CONVOLUTIONS).sum())


def _room(batches: np.ndarray) -> Capacities:
    return capacities_of(batches.reshape(-1, batches.shape[-1]), NUM_CHOICES, batches.shape[-2])


def _count_operations(archs: np.ndarray, network: Network) -> np.ndarray:
    """Returns how many edges have each operation but `none`, `[N, 4]`."""
    return np.stack([(archs == choice).sum(axis=1) for choice in range(1, len(OPERATIONS))], 1)


@functools.cache
def _cheapest_of_class() -> np.ndarray:
    """Returns, for each cell, the one with the fewest multiply-adds of its published class (there are 6,466)."""
    flops = np.asarray(jax.vmap(nasbench201_flops)(jnp.asarray(all_archs(nasbench201()))))
    classes = nasbench201_classes("skip_and_zero")
    order = np.lexsort((np.arange(NUM_CELLS), flops, classes))
    _, first = np.unique(classes[order], return_index=True)
    cheapest = np.empty(NUM_CELLS, np.int32)
    cheapest[np.unique(classes)] = order[first]
    result: np.ndarray = cheapest[classes]
    return result


def _flax() -> FlaxNetworks:
    from jnas.training.networks.nasbench201._flax import NETWORKS

    return NETWORKS


FAMILY = Family(
    name="nasbench201",
    network=_network,
    forms=("switch", "mixture", "dispatch", "static"),
    recipes=("digits-8", "nasbench201-12"),
    parameters=NasBench201Parameters,
    supernet=_supernet,
    supernet_forms=("switch", "mixture", "dispatch"),
    named_arrays=nasbench201_named_arrays,
    time_features=_count_operations,
    representatives=_cheapest_of_class,
    padding=padding,
    flax=_flax,
)
