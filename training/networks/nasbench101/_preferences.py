"""What the released DARTS and FBNet learn of NAS-Bench-101: one predecessor or none for each vertex."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Decisions, Key, Preferences
from jnas.spaces.nasbench101._cells import NUM_EDGES, fingerprint
from jnas.spaces.nasbench101._released import Enumerated, enumerate_released, released_decisions
from jnas.training.networks.nasbench101._mixture_module import predecessor_weights

NUM_DRAWS = 1000
"""Of a search's result, as released."""

_TOWARDS_PREDECESSORS = 10.0  # what each vertex's preferences for a predecessor start at; that for none at 0
_AT_ONCE = 1024  # cells that are looked up together


def released_preferences(mixture: Callable[..., tuple[Any, Any]], max_vertices: int) -> Preferences:
    """Returns the preferences of the evaluation of search phases, of which a released search is made.

    Rows are those of `jnas.spaces.released_decisions("darts", max_vertices)`: each interior vertex mixes its
    predecessors and `none`, and its operations; all vertices go to the output. A preference for a predecessor starts at
    10, as released. The result is the most frequent of 1,000 drawn cells, those that are not in the space left out;
    where all are, it is the most probable cell of the space (the released code ends with an error). With five interior
    vertices that is usual at first: a cell in which each has a predecessor has 11 edges, and `none` starts with
    probabilities below 5e-5.

    Args:
      mixture: `Supernet.mixture` by weights `[26, 3]`.
      max_vertices: Of cells.
    """
    names = released_decisions("darts", max_vertices)
    counts = np.asarray(names.num_choices)
    most = int(counts.max())
    mask = np.arange(most)[None] < counts[:, None]
    start = np.zeros(mask.shape, np.float32)
    start[::2] = np.where(mask[::2] & (np.arange(most)[None] > 0), _TOWARDS_PREDECESSORS, 0)
    columns = tuple((*own, *[""] * (most - len(own))) for own in names.choices)
    steps = [int(np.prod(counts[place + 1 :])) for place in range(len(counts))]

    def reachable() -> Enumerated:
        return enumerate_released("darts", max_vertices)

    def log_probabilities(logits: Array) -> Array:
        """Returns those of all reachable cells, `[R]`, each the sum over the combinations that are it."""
        logs = jax.nn.log_softmax(logits, axis=1)
        joint = jnp.zeros((1,), logs.dtype)
        for row, count in enumerate(counts.tolist()):
            joint = (joint[:, None] + logs[row, :count][None]).reshape(-1)
        valid, number = np.flatnonzero(reachable().rows >= 0), len(reachable().cells)
        rows, joint = reachable().rows[valid], joint[valid]
        peaks = jax.ops.segment_max(joint, rows, number)
        return peaks + jnp.log(jax.ops.segment_sum(jnp.exp(joint - peaks[rows]), rows, number))

    def discretize(logits: Array) -> Array:
        return jnp.asarray(reachable().cells)[jnp.argmax(log_probabilities(logits))]

    def draw(key: Key, logits: Array) -> Array:
        cells = jnp.asarray(reachable().cells)
        chosen = jax.random.categorical(key, logits[None], axis=2, shape=(NUM_DRAWS, len(counts)))
        rows = jnp.asarray(reachable().rows)[chosen @ np.asarray(steps, np.int32)]
        times = jnp.sum(rows[:, None] == np.arange(len(cells))[None], axis=0)
        return jnp.where(jnp.any(rows >= 0), cells[jnp.argmax(times)], discretize(logits))

    def log_probability(logits: Array, archs: Array) -> Array:
        logs, known = log_probabilities(logits), reachable().fingerprints

        def find(arch: Array) -> Array:
            same = jnp.all(known == fingerprint(arch)[None], axis=1)
            return jnp.where(jnp.any(same), logs[jnp.argmax(same)], -jnp.inf)

        found: Array = jax.lax.map(find, archs, batch_size=min(_AT_ONCE, len(archs)))
        return found

    def mix(parameters: Any, statistics: Any, weights: Array, images: Array) -> tuple[Array, Any]:
        return mixture(parameters, statistics, predecessor_weights(weights), images)

    return Preferences(
        decisions=Decisions(mask, columns, independent=False),
        mixture=mix,
        discretize=discretize,
        probabilities=lambda logits: _edge_probabilities(jax.nn.softmax(logits, axis=1)),
        log_probability=log_probability,
        start=start,
        draw=draw,
    )


def _edge_probabilities(probabilities: Array) -> Array:
    """Returns those of each edge and operation, `[26, 3]`, of predecessors' and operations'; absent vertices' first."""
    weights = predecessor_weights(probabilities)
    missing = np.arange(len(weights)) >= NUM_EDGES + probabilities.shape[0] // 2
    return jnp.where(missing[:, None], np.eye(3, dtype=np.float32)[:1], weights)
