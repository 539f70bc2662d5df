"""A training run as one function: epochs as a scan over steps, every random number from the run's key."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jnas.core._vocabulary import Array, Key, Network, Weights
from jnas.training._recipe import Recipe, make_optimizer
from jnas.training.data import _batches
from jnas.training.data._batches import filled_batches, shuffled_batches
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import make_network
from jnas.training.runs._language import begin_text_run, evaluate_text, run_text_epochs, text_windows
from jnas.training.runs._regularizers import (
    apply_learning,
    check_regularizers,
    mean_of,
    mixed,
    regularizer_keys,
    with_cutout,
)
from jnas.training.runs._run_state import Curves, RunState


def begin_run(key: Key, arch: Array, dataset: Dataset | TextDataset, recipe: Recipe, network: Network) -> RunState:
    """Returns a run of which nothing is done yet.

    Raises:
      ValueError: The architecture is not of the network's space, or the network does not learn such data.
    """
    if jnp.shape(arch) != (network.space.num_decisions,):
        raise ValueError(
            f"arch has the shape {jnp.shape(arch)}, expected ({network.space.num_decisions},), an architecture of "
            f"{network.space.name}; for another space, pass network=make_network(dataset, recipe, space=...)"
        )
    if isinstance(dataset, TextDataset) != (network.window is not None):
        kind = "a text" if network.window is None else "of images"
        raise ValueError(
            f"the data set {dataset.name!r} is {kind}, which the network of {network.space.name} does not learn; make "
            "one by make_network(dataset, recipe, space=...)"
        )
    if isinstance(dataset, TextDataset):
        return begin_text_run(key, arch, dataset, recipe, network)
    init_key, run_key = jax.random.split(key)
    weights = Weights(*network.init(init_key, arch))
    optimizer = make_optimizer(recipe, recipe.epochs * steps_per_epoch(dataset, recipe))
    state = optimizer.init(weights.parameters)
    return RunState(run_key, jnp.asarray(arch, jnp.int32), weights, state, jnp.int32(0), jnp.bool_(False))


def steps_per_epoch(dataset: Dataset | TextDataset, recipe: Recipe) -> int:
    """Returns how many batches an epoch has, of a text at most; as `jnas.training.data._batches.batches_per_epoch`."""
    if isinstance(dataset, TextDataset):
        return text_windows(dataset, recipe)
    return _batches.batches_per_epoch(dataset, recipe.batch_size, "give the recipe a smaller batch_size")


def run_epochs(
    state: RunState, dataset: Dataset | TextDataset, recipe: Recipe, network: Network, num_epochs: int
) -> tuple[RunState, Curves]:
    """Returns a run after more epochs, and what was measured in each of them.

    The result does not depend on how the epochs are divided among calls.

    Args:
      state: The run so far.
      dataset: What it learns from.
      recipe: How; the learning rate follows `recipe.epochs`.
      network: What it trains.
      num_epochs: How many more epochs, a Python int.
    """
    if isinstance(dataset, TextDataset):
        return run_text_epochs(state, dataset, recipe, network, num_epochs)
    num_steps = steps_per_epoch(dataset, recipe)
    optimizer = make_optimizer(recipe, recipe.epochs * num_steps)
    rows, task = dataset.rows("train"), network.task
    check_regularizers(recipe, network)
    changed = with_cutout(dataset, recipe.cutout)
    splits = [split for split in dataset.splits if split != "train"]

    def step(state: RunState, batch: tuple[Array, Key]) -> tuple[RunState, Array]:
        numbers, key = batch
        augment_key, path_key, mix_key = regularizer_keys(key, recipe)
        inputs, targets = changed.augmented(augment_key, numbers)
        over_targets: Callable[..., Array] = functools.partial(mean_of, targets)
        if recipe.mixup:
            inputs, over_targets = mixed(mix_key, inputs, targets, recipe.mixup)

        def gradients_by(apply: Callable[..., Any], parameters: Any, inputs: Any) -> Any:
            def loss_of(parameters: Any) -> tuple[Array, tuple[Any, Any]]:
                outputs, others, used = apply_learning(
                    network, apply, recipe, parameters, state.arch, inputs, path_key, state.epoch
                )
                loss = functools.partial(task.loss, smoothing=recipe.label_smoothing)
                total = over_targets(loss, outputs)
                for other in others:
                    total = total + recipe.auxiliary * over_targets(loss, other)
                return total, (outputs, used)

            return jax.value_and_grad(loss_of, has_aux=True)(parameters)

        if network.specialize is None:
            found = gradients_by(network.apply, state.weights.parameters, inputs)
        else:
            found = network.specialize(state.arch, gradients_by)(state.weights.parameters, inputs)
        (_, (outputs, used)), gradients = found
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.weights.parameters)
        parameters = optax.apply_updates(state.weights.parameters, updates)
        counts = network.counts(jax.tree.map(jnp.shape, inputs))
        statistics = _running(state.weights.statistics, used, recipe.batch_norm_momentum, counts)
        loss = over_targets(task.loss, outputs)
        metric = task.metric(over_targets(task.measure, outputs))
        state = state._replace(
            weights=Weights(parameters, statistics),
            optimizer=optimizer_state,
            failed=state.failed | ~jnp.isfinite(loss),
        )
        return state, jnp.stack([metric, loss])

    def epoch(state: RunState, _: None) -> tuple[RunState, Curves]:
        order_key, augment_key = jax.random.split(jax.random.fold_in(state.key, state.epoch))
        batches = shuffled_batches(order_key, rows, recipe.batch_size, num_steps)
        state, each = lax.scan(step, state, (batches, jax.random.split(augment_key, num_steps)))
        measured = {"train": jnp.mean(each, 0)}
        statistics = _evaluation_statistics(state, dataset, recipe, network, batches)
        weights = Weights(state.weights.parameters, statistics)
        measured |= _evaluate_splits(weights, state.arch, dataset, splits, recipe, network)
        failed = state.failed | ~jnp.all(jnp.isfinite(jnp.stack(list(measured.values()))))
        known = {split: jnp.where(failed, jnp.nan, values) for split, values in measured.items()}
        curves = Curves({s: v[0] for s, v in known.items()}, {s: v[1] for s, v in known.items()})
        return state._replace(epoch=state.epoch + 1, failed=failed), curves

    return lax.scan(epoch, state, None, length=num_epochs)


def train(
    key: Key, arch: Array, dataset: Dataset | TextDataset, recipe: Recipe, network: Network | None = None
) -> tuple[Curves, Weights]:
    """Returns what a training run measured and learned; works inside `jit`, `lax.map` and `vmap`.

    After each epoch: accuracy and cross-entropy, or another task's metric and loss, of every split. Those of `'train'`
    are means over the epoch's batches, as training went, with augmented images and batch statistics; the others are
    evaluated with the recipe's policy for batch-norm. What a run costs in parameters and multiply-adds is
    `network.parameters(arch)` and `network.flops(arch)`; the seconds of an epoch are measured outside of `jit`, see
    `run_jobs`.

    Args:
      key: Typed key `[]`: of the first weights, the order of the images and their augmentation.
      arch: int32 `[E]`.
      dataset: What is learned.
      recipe: How.
      network: From `make_network`, which knows other spaces; by default NAS-Bench-201's in the form that is fastest on
        this backend.

    Returns:
      Curves, float32 `[epochs]` of each split, and the weights at the end.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020, Section
      2.2 and 2.3.

    Example:
      >>> import jax
      >>> from jnas import training
      >>> dataset = training.load_dataset("digits")
      >>> recipe = training.get_recipe("digits-8", epochs=1, channels=2, cells=1)
      >>> run = jax.jit(lambda key, arch: training.train(key, arch, dataset, recipe))
      >>> arch = jax.numpy.array([3, 1, 3, 0, 2, 4])
      >>> curves, weights = jax.eval_shape(run, jax.random.key(0), arch)  # `run(...)` trains; these are its shapes
      >>> {split: curve.shape for split, curve in curves.accuracy.items()}
      {'test': (1,), 'train': (1,), 'validation': (1,)}
    """
    network = network or make_network(dataset, recipe)
    state = begin_run(key, arch, dataset, recipe, network)
    state, curves = run_epochs(state, dataset, recipe, network, recipe.epochs)
    return curves, state.weights


def evaluate(
    weights: Weights, arch: Array, dataset: Dataset | TextDataset, split: str, recipe: Recipe, network: Network
) -> Array:
    """Returns the task's metric (accuracy in percent) and mean loss (cross-entropy) on a split, float32 `[2]`.

    Args:
      weights: The parameters, and the statistics that batch-norm uses, or `None` for each batch's own.
      arch: int32 `[E]`.
      dataset: Where the split is.
      split: Its name.
      recipe: Says the size of a batch; the last one is filled up with the split's first images, which are not counted
        but belong to the batch's own statistics.
      network: What is evaluated.
    """
    if isinstance(dataset, TextDataset):
        return evaluate_text(weights.parameters, arch, dataset, split, recipe, network)
    return _evaluate_splits(weights, arch, dataset, [split], recipe, network)[split]


def _evaluate_splits(
    weights: Weights, arch: Array, dataset: Dataset, splits: list[str], recipe: Recipe, network: Network
) -> dict[str, Array]:
    """Returns what `evaluate` gives for each split; those whose batches are of one size share a loop, compiled once."""
    task, loops = network.task, dict[int, dict[str, tuple[Array, Array]]]()
    for split in splits:
        numbers, counted = filled_batches(dataset.rows(split), recipe.eval_batch_size)
        loops.setdefault(numbers.shape[1], {})[split] = numbers, counted

    def batch(totals: Array, batch: tuple[Array, Array, Array]) -> tuple[Array, None]:
        numbers, counted, place = batch
        inputs, targets = dataset.examples(numbers)
        outputs, _ = network.apply(weights.parameters, weights.statistics, arch, inputs)
        measured = jnp.stack([task.measure(outputs, targets), task.loss(outputs, targets)])
        return totals.at[place].add(jnp.sum(jnp.where(counted[None, :], measured, 0), 1)), None

    found = {}
    for batches in loops.values():
        places = jnp.asarray(np.repeat(np.arange(len(batches)), [len(numbers) for numbers, _ in batches.values()]))
        numbers, counted = (jnp.concatenate(each) for each in zip(*batches.values(), strict=True))
        totals, _ = lax.scan(batch, jnp.zeros((len(batches), 2), jnp.float32), (numbers, counted, places))
        for split, total in zip(batches, totals, strict=True):
            count = len(dataset.rows(split))
            found[split] = jnp.stack([task.metric(total[0], count), total[1] / count])
    return found


def _running(statistics: Any, used: Any, keep: float, counts: Any) -> Any:
    """Returns running estimates after a batch; the variance is the unbiased one of `counts` numbers."""

    def update(old: Array, new: Array, count: int) -> Array:
        unbiased = np.asarray([1.0, count / max(count - 1, 1)], np.float32)[:, None]
        return keep * old + (1 - keep) * new * unbiased.reshape((1,) * (new.ndim - 2) + (2, 1))

    return jax.tree.map(update, statistics, used, counts)


def _evaluation_statistics(state: RunState, dataset: Dataset, recipe: Recipe, network: Network, batches: Array) -> Any:
    """Returns what batch-norm uses in evaluation, by the recipe's policy."""
    if recipe.batch_norm == "batch":
        return None
    if recipe.batch_norm == "running":
        return state.weights.statistics

    def used(_: None, numbers: Array) -> tuple[None, Any]:
        return None, network.apply(state.weights.parameters, None, state.arch, dataset.examples(numbers).inputs)[1]

    _, each = lax.scan(used, None, batches[: recipe.batch_norm_batches])
    return jax.tree.map(lambda x: jnp.mean(x, 0), each)
