"""The one loop of weight-sharing searches: an epoch as a scan over steps, a look at what has been found, many seeds."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._devices import divided_for
from jnas.core._draws import below, fold_in
from jnas.core._vocabulary import Array, Batch, Derived, Key, StepInfo, Supernet, WeightSharingSearcher
from jnas.searchers.weight_sharing._architecture_hessian import hessian_eigenvalue
from jnas.searchers.weight_sharing._candidates import derive_key
from jnas.searchers.weight_sharing._texts import SearchData, SearchText, search_steps, text_epoch
from jnas.training.data._batches import shuffled_batches
from jnas.training.operations._forms import over_seeds


class SearchRun(NamedTuple):
    """A search between two epochs: all that the next one needs."""

    key: Key  # [], of the batches; stays
    epoch: Array  # [] int32, epochs done
    state: Any  # the searcher's


class Look(NamedTuple):
    """What is seen of a search between two epochs; it leaves the search as it is."""

    derived: Derived
    weights: Array  # [E, K] float32, probabilities of each decision's choices; files have them under this name
    eigenvalue: Array  # [] float32, largest one of the validation loss's Hessian in alpha; NaN where not asked for


def begin_search(key: Key, searcher: WeightSharingSearcher) -> SearchRun:
    """Returns a search of which nothing is done yet.

    Args:
      key: Of the first weights, of the searcher's draws and of all batches.
      searcher: What searches.
    """
    state_key, batch_key = jax.random.split(key)
    return SearchRun(batch_key, jnp.int32(0), searcher.init(state_key))


def train_epoch(
    run: SearchRun, searcher: WeightSharingSearcher, dataset: SearchData, *, batch_size: int, split: str
) -> tuple[SearchRun, StepInfo]:
    """Returns a search after one more epoch, and the means of what its steps saw.

    NaN for what none of them saw, and for a search whose shared weights are not finite any more.

    The training images are gone through once in a new order. Each step gets a batch of them and, drawn independently
    and with replacement, a batch of validation images; both are augmented as training images are. Steps beyond those
    (`searcher.extra_steps`) get new validation images and the epoch's training batches again.

    A text, from `search_data`, is gone through in its order; `jnas.searchers.weight_sharing._texts` says how.

    Works inside `jit` and `vmap`.

    Args:
      run: The search so far.
      searcher: What searches; its schedules must have been told `search_steps(dataset, batch_size)`.
      dataset: The images, or the text.
      batch_size: Of training and of validation batches; a Python int.
      split: The images that the architecture is learned from.

    References:
      "NAS-Bench-201", Dong and Yang, 2020, and its released search loaders: which images a step sees.
    """
    steps = search_steps(dataset, batch_size)
    if isinstance(dataset, SearchText):
        return _train_text_epoch(run, searcher, dataset, batch_size, steps, split)
    total = steps + searcher.extra_steps
    order_key, choice_key, augment_key = jax.random.split(jax.random.fold_in(run.key, run.epoch), 3)
    order = shuffled_batches(order_key, dataset.rows("train"), batch_size, steps)
    others = dataset.rows(split)
    chosen = others[below(jax.random.bits(choice_key, (total, batch_size), jnp.uint32), len(others))]

    def step(state: Any, each: tuple[Array, Array, Key]) -> tuple[Any, StepInfo]:
        place, validation, key = each
        numbers = jnp.concatenate([order[place], validation])
        examples = dataset.augmented(key, numbers)  # of both at once: one call of the generator
        halves = (slice(None, batch_size), slice(batch_size, None))
        batch = Batch(*(jax.tree.map(lambda leaf, half=half: leaf[half], examples) for half in halves))
        stepped: tuple[Any, StepInfo] = searcher.step(state, batch)
        return stepped

    places = jnp.arange(total) % steps
    state, infos = jax.lax.scan(step, run.state, (places, chosen, jax.random.split(augment_key, total)))
    return _after_epoch(run, searcher, state, infos)


def _train_text_epoch(
    run: SearchRun, searcher: WeightSharingSearcher, data: SearchText, batch_size: int, steps: int, split: str
) -> tuple[SearchRun, StepInfo]:
    """Returns the same of a text."""
    epoch = text_epoch(data, fold_in(run.key, run.epoch), batch_size, steps, searcher.extra_steps, split)

    def step(carry: tuple[Any, Any], each: Any) -> tuple[tuple[Any, Any], StepInfo]:
        state, carried = carry
        state, told = searcher.step(state, epoch.batch(each, carried))
        return (state, told.carried), told.info

    (state, _), infos = jax.lax.scan(step, (run.state, epoch.start), epoch.each)
    return _after_epoch(run, searcher, state, infos)


def _after_epoch(
    run: SearchRun, searcher: WeightSharingSearcher, state: Any, infos: StepInfo
) -> tuple[SearchRun, StepInfo]:
    alive = _finite(searcher.shared(state).parameters)
    means = (jnp.where(alive, _mean(seen), jnp.nan) for seen in infos)
    return SearchRun(run.key, run.epoch + 1, state), StepInfo(*means)


def _finite(tree: Any) -> Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _mean(values: Array) -> Array:
    """Returns the mean `[]` of the steps `[T]` that saw something; infinite losses stay what they are."""
    there = ~jnp.isnan(values)
    return jnp.sum(jnp.where(there, values, 0)) / jnp.sum(there)


def look_at(
    run: SearchRun,
    searcher: WeightSharingSearcher,
    supernet: Supernet,
    dataset: SearchData,
    *,
    split: str,
    hessian: bool = False,
) -> Look:
    """Returns what a search would give now, with weights NaN if it has diverged. Works inside `jit` and `vmap`.

    Args:
      run: The search.
      searcher: What searches.
      supernet: What it trains.
      dataset: The images.
      split: Those by which candidates are compared.
      hessian: Whether to compute the Hessian's eigenvalue, on one batch of at most 512 images of that split; for
        searchers whose state has an `alpha`.
    """
    eigenvalue = jnp.float32(jnp.nan)
    if hessian and has_alpha(run.state):
        key = jax.random.fold_in(derive_key(run.state.key), 2)
        mixed = searcher.mixed or supernet
        own = searcher.mixture_weights
        weights = None if own is None else functools.partial(own, run.state)
        shared = searcher.shared(run.state)
        eigenvalue = hessian_eigenvalue(key, mixed, shared, run.state.alpha, dataset, split, weights=weights)
    probabilities = searcher.probabilities(run.state)
    alive = _finite(searcher.shared(run.state).parameters) & jnp.all(jnp.isfinite(probabilities))
    return Look(searcher.derive(run.state, dataset, split), jnp.where(alive, probabilities, jnp.nan), eigenvalue)


def has_alpha(state: Any) -> bool:
    """Returns whether a searcher's state has architecture parameters that mix operations."""
    return hasattr(state, "alpha")


def compiled_over_seeds(function: Callable[..., Any], supernet: Supernet, num_seeds: int) -> Any:
    """Returns the compiled form of `function(dataset, run)` for runs with a leading axis of seeds, in one program.

    Seeds are divided among the local devices, as evenly as they can be. On each device they run one after the
    other where the supernet branches, else under `vmap`. Each comes to the same result as it would alone (under `vmap`
    to rounding errors).

    Args:
      function: Of the data set, which all seeds share, and of a pytree of one seed.
      supernet: Says how it branches.
      num_seeds: How many there are.
    """

    def program(dataset: SearchData, runs: Any) -> Any:
        leaves, structure = jax.tree.flatten(runs)

        def one(*leaves: Array) -> Any:
            return function(dataset, jax.tree.unflatten(structure, leaves))

        return over_seeds(one, supernet)(*leaves)

    return divided_for(program, 1, num_seeds)
