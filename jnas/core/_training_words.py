"""The words that networks, supernets and their training are written in; `jnas.core._vocabulary` lists them all."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._search_words import Array, Key, Space
from jnas.io._fields import describe_fields

FormName = Literal["switch", "dispatch", "mixture", "static"]
"""How one of several operations becomes a program; see `jnas.training.train_many`."""


@describe_fields
class Examples(NamedTuple):
    """A batch of what a network learns from, as it sees it: normalized (and augmented, where it is for training).

    Inputs and targets are pytrees of arrays with a leading axis of examples. A network that carries state from one
    window of a text to the next has that state among its inputs, beside the window.

    Attributes:
      inputs: `[B, ...]`; images are float32 [B, H, W, C].
      targets: `[B, ...]`; classes are int32 [B].
    """

    inputs: Any
    targets: Any


@describe_fields
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
      measure: `measure(outputs, targets) -> float32 [B]`, what the metric is made of: 1 for an image that is right, a
        text's cross-entropy.
      metric: `metric(total, count=None) -> float32 []`, the metric in its unit, of the sum of `measure` over `count`
        examples; of a mean, without a count.
      metric_name: What the metric is called: `'accuracy'`.
      unit: Its unit: `'percent'`; empty for none.
      higher_is_better: Whether a higher metric is better.
      reward: `reward(metric) -> float32 []`, of the order of 1 and higher where the metric is better: what a controller
        learns from.
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
    num_words: int | None = None  # of the vocabulary; None where nobody has said


def carried_into(inputs: Any) -> Any:
    """Returns the state with which a batch's inputs begin; `()` where they carry none."""
    return inputs.hidden if isinstance(inputs, Windows) else ()


@describe_fields
class Point(NamedTuple):
    """A point within a network, as a tap sees it. Static.

    Attributes:
      kind: What its value is: what goes into a ReLU (`'rectifier'`) and what comes out (`'activation'`); what a
        convolution gives, or the linear layer (`'convolution'`); the mean and the variance `[2, C]` that a batch-norm
        used (`'moments'`) and what it gives (`'normalized'`); what a pooling or a skip connection gives
        (`'operation'`), a cell or a block between cells (`'cell'`), all cells of a stage (`'stage'`); what the mean
        over the image is taken of (`'features'`).
      axis: That of channels.
      batch_axis: That of examples; `moments` have none.
      size: Of `convolution`: how many weights each output has; of `moments`: over how many numbers they are.
      copies: How many modules of the released networks, one around another, give this value.
    """

    kind: str
    axis: int
    batch_axis: int
    size: int = 0
    copies: int = 1


Tap = Callable[[Point, Array, Any], tuple[Array, Any]]
"""`tap(point, value, given) -> (value, record)`: with what the network goes on, and what is kept; None to keep nothing.
What it keeps depends, in structure and shape, on the point alone. `given` is what the caller has for the point."""


@describe_fields
class Network(NamedTuple):
    """The networks of all architectures of a space, as pure functions of parameters that fit every one of them.

    Inputs and outputs are what the task says: of images, inputs float `[B, H, W, C]` and outputs, logits,
    `[B, classes]`. A network that carries state has it in both.

    Attributes:
      init: `init(key, arch) -> (parameters, statistics)`, pytrees whose shapes do not depend on the architecture; what
        an architecture does not have is zero and stays zero.
      apply: `apply(parameters, statistics, arch, inputs) -> (outputs, used)`. With `statistics=None` each batch-norm
        uses the batch's own mean and variance and returns them in `used`, of the structure of `statistics`.
      has: `has(arch)`: a pytree like the parameters, bool arrays that say which of them the architecture has.
      counts: `counts(shape of inputs)`: a pytree like the statistics, how many numbers each of them is taken over.
      parameters: `parameters(arch)`: the number of parameters, float32 `[]`, in millions.
      flops: `flops(arch)`: multiply-adds of one example, float32 `[]`, in millions.
      space: Of the architectures.
      form: How many architectures are computed by one program.
      specialize: `specialize(arch, function)(*arguments)`: what `function(apply, *arguments)` returns, by the smallest
        of several programs that the architecture fits. There is a branch for each program; a gradient that is taken in
        `function` lies inside of it, so that no program keeps room for the others. `None` where one program does for
        all.
      task: What is learned.
      rematerialize: Whether gradients compute the insides of cells again: less memory and more time, and last bits may
        differ.
      regularized: `regularized(parameters, arch, inputs, key, drop_path) -> (outputs, outputs of auxiliary heads,
        used)`: a pass in training, with the batch's own statistics. Of each example, each path is left out with the
        probability `drop_path`, float32 `[]`, drawn from the key, and the others weigh more; None leaves out none. None
        for networks that have neither auxiliary heads nor paths to drop.
      dtype: Of the images within; parameters, statistics and outputs are float32 with `'bfloat16'` too.
      window: Of language models: `window(parameters, arch, tokens [T, B], targets [T, B], hidden [B, D], length,
        key=None, settings=None) -> (objective, loss, hidden)`: the mean cross-entropy of the first `length` steps,
        int32 `[]`, with the penalties of a recipe's `text`, its sum, and the hidden state after them. With a key and
        settings as in training, what they leave out being drawn from the key. None for networks of independent
        examples.
      layers: `layers(parameters)`: the weights of convolutions and linear layers, float `[L, C', K]` for each kind of
        layer: `L` layers of `C'` outputs, each of which has `K` weights (zeros for what an architecture does not have).
        A linear function, so that its transpose puts weights back. None where nobody has said which they are.
      tapped: `tapped(parameters, arch, inputs, tap, given=None, twice=False) -> (outputs, records)`: a pass with the
        batch's own statistics on which a `Tap` looks, and which it may change. Records are a pytree, by places, whose
        names sort in the order of the network, and by kinds of points; those of points that an architecture does not
        have are zeros, and several cells or edges have a leading axis. `given` has their structure, with anything in
        place of each record. Where asked `twice`, gradients of gradients can be taken. None where there is no such
        pass.
    """

    init: Callable[[Array, Array], tuple[Any, Any]]

    apply: Callable[[Any, Any, Array, Any], tuple[Any, Any]]

    has: Callable[[Any], Any]

    counts: Callable[[tuple[int, ...]], Any]

    parameters: Callable[[Array], Array]

    flops: Callable[[Array], Array]

    space: Space
    form: FormName

    specialize: Callable[[Array, Callable[..., Any]], Callable[..., Any]] | None = None

    task: Task = IMAGE_CLASSIFICATION

    rematerialize: bool = False

    regularized: Callable[..., tuple[Any, tuple[Any, ...], Any]] | None = None

    dtype: str = "float32"
    window: Callable[..., Any] | None = None

    layers: Callable[[Any], tuple[Array, ...]] | None = None

    tapped: Callable[..., tuple[Any, Any]] | None = None


@describe_fields
class Weights(NamedTuple):
    """What a run learned.

    Attributes:
      parameters: Pytree of float32.
      statistics: Running means and variances of every batch-norm.
    """

    parameters: Any
    statistics: Any


@describe_fields
class Decisions(NamedTuple):
    """What a supernet leaves open: `E` decisions of at most `K` choices each. Static: NumPy and Python.

    Attributes:
      mask: `[E, K]`, the choices that each decision has; at least one each.
      names: Of each decision's K columns; what stands at a masked one is never shown.
      independent: Whether every combination of choices is an architecture; if not, `discretize` mends it.
      operations: `[E]`, which of them choose an operation; None for all.
      absent: The choice without which an edge is not there, where `discretize` says which edges are: then
        `Supernet.sampled` computes any combination, valid or not.
      uniform: Where choices depend on one another and the space has no index: how many architectures its draws are one
        of, each as likely, and how often they have each choice, [E, K].
    """

    mask: NDArray[np.bool_]
    names: tuple[tuple[str, ...], ...]
    independent: bool = True
    operations: NDArray[np.bool_] | None = None
    absent: int | None = None
    uniform: tuple[int, NDArray[np.float32]] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """`(E, K)`."""
        num_decisions, most = self.mask.shape
        return num_decisions, most

    @property
    def ragged(self) -> bool:
        """Whether some decision lacks a choice. Where none does, the mask is left out of all programs."""
        return not self.mask.all()

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many choices each decision has, `[E]`."""
        counts: NDArray[np.int64] = self.mask.sum(axis=1)
        return counts

    def restrict(self, logits: Array) -> Array:
        """Returns logits `[E, K]`, minus infinity where there is no such choice."""
        return jnp.where(self.mask, logits, -jnp.inf) if self.ragged else logits


def likeliest_choices(logits: Array) -> Array:
    """Returns each decision's choice of the highest logit, int32 `[E]` of `[E, K]`."""
    return jnp.argmax(logits, axis=1).astype(jnp.int32)


def log_probability_of(log_probabilities: Array, archs: Array) -> Array:
    """Returns the logarithm of the probability of architectures `[N, E]` whose decisions are independent.

    Args:
      log_probabilities: `[E, K]`, of each choice.
      archs: int32 `[N, E]`.
    """
    chosen = jnp.take_along_axis(log_probabilities[None], archs[:, :, None], axis=2)
    return jnp.sum(chosen[:, :, 0], axis=1)


@describe_fields
class Preferences(NamedTuple):
    """What gradient-based searches learn of a supernet, where that is no preference for each choice of its decisions.

    `alpha [D, C]` holds them: `D` rows of at most `C` choices, that only in the end become decisions of the supernet.

    Attributes:
      decisions: `[D, C]`, which of alpha's numbers there are.
      mixture: As `Supernet.mixture`, by weights `[D, C]`.
      discretize: As `Supernet.discretize`, of logits `[D, C]`.
      probabilities: `probabilities(logits [D, C]) -> [E, K]`, marginal ones, of the choices of the supernet's own
        decisions.
      log_probability: `log_probability(logits [D, C], archs [N, E]) -> float32 [N]`.
      start: `[D, C]`, what alpha starts around; None for 0.
      draw: `draw(key, logits [D, C]) -> arch int32 [E]`: what a search returns, where that is drawn; None for
        `discretize`. Logits of choices that a row lacks are minus infinity.
    """

    decisions: Decisions

    mixture: Callable[[Any, Any, Array, Any], tuple[Any, Any]]

    discretize: Callable[[Array], Array]

    probabilities: Callable[[Array], Array]

    log_probability: Callable[[Array, Array], Array]

    start: NDArray[np.float32] | None = None

    draw: Callable[[Key, Array], Array] | None = None


class Sequential(NamedTuple):
    """Architectures as `D` decisions that are made one after another: any choices are an architecture, each once."""

    choices: tuple[tuple[str, ...], ...]
    """Of each decision its choices; equal names are one word to who makes them."""

    to_arch: Callable[[Array], Array]
    """From choices int32 `[D]` to an architecture int32 `[E]`, a valid one."""

    of_arch: Callable[[Array], Array]
    """The inverse, of valid architectures."""


@describe_fields
class Supernet(NamedTuple):
    """One network that holds the weights of all architectures of a space, as pure functions.

    `E` decisions of at most `K` choices each, and an architecture is one choice for each of them. Every operation of
    every edge (or vertex) has weights of its own. Inputs and outputs are what the task says, as for `Network`. With
    `statistics=None` each batch-norm uses the batch's own mean and variance, and `used` tells them, in the structure of
    `statistics`; where an operation was not run, `used` holds zeros.

    Attributes:
      init: `init(key) -> (parameters, statistics)`, the statistics being running estimates before the first batch.
      mixture: `mixture(parameters, statistics, weights [E, K], inputs) -> (outputs, used)`: on each edge the sum of all
        operations by these weights (DARTS); weights of choices that a decision lacks are 0.
      sampled: `sampled(parameters, statistics, arch [E], inputs) -> (outputs, used)`: one operation on each edge, and
        the work of no other.
      straight_through: `straight_through(parameters, statistics, weights [E, K], choices [E], inputs) -> (outputs,
        used)`: on each edge `weights[choice] * operation(inputs)` plus the sum of the other weights, which are numbers
        added to every pixel: with one-hot weights the value of `sampled`, and the gradient in the weights that GDAS was
        published with. Choices are any combination of independent decisions. None where there is no such pass.
      running: `running(statistics, used, keep, shape of inputs, arch=None) -> statistics`: running estimates after a
        batch; with `arch [E]` only those of the operations that it ran (and of what every architecture has).
      space: Of the architectures.
      form: How one operation on an edge becomes a program; see `over_seeds`.
      decisions: What is decided; None for the choices of `space`, independently. See `decisions_of`.
      discretize: `discretize(logits [E, K]) -> arch int32 [E]`: the architecture that preferences come to, a valid one
        of `space`. Logits of choices that a decision lacks are minus infinity. By default the likeliest choice of each
        decision. Of logits that are 0 at a valid architecture's choices and minus infinity elsewhere it is that
        architecture. (Logits and not probabilities: two of these may round to the same number; a rule that compares
        decisions with one another takes the softmax itself).
      task: What is learned.
      specialize: `specialize(arch, function)(*arguments)`: what `function(sampled, *arguments)` returns, by the
        smallest of the programs that the architecture fits; as `Network.specialize`, and for the same reason. `sampled`
        chooses among them too, but its gradient keeps room for all. The function calls it with this architecture alone.
        `None` where one program does for all.
      rematerialize: Whether gradients compute the insides of cells again: less memory and more time, and last bits may
        differ.
      preferences: What DARTS and FBNet learn; None for a preference for each choice of each decision.
      released: What the released DARTS and FBNet learn in this space, where it expresses a part of the space alone.
      parameters: `parameters(arch)`: the number of parameters of the architecture's own network, float32 `[]`, in
        millions; None where nobody has counted them.
      weighted_edges: What PC-DARTS learns: a preference for each choice, and for each edge among those into its node.
        None where decisions are no edges into nodes.
      sequential: What ENAS and NAO decide, one after another, where choices of `decisions` depend on one another; None
        for the decisions of `space`.
      partial: `partial(k)`: this supernet with edges that compute their operations on the first of `k` parts of the
        channels, and pass the others on. None where there is no such supernet.
      reading: How searches go through a text, of language models, whose inputs are `Windows`; None of independent
        examples.
      into_nodes: Of each cell and each of its nodes, the decisions that are edges into it, of which an architecture
        keeps two. None where it keeps all.
    """

    init: Callable[[Key], tuple[Any, Any]]

    mixture: Callable[[Any, Any, Array, Any], tuple[Any, Any]]

    sampled: Callable[[Any, Any, Array, Any], tuple[Any, Any]]

    straight_through: Callable[[Any, Any, Array, Array, Any], tuple[Any, Any]] | None

    running: Callable[..., Any]

    space: Space
    form: FormName

    decisions: Decisions | None = None

    discretize: Callable[[Array], Array] = likeliest_choices

    task: Task = IMAGE_CLASSIFICATION

    specialize: Callable[[Array, Callable[..., Any]], Callable[..., Any]] | None = None

    rematerialize: bool = False

    preferences: Preferences | None = None

    released: Preferences | None = None

    parameters: Callable[[Array], Array] | None = None

    weighted_edges: Preferences | None = None

    sequential: Sequential | None = None

    partial: Callable[[int], "Supernet"] | None = None

    reading: Reading | None = None
    into_nodes: tuple[tuple[tuple[int, ...], ...], ...] | None = None


def decisions_of(supernet: Supernet) -> Decisions:
    """Returns what a supernet leaves open: its `decisions`, or those of its space."""
    if supernet.decisions is not None:
        return supernet.decisions
    counts, choices = np.asarray(supernet.space.num_choices), supernet.space.choices
    most = int(counts.max())
    names = tuple((*row, *[""] * (most - len(row))) for row in choices)
    return Decisions(np.arange(most)[None, :] < counts[:, None], names)


class Batch(NamedTuple):
    """What a step of a weight-sharing search sees: one batch for the weights and one for the architecture."""

    train: Examples
    validation: Examples


class StepInfo(NamedTuple):
    """What a person may look at after a step; NaN for what the step did not look at.

    The fields are named for images; another task's metric stands in the place of accuracy, in its own unit.
    """

    train_loss: Array  # [] float32
    train_accuracy: Array  # [] float32, in percent
    validation_loss: Array  # [] float32
    validation_accuracy: Array  # [] float32, in percent


class CarriedInfo(NamedTuple):
    """What a step on windows of texts tells: what a person may look at, and what the next windows go on with."""

    info: StepInfo
    carried: tuple[Array, Array]  # [B, D] float32 each, the states after the windows of training and of validation


class Derived(NamedTuple):
    """The architecture that a search would return now, and the candidates that it was chosen from."""

    arch: Array  # [E] int32
    candidates: Array  # [M, E] int32; the architecture alone where none are compared
    scores: Array  # [M] float32, the task's metric in its unit; NaN where none are compared


class Shared(NamedTuple):
    """The shared weights."""

    parameters: Any
    statistics: Any  # running estimates of batch-norm


@describe_fields
class WeightSharingSearcher(NamedTuple):
    """A search that trains one supernet, as pure functions over a state that carries its PRNG key.

    Many seeds run under `vmap` or, on CPUs where branches beat selections, `lax.map`.

    Attributes:
      init: `init(key) -> state`.
      step: `step(state, batch) -> (state, StepInfo)`; phases and schedules read a counter in the state. Of a batch of
        `Windows` it gives a `CarriedInfo`.
      derive: `derive(state, dataset, split) -> Derived`, from the examples of that split of a `training.Dataset`;
        leaves the state as it is, and takes its randomness from a key folded from the state's. What it returns obeys
        the supernet's `discretize`.
      log_probability: `log_probability(state, archs [N, E]) -> float32 [N]`, of the choices of each architecture under
        what the searcher has learned to prefer; uniform for one that prefers none.
      probabilities: `probabilities(state) -> float32 [E, K]`, of the choices of each decision (marginal ones, estimated
        where they have no closed form; 0 for a choice that a decision lacks), for entropies and pictures.
      shared: `shared(state) -> Shared`.
      name: For tables and legends.
      extra_steps: Steps of an epoch beyond those that go through the training examples once (a controller's).
      mixed: The supernet with the decisions and the mixture that the state's `alpha` is of, where it is of others than
        the supernet's own; see `Preferences`.
      supernet: What it trains, where that is another than what it was made for; see `Supernet.partial`.
      made_with: What its factory was given, as in `Searcher`.
      mixture_weights: `mixture_weights(state, alpha) -> [E, K]`, the weights of the mixture as a function of `alpha`,
        without chance, where they are not its softmax; None where they are.
      tuned: A step after the search has ended, at a tenth of its first learning rate, as DARTS-PT's; None for `step`.
    """

    init: Callable[[Key], Any]
    step: Callable[[Any, Batch], tuple[Any, Any]]
    derive: Callable[[Any, Any, str], Derived]
    log_probability: Callable[[Any, Array], Array]
    probabilities: Callable[[Any], Array]
    shared: Callable[[Any], Shared]
    name: str
    extra_steps: int = 0
    mixed: Supernet | None = None
    supernet: Supernet | None = None
    made_with: str = ""
    mixture_weights: Callable[[Any, Array], Array] | None = None
    tuned: Callable[[Any, Batch], tuple[Any, StepInfo]] | None = None

    @property
    def weights(self) -> Callable[[Any], Array]:
        """`probabilities`, under the name that it had."""
        return self.probabilities
