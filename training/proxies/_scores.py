"""Scores of many architectures over many seeds, in one program."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Examples, Key, Network
from jnas.training.operations._forms import over_members
from jnas.training.proxies._proxy import Measure, Proxy, Scores, finite
from jnas.training.proxies._registry import get_proxies


def proxy_scores(keys: Key, archs: Array, network: Network, batches: Examples, names: Sequence[str]) -> Scores:
    """Returns the scores of architectures without training, over seeds: one program under `jax.jit`.

    What several proxies are made of, such as the gradient of the loss, is computed once. Where the network branches by
    its architecture (on CPUs) one network after another is computed, elsewhere all at once.

    Args:
      keys: One for each seed, `[S]`. All architectures of a seed have the same key.
      archs: int32 `[B, E]`.
      network: Of their space.
      batches: A batch for each seed, arrays with a leading axis `[S]`.
      names: Which scores.

    Returns:
      float32 `[S, B]` by name, NaN where a score is undefined: of a cell without a path, for instance.

    Raises:
      ValueError: There is no such score, or the network does not have what it needs.

    Example:
      >>> network = jnas.training.nasbench201_network(image_shape=(8, 8, 1), num_classes=3, channels=2, cells=1)
      >>> batch = jnas.training.Examples(jnp.ones((1, 4, 8, 8, 1)), jnp.zeros((1, 4), jnp.int32))
      >>> keys, archs = jax.random.split(jax.random.key(0), 1), jnp.array([[3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0]])
      >>> scores = jnas.training.proxy_scores(keys, archs, network, batch, ["params", "flops"])
      >>> scores["params"].shape, bool(scores["params"][0, 0] > scores["params"][0, 1])
      ((1, 2), True)
    """
    rows = get_proxies(names, network)
    num_seeds, num_archs = len(keys), len(archs)

    def scored(place: Array) -> Scores:
        seed, arch = place // num_archs, archs[place % num_archs]
        return scores_of(rows, keys[seed], arch, network, jax.tree.map(lambda x: x[seed], batches))

    flat: Scores = over_members(scored, network.form)(jnp.arange(num_seeds * num_archs))
    return {name: each.reshape(num_seeds, num_archs) for name, each in flat.items()}


def scores_of(rows: Sequence[Proxy], key: Key, arch: Array, network: Network, batch: Examples) -> Scores:
    """Returns the scores of one architecture, what several are made of being computed once; see `Proxy.score`."""
    measures: dict[Measure, Scores] = {}
    for row in rows:
        if row.measure not in measures:
            measures[row.measure] = row.measure(key, arch, network, batch)
    return {row.name: finite(measures[row.measure][row.name]) for row in rows}
