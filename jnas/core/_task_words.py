"""What is learned: examples, tasks, and the windows of texts. `jnas.core._vocabulary` lists all words."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._search_words import Array, Key


class Examples(NamedTuple):
    """A batch of what a network learns from, as it sees it: normalized (and augmented, where it is for training).

    Inputs and targets are pytrees of arrays with a leading axis of examples. A network that carries state from one
    window of a text to the next has that state among its inputs, beside the window.
    """

    inputs: Any  # [B, ...]; images are float32 [B, H, W, C]
    targets: Any  # [B, ...]; classes are int32 [B]


class Task(NamedTuple):
    """What is learned: the loss, and the metric by which people judge. Nothing else knows what an example is.

    Loss and measure are of each example, so that a batch that is filled up can leave out what does not count; what is
    reported of many examples is the mean loss, and the metric of the mean measure. The names under which results are
    kept (`Curves.accuracy`, `StepInfo.train_accuracy`, `accuracy/...` in table files) hold the task's metric, whatever
    its name.

    Attributes:
      name: For messages and pages.
      loss: `loss(outputs, targets, smoothing=0.0) -> float32 [B]`, minimised; `smoothing`, a Python float, is the
        recipe's share of every other label.
      measure: `measure(outputs, targets) -> float32 [B]`, what the metric is made of: 1 for an image that is right,
        a text's cross-entropy.
      metric: `metric(total, count=None) -> float32 []`, the metric in its unit, of the sum of `measure` over `count`
        examples; of a mean, without a count.
      metric_name: What the metric is called: `'accuracy'`.
      unit: Its unit: `'percent'`; empty for none.
      higher_is_better: Whether a higher metric is better.
      reward: `reward(metric) -> float32 []`, of the order of 1 and higher where the metric is better: what a
        controller learns from.
      carried: `carried(outputs)`, the state that a following window's inputs go on with; None where examples are
        independent of one another, as images are.
      pace: `pace(inputs)`, the share float32 `[]` of the learning rate with which weights learn of them; None for all.
    """

    name: str
    loss: Callable[..., Array]
    measure: Callable[[Any, Any], Array]
    metric: Callable[..., Array]
    metric_name: str
    unit: str
    higher_is_better: bool
    reward: Callable[[Array], Array]
    carried: Callable[[Any], Any] | None = None
    pace: Callable[[Any], Array] | None = None


def _cross_entropy(logits: Array, labels: Array, smoothing: float = 0.0) -> Array:
    """Returns the cross-entropy of each image, `[B]` of `[B, classes]` and int32 `[B]`."""
    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1)[:, 0]
    if not smoothing:
        return loss
    return (1 - smoothing) * loss - smoothing * jnp.mean(jax.nn.log_softmax(logits), -1)


def _right(logits: Array, labels: Array) -> Array:
    """Returns 1 for each image whose highest logit is the label's, else 0: float32 `[B]`."""
    return (jnp.argmax(logits, -1) == labels).astype(jnp.float32)


def _percent(total: Any, count: Any = None) -> Any:
    if count is None:
        return 100 * total
    if isinstance(count, int):  # else XLA folds 100 / count into one number, which rounds unlike what tables hold
        return jax.lax.optimization_barrier(100 * total) / count  # type: ignore[no-untyped-call]
    return 100 * total / count


IMAGE_CLASSIFICATION = Task(
    name="image classification",
    loss=_cross_entropy,
    measure=_right,
    metric=_percent,
    metric_name="accuracy",
    unit="percent",
    higher_is_better=True,
    reward=lambda percent: percent / 100,
)
"""Logits `[B, classes]` and classes int32 `[B]`: cross-entropy, and accuracy in percent."""


def _token_losses(outputs: Any, targets: Array, smoothing: float = 0.0) -> Array:
    """Returns the mean cross-entropy of each example's tokens, `[B]` of logits `[B, T, V]` and int32 `[B, T]`."""
    logits, _ = outputs
    loss = jax.vmap(_cross_entropy, in_axes=(0, 0, None))(logits, targets, smoothing)
    return jnp.mean(loss, -1)


def _perplexity(total: Any, count: Any = None) -> Any:
    return jnp.exp(total if count is None else total / count)


LANGUAGE_MODELLING = Task(
    name="language modelling",
    loss=_token_losses,
    measure=_token_losses,
    metric=_perplexity,
    metric_name="perplexity",
    unit="",
    higher_is_better=False,
    reward=lambda perplexity: 80 / perplexity,  # ENAS's on Penn Treebank
    carried=lambda outputs: outputs[1],
)
"""Logits `[B, T, V]` with the hidden state after them, and tokens int32 `[B, T]`: cross-entropy, and perplexity, which
is e to its mean."""


class Windows(NamedTuple):
    """What a supernet of language models reads: a window of parallel streams of a text, and how it reads it."""

    tokens: Array  # [B, T + 1] int32, those that are read and the one after them
    hidden: Array  # [B, D] float32, the state before
    length: Array  # [] int32, how many of the T tokens count
    pace: Array  # [] float32, the share of the learning rate that a step on it has
    penalty: Array  # [] float32, the weight of a recipe's penalties: 1 where weights learn, 0 elsewhere
    key: Key | None = None  # of what is left out, as in training; None where nothing is


class WindowLosses(NamedTuple):
    """What a supernet of language models gives: losses and not logits, which are never there whole."""

    losses: Array  # [B] float32, the mean cross-entropy of the tokens of each stream that count
    penalty: Array  # [] float32
    hidden: Array  # [B, D] float32, the state after them


LANGUAGE_WINDOWS = LANGUAGE_MODELLING._replace(
    loss=lambda outputs, targets, smoothing=0.0: outputs.losses + outputs.penalty,
    measure=lambda outputs, targets: outputs.losses,
    carried=lambda outputs: outputs.hidden,
    pace=lambda inputs: inputs.pace,
)
"""The same of `Windows` and `WindowLosses`, whose targets are among the inputs."""


class Reading(NamedTuple):
    """How a search goes through a text."""

    settings: Any  # a recipe's `text`: the lengths of windows, and what is left out
    units: int  # of the hidden state


def carried_into(inputs: Any) -> Any:
    """Returns the state with which a batch's inputs begin; `()` where they carry none."""
    return inputs.hidden if isinstance(inputs, Windows) else ()
