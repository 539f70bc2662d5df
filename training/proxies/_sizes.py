"""The floor under all scores: how large a network is, of which nothing need be drawn."""

from jnas.core._vocabulary import Array, Examples, Key, Network
from jnas.training.proxies._proxy import Scores


def measure_sizes(key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns `params` and `flops`, in millions; AZ-NAS's complexity is the latter."""
    return {"params": network.parameters(arch), "flops": network.flops(arch), "az_complexity": network.flops(arch)}
