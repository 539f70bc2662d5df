"""A language model's training run: windows of a text in its order, the state carried from each to the next."""

import functools
import math
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._draws import bits, fold_in, split, uniform
from jnas.core._vocabulary import Array, Key, Network, Weights
from jnas.training._recipe import Recipe, TextRecipe
from jnas.training.data._text import TextDataset, streams_of, windows_of
from jnas.training.runs._run_state import Curves, RunState

_LEAST = 5  # tokens of a window that is jittered
_MARGIN = 4.0  # deviations of an epoch's number of windows for which there is room
_QUANTILES = 1000  # of the normal numbers, by which the mean length is computed


class Averaging(NamedTuple):
    """The parameters that steps change, and when their mean over steps takes their place in evaluation."""

    parameters: Any  # those of the run's `weights` are the mean, and the same before there is one
    steps: Array  # int32 []: since averaging began; -1 before
    best: Array  # float32 []: the lowest validation loss of all but the last `patience` epochs
    recent: Array  # float32 [patience]: those of the last ones, infinite where there was no epoch yet
    kept: Any = ()  # a `Kept`, where runs roll back


class Kept(NamedTuple):
    """The epoch of the lowest validation loss so far, to which a run goes back from one that is not finite."""

    parameters: Any  # that were evaluated
    steps: Array  # int32 []: as `Averaging.steps` was
    loss: Array  # float32 []: infinite while there is no such epoch
    measured: dict[str, Array]  # of each split, its perplexity and loss, float32 [2]


class _Total(NamedTuple):
    """What is carried through the windows of an epoch."""

    averaging: Averaging
    mean: Any  # of the parameters
    hidden: Array  # [B, D]
    loss: Array  # [] the sum over all tokens so far


def draw_lengths(key: Key, settings: TextRecipe, count: int) -> Array:
    """Returns the lengths of `count` windows, int32 `[count]`; as `TextRecipe` says."""
    if not settings.window_deviation and not settings.half_window:
        return jnp.full(count, settings.window, jnp.int32)
    half, share = uniform(bits(key, (2, count)))
    lengths = jnp.where(half < settings.half_window, settings.window / 2, settings.window)
    if settings.window_deviation:
        normal = math.sqrt(2) * lax.erf_inv(2 * share - 1)
        lengths = jnp.maximum(lengths + settings.window_deviation * normal, _LEAST)
    return jnp.clip(lengths.astype(jnp.int32), 1, longest_window(settings))


def longest_window(settings: TextRecipe) -> int:
    """Returns how many tokens a window has at most."""
    return settings.window + (settings.most_longer if settings.window_deviation else 0)


def text_windows(text: TextDataset, recipe: Recipe) -> int:
    """Returns for how many windows an epoch has room.

    Lengths are drawn until the text is through; their number has a deviation of which there is room for four, and an
    epoch that would need more leaves the text's last tokens out.

    Raises:
      ValueError: The recipe is not one of language models, its windows are longer than the text's streams, or another
        split is too short for the streams in which it is evaluated.
    """
    settings = text_settings(recipe)
    length = len(text.tokens("train")) // recipe.batch_size
    if length <= settings.window:
        raise ValueError(
            f"the training text of {text.name!r} gives {recipe.batch_size} streams of {length} tokens and a window "
            f"takes {settings.window} and the next; give the recipe a smaller batch_size or a shorter window, or a "
            "longer text"
        )
    streams = recipe.eval_batch_size
    for name, tokens in text.splits.items():
        if name != "train" and len(tokens) < 2 * streams:
            raise ValueError(
                f"the {name} text of {text.name!r} has {len(tokens)} tokens, expected at least {2 * streams}, two for "
                f"each of {streams} streams; give a longer text, or the recipe a smaller eval_batch_size"
            )
    mean, deviation = length_moments(settings)
    expected = (length - 1) / mean
    return math.ceil(expected + _MARGIN * deviation / mean * math.sqrt(expected))


@functools.cache
def length_moments(settings: TextRecipe) -> tuple[float, float]:
    """Returns the mean and the standard deviation of what `draw_lengths` draws, cut to whole tokens as there."""
    normal = np.asarray([NormalDist().inv_cdf((i + 0.5) / _QUANTILES) for i in range(_QUANTILES)])
    mean = square = 0.0
    for center, share in ((settings.window, 1 - settings.half_window), (settings.window / 2, settings.half_window)):
        lengths = center + settings.window_deviation * normal
        lengths = np.maximum(lengths, _LEAST) if settings.window_deviation else lengths
        lengths = np.clip(np.floor(lengths), 1, longest_window(settings))
        mean, square = mean + share * float(lengths.mean()), square + share * float((lengths**2).mean())
    return mean, math.sqrt(max(square - mean**2, 0.0))


def text_settings(recipe: Recipe) -> TextRecipe:
    """Returns what a recipe says of language models; ValueError where it says nothing."""
    if recipe.text is None:
        raise ValueError(f"the recipe {recipe.name!r} trains on images; for a text give one such as 'text-small-8'")
    return recipe.text


def begin_text_run(key: Key, arch: Array, text: TextDataset, recipe: Recipe, network: Network) -> RunState:
    """Returns a run of which nothing is done yet; as `begin_run`."""
    settings = text_settings(recipe)
    init_key, run_key = split(key)
    weights = Weights(*network.init(init_key, arch))
    recent = jnp.full(settings.patience, jnp.inf, jnp.float32)
    steps, infinite = jnp.int32(-1), jnp.float32(jnp.inf)
    kept: Any = ()
    if settings.roll_back and text.validation_split is not None:
        measured = {name: jnp.full(2, jnp.nan, jnp.float32) for name in text.splits}
        kept = Kept(weights.parameters, steps, infinite, measured)
    averaging = Averaging(weights.parameters, steps, infinite, recent, kept)
    return RunState(run_key, jnp.asarray(arch, jnp.int32), weights, averaging, jnp.int32(0), jnp.bool_(False))


def run_text_epochs(
    state: RunState, text: TextDataset, recipe: Recipe, network: Network, num_epochs: int
) -> tuple[RunState, Curves]:
    """Returns a run after more epochs, and what was measured in each of them; as `run_epochs`.

    An epoch goes through the text once, from a hidden state of zeros. The gradient's norm is clipped, weight decay
    added, and the step's learning rate is in proportion to its window's length. Once the validation loss is higher than
    the lowest of all but the last `patience` epochs, the mean of the parameters over all later steps (but the first,
    as PyTorch's ASGD) is evaluated and kept in their place.

    Where recipes roll back, an epoch that leaves a loss or a perplexity that is not finite counts as one that did
    nothing: the run has the weights of its best epoch again, as DARTS's released code loads them, goes on with other
    random numbers, and its curves repeat that epoch. (The released code counts epochs from there again.) A run diverges
    where there is no such epoch yet.

    References:
      "Regularizing and Optimizing LSTM Language Models", Merity, Keskar and Socher, 2018, Algorithm 1.
    """
    settings, count = text_settings(recipe), text_windows(text, recipe)
    streams = streams_of(text.tokens("train"), recipe.batch_size)
    total_length, longest = streams.shape[1], longest_window(settings)
    rows = jnp.pad(streams, ((0, 0), (0, longest + 1))).T
    others = [name for name in text.splits if name != "train"]

    def epoch(state: RunState, _: None) -> tuple[RunState, Curves]:
        length_key, drop_key = split(fold_in(state.key, state.epoch.astype(jnp.uint32)))
        drawn = draw_lengths(length_key, settings, count)
        starts = jnp.cumsum(drawn) - drawn
        left = total_length - 1 - starts
        lengths = jnp.where(left > 1, jnp.minimum(drawn, left), 0)

        def window(total: _Total, each: tuple[Array, Array, Array, Key]) -> tuple[_Total, None]:
            start, drawn, length, key = each
            tokens = lax.dynamic_slice_in_dim(rows, start, longest + 1)
            return _step(total, tokens, drawn, length, key, state.arch, recipe, network), None

        hidden = jnp.zeros((recipe.batch_size, recipe.channels), jnp.float32)
        total = _Total(state.optimizer, state.weights.parameters, hidden, jnp.float32(0))
        windows = (jnp.minimum(starts, total_length), drawn, lengths, split(drop_key, count))
        total, _ = lax.scan(window, total, windows)
        loss = total.loss / (jnp.sum(lengths) * recipe.batch_size)
        measured = {"train": jnp.stack([network.task.metric(loss), loss])}
        measured |= _evaluate_splits(total.mean, state.arch, text, others, recipe, network, recipe.eval_batch_size)
        finite = jnp.all(jnp.isfinite(jnp.stack(list(measured.values()))))
        averaging, mean = total.averaging, total.mean
        if text.validation_split is not None:
            loss = measured[text.validation_split][1]
            averaging = _judged(averaging, loss)
            if averaging.kept:
                averaging, mean, measured, finite = _rolled_back(total, averaging, measured, finite, loss)
        failed = state.failed | ~finite
        known = {name: jnp.where(failed, jnp.nan, values) for name, values in measured.items()}
        curves = Curves({s: v[0] for s, v in known.items()}, {s: v[1] for s, v in known.items()})
        weights = Weights(mean, state.weights.statistics)
        return state._replace(weights=weights, optimizer=averaging, epoch=state.epoch + 1, failed=failed), curves

    return lax.scan(epoch, state, None, length=num_epochs)


def _step(
    total: _Total, tokens: Array, drawn: Array, length: Array, key: Key, arch: Array, recipe: Recipe, network: Network
) -> _Total:
    """Returns what is carried after a window of tokens `[T + 1, B]`; a window of no length changes nothing."""
    settings, window = text_settings(recipe), network.window
    assert window is not None

    def objective(parameters: Any) -> tuple[Array, Any]:
        found = window(parameters, arch, tokens[:-1], tokens[1:], total.hidden, length, key, settings)
        return found.objective, found

    gradients, found = jax.grad(objective, has_aux=True)(total.averaging.parameters)
    norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradients)))
    shrink = jnp.minimum(1.0, recipe.clip / (norm + 1e-6)) if recipe.clip else 1.0
    rate = jnp.where(length > 0, recipe.learning_rate * drawn / settings.window, 0.0)
    parameters = jax.tree.map(
        lambda value, gradient: value - rate * (shrink * gradient + recipe.weight_decay * value),
        total.averaging.parameters,
        gradients,
    )
    steps, mean = total.averaging.steps, parameters
    if settings.patience:
        steps = jnp.where((steps >= 0) & (length > 0), steps + 1, steps)
        share = jnp.where(length > 0, 1 / jnp.maximum(steps - 1, 1), 0.0)
        mean = jax.tree.map(
            lambda mean, value: jnp.where(share == 1, value, mean + share * (value - mean)), total.mean, parameters
        )
    averaging = total.averaging._replace(parameters=parameters, steps=steps)
    return _Total(averaging, mean, found.hidden, total.loss + found.loss)


def _judged(averaging: Averaging, loss: Array) -> Averaging:
    """Returns the same after the validation loss of an epoch."""
    if not len(averaging.recent):
        return averaging
    begins = (averaging.steps < 0) & (loss > averaging.best)
    recent = jnp.append(averaging.recent[1:], loss)
    return averaging._replace(
        steps=jnp.where(begins, 0, averaging.steps),
        best=jnp.minimum(averaging.best, averaging.recent[0]),
        recent=recent,
    )


def _rolled_back(
    total: _Total, judged: Averaging, measured: dict[str, Array], finite: Array, loss: Array
) -> tuple[Averaging, Any, dict[str, Array], Array]:
    """Returns what an epoch leaves, or the best one before where it was not finite.

    Returns:
      The same as `judged`, the mean of the parameters, what was measured, and whether there is anything finite.
    """
    before = total.averaging
    best = finite & (loss < before.kept.loss)
    this = Kept(total.mean, before.steps, loss, measured)
    kept = jax.tree.map(lambda new, old: jnp.where(best, new, old), this, before.kept)
    back = ~finite & jnp.isfinite(kept.loss)
    again = before._replace(parameters=kept.parameters, steps=kept.steps), kept.parameters, kept.measured
    found = jax.tree.map(lambda old, new: jnp.where(back, old, new), again, (judged, total.mean, measured))
    return found[0]._replace(kept=kept), found[1], found[2], finite | back


def evaluate_text(
    parameters: Any,
    arch: Array,
    text: TextDataset,
    split: str,
    recipe: Recipe,
    network: Network,
    *,
    batch_size: int | None = None,
) -> Array:
    """Returns perplexity and mean cross-entropy of a split, float32 `[2]`, the state carried through it.

    The mean is over all tokens that are predicted. (The released scripts divide by one more for each stream.)

    Args:
      parameters: What is evaluated.
      arch: int32 `[E]`.
      text: Where the split is.
      split: Its name.
      recipe: Says the length of a window and, in `eval_batch_size`, the number of streams.
      network: A language model, of this text.
      batch_size: Another number of streams; published test perplexities have 1.

    Raises:
      ValueError: The parameters are those of another vocabulary or cell than the network's, or the split has less than
        two tokens for each stream.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    expected = jax.tree.map(jnp.shape, jax.eval_shape(network.init, key, arch)[0])
    if jax.tree.map(jnp.shape, parameters) != expected:
        raise ValueError(
            f"the parameters are not those of the network for {text.name!r}, whose vocabulary has {text.num_tokens:,} "
            "tokens; read the text with the vocabulary of the weights, load_text(..., vocabulary=...)"
        )
    streams = batch_size or recipe.eval_batch_size
    return _evaluate_splits(parameters, arch, text, [split], recipe, network, streams)[split]


def _evaluate_splits(
    parameters: Any,
    arch: Array,
    text: TextDataset,
    splits: list[str],
    recipe: Recipe,
    network: Network,
    batch_size: int,
) -> dict[str, Array]:
    """Returns what `evaluate_text` gives for each split, by one loop over the windows of all, compiled once."""
    if not splits:
        return {}
    window, longest = network.window, text_settings(recipe).window
    assert window is not None
    streams = {name: streams_of(text.tokens(name), batch_size) for name in splits}
    each = [windows_of(part, longest) for part in streams.values()]
    inputs, targets, lengths = (jnp.concatenate(parts) for parts in zip(*each, strict=True))
    counts = [len(part[2]) for part in each]
    begins = np.isin(np.arange(sum(counts)), np.cumsum([0, *counts[:-1]]))
    places = np.repeat(np.arange(len(splits)), counts)

    def add(carried: tuple[Array, Array], each: Any) -> tuple[tuple[Array, Array], None]:
        hidden, totals = carried
        tokens, following, length, begins, place = each
        found = window(parameters, arch, tokens, following, jnp.where(begins, 0.0, hidden), length)
        return (found.hidden, totals.at[place].add(found.loss)), None

    start = jnp.zeros((batch_size, recipe.channels), jnp.float32), jnp.zeros(len(splits), jnp.float32)
    (_, totals), _ = lax.scan(add, start, (inputs, targets, lengths, jnp.asarray(begins), jnp.asarray(places)))
    found = {}
    for place, (name, part) in enumerate(streams.items()):
        count = batch_size * (part.shape[1] - 1)
        found[name] = jnp.stack([network.task.metric(totals[place], count), totals[place] / count])
    return found
