"""Several objectives at once: dominance, fronts, hypervolume and the additive epsilon, of costs that are minimised."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jnas.core._vocabulary import Array

_BLOCK = 4096  # points that are compared with a front at once


def dominates(a: Array, b: Array) -> Array:
    """Returns whether costs `a [..., O]` dominate costs `b [..., O]`: nowhere higher, and somewhere lower.

    Nothing with a NaN dominates, or is dominated. Works under `jit` and `vmap`.

    Args:
      a: Minimised; broadcast against `b`.
      b: Minimised.

    Returns:
      bool `[...]`. Equal points do not dominate one another.

    References:
      Deb, "Multi-Objective Optimization Using Evolutionary Algorithms", 2001, Definition 2.5.

    Example:
      >>> jnas.statistics.dominates(jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 3.0], [0.0, 9.0], [1.0, 2.0]])).tolist()
      [True, False, False]
    """
    return jnp.all(a <= b, axis=-1) & jnp.any(a < b, axis=-1)


def on_front(costs: Array, mask: Array | None = None) -> Array:
    """Returns which of the points `costs [N, O]` no other dominates, in `N * N` comparisons; works under `jit`, `vmap`.

    Args:
      costs: Minimised. What is not finite in some objective is on no front.
      mask: bool `[N]`, which points count; by default all.

    Returns:
      bool `[N]`; of equal points all are on the front, or none.

    Example:
      >>> jnas.statistics.on_front(jnp.array([[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]])).tolist()
      [True, True, False]
    """
    counts = jnp.all(jnp.isfinite(costs), axis=-1)
    counts = counts if mask is None else counts & mask
    beaten = dominates(costs[:, None], costs[None, :]) & counts[:, None]
    return counts & ~jnp.any(beaten, axis=0)


def exact_front(costs: ArrayLike) -> NDArray[np.intp]:
    """Returns the rows of the points `costs [N, O]` that no other dominates, of tables of any length, on the host.

    Args:
      costs: Minimised. What is not finite in some objective is on no front.

    Returns:
      Rows `[F]`, by the first objective and then the next ones, ascending; of equal points each is there.

    Raises:
      ValueError: `costs` has another number of axes.

    Example:
      >>> jnas.statistics.exact_front([[2, 2], [1, 3], [3, 3], [1, 3]]).tolist()
      [1, 3, 0]
    """
    points = _as_points("costs", costs)
    rows = np.flatnonzero(np.isfinite(points).all(axis=1))
    rows = rows[np.lexsort(points[rows].T[::-1])]  # whatever dominates a point stands before it
    front = np.empty((0, points.shape[1]))
    found: list[NDArray[np.intp]] = []
    for begin in range(0, len(rows), _BLOCK):
        some = rows[begin : begin + _BLOCK]
        some = some[~_dominated(points[some], front)]
        while len(some):  # the first one left is on the front, for what could dominate it has been
            own = points[some[0]]
            found.append(some[:1])
            front = np.concatenate([front, own[None]])
            some = some[1:]
            some = some[~_dominated(points[some], own[None])]
    return np.concatenate(found) if found else np.empty(0, np.intp)


def hypervolume(costs: Array, reference: ArrayLike, mask: Array | None = None) -> Array:
    """Returns the volume that points dominate below a reference point, for 2 or 3 objectives (or 1).

    Works under `jit` and `vmap`, in `N log N` steps for two objectives and `N * N` for three.

    Args:
      costs: `[N, O]`, minimised. What is not finite in some objective does not count.
      reference: `[O]`; a point that is not below it in every objective adds nothing.
      mask: bool `[N]`, which points count; by default all.

    Returns:
      float `[]`; 0 for no points.

    Raises:
      ValueError: There are more than 3 objectives, or shapes differ.

    References:
      Zitzler and Thiele, "Multiobjective Evolutionary Algorithms: A Comparative Case Study", 1999 (IEEE TEC 3(4)). In
      three objectives it is the sum of the slabs between one point's third coordinate and the next one's.

    Example:
      >>> float(jnas.statistics.hypervolume(jnp.array([[1.0, 3.0], [2.0, 1.0], [9.0, 0.0]]), [4.0, 4.0]))
      7.0
    """
    costs = jnp.asarray(costs)
    costs = costs.astype(jnp.promote_types(costs.dtype, jnp.float32))  # a reference between whole numbers stays there
    bound = jnp.asarray(reference, costs.dtype)
    if costs.ndim != 2 or bound.shape != costs.shape[1:] or costs.shape[1] > 3:
        raise ValueError(
            f"costs has shape {costs.shape} and reference {bound.shape}, expected [N, O] and [O], O from 1 to 3"
        )
    counts = jnp.all(jnp.isfinite(costs), axis=1)
    counts = counts if mask is None else counts & mask
    costs = jnp.where(
        counts[:, None], jnp.minimum(costs, bound[None]), bound[None]
    )  # at the reference a point adds nothing
    if costs.shape[1] == 1:
        return bound[0] - jnp.min(costs, initial=bound[0])
    order = jnp.argsort(costs[:, 0])
    costs = costs[order]
    if costs.shape[1] == 2:
        return _area(costs[:, 0], costs[:, 1], bound)
    heights = jnp.sort(costs[:, 2])
    thick = jnp.append(heights[1:], bound[2]) - heights
    # Of each slab, the points that reach down to it: the others stand at the reference there.
    reach = jnp.where(costs[None, :, 2] <= heights[:, None], costs[None, :, 1], bound[1])
    return jnp.sum(thick * jax.vmap(_area, (None, 0, None))(costs[:, 0], reach, bound))


def _area(x: Array, y: Array, bound: Array) -> Array:
    """Returns the area that points dominate whose `x [N]` ascend."""
    width = jnp.append(x[1:], bound[0]) - x
    return jnp.sum(width * (bound[1] - jax.lax.cummin(y)))


def additive_epsilon(costs: ArrayLike, front: ArrayLike) -> float:
    """Returns by how much all points must be better for each point of a front to be matched: 0 where they hold it.

    Args:
      costs: `[N, O]`, minimised, what was found. What is not finite in some objective does not count.
      front: `[F, O]`, what there is to find; objectives of one scale, or else the widest decides.

    Returns:
      The additive epsilon, infinity where nothing was found. Negative where the points are better than the front.

    Raises:
      ValueError: Shapes differ, or the front is empty or not finite.

    References:
      Zitzler et al., "Performance Assessment of Multiobjective Optimizers: An Analysis and Review", 2003 (IEEE TEC
      7(2)), Section IV-C.

    Example:
      >>> jnas.statistics.additive_epsilon([[1, 4], [4, 1]], [[1, 3], [2, 2], [3, 1]])
      2.0
    """
    points, whole = _as_points("costs", costs), _as_points("front", front)
    if points.shape[1] != whole.shape[1]:
        raise ValueError(f"costs has {points.shape[1]} objectives and front {whole.shape[1]}, expected the same")
    if not len(whole) or not np.isfinite(whole).all():
        raise ValueError("front is empty or not finite, expected the points of a front, such as those of exact_front")
    points = points[np.isfinite(points).all(axis=1)]
    short = np.max(points[:, None] - whole[None], axis=2)  # [N, F]
    return float(np.max(np.min(short, axis=0, initial=np.inf)))


def _dominated(points: NDArray[Any], front: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns which of `points [N, O]` some of `front [F, O]` dominate, on the host."""
    beaten = np.zeros(len(points), bool)
    for own in front:
        beaten |= (own <= points).all(axis=1) & (own < points).any(axis=1)
    return beaten


def _as_points(name: str, costs: ArrayLike) -> NDArray[Any]:
    points = np.asarray(costs)
    if points.ndim != 2 or not points.shape[1]:
        raise ValueError(f"{name} has shape {points.shape}, expected points [N, O] of at least one objective")
    return points.astype(np.float64)
