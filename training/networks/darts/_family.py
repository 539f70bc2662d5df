"""The row of the DARTS space's networks."""

from typing import Any

import numpy as np

from jnas.core._vocabulary import FormName, Network, Supernet
from jnas.training.networks._family import Family, FlaxNetworks
from jnas.training.networks.darts._network import DartsParameters, darts_network
from jnas.training.networks.darts._supernet import darts_supernet
from jnas.training.networks.darts._weights import darts_named_arrays


def _network(form: FormName, archs: np.ndarray | None, **sizes: Any) -> Network:
    return darts_network(arch=archs if form == "static" else None, **sizes)


def _supernet(form: FormName, **sizes: Any) -> Supernet:
    assert form == "switch"
    return darts_supernet(**sizes)


def _flax() -> FlaxNetworks:
    from jnas.training.networks.darts._flax import NETWORKS

    return NETWORKS


FAMILY = Family(
    name="darts",
    network=_network,
    forms=("switch", "static"),
    recipes=("darts-digits-8", "darts-small-12"),
    parameters=DartsParameters,
    supernet=_supernet,
    supernet_forms=("switch",),
    searched=(16, 8),
    sub_spaces=("s1", "s2", "s3", "s4"),
    default_form=lambda: "switch",
    named_arrays=darts_named_arrays,
    flax=_flax,
    auxiliary=True,
    bfloat16=True,
    cells_counted="in all",
    alone="static",  # compiled in half of the time
    compile_seconds=90.0,
    macs_per_second=2e9,
)
