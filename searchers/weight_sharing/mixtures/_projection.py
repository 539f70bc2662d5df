"""DARTS-PT: what is chosen is what the supernet needs, not what alpha prefers.

A row of alpha after the other is decided: the choice stays without which the mixture's validation accuracy is the
lowest. Between two decisions the supernet is tuned. A decision is a row of alpha that no gradient comes back from
(`decided`), so that any search whose state has an `alpha` can be finished this way.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import all_lanes
from jnas.core._vocabulary import (
    Array,
    Batch,
    Decisions,
    Derived,
    Key,
    StepInfo,
    Supernet,
    WeightSharingSearcher,
    decisions_of,
)
from jnas.io._fields import describe_fields
from jnas.searchers._checks import check_positive_int
from jnas.searchers.weight_sharing._candidates import derive_key
from jnas.searchers.weight_sharing._loop import SearchRun, train_epoch
from jnas.searchers.weight_sharing._shared_weights import if_finite
from jnas.searchers.weight_sharing.mixtures._weights import decided
from jnas.training.data._batches import filled_batches
from jnas.training.data._dataset import Dataset

_SELECT = 0x9E17  # what a derivation's key is folded with for the order of decisions and the images of tuning


@describe_fields
class Projection(NamedTuple):
    """How a selection by perturbation goes on; Python ints.

    Attributes:
      tune_epochs: Between two decisions.
      batch_size: Of these epochs.
      look_batch_size: Of the validation images, all of which are looked at.
    """

    tune_epochs: int = 5
    batch_size: int = 64
    look_batch_size: int = 512


def check_projection(settings: Any) -> Projection:
    """Returns the settings, or raises a `ValueError` or `TypeError` that names what makes no sense."""
    if not isinstance(settings, Projection):
        raise TypeError(f"projection is {settings!r}, expected a jnas.searchers.Projection")
    for field, value in settings._asdict().items():
        check_positive_int(f"the projection's {field}", value, least=int(field != "tune_epochs"))
    return settings


def check_selectable(searcher: WeightSharingSearcher, supernet: Supernet) -> None:
    """Raises a `ValueError` where a search's alpha is none that a selection by perturbation decides row by row."""
    trained = searcher.supernet or supernet
    mixed = (searcher.mixed or trained).decisions
    if trained.preferences is not None and mixed is trained.preferences.decisions:
        raise ValueError(
            f"{searcher.name} weighs what each node of {supernet.space.name} reads, of which cells keep the strongest, "
            "and a selection by perturbation decides one row after another; leave it out in that space"
        )
    decisions = decisions_of(trained)
    if trained.into_nodes is not None and not decisions.mask[:, decisions.absent].all():
        raise ValueError(
            "a selection by perturbation drops edges, and 'none' is not among what this search mixes; search the whole "
            "space, or S3"
        )


def select_by_perturbation(
    searcher: WeightSharingSearcher,
    supernet: Supernet,
    state: Any,
    dataset: Dataset,
    split: str,
    settings: Projection = Projection(),  # noqa: B008 (immutable)
) -> tuple[Any, Derived]:
    """Returns a search after all its decisions, and the architecture that they come to.

    Rows of alpha are decided in a random order; where architectures keep two edges into each node (DARTS's space), one
    of each cell between two epochs of tuning, and after all operations the nodes, in a random order: of one the edge is
    dropped without which the accuracy is the highest, until two are left. `none` is no choice there. Batch-norm uses
    the statistics of each batch, and validation images are not augmented (as released they are). Works under `jit` and
    `vmap`.

    Args:
      searcher: Whose state has an `alpha`.
      supernet: What it was made for.
      state: Of a search, usually one that has ended: tuning does not move its schedules.
      dataset: The images.
      split: Those of the decisions, and those that alpha learns from while the supernet is tuned.
      settings: How long it is tuned, and by which batches.

    Raises:
      ValueError: The state has no alpha, or one of which cells keep several numbers of a row (NAS-Bench-1Shot1,
        recurrent cells); or edges cannot be dropped, for `none` is not mixed.

    References:
      "Rethinking Architecture Selection in Differentiable NAS", Wang et al., 2021, Section 5 and Algorithm 1, and its
        released code.
    """
    if not hasattr(state, "alpha"):
        raise ValueError(
            f"{searcher.name} has no architecture parameters, of which a selection by perturbation decides"
        )
    check_selectable(searcher, supernet)
    trained = searcher.supernet or supernet
    mixed = searcher.mixed or trained
    key = jax.random.fold_in(derive_key(state.key), _SELECT)
    order_key, node_key, tune_key = jax.random.split(key, 3)
    weights_of = searcher.mixture_weights or softmax_of(decisions_of(mixed))
    accuracy = make_accuracy(searcher, mixed, weights_of, dataset, split, settings)
    tune = _make_tune(searcher, tune_key, dataset, split, settings)
    decide = _make_decide(trained, mixed, weights_of, accuracy)

    cells = trained.into_nodes
    weighed = trained.weighted_edges is not None and mixed.decisions is trained.weighted_edges.decisions
    rows = decisions_of(trained if weighed else mixed).shape[0]  # those of the edges' own weights stay
    groups = [np.arange(rows)] if cells is None else [np.sort(np.concatenate(nodes)) for nodes in cells]
    orders = [jax.random.permutation(own, group) for own, group in _pairs(order_key, groups)]
    state = _one_by_one(state, jnp.stack(orders, 1), decide, tune, first=0)
    if cells is not None:
        drop = _make_drop(trained, accuracy)
        numbers = [np.arange(len(nodes)) for nodes in cells]
        places = [jax.random.permutation(own, each) for own, each in _pairs(node_key, numbers)]
        nodes = jnp.stack([place + len(cells[0]) * number for number, place in enumerate(places)], 1)
        state = _one_by_one(state, nodes, drop, tune, first=1)
    return state, searcher.derive(state, dataset, split)


def _pairs(key: Key, groups: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(jax.random.split(key, len(groups)), groups, strict=True))


def _one_by_one(
    state: Any, order: Array, decide: Callable[[Any, Array], Any], tune: Callable[[Any, Array], Any], first: int
) -> Any:
    """Returns a state after the decisions `[R, G]`, before each `G` of which but the first ones it is tuned."""
    rounds, groups = order.shape
    numbers = jnp.arange(rounds * groups)
    begins = (numbers % groups == 0) & (numbers + groups * first > 0)

    def body(state: Any, each: tuple[Array, Array, Array]) -> tuple[Any, None]:
        number, row, tuned = each
        # The counter of a loop is one for all searches side by side: the branch stays a branch.
        state = jax.lax.cond(tuned, tune, lambda state, number: state, state, number + 1000 * first)
        return decide(state, row), None

    state, _ = jax.lax.scan(body, state, (numbers, order.reshape(-1), begins))
    return state


def softmax_of(decisions: Decisions) -> Callable[[Any, Array], Array]:
    """Returns the weights of a mixture as a function of a state and of alpha, where they are its softmax."""
    return lambda state, alpha: jax.nn.softmax(decisions.restrict(alpha), axis=1)


def make_accuracy(
    searcher: WeightSharingSearcher,
    mixed: Supernet,
    weights_of: Callable[[Any, Array], Array],
    dataset: Dataset,
    split: str,
    settings: Projection,
) -> Callable[[Any, Callable[[Array], Array]], Array]:
    """Returns `accuracy(state, change)`: of the mixture, by weights `change(weights [D, C])`, over a whole split."""
    batches = filled_batches(dataset.rows(split), settings.look_batch_size)
    better = 1 if mixed.task.higher_is_better else -1

    def accuracy(state: Any, change: Callable[[Array], Array]) -> Array:
        weights, parameters = change(weights_of(state, state.alpha)), searcher.shared(state).parameters

        def measure(total: Array, batch: tuple[Array, Array]) -> tuple[Array, None]:
            numbers, counted = batch
            inputs, targets = dataset.examples(numbers)
            outputs, _ = mixed.mixture(parameters, None, weights, inputs)
            found = jnp.where(counted, mixed.task.measure(outputs, targets), 0)
            return total + if_finite(outputs, jnp.sum(found)), None

        total: Array = jax.lax.scan(measure, jnp.float32(0), batches)[0]
        return better * total

    return accuracy


def _make_tune(
    searcher: WeightSharingSearcher, key: Key, dataset: Dataset, split: str, settings: Projection
) -> Callable[[Any, Array], Any]:
    """Returns `tune(state, number)`: the state after some epochs, its schedules where they were."""
    step = searcher.tuned or searcher.step

    def held(state: Any, batch: Batch) -> tuple[Any, StepInfo]:
        after, info = step(state, batch)
        return after._replace(step=state.step), info

    still = searcher._replace(step=held, extra_steps=0)

    def tune(state: Any, number: Array) -> Any:
        def epoch(state: Any, each: Array) -> tuple[Any, None]:
            run = SearchRun(key, number * settings.tune_epochs + each, state)
            return train_epoch(run, still, dataset, batch_size=settings.batch_size, split=split)[0].state, None

        return jax.lax.scan(epoch, state, jnp.arange(settings.tune_epochs, dtype=jnp.int32))[0]

    return tune if settings.tune_epochs else lambda state, number: state


def _make_decide(
    trained: Supernet,
    mixed: Supernet,
    weights_of: Callable[[Any, Array], Array],
    accuracy: Callable[[Any, Callable[[Array], Array]], Array],
) -> Callable[[Any, Array], Any]:
    """Returns `decide(state, row)`, which keeps the choice whose removal costs most, the first among equals.

    What weighs nothing is no choice: an operation that a stage has dropped, and `none` among sigmoids.
    """
    decisions, absent = decisions_of(mixed), decisions_of(trained).absent
    places = np.arange(decisions.shape[1])
    open_to = decisions.mask if absent is None else decisions.mask & (places != absent)

    def decide(state: Any, row: Array) -> Any:
        def without(choice: Array) -> Array:
            here = (jnp.arange(decisions.shape[0]) == row)[:, None] & (places == choice)[None]
            return accuracy(state, lambda weights: jnp.where(here, 0, weights))

        left = jax.lax.map(without, jnp.asarray(places))
        there = jnp.asarray(open_to)[row] & (weights_of(state, state.alpha)[row] != 0)
        left = jnp.where(there, jnp.nan_to_num(left, nan=1e30), jnp.inf)
        return state._replace(alpha=decided(state.alpha, row, jnp.argmin(left)))

    return decide


def _make_drop(
    trained: Supernet, accuracy: Callable[[Any, Callable[[Array], Array]], Array]
) -> Callable[[Any, Array], Any]:
    """Returns `drop(state, node)`, which leaves two edges into a node and `none` on the others."""
    decisions = decisions_of(trained)
    none = decisions.absent
    assert none is not None
    assert trained.into_nodes is not None
    nodes = [edges for cell in trained.into_nodes for edges in cell]
    most = max(map(len, nodes))
    table = jnp.asarray([[*edges, *[-1] * (most - len(edges))] for edges in nodes], jnp.int32)  # [N, most]

    def drop(state: Any, node: Array) -> Any:
        edges = table[node]

        def one(state: Any, _: Any) -> tuple[Any, None]:
            gone = state.alpha[edges, none] > 0  # of decided rows, those without an operation
            left = (edges >= 0) & ~gone

            def without(edge: Array) -> Array:
                here = jnp.arange(state.alpha.shape[0]) == edge
                return accuracy(state, lambda weights: jnp.where(here[:, None], 0, weights))

            found = jax.lax.map(without, edges)
            found = jnp.where(left, jnp.nan_to_num(found, nan=-1e30), -jnp.inf)
            place = most - 1 - jnp.argmax(found[::-1])  # the last among equals, as released
            dropped = decided(state.alpha, edges[place], jnp.int32(none))
            return state._replace(alpha=jnp.where(jnp.sum(left) > 2, dropped, state.alpha)), None

        return jax.lax.scan(one, state, None, length=most - 2)[0]

    return drop


def derive_by_perturbation(
    searcher: WeightSharingSearcher, supernet: Supernet, ends: int, settings: Projection
) -> Callable[[Any, Dataset, str], Derived]:
    """Returns the derivation of a search that selects by perturbation once it has made so many steps."""

    def derive(state: Any, dataset: Dataset, split: str) -> Derived:
        select = functools.partial(select_by_perturbation, searcher, supernet, settings=settings)
        found: Derived = jax.lax.cond(
            all_lanes(state.step >= ends),
            lambda state: select(state, dataset, split)[1],
            lambda state: searcher.derive(state, dataset, split),
            state,
        )
        return found

    return derive
