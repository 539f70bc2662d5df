"""The row of the recurrent cells' language models."""

from typing import Any

import numpy as np

from jnas.core._vocabulary import FormName, Network, Supernet
from jnas.training.networks._family import Family, FlaxNetworks, Named
from jnas.training.networks.recurrent._language_model import LanguageModelParameters, language_model
from jnas.training.networks.recurrent._supernet import recurrent_supernet
from jnas.training.operations._forms import fastest_form


def _named_arrays(arch: np.ndarray, parameters: Any, statistics: Any) -> Named:
    """Yields what a language model has."""
    yield "words", parameters.words
    yield "bias", parameters.bias
    yield "cell/initial", parameters.cell.initial
    for node in range(len(parameters.cell.nodes)):
        yield f"cell/node {node + 1}", parameters.cell.nodes[node]


def _network(form: FormName, archs: np.ndarray | None, **sizes: Any) -> Network:
    return language_model(form=form, arch=archs if form == "static" else None, **sizes)


def _supernet(form: FormName, **sizes: Any) -> Supernet:
    return recurrent_supernet(form=form, **sizes)


def _flax() -> FlaxNetworks:
    from jnas.training.networks.recurrent._flax import NETWORKS

    return NETWORKS


FAMILY = Family(
    name="recurrent",
    network=_network,
    forms=("switch", "mixture", "static"),
    recipes=("text-quick-4", "text-small-8"),
    parameters=LanguageModelParameters,
    # On CPUs a member's window stays in the cache; accelerators take all members side by side.
    default_form=lambda: "switch" if fastest_form() == "switch" else "mixture",
    named_arrays=_named_arrays,
    supernet=_supernet,
    supernet_forms=("switch", "mixture"),
    searched=(300, 1),
    search_recipes=("text-quick-4", "ptb-search-50"),
    flax=_flax,
    text=True,
    nodes_of=lambda parameters: parameters.cell.nodes.shape[-3],  # also of many runs
    by_nodes=True,
)
